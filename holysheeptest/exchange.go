package holysheeptest

import (
	"context"
	"fmt"
	"maps"
	"net"
	"net/http"
	"strconv"
	"strings"
	"time"
	"unicode"

	"github.com/holysheep-ai/holysheep-go"
)

// exchange is one request being answered.
type exchange struct {
	server  *Server
	w       http.ResponseWriter
	ctx     context.Context //nolint:containedctx // the request's, for the time it is answered
	request *Request
	reply   *Reply
}

func (x *exchange) answer() {
	r := x.reply
	x.bill()
	if !x.sleep(r.after) {
		return
	}
	maps.Copy(x.w.Header(), r.header)
	x.w.Header().Set("X-Request-Id", fmt.Sprintf("req-%d", x.request.number))
	switch {
	case r.stop == stopReset:
		x.cut()
	case r.status != 0:
		x.write(r.media, r.status, r.raw)
	case x.request.Method == http.MethodGet:
		x.write("application/json", http.StatusOK, modelsBody)
	case x.request.embeds():
		x.whole(x.embeddings())
	case x.request.Stream && !r.plainOnly:
		x.stream()
	default:
		x.plain()
	}
}

const modelsBody = `{"data":[{"id":"gpt-4.1"},{"id":"claude-sonnet-4.5"},{"id":"gemini-2.5-flash"},{"id":"deepseek-v3.2"}]}`

// sleep waits, and reports whether there is still somebody to answer.
func (x *exchange) sleep(d time.Duration) bool {
	if d <= 0 {
		return true
	}
	timer := time.NewTimer(d)
	defer timer.Stop()
	select {
	case <-timer.C:
		return true
	case <-x.ctx.Done():
	case <-x.server.done:
	}
	return false
}

func (x *exchange) write(media string, status int, body string) {
	x.w.Header().Set("Content-Type", media)
	x.w.WriteHeader(status)
	_, _ = x.w.Write([]byte(body))
}

// cut breaks the connection, over TCP with a reset.
func (x *exchange) cut() {
	hijacker, ok := x.w.(http.Hijacker)
	if !ok {
		return
	}
	conn, _, err := hijacker.Hijack()
	if err != nil {
		return
	}
	if tcp, ok := conn.(*net.TCPConn); ok {
		_ = tcp.SetLinger(0)
	}
	_ = conn.Close()
}

func (x *exchange) bill() {
	if x.reply.status == 0 && x.request.Method != http.MethodGet {
		x.server.bill(x.request, x.usage())
	}
}

func (x *exchange) usage() holysheep.Usage {
	if x.reply.usage != nil {
		return *x.reply.usage
	}
	var u holysheep.Usage
	u.PromptTokens = x.server.promptTokens(x.request)
	if x.request.embeds() {
		return u
	}
	u.CompletionTokens = int64(len(x.pieces()))
	for _, c := range x.reply.calls {
		u.CompletionTokens += 4 + int64(len(pieces(c.Arguments)))
	}
	return u
}

// pieces are those of the text that max_tokens lets through.
func (x *exchange) pieces() []string {
	all := pieces(x.reply.text)
	if x.request.max > 0 && len(all) > x.request.max {
		return all[:x.request.max]
	}
	return all
}

func (x *exchange) finish() any {
	switch {
	case x.reply.finish == "":
		return nil
	case x.request.max > 0 && len(pieces(x.reply.text)) > x.request.max:
		return "length"
	}
	return x.reply.finish
}

func (x *exchange) usageObject() map[string]any {
	u := x.usage()
	return map[string]any{
		"prompt_tokens": u.PromptTokens, "completion_tokens": u.CompletionTokens, "total_tokens": u.Total(),
		"prompt_tokens_details":     map[string]any{"cached_tokens": u.CachedTokens},
		"completion_tokens_details": map[string]any{"reasoning_tokens": u.ReasoningTokens},
	}
}

func (x *exchange) envelope(object string, choices any) map[string]any {
	return map[string]any{
		"id": fmt.Sprintf("chatcmpl-%d", x.request.number), "object": object, "created": x.request.Time.Unix(),
		"model": x.request.Model, "choices": choices,
	}
}

