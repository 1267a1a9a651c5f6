package route_test

import (
	"context"
	"errors"
	"fmt"
	"math"
	"reflect"
	"strings"
	"sync"
	"testing"
	"testing/synctest"
	"time"

	"github.com/stretchr/testify/require"

	"github.com/holysheep-ai/holysheep-go"
	"github.com/holysheep-ai/holysheep-go/cache"
	"github.com/holysheep-ai/holysheep-go/holysheeptest"
	"github.com/holysheep-ai/holysheep-go/route"
)

// receiptOf asks, and gives the router's receipt.
func receiptOf(t *testing.T, r *route.Router, req *holysheep.ChatRequest) *route.Receipt {
	t.Helper()
	return receiptIn(t.Context(), t, r, req)
}

func receiptIn(ctx context.Context, t *testing.T, r *route.Router, req *holysheep.ChatRequest) *route.Receipt {
	t.Helper()
	resp, err := r.Chat(ctx, req)
	require.NoError(t, err)
	require.NotEmpty(t, resp.Steps)
	receipt, ok := resp.Steps[0].Detail.(*route.Receipt)
	require.True(t, ok)
	return receipt
}

// rows keeps what an observer is told.
type rows struct {
	mu    sync.Mutex
	calls []*holysheep.Call
}

func (r *rows) Begin(ctx context.Context, _ *holysheep.Call) context.Context { return ctx }
func (r *rows) Wait(context.Context, *holysheep.Call, holysheep.Wait)        {}

func (r *rows) End(_ context.Context, call *holysheep.Call) {
	r.mu.Lock()
	defer r.mu.Unlock()
	r.calls = append(r.calls, call)
}

// of gives the rows of one operation.
func (r *rows) of(operation string) (found []*holysheep.Call) {
	r.mu.Lock()
	defer r.mu.Unlock()
	for _, c := range r.calls {
		if c.Operation == operation {
			found = append(found, c)
		}
	}
	return found
}

// routed makes a router before a gateway in memory.
func routed(t *testing.T, p route.Policy, opts *route.RouterOptions) (*holysheeptest.Server, *holysheep.Client, *route.Router, *rows) {
	t.Helper()
	gw, seen := holysheeptest.Start(t), &rows{}
	client := gw.Client(&holysheep.Options{Observer: seen})
	r, err := route.New(client, p, opts)
	require.NoError(t, err)
	return gw, client, r, seen
}

func TestRouter(t *testing.T) {
	for _, stream := range []bool{false, true} {
		t.Run(fmt.Sprintf("stream %v", stream), func(t *testing.T) {
			synctest.Test(t, func(t *testing.T) {
				gw, client, r, seen := routed(t, route.Default(), nil)
				gw.Reply(holysheeptest.Text("At nine."))
				req := ask("When do you open?")
				before := *req
				ctx, scope := holysheep.NewScope(t.Context(), nil)
				var resp *holysheep.ChatResponse
				var err error
				if stream {
					resp, err = holysheep.Collect(r.Stream(ctx, req))
				} else {
					resp, err = r.Chat(ctx, req)
				}
				require.NoError(t, err)
				require.True(t, reflect.DeepEqual(before, *req), "the caller's request is not changed")
				require.Equal(t, "At nine.", resp.Text())
				require.Equal(t, holysheep.Gemini25Flash, gw.Requests()[0].Model)
				require.Equal(t, holysheep.Gemini25Flash, resp.Requested)
				require.Equal(t, gw.Billed(), resp.Cost.USD)

				require.Len(t, resp.Steps, 1)
				step := resp.Steps[0]
				require.Equal(t, "route", step.Kind)
				require.Equal(t, "simple: gemini-2.5-flash", step.Reason)
				receipt := step.Detail.(*route.Receipt)
				require.True(t, receipt.Final)
				sonnet, _ := holysheep.ListPrices().Lookup(holysheep.ClaudeSonnet45)
				gpt, _ := holysheep.ListPrices().Lookup(holysheep.GPT41)
				require.Equal(t, sonnet.Of(resp.Usage), receipt.AllPremium)
				require.Equal(t, gpt.Of(resp.Usage), receipt.AllGPT41)
				require.Equal(t, resp.Cost.USD, receipt.Cost)
				require.Equal(t, receipt.AllPremium-receipt.Cost, step.Saved)
				require.Equal(t, step.Saved, resp.Saved)
				require.Equal(t, step.Saved, scope.Totals().Saved)
				require.Equal(t, step.Saved, client.Meter()[holysheep.Gemini25Flash].Saved)
				require.Equal(t, gw.Billed(), scope.Cost().USD, "and is booked once")

				row, chat := seen.of("route")[0], seen.of("chat")[0]
				require.Same(t, row, chat.Parent)
				require.Zero(t, row.Cost)
				require.Equal(t, gw.Billed(), row.Spent().USD)
				require.Equal(t, holysheep.Gemini25Flash, row.Model)
				require.Equal(t, step, row.Steps[0])
				require.Equal(t, stream, row.Stream)
				require.NoError(t, row.Err)
				require.Empty(t, chat.Response.Steps, "the client's row has not been changed afterwards")
			})
		})
	}
}

