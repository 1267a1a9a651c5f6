package cache_test

import (
	"fmt"
	"math/rand/v2"
	"testing"
	"testing/synctest"
	"time"

	"github.com/stretchr/testify/require"

	"github.com/holysheep-ai/holysheep-go/cache"
	"github.com/holysheep-ai/holysheep-go/cache/cachetest"
)

func TestMemoryNeighbours(t *testing.T) {
	cachetest.RunNeighbours(t, func(*testing.T) cache.Neighbours { return cache.NewMemoryNeighbours(nil) })
}

func unitVector(rng *rand.Rand, dimensions int) []float32 {
	v := make([]float32, dimensions)
	for i := range v {
		v[i] = float32(rng.NormFloat64())
	}
	cache.Normalize(v)
	return v
}

func entry(partition, id string, v []float32) cache.Entry {
	return cache.Entry{Partition: partition, ID: id, Vector: v, Answer: []byte(id), Created: time.Now(), Expires: time.Now().Add(time.Hour)}
}

func found(t *testing.T, n cache.Neighbours, partition string, v []float32) (ids []string) {
	t.Helper()
	all, err := n.Nearest(t.Context(), partition, v, 1000, 0)
	require.NoError(t, err)
	for _, f := range all {
		ids = append(ids, f.ID)
	}
	return ids
}

// The oldest go first, unless they were of use.
func TestMemoryNeighboursEvict(t *testing.T) {
	m := cache.NewMemoryNeighbours(&cache.MemoryNeighboursOptions{MaxEntries: 3})
	axis := func(i int) []float32 { v := make([]float32, 8); v[i] = 1; return v }
	for i := range 3 {
		require.NoError(t, m.Add(t.Context(), entry(fmt.Sprint("p", i%2), fmt.Sprint(i), axis(i))))
	}
	_, err := m.Nearest(t.Context(), "p0", axis(0), 1, 1) // 0 is of use
	require.NoError(t, err)
	require.NoError(t, m.Add(t.Context(), entry("p0", "3", axis(3))))
	require.Equal(t, []string{"0", "2", "3"}, found(t, m, "p0", axis(0)))
	require.Empty(t, found(t, m, "p1", axis(0)), "the oldest that nobody asked for is gone, with its partition")
	require.Equal(t, 3, m.Len())
}

func TestMemoryNeighboursBytes(t *testing.T) {
	m := cache.NewMemoryNeighbours(&cache.MemoryNeighboursOptions{MaxBytes: 100_000})
	rng := rand.New(rand.NewPCG(1, 1))
	for i := range 100 {
		e := entry("p", fmt.Sprint(i), unitVector(rng, 16))
		e.Answer = make([]byte, 10_000)
		require.NoError(t, m.Add(t.Context(), e))
	}
	require.Equal(t, 9, m.Len())
	big := entry("p", "big", unitVector(rng, 16))
	big.Answer = make([]byte, 100_000)
	require.Error(t, m.Add(t.Context(), big))
	require.Equal(t, 9, m.Len())
}

// What has expired makes room before anything that has not.
func TestMemoryNeighboursExpire(t *testing.T) {
	synctest.Test(t, func(t *testing.T) {
		m := cache.NewMemoryNeighbours(nil)
		rng := rand.New(rand.NewPCG(1, 1))
		for i := range 10 {
			require.NoError(t, m.Add(t.Context(), entry("p", fmt.Sprint(i), unitVector(rng, 16))))
		}
		time.Sleep(time.Hour)
		require.Empty(t, found(t, m, "p", unitVector(rng, 16)))
		require.NoError(t, m.Add(t.Context(), entry("p", "new", unitVector(rng, 16))))
		require.Equal(t, 1, m.Len())
	})
}

// A partition so large that its blocks are shared out finds the same as one that is looked at by one goroutine.
func TestMemoryNeighboursLarge(t *testing.T) {
	m := cache.NewMemoryNeighbours(nil)
	rng := rand.New(rand.NewPCG(1, 1))
	const n = 20_000
	vectors := make([][]float32, n)
	for i := range n {
		vectors[i] = unitVector(rng, 8)
		require.NoError(t, m.Add(t.Context(), entry("p", fmt.Sprint(i), vectors[i])))
	}
	for i := 0; i < n; i += 3 { // holes are filled
		gone, err := m.Delete(t.Context(), cache.Which{Partition: "p", ID: fmt.Sprint(i)})
		require.NoError(t, err)
		require.Equal(t, 1, gone)
	}
	for range 20 {
		q := unitVector(rng, 8)
		best, cosine := -1, float32(-2)
		for i, v := range vectors {
			var dot float32
			for d := range v {
				dot += v[d] * q[d]
			}
			if i%3 != 0 && dot > cosine {
				best, cosine = i, dot
			}
		}
		require.Equal(t, fmt.Sprint(best), found(t, m, "p", q)[0])
	}
}

func BenchmarkMemoryNeighbours(b *testing.B) {
	for _, n := range []int{10_000, 100_000} {
		b.Run(fmt.Sprint(n), func(b *testing.B) {
			m := cache.NewMemoryNeighbours(nil)
			rng := rand.New(rand.NewPCG(1, 1))
			for i := range n {
				require.NoError(b, m.Add(b.Context(), entry("p", fmt.Sprint(i), unitVector(rng, 384))))
			}
			q := unitVector(rng, 384)
			for b.Loop() {
				_, _ = m.Nearest(b.Context(), "p", q, 16, 4)
			}
		})
	}
}
