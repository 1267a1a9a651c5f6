package route

import (
	"context"
	"errors"
	"fmt"
	"iter"
	"slices"
	"sync/atomic"
	"time"

	"github.com/holysheep-ai/holysheep-go"
)

// hedgeOperation is what the rows of the hedge are called.
const hedgeOperation = "hedge"

// Hedge asks a second time where the first token is later than it is wont to be, and gives what comes first. See
// [NewHedge]. Safe for concurrent use.
type Hedge struct {
	next     holysheep.Completer
	opts     HedgeOptions
	recorder *holysheep.Recorder
	prices   *holysheep.PriceTable
	seen     gateTable[seenTimes]
	purse    hedgePurse
}

// HedgeOptions change what a [Hedge] does. The zero value of each field is its default.
type HedgeOptions struct {
	// Share is how much of what is spent may be spent on second calls, above 0 and at most 1. Both are what may be billed,
	// counted over the last ten minutes or so. Default: 0.05.
	Share float64

	// Least is how long the first call is waited for at least, however quick the model is. Default: 100 ms.
	Least time.Duration
}

// NewHedge makes a hedge before next. opts may be nil; the error joins a *holysheep.RequestError for each thing that is
// wrong.
//
// A second call is made when the first has no first token (a plain answer: is not there) after the time that 95 % of the
// calls of its model took, of at least 20 in the last five minutes; and only while the share of recent spend that is for
// second calls has room for what this one may cost. It is sent once and not retried. Whichever shows something first is
// given, the other is cancelled before its text is seen, and is waited for. A call that fails is no reason for a second
// one; when one of two fails the other is given.
//
// A cancelled call may be billed in full: it is booked at that, and resp.Cost has both. What happened is a [HedgeReceipt].
func NewHedge(next holysheep.Completer, opts *HedgeOptions) (*Hedge, error) {
	h := &Hedge{next: next, recorder: holysheep.RecorderOf(next), prices: knownBeneath(next).prices}
	if opts != nil {
		h.opts = *opts
	}
	setDefaultTo(&h.opts.Share, 0.05)
	setDefaultTo(&h.opts.Least, 100*time.Millisecond)
	var errs []error
	if next == nil {
		errs = append(errs, &holysheep.RequestError{Field: "next", Reason: "nil"})
	}
	if s := h.opts.Share; !(s > 0 && s <= 1) { // written so that NaN fails it
		errs = append(errs, &holysheep.RequestError{Field: "HedgeOptions.Share", Reason: fmt.Sprintf("%v is not above 0 and at most 1", s)})
	}
	if d := h.opts.Least; d < 0 {
		errs = append(errs, &holysheep.RequestError{Field: "HedgeOptions.Least", Reason: fmt.Sprintf("%v is negative", d)})
	}
	if errs != nil {
		return nil, errors.Join(errs...)
	}
	h.purse.share = h.opts.Share
	return h, nil
}

func setDefaultTo[T comparable](field *T, usual T) {
	var zero T
	if *field == zero {
		*field = usual
	}
}

// Unwrap gives what the hedge is before.
func (h *Hedge) Unwrap() holysheep.Completer { return h.next }

// After gives how long the first call to a model is waited for now; 0 while too little is known of it, and nothing is
// asked twice.
func (h *Hedge) After(model string, stream bool) time.Duration {
	return h.after(h.times(model, stream))
}

func (h *Hedge) after(times *seenTimes) time.Duration {
	p95 := times.p95(time.Now())
	if p95 == 0 {
		return 0
	}
	return max(p95, h.opts.Least)
}

// times are those of a model: plain answers and streams have their own.
func (h *Hedge) times(model string, stream bool) *seenTimes {
	key := gateKey{"plain", model}
	if stream {
		key.host = "stream"
	}
	return h.seen.getOrMake(key, func(gateKey) *seenTimes { return new(seenTimes) }, func(*seenTimes) bool { return true })
}

var errHedgePanicked = errors.New("route: the loop over a stream or what is beneath panicked")

// close closes the row of the call, once.
func (h *Hedge) close(ctx context.Context, r *race, err error) {
	if r.ended {
		return
	}
	r.ended = true
	h.settle(r, nil)
	if r.started {
		r.call.Steps = []holysheep.Step{r.receipt.step()}
	}
	h.recorder.End(ctx, &r.call, err)
}