func TestWhoChooses(t *testing.T) {
	_, _, r, _ := routed(t, route.Default(), nil)
	premium := route.WithQuality(t.Context(), route.Premium)
	for _, c := range []struct {
		name  string
		ctx   context.Context //nolint:containedctx // of a row
		model string
		asked string
	}{
		{"no model", t.Context(), "", holysheep.Gemini25Flash},
		{"auto", t.Context(), route.Auto, holysheep.Gemini25Flash},
		{"balanced", t.Context(), route.Balanced.Model(), holysheep.Gemini25Flash},
		{"economy", t.Context(), route.Economy.Model(), holysheep.DeepSeekV32},
		{"premium", t.Context(), route.Premium.Model(), holysheep.ClaudeSonnet45},
		{"coding", t.Context(), route.Coding.Model(), holysheep.GPT41},
		{"premium by context", premium, "", holysheep.ClaudeSonnet45},
		{"premium by context, auto", premium, route.Auto, holysheep.ClaudeSonnet45},
		{"the request goes first", premium, "auto:coding", holysheep.GPT41},
		{"coding by context", route.WithQuality(premium, route.Coding), "", holysheep.GPT41},
	} {
		t.Run(c.name, func(t *testing.T) {
			req := ask("When do you open?")
			req.Model = c.model
			require.Equal(t, c.asked, receiptIn(c.ctx, t, r, req).Chosen)
		})
	}

	for _, named := range []string{holysheep.GPT41, "automatic", "gpt-9", holysheep.DeepSeekV32} {
		req := ask("When do you open?")
		req.Model = named
		resp, err := r.Chat(premium, req)
		require.NoError(t, err)
		require.Equal(t, named, resp.Requested)
		require.Empty(t, resp.Steps, "a request that names a model is left alone")
		q, err := holysheep.Plan(premium, r, req)
		require.NoError(t, err)
		require.Equal(t, named, q.Model)
		require.Empty(t, q.Steps)
	}

	bad := ask("When do you open?")
	bad.Model = "auto:best"
	for _, err := range []error{
		errOf(r.Chat(t.Context(), bad)), errOf(holysheep.Collect(r.Stream(t.Context(), bad))), errOf(holysheep.Plan(t.Context(), r, bad)),
	} {
		e, ok := errors.AsType[*holysheep.RequestError](err)
		require.True(t, ok, err)
		require.Equal(t, "Model", e.Field)
	}
	_, err := r.Chat(route.WithQuality(t.Context(), 77), ask("x"))
	require.ErrorIs(t, err, holysheep.ErrBadRequest)
	_, err = r.Chat(t.Context(), nil)
	require.ErrorIs(t, err, holysheep.ErrBadRequest)
	_, err = r.Chat(t.Context(), &holysheep.ChatRequest{})
	require.ErrorIs(t, err, holysheep.ErrBadRequest)
}

