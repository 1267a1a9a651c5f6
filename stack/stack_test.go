package stack_test

import (
	"context"
	"net/http"
	"sync/atomic"
	"testing"
	"testing/synctest"
	"time"

	"github.com/stretchr/testify/require"

	"github.com/holysheep-ai/holysheep-go"
	"github.com/holysheep-ai/holysheep-go/cache"
	"github.com/holysheep-ai/holysheep-go/holysheeptest"
	"github.com/holysheep-ai/holysheep-go/route"
	"github.com/holysheep-ai/holysheep-go/stack"
)

// before makes a stack before a gateway in memory.
func before(t *testing.T, opts stack.Options) (*holysheeptest.Server, *stack.Stack) {
	t.Helper()
	gw := holysheeptest.Start(t)
	opts.Client.BaseURL, opts.Client.Transport = gw.BaseURL(), gw.Transport()
	s, err := stack.New(holysheeptest.Key, &opts)
	require.NoError(t, err)
	t.Cleanup(func() { require.NoError(t, s.Close()) })
	return gw, s
}

func ask(text string) *holysheep.ChatRequest {
	return &holysheep.ChatRequest{Messages: []holysheep.Message{holysheep.User(text)}}
}

func embedder(c *holysheep.Client) holysheep.Embedder {
	return c.Embedder("text-embedding-3-small", nil)
}

// Each part does its work, and says so.
func TestEveryPart(t *testing.T) {
	synctest.Test(t, func(t *testing.T) {
		gw, s := before(t, stack.Options{Embedder: embedder, Hedge: &route.HedgeOptions{}, Ladder: &route.LadderOptions{}})
		ctx, _ := holysheep.NewScope(t.Context(), holysheep.Tags{"tenant": "shop"})
		kinds := func(resp *holysheep.ChatResponse) (kinds []string) {
			for _, step := range resp.Steps {
				kinds = append(kinds, step.Kind)
			}
			return kinds
		}
		const question = "How do I return a toaster that came damaged?"
		resp, err := s.Chat(ctx, ask("Where is my parcel now?"))
		require.NoError(t, err)
		require.Equal(t, holysheep.Gemini25Flash, resp.Requested)
		require.Contains(t, kinds(resp), "route")

		gw.ReplyWhen(func(r *holysheeptest.Request) bool { return r.Model == holysheep.DeepSeekV32 }, holysheeptest.Status(503))
		resp, err = s.Chat(ctx, ask(question))
		require.NoError(t, err)
		require.Equal(t, holysheep.Gemini25Flash, resp.Requested, "deepseek-v3.2 could not")
		require.Subset(t, kinds(resp), []string{"fallback", "route"})

		resp, err = s.Chat(ctx, ask(question))
		require.NoError(t, err)
		require.True(t, resp.Cached)
		require.IsType(t, &cache.Receipt{}, resp.Steps[0].Detail)
		resp, err = holysheep.Collect(s.Stream(ctx, ask("How do I return a toaster that came damaged")))
		require.NoError(t, err)
		require.IsType(t, &cache.SemanticHit{}, resp.Steps[0].Detail)

		require.NotEmpty(t, s.Breaker.Statuses())
		require.NotEmpty(t, s.Pacing.Statuses())
		q, err := holysheep.Plan(ctx, s, ask("Why is the sky blue?"))
		require.NoError(t, err)
		require.Equal(t, holysheep.DeepSeekV32, q.Model)
	})
}

// outage answers 503 while the gateway is down.
type outage struct {
	next http.RoundTripper
	down *atomic.Bool
}

func (o outage) RoundTrip(r *http.Request) (*http.Response, error) {
	if !o.down.Load() {
		return o.next.RoundTrip(r)
	}
	return &http.Response{StatusCode: http.StatusServiceUnavailable, Body: http.NoBody, Header: http.Header{}, Request: r}, nil
}

// When nothing answers, the ladder climbs until calls end at once; when all is well again it comes down.
func TestLadderGoesByTheBreaker(t *testing.T) {
	synctest.Test(t, func(t *testing.T) {
		gw := holysheeptest.Start(t)
		var down atomic.Bool
		down.Store(true)
		s, err := stack.New(holysheeptest.Key, &stack.Options{
			Client:  holysheep.Options{BaseURL: gw.BaseURL(), Transport: outage{gw.Transport(), &down}, MaxAttempts: 1},
			Breaker: &route.BreakerOptions{MinCalls: 3},
			Ladder:  &route.LadderOptions{Most: route.CachedOnly},
		})
		require.NoError(t, err)
		defer func() { require.NoError(t, s.Close()) }()
		for range 120 {
			_, err = s.Chat(t.Context(), ask("Where is my parcel?"))
			require.Error(t, err)
			time.Sleep(time.Second)
			if rung, _ := s.Ladder.Rung(t.Context()); rung == route.CachedOnly {
				break
			}
		}
		_, err = s.Chat(t.Context(), ask("Where is my parcel?"))
		require.ErrorIs(t, err, route.ErrRefused)
		down.Store(false)
		for range 300 {
			time.Sleep(time.Second)
			if _, err = s.Chat(t.Context(), ask("Where is my parcel?")); err == nil {
				break
			}
		}
		require.NoError(t, err)
	})
}

func TestBadStacks(t *testing.T) {
	_, err := stack.New("no key", &stack.Options{
		Breaker: &route.BreakerOptions{FailureRate: 2}, Pacing: &route.PacingOptions{MaxQueue: -1},
	})
	require.ErrorIs(t, err, holysheep.ErrBadRequest)
	for _, part := range []string{"FailureRate", "MaxQueue", "key"} {
		require.ErrorContains(t, err, part)
	}
	for part, opts := range map[string]stack.Options{
		"TTL":       {Exact: &cache.ExactOptions{TTL: -1}},
		"Threshold": {Semantic: &cache.SemanticOptions{Threshold: 2}, Embedder: embedder},
		"Embedder":  {Embedder: func(*holysheep.Client) holysheep.Embedder { return nil }},
		"nonesuch":  {Policy: route.Cheapest("nonesuch")},
		"unknown":   {Fallback: map[string][]route.Target{holysheep.GPT41: {{Model: "unknown"}}}},
		"Share":     {Hedge: &route.HedgeOptions{Share: 2}},
		"Most":      {Ladder: &route.LadderOptions{Most: 9}},
	} {
		_, err := stack.New(holysheeptest.Key, &opts)
		require.ErrorContains(t, err, part)
	}
}

func TestCloseEndsEverything(t *testing.T) {
	_, s := before(t, stack.Options{Embedder: embedder})
	_, err := s.Chat(context.Background(), ask("x"))
	require.NoError(t, err)
	require.NoError(t, s.Close())
	require.NoError(t, s.Close())
	_, err = s.Chat(context.Background(), ask("x"))
	require.ErrorIs(t, err, holysheep.ErrClosed)
}
