package holysheeptest_test

import (
	"context"
	"encoding/json"
	"fmt"
	"io"
	"net/http"
	"strings"
	"testing"
	"testing/synctest"
	"time"

	"github.com/stretchr/testify/require"

	"github.com/holysheep-ai/holysheep-go"
	"github.com/holysheep-ai/holysheep-go/holysheeptest"
	"github.com/holysheep-ai/holysheep-go/tokens"
)

func ask(question string) *holysheep.ChatRequest {
	return &holysheep.ChatRequest{Messages: []holysheep.Message{holysheep.User(question)}}
}

func ExampleServer() {
	gateway, err := holysheeptest.NewServer()
	if err != nil {
		fmt.Println(err)
		return
	}
	defer gateway.Close()
	gateway.Reply(holysheeptest.Status(503), holysheeptest.Text("Within 30 days."))

	resp, err := gateway.Client(nil).Chat(context.Background(), &holysheep.ChatRequest{
		Messages: []holysheep.Message{holysheep.User("How do I return order 48291?")},
	})
	if err != nil {
		fmt.Println(err)
		return
	}
	fmt.Println(resp.Text(), resp.Attempts, resp.Cost.USD == gateway.Billed())
	fmt.Println(gateway.Requests()[1].Question())
	// Output:
	// Within 30 days. 2 true
	// How do I return order 48291?
}

func ExampleServer_ReplyWhen() {
	gateway, err := holysheeptest.NewServer()
	if err != nil {
		fmt.Println(err)
		return
	}
	defer gateway.Close()
	gateway.ReplyWhen(
		func(r *holysheeptest.Request) bool { return r.Model == holysheep.GPT41 },
		holysheeptest.Error(401, "invalid_api_key", "Incorrect API key provided."),
	)
	req := &holysheep.ChatRequest{Model: holysheep.GPT41, Messages: []holysheep.Message{holysheep.User("Hello?")}}
	_, err = gateway.Client(nil).Chat(context.Background(), req)
	fmt.Println(err)
	// Output: holysheep: 401 key refused: Incorrect API key provided. (code invalid_api_key, request req-1)
}

// spy is a test that can fail without failing this one.
type spy struct {
	testing.TB
	cleanups []func()
	failed   string
}

func (s *spy) Helper()                        {}
func (s *spy) Cleanup(f func())               { s.cleanups = append(s.cleanups, f) }
func (s *spy) Errorf(format string, a ...any) { s.failed = fmt.Sprintf(format, a...) }

func TestUnaskedRepliesFailTheTest(t *testing.T) {
	s := &spy{TB: t}
	gw := holysheeptest.Start(s)
	gw.Reply(holysheeptest.Text("a"), holysheeptest.Text("b"))
	_, err := gw.Client(nil).Chat(t.Context(), ask("x"))
	require.NoError(t, err)
	for _, f := range s.cleanups {
		f()
	}
	require.Contains(t, s.failed, "1 scripted replies were never asked for")
}

// What the default answer says depends on the question, and on nothing else.
func TestDefaultAnswer(t *testing.T) {
	synctest.Test(t, func(t *testing.T) {
		c := holysheeptest.Start(t).Client(nil)
		texts := map[string]string{}
		for _, q := range []string{"why?", "how?", "why?", strings.Repeat("长", 500)} {
			plain, err := c.Chat(t.Context(), ask(q))
			require.NoError(t, err)
			streamed, err := holysheep.Collect(c.Stream(t.Context(), ask(q)))
			require.NoError(t, err)
			require.Equal(t, plain.Text(), streamed.Text())
			require.Equal(t, plain.Usage, streamed.Usage)
			require.Positive(t, plain.Usage.CompletionTokens)
			if before, ok := texts[q]; ok {
				require.Equal(t, before, plain.Text())
			}
			texts[q] = plain.Text()
		}
		require.Len(t, texts, 3)
		require.NotEqual(t, texts["why?"], texts["how?"])
	})
}

