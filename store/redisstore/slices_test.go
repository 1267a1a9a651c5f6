package redisstore_test

import (
	"context"
	"errors"
	"fmt"
	"strconv"
	"sync"
	"sync/atomic"
	"testing"
	"testing/synctest"
	"time"

	"github.com/stretchr/testify/require"

	"github.com/holysheep-ai/holysheep-go"
	"github.com/holysheep-ai/holysheep-go/store/redisstore"
)

func newSlices(tb testing.TB, shared holysheep.Ledger, size holysheep.USD) *redisstore.Slices {
	tb.Helper()
	s, err := redisstore.NewSlices(shared, redisstore.SliceOptions{Size: size})
	require.NoError(tb, err)
	return s
}

func held(id string, amount, limit holysheep.USD, keys ...string) holysheep.Reservation {
	r := holysheep.Reservation{ID: id, Now: time.Now(), Lease: time.Minute}
	for _, key := range keys {
		r.Holds = append(r.Holds, holysheep.Hold{Key: key, Amount: amount, Limit: limit})
	}
	return r
}

// counted counts what is asked of a ledger.
type counted struct {
	holysheep.MemoryLedger
	asked atomic.Int64
}

func (c *counted) Reserve(ctx context.Context, r holysheep.Reservation) (int, error) {
	c.asked.Add(1)
	return c.MemoryLedger.Reserve(ctx, r)
}

// Processes with slices of one limit never spend more together, use all of it, and their books are exact once the
// slices are back.
func TestSlicesNeverOvershoot(t *testing.T) {
	shared := &counted{}
	const limit, amount, processes, callers = 100_000, 7, 4, 16
	var spent, calls atomic.Int64
	var all []*redisstore.Slices
	var wg sync.WaitGroup
	for p := range processes {
		s := newSlices(t, shared, 1000)
		all = append(all, s)
		for c := range callers {
			wg.Go(func() {
				for i := 0; ; i++ {
					id := fmt.Sprint(p, "/", c, "/", i)
					refused, err := s.Reserve(context.Background(), held(id, amount, limit, "a"))
					if err != nil {
						t.Error(err)
						return
					}
					if refused >= 0 {
						return
					}
					cost := holysheep.USD(1 + i%amount)
					if _, err := s.Settle(context.Background(), id, time.Now(), cost); err != nil {
						t.Error(err)
						return
					}
					calls.Add(1)
					if spent.Add(int64(cost)) > limit {
						t.Error("overspent")
						return
					}
				}
			})
		}
	}
	wg.Wait()
	for _, s := range all {
		require.NoError(t, s.Close())
	}
	a, err := shared.Account(t.Context(), "a", time.Now())
	require.NoError(t, err)
	require.Equal(t, holysheep.Account{Key: "a", Spent: holysheep.USD(spent.Load())}, a)
	require.GreaterOrEqual(t, spent.Load(), int64(limit-processes*1000), "what may lie idle is a slice for each process")
	t.Logf("%d calls, %d of them asked the shared ledger", calls.Load(), shared.asked.Load())
	require.Less(t, shared.asked.Load(), calls.Load()/10)
}

func TestSlicesGoBack(t *testing.T) {
	synctest.Test(t, func(t *testing.T) {
		shared := &holysheep.MemoryLedger{}
		s := newSlices(t, shared, 100)
		ctx := t.Context()
		_, err := s.Reserve(ctx, held("1", 10, 1000, "a", "b"))
		require.NoError(t, err)
		refused, err := s.Reserve(ctx, held("1", 10, 1000, "a", "b"))
		require.NoError(t, err)
		require.Equal(t, -1, refused, "the same call again")
		expect := func(key string, spent, reserved holysheep.USD) {
			t.Helper()
			a, err := s.Account(ctx, key, time.Now())
			require.NoError(t, err)
			require.Equal(t, holysheep.Account{Key: key, Spent: spent, Reserved: reserved}, a)
		}
		expect("b", 0, 100)
		time.Sleep(11 * time.Second) // the slice is retired, and waits for its call
		expect("b", 0, 100)
		accounts, err := s.Settle(ctx, "1", time.Now(), 25) // more than was held
		require.NoError(t, err)
		require.EqualValues(t, 25, accounts[0].Spent)
		synctest.Wait()
		expect("a", 25, 0)
		expect("b", 25, 0)
		_, err = s.Settle(ctx, "1", time.Now(), 25)
		require.ErrorIs(t, err, holysheep.ErrNoReservation)

		// Where a slice does not fit, what is needed may; and no more.
		refused, err = s.Reserve(ctx, held("2", 10, 36, "a"))
		require.NoError(t, err)
		require.Equal(t, -1, refused)
		refused, err = s.Reserve(ctx, held("3", 2, 36, "a"))
		require.NoError(t, err)
		require.Equal(t, 0, refused)
		_, err = s.Settle(ctx, "2", time.Now(), 0)
		require.NoError(t, err)
		require.NoError(t, s.Close())
		expect("a", 25, 0)
		_, err = s.Reserve(ctx, held("4", 1, 36, "a"))
		require.ErrorIs(t, err, holysheep.ErrLedger)
	})
}

// Switches are the shared ledger's: a slice that is open is granted from until it is retired, and none after it.
func TestSwitchesReachSlices(t *testing.T) {
	synctest.Test(t, func(t *testing.T) {
		s := newSlices(t, &holysheep.MemoryLedger{}, 100)
		_, err := s.Reserve(t.Context(), held("1", 10, 1000, "a"))
		require.NoError(t, err)
		sw := holysheep.Switch{Target: holysheep.SwitchAll, On: true, By: "ann", At: time.Now()}
		require.NoError(t, s.SetSwitch(t.Context(), sw))
		rows, err := s.Switches(t.Context())
		require.NoError(t, err)
		require.Equal(t, []holysheep.Switch{sw}, rows)
		time.Sleep(11 * time.Second)
		_, err = s.Reserve(t.Context(), held("2", 10, 1000, "a"))
		require.ErrorIs(t, err, holysheep.ErrBlocked)
		_, err = s.Settle(t.Context(), "1", time.Now(), 5)
		require.NoError(t, err)
		require.NoError(t, s.Close())
	})
}

func TestBadSlices(t *testing.T) {
	for _, o := range []redisstore.SliceOptions{{}, {Size: -1}, {Size: 1, Keep: -1}} {
		_, err := redisstore.NewSlices(&holysheep.MemoryLedger{}, o)
		require.ErrorIs(t, err, holysheep.ErrBadRequest)
	}
	s := newSlices(t, failing{&holysheep.MemoryLedger{}}, 5)
	_, err := s.Reserve(t.Context(), held("1", 1, 10, "a"))
	require.ErrorIs(t, err, errDown)
	require.NoError(t, s.Close())
}

var errDown = errors.New("down")

type failing struct{ *holysheep.MemoryLedger }

func (failing) Reserve(context.Context, holysheep.Reservation) (int, error) { return 0, errDown }

func BenchmarkSlices(b *testing.B) {
	s := newSlices(b, newLedger(b, connect(b, false)), holysheep.Dollars(0.5))
	ctx, limit := context.Background(), holysheep.Dollars(500)
	for i := 0; b.Loop(); i++ {
		id := strconv.Itoa(i)
		if refused, err := s.Reserve(ctx, held(id, 10, limit, "a")); err != nil || refused >= 0 {
			b.Fatal(refused, err)
		}
		if _, err := s.Settle(ctx, id, time.Now(), 1); err != nil {
			b.Fatal(err)
		}
	}
}
