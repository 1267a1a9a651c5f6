package route

import "time"

// windowBuckets is how finely a window forgets: a tenth of it at a time.
const windowBuckets = 10

// callWindow counts the calls of the last while, in buckets of equal time.
type callWindow struct {
	width   time.Duration // of a bucket
	buckets [windowBuckets]callCounts
	number  int64      // of the bucket that is filled now
	sum     callCounts // of all buckets
}

type callCounts struct{ calls, failures, slow int }

func (c *callCounts) add(d callCounts, sign int) {
	c.calls += sign * d.calls
	c.failures += sign * d.failures
	c.slow += sign * d.slow
}

// forget lets go of what has become too old by now, which is a time since some fixed moment.
func (w *callWindow) forget(now time.Duration) {
	number := int64(now / w.width)
	if number-w.number >= windowBuckets {
		w.clear(now)
		return
	}
	for w.number < number {
		w.number++
		old := &w.buckets[w.number%windowBuckets]
		w.sum.add(*old, -1)
		*old = callCounts{}
	}
}

func (w *callWindow) clear(now time.Duration) {
	*w = callWindow{width: w.width, number: int64(now / w.width)}
}

// count adds a call.
func (w *callWindow) count(now time.Duration, c callCounts) {
	w.forget(now)
	w.buckets[w.number%windowBuckets].add(c, 1)
	w.sum.add(c, 1)
}
