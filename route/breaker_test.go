package route_test

import (
	"context"
	"errors"
	"fmt"
	"math"
	"strings"
	"testing"
	"testing/synctest"
	"time"

	"github.com/stretchr/testify/require"

	"github.com/holysheep-ai/holysheep-go"
	"github.com/holysheep-ai/holysheep-go/holysheeptest"
	"github.com/holysheep-ai/holysheep-go/route"
)

// guarded is a client with a breaker in front of a gateway, and the changes that its breaker told of.
type guarded struct {
	*holysheep.Client
	gw      *holysheeptest.Server
	breaker *route.Breaker
	changes []string
}

func newGuarded(t *testing.T, opts route.BreakerOptions) *guarded {
	t.Helper()
	g := &guarded{gw: holysheeptest.Start(t)}
	opts.OnChange = func(before route.BreakerState, now route.BreakerStatus) {
		g.changes = append(g.changes, fmt.Sprintf("%v→%v", before, now.State))
	}
	var err error
	g.breaker, err = route.NewBreaker(&opts)
	require.NoError(t, err)
	g.Client = g.gw.Client(&holysheep.Options{MaxAttempts: 1, Gate: g.breaker})
	return g
}

func (g *guarded) ask(ctx context.Context) error {
	_, err := g.Chat(ctx, greeting(holysheep.GPT41))
	return err
}

func (g *guarded) status() route.BreakerStatus {
	return g.breaker.Status(holysheep.GPT41, g.breaker.Statuses()[0].Host)
}

// fail sends calls that are answered with reply.
func (g *guarded) fail(t *testing.T, n int, reply *holysheeptest.Reply) {
	t.Helper()
	for range n {
		g.gw.Reply(reply)
		require.Error(t, g.ask(t.Context()))
	}
}

func TestBreakerOpensProbesAndCloses(t *testing.T) {
	synctest.Test(t, func(t *testing.T) {
		g := newGuarded(t, route.BreakerOptions{MinCalls: 10, OpenFor: 5 * time.Second})
		for range 5 {
			require.NoError(t, g.ask(t.Context()))
		}
		g.fail(t, 4, holysheeptest.Status(503))
		require.Equal(t, route.BreakerClosed, g.status().State, "nine calls are too few")
		g.fail(t, 1, holysheeptest.Status(529))
		require.Equal(t, route.BreakerOpen, g.status().State, "half of ten")
		opened := time.Now()

		err := g.ask(t.Context())
		open, ok := errors.AsType[*route.OpenError](err)
		require.True(t, ok, "%v", err)
		require.ErrorIs(t, err, route.ErrOpen)
		require.Equal(t, holysheep.GPT41, open.Model)
		require.Equal(t, g.status().Host, open.Host)
		require.Equal(t, g.status().Until, open.Until)
		require.False(t, open.Until.Before(opened.Add(5*time.Second)))
		require.True(t, open.Until.Before(opened.Add(7500*time.Millisecond)), "jitter is half of OpenFor at most")
		require.Equal(t, 10, g.gw.Count(), "nothing is sent")

		_, err = g.Chat(t.Context(), greeting(holysheep.DeepSeekV32))
		require.NoError(t, err, "the other model has a circuit of its own")

		time.Sleep(time.Until(open.Until))
		require.Equal(t, route.BreakerHalfOpen, g.status().State)
		g.fail(t, 1, holysheeptest.Status(503))
		require.Equal(t, route.BreakerOpen, g.status().State, "the first probe that fails opens it again")
		time.Sleep(time.Until(g.status().Until))
		for range 3 {
			require.NotEqual(t, route.BreakerClosed, g.status().State)
			require.NoError(t, g.ask(t.Context()))
		}
		require.Equal(t, route.BreakerClosed, g.status().State, "three probes went well")
		require.Zero(t, g.status().Calls, "it counts anew")
		require.Equal(t, "closed→open open→half-open half-open→open open→half-open half-open→closed", strings.Join(g.changes, " "))
	})
}

