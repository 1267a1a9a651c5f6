package wire

import (
	"strconv"
	"strings"
	"testing"

	"github.com/stretchr/testify/require"
)

// decodeBoth decodes with both decoders and checks that they agree, whatever was in the answers before.
func decodeBoth(t *testing.T, data string) (Answer, error) {
	t.Helper()
	used := dirty(t)
	err := Decode(data, used)
	var ref Answer
	refErr := decodeReference(strings.TrimPrefix(data, "\ufeff"), &ref)
	require.Equal(t, refErr, err)
	if err != nil {
		require.Equal(t, Answer{}, normal(used), "what an error leaves behind")
		return Answer{}, err
	}
	require.Equal(t, normal(&ref), normal(used))
	return normal(used), nil
}

// dirty is an answer with something in each of its slices.
func dirty(t *testing.T) *Answer {
	t.Helper()
	var a Answer
	require.NoError(t, decodeReference(`{"id":"old","model":"old","error":"old","old":1,"usage":{"prompt_tokens":9,"cached_tokens":9},
		"choices":[{"index":9,"finish_reason":"old","logprobs":{},"delta":{"role":"old","content":["old",{"type":"old"}],
		"reasoning":"old","refusal":"old","old":1,"tool_calls":[{"index":9,"id":"old","type":"old","old":1,
		"function":{"name":"old","arguments":"old"}},{"index":9}]}},{"index":9},{}]}`, &a))
	return &a
}

// normal copies an answer with nil for every empty slice.
func normal(a *Answer) Answer {
	out := *a
	out.frame = frame{}
	out.Extra = append([]Field(nil), a.Extra...)
	out.Choices = nil
	for _, c := range a.Choices {
		c.Parts = append([]string(nil), c.Parts...)
		c.Extra = append([]Field(nil), c.Extra...)
		calls := c.ToolCalls
		c.ToolCalls = nil
		for _, call := range calls {
			call.Extra = append([]Field(nil), call.Extra...)
			c.ToolCalls = append(c.ToolCalls, call)
		}
		out.Choices = append(out.Choices, c)
	}
	return out
}

// one is an answer with one choice.
func one(c Choice) Answer { return Answer{HasChoices: true, Choices: []Choice{c}} }

// delta is a chunk whose delta has the members.
func delta(members string) string { return `{"choices":[{"delta":{` + members + `}}]}` }

// quirk is a text and what it means.
type quirk struct {
	name, in string
	want     Answer
}

