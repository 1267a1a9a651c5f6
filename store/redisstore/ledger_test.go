package redisstore_test

import (
	"context"
	"errors"
	"fmt"
	"net"
	"os"
	"os/exec"
	"runtime"
	"strconv"
	"strings"
	"sync"
	"sync/atomic"
	"testing"
	"time"

	"github.com/redis/go-redis/v9"
	"github.com/stretchr/testify/require"

	"github.com/holysheep-ai/holysheep-go"
	"github.com/holysheep-ai/holysheep-go/holysheeptest"
	"github.com/holysheep-ai/holysheep-go/ledgertest"
	"github.com/holysheep-ai/holysheep-go/store/redisstore"
)

func address(name, usual string) string {
	if a := os.Getenv(name); a != "" {
		return a
	}
	return usual
}

// connect gives a client of the Redis, or the cluster, that scripts/services brings up.
func connect(tb testing.TB, cluster bool) redis.UniversalClient {
	tb.Helper()
	o := &redis.UniversalOptions{
		Addrs:                 strings.Split(address("HOLYSHEEP_TEST_REDIS", "127.0.0.1:17379"), ","),
		ContextTimeoutEnabled: true, MaxRetries: -1, PoolSize: 64,
	}
	if cluster {
		o.Addrs = strings.Split(address("HOLYSHEEP_TEST_REDIS_CLUSTER", "127.0.0.1:17381,127.0.0.1:17382,127.0.0.1:17383"), ",")
		o.IsClusterMode = true
	}
	rdb := redis.NewUniversalClient(o)
	tb.Cleanup(func() { _ = rdb.Close() })
	ctx, cancel := context.WithTimeout(context.Background(), 20*time.Second)
	defer cancel()
	err := rdb.Ping(ctx).Err()
	for ; redis.HasErrorPrefix(err, "LOADING") && ctx.Err() == nil; err = rdb.Ping(ctx).Err() {
		time.Sleep(50 * time.Millisecond) // it has been killed by another test, and reads its file
	}
	if err != nil {
		if os.Getenv("HOLYSHEEP_TEST_SERVICES") == "required" {
			tb.Fatalf("no Redis at %v: %v", o.Addrs, err)
		}
		tb.Skipf("no Redis at %v (scripts/services up): %v", o.Addrs, err)
	}
	return rdb
}

func newLedger(tb testing.TB, rdb redis.UniversalClient) *redisstore.Ledger {
	tb.Helper()
	l, err := redisstore.NewLedger(rdb, &redisstore.LedgerOptions{Name: fmt.Sprintf("test-%d", time.Now().UnixNano())})
	require.NoError(tb, err)
	tb.Cleanup(func() { forget(rdb, l) })
	return l
}

// forget deletes all keys of a ledger: a Redis that is killed by another test has them to read when it comes back.
func forget(rdb redis.UniversalClient, l *redisstore.Ledger) {
	ctx, pattern := context.Background(), strings.TrimSuffix(redisstore.Prefix(l), "account:")+"*"
	node := func(ctx context.Context, node *redis.Client) error {
		keys := node.Scan(ctx, 0, pattern, 1000).Iterator()
		for keys.Next(ctx) {
			_ = rdb.Unlink(ctx, keys.Val()).Err()
		}
		return keys.Err()
	}
	switch rdb := rdb.(type) {
	case *redis.Client:
		_ = node(ctx, rdb)
	case *redis.ClusterClient:
		_ = rdb.ForEachMaster(ctx, node)
	}
}

func TestLedger(t *testing.T) {
	rdb := connect(t, false)
	ledgertest.Run(t, func(t *testing.T) holysheep.Ledger { t.Helper(); return newLedger(t, rdb) })
}

func TestLedgerInACluster(t *testing.T) {
	rdb := connect(t, true)
	ledgertest.Run(t, func(t *testing.T) holysheep.Ledger { t.Helper(); return newLedger(t, rdb) })
}

// Redis that has lost its accounts refuses, whoever asks, until somebody decides.
func TestLostAccountsAreNoticed(t *testing.T) {
	rdb := connect(t, false)
	l := newLedger(t, rdb)
	ctx, now := t.Context(), time.Now()
	r := holysheep.Reservation{ID: "1", Now: now, Lease: time.Minute, Holds: []holysheep.Hold{{Key: "a", Amount: 10, Limit: 100}}}
	_, err := l.Reserve(ctx, r)
	require.NoError(t, err)
	keys, err := rdb.Keys(ctx, strings.TrimSuffix(redisstore.Prefix(l), "account:")+"*").Result()
	require.NoError(t, err)
	require.NotEmpty(t, keys)
	require.NoError(t, rdb.Del(ctx, keys...).Err())

	_, err = l.Settle(ctx, "1", now, 5)
	require.ErrorIs(t, err, holysheep.ErrLedger)
	r.ID = "2"
	_, err = l.Reserve(ctx, r)
	require.ErrorIs(t, err, holysheep.ErrLedger)
	_, err = l.Account(ctx, "a", now)
	require.ErrorIs(t, err, holysheep.ErrLedger)
}

