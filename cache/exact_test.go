package cache_test

import (
	"context"
	"errors"
	"fmt"
	"reflect"
	"strings"
	"sync"
	"sync/atomic"
	"testing"
	"testing/synctest"
	"time"

	"github.com/stretchr/testify/require"

	"github.com/holysheep-ai/holysheep-go"
	"github.com/holysheep-ai/holysheep-go/cache"
	"github.com/holysheep-ai/holysheep-go/holysheeptest"
)

const returns = "Within 30 days."

// exact makes a cache before a gateway, over a store of its own.
func exact(t *testing.T, opts *cache.ExactOptions, client *holysheep.Options) (*holysheeptest.Server, *cache.ExactCache, *holysheep.Client) {
	t.Helper()
	gw := holysheeptest.Start(t)
	c := gw.Client(client)
	e := cache.Exact(c, newStore(t), opts)
	t.Cleanup(func() { require.NoError(t, e.Close()) })
	return gw, e, c
}

func TestExactHit(t *testing.T) {
	synctest.Test(t, func(t *testing.T) {
		gw, e, c := exact(t, nil, nil)
		gw.Reply(holysheeptest.Text(returns))
		ctx, scope := holysheep.NewScope(t.Context(), holysheep.Tags{"tenant": "acme"})
		first, err := e.Chat(ctx, question("How do I return it?"))
		require.NoError(t, err)
		require.False(t, first.Cached)
		time.Sleep(time.Minute)

		again, err := e.Chat(ctx, question("How do I return it?"))
		require.NoError(t, err)
		require.Equal(t, returns, again.Text())
		require.True(t, again.Cached)
		require.Zero(t, again.Cost)
		require.Equal(t, first.Cost.USD, again.Saved)
		require.Equal(t, "cache", again.Steps[0].Kind)
		require.Equal(t, time.Minute, again.Steps[0].Detail.(*cache.Receipt).Age.Round(time.Second))
		require.Equal(t, 1, gw.Count())

		again.Choices[0].Message.Content[0] = holysheep.Text("changed") // the caller's own
		var text string
		for ev, err := range e.Stream(ctx, question("How do I return it?")) {
			require.NoError(t, err)
			text += ev.Text
			if ev.Response != nil {
				require.True(t, ev.Response.Cached)
			}
		}
		require.Equal(t, returns, text)
		require.Equal(t, 2*first.Cost.USD, scope.Totals().Saved)
		require.Equal(t, first.Cost, scope.Cost())
		require.Equal(t, 2*first.Cost.USD, c.Meter()[holysheep.DeepSeekV32].Saved)

		plan, err := holysheep.Plan(ctx, e, question("How do I return it?"))
		require.NoError(t, err)
		require.Zero(t, plan.Worst)
		require.Equal(t, first.Cost.USD, plan.Steps[0].Saved)

		time.Sleep(2 * time.Hour)
		gw.Reply(holysheeptest.Text("Within 60 days."))
		later, err := e.Chat(ctx, question("How do I return it?"))
		require.NoError(t, err)
		require.Equal(t, "Within 60 days.", later.Text(), "the time to live is over")
	})
}

func TestExactPerCall(t *testing.T) {
	synctest.Test(t, func(t *testing.T) {
		gw, e, _ := exact(t, nil, nil)
		gw.Reply(holysheeptest.Text("1"), holysheeptest.Text("2"), holysheeptest.Text("3"), holysheeptest.Text("4"))
		say := func(ctx context.Context) string {
			resp, err := e.Chat(ctx, question("x"))
			require.NoError(t, err)
			return resp.Text()
		}
		require.Equal(t, "1", say(t.Context()))
		require.Equal(t, "2", say(cache.Bypass(t.Context())))
		require.Equal(t, "1", say(t.Context()))
		require.Equal(t, "3", say(cache.Refresh(t.Context())))
		require.Equal(t, "3", say(t.Context()))
		time.Sleep(time.Minute)
		require.Equal(t, "4", say(cache.WithTTL(t.Context(), time.Second)), "older than the call wants")
		_, err := e.Chat(cache.WithTTL(t.Context(), 0), question("x"))
		require.ErrorIs(t, err, holysheep.ErrBadRequest)

		require.NoError(t, e.Evict(t.Context(), question("x")))
		gw.Reply(holysheeptest.Text("5"))
		require.Equal(t, "5", say(t.Context()))
	})
}