func errOf[T any](_ T, err error) error { return err }

func TestWhatModelsLack(t *testing.T) {
	_, _, r, _ := routed(t, route.Default(), nil)
	picture := holysheep.Image{URL: "https://example.com/a.png"}
	schema := &holysheep.ResponseFormat{Type: "json_schema", Name: "x", Schema: []byte(`{"type":"object"}`)}
	long := strings.Repeat("word ", 60_000) // 160,000 tokens as they are estimated
	for _, c := range []struct {
		name   string
		req    holysheep.ChatRequest
		asked  string
		passed string
	}{
		{"a picture", holysheep.ChatRequest{Messages: []holysheep.Message{holysheep.User("Why?", picture)}}, holysheep.Gemini25Flash, "reads no pictures"},
		{"a schema", holysheep.ChatRequest{Messages: []holysheep.Message{holysheep.User("Why?")}, ResponseFormat: schema}, holysheep.Gemini25Flash, "keeps to no JSON schema"},
		{
			"a schema, premium",
			holysheep.ChatRequest{Model: "auto:premium", Messages: []holysheep.Message{holysheep.User("Why?")}, ResponseFormat: schema},
			holysheep.GPT41, "keeps to no JSON schema",
		},
		{"a long prompt", holysheep.ChatRequest{Messages: []holysheep.Message{holysheep.User(long)}}, holysheep.Gemini25Flash, "its window is too small"},
		{"tools", holysheep.ChatRequest{Messages: []holysheep.Message{holysheep.User("Why?")}, Tools: []holysheep.Tool{{Name: "f"}}}, holysheep.DeepSeekV32, ""},
		{
			"the cheapest that reads pictures",
			holysheep.ChatRequest{Model: "auto:economy", Messages: []holysheep.Message{holysheep.User("?", picture)}},
			holysheep.Gemini25Flash, "reads no pictures",
		},
	} {
		t.Run(c.name, func(t *testing.T) {
			got := receiptOf(t, r, &c.req)
			require.Equal(t, c.asked, got.Chosen, got)
			require.Equal(t, c.passed, got.Candidates[0].Lacks)
		})
	}

	huge := &holysheep.ChatRequest{Messages: []holysheep.Message{holysheep.User("?")}, MaxTokens: new(math.MaxInt), N: new(128)}
	vast, err := route.New(nothing{}, route.Policy{}, nil)
	require.NoError(t, err)
	require.Equal(t, "its window is too small", receiptOf(t, vast, huge).Candidates[0].Lacks)

	alone, err := route.New(nothing{}, route.Cheapest(holysheep.DeepSeekV32), nil)
	require.NoError(t, err)
	req := &holysheep.ChatRequest{Messages: []holysheep.Message{holysheep.User("?", picture)}}
	require.Equal(t, holysheep.DeepSeekV32, receiptOf(t, alone, req).Chosen, "what is known of models is no reason to refuse")
}

func TestCheapest(t *testing.T) {
	_, _, r, _ := routed(t, route.Cheapest(), nil)
	require.Equal(t, holysheep.DeepSeekV32, receiptOf(t, r, ask("When do you open?")).Chosen, "also for what is simple")

	// A long prompt and a short answer, against the reverse.
	prices, err := holysheep.ListPrices().With("reader", holysheep.Price{Input: holysheep.Dollars(0.10), Output: holysheep.Dollars(9)})
	require.NoError(t, err)
	prices, err = prices.With("writer", holysheep.Price{Input: holysheep.Dollars(5), Output: holysheep.Dollars(0.10)})
	require.NoError(t, err)
	gw := holysheeptest.Start(t)
	gw.Prices = prices
	client := gw.Client(&holysheep.Options{Prices: prices, Models: map[string]holysheep.ModelInfo{"reader": {Name: "reader"}, "writer": {Name: "writer"}}})
	r, err = route.New(client, route.Cheapest("writer", "reader"), nil)
	require.NoError(t, err)
	read := ask(strings.Repeat("word ", 1000))
	read.MaxTokens = new(10)
	require.Equal(t, "reader", receiptOf(t, r, read).Chosen)
	write := ask("A novel, please.")
	write.MaxTokens = new(10_000)
	receipt := receiptOf(t, r, write)
	require.Equal(t, "writer", receipt.Chosen)
	require.Less(t, receipt.Candidates[0].Expected, receipt.Candidates[1].Expected)
}

