package pgstore_test

import (
	"context"
	"fmt"
	"testing"
	"time"

	"github.com/jackc/pgx/v5/pgxpool"
	"github.com/stretchr/testify/require"

	"github.com/holysheep-ai/holysheep-go/cache"
	"github.com/holysheep-ai/holysheep-go/cache/cachetest"
	"github.com/holysheep-ai/holysheep-go/store/pgstore"
)

var (
	_ cache.BatchStore = (*pgstore.Cache)(nil)
	_ cache.Clearer    = (*pgstore.Cache)(nil)
)

func newCache(tb testing.TB, pool *pgxpool.Pool) (*pgstore.Cache, *pgstore.Options) {
	tb.Helper()
	o := schema(tb, pool)
	require.NoError(tb, pgstore.Migrate(context.Background(), pool, o))
	return pgstore.NewCache(pool, o), o
}

func TestCache(t *testing.T) {
	pool := connect(t)
	cachetest.Run(t, func(t *testing.T) cache.Store {
		t.Helper()
		c, _ := newCache(t, pool)
		return c
	})
}

func TestCacheNeedsItsTables(t *testing.T) {
	pool := connect(t)
	o := schema(t, pool)
	_, _, err := pgstore.NewCache(pool, o).Get(t.Context(), "a")
	require.ErrorContains(t, err, "call Migrate")
	require.NoError(t, pgstore.Migrate(t.Context(), pool, o))
	c := pgstore.NewCache(pool, o)
	require.NoError(t, c.Set(t.Context(), "a", nil, time.Hour))
	_, err = pool.Exec(t.Context(), `UPDATE "`+o.Schema+`".cache_version SET version = 9`)
	require.NoError(t, err)
	require.ErrorContains(t, pgstore.Migrate(t.Context(), pool, o), "version 9")
	_, _, err = pgstore.NewCache(pool, o).Get(t.Context(), "a")
	require.ErrorContains(t, err, "version 9")
}

// What is over is deleted by the sets that come later, a bounded part of it at a time.
func TestCacheSweeps(t *testing.T) {
	pool := connect(t)
	c, o := newCache(t, pool)
	ctx := t.Context()
	require.NoError(t, c.Set(ctx, "a", nil, time.Hour)) // sweeps
	table := `"` + o.Schema + `".cache_entries`
	_, err := pool.Exec(ctx, "INSERT INTO "+table+" SELECT convert_to('over/' || i, 'UTF8'), '', now() - interval '1 hour' FROM generate_series(1, 250) i")
	require.NoError(t, err)
	left := func() (n int) {
		require.NoError(t, pool.QueryRow(ctx, "SELECT count(*) FROM "+table+" WHERE until < now()").Scan(&n))
		return n
	}
	require.Equal(t, 250, left())
	seen := []int{}
	for i := range 200 {
		require.NoError(t, c.Set(ctx, fmt.Sprint("b", i%10), nil, time.Hour))
		if n := left(); len(seen) == 0 || n != seen[len(seen)-1] {
			seen = append(seen, n)
		}
		if left() == 0 {
			break
		}
		time.Sleep(20 * time.Millisecond)
	}
	require.Zero(t, left())
	require.GreaterOrEqual(t, len(seen), 2, "one set had all the work: %v", seen)
}
