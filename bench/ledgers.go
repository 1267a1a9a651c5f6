package main

import (
	"context"
	"errors"
	"fmt"
	"os"
	"path/filepath"
	"slices"
	"strconv"
	"sync"
	"time"

	"github.com/jackc/pgx/v5/pgxpool"
	"github.com/redis/go-redis/v9"

	"github.com/holysheep-ai/holysheep-go"
	"github.com/holysheep-ai/holysheep-go/store/pgstore"
	"github.com/holysheep-ai/holysheep-go/store/redisstore"
	"github.com/holysheep-ai/holysheep-go/store/sqlitestore"
)

// Where scripts/services brings them up.
const (
	redisAddress    = "127.0.0.1:17379"
	postgresAddress = "postgres://postgres@127.0.0.1:17432/postgres"
)

// ledgerCase is a row of the table of rates.
type ledgerCase struct {
	name    string
	callers int
	settle  bool // each reservation is settled as well, which is what a call takes
	every   int  // so many steps are timed together, where a look at the clock would cost as much as a step
	goal    string
	open    func() (holysheep.Ledger, func(), error)
}

var ledgerCases = []ledgerCase{
	{"memory, reserved and settled", 1, true, 64, "≥ 3,000,000", openMemory},
	{"memory, reserved and settled", callers, true, 64, "", openMemory},
	{"SQLite, reserved and settled", 1, true, 1, "stated", openSQLite},
	{"SQLite, reserved and settled", callers, true, 1, "stated", openSQLite},
	{"Redis, reserved", callers, false, 1, "≥ 40,000", openRedis},
	{"Redis, reserved and settled", callers, true, 1, "", openRedis},
	{"slices of Redis, reserved and settled", callers, true, 16, "", openSlices},
	{"PostgreSQL, reserved and settled", 16, true, 1, "stated", openPostgres},
}

func openMemory() (holysheep.Ledger, func(), error) {
	return &holysheep.MemoryLedger{}, func() {}, nil
}

func openSQLite() (holysheep.Ledger, func(), error) {
	dir, err := os.MkdirTemp("", "bench")
	if err != nil {
		return nil, nil, err
	}
	l, err := sqlitestore.OpenLedger(filepath.Join(dir, "ledger"), nil)
	if err != nil {
		return nil, nil, err
	}
	return l, func() {
		_ = l.Close()
		_ = os.RemoveAll(dir)
	}, nil
}

var errNoService = errors.New("not measured, no service: scripts/services up")

func openRedis() (holysheep.Ledger, func(), error) {
	ctx := context.Background()
	rdb := redis.NewClient(&redis.Options{Addr: redisAddress, ContextTimeoutEnabled: true, MaxRetries: -1, PoolSize: callers})
	if rdb.Ping(ctx).Err() != nil {
		return nil, nil, errNoService
	}
	name := fmt.Sprint("bench-", time.Now().UnixNano())
	l, err := redisstore.NewLedger(rdb, &redisstore.LedgerOptions{Name: name})
	if err != nil {
		return nil, nil, err
	}
	return l, func() {
		for keys := rdb.Scan(ctx, 0, "holysheep:{"+name+"}:*", 1000).Iterator(); keys.Next(ctx); {
			_ = rdb.Unlink(ctx, keys.Val()).Err()
		}
		_ = rdb.Close()
	}, nil
}

func openSlices() (holysheep.Ledger, func(), error) {
	shared, closeShared, err := openRedis()
	if err != nil {
		return nil, nil, err
	}
	s, err := redisstore.NewSlices(shared, redisstore.SliceOptions{Size: holysheep.Dollars(0.5)})
	if err != nil {
		return nil, nil, err
	}
	return s, func() {
		_ = s.Close()
		closeShared()
	}, nil
}

func openPostgres() (holysheep.Ledger, func(), error) {
	ctx := context.Background()
	pool, err := pgxpool.New(ctx, postgresAddress)
	if err != nil {
		return nil, nil, err
	}
	if pool.Ping(ctx) != nil {
		return nil, nil, errNoService
	}
	schema := fmt.Sprint("bench_", time.Now().UnixNano())
	if _, err := pool.Exec(ctx, "CREATE SCHEMA "+schema); err != nil {
		return nil, nil, err
	}
	o := &pgstore.Options{Schema: schema}
	if err := pgstore.Migrate(ctx, pool, o); err != nil {
		return nil, nil, err
	}
	return pgstore.NewLedger(pool, o), func() {
		_, _ = pool.Exec(ctx, "DROP SCHEMA "+schema+" CASCADE")
		pool.Close()
	}, nil
}

