package pgstore_test

import (
	"cmp"
	"context"
	"fmt"
	"os"
	"strconv"
	"sync"
	"sync/atomic"
	"testing"
	"time"

	"github.com/jackc/pgx/v5/pgxpool"
	"github.com/stretchr/testify/require"

	"github.com/holysheep-ai/holysheep-go"
	"github.com/holysheep-ai/holysheep-go/ledgertest"
	"github.com/holysheep-ai/holysheep-go/store/pgstore"
)

// connect gives a pool on the PostgreSQL that scripts/services brings up.
func connect(tb testing.TB) *pgxpool.Pool {
	tb.Helper()
	url := cmp.Or(os.Getenv("HOLYSHEEP_TEST_POSTGRES"), "postgres://postgres@127.0.0.1:17432/postgres")
	pool, err := pgxpool.New(context.Background(), url)
	require.NoError(tb, err)
	tb.Cleanup(pool.Close)
	ctx, cancel := context.WithTimeout(context.Background(), 5*time.Second)
	defer cancel()
	if err := pool.Ping(ctx); err != nil {
		if os.Getenv("HOLYSHEEP_TEST_SERVICES") == "required" {
			tb.Fatalf("no PostgreSQL: %v", err)
		}
		tb.Skipf("no PostgreSQL (scripts/services up): %v", err)
	}
	return pool
}

var schemas atomic.Int64

// schema makes a schema for one test.
func schema(tb testing.TB, pool *pgxpool.Pool) *pgstore.Options {
	tb.Helper()
	name := fmt.Sprintf("Test %d-%d", time.Now().UnixNano(), schemas.Add(1))
	_, err := pool.Exec(context.Background(), `CREATE SCHEMA "`+name+`"`)
	require.NoError(tb, err)
	tb.Cleanup(func() { _, _ = pool.Exec(context.Background(), `DROP SCHEMA "`+name+`" CASCADE`) })
	return &pgstore.Options{Schema: name}
}

func newLedger(tb testing.TB, pool *pgxpool.Pool) *pgstore.Ledger {
	tb.Helper()
	o := schema(tb, pool)
	require.NoError(tb, pgstore.Migrate(context.Background(), pool, o))
	return pgstore.NewLedger(pool, o)
}

func TestLedger(t *testing.T) {
	pool := connect(t)
	ledgertest.Run(t, func(t *testing.T) holysheep.Ledger { t.Helper(); return newLedger(t, pool) })
}

func TestMigrate(t *testing.T) {
	pool := connect(t)
	o := schema(t, pool)
	ctx := t.Context()
	_, err := pgstore.NewLedger(pool, o).Account(ctx, "a", time.Now())
	require.ErrorIs(t, err, holysheep.ErrLedger)
	require.ErrorContains(t, err, "call Migrate")
	var wg sync.WaitGroup
	for range 4 {
		wg.Go(func() {
			if err := pgstore.Migrate(ctx, pool, o); err != nil {
				t.Error(err)
			}
		})
	}
	wg.Wait()
	_, err = pgstore.NewLedger(pool, o).Account(ctx, "a", time.Now())
	require.NoError(t, err)
	_, err = pool.Exec(ctx, `UPDATE "`+o.Schema+`".ledger_version SET version = 9`)
	require.NoError(t, err)
	require.ErrorContains(t, pgstore.Migrate(ctx, pool, o), "version 9")
	_, err = pgstore.NewLedger(pool, o).Account(ctx, "a", time.Now())
	require.ErrorContains(t, err, "version 9")
}

// Reservations over the same accounts in opposite orders never wait for each other for ever.
func TestNoDeadlocks(t *testing.T) {
	l := newLedger(t, connect(t))
	var wg sync.WaitGroup
	for c := range 8 {
		wg.Go(func() {
			for i := range 50 {
				now, id := time.Now(), fmt.Sprint(c, "/", i)
				holds := []holysheep.Hold{{Key: "a", Amount: 1, Limit: 1e12}, {Key: "b", Amount: 1, Limit: 1e12}}
				if c%2 == 0 {
					holds[0], holds[1] = holds[1], holds[0]
				}
				_, err := l.Reserve(context.Background(), holysheep.Reservation{ID: id, Now: now, Lease: time.Second, Holds: holds})
				if err == nil {
					_, err = l.Settle(context.Background(), id, now.Add(time.Duration(i)*50*time.Millisecond), 1)
				}
				if err != nil {
					t.Error(err)
					return
				}
			}
		})
	}
	wg.Wait()
}

func BenchmarkReserveAndSettle(b *testing.B) {
	l := newLedger(b, connect(b))
	ctx, now := context.Background(), time.Now()
	var callers atomic.Int64
	b.SetParallelism(8)
	b.ResetTimer()
	b.RunParallel(func(pb *testing.PB) {
		caller := strconv.FormatInt(callers.Add(1), 10)
		for i := 0; pb.Next(); i++ {
			id := caller + "/" + strconv.Itoa(i)
			_, err := l.Reserve(ctx, holysheep.Reservation{
				ID: id, Now: now, Lease: time.Minute, Holds: []holysheep.Hold{{Key: "a", Amount: 10, Limit: holysheep.Dollars(500)}},
			})
			if err == nil {
				_, err = l.Settle(ctx, id, now, 1)
			}
			if err != nil {
				b.Error(err)
				return
			}
		}
	})
}
