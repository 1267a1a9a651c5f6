package cache

import (
	"context"
	"errors"
	"fmt"
	"math"
	"sync"
	"sync/atomic"
	"time"

	"github.com/holysheep-ai/holysheep-go"
)

// flight is one call to what is beneath, for everybody who asks the same while it is under way. It runs on a goroutine
// of its own until it is there or nobody waits for it any more.
type flight struct {
	cache  *ExactCache
	shard  *flightShard
	id     flightID
	asked  *asked // with a request of its own
	opener *holysheep.Scope
	cancel context.CancelCauseFunc

	text transcript // what a stream has brought

	settled chan struct{} // closed when the call has ended, settled and booked
	done    chan struct{} // closed when its answer is stored as well

	// Written before settled is closed.
	resp   *holysheep.ChatResponse
	err    error
	worth  holysheep.USD // what a call like this costs
	reason string        // why the answer is not kept

	// Under the lock of the shard.
	waiting int  // how many wait for it
	void    bool // evicted while it was under way: its answer is not kept
	keeping bool // its answer is being stored
}

type flightID struct {
	sum     [32]byte
	refresh bool // one who wants a fresh answer has nothing of those who do not
}

// Callers of different keys rarely meet in one lock.
const flightShards = 64

type flightShard struct {
	mu      sync.Mutex
	flights map[flightID]*flight
	ended   atomic.Uint64 // flights that have landed
}

func (c *ExactCache) shard(a *asked) *flightShard { return &c.flights[a.sum[0]%flightShards] }

// enter joins the flight that is under way, or else starts f, if there is one.
func (s *flightShard) enter(id flightID, f *flight) (joined *flight) {
	s.mu.Lock()
	defer s.mu.Unlock()
	if joined = s.flights[id]; joined != nil {
		joined.waiting++
		return joined
	}
	if f != nil {
		if s.flights == nil {
			s.flights = map[flightID]*flight{}
		}
		s.flights[id] = f
		f.waiting = 1
	}
	return nil
}

func (s *flightShard) has(id flightID) bool {
	s.mu.Lock()
	defer s.mu.Unlock()
	return s.flights[id] != nil
}

// board gives a place in the flight that answers a, opening it if there is none. ended is how many had landed before
// the store was asked: when one of those since was for the same, its answer is in the store by now.
func (c *ExactCache) board(ctx context.Context, a *asked, call *holysheep.Call, ended uint64) *passenger {
	s, id := c.shard(a), flightID{a.sum, a.refresh}
	if f := s.enter(id, nil); f != nil {
		return &passenger{flight: f, call: call, guest: true}
	}
	flying, f := c.newFlight(ctx, a)
	call.Request = f.asked.req // the caller's may change when he has left
	if other := s.enter(id, f); other != nil {
		f.cancel(nil)
		return &passenger{flight: other, call: call, guest: true}
	}
	again := s.ended.Load() != ended && !a.refresh
	c.running.Go(func() { f.run(flying, call, again) })
	return &passenger{flight: f, call: call}
}

// renew fetches a new answer in the background, unless somebody is at it.
func (c *ExactCache) renew(ctx context.Context, a *asked) {
	s, id := c.shard(a), flightID{a.sum, true}
	if s.has(id) || s.has(flightID{sum: a.sum}) {
		return
	}
	anew := *a
	anew.refresh, anew.stream = true, false
	flying, f := c.newFlight(Refresh(ctx), &anew)
	if other := s.enter(id, f); other != nil {
		f.cancel(nil)
		other.leave(nil)
		return
	}
	c.running.Go(func() { // it waits for itself, and does not leave
		call := &holysheep.Call{Operation: operation, Model: a.resolved.Model, Request: f.asked.req}
		f.run(c.recorder.Begin(flying, call), call, false)
	})
}

var errAnswerTimeout = fmt.Errorf("ExactOptions.AnswerTimeout: %w", holysheep.ErrTimeout)

// newFlight makes a flight and its context, which has the values of ctx and an end of its own.
func (c *ExactCache) newFlight(ctx context.Context, a *asked) (context.Context, *flight) {
	own := *a
	own.req = copyRequest(a.req)
	f := &flight{
		cache: c, shard: c.shard(a), id: flightID{a.sum, a.refresh}, asked: &own, opener: holysheep.ScopeOf(ctx),
		settled: make(chan struct{}), done: make(chan struct{}), text: transcript{limit: c.opts.MaxAnswerBytes},
	}
	ctx, f.cancel = context.WithCancelCause(context.WithoutCancel(ctx))
	return ctx, f
}

// run is the whole flight. Whatever panics beneath is an error for those who wait, because nobody could recover it here.
func (f *flight) run(ctx context.Context, call *holysheep.Call, look bool) {
	defer f.land()
	ctx, stop := context.WithTimeoutCause(ctx, f.cache.opts.AnswerTimeout, errAnswerTimeout)
	defer stop()
	f.settle(ctx, call, look)
	f.keep(context.WithoutCancel(ctx)) // what was paid for is kept although the last one leaves now
}