// Only whole answers are kept.
func TestExactKeepsWholeAnswersOnly(t *testing.T) {
	for name, reply := range map[string]*holysheeptest.Reply{
		"cut by length":  holysheeptest.Text("x").Finish("length"),
		"filtered":       holysheeptest.Text("x").Finish("content_filter"),
		"tool call":      holysheeptest.ToolCalls(holysheep.ToolCall{ID: "1", Name: "f", Arguments: "{}"}),
		"error":          holysheeptest.Status(400),
		"torn":           holysheeptest.Text("one two three").CutAfter(1),
		"other's cached": nil,
	} {
		t.Run(name, func(t *testing.T) {
			synctest.Test(t, func(t *testing.T) {
				gw, e, _ := exact(t, nil, &holysheep.Options{MaxAttempts: 1})
				if reply == nil {
					outer := cache.Exact(e, newStore(t), nil)
					defer func() { require.NoError(t, outer.Close()) }()
					_, err := e.Chat(t.Context(), question("x"))
					require.NoError(t, err)
					_, err = outer.Chat(t.Context(), question("x"))
					require.NoError(t, err)
					require.NoError(t, e.Evict(t.Context(), question("x")))
					resp, err := outer.Chat(t.Context(), question("x"))
					require.NoError(t, err)
					require.False(t, resp.Cached, "what was cached beneath was not kept above")
					return
				}
				gw.Reply(reply, holysheeptest.Text("whole"))
				_, _ = e.Chat(t.Context(), question("x"))
				resp, err := e.Chat(t.Context(), question("x"))
				require.NoError(t, err)
				require.Equal(t, "whole", resp.Text())
			})
		})
	}
}

func newStore(t *testing.T) cache.Store {
	t.Helper()
	store := cache.NewMemory(nil)
	t.Cleanup(func() { require.NoError(t, store.Close()) })
	return store
}

// A thousand equal requests at once are one call, plain and streamed together; each gets the whole answer, and one pays.
func TestExactSharesCallsUnderWay(t *testing.T) {
	synctest.Test(t, func(t *testing.T) {
		gw, e, c := exact(t, nil, nil)
		gw.Reply(holysheeptest.Text("one two three four").After(time.Second).Drip(time.Second))
		var wg sync.WaitGroup
		var spent, saved atomic.Int64
		for i := range 1000 {
			wg.Go(func() {
				ctx, scope := holysheep.NewScope(t.Context(), nil)
				if i%2 == 0 {
					resp, err := e.Chat(ctx, question("x"))
					if err != nil || resp.Text() != "one two three four" {
						t.Errorf("%v, %v", resp, err)
					}
				} else if got := collectText(e.Stream(ctx, question("x"))); got != "one two three four" {
					t.Errorf("got %q", got)
				}
				spent.Add(int64(scope.Cost().USD))
				saved.Add(int64(scope.Totals().Saved))
			})
		}
		wg.Wait()
		require.Equal(t, 1, gw.Count())
		require.EqualValues(t, gw.Billed(), spent.Load())
		require.EqualValues(t, 999*gw.Billed(), saved.Load())
		require.Equal(t, gw.Billed(), c.Meter()[holysheep.DeepSeekV32].Cost.USD)
	})
}

func collectText(stream func(func(holysheep.StreamEvent, error) bool)) (text string) {
	for ev, err := range stream {
		if err != nil {
			return err.Error()
		}
		text += ev.Text
	}
	return text
}

