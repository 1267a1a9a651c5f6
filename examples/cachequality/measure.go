package main

import (
	"context"
	"errors"
	"fmt"
	"io"
	"iter"
	"math/rand/v2"
	"runtime"
	"sync"

	"github.com/holysheep-ai/holysheep-go"
	"github.com/holysheep-ai/holysheep-go/cache"
	"github.com/holysheep-ai/holysheep-go/cache/guard"
	"github.com/holysheep-ai/holysheep-go/examples/internal/banking"
)

// policy is a cache to be measured.
type policy struct {
	name   string
	guards bool
	opts   cache.SemanticOptions
}

func (p policy) bound() float64 { return p.opts.MaxWrong }

// policies are those of the table.
func policies() (all []policy) {
	for _, guards := range []bool{true, false} {
		for _, threshold := range []float64{0.97, 0.92, 0.85, 0.75} {
			all = append(all, policy{fmt.Sprintf("threshold %.2f", threshold), guards, cache.SemanticOptions{Threshold: threshold}})
		}
		for _, bound := range []float64{0.01, 0.02, 0.05} {
			all = append(all, policy{fmt.Sprintf("at most %.0f %% wrong", 100*bound), guards, cache.SemanticOptions{MaxWrong: bound}})
		}
	}
	for i := range all {
		if !all[i].guards {
			all[i].opts.Guards = []guard.Guard{}
		}
	}
	return all
}

// count is what became of some questions.
type count struct{ questions, hits, wrong, explored int64 }

func (c *count) add(d count) {
	c.questions, c.hits, c.wrong, c.explored = c.questions+d.questions, c.hits+d.hits, c.wrong+d.wrong, c.explored+d.explored
}

// The stream is looked at in so many parts; four of them make a quarter.
const parts = 40

// result is what a policy did, over all orders.
type result struct {
	policy
	parts [parts]count
}

func (r *result) sum(from, to int) (c count) {
	for _, p := range r.parts[from:to] {
		c.add(p)
	}
	return c
}

// measure runs every policy over every order.
func measure(ctx context.Context, s *banking.Set, policies []policy, seed uint64, seeds int) ([]result, error) {
	results := make([]result, len(policies))
	errs := make([]error, len(policies))
	free := make(chan struct{}, runtime.GOMAXPROCS(0))
	var all sync.WaitGroup
	for i, p := range policies {
		results[i].policy = p
		all.Go(func() {
			free <- struct{}{}
			defer func() { <-free }()
			for n := range seeds {
				if errs[i] = results[i].run(ctx, s, seed+uint64(n)); errs[i] != nil {
					return
				}
			}
		})
	}
	all.Wait()
	return results, errors.Join(errs...)
}

// run puts the questions to a new cache, each once, in the order of seed.
func (r *result) run(ctx context.Context, s *banking.Set, seed uint64) error {
	_, err := r.put(ctx, s, rand.New(rand.NewPCG(seed, 7)).Perm(len(s.Texts)), seed)
	return err
}

// put puts the questions to a new cache in this order. Those that were asked in the same words before do not get to
// it: an exact cache stands in front. They are counted by part.
func (r *result) put(ctx context.Context, s *banking.Set, order []int, seed uint64) (equal [parts]int64, err error) {
	known := newOracle(s)
	opts := r.opts
	opts.Seed, opts.Probes = seed, known.probes()
	c := cache.Semantic(known, known, cache.NewMemoryNeighbours(nil), &opts)
	if err := c.Check(ctx); err != nil {
		return equal, err
	}
	answered := map[int]bool{} // by the model: a semantic hit is not kept
	for i, q := range order {
		part := i * parts / len(order)
		if answered[q] {
			equal[part]++
			r.parts[part].add(count{questions: 1})
			continue
		}
		before := c.Stats().Explored
		resp, err := c.Chat(ctx, &holysheep.ChatRequest{Messages: []holysheep.Message{holysheep.User(s.Texts[q])}})
		if err != nil {
			return equal, err
		}
		got := count{questions: 1, explored: c.Stats().Explored - before}
		if answered[q] = !resp.Cached; resp.Cached {
			got.hits = 1
			if resp.Text() != answerTo(s.Labels[q]) {
				got.wrong = 1
			}
		}
		r.parts[part].add(got)
	}
	return equal, c.Close()
}