func TestBreakerWindowForgets(t *testing.T) {
	synctest.Test(t, func(t *testing.T) {
		g := newGuarded(t, route.BreakerOptions{MinCalls: 10, Window: 10 * time.Second})
		g.fail(t, 9, holysheeptest.Status(503))
		time.Sleep(11 * time.Second)
		require.Zero(t, g.status().Calls)
		g.fail(t, 5, holysheeptest.Status(503))
		time.Sleep(5 * time.Second)
		g.fail(t, 4, holysheeptest.Status(503))
		require.Equal(t, 9, g.status().Failures)
		time.Sleep(6 * time.Second)
		require.Equal(t, 4, g.status().Failures, "the older half is gone")
		time.Sleep(time.Hour)
		g.fail(t, 9, holysheeptest.Status(503))
		require.Equal(t, 9, g.status().Failures)
		require.Equal(t, route.BreakerClosed, g.status().State)
	})
}

func TestBreakerCountsOnlyTrouble(t *testing.T) {
	for _, tc := range []struct {
		name  string
		reply *holysheeptest.Reply
		opens bool
	}{
		{"429", holysheeptest.Status(429), false},
		{"400", holysheeptest.Status(400), false},
		{"401", holysheeptest.Status(401), false},
		{"403", holysheeptest.Status(403), false},
		{"404", holysheeptest.Status(404), false},
		{"408", holysheeptest.Status(408), false},
		{"409", holysheeptest.Status(409), false},
		{"413", holysheeptest.Status(413), false},
		{"422", holysheeptest.Status(422), false},
		{"501", holysheeptest.Status(501), false},
		{"503 that means no such model", holysheeptest.Error(503, "model_not_found", "无可用渠道"), false},
		{"500 that means no price", holysheeptest.Error(500, "model_price_error", "no price"), false},
		{"429 spent", holysheeptest.Error(429, "insufficient_quota", "spent"), false},
		{"page of a captive portal", holysheeptest.HTML(200, "<h1>Log in</h1>"), false},
		{"500", holysheeptest.Error(500, "do_request_failed", "upstream reset"), true},
		{"502 page", holysheeptest.HTML(502, "<h1>Bad Gateway</h1>"), true},
		{"503", holysheeptest.Status(503), true},
		{"504", holysheeptest.Status(504), true},
		{"524", holysheeptest.Status(524), true},
		{"529", holysheeptest.Status(529), true},
		{"overload inside a 200", holysheeptest.Raw(200, "application/json", `{"error":{"type":"overloaded_error","message":"busy"}}`), true},
		{"reset", holysheeptest.Reset(), true},
		{"cut", holysheeptest.Text("a long enough answer to be cut").CutAfter(2), true},
		{"no first byte", holysheeptest.Text("late").After(time.Hour), true},
	} {
		t.Run(tc.name, func(t *testing.T) {
			synctest.Test(t, func(t *testing.T) {
				g := newGuarded(t, route.BreakerOptions{MinCalls: 5, Window: time.Hour, SlowAfter: 2 * time.Hour})
				g.fail(t, 5, tc.reply)
				want := route.BreakerClosed
				if tc.opens {
					want = route.BreakerOpen
				}
				require.Equal(t, want, g.status().State)
				if !tc.opens {
					require.Zero(t, g.status().Calls)
				}
			})
		})
	}
}

func TestBreakerSlowCalls(t *testing.T) {
	synctest.Test(t, func(t *testing.T) {
		g := newGuarded(t, route.BreakerOptions{MinCalls: 5, SlowAfter: 10 * time.Second, Window: time.Hour})
		g.gw.Reply(holysheeptest.Text("quick"))
		require.NoError(t, g.ask(t.Context()))
		for range 2 {
			g.gw.Reply(holysheeptest.Text("late").After(12 * time.Second))
			require.NoError(t, g.ask(t.Context()))
		}
		for _, patience := range []time.Duration{time.Second, 11 * time.Second} {
			ctx, cancel := context.WithTimeout(t.Context(), patience)
			g.gw.Reply(holysheeptest.Text("late").After(12 * time.Second))
			require.ErrorIs(t, g.ask(ctx), context.DeadlineExceeded)
			cancel()
		}
		require.Equal(t, 4, g.status().Calls, "a caller who leaves early says nothing")
		require.Equal(t, 3, g.status().Slow)
		g.gw.Reply(holysheeptest.Text("late").After(12 * time.Second))
		require.NoError(t, g.ask(t.Context()))
		require.Equal(t, route.BreakerOpen, g.status().State, "four of five")
	})
}

