package pgstore_test

import (
	"context"
	"errors"
	"fmt"
	"net"
	"sync"
	"sync/atomic"
	"testing"
	"time"

	"github.com/jackc/pgx/v5/pgxpool"
	"github.com/stretchr/testify/require"

	"github.com/holysheep-ai/holysheep-go"
	"github.com/holysheep-ai/holysheep-go/cache"
	"github.com/holysheep-ai/holysheep-go/cache/cachetest"
	"github.com/holysheep-ai/holysheep-go/holysheeptest"
	"github.com/holysheep-ai/holysheep-go/store/pgstore"
)

func newNeighbours(tb testing.TB, pool *pgxpool.Pool) (*pgstore.Neighbours, *pgstore.Options) {
	tb.Helper()
	o := schema(tb, pool)
	require.NoError(tb, pgstore.MigrateNeighbours(context.Background(), pool, o))
	return open(pool, o), o
}

func open(pool *pgxpool.Pool, o *pgstore.Options) *pgstore.Neighbours {
	return pgstore.NewNeighbours(pool, &pgstore.NeighboursOptions{Schema: o.Schema})
}

func TestNeighbours(t *testing.T) {
	pool := connect(t)
	cachetest.RunNeighbours(t, func(t *testing.T) cache.Neighbours {
		t.Helper()
		n, _ := newNeighbours(t, pool)
		return n
	})
}

