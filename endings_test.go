package holysheep_test

import (
	"net/http"
	"strings"
	"testing"
	"testing/synctest"
	"time"

	"github.com/stretchr/testify/require"

	"github.com/holysheep-ai/holysheep-go"
	"github.com/holysheep-ai/holysheep-go/holysheeptest"
)

// Each row is one way a call can end, asked for plainly: what the caller gets, how often it was sent, and whether
// it may be on the bill.
func TestEndings(t *testing.T) {
	type row struct {
		name    string
		reply   *holysheeptest.Reply
		is      error
		sent    int // 5 where it is retried
		billing holysheep.Billing
	}
	status := holysheeptest.Status
	fail := holysheeptest.Error
	rows := []row{
		{"400 bad request", status(400), holysheep.ErrBadRequest, 1, holysheep.NotBilled},
		{"400 context length", fail(400, "context_length_exceeded", "This model's maximum context length is 128000 tokens."), holysheep.ErrContextLength, 1, holysheep.NotBilled},
		{"400 content policy", fail(400, "content_policy_violation", "no"), holysheep.ErrContentFiltered, 1, holysheep.NotBilled},
		{"401 bad key", fail(401, "invalid_api_key", "Incorrect API key provided"), holysheep.ErrUnauthorized, 1, holysheep.NotBilled},
		{"401 spent quota of the key", fail(401, "", "该令牌额度已用尽 (request id: 20261124)"), holysheep.ErrInsufficientBalance, 1, holysheep.NotBilled},
		{"402 insufficient balance", status(402), holysheep.ErrInsufficientBalance, 1, holysheep.NotBilled},
		{"403 forbidden", status(403), holysheep.ErrForbidden, 1, holysheep.NotBilled},
		{"403 insufficient user quota", fail(403, "insufficient_user_quota", "x"), holysheep.ErrInsufficientBalance, 1, holysheep.NotBilled},
		{"403 pre-consume failed", fail(403, "pre_consume_token_quota_failed", "x"), holysheep.ErrInsufficientBalance, 1, holysheep.NotBilled},
		{"403 model not for this key", fail(403, "", "该令牌无权访问模型 gpt-4.1"), holysheep.ErrForbidden, 1, holysheep.NotBilled},
		{"404 unknown model", fail(404, "model_not_found", "The model does not exist"), holysheep.ErrModelNotFound, 1, holysheep.NotBilled},
		{"404 wrong path", holysheeptest.HTML(404, "<h1>Not Found</h1>"), holysheep.ErrNotFound, 1, holysheep.NotBilled},
		{"503 unknown model", fail(503, "", "当前分组 default 下对于模型 nope 无可用渠道"), holysheep.ErrModelNotFound, 1, holysheep.NotBilled},
		{"500 without price", fail(500, "model_price_error", "x"), holysheep.ErrModelNotFound, 1, holysheep.NotBilled},
		{"413 too long", status(413), holysheep.ErrContextLength, 1, holysheep.NotBilled},
		{"422 bad request", status(422), holysheep.ErrBadRequest, 1, holysheep.NotBilled},
		{"408 time-out", status(408), holysheep.ErrTimeout, 5, holysheep.NotBilled},
		{"409 lock", status(409), holysheep.ErrConflict, 5, holysheep.NotBilled},
		{"429 rate limited", status(429), holysheep.ErrRateLimited, 5, holysheep.NotBilled},
		{"429 spent quota", fail(429, "insufficient_quota", "You exceeded your current quota"), holysheep.ErrInsufficientBalance, 1, holysheep.NotBilled},
		{"500 with an error object", fail(500, "do_request_failed", "x"), holysheep.ErrServer, 5, holysheep.NotBilled},
		{"500 without one", holysheeptest.HTML(500, "<h1>Oops</h1>"), holysheep.ErrServer, 5, holysheep.MaybeBilled},
		{"501 not implemented", status(501), holysheep.ErrServer, 1, holysheep.NotBilled},
		{"502 page of a proxy", holysheeptest.HTML(502, "<h1>Bad Gateway</h1>"), holysheep.ErrServer, 5, holysheep.MaybeBilled},
		{"503 overloaded", status(503), holysheep.ErrOverloaded, 5, holysheep.NotBilled},
		{"503 page", holysheeptest.HTML(503, "busy"), holysheep.ErrOverloaded, 5, holysheep.NotBilled},
		{"504 page", holysheeptest.HTML(504, "late"), holysheep.ErrServer, 5, holysheep.MaybeBilled},
		{"524 page", holysheeptest.HTML(524, "late"), holysheep.ErrServer, 5, holysheep.MaybeBilled},
		{"529 overloaded", status(529), holysheep.ErrOverloaded, 5, holysheep.NotBilled},
		{"307 redirect", status(307).Header("Location", "https://elsewhere.example/v1"), holysheep.ErrRedirect, 1, holysheep.NotBilled},
		{"200 with an error object", holysheeptest.Raw(200, "application/json", `{"error":{"message":"no","type":"invalid_request_error"}}`), holysheep.ErrBadRequest, 1, holysheep.MaybeBilled},
		{"200 with a rate limit inside", holysheeptest.Raw(200, "application/json", `{"error":{"message":"slow down","type":"rate_limit_error"}}`), holysheep.ErrRateLimited, 5, holysheep.MaybeBilled},
		{"200 with base_resp", holysheeptest.Raw(200, "application/json", `{"base_resp":{"status_code":1008,"status_msg":"insufficient balance"}}`), holysheep.ErrInsufficientBalance, 1, holysheep.MaybeBilled},
		{"200 with choices: []", holysheeptest.Raw(200, "application/json", `{"id":"x","choices":[]}`), holysheep.ErrEmpty, 1, holysheep.MaybeBilled},
		{"200 HTML", holysheeptest.HTML(200, "<h1>Log in to the hotel network</h1>"), holysheep.ErrMalformed, 1, holysheep.MaybeBilled},
		{"200 empty body", holysheeptest.Raw(200, "application/json", ""), holysheep.ErrMalformed, 1, holysheep.MaybeBilled},
		{"200 bad JSON", holysheeptest.Raw(200, "application/json", `{"choices":[{`), holysheep.ErrMalformed, 1, holysheep.MaybeBilled},
		{"200 cut", holysheeptest.Text("some words here").CutAfter(1), holysheep.ErrTruncated, 5, holysheep.MaybeBilled},
		{"no answer", holysheeptest.Reset(), holysheep.ErrNoAnswer, 5, holysheep.MaybeBilled},
		{"200 oversized body", holysheeptest.Text(strings.Repeat("word ", 1000)), holysheep.ErrTooLarge, 1, holysheep.MaybeBilled},
		{"plain answer that never comes", holysheeptest.Text("x").After(time.Hour), holysheep.ErrTimeout, 1, holysheep.MaybeBilled},
		{"plain answer that stops", holysheeptest.Text("x").StallAfter(1), holysheep.ErrTimeout, 1, holysheep.MaybeBilled},
	}
	for _, r := range rows {
		t.Run(r.name, func(t *testing.T) {
			synctest.Test(t, func(t *testing.T) {
				gw := holysheeptest.Start(t)
				gw.ReplyWhen(func(*holysheeptest.Request) bool { return true }, r.reply)
				c := gw.Client(&holysheep.Options{MaxAnswerBytes: 2000})
				_, err := c.Chat(t.Context(), ask("A question of some length?"))
				require.ErrorIs(t, err, r.is)
				require.Equal(t, r.sent, gw.Count())
				attempts, billing := outcome(t, err)
				require.Equal(t, r.sent, attempts)
				require.Equal(t, r.billing, billing)
				require.NotContains(t, err.Error(), "A question of some length?")
				total := c.Meter()[holysheep.DeepSeekV32]
				require.EqualValues(t, r.sent, total.Attempts)
				if r.billing == holysheep.NotBilled {
					require.Zero(t, total.Cost)
				} else {
					require.Positive(t, total.Cost.AtMost)
					require.GreaterOrEqual(t, total.Cost.AtMost, gw.Billed())
				}
			})
		})
	}
}