func TestOverride(t *testing.T) {
	_, _, r, _ := routed(t, route.Default(), &route.RouterOptions{Override: true})
	req := ask("When do you open?")
	req.Model = holysheep.GPT41
	resp, err := r.Chat(t.Context(), req)
	require.NoError(t, err)
	require.Equal(t, holysheep.Gemini25Flash, resp.Requested)
	require.Equal(t, "simple: gemini-2.5-flash, in place of gpt-4.1", resp.Steps[0].Reason)
	receipt := resp.Steps[0].Detail.(*route.Receipt)
	require.Equal(t, receipt.AllGPT41-receipt.Cost, resp.Saved, "against the model that it named")

	_, _, r, _ = routed(t, route.Default(), &route.RouterOptions{Baseline: holysheep.DeepSeekV32})
	resp, err = r.Chat(t.Context(), ask("When do you open?"))
	require.NoError(t, err)
	require.Negative(t, resp.Saved, "the vendor's choice for what is simple is the dearer one")
}

// Everything that is wrong is told at once.
func TestProblemsOfPolicies(t *testing.T) {
	_, err := route.New(nil, route.Policy{
		Rules: []route.Rule{
			{Name: "a", Quality: []route.Quality{route.Premium, 99}, Models: []string{"gpt-9"}},
			{Name: "a", Class: []route.Class{"unheard of"}, Models: []string{"o3"}, MaxP95: -time.Second},
			{Models: []string{holysheep.GPT41, holysheep.GPT41}},
			{Name: "late"},
		},
		Classifier: route.Words(-1, -5),
	}, &route.RouterOptions{Baseline: "gpt-9"})
	fields := map[string]int{}
	for _, one := range err.(interface{ Unwrap() []error }).Unwrap() {
		e, ok := errors.AsType[*holysheep.RequestError](one)
		require.True(t, ok, one)
		fields[e.Field]++
	}
	require.Equal(t, map[string]int{
		"next": 1, "RouterOptions.Baseline": 1, "Words.under": 1, "Words.over": 1,
		"Policy.Rules[0].Quality": 1, "Policy.Rules[0].Models[0]": 2, // not known, and without a price
		"Policy.Rules[1].Name": 1, "Policy.Rules[1].Class": 1, "Policy.Rules[1].MaxP95": 1, "Policy.Rules[1].Models[0]": 1, // no price
		"Policy.Rules[2].Name": 1, "Policy.Rules[2].Models[1]": 1,
		"Policy.Rules[3].Name": 1, "Policy.Rules[3].Models": 1,
	}, fields, err)
	require.ErrorIs(t, err, holysheep.ErrBadRequest)

	for name, p := range map[string]route.Policy{
		"no rules":               {Name: "x"},
		"none fits everything":   {Rules: []route.Rule{{Name: "a", Class: []route.Class{route.Simple}, Models: []string{holysheep.GPT41}}}},
		"an overlap":             {Rules: route.Default().Rules, Classifier: route.Words(15, 13)},
		"a nameless classifier":  {Rules: route.Cheapest().Rules, Classifier: &route.Classifier{}},
		"an unknown class":       {Rules: route.ByContent().Rules},
		"examples without class": {Rules: route.Cheapest().Rules, Classifier: route.Nearest(nil, []route.Example{{Text: "x"}}, &route.NearestOptions{Votes: -1, Least: 2, Timeout: -1})},
	} {
		_, err := route.New(nothing{}, p, nil)
		require.ErrorIs(t, err, holysheep.ErrBadRequest, name)
	}
	for _, p := range []route.Policy{{}, route.Default(), route.ByContent(), route.Cheapest()} {
		_, err := route.New(nothing{}, p, nil)
		require.NoError(t, err)
	}
}