var answerQuirks = []quirk{
	{"empty object", `{}`, Answer{}},
	{"white space around", " \r\n\t{ } \n", Answer{}},
	{"byte order mark", "\ufeff{}", Answer{}},
	{"id and model", `{"id":"a","model":"b"}`, Answer{ID: "a", Model: "b"}},
	{"id and model of other types", `{"id":7,"model":["b"]}`, Answer{}},
	{"id and model null", `{"id":null,"model":null}`, Answer{}},
	{"escaped", `{"id":"\"\\\/\b\f\n\r\t\u0041\u00e9\u4e2d\ud83d\ude00"}`, Answer{ID: "\"\\/\b\f\n\r\tAé中😀"}},
	{"escaped key", `{"\u0069d":"a"}`, Answer{ID: "a"}},
	{"lone surrogates", `{"id":"\ud83d\ude00\ud83d","model":"\ude00\ud83dA"}`, Answer{ID: "😀\ufffd", Model: "\ufffd\ufffdA"}},
	{"half a pair, then an escape", `{"id":"\ud83d\nde00","model":"\ud83d_ude00"}`, Answer{ID: "\ufffd\nde00", Model: "\ufffd_ude00"}},
	{"NUL in a text", `{"id":"\u0000"}`, Answer{ID: "\x00"}},
	{"invalid UTF-8", "{\"id\":\"a\xff\xc3\",\"x\":\"\xfe\"}", Answer{ID: "a\ufffd\ufffd", Extra: []Field{{"x", "\"\ufffd\""}}}},
	{"case matters", `{"ID":"a"}`, Answer{Extra: []Field{{"ID", `"a"`}}}},
	{"last of two", `{"id":"a","id":"b","x":1,"x":2}`, Answer{ID: "b", Extra: []Field{{"x", "2"}}}},
	{"null undoes", `{"id":"a","id":null,"x":1,"x":null,"choices":[{}],"choices":null}`, Answer{}},
	{
		"unknown members", `{"z":{"a":[1, 2]},"b":"\u0041","n":null,"object":"o","created":1,"system_fingerprint":"f","service_tier":"t","obfuscation":"x"}`,
		Answer{Extra: []Field{{"b", `"\u0041"`}, {"z", `{"a":[1, 2]}`}}},
	},
	{"error object", `{"error":{"message":"m"} }`, Answer{Error: `{"message":"m"}`}},
	{"error text", `{"error":"m"}`, Answer{Error: `"m"`}},
	{"error null", `{"error":null}`, Answer{}},
	{"error false", `{"error":false}`, Answer{}},
	{"error empty", `{"error":""}`, Answer{}},
	{"error beside choices", `{"error":{},"choices":[{}]}`, Answer{Error: "{}", HasChoices: true, Choices: []Choice{{}}}},
	{"error in an array", ` [ {"error":{"code":1}} ] `, Answer{Error: `{"code":1}`}},
	{"choices null", `{"choices":null}`, Answer{}},
	{"choices empty", `{"choices":[]}`, Answer{HasChoices: true}},
	{"nesting that is allowed", `{"x":` + nested(maxDepth-1) + `}`, Answer{Extra: []Field{{"x", nested(maxDepth - 1)}}}},
	{"a number of any form", `{"x":-0.5e+10}`, Answer{Extra: []Field{{"x", "-0.5e+10"}}}},
}

var choiceQuirks = []quirk{
	{"no delta", `{"choices":[{}]}`, one(Choice{})},
	{"delta null", `{"choices":[{"delta":null}]}`, one(Choice{})},
	{"delta empty", delta(``), one(Choice{})},
	{"message", `{"choices":[{"message":{"content":"a"}}]}`, one(Choice{Text: "a"})},
	{"delta wins", `{"choices":[{"message":{"content":"a"},"delta":{"role":"r"}}]}`, one(Choice{Role: "r"})},
	{"delta null and message", `{"choices":[{"delta":null,"message":{"content":"a"}}]}`, one(Choice{Text: "a"})},
	{"delta undone", `{"choices":[{"delta":{"content":"a"},"delta":null}]}`, one(Choice{})},
	{"index", `{"choices":[{"index":2},{"index":1.0},{"index":null},{"index":"1"}]}`, Answer{HasChoices: true, Choices: []Choice{{Index: 2}, {Index: 1}, {}, {}}}},
	{"largest index", `{"choices":[{"index":1048576}]}`, one(Choice{Index: maxIndex})},
	{"finish reason", `{"choices":[{"finish_reason":"stop"}]}`, one(Choice{FinishReason: "stop"})},
	{"finish reason null", `{"choices":[{"finish_reason":null}]}`, one(Choice{})},
	{"finish reason of another type", `{"choices":[{"finish_reason":1}]}`, one(Choice{})},
	{"logprobs", `{"choices":[{"logprobs":{"content":[]}}]}`, one(Choice{Logprobs: `{"content":[]}`})},
	{"logprobs null", `{"choices":[{"logprobs":null}]}`, one(Choice{})},
	{"message undone", `{"choices":[{"message":{"content":"a"},"message":null}]}`, one(Choice{})},
	{"two deltas", `{"choices":[{"delta":{"content":"a"},"delta":{"role":"r"}}]}`, one(Choice{Role: "r"})},
	{"two choices members", `{"choices":[{},{}],"choices":[{}]}`, one(Choice{})},
	{"unknown members of a choice", `{"choices":[{"x":1,"content_filter_results":{}}]}`, one(Choice{})},
	{"role", delta(`"role":"assistant","content":""`), one(Choice{Role: "assistant"})},
	{"refusal", delta(`"refusal":"no","content":null`), one(Choice{Refusal: "no"})},
	{"think tags stay text", delta(`"content":"<think>a</think>"`), one(Choice{Text: "<think>a</think>"})},
	{"reasoning_content", delta(`"reasoning_content":"a"`), one(Choice{Reasoning: "a"})},
	{"reasoning", delta(`"reasoning":"a"`), one(Choice{Reasoning: "a"})},
	{"both, once", delta(`"reasoning":"a","reasoning_content":"a"`), one(Choice{Reasoning: "a"})},
	{"both, one empty", delta(`"reasoning":"a","reasoning_content":""`), one(Choice{Reasoning: "a"})},
	{"reasoning of another type", delta(`"reasoning":{"a":1},"reasoning_content":null`), one(Choice{})},
	{"unknown members of a delta", delta(`"z":1,"a":{"b":null},"n":null`), one(Choice{Extra: []Field{{"a", `{"b":null}`}, {"z", "1"}}})},
	{"function_call", delta(`"function_call":{"name":"f"}`), one(Choice{Extra: []Field{{"function_call", `{"name":"f"}`}}})},
	{"annotations empty", delta(`"annotations":[ ]`), one(Choice{})},
	{"annotations", delta(`"annotations":[1]`), one(Choice{Extra: []Field{{"annotations", "[1]"}}})},
	{"annotations undone", delta(`"annotations":[1],"annotations":[]`), one(Choice{})},
}