// Whoever came first may leave: the others get their answer. When the last one leaves, the call beneath ends.
func TestExactLeaving(t *testing.T) {
	synctest.Test(t, func(t *testing.T) {
		gw, e, _ := exact(t, nil, nil)
		gw.Reply(holysheeptest.Text("one two").After(time.Minute))
		leader, leave := context.WithCancel(t.Context())
		var led, followed error
		var wg sync.WaitGroup
		wg.Go(func() { _, led = e.Chat(leader, question("x")) })
		synctest.Wait()
		wg.Go(func() { _, followed = e.Chat(t.Context(), question("x")) })
		synctest.Wait()
		leave()
		wg.Wait()
		require.ErrorIs(t, led, context.Canceled)
		require.NoError(t, followed)
		require.Equal(t, 1, gw.Count())

		gw.Reply(holysheeptest.Text("never").After(time.Hour), holysheeptest.Text("anew"))
		alone, end := context.WithTimeout(t.Context(), time.Second)
		defer end()
		start := time.Now()
		_, err := e.Chat(alone, question("y"))
		require.ErrorIs(t, err, context.DeadlineExceeded)
		require.Equal(t, time.Second, time.Since(start))
		resp, err := e.Chat(t.Context(), question("y"))
		require.NoError(t, err)
		require.Equal(t, "anew", resp.Text())
	})
}

// A slow reader holds nobody up.
func TestExactSlowReader(t *testing.T) {
	synctest.Test(t, func(t *testing.T) {
		gw, e, _ := exact(t, nil, nil)
		gw.Reply(holysheeptest.Text("one two three four").Drip(time.Second))
		var wg sync.WaitGroup
		wg.Go(func() {
			for range e.Stream(t.Context(), question("x")) {
				time.Sleep(time.Hour)
			}
		})
		synctest.Wait()
		start := time.Now()
		require.Equal(t, "one two three four", collectText(e.Stream(t.Context(), question("x"))))
		require.Less(t, time.Since(start), time.Minute)
		wg.Wait()
	})
}

// Past its time an answer is still served, and fetched anew once.
func TestExactStale(t *testing.T) {
	synctest.Test(t, func(t *testing.T) {
		gw, e, _ := exact(t, &cache.ExactOptions{TTL: time.Minute, Stale: time.Hour}, nil)
		gw.Reply(holysheeptest.Text("old"), holysheeptest.Text("new").After(time.Second))
		for _, want := range []string{"old", "old", "old"} {
			resp, err := e.Chat(t.Context(), question("x"))
			require.NoError(t, err)
			require.Equal(t, want, resp.Text())
			time.Sleep(40 * time.Second)
		}
		resp, err := e.Chat(t.Context(), question("x"))
		require.NoError(t, err)
		require.Equal(t, "new", resp.Text())
		require.Equal(t, 2, gw.Count())
	})
}

// Errors reach everybody who waits and are not kept.
func TestExactErrors(t *testing.T) {
	synctest.Test(t, func(t *testing.T) {
		gw, e, _ := exact(t, nil, &holysheep.Options{MaxAttempts: 1})
		gw.Reply(holysheeptest.Status(503).After(time.Second), holysheeptest.Text("back"))
		var wg sync.WaitGroup
		for range 10 {
			wg.Go(func() {
				if _, err := e.Chat(t.Context(), question("x")); !errors.Is(err, holysheep.ErrOverloaded) {
					t.Errorf("got %v", err)
				}
			})
		}
		wg.Wait()
		resp, err := e.Chat(t.Context(), question("x"))
		require.NoError(t, err)
		require.Equal(t, "back", resp.Text())
	})
}

func TestBadExactOptions(t *testing.T) {
	gw := holysheeptest.Start(t)
	c, store := gw.Client(nil), newStore(t)
	for name, e := range map[string]*cache.ExactCache{
		"ExactOptions.TTL":            cache.Exact(c, store, &cache.ExactOptions{TTL: -1}),
		"ExactOptions.Stale":          cache.Exact(c, store, &cache.ExactOptions{Stale: -1}),
		"ExactOptions.MaxTemperature": cache.Exact(c, store, &cache.ExactOptions{MaxTemperature: new(-1.0)}),
		"next":                        cache.Exact(nil, store, nil),
		"store":                       cache.Exact(c, nil, nil),
	} {
		_, err := e.Chat(t.Context(), question("x"))
		bad, ok := errors.AsType[*holysheep.RequestError](err)
		require.True(t, ok, "%s: %v", name, err)
		require.Equal(t, name, bad.Field)
		require.Equal(t, err, e.Check(t.Context()))
	}
	require.Zero(t, gw.Count())
}

