package cache_test

import (
	"context"
	"fmt"
	"runtime"
	"testing"
	"testing/synctest"
	"time"

	"github.com/stretchr/testify/require"

	"github.com/holysheep-ai/holysheep-go"
	"github.com/holysheep-ai/holysheep-go/cache"
)

func newMemory(t *testing.T, o *cache.MemoryOptions) *cache.Memory {
	t.Helper()
	m := cache.NewMemory(o)
	t.Cleanup(func() { _ = m.Close() })
	return m
}

// kept counts the keys k0 to kn that m has.
func kept(t *testing.T, m *cache.Memory, n int) (found int) {
	t.Helper()
	for i := range n {
		if _, ok, err := m.Get(t.Context(), fmt.Sprint("k", i)); err != nil {
			t.Fatal(err)
		} else if ok {
			found++
		}
	}
	return found
}

// However much comes, it stays within its bytes, and keeps what is used.
func TestMemoryIsBounded(t *testing.T) {
	m := newMemory(t, &cache.MemoryOptions{MaxBytes: 1 << 20})
	ctx := t.Context()
	const n, size = 5000, 4 << 10
	for i := range n {
		require.NoError(t, m.Set(ctx, fmt.Sprint("k", i), make([]byte, size), time.Hour))
		if i >= 10 {
			for j := range 10 { // the first ten are asked for all the time
				_, _, _ = m.Get(ctx, fmt.Sprint("k", j))
			}
		}
	}
	found := kept(t, m, n)
	require.LessOrEqual(t, found*size, 1<<20)
	require.Greater(t, found*size, 1<<19, "it is used, too")
	require.Equal(t, 10, kept(t, m, 10))
	require.NoError(t, m.Set(ctx, "too large", make([]byte, 2<<20), time.Hour))
	_, ok, err := m.Get(ctx, "too large")
	require.NoError(t, err)
	require.False(t, ok)
}

// What MaxBytes says is what the process takes, within a fifth.
func TestMemoryTakesWhatItSays(t *testing.T) {
	var before, after runtime.MemStats
	runtime.GC()
	runtime.ReadMemStats(&before)
	const limit = 8 << 20
	m := newMemory(t, &cache.MemoryOptions{MaxBytes: limit})
	for i := range 100_000 {
		require.NoError(t, m.Set(t.Context(), fmt.Sprintf("rag:emb:%064d", i), make([]byte, 64), time.Hour))
	}
	runtime.GC()
	runtime.ReadMemStats(&after)
	took := float64(after.HeapAlloc - before.HeapAlloc)
	t.Logf("%.1f MiB of %d MiB", took/(1<<20), limit>>20)
	require.InDelta(t, limit, took, limit/5)
	runtime.KeepAlive(m)
}

// In virtual time a day passes at once; after Close nothing runs, or the bubble would not end.
func TestMemoryInVirtualTime(t *testing.T) {
	synctest.Test(t, func(t *testing.T) {
		m := cache.NewMemory(nil)
		ctx := t.Context()
		require.NoError(t, m.Set(ctx, "a", []byte("1"), 24*time.Hour))
		require.NoError(t, m.Set(ctx, "b", []byte("1"), 24*time.Hour+1))
		time.Sleep(24 * time.Hour)
		_, ok, err := m.Get(ctx, "a")
		require.NoError(t, err)
		require.False(t, ok)
		_, ok, err = m.Get(ctx, "b")
		require.NoError(t, err)
		require.True(t, ok)
		require.NoError(t, m.Close())
		require.NoError(t, m.Close())
		_, _, err = m.Get(ctx, "b")
		require.ErrorIs(t, err, holysheep.ErrClosed)
		for _, err := range []error{m.Set(ctx, "a", nil, 1), m.Delete(ctx, "a"), m.Clear(ctx, "a")} {
			require.ErrorIs(t, err, holysheep.ErrClosed)
		}
	})
}

func TestMemoryNeedsAPrefix(t *testing.T) {
	m := newMemory(t, nil)
	require.NoError(t, m.Set(t.Context(), "a", nil, time.Hour))
	require.Error(t, m.Clear(t.Context(), ""))
	_, ok, _ := m.Get(t.Context(), "a")
	require.True(t, ok)
	ctx, cancel := context.WithCancel(t.Context())
	cancel()
	require.ErrorIs(t, m.Clear(ctx, "a"), context.Canceled)
}