func (x *exchange) plain() {
	message := map[string]any{"role": "assistant", "content": strings.Join(x.pieces(), "")}
	if len(x.reply.calls) > 0 {
		message["tool_calls"] = toolCalls(x.reply.calls, false)
	}
	body := x.envelope("chat.completion", []any{map[string]any{
		"index": 0, "message": message, "finish_reason": x.finish(),
	}})
	if !x.reply.noUsage {
		body["usage"] = x.usageObject()
	}
	x.whole(body)
}

// whole writes an answer that is no stream.
func (x *exchange) whole(body map[string]any) {
	text := toJSON(body)
	switch x.reply.stop {
	case stopCut, stopStall:
		x.w.Header().Set("Content-Type", "application/json")
		x.w.Header().Set("Content-Length", strconv.Itoa(len(text)))
		_, _ = x.w.Write([]byte(text[:len(text)/2]))
		_ = http.NewResponseController(x.w).Flush()
		if x.reply.stop == stopStall {
			x.stall()
			return
		}
		x.cut()
	case stopError:
		x.write("application/json", http.StatusOK, x.reply.failure)
	default:
		x.write("application/json", http.StatusOK, text)
	}
}

func toolCalls(calls []holysheep.ToolCall, indexed bool) []any {
	var out []any
	for i, c := range calls {
		call := map[string]any{
			"id": c.ID, "type": "function", "function": map[string]any{"name": c.Name, "arguments": c.Arguments},
		}
		if indexed {
			call["index"] = i
		}
		out = append(out, call)
	}
	return out
}

func (x *exchange) stream() {
	x.w.Header().Set("Content-Type", "text/event-stream")
	x.event(x.delta(map[string]any{"role": "assistant", "content": ""}, nil))
	if x.reply.huge > 0 {
		x.event(x.delta(map[string]any{"content": strings.Repeat("x", x.reply.huge)}, nil))
	}
	for i, piece := range x.pieces() {
		if x.reply.stop != stopNever && i >= x.reply.stopAt {
			break
		}
		if !x.sleep(x.reply.drip) {
			return
		}
		x.event(x.delta(map[string]any{"content": piece}, nil))
	}
	switch x.reply.stop {
	case stopCut:
		x.cut()
		return
	case stopStall:
		x.stall()
		return
	case stopError:
		x.event(x.reply.failure)
	case stopEnd:
	default:
		if len(x.reply.calls) > 0 {
			x.event(x.delta(map[string]any{"tool_calls": toolCalls(x.reply.calls, true)}, nil))
		}
		x.event(x.delta(map[string]any{}, x.finish()))
	}
	if x.request.includeUsage && !x.reply.noUsage {
		last := x.envelope("chat.completion.chunk", []any{})
		last["usage"] = x.usageObject()
		x.event(toJSON(last))
	}
	if !x.reply.noDone {
		x.event("[DONE]")
	}
}

func (x *exchange) delta(delta map[string]any, finish any) string {
	return toJSON(x.envelope("chat.completion.chunk", []any{map[string]any{
		"index": 0, "delta": delta, "finish_reason": finish,
	}}))
}

func (x *exchange) event(data string) {
	_, _ = x.w.Write([]byte("data: " + data + "\n\n"))
	_ = http.NewResponseController(x.w).Flush()
}

func (x *exchange) stall() {
	select {
	case <-x.ctx.Done():
	case <-x.server.done:
	}
}

// pieces cuts a text as a model's tokens would roughly cut it: words with the space before them, and every mark
// or wide character apart. Joined they are the text again.
func pieces(text string) []string {
	var out []string
	start := 0
	inWord := false
	for i, r := range text {
		word := unicode.IsLetter(r) && r < 0x2e80 || unicode.IsDigit(r)
		switch {
		case i == start:
		case inWord && word:
			continue
		case !inWord && word && strings.TrimSpace(text[start:i]) == "":
		default:
			out = append(out, text[start:i])
			start = i
		}
		inWord = word
	}
	if start < len(text) {
		out = append(out, text[start:])
	}
	return out
}
