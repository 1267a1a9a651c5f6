package holysheep

import (
	"context"
	"fmt"
	"strings"
	"sync"
	"unsafe"

	"github.com/holysheep-ai/holysheep-go/internal/wire"
)

// What a flight says to the gateway, and what it makes of the answer.

// load makes the body of what is on board.
func (f *flight) load() {
	if f.body != nil && !f.stale {
		return
	}
	if f.body != nil {
		f.rec.ID = newID() // another request: a server that knows the key would answer the one before
	}
	f.stale = false
	f.worst = worst{price: f.pieces[0].of.worst.price, priced: f.pieces[0].of.worst.priced}
	f.count = 0
	size := 128
	for _, p := range f.pieces {
		f.count += len(p.texts)
		f.worst.prompt += p.tokens
		f.worst.usd = f.worst.usd.Plus(p.worst)
		for _, text := range p.texts {
			size += len(text) + 8
		}
	}
	enc := encoder{buf: make([]byte, 0, size)}
	enc.open('{')
	enc.text("model", f.rec.Model)
	enc.key("input")
	enc.open('[')
	for _, p := range f.pieces {
		for _, text := range p.texts {
			enc.item()
			enc.quote(text)
		}
	}
	enc.close(']')
	if f.plain = f.plain || f.embedder.floats.Load(); !f.plain {
		enc.text("encoding_format", "base64")
	}
	if n := f.embedder.opts.Dimensions; n > 0 {
		number(&enc, "dimensions", &n)
	}
	enc.close('}')
	f.body = enc.buf
}

// Bodies of answers, used again: the vectors are made of their texts, and nothing else of them is kept.
var bodies sync.Pool

const maxKeptBody = 1 << 20

// read implements [operation].
func (f *flight) read(ctx context.Context, s *sending) error {
	buf, _ := bodies.Get().(*[]byte)
	if buf == nil {
		buf = new([]byte)
	}
	body, err := s.readAll(ctx, *buf)
	if err != nil {
		s.at.Cost.Basis = Estimated
		return err
	}
	err = f.decode(s, body)
	f.served, f.answer.Model, f.answer.Error = strings.Clone(f.answer.Model), "", "" // they are parts of the body
	if cap(body) <= maxKeptBody {
		*buf = body
		bodies.Put(buf)
	}
	f.bookUsage(s.at, err == nil)
	if err == nil && f.plain && !f.embedder.floats.Load() {
		f.embedder.floats.Store(true) // it helped
	}
	return err
}

func (f *flight) decode(s *sending, body []byte) error {
	a := &f.answer
	*a = wire.Embeddings{}
	text := unsafe.String(unsafe.SliceData(body), len(body)) // nobody writes to the body
	err := wire.DecodeEmbeddings(text, f.count, a)
	switch {
	case a.Error != "", !a.HasData && wire.ParseError(body).Object:
		return s.apiError(body)
	case err != nil, !a.HasData:
		return s.malformed(body)
	case a.Problem != "":
		return s.badAnswer(ErrMalformed, a.Problem)
	}
	if want, got := f.embedder.opts.Dimensions, len(a.Vectors[0]); want > 0 && got != want {
		return s.badAnswer(ErrMalformed, fmt.Sprintf("vectors of %d numbers, and %d were asked for", got, want))
	}
	return nil
}

// bookUsage writes what the attempt used into its record: as reported, which also says that it is on the bill, or as
// counted here.
func (f *flight) bookUsage(at *Attempt, complete bool) {
	if at.Usage = usageFrom(f.answer.Usage); at.Usage.PromptTokens > 0 {
		at.Billing = Billed
		return
	}
	at.Cost.Basis = Estimated
	if complete {
		at.Usage.PromptTokens = f.worst.prompt
	}
}

// adapt implements [operation]: it no longer asks for base64 when the gateway does not know that.
func (f *flight) adapt(e *APIError) bool {
	if f.plain || e.StatusCode < 400 {
		return false
	}
	// vLLM says that base64 encoding is not supported, with 400; LiteLLM names the parameter, with 500.
	said := strings.ToLower(f.redact(e.Param + " " + e.Message))
	if !strings.Contains(said, "encoding_format") && !strings.Contains(said, "base64") {
		return false
	}
	f.plain, f.stale = true, true
	return true
}

// response implements [operation].
func (f *flight) response() *ChatResponse { return nil }

// texts implements [operation].
func (f *flight) texts() []string {
	var texts []string
	for _, p := range f.pieces {
		texts = append(texts, p.texts...)
	}
	return texts
}
