package route

import (
	"math"
	"time"
)

// paceLimit finds out how many attempts a gateway can work on at a time. As TCP does, it starts low and doubles until the
// first trouble; then each full round adds one, and trouble takes a third away.
//
// When first bytes take more than twice as long as they usually do, a queue is growing over there, and it gives way before
// there is trouble. That may also be because answers have become longer, for which fewer at a time are no cure: latency
// alone takes no more than half of where it started, and what does not get better by that becomes the usual.
type paceLimit struct {
	limit, least, most float64
	calm               float64       // the least that latency alone lowers it to
	threshold          float64       // below it every answer adds one
	cut                time.Duration // when it was last lowered: once for all attempts under way

	short, usual float64 // seconds to the first byte: of late, and as a rule
	latency      float64 // seconds that an attempt takes, of late
	seen         int
	at           time.Duration // of the last sample
}

const (
	troubleFactor  = 0.7
	queueTolerance = 2.0      // times the usual
	shortWeight    = 1.0 / 32 // of one sample
	fallWeight     = 1.0 / 64 // of one sample, for the usual to become shorter
	riseTime       = 10 * time.Minute
	riseTimeCalm   = time.Minute // when giving way does not help
)

func newPaceLimit(least, first, most int) paceLimit {
	return paceLimit{
		limit: float64(first), least: float64(least), most: float64(most), threshold: float64(most),
		calm: max(float64(least), float64(first)/2),
	}
}

// answer takes in an attempt that was answered, while so many were under way.
func (l *paceLimit) answer(now, sent time.Duration, firstByte, latency float64, underWay int) {
	l.observe(now, firstByte, latency)
	if slow := l.short / max(l.usual, 1e-3); slow > queueTolerance {
		if l.limit > l.calm && sent >= l.cut {
			l.lower(now, max(queueTolerance/slow, 0.5, l.calm/l.limit))
		}
		return
	}
	if 2*float64(underWay) < l.limit {
		return // it is not what holds anybody up
	}
	if l.limit < l.threshold {
		l.limit++
	} else {
		l.limit += 1 / l.limit
	}
	l.limit = min(l.limit, l.most)
}

func (l *paceLimit) observe(now time.Duration, firstByte, latency float64) {
	l.seen++
	weight := max(shortWeight, 1/float64(l.seen)) // a plain mean to begin with
	l.short += (firstByte - l.short) * weight
	l.latency += (latency - l.latency) * weight
	switch {
	case weight > shortWeight:
		l.usual = l.short
	case l.short < l.usual:
		l.usual += (l.short - l.usual) * fallWeight
	default:
		rise := riseTime
		if l.limit <= l.calm {
			rise = riseTimeCalm
		}
		l.usual += (l.short - l.usual) * -math.Expm1(-float64(now-l.at)/float64(rise))
	}
	l.at = now
}

// trouble takes in an attempt that ended as those of an overloaded gateway do.
func (l *paceLimit) trouble(now, sent time.Duration) {
	if sent >= l.cut {
		l.lower(now, troubleFactor)
	}
}

func (l *paceLimit) lower(now time.Duration, factor float64) {
	l.limit = max(l.limit*factor, l.least)
	l.threshold = l.limit
	l.cut = now
}