func TestBreakerProbesAreBoundedAndNeverLeak(t *testing.T) {
	synctest.Test(t, func(t *testing.T) {
		g := newGuarded(t, route.BreakerOptions{MinCalls: 5, Probes: 2, Window: time.Hour})
		g.fail(t, 5, holysheeptest.Status(503))
		time.Sleep(time.Until(g.status().Until))

		g.gw.ReplyWhen(func(*holysheeptest.Request) bool { return true }, holysheeptest.Text("late").After(30*time.Second))
		ctx, cancel := context.WithCancel(t.Context())
		ended := make(chan error)
		for range 2 {
			go func() { ended <- g.ask(ctx) }()
		}
		synctest.Wait()
		sent := g.gw.Count()
		require.ErrorIs(t, g.ask(t.Context()), route.ErrOpen, "two probes are under way")
		require.Equal(t, sent, g.gw.Count())
		cancel()
		for range 2 {
			require.ErrorIs(t, <-ended, context.Canceled)
		}
		require.Equal(t, route.BreakerHalfOpen, g.status().State, "cancelled probes say nothing")
		for range 2 {
			require.NoError(t, g.ask(t.Context()), "and their places are free")
		}
		require.Equal(t, route.BreakerClosed, g.status().State)
	})
}

// A probe whose end is never told, because something between panicked, keeps its place for a minute.
func TestBreakerLostProbe(t *testing.T) {
	synctest.Test(t, func(t *testing.T) {
		g := newGuarded(t, route.BreakerOptions{MinCalls: 5, Probes: 1})
		g.fail(t, 5, holysheeptest.Status(503))
		time.Sleep(time.Until(g.status().Until))
		lost := &holysheep.Attempt{Host: g.status().Host, Model: holysheep.GPT41}
		require.NoError(t, g.breaker.Before(t.Context(), nil, lost))
		require.ErrorIs(t, g.ask(t.Context()), route.ErrOpen)
		time.Sleep(time.Minute)
		require.NoError(t, g.ask(t.Context()))
		require.Equal(t, route.BreakerClosed, g.status().State)
		lost.Start = time.Now().Add(-time.Minute)
		lost.Err = &holysheep.APIError{StatusCode: 503}
		g.breaker.After(t.Context(), nil, lost)
		require.Equal(t, route.BreakerClosed, g.status().State)
		require.Zero(t, g.status().Calls, "it is from before")
	})
}

// A gate behind the breaker that refuses, and a budget that does, give a probe back.
func TestBreakerProbeThatIsNotSent(t *testing.T) {
	synctest.Test(t, func(t *testing.T) {
		g := newGuarded(t, route.BreakerOptions{MinCalls: 5, Probes: 1})
		g.fail(t, 5, holysheeptest.Status(503))
		time.Sleep(time.Until(g.status().Until))
		door := &countingGate{refuse: errors.New("not now")}
		behind := g.gw.Client(&holysheep.Options{Gate: route.Gates(g.breaker, door)})
		poor := g.gw.Client(&holysheep.Options{Gate: g.breaker, Budgets: []*holysheep.Budget{{Name: "b", Limit: 1}}})
		for range 3 {
			_, err := behind.Chat(t.Context(), greeting(holysheep.GPT41))
			require.ErrorIs(t, err, door.refuse)
			_, err = poor.Chat(t.Context(), greeting(holysheep.GPT41))
			require.ErrorIs(t, err, holysheep.ErrBudgetExceeded)
		}
		require.Equal(t, route.BreakerHalfOpen, g.status().State)
		require.NoError(t, g.ask(t.Context()))
		require.Equal(t, route.BreakerClosed, g.status().State)
	})
}