// echo answers with what it was asked, without a gateway.
type echo struct {
	holysheep.Completer
	calls atomic.Int64
}

func (e *echo) Unwrap() holysheep.Completer { return e.Completer }

func (e *echo) Chat(ctx context.Context, req *holysheep.ChatRequest) (*holysheep.ChatResponse, error) {
	e.calls.Add(1)
	text := holysheep.ScopeOf(ctx).Tag("tenant") + ": " + req.Messages[0].Text()
	return &holysheep.ChatResponse{Choices: []holysheep.Choice{{Message: holysheep.Assistant(text), FinishReason: "stop"}}}, nil
}

// A hundred tenants ask the same: no answer crosses, and each asks the model once a question.
func TestExactTenants(t *testing.T) {
	n := 1_000_000
	if testing.Short() || raceEnabled {
		n = 50_000
	}
	gw := holysheeptest.Start(t)
	next := &echo{Completer: gw.Client(nil)}
	e := cache.Exact(next, newStore(t), nil)
	defer func() { require.NoError(t, e.Close()) }()
	var wg sync.WaitGroup
	for w := range 8 {
		wg.Go(func() {
			for i := w; i < n; i += 8 {
				tenant := fmt.Sprintf("tenant %d", i%100)
				ctx, _ := holysheep.NewScope(t.Context(), holysheep.Tags{"tenant": tenant})
				resp, err := e.Chat(ctx, question(questions[i%len(questions)]))
				if err != nil || !strings.HasPrefix(resp.Text(), tenant+": ") {
					t.Errorf("%s got %v, %v", tenant, resp, err)
					return
				}
			}
		})
	}
	wg.Wait()
	require.LessOrEqual(t, next.calls.Load(), int64(100*len(questions)))
}

var questions = []string{"a", "b", "c"}

// Whatever can change an answer changes the key: each field of a request in turn.
func TestExactKeyKnowsEveryField(t *testing.T) {
	gw := holysheeptest.Start(t)
	next := &echo{Completer: gw.Client(nil)}
	e := cache.Exact(next, newStore(t), &cache.ExactOptions{ToolCalls: true})
	defer func() { require.NoError(t, e.Close()) }()
	base := func() *holysheep.ChatRequest {
		return &holysheep.ChatRequest{
			Model:    "gpt-4.1",
			Messages: []holysheep.Message{holysheep.User("x")},
			Tools:    []holysheep.Tool{{Name: "f"}, {Name: "g"}},
		}
	}
	_, err := e.Chat(t.Context(), base())
	require.NoError(t, err)
	for field, change := range map[string]func(r *holysheep.ChatRequest){
		"Model":            func(r *holysheep.ChatRequest) { r.Model = "gpt-4.1-mini" },
		"Messages":         func(r *holysheep.ChatRequest) { r.Messages = append(r.Messages, holysheep.User("y")) },
		"Temperature":      func(r *holysheep.ChatRequest) { r.Temperature = new(0.1) },
		"TopP":             func(r *holysheep.ChatRequest) { r.TopP = new(0.1) },
		"MaxTokens":        func(r *holysheep.ChatRequest) { r.MaxTokens = new(7) },
		"Stop":             func(r *holysheep.ChatRequest) { r.Stop = []string{"x"} },
		"Seed":             func(r *holysheep.ChatRequest) { r.Seed = new(int64(1)) },
		"N":                func(r *holysheep.ChatRequest) { r.N = new(1) },
		"PresencePenalty":  func(r *holysheep.ChatRequest) { r.PresencePenalty = new(0.1) },
		"FrequencyPenalty": func(r *holysheep.ChatRequest) { r.FrequencyPenalty = new(0.1) },
		"Logprobs":         func(r *holysheep.ChatRequest) { r.Logprobs = true },
		"TopLogprobs":      func(r *holysheep.ChatRequest) { r.TopLogprobs = new(1) },
		"ResponseFormat":   func(r *holysheep.ChatRequest) { r.ResponseFormat = &holysheep.ResponseFormat{Type: "json_object"} },
		"Tools":            func(r *holysheep.ChatRequest) { r.Tools[0].Description = "d" },
		"ToolChoice":       func(r *holysheep.ChatRequest) { r.ToolChoice = "f" },
		"ParallelTools":    func(r *holysheep.ChatRequest) { r.ParallelTools = new(false) },
		"ReasoningEffort":  func(r *holysheep.ChatRequest) { r.ReasoningEffort = "low" },
		"User":             func(r *holysheep.ChatRequest) { r.User = "u" },
		"Extra":            func(r *holysheep.ChatRequest) { r.Extra = map[string]any{"top_k": 1} },
		"Headers":          func(r *holysheep.ChatRequest) { r.Headers = map[string][]string{"X-A": {"b"}} },
	} {
		before := next.calls.Load()
		r := base()
		change(r)
		_, err := e.Chat(t.Context(), r)
		require.NoError(t, err, field)
		require.Equal(t, before+1, next.calls.Load(), "%s is not in the key", field)
		_, known := reflect.TypeFor[holysheep.ChatRequest]().FieldByName(field)
		require.True(t, known, field)
		delete(missing, field)
	}
	require.Empty(t, missing, "fields of a request that this test does not know")

	// Equal is what is sent alike, in whatever order maps come.
	for range 50 {
		r := base()
		r.Extra = map[string]any{"a": 1, "b": map[string]any{"c": 1, "d": 2}, "e": 3}
		_, err := e.Chat(t.Context(), r)
		require.NoError(t, err)
	}
	require.EqualValues(t, 1+20+1, next.calls.Load())
}

