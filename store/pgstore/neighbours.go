package pgstore

import (
	"context"
	"errors"
	"fmt"
	"strings"
	"sync/atomic"
	"time"

	"github.com/jackc/pgx/v5"
	"github.com/jackc/pgx/v5/pgxpool"

	"github.com/holysheep-ai/holysheep-go"
	"github.com/holysheep-ai/holysheep-go/cache"
)

// Neighbours are [cache.Neighbours] in PostgreSQL with pgvector, shared by every process that opens them in the same
// schema. [MigrateNeighbours] makes their tables, neighbours_entries and neighbours_books.
//
// What is nearest is found by looking at every vector of a partition, which finds all of them, in 8 ms for 10,000 entries
// of 384 dimensions. An index would be of all partitions at once, and search most of them in vain.
//
// What has expired is no longer given, and deleted by the additions that come later. Time is that of the server. As with
// [Cache], a server that crashes may lose the entries of its last moment; counters are written to disk.
type Neighbours struct {
	pool                *pgxpool.Pool
	schema, table       string
	most                int // entries of a partition
	add, nearest, judge string
	count, read, clear  string
	sweep, shrink       string
	checked             atomic.Bool
	adds                atomic.Int64 // since the last sweep
	swept               atomic.Int64 // the second in which that was
}

// NeighboursOptions are what neighbours can be told. The zero value of each field is its default.
type NeighboursOptions struct {
	// Schema that has the tables, as for [Options]. Default: "public".
	Schema string

	// MaxEntries of a partition. Over it those go that expire first, within seconds. Default, and for a negative one:
	// 50,000, as many as can be looked at in the time that [cache.SemanticOptions] gives a look-up by default.
	MaxEntries int
}

var _ cache.Neighbours = (*Neighbours)(nil)

// NewNeighbours makes them in pool. Nothing is sent yet. opts may be nil.
func NewNeighbours(pool *pgxpool.Pool, opts *NeighboursOptions) *Neighbours {
	most := 50_000
	var where Options
	if opts != nil {
		where.Schema = opts.Schema
		if opts.MaxEntries > 0 {
			most = opts.MaxEntries
		}
	}
	schema := where.schema()
	sql := func(query string) string { return strings.ReplaceAll(query, "{schema}", schema) }
	return &Neighbours{
		pool: pool, schema: schema, table: schema + ".neighbours_entries", most: most,
		add:     sql("SELECT {schema}.neighbours_add($1, $2, $3, $4, $5, $6, $7, $8, $9, $10)"),
		nearest: sql("SELECT * FROM {schema}.neighbours_nearest($1, $2, $3, $4)"),
		judge: sql(`WITH hurry AS MATERIALIZED (SELECT set_config('synchronous_commit', 'off', true))
			UPDATE {schema}.neighbours_entries SET good = good + $3, bad = bad + $4 FROM hurry WHERE partition = $1 AND id = $2`),
		count: sql("SELECT * FROM {schema}.neighbours_count($1, $2, $3)"),
		read:  sql("SELECT counter, n FROM {schema}.neighbours_books WHERE book = $1"),
		clear: sql("DELETE FROM {schema}.neighbours_books WHERE book = $1"),
		sweep: sql(`DELETE FROM {schema}.neighbours_entries WHERE (partition, id) IN (
			SELECT partition, id FROM {schema}.neighbours_entries WHERE until <= now() ORDER BY until LIMIT $1 FOR UPDATE SKIP LOCKED)`),
		shrink: sql(`DELETE FROM {schema}.neighbours_entries WHERE partition = $1 AND id IN (
			SELECT id FROM {schema}.neighbours_entries WHERE partition = $1 AND id = ANY (ARRAY (
				SELECT id FROM {schema}.neighbours_entries WHERE partition = $1 ORDER BY until DESC OFFSET $2 LIMIT $3))
			FOR UPDATE SKIP LOCKED)`),
	}
}

// Add implements [cache.Neighbours].
func (n *Neighbours) Add(ctx context.Context, e cache.Entry) error {
	if err := e.Check(); err != nil {
		return err
	}
	if err := n.begin(ctx); err != nil {
		return err
	}
	var length int
	err := n.pool.QueryRow(
		ctx, n.add, []byte(e.Partition), []byte(e.ID), []byte(e.Namespace), []byte(e.Tenant), asBytes(e.Tags), e.Vector,
		append([]byte{}, e.Meta...), append([]byte{}, e.Answer...), e.Created, time.Until(e.Expires).Seconds(),
	).Scan(&length)
	switch {
	case err != nil:
		return cacheFailed(err)
	case length != len(e.Vector):
		return &holysheep.RequestError{
			Field: "Entry.Vector", Reason: fmt.Sprintf("%d dimensions, and the others of its partition have %d", len(e.Vector), length),
		}
	}
	n.adds.Add(1)
	second, last := time.Now().Unix(), n.swept.Load()
	if second == last || !n.swept.CompareAndSwap(last, second) {
		return nil
	}
	// As in Cache.Set: more than came since the last time, and what this leaves is the next one's.
	most := min(100+2*n.adds.Swap(0), 2000)
	_, _ = n.pool.Exec(ctx, n.sweep, most)
	_, _ = n.pool.Exec(ctx, n.shrink, []byte(e.Partition), n.most, most)
	return nil
}