func TestBreakerBurnsNoRetries(t *testing.T) {
	synctest.Test(t, func(t *testing.T) {
		g := newGuarded(t, route.BreakerOptions{MinCalls: 2})
		client := g.gw.Client(&holysheep.Options{Gate: g.breaker})
		g.gw.Reply(holysheeptest.Status(503), holysheeptest.Status(503))
		start := time.Now()
		_, err := client.Chat(t.Context(), greeting(holysheep.GPT41))
		require.ErrorIs(t, err, route.ErrOpen)
		require.ErrorIs(t, err, holysheep.ErrOverloaded, "what came before is not lost")
		require.Equal(t, 2, g.gw.Count())
		require.Less(t, time.Since(start), 4*time.Second, "two waits, not five")
		start = time.Now()
		_, err = client.Chat(t.Context(), greeting(holysheep.GPT41))
		require.ErrorIs(t, err, route.ErrOpen)
		require.Zero(t, time.Since(start))
	})
}

func TestBreakerByForce(t *testing.T) {
	synctest.Test(t, func(t *testing.T) {
		g := newGuarded(t, route.BreakerOptions{MinCalls: 5, Window: time.Hour})
		require.NoError(t, g.ask(t.Context()))
		host := g.status().Host

		g.breaker.ForceOpen(holysheep.GPT41, host)
		time.Sleep(time.Hour)
		err := g.ask(t.Context())
		open, ok := errors.AsType[*route.OpenError](err)
		require.True(t, ok, "%v", err)
		require.True(t, open.Forced)
		require.Zero(t, open.Until)
		require.Contains(t, err.Error(), "by force")

		g.breaker.ForceClosed(holysheep.GPT41, host)
		g.fail(t, 20, holysheeptest.Status(503))
		require.Equal(t, route.BreakerClosed, g.breaker.State(holysheep.GPT41, host))
		require.True(t, g.status().Forced)
		require.Equal(t, 20, g.status().Failures)

		g.breaker.Release(holysheep.GPT41, host)
		require.Equal(t, route.BreakerStatus{Model: holysheep.GPT41, Host: host}, g.status())
		g.fail(t, 5, holysheeptest.Status(503))
		require.Equal(t, route.BreakerOpen, g.status().State)
		require.Equal(t, "closed→open open→closed closed→closed closed→open", strings.Join(g.changes, " "))
		require.Equal(t, route.BreakerClosed, g.breaker.State("unknown", host))
	})
}

// Whatever names callers make up, the number of circuits is bounded; one that is open stays.
func TestBreakerBoundsItsMemory(t *testing.T) {
	synctest.Test(t, func(t *testing.T) {
		g := newGuarded(t, route.BreakerOptions{MinCalls: 5})
		g.fail(t, 5, holysheeptest.Status(503))
		host := g.status().Host
		for i := range 5000 {
			at := &holysheep.Attempt{Host: host, Model: fmt.Sprint("made-up-", i)}
			require.NoError(t, g.breaker.Before(t.Context(), nil, at))
			at.Start = time.Now()
			g.breaker.After(t.Context(), nil, at)
		}
		require.Len(t, g.breaker.Statuses(), 1000)
		require.Equal(t, route.BreakerOpen, g.breaker.State(holysheep.GPT41, host))
	})
}

func TestBreakerRefusesBadOptions(t *testing.T) {
	_, err := route.NewBreaker(&route.BreakerOptions{
		Window: -1, MinCalls: -1, FailureRate: 1.5, SlowAfter: -1, SlowRate: math.NaN(), OpenFor: time.Nanosecond,
		Jitter: new(-0.1), Probes: -1,
	})
	require.ErrorIs(t, err, holysheep.ErrBadRequest)
	for _, field := range []string{"Window", "MinCalls", "FailureRate", "SlowAfter", "SlowRate", "OpenFor", "Jitter", "Probes"} {
		require.ErrorContains(t, err, "BreakerOptions."+field+":", "all problems at once")
	}
}