// An account that is lost alone is noticed as well, by processes that begin after that, too; others are not concerned.
func TestALostAccountIsNoticed(t *testing.T) {
	for name, cluster := range map[string]bool{"alone": false, "cluster": true} {
		t.Run(name, func(t *testing.T) {
			rdb := connect(t, cluster)
			ledgerName := fmt.Sprintf("lost-%d", time.Now().UnixNano())
			open := func() *redisstore.Ledger {
				l, err := redisstore.NewLedger(rdb, &redisstore.LedgerOptions{Name: ledgerName})
				require.NoError(t, err)
				return l
			}
			l, now, ctx := open(), time.Now(), t.Context()
			reserve := func(l *redisstore.Ledger, id string, keys ...string) (int, error) {
				r := holysheep.Reservation{ID: id, Now: now, Lease: time.Minute}
				for _, key := range keys {
					r.Holds = append(r.Holds, holysheep.Hold{Key: key, Amount: 10, Limit: 15, Ends: now.Add(time.Hour)})
				}
				return l.Reserve(ctx, r)
			}
			refused, err := reserve(l, "1", "a")
			require.NoError(t, err)
			require.Negative(t, refused)
			require.NoError(t, rdb.Del(ctx, redisstore.Prefix(l)+"a").Err())
			for i, l := range []*redisstore.Ledger{l, open()} {
				_, err = l.Account(ctx, "a", now)
				require.ErrorIs(t, err, holysheep.ErrLedger)
				_, err = reserve(l, fmt.Sprint("2/", i), "b", "a")
				require.ErrorIs(t, err, holysheep.ErrLedger)
				require.ErrorContains(t, err, "begin anew under another")
				b, err := l.Account(ctx, "b", now)
				require.NoError(t, err)
				require.Equal(t, holysheep.Account{Key: "b"}, b, "all or none")
			}
			_, err = l.Settle(ctx, "1", now, 5)
			require.ErrorIs(t, err, holysheep.ErrLedger)
			_, err = reserve(l, "3", "a")
			require.ErrorIs(t, err, holysheep.ErrLedger)
			refused, err = reserve(l, "4", "b")
			require.NoError(t, err)
			require.Negative(t, refused)
			_, err = l.Settle(ctx, "4", now, 5)
			require.NoError(t, err)
		})
	}
}

func TestMustExist(t *testing.T) {
	rdb := connect(t, false)
	l, err := redisstore.NewLedger(rdb, &redisstore.LedgerOptions{Name: fmt.Sprint("absent-", time.Now().UnixNano()), MustExist: true})
	require.NoError(t, err)
	_, err = l.Account(t.Context(), "a", time.Now())
	require.ErrorIs(t, err, holysheep.ErrLedger)
	require.ErrorContains(t, err, "MustExist")
}

func TestBadLedgers(t *testing.T) {
	rdb := redis.NewClient(&redis.Options{Addr: "127.0.0.1:1"})
	defer func() { _ = rdb.Close() }()
	_, err := redisstore.NewLedger(rdb, nil)
	require.ErrorContains(t, err, "ContextTimeoutEnabled")
	rdb = redis.NewClient(&redis.Options{Addr: "127.0.0.1:1", ContextTimeoutEnabled: true})
	defer func() { _ = rdb.Close() }()
	_, err = redisstore.NewLedger(rdb, &redisstore.LedgerOptions{Name: "a}b"})
	require.ErrorIs(t, err, holysheep.ErrBadRequest)
	pipeliner, err := rdb.AutoPipeline()
	require.NoError(t, err)
	_, err = redisstore.NewLedger(pipeliner, nil)
	require.ErrorContains(t, err, "does not end with the context")
}

// A Redis that is down, or takes connections and says nothing, refuses calls within the time of a budget, and the
// caller's own deadline within its.
func TestRedisOutOfReach(t *testing.T) {
	silent, err := net.Listen("tcp", "127.0.0.1:0")
	require.NoError(t, err)
	defer func() { _ = silent.Close() }()
	gw := holysheeptest.Start(t)
	for _, addr := range []string{"127.0.0.1:1", silent.Addr().String()} {
		rdb := redis.NewClient(&redis.Options{Addr: addr, ContextTimeoutEnabled: true, MaxRetries: -1})
		l, err := redisstore.NewLedger(rdb, nil)
		require.NoError(t, err)
		client := gw.Client(&holysheep.Options{Budgets: []*holysheep.Budget{{Name: "b", Limit: holysheep.Dollars(1), Ledger: l}}})
		ctx, cancel := context.WithTimeout(t.Context(), 5*time.Second) // far more than a budget waits
		_, err = client.Chat(ctx, &holysheep.ChatRequest{Messages: []holysheep.Message{holysheep.User("x")}})
		require.ErrorIs(t, err, holysheep.ErrLedger)
		require.NoError(t, ctx.Err())
		require.Zero(t, gw.Count())
		cancel()
		require.NoError(t, client.Close())
		require.NoError(t, rdb.Close())
	}
}

