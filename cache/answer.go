package cache

import (
	"encoding/binary"
	"encoding/json"
	"errors"
	"fmt"
	"maps"
	"slices"
	"time"
	"unsafe"

	"github.com/holysheep-ai/holysheep-go"
)

// answerVersion is the first byte of an encoded answer. Another number is another form, which is not read: whoever
// changes what follows counts up, and old entries are misses.
const answerVersion = 1

// The kinds of a part.
const (
	textPart = iota
	imagePart
	rawPart
)

// mostElements bounds the choices, parts, tool calls and fields of an answer, all together: each takes a few bytes to
// write and a hundred to hold.
const mostElements = 1 << 16

var errNoAnswer = errors.New("cache: not an answer in a form that is known")

// encodeAnswer writes what a caller can see of an answer: everything but how the call went (Attempts, RequestID,
// Latency, FirstToken, Steps, Saved, Cached) and the raw body. It is binary because a hit is to take a microsecond
// or two: reading JSON takes some thirty times as long.
func encodeAnswer(resp *holysheep.ChatResponse, at time.Time) ([]byte, error) {
	w := writer{b: make([]byte, 0, sizeOf(resp))}
	w.b = append(w.b, answerVersion)
	w.int(at.UnixNano())
	w.string(resp.ID)
	w.string(resp.Requested)
	w.string(resp.Model)
	for _, n := range [...]int64{
		resp.Usage.PromptTokens, resp.Usage.CompletionTokens, resp.Usage.CachedTokens, resp.Usage.CacheWriteTokens,
		resp.Usage.ReasoningTokens, int64(resp.Cost.USD), int64(resp.Cost.AtMost), int64(resp.Cost.Basis),
	} {
		w.int(n)
	}
	w.extra(resp.Extra)
	w.list(len(resp.Choices))
	for i := range resp.Choices {
		c := &resp.Choices[i]
		w.int(int64(c.Index))
		w.string(c.FinishReason)
		w.bytes(c.Logprobs)
		if err := w.message(&c.Message); err != nil {
			return nil, err
		}
	}
	if w.elements > mostElements {
		return nil, fmt.Errorf("cache: an answer of %d pieces is not kept", w.elements)
	}
	return w.b, nil
}

// sizeOf guesses, so that the buffer rarely grows.
func sizeOf(resp *holysheep.ChatResponse) int {
	n := 256
	for i := range resp.Choices {
		m := &resp.Choices[i].Message
		n += 64 + len(resp.Choices[i].Logprobs) + len(m.Reasoning) + len(m.Refusal)
		for _, p := range m.Content {
			if t, ok := p.(holysheep.Text); ok {
				n += len(t)
			}
		}
	}
	return n
}

// decodeAnswer reads what encodeAnswer wrote. The texts it gives are parts of raw, which nobody may write to from then
// on, as nobody writes to what a store gave; what a caller could write to is copied. Time and memory are bounded by the
// length of raw and mostElements, whatever is in it.
func decodeAnswer(raw []byte) (resp *holysheep.ChatResponse, at time.Time, err error) {
	if len(raw) == 0 || raw[0] != answerVersion {
		return nil, time.Time{}, errNoAnswer
	}
	raw = raw[1:]
	r := reader{s: unsafe.String(unsafe.SliceData(raw), len(raw))} // a copy would be most of what a hit takes
	at = time.Unix(0, r.int())
	resp = &holysheep.ChatResponse{ID: r.string(), Requested: r.string(), Model: r.string()}
	resp.Usage = holysheep.Usage{
		PromptTokens: r.int(), CompletionTokens: r.int(), CachedTokens: r.int(), CacheWriteTokens: r.int(), ReasoningTokens: r.int(),
	}
	resp.Cost = holysheep.Cost{USD: holysheep.USD(r.int()), AtMost: holysheep.USD(r.int())}
	basis := r.int()
	if basis < 0 || basis > int64(holysheep.Unknown) {
		return nil, time.Time{}, errNoAnswer
	}
	resp.Cost.Basis = holysheep.Basis(basis)
	resp.Extra = r.extra()
	resp.Choices = make([]holysheep.Choice, r.list(leastChoice))
	for i := range resp.Choices {
		c := &resp.Choices[i]
		c.Index, c.FinishReason, c.Logprobs = int(r.int()), r.string(), r.bytes()
		r.message(&c.Message)
	}
	if r.bad || r.s != "" {
		return nil, time.Time{}, errNoAnswer
	}
	return resp, at, nil
}

// writer appends to a buffer.
type writer struct {
	b        []byte
	elements int
}

func (w *writer) int(n int64) { w.b = binary.AppendVarint(w.b, n) }

func (w *writer) count(n int) { w.b = binary.AppendUvarint(w.b, uint64(n)) }

// list begins a list of n elements.
func (w *writer) list(n int) {
	w.count(n)
	w.elements += n
}

