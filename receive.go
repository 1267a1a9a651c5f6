package holysheep

import (
	"bytes"
	"context"
	"errors"
	"io"
	"net/http"
	"strings"
	"sync"
	"time"
	"unsafe"

	"github.com/holysheep-ai/holysheep-go/internal/sse"
	"github.com/holysheep-ai/holysheep-go/internal/wire"
)

// chat is a call to /chat/completions.
type chat struct {
	call
	req     *ChatRequest
	usage   bool                          // stream_options were sent
	yield   func(StreamEvent, error) bool // nil when nobody reads along
	covered int64                         // completion tokens that money is held for, when more than were asked for have come
	from    int                           // the attempt that draft comes from
	*draft                                // set from the first read until the response is made of it
}

// draft is the answer that is being read. Drafts are reused, which saves a chat call 700 bytes of 10,000: at 64
// callers the garbage collector is what a call costs more than a bare one.
type draft struct {
	answer answer
	piece  wire.Answer // what was last read of it
}

var drafts = sync.Pool{New: func() any { return new(draft) }}

func (k *chat) discard() {
	k.answer = answer{}
	k.piece.Forget()
	drafts.Put(k.draft)
	k.draft = nil
}

func (c *Client) newChat(ctx context.Context, req *ChatRequest, stream bool) (*chat, error) {
	r, info, err := c.resolve(req)
	if err != nil {
		return nil, err
	}
	w, err := c.worstCase(ctx, r, info)
	if err != nil {
		return nil, err
	}
	w.fit(r, ScopeOf(ctx))
	k := &chat{req: r, usage: stream && !c.noStreamOptions.Load(), call: call{
		client: c, method: http.MethodPost, url: c.chatURL, header: r.Headers, stream: stream,
		rec:   Call{Operation: "chat", Stream: stream, Model: r.Model, Request: r},
		worst: w,
	}}
	k.op = k
	if k.body, err = r.encode(info, stream, k.usage); err != nil {
		return nil, err
	}
	return k, nil
}

func (k *chat) texts() []string {
	var texts []string
	for i := range k.req.Messages {
		for _, p := range k.req.Messages[i].Content {
			if t, ok := p.(Text); ok {
				texts = append(texts, string(t))
			}
		}
	}
	return texts
}

// withPartial hangs what came of an answer on the error that ended it.
func (k *chat) withPartial(err error) error {
	if k.rec.Response == nil {
		return err
	}
	return &StreamError{Partial: k.rec.Response, Err: err}
}

func (k *chat) response() *ChatResponse {
	if k.draft == nil {
		return nil
	}
	defer k.discard()
	if k.from == 0 || k.from != len(k.rec.Attempts) || !k.answer.any() && len(k.answer.choices) == 0 {
		return nil
	}
	return k.answer.response()
}

// adapt leaves stream_options out when the gateway does not know them, now and from now on.
func (k *chat) adapt(e *APIError) bool {
	if !k.usage || e.StatusCode != 400 && e.StatusCode != 422 {
		return false
	}
	if said := e.Param + " " + e.Message; !strings.Contains(said, "stream_options") && !strings.Contains(said, "include_usage") {
		return false
	}
	info, _ := k.client.ModelInfo(k.req.Model)
	body, err := k.req.encode(info, true, false)
	if err != nil {
		return false
	}
	k.client.noStreamOptions.Store(true)
	k.body, k.usage = body, false
	return true
}

// read reads a 2xx, whichever of the two forms it has: gateways answer plain requests with streams, and the
// reverse.
func (k *chat) read(ctx context.Context, s *sending) error {
	k.from = s.at.Number
	if k.draft == nil {
		k.draft = drafts.Get().(*draft) //nolint:forcetypeassert // nothing else is in there
	}
	k.answer = answer{}
	err := k.readForm(ctx, s)
	k.bookUsage(s.at, err == nil)
	return err
}

func (k *chat) readForm(ctx context.Context, s *sending) error {
	media, _, _ := strings.Cut(s.resp.Header.Get("Content-Type"), ";")
	media = strings.TrimSpace(media)
	if strings.EqualFold(media, "text/event-stream") || k.stream && !strings.EqualFold(media, "application/json") {
		return k.readEvents(ctx, s, s.resp.Body)
	}
	body, err := s.readAll(ctx, nil)
	if err != nil {
		return err
	}
	if looksLikeEvents(body) {
		return k.readEvents(ctx, s, bytes.NewReader(body))
	}
	return k.readPlain(s, body)
}