func TestPoliciesDoNotChange(t *testing.T) {
	p := route.Cheapest(holysheep.GPT41)
	r, err := route.New(nothing{}, p, nil)
	require.NoError(t, err)
	p.Rules[0].Models[0] = "something else"
	r.Policy().Rules[0].Models[0] = "something else"
	require.Equal(t, holysheep.GPT41, receiptOf(t, r, ask("x")).Chosen)
}

func TestPlanShowsTheRoute(t *testing.T) {
	gw, client, r, seen := routed(t, route.Default(), nil)
	q, err := holysheep.Plan(route.WithQuality(t.Context(), route.Premium), r, ask("When do you open?"))
	require.NoError(t, err)
	require.Equal(t, holysheep.ClaudeSonnet45, q.Model)
	require.Equal(t, "premium: claude-sonnet-4.5", q.Steps[0].Reason)
	receipt := q.Steps[0].Detail.(*route.Receipt)
	require.Equal(t, q.Expected.USD, receipt.Cost, "the same expectation")
	require.False(t, receipt.Final)
	require.Zero(t, q.Steps[0].Saved)
	require.Equal(t, receipt.AllPremium, receipt.Cost)

	named := ask("When do you open?")
	named.Model = holysheep.ClaudeSonnet45
	direct, err := holysheep.Plan(t.Context(), client, named)
	require.NoError(t, err)
	q.Steps = nil
	require.Equal(t, direct, q)
	require.Zero(t, gw.Count())
	require.Empty(t, seen.calls, "a plan leaves no row")
}

func TestKeysOfCaches(t *testing.T) {
	gw, client, r, _ := routed(t, route.Default(), nil)
	req := ask("When do you open?")
	resolved, fingerprint, err := holysheep.Resolve(r, req)
	require.NoError(t, err)
	require.Equal(t, holysheep.Gemini25Flash, resolved.Model)
	require.Equal(t, 2048, *resolved.MaxTokens)
	require.Empty(t, req.Model)

	same, err := route.New(client, route.Policy{}, nil)
	require.NoError(t, err)
	_, sameFingerprint, err := holysheep.Resolve(same, req)
	require.NoError(t, err)
	require.Equal(t, fingerprint, sameFingerprint)
	_, beneath, err := holysheep.Resolve(client, req)
	require.NoError(t, err)
	prints := map[string]bool{fingerprint: true, beneath: true}
	for _, p := range []route.Policy{
		route.ByContent(), route.Cheapest(), route.Cheapest(holysheep.GPT41), {Name: "default", Rules: route.Default().Rules, Classifier: route.Words(15, 41)},
	} {
		other, err := route.New(client, p, nil)
		require.NoError(t, err)
		_, fingerprint, err := holysheep.Resolve(other, req)
		require.NoError(t, err)
		require.NotContains(t, prints, fingerprint)
		prints[fingerprint] = true
	}

	// Behind a cache.
	store := cache.NewMemory(nil)
	defer func() { require.NoError(t, store.Close()) }()
	c := cache.Exact(r, store, nil)
	defer func() { require.NoError(t, c.Close()) }()
	for i, w := range []struct {
		quality route.Quality
		cached  bool
	}{{route.Balanced, false}, {route.Premium, false}, {route.Premium, true}, {route.Balanced, true}, {route.Coding, false}} {
		resp, err := c.Chat(route.WithQuality(t.Context(), w.quality), ask("When do you open?"))
		require.NoError(t, err)
		require.Equal(t, w.cached, resp.Cached, "call %d: what was answered cheaply is not served for premium", i)
	}
	require.Equal(t, 3, gw.Count())
}

