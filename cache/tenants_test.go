package cache_test

import (
	"context"
	"fmt"
	"iter"
	"os"
	"strings"
	"sync"
	"sync/atomic"
	"testing"

	"github.com/stretchr/testify/require"

	"github.com/holysheep-ai/holysheep-go"
	"github.com/holysheep-ai/holysheep-go/cache"
)

// telling answers with the tenant it was asked for.
type telling struct{}

func (telling) Chat(ctx context.Context, _ *holysheep.ChatRequest) (*holysheep.ChatResponse, error) {
	return &holysheep.ChatResponse{Choices: []holysheep.Choice{{
		FinishReason: "stop", Message: holysheep.Assistant("This is for the eyes of " + holysheep.ScopeOf(ctx).Tag("tenant")),
	}}}, nil
}

func (telling) Stream(context.Context, *holysheep.ChatRequest) iter.Seq2[holysheep.StreamEvent, error] {
	return nil
}

func (telling) Resolve(req *holysheep.ChatRequest) (*holysheep.ChatRequest, string, error) {
	return req, "telling", nil
}

// A hundred tenants ask the same: no answer crosses. With HOLYSHEEP_LONG=1 they ask a million times.
func TestTenantsAreApart(t *testing.T) {
	total := 20_000
	if os.Getenv("HOLYSHEEP_LONG") != "" {
		total = 1_000_000
	}
	c := cache.Semantic(telling{}, &words{}, cache.NewMemoryNeighbours(nil), nil)
	require.NoError(t, c.Check(t.Context()))
	var hits, crossed atomic.Int64
	var all sync.WaitGroup
	const workers = 8
	for w := range workers {
		all.Go(func() {
			for i := range total / workers {
				tenant := fmt.Sprint("tenant ", (i*workers+w)%100)
				ctx, _ := holysheep.NewScope(t.Context(), holysheep.Tags{"tenant": tenant})
				resp, err := c.Chat(ctx, question([]string{asked, alike, unlike}[i%3]))
				switch {
				case err != nil:
					t.Error(err)
				case !strings.HasSuffix(resp.Text(), "of "+tenant):
					crossed.Add(1)
				case resp.Cached:
					hits.Add(1)
				}
			}
		})
	}
	all.Wait()
	require.Zero(t, crossed.Load())
	require.Greater(t, hits.Load(), int64(total*9/10))
	t.Logf("%d questions, %d hits, %d crossed", total, hits.Load(), crossed.Load())
}
