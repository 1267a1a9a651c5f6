package holysheep

import (
	"context"
	"fmt"
	"math"
	"net/http"
	"slices"
	"sync"
)

// embedding is one Embed on its way: a call whose texts travel in requests that others may share (flight.go).
type embedding struct {
	call
	embedder *embedder
	ctx      context.Context //nolint:containedctx // the caller's, for the time that it waits
	key      string          // with which its requests have to be sent; "" for the client's only one
	alone    bool            // shares no request
	vectors  [][]float32

	books sync.Mutex // over the record and the reservation, while requests are under way
	spent USD        // what may be billed for the attempts so far

	// The embedder's lock is over these.
	rest     []*piece // have to wait until other pieces are done
	aboard   []*piece // in a flight, departed or not
	ahead    USD      // the worst case of both
	err      error    // the first
	panicked any      // what a gate or an observer panicked with
	gone     bool     // nobody waits for it any more
	left     error    // its caller has left with this while others go on with a request; it is finished later
	sent     int      // attempts that have ended
	billing  Billing  // of them
	served   string   // the model that answered
	done     chan struct{}
}

// piece is what one request takes of the texts of an embedding.
type piece struct {
	of     *embedding
	from   int // the index of the first text
	texts  []string
	tokens int64
	worst  USD
	flight *flight
}

// newEmbedding counts the texts, and cuts them into what one request may carry.
func (e *embedder) newEmbedding(ctx context.Context, texts []string) (*embedding, error) {
	k := &embedding{embedder: e, vectors: make([][]float32, len(texts)), done: make(chan struct{})}
	k.call = call{client: e.client, method: http.MethodPost, rec: Call{Operation: "embed", Model: e.model}}
	k.worst.price, k.worst.priced = e.client.opts.Prices.Lookup(e.model)
	var last *piece
	for i, text := range texts {
		tokens, err := e.count(ctx, text)
		if err != nil {
			return nil, err
		}
		if last == nil || len(last.texts) == e.opts.MaxTexts || last.tokens+tokens > e.opts.MaxTokens {
			last = &piece{of: k, from: i}
			k.rest = append(k.rest, last)
		}
		last.texts = texts[last.from : i+1]
		last.tokens += tokens
	}
	for _, p := range k.rest {
		if k.worst.priced {
			p.worst = k.worst.price.worst(p.tokens, 0)
		}
		k.worst.prompt += p.tokens
		k.worst.usd = k.worst.usd.Plus(p.worst)
	}
	k.ahead = k.worst.usd
	return k, nil
}

// count counts the tokens of a text: as a text if the counter can do that, as that of package tokens can.
func (e *embedder) count(ctx context.Context, text string) (n int64, err error) {
	switch counter := e.client.opts.Tokens.(type) {
	case nil:
		return estimateTokens(text), nil
	case interface {
		Text(ctx context.Context, model, text string) (int64, error)
	}:
		n, err = counter.Text(ctx, e.model, text)
	default:
		n, err = counter.CountTokens(ctx, &ChatRequest{Model: e.model, Messages: []Message{User(text)}})
	}
	if err != nil {
		return 0, fmt.Errorf("holysheep: Options.Tokens: %w", err)
	}
	return min(max(n, 0), math.MaxInt32), nil
}

// run takes the call from begin to end. Unlike call.run it leaves finishing behind when the caller leaves a request
// that others go on with.
func (k *embedding) run(ctx context.Context) (err error) {
	if ctx, err = k.begin(ctx); err != nil {
		return err
	}
	k.ctx = ctx
	err = errPanicked // unless we get there
	defer func() {
		if k.left == nil {
			k.rec.Served = k.served
			k.finish(ctx, err)
		}
	}()
	err = k.travel(ctx)
	return err
}

// prepare does what comes before others are joined.
func (k *embedding) prepare(ctx context.Context) error {
	if ctx.Err() != nil {
		return &TransportError{Phase: PhaseWait, Err: causeOf(ctx)}
	}
	k.alone = k.embedder.opts.MaxHold < 0 || attemptLimit(ctx) > 0
	if k.client.opts.Key != nil {
		c, err := k.client.key(ctx)
		if err != nil {
			return err
		}
		k.key = c.key
	}
	return k.reserve(ctx)
}

