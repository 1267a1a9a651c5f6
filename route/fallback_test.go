package route_test

import (
	"context"
	"errors"
	"fmt"
	"net/http"
	"testing"
	"testing/synctest"
	"time"

	"github.com/stretchr/testify/require"

	"github.com/holysheep-ai/holysheep-go"
	"github.com/holysheep-ai/holysheep-go/holysheeptest"
	"github.com/holysheep-ai/holysheep-go/route"
)

// fallen makes a fallback from dear to cheap before a gateway in memory.
func fallen(t *testing.T, client *holysheep.Options, opts *route.FallbackOptions) (*holysheeptest.Server, *route.Fallback, *rows) {
	t.Helper()
	gw, seen := holysheeptest.Start(t), &rows{}
	var o holysheep.Options
	if client != nil {
		o = *client
	}
	o.Observer = seen
	f, err := route.NewFallback(gw.Client(&o), map[string][]route.Target{dear: {{Model: cheap}}}, opts)
	require.NoError(t, err)
	return gw, f, seen
}

// askers ask by Chat and by Stream, and give what the reader has seen of it.
var askers = map[string]func(ctx context.Context, c holysheep.Completer, req *holysheep.ChatRequest) (*holysheep.ChatResponse, string, error){
	"chat": func(ctx context.Context, c holysheep.Completer, req *holysheep.ChatRequest) (*holysheep.ChatResponse, string, error) {
		resp, err := c.Chat(ctx, req)
		if err != nil {
			return nil, "", err
		}
		return resp, resp.Text(), nil
	},
	"stream": readStream,
}

func readStream(ctx context.Context, c holysheep.Completer, req *holysheep.ChatRequest) (resp *holysheep.ChatResponse, text string, err error) {
	for ev, err := range c.Stream(ctx, req) {
		if err != nil {
			return nil, text, err
		}
		text += ev.Text
		if ev.Response != nil {
			resp = ev.Response
		}
	}
	return resp, text, nil
}

func TestFallbackMovesOn(t *testing.T) {
	seed := greeting(dear)
	seed.Seed = new(int64(1))
	for _, c := range []struct {
		name  string
		reply *holysheeptest.Reply
		req   *holysheep.ChatRequest
		moves bool
	}{
		{"overloaded", holysheeptest.Status(503).RetryAfter(time.Minute), greeting(dear), true},
		{"rate limited", holysheeptest.Status(429), greeting(dear), true},
		{"server error", holysheeptest.Status(500), greeting(dear), true},
		{"conflict", holysheeptest.Status(409), greeting(dear), true},
		{"no answer", holysheeptest.Reset(), greeting(dear), true},
		{"a page", holysheeptest.HTML(200, "<html>"), greeting(dear), true},
		{"cut before the first token", holysheeptest.Text("x").CutAfter(0), greeting(dear), true},
		{"no such model", holysheeptest.Error(404, "model_not_found", "no such model"), greeting(dear), true},
		{"refused parameter", holysheeptest.Error(400, "unsupported_parameter", "seed"), seed, true},
		{"refused text", holysheeptest.Error(400, "invalid_request_error", "no"), greeting(dear), false},
		{"refused content", holysheeptest.Error(400, "content_filter", "no"), seed, false},
		{"key of the same gateway", holysheeptest.Status(401), greeting(dear), false},
		{"balance of the same gateway", holysheeptest.Status(402), greeting(dear), false},
		{"smaller window", holysheeptest.Error(400, "context_length_exceeded", "too long"), greeting(dear), false},
	} {
		t.Run(c.name, func(t *testing.T) {
			for name, ask := range askers {
				t.Run(name, func(t *testing.T) {
					synctest.Test(t, func(t *testing.T) {
						gw, f, seen := fallen(t, nil, nil)
						says(gw, dear, c.reply)
						says(gw, cheap, holysheeptest.Text("Within 30 days."))
						began := time.Now()
						resp, text, err := ask(t.Context(), f, c.req)
						row := seen.of("fallback")
						require.Len(t, row, 1)
						if !c.moves {
							require.Error(t, err)
							require.Equal(t, []string{dear}, asked(gw))
							return
						}
						require.NoError(t, err)
						require.Zero(t, time.Since(began), "nobody waits for the first one")
						require.Equal(t, []string{dear, cheap}, asked(gw))
						require.Equal(t, "Within 30 days.", text)
						require.Equal(t, cheap, resp.Requested)
						require.Len(t, resp.Steps, 1)
						require.Equal(t, "fallback", resp.Steps[0].Kind)
						require.Equal(t, row[0].Spent(), resp.Cost, "all that was spent")
						require.GreaterOrEqual(t, resp.Cost.AtMost, gw.Billed())
						receipt := resp.Steps[0].Detail.(*route.FallbackReceipt)
						require.Equal(t, cheap, receipt.Answered)
						require.Len(t, receipt.Tries, 2)
						require.Error(t, receipt.Tries[0].Err)
					})
				})
			}
		})
	}
}

