package route

import (
	"context"
	"errors"
	"fmt"
	"iter"
	"sync/atomic"
	"time"

	"github.com/holysheep-ai/holysheep-go"
	"github.com/holysheep-ai/holysheep-go/cache"
)

// ladderOperation is what the rows of the ladder are called.
const ladderOperation = "ladder"

// A Rung is how much of a call is given up.
type Rung uint8

// The rungs, each of which includes those before it.
const (
	AsAsked    Rung = iota // nothing
	Cheaper                // a cheaper model
	Shorter                // and a shorter answer
	CachedOnly             // nothing is asked any more: the answer comes from a cache, or there is none
	Refused                // not even that
)

var rungNames = [...]string{"as asked", "cheaper", "shorter", "cached only", "refused"}

func (r Rung) String() string {
	if int(r) < len(rungNames) {
		return rungNames[r]
	}
	return fmt.Sprintf("Rung(%d)", uint8(r))
}

// Ladder gives up a little of each call while things are bad, and takes it back when they are good again. See
// [NewLadder]. Safe for concurrent use.
type Ladder struct {
	next     holysheep.Completer
	signals  []*watched
	opts     LadderOptions
	recorder *holysheep.Recorder
	known    map[string]*routedModel // the cheaper models
	cached   bool                    // there are caches beneath
}

// LadderOptions change what a [Ladder] does. The zero value of each field is its default.
type LadderOptions struct {
	// Cheaper tells which model stands in for which. A model that is known to lack what the request needs does not.
	// Calls that leave the model to a router want [Economy] instead. Default: deepseek-v3.2 for the other three of
	// HolySheep.
	Cheaper map[string]string

	// MaxTokens bounds the answers that are to be shorter. Default: 256.
	MaxTokens int

	// Most is the last rung that is climbed. Default: Refused.
	Most Rung

	// Every is how long a reading of a signal counts. One call in that time takes it, on its way. Default: 1 s.
	Every time.Duration

	// Rise is how long it stays on a rung, at least, before it climbs to the next. Default: 5 s.
	Rise time.Duration

	// Fall is how long a signal has to ask for less before it goes down a rung. Default: 15 s.
	Fall time.Duration

	// OnChange is told of each step up or down, on the goroutine of the call that found out. It must be fast and safe
	// for concurrent use. Default: nil. The observer sees each step as well, as a call of its own.
	OnChange func(LadderChange)
}

// LadderChange is a step of a ladder.
type LadderChange struct {
	Signal   string // what asked for it
	Key      string // whom it concerns, of a signal that tells callers apart: the value of a budget's tag
	From, To Rung
	Reason   string // what the signal says
	At       time.Time
}

// NewLadder makes a ladder before next. Each signal says how bad things are; the worst one counts. opts may be nil. The
// error lists everything that is wrong with them, each a *holysheep.RequestError.
//
// Calls of priority [Critical] are kept one rung below the others, those of [Batch] one above, once there is a rung to
// be on. A ladder belongs before the caches: as soon as it gives something up, it first looks whether they have the
// answer that was asked for, expired ones included that cache.ExactOptions.Stale still allows.
//
// Nothing is given up in silence: the response has a Step of kind "ladder" with a [LadderReceipt], each call that is
// changed has a row of its own, and what is not answered ends with a [*RefusedError].
func NewLadder(next holysheep.Completer, signals []Signal, opts *LadderOptions) (*Ladder, error) {
	l := &Ladder{next: next, recorder: holysheep.RecorderOf(next), known: map[string]*routedModel{}, cached: hasCache(next)}
	if opts != nil {
		l.opts = *opts
	}
	l.opts.complete()
	if errs := l.problems(signals); errs != nil {
		return nil, errors.Join(errs...)
	}
	for i := range signals {
		l.signals = append(l.signals, &watched{Signal: signals[i], opts: &l.opts, states: map[string]*standing{}})
	}
	return l, nil
}

