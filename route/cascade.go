package route

import (
	"context"
	"errors"
	"fmt"
	"iter"
	"slices"
	"sync/atomic"

	"github.com/holysheep-ai/holysheep-go"
)

// cascadeOperation is what the rows of the cascade are called.
const cascadeOperation = "cascade"

// Cascade asks a cheap model first, and a better one where the answer does not pass. See [NewCascade]. Safe for
// concurrent use.
type Cascade struct {
	next     holysheep.Completer
	models   []*routedModel // from the cheapest to the best
	checks   []Check
	opts     CascadeOptions
	recorder *holysheep.Recorder
	print    string // of models and checks
	shadow   cascadeShadow
	tally    cascadeTally
}

// CascadeOptions change what a [Cascade] does. The zero value of each field is its default.
type CascadeOptions struct {
	// Shadow is the share of the answers that passed which the last model is asked for as well, in the background, to
	// find out what the cascade loses; see Report. Default: 0.
	Shadow float64

	// ShadowMaxCost is what that may cost, at most, as long as the cascade lives. Default: 0, no limit.
	ShadowMaxCost holysheep.USD

	// Worse tells whether the cascade's answer is worse than that of the last model. Default: [Differs], which makes
	// the report an upper bound. [JudgeWorse] asks a model.
	Worse Worse

	// Seed makes what is shadowed repeatable, for tests. Default: 0, every cascade draws its own.
	Seed uint64
}

// NewCascade makes a cascade before next. models are asked in their order, the cheapest first; an answer is given if
// all checks let it pass, in their order, and the last model's in any case. nil checks are [NotEmpty], [NoRefusal] and
// [KeepsSchema]; opts may be nil. The error lists everything that is wrong with them, each a *holysheep.RequestError.
//
// A request that names no model, or [Auto], begins with the first, one that wants [Premium] with the last; one that
// names a model of the cascade begins there, so that a router may stand before it. All others pass as they are.
//
// A model that fails is one whose answer did not pass, unless another one would not help: the caller has left, the
// request cannot be sent, the key or a budget refuses.
//
// In streams, answers that may still be rejected are collected and shown when they have passed, in one piece; the last
// model's come as they are written. Nothing is shown twice.
//
// resp.Cost is all that was spent: rejected answers and judges included. Each call leaves a [CascadeReceipt].
//
// Close waits for the shadows that are still asked. next stays the caller's.
func NewCascade(next holysheep.Completer, models []string, checks []Check, opts *CascadeOptions) (*Cascade, error) {
	c := &Cascade{next: next, checks: slices.Clone(checks), recorder: holysheep.RecorderOf(next)}
	if opts != nil {
		c.opts = *opts
	}
	if checks == nil {
		c.checks = []Check{NotEmpty(), NoRefusal(), KeepsSchema()}
	}
	if c.opts.Worse == nil {
		c.opts.Worse = Differs
	}
	known := knownBeneath(next)
	if errs := c.problems(known, models); errs != nil {
		return nil, errors.Join(errs...)
	}
	for _, name := range models {
		m, _, _ := known.look(name)
		c.models = append(c.models, m)
	}
	c.print = c.fingerprint()
	c.shadow.open(c.opts.Seed, c.opts.ShadowMaxCost)
	return c, nil
}

// Unwrap gives what the cascade is before.
func (c *Cascade) Unwrap() holysheep.Completer { return c.next }

// descent is one request on its way through the models.
type descent struct {
	call    holysheep.Call
	req     *holysheep.ChatRequest // the caller's
	at      int                    // the model that is next
	receipt *CascadeReceipt
	step    holysheep.Step
	given   holysheep.Cost // what the answers say that they cost
	ended   bool
}

// enter finds where a request begins; nil for one that is none of the cascade's.
func (c *Cascade) enter(ctx context.Context, req *holysheep.ChatRequest, stream bool) (*descent, error) {
	if req == nil {
		return nil, nil //nolint:nilnil // neither an error nor for us: next says what is wrong
	}
	q, open, err := wanted(ctx, req.Model)
	if err != nil {
		return nil, err
	}
	d := &descent{req: req, receipt: &CascadeReceipt{}}
	switch {
	case open && q == Premium:
		d.at = len(c.models) - 1
	case !open:
		if d.at = slices.IndexFunc(c.models, func(m *routedModel) bool { return m.name == req.Model }); d.at < 0 {
			return nil, nil //nolint:nilnil // likewise
		}
	}
	d.call = holysheep.Call{Operation: cascadeOperation, Model: c.models[d.at].name, Stream: stream, Request: req}
	return d, nil
}