// The same seed fails the same share of requests, in the same order.
func TestChaosIsSeeded(t *testing.T) {
	run := func(seed uint64) (outcomes string) {
		synctest.Test(t, func(t *testing.T) {
			gw := holysheeptest.Start(t)
			gw.Chaos(holysheeptest.Chaos{Seed: seed, RateLimited: 0.3, Unavailable: 0.3, Cut: 0.3})
			c := gw.Client(&holysheep.Options{MaxAttempts: 1})
			for range 200 {
				_, err := c.Chat(t.Context(), ask("x"))
				outcomes += fmt.Sprintln(err != nil)
			}
		})
		return outcomes
	}
	first := run(1)
	require.Equal(t, first, run(1))
	require.NotEqual(t, first, run(2))
	require.InDelta(t, 200*(1-0.7*0.7*0.7), strings.Count(first, "true"), 30)
}

// What it bills is what it reports, for every form of answer; an answer that nobody waits for is billed in full.
func TestBilling(t *testing.T) {
	synctest.Test(t, func(t *testing.T) {
		gw := holysheeptest.Start(t)
		c := gw.Client(&holysheep.Options{MaxAttempts: 1})
		price, _ := holysheep.ListPrices().Lookup(holysheep.DeepSeekV32)

		gw.Reply(holysheeptest.Text("x").Usage(holysheep.Usage{PromptTokens: 1000, CompletionTokens: 10, CachedTokens: 500, ReasoningTokens: 5}))
		resp, err := c.Chat(t.Context(), ask("x"))
		require.NoError(t, err)
		require.Equal(t, price.Of(resp.Usage), gw.Billed())
		require.EqualValues(t, 500, resp.Usage.CachedTokens)

		before := gw.Billed()
		gw.Reply(holysheeptest.Text("one two three").Drip(time.Second))
		ctx, cancel := context.WithTimeout(t.Context(), 1500*time.Millisecond)
		defer cancel()
		_, err = holysheep.Collect(c.Stream(ctx, ask("x")))
		require.ErrorIs(t, err, context.DeadlineExceeded)
		require.Equal(t, price.Of(holysheep.Usage{PromptTokens: 5, CompletionTokens: 3}), gw.Billed()-before)

		before = gw.Billed()
		gw.Reply(holysheeptest.Status(503))
		_, err = c.Chat(t.Context(), ask("x"))
		require.Error(t, err)
		require.Equal(t, before, gw.Billed(), "errors are not billed")
	})
}

func TestToolCalls(t *testing.T) {
	synctest.Test(t, func(t *testing.T) {
		gw := holysheeptest.Start(t)
		want := []holysheep.ToolCall{
			{Index: 0, ID: "c1", Name: "find", Arguments: `{"id":1}`},
			{Index: 1, ID: "c2", Name: "send", Arguments: `{}`},
		}
		gw.Reply(holysheeptest.ToolCalls(want...), holysheeptest.ToolCalls(want...))
		c := gw.Client(nil)
		resp, err := c.Chat(t.Context(), ask("x"))
		require.NoError(t, err)
		require.Equal(t, want, resp.ToolCalls())
		resp, err = holysheep.Collect(c.Stream(t.Context(), ask("x")))
		require.NoError(t, err)
		require.Equal(t, want, resp.ToolCalls())
		require.Equal(t, "tool_calls", resp.FinishReason())
	})
}

// It can be asked without the client, over TCP, and ends with everything it started.
func TestPlainHTTP(t *testing.T) {
	gw, err := holysheeptest.NewServer()
	require.NoError(t, err)
	defer gw.Close()
	defer gw.Close()
	post := func(body string) (int, string) {
		req, err := http.NewRequestWithContext(t.Context(), http.MethodPost, gw.BaseURL()+"/chat/completions", strings.NewReader(body))
		require.NoError(t, err)
		resp, err := gw.Transport().RoundTrip(req)
		require.NoError(t, err)
		defer func() { _ = resp.Body.Close() }()
		text, err := io.ReadAll(resp.Body)
		require.NoError(t, err)
		return resp.StatusCode, string(text)
	}
	status, text := post(`{"model":"gpt-4.1","max_tokens":2,"messages":[{"role":"user","content":[{"type":"text","text":"why?"}]}]}`)
	require.Equal(t, 200, status)
	require.Contains(t, text, `"finish_reason":"length"`)
	require.Equal(t, "why?", gw.Requests()[0].Question())
	for _, bad := range []string{`{`, `{"model":"m","messages":[]}`} {
		status, text = post(bad)
		require.Equal(t, 400, status)
		require.Contains(t, text, "invalid_request_error")
	}
}