func BenchmarkReserve(b *testing.B) {
	benchmark(b, func(ctx context.Context, l *redisstore.Ledger, r holysheep.Reservation) error {
		_, err := l.Reserve(ctx, r)
		return err
	})
}

func BenchmarkReserveAndSettle(b *testing.B) {
	benchmark(b, func(ctx context.Context, l *redisstore.Ledger, r holysheep.Reservation) error {
		if _, err := l.Reserve(ctx, r); err != nil {
			return err
		}
		_, err := l.Settle(ctx, r.ID, r.Now, 1)
		return err
	})
}

// benchmark runs step from 64 callers.
func benchmark(b *testing.B, step func(context.Context, *redisstore.Ledger, holysheep.Reservation) error) {
	b.Helper()
	l := newLedger(b, connect(b, false))
	ctx, now := context.Background(), time.Now()
	var callers atomic.Int64
	b.SetParallelism(64 / runtime.GOMAXPROCS(0))
	b.ReportAllocs()
	b.ResetTimer()
	b.RunParallel(func(pb *testing.PB) {
		caller := strconv.FormatInt(callers.Add(1), 10)
		for i := 0; pb.Next(); i++ {
			r := holysheep.Reservation{
				ID: caller + "/" + strconv.Itoa(i), Now: now, Lease: time.Minute,
				Holds: []holysheep.Hold{{Key: "a", Amount: 10, Limit: holysheep.Dollars(500)}},
			}
			if err := step(ctx, l, r); err != nil {
				b.Error(err)
				return
			}
		}
	})
}

// Each alert fires once over three processes that share the ledger, and the day is one for all of them.
func TestAlertsFireOnce(t *testing.T) {
	rdb := connect(t, false)
	l := newLedger(t, rdb)
	name := strings.TrimSuffix(strings.TrimPrefix(redisstore.Prefix(l), "holysheep:{"), "}:account:")
	var processes sync.WaitGroup
	var mu sync.Mutex
	var fired []string
	for range 3 {
		processes.Go(func() {
			cmd := exec.CommandContext(t.Context(), os.Args[0])
			cmd.Env = append(os.Environ(), "HOLYSHEEP_ALERTS_LEDGER="+name)
			cmd.Stderr = os.Stderr
			out, err := cmd.Output()
			if err != nil {
				t.Error(err)
			}
			mu.Lock()
			defer mu.Unlock()
			fired = append(fired, strings.Fields(string(out))...)
		})
	}
	processes.Wait()
	require.ElementsMatch(t, []string{"0.5", "0.8", "1"}, fired)
}

// spendTheDay is one process that spends the day of a budget, and prints the alerts it is told of.
func spendTheDay(name string) error {
	rdb := redis.NewClient(&redis.Options{
		Addr: address("HOLYSHEEP_TEST_REDIS", "127.0.0.1:17379"), ContextTimeoutEnabled: true, MaxRetries: -1,
	})
	defer func() { _ = rdb.Close() }()
	l, err := redisstore.NewLedger(rdb, &redisstore.LedgerOptions{Name: name})
	if err != nil {
		return err
	}
	gw, err := holysheeptest.NewServer()
	if err != nil {
		return err
	}
	defer gw.Close()
	c := gw.Client(&holysheep.Options{Budgets: []*holysheep.Budget{{
		Name: "day", Limit: holysheep.Dollars(0.02), Period: holysheep.Daily, Zone: "Asia/Shanghai", Ledger: l,
		OnAlert: func(threshold float64, _ holysheep.BudgetStatus) { _, _ = fmt.Fprintln(os.Stdout, threshold) },
	}}})
	errs := make([]error, 4)
	var wg sync.WaitGroup
	for i := range errs {
		wg.Go(func() {
			for errs[i] == nil {
				_, errs[i] = c.Chat(context.Background(), &holysheep.ChatRequest{Messages: []holysheep.Message{holysheep.User("x")}})
			}
			if errors.Is(errs[i], holysheep.ErrBudgetExceeded) {
				errs[i] = nil
			}
		})
	}
	wg.Wait()
	return errors.Join(append(errs, c.Close())...)
}