func hasCache(c holysheep.Completer) bool {
	for c != nil {
		switch c.(type) {
		case *cache.ExactCache, *cache.SemanticCache:
			return true
		}
		w, ok := c.(interface{ Unwrap() holysheep.Completer })
		if !ok {
			break
		}
		c = w.Unwrap()
	}
	return false
}

// complete fills in the defaults.
func (o *LadderOptions) complete() {
	if o.Cheaper == nil {
		o.Cheaper = map[string]string{
			holysheep.ClaudeSonnet45: holysheep.DeepSeekV32,
			holysheep.GPT41:          holysheep.DeepSeekV32,
			holysheep.Gemini25Flash:  holysheep.DeepSeekV32,
		}
	}
	if o.MaxTokens == 0 {
		o.MaxTokens = 256
	}
	if o.Most == 0 {
		o.Most = Refused
	}
	for _, d := range []struct {
		value *time.Duration
		usual time.Duration
	}{{&o.Every, time.Second}, {&o.Rise, 5 * time.Second}, {&o.Fall, 15 * time.Second}} {
		if *d.value == 0 {
			*d.value = d.usual
		}
	}
}

// problems lists everything that is wrong, and looks the cheaper models up.
func (l *Ladder) problems(signals []Signal) (errs []error) {
	bad := func(field, reason string, args ...any) {
		errs = append(errs, &holysheep.RequestError{Field: field, Reason: fmt.Sprintf(reason, args...)})
	}
	if l.next == nil {
		bad("next", "nil")
	}
	if len(signals) == 0 {
		bad("signals", "there are none: nothing would ever be given up")
	}
	names := map[string]bool{}
	for i, s := range signals {
		switch {
		case s.Name == "":
			bad(fmt.Sprintf("signals[%d].Name", i), "empty")
		case names[s.Name]:
			bad(fmt.Sprintf("signals[%d].Name", i), "%.60q is there twice", s.Name)
		}
		names[s.Name] = true
		if s.Read == nil {
			bad(fmt.Sprintf("signals[%d].Read", i), "nil")
		}
	}
	models := knownBeneath(l.next)
	for from, to := range l.opts.Cheaper {
		m, known, priced := models.look(to)
		l.known[to] = m
		switch _, goesOn := l.opts.Cheaper[to]; {
		case from == to:
			bad("LadderOptions.Cheaper", "%.60q stands in for itself", from)
		case goesOn:
			bad("LadderOptions.Cheaper", "%.60q, which stands in for %.60q, is stood in for itself", to, from)
		case !known:
			bad("LadderOptions.Cheaper", "%.60q is not known (describe it in Options.Models)", to)
		case !priced:
			bad("LadderOptions.Cheaper", "%.60q has no price, so that budgets would refuse it", to)
		}
	}
	if l.opts.MaxTokens < 1 {
		bad("LadderOptions.MaxTokens", "%d is under one", l.opts.MaxTokens)
	}
	if l.opts.Most > Refused {
		bad("LadderOptions.Most", "%v is none", l.opts.Most)
	}
	for _, d := range []struct {
		name  string
		value time.Duration
	}{{"Every", l.opts.Every}, {"Rise", l.opts.Rise}, {"Fall", l.opts.Fall}} {
		if d.value < 0 {
			bad("LadderOptions."+d.name, "%v is negative", d.value)
		}
	}
	return errs
}

// Unwrap gives what the ladder is before.
func (l *Ladder) Unwrap() holysheep.Completer { return l.next }

// Rung tells where the calls of a context stand now, and why. It reads signals whose last reading is too old.
func (l *Ladder) Rung(ctx context.Context) (Rung, string) {
	rung, why := AsAsked, ""
	for _, s := range l.signals {
		if r, reason := s.rung(ctx, l.tell); r > rung {
			rung, why = r, s.Name+": "+reason
		}
	}
	if rung == AsAsked {
		return AsAsked, ""
	}
	switch PriorityOf(ctx) {
	case Critical:
		rung--
	case Batch:
		rung = min(rung+1, l.opts.Most)
	}
	return rung, why
}

