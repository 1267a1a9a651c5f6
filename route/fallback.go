package route

import (
	"cmp"
	"context"
	"errors"
	"fmt"
	"iter"
	"slices"
	"sync/atomic"
	"time"

	"github.com/holysheep-ai/holysheep-go"
)

// fallbackOperation is what the rows of the fallback are called.
const fallbackOperation = "fallback"

// Fallback moves on to another model, or another gateway, where the one that was asked cannot answer. See [NewFallback].
// Safe for concurrent use.
type Fallback struct {
	next     holysheep.Completer
	lists    map[string][]*target
	opts     FallbackOptions
	others   []*target
	recorder *holysheep.Recorder
	first    *target // next itself
}

// Target is where a request may go.
type Target struct {
	// Completer answers: another gateway, say. Default: what the fallback wraps.
	Completer holysheep.Completer

	// Model that it is asked for. Default: the one that was asked for first.
	Model string

	// Prepare changes the request for it: fewer tokens, or none of the parameters that it refuses. The struct is a copy;
	// slices and maps in it are the caller's, to be replaced and not written to. It is called concurrently, must always do
	// the same, and leaves Model alone. Default: nil.
	Prepare func(r *holysheep.ChatRequest)
}

// FallbackOptions change what a [Fallback] does. The zero value of each field is its default.
type FallbackOptions struct {
	// Others are the targets of models that have no list. Default: none, such requests pass as they are.
	Others []Target

	// Attempts is how often a target is asked before the next one is, 1 to 8. The last one may be asked as often as its
	// client allows. Default: 1.
	Attempts int

	// FirstToken is how long a target has for its first token, of a plain answer for all of it, before the next one is
	// asked; the last one has as long as its client allows. What was given up may be on the bill. Default: 0, only the
	// limits of the clients.
	FirstToken time.Duration
}

// target is a Target that has been looked at.
type target struct {
	Target
	known  routedModels
	bottom any // the client, or whatever lies lowest
	quota  moveQuota
}

// NewFallback makes a fallback before next. targets lists for each model where its requests go after next, in order, when
// that cannot answer; a list is not followed by that of its models, so that two models may stand in for each other. opts
// may be nil. The error lists everything that is wrong with them, each a *holysheep.RequestError: models that are not
// known or have no price, targets that are there twice or lead back.
//
// It moves on when a target is overloaded, rate limited, down, too slow or not to be had; when a breaker is open or a
// queue full; to another gateway when a key or a balance is refused; to a larger window when the prompt is too long; and
// when a request that wants more than text is refused. It does not when the request cannot be sent, a budget or the content
// is refused, or the context has ended; and never once something of an answer has been shown.
//
// No target but the last is waited for: the attempts beneath are limited ([holysheep.LimitAttempts]). Moving takes from a
// quota of the target, which it gives back with what it answers: one that is down as well is asked a hundred times, and
// then about once a second. The budget of its client decides anew about what a target may cost.
//
// resp.Cost is all that was spent. What happened is a [FallbackReceipt]; when nobody answers, a [*FallbackError].
func NewFallback(next holysheep.Completer, targets map[string][]Target, opts *FallbackOptions) (*Fallback, error) {
	f := &Fallback{next: next, recorder: holysheep.RecorderOf(next), lists: make(map[string][]*target, len(targets))}
	if opts != nil {
		f.opts = *opts
	}
	if f.opts.Attempts == 0 {
		f.opts.Attempts = 1
	}
	f.first = f.look(Target{})
	for model, list := range targets {
		for _, t := range list {
			f.lists[model] = append(f.lists[model], f.look(t))
		}
	}
	for _, t := range f.opts.Others {
		f.others = append(f.others, f.look(t))
	}
	f.opts.Others = nil
	if errs := f.problems(targets); errs != nil {
		return nil, errors.Join(errs...)
	}
	return f, nil
}

func (f *Fallback) look(t Target) *target {
	if t.Completer == nil {
		t.Completer = f.next
	}
	return &target{Target: t, known: knownBeneath(t.Completer), bottom: bottomOf(t.Completer)}
}

// Unwrap gives what is asked first.
func (f *Fallback) Unwrap() holysheep.Completer { return f.next }

// after gives the targets of a model.
func (f *Fallback) after(model string) []*target {
	if list, ok := f.lists[model]; ok {
		return list
	}
	// One of them may be what is asked first.
	if i := slices.IndexFunc(f.others, func(t *target) bool {
		return t.bottom == f.first.bottom && cmp.Or(t.Model, model) == model
	}); i >= 0 {
		return slices.Delete(slices.Clone(f.others), i, i+1)
	}
	return f.others
}

