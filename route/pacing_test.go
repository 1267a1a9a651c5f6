package route_test

import (
	"context"
	"errors"
	"fmt"
	"io"
	"net/http"
	"strings"
	"sync"
	"sync/atomic"
	"testing"
	"testing/synctest"
	"time"

	"github.com/stretchr/testify/require"

	"github.com/holysheep-ai/holysheep-go"
	"github.com/holysheep-ai/holysheep-go/holysheeptest"
	"github.com/holysheep-ai/holysheep-go/route"
)

func newPacing(t *testing.T, opts route.PacingOptions) *route.Pacing {
	t.Helper()
	p, err := route.NewPacing(&opts)
	require.NoError(t, err)
	return p
}

// paced drives a pacing without a gateway: each turn is an attempt that somebody has asked for.
type paced struct {
	*route.Pacing
	mu    sync.Mutex
	order []string
}

func (p *paced) attempt() *holysheep.Attempt {
	return &holysheep.Attempt{Host: "gw", Model: holysheep.GPT41}
}

// take takes a turn that is never given back.
func (p *paced) take(t *testing.T) *holysheep.Attempt {
	t.Helper()
	at := p.attempt()
	require.NoError(t, p.Before(t.Context(), nil, at))
	at.Start = time.Now()
	return at
}

// end ends an attempt well.
func (p *paced) end(at *holysheep.Attempt) {
	if at.Start.IsZero() {
		at.Start = time.Now()
	}
	at.Status, at.Billing = 200, holysheep.Billed
	p.After(context.Background(), nil, at)
}

// queue lets a call wait for its turn; it notes its name when it has come, and ends.
func (p *paced) queue(ctx context.Context, name string) <-chan error {
	ended := make(chan error, 1)
	go func() {
		at := p.attempt()
		err := p.Before(ctx, nil, at)
		if err == nil {
			p.mu.Lock()
			p.order = append(p.order, name)
			p.mu.Unlock()
			p.end(at)
		}
		ended <- err
	}()
	synctest.Wait() // it stands in the queue now
	return ended
}

func (p *paced) status() route.PacingStatus { return p.Status(holysheep.GPT41, "gw") }

func TestPacingQueueIsFair(t *testing.T) {
	synctest.Test(t, func(t *testing.T) {
		p := &paced{Pacing: newPacing(t, route.PacingOptions{StartConcurrency: 1, MaxConcurrency: 1})}
		holder := p.take(t)
		for i := range 42 {
			p.queue(route.WithPriority(t.Context(), route.Batch), fmt.Sprint("b", i))
		}
		for i := range 42 {
			p.queue(t.Context(), fmt.Sprint("n", i))
		}
		for i := range 42 {
			p.queue(route.WithPriority(t.Context(), route.Critical), fmt.Sprint("c", i))
		}
		require.Equal(t, 126, p.status().Queued)
		p.end(holder)
		synctest.Wait()
		require.Len(t, p.order, 126)

		first := map[string]int{}
		next := map[string]int{}
		for i, name := range p.order {
			class := name[:1]
			if i < 42 {
				first[class]++
			}
			require.Equal(t, fmt.Sprint(class, next[class]), name, "first come first served within a priority")
			next[class]++
		}
		require.Equal(t, map[string]int{"c": 32, "n": 8, "b": 2}, first, "16 to 4 to 1, and none starves")
	})
}

func TestPacingTenantsTakeTurns(t *testing.T) {
	synctest.Test(t, func(t *testing.T) {
		p := &paced{Pacing: newPacing(t, route.PacingOptions{StartConcurrency: 1, MaxConcurrency: 1})}
		holder := p.take(t)
		tenant := func(name string) context.Context {
			ctx, _ := holysheep.NewScope(t.Context(), holysheep.Tags{"tenant": name})
			return ctx
		}
		for i := range 4 {
			p.queue(tenant("loud"), fmt.Sprint("l", i))
		}
		p.queue(tenant("meek"), "m0")
		p.queue(tenant("shy"), "s0")
		p.queue(tenant("meek"), "m1")
		p.end(holder)
		synctest.Wait()
		require.Equal(t, "l0 m0 s0 l1 m1 l2 l3", strings.Join(p.order, " "))
	})
}