// recorded takes what an assertion says instead of failing.
type recorded struct {
	testing.TB
	said string
}

func (r *recorded) Helper() {}

func (r *recorded) Errorf(format string, args ...any) { r.said += fmt.Sprintf(format, args...) }

func (r *recorded) Fatalf(format string, args ...any) { r.Errorf(format, args...) }

func TestAssertionsOnCost(t *testing.T) {
	gw := holysheeptest.Start(t)
	c := gw.Client(nil)
	_, err := c.Chat(t.Context(), ask("How do I return an order?"))
	require.NoError(t, err)
	gw.CostsAtMost(t, gw.Billed())
	over := &recorded{}
	gw.CostsAtMost(over, gw.Billed()-1)
	require.Contains(t, over.said, "1 requests cost $0.0000")

	file := t.TempDir() + "/testdata/tokens.golden"
	missing := &recorded{}
	gw.GoldenTokens(missing, file)
	require.Contains(t, missing.said, holysheeptest.UpdateGolden)
	t.Setenv(holysheeptest.UpdateGolden, "1")
	gw.GoldenTokens(t, file)
	t.Setenv(holysheeptest.UpdateGolden, "")
	gw.GoldenTokens(t, file)

	_, err = c.Chat(t.Context(), ask("A prompt that grew"))
	require.NoError(t, err)
	grown := &recorded{}
	gw.GoldenTokens(grown, file)
	require.Contains(t, grown.said, "deepseek-v3.2 8 in")
}

// With a counter the gateway bills prompts as a model would, and reports what the client counts for them.
func TestTokensAsModelsCount(t *testing.T) {
	gw := holysheeptest.Start(t)
	var counter tokens.Counter
	gw.Tokens = &counter
	c := gw.Client(nil)
	for _, req := range []*holysheep.ChatRequest{
		{Model: "gpt-4.1", Messages: []holysheep.Message{holysheep.System("Answer briefly."), holysheep.User("Wie sende ich eine Bestellung zurück?")}},
		{Model: "gpt-4.1", Messages: []holysheep.Message{holysheep.User("What is this?", holysheep.Image{URL: "https://example.com/a.png"})}},
		{Model: "gpt-4.1", Messages: []holysheep.Message{holysheep.User("And this?", holysheep.RawPart(`{"type":"file","file":{"file_id":"f1"}}`))}},
		{
			Model: "claude-sonnet-4.5",
			Messages: []holysheep.Message{
				holysheep.User("Where is order 48291?"),
				{Role: holysheep.RoleAssistant, ToolCalls: []holysheep.ToolCall{{ID: "1", Name: "order", Arguments: `{"id":48291}`}}},
				{Role: holysheep.RoleTool, ToolCallID: "1", Content: []holysheep.Part{holysheep.Text("shipped")}},
			},
			Tools:          []holysheep.Tool{{Name: "order", Description: "Looks up an order.", Parameters: json.RawMessage(`{"type":"object","properties":{"id":{"type":"integer"}}}`)}},
			ResponseFormat: &holysheep.ResponseFormat{Type: "json_schema", Name: "answer", Schema: json.RawMessage(`{"type":"object"}`)},
		},
	} {
		want, err := counter.CountTokens(t.Context(), req)
		require.NoError(t, err)
		resp, err := c.Chat(t.Context(), req)
		require.NoError(t, err)
		require.Equal(t, want, resp.Usage.PromptTokens)
	}
}