// tell makes a step known.
func (l *Ladder) tell(ctx context.Context, c LadderChange) {
	call := &holysheep.Call{Operation: ladderOperation, Steps: []holysheep.Step{{
		Kind: "ladder", Reason: fmt.Sprintf("from %v to %v by %s: %s", c.From, c.To, c.Signal, c.Reason), Detail: &c,
	}}}
	l.recorder.End(l.recorder.Begin(ctx, call), call, nil)
	if l.opts.OnChange != nil {
		l.opts.OnChange(c)
	}
}

// lowered is one call that is given less than it asked for.
type lowered struct {
	call    holysheep.Call
	receipt LadderReceipt
	ctx     context.Context //nolint:containedctx // of what is beneath, for as long as the call
	req     *holysheep.ChatRequest
	ended   bool
}

// lower says what becomes of a call; nil where it goes on as it is.
func (l *Ladder) lower(ctx context.Context, req *holysheep.ChatRequest) *lowered {
	rung, why := l.Rung(ctx)
	if rung == AsAsked || req == nil {
		return nil
	}
	w := &lowered{receipt: LadderReceipt{Rung: rung, Reason: why, Priority: PriorityOf(ctx)}}
	w.ctx, w.req = l.change(ctx, req, &w.receipt)
	return w
}

// change makes the cheaper and shorter request of one.
func (l *Ladder) change(ctx context.Context, req *holysheep.ChatRequest, rec *LadderReceipt) (context.Context, *holysheep.ChatRequest) {
	r := *req
	if q, routed, err := wanted(ctx, req.Model); routed && err == nil {
		if q != Economy {
			rec.From, rec.To = q.Model(), Economy.Model()
			ctx = WithQuality(ctx, Economy)
		}
		if req.Model != "" {
			r.Model = Economy.Model()
		}
	} else if to, ok := l.opts.Cheaper[req.Model]; ok {
		var f Features
		readFeatures(&f, req)
		if l.known[to].lacks(&f) == "" {
			r.Model, rec.From, rec.To = to, req.Model, to
		}
	}
	if rec.Rung >= Shorter && (r.MaxTokens == nil || *r.MaxTokens > l.opts.MaxTokens) {
		rec.MaxTokens = l.opts.MaxTokens
		r.MaxTokens = new(l.opts.MaxTokens)
	}
	return ctx, &r
}

// start opens the row of the call. endRow has to follow. The contexts are for the caches alone, and for the rest.
func (l *Ladder) start(ctx context.Context, w *lowered, req *holysheep.ChatRequest, stream bool) (only context.Context) {
	w.call = holysheep.Call{Operation: ladderOperation, Model: w.req.Model, Stream: stream, Request: req}
	w.ctx = l.recorder.Begin(w.ctx, &w.call)
	// As it was asked: without the quality that the ladder has set, but beneath its row.
	if q, ok := wantedBy(ctx); ok {
		return cache.Only(WithQuality(w.ctx, q))
	}
	return cache.Only(WithQuality(w.ctx, Balanced))
}

var errLadderPanicked = errors.New("route: the loop over a stream or what is beneath panicked")

// endRow closes the row of the call, once.
func (l *Ladder) endRow(w *lowered, err error) {
	if w.ended {
		return
	}
	w.ended = true
	if w.call.Steps == nil {
		w.call.Steps = []holysheep.Step{w.receipt.step()}
	}
	l.recorder.End(w.ctx, &w.call, err)
}

// finish gives the answer with what the ladder has to say.
func (l *Ladder) finish(w *lowered, resp *holysheep.ChatResponse) *holysheep.ChatResponse {
	own := *resp // an observer may have the one of the client
	step := w.receipt.step()
	own.Steps = append(append(make([]holysheep.Step, 0, len(own.Steps)+1), own.Steps...), step)
	w.call.Response, w.call.Served, w.call.FirstToken, w.call.Steps = &own, own.Model, own.FirstToken, []holysheep.Step{step}
	return &own
}

