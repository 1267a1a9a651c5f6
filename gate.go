package holysheep

import "context"

// A Gate is asked before each attempt and told how it ended: breakers and pacing are gates, because they have to
// see every attempt and every hint. Both methods are called concurrently for concurrent calls.
type Gate interface {
	// Before may wait for its turn, or end the call with an error: nothing is sent then, and After is not called.
	// Money is reserved after it returns.
	Before(ctx context.Context, call *Call, at *Attempt) error

	// After is told of the finished attempt: status, headers, times, and the error it ended with. The Start of one that
	// was never sent, because a budget refused it, is zero.
	After(ctx context.Context, call *Call, at *Attempt)
}

// LimitAttempts limits how often one call beneath ctx is sent, below what Options allow: a fallback that has
// another target moves on instead of waiting here. A limit under one is taken as one.
func LimitAttempts(ctx context.Context, n int) context.Context {
	n = max(n, 1)
	if outer := attemptLimit(ctx); outer > 0 {
		n = min(n, outer)
	}
	return context.WithValue(ctx, attemptsKey{}, n)
}

type attemptsKey struct{}

// attemptLimit is 0 where ctx sets no limit.
func attemptLimit(ctx context.Context) int {
	n, _ := ctx.Value(attemptsKey{}).(int)
	return n
}
