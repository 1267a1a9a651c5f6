package holysheep

import (
	"context"
	"errors"
	"fmt"
	"math"
	"net/http"
	"slices"
	"time"

	"github.com/holysheep-ai/holysheep-go/internal/wire"
)

// Requests of one Embed that are under way at once.
const flightsAtOnce = 4

// flight is one request to /embeddings, with pieces of one or several calls. It waits for them, departs as a call of
// its own on a goroutine of its own, and lands each piece when it has ended.
//
// Before it departs the embedder's lock is over all of it; afterwards it belongs to its goroutine, but for what says
// otherwise.
type flight struct {
	call
	embedder *embedder
	key      string // of all its calls
	pieces   []*piece
	count    int // of texts
	tokens   int64
	departs  *time.Timer // nil where nobody is waited for
	depth    int         // how many refusals have divided the flight that this one is a part of

	ctx    context.Context //nolint:containedctx // of the request
	cancel context.CancelCauseFunc

	// The embedder's lock is over these.
	departed bool
	sending  bool // an attempt is under way
	waiting  int  // calls that still wait

	plain  bool // the body does not ask for base64
	stale  bool // the body has pieces that are no longer here
	answer wire.Embeddings
	served string // the model that answered
}

var errNobodyWaits = errors.New("holysheep: nobody waits for the vectors any more")

// board finds a flight for p. One that fills half of a flight by itself is not held: waiting for the other half saves
// less than it costs. The lock is held.
func (e *embedder) board(p *piece) {
	atOnce := p.of.alone || 2*len(p.texts) >= e.opts.MaxTexts
	var f *flight
	for _, waiting := range e.waiting {
		if waiting.key == p.of.key && !p.of.alone {
			f = waiting
		}
	}
	if f != nil && (f.count+len(p.texts) > e.opts.MaxTexts || f.tokens+p.tokens > e.opts.MaxTokens) {
		if !atOnce {
			f.depart()
		}
		f = nil
	}
	if f == nil {
		f = e.newFlight(p.of.key)
		if !atOnce {
			f.hold(e.opts.MaxHold)
		}
	}
	f.add(p)
	if atOnce || f.count == e.opts.MaxTexts {
		f.depart()
	}
}

// hold keeps the flight for others to join, for a time. The lock is held.
func (f *flight) hold(d time.Duration) {
	e := f.embedder
	e.waiting = append(e.waiting, f)
	f.departs = time.AfterFunc(d, func() {
		e.mu.Lock()
		defer e.mu.Unlock()
		f.depart()
	})
}

func (e *embedder) newFlight(key string) *flight {
	f := &flight{embedder: e, key: key}
	f.call = call{client: e.client, method: http.MethodPost, url: e.url, op: f, shared: f}
	return f
}

func (f *flight) add(p *piece) {
	p.flight = f
	f.pieces = append(f.pieces, p)
	f.count += len(p.texts)
	f.tokens += p.tokens
	f.waiting++
}

// remove takes a piece off a flight that has not departed, and reports whether that is so. The lock is held.
func (f *flight) remove(p *piece) bool {
	if f.departed {
		return false
	}
	f.pieces = slices.DeleteFunc(f.pieces, func(other *piece) bool { return other == p })
	f.count -= len(p.texts)
	f.tokens -= p.tokens
	if f.waiting--; f.waiting == 0 {
		f.depart()
	}
	return true
}

// depart sends the request, unless it is on its way or nobody is left. The lock is held.
func (f *flight) depart() {
	if f.departed {
		return
	}
	f.departed = true
	if f.departs != nil {
		f.departs.Stop()
	}
	e := f.embedder
	e.waiting = slices.DeleteFunc(e.waiting, func(other *flight) bool { return other == f })
	if len(f.pieces) == 0 {
		return
	}
	f.ctx, f.cancel = context.WithCancelCause(context.WithoutCancel(f.pieces[0].of.ctx))
	e.client.running.Go(f.fly)
}

func (f *flight) fly() {
	err := errPanicked
	defer func() {
		panicked := recover()
		f.cancel(nil)
		f.land(err, panicked)
	}()
	f.rec = Call{ID: newID(), Operation: "embed", Model: f.embedder.model, Start: time.Now(), Attempts: f.first[:0]}
	err = f.exchange(f.ctx)
	f.rest.drain()
}

// land gives every piece what came of it; after a refusal that may be about one of the texts it sends them again in
// parts.
func (f *flight) land(err error, panicked any) {
	e := f.embedder
	e.mu.Lock()
	defer e.mu.Unlock()
	if f.divides(err) {
		return
	}
	first := 0
	for _, p := range f.pieces {
		k := p.of
		outcome := copyOf(err)
		if err == nil {
			k.served = f.served
			copy(k.vectors[p.from:], f.answer.Vectors[first:first+len(p.texts)])
			outcome = f.badVector(p, first)
			first += len(p.texts)
		}
		if panicked != nil {
			k.panicked = panicked
		}
		k.land(p, outcome)
	}
}

// badVector is the error of a piece, one of whose vectors cannot be an embedding; first is the place of its first.
func (f *flight) badVector(p *piece, first int) error {
	for _, i := range f.answer.Bad {
		if i >= first && i < first+len(p.texts) {
			return &APIError{
				StatusCode: http.StatusOK, RequestID: f.rec.Attempts[len(f.rec.Attempts)-1].RequestID, kind: ErrMalformed,
				Message: fmt.Sprintf("the vector of texts[%d] has values that are not finite, or no embedding's: int8 or binary in place of float32?", p.from+i-first),
			}
		}
	}
	return nil
}

// aboutTexts are the refusals that one text of a request may be to blame for.
var aboutTexts = []error{ErrBadRequest, ErrContextLength, ErrContentFiltered}

// divides sends the pieces again in parts when err is a refusal that one of the texts may be to blame for, and reports
// whether it did: first in about as many parts as a part then has calls, then each call alone. Two rounds are quicker
// than halving, and n calls never take more than n + √n requests more.
func (f *flight) divides(err error) bool {
	refusal, ok := err.(*APIError) //nolint:errorlint // made by the attempt, not wrapped
	if !ok || f.depth == 2 || len(f.pieces) < 2 {
		return false
	}
	if !slices.Contains(aboutTexts, refusal.kind) {
		return false
	}
	var again []*piece
	for _, p := range f.pieces {
		if p.of.gone {
			p.of.land(p, nil)
		} else {
			again = append(again, p)
		}
	}
	size := 1
	if n := len(again); f.depth == 0 && n > 4 { // up to that, parts save nothing
		size = int(math.Ceil(math.Sqrt(float64(n))))
	}
	for part := range slices.Chunk(again, size) {
		next := f.embedder.newFlight(f.key)
		next.depth, next.plain = f.depth+1, f.plain
		for _, p := range part {
			next.add(p)
		}
		next.depart()
	}
	return true
}

// drop lands a piece before the others. It is called by the flight's goroutine, between attempts.
func (f *flight) drop(p *piece, err error) {
	e := f.embedder
	e.mu.Lock()
	defer e.mu.Unlock()
	f.pieces = slices.DeleteFunc(f.pieces, func(other *piece) bool { return other == p })
	f.stale = true
	if !p.of.gone {
		if f.waiting--; f.waiting == 0 {
			f.cancel(errNobodyWaits)
		}
	}
	p.of.land(p, err)
}
