package holysheep_test

import (
	"encoding/json"
	"errors"
	"fmt"
	"io"
	"math"
	"net"
	"net/http"
	"strings"
	"testing"
	"testing/synctest"
	"time"

	"github.com/stretchr/testify/require"

	"github.com/holysheep-ai/holysheep-go"
	"github.com/holysheep-ai/holysheep-go/holysheeptest"
)

// sent gives the JSON of what a client sends for a request.
func sent(t *testing.T, opts *holysheep.Options, req *holysheep.ChatRequest, stream bool) string {
	t.Helper()
	var body []byte
	synctest.Test(t, func(t *testing.T) {
		gw := holysheeptest.Start(t)
		c := gw.Client(opts)
		if stream {
			require.NoError(t, drainStream(t.Context(), c, req).err)
		} else {
			_, err := c.Chat(t.Context(), req)
			require.NoError(t, err)
		}
		body = gw.Requests()[0].Body
	})
	return string(body)
}

func TestRequestJSON(t *testing.T) {
	schema := json.RawMessage(`{"type":"object","properties":{"id":{"type":"integer"}}}`)
	for _, r := range []struct {
		name   string
		opts   *holysheep.Options
		req    holysheep.ChatRequest
		stream bool
		want   string
	}{
		{
			name: "defaults",
			req:  *ask("Hi"),
			want: `{"model":"deepseek-v3.2","messages":[{"role":"user","content":"Hi"}],"temperature":0.7,"max_tokens":2048}`,
		},
		{
			name: "stream", stream: true,
			req:  *ask("Hi"),
			want: `{"model":"deepseek-v3.2","messages":[{"role":"user","content":"Hi"}],"temperature":0.7,"max_tokens":2048,"stream":true,"stream_options":{"include_usage":true}}`,
		},
		{
			name: "collected", opts: &holysheep.Options{CollectStreams: true},
			req:  *ask("Hi"),
			want: `{"model":"deepseek-v3.2","messages":[{"role":"user","content":"Hi"}],"temperature":0.7,"max_tokens":2048,"stream":true,"stream_options":{"include_usage":true}}`,
		},
		{
			name: "options", opts: &holysheep.Options{Model: "gpt-4.1", Temperature: new(0.0), MaxTokens: new(100)},
			req:  *ask("Hi"),
			want: `{"model":"gpt-4.1","messages":[{"role":"user","content":"Hi"}],"temperature":0,"max_tokens":100}`,
		},
		{
			name: "server's defaults", opts: &holysheep.Options{ServerDefaults: true},
			req:  *ask("Hi"),
			want: `{"model":"deepseek-v3.2","messages":[{"role":"user","content":"Hi"}]}`,
		},
		{
			name: "a model that refuses temperature",
			opts: &holysheep.Options{Models: map[string]holysheep.ModelInfo{"thinker": {NoTemperature: true, MaxCompletionTokens: true}}},
			req:  holysheep.ChatRequest{Model: "thinker", Messages: ask("Hi").Messages},
			want: `{"model":"thinker","messages":[{"role":"user","content":"Hi"}],"max_completion_tokens":2048}`,
		},
		{
			name: "zero values that are set",
			req: holysheep.ChatRequest{
				Messages: ask("").Messages, Temperature: new(0.0), TopP: new(0.0), Seed: new(int64(0)), MaxTokens: new(1),
				PresencePenalty: new(0.0), FrequencyPenalty: new(0.0), TopLogprobs: new(0), Logprobs: true, ParallelTools: new(false),
			},
			want: `{"model":"deepseek-v3.2","messages":[{"role":"user","content":""}],"temperature":0,"top_p":0,"max_tokens":1,"seed":0,"presence_penalty":0,"frequency_penalty":0,"logprobs":true,"top_logprobs":0,"parallel_tool_calls":false}`,
		},
		{
			name: "everything",
			req: holysheep.ChatRequest{
				Model: "gpt-4.1",
				Messages: []holysheep.Message{
					holysheep.System("Be <brief> & clear."),
					holysheep.User("What is this?", holysheep.Image{URL: "https://x/y.png", Detail: "low"}, holysheep.Image{Data: []byte("\x89PNG\r\n\x1a\n")}, holysheep.RawPart(`{"type":"input_audio"}`)),
					{
						Role: holysheep.RoleAssistant, ToolCalls: []holysheep.ToolCall{{ID: "c1", Name: "find", Arguments: `{"id":1}`, Extra: map[string]json.RawMessage{"sig": json.RawMessage(`"s"`)}}},
						Extra: map[string]json.RawMessage{"thought": json.RawMessage(`[1]`)}, Reasoning: "never sent back",
					},
					holysheep.ToolResult("c1", "found"),
				},
				Stop: []string{"END"}, N: new(2), User: "u1", ReasoningEffort: "low",
				ResponseFormat: &holysheep.ResponseFormat{Type: "json_schema", Name: "order", Schema: schema, Strict: true},
				Tools:          []holysheep.Tool{{Name: "find", Description: "d", Parameters: schema}},
				ToolChoice:     "find", Extra: map[string]any{"top_k": 5, "a": nil},
			},
			want: `{"model":"gpt-4.1","messages":[
				{"role":"system","content":"Be <brief> & clear."},
				{"role":"user","content":[{"type":"text","text":"What is this?"},{"type":"image_url","image_url":{"url":"https://x/y.png","detail":"low"}},{"type":"image_url","image_url":{"url":"data:image/png;base64,iVBORw0KGgo="}},{"type":"input_audio"}]},
				{"role":"assistant","content":null,"tool_calls":[{"id":"c1","type":"function","function":{"name":"find","arguments":"{\"id\":1}"},"sig":"s"}],"thought":[1]},
				{"role":"tool","content":"found","tool_call_id":"c1"}],
				"temperature":0.7,"max_tokens":2048,"stop":["END"],"n":2,
				"response_format":{"type":"json_schema","json_schema":{"name":"order","schema":{"type":"object","properties":{"id":{"type":"integer"}}},"strict":true}},
				"tools":[{"type":"function","function":{"name":"find","description":"d","parameters":{"type":"object","properties":{"id":{"type":"integer"}}}}}],
				"tool_choice":{"type":"function","function":{"name":"find"}},"reasoning_effort":"low","user":"u1","a":null,"top_k":5}`,
		},
	} {
		t.Run(r.name, func(t *testing.T) {
			require.JSONEq(t, r.want, sent(t, r.opts, &r.req, r.stream))
		})
	}
}

