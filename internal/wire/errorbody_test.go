package wire

import (
	"strings"
	"testing"
	"time"

	"github.com/stretchr/testify/require"
)

var errorBodies = []struct {
	name, in string
	want     ErrorBody
}{
	{"nothing", "", ErrorBody{}},
	{"white space", " \n", ErrorBody{}},
	{"plain text", "upstream\n\tfailed\x00 ", ErrorBody{Message: "upstream failed"}},
	{"plain text, bad bytes", "a\xffb", ErrorBody{Message: "a\ufffdb"}},
	{
		"OpenAI", `{"error":{"message":"no such model","type":"invalid_request_error","code":"model_not_found","param":"model"}}`,
		ErrorBody{Object: true, Message: "no such model", Type: "invalid_request_error", Code: "model_not_found", Param: "model"},
	},
	{"byte order mark", "\ufeff" + `{"error":{"message":"m"}}`, ErrorBody{Object: true, Message: "m"}},
	{"code a number", `{"error":{"message":"m","code":429}}`, ErrorBody{Object: true, Message: "m", Code: "429"}},
	{"code null", `{"error":{"message":"m","code":null,"param":null,"type":null}}`, ErrorBody{Object: true, Message: "m"}},
	{"Google", `{"error":{"code":429,"message":"m","status":"RESOURCE_EXHAUSTED"}}`, ErrorBody{Object: true, Message: "m", Code: "429", Type: "RESOURCE_EXHAUSTED"}},
	{
		"Anthropic", `{"type":"error","error":{"type":"overloaded_error","message":"Overloaded"},"request_id":"req_1"}`,
		ErrorBody{Object: true, Type: "overloaded_error", Message: "Overloaded", RequestID: "req_1"},
	},
	{"text", `{"error":"bad thing"}`, ErrorBody{Object: true, Message: "bad thing"}},
	{"word and message", `{"error":"rate_limited","message":"Slow down."}`, ErrorBody{Object: true, Type: "rate_limited", Message: "Slow down."}},
	{"text and message", `{"error":"Bad Request","message":"no model"}`, ErrorBody{Object: true, Message: "Bad Request: no model"}},
	{"text and the same message", `{"error":"bad","message":"bad"}`, ErrorBody{Object: true, Message: "bad"}},
	{"true and message", `{"error":true,"message":"m"}`, ErrorBody{Object: true, Message: "m"}},
	{"code only", `{"error":{"code":"E012"}}`, ErrorBody{Object: true, Code: "E012"}},
	{"nothing known", `{"error":{"reason":"r"}}`, ErrorBody{Object: true, Message: `{"reason":"r"}`}},
	{
		"spending limit", `{"error":{"message":"limit"},"resetAt":"2026-11-25T00:00:00Z"}`,
		ErrorBody{Object: true, Message: "limit", ResetAt: "2026-11-25T00:00:00Z"},
	},
	{"reset as a number", `{"error":{"message":"limit","reset_at":1764000000}}`, ErrorBody{Object: true, Message: "limit", ResetAt: "1764000000"}},
	{"retry_after", `{"error":{"message":"m"},"retry_after":1.2}`, ErrorBody{Object: true, Message: "m", RetryAfter: 1200 * time.Millisecond, HasRetryAfter: true}},
	{"retry_after inside", `{"error":{"message":"m","retry_after":"2"}}`, ErrorBody{Object: true, Message: "m", RetryAfter: 2 * time.Second, HasRetryAfter: true}},
	{"retry_after negative", `{"error":{"message":"m"},"retry_after":-1}`, ErrorBody{Object: true, Message: "m"}},
	{"array", `[{"error":{"message":"m","code":400}}]`, ErrorBody{Object: true, Message: "m", Code: "400"}},
	{"error an array", `{"error":[{"message":"m"}]}`, ErrorBody{Object: true, Message: "m"}},
	{"error in an error", `{"error":{"error":{"message":"m","code":1}}}`, ErrorBody{Object: true, Message: "m", Code: "1"}},
	{"MiniMax", `{"base_resp":{"status_code":1008,"status_msg":"insufficient balance"}}`, ErrorBody{Object: true, Message: "insufficient balance", Code: "1008"}},
	{"MiniMax beside choices", `{"choices":null,"base_resp":{"status_code":1008,"status_msg":"m"}}`, ErrorBody{Object: true, Message: "m", Code: "1008"}},
	{
		"JSON in the message", `{"error":{"message":"{\"error\":{\"message\":\"inner\",\"code\":7}}","type":"upstream_error","code":502}}`,
		ErrorBody{Object: true, Message: "inner", Type: "upstream_error", Code: "7"},
	},
	{
		"JSON in the message, twice", `{"error":{"message":"{\"message\":\"{\\\"error\\\":\\\"deep\\\"}\"}"}}`,
		ErrorBody{Object: true, Message: "deep"},
	},
	{
		"JSON in the message, three times", `{"error":"{\"error\":\"{\\\"error\\\":\\\"{\\\\\\\"error\\\\\\\":\\\\\\\"deep\\\\\\\"}\\\"}\"}"}`,
		ErrorBody{Object: true, Message: `{"error":"deep"}`},
	},
	{
		"request id", `{"error":{"message":"no channel (request id: 2026112412)","type":"new_api_error"}}`,
		ErrorBody{Object: true, Message: "no channel (request id: 2026112412)", Type: "new_api_error", RequestID: "2026112412"},
	},
	{
		"request id behind JSON", `{"error":{"message":"{\"error\":{\"message\":\"inner (request id: up)\"}} (request id: own)"}}`,
		ErrorBody{Object: true, Message: "inner (request id: up)", RequestID: "own"},
	},
	{"request id in the middle", `{"message":"a (request id: x) b"}`, ErrorBody{Object: true, Message: "a (request id: x) b"}},
	{"message and code", `{"message":"m","code":"c"}`, ErrorBody{Object: true, Message: "m", Code: "c"}},
	{"msg and code", `{"msg":"m","code":1001}`, ErrorBody{Object: true, Message: "m", Code: "1001"}},
	{"FastAPI text", `{"detail":"Not Found"}`, ErrorBody{Object: true, Message: "Not Found"}},
	{
		"FastAPI list", `{"detail":[{"loc":["body","messages",0],"msg":"field required","type":"missing"},{"loc":["body"],"msg":"second"}]}`,
		ErrorBody{Object: true, Message: "field required; second", Param: "messages.0", Type: "missing"},
	},
	{"FastAPI object", `{"detail":{"error":{"message":"m"}}}`, ErrorBody{Object: true, Message: "m"}},
	{"success", `{"code":0,"message":"success"}`, ErrorBody{Message: `{"code":0,"message":"success"}`}},
	{"MiniMax success", `{"base_resp":{"status_code":0,"status_msg":""}}`, ErrorBody{Message: `{"base_resp":{"status_code":0,"status_msg":""}}`}},
	{"an answer", `{"message":"m","choices":[]}`, ErrorBody{Message: `{"message":"m","choices":[]}`}},
	{"an Anthropic event", `{"type":"message_start","message":{}}`, ErrorBody{Message: `{"type":"message_start","message":{}}`}},
	{"error null", `{"error":null}`, ErrorBody{Message: `{"error":null}`}},
	{"cut JSON", `{"error":{"message":"m`, ErrorBody{Message: `{"error":{"message":"m`}},
	{
		"HTML", "<!DOCTYPE html>\n<html><head><title>502 Bad\nGateway</title><style>p{}</style></head><body><h1>502 Bad Gateway</h1><hr>nginx</body></html>",
		ErrorBody{Message: "502 Bad Gateway nginx"},
	},
	{
		"HTML with scripts", `<HTML><TITLE>Just a moment&hellip;</TITLE><SCRIPT>if (a<b) { x = "</p>" }</SCRIPT><!-- <p>not shown</p> --><p>Checking &lt;you&gt; 1 < 2</p>`,
		ErrorBody{Message: "Just a moment…: Checking <you> 1 < 2"},
	},
	{"HTML without text", `<html><head><title>Busy</title></head></html>`, ErrorBody{Message: "Busy"}},
	{"HTML cut in a tag", `<p>text<a hre`, ErrorBody{Message: "text"}},
}