func outcome(t *testing.T, err error) (int, holysheep.Billing) {
	t.Helper()
	switch e := unwrapStream(err).(type) { //nolint:errorlint // the error itself is what is tested
	case *holysheep.APIError:
		return e.Attempts, e.Billing
	case *holysheep.TransportError:
		return e.Attempts, e.Billing
	}
	t.Fatalf("%T is no outcome of a call: %v", err, err)
	return 0, 0
}

func unwrapStream(err error) error {
	if e, ok := err.(*holysheep.StreamError); ok { //nolint:errorlint // likewise
		return e.Err
	}
	return err
}

const (
	chunkA    = `data: {"id":"c","model":"m","choices":[{"index":0,"delta":{"role":"assistant","content":"Hel"}}]}` + "\n\n"
	chunkB    = `data: {"id":"c","model":"m","choices":[{"index":0,"delta":{"content":"lo"}}]}` + "\n\n"
	chunkStop = `data: {"id":"c","model":"m","choices":[{"index":0,"delta":{},"finish_reason":"stop"}]}` + "\n\n"
	chunkUse  = `data: {"id":"c","model":"m","choices":[],"usage":{"prompt_tokens":7,"completion_tokens":2}}` + "\n\n"
	chunkDone = "data: [DONE]\n\n"
)

