package route

import (
	"context"
	"errors"
	"fmt"
	"iter"
	"sync/atomic"
	"time"

	"github.com/holysheep-ai/holysheep-go"
)

// deferralOperation is what the rows of the deferral are called.
const deferralOperation = "deferral"

// Deferral says of what cannot be answered now when it may be tried again. See [NewDeferral]. Safe for concurrent use.
type Deferral struct {
	next     holysheep.Completer
	usual    time.Duration
	recorder *holysheep.Recorder
}

// DeferralOptions change what a [Deferral] does. The zero value of each field is its default.
type DeferralOptions struct {
	// Usual is how long to wait where nobody says. Default: 3,600 s.
	Usual time.Duration
}

// DeferredError is a request that was not answered and may be later, as it is. It unwraps to the cause.
type DeferredError struct {
	At     time.Time // when it may be tried again
	Reason string    // for a person to read
	Err    error     // the cause
}

func (e *DeferredError) Error() string {
	return fmt.Sprintf("route: deferred until %s, %s: %v", e.At.UTC().Format(time.RFC3339), e.Reason, e.Err)
}

// RetryAt is At, for queues that know no more of an error than that it has a time.
func (e *DeferredError) RetryAt() time.Time { return e.At }

// Unwrap gives the cause.
func (e *DeferredError) Unwrap() error { return e.Err }

// NewDeferral makes a deferral before next, above caches, routers and fallbacks. opts may be nil; the error joins a
// *holysheep.RequestError for each thing that is wrong.
//
// Errors that pass end a call with a [*DeferredError], which has the time for a queue or a journal: a budget whose period
// ends, a ledger out of reach, an open breaker, a full queue or a turn that comes too late, a gateway that asks to come back later than the client
// waits, overload and outages, the end of the call's own deadline. Of several targets of a [Fallback] the earliest time
// counts. All other errors stay as they are: requests that can never be sent, a spent cap of a scope, a call that its
// caller has cancelled, and an answer that broke off after a part of it had been shown.
func NewDeferral(next holysheep.Completer, opts *DeferralOptions) (*Deferral, error) {
	d := &Deferral{next: next, recorder: holysheep.RecorderOf(next)}
	if opts != nil {
		d.usual = opts.Usual
	}
	setDefaultTo(&d.usual, time.Hour)
	var errs []error
	if next == nil {
		errs = append(errs, &holysheep.RequestError{Field: "next", Reason: "nil"})
	}
	if d.usual < 0 {
		errs = append(errs, &holysheep.RequestError{Field: "DeferralOptions.Usual", Reason: fmt.Sprintf("%v is negative", d.usual)})
	}
	if errs != nil {
		return nil, errors.Join(errs...)
	}
	return d, nil
}

// Unwrap gives what the deferral is before.
func (d *Deferral) Unwrap() holysheep.Completer { return d.next }

// Chat answers req, or says when it may be tried again.
func (d *Deferral) Chat(ctx context.Context, req *holysheep.ChatRequest) (*holysheep.ChatResponse, error) {
	resp, err := d.next.Chat(ctx, req)
	if err != nil {
		return nil, d.put(ctx, req, false, err)
	}
	return resp, nil
}

// Stream does likewise. Nothing happens before the range starts. See [holysheep.Client.Stream] for the rest.
func (d *Deferral) Stream(ctx context.Context, req *holysheep.ChatRequest) iter.Seq2[holysheep.StreamEvent, error] {
	var used atomic.Bool
	return func(yield func(holysheep.StreamEvent, error) bool) {
		if used.Swap(true) {
			yield(holysheep.StreamEvent{}, fmt.Errorf("route: %w", holysheep.ErrStreamUsed))
			return
		}
		shown := false
		for ev, err := range d.next.Stream(ctx, req) {
			if err != nil && !shown {
				err = d.put(ctx, req, true, err)
			}
			shown = true
			if !yield(ev, err) {
				return
			}
		}
	}
}

// put makes the error that a call ends with, and lets the observer see what is deferred.
func (d *Deferral) put(ctx context.Context, req *holysheep.ChatRequest, stream bool, err error) error {
	if _, already := errors.AsType[*DeferredError](err); already || errors.Is(ctx.Err(), context.Canceled) {
		return err
	}
	now := time.Now()
	at, reason, ok := d.when(now, err)
	if !ok {
		return err
	}
	if at.Before(now) {
		at = now
	}
	put := &DeferredError{At: at, Reason: reason, Err: err}
	call := &holysheep.Call{
		Operation: deferralOperation, Stream: stream, Model: req.Model, Request: req,
		Steps: []holysheep.Step{{Kind: "deferral", Reason: "until " + at.UTC().Format(time.RFC3339) + ", " + reason}},
	}
	d.recorder.End(d.recorder.Begin(ctx, call), call, put)
	return put
}

// when reads an error: when it may have passed, and why then; not ok if it does not pass.
func (d *Deferral) when(now time.Time, err error) (at time.Time, reason string, ok bool) {
	if nobody, is := errors.AsType[*FallbackError](err); is {
		for _, e := range nobody.Unwrap() {
			if t, why, passes := d.when(now, e); passes && (!ok || t.Before(at)) {
				at, reason, ok = t, why, true
			}
		}
		return at, reason, ok
	}
	if over, is := errors.AsType[*holysheep.BudgetError](err); is && over.Is(holysheep.ErrBudgetExceeded) {
		// What may cost more than the whole limit will not fit the next period either.
		return over.ResetsAt, "when the budget begins anew", !over.ResetsAt.IsZero() && over.Needed <= over.Limit
	}
	if errors.Is(err, holysheep.ErrBlocked) || !isAny(err, passing...) && !isAny(err, holysheep.ErrLedger, context.DeadlineExceeded) {
		return at, "", false
	}
	if open, is := errors.AsType[*OpenError](err); is && !open.Until.IsZero() {
		return open.Until, "when the breaker probes", true
	}
	if wait, is := errors.AsType[*WaitError](err); is && !wait.Retry.IsZero() {
		return wait.Retry, "when there may be a turn", true
	}
	if said, is := errors.AsType[*holysheep.APIError](err); is && said.RetryAfter > 0 {
		return now.Add(said.RetryAfter), "as the gateway asks", true
	}
	return now.Add(d.usual), "as usual, nobody says when", true
}