func TestParseError(t *testing.T) {
	for _, c := range errorBodies {
		t.Run(c.name, func(t *testing.T) {
			require.Equal(t, c.want, ParseError([]byte(c.in)))
		})
	}
}

func TestParseErrorBounds(t *testing.T) {
	for name, body := range map[string]string{
		"brackets":        strings.Repeat("[", 64<<10),
		"braces":          strings.Repeat(`{"error":`, 8<<10),
		"closed brackets": nested(32 << 10),
		"tags":            strings.Repeat("<", 64<<10),
		"scripts":         strings.Repeat("<script>", 8<<10),
		"comments":        strings.Repeat("<!--", 16<<10),
		"text":            strings.Repeat("中", 1<<20),
		"message":         `{"error":{"message":"` + strings.Repeat("中", 1<<20) + `"}}`,
		"members":         `{"error":{` + list(1<<18, `"message":1`) + `}}`,
		"message in message in message": func() string {
			s := `{"error":"` + strings.Repeat("x", 1<<16) + `"}`
			for range 4 {
				s = `{"error":"` + strings.NewReplacer(`\`, `\\`, `"`, `\"`).Replace(s) + `"}`
			}
			return s
		}(),
	} {
		t.Run(name, func(t *testing.T) {
			start := time.Now()
			e := ParseError([]byte(body))
			require.Less(t, time.Since(start), 2*time.Second)
			require.LessOrEqual(t, len(e.Message), maxMessage)
			if !e.Object {
				require.LessOrEqual(t, len(e.Message), maxExcerpt)
			}
		})
	}
}

func TestExcerptCutsBetweenCharacters(t *testing.T) {
	require.Equal(t, "ab中", Excerpt([]byte("ab中文"), 7))
	require.Equal(t, "ab中文", Excerpt([]byte("ab中文"), 8))
	require.Empty(t, Excerpt([]byte("中"), 2))
	require.Empty(t, Excerpt([]byte("ab"), 0))
	require.Empty(t, Excerpt([]byte("ab"), -1))
}
