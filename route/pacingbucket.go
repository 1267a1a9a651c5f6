package route

import (
	"math"
	"time"
)

// paceBucket is a token bucket. Times are since its pacing was made.
type paceBucket struct {
	rate  float64 // permits a second; 0: no limit
	burst float64 // the most it holds
	level float64
	at    time.Duration
}

// set changes the rate; a bucket that had none is full.
func (b *paceBucket) set(now time.Duration, rate, burst float64) {
	b.fill(now)
	if b.rate == 0 {
		b.level = burst
	}
	b.rate, b.burst = rate, burst
	b.level = min(b.level, burst)
}

func (b *paceBucket) fill(now time.Duration) {
	if b.rate > 0 && now > b.at {
		b.level = min(b.level+b.rate*(now-b.at).Seconds(), b.burst)
	}
	b.at = max(b.at, now)
}

// wait is how long until n permits may be taken. More than the burst is lent by a full bucket.
func (b *paceBucket) wait(now time.Duration, n float64) time.Duration {
	if b.rate == 0 {
		return 0
	}
	b.fill(now)
	missing := min(n, b.burst) - b.level
	if missing <= 1e-9 { // what rounding leaves
		return 0
	}
	return time.Duration(math.Ceil(min(missing/b.rate, 1e9) * float64(time.Second)))
}

// take takes n permits, or with a negative n gives them back.
func (b *paceBucket) take(n float64) {
	if b.rate > 0 {
		b.level = min(b.level-n, b.burst)
	}
}

// paceMeter measures events a second over about its last second.
type paceMeter struct {
	rate    float64
	at      time.Duration
	started time.Duration
	any     bool
}

func (m *paceMeter) count(now time.Duration) {
	if !m.any {
		m.any, m.started, m.at = true, now, now
	}
	m.decay(now)
	m.rate++
}

func (m *paceMeter) decay(now time.Duration) {
	if now > m.at {
		m.rate *= math.Exp(-(now - m.at).Seconds())
		m.at = now
	}
}

// perSecond is the measured rate.
func (m *paceMeter) perSecond(now time.Duration) float64 {
	if !m.any {
		return 0
	}
	m.decay(now)
	// Of a second that has only begun a part is known.
	return m.rate / max(1-math.Exp(-(now-m.started).Seconds()), 0.1)
}
