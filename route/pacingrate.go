package route

import (
	"math"
	"time"
)

// paceRate finds out how many requests a second a gateway takes. It sets no limit before the first refusal.
//
// A refusal cuts the rate, once for all attempts that were under way. Then it comes back within a second or two to nearly
// where it was, and goes on slowly from there. Whoever sends more is refused more often and grows no faster, so that
// processes that know nothing of each other come to equal shares.
//
// The factors are measured, 4 processes on a bucket of 100 a second (TestPacingFleet): all of it is used and 1.3 % is
// refused. Shares even out by being refused, so half of the refusals would take twice as long.
type paceRate struct {
	ceiling  float64       // by configuration; 0: none
	rate     float64       // found out; 0: not yet
	before   float64       // what it comes back to after the last cut
	cut      time.Duration // when that was
	grown    time.Duration // when it last grew
	pressed  bool          // somebody has waited for the rate since then
	refused  float64       // the share of refusals among the last ten answers or so
	sends    paceMeter
	accepted paceMeter
}

const (
	cutFactor   = 0.85
	keepFactor  = 0.9             // what it comes back to
	returnTime  = time.Second     // the time constant of coming back
	probeGrowth = 0.45            // each second, times the fourth root of the rate: the rate of others is not known
	mostGrowth  = 0.05            // each second, of the rate
	calmTime    = 8 * time.Second // without a refusal, after which it grows twice as fast; thirty seconds: fifteen times
	slowestRate = 0.1             // a second
	refusalStep = 0.2             // the weight of one answer in the share of refusals
	longHint    = 2 * time.Second
	longestHold = time.Minute // how long nothing is sent at most, whatever a gateway asks for
)

// limit is the rate to keep to; 0 for none.
func (r *paceRate) limit() float64 {
	switch {
	case r.rate == 0:
		return r.ceiling
	case r.ceiling == 0:
		return r.rate
	}
	return min(r.rate, r.ceiling)
}

// accept takes in an attempt that was not refused.
func (r *paceRate) accept(now time.Duration) {
	r.accepted.count(now)
	r.refused -= r.refused * refusalStep
	if r.rate == 0 || !r.pressed {
		r.grown = now
		return
	}
	dt := min(now-r.grown, time.Second).Seconds()
	r.grown, r.pressed = now, false
	if r.rate < r.before {
		r.rate += (r.before - r.rate) * (1 - math.Exp(-dt/returnTime.Seconds()))
	}
	calm := (now - r.cut).Seconds() / calmTime.Seconds()
	r.rate += min(math.Sqrt(math.Sqrt(r.rate))*probeGrowth, r.rate*mostGrowth) * (1 + calm*calm) * dt
	if r.ceiling > 0 {
		r.rate = min(r.rate, r.ceiling)
	}
}

// heed takes in an answer that asks to come back later, and gives how long nothing is to be sent. One among many that
// are served is that attempt's own affair.
func (r *paceRate) heed(hint time.Duration) (hold time.Duration) {
	r.refused += (1 - r.refused) * refusalStep
	if r.refused > 0.5 {
		hold = min(hint, longestHold)
	}
	return hold
}

// refuse takes in a 429 for an attempt sent at a time, with the gateway's hint, and gives how long nothing is to be sent.
func (r *paceRate) refuse(now, sent, hint time.Duration) (hold time.Duration) {
	hold = r.heed(hint)
	if hint > longHint {
		// A limit that is closed until then. One that fills steadily asks for less, and needs a lower rate alone.
		hold = min(hint, longestHold)
	}
	if r.rate > 0 && sent < r.cut {
		return hold
	}
	// What is accepted comes back later than what is refused: it may say too little, and is not believed by more than half.
	measured := r.accepted.perSecond(now)
	if r.rate == 0 {
		r.rate = max(measured, r.sends.perSecond(now)/2)
	} else {
		r.rate = min(r.rate, max(1.5*measured, r.rate/2))
	}
	if r.ceiling > 0 {
		r.rate = min(r.rate, r.ceiling)
	}
	r.before = r.rate * keepFactor
	r.rate = max(r.rate*cutFactor, slowestRate)
	r.cut, r.grown, r.pressed = now, now, false
	return hold
}