// Every character comes through, whatever it needs in JSON.
func TestCharactersInRequests(t *testing.T) {
	var all strings.Builder
	for r := range rune(0x250) {
		all.WriteRune(r)
	}
	text := all.String() + "\u2028\u2029\ufeff中文😀"
	var body struct{ Messages []struct{ Content string } }
	require.NoError(t, json.Unmarshal([]byte(sent(t, nil, ask(text), false)), &body))
	require.Equal(t, text, body.Messages[0].Content)
}

func TestBadRequests(t *testing.T) {
	gw := holysheeptest.Start(t)
	c := gw.Client(nil)
	with := func(change func(*holysheep.ChatRequest)) *holysheep.ChatRequest {
		r := ask("Hi")
		change(r)
		return r
	}
	message := func(m holysheep.Message) *holysheep.ChatRequest {
		return &holysheep.ChatRequest{Messages: []holysheep.Message{m}}
	}
	for _, r := range []struct {
		field string
		req   *holysheep.ChatRequest
	}{
		{"request", nil},
		{"Messages", &holysheep.ChatRequest{}},
		{"Model", with(func(r *holysheep.ChatRequest) { r.Model = "a b" })},
		{"Model", with(func(r *holysheep.ChatRequest) { r.Model = "\xff" })},
		{"Temperature", with(func(r *holysheep.ChatRequest) { r.Temperature = new(math.NaN()) })},
		{"Temperature", with(func(r *holysheep.ChatRequest) { r.Temperature = new(math.Inf(1)) })},
		{"Temperature", with(func(r *holysheep.ChatRequest) { r.Temperature = new(-0.1) })},
		{"TopP", with(func(r *holysheep.ChatRequest) { r.TopP = new(1.1) })},
		{"PresencePenalty", with(func(r *holysheep.ChatRequest) { r.PresencePenalty = new(math.Inf(-1)) })},
		{"FrequencyPenalty", with(func(r *holysheep.ChatRequest) { r.FrequencyPenalty = new(3.0) })},
		{"MaxTokens", with(func(r *holysheep.ChatRequest) { r.MaxTokens = new(-1) })},
		{"MaxTokens", with(func(r *holysheep.ChatRequest) { r.MaxTokens = new(0) })},
		{"MaxTokens", with(func(r *holysheep.ChatRequest) { r.MaxTokens = new(math.MaxInt) })},
		{"N", with(func(r *holysheep.ChatRequest) { r.N = new(0) })},
		{"N", with(func(r *holysheep.ChatRequest) { r.N = new(129) })},
		{"TopLogprobs", with(func(r *holysheep.ChatRequest) { r.TopLogprobs = new(21) })},
		{"Stop[1]", with(func(r *holysheep.ChatRequest) { r.Stop = []string{"a", ""} })},
		{"User", with(func(r *holysheep.ChatRequest) { r.User = "\xff" })},
		{"Messages[0].Role", message(holysheep.Message{Content: []holysheep.Part{holysheep.Text("x")}})},
		{"Messages[0].Content", message(holysheep.Message{Role: "user"})},
		{"Messages[0].Content[0]", message(holysheep.User("\xff\xfe"))},
		{"Messages[0].Content[1]", message(holysheep.User("x", holysheep.Image{}))},
		{"Messages[0].Content[1]", message(holysheep.User("x", holysheep.Image{URL: "u", Data: []byte("d")}))},
		{"Messages[0].Content[1]", message(holysheep.User("x", holysheep.RawPart("{")))},
		{"Messages[0].Content[1]", message(holysheep.User("x", nil))},
		{"Messages[0].ToolCallID", message(holysheep.ToolResult("", "x"))},
		{"Messages[0].ToolCalls[0]", message(holysheep.Message{Role: "assistant", ToolCalls: []holysheep.ToolCall{{ID: "1"}}})},
		{`Messages[0].Extra["k"]`, message(holysheep.Message{Role: "user", Content: []holysheep.Part{holysheep.Text("x")}, Extra: map[string]json.RawMessage{"k": json.RawMessage("{")}})},
		{"Tools[0].Name", with(func(r *holysheep.ChatRequest) { r.Tools = []holysheep.Tool{{}} })},
		{"Tools[1].Name", with(func(r *holysheep.ChatRequest) { r.Tools = []holysheep.Tool{{Name: "a"}, {Name: "a"}} })},
		{"Tools[0].Parameters", with(func(r *holysheep.ChatRequest) {
			r.Tools = []holysheep.Tool{{Name: "a", Parameters: json.RawMessage("{")}}
		})},
		{"ToolChoice", with(func(r *holysheep.ChatRequest) { r.ToolChoice = "missing" })},
		{"ResponseFormat.Type", with(func(r *holysheep.ChatRequest) { r.ResponseFormat = &holysheep.ResponseFormat{} })},
		{"ResponseFormat.Name", with(func(r *holysheep.ChatRequest) { r.ResponseFormat = &holysheep.ResponseFormat{Type: "json_schema"} })},
		{"ResponseFormat.Schema", with(func(r *holysheep.ChatRequest) {
			r.ResponseFormat = &holysheep.ResponseFormat{Type: "json_schema", Name: "x"}
		})},
		{`Extra["stream"]`, with(func(r *holysheep.ChatRequest) { r.Extra = map[string]any{"stream": true} })},
		{`Extra["max_completion_tokens"]`, with(func(r *holysheep.ChatRequest) { r.Extra = map[string]any{"max_completion_tokens": 1} })},
		{`Extra["x"]`, with(func(r *holysheep.ChatRequest) { r.Extra = map[string]any{"x": func() {}} })},
		{`Headers["Content-Type"]`, with(func(r *holysheep.ChatRequest) { r.Headers = http.Header{"Content-Type": {"x"}} })},
	} {
		_, err := c.Chat(t.Context(), r.req)
		e, ok := errors.AsType[*holysheep.RequestError](err)
		require.True(t, ok, "%s: %v", r.field, err)
		require.Equal(t, r.field, e.Field)
		require.ErrorIs(t, err, holysheep.ErrBadRequest)
		require.Equal(t, err, drainStream(t.Context(), c, r.req).err)
	}
	require.Zero(t, gw.Count(), "nothing was sent")
	require.Empty(t, c.Meter())
}