var contentQuirks = []quirk{
	{"parts", delta(`"content":[{"type":"text","text":"a"},{"type":"output_text","text":"b\n"},"c",{"text":"d"}]`), one(Choice{Text: "ab\ncd"})},
	{"parts empty", delta(`"content":[]`), one(Choice{})},
	{"thinking text", delta(`"content":[{"type":"thinking","thinking":"a"},{"type":"text","text":"b"}]`), one(Choice{Reasoning: "a", Text: "b"})},
	{
		"thinking parts", delta(`"content":[{"type":"thinking","thinking":[{"type":"text","text":"a"},{"type":"text","text":"b"},7,{}]}]`),
		one(Choice{Reasoning: "ab"}),
	},
	{"thinking and reasoning", delta(`"content":[{"type":"thinking","thinking":"a"}],"reasoning":"b"`), one(Choice{Reasoning: "b"})},
	{
		"other parts", delta(`"content":[{"type":"image_url","image_url":{"url":"u"}},7,null,{"type":"text"},{"type":"thinking"},{}]`),
		one(Choice{Parts: []string{`{"type":"image_url","image_url":{"url":"u"}}`, "7", `{"type":"text"}`, `{"type":"thinking"}`, "{}"}}),
	},
}

var callQuirks = []quirk{
	{"null", delta(`"tool_calls":null`), one(Choice{})},
	{"none", delta(`"tool_calls":[]`), one(Choice{})},
	{"null among them", delta(`"tool_calls":[null,{"index":1}]`), calls(ToolCall{Index: 1, HasIndex: true})},
	{"of another type", delta(`"tool_calls":{"id":"a"}`), one(Choice{Extra: []Field{{"tool_calls", `{"id":"a"}`}}})},
	{
		"whole", delta(`"tool_calls":[{"index":0,"id":"a","type":"function","function":{"name":"f","arguments":"{\"x\":1}"}}]`),
		calls(ToolCall{HasIndex: true, ID: "a", Type: "function", Name: "f", Arguments: `{"x":1}`}),
	},
	{"pieces", delta(`"tool_calls":[{"index":1,"function":{"arguments":"{"}},{"index":2,"id":null}]`), calls(ToolCall{Index: 1, HasIndex: true, Arguments: "{"}, ToolCall{Index: 2, HasIndex: true})},
	{"without index", delta(`"tool_calls":[{"id":"","function":null},{"index":null}]`), calls(ToolCall{}, ToolCall{})},
	{"arguments null", delta(`"tool_calls":[{"function":{"arguments":null}}]`), calls(ToolCall{})},
	{"arguments as an object", delta(`"tool_calls":[{"function":{"arguments":{"x": 1}}}]`), calls(ToolCall{Arguments: `{"x": 1}`})},
	{"function of another type", delta(`"tool_calls":[{"function":"f"}]`), calls(ToolCall{Extra: []Field{{"function", `"f"`}}})},
	{
		"unknown members", delta(`"tool_calls":[{"extra_content":{"google":{"thought_signature":"s"}},"n":null,"function":{"b":1,"n":null}}]`),
		calls(ToolCall{Extra: []Field{{"b", "1"}, {"extra_content", `{"google":{"thought_signature":"s"}}`}}}),
	},
	{"two functions", delta(`"tool_calls":[{"function":{"name":"a"},"function":{"arguments":"b"}}]`), calls(ToolCall{Arguments: "b"})},
	{"two lists", delta(`"tool_calls":[{"id":"a"}],"tool_calls":[{"id":"b"}]`), calls(ToolCall{ID: "b"})},
	{"unknown on both levels", delta(`"tool_calls":[{"x":1,"y":1,"function":{"x":2,"y":null}}]`), calls(ToolCall{Extra: []Field{{"x", "2"}, {"y", "1"}}})},
}

