package cache_test

import (
	"testing"
	"testing/synctest"
	"time"

	"github.com/stretchr/testify/require"

	"github.com/holysheep-ai/holysheep-go"
	"github.com/holysheep-ai/holysheep-go/cache"
	"github.com/holysheep-ai/holysheep-go/holysheeptest"
)

func TestOnlyCached(t *testing.T) {
	synctest.Test(t, func(t *testing.T) {
		gw, similar, _ := answering(t, &cache.SemanticOptions{TTL: 24 * time.Hour})
		store := cache.NewMemory(nil)
		both := cache.Exact(similar, store, &cache.ExactOptions{TTL: time.Hour, Stale: time.Hour})
		defer func() {
			require.NoError(t, both.Close())
			require.NoError(t, store.Close())
		}()
		only := cache.Only(t.Context())
		gw.Reply(holysheeptest.Text(theAnswer))
		_, err := both.Chat(t.Context(), question(asked))
		require.NoError(t, err)

		for _, q := range []string{asked, alike} {
			resp, err := both.Chat(only, question(q))
			require.NoError(t, err)
			require.True(t, resp.Cached)
			resp, err = holysheep.Collect(both.Stream(only, question(q)))
			require.NoError(t, err)
			require.Equal(t, theAnswer, resp.Text())
		}
		several := question(asked)
		several.N = new(2) // which the semantic cache passes on
		for _, req := range []*holysheep.ChatRequest{question(unlike), several} {
			_, err = both.Chat(only, req)
			require.ErrorIs(t, err, cache.ErrNotCached)
			_, err = holysheep.Collect(both.Stream(only, req))
			require.ErrorIs(t, err, cache.ErrNotCached)
		}

		time.Sleep(90 * time.Minute) // past its time
		resp, err := both.Chat(only, question(asked))
		require.NoError(t, err)
		require.True(t, resp.Steps[0].Detail.(*cache.Receipt).Stale)
		synctest.Wait()
		require.Equal(t, 1, gw.Count(), "nothing is fetched anew")
		time.Sleep(time.Hour)
		_, err = both.Chat(only, question("Something else, and long ago."))
		require.ErrorIs(t, err, cache.ErrNotCached)
		require.Equal(t, 1, gw.Count())
	})
}

// A request that is none of the exact cache's has no other place to come from.
func TestOnlyCachedPassesNothingOn(t *testing.T) {
	gw, e, _ := exact(t, &cache.ExactOptions{MaxTemperature: new(0.2)}, nil)
	_, err := e.Chat(cache.Only(t.Context()), question("x")) // at 0.7
	require.ErrorIs(t, err, cache.ErrNotCached)
	require.Zero(t, gw.Count())
}