func TestStreams(t *testing.T) {
	synctest.Test(t, func(t *testing.T) {
		gw, _, r, seen := routed(t, route.Default(), nil)
		gw.Reply(holysheeptest.Text("At nine, and on Sundays at ten."), holysheeptest.Text("At nine, and on Sundays at ten.").CutAfter(2))
		for range r.Stream(t.Context(), ask("When do you open?")) {
			break
		}
		synctest.Wait()
		require.Len(t, seen.of("route"), 1)
		require.NoError(t, seen.of("route")[0].Err, "a break is no error")
		require.Zero(t, seen.of("route")[0].Steps[0].Saved)

		stream := r.Stream(t.Context(), ask("When do you open?"))
		_, err := holysheep.Collect(stream)
		require.ErrorIs(t, err, holysheep.ErrTruncated)
		require.ErrorIs(t, seen.of("route")[1].Err, holysheep.ErrTruncated)
		require.Equal(t, "route", seen.of("route")[1].Steps[0].Kind)
		_, err = holysheep.Collect(stream)
		require.ErrorIs(t, err, holysheep.ErrStreamUsed)

		for ev, err := range r.Stream(t.Context(), ask("When do you open?")) {
			require.NoError(t, err)
			if ev.Response != nil {
				require.Len(t, seen.of("route"), 3, "closed before the last event")
				require.Equal(t, ev.Response.Saved, seen.of("route")[2].Saved)
			}
		}

		func() {
			defer func() { require.Equal(t, "mine", recover()) }()
			for range r.Stream(t.Context(), ask("When do you open?")) {
				panic("mine")
			}
		}()
		require.Error(t, seen.of("route")[3].Err)
	})
}

// A model that has been slow is passed over, and tried again after some minutes.
func TestSlowModels(t *testing.T) {
	synctest.Test(t, func(t *testing.T) {
		p := route.Policy{Rules: []route.Rule{{Name: "all", Models: []string{holysheep.Gemini25Flash, holysheep.DeepSeekV32}, MaxP95: time.Second}}}
		gw, _, r, _ := routed(t, p, nil)
		gw.ReplyWhen(func(r *holysheeptest.Request) bool { return r.Model == holysheep.Gemini25Flash }, holysheeptest.Text("x").After(3*time.Second))
		asked := map[string]int{}
		for range 30 {
			asked[receiptOf(t, r, ask("x")).Chosen]++
		}
		require.Equal(t, map[string]int{holysheep.Gemini25Flash: 20, holysheep.DeepSeekV32: 10}, asked)
		receipt := receiptOf(t, r, ask("x"))
		require.Equal(t, "is slower than the rule allows", receipt.Candidates[0].Lacks)
		require.InEpsilon(t, 3*time.Second, receipt.Candidates[0].P95, 0.25)
		require.GreaterOrEqual(t, receipt.Candidates[0].P95, 3*time.Second)

		resolved, _, err := holysheep.Resolve(r, ask("x"))
		require.NoError(t, err)
		require.Equal(t, holysheep.Gemini25Flash, resolved.Model, "keys of caches do not follow the times")

		time.Sleep(5*time.Minute + time.Second)
		require.Equal(t, holysheep.Gemini25Flash, receiptOf(t, r, ask("x")).Chosen)
	})
}

// Failures that callers wait for count as slow; a caller that leaves says nothing.
func TestSlowFailures(t *testing.T) {
	synctest.Test(t, func(t *testing.T) {
		p := route.Policy{Rules: []route.Rule{{Name: "all", Models: []string{holysheep.Gemini25Flash, holysheep.DeepSeekV32}, MaxP95: time.Second}}}
		gw, _, r, _ := routed(t, p, nil)
		gw.ReplyWhen(func(r *holysheeptest.Request) bool { return r.Model == holysheep.Gemini25Flash }, holysheeptest.Status(503).After(3*time.Second))
		for range 30 {
			ctx, cancel := context.WithTimeout(t.Context(), time.Second)
			_, err := r.Chat(ctx, ask("x"))
			require.ErrorIs(t, err, context.DeadlineExceeded)
			cancel()
		}
		for range 20 {
			_, err := r.Chat(holysheep.LimitAttempts(t.Context(), 1), ask("x"))
			require.ErrorIs(t, err, holysheep.ErrOverloaded)
		}
		require.Equal(t, holysheep.DeepSeekV32, receiptOf(t, r, ask("x")).Chosen)
	})
}