// last reports whether no model is left after the next one.
func (c *Cascade) last(d *descent) bool { return d.at == len(c.models)-1 }

// request is what the model that is next is asked.
func (c *Cascade) request(d *descent) *holysheep.ChatRequest {
	r := *d.req
	r.Model = c.models[d.at].name
	if !c.last(d) {
		for _, k := range c.checks {
			if k.Prepare != nil {
				k.Prepare(&r)
			}
		}
	}
	return &r
}

// try asks a model that is not the last one. It gives the answer if it passes; an error ends the descent.
func (c *Cascade) try(ctx context.Context, d *descent) (*holysheep.ChatResponse, error) {
	resp, err := c.next.Chat(ctx, c.request(d))
	t := CascadeTry{Model: c.models[d.at].name, Err: err}
	if err == nil {
		t.Cost = resp.Cost
		d.given = d.given.Plus(resp.Cost)
		c.check(ctx, d, resp, &t)
	} else {
		t.Rejected = "it failed"
	}
	d.receipt.Tries = append(d.receipt.Tries, t)
	switch {
	case err != nil && (ctx.Err() != nil || nobodyHelps(err)):
		return nil, err
	case ctx.Err() != nil: // while it was checked
		return nil, &holysheep.TransportError{Phase: holysheep.PhaseWait, Err: ctx.Err()}
	case t.Rejected != "":
		d.at++
		return nil, nil //nolint:nilnil // the next one is asked
	}
	return resp, nil
}

// check asks the checks, up to the first that rejects.
func (c *Cascade) check(ctx context.Context, d *descent, resp *holysheep.ChatResponse, t *CascadeTry) {
	for _, k := range c.checks {
		why, err := k.Reject(ctx, d.req, resp)
		switch {
		case errors.Is(err, ErrNotChecked):
			t.Unchecked = append(t.Unchecked, k.Name)
		case err != nil:
			t.Rejected, t.Err = k.Name+": it could not be checked", err
			return
		case why != "":
			t.Rejected = k.Name + ": " + why
			return
		}
	}
}

// nobodyHelps reports whether another model would fail likewise.
func nobodyHelps(err error) bool {
	for _, kind := range []error{
		holysheep.ErrUnauthorized, holysheep.ErrInsufficientBalance, holysheep.ErrBudgetExceeded, holysheep.ErrClosed,
	} {
		if errors.Is(err, kind) {
			return true
		}
	}
	_, ok := errors.AsType[*holysheep.RequestError](err)
	return ok
}

var errCascadePanicked = errors.New("route: a check, the loop over a stream or what is beneath panicked")

// leave closes the row of the call, once.
func (c *Cascade) leave(ctx context.Context, d *descent, err error) {
	if d.ended {
		return
	}
	d.ended = true
	if d.step.Detail == nil {
		c.describe(d)
	}
	d.call.Steps = []holysheep.Step{d.step}
	c.recorder.End(ctx, &d.call, err)
}

// describe makes the step of what has come of it so far.
func (c *Cascade) describe(d *descent) {
	d.step = holysheep.Step{Kind: "cascade", Reason: d.receipt.reason(), Detail: d.receipt}
}

// finish gives the answer with what the cascade has to say.
func (c *Cascade) finish(d *descent, resp *holysheep.ChatResponse) *holysheep.ChatResponse {
	own := *resp // an observer may have the one of the client
	own.Cost = d.given
	// Judges have spent as well; a completer that reports to nobody says itself what it cost.
	if spent := d.call.Spent(); spent.AtMost >= own.Cost.AtMost {
		own.Cost = spent
	}
	if !d.req.Logprobs {
		own.Choices = slices.Clone(own.Choices)
		for i := range own.Choices {
			own.Choices[i].Logprobs = nil // asked for by a check
		}
	}
	r := d.receipt
	r.Answered = c.models[d.at].name
	r.Cost, r.Direct = own.Cost.USD, c.models[len(c.models)-1].price.Of(own.Usage)
	r.Loss = c.Report().Loss
	saved := r.Direct - r.Cost
	if own.Cached {
		saved = 0 // the cache has counted it
	}
	c.describe(d)
	d.step.Saved = saved
	own.Saved = own.Saved.Plus(saved)
	own.Steps = append(slices.Clone(own.Steps), d.step)
	d.call.Response, d.call.Served, d.call.Saved, d.call.FirstToken = &own, own.Model, saved, own.FirstToken
	d.call.Model = r.Answered
	c.tally.count(r)
	return &own
}

