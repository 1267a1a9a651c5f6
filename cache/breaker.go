package cache

import (
	"errors"
	"math/rand/v2"
	"sync/atomic"
	"time"

	"github.com/sony/gobreaker/v2"
)

// breaker keeps callers from waiting for a store that is down.
type breaker struct {
	*gobreaker.TwoStepCircuitBreaker[struct{}]
	opened atomic.Int64 // when the store was given up, ns; 0 while it is asked
}

// errLeft is an operation whose caller did not wait for its end, or that no store could do. It says nothing about this
// one.
var errLeft = errors.New("cache: the caller left")

// A store is given up after failuresInARow, or when a fifth of at least fewest operations in the last window failed.
const (
	failuresInARow = 3
	fewest         = 20
	window         = 10 * time.Second
)

// newBreaker makes a breaker that lets a probe pass after a time that differs from process to process, at most
// 600 ms, so that a store that returns is in use again within a second.
func newBreaker() *breaker {
	b := &breaker{}
	b.TwoStepCircuitBreaker = gobreaker.NewTwoStepCircuitBreaker[struct{}](gobreaker.Settings{
		Interval: window, BucketPeriod: window / 10,
		Timeout: 250*time.Millisecond + rand.N(350*time.Millisecond),
		ReadyToTrip: func(c gobreaker.Counts) bool {
			return c.ConsecutiveFailures >= failuresInARow || c.Requests >= fewest && c.TotalFailures >= c.Requests/5
		},
		IsExcluded: func(err error) bool { return err == errLeft }, //nolint:errorlint // ours, bare
		OnStateChange: func(_ string, from, to gobreaker.State) {
			switch {
			case from == gobreaker.StateClosed:
				b.opened.Store(time.Now().UnixNano())
			case to == gobreaker.StateClosed:
				b.opened.Store(0)
			}
		},
	})
	return b
}
