package redisstore_test

import (
	"context"
	"fmt"
	"sync/atomic"
	"testing"
	"time"

	"github.com/redis/go-redis/v9"
	"github.com/stretchr/testify/require"

	"github.com/holysheep-ai/holysheep-go"
	"github.com/holysheep-ai/holysheep-go/cache"
	"github.com/holysheep-ai/holysheep-go/cache/cachetest"
	"github.com/holysheep-ai/holysheep-go/store/redisstore"
)

var (
	_ cache.BatchStore = (*redisstore.Cache)(nil)
	_ cache.Clearer    = (*redisstore.Cache)(nil)
)

func newCache(tb testing.TB, rdb redis.UniversalClient) *redisstore.Cache {
	tb.Helper()
	prefix := fmt.Sprintf("test[*]-%d:", time.Now().UnixNano())
	c, err := redisstore.NewCache(rdb, &redisstore.CacheOptions{Prefix: prefix})
	require.NoError(tb, err)
	tb.Cleanup(func() { _ = c.Clear(context.Background(), "cachetest:") })
	return c
}

func TestCache(t *testing.T) {
	rdb := connect(t, false)
	cachetest.Run(t, func(t *testing.T) cache.Store { t.Helper(); return newCache(t, rdb) })
}

func TestCacheInACluster(t *testing.T) {
	rdb := connect(t, true)
	cachetest.Run(t, func(t *testing.T) cache.Store { t.Helper(); return newCache(t, rdb) })
}

func TestBadCaches(t *testing.T) {
	rdb := redis.NewClient(&redis.Options{Addr: "127.0.0.1:1"})
	defer func() { _ = rdb.Close() }()
	_, err := redisstore.NewCache(rdb, nil)
	require.ErrorIs(t, err, holysheep.ErrBadRequest)
	require.ErrorContains(t, err, "ContextTimeoutEnabled")
}

// trips is a hook that counts round trips.
type trips struct{ n *atomic.Int64 }

func (trips) DialHook(next redis.DialHook) redis.DialHook { return next }

func (h trips) ProcessHook(next redis.ProcessHook) redis.ProcessHook {
	return func(ctx context.Context, cmd redis.Cmder) error { h.n.Add(1); return next(ctx, cmd) }
}

func (h trips) ProcessPipelineHook(next redis.ProcessPipelineHook) redis.ProcessPipelineHook {
	return func(ctx context.Context, cmds []redis.Cmder) error { h.n.Add(1); return next(ctx, cmds) }
}

// Many keys take one round trip, and one to each node of a cluster.
func TestGetManyTakesOneRoundTrip(t *testing.T) {
	for name, most := range map[string]int64{"alone": 1, "cluster": 3} {
		t.Run(name, func(t *testing.T) {
			rdb, n := connect(t, name == "cluster"), new(atomic.Int64)
			switch rdb := rdb.(type) {
			case *redis.Client:
				rdb.AddHook(trips{n})
			case *redis.ClusterClient:
				require.NoError(t, rdb.ForEachMaster(t.Context(), func(_ context.Context, node *redis.Client) error {
					node.AddHook(trips{n})
					return nil
				}))
			}
			c := newCache(t, rdb)
			keys := make([]string, 200)
			for i := range keys {
				keys[i] = fmt.Sprint("cachetest:", i)
				require.NoError(t, c.Set(t.Context(), keys[i], []byte(keys[i]), time.Minute))
			}
			_, err := c.GetMany(t.Context(), keys) // connections are made
			require.NoError(t, err)
			n.Store(0)
			values, err := c.GetMany(t.Context(), keys)
			require.NoError(t, err)
			for i := range keys {
				require.Equal(t, keys[i], string(values[i]))
			}
			require.Equal(t, most, n.Load())
			n.Store(0)
			_, _, err = c.Get(t.Context(), keys[0])
			require.NoError(t, err)
			require.Equal(t, int64(1), n.Load())
		})
	}
}