// refused is how a call ends that gets nothing.
func (w *lowered) refused() error {
	return &RefusedError{Rung: w.receipt.Rung, Priority: w.receipt.Priority, Reason: w.receipt.Reason}
}

// Chat answers req as well as things allow.
func (l *Ladder) Chat(ctx context.Context, req *holysheep.ChatRequest) (resp *holysheep.ChatResponse, err error) {
	w := l.lower(ctx, req)
	if w == nil {
		return l.next.Chat(ctx, req)
	}
	only := l.start(ctx, w, req, false)
	err = errLadderPanicked // unless we get there
	defer func() { l.endRow(w, err) }()
	if l.cached && w.receipt.Rung < Refused {
		if resp, err = l.next.Chat(only, req); err == nil {
			w.receipt.asAsked()
			return l.finish(w, resp), nil
		} else if !errors.Is(err, cache.ErrNotCached) {
			return nil, err
		}
	}
	if w.receipt.Rung >= CachedOnly {
		return nil, w.refused()
	}
	err = errLadderPanicked
	if resp, err = l.next.Chat(w.ctx, w.req); err != nil {
		return nil, err
	}
	return l.finish(w, resp), nil
}

// Stream answers req likewise. Nothing happens before the range starts. See [holysheep.Client.Stream] for the rest.
func (l *Ladder) Stream(ctx context.Context, req *holysheep.ChatRequest) iter.Seq2[holysheep.StreamEvent, error] {
	var used atomic.Bool
	return func(yield func(holysheep.StreamEvent, error) bool) {
		if used.Swap(true) {
			yield(holysheep.StreamEvent{}, fmt.Errorf("route: %w", holysheep.ErrStreamUsed))
			return
		}
		if w := l.lower(ctx, req); w != nil {
			l.stream(ctx, w, req, yield)
		} else {
			l.next.Stream(ctx, req)(yield)
		}
	}
}

func (l *Ladder) stream(ctx context.Context, w *lowered, req *holysheep.ChatRequest, yield func(holysheep.StreamEvent, error) bool) {
	only := l.start(ctx, w, req, true)
	err := errLadderPanicked // unless we get there
	defer func() { l.endRow(w, err) }()
	if l.cached && w.receipt.Rung < Refused {
		asked := w.receipt
		w.receipt.asAsked()
		if !errors.Is(l.pass(w, l.next.Stream(only, req), yield), cache.ErrNotCached) {
			err = nil
			return
		}
		w.receipt = asked
	}
	if w.receipt.Rung >= CachedOnly {
		err = w.refused()
		l.endRow(w, err)
		yield(holysheep.StreamEvent{}, err)
		return
	}
	_ = l.pass(w, l.next.Stream(w.ctx, w.req), yield)
	err = nil // the row has its own
}

// pass yields a stream, but for the error that it is in no cache, which is given. The row is closed before its last event.
func (l *Ladder) pass(w *lowered, events iter.Seq2[holysheep.StreamEvent, error], yield func(holysheep.StreamEvent, error) bool) error {
	for ev, failed := range events {
		if errors.Is(failed, cache.ErrNotCached) {
			return failed
		}
		if ev.Response != nil {
			ev.Response = l.finish(w, ev.Response)
		}
		if ev.Response != nil || failed != nil {
			l.endRow(w, failed)
		}
		if !yield(ev, failed) {
			return nil
		}
	}
	return nil
}

// Plan prices the call that would be made now, and shows what would be given up.
func (l *Ladder) Plan(ctx context.Context, req *holysheep.ChatRequest) (*holysheep.Quote, error) {
	w := l.lower(ctx, req)
	if w == nil {
		return holysheep.Plan(ctx, l.next, req)
	}
	q, err := holysheep.Plan(w.ctx, l.next, w.req)
	if err != nil {
		return nil, err
	}
	q.Steps = append(q.Steps, w.receipt.step())
	if w.receipt.Rung >= CachedOnly {
		q.Refusals = append(q.Refusals, w.refused())
	}
	return q, nil
}