// A shared request is not changed by the calls made with it.
func TestRequestIsNotChanged(t *testing.T) {
	synctest.Test(t, func(t *testing.T) {
		gw := holysheeptest.Start(t)
		c := gw.Client(nil)
		req := ask("Hi")
		before, err := json.Marshal(req)
		require.NoError(t, err)
		atOnce(100, func(int) { _, _ = c.Chat(t.Context(), req) })
		after, err := json.Marshal(req)
		require.NoError(t, err)
		require.Equal(t, string(before), string(after))
	})
}

// What servers send for tool calls, and what has to come of it.
func TestToolCallQuirks(t *testing.T) {
	type call = holysheep.ToolCall
	two := []call{{Index: 0, ID: "a", Name: "f", Arguments: `{"x":1}`}, {Index: 1, ID: "b", Name: "g", Arguments: `{}`}}
	for _, r := range []struct {
		name   string
		deltas []string // of tool_calls, one a chunk
		want   []call
	}{
		{"as documented", []string{`{"index":0,"id":"a","type":"function","function":{"name":"f","arguments":""}}`, `{"index":0,"function":{"arguments":"{\"x\":"}}`, `{"index":0,"function":{"arguments":"1}"}}`, `{"index":1,"id":"b","function":{"name":"g","arguments":"{}"}}`}, two},
		{"indexes from 1", []string{`{"index":1,"id":"a","function":{"name":"f","arguments":"{\"x\":1}"}}`, `{"index":2,"id":"b","function":{"name":"g","arguments":"{}"}}`}, two},
		{"all at index 0", []string{`{"index":0,"id":"a","function":{"name":"f","arguments":"{\"x\":1}"}}`, `{"index":0,"id":"b","function":{"name":"g","arguments":"{}"}}`}, two},
		{"without index", []string{`{"id":"a","function":{"name":"f","arguments":"{\"x\":"}}`, `{"function":{"arguments":"1}"}}`, `{"id":"b","function":{"name":"g","arguments":"{}"}}`}, two},
		{"empty ids after the first", []string{`{"index":0,"id":"a","function":{"name":"f","arguments":"{\"x\""}}`, `{"index":0,"id":"","function":{"name":"","arguments":":1}"}}`, `{"index":1,"id":"b","function":{"name":"g","arguments":"{}"}}`}, two},
		{"the id with each piece", []string{`{"index":0,"id":"a","function":{"name":"f","arguments":"{\"x\""}}`, `{"index":0,"id":"a","function":{"name":"f","arguments":":1}"}}`, `{"index":1,"id":"b","function":{"name":"g","arguments":"{}"}}`}, two},
		{"both in one chunk", []string{`{"index":0,"id":"a","function":{"name":"f","arguments":"{\"x\":1}"}},{"index":1,"id":"b","function":{"name":"g","arguments":"{}"}}`}, two},
		{"interleaved", []string{`{"index":0,"id":"a","function":{"name":"f","arguments":"{\"x\""}}`, `{"index":1,"id":"b","function":{"name":"g","arguments":"{"}}`, `{"index":0,"function":{"arguments":":1}"}}`, `{"index":1,"function":{"arguments":"}"}}`}, two},
		{"no ids at all", []string{`{"function":{"name":"f","arguments":"{\"x\":1}"}}`, `{"function":{"name":"g","arguments":"{}"}}`}, []call{{Index: 0, ID: "call_0", Name: "f", Arguments: `{"x":1}`}, {Index: 1, ID: "call_1", Name: "g", Arguments: `{}`}}},
		{"arguments null", []string{`{"index":0,"id":"a","function":{"name":"f","arguments":null}}`}, []call{{ID: "a", Name: "f"}}},
		{"arguments as an object", []string{`{"index":0,"id":"a","function":{"name":"f","arguments":{"x":1}}}`}, []call{{ID: "a", Name: "f", Arguments: `{"x":1}`}}},
		{"a signature", []string{`{"index":0,"id":"a","function":{"name":"f","arguments":"{}"},"extra_content":{"google":{"thought_signature":"s"}}}`}, []call{{ID: "a", Name: "f", Arguments: `{}`, Extra: map[string]json.RawMessage{"extra_content": json.RawMessage(`{"google":{"thought_signature":"s"}}`)}}}},
	} {
		t.Run(r.name, func(t *testing.T) {
			synctest.Test(t, func(t *testing.T) {
				var body strings.Builder
				for _, d := range r.deltas {
					body.WriteString(`data: {"choices":[{"index":0,"delta":{"tool_calls":[` + d + `]}}]}` + "\n\n")
				}
				body.WriteString(`data: {"choices":[{"index":0,"delta":{},"finish_reason":"tool_calls"}]}` + "\n\n")
				body.WriteString(`data: {"choices":[{"index":0,"delta":{},"finish_reason":"stop"}]}` + "\n\ndata: [DONE]\n\n")
				c := pipeGateway(t, nil, func(conn net.Conn, _ *http.Request) bool { return events(conn, body.String()) })
				got := drainStream(t.Context(), c, ask("x"))
				require.NoError(t, got.err)
				require.Equal(t, r.want, got.response.ToolCalls())
				require.Equal(t, "tool_calls", got.response.FinishReason())
			})
		})
	}
}