// calls is an answer with one choice that has the calls.
func calls(calls ...ToolCall) Answer { return one(Choice{ToolCalls: calls}) }

var usageQuirks = []quirk{
	{"null", `{"usage":null}`, Answer{}},
	{"empty", `{"usage":{}}`, Answer{}},
	{"nothing known", `{"usage":{"total_time":0.5,"prompt_tokens":null,"prompt_tokens_details":null}}`, Answer{}},
	{"of another type", `{"usage":[1]}`, Answer{}},
	{"zero is not missing", `{"usage":{"prompt_tokens":0,"completion_tokens":0}}`, used(Usage{})},
	{
		"OpenAI", `{"usage":{"prompt_tokens":10,"completion_tokens":5,"total_tokens":15,"prompt_tokens_details":{"cached_tokens":4,"audio_tokens":0},"completion_tokens_details":{"reasoning_tokens":3}}}`,
		used(Usage{Prompt: 10, Completion: 5, Cached: 4, Reasoning: 3}),
	},
	{
		"Responses", `{"usage":{"input_tokens":10,"output_tokens":5,"input_tokens_details":{"cached_tokens":4},"output_tokens_details":{"reasoning_tokens":3}}}`,
		used(Usage{Prompt: 10, Completion: 5, Cached: 4, Reasoning: 3}),
	},
	{"Moonshot", `{"usage":{"prompt_tokens":10,"cached_tokens":4}}`, used(Usage{Prompt: 10, Cached: 4})},
	{"DeepSeek", `{"usage":{"prompt_tokens":10,"prompt_cache_hit_tokens":4,"prompt_cache_miss_tokens":6}}`, used(Usage{Prompt: 10, Cached: 4})},
	{"reasoning at the top", `{"usage":{"completion_tokens":10,"reasoning_tokens":4}}`, used(Usage{Completion: 10, Reasoning: 4})},
	{"OpenRouter", `{"usage":{"prompt_tokens":10,"prompt_tokens_details":{"cached_tokens":2,"cache_write_tokens":3}}}`, used(Usage{Prompt: 10, Cached: 2, CacheWrite: 3})},
	{"new-api", `{"usage":{"prompt_tokens":10,"prompt_tokens_details":{"cached_creation_tokens":3},"input_tokens":0,"output_tokens":0,"input_tokens_details":null}}`, used(Usage{Prompt: 10, CacheWrite: 3})},
	{
		"Anthropic", `{"usage":{"input_tokens":10,"output_tokens":5,"cache_read_input_tokens":100,"cache_creation_input_tokens":1000}}`,
		used(Usage{Prompt: 1110, Completion: 5, Cached: 100, CacheWrite: 1000}),
	},
	{"Anthropic, all cached", `{"usage":{"input_tokens":0,"cache_read_input_tokens":100}}`, used(Usage{Prompt: 100, Cached: 100})},
	{"Anthropic, zeros for OpenAI", `{"usage":{"prompt_tokens":0,"input_tokens":10,"cache_read_input_tokens":100}}`, used(Usage{Prompt: 110, Cached: 100})},
	{"Anthropic and OpenAI", `{"usage":{"prompt_tokens":110,"input_tokens":10,"cache_read_input_tokens":100}}`, used(Usage{Prompt: 110, Cached: 100})},
	{"OpenAI, cached without prompt", `{"usage":{"prompt_tokens":0,"cache_read_input_tokens":100}}`, used(Usage{Cached: 100})},
	{"a detail only", `{"usage":{"prompt_tokens_details":{"cached_tokens":0}}}`, used(Usage{})},
	{"Anthropic in OpenAI's form", `{"usage":{"prompt_tokens":1110,"cache_read_input_tokens":100,"cache_creation_input_tokens":1000}}`, used(Usage{Prompt: 1110, Cached: 100, CacheWrite: 1000})},
	{"floats", `{"usage":{"prompt_tokens":12.0,"completion_tokens":1.2e1}}`, used(Usage{Prompt: 12, Completion: 12})},
	{"largest", `{"usage":{"prompt_tokens":1000000000000}}`, used(Usage{Prompt: maxCount})},
	{"too large", `{"usage":{"prompt_tokens":1000000000001,"completion_tokens":1}}`, Answer{}},
	{"far too large", `{"usage":{"prompt_tokens":1e999}}`, Answer{}},
	{"negative", `{"usage":{"prompt_tokens":10,"completion_tokens":-1}}`, Answer{}},
	{"negative detail", `{"usage":{"prompt_tokens":10,"prompt_tokens_details":{"cached_tokens":-1}}}`, Answer{}},
	{"fraction", `{"usage":{"prompt_tokens":10.5}}`, Answer{}},
	{"negative zero", `{"usage":{"prompt_tokens":-0}}`, used(Usage{})},
	{"a text", `{"usage":{"prompt_tokens":"10","completion_tokens":5}}`, used(Usage{Completion: 5})},
	{"Groq", `{"x_groq":{"id":"r","usage":{"prompt_tokens":10}}}`, used(Usage{Prompt: 10})},
	{"Groq without", `{"x_groq":{"id":"r"}}`, Answer{}},
	{"Groq of another type", `{"x_groq":[{"usage":{"prompt_tokens":10}}]}`, Answer{}},
	{
		"in a choice", `{"choices":[{"usage":{"prompt_tokens":10}}]}`,
		Answer{HasChoices: true, Choices: []Choice{{}}, HasUsage: true, Usage: Usage{Prompt: 10}},
	},
	{"several", `{"usage":{"prompt_tokens":10,"completion_tokens":1},"x_groq":{"usage":{"prompt_tokens":9,"completion_tokens":2}}}`, used(Usage{Prompt: 10, Completion: 2})},
	{"several, one absurd", `{"usage":{"prompt_tokens":-1},"x_groq":{"usage":{"prompt_tokens":9}}}`, used(Usage{Prompt: 9})},
	{"last of two", `{"usage":{"prompt_tokens":10},"usage":{"prompt_tokens":5}}`, used(Usage{Prompt: 5})},
	{"last of two groups", `{"usage":{"prompt_tokens":9,"prompt_tokens_details":{"cached_tokens":5},"prompt_tokens_details":{}}}`, used(Usage{Prompt: 9})},
	{"last of two Groqs", `{"x_groq":{"usage":{"prompt_tokens":9}},"x_groq":{}}`, Answer{}},
	{"last of two in Groq", `{"x_groq":{"usage":{"prompt_tokens":9},"usage":null}}`, Answer{}},
	{
		"last of two in a choice", `{"choices":[{"usage":{"prompt_tokens":9},"usage":{"prompt_tokens":8}}]}`,
		Answer{HasChoices: true, Choices: []Choice{{}}, HasUsage: true, Usage: Usage{Prompt: 8}},
	},
	{"last of two counts", `{"usage":{"prompt_tokens":-1,"prompt_tokens":5}}`, used(Usage{Prompt: 5})},
}

