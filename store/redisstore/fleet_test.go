package redisstore_test

import (
	"bufio"
	"context"
	"errors"
	"fmt"
	"math/rand/v2"
	"net"
	"os"
	"os/exec"
	"strconv"
	"strings"
	"sync"
	"sync/atomic"
	"testing"
	"time"

	"github.com/redis/go-redis/v9"
	"github.com/stretchr/testify/require"

	"github.com/holysheep-ai/holysheep-go"
	"github.com/holysheep-ai/holysheep-go/store/redisstore"
)

// The fleet: processes of many callers each, on a network that loses one answer in twenty, spend one limit down to the
// last cent, while some of them and Redis itself are killed. HOLYSHEEP_FLEET_CALLS=1000000 is the long form.

const (
	fleetProcesses = 8
	fleetCallers   = 125
	fleetKills     = 3
	fleetAmount    = 1000 // held for each call; it spends between 1 and this
	lostAnswers    = 0.05
	fleetPatience  = time.Minute
)

func fleetCalls() int {
	if n, err := strconv.Atoi(os.Getenv("HOLYSHEEP_FLEET_CALLS")); err == nil {
		return n
	}
	return 55_000
}

func TestMain(m *testing.M) {
	for variable, process := range map[string]func(name string) error{
		"HOLYSHEEP_FLEET_LEDGER": spendAll, "HOLYSHEEP_ALERTS_LEDGER": spendTheDay,
	} {
		if name := os.Getenv(variable); name != "" {
			if err := process(name); err != nil {
				fmt.Fprintln(os.Stderr, err)
				os.Exit(1)
			}
			os.Exit(0)
		}
	}
	os.Exit(m.Run())
}

// lossy loses answers: the command has arrived by then.
type lossy struct{ net.Conn }

func (c lossy) Read(p []byte) (int, error) {
	n, err := c.Conn.Read(p)
	if err == nil && rand.Float64() < lostAnswers {
		_ = c.Close()
		return 0, errors.New("the answer was lost")
	}
	return n, err
}

func fleetHold(now time.Time) holysheep.Hold {
	return holysheep.Hold{Key: "fleet", Amount: fleetAmount, Limit: holysheep.USD(fleetCalls()) * fleetAmount / 2, Ends: now.Add(time.Hour)}
}

// spendAll is one process of the fleet. It prints what it is about to settle, and what is settled for sure: each line is
// one write, so that what it has printed when it is killed is whole.
func spendAll(name string) error {
	rdb := redis.NewClient(&redis.Options{
		Addr: address("HOLYSHEEP_TEST_REDIS", "127.0.0.1:17379"), ContextTimeoutEnabled: true, MaxRetries: -1, DialerRetries: 1, PoolSize: fleetCallers,
		Dialer: func(ctx context.Context, network, addr string) (net.Conn, error) {
			conn, err := (&net.Dialer{Timeout: 5 * time.Second}).DialContext(ctx, network, addr)
			return lossy{conn}, err
		},
	})
	defer func() { _ = rdb.Close() }()
	l, err := redisstore.NewLedger(rdb, &redisstore.LedgerOptions{Name: name})
	if err != nil {
		return err
	}
	say := func(word, id string, spent holysheep.USD) {
		_, _ = fmt.Fprintln(os.Stdout, word, id, int64(spent)) // one write
	}
	var wg sync.WaitGroup
	ctx := context.Background()
	for c := range fleetCallers {
		wg.Go(func() {
			for i := 0; ; i++ {
				now := time.Now()
				id := fmt.Sprint(os.Getpid(), "/", c, "/", i)
				refused, err := l.Reserve(ctx, holysheep.Reservation{ID: id, Now: now, Lease: 2 * time.Second, Holds: []holysheep.Hold{fleetHold(now)}})
				if err == nil && refused >= 0 {
					return // the limit is reached
				}
				spent := holysheep.USD(0)
				if err == nil {
					spent = 1 + rand.N[holysheep.USD](fleetAmount)
				}
				say("settles", id, spent)
				// What is not known to be held is given back, as a call that was refused does. Once a settle has
				// failed it may have been done all the same.
				for tries := 0; ; tries++ {
					if time.Since(now) > fleetPatience {
						panic(fmt.Sprint("Redis is not coming back: ", err))
					}
					_, err = l.Settle(ctx, id, time.Now(), spent)
					if errors.Is(err, holysheep.ErrNoReservation) && spent > 0 && tries == 0 {
						panic("a hold was lost: " + err.Error())
					}
					if err == nil || errors.Is(err, holysheep.ErrNoReservation) {
						break
					}
				}
				say("settled", id, spent)
			}
		})
	}
	wg.Wait()
	return nil
}