// entry is one of the partition "p" that lives for an hour.
func entry(id string, v ...float32) cache.Entry {
	now := time.Now().Truncate(time.Millisecond)
	return cache.Entry{Partition: "p", ID: id, Vector: v, Answer: []byte("answer of " + id), Created: now, Expires: now.Add(time.Hour)}
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

// What one process stored another one finds, and both count in one book.
func TestNeighboursAreShared(t *testing.T) {
	first, o := newNeighbours(t, connect(t))
	require.NoError(t, first.Add(t.Context(), entry("a", 1, 0)))
	require.NoError(t, first.Judge(t.Context(), "p", "a", 3, 1))
	_, err := first.Count(t.Context(), "book", map[string]int64{"n": 2})
	require.NoError(t, err)

	pool := connect(t)
	require.NoError(t, pgstore.MigrateNeighbours(t.Context(), pool, o), "again")
	second := open(pool, o)
	found, err := second.Nearest(t.Context(), "p", []float32{1, 0}, 1, 1)
	require.NoError(t, err)
	require.Len(t, found, 1)
	require.Equal(t, "answer of a", string(found[0].Answer))
	require.Equal(t, int64(3), found[0].Right)
	book, err := second.Count(t.Context(), "book", map[string]int64{"n": 5})
	require.NoError(t, err)
	require.Equal(t, map[string]int64{"n": 7}, book)
}

func TestNeighboursNeedTheirTables(t *testing.T) {
	pool := connect(t)
	o := schema(t, pool)
	require.NoError(t, pgstore.Migrate(t.Context(), pool, o))
	_, err := open(pool, o).Nearest(t.Context(), "p", []float32{1}, 1, 1)
	require.ErrorContains(t, err, "call MigrateNeighbours")
	require.NoError(t, pgstore.MigrateNeighbours(t.Context(), pool, o))
	require.Empty(t, nearest(t, open(pool, o), 1, 1))
	_, err = pool.Exec(t.Context(), `UPDATE "`+o.Schema+`".neighbours_version SET version = 9`)
	require.NoError(t, err)
	require.ErrorContains(t, pgstore.MigrateNeighbours(t.Context(), pool, o), "version 9")
}

// In a database without the extension, whose user may not make it, the error says so; where he may, it is made, and
// several may do that at once.
func TestNeighboursNeedPgvector(t *testing.T) {
	pool := connect(t)
	ctx := context.Background()
	name := fmt.Sprintf("test_nbr_%d", time.Now().UnixNano())
	for _, sql := range []string{"CREATE ROLE %[1]s LOGIN", "CREATE DATABASE %[1]s"} {
		_, err := pool.Exec(ctx, fmt.Sprintf(sql, name))
		require.NoError(t, err)
	}
	t.Cleanup(func() {
		_, _ = pool.Exec(ctx, "DROP DATABASE "+name+" WITH (FORCE)")
		_, _ = pool.Exec(ctx, "DROP ROLE "+name)
	})
	into := func(user string) *pgxpool.Pool {
		config := pool.Config()
		config.ConnConfig.Database, config.ConnConfig.User = name, user
		p, err := pgxpool.NewWithConfig(ctx, config)
		require.NoError(t, err)
		t.Cleanup(p.Close)
		return p
	}
	owner, guest := into(pool.Config().ConnConfig.User), into(name)
	for i := range 4 {
		_, err := owner.Exec(ctx, fmt.Sprintf("CREATE SCHEMA s%d AUTHORIZATION %s", i, name))
		require.NoError(t, err)
	}
	err := pgstore.MigrateNeighbours(ctx, guest, &pgstore.Options{Schema: "s0"})
	require.ErrorIs(t, err, pgstore.ErrNoVector)
	require.ErrorContains(t, err, "permission denied")

	var all sync.WaitGroup
	for i := range 4 {
		all.Go(func() {
			if err := pgstore.MigrateNeighbours(ctx, owner, &pgstore.Options{Schema: fmt.Sprint("s", i)}); err != nil {
				t.Errorf("%d: %v", i, err)
			}
		})
	}
	all.Wait()
}

// The extension may live in a schema that is on nobody's search_path.
func TestNeighboursWithPgvectorElsewhere(t *testing.T) {
	pool := connect(t)
	config := pool.Config()
	o := schema(t, pool)
	require.NoError(t, pgstore.MigrateNeighbours(t.Context(), pool, o))
	config.ConnConfig.RuntimeParams["search_path"] = `"nowhere"`
	blind, err := pgxpool.NewWithConfig(t.Context(), config)
	require.NoError(t, err)
	defer blind.Close()
	n := open(blind, o)
	require.NoError(t, n.Add(t.Context(), entry("a", 1, 0)))
	require.Equal(t, []string{"a"}, nearest(t, n, 3, 1, 0))
	o = schema(t, pool)
	require.NoError(t, pgstore.MigrateNeighbours(t.Context(), blind, o))
}

// What has expired is deleted, and what is over the bound, the first to expire first.
func TestNeighboursAreBounded(t *testing.T) {
	pool := connect(t)
	_, o := newNeighbours(t, pool)
	n := pgstore.NewNeighbours(pool, &pgstore.NeighboursOptions{Schema: o.Schema, MaxEntries: 5})
	add := func(id int, lasts time.Duration) {
		e := entry(fmt.Sprint(id), 1, 0)
		e.Expires = time.Now().Add(lasts)
		require.NoError(t, n.Add(t.Context(), e))
	}
	count := func() (n int) {
		require.NoError(t, pool.QueryRow(t.Context(), `SELECT count(*) FROM "`+o.Schema+`".neighbours_entries`).Scan(&n))
		return n
	}
	for i := range 20 {
		add(i, time.Hour+time.Duration(i)*time.Second)
	}
	add(20, -time.Second)
	require.NotContains(t, nearest(t, n, 99, 1, 0), "20")
	require.Eventually(t, func() bool { add(19, 2*time.Hour); return count() == 5 }, 5*time.Second, 100*time.Millisecond)
	require.ElementsMatch(t, []string{"15", "16", "17", "18", "19"}, nearest(t, n, 99, 1, 0))
}

// line is a way to the server that can be cut, or struck dumb.
type line struct {
	down, dumb atomic.Bool
	mu         sync.Mutex
	conns      []net.Conn
}

func (l *line) dial(ctx context.Context, network, addr string) (net.Conn, error) {
	if l.down.Load() {
		return nil, errors.New("connection refused")
	}
	conn, err := (&net.Dialer{}).DialContext(ctx, network, addr)
	if err != nil {
		return nil, err
	}
	l.mu.Lock()
	defer l.mu.Unlock()
	l.conns = append(l.conns, conn)
	return dumbConn{conn, &l.dumb}, nil
}

func (l *line) cut() {
	l.down.Store(true)
	l.mu.Lock()
	defer l.mu.Unlock()
	for _, conn := range l.conns {
		_ = conn.Close()
	}
}

type dumbConn struct {
	net.Conn
	dumb *atomic.Bool
}

func (c dumbConn) Write(b []byte) (int, error) {
	if c.dumb.Load() {
		return len(b), nil
	}
	return c.Conn.Write(b)
}

// failures is an observer that counts the events of neighbours that failed.
type failures struct{ n atomic.Int64 }

func (*failures) Begin(ctx context.Context, _ *holysheep.Call) context.Context { return ctx }
func (*failures) Wait(context.Context, *holysheep.Call, holysheep.Wait)        {}
func (f *failures) End(_ context.Context, call *holysheep.Call) {
	if call.Operation == "cache.semantic.store" && call.Err != nil {
		f.n.Add(1)
	}
}

// Similar questions go on being answered while PostgreSQL is lost: by the model, and from the cache once it is back.
func TestNeighboursLost(t *testing.T) {
	plain := connect(t)
	for _, silent := range []bool{false, true} {
		t.Run(map[bool]string{false: "cut", true: "silent"}[silent], func(t *testing.T) {
			_, o := newNeighbours(t, plain)
			l, config := &line{}, plain.Config()
			config.ConnConfig.DialFunc, config.MaxConns = l.dial, 4
			pool, err := pgxpool.NewWithConfig(t.Context(), config)
			require.NoError(t, err)
			defer pool.Close()
			defer l.cut() // or pgx waits 15 s for a silent server to say goodbye
			gw, seen := holysheeptest.Start(t), &failures{}
			gw.ReplyWhen(func(*holysheeptest.Request) bool { return true }, holysheeptest.Text("Within thirty days."))
			client := gw.Client(&holysheep.Options{Observer: seen})
			c := cache.Semantic(client, client.Embedder("", nil), open(pool, o), nil)
			defer func() { require.NoError(t, c.Close()) }()
			ask := func() (cached bool, took time.Duration) {
				start := time.Now()
				resp, err := c.Chat(t.Context(), &holysheep.ChatRequest{Messages: []holysheep.Message{holysheep.User("How do I send a parcel back?")}})
				require.NoError(t, err)
				return resp.Cached, time.Since(start)
			}
			ask()
			cached, _ := ask()
			require.True(t, cached)
			require.Zero(t, seen.n.Load())

			if silent {
				l.dumb.Store(true)
			} else {
				l.cut()
			}
			for range 4 { // until it is noticed
				cached, took := ask()
				require.False(t, cached)
				require.Less(t, took, 400*time.Millisecond)
			}
			require.Positive(t, seen.n.Load())
			for range 50 {
				cached, took := ask()
				require.False(t, cached)
				require.Less(t, took, 100*time.Millisecond)
			}
			l.down.Store(false)
			l.dumb.Store(false)
			require.Eventually(t, func() bool { cached, _ := ask(); return cached }, 10*time.Second, 10*time.Millisecond)
		})
	}
}