// travel sends the texts on their way and waits for the vectors.
func (k *embedding) travel(ctx context.Context) error {
	if err := k.prepare(ctx); err != nil {
		return err
	}
	k.embedder.mu.Lock()
	k.board()
	k.embedder.mu.Unlock()
	select {
	case <-k.done:
	case <-ctx.Done():
		if k.leave(); k.left != nil {
			return k.left
		}
		<-k.done
	}
	if k.panicked != nil {
		panic(k.panicked) //nolint:forbidigo // handed on from the goroutine of the request
	}
	if k.err != nil {
		return k.outcome()
	}
	for _, v := range k.vectors {
		if len(v) != len(k.vectors[0]) {
			return k.malformed(fmt.Sprintf("one request brought vectors of %d numbers, another of %d", len(k.vectors[0]), len(v)))
		}
	}
	return nil
}

func (k *embedding) malformed(message string) error {
	return &APIError{
		StatusCode: http.StatusOK, Message: message, kind: ErrMalformed, Attempts: len(k.rec.Attempts), Billing: Billed,
	}
}

// outcome completes the error that ended a request, for this call.
func (k *embedding) outcome() error {
	switch e := k.err.(type) { //nolint:errorlint // what wraps others is not this call's own
	case *APIError:
		k.mark(e)
	case *TransportError:
		k.mark(e)
	}
	return k.err
}

// board sends pieces on their way, as many as may be at once. The lock is held.
func (k *embedding) board() {
	for len(k.rest) > 0 && len(k.aboard) < flightsAtOnce {
		p := k.rest[0]
		k.rest = k.rest[1:]
		k.aboard = append(k.aboard, p)
		k.embedder.board(p)
	}
}

// leave gives up waiting. What has not departed stays behind; a request that nobody else waits for is cancelled; one
// that others wait for goes on, and the call is finished when it has ended.
func (k *embedding) leave() {
	e := k.embedder
	e.mu.Lock()
	defer e.mu.Unlock()
	if len(k.aboard) == 0 {
		return // it has just ended
	}
	k.gone = true
	err := &TransportError{Phase: PhaseWait, Err: causeOf(k.ctx), Attempts: k.sent, Billing: k.billing}
	if k.err == nil {
		k.err = err
	}
	k.unload()
	shared := false
	for _, p := range k.aboard {
		f := p.flight
		if f.sending {
			err.Phase, err.Billing = PhaseHeaders, MaybeBilled
			err.Attempts++
		}
		if f.waiting--; f.waiting == 0 {
			f.cancel(errNobodyWaits)
		} else {
			shared = true
		}
	}
	if shared {
		k.left = err
	}
}

// unload takes back what has not departed. The lock is held.
func (k *embedding) unload() {
	for _, p := range k.rest {
		k.ahead -= p.worst
	}
	k.rest = nil
	for _, p := range slices.Clone(k.aboard) {
		if p.flight.remove(p) {
			k.land(p, nil)
		}
	}
}

// land ends the way of a piece. The lock is held.
func (k *embedding) land(p *piece, err error) {
	k.aboard = slices.DeleteFunc(k.aboard, func(other *piece) bool { return other == p })
	k.ahead -= p.worst
	if err != nil && k.err == nil {
		k.err = err
		k.unload()
	}
	k.board()
	if len(k.aboard) > 0 {
		return
	}
	select {
	case <-k.done:
		return
	default:
	}
	close(k.done)
	if k.left != nil {
		k.client.running.Go(k.finishLate)
	}
}

// finishLate is for a call whose caller has left.
func (k *embedding) finishLate() {
	defer func() { _ = recover() }() // an observer's panic, and nobody is left to have it
	err := copyOf(k.left)
	k.mark(err)
	k.rec.Served = k.served
	k.finish(k.ctx, err)
}

// copyOf makes an error that can be written to without the others who have it noticing.
func copyOf(err error) error {
	switch e := err.(type) { //nolint:errorlint // what wraps others is left as it is
	case *APIError:
		return new(*e)
	case *TransportError:
		c := *e
		c.Last = copyOf(e.Last)
		return &c
	}
	return err
}
