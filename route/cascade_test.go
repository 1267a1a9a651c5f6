package route_test

import (
	"context"
	"errors"
	"fmt"
	"net/http"
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

const (
	cheap = holysheep.DeepSeekV32
	dear  = holysheep.GPT41
)

// cascaded makes a cascade of two models before a gateway in memory.
func cascaded(t *testing.T, checks []route.Check, opts *route.CascadeOptions) (*holysheeptest.Server, *route.Cascade, *rows) {
	t.Helper()
	gw, seen := holysheeptest.Start(t), &rows{}
	c, err := route.NewCascade(gw.Client(&holysheep.Options{Observer: seen}), []string{cheap, dear}, checks, opts)
	require.NoError(t, err)
	t.Cleanup(func() { require.NoError(t, c.Close()) })
	return gw, c, seen
}

func says(gw *holysheeptest.Server, model string, replies ...*holysheeptest.Reply) {
	gw.ReplyWhen(func(r *holysheeptest.Request) bool { return r.Model == model }, replies...)
}

// asked are the models in the order that they were asked.
func asked(gw *holysheeptest.Server) (models []string) {
	for _, r := range gw.Requests() {
		models = append(models, r.Model)
	}
	return models
}

// rejecting rejects answers that have the word in them.
func rejecting(word string) route.Check {
	return route.Check{Name: "not " + word, Reject: func(_ context.Context, _ *holysheep.ChatRequest, resp *holysheep.ChatResponse) (string, error) {
		if strings.Contains(resp.Text(), word) {
			return "it has the word", nil
		}
		return "", nil
	}}
}

func TestCascade(t *testing.T) {
	for _, c := range []struct {
		name, answer, text string
		stream             bool
		models             []string
	}{
		{"passes", "good", "good", false, []string{cheap}},
		{"passes, as a stream", "good", "good", true, []string{cheap}},
		{"rejected", "bad", "better", false, []string{cheap, dear}},
		{"rejected, as a stream", "bad", "better", true, []string{cheap, dear}},
	} {
		t.Run(c.name, func(t *testing.T) {
			synctest.Test(t, func(t *testing.T) {
				gw, cascade, seen := cascaded(t, []route.Check{rejecting("bad")}, nil)
				says(gw, cheap, holysheeptest.Text(c.answer))
				says(gw, dear, holysheeptest.Text("better"))
				ctx, scope := holysheep.NewScope(t.Context(), nil)
				req := ask("x")
				var resp *holysheep.ChatResponse
				var shown string
				if c.stream {
					for ev, err := range cascade.Stream(ctx, req) {
						require.NoError(t, err)
						shown += ev.Text
						if ev.Response != nil {
							resp = ev.Response
							require.Len(t, seen.of("cascade"), 1, "closed before the last event")
						}
					}
					require.Equal(t, c.text, shown, "nothing of a rejected answer")
				} else {
					var err error
					resp, err = cascade.Chat(ctx, req)
					require.NoError(t, err)
				}
				require.Empty(t, req.Model)
				require.Equal(t, c.text, resp.Text())
				require.Equal(t, c.models, asked(gw))
				require.Equal(t, gw.Billed(), resp.Cost.USD, "all that was spent")
				require.Equal(t, gw.Billed(), scope.Cost().USD)

				receipt := resp.Steps[0].Detail.(*route.CascadeReceipt)
				require.Equal(t, "cascade", resp.Steps[0].Kind)
				require.Len(t, receipt.Tries, len(c.models))
				price, _ := holysheep.ListPrices().Lookup(dear)
				require.Equal(t, price.Of(resp.Usage), receipt.Direct)
				require.Equal(t, receipt.Direct-resp.Cost.USD, resp.Saved)
				require.Equal(t, resp.Saved, scope.Totals().Saved)
				require.Equal(t, len(c.models) == 2, resp.Saved < 0, "a rejected answer is a loss")

				row := seen.of("cascade")[0]
				require.Equal(t, resp.Steps, row.Steps)
				require.Equal(t, gw.Billed(), row.Spent().USD)
				for _, chat := range seen.of("chat") {
					require.Same(t, row, chat.Parent)
				}
				report := cascade.Report()
				require.EqualValues(t, 1, report.Answers)
				require.EqualValues(t, 1, report.Tried)
				require.EqualValues(t, 2-len(c.models), report.Passed)
				require.Equal(t, resp.Cost.USD, report.Cost)
				if len(c.models) == 2 {
					require.Equal(t, map[string]int64{"not bad": 1}, report.Rejected)
					require.Equal(t, "not bad: it has the word", receipt.Tries[0].Rejected)
				}
			})
		})
	}
}

func TestWhereCascadesBegin(t *testing.T) {
	gw, cascade, _ := cascaded(t, []route.Check{rejecting("nothing of the kind")}, nil)
	premium := route.WithQuality(t.Context(), route.Premium)
	for _, c := range []struct {
		ctx          context.Context //nolint:containedctx // of a row
		model, asked string
		steps        int
	}{
		{t.Context(), "", cheap, 1},
		{t.Context(), route.Auto, cheap, 1},
		{t.Context(), cheap, cheap, 1},
		{t.Context(), dear, dear, 1},
		{t.Context(), "auto:premium", dear, 1},
		{premium, "", dear, 1},
		{premium, cheap, cheap, 1},
		{t.Context(), holysheep.ClaudeSonnet45, holysheep.ClaudeSonnet45, 0},
	} {
		before := gw.Count()
		req := ask("x")
		req.Model = c.model
		resp, err := cascade.Chat(c.ctx, req)
		require.NoError(t, err)
		require.Equal(t, []string{c.asked}, asked(gw)[before:])
		require.Len(t, resp.Steps, c.steps)
	}

	router, err := route.New(cascade, route.Cheapest(cheap), nil)
	require.NoError(t, err)
	resp, err := router.Chat(t.Context(), ask("x"))
	require.NoError(t, err)
	require.Equal(t, "cascade", resp.Steps[0].Kind)
	require.Equal(t, "route", resp.Steps[1].Kind)

	q, err := holysheep.Plan(t.Context(), cascade, ask("x"))
	require.NoError(t, err)
	var sum holysheep.Cost
	for _, model := range []string{cheap, dear} {
		one := ask("x")
		one.Model = model
		p, err := holysheep.Plan(t.Context(), cascade.Unwrap(), one)
		require.NoError(t, err)
		sum = sum.Plus(p.Worst)
	}
	require.Equal(t, sum, q.Worst)
	require.Equal(t, "the first of deepseek-v3.2, gpt-4.1 whose answer passes", q.Steps[0].Reason)

	resolved, fingerprint, err := holysheep.Resolve(cascade, ask("x"))
	require.NoError(t, err)
	require.Equal(t, cheap, resolved.Model)
	other, err := route.NewCascade(cascade.Unwrap(), []string{cheap, dear}, nil, nil)
	require.NoError(t, err)
	_, otherFingerprint, err := holysheep.Resolve(other, ask("x"))
	require.NoError(t, err)
	require.NotEqual(t, fingerprint, otherFingerprint)

	store := cache.NewMemory(nil)
	defer func() { require.NoError(t, store.Close()) }()
	cached := cache.Exact(cascade, store, nil)
	defer func() { require.NoError(t, cached.Close()) }()
	for i, ctx := range []context.Context{t.Context(), premium, premium, t.Context()} {
		resp, err := cached.Chat(ctx, ask("y"))
		require.NoError(t, err)
		require.Equal(t, i > 1, resp.Cached)
	}
}

func TestCascadesOfWhatFails(t *testing.T) {
	synctest.Test(t, func(t *testing.T) {
		gw, cascade, seen := cascaded(t, nil, nil)
		says(gw, cheap, holysheeptest.Status(http.StatusServiceUnavailable).After(time.Minute))
		says(gw, dear, holysheeptest.Text("good"))
		resp, err := cascade.Chat(holysheep.LimitAttempts(t.Context(), 1), ask("x"))
		require.NoError(t, err)
		receipt := resp.Steps[0].Detail.(*route.CascadeReceipt)
		require.ErrorIs(t, receipt.Tries[0].Err, holysheep.ErrOverloaded)
		require.Equal(t, map[string]int64{"it failed": 1}, cascade.Report().Rejected)

		ctx, cancel := context.WithTimeout(t.Context(), time.Second)
		defer cancel()
		_, err = cascade.Chat(ctx, ask("x"))
		require.ErrorIs(t, err, context.DeadlineExceeded)
		require.NotContains(t, asked(gw)[2:], dear, "nobody waits any more")
		require.ErrorIs(t, seen.of("cascade")[1].Err, context.DeadlineExceeded)

		_, err = cascade.Chat(t.Context(), &holysheep.ChatRequest{})
		require.ErrorIs(t, err, holysheep.ErrBadRequest)
		capped, scope := holysheep.NewScope(t.Context(), nil)
		scope.SetCap(1, false)
		_, err = holysheep.Collect(cascade.Stream(capped, ask("x")))
		require.ErrorIs(t, err, holysheep.ErrBudgetExceeded)
		require.NotContains(t, asked(gw)[2:], dear)

		gw, cascade, seen = cascaded(t, []route.Check{rejecting("bad")}, nil)
		says(gw, cheap, holysheeptest.Text("bad"))
		says(gw, dear, holysheeptest.Text("a b c d e f").CutAfter(2))
		_, err = holysheep.Collect(cascade.Stream(t.Context(), ask("x")))
		require.ErrorIs(t, err, holysheep.ErrTruncated)
		require.ErrorIs(t, seen.of("cascade")[0].Err, holysheep.ErrTruncated)
		require.Len(t, seen.of("cascade")[0].Steps[0].Detail.(*route.CascadeReceipt).Tries, 2)

		stream := cascade.Stream(t.Context(), ask("x"))
		for range stream {
			break
		}
		synctest.Wait()
		require.NoError(t, seen.of("cascade")[1].Err, "a break is no error")
		_, err = holysheep.Collect(stream)
		require.ErrorIs(t, err, holysheep.ErrStreamUsed)

		_, cascade, seen = cascaded(t, []route.Check{{Name: "mine", Reject: func(context.Context, *holysheep.ChatRequest, *holysheep.ChatResponse) (string, error) { panic("mine") }}}, nil)
		require.PanicsWithValue(t, "mine", func() { _, _ = cascade.Chat(t.Context(), ask("x")) })
		require.Error(t, seen.of("cascade")[0].Err)
	})
}

func TestProblemsOfCascades(t *testing.T) {
	_, err := route.NewCascade(nil, []string{"gpt-9", "o3", dear, dear}, []route.Check{{}, rejecting("x"), rejecting("x"), route.Margin(2), route.Judge(nil, nil)},
		&route.CascadeOptions{Shadow: 1.5, ShadowMaxCost: -1})
	fields := map[string]int{}
	for _, one := range err.(interface{ Unwrap() []error }).Unwrap() {
		e, ok := errors.AsType[*holysheep.RequestError](one)
		require.True(t, ok, one)
		fields[e.Field]++
	}
	require.Equal(t, map[string]int{
		"next": 1, "models[0]": 2, "models[1]": 1, "models[3]": 1, "checks[0].Name": 1, "checks[0].Reject": 1, "checks[2].Name": 1,
		"Margin.least": 1, "Judge.next": 1, "CascadeOptions.Shadow": 1, "CascadeOptions.ShadowMaxCost": 1,
	}, fields, err)
	for _, checks := range [][]route.Check{{}, nil} {
		_, err = route.NewCascade(nothing{}, []string{cheap}, checks, nil)
		require.ErrorIs(t, err, holysheep.ErrBadRequest)
	}
}

func TestBuiltInChecks(t *testing.T) {
	schema := &holysheep.ChatRequest{ResponseFormat: &holysheep.ResponseFormat{Type: "json_schema", Schema: []byte(`{
		"type":"object","required":["id"],"additionalProperties":false,
		"properties":{"id":{"type":"integer","minimum":1},"tags":{"type":"array","maxItems":2,"items":{"$ref":"#/$defs/tag"}}},
		"$defs":{"tag":{"anyOf":[{"enum":["a","b"]},{"type":"null"}]}}}`)}}
	object := &holysheep.ChatRequest{ResponseFormat: &holysheep.ResponseFormat{Type: "json_object"}}
	tools := &holysheep.ChatRequest{Tools: []holysheep.Tool{{Name: "f", Parameters: []byte(`{"type":"object","required":["x"]}`)}}}
	itself := &holysheep.ChatRequest{ResponseFormat: &holysheep.ResponseFormat{Type: "json_schema", Schema: []byte(`{"$ref":"#"}`)}}
	call := func(name, arguments string) holysheep.Message {
		return holysheep.Message{ToolCalls: []holysheep.ToolCall{{Name: name, Arguments: arguments}}}
	}
	for _, c := range []struct {
		check  route.Check
		req    *holysheep.ChatRequest
		answer holysheep.Message
		why    string
	}{
		{route.NotEmpty(), object, holysheep.Assistant("x"), ""},
		{route.NotEmpty(), object, holysheep.Assistant(" \n"), "it is empty"},
		{route.NotEmpty(), object, call("f", ""), ""},
		{route.NoRefusal(), object, holysheep.Assistant("You can't return it after 30 days."), ""},
		{route.NoRefusal(), object, holysheep.Assistant("您不能在30天后退货。"), ""},
		{route.NoRefusal(), object, holysheep.Assistant("I’m sorry, but I can’t help with that."), "the model refuses"},
		{route.NoRefusal(), object, holysheep.Assistant("As an AI language model …"), "the model refuses"},
		{route.NoRefusal(), object, holysheep.Assistant("很抱歉，我无法回答。"), "the model refuses"},
		{route.NoRefusal(), object, holysheep.Message{Refusal: "no"}, "the model refuses"},
		{route.NoRefusal(), object, holysheep.Assistant(strings.Repeat("Long ago ", 20) + "I cannot help it"), ""},
		{route.KeepsSchema(), &holysheep.ChatRequest{}, holysheep.Assistant("free"), ""},
		{route.KeepsSchema(), object, holysheep.Assistant(`{"a":1}`), ""},
		{route.KeepsSchema(), object, holysheep.Assistant(`[1]`), "it is of another type"},
		{route.KeepsSchema(), object, holysheep.Assistant("```json\n{}\n```"), "it is no JSON"},
		{route.KeepsSchema(), object, holysheep.Assistant(`{} {}`), "it is no JSON"},
		{route.KeepsSchema(), schema, holysheep.Assistant(`{"id":1,"tags":["a",null]}`), ""},
		{route.KeepsSchema(), schema, holysheep.Assistant(`{"id":2.0}`), ""},
		{route.KeepsSchema(), schema, holysheep.Assistant(`{"tags":[]}`), `it has no "id"`},
		{route.KeepsSchema(), schema, holysheep.Assistant(`{"id":0}`), "it.id is out of bounds"},
		{route.KeepsSchema(), schema, holysheep.Assistant(`{"id":1.5}`), "it.id is of another type"},
		{route.KeepsSchema(), schema, holysheep.Assistant(`{"id":1,"secret":2}`), "a further property of it is not allowed"},
		{route.KeepsSchema(), schema, holysheep.Assistant(`{"id":1,"tags":["c"]}`), "it.tags[0] fits none of anyOf"},
		{route.KeepsSchema(), schema, holysheep.Assistant(`{"id":1,"tags":["a","a","a"]}`), "it.tags is too short or too long"},
		{route.KeepsSchema(), itself, holysheep.Assistant(`{}`), "it is too deep to be checked"},
		{route.KeepsSchema(), tools, call("f", `{"x":1}`), ""},
		{route.KeepsSchema(), tools, call("f", `{"x":`), "the arguments of a tool call: it is no JSON"},
		{route.KeepsSchema(), tools, call("f", ``), `the arguments of a tool call: it has no "x"`},
		{route.KeepsSchema(), tools, call("g", `{}`), "it calls a tool that there is not"},
	} {
		why, err := c.check.Reject(t.Context(), c.req, &holysheep.ChatResponse{Choices: []holysheep.Choice{{Message: holysheep.Assistant(`{"id":1}`)}, {Message: c.answer}}}) // the second is looked at as well
		if c.req == tools {
			why, err = c.check.Reject(t.Context(), c.req, &holysheep.ChatResponse{Choices: []holysheep.Choice{{Message: c.answer}}})
		}
		require.NoError(t, err)
		require.Equal(t, c.why, why, "%s: %+v", c.check.Name, c.answer)
		why, _ = c.check.Reject(t.Context(), c.req, &holysheep.ChatResponse{})
		require.NotEmpty(t, why)
	}
}

func TestMargin(t *testing.T) {
	body := func(logprobs string) *holysheeptest.Reply {
		return holysheeptest.Raw(http.StatusOK, "application/json", fmt.Sprintf(
			`{"id":"1","model":"m","choices":[{"index":0,"message":{"role":"assistant","content":"yes"},"finish_reason":"stop"%s}],"usage":{"prompt_tokens":3,"completion_tokens":1}}`, logprobs))
	}
	sure := `,"logprobs":{"content":[{"token":"yes","logprob":-0.05,"top_logprobs":[{"token":"yes","logprob":-0.05},{"token":"no","logprob":-3}]}]}`
	unsure := `,"logprobs":{"content":[{"token":"yes","logprob":-0.6,"top_logprobs":[{"token":"yes","logprob":-0.6},{"token":"no","logprob":-0.8}]}]}`
	for name, c := range map[string]struct {
		reply    *holysheeptest.Reply
		rejected string
	}{
		"sure":    {body(sure), ""},
		"unsure":  {body(unsure), "margin 0.5: its margin is 0.10"},
		"without": {body(""), "margin 0.5: it could not be checked"},
		"broken":  {body(`,"logprobs":{"content":"?"}`), "margin 0.5: it could not be checked"},
	} {
		t.Run(name, func(t *testing.T) {
			gw, cascade, _ := cascaded(t, []route.Check{route.Margin(0.5)}, nil)
			says(gw, cheap, c.reply)
			resp, err := cascade.Chat(t.Context(), ask("x"))
			require.NoError(t, err)
			require.Equal(t, c.rejected, resp.Steps[0].Detail.(*route.CascadeReceipt).Tries[0].Rejected)
			require.Nil(t, resp.Choices[0].Logprobs, "the caller has not asked for them")
			require.Contains(t, string(gw.Requests()[0].Body), `"logprobs":true`)
			if c.rejected != "" {
				require.NotContains(t, string(gw.Requests()[1].Body), `"logprobs":true`)
			}
		})
	}
}

func TestJudge(t *testing.T) {
	gw := holysheeptest.Start(t)
	client := gw.Client(nil)
	plan, err := holysheep.Plan(t.Context(), client, &holysheep.ChatRequest{
		Model: holysheep.Gemini25Flash, MaxTokens: new(8),
		Messages: []holysheep.Message{holysheep.System(strings.Repeat("x", 400)), holysheep.User(strings.Repeat("x", 100))},
	})
	require.NoError(t, err)
	judge := route.Judge(client, &route.JudgeOptions{Model: holysheep.Gemini25Flash, MaxCost: 2 * plan.Worst.USD})
	cascade, err := route.NewCascade(client, []string{cheap, dear}, []route.Check{judge}, nil)
	require.NoError(t, err)
	says(gw, holysheep.Gemini25Flash, holysheeptest.Text("Yes."), holysheeptest.Text("no"))
	var rejected []string
	var unchecked int
	for range 30 {
		before := gw.Billed()
		resp, err := cascade.Chat(t.Context(), ask("x"))
		require.NoError(t, err)
		require.Equal(t, gw.Billed()-before, resp.Cost.USD, "the judge is paid for by the call")
		try := resp.Steps[0].Detail.(*route.CascadeReceipt).Tries[0]
		rejected = append(rejected, try.Rejected)
		unchecked += len(try.Unchecked)
	}
	require.Empty(t, rejected[0])
	require.Equal(t, "judge gemini-2.5-flash: it is not good enough", rejected[1])
	require.Positive(t, unchecked, "its limit is spent")
	require.Empty(t, rejected[29])
	var spent holysheep.USD
	for _, r := range gw.Requests() {
		if r.Model == holysheep.Gemini25Flash {
			spent += r.Billed
			require.NotContains(t, r.Question(), "\n</question>\n")
		}
	}
	require.LessOrEqual(t, spent, 2*plan.Worst.USD)
}

// The shadow finds out how often the cascade's answers are worse.
func TestShadow(t *testing.T) {
	synctest.Test(t, func(t *testing.T) {
		gw, cascade, seen := cascaded(t, nil, &route.CascadeOptions{Shadow: 0.5, Seed: 7})
		gw.ReplyWhen(func(r *holysheeptest.Request) bool { return r.Question() == "hard" }, holysheeptest.Text("no"))
		says(gw, dear, holysheeptest.Text("Yes"))
		says(gw, cheap, holysheeptest.Text(" yes"))
		const calls = 200
		for i := range calls {
			q := "easy"
			if i%10 == 0 {
				q = "hard"
			}
			_, err := cascade.Chat(t.Context(), ask(q))
			require.NoError(t, err)
			synctest.Wait()
		}
		report := cascade.Report()
		require.Zero(t, report.Unshadowed)
		require.EqualValues(t, calls, report.Passed)
		require.InDelta(t, calls/2, report.Loss.Of, 25)
		require.Zero(t, report.Loss.Count, "hard is answered alike by both")
		low, high := report.Loss.Interval()
		require.Zero(t, low)
		require.Less(t, high, 0.05)
		require.Len(t, seen.of("cascade.shadow"), int(report.Loss.Of))

		var shadow holysheep.USD
		for _, r := range gw.Requests() {
			if r.Model == dear {
				shadow += r.Billed
			}
		}
		require.Equal(t, shadow, report.ShadowCost)
		require.Equal(t, gw.Billed()-shadow, report.Cost)
	})
}

func TestShadowCountsWhatIsWorse(t *testing.T) {
	synctest.Test(t, func(t *testing.T) {
		gw, cascade, _ := cascaded(t, nil, &route.CascadeOptions{Shadow: 1})
		says(gw, cheap, holysheeptest.Text("no"), holysheeptest.Text("yes"))
		says(gw, dear, holysheeptest.Text("Yes"))
		for range 20 {
			_, err := cascade.Chat(t.Context(), ask("x"))
			require.NoError(t, err)
			synctest.Wait()
		}
		loss := cascade.Report().Loss
		require.Equal(t, route.Share{Count: 1, Of: 20}, loss)
		require.Equal(t, "1 of 20, 5.0 % (0.9 to 23.6 %)", loss.String())
		require.NoError(t, cascade.Close())
		_, err := cascade.Chat(t.Context(), ask("x"))
		require.NoError(t, err)
		require.EqualValues(t, 1, cascade.Report().Unshadowed, "after Close nothing is begun in the background")
	})
}

func TestShadowIsBounded(t *testing.T) {
	synctest.Test(t, func(t *testing.T) {
		gw, cascade, _ := cascaded(t, nil, &route.CascadeOptions{Shadow: 1})
		says(gw, dear, holysheeptest.Text("x").After(time.Minute))
		var all sync.WaitGroup
		for range 100 {
			all.Go(func() {
				if _, err := cascade.Chat(t.Context(), ask("x")); err != nil {
					t.Error(err)
				}
			})
		}
		all.Wait()
		require.EqualValues(t, 100-32, cascade.Report().Unshadowed)
		require.NoError(t, cascade.Close())
		require.EqualValues(t, 32, cascade.Report().Loss.Of)

		gw, cascade, _ = cascaded(t, nil, &route.CascadeOptions{Shadow: 1, ShadowMaxCost: 1})
		_, err := cascade.Chat(t.Context(), ask("x"))
		require.NoError(t, err)
		synctest.Wait()
		require.EqualValues(t, 1, cascade.Report().Unshadowed)
		require.Equal(t, []string{cheap}, asked(gw), "no money for it")

		_, cascade, _ = cascaded(t, nil, &route.CascadeOptions{Shadow: 1, Worse: func(context.Context, *holysheep.ChatRequest, *holysheep.ChatResponse, *holysheep.ChatResponse) (bool, error) {
			panic("mine")
		}})
		_, err = cascade.Chat(t.Context(), ask("x"))
		require.NoError(t, err)
		synctest.Wait()
		require.EqualValues(t, 1, cascade.Report().Unshadowed)
	})
}

func TestJudgeWorse(t *testing.T) {
	gw := holysheeptest.Start(t)
	worse := route.JudgeWorse(gw.Client(nil), nil)
	better := &holysheep.ChatResponse{Choices: []holysheep.Choice{{Message: holysheep.Assistant("the better one")}}}
	other := &holysheep.ChatResponse{Choices: []holysheep.Choice{{Message: holysheep.Assistant("the other one")}}}
	for _, first := range []bool{true, false} {
		gw.ReplyWhen(func(r *holysheeptest.Request) bool {
			_, rest, _ := strings.Cut(r.Question(), "<first-answer")
			return strings.Contains(rest[:min(len(rest), 50)], "better") == first
		}, holysheeptest.Text(map[bool]string{true: "first", false: "Second."}[first]))
	}
	for range 20 {
		is, err := worse(t.Context(), ask("x"), other, better)
		require.NoError(t, err)
		require.True(t, is, "whichever stands first")
		is, err = worse(t.Context(), ask("x"), better, other)
		require.NoError(t, err)
		require.False(t, is)
	}
	before := gw.Count()
	is, err := worse(t.Context(), ask("x"), better, better)
	require.NoError(t, err)
	require.False(t, is)
	require.Equal(t, before, gw.Count(), "equal ones are not judged")
	_, err = route.JudgeWorse(nil, nil)(t.Context(), ask("x"), better, other)
	require.ErrorIs(t, err, holysheep.ErrBadRequest)
}

func FuzzKeepsSchema(f *testing.F) {
	f.Add(`{"type":"object","required":["a"]}`, `{"a":1}`)
	f.Add(`{"$ref":"#/$defs/a","$defs":{"a":{"anyOf":[{"$ref":"#"},true]}}}`, `[1,{"b":null}]`)
	f.Add(`{"items":{"enum":[1,"x",null]},"minItems":1e400}`, `[1.0]`)
	f.Fuzz(func(t *testing.T, schema, answer string) {
		start := time.Now()
		check := route.KeepsSchema()
		req := &holysheep.ChatRequest{ResponseFormat: &holysheep.ResponseFormat{Type: "json_schema", Schema: []byte(schema)}}
		_, err := check.Reject(t.Context(), req, &holysheep.ChatResponse{Choices: []holysheep.Choice{{Message: holysheep.Assistant(answer)}}})
		if err != nil || time.Since(start) > 10*time.Second {
			t.Error(err, time.Since(start))
		}
	})
}