// used is an answer with a usage only.
func used(u Usage) Answer { return Answer{HasUsage: true, Usage: u} }

// nested is an array in an array and so on.
func nested(depth int) string { return strings.Repeat("[", depth) + strings.Repeat("]", depth) }

func TestDecode(t *testing.T) {
	for group, quirks := range map[string][]quirk{
		"answer": answerQuirks, "choice": choiceQuirks, "content": contentQuirks, "calls": callQuirks, "usage": usageQuirks,
	} {
		for _, q := range quirks {
			t.Run(group+"/"+q.name, func(t *testing.T) {
				got, err := decodeBoth(t, q.in)
				require.NoError(t, err)
				require.Equal(t, q.want, got)
			})
		}
	}
}

var badAnswers = map[string]string{
	"nothing":                    ``,
	"white space":                ` `,
	"null":                       `null`,
	"a text":                     `"a"`,
	"HTML":                       `<html></html>`,
	"an array":                   `[]`,
	"an array without an error":  `[{"id":"a"}]`,
	"an array of two errors":     `[{"error":1},{"error":1}]`,
	"an array of null errors":    `[{"error":null}]`,
	"two values":                 `{}{}`,
	"garbage behind":             `{}x`,
	"cut":                        `{"id":"a`,
	"comma at the end":           `{"id":"a",}`,
	"no comma":                   `{"id":"a" "model":"b"}`,
	"no colon":                   `{"id" "a"}`,
	"a bare key":                 `{id:"a"}`,
	"control character":          "{\"id\":\"a\nb\"}",
	"NUL":                        "{\"id\":\x00}",
	"bad escape":                 `{"id":"\x41"}`,
	"bad hexadecimal":            `{"id":"\u00g0"}`,
	"bad hexadecimal, upper":     `{"id":"\u00:0"}`,
	"short escape":               `{"id":"\u004"}`,
	"bad number":                 `{"x":01}`,
	"bare minus":                 `{"x":-}`,
	"no fraction":                `{"x":1.}`,
	"no exponent":                `{"x":1e}`,
	"bad literal":                `{"x":nul}`,
	"non-breaking space":         "{}\u00a0",
	"too deep":                   `{"x":` + nested(maxDepth) + `}`,
	"far too deep":               strings.Repeat("[", 100_000),
	"choices an object":          `{"choices":{}}`,
	"choices a text":             `{"choices":""}`,
	"choice null":                `{"choices":[null]}`,
	"choice a number":            `{"choices":[1]}`,
	"delta a text":               `{"choices":[{"delta":"a"}]}`,
	"message an array":           `{"choices":[{"message":[]}]}`,
	"message a text, with delta": `{"choices":[{"delta":{},"message":""}]}`,
	"content a number":           delta(`"content":1`),
	"content an object":          delta(`"content":{}`),
	"content a bool":             delta(`"content":false`),
	"index negative":             `{"choices":[{"index":-1}]}`,
	"index too large":            `{"choices":[{"index":1048577}]}`,
	"index a fraction":           `{"choices":[{"index":0.5}]}`,
	"call index negative":        delta(`"tool_calls":[{"index":-1}]`),
	"call index too large":       delta(`"tool_calls":[{"index":1e7}]`),
	"call a text":                delta(`"tool_calls":["a"]`),
	"too many choices":           `{"choices":[` + list(maxChoices+1, `{}`) + `]}`,
	"too many calls":             delta(`"tool_calls":[` + list(maxCalls+1, `{}`) + `]`),
	"too many calls in all":      `{"choices":[` + list(5, `{"delta":{"tool_calls":[`+list(maxCalls/4, `{}`)+`]}}`) + `]}`,
	"too many parts":             delta(`"content":[` + list(maxParts+1, `1`) + `]`),
	"too many fields":            manyFields(maxExtra + 1),
}