func TestPacingFullQueue(t *testing.T) {
	synctest.Test(t, func(t *testing.T) {
		p := &paced{Pacing: newPacing(t, route.PacingOptions{StartConcurrency: 1, MaxConcurrency: 1, MaxQueue: 3})}
		holder := p.take(t)
		batch := route.WithPriority(t.Context(), route.Batch)
		p.queue(batch, "b0")
		young := p.queue(batch, "b1")
		p.queue(t.Context(), "n0")

		err := p.Before(batch, nil, p.attempt())
		require.ErrorIs(t, err, route.ErrQueueFull)
		require.NotErrorIs(t, err, route.ErrNoTurn)
		refused, ok := errors.AsType[*route.WaitError](err)
		require.True(t, ok)
		require.Equal(t, route.Batch, refused.Priority)
		require.Equal(t, holysheep.GPT41, refused.Model)
		require.Zero(t, refused.Waited)

		p.queue(route.WithPriority(t.Context(), route.Critical), "c0")
		require.ErrorIs(t, <-young, route.ErrQueueFull, "the youngest of the lowest priority made room")
		require.Equal(t, 3, p.status().Queued)
		p.end(holder)
		synctest.Wait()
		require.ElementsMatch(t, []string{"c0", "n0", "b0"}, p.order)
	})
}

func TestPacingDeadlines(t *testing.T) {
	synctest.Test(t, func(t *testing.T) {
		p := &paced{Pacing: newPacing(t, route.PacingOptions{RequestsPerMinute: 60, MaxWait: time.Minute})}
		p.take(t)
		start := time.Now()

		ctx, cancel := context.WithTimeout(t.Context(), 500*time.Millisecond)
		defer cancel()
		err := p.Before(ctx, nil, p.attempt())
		require.ErrorIs(t, err, route.ErrNoTurn)
		require.Zero(t, time.Since(start), "a turn in a second is too late: it fails at once")
		late, ok := errors.AsType[*route.WaitError](err)
		require.True(t, ok)
		require.Equal(t, time.Second, time.Until(late.Retry))

		ctx, cancel = context.WithTimeout(t.Context(), 1500*time.Millisecond)
		defer cancel()
		require.NoError(t, p.Before(ctx, nil, p.attempt()))
		require.Equal(t, time.Second, time.Since(start))

		// The attempts under way do not end, and how long one takes is not known yet.
		slow := &paced{Pacing: newPacing(t, route.PacingOptions{StartConcurrency: 1, MaxConcurrency: 1, MaxWait: 10 * time.Second})}
		slow.take(t)
		start = time.Now()
		ctx, cancel = context.WithTimeout(t.Context(), 3*time.Second)
		defer cancel()
		err = slow.Before(ctx, nil, slow.attempt())
		require.ErrorIs(t, err, route.ErrNoTurn)
		require.ErrorIs(t, err, context.DeadlineExceeded)
		require.Equal(t, 3*time.Second, time.Since(start))
		start = time.Now()
		err = slow.Before(t.Context(), nil, slow.attempt())
		require.ErrorIs(t, err, route.ErrNoTurn)
		require.Equal(t, 10*time.Second, time.Since(start), "MaxWait")

		start = time.Now()
		ctx, stop := context.WithCancelCause(t.Context())
		ended := slow.queue(ctx, "x")
		cause := errors.New("the user has gone")
		stop(cause)
		err = <-ended
		require.ErrorIs(t, err, context.Canceled)
		require.ErrorIs(t, err, cause)
		transport, ok := errors.AsType[*holysheep.TransportError](err)
		require.True(t, ok)
		require.Equal(t, holysheep.PhaseWait, transport.Phase)
		require.Zero(t, time.Since(start), "a cancelled call leaves at once")
		require.Zero(t, slow.status().Queued)
		require.Equal(t, 1, slow.status().InFlight)
	})
}