// Several answers in one stream, mixed or one after the other.
func TestSeveralChoices(t *testing.T) {
	piece := func(choice int, text, finish string) string {
		return fmt.Sprintf(`data: {"choices":[{"index":%d,"delta":{"content":%q},"finish_reason":%s}]}`+"\n\n", choice, text, finish)
	}
	var mixed, ordered [2]string
	for i := range 20 {
		for c := range 2 {
			p := piece(c, fmt.Sprintf("%d.%d ", c, i), "null")
			mixed[0] += p
			ordered[c] += p
		}
	}
	var want [2]string
	for c := range 2 {
		for i := range 20 {
			want[c] += fmt.Sprintf("%d.%d ", c, i)
		}
	}
	for name, body := range map[string]string{
		"mixed":   mixed[0] + piece(1, "", `"stop"`) + piece(0, "", `"length"`),
		"ordered": ordered[0] + piece(0, "", `"length"`) + ordered[1] + piece(1, "", `"stop"`),
	} {
		t.Run(name, func(t *testing.T) {
			synctest.Test(t, func(t *testing.T) {
				req := ask("x")
				req.N = new(2)
				c := pipeGateway(t, nil, func(conn net.Conn, _ *http.Request) bool { return events(conn, body+chunkDone) })
				got := drainStream(t.Context(), c, req)
				require.NoError(t, got.err)
				require.Len(t, got.response.Choices, 2)
				for i, choice := range got.response.Choices {
					require.Equal(t, want[i], choice.Message.Text())
				}
				require.Equal(t, "length", got.response.Choices[0].FinishReason)

				// The same without the second finish_reason is cut short.
				cut := strings.Replace(body, `"stop"`, "null", 1)
				c = pipeGateway(t, nil, func(conn net.Conn, _ *http.Request) bool { return events(conn, cut+chunkDone) })
				require.ErrorIs(t, drainStream(t.Context(), c, req).err, holysheep.ErrTruncated)
			})
		})
	}
}