// Nearest implements [cache.Neighbours].
func (n *Neighbours) Nearest(ctx context.Context, partition string, vector []float32, k, answers int) ([]cache.Neighbour, error) {
	if err := cache.CheckVector(vector); err != nil {
		return nil, err
	}
	if k <= 0 {
		return nil, ctx.Err()
	}
	k = min(k, n.most)
	answers = max(0, min(answers, k))
	if err := n.begin(ctx); err != nil {
		return nil, err
	}
	rows, err := n.pool.Query(ctx, n.nearest, []byte(partition), vector, k, answers)
	if err != nil {
		return nil, cacheFailed(err)
	}
	found, err := pgx.CollectRows(rows, func(row pgx.CollectableRow) (f cache.Neighbour, err error) {
		var id []byte
		err = row.Scan(&id, &f.Similarity, &f.Right, &f.Wrong, &f.Created, &f.Meta, &f.Answer)
		f.ID = string(id)
		return f, err
	})
	if err != nil {
		return nil, cacheFailed(err)
	}
	return found, nil
}

// Judge implements [cache.Neighbours].
func (n *Neighbours) Judge(ctx context.Context, partition, id string, right, wrong int64) error {
	if err := n.begin(ctx); err != nil {
		return err
	}
	if _, err := n.pool.Exec(ctx, n.judge, []byte(partition), []byte(id), right, wrong); err != nil {
		return cacheFailed(err)
	}
	return nil
}

// Count implements [cache.Neighbours].
func (n *Neighbours) Count(ctx context.Context, book string, deltas map[string]int64) (map[string]int64, error) {
	if err := n.begin(ctx); err != nil {
		return nil, err
	}
	query, args := n.read, []any{[]byte(book)}
	if len(deltas) > 0 {
		counters, amounts := make([][]byte, 0, len(deltas)), make([]int64, 0, len(deltas))
		for counter, delta := range deltas {
			counters, amounts = append(counters, []byte(counter)), append(amounts, delta)
		}
		query, args = n.count, append(args, counters, amounts)
	}
	rows, err := n.pool.Query(ctx, query, args...)
	if err != nil {
		return nil, cacheFailed(err)
	}
	all := map[string]int64{}
	var counter []byte
	var value int64
	if _, err := pgx.ForEachRow(rows, []any{&counter, &value}, func() error { all[string(counter)] = value; return nil }); err != nil {
		return nil, cacheFailed(err)
	}
	return all, nil
}

// Delete implements [cache.Neighbours], in one transaction.
func (n *Neighbours) Delete(ctx context.Context, which cache.Which) (int, error) {
	if which == (cache.Which{}) {
		return 0, errors.New("pgstore: Delete: nothing is said of what")
	}
	if err := n.begin(ctx); err != nil {
		return 0, err
	}
	if which.Book != "" {
		if _, err := n.pool.Exec(ctx, n.clear, []byte(which.Book)); err != nil {
			return 0, cacheFailed(err)
		}
		return 0, nil
	}
	var conditions []string
	var args []any
	for _, c := range []struct {
		sql   string
		set   bool
		value any
	}{
		{"partition = $%d", which.Partition != "", []byte(which.Partition)},
		{"id = $%d", which.ID != "", []byte(which.ID)},
		{"namespace = $%d", which.Namespace != "", []byte(which.Namespace)},
		{"tenant = $%d", which.Tenant != "", []byte(which.Tenant)},
		{"tags @> ARRAY[$%d::bytea]", which.Tag != "", []byte(which.Tag)},
		{"created < $%d", !which.Before.IsZero(), which.Before},
	} {
		if c.set {
			args = append(args, c.value)
			conditions = append(conditions, fmt.Sprintf(c.sql, len(args)))
		}
	}
	// In one order, so that two that delete never wait for each other.
	query := fmt.Sprintf(`WITH those AS MATERIALIZED (SELECT partition, id FROM %[1]s WHERE %[2]s ORDER BY partition, id FOR UPDATE),
		gone AS (DELETE FROM %[1]s e USING those t WHERE e.partition = t.partition AND e.id = t.id RETURNING e.until > now() AS there)
		SELECT count(*) FROM gone WHERE there`, n.table, strings.Join(conditions, " AND "))
	gone := 0
	if err := n.pool.QueryRow(ctx, query, args...).Scan(&gone); err != nil {
		return 0, cacheFailed(err)
	}
	return gone, nil
}

// begin checks the tables, once.
func (n *Neighbours) begin(ctx context.Context) error {
	if n.checked.Load() {
		return nil
	}
	if err := neighboursPart.check(ctx, n.pool, n.schema); err != nil {
		return cacheFailed(err)
	}
	n.checked.Store(true)
	return nil
}
