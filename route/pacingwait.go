package route

import (
	"context"
	"errors"
	"time"

	"github.com/holysheep-ai/holysheep-go"
)

// queueUp waits in the queue for the turn of an attempt, or says why there will be none. The lock is held when it is
// called and when it returns, and not in between.
func (l *paceLane) queueUp(ctx context.Context, now time.Duration, at *holysheep.Attempt, tokens float64) error {
	priority := PriorityOf(ctx)
	estimate := l.estimate(now, priority, tokens)
	refusal := &WaitError{Model: l.key.model, Host: l.key.host, Priority: priority, Retry: l.pacing.born.Add(now + estimate)}
	patience := l.pacing.opts.MaxWait
	if deadline, ok := ctx.Deadline(); ok {
		patience = min(patience, time.Until(deadline))
	}
	if estimate > patience {
		return refusal
	}
	if l.queue.length >= l.pacing.opts.MaxQueue {
		lower := l.queue.lowest(priority)
		if lower == nil {
			refusal.Full = true
			return refusal
		}
		l.queue.remove(lower)
		lower.dropped = true
		close(lower.ready)
	}
	w := &turnWaiter{priority: priority, attempt: at, tokens: tokens, ready: make(chan struct{})}
	l.queue.push(w, holysheep.ScopeOf(ctx).Tag(l.pacing.opts.TenantTag))
	l.dispatch(now) // it may be alone, and wait for a time
	l.mu.Unlock()
	late := time.NewTimer(l.pacing.opts.MaxWait)
	defer late.Stop()
	select {
	case <-w.ready:
	case <-ctx.Done():
	case <-late.C:
	}
	l.mu.Lock()
	end := l.pacing.now()
	refusal.Waited = end - now
	switch {
	case ctx.Err() != nil:
	case w.granted:
		return nil
	case w.dropped:
		refusal.Full = true
	}
	switch {
	case w.granted:
		l.unsend(at)
	case !w.dropped:
		l.queue.remove(w)
	}
	l.dispatch(end)
	refusal.Retry = l.pacing.born.Add(end + l.estimate(end, priority, tokens))
	if ctx.Err() == nil {
		return refusal
	}
	err := waitEnded(ctx)
	if !errors.Is(err, context.DeadlineExceeded) {
		return err
	}
	refusal.Err = err
	return refusal
}

// retire lets an idle lane go.
func (l *paceLane) retire() bool {
	l.mu.Lock()
	defer l.mu.Unlock()
	l.gone = len(l.flights) == 0 && l.queue.length == 0
	return l.gone
}

// expect estimates the tokens that a call will use; 0 where nobody asks for them.
func (l *paceLane) expect(call *holysheep.Call) float64 {
	if l.tokens.rate == 0 {
		return 0
	}
	if call == nil || call.Request == nil {
		return l.size // embeddings
	}
	answer := l.answer
	if most := call.Request.MaxTokens; most != nil {
		if answer == 0 {
			answer = unknownAnswer
		}
		answer = min(answer, float64(*most))
	}
	return float64(call.Request.EstimateTokens()) + answer
}

// unknownAnswer is the tokens of an answer before the first one.
const unknownAnswer = 500
