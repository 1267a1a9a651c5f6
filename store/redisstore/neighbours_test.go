package redisstore_test

import (
	"bufio"
	"context"
	"crypto/sha256"
	"encoding/hex"
	"errors"
	"fmt"
	"io"
	"math"
	"net"
	"strings"
	"sync"
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

func newNeighbours(tb testing.TB, rdb redis.UniversalClient, opts redisstore.NeighboursOptions) *redisstore.Neighbours {
	tb.Helper()
	if opts.Prefix == "" {
		opts.Prefix = fmt.Sprintf("test[*]-nbr-%d:", time.Now().UnixNano())
	}
	n, err := redisstore.NewNeighbours(rdb, &opts)
	require.NoError(tb, err)
	keys, err := redisstore.NewCache(rdb, &redisstore.CacheOptions{Prefix: opts.Prefix})
	require.NoError(tb, err)
	tb.Cleanup(func() { _ = keys.Clear(context.Background(), "{") })
	return n
}

func TestNeighbours(t *testing.T) {
	for _, exact := range []bool{false, true} {
		t.Run(map[bool]string{false: "graph", true: "exact"}[exact], func(t *testing.T) {
			rdb := connect(t, false)
			cachetest.RunNeighbours(t, func(t *testing.T) cache.Neighbours {
				t.Helper()
				return newNeighbours(t, rdb, redisstore.NeighboursOptions{Exact: exact})
			})
		})
	}
}

func TestNeighboursInACluster(t *testing.T) {
	rdb := connect(t, true)
	cachetest.RunNeighbours(t, func(t *testing.T) cache.Neighbours {
		t.Helper()
		return newNeighbours(t, rdb, redisstore.NeighboursOptions{})
	})
}

// unit makes v one of length 1.
func unit(v []float32) {
	sum := 0.0
	for _, x := range v {
		sum += float64(x) * float64(x)
	}
	for i := range v {
		v[i] /= float32(math.Sqrt(sum))
	}
}

// entry is one of the partition "p" that lives for an hour.
func entry(id string, v ...float32) cache.Entry {
	unit(v)
	now := time.Now().Truncate(time.Millisecond)
	return cache.Entry{
		Partition: "p", ID: id, Vector: v, Meta: []byte("meta"), Answer: []byte("answer of " + id), Created: now, Expires: now.Add(time.Hour),
	}
}

func nearest(t *testing.T, n cache.Neighbours, k int, v ...float32) (ids []string) {
	t.Helper()
	found, err := n.Nearest(t.Context(), "p", v, k, k)
	require.NoError(t, err)
	for _, f := range found {
		ids = append(ids, f.ID)
	}
	return ids
}

// keyOf is a key of a partition, as documented.
func keyOf(prefix, partition, what string) string {
	sum := sha256.Sum256([]byte(partition))
	return prefix + "{" + hex.EncodeToString(sum[:16]) + "}:" + what
}

// What one process stored another one finds, and both count in one book.
func TestNeighboursAreShared(t *testing.T) {
	for _, cluster := range []bool{false, true} {
		prefix := fmt.Sprintf("test-nbr-%d:", time.Now().UnixNano())
		opts := redisstore.NeighboursOptions{Prefix: prefix}
		first := newNeighbours(t, connect(t, cluster), opts)
		require.NoError(t, first.Add(t.Context(), entry("a", 1, 0)))
		require.NoError(t, first.Judge(t.Context(), "p", "a", 3, 1))
		_, err := first.Count(t.Context(), "book", map[string]int64{"n": 2})
		require.NoError(t, err)

		second := newNeighbours(t, connect(t, cluster), opts)
		found, err := second.Nearest(t.Context(), "p", []float32{1, 0}, 1, 1)
		require.NoError(t, err)
		require.Len(t, found, 1)
		require.Equal(t, "answer of a", string(found[0].Answer))
		require.Equal(t, int64(3), found[0].Right)
		book, err := second.Count(t.Context(), "book", map[string]int64{"n": 5})
		require.NoError(t, err)
		require.Equal(t, map[string]int64{"n": 7}, book)
		gone, err := second.Delete(t.Context(), cache.Which{Before: time.Now().Add(time.Minute)})
		require.NoError(t, err)
		require.Equal(t, 1, gone)
		require.Empty(t, nearest(t, first, 1, 1, 0))
	}
}

// Many that expire in a partition that goes on hide nothing, and leave nothing behind.
func TestNeighboursExpire(t *testing.T) {
	rdb, prefix := connect(t, false), fmt.Sprintf("test-nbr-%d:", time.Now().UnixNano())
	n := newNeighbours(t, rdb, redisstore.NeighboursOptions{Prefix: prefix})
	for i := range 50 {
		e := entry(fmt.Sprint(i), 1, float32(i)/1000)
		e.Expires = time.Now().Add(time.Second)
		require.NoError(t, n.Add(t.Context(), e))
	}
	require.NoError(t, n.Add(t.Context(), entry("lasts", 0, 1)))
	require.Len(t, nearest(t, n, 4, 1, 0), 4)
	time.Sleep(1100 * time.Millisecond)
	require.Equal(t, []string{"lasts"}, nearest(t, n, 4, 1, 0))
	for _, what := range []string{"vectors", "entries", "until"} {
		left, err := rdb.PTTL(t.Context(), keyOf(prefix, "p", what)).Result()
		require.NoError(t, err)
		require.Greater(t, left, 59*time.Minute, what)
	}
	require.Equal(t, int64(1), rdb.VCard(t.Context(), keyOf(prefix, "p", "vectors")).Val())
	require.Equal(t, int64(2), rdb.HLen(t.Context(), keyOf(prefix, "p", "entries")).Val(), "head and answer")

	past := entry("lasts", 0, 1)
	past.Expires = time.Now().Add(-time.Second)
	require.NoError(t, n.Add(t.Context(), past))
	require.Zero(t, rdb.Exists(t.Context(), keyOf(prefix, "p", "vectors"), keyOf(prefix, "p", "entries"), keyOf(prefix, "p", "until")).Val())
}

func TestNeighboursAreBounded(t *testing.T) {
	n := newNeighbours(t, connect(t, false), redisstore.NeighboursOptions{MaxEntries: 5})
	for i := range 20 {
		e := entry(fmt.Sprint(i), 1, float32(i))
		e.Expires = e.Expires.Add(time.Duration(i) * time.Second)
		require.NoError(t, n.Add(t.Context(), e))
	}
	require.Equal(t, []string{"15", "16", "17", "18", "19"}, nearest(t, n, 9, 1, 0))
}

// Whatever is lost, cut off or somebody else's is a miss, and the partition can be used again.
func TestNeighboursSpoiled(t *testing.T) {
	rdb := connect(t, false)
	ctx := t.Context()
	for name, spoil := range map[string]func(key func(string) string){
		"the vectors are gone": func(key func(string) string) { rdb.Del(ctx, key("vectors")) },
		"the entries are gone": func(key func(string) string) { rdb.Del(ctx, key("entries")) },
		"the times are gone":   func(key func(string) string) { rdb.Del(ctx, key("until")) },
		"the head is cut off": func(key func(string) string) {
			rdb.HSet(ctx, key("entries"), "ha", rdb.HGet(ctx, key("entries"), "ha").Val()[:18])
		},
		"the head is rubbish":        func(key func(string) string) { rdb.HSet(ctx, key("entries"), "ha", "\xff") },
		"the head is gone":           func(key func(string) string) { rdb.HDel(ctx, key("entries"), "ha") },
		"the verdicts are no number": func(key func(string) string) { rdb.HSet(ctx, key("entries"), "ra", "many") },
		"the entries are a string":   func(key func(string) string) { rdb.Set(ctx, key("entries"), "x", 0) },
		"a foreign vector": func(key func(string) string) {
			rdb.Del(ctx, key("vectors"))
			rdb.Do(ctx, "VADD", key("vectors"), "VALUES", 2, 1, 0, "x", "NOQUANT")
		},
	} {
		t.Run(name, func(t *testing.T) {
			prefix := fmt.Sprintf("test-nbr-%d:", time.Now().UnixNano())
			n := newNeighbours(t, rdb, redisstore.NeighboursOptions{Prefix: prefix})
			require.NoError(t, n.Add(ctx, entry("a", 1, 0)))
			require.Equal(t, []string{"a"}, nearest(t, n, 1, 1, 0))
			key := func(what string) string { return keyOf(prefix, "p", what) }
			spoil(key)
			require.Empty(t, nearest(t, n, 1, 1, 0))
			require.Empty(t, nearest(t, n, 1, 1, 0))
			if _, err := n.Delete(ctx, cache.Which{Tenant: "t"}); name != "the entries are a string" {
				require.NoError(t, err)
				require.NoError(t, n.Add(ctx, entry("a", 1, 0)))
				require.Equal(t, []string{"a"}, nearest(t, n, 9, 1, 0))
				require.Equal(t, int64(1), rdb.VCard(ctx, key("vectors")).Val())
			}
		})
	}
	prefix := fmt.Sprintf("test-nbr-%d:", time.Now().UnixNano())
	n := newNeighbours(t, rdb, redisstore.NeighboursOptions{Prefix: prefix})
	require.NoError(t, rdb.Set(ctx, keyOf(prefix, "p", "vectors"), "x", time.Minute).Err())
	require.Empty(t, nearest(t, n, 1, 1, 0))
	require.NoError(t, rdb.HSet(ctx, keyOf(prefix, "b", "book"), "n", "many").Err())
	book, err := n.Count(ctx, "b", map[string]int64{"m": 1})
	require.NoError(t, err)
	require.Equal(t, map[string]int64{"m": 1}, book)
}

// A look-up is two round trips, and an addition one.
func TestNeighboursTakeFewRoundTrips(t *testing.T) {
	rdb, count := connect(t, false), new(atomic.Int64)
	rdb.AddHook(trips{count})
	n := newNeighbours(t, rdb, redisstore.NeighboursOptions{})
	require.NoError(t, n.Add(t.Context(), entry("a", 1, 0))) // Redis knows the scripts
	require.Len(t, nearest(t, n, 4, 1, 0), 1)
	count.Store(0)
	require.NoError(t, n.Add(t.Context(), entry("b", 1, 0)))
	require.Equal(t, int64(1), count.Swap(0))
	require.Len(t, nearest(t, n, 4, 1, 0), 2)
	require.Equal(t, int64(2), count.Load())
}

// resend is a hook that sends everything twice, as go-redis does when an answer is late.
type resend struct{}

func (resend) DialHook(next redis.DialHook) redis.DialHook { return next }

func (resend) ProcessPipelineHook(next redis.ProcessPipelineHook) redis.ProcessPipelineHook {
	return next
}

func (resend) ProcessHook(next redis.ProcessHook) redis.ProcessHook {
	return func(ctx context.Context, cmd redis.Cmder) error { _ = next(ctx, cmd); return next(ctx, cmd) }
}

func TestNeighboursCountOnce(t *testing.T) {
	rdb := connect(t, false)
	rdb.AddHook(resend{})
	n := newNeighbours(t, rdb, redisstore.NeighboursOptions{})
	require.NoError(t, n.Add(t.Context(), entry("a", 1, 0)))
	for range 2 {
		require.NoError(t, n.Judge(t.Context(), "p", "a", 1, 2))
		_, err := n.Count(t.Context(), "book", map[string]int64{"n": 3})
		require.NoError(t, err)
	}
	found, err := n.Nearest(t.Context(), "p", []float32{1, 0}, 1, 1)
	require.NoError(t, err)
	require.Equal(t, []int64{2, 4}, []int64{found[0].Right, found[0].Wrong})
	book, err := n.Count(t.Context(), "book", nil)
	require.NoError(t, err)
	require.Equal(t, map[string]int64{"n": 6}, book)
}

func TestBadNeighbours(t *testing.T) {
	rdb := redis.NewClient(&redis.Options{Addr: "127.0.0.1:1", ContextTimeoutEnabled: true, MaxRetries: -1})
	defer func() { _ = rdb.Close() }()
	for field, opts := range map[string]*redisstore.NeighboursOptions{
		"NeighboursOptions.Prefix": {Prefix: "{a}"}, "NeighboursOptions.MaxEntries": {MaxEntries: -1},
	} {
		_, err := redisstore.NewNeighbours(rdb, opts)
		bad, ok := errors.AsType[*holysheep.RequestError](err)
		require.True(t, ok)
		require.Equal(t, field, bad.Field)
	}
	late := redis.NewClient(&redis.Options{Addr: "127.0.0.1:1"})
	defer func() { _ = late.Close() }()
	_, err := redisstore.NewNeighbours(late, nil)
	require.ErrorContains(t, err, "ContextTimeoutEnabled")
}

// A Redis before 8 is told apart from one that is down.
func TestNeighboursNeedRedis8(t *testing.T) {
	listener, err := net.Listen("tcp", "127.0.0.1:0")
	require.NoError(t, err)
	var serving sync.WaitGroup
	defer serving.Wait()
	defer func() { _ = listener.Close() }()
	serving.Go(func() {
		for {
			conn, err := listener.Accept()
			if err != nil {
				return
			}
			serving.Go(func() {
				lines := bufio.NewScanner(conn)
				for lines.Scan() {
					if strings.HasPrefix(lines.Text(), "*") { // begins a command
						_, _ = io.WriteString(conn, "-ERR unknown command\r\n")
					}
				}
			})
		}
	})
	rdb := redis.NewClient(&redis.Options{Addr: listener.Addr().String(), ContextTimeoutEnabled: true, MaxRetries: -1})
	defer func() { _ = rdb.Close() }()
	n, err := redisstore.NewNeighbours(rdb, nil)
	require.NoError(t, err)
	_, err = n.Nearest(t.Context(), "p", []float32{1}, 1, 1)
	require.ErrorContains(t, err, "neighbours need Redis 8")
}