// Fields and forms of whole answers.
func TestAnswerQuirks(t *testing.T) {
	wrap := func(message, more string) string {
		return `{"id":"i","model":"m","choices":[{"index":0,"message":` + message + `,"finish_reason":"stop"}]` + more + `}`
	}
	answer := func(t *testing.T, body string) *holysheep.ChatResponse {
		t.Helper()
		var resp *holysheep.ChatResponse
		synctest.Test(t, func(t *testing.T) {
			c := pipeGateway(t, nil, func(conn net.Conn, _ *http.Request) bool {
				return respond(conn, "200 OK", "application/json", body)
			})
			var err error
			resp, err = c.Chat(t.Context(), ask("x"))
			require.NoError(t, err)
		})
		return resp
	}
	t.Run("content as a list", func(t *testing.T) {
		r := answer(t, wrap(`{"role":"assistant","content":[{"type":"thinking","thinking":"hm"},{"type":"text","text":"He"},{"type":"text","text":"llo"},{"type":"image","id":7}]}`, ""))
		require.Equal(t, "Hello", r.Text())
		require.Equal(t, "hm", r.Reasoning())
		require.Equal(t, holysheep.RawPart(`{"type":"image","id":7}`), r.Message().Content[1])
	})
	t.Run("reasoning", func(t *testing.T) {
		require.Equal(t, "a", answer(t, wrap(`{"content":"x","reasoning_content":"a"}`, "")).Reasoning())
		require.Equal(t, "b", answer(t, wrap(`{"content":"x","reasoning":"b"}`, "")).Reasoning())
		require.Equal(t, "<think>c</think>x", answer(t, wrap(`{"content":"<think>c</think>x"}`, "")).Text())
	})
	t.Run("refusal", func(t *testing.T) {
		require.Equal(t, "no", answer(t, wrap(`{"content":null,"refusal":"no"}`, "")).Message().Refusal)
	})
	t.Run("unknown fields", func(t *testing.T) {
		r := answer(t, wrap(`{"content":"x","thought_signature":"s"}`, `,"citations":["u"]`))
		require.JSONEq(t, `"s"`, string(r.Message().Extra["thought_signature"]))
		require.JSONEq(t, `["u"]`, string(r.Extra["citations"]))
		require.Contains(t, string(r.Raw), "citations")
	})
	t.Run("logprobs", func(t *testing.T) {
		r := answer(t, `{"choices":[{"message":{"content":"x"},"logprobs":{"content":[{"token":"x","logprob":-0.1}]},"finish_reason":"stop"}]}`)
		require.JSONEq(t, `{"content":[{"token":"x","logprob":-0.1}]}`, string(r.Choices[0].Logprobs))
	})
	t.Run("several choices", func(t *testing.T) {
		r := answer(t, `{"choices":[{"index":1,"message":{"content":"b"},"finish_reason":"stop"},{"index":0,"message":{"content":"a"},"finish_reason":"length"}]}`)
		require.Len(t, r.Choices, 2)
		require.Equal(t, "a", r.Text(), "in the order of their indexes")
		require.Equal(t, "b", r.Choices[1].Message.Text())
	})
	t.Run("usage", func(t *testing.T) {
		for usage, want := range map[string]holysheep.Usage{
			`,"usage":{"prompt_tokens":10,"completion_tokens":5,"prompt_tokens_details":{"cached_tokens":4},"completion_tokens_details":{"reasoning_tokens":3}}`: {PromptTokens: 10, CompletionTokens: 5, CachedTokens: 4, ReasoningTokens: 3},
			`,"usage":{"prompt_tokens":10,"completion_tokens":5,"prompt_cache_hit_tokens":4}`:                                                                    {PromptTokens: 10, CompletionTokens: 5, CachedTokens: 4},
			`,"x_groq":{"usage":{"prompt_tokens":10,"completion_tokens":5}}`:                                                                                     {PromptTokens: 10, CompletionTokens: 5},
			`,"usage":{"input_tokens":10,"output_tokens":5,"cache_read_input_tokens":3,"cache_creation_input_tokens":2}`:                                         {PromptTokens: 15, CompletionTokens: 5, CachedTokens: 3, CacheWriteTokens: 2},
		} {
			if strings.Count(usage, "{") != strings.Count(usage, "}") {
				usage += "}"
			}
			r := answer(t, wrap(`{"content":"x"}`, usage))
			require.Equal(t, want, r.Usage, usage)
			require.Equal(t, holysheep.Reported, r.Cost.Basis)
		}
	})
	t.Run("usage that cannot be", func(t *testing.T) {
		for _, usage := range []string{``, `,"usage":null`, `,"usage":{"prompt_tokens":0,"completion_tokens":0}`, `,"usage":{"prompt_tokens":-1,"completion_tokens":5}`} {
			r := answer(t, wrap(`{"content":"some words"}`, usage))
			require.Equal(t, holysheep.Estimated, r.Cost.Basis, usage)
			require.Positive(t, r.Usage.PromptTokens)
			require.Positive(t, r.Usage.CompletionTokens)
			require.Greater(t, r.Cost.AtMost, r.Cost.USD)
		}
	})
}

