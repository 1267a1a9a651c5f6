package route

import (
	"context"
	"errors"
	"fmt"
	"sync"
	"time"

	"github.com/holysheep-ai/holysheep-go"
)

// race is one request, asked once or twice. The first call runs on the caller's goroutine, the second on one of its own
// that stop waits for.
type race struct {
	hedge   *Hedge
	call    holysheep.Call
	times   *seenTimes
	receipt *HedgeReceipt
	first   leg
	second  leg
	gone    chan struct{}
	ended   bool
	settled bool

	mu      sync.Mutex
	timer   *time.Timer
	closed  bool // no second call may start any more
	started bool
	left    bool // gone is closed
	held    holysheep.USD
	won     *leg
	broken  error         // what the second call ended with, also when it had won
	done    chan struct{} // closed when there is no second call any more
}

// leg is one of the two calls.
type leg struct {
	cancel context.CancelFunc
	start  time.Time
	took   time.Duration // until its first token, or until it failed
	err    error
}

// end writes down how a call ended that has not won. The race's lock is held.
func (l *leg) end(err error) {
	if l.took == 0 && !l.start.IsZero() {
		l.took, l.err = max(time.Since(l.start), 1), err
	}
}

var (
	errLost     = errors.New("route: the other call was first")
	errHedgeBug = errors.New("route: the second call panicked")
)

func (h *Hedge) newRace(req *holysheep.ChatRequest, stream bool) *race {
	return &race{
		hedge: h, times: h.times(req.Model, stream), gone: make(chan struct{}), done: make(chan struct{}),
		call: holysheep.Call{Operation: hedgeOperation, Model: req.Model, Stream: stream, Request: req},
	}
}

// begin starts the clock, and gives the context of the first call. abandon has to follow.
func (r *race) begin(ctx context.Context, second func(ctx context.Context) error) context.Context {
	first, cancel := context.WithCancel(ctx)
	r.first.start, r.first.cancel = time.Now(), cancel
	if after := r.hedge.after(r.times); after > 0 {
		r.receipt = &HedgeReceipt{After: after}
		r.mu.Lock() // it may fire at once
		defer r.mu.Unlock()
		r.timer = time.AfterFunc(after, func() { r.run(ctx, second) })
	}
	return first
}

// run asks a second time, if it may.
func (r *race) run(ctx context.Context, second func(ctx context.Context) error) {
	cost, priced := r.hedge.mayCost(r.call.Request)
	if !priced || ctx.Err() != nil || !r.hedge.purse.take(time.Now(), cost) {
		return
	}
	r.mu.Lock()
	if r.closed {
		r.mu.Unlock()
		r.hedge.purse.settle(time.Now(), cost, 0, 0)
		return
	}
	r.started, r.held = true, cost
	ctx, r.second.cancel = context.WithCancel(holysheep.LimitAttempts(ctx, 1))
	r.second.start = time.Now()
	r.mu.Unlock()
	err := errHedgeBug // unless we get there
	defer func() {
		if p := recover(); p != nil {
			err = fmt.Errorf("%w: %v", errHedgeBug, p)
		}
		r.mu.Lock()
		r.second.end(err)
		r.broken = err
		r.mu.Unlock()
		close(r.done)
	}()
	err = second(ctx)
}

// win says that a call has something to show, and reports whether it is the first to. The other one is cancelled.
func (r *race) win(l *leg) bool {
	r.mu.Lock()
	defer r.mu.Unlock()
	if r.won != nil {
		return r.won == l
	}
	r.won = l
	l.end(nil)
	if l == &r.second {
		r.first.end(errLost)
		r.first.cancel()
		return true
	}
	r.close()
	if r.started {
		r.second.end(errLost)
		r.second.cancel()
	}
	return true
}

// fail says that the first call has ended without anything to show.
func (r *race) fail(err error) {
	r.mu.Lock()
	defer r.mu.Unlock()
	r.first.end(err)
}

// close lets no second call start. The lock is held.
func (r *race) close() {
	if r.closed {
		return
	}
	r.closed = true
	if r.timer != nil {
		r.timer.Stop()
	}
	if !r.started {
		close(r.done)
	}
}

func (r *race) winner() *leg {
	r.mu.Lock()
	defer r.mu.Unlock()
	return r.won
}

// over is closed when there is no second call any more, and lets none start.
func (r *race) over() <-chan struct{} {
	r.mu.Lock()
	defer r.mu.Unlock()
	r.close()
	return r.done
}

// stop waits for the second call, which has been cancelled unless it has won. The first is left to end by itself: a client
// that has given the last event still reads the rest of its connection, to use it again.
func (r *race) stop() { <-r.over() }

// abandon ends both calls, and waits.
func (r *race) abandon() {
	r.mu.Lock()
	if !r.left {
		r.left = true
		close(r.gone)
	}
	r.close()
	if r.first.cancel != nil {
		r.first.cancel()
	}
	if r.started {
		r.second.cancel()
	}
	r.mu.Unlock()
	r.stop()
}

// settle takes in what a race that is over has cost, and how long its calls took. resp is the answer, nil without one.
func (h *Hedge) settle(r *race, resp *holysheep.ChatResponse) {
	if r.settled {
		return
	}
	r.settled = true
	now := time.Now()
	for _, l := range []*leg{&r.first, &r.second} {
		// One that was cancelled would have taken longer still.
		if l.took > 0 && (l.err == nil || isAny(l.err, errLost) || tellsOfSlowness(l.err)) {
			r.times.add(now, l.took)
		}
	}
	total, extra := r.call.Spent().AtMost, holysheep.USD(0)
	answer := holysheep.USD(0)
	if resp != nil {
		answer = resp.Cost.AtMost
	}
	if r.started {
		extra = r.held // as far as anybody knows
		if resp != nil && total >= answer {
			extra = total - answer
		}
		r.receipt.Extra, r.receipt.Won = extra, "neither"
		switch r.won {
		case &r.first:
			r.receipt.Won = "first"
		case &r.second:
			r.receipt.Won = "second"
		}
	}
	h.purse.settle(now, r.held, extra, max(total-extra, answer))
}