func (w *writer) string(s string) {
	w.count(len(s))
	w.b = append(w.b, s...)
}

func (w *writer) bytes(b []byte) {
	w.count(len(b))
	w.b = append(w.b, b...)
}

func (w *writer) extra(fields map[string]json.RawMessage) {
	w.list(len(fields))
	if len(fields) == 0 {
		return
	}
	for _, key := range slices.Sorted(maps.Keys(fields)) {
		w.string(key)
		w.bytes(fields[key])
	}
}

func (w *writer) message(m *holysheep.Message) error {
	w.string(m.Role)
	w.string(m.Name)
	w.string(m.ToolCallID)
	w.string(m.Refusal)
	w.string(m.Reasoning)
	w.list(len(m.Content))
	for _, p := range m.Content {
		switch p := p.(type) {
		case holysheep.Text:
			w.count(textPart)
			w.string(string(p))
		case holysheep.Image:
			w.count(imagePart)
			w.string(p.URL)
			w.bytes(p.Data)
			w.string(p.MediaType)
			w.string(p.Detail)
		case holysheep.RawPart:
			w.count(rawPart)
			w.bytes(p)
		default:
			return fmt.Errorf("cache: a part of a kind that cannot be kept: %T", p)
		}
	}
	w.list(len(m.ToolCalls))
	for i := range m.ToolCalls {
		call := &m.ToolCalls[i]
		w.int(int64(call.Index))
		w.string(call.ID)
		w.string(call.Name)
		w.string(call.Arguments)
		w.extra(call.Extra)
	}
	w.extra(m.Extra)
	return nil
}

// The fewest bytes that one of these takes: no count can claim more of them than there are bytes left for.
const (
	leastChoice = 11
	leastPart   = 2
	leastCall   = 5
	leastField  = 2
)

// reader takes its values from the front of a string. After the first that is not there it is bad, and gives zeros.
type reader struct {
	s        string
	bad      bool
	elements int
}

func (r *reader) fail() {
	r.s, r.bad = "", true
}

func (r *reader) uint() uint64 {
	var n uint64
	for i := 0; i < len(r.s) && i < binary.MaxVarintLen64; i++ {
		c := r.s[i]
		if c < 0x80 {
			if i == binary.MaxVarintLen64-1 && c > 1 {
				break
			}
			n |= uint64(c) << (7 * i)
			r.s = r.s[i+1:]
			return n
		}
		n |= uint64(c&0x7f) << (7 * i)
	}
	r.fail()
	return 0
}

func (r *reader) int() int64 {
	n := r.uint()
	return int64(n>>1) ^ -int64(n&1)
}

// count reads how many follow, of which each takes at least so many bytes.
func (r *reader) count(least int) int {
	n := r.uint()
	if n > uint64(len(r.s)/least) {
		r.fail()
		return 0
	}
	return int(n)
}

// list reads how many elements follow, of which each takes at least so many bytes.
func (r *reader) list(least int) int {
	n := r.count(least)
	if r.elements += n; r.elements > mostElements {
		r.fail()
		return 0
	}
	return n
}

func (r *reader) string() string {
	n := r.count(1)
	s := r.s[:n]
	r.s = r.s[n:]
	return s
}

// bytes gives bytes of their own, because a caller may write to them; nil for none.
func (r *reader) bytes() []byte {
	s := r.string()
	if s == "" {
		return nil
	}
	return []byte(s)
}

func (r *reader) extra() map[string]json.RawMessage {
	n := r.list(leastField)
	if n == 0 {
		return nil
	}
	fields := make(map[string]json.RawMessage, n)
	for range n {
		key := r.string()
		fields[key] = r.bytes()
	}
	return fields
}

func (r *reader) message(m *holysheep.Message) {
	m.Role, m.Name, m.ToolCallID, m.Refusal, m.Reasoning = r.string(), r.string(), r.string(), r.string(), r.string()
	if n := r.list(leastPart); n > 0 {
		m.Content = make([]holysheep.Part, n)
		for i := range m.Content {
			m.Content[i] = r.part()
		}
	}
	if n := r.list(leastCall); n > 0 {
		m.ToolCalls = make([]holysheep.ToolCall, n)
		for i := range m.ToolCalls {
			m.ToolCalls[i] = holysheep.ToolCall{
				Index: int(r.int()), ID: r.string(), Name: r.string(), Arguments: r.string(), Extra: r.extra(),
			}
		}
	}
	m.Extra = r.extra()
}

func (r *reader) part() holysheep.Part {
	switch r.uint() {
	case textPart:
		return holysheep.Text(r.string())
	case imagePart:
		return holysheep.Image{URL: r.string(), Data: r.bytes(), MediaType: r.string(), Detail: r.string()}
	case rawPart:
		return holysheep.RawPart(r.bytes())
	}
	r.fail()
	return nil
}