// A plain request that is answered with a stream, as some gateways do.
func TestPlainRequestAnsweredAsStream(t *testing.T) {
	synctest.Test(t, func(t *testing.T) {
		for _, contentType := range []string{"text/event-stream", "text/event-stream; charset=utf-8", "application/json"} {
			c := pipeGateway(t, nil, func(conn net.Conn, _ *http.Request) bool {
				return respond(conn, "200 OK", contentType, recorded)
			})
			resp, err := c.Chat(t.Context(), ask("x"))
			require.NoError(t, err)
			require.Equal(t, "Within 30 days — \"at most\".\n中文", resp.Text())
			require.Equal(t, "stop", resp.FinishReason())
		}
	})
}

// Calls that learn at the same time that a gateway refuses stream_options all go through.
func TestGatewayWithoutStreamOptionsAtOnce(t *testing.T) {
	synctest.Test(t, func(t *testing.T) {
		c := pipeGateway(t, &holysheep.Options{MaxAttempts: 1}, func(conn net.Conn, r *http.Request) bool {
			body, _ := io.ReadAll(r.Body)
			time.Sleep(time.Second) // so that all of them have been sent
			if strings.Contains(string(body), "stream_options") {
				return respond(conn, "422 Unprocessable Entity", "application/json", `{"error":{"message":"include_usage is unknown"}}`)
			}
			return events(conn, recorded)
		})
		atOnce(callers, func(int) {
			if got := drainStream(t.Context(), c, ask("x")); got.err != nil {
				t.Error(got.err)
			}
		})
	})
}