func TestFallbackMovesToALargerWindow(t *testing.T) {
	gw := holysheeptest.Start(t)
	f, err := route.NewFallback(gw.Client(nil), map[string][]route.Target{
		holysheep.ClaudeSonnet45: {{Model: cheap}, {Model: holysheep.Gemini25Flash}},
	}, nil)
	require.NoError(t, err)
	says(gw, holysheep.ClaudeSonnet45, holysheeptest.Error(400, "context_length_exceeded", "too long"))
	resp, err := f.Chat(t.Context(), greeting(holysheep.ClaudeSonnet45))
	require.NoError(t, err)
	require.Equal(t, holysheep.Gemini25Flash, resp.Requested)
	require.Equal(t, `fallback: gemini-2.5-flash, asked for claude-sonnet-4.5
  claude-sonnet-4.5, 0s: 400 context too long: too long (code context_length_exceeded, request req-1)
  deepseek-v3.2: not asked, its window is no larger
  gemini-2.5-flash, 0s: answered
`, zeroTimes(resp.Steps[0].Detail.(*route.FallbackReceipt)))
}

func zeroTimes(r *route.FallbackReceipt) string {
	for i := range r.Tries {
		r.Tries[i].Took = 0
	}
	return r.String()
}

// Another gateway takes over where the key or the balance of the first one is refused.
func TestFallbackMovesToAnotherGateway(t *testing.T) {
	for _, status := range []int{401, 402, 403, 404} {
		first, second := holysheeptest.Start(t), holysheeptest.Start(t)
		f, err := route.NewFallback(first.Client(nil), nil, &route.FallbackOptions{Others: []route.Target{{Model: cheap}, {Completer: second.Client(nil)}}})
		require.NoError(t, err)
		first.Reply(holysheeptest.Error(status, "no", "not here"))
		resp, err := f.Chat(t.Context(), greeting(dear))
		require.NoError(t, err, status)
		require.Equal(t, 1, first.Count())
		require.Equal(t, []string{dear}, asked(second), "the model that was asked for")
		require.Equal(t, second.Billed(), resp.Cost.USD, "another client's rows count as well")
	}
}

func TestFallbackAfterAnOpenBreaker(t *testing.T) {
	synctest.Test(t, func(t *testing.T) {
		breaker, err := route.NewBreaker(nil)
		require.NoError(t, err)
		gw, f, _ := fallen(t, &holysheep.Options{Gate: breaker}, nil)
		breaker.ForceOpen(dear, "localhost")
		for range 1000 {
			_, err = f.Chat(t.Context(), greeting(dear))
			require.NoError(t, err, "moving on is paid back by answers")
		}
		require.NotContains(t, asked(gw), dear)
	})
}