func TestOwnClassifier(t *testing.T) {
	type loud struct{}
	fails := errors.New("no idea")
	asked := 0
	c := &route.Classifier{
		Name: "loud", Classes: []route.Class{"loud", "quiet"},
		Classify: func(ctx context.Context, req *holysheep.ChatRequest, f *route.Features) (route.Class, error) {
			asked++
			switch text := req.Messages[0].Text(); {
			case ctx.Value(loud{}) != nil || strings.HasSuffix(text, "!"):
				return "loud", nil
			case f.Questions > 0:
				return "", fails
			}
			return "quiet", nil
		},
	}
	p := route.Policy{Name: "mine", Classifier: c, Rules: []route.Rule{
		{Name: "loud", Class: []route.Class{"loud"}, Models: []string{holysheep.ClaudeSonnet45}},
		{Name: "rest", Models: []string{holysheep.DeepSeekV32}},
	}}
	_, _, r, seen := routed(t, p, nil)
	require.Equal(t, holysheep.ClaudeSonnet45, receiptOf(t, r, ask("hey!")).Chosen)
	require.Equal(t, holysheep.DeepSeekV32, receiptOf(t, r, ask("hey")).Chosen)
	require.Equal(t, holysheep.ClaudeSonnet45, receiptIn(context.WithValue(t.Context(), loud{}, 1), t, r, ask("hey")).Chosen)
	unsure := receiptOf(t, r, ask("hey?"))
	require.Equal(t, holysheep.DeepSeekV32, unsure.Chosen)
	require.ErrorIs(t, unsure.Unsure, fails)
	require.Equal(t, route.Simple, unsure.Class)
	require.Contains(t, unsure.String(), "no idea")
	require.Len(t, seen.of("route"), 4)

	asked = 0
	q, err := holysheep.Plan(t.Context(), r, ask("hey!"))
	require.NoError(t, err)
	require.Equal(t, holysheep.ClaudeSonnet45, q.Model)
	resolved, _, err := holysheep.Resolve(r, ask("hey!"))
	require.NoError(t, err)
	require.Equal(t, holysheep.ClaudeSonnet45, resolved.Model)
	require.Equal(t, 2, asked)

	c.Classify = func(context.Context, *holysheep.ChatRequest, *route.Features) (route.Class, error) { panic("mine") }
	_, _, r, seen = routed(t, p, nil)
	require.PanicsWithValue(t, "mine", func() { _, _ = r.Chat(t.Context(), ask("hey")) })
	require.Error(t, seen.of("route")[0].Err)
}

func TestManyAtOnce(t *testing.T) {
	gw, client, r, seen := routed(t, route.ByContent(), nil)
	texts := []string{"When do you open?", "Write a regex for dates.", "Explain why inflation rises when banks fingerprint money, and for whom.", "Solve 3x + 7 = 22."}
	var all sync.WaitGroup
	for i := range 200 {
		all.Go(func() {
			resp, err := r.Chat(t.Context(), ask(texts[i%len(texts)]))
			if err != nil || resp.Steps[0].Detail.(*route.Receipt).Cost != resp.Cost.USD {
				t.Error(resp, err)
			}
		})
	}
	all.Wait()
	var sum, saved holysheep.USD
	for _, total := range client.Meter() {
		sum, saved = sum+total.Cost.USD, saved+total.Saved
	}
	require.Equal(t, gw.Billed(), sum)
	var rowsSaved holysheep.USD
	for _, c := range seen.of("route") {
		rowsSaved += c.Saved
	}
	require.Equal(t, rowsSaved, saved)
	require.Len(t, client.Meter(), 3)
}
