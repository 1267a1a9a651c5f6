package main

import (
	"context"
	"runtime"
	"slices"
	"sync"
	"time"

	"github.com/holysheep-ai/holysheep-go"
	"github.com/holysheep-ai/holysheep-go/internal/chance"
)

// maxTokens is what every client allows an answer.
const maxTokens = 1000

// asker is a client under test.
type asker struct {
	ask   func(ctx context.Context, q *question) (answer string, cached bool, err error)
	close func() error
}

// hour is what is simulated.
type hour struct {
	questions []question
	seed      uint64
	length    time.Duration
	capacity  float64 // of each model, in parts of the mean load

	brownout bool // a model has a fifth of its capacity for the middle ten minutes: the client's main one
}

// result is how a client did.
type result struct {
	name          string
	asked         int
	answered      int // within the deadline
	latencies     []time.Duration
	sent          int
	cost          holysheep.USD // billed by the gateway
	cached, wrong int           // answers from caches, and those of them that answer another question
	failures      map[string]int
	minutes       []minute
}

// minute is what happened to the questions that came in it.
type minute struct {
	asked, answered int
	latencies       []time.Duration
	cost            holysheep.USD
}

// simulate lets a client live through an hour. It runs in virtual time.
func simulate(ctx context.Context, h *hour, v *variant) (*result, error) {
	defer runtime.GOMAXPROCS(runtime.GOMAXPROCS(1)) // what happens at one instant happens in one order
	chance.Seed(h.seed)
	start := time.Now()
	g := newGateway(h.questions, h.seed, h.capacity*perSecond)
	if h.brownout {
		g.slowModel, g.from, g.to = v.main, start.Add((h.length-brownoutFor)/2), start.Add((h.length+brownoutFor)/2)
	}
	client, err := v.make(g, h.seed)
	if err != nil {
		return nil, err
	}
	r := &result{name: v.name, asked: len(h.questions), failures: map[string]int{}}
	r.minutes = make([]minute, int((h.length+time.Minute-1)/time.Minute))
	var mu sync.Mutex
	var wg sync.WaitGroup
	for i := range h.questions {
		q := &h.questions[i]
		time.Sleep(time.Until(start.Add(q.at)))
		wg.Go(func() {
			limited, cancel := context.WithTimeout(ctx, deadline)
			defer cancel()
			answer, cached, err := client.ask(limited, q)
			took := time.Since(start) - q.at
			mu.Lock()
			defer mu.Unlock()
			r.count(q, answer, cached, err, took)
		})
	}
	wg.Wait()
	time.Sleep(time.Minute) // what was abandoned is served and billed
	if client.close != nil {
		if err := client.close(); err != nil {
			return nil, err
		}
	}
	slices.Sort(r.latencies)
	r.sent, r.cost = g.sent, g.billed
	for i, spent := range g.spent {
		r.minutes[min(i, len(r.minutes)-1)].cost += spent
	}
	return r, nil
}

// brownoutFor is how long the brown-out takes.
const brownoutFor = 600 * time.Second

func (r *result) count(q *question, answer string, cached bool, err error, took time.Duration) {
	m := &r.minutes[min(int(q.at/time.Minute), len(r.minutes)-1)]
	m.asked++
	if err != nil || took > deadline {
		r.failures[kindOf(err)]++
		return
	}
	m.answered++
	r.answered++
	r.latencies = append(r.latencies, took)
	m.latencies = append(m.latencies, took)
	if cached {
		r.cached++
		if answer != answerTo(q.label) {
			r.wrong++
		}
	}
}

// quantile of the answers that came in time.
func quantile(sorted []time.Duration, q float64) time.Duration {
	if len(sorted) == 0 {
		return 0
	}
	return sorted[min(len(sorted)-1, int(q*float64(len(sorted))))]
}