func looksLikeEvents(body []byte) bool {
	body = bytes.TrimLeft(body, "\ufeff \t\r\n")
	return bytes.HasPrefix(body, []byte("data:")) || bytes.HasPrefix(body, []byte("event:")) || bytes.HasPrefix(body, []byte(":"))
}

// readPlain reads a whole answer.
func (k *chat) readPlain(s *sending, body []byte) error {
	text := unsafe.String(unsafe.SliceData(body), len(body)) // nobody writes to the body
	if err := wire.Decode(text, &k.piece); err != nil {
		if said := wire.ParseError(body); said.Object {
			return s.apiError(body)
		}
		return s.malformed(body)
	}
	if k.isError() {
		return s.apiError(body)
	}
	if len(k.piece.Choices) == 0 {
		if !k.piece.HasChoices && wire.ParseError(body).Object {
			return s.apiError(body)
		}
		return s.badAnswer(ErrEmpty, "no choices")
	}
	k.answer.raw = body
	if !k.take(s) {
		return errStopped
	}
	return nil
}

// isError reports whether the piece says that something went wrong.
func (k *chat) isError() bool {
	if k.piece.Error != "" {
		return true
	}
	for i := range k.piece.Choices {
		if k.piece.Choices[i].FinishReason == "error" {
			return true
		}
	}
	return false
}

// readEvents reads a stream.
func (k *chat) readEvents(ctx context.Context, s *sending, body io.Reader) error {
	o := k.client.opts
	s.phase.Store(inStream)
	done, in := false, &endWatch{Reader: body}
	for ev, err := range sse.Read(in, o.MaxEventBytes) {
		if err != nil && err != sse.ErrIncomplete { //nolint:errorlint // returned bare
			return k.broken(ctx, s, body, err)
		}
		data := strings.TrimSpace(ev.Data)
		if data == "[DONE]" {
			done = true
			break
		}
		if data == "" {
			continue
		}
		if fault := k.readEvent(s, ev.Type, data); fault != nil {
			if err != nil && errors.Is(fault, ErrMalformed) {
				break // half an event: the stream was cut in it
			}
			return fault
		}
		if k.answer.size > o.MaxAnswerBytes {
			return s.tooLarge("the answer", o.MaxAnswerBytes)
		}
		if err := k.cover(ctx); err != nil {
			return err
		}
		if n, whole := k.answer.finishedChoices(); whole && n >= k.wanted() && s.phase.Load() == inStream {
			s.phase.Store(inTail)
		}
	}
	s.read = !done || in.ended
	if _, whole := k.answer.finishedChoices(); whole || done && o.TrustDone && k.answer.any() {
		return nil
	}
	if !k.answer.any() {
		return s.badAnswer(ErrEmpty, "the stream ended without an answer")
	}
	return &TransportError{
		Phase: PhaseBody, Err: errors.New("the stream ended without a finish_reason"), kind: ErrTruncated, retry: true,
	}
}

// No real text has more bytes to a token on average: what is longer has more tokens than were asked for.
const bytesPerToken = 8

// cover reserves more for a stream that does not keep to max_tokens. When that is refused the stream is cut, as the
// last resort: the gateway may bill what it would have sent.
func (k *chat) cover(ctx context.Context) error {
	if len(k.held.guards) == 0 {
		return nil
	}
	tokens := max(k.answer.usage.Completion, int64(k.answer.size/bytesPerToken))
	covered := max(k.covered, k.worst.completion)
	if tokens <= covered {
		return nil
	}
	more := k.worst.price.worst(k.worst.prompt, 2*tokens) - k.worst.price.worst(k.worst.prompt, covered)
	if err := k.held.take(ctx, more); err != nil {
		return err
	}
	k.covered = 2 * tokens
	return nil
}

func (k *chat) wanted() int {
	if k.req.N != nil {
		return *k.req.N
	}
	return 1
}