// journey is one request on its way along the targets.
type journey struct {
	call    holysheep.Call
	req     *holysheep.ChatRequest // the caller's
	model   string                 // that was asked for
	targets []*target
	at      int // the target that is asked
	began   time.Time
	receipt *FallbackReceipt
	ended   bool
}

// open finds the way of a request; nil for one that has nowhere else to go.
func (f *Fallback) open(ctx context.Context, req *holysheep.ChatRequest, stream bool) *journey {
	if req == nil {
		return nil // next says what is wrong
	}
	model := f.modelOf(ctx, req)
	list := f.after(model)
	if len(list) == 0 {
		return nil
	}
	return &journey{
		call: holysheep.Call{Operation: fallbackOperation, Model: model, Stream: stream, Request: req},
		req:  req, model: model, targets: append(append(make([]*target, 0, 1+len(list)), f.first), list...),
		receipt: &FallbackReceipt{Asked: model},
	}
}

// modelOf is the model that next would ask.
func (f *Fallback) modelOf(ctx context.Context, req *holysheep.ChatRequest) string {
	if req.Model != "" {
		if _, routed, _ := wanted(ctx, req.Model); !routed {
			return req.Model
		}
	}
	resolved, _, err := holysheep.Resolve(f.next, req)
	if err != nil {
		return req.Model
	}
	return resolved.Model
}

// request is what the target is asked.
func (j *journey) request() *holysheep.ChatRequest {
	if j.at == 0 {
		return j.req
	}
	return j.targets[j.at].request(j.req, j.model)
}

func (t *target) request(req *holysheep.ChatRequest, model string) *holysheep.ChatRequest {
	r := *req
	r.Model = cmp.Or(t.Model, model)
	if t.Prepare != nil {
		t.Prepare(&r)
	}
	return &r
}

// last reports whether nobody is left after the target that is asked.
func (j *journey) last() bool { return j.at == len(j.targets)-1 }

// failed takes in how the target failed, and finds the next one to ask.
func (f *Fallback) failed(ctx context.Context, j *journey, err error) (moves bool) {
	j.note(FallbackTry{Err: err, Took: time.Since(j.began)})
	way := wayAfter(err, j.req)
	if j.at > 0 && wasRefusedHere(err) {
		j.targets[j.at].quota.giveBack(1)
	}
	if ctx.Err() != nil || way == nowhere {
		return false
	}
	from := j.targets[j.at]
	for j.at++; j.at < len(j.targets); j.at++ {
		to := j.targets[j.at]
		why := j.unfit(from, to, way)
		if why == "" && !to.quota.take(time.Now()) {
			why = "it has failed too often of late"
		}
		if why == "" {
			return true
		}
		j.note(FallbackTry{Skipped: why})
	}
	return false
}

func (j *journey) note(t FallbackTry) {
	t.Target, t.Model = j.at, j.model
	if j.at > 0 {
		t.Model = cmp.Or(j.targets[j.at].Model, j.model)
	}
	j.receipt.Tries = append(j.receipt.Tries, t)
}

// finish gives the answer with what the fallback has to say.
func (f *Fallback) finish(j *journey, resp *holysheep.ChatResponse) *holysheep.ChatResponse {
	own := *resp // an observer may have the one of the client
	before := j.began.Sub(j.call.Start)
	own.Cost = spentOn(&j.call, own.Cost)
	own.FirstToken += before
	own.Latency += before
	j.note(FallbackTry{Took: time.Since(j.began)})
	j.receipt.Answered = j.receipt.Tries[len(j.receipt.Tries)-1].Model
	if j.at > 0 {
		j.targets[j.at].quota.giveBack(movesAnswered)
		own.Steps = append(slices.Clone(own.Steps), j.receipt.step())
	}
	j.call.Response, j.call.Served, j.call.FirstToken, j.call.Model = &own, own.Model, own.FirstToken, j.receipt.Answered
	return &own
}

// spentOn is the cost of a decorator's call: what was booked beneath it. A completer that reports to nobody says itself
// what it cost.
func spentOn(call *holysheep.Call, said holysheep.Cost) holysheep.Cost {
	if spent := call.Spent(); spent.AtMost >= said.AtMost {
		return spent
	}
	return said
}