func TestFallbackAfterNoFirstToken(t *testing.T) {
	for name, ask := range askers {
		t.Run(name, func(t *testing.T) {
			synctest.Test(t, func(t *testing.T) {
				gw, f, seen := fallen(t, nil, &route.FallbackOptions{FirstToken: 2 * time.Second})
				says(gw, dear, holysheeptest.Text("late").After(10*time.Second))
				says(gw, cheap, holysheeptest.Text("slow as well").After(4*time.Second))
				resp, text, err := ask(t.Context(), f, greeting(dear))
				require.NoError(t, err)
				require.Equal(t, "slow as well", text, "the last one may take longer")
				require.Equal(t, 6*time.Second, resp.FirstToken.Round(time.Millisecond), "from the start")
				require.Equal(t, 6*time.Second, resp.Latency.Round(time.Millisecond))
				receipt := resp.Steps[0].Detail.(*route.FallbackReceipt)
				require.ErrorIs(t, receipt.Tries[0].Err, holysheep.ErrTimeout)
				require.NotErrorIs(t, receipt.Tries[0].Err, context.Canceled)
				require.Equal(t, 2*time.Second, receipt.Tries[0].Took)

				// The one that was given up may be on the bill, and is in it.
				require.GreaterOrEqual(t, resp.Cost.AtMost, gw.Billed())
				require.Equal(t, seen.of("fallback")[0].Spent(), resp.Cost)
				require.Len(t, seen.of("chat"), 2)
			})
		})
	}
}

// Once something has been shown nothing is asked again.
func TestFallbackNeverShowsTwoTexts(t *testing.T) {
	for _, reply := range []*holysheeptest.Reply{
		holysheeptest.Text("The answer is long").CutAfter(2),
		holysheeptest.Text("The answer is long").ErrorAfter(2, "overloaded_error", "busy"),
		holysheeptest.Text("The answer is long").EndAfter(2),
	} {
		gw, f, seen := fallen(t, nil, nil)
		says(gw, dear, reply)
		_, text, err := readStream(t.Context(), f, greeting(dear))
		cut, ok := errors.AsType[*holysheep.StreamError](err)
		require.True(t, ok, err)
		require.Equal(t, text, cut.Partial.Text())
		require.Equal(t, 1, gw.Count())
		require.ErrorIs(t, seen.of("fallback")[0].Err, cut.Err)
	}
}

// What was spent before is in the partial answer of the one that broke off.
func TestFallbackPartialAnswerHasWhatWasSpent(t *testing.T) {
	gw, f, _ := fallen(t, nil, nil)
	says(gw, dear, holysheeptest.Reset())
	says(gw, cheap, holysheeptest.Text("The answer is long").CutAfter(2))
	_, text, err := readStream(t.Context(), f, greeting(dear))
	cut, ok := errors.AsType[*holysheep.StreamError](err)
	require.True(t, ok)
	require.Equal(t, "The answer", text)
	require.GreaterOrEqual(t, cut.Partial.Cost.AtMost, gw.Billed())
}

func TestFallbackWhenNobodyAnswers(t *testing.T) {
	synctest.Test(t, func(t *testing.T) {
		gw, f, seen := fallen(t, &holysheep.Options{MaxAttempts: 3}, nil)
		says(gw, dear, holysheeptest.Status(429).RetryAfter(time.Hour))
		says(gw, cheap, holysheeptest.Status(503))
		_, err := f.Chat(t.Context(), greeting(dear))
		nobody, ok := errors.AsType[*route.FallbackError](err)
		require.True(t, ok)
		require.Len(t, nobody.Receipt.Tries, 2)
		require.ErrorIs(t, err, holysheep.ErrOverloaded)
		require.ErrorIs(t, err, holysheep.ErrRateLimited)
		last, _ := errors.AsType[*holysheep.APIError](err)
		require.Equal(t, 503, last.StatusCode, "the last one first")
		require.Equal(t, []string{dear, cheap, cheap, cheap}, asked(gw), "the last one may be asked as often as its client allows")
		require.Equal(t, err, seen.of("fallback")[0].Err)
	})
}