// finish gives the answer with what the hedge has to say. Both calls have ended.
func (h *Hedge) finish(r *race, l *leg, resp *holysheep.ChatResponse) *holysheep.ChatResponse {
	own := *resp // an observer may have the one of the client
	before := l.start.Sub(r.call.Start)
	own.FirstToken += before
	own.Latency += before
	h.settle(r, resp)
	if r.started {
		own.Cost = spentOn(&r.call, own.Cost)
		own.Steps = append(slices.Clone(own.Steps), r.receipt.step())
	}
	r.call.Response, r.call.Served, r.call.FirstToken = &own, own.Model, own.FirstToken
	return &own
}

// Chat gives the answer that is there first.
func (h *Hedge) Chat(ctx context.Context, req *holysheep.ChatRequest) (resp *holysheep.ChatResponse, err error) {
	if req == nil {
		return h.next.Chat(ctx, req)
	}
	r := h.newRace(req, false)
	ctx = h.recorder.Begin(ctx, &r.call)
	err = errHedgePanicked // unless we get there
	defer func() {
		r.abandon()
		h.close(ctx, r, err)
	}()
	var second *holysheep.ChatResponse
	first := r.begin(ctx, func(ctx context.Context) (err error) {
		if second, err = h.next.Chat(ctx, req); err == nil {
			r.win(&r.second)
		}
		return err
	})
	resp, failed := h.next.Chat(first, req)
	if failed == nil && r.win(&r.first) {
		r.stop()
		err = nil
		return h.finish(r, &r.first, resp), nil
	}
	r.fail(failed)
	<-r.over()
	if r.winner() == &r.second {
		err = nil
		return h.finish(r, &r.second, second), nil
	}
	err = failed
	return nil, err
}

// Stream gives the one whose first token is there first. Nothing happens before the range starts. See
// [holysheep.Client.Stream] for the rest.
func (h *Hedge) Stream(ctx context.Context, req *holysheep.ChatRequest) iter.Seq2[holysheep.StreamEvent, error] {
	var used atomic.Bool
	return func(yield func(holysheep.StreamEvent, error) bool) {
		switch {
		case used.Swap(true):
			yield(holysheep.StreamEvent{}, fmt.Errorf("route: %w", holysheep.ErrStreamUsed))
		case req == nil:
			h.next.Stream(ctx, req)(yield)
		default:
			h.stream(ctx, req, yield)
		}
	}
}

// streamed is an event or the error of a stream.
type streamed struct {
	ev  holysheep.StreamEvent
	err error
}

func (h *Hedge) stream(ctx context.Context, req *holysheep.ChatRequest, yield func(holysheep.StreamEvent, error) bool) {
	r := h.newRace(req, true)
	ctx = h.recorder.Begin(ctx, &r.call)
	err := errHedgePanicked // unless we get there
	defer func() {
		r.abandon()
		h.close(ctx, r, err)
	}()
	events := make(chan streamed)
	first := r.begin(ctx, func(ctx context.Context) error {
		for ev, failed := range h.next.Stream(ctx, req) {
			if failed != nil && r.winner() != &r.second {
				return failed
			}
			if !r.win(&r.second) {
				return errLost
			}
			select {
			case events <- streamed{ev, failed}:
			case <-r.gone:
				return errLost
			}
		}
		return nil
	})
	// show yields what the winner says, and reports whether there may be more. The last event has the figures of both.
	show := func(l *leg, ev holysheep.StreamEvent, failed error) bool {
		if ev.Response != nil || failed != nil {
			r.stop()
			if failed = withSpent(&r.call, failed); failed == nil {
				ev.Response = h.finish(r, l, ev.Response)
			}
			h.close(ctx, r, failed)
			_ = yield(ev, failed)
			return false
		}
		return yield(ev, nil)
	}
	var failed error
	for ev, e := range h.next.Stream(first, req) {
		if e != nil && r.winner() != &r.first {
			failed = e
			break
		}
		if !r.win(&r.first) || !show(&r.first, ev, e) {
			break
		}
	}
	if r.winner() == &r.first {
		err = nil // answered, or broken off by the reader, or failed in the middle, of which it has heard
		return
	}
	r.fail(failed)
	for over := false; !over; {
		select {
		case s := <-events:
			if !show(&r.second, s.ev, s.err) {
				err = nil // likewise
				return
			}
		case <-r.over():
			over = true
		}
	}
	if r.winner() == &r.second {
		failed = r.broken // it ended without a last event
	}
	if err = failed; err != nil {
		h.close(ctx, r, err)
		yield(holysheep.StreamEvent{}, err)
	}
}
