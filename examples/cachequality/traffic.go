package main

import (
	"context"
	"fmt"
	"io"
	"math/rand/v2"
	"sort"

	"github.com/holysheep-ai/holysheep-go/cache"
	"github.com/holysheep-ai/holysheep-go/examples/internal/banking"
)

// traffic is a way in which questions come.
type traffic struct {
	name string
	// make gives the questions with their answers, and the order in which they come.
	make func(s *banking.Set, rng *rand.Rand) (*banking.Set, []int)
}

var traffics = []traffic{
	{"a few kinds of question, none twice", func(s *banking.Set, rng *rand.Rand) (*banking.Set, []int) {
		step := 8
		if s.Kinds() < 3*step { // the sample
			step = 3
		}
		few := part(s, func(label int) bool { return label%step == step/2-1 })
		return few, rng.Perm(len(few.Texts))
	}},
	{"many kinds of question, none twice", func(s *banking.Set, rng *rand.Rand) (*banking.Set, []int) {
		return s, rng.Perm(len(s.Texts))
	}},
	{"many kinds, the popular ones in the same words (Zipf)", func(s *banking.Set, rng *rand.Rand) (*banking.Set, []int) {
		return s, zipf(len(s.Texts), rng)
	}},
	{"the answers to half of the kinds are personal", func(s *banking.Set, rng *rand.Rand) (*banking.Set, []int) {
		mixed := personal(s, func(label int) bool { return label%2 == 0 })
		return mixed, rng.Perm(len(mixed.Texts))
	}},
	{"all answers are personal", func(s *banking.Set, rng *rand.Rand) (*banking.Set, []int) {
		own := personal(s, func(int) bool { return true })
		return own, rng.Perm(len(own.Texts))
	}},
}

// labelNumbers numbers the labels in the order they come in.
func labelNumbers(s *banking.Set) map[string]int {
	numbers := map[string]int{}
	for _, label := range s.Labels {
		if _, ok := numbers[label]; !ok {
			numbers[label] = len(numbers)
		}
	}
	return numbers
}

func part(s *banking.Set, keep func(label int) bool) *banking.Set {
	numbers, p := labelNumbers(s), &banking.Set{Name: s.Name}
	for i, label := range s.Labels {
		if keep(numbers[label]) {
			p.Texts, p.Labels, p.Vectors = append(p.Texts, s.Texts[i]), append(p.Labels, label), append(p.Vectors, s.Vectors[i])
		}
	}
	return p
}

// personal gives every question of these labels an answer that no other has.
func personal(s *banking.Set, is func(label int) bool) *banking.Set {
	numbers, p := labelNumbers(s), &banking.Set{Name: s.Name, Texts: s.Texts, Vectors: s.Vectors}
	for i, label := range s.Labels {
		if is(numbers[label]) {
			label = fmt.Sprintf("%s, case %d", label, i)
		}
		p.Labels = append(p.Labels, label)
	}
	return p
}

// zipf draws n of n questions, the k-th most popular one in proportion to 1/k.
func zipf(n int, rng *rand.Rand) []int {
	rank := rng.Perm(n)
	sums := make([]float64, n)
	sum := 0.0
	for i := range sums {
		sum += 1 / float64(i+1)
		sums[i] = sum
	}
	order := make([]int, n)
	for i := range order {
		order[i] = rank[min(n-1, sort.SearchFloat64s(sums, rng.Float64()*sum))]
	}
	return order
}

// compareTraffic shows by how much calls fall: equal questions, which an exact cache answers, and similar ones.
func compareTraffic(ctx context.Context, s *banking.Set, seed uint64, out io.Writer) error {
	fmt.Fprintln(out, "| traffic | asked in the same words | policy | similar | of them wrong (95 %) | calls fall by | in the last quarter |")
	fmt.Fprintln(out, "|---|---|---|---|---|---|---|")
	for _, t := range traffics {
		some, order := t.make(s, rand.New(rand.NewPCG(seed, 7)))
		for _, p := range []policy{
			{"threshold 0.92", true, cache.SemanticOptions{Threshold: 0.92}},
			{"at most 1 % wrong", true, cache.SemanticOptions{MaxWrong: 0.01}},
			{"at most 5 % wrong", true, cache.SemanticOptions{MaxWrong: 0.05}},
		} {
			r := result{policy: p}
			equal, err := r.put(ctx, some, order, seed)
			if err != nil {
				return err
			}
			all, last := r.sum(0, parts), r.sum(parts*3/4, parts)
			equalAll, equalLast := sumOf(equal[:]), sumOf(equal[parts*3/4:])
			fmt.Fprintf(out, "| %s | %s | %s | %s | %s | %s | %s |\n", t.name,
				percent(equalAll, all.questions), p.name, percent(all.hits, all.questions), share(all),
				percent(all.hits+equalAll, all.questions), percent(last.hits+equalLast, last.questions))
		}
	}
	return nil
}

func sumOf(numbers []int64) (sum int64) {
	for _, n := range numbers {
		sum += n
	}
	return sum
}
