package holysheep_test

import (
	"context"
	"errors"
	"math/rand/v2"
	"sync"
	"sync/atomic"
	"testing"
	"testing/synctest"
	"time"

	"github.com/stretchr/testify/require"

	"github.com/holysheep-ai/holysheep-go"
	"github.com/holysheep-ai/holysheep-go/holysheeptest"
)

const callers = 64

// atOnce runs f n times on 64 goroutines.
func atOnce(n int, f func(i int)) {
	var wg sync.WaitGroup
	for w := range callers {
		wg.Go(func() {
			for i := w; i < n; i += callers {
				f(i)
			}
		})
	}
	wg.Wait()
}

// A gateway that answers 20 % with 429, 5 % with 503 and cuts 2 % of its answers: 8 attempts bring 99.99 % of the
// calls through, with no more than 1.36 requests for each, and the client's books agree with the gateway's.
func TestChaos(t *testing.T) {
	n := 100_000
	if raceEnabled {
		n = 5_000
	}
	for name, collect := range map[string]bool{"plain": false, "collected streams": true} {
		t.Run(name, func(t *testing.T) {
			synctest.Test(t, func(t *testing.T) {
				gw := holysheeptest.Start(t)
				gw.Chaos(holysheeptest.Chaos{Seed: 1, RateLimited: 0.2, Unavailable: 0.05, Cut: 0.02})
				c := gw.Client(&holysheep.Options{MaxAttempts: 8, CollectStreams: collect})
				var failed, attempts atomic.Int64
				start := time.Now()
				atOnce(n, func(int) {
					req := ask("short")
					req.MaxTokens = new(4)
					resp, err := c.Chat(t.Context(), req)
					if err != nil {
						failed.Add(1)
						return
					}
					attempts.Add(int64(resp.Attempts))
				})
				sent := gw.Count()
				t.Logf("%d calls, %d failed, %.3f sent per call, %v of virtual time", n, failed.Load(), float64(sent)/float64(n), time.Since(start))
				require.LessOrEqual(t, failed.Load(), int64(max(n/10_000, 1))) // 5,000 calls fail once in ten runs
				require.LessOrEqual(t, float64(sent), 1.36*float64(n))

				total := c.Meter()[holysheep.DeepSeekV32]
				require.EqualValues(t, n, total.Calls)
				require.EqualValues(t, sent, total.Attempts)
				require.Equal(t, failed.Load(), total.Errors)
				require.GreaterOrEqual(t, total.Cost.AtMost, gw.Billed(), "nothing is billed that was not booked")
			})
		})
	}
}

// In a total outage the quota stops the retries: hardly more than one request for each call. When the gateway is
// back, so are the answers.
func TestOutage(t *testing.T) {
	synctest.Test(t, func(t *testing.T) {
		n := 20_000
		gw := holysheeptest.Start(t)
		var down atomic.Bool
		down.Store(true)
		gw.ReplyWhen(func(*holysheeptest.Request) bool { return down.Load() }, holysheeptest.Status(503))
		c := gw.Client(nil)
		atOnce(n, func(int) {
			_, err := c.Chat(t.Context(), ask("x"))
			if !errors.Is(err, holysheep.ErrOverloaded) {
				t.Errorf("got %v", err)
			}
			time.Sleep(200 * time.Millisecond)
		})
		t.Logf("%.4f sent per call", float64(gw.Count())/float64(n))
		require.LessOrEqual(t, float64(gw.Count()), 1.01*float64(n))

		down.Store(false)
		atOnce(1000, func(int) {
			if _, err := c.Chat(t.Context(), ask("x")); err != nil {
				t.Errorf("after the outage: %v", err)
			}
		})
	})
}

