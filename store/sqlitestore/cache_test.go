package sqlitestore_test

import (
	"context"
	"fmt"
	"path/filepath"
	"sync"
	"testing"
	"time"

	"github.com/stretchr/testify/require"

	"github.com/holysheep-ai/holysheep-go/cache"
	"github.com/holysheep-ai/holysheep-go/cache/cachetest"
	"github.com/holysheep-ai/holysheep-go/store/sqlitestore"
)

var (
	_ cache.BatchStore = (*sqlitestore.Cache)(nil)
	_ cache.Clearer    = (*sqlitestore.Cache)(nil)
)

func openCache(tb testing.TB, path string) *sqlitestore.Cache {
	tb.Helper()
	c, err := sqlitestore.OpenCache(path)
	require.NoError(tb, err)
	tb.Cleanup(func() { _ = c.Close() })
	return c
}

func TestCache(t *testing.T) {
	cachetest.Run(t, func(t *testing.T) cache.Store {
		t.Helper()
		return openCache(t, filepath.Join(t.TempDir(), "a b#c?.cache"))
	})
}

func TestCacheSurvivesARestart(t *testing.T) {
	path := filepath.Join(t.TempDir(), "cache")
	ctx := t.Context()
	c := openCache(t, path)
	require.NoError(t, c.Set(ctx, "a", []byte("1"), time.Hour))
	require.NoError(t, c.Close())
	value, ok, err := openCache(t, path).Get(ctx, "a")
	require.NoError(t, err)
	require.True(t, ok)
	require.Equal(t, "1", string(value))

	_, err = sqlitestore.OpenLedger(path, nil)
	require.ErrorContains(t, err, "something else")
}

// What is over leaves with what comes, so that the file does not grow for ever; and no write has to clean up more than
// a few.
func TestCacheSweeps(t *testing.T) {
	c := openCache(t, filepath.Join(t.TempDir(), "cache"))
	ctx := t.Context()
	for i := range 200 {
		require.NoError(t, c.Set(ctx, fmt.Sprint("short/", i), []byte("1"), 300*time.Millisecond))
	}
	time.Sleep(310 * time.Millisecond)
	left := func() (n int) {
		require.NoError(t, c.QueryRow("SELECT count(*) FROM entries WHERE CAST(key AS TEXT) LIKE 'short/%'", &n))
		return n
	}
	before := left()
	require.Greater(t, before, 20)
	require.NoError(t, c.Set(ctx, "a", []byte("1"), time.Hour))
	require.Equal(t, before-4, left())
	for i := range 50 {
		require.NoError(t, c.Set(ctx, fmt.Sprint("long/", i), []byte("1"), time.Hour))
	}
	require.Zero(t, left())
}

// Several handles on one file, as several processes have them.
func TestCacheIsShared(t *testing.T) {
	path := filepath.Join(t.TempDir(), "cache")
	var caches []*sqlitestore.Cache
	for range 3 {
		caches = append(caches, openCache(t, path))
	}
	var wg sync.WaitGroup
	for i, c := range caches {
		wg.Go(func() {
			for n := range 100 {
				if err := c.Set(context.Background(), fmt.Sprint(i, "/", n), []byte{byte(n)}, time.Hour); err != nil {
					t.Error(err)
					return
				}
			}
		})
	}
	wg.Wait()
	for i := range caches {
		value, ok, err := caches[(i+1)%len(caches)].Get(t.Context(), fmt.Sprint(i, "/99"))
		require.NoError(t, err)
		require.True(t, ok)
		require.Equal(t, []byte{99}, value)
	}
}

func BenchmarkCacheGet(b *testing.B) {
	c := openCache(b, filepath.Join(b.TempDir(), "cache"))
	ctx := b.Context()
	require.NoError(b, c.Set(ctx, "a", make([]byte, 4096), time.Hour))
	for b.Loop() {
		if _, ok, err := c.Get(ctx, "a"); err != nil || !ok {
			b.Fatal(ok, err)
		}
	}
}

func BenchmarkCacheSet(b *testing.B) {
	c := openCache(b, filepath.Join(b.TempDir(), "cache"))
	ctx, value, n := b.Context(), make([]byte, 4096), 0
	for b.Loop() {
		if n++; c.Set(ctx, fmt.Sprint(n%1000), value, time.Hour) != nil {
			b.Fatal("set")
		}
	}
}