func TestPacingByConfiguration(t *testing.T) {
	synctest.Test(t, func(t *testing.T) {
		p := &paced{Pacing: newPacing(t, route.PacingOptions{RequestsPerMinute: 600, StartConcurrency: 200})}
		start := time.Now()
		for range 110 {
			p.take(t)
		}
		require.InDelta(t, 10, time.Since(start).Seconds(), 0.01, "ten at once, and ten a second")
	})
}

func TestPacingTokens(t *testing.T) {
	synctest.Test(t, func(t *testing.T) {
		gw := holysheeptest.Start(t)
		gw.ReplyWhen(func(*holysheeptest.Request) bool { return true },
			holysheeptest.Text("yes").Usage(holysheep.Usage{PromptTokens: 900, CompletionTokens: 100}))
		client := gw.Client(&holysheep.Options{Gate: newPacing(t, route.PacingOptions{TokensPerMinute: 60_000})})
		start := time.Now()
		for range 61 {
			_, err := client.Chat(t.Context(), greeting(holysheep.GPT41))
			require.NoError(t, err)
		}
		require.InDelta(t, 59, time.Since(start).Seconds(), 2, "a thousand a second, whatever was estimated")
	})
}

// What a gateway states is read in whatever form; nothing is sent before it is time.
func TestPacingHeaders(t *testing.T) {
	for _, tc := range []struct {
		name    string
		headers map[string]string
		held    time.Duration
	}{
		{"some remain", map[string]string{"X-RateLimit-Remaining-Requests": "5", "X-RateLimit-Reset-Requests": "6s"}, 0},
		{"Go duration", map[string]string{"X-RateLimit-Remaining-Requests": "0", "X-RateLimit-Reset-Requests": "6s"}, 6 * time.Second},
		{"minutes", map[string]string{"x-ratelimit-remaining-requests": "0", "x-ratelimit-reset-requests": "0m30s"}, 30 * time.Second},
		{"milliseconds", map[string]string{"X-RateLimit-Remaining": "0", "X-RateLimit-Reset": "20ms"}, 20 * time.Millisecond},
		{"seconds", map[string]string{"X-RateLimit-Remaining": "0", "X-RateLimit-Reset": "7"}, 7 * time.Second},
		{"fractions", map[string]string{"X-RateLimit-Remaining": "0", "X-RateLimit-Reset": "1.5"}, 1500 * time.Millisecond},
		{"a bucket that fills", map[string]string{
			"X-RateLimit-Limit-Requests": "60", "X-RateLimit-Remaining-Requests": "0", "X-RateLimit-Reset-Requests": "60s",
		}, time.Second},
		{"tokens", map[string]string{"X-RateLimit-Remaining-Tokens": "0", "X-RateLimit-Reset-Tokens": "9s"}, 9 * time.Second},
		{"too long", map[string]string{"X-RateLimit-Remaining": "0", "X-RateLimit-Reset": "5h"}, time.Minute},
		{"Unix time", map[string]string{"X-RateLimit-Remaining": "0", "X-RateLimit-Reset": "unix"}, 8 * time.Second},
		{"Unix time in ms", map[string]string{"X-RateLimit-Remaining": "0", "X-RateLimit-Reset": "unix-ms"}, 8 * time.Second},
		{"RFC 3339", map[string]string{"X-RateLimit-Remaining": "0", "X-RateLimit-Reset": "rfc3339"}, 8 * time.Second},
		{"HTTP date", map[string]string{"X-RateLimit-Remaining": "0", "X-RateLimit-Reset": "date"}, 8 * time.Second},
		{"nonsense", map[string]string{"X-RateLimit-Remaining": "0", "X-RateLimit-Reset": "soon"}, 0},
		{"more nonsense", map[string]string{"X-RateLimit-Remaining": "none", "X-RateLimit-Reset": "6s"}, 0},
	} {
		t.Run(tc.name, func(t *testing.T) {
			synctest.Test(t, func(t *testing.T) {
				gw := holysheeptest.Start(t)
				reply := holysheeptest.Text("yes")
				later := time.Now().Add(8 * time.Second)
				for name, value := range tc.headers {
					switch value {
					case "unix":
						value = fmt.Sprint(later.Unix())
					case "unix-ms":
						value = fmt.Sprint(later.UnixMilli())
					case "rfc3339":
						value = later.Format(time.RFC3339)
					case "date":
						value = later.UTC().Format("Mon, 02 Jan 2006 15:04:05 GMT")
					}
					reply = reply.Header(name, value)
				}
				gw.Reply(reply)
				pacing := newPacing(t, route.PacingOptions{MaxWait: time.Hour})
				client := gw.Client(&holysheep.Options{Gate: pacing})
				for range 2 {
					_, err := client.Chat(t.Context(), greeting(holysheep.GPT41))
					require.NoError(t, err)
				}
				at := gw.Requests()
				require.InDelta(t, tc.held.Seconds(), at[1].Time.Sub(at[0].Time).Seconds(), 0.002)
			})
		})
	}
}