// 10,000 calls are cancelled at random moments, in every phase: each returns at once with context.Canceled, and
// nothing is left behind (synctest fails a bubble whose goroutines do not end).
func TestRandomCancels(t *testing.T) {
	n := 10_000
	if raceEnabled {
		n = 2_000
	}
	synctest.Test(t, func(t *testing.T) {
		gw := holysheeptest.Start(t)
		replies := []*holysheeptest.Reply{
			holysheeptest.Text("one two three four five").After(300 * time.Millisecond).Drip(100 * time.Millisecond),
			holysheeptest.Status(429).RetryAfter(time.Second),
			holysheeptest.Status(503).After(200 * time.Millisecond),
			holysheeptest.Text("one two three").StallAfter(1),
			holysheeptest.Text("one two three four five").CutAfter(3),
			holysheeptest.HTML(500, "slow").After(500 * time.Millisecond),
		}
		var mu sync.Mutex
		dice := rand.New(rand.NewPCG(7, 7))
		roll := func(n int) int {
			mu.Lock()
			defer mu.Unlock()
			return dice.IntN(n)
		}
		for i, r := range replies {
			gw.ReplyWhen(func(q *holysheeptest.Request) bool { return q.Question() == string(rune('a'+i)) }, r)
		}
		c := gw.Client(nil)
		collecting := gw.Client(&holysheep.Options{CollectStreams: true})
		var cancelled atomic.Int64
		atOnce(n, func(i int) {
			ctx, cancel := context.WithCancel(t.Context())
			defer cancel()
			var at atomic.Int64
			stop := time.AfterFunc(time.Duration(roll(int(1500*time.Millisecond))), func() {
				at.Store(time.Now().UnixNano())
				cancel()
			})
			defer stop.Stop()
			req := ask(string(rune('a' + roll(len(replies)))))
			var err error
			switch i % 3 {
			case 0:
				_, err = c.Chat(ctx, req)
			case 1:
				_, err = collecting.Chat(ctx, req)
			default:
				err = drainStream(ctx, c, req).err
			}
			end := time.Now().UnixNano()
			if !errors.Is(err, context.Canceled) {
				return
			}
			cancelled.Add(1)
			if late := time.Duration(end - at.Load()); late > 10*time.Millisecond {
				t.Errorf("returned %v after the cancel: %v", late, err)
			}
		})
		t.Logf("%d of %d cancelled", cancelled.Load(), n)
		require.Greater(t, cancelled.Load(), int64(n/4))
	})
}

// The meter equals the sum over what the observer saw, whatever happens at once.
func TestMeterEqualsObserver(t *testing.T) {
	synctest.Test(t, func(t *testing.T) {
		gw := holysheeptest.Start(t)
		gw.Chaos(holysheeptest.Chaos{Seed: 3, RateLimited: 0.1, Unavailable: 0.1, Cut: 0.2})
		seen := &sums{}
		c := gw.Client(&holysheep.Options{Observer: seen, MaxAttempts: 2})
		models := []string{holysheep.GPT41, holysheep.DeepSeekV32, "no-price-for-this"}
		atOnce(1000, func(i int) {
			req := ask("what about this?")
			req.Model = models[i%len(models)]
			if i%2 == 0 {
				_, _ = c.Chat(t.Context(), req)
				return
			}
			for range c.Stream(t.Context(), req) {
				if i%5 == 0 {
					break
				}
			}
		})
		require.Equal(t, seen.totals, c.Meter())
		require.Equal(t, gw.Count(), seen.attempts)
		require.Equal(t, holysheep.Unknown, c.Meter()["no-price-for-this"].Cost.Basis)
	})
}

// sums is an observer that keeps its own books.
type sums struct {
	mu       sync.Mutex
	totals   map[string]holysheep.Totals
	attempts int
	counted  int // those that no other call counts
	waits    []holysheep.Wait
	calls    []*holysheep.Call
}

func (s *sums) Begin(ctx context.Context, _ *holysheep.Call) context.Context { return ctx }

func (s *sums) Wait(_ context.Context, _ *holysheep.Call, w holysheep.Wait) {
	s.mu.Lock()
	defer s.mu.Unlock()
	s.waits = append(s.waits, w)
}

func (s *sums) End(_ context.Context, call *holysheep.Call) {
	s.mu.Lock()
	defer s.mu.Unlock()
	if s.totals == nil {
		s.totals = map[string]holysheep.Totals{}
	}
	t := holysheep.Totals{Calls: 1, Usage: call.Usage, Cost: call.Cost}
	for _, at := range call.Attempts {
		if !at.Shared {
			t.Attempts++
		}
	}
	s.counted += int(t.Attempts)
	if call.Err != nil {
		t.Errors = 1
	}
	s.attempts += len(call.Attempts)
	s.calls = append(s.calls, call)
	s.totals[call.Model] = s.totals[call.Model].Plus(t)
}