var missing = func() map[string]bool {
	out := map[string]bool{}
	for _, f := range reflect.VisibleFields(reflect.TypeFor[holysheep.ChatRequest]()) {
		out[f.Name] = true
	}
	return out
}()

// A client with another address or other defaults has other keys.
func TestExactKeyKnowsWhatLiesBeneath(t *testing.T) {
	store := newStore(t)
	for _, opts := range []*holysheep.Options{nil, {Temperature: new(0.1)}, {MaxTokens: new(10)}, {Model: holysheep.GPT41}, {Headers: map[string][]string{"X-A": {"b"}}}} {
		gw := holysheeptest.Start(t)
		e := cache.Exact(gw.Client(opts), store, nil)
		_, err := e.Chat(t.Context(), question("x"))
		require.NoError(t, err)
		require.Equal(t, 1, gw.Count())
		require.NoError(t, e.Close())
	}
}

func ExampleExact() {
	gateway, err := holysheeptest.NewServer()
	if err != nil {
		fmt.Println(err)
		return
	}
	defer gateway.Close()
	store := cache.NewMemory(nil)
	chat := cache.Exact(gateway.Client(nil), store, nil)
	for range 3 {
		resp, err := chat.Chat(context.Background(), &holysheep.ChatRequest{
			Messages: []holysheep.Message{holysheep.User("How do I return an order?")},
		})
		if err != nil {
			fmt.Println(err)
			return
		}
		fmt.Println(resp.Cached, resp.Cost, resp.Saved)
	}
	// Output:
	// false $0.00002198 $0.00
	// true $0.00 $0.00002198
	// true $0.00 $0.00002198
}

func BenchmarkExactHit(b *testing.B) {
	gw := holysheeptest.Start(b)
	e := cache.Exact(gw.Client(nil), cache.NewMemory(nil), nil)
	gw.Reply(holysheeptest.Text(strings.Repeat("word ", 800)))
	req := question("How do I return an order?")
	req.MaxTokens = new(2000)
	_, err := e.Chat(b.Context(), req)
	require.NoError(b, err)
	b.ReportAllocs()
	for b.Loop() {
		if resp, err := e.Chat(b.Context(), req); err != nil || !resp.Cached {
			b.Fatal(resp, err)
		}
	}
}
