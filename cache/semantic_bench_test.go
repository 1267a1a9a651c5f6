package cache_test

import (
	"fmt"
	"testing"

	"github.com/stretchr/testify/require"

	"github.com/holysheep-ai/holysheep-go"
	"github.com/holysheep-ai/holysheep-go/cache"
	"github.com/holysheep-ai/holysheep-go/cache/guard"
)

// What a hit takes beside the scan.
func BenchmarkSemanticHit(b *testing.B) {
	w := newWorld(20, 0.3)
	c := cache.Semantic(w, w, cache.NewMemoryNeighbours(nil), &cache.SemanticOptions{Threshold: 0.9, Probes: worldProbes, Guards: []guard.Guard{}})
	req := &holysheep.ChatRequest{}
	for range 200 {
		req.Messages = []holysheep.Message{holysheep.User(w.ask())}
		_, err := c.Chat(b.Context(), req)
		require.NoError(b, err)
	}
	for i := range 200 {
		req.Messages = []holysheep.Message{holysheep.User(fmt.Sprint("question ", 3+i))}
		if resp, err := c.Chat(b.Context(), req); err == nil && resp.Cached {
			break
		}
	}
	b.ReportAllocs()
	for b.Loop() {
		if resp, err := c.Chat(b.Context(), req); err != nil || !resp.Cached {
			b.Fatal("no hit")
		}
	}
}