// An outage of everything: what moving on adds is bounded, and what is well again is found out.
func TestFallbackQuota(t *testing.T) {
	synctest.Test(t, func(t *testing.T) {
		gw, f, _ := fallen(t, &holysheep.Options{MaxAttempts: 1}, nil)
		down := true
		says(gw, dear, holysheeptest.Status(503))
		gw.ReplyWhen(func(r *holysheeptest.Request) bool { return down && r.Model == cheap }, holysheeptest.Status(503))
		for range 2000 {
			_, err := f.Chat(t.Context(), greeting(dear))
			require.ErrorIs(t, err, holysheep.ErrOverloaded)
			time.Sleep(time.Millisecond)
		}
		t.Logf("%d requests of 2,000 calls in 2 s", gw.Count())
		require.InDelta(t, 2000+100+2, gw.Count(), 1)

		down = false
		answered := 0
		for range 500 {
			if _, err := f.Chat(t.Context(), greeting(dear)); err == nil {
				answered++
			}
			time.Sleep(10 * time.Millisecond)
		}
		require.Greater(t, answered, 450)
	})
}

// A target is asked with a request of its own, and within the budget of its client.
func TestFallbackRequests(t *testing.T) {
	gw := holysheeptest.Start(t)
	client := gw.Client(&holysheep.Options{Budgets: []*holysheep.Budget{{Name: "day", Limit: holysheep.Dollars(0.01), Period: holysheep.Daily}}})
	f, err := route.NewFallback(client, map[string][]route.Target{cheap: {
		{Model: dear},
		{Model: holysheep.Gemini25Flash, Prepare: func(r *holysheep.ChatRequest) { r.MaxTokens, r.Seed = new(16), nil }},
	}}, nil)
	require.NoError(t, err)

	req := greeting(cheap)
	req.MaxTokens, req.Seed = new(1000), new(int64(7))
	says(gw, cheap, holysheeptest.Status(503))
	says(gw, dear, holysheeptest.Status(503))
	_, err = f.Chat(t.Context(), req)
	require.NoError(t, err)
	sent := gw.Requests()
	require.Len(t, sent, 3)
	require.Contains(t, string(sent[1].Body), `"seed":7`)
	require.Contains(t, string(sent[2].Body), `"max_tokens":16`)
	require.NotContains(t, string(sent[2].Body), "seed")
	require.Equal(t, 1000, *req.MaxTokens, "the caller's request is left alone")

	// What the dear one may cost does not fit the day any more: it is not asked, nor is anybody after it.
	req.MaxTokens = new(5000)
	_, err = f.Chat(t.Context(), req)
	require.ErrorIs(t, err, holysheep.ErrBudgetExceeded)
	require.Equal(t, []string{cheap, dear, holysheep.Gemini25Flash, cheap}, asked(gw))
}

func TestFallbackStopsWithTheContext(t *testing.T) {
	for name, ask := range askers {
		t.Run(name, func(t *testing.T) {
			synctest.Test(t, func(t *testing.T) {
				gw, f, _ := fallen(t, nil, &route.FallbackOptions{FirstToken: time.Minute})
				says(gw, dear, holysheeptest.Text("late").After(time.Hour))
				ctx, cancel := context.WithTimeout(t.Context(), time.Second)
				defer cancel()
				_, _, err := ask(ctx, f, greeting(dear))
				require.ErrorIs(t, err, context.DeadlineExceeded)
				require.Equal(t, []string{dear}, asked(gw))
			})
		})
	}
}