func TestFleetNeverOverspends(t *testing.T) {
	rdb := connect(t, false)
	name := fmt.Sprintf("fleet-%d", time.Now().UnixNano())
	var mu sync.Mutex
	var spent, calls, reservations int64
	open := map[string]holysheep.USD{} // about to be settled, when a process was killed
	var kills int
	start := func() (*exec.Cmd, *sync.WaitGroup) {
		cmd := exec.CommandContext(t.Context(), os.Args[0])
		cmd.Env = append(os.Environ(), "HOLYSHEEP_FLEET_LEDGER="+name)
		cmd.Stderr = os.Stderr
		out, err := cmd.StdoutPipe()
		require.NoError(t, err)
		require.NoError(t, cmd.Start())
		var done sync.WaitGroup
		done.Go(func() {
			for lines := bufio.NewScanner(out); lines.Scan(); {
				var word, id string
				var n int64
				if _, err := fmt.Sscan(lines.Text(), &word, &id, &n); err != nil {
					t.Errorf("a process said %q", lines.Text())
					continue
				}
				mu.Lock()
				switch word {
				case "settles":
					reservations++
					open[id] = holysheep.USD(n)
				case "settled":
					delete(open, id)
					if spent += n; n > 0 {
						calls++
					}
				}
				mu.Unlock()
			}
		})
		return cmd, &done
	}
	ctx, began := t.Context(), time.Now()
	var crashed atomic.Bool
	if os.Getenv("HOLYSHEEP_TEST_REDIS") == "" { // it is the one of scripts/services
		time.AfterFunc(time.Second, func() {
			out, err := exec.CommandContext(ctx, "../../scripts/services", "crash").CombinedOutput()
			if crashed.Store(err == nil); err != nil {
				t.Logf("Redis was not restarted: %s", out)
			}
		})
	}
	var fleet sync.WaitGroup
	for p := range fleetProcesses {
		fleet.Go(func() {
			cmd, done := start()
			if p < fleetKills {
				time.Sleep(300*time.Millisecond + rand.N(700*time.Millisecond))
				if cmd.Process.Kill() == nil {
					mu.Lock()
					kills++
					mu.Unlock()
				}
				done.Wait()
				_ = cmd.Wait()
				cmd, done = start()
			}
			done.Wait()
			if err := cmd.Wait(); err != nil {
				t.Error(err)
			}
		})
	}
	fleet.Wait()
	took := time.Since(began)

	l, err := redisstore.NewLedger(rdb, &redisstore.LedgerOptions{Name: name})
	require.NoError(t, err)
	t.Cleanup(func() { forget(rdb, l) })
	now := time.Now().Add(3 * time.Second)
	account, err := l.Account(ctx, "fleet", now) // by then every lease has run out
	require.NoError(t, err)
	limit := fleetHold(now).Limit
	t.Logf("%d reservations, %d calls of %d processes in %v, %d of them killed, Redis killed: %v. %v of %v spent, %v of it by calls that never settled",
		reservations, calls, fleetProcesses+kills, took.Round(time.Millisecond), kills, crashed.Load(), account.Spent, limit, account.Expired)
	require.GreaterOrEqual(t, reservations, int64(fleetCalls())*9/10)
	require.Zero(t, account.Reserved)
	require.LessOrEqual(t, account.Spent, limit, "overspent")
	require.GreaterOrEqual(t, account.Spent, limit*99/100, "a part of the limit could not be used")

	// To the unit: what was settled is what processes said they had settled, and what a killed one was about to settle
	// and has; what ran out is what nobody has settled.
	late := strings.TrimSuffix(redisstore.Prefix(l), "account:") + "late"
	for id, n := range open {
		err := rdb.ZScore(ctx, late, fmt.Sprintf("%s\nfleet\n%d", id, fleetAmount)).Err()
		if errors.Is(err, redis.Nil) {
			spent += int64(n)
			continue
		}
		require.NoError(t, err)
	}
	expired, err := rdb.ZCard(ctx, late).Result()
	require.NoError(t, err)
	require.Equal(t, holysheep.USD(spent), account.Spent-account.Expired)
	require.Equal(t, holysheep.USD(expired*fleetAmount), account.Expired)
	require.LessOrEqual(t, len(open), kills*fleetCallers)
}