// list is n times the same element.
func list(n int, element string) string {
	return strings.TrimSuffix(strings.Repeat(element+",", n), ",")
}

func manyFields(n int) string {
	var b strings.Builder
	for i := range n {
		b.WriteString(`,"x` + strconv.Itoa(i) + `":1`)
	}
	return "{" + b.String()[1:] + "}"
}

func TestDecodeRefuses(t *testing.T) {
	for name, in := range badAnswers {
		t.Run(name, func(t *testing.T) {
			_, err := decodeBoth(t, in)
			require.Error(t, err)
		})
	}
}

// Texts cut anywhere are refused, and nothing reads past the cut.
func TestDecodeRefusesCutTexts(t *testing.T) {
	texts := append([]string{escapedChunk, `[{"error":{"message":"m"}}]`}, hotChunks...)
	for _, quirks := range [][]quirk{answerQuirks, choiceQuirks, contentQuirks, callQuirks, usageQuirks} {
		for _, q := range quirks {
			texts = append(texts, strings.TrimSpace(q.in))
		}
	}
	for _, text := range texts {
		for i := range text {
			var a Answer
			require.Error(t, Decode(text[:i], &a), text[:i])
		}
	}
}

func TestDecodeUpToTheBounds(t *testing.T) {
	a, err := decodeBoth(t, `{"choices":[`+list(maxChoices, `{}`)+`]}`)
	require.NoError(t, err)
	require.Len(t, a.Choices, maxChoices)

	a, err = decodeBoth(t, delta(`"tool_calls":[`+list(maxCalls, `{}`)+`]`))
	require.NoError(t, err)
	require.Len(t, a.Choices[0].ToolCalls, maxCalls)

	a, err = decodeBoth(t, manyFields(maxExtra))
	require.NoError(t, err)
	require.Len(t, a.Extra, maxExtra)
}