// The endings of streams; text is what has to have arrived, complete or not.
func TestStreamEndings(t *testing.T) {
	sse := func(body string) *holysheeptest.Reply { return holysheeptest.Raw(200, "text/event-stream", body) }
	rows := []struct {
		name  string
		reply *holysheeptest.Reply
		opts  *holysheep.Options
		is    error // nil: complete
		text  string
		basis holysheep.Basis
	}{
		{"complete", sse(chunkA + chunkB + chunkStop + chunkUse + chunkDone), nil, nil, "Hello", holysheep.Reported},
		{"complete without DONE", sse(chunkA + chunkB + chunkStop + chunkUse), nil, nil, "Hello", holysheep.Reported},
		{"complete without usage", sse(chunkA + chunkB + chunkStop + chunkDone), nil, nil, "Hello", holysheep.Estimated},
		{"DONE without finish_reason", sse(chunkA + chunkB + chunkDone), nil, holysheep.ErrTruncated, "Hello", holysheep.Estimated},
		{"DONE and made-up usage without finish_reason", sse(chunkA + chunkUse + chunkDone), nil, holysheep.ErrTruncated, "Hel", holysheep.Estimated},
		{"DONE without finish_reason, trusted", sse(chunkA + chunkB + chunkUse + chunkDone), &holysheep.Options{TrustDone: true}, nil, "Hello", holysheep.Reported},
		{"polite end without finish_reason", sse(chunkA + chunkB), nil, holysheep.ErrTruncated, "Hello", holysheep.Estimated},
		{"cut", holysheeptest.Text("Hel lo").CutAfter(1), nil, holysheep.ErrTruncated, "Hel", holysheep.Estimated},
		{"stall", holysheeptest.Text("Hel lo").StallAfter(1), nil, holysheep.ErrStalled, "Hel", holysheep.Estimated},
		{"error object", holysheeptest.Text("Hel lo").ErrorAfter(1, "overloaded_error", "busy"), nil, holysheep.ErrOverloaded, "Hel", holysheep.Estimated},
		{"error object beside choices", sse(chunkA + `data: {"choices":[],"error":{"message":"busy","type":"server_error"}}` + "\n\n" + chunkUse + chunkDone), nil, holysheep.ErrServer, "Hel", holysheep.Estimated},
		{"event: error", sse(chunkA + "event: error\ndata: {\"message\":\"no\",\"type\":\"invalid_request_error\"}\n\n"), nil, holysheep.ErrBadRequest, "Hel", holysheep.Estimated},
		{"error line", sse(chunkA + "error: {\"message\":\"no\",\"type\":\"invalid_request_error\"}\n\n"), nil, holysheep.ErrBadRequest, "Hel", holysheep.Estimated},
		{"finish_reason error", sse(chunkA + `data: {"choices":[{"index":0,"delta":{},"finish_reason":"error"}]}` + "\n\n" + chunkDone), nil, holysheep.ErrServer, "Hel", holysheep.Estimated},
		{"malformed chunk", sse(chunkA + "data: {\"choices\":[}\n\n" + chunkStop), nil, holysheep.ErrMalformed, "Hel", holysheep.Estimated},
		{"oversized event", holysheeptest.Text("Hel").Huge(70_000), &holysheep.Options{MaxEventBytes: 64 << 10}, holysheep.ErrTooLarge, "", holysheep.Estimated},
		{"oversized answer", sse(chunkA + strings.Repeat(chunkB, 60) + chunkStop), &holysheep.Options{MaxAnswerBytes: 100}, holysheep.ErrTooLarge, "Hel" + strings.Repeat("lo", 49), holysheep.Estimated},
		{"plain answer", holysheeptest.Text("Hello").Plain(), nil, nil, "Hello", holysheep.Reported},
		{"plain answer as a stream", sse(`{"id":"x","choices":[{"index":0,"message":{"role":"assistant","content":"Hello"},"finish_reason":"stop"}],"usage":{"prompt_tokens":1,"completion_tokens":1}}`), nil, nil, "Hello", holysheep.Reported},
	}
	for _, r := range rows {
		t.Run(r.name, func(t *testing.T) {
			synctest.Test(t, func(t *testing.T) {
				gw := holysheeptest.Start(t)
				gw.Reply(r.reply)
				c := gw.Client(r.opts)
				got := drainStream(t.Context(), c, ask("x"))
				require.Equal(t, r.text, got.text)
				require.Equal(t, 1, gw.Count())
				if r.is == nil {
					require.NoError(t, got.err)
					require.Equal(t, r.text, got.response.Text())
					require.Equal(t, r.basis, got.response.Cost.Basis)
					require.Positive(t, got.response.Cost.USD)
					return
				}
				require.ErrorIs(t, got.err, r.is)
				if r.text == "" {
					return
				}
				p := got.partial(t)
				require.Equal(t, r.text, p.Text())
				require.Equal(t, r.basis, p.Cost.Basis)
				require.Positive(t, p.Cost.USD)
				require.Greater(t, p.Cost.AtMost, p.Cost.USD, "a relay may bill it in full")
			})
		})
	}
}