func (k *chat) readEvent(s *sending, kind, data string) error {
	err := wire.Decode(data, &k.piece)
	switch {
	case kind == "error", err == nil && k.isError():
		return s.apiError([]byte(data))
	case err != nil:
		if wire.ParseError([]byte(data)).Object {
			return s.apiError([]byte(data))
		}
		return s.badAnswer(ErrMalformed, "an event is no JSON of a chat: "+wire.Excerpt([]byte(data), 1024))
	case !k.piece.HasChoices && !k.piece.HasUsage && wire.ParseError([]byte(data)).Object:
		return s.apiError([]byte(data))
	}
	if !k.take(s) {
		return errStopped
	}
	return nil
}

// broken decides what a stream comes to that did not end by itself.
func (k *chat) broken(ctx context.Context, s *sending, body io.Reader, err error) error {
	if other, ok := errors.AsType[*sse.NotEventsError](err); ok {
		s.resp.Body = &joined{io.MultiReader(bytes.NewReader(other.Prefix), body), s.resp.Body}
		s.resp.ContentLength = -1
		plain, err := s.readAll(ctx, nil)
		if err != nil {
			return err
		}
		return k.readPlain(s, plain)
	}
	if errors.Is(err, sse.ErrTooLarge) {
		return s.tooLarge("an event", k.client.opts.MaxEventBytes)
	}
	// A finish_reason says complete, whatever becomes of the connection after it.
	if n, whole := k.answer.finishedChoices(); whole && n >= k.wanted() {
		s.read = true
		return nil
	}
	return s.torn(ctx, err)
}

type joined struct {
	io.Reader
	io.Closer
}

// endWatch notes the end of a body. The one of a stream often comes with its last bytes, and there is nothing to be
// drained then.
type endWatch struct {
	io.Reader
	ended bool
}

func (w *endWatch) Read(p []byte) (int, error) {
	n, err := w.Reader.Read(p)
	w.ended = w.ended || err == io.EOF
	return n, err
}

// take adds the piece to the answer and shows it to the caller. It reports whether to go on.
func (k *chat) take(s *sending) bool {
	size, calls := k.answer.size, 0
	k.answer.add(&k.piece)
	useful := k.piece.HasUsage || k.answer.size > size
	for i := range k.piece.Choices {
		p := &k.piece.Choices[i]
		calls += len(p.ToolCalls)
		useful = useful || p.FinishReason != "" || p.Role != "" || len(p.ToolCalls) > 0
	}
	if useful {
		s.beats.Add(2)
	}
	if k.rec.FirstToken == 0 && (k.answer.size > size || calls > 0) {
		k.rec.FirstToken = time.Since(k.rec.Start)
	}
	if k.yield == nil {
		return true
	}
	for i := range k.piece.Choices {
		p := &k.piece.Choices[i]
		ev := StreamEvent{Choice: p.Index, Text: p.Text, Reasoning: p.Reasoning, Refusal: p.Refusal}
		if len(p.ToolCalls) > 0 {
			ev.ToolCalls = toolPieces(p.ToolCalls)
		}
		if ev.Text == "" && ev.Reasoning == "" && ev.Refusal == "" && ev.ToolCalls == nil {
			continue
		}
		k.shown = true
		if !k.show(s, ev) {
			return false
		}
	}
	return true
}

// show hands an event to the caller. The time that takes does not count as silence.
func (k *chat) show(s *sending, ev StreamEvent) bool {
	s.beats.Add(1)
	defer s.beats.Add(1)
	return k.yield(ev, nil)
}

func toolPieces(pieces []wire.ToolCall) []ToolCall {
	calls := make([]ToolCall, len(pieces))
	for i, p := range pieces {
		calls[i] = ToolCall{Index: p.Index, ID: p.ID, Name: p.Name, Arguments: p.Arguments}
		var extra map[string]string
		keep(&extra, p.Extra)
		calls[i].Extra = rawFields(extra)
	}
	return calls
}

// bookUsage writes what the attempt used into its record: as reported where that can be true, else as counted
// here.
func (k *chat) bookUsage(at *Attempt, complete bool) {
	a := &k.answer
	at.Usage = usageFrom(a.usage)
	if a.reported && complete && (at.Usage.Total() > 0 || !a.any()) {
		return
	}
	at.Cost.Basis = Estimated
	if !a.any() && !complete {
		return
	}
	if at.Usage.PromptTokens == 0 {
		at.Usage.PromptTokens = k.worst.prompt
	}
	if at.Usage.CompletionTokens == 0 {
		at.Usage.CompletionTokens = a.completionTokens()
	}
}
