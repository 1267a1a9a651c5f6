package main

import (
	"context"
	"fmt"
	"iter"
	"math/rand/v2"
	"strconv"
	"time"

	"github.com/viterin/vek/vek32"

	"github.com/holysheep-ai/holysheep-go"
	"github.com/holysheep-ai/holysheep-go/cache"
)

// vectors are random questions: an encoder that costs nothing, and a model that answers with a few sentences.
type vectors struct {
	rows  [][]float32
	alike *cache.Probes
}

const vectorSize = 384

func newVectors(n int) *vectors {
	rng := rand.New(rand.NewPCG(1, 1))
	v := &vectors{}
	for range n {
		row := make([]float32, vectorSize)
		for d := range row {
			row[d] = float32(rng.NormFloat64())
		}
		v.rows = append(v.rows, row)
	}
	v.alike = &cache.Probes{Like: [2]string{"0", "0"}, Unlike: [2]string{"0", "1"}}
	return v
}

func (v *vectors) Embed(_ context.Context, texts []string) ([][]float32, error) {
	out := make([][]float32, len(texts))
	for i, text := range texts {
		n, err := strconv.Atoi(text)
		if err != nil {
			return nil, err
		}
		out[i] = v.rows[n]
	}
	return out, nil
}

func (v *vectors) Fingerprint() string { return "random" }

func (v *vectors) Chat(_ context.Context, req *holysheep.ChatRequest) (*holysheep.ChatResponse, error) {
	text := req.Messages[0].Text() + ": what was bought can be sent back within thirty days, at no cost, if it is as it was. " +
		"Use the label that came with it, and keep the receipt of the post office until the money is there."
	return &holysheep.ChatResponse{Choices: []holysheep.Choice{{Message: holysheep.Assistant(text), FinishReason: "stop"}}}, nil
}

func (v *vectors) Stream(context.Context, *holysheep.ChatRequest) iter.Seq2[holysheep.StreamEvent, error] {
	return func(func(holysheep.StreamEvent, error) bool) {}
}

func (v *vectors) Resolve(req *holysheep.ChatRequest) (*holysheep.ChatRequest, string, error) {
	return req, "bench", nil
}

// unseen hides what is there while a cache is filled, or filling would take as long as so many look-ups.
type unseen struct{ *cache.MemoryNeighbours }

func (unseen) Nearest(context.Context, string, []float32, int, int) ([]cache.Neighbour, error) {
	return nil, nil
}

// semanticHits measures a hit without its embedding, and reading the vectors once.
func semanticHits(entries, hits int) (result, error) {
	v := newVectors(entries)
	n := cache.NewMemoryNeighbours(&cache.MemoryNeighboursOptions{MaxEntries: entries})
	opts := &cache.SemanticOptions{Probes: v.alike, TTL: time.Hour}
	ctx := context.Background()
	ask := func(c *cache.SemanticCache, i int) (*holysheep.ChatResponse, error) {
		return c.Chat(ctx, &holysheep.ChatRequest{Messages: []holysheep.Message{holysheep.User(strconv.Itoa(i))}})
	}
	fill := cache.Semantic(v, v, unseen{n}, opts)
	for i := range entries {
		if _, err := ask(fill, i); err != nil {
			return result{}, err
		}
	}
	c := cache.Semantic(v, v, n, opts)
	if err := c.Check(ctx); err != nil {
		return result{}, err
	}
	var flat []float32 // written to, or it would be one page of zeros
	for _, row := range v.rows {
		flat = append(flat, row...)
	}
	took, read := make([]float64, 0, hits), make([]float64, 0, hits)
	rng := rand.New(rand.NewPCG(2, 2))
	for range hits {
		start := time.Now()
		resp, err := ask(c, rng.IntN(entries))
		took = append(took, float64(time.Since(start))/1e3)
		if err != nil || !resp.Cached {
			return result{}, fmt.Errorf("no hit: %w", err)
		}
	}
	for range hits {
		start := time.Now()
		_ = vek32.Sum(flat)
		read = append(read, float64(time.Since(start))/1e3)
	}
	what := fmt.Sprintf("semantic hit after the embedding, %d entries of %d dimensions in memory, µs", entries, vectorSize)
	r, err := percentiles(what, took)
	if err != nil {
		return result{}, err
	}
	base, err := percentiles("", read)
	if err != nil {
		return result{}, err
	}
	r.Limits = append(r.Limits, limit{"the same, ratio to reading the vectors once on one core, p50", r.Limits[0].Value / base.Limits[0].Value})
	return r, nil
}