// Streams that end badly before anything could be shown are asked for again where that helps, and end typed.
func TestStreamsWithoutText(t *testing.T) {
	sse := func(body string) *holysheeptest.Reply { return holysheeptest.Raw(200, "text/event-stream", body) }
	rows := []struct {
		name  string
		reply *holysheeptest.Reply
		is    error
		sent  int
	}{
		{"DONE alone", sse(chunkDone), holysheep.ErrEmpty, 1},
		{"DONE alone without its line end", sse("data: [DONE]"), holysheep.ErrEmpty, 1},
		{"nothing", sse(""), holysheep.ErrEmpty, 1},
		{"only keep-alives, then the end", sse(strings.Repeat(": ping\n\n", 1000)), holysheep.ErrEmpty, 1},
		{"a page", sse("<html><title>Gone</title></html>"), holysheep.ErrMalformed, 1},
		{"a JSON error instead of a stream", sse(`{"error":{"message":"slow down","type":"rate_limit_error"}}`), holysheep.ErrRateLimited, 5},
		{"a first event that is an error", sse(`data: {"error":{"message":"x","code":"529"}}` + "\n\n"), holysheep.ErrOverloaded, 5},
		{"a JSON error as JSON", holysheeptest.Raw(200, "application/json", `[{"error":{"message":"no such key","code":401}}]`), holysheep.ErrUnauthorized, 1},
		{"429", holysheeptest.Status(429), holysheep.ErrRateLimited, 5},
		{"headers that never come", holysheeptest.Text("x").After(time.Hour), holysheep.ErrTimeout, 1},
		{"keep-alives without end", holysheeptest.Text("x").StallAfter(0), holysheep.ErrStalled, 1},
	}
	for _, r := range rows {
		t.Run(r.name, func(t *testing.T) {
			synctest.Test(t, func(t *testing.T) {
				gw := holysheeptest.Start(t)
				gw.ReplyWhen(func(*holysheeptest.Request) bool { return true }, r.reply)
				got := drainStream(t.Context(), gw.Client(nil), ask("x"))
				require.ErrorIs(t, got.err, r.is)
				require.Equal(t, 1, got.events, "an error comes last and alone")
				require.Equal(t, r.sent, gw.Count())
			})
		})
	}
}