// measureLedger runs a case several times, half a second each: the median of the rates, the best, which is what the
// machine does while nothing else runs, the 99th percentile of a step, and the processor time that the callers spend on
// one, which the load of the machine changes least.
func measureLedger(c ledgerCase, scale float64) (result, error) {
	var rates, tails, cpus []float64
	for range max(3, int(9*scale)) {
		l, done, err := c.open()
		switch {
		case errors.Is(err, errNoService):
			return result{Note: err.Error()}, nil
		case err != nil:
			return result{}, err
		}
		start := cpuTime()
		rate, p99, steps, err := ledgerRate(l, c, 500*time.Millisecond)
		used := cpuTime() - start
		done()
		if err != nil {
			return result{}, err
		}
		rates, tails, cpus = append(rates, rate), append(tails, p99), append(cpus, float64(used.Nanoseconds())/1e3/float64(steps))
	}
	return result{Limits: []limit{
		{"median", middle(rates)}, {"best", slices.Max(rates)}, {"p99", middle(tails)}, {"CPU", middle(cpus)},
	}}, nil
}

// ledgerRate gives the steps a second, how many milliseconds 99 of 100 took at most, and how many there were.
func ledgerRate(l holysheep.Ledger, c ledgerCase, length time.Duration) (rate, p99 float64, steps int, err error) {
	var mu sync.Mutex
	var wg sync.WaitGroup
	var took []float64
	errs := make([]error, c.callers)
	ids := make([][]string, c.callers) // made before, and again and again: what is settled is forgotten
	for caller := range ids {
		for i := range c.every {
			ids[caller] = append(ids[caller], fmt.Sprintf("%016d%016d", caller, i))
		}
	}
	start := time.Now()
	for caller := range c.callers {
		wg.Go(func() {
			var own []float64
			n := 0
			for time.Since(start) < length {
				began := time.Now()
				for i := range c.every {
					r := holysheep.Reservation{
						ID: ids[caller][i], Now: began, Lease: time.Minute,
						Holds: []holysheep.Hold{{Key: "support/2026-11-24", Amount: 10, Limit: holysheep.Dollars(5e6), Ends: began.Add(time.Hour)}},
					}
					if !c.settle {
						r.ID += strconv.Itoa(n)
					}
					if errs[caller] = ledgerStep(l, r, c.settle); errs[caller] != nil {
						return
					}
					n++
				}
				own = append(own, float64(time.Since(began).Nanoseconds())/1e6/float64(c.every))
			}
			mu.Lock()
			defer mu.Unlock()
			steps += n
			took = append(took, own...)
		})
	}
	wg.Wait()
	wall := time.Since(start)
	if err := errors.Join(errs...); err != nil {
		return 0, 0, 0, err
	}
	slices.Sort(took)
	return float64(steps) / wall.Seconds(), took[len(took)*99/100], steps, nil
}

func ledgerStep(l holysheep.Ledger, r holysheep.Reservation, settle bool) error {
	refused, err := l.Reserve(context.Background(), r)
	switch {
	case err != nil:
		return err
	case refused >= 0:
		return errors.New("refused")
	case !settle:
		return nil
	}
	_, err = l.Settle(context.Background(), r.ID, r.Now, 1)
	return err
}

// compareLedgers writes the table of rates, and that of the books.
func compareLedgers(self string, scale float64) error {
	fmt.Print("\n**ledgers** (a second, by the clock, with the service on the same cores)\n\n")
	fmt.Println("| ledger | callers | median | best | goal | p99, ms | the callers' CPU, µs |")
	fmt.Println("|---|---|---|---|---|---|---|")
	for i, c := range ledgerCases {
		r, err := measure(self, "", "ledger", "ledger-"+strconv.Itoa(i), scale)
		switch {
		case err != nil:
			return err
		case r.Note != "":
			fmt.Printf("| %s | %d | %s | | | | |\n", c.name, c.callers, r.Note)
			continue
		}
		l := r.Limits
		fmt.Printf("| %s | %d | %.0f | %.0f | %s | %.3f | %.2f |\n", c.name, c.callers, l[0].Value, l[1].Value, c.goal, l[2].Value, l[3].Value)
	}
	r, err := measure(self, "", "rows", "rows", scale)
	if err != nil {
		return err
	}
	fmt.Print("\n**rows** (kept a second, one after the other, each in the file when the call ends)\n\n| kept in | |\n|---|---|\n")
	for _, l := range r.Limits {
		fmt.Printf("| %s | %.0f |\n", l.Name, l.Value)
	}
	return nil
}