// descend asks the models but the last one. It gives the answer that passed, or nil when it is up to the last.
func (c *Cascade) descend(ctx context.Context, d *descent) (*holysheep.ChatResponse, error) {
	for !c.last(d) {
		if resp, err := c.try(ctx, d); resp != nil || err != nil {
			return resp, err
		}
	}
	return nil, nil //nolint:nilnil // up to the last one
}

// noteLast writes down how the last model did.
func (c *Cascade) noteLast(d *descent, resp *holysheep.ChatResponse, err error) {
	t := CascadeTry{Model: c.models[d.at].name, Err: err, last: true}
	if resp != nil {
		t.Cost = resp.Cost
		d.given = d.given.Plus(resp.Cost)
	} else {
		t.Rejected = "it failed"
	}
	d.receipt.Tries = append(d.receipt.Tries, t)
}

// Chat gives the first answer that passes, or the last model's.
func (c *Cascade) Chat(ctx context.Context, req *holysheep.ChatRequest) (resp *holysheep.ChatResponse, err error) {
	d, err := c.enter(ctx, req, false)
	switch {
	case err != nil:
		return nil, err
	case d == nil:
		return c.next.Chat(ctx, req)
	}
	ctx = c.recorder.Begin(ctx, &d.call)
	err = errCascadePanicked // unless we get there
	defer func() { c.leave(ctx, d, err) }()
	if resp, err = c.descend(ctx, d); err != nil {
		return nil, err
	}
	if resp == nil {
		err = errCascadePanicked
		resp, err = c.next.Chat(ctx, c.request(d))
		c.noteLast(d, resp, err)
		if err != nil {
			return nil, err
		}
	}
	resp = c.finish(d, resp)
	err = nil
	c.leave(ctx, d, nil)
	c.maybeShadow(ctx, d, resp)
	return resp, nil
}

// Stream gives it likewise. Nothing happens before the range starts. See [holysheep.Client.Stream] for the rest.
func (c *Cascade) Stream(ctx context.Context, req *holysheep.ChatRequest) iter.Seq2[holysheep.StreamEvent, error] {
	var used atomic.Bool
	return func(yield func(holysheep.StreamEvent, error) bool) {
		if used.Swap(true) {
			yield(holysheep.StreamEvent{}, fmt.Errorf("route: %w", holysheep.ErrStreamUsed))
			return
		}
		d, err := c.enter(ctx, req, true)
		switch {
		case err != nil:
			yield(holysheep.StreamEvent{}, err)
		case d == nil:
			c.next.Stream(ctx, req)(yield)
		default:
			c.stream(ctx, d, yield)
		}
	}
}

func (c *Cascade) stream(ctx context.Context, d *descent, yield func(holysheep.StreamEvent, error) bool) {
	ctx = c.recorder.Begin(ctx, &d.call)
	err := errCascadePanicked // unless we get there
	defer func() { c.leave(ctx, d, err) }()
	resp, failed := c.descend(ctx, d)
	if failed != nil {
		err = failed
		c.leave(ctx, d, err)
		yield(holysheep.StreamEvent{}, err)
		return
	}
	if resp != nil {
		resp = c.finish(d, resp)
		err = nil
		c.leave(ctx, d, nil)
		c.maybeShadow(ctx, d, resp)
		showWhole(resp, yield)
		return
	}
	for ev, failed := range c.next.Stream(ctx, c.request(d)) {
		if ev.Response != nil || failed != nil {
			c.noteLast(d, ev.Response, failed)
			if ev.Response != nil {
				ev.Response = c.finish(d, ev.Response)
			}
			c.leave(ctx, d, failed)
		}
		if !yield(ev, failed) {
			break
		}
	}
	err = nil // a break is no error of the call
}

// showWhole yields an answer that has been collected.
func showWhole(resp *holysheep.ChatResponse, yield func(holysheep.StreamEvent, error) bool) {
	for i := range resp.Choices {
		m := &resp.Choices[i].Message
		ev := holysheep.StreamEvent{
			Choice: resp.Choices[i].Index, Text: m.Text(), Reasoning: m.Reasoning, Refusal: m.Refusal, ToolCalls: slices.Clone(m.ToolCalls),
		}
		if (ev.Text != "" || ev.Reasoning != "" || ev.Refusal != "" || len(ev.ToolCalls) > 0) && !yield(ev, nil) {
			return
		}
	}
	yield(holysheep.StreamEvent{Response: resp}, nil)
}

// Close waits for the shadows that are still asked. Calls that come afterwards are answered, and not shadowed. It may be
// called more than once and returns nil.
func (c *Cascade) Close() error {
	c.shadow.close()
	return nil
}
