package pgstore

import (
	"bytes"
	"context"
	"errors"
	"fmt"
	"strings"
	"sync/atomic"
	"time"

	"github.com/jackc/pgx/v5"
	"github.com/jackc/pgx/v5/pgconn"
	"github.com/jackc/pgx/v5/pgxpool"
)

// Cache is a [github.com/holysheep-ai/holysheep-go/cache.Store] in PostgreSQL, shared by every process that opens it in
// the same schema. It answers for many keys in one round trip, and clears by prefix. Keys are at most 2,600 bytes long.
//
// What is over is no longer given, and deleted by the sets that come later. Time is that of the server. A server that
// crashes may lose the values of its last moment, because nobody waits for the disk.
type Cache struct {
	pool                                 *pgxpool.Pool
	get, getMany, set, sweep, del, erase string
	schema                               string
	checked                              atomic.Bool
	sets                                 atomic.Int64 // since the last sweep
	swept                                atomic.Int64 // the second in which that was
}

// NewCache makes the store in pool. Nothing is sent yet. opts may be nil.
func NewCache(pool *pgxpool.Pool, opts *Options) *Cache {
	schema := opts.schema()
	sql := func(query string) string { return strings.ReplaceAll(query, "{entries}", schema+".cache_entries") }
	return &Cache{
		pool: pool, schema: schema,
		get:     sql("SELECT value FROM {entries} WHERE key = $1 AND until > now()"),
		getMany: sql("SELECT key, value FROM {entries} WHERE key = ANY ($1) AND until > now()"),
		set: sql(`WITH hurry AS MATERIALIZED (SELECT set_config('synchronous_commit', 'off', true))
			INSERT INTO {entries} SELECT $1, $2, now() + make_interval(secs => $3) FROM hurry
			ON CONFLICT (key) DO UPDATE SET value = excluded.value, until = excluded.until`),
		sweep: sql(`DELETE FROM {entries} WHERE key IN (
			SELECT key FROM {entries} WHERE until <= now() ORDER BY until LIMIT $1 FOR UPDATE SKIP LOCKED)`),
		del: sql("DELETE FROM {entries} WHERE key = ANY ($1)"),
		erase: sql(`DELETE FROM {entries} WHERE key IN (
			SELECT key FROM {entries} WHERE key >= $1 AND ($2::bytea IS NULL OR key < $2) LIMIT 1000)`),
	}
}

// Get implements cache.Store.
func (c *Cache) Get(ctx context.Context, key string) (value []byte, ok bool, err error) {
	if err := c.begin(ctx); err != nil {
		return nil, false, err
	}
	err = c.pool.QueryRow(ctx, c.get, []byte(key)).Scan(&value)
	switch {
	case errors.Is(err, pgx.ErrNoRows):
		return nil, false, nil
	case err != nil:
		return nil, false, cacheFailed(err)
	}
	return value, true, nil
}

// GetMany implements cache.BatchStore.
func (c *Cache) GetMany(ctx context.Context, keys []string) ([][]byte, error) {
	if len(keys) == 0 {
		return nil, nil
	}
	if err := c.begin(ctx); err != nil {
		return nil, err
	}
	found := make(map[string][]byte, len(keys))
	rows, err := c.pool.Query(ctx, c.getMany, asBytes(keys))
	if err != nil {
		return nil, cacheFailed(err)
	}
	var key, value []byte
	_, err = pgx.ForEachRow(rows, []any{&key, &value}, func() error {
		found[string(key)] = value
		value = nil // the next row gets memory of its own
		return nil
	})
	if err != nil {
		return nil, cacheFailed(err)
	}
	values := make([][]byte, len(keys))
	for i, key := range keys {
		values[i] = found[key]
	}
	return values, nil
}

// Set implements cache.Store.
func (c *Cache) Set(ctx context.Context, key string, value []byte, ttl time.Duration) error {
	if err := c.begin(ctx); err != nil {
		return err
	}
	if value == nil {
		value = []byte{} // nil would be NULL
	}
	if _, err := c.pool.Exec(ctx, c.set, []byte(key), value, ttl.Seconds()); err != nil {
		return cacheFailed(err)
	}
	c.sets.Add(1)
	second, last := time.Now().Unix(), c.swept.Load()
	if second == last || !c.swept.CompareAndSwap(last, second) {
		return nil
	}
	// More than came since the last time, so that what is over does not pile up, and so few that nobody waits for it.
	// What this leaves is the next one's.
	_, _ = c.pool.Exec(ctx, c.sweep, min(100+2*c.sets.Swap(0), 2000))
	return nil
}

// Delete implements cache.Store.
func (c *Cache) Delete(ctx context.Context, keys ...string) error {
	if err := c.begin(ctx); err != nil {
		return err
	}
	if _, err := c.pool.Exec(ctx, c.del, asBytes(keys)); err != nil {
		return cacheFailed(err)
	}
	return nil
}

// Clear implements cache.Clearer, a thousand entries a transaction.
func (c *Cache) Clear(ctx context.Context, prefix string) error {
	if prefix == "" {
		return errors.New("pgstore: Clear: an empty prefix would clear everything")
	}
	if err := c.begin(ctx); err != nil {
		return err
	}
	for {
		tag, err := c.pool.Exec(ctx, c.erase, []byte(prefix), after(prefix))
		if err != nil {
			return cacheFailed(err)
		}
		if tag.RowsAffected() == 0 {
			return nil
		}
	}
}

// after is the first key past those that begin with prefix; nil when there is none.
func after(prefix string) []byte {
	end := bytes.TrimRight([]byte(prefix), "\xff")
	if len(end) == 0 {
		return nil
	}
	end[len(end)-1]++
	return end
}

func asBytes(keys []string) [][]byte {
	raw := make([][]byte, len(keys))
	for i, key := range keys {
		raw[i] = []byte(key)
	}
	return raw
}

// begin checks the tables, once.
func (c *Cache) begin(ctx context.Context) error {
	if c.checked.Load() {
		return nil
	}
	if err := cachePart.check(ctx, c.pool, c.schema); err != nil {
		return cacheFailed(err)
	}
	c.checked.Store(true)
	return nil
}

func cacheFailed(err error) error {
	if e, ok := errors.AsType[*pgconn.PgError](err); ok && e.Code == "42P01" { // undefined_table
		return fmt.Errorf("pgstore: the tables are gone: %w", err)
	}
	return fmt.Errorf("pgstore: %w", err)
}