// oracle is the encoder and the model: it looks vectors and answers up.
type oracle struct {
	set *banking.Set
	at  map[string]int
}

func newOracle(s *banking.Set) *oracle {
	o := &oracle{s, map[string]int{}}
	for i, text := range s.Texts {
		o.at[text] = i
	}
	return o
}

func answerTo(label string) string { return "This is what there is to say about " + label + "." }

// probes are a question with itself, and the two of the set's beginning whose answers differ.
func (o *oracle) probes() *cache.Probes {
	first, other := o.set.Texts[0], ""
	for i, label := range o.set.Labels {
		if label != o.set.Labels[0] {
			other = o.set.Texts[i]
			break
		}
	}
	return &cache.Probes{Like: [2]string{first, first}, Unlike: [2]string{first, other}}
}

func (o *oracle) Embed(_ context.Context, texts []string) ([][]float32, error) {
	vectors := make([][]float32, len(texts))
	for i, text := range texts {
		at, ok := o.at[text]
		if !ok {
			return nil, fmt.Errorf("no vector of %q", text)
		}
		vectors[i] = o.set.Vectors[at]
	}
	return vectors, nil
}

func (o *oracle) Fingerprint() string { return o.set.Name }

func (o *oracle) Chat(_ context.Context, req *holysheep.ChatRequest) (*holysheep.ChatResponse, error) {
	at := o.at[req.Messages[0].Text()]
	return &holysheep.ChatResponse{Choices: []holysheep.Choice{{
		Message: holysheep.Assistant(answerTo(o.set.Labels[at])), FinishReason: "stop",
	}}}, nil
}

func (o *oracle) Stream(context.Context, *holysheep.ChatRequest) iter.Seq2[holysheep.StreamEvent, error] {
	return func(yield func(holysheep.StreamEvent, error) bool) {
		yield(holysheep.StreamEvent{}, errors.ErrUnsupported)
	}
}

// Resolve makes an oracle a holysheep.Resolver.
//
//nolint:unparam // the interface has an error
func (o *oracle) Resolve(req *holysheep.ChatRequest) (*holysheep.ChatRequest, string, error) {
	return req, o.set.Name, nil
}

// writeTable shows what each policy did: hits of all questions, and wrong ones of the hits, over all of the stream
// and in its last quarter.
func writeTable(out io.Writer, results []result) {
	fmt.Fprintln(out, "| policy | guards | hits | of them wrong (95 %) | last quarter: hits | of them wrong (95 %) | explored |")
	fmt.Fprintln(out, "|---|---|---|---|---|---|---|")
	for i := range results {
		r := &results[i]
		all, last := r.sum(0, parts), r.sum(parts*3/4, parts)
		explored := "–"
		if r.bound() > 0 {
			explored = percent(all.explored, all.questions)
		}
		fmt.Fprintf(out, "| %s | %s | %s | %s | %s | %s | %s |\n", r.name, onOff(r.guards),
			percent(all.hits, all.questions), share(all), percent(last.hits, last.questions), share(last), explored)
	}
}

func onOff(guards bool) string {
	if guards {
		return "on"
	}
	return "off"
}

func percent(a, b int64) string {
	if b == 0 {
		return "–"
	}
	return fmt.Sprintf("%.1f %%", 100*float64(a)/float64(b))
}

func share(c count) string {
	if c.hits == 0 {
		return "–"
	}
	low, high := cache.Wilson(c.wrong, c.hits)
	return fmt.Sprintf("%.2f %% (%.2f–%.2f)", 100*float64(c.wrong)/float64(c.hits), 100*low, 100*high)
}
