package main

import (
	"fmt"
	"math"
	"math/rand/v2"
	"strings"
	"time"

	"github.com/holysheep-ai/holysheep-go/examples/internal/banking"
)

// The hour, as it was fixed beforehand.
const (
	perSecond   = 13.9 // arrivals, Poisson: 50,040 in an hour
	deadline    = 20 * time.Second
	repeats     = 0.30 // word for word
	paraphrases = 0.20 // in other words
	orders      = 0.25 // about an order of one's own; the rest are new questions about anything
	premium     = 0.05 // of all, from customers who are promised the best model
)

// question is one arrival.
type question struct {
	at      time.Duration // from the start of the hour
	text    string
	label   string // questions with one label have one answer
	vector  []float32
	premium bool
	answer  int // tokens of the answer
}

// traffic makes the arrivals of a stretch of time. The same seed gives the same ones.
func traffic(set *banking.Set, seed uint64, length time.Duration) []question {
	rng := rand.New(rand.NewPCG(seed, 1))
	m := mix{set: set, rng: rng, order: rng.Perm(len(set.Texts))}
	var all []question
	for at := time.Duration(0); ; {
		at += time.Duration(rng.ExpFloat64() / perSecond * float64(time.Second))
		if at >= length {
			return all
		}
		q := m.next(all)
		q.at, q.premium = at, rng.Float64() < premium
		all = append(all, q)
	}
}

// mix draws what is asked.
type mix struct {
	set   *banking.Set
	rng   *rand.Rand
	order []int // of the questions of the set
	used  int
	fresh int
}

func (m *mix) next(before []question) question {
	switch r := m.rng.Float64(); {
	case r < repeats && len(before) > 0:
		return before[m.rng.IntN(len(before))]
	case r < repeats+paraphrases:
		return m.paraphrase()
	case r < repeats+paraphrases+orders:
		return m.orderOf()
	}
	return m.anything()
}

// paraphrase takes the next question of the set: others with its label have been asked before, but for the first ones. When
// all were asked they are asked once more, turned a little, as other wordings of the same.
func (m *mix) paraphrase() question {
	i, round := m.order[m.used%len(m.order)], m.used/len(m.order)
	m.used++
	q := question{text: m.set.Texts[i], label: m.set.Labels[i], vector: m.set.Vectors[i], answer: m.tokens(120)}
	if round > 0 {
		q.text += strings.Repeat(" please", round)
		q.vector = m.near(q.vector, 0.25)
	}
	return q
}

// orderOf is a question that is nearly the same as many others, and has an answer of its own.
func (m *mix) orderOf() question {
	m.fresh++
	number := 400_000 + m.fresh*7
	return question{
		text: fmt.Sprintf("Where is my order %d?", number), label: fmt.Sprint("order ", number),
		vector: m.near(m.set.Vectors[0], 0.15), answer: m.tokens(60),
	}
}

// anything is a question like no other. Two thirds of them are long or ask for thought.
func (m *mix) anything() question {
	m.fresh++
	name := banking.InLetters(m.fresh)
	q := question{text: "Do you have " + name + " in stock?", label: "about " + name, answer: m.tokens(80)}
	if m.rng.IntN(3) > 0 {
		q.text = "Why would I take " + name + " rather than the other one, and how do they compare over five years of use in a cold house?"
		q.answer = m.tokens(350)
	}
	v := make([]float32, len(m.set.Vectors[0]))
	for d := range v {
		v[d] = float32(m.rng.NormFloat64())
	}
	q.vector = v
	return q
}

// tokens is the length of an answer, spread about a mean.
func (m *mix) tokens(mean float64) int {
	return 10 + int(mean*math.Exp(0.4*m.rng.NormFloat64()-0.08))
}

// near gives a vector that is turned by noise of this length, of the vector's own.
func (m *mix) near(v []float32, noise float64) []float32 {
	var length float64
	for _, x := range v {
		length += float64(x) * float64(x)
	}
	scale := noise * math.Sqrt(length/float64(len(v)))
	turned := make([]float32, len(v))
	for d, x := range v {
		turned[d] = x + float32(scale*m.rng.NormFloat64())
	}
	return turned
}