// A gateway that closes for a while is left alone by everybody, and not by the call alone that was told so.
func TestPacingHoldsForALongHint(t *testing.T) {
	synctest.Test(t, func(t *testing.T) {
		gw := holysheeptest.Start(t)
		gw.Reply(holysheeptest.Status(429).RetryAfter(20 * time.Second))
		pacing := newPacing(t, route.PacingOptions{})
		client := gw.Client(&holysheep.Options{Gate: pacing, MaxAttempts: 1})
		_, err := client.Chat(t.Context(), greeting(holysheep.GPT41))
		require.ErrorIs(t, err, holysheep.ErrRateLimited)
		start := time.Now()
		require.Equal(t, 20*time.Second, pacing.Statuses()[0].HeldUntil.Sub(start))

		ctx, cancel := context.WithTimeout(t.Context(), 5*time.Second)
		defer cancel()
		_, err = client.Chat(ctx, greeting(holysheep.GPT41))
		late, ok := errors.AsType[*route.WaitError](err)
		require.True(t, ok, "%v", err)
		require.InDelta(t, 20, late.Retry.Sub(start).Seconds(), 0.01)
		require.Zero(t, time.Since(start))

		_, err = client.Chat(t.Context(), greeting(holysheep.GPT41))
		require.NoError(t, err)
		require.Equal(t, 20*time.Second, time.Since(start))
		require.Equal(t, 2, gw.Count())
	})
}

func TestPacingGivesWayToOverload(t *testing.T) {
	synctest.Test(t, func(t *testing.T) {
		gw := holysheeptest.Start(t)
		pacing := newPacing(t, route.PacingOptions{StartConcurrency: 20, MaxConcurrency: 40})
		client := gw.Client(&holysheep.Options{Gate: pacing, MaxAttempts: 1})
		round := func(reply *holysheeptest.Reply, n int) {
			var calls sync.WaitGroup
			for range n {
				gw.Reply(reply)
				calls.Go(func() { _, _ = client.Chat(t.Context(), greeting(holysheep.GPT41)) })
			}
			calls.Wait()
		}
		limit := func() int { return pacing.Statuses()[0].Concurrency }
		for range 5 {
			round(holysheeptest.Text("yes").After(time.Second), 40)
		}
		require.Equal(t, 40, limit(), "answers raise it to the most")
		round(holysheeptest.Status(503).After(time.Second), 40)
		require.Equal(t, 28, limit(), "one round of trouble lowers it once")
		for range 20 {
			round(holysheeptest.Status(503).After(time.Second), 20)
		}
		require.Equal(t, 1, limit())
		round(holysheeptest.Text("yes").After(time.Second), 20)
		require.Greater(t, limit(), 1, "it comes back")
	})
}