// After a part of the answer has been shown, nothing is sent again, whatever the error.
func TestNothingIsRepeatedOnceShown(t *testing.T) {
	synctest.Test(t, func(t *testing.T) {
		gw := holysheeptest.Start(t)
		gw.Reply(holysheeptest.Text("one two three").CutAfter(2))
		got := drainStream(t.Context(), gw.Client(nil), ask("x"))
		require.ErrorIs(t, got.err, holysheep.ErrTruncated)
		require.Equal(t, "one two", got.text)
		require.Equal(t, 1, gw.Count())
	})
}

// Collected streams show nothing before the end, so a cut one is repeated, and each attempt is on the books.
func TestCollectedStreamIsRepeated(t *testing.T) {
	synctest.Test(t, func(t *testing.T) {
		gw := holysheeptest.Start(t)
		gw.Reply(holysheeptest.Text("one two three").CutAfter(2), holysheeptest.Text("one two three"))
		resp, err := gw.Client(&holysheep.Options{CollectStreams: true}).Chat(t.Context(), ask("x"))
		require.NoError(t, err)
		require.Equal(t, "one two three", resp.Text())
		require.Equal(t, 2, resp.Attempts)
		require.Equal(t, holysheep.Estimated, resp.Cost.Basis)
		require.GreaterOrEqual(t, resp.Cost.AtMost, gw.Billed())
		require.True(t, gw.Requests()[0].Stream)
		require.Equal(t,
			gw.Requests()[0].Header.Get("Idempotency-Key"), gw.Requests()[1].Header.Get("Idempotency-Key"))
		require.NotEmpty(t, gw.Requests()[0].Header.Get("Idempotency-Key"))
	})
}

func TestRetryAfter(t *testing.T) {
	rows := []struct {
		name      string
		header    string
		value     string
		min, max  time.Duration // of the wait; 0, 0 for none
		giveUp    bool
		wantsHint time.Duration
	}{
		{"seconds", "Retry-After", "1", time.Second, 1200 * time.Millisecond, false, 0},
		{"fraction", "Retry-After", "1.5", 1500 * time.Millisecond, 1750 * time.Millisecond, false, 0},
		{"milliseconds", "retry-after-ms", "1200", 1200 * time.Millisecond, 1420 * time.Millisecond, false, 0},
		{"a minute", "Retry-After", "60", time.Minute, 66100 * time.Millisecond, false, 0},
		{"past date", "Retry-After", "Wed, 21 Oct 2015 07:28:00 GMT", 1, 100 * time.Millisecond, false, 0},
		{"negative", "Retry-After", "-5", 1, 500 * time.Millisecond, false, 0},
		{"nonsense", "Retry-After", "soon", 1, 500 * time.Millisecond, false, 0},
		{"an hour", "Retry-After", "3600", 0, 0, true, time.Hour},
		{"for ever", "Retry-After", "99999999999999999999", 0, 0, true, 1<<63 - 1},
	}
	for _, r := range rows {
		t.Run(r.name, func(t *testing.T) {
			synctest.Test(t, func(t *testing.T) {
				// The bubble's clock begins in 2000; a date in its past is needed.
				if r.name == "past date" {
					r.value = time.Now().Add(-time.Hour).UTC().Format(http.TimeFormat)
				}
				gw := holysheeptest.Start(t)
				gw.Reply(holysheeptest.Status(429).Header(r.header, r.value))
				start := time.Now()
				_, err := gw.Client(nil).Chat(t.Context(), ask("x"))
				if r.giveUp {
					require.Zero(t, time.Since(start))
					e, ok := err.(*holysheep.APIError) //nolint:errorlint // the error itself is what is tested
					require.True(t, ok)
					require.Equal(t, r.wantsHint, e.RetryAfter)
					return
				}
				require.NoError(t, err)
				require.GreaterOrEqual(t, time.Since(start), r.min)
				require.LessOrEqual(t, time.Since(start), r.max)
			})
		})
	}
}
