package route

import (
	"sync"
	"time"

	"github.com/holysheep-ai/holysheep-go"
	"github.com/holysheep-ai/holysheep-go/internal/chance"
)

// circuit is the breaker of one model on one host. Times are since the breaker was made.
type circuit struct {
	breaker *Breaker
	key     gateKey

	mu     sync.Mutex
	state  BreakerState
	forced forcing
	since  time.Duration // when it got into its state: what was sent before says nothing about it
	until  time.Duration // when an open one probes
	window callWindow
	well   int // probes that went well

	// probes are those under way and when each was let through. A place in it is lent: see probeLease.
	probes map[*holysheep.Attempt]time.Duration
}

// probeLease is how long a probe keeps its place. A stream may take longer, and an attempt that a gate or a ledger has
// lost by a panic would keep it for ever: the next one takes the place then.
const probeLease = time.Minute

type forcing uint8

const (
	notForced forcing = iota
	forcedOpen
	forcedClosed
)

// circuitChange is a change of state, to be told without the lock.
type circuitChange struct {
	before BreakerState
	now    BreakerStatus
}

// refusal says why nothing goes through now, nil if something may. The lock is held, here and below.
func (c *circuit) refusal(now time.Duration) error {
	switch {
	case c.forced == forcedClosed:
		return nil
	case c.forced == forcedOpen:
		return &OpenError{Model: c.key.model, Host: c.key.host, Forced: true}
	case c.state == BreakerOpen && now < c.until:
		return c.openUntil(c.until)
	case c.state == BreakerHalfOpen && c.free(now) == 0:
		return c.openUntil(now + c.breaker.opts.OpenFor)
	}
	return nil
}

func (c *circuit) openUntil(until time.Duration) error {
	return &OpenError{Model: c.key.model, Host: c.key.host, Until: c.breaker.born.Add(until)}
}

// free is how many probes may still be sent.
func (c *circuit) free(now time.Duration) int {
	for at, sent := range c.probes {
		if now-sent >= probeLease {
			delete(c.probes, at)
		}
	}
	return c.breaker.opts.Probes - c.well - len(c.probes)
}

// admit lets an attempt through, as a probe if it is one, or refuses it.
func (c *circuit) admit(now time.Duration, at *holysheep.Attempt) (change *circuitChange, err error) {
	if err := c.refusal(now); err != nil {
		return nil, err
	}
	if c.forced == notForced && c.state == BreakerOpen {
		change = c.become(BreakerHalfOpen, now)
	}
	if c.forced == notForced && c.state == BreakerHalfOpen {
		c.probes[at] = now
	}
	return change, nil
}

// settle takes in how an attempt ended.
func (c *circuit) settle(now time.Duration, at *holysheep.Attempt, outcome attemptOutcome) *circuitChange {
	_, probe := c.probes[at]
	delete(c.probes, at)
	if outcome == saysNothing || probe && c.forced != notForced {
		return nil
	}
	if probe {
		if outcome != wentWell {
			return c.become(BreakerOpen, now)
		}
		if c.well++; c.well >= c.breaker.opts.Probes {
			return c.become(BreakerClosed, now)
		}
		return nil
	}
	if c.state != BreakerClosed || at.Start.Sub(c.breaker.born) < c.since {
		return nil // sent in an earlier state
	}
	counts := callCounts{calls: 1}
	switch outcome {
	case failed:
		counts.failures = 1
	case wentSlow:
		counts.slow = 1
	}
	c.window.count(now, counts)
	o, sum := &c.breaker.opts, c.window.sum
	if c.forced != notForced || outcome == wentWell || sum.calls < o.MinCalls {
		return nil
	}
	if calls := float64(sum.calls); float64(sum.failures) >= calls*o.FailureRate || float64(sum.slow) >= calls*o.SlowRate {
		return c.become(BreakerOpen, now)
	}
	return nil
}

// become changes the state.
func (c *circuit) become(state BreakerState, now time.Duration) *circuitChange {
	before := c.state
	c.state, c.since, c.well, c.probes = state, now, 0, nil
	switch state {
	case BreakerOpen:
		open := c.breaker.opts.OpenFor
		c.until = now + open
		if longest := time.Duration(float64(open) * *c.breaker.opts.Jitter); longest > 0 {
			c.until += chance.N(longest)
		}
	case BreakerHalfOpen:
		c.probes = make(map[*holysheep.Attempt]time.Duration, min(c.breaker.opts.Probes, 8))
	case BreakerClosed:
		c.window.clear(now)
	}
	return &circuitChange{before, c.status(now)}
}

// force overrules the state, or ends that.
func (c *circuit) force(now time.Duration, to forcing) *circuitChange {
	before := c.status(now)
	c.forced = to
	if to == notForced {
		c.become(BreakerClosed, now)
	}
	after := c.status(now)
	if before.State == after.State && before.Forced == after.Forced {
		return nil
	}
	return &circuitChange{before.State, after}
}

func (c *circuit) status(now time.Duration) BreakerStatus {
	c.window.forget(now)
	s := BreakerStatus{
		Model: c.key.model, Host: c.key.host, State: c.state, Forced: c.forced != notForced,
		Calls: c.window.sum.calls, Failures: c.window.sum.failures, Slow: c.window.sum.slow,
	}
	switch {
	case c.forced == forcedOpen:
		s.State = BreakerOpen
	case c.forced == forcedClosed:
		s.State = BreakerClosed
	case c.state == BreakerOpen && now >= c.until:
		s.State = BreakerHalfOpen
	case c.state == BreakerOpen:
		s.Until = c.breaker.born.Add(c.until)
	}
	return s
}