// land ends the flight. From here on the store has its answer.
func (f *flight) land() {
	f.cancel(nil)
	s := f.shard
	s.mu.Lock()
	if s.flights[f.id] == f {
		delete(s.flights, f.id)
	}
	s.ended.Add(1)
	s.mu.Unlock()
	close(f.done)
}

var errExited = errors.New("cache: what is beneath ended its goroutine")

func guarded(do func() error) (err error) {
	defer func() {
		if p := recover(); p != nil {
			err = fmt.Errorf("cache: what is beneath panicked: %v", p)
		}
	}()
	return do()
}

// settle brings the answer or the error, and reports it.
func (f *flight) settle(ctx context.Context, call *holysheep.Call, look bool) {
	f.err = errExited // unless we get there
	defer close(f.settled)
	err := guarded(func() error { return f.fetch(ctx, call, look) })
	reported := guarded(func() error { f.cache.recorder.End(ctx, call, err); return nil })
	if err == nil {
		err = reported
	}
	f.err = err
}

func (f *flight) fetch(ctx context.Context, call *holysheep.Call, look bool) error {
	if look {
		if e, ok := f.cache.look(ctx, f.asked, time.Now()); ok && !e.stale {
			f.worth = e.resp.Cost.USD
			f.resp = e.serve(f.asked, call)
			return nil
		}
	}
	step := holysheep.Step{Kind: "cache", Reason: "not there"}
	if f.asked.refresh {
		step.Reason = "refreshed"
	}
	resp, err := f.send(ctx, call)
	if err == nil {
		f.resp, f.worth = resp, resp.Cost.USD
		if f.reason = f.cache.unfit(f.asked, resp); f.reason != "" {
			step.Reason += ", and not kept: " + f.reason
		}
		call.Response, call.Served = resp, resp.Model
		if call.FirstToken == 0 {
			call.FirstToken = resp.FirstToken
		}
	}
	call.Steps = append(call.Steps, step)
	return err
}

// send asks what is beneath.
func (f *flight) send(ctx context.Context, call *holysheep.Call) (resp *holysheep.ChatResponse, err error) {
	next, req := f.cache.next, f.asked.req
	if !f.asked.stream {
		resp, err = next.Chat(ctx, req)
		if err == nil && resp == nil {
			err = fmt.Errorf("cache: %w: what is beneath gave neither answer nor error", holysheep.ErrEmpty)
		}
		return resp, err
	}
	for ev, err := range next.Stream(ctx, req) {
		if err != nil {
			return nil, err
		}
		if ev.Response != nil {
			resp = ev.Response
		}
		if call.FirstToken == 0 && ev.Response == nil {
			call.FirstToken = time.Since(call.Start)
		}
		if !f.text.add(&ev) {
			return nil, fmt.Errorf("cache: %w: the answer is over the %d bytes of ExactOptions.MaxAnswerBytes", holysheep.ErrTooLarge, f.text.limit)
		}
	}
	if resp == nil {
		return nil, fmt.Errorf("cache: %w: the stream ended without a response", holysheep.ErrTruncated)
	}
	return resp, nil
}

// keep stores the answer, unless it is not whole or has been evicted on the way.
func (f *flight) keep(ctx context.Context) {
	if f.err != nil || f.reason != "" || f.resp.Cached {
		return
	}
	f.shard.mu.Lock()
	f.keeping = !f.void
	f.shard.mu.Unlock()
	if !f.keeping {
		return
	}
	shelf := f.cache.shelf
	err := guarded(func() error {
		raw, err := f.asked.encode(f.resp)
		if err == nil {
			ttl := f.asked.ttl + min(f.cache.opts.Stale, math.MaxInt64-f.asked.ttl)
			shelf.set(ctx, f.asked.key, raw, ttl)
		}
		return err
	})
	shelf.failed(ctx, "set", err, "")
}

// leave takes one away who waited. The last one cancels the flight and waits until it is settled, so that what it cost
// is booked. It reports whether the flight is settled.
func (f *flight) leave(cause error) bool {
	s := f.shard
	s.mu.Lock()
	f.waiting--
	last := f.waiting == 0
	if last && !f.isSettled() && s.flights[f.id] == f {
		delete(s.flights, f.id) // nobody may board it any more
	}
	s.mu.Unlock()
	if last {
		f.cancel(cause)
		<-f.settled
	}
	return f.isSettled()
}

func (f *flight) isSettled() bool {
	select {
	case <-f.settled:
		return true
	default:
		return false
	}
}

// void takes the flights that match off the board: their callers get the answer, which is not kept, and newcomers ask
// again. It waits for answers that are being stored.
func (s *flightShard) void(ctx context.Context, match func(*flight) bool) error {
	var late []*flight
	s.mu.Lock()
	for id, f := range s.flights {
		if match(f) {
			f.void = true
			delete(s.flights, id)
			if f.keeping {
				late = append(late, f)
			}
		}
	}
	s.mu.Unlock()
	for _, f := range late {
		select {
		case <-f.done:
		case <-ctx.Done():
			return &holysheep.TransportError{Phase: holysheep.PhaseWait, Err: why(ctx)}
		}
	}
	return nil
}