// A gateway that refuses stream_options is asked once more without them, and never again with them.
func TestGatewayWithoutStreamOptions(t *testing.T) {
	synctest.Test(t, func(t *testing.T) {
		requests := 0
		c := pipeGateway(t, &holysheep.Options{MaxAttempts: 1}, func(conn net.Conn, r *http.Request) bool {
			requests++
			body, _ := io.ReadAll(r.Body)
			if strings.Contains(string(body), "stream_options") {
				return respond(conn, "400 Bad Request", "application/json", `{"error":{"message":"Unknown parameter: 'stream_options'","param":"stream_options"}}`)
			}
			return events(conn, recorded)
		})
		for want := 2; want <= 3; want++ {
			got := drainStream(t.Context(), c, ask("x"))
			require.NoError(t, got.err)
			require.Equal(t, want, requests)
		}
	})
}

func TestStreamIsUsedOnce(t *testing.T) {
	synctest.Test(t, func(t *testing.T) {
		gw := holysheeptest.Start(t)
		stream := gw.Client(nil).Stream(t.Context(), ask("x"))
		require.Zero(t, gw.Count(), "an unused stream costs nothing")
		resp, err := holysheep.Collect(stream)
		require.NoError(t, err)
		require.NotEmpty(t, resp.Text())
		_, err = holysheep.Collect(stream)
		require.ErrorIs(t, err, holysheep.ErrStreamUsed)
		require.Equal(t, 1, gw.Count())
	})
}