// crowdedGateway answers the slower the more it has to answer.
type crowdedGateway struct {
	capacity atomic.Int64 // how many it answers in half a second
	underWay atomic.Int64
	most     atomic.Int64
}

func (g *crowdedGateway) RoundTrip(r *http.Request) (*http.Response, error) {
	_, _ = io.Copy(io.Discard, r.Body)
	_ = r.Body.Close()
	n := g.underWay.Add(1)
	defer g.underWay.Add(-1)
	g.most.Store(max(g.most.Load(), n))
	time.Sleep(time.Second / 2 * time.Duration(max(n, g.capacity.Load())) / time.Duration(g.capacity.Load()))
	return &http.Response{
		StatusCode: http.StatusOK, Header: http.Header{"Content-Type": {"application/json"}}, Request: r,
		Body: io.NopCloser(strings.NewReader(bucketAnswer)),
	}, nil
}

// When first bytes take ever longer, a queue is growing at the gateway.
func TestPacingGivesWayToLatency(t *testing.T) {
	synctest.Test(t, func(t *testing.T) {
		gw := &crowdedGateway{}
		gw.capacity.Store(20)
		pacing := newPacing(t, route.PacingOptions{})
		client, err := holysheep.New("hs_test_key_0123456789", &holysheep.Options{BaseURL: "http://localhost", Transport: gw, Gate: pacing})
		require.NoError(t, err)
		defer func() { require.NoError(t, client.Close()) }()
		end := time.Now().Add(5 * time.Minute)
		var calls sync.WaitGroup
		defer calls.Wait()
		for range 200 {
			calls.Go(func() {
				for time.Now().Before(end) {
					_, err := client.Chat(t.Context(), greeting(holysheep.GPT41))
					if err != nil { // its turn would come too late
						time.Sleep(time.Second)
					}
				}
			})
		}
		time.Sleep(2 * time.Minute)
		gw.most.Store(0)
		time.Sleep(time.Minute)
		busy := gw.most.Load()
		t.Logf("at most %d under way", busy)
		require.GreaterOrEqual(t, busy, int64(20), "its capacity is used")
		require.LessOrEqual(t, busy, int64(80), "and not four times that")

		gw.capacity.Store(4) // a fifth is left
		time.Sleep(30 * time.Second)
		gw.most.Store(0)
		time.Sleep(30 * time.Second)
		t.Logf("at most %d under way with a fifth of the capacity", gw.most.Load())
		require.LessOrEqual(t, gw.most.Load(), busy/2)
	})
}

func TestPacingCancelledInEveryPhase(t *testing.T) {
	synctest.Test(t, func(t *testing.T) {
		p := &paced{Pacing: newPacing(t, route.PacingOptions{StartConcurrency: 2, MaxConcurrency: 2, RequestsPerMinute: 600})}
		var calls sync.WaitGroup
		for i := range 500 {
			calls.Go(func() {
				ctx, cancel := context.WithTimeout(t.Context(), time.Duration(i%97)*time.Millisecond)
				defer cancel()
				at := p.attempt()
				if p.Before(ctx, nil, at) == nil {
					time.Sleep(time.Duration(i%13) * time.Millisecond)
					p.end(at)
				}
			})
			time.Sleep(time.Millisecond)
		}
		calls.Wait()
		s := p.status()
		require.Zero(t, s.InFlight, "every place comes back")
		require.Zero(t, s.Queued)
	})
}

// sharedInMemory is a SharedPace for processes that are in one.
type sharedInMemory struct {
	mu    sync.Mutex
	free  map[string]time.Time // when a bucket is full again
	asked int
	fails error
}

