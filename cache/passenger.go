package cache

import (
	"context"
	"errors"
	"fmt"
	"time"

	"github.com/holysheep-ai/holysheep-go"
)

// passenger is one who waits for a flight. The one who opened it has it booked, and its call is the flight's; a guest
// pays nothing and has a call of his own.
type passenger struct {
	flight *flight
	call   *holysheep.Call
	guest  bool
}

// errAgain is a flight that failed its guests for a reason that only concerns who opened it.
var errAgain = errors.New("cache: ask again")

// why is why a context ended: its error, and the caller's cause if he gave one.
func why(ctx context.Context) error {
	err, cause := ctx.Err(), context.Cause(ctx)
	if cause == nil || errors.Is(cause, err) || errors.Is(err, cause) {
		return err
	}
	return fmt.Errorf("%w: %w", err, cause)
}

// end reports a guest's call.
func (p *passenger) end(ctx context.Context, err error) {
	if p.guest {
		p.flight.cache.recorder.End(ctx, p.call, err)
	}
}

// wait gives the answer when it is there.
func (p *passenger) wait(ctx context.Context) (*holysheep.ChatResponse, error) {
	f := p.flight
	select {
	case <-f.done:
	case <-ctx.Done():
		if !f.leave(why(ctx)) {
			err := p.left(ctx, cursor{})
			p.end(ctx, err)
			return nil, err
		}
	}
	if p.mayAsk(ctx) {
		p.end(ctx, nil)
		return nil, errAgain
	}
	if f.err != nil {
		err := p.failure(ctx)
		p.end(ctx, err)
		return nil, err
	}
	return p.answer(ctx), nil
}

// answer is the passenger's own copy of it.
func (p *passenger) answer(ctx context.Context) *holysheep.ChatResponse {
	f := p.flight
	resp := copyResponse(f.resp)
	if !p.guest {
		return resp
	}
	first := p.call.FirstToken
	hit(resp, p.call, f.worth, holysheep.Step{
		Kind: "cache", Reason: "came with an equal call", Detail: &Receipt{Key: f.asked.receipt(), Shared: true},
	})
	if first != 0 {
		resp.FirstToken, p.call.FirstToken = first, first
	}
	p.end(ctx, nil)
	return resp
}

// read yields the text as it comes, from its beginning.
func (p *passenger) read(ctx context.Context, yield func(holysheep.StreamEvent, error) bool) error {
	f := p.flight
	aboard := true
	defer func() {
		if aboard { // a break, or a panic of the loop
			f.leave(context.Canceled)
			p.end(ctx, nil)
		}
	}()
	var at cursor
	for landed := false; ; {
		if ctx.Err() != nil {
			aboard = false
			settled := f.leave(why(ctx))
			err := p.left(ctx, at)
			if settled && f.err != nil {
				err = p.failure(ctx)
			}
			p.end(ctx, err)
			yield(holysheep.StreamEvent{}, err)
			return nil
		}
		ev, ok, more := f.text.next(&at)
		if ok {
			if p.guest && p.call.FirstToken == 0 {
				p.call.FirstToken = time.Since(p.call.Start)
			}
			if !yield(ev, nil) {
				return nil
			}
			continue
		}
		if landed {
			break
		}
		select {
		case <-more:
		case <-f.done:
			landed = true
		case <-ctx.Done():
		}
	}
	aboard = false
	switch {
	case at == cursor{} && p.mayAsk(ctx):
		p.end(ctx, nil)
		return errAgain
	case f.err != nil:
		err := p.failure(ctx)
		p.end(ctx, err)
		yield(holysheep.StreamEvent{}, err)
	case at == cursor{}:
		inPieces(p.answer(ctx), yield) // of a flight that is no stream
	default:
		yield(holysheep.StreamEvent{Response: p.answer(ctx)}, nil)
	}
	return nil
}

// left is the error of one who leaves before the end. What the flight costs is booked when it lands.
func (p *passenger) left(ctx context.Context, at cursor) error {
	e := &holysheep.TransportError{Phase: holysheep.PhaseHeaders, Err: why(ctx)}
	if !p.guest {
		e.Attempts, e.Billing = 1, holysheep.MaybeBilled
	}
	if at == (cursor{}) {
		return e
	}
	e.Phase = holysheep.PhaseBody
	part := p.flight.text.partial(at)
	part.Requested, part.Latency = p.flight.asked.resolved.Model, time.Since(p.call.Start)
	return &holysheep.StreamError{Partial: part, Err: e}
}

// failure is the passenger's own copy of what went wrong. Where he was the last and left, it says why he did.
func (p *passenger) failure(ctx context.Context) error {
	err := copyError(p.flight.err, p.guest)
	if ctx.Err() == nil || !errors.Is(err, context.Canceled) {
		return err
	}
	switch e := err.(type) { //nolint:errorlint // copied above; others are replaced
	case *holysheep.TransportError:
		e.Err = why(ctx)
		return e
	case *holysheep.StreamError:
		if inner, ok := e.Err.(*holysheep.TransportError); ok { //nolint:errorlint // likewise
			inner.Err = why(ctx)
			return e
		}
	}
	return p.left(ctx, cursor{})
}

// mayAsk reports whether a guest has to ask again, because the flight ended as it did for a reason that concerns only
// who opened it: his budget or cap, or his tags.
func (p *passenger) mayAsk(ctx context.Context) bool {
	f := p.flight
	scope := holysheep.ScopeOf(ctx)
	if !p.guest || scope == f.opener || ctx.Err() != nil {
		return false
	}
	if f.err == nil {
		return f.wasShrunk()
	}
	if b, ok := errors.AsType[*holysheep.BudgetError](f.err); ok {
		return b.Budget == "" || b.Value != "" && !hasValue(scope.Tags(), b.Value)
	}
	_, request := errors.AsType[*holysheep.RequestError](f.err)
	return request || errors.Is(f.err, holysheep.ErrUnknownPrice)
}

func hasValue(tags holysheep.Tags, value string) bool {
	for _, v := range tags {
		if v == value {
			return true
		}
	}
	return false
}

// wasShrunk reports whether an answer was cut short before it had the tokens that were asked for, as the cap of a scope
// makes it.
func (f *flight) wasShrunk() bool {
	r := f.asked.resolved
	if r.MaxTokens == nil || f.resp.Usage.CompletionTokens >= int64(*r.MaxTokens) {
		return false
	}
	for i := range f.resp.Choices {
		if f.resp.Choices[i].FinishReason == "length" {
			return true
		}
	}
	return false
}