func TestFallbackIsPlannedAndResolved(t *testing.T) {
	gw := holysheeptest.Start(t)
	client := gw.Client(nil)
	with := func(list ...route.Target) *route.Fallback {
		f, err := route.NewFallback(client, map[string][]route.Target{dear: list}, nil)
		require.NoError(t, err)
		return f
	}
	f := with(route.Target{Model: cheap}, route.Target{Model: holysheep.Gemini25Flash})
	q, err := holysheep.Plan(t.Context(), f, greeting(dear))
	require.NoError(t, err)
	require.Equal(t, dear, q.Model)
	require.Equal(t, "gpt-4.1; where it cannot answer deepseek-v3.2, then gemini-2.5-flash", q.Steps[0].Reason)
	worst := holysheep.USD(0)
	for _, model := range []string{dear, cheap, holysheep.Gemini25Flash} {
		one, err := holysheep.Plan(t.Context(), client, greeting(model))
		require.NoError(t, err)
		worst += one.Worst.AtMost
	}
	require.Equal(t, worst, q.Worst.AtMost)

	seen := map[string]bool{}
	short := func(n int) func(*holysheep.ChatRequest) {
		return func(r *holysheep.ChatRequest) { r.MaxTokens = new(n) }
	}
	for _, c := range []holysheep.Completer{
		client, f, with(route.Target{Model: cheap}), with(route.Target{Model: cheap, Prepare: short(5)}), with(route.Target{Model: cheap, Prepare: short(6)}),
		with(route.Target{Completer: holysheeptest.Start(t).Client(&holysheep.Options{Headers: http.Header{"X-Org": {"b"}}})}),
	} {
		resolved, fingerprint, err := holysheep.Resolve(c, greeting(dear))
		require.NoError(t, err)
		require.Equal(t, dear, resolved.Model)
		require.False(t, seen[fingerprint], "two that could answer differently never share a key")
		seen[fingerprint] = true
	}
	_, fingerprint, err := holysheep.Resolve(f, greeting(cheap))
	require.NoError(t, err)
	_, plain, err := holysheep.Resolve(client, greeting(cheap))
	require.NoError(t, err)
	require.Equal(t, plain, fingerprint, "a model without a list is the client's")
	require.Zero(t, gw.Count())
}

// A request that leaves the model to the client, or to a router beneath, has the list of what that would ask.
func TestFallbackOfTheDefaultModel(t *testing.T) {
	gw := holysheeptest.Start(t)
	client := gw.Client(&holysheep.Options{Model: dear})
	f, err := route.NewFallback(client, map[string][]route.Target{dear: {{Model: cheap}}}, nil)
	require.NoError(t, err)
	says(gw, dear, holysheeptest.Status(503))
	resp, err := f.Chat(t.Context(), greeting(""))
	require.NoError(t, err)
	require.Equal(t, cheap, resp.Requested)
}

func TestFallbackRefusesWhatCannotWork(t *testing.T) {
	gw := holysheeptest.Start(t)
	client := gw.Client(nil)
	inner, err := route.NewFallback(client, map[string][]route.Target{cheap: {{Model: dear}}}, nil)
	require.NoError(t, err)
	for _, c := range []struct {
		name    string
		targets map[string][]route.Target
		opts    *route.FallbackOptions
		want    []string
	}{
		{"nothing", nil, nil, []string{"targets: there are none"}},
		{"a list of nothing", map[string][]route.Target{dear: nil}, nil, []string{`targets["gpt-4.1"]: there are none`}},
		{"unknown", map[string][]route.Target{"gpt-9": {{Model: "gpt-10"}}}, nil, []string{
			`targets["gpt-9"]: the model is not known`, `targets["gpt-9"][0]: "gpt-10" is not known`, `"gpt-10" has no price`,
		}},
		{"itself", map[string][]route.Target{dear: {{}, {Model: dear}}}, nil, []string{
			`targets["gpt-4.1"][0]: it leads back to gpt-4.1`, `targets["gpt-4.1"][1]: it leads back to gpt-4.1`,
		}},
		{"twice", map[string][]route.Target{dear: {{Model: cheap}, {Model: cheap}}}, nil, []string{`targets["gpt-4.1"][1]: it leads back to deepseek-v3.2`}},
		{"a cycle through another one", map[string][]route.Target{dear: {{Completer: inner, Model: cheap}}}, nil, []string{
			`targets["gpt-4.1"][0]: it leads back to deepseek-v3.2`,
		}},
		{"figures", map[string][]route.Target{"": {{Model: cheap}}}, &route.FallbackOptions{Attempts: 9, FirstToken: -1, Others: []route.Target{{}}}, []string{
			`targets[""]: a model has a name`, "FallbackOptions.Attempts: 9", "FallbackOptions.FirstToken: -1ns", "FallbackOptions.Others[0]: it leads back to the model",
		}},
	} {
		t.Run(c.name, func(t *testing.T) {
			_, err := route.NewFallback(client, c.targets, c.opts)
			require.ErrorIs(t, err, holysheep.ErrBadRequest)
			for _, want := range c.want {
				require.ErrorContains(t, err, want)
			}
		})
	}
	_, err = route.NewFallback(nil, map[string][]route.Target{dear: {{Model: cheap}}}, nil)
	require.ErrorContains(t, err, "next: nil")

	_, err = route.NewFallback(client, map[string][]route.Target{dear: {{Model: cheap}}, cheap: {{Model: dear}}}, nil)
	require.NoError(t, err, "two may stand in for each other: lists are not joined")
}

