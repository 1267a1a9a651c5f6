package main

import (
	"context"
	"errors"
	"fmt"
	"io"
	"maps"
	"slices"

	"github.com/holysheep-ai/holysheep-go"
	"github.com/holysheep-ai/holysheep-go/cache"
	"github.com/holysheep-ai/holysheep-go/examples/internal/banking"
	"github.com/holysheep-ai/holysheep-go/internal/pairs"
)

// kindOfPairs is a column of the table, and what is to be called a hit there.
type kindOfPairs struct {
	name, what string
	pairs      []pairs.Pair
}

func allPairs(seed uint64) []kindOfPairs {
	return []kindOfPairs{
		{"adversarial pairs, by rules", "false hits", pairs.Adversarial(seed)},
		{"different pairs, by hand", "false hits", pairs.Handmade()},
		{"variants, by rules", "hits", pairs.Variants(seed)},
		{"paraphrases, by hand", "hits", pairs.Paraphrases()},
	}
}

// live puts pairs of questions through a real encoder: those with different answers, of which none may hit, and those
// with the same, which should. Each pair has a cache of its own.
func live(ctx context.Context, encoder holysheep.Embedder, kinds []kindOfPairs, out io.Writer) error {
	asked := &banking.Set{Name: "pairs"}
	for _, k := range kinds {
		for _, p := range k.pairs {
			asked.Texts = append(asked.Texts, p.A, p.B)
		}
	}
	asked.Labels = asked.Texts // each has its own
	l := pairAsker{model: newOracle(asked), encoder: cache.Embedder(encoder, cache.NewMemory(nil), nil)}
	// All vectors first: an encoder that fails is an error here, and not a miss.
	for some := range slices.Chunk(asked.Texts, 512) {
		if _, err := l.encoder.Embed(ctx, some); err != nil {
			return err
		}
	}
	fmt.Fprintf(out, "\nThrough the encoder %s:\n\n| policy | guards |", encoder.Fingerprint())
	for _, k := range kinds {
		fmt.Fprintf(out, " %d %s: %s |", len(k.pairs), k.name, k.what)
	}
	fmt.Fprintf(out, "\n|---|---|---|---|---|---|\n")
	for _, p := range policies() {
		if p.bound() > 0 {
			continue // two questions teach it nothing
		}
		fmt.Fprintf(out, "| %s | %s |", p.name, onOff(p.guards))
		for _, k := range kinds {
			hits, err := l.hits(ctx, p, k.pairs)
			if err != nil {
				return err
			}
			n := len(slices.DeleteFunc(slices.Clone(hits), func(hit bool) bool { return !hit }))
			fmt.Fprintf(out, " %d (%s) |", n, percent(int64(n), int64(len(hits))))
		}
		fmt.Fprintln(out)
	}
	return l.writeKinds(ctx, kinds, out)
}

// writeKinds shows what a threshold of 0.92 with guards does to each kind of pair.
func (l *pairAsker) writeKinds(ctx context.Context, kinds []kindOfPairs, out io.Writer) error {
	fmt.Fprintf(out, "\nThreshold 0.92, guards on, by kind and language:\n\n| pairs | kind | hits, en | hits, zh |\n|---|---|---|---|\n")
	p := policy{"", true, cache.SemanticOptions{Threshold: 0.92}}
	for _, k := range kinds {
		hits, err := l.hits(ctx, p, k.pairs)
		if err != nil {
			return err
		}
		counts := map[string]map[string]*count{}
		for i, pair := range k.pairs {
			if counts[pair.Kind] == nil {
				counts[pair.Kind] = map[string]*count{"en": {}, "zh": {}}
			}
			c := counts[pair.Kind][pair.Lang]
			c.questions++
			if hits[i] {
				c.hits++
			}
		}
		for _, kind := range slices.Sorted(maps.Keys(counts)) {
			fmt.Fprintf(out, "| %s | %s |", k.name, kind)
			for _, lang := range []string{"en", "zh"} {
				c := counts[kind][lang]
				fmt.Fprintf(out, " %d of %d |", c.hits, c.questions)
			}
			fmt.Fprintln(out)
		}
	}
	return nil
}

// pairAsker puts pairs to caches.
type pairAsker struct {
	model   holysheep.Completer
	encoder holysheep.Embedder
}

// hits says for each pair whether the second question got the first one's answer.
func (l *pairAsker) hits(ctx context.Context, p policy, of []pairs.Pair) ([]bool, error) {
	hits := make([]bool, len(of))
	for i, pair := range of {
		c := cache.Semantic(l.model, l.encoder, cache.NewMemoryNeighbours(nil), &p.opts)
		err := c.Check(ctx)
		for _, q := range []string{pair.A, pair.B} {
			if err != nil {
				return nil, err
			}
			var resp *holysheep.ChatResponse
			resp, err = c.Chat(ctx, &holysheep.ChatRequest{Messages: []holysheep.Message{holysheep.User(q)}})
			hits[i] = err == nil && resp.Cached
		}
		if err = errors.Join(err, c.Close()); err != nil {
			return nil, err
		}
	}
	return hits, nil
}