func (s *sharedInMemory) Reserve(_ context.Context, takes []route.SharedTake, most time.Duration) (wait time.Duration, err error) {
	s.mu.Lock()
	defer s.mu.Unlock()
	s.asked++
	if s.fails != nil {
		return 0, s.fails
	}
	now := time.Now()
	full := make([]time.Time, len(takes))
	for i, take := range takes {
		at := s.free[take.Key]
		if at.Before(now) {
			at = now
		}
		full[i] = at.Add(time.Duration(take.Amount / take.Rate * float64(time.Second)))
		wait = max(wait, full[i].Sub(now)-time.Duration(max(take.Burst, take.Amount)/take.Rate*float64(time.Second)))
	}
	if wait > most {
		return wait, nil
	}
	for i, take := range takes {
		s.free[take.Key] = full[i]
	}
	return wait, nil
}

func (s *sharedInMemory) Return(_ context.Context, takes []route.SharedTake) error {
	s.mu.Lock()
	defer s.mu.Unlock()
	for _, take := range takes {
		s.free[take.Key] = s.free[take.Key].Add(-time.Duration(take.Amount / take.Rate * float64(time.Second)))
	}
	return s.fails
}

func TestPacingShared(t *testing.T) {
	synctest.Test(t, func(t *testing.T) {
		shared := &sharedInMemory{free: map[string]time.Time{}}
		gw := newBucketGateway(100, 110, 100*time.Millisecond)
		gw.until = time.Now().Add(time.Hour)
		var answered [4]float64
		var running sync.WaitGroup
		end := time.Now().Add(time.Minute)
		for i := range answered {
			pacing := newPacing(t, route.PacingOptions{RequestsPerMinute: 6000, Shared: shared})
			client, err := holysheep.New("hs_test_key_0123456789", &holysheep.Options{BaseURL: "http://localhost", Transport: gw, Gate: pacing})
			require.NoError(t, err)
			defer func() { require.NoError(t, client.Close()) }()
			var mu sync.Mutex
			for range 16 {
				running.Go(func() {
					for time.Now().Before(end) {
						_, err := client.Chat(t.Context(), greeting(holysheep.GPT41))
						require.NoError(t, err)
						mu.Lock()
						answered[i]++
						mu.Unlock()
					}
				})
			}
		}
		running.Wait()
		require.Zero(t, gw.refused, "all processes keep to the limit together")
		require.InDelta(t, 6100, gw.accepted, 100)
		require.Greater(t, jain(answered[:]), 0.99)
	})
}

func TestPacingSharedFails(t *testing.T) {
	synctest.Test(t, func(t *testing.T) {
		var told []error
		shared := &sharedInMemory{free: map[string]time.Time{}, fails: errors.New("redis is down")}
		p := &paced{Pacing: newPacing(t, route.PacingOptions{
			RequestsPerMinute: 60, Shared: shared, OnError: func(err error) { told = append(told, err) },
		})}
		p.end(p.take(t))
		require.Len(t, told, 1)
		require.ErrorIs(t, told[0], shared.fails)

		shared.fails = nil
		shared.free["gw/gpt-4.1/requests"] = time.Now().Add(time.Hour)
		err := p.Before(t.Context(), nil, p.attempt())
		require.ErrorIs(t, err, route.ErrNoTurn, "the others have used it up")
		require.Zero(t, p.status().InFlight)
	})
}

func TestPacingRefusesBadOptions(t *testing.T) {
	_, err := route.NewPacing(&route.PacingOptions{
		RequestsPerMinute: -1, TokensPerMinute: -1, Burst: -1, MinConcurrency: -1, MaxQueue: -1, MaxWait: -1, SharedTimeout: -1,
	})
	require.ErrorIs(t, err, holysheep.ErrBadRequest)
	for _, field := range []string{"RequestsPerMinute", "TokensPerMinute", "Burst", "MinConcurrency", "MaxQueue", "MaxWait", "SharedTimeout"} {
		require.ErrorContains(t, err, "PacingOptions."+field+":", "all problems at once")
	}
	_, err = route.NewPacing(&route.PacingOptions{StartConcurrency: 50, MaxConcurrency: 10})
	require.ErrorContains(t, err, "StartConcurrency")
	_, err = route.NewPacing(&route.PacingOptions{Shared: &sharedInMemory{}})
	require.ErrorContains(t, err, "Shared")
}