func TestFallbackPanics(t *testing.T) {
	gw, seen := holysheeptest.Start(t), &rows{}
	f, err := route.NewFallback(gw.Client(&holysheep.Options{Observer: seen}), map[string][]route.Target{
		dear: {{Model: cheap, Prepare: func(*holysheep.ChatRequest) { panic("bug") }}},
	}, &route.FallbackOptions{FirstToken: time.Hour})
	require.NoError(t, err)
	says(gw, dear, holysheeptest.Status(503))
	require.Panics(t, func() { _, _ = f.Chat(t.Context(), greeting(dear)) })
	require.Panics(t, func() { _, _, _ = readStream(t.Context(), f, greeting(dear)) })
	require.Len(t, seen.of("fallback"), 2, "the row is closed all the same")
	for ev, err := range f.Stream(t.Context(), greeting(cheap)) {
		require.NoError(t, err)
		if ev.Text != "" {
			break
		}
	}
	stream := f.Stream(t.Context(), greeting(cheap))
	for range stream {
		break
	}
	for _, err := range stream {
		require.ErrorIs(t, err, holysheep.ErrStreamUsed)
	}
	_, err = f.Chat(t.Context(), nil)
	require.ErrorIs(t, err, holysheep.ErrBadRequest)
	require.Contains(t, fmt.Sprint(err), "nil")
}

// What comes after the limit, in spite of a cancelled context, is not shown.
func TestFallbackFromTheStubborn(t *testing.T) {
	synctest.Test(t, func(t *testing.T) {
		gw := holysheeptest.Start(t)
		gw.Reply(holysheeptest.Text("in time"))
		s := &stubborn{Completer: gw.Client(nil), whiles: []time.Duration{5 * time.Second, time.Second}}
		f, err := route.NewFallback(s, map[string][]route.Target{dear: {{Completer: gw.Client(nil)}}}, &route.FallbackOptions{FirstToken: 2 * time.Second})
		require.NoError(t, err)
		for _, want := range []string{"in time", "after 1s"} {
			_, text, err := readStream(t.Context(), f, greeting(dear))
			require.NoError(t, err)
			require.Equal(t, want, text)
		}
	})
}

// A target behind an open breaker has not failed: once that closes it is asked at once.
func TestFallbackQuotaIsNotForBreakers(t *testing.T) {
	synctest.Test(t, func(t *testing.T) {
		breaker, err := route.NewBreaker(nil)
		require.NoError(t, err)
		gw, f, _ := fallen(t, &holysheep.Options{Gate: breaker}, nil)
		breaker.ForceOpen(dear, "localhost")
		breaker.ForceOpen(cheap, "localhost")
		for range 500 {
			_, err = f.Chat(t.Context(), greeting(dear))
			require.ErrorIs(t, err, route.ErrOpen)
		}
		require.Zero(t, gw.Count())
		breaker.Release(cheap, "localhost")
		_, err = f.Chat(t.Context(), greeting(dear))
		require.NoError(t, err)
	})
}