// lost is the error of a journey that has come to no answer.
func (j *journey) lost(err error) error {
	if len(j.receipt.Tries) < 2 {
		return err
	}
	return &FallbackError{Receipt: j.receipt}
}

var errFallbackPanicked = errors.New("route: Target.Prepare, the loop over a stream or what is beneath panicked")

// close closes the row of the call, once.
func (f *Fallback) close(ctx context.Context, j *journey, err error) {
	if j.ended {
		return
	}
	j.ended = true
	if len(j.receipt.Tries) > 1 {
		j.call.Steps = []holysheep.Step{j.receipt.step()}
	}
	f.recorder.End(ctx, &j.call, err)
}

// Chat gives the answer of the first target that has one.
func (f *Fallback) Chat(ctx context.Context, req *holysheep.ChatRequest) (resp *holysheep.ChatResponse, err error) {
	j := f.open(ctx, req, false)
	if j == nil {
		return f.next.Chat(ctx, req)
	}
	ctx = f.recorder.Begin(ctx, &j.call)
	err = errFallbackPanicked // unless we get there
	defer func() { f.close(ctx, j, err) }()
	for {
		resp, failed := f.ask(ctx, j)
		if failed == nil {
			err = nil
			return f.finish(j, resp), nil
		}
		if !f.failed(ctx, j, failed) {
			err = j.lost(failed)
			return nil, err
		}
	}
}

func (f *Fallback) ask(ctx context.Context, j *journey) (resp *holysheep.ChatResponse, err error) {
	limited, t := f.begin(ctx, j)
	defer func() { err = t.end(ctx, f.opts.FirstToken, err) }() // also when there is a panic
	return j.targets[j.at].Completer.Chat(limited, j.request())
}

// Stream gives it likewise. Nothing happens before the range starts. See [holysheep.Client.Stream] for the rest.
func (f *Fallback) Stream(ctx context.Context, req *holysheep.ChatRequest) iter.Seq2[holysheep.StreamEvent, error] {
	var used atomic.Bool
	return func(yield func(holysheep.StreamEvent, error) bool) {
		if used.Swap(true) {
			yield(holysheep.StreamEvent{}, fmt.Errorf("route: %w", holysheep.ErrStreamUsed))
			return
		}
		if j := f.open(ctx, req, true); j != nil {
			f.stream(ctx, j, yield)
		} else {
			f.next.Stream(ctx, req)(yield)
		}
	}
}

func (f *Fallback) stream(ctx context.Context, j *journey, yield func(holysheep.StreamEvent, error) bool) {
	ctx = f.recorder.Begin(ctx, &j.call)
	err := errFallbackPanicked // unless we get there
	defer func() { f.close(ctx, j, err) }()
	for {
		failed := f.pass(ctx, j, yield)
		if failed == nil {
			err = nil // answered, or broken off by the reader, or failed in the middle, of which it has heard
			return
		}
		if !f.failed(ctx, j, failed) {
			err = j.lost(failed)
			f.close(ctx, j, err)
			yield(holysheep.StreamEvent{}, err)
			return
		}
	}
}

// pass asks a target and yields what it says. It gives the error of one that has said nothing.
func (f *Fallback) pass(ctx context.Context, j *journey, yield func(holysheep.StreamEvent, error) bool) (err error) {
	limited, t := f.begin(ctx, j)
	defer func() { err = t.end(ctx, f.opts.FirstToken, err) }() // also when there is a panic
	shown := false
	for ev, failed := range j.targets[j.at].Completer.Stream(limited, j.request()) {
		switch {
		case !shown && failed != nil:
			return failed
		case !shown && !t.arrived():
			return errNoFirstToken
		case failed != nil:
			failed = withSpent(&j.call, failed)
			f.close(ctx, j, failed)
		case ev.Response != nil:
			ev.Response = f.finish(j, ev.Response)
			f.close(ctx, j, nil)
		}
		shown = true
		if !yield(ev, failed) {
			break
		}
	}
	return nil
}

// withSpent adds to the part of an answer that an error has what else was spent on the call.
func withSpent(call *holysheep.Call, err error) error {
	cut, ok := errors.AsType[*holysheep.StreamError](err)
	if !ok || cut.Partial == nil {
		return err
	}
	partial := *cut.Partial
	if partial.Cost = spentOn(call, partial.Cost); partial.Cost == cut.Partial.Cost {
		return err
	}
	return &holysheep.StreamError{Partial: &partial, Err: err}
}
