package holysheeptest

import (
	"encoding/json"
	"fmt"
	"maps"
	"net/http"
	"strconv"
	"time"

	"github.com/holysheep-ai/holysheep-go"
)

// Reply is one scripted answer. Each method gives a changed copy, so replies can be shared and varied. What counts
// tokens counts the pieces that a stream sends, about a word each.
type Reply struct {
	kind    kind
	text    string
	calls   []holysheep.ToolCall
	vectors [][]float32
	status  int    // an answer with this status and raw as its body
	raw     string // the body as it is
	media   string
	header  http.Header

	after     time.Duration // before the first byte
	drip      time.Duration // before each piece
	usage     *holysheep.Usage
	noUsage   bool
	noDone    bool
	finish    string
	stopAt    int // pieces sent before stop happens; -1: all
	stop      stop
	failure   string // the error object of stopWithError
	huge      int    // bytes of one event
	plainOnly bool
}

// kind is what a reply answers.
type kind int

const (
	anything kind = iota
	chats
	embeddings
)

// fits reports whether it is for this request; what is for any request waits until it is first in the script.
func (r *Reply) fits(q *Request, first bool) bool {
	switch r.kind {
	case chats:
		return !q.embeds()
	case embeddings:
		return q.embeds()
	case anything:
	}
	return first
}

type stop int

const (
	stopNever stop = iota
	stopCut        // the connection breaks
	stopEnd        // the body ends politely, without finish_reason
	stopStall      // nothing more comes
	stopError      // an error object
	stopReset      // no answer at all
)

// Text answers with a text.
func Text(text string) *Reply { return &Reply{kind: chats, text: text, finish: "stop", stopAt: -1} }

// ToolCalls answers with tool calls.
func ToolCalls(calls ...holysheep.ToolCall) *Reply {
	return &Reply{kind: chats, calls: calls, finish: "tool_calls", stopAt: -1}
}

// Status answers with a status and a gateway's error object.
func Status(code int) *Reply { return Error(code, "", http.StatusText(code)) }

// Error answers with a status and an error object.
func Error(status int, code, message string) *Reply {
	return Raw(status, "application/json", errorObject(code, message))
}

// HTML answers with a page, as something in front of a gateway would.
func HTML(status int, page string) *Reply { return Raw(status, "text/html; charset=utf-8", page) }

// Raw answers with a body as it is: a status, a content type and a text.
func Raw(status int, contentType, body string) *Reply {
	return &Reply{status: status, media: contentType, raw: body, stopAt: -1}
}

// Reset breaks the connection when the request has been read, and bills the answer that nobody got.
func Reset() *Reply {
	r := Text("An answer that never arrived.")
	r.kind, r.stop = anything, stopReset
	return r
}

func (r *Reply) with(change func(*Reply)) *Reply {
	c := *r
	c.header = maps.Clone(r.header)
	change(&c)
	return &c
}

// After waits before the first byte of the answer.
func (r *Reply) After(d time.Duration) *Reply { return r.with(func(r *Reply) { r.after = d }) }

// Drip waits before each piece of a stream.
func (r *Reply) Drip(d time.Duration) *Reply { return r.with(func(r *Reply) { r.drip = d }) }

// Header sets a header of the answer.
func (r *Reply) Header(name, value string) *Reply {
	return r.with(func(r *Reply) {
		if r.header == nil {
			r.header = http.Header{}
		}
		r.header.Set(name, value)
	})
}

// RetryAfter asks to come back after d.
func (r *Reply) RetryAfter(d time.Duration) *Reply {
	return r.Header("Retry-After", strconv.FormatFloat(d.Seconds(), 'f', -1, 64))
}

// Usage reports these tokens instead of the counted ones.
func (r *Reply) Usage(u holysheep.Usage) *Reply { return r.with(func(r *Reply) { r.usage = &u }) }

// NoUsage reports none. The answer is billed all the same.
func (r *Reply) NoUsage() *Reply { return r.with(func(r *Reply) { r.noUsage = true }) }

// NoDone leaves [DONE] out of a stream.
func (r *Reply) NoDone() *Reply { return r.with(func(r *Reply) { r.noDone = true }) }

// Finish ends with another finish_reason; "" ends with none.
func (r *Reply) Finish(reason string) *Reply { return r.with(func(r *Reply) { r.finish = reason }) }

// CutAfter breaks the connection after n tokens; a plain answer is cut in the middle.
func (r *Reply) CutAfter(n int) *Reply { return r.stopAfter(n, stopCut) }

// EndAfter ends a stream politely after n tokens, without a finish_reason but with usage and [DONE], as relays do
// when what is behind them broke.
func (r *Reply) EndAfter(n int) *Reply { return r.stopAfter(n, stopEnd) }

// StallAfter sends nothing more after n tokens of a stream, and keeps the connection.
func (r *Reply) StallAfter(n int) *Reply { return r.stopAfter(n, stopStall) }

// ErrorAfter sends an error object after n tokens of a stream.
func (r *Reply) ErrorAfter(n int, code, message string) *Reply {
	return r.stopAfter(n, stopError).with(func(r *Reply) { r.failure = errorObject(code, message) })
}

// Huge makes the first event of a stream n bytes long.
func (r *Reply) Huge(n int) *Reply { return r.with(func(r *Reply) { r.huge = n }) }

// Plain answers as JSON, also when a stream was asked for.
func (r *Reply) Plain() *Reply { return r.with(func(r *Reply) { r.plainOnly = true }) }

func (r *Reply) stopAfter(n int, how stop) *Reply {
	return r.with(func(r *Reply) { r.stopAt, r.stop = n, how })
}

func errorObject(code, message string) string {
	var c any
	if code != "" {
		c = code
	}
	return toJSON(map[string]any{"error": map[string]any{"message": message, "type": code, "code": c, "param": nil}})
}

func toJSON(v any) string {
	b, err := json.Marshal(v)
	if err != nil {
		return fmt.Sprintf("%q", err.Error())
	}
	return string(b)
}