// The shapes that come all day must not need the slow decoder.
func TestFastReadsTheCommonShapes(t *testing.T) {
	common := append([]string{escapedChunk, plainAnswer}, hotChunks...)
	common = append(common,
		` { "choices" : [ { "delta" : { "content" : "a" } , "index" : 0 } ] , "id" : "x" } `,
		delta(`"content":"a","provider_field":{"x":[1,-2.5e3,true,false,null,"\u0041"]}`),
		delta(`"role":"assistant","reasoning":"a","reasoning_content":null,"annotations":[]`),
		`{"choices":[{"index":1,"delta":{"content":"b"}},{"index":0,"delta":{"content":"a"}}]}`,
		`{"error":{"message":"m"}}`,
		`{"x_groq":{"id":"r","usage":{"queue_time":0.03,"prompt_tokens":18}}}`,
	)
	for _, data := range common {
		var a Answer
		require.True(t, decodeFast(data, &a), data)
		_, err := decodeBoth(t, data)
		require.NoError(t, err)
	}
}

func TestResetKeepsCapacity(t *testing.T) {
	a := dirty(t)
	choices, extra := cap(a.Choices), cap(a.Choices[0].ToolCalls)
	a.Reset()
	require.Equal(t, Answer{}, normal(a))
	c := a.addChoice()
	require.Equal(t, choices, cap(a.Choices))
	require.Equal(t, extra, cap(c.ToolCalls))
}
