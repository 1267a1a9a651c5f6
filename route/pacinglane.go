package route

import (
	"sync"
	"time"

	"github.com/holysheep-ai/holysheep-go"
)

// paceLane is the pacing of one model on one host. Times are since the pacing was made.
type paceLane struct {
	pacing *Pacing
	key    gateKey

	mu       sync.Mutex
	gone     bool // no longer in the table
	rate     paceRate
	limit    paceLimit
	requests paceBucket
	tokens   paceBucket
	held     time.Duration // nothing is sent before
	queue    turnQueue
	flights  map[*holysheep.Attempt]paceFlight
	timer    *time.Timer // set while somebody waits for a time
	size     float64     // tokens that an attempt uses, of late; 0: not known
	answer   float64     // likewise, those of its answer
}

// paceFlight is an attempt under way.
type paceFlight struct {
	tokens float64 // taken for it
}

func newPaceLane(p *Pacing, key gateKey) *paceLane {
	o := &p.opts
	l := &paceLane{
		pacing: p, key: key, flights: map[*holysheep.Attempt]paceFlight{},
		limit: newPaceLimit(o.MinConcurrency, o.StartConcurrency, o.MaxConcurrency),
		rate:  paceRate{ceiling: float64(o.RequestsPerMinute) / 60},
	}
	l.applyRate(0)
	if o.TokensPerMinute > 0 {
		perSecond := float64(o.TokensPerMinute) / 60
		l.tokens.set(0, perSecond, perSecond*o.Burst.Seconds())
	}
	return l
}

// applyRate lets the bucket follow the rate. The lock is held, here and below.
func (l *paceLane) applyRate(now time.Duration) {
	limit := l.rate.limit()
	if limit == 0 {
		return
	}
	burst := l.pacing.opts.Burst
	if l.rate.rate > 0 && l.rate.rate < limit*1.01 {
		burst = min(burst, learnedBurst) // how much the gateway takes at once is not known
	}
	l.requests.set(now, limit, max(1, limit*burst.Seconds()))
}

// learnedBurst is how much of a rate that was found out may leave at once.
const learnedBurst = 50 * time.Millisecond

// wait is how long until an attempt may be sent as far as times go; ok is false while too many are under way, which no
// time ends.
func (l *paceLane) wait(now time.Duration, tokens float64) (d time.Duration, ok bool) {
	if float64(len(l.flights)+1) > l.limit.limit {
		return 0, false
	}
	d = max(l.held-now, 0, l.tokens.wait(now, tokens))
	if byRate := l.requests.wait(now, 1); byRate > 0 {
		l.rate.pressed = true
		d = max(d, byRate)
	}
	return d, true
}

// estimate is how long a new waiter of a priority has to wait, about; of what is not known yet it is none.
func (l *paceLane) estimate(now time.Duration, p Priority, tokens float64) time.Duration {
	turns := l.queue.ahead(p) + 1
	seconds := 0.0
	if perSecond := l.requests.rate; perSecond > 0 {
		l.requests.fill(now)
		seconds = max(seconds, (turns-l.requests.level)/perSecond)
	}
	if perSecond := l.tokens.rate; perSecond > 0 {
		l.tokens.fill(now)
		seconds = max(seconds, (min(turns*tokens, turns*l.tokens.burst)-l.tokens.level)/perSecond)
	}
	if free := l.limit.limit - float64(len(l.flights)); turns > free {
		seconds = max(seconds, (turns-max(free, 0))*l.limit.latency/l.limit.limit)
	}
	return max(l.held-now, 0) + time.Duration(min(seconds, 1e9)*float64(time.Second))
}

// send takes the turn for an attempt.
func (l *paceLane) send(now time.Duration, at *holysheep.Attempt, tokens float64) {
	l.requests.take(1)
	l.tokens.take(tokens)
	l.rate.sends.count(now)
	l.flights[at] = paceFlight{tokens}
}

// unsend gives a turn back that nobody used.
func (l *paceLane) unsend(at *holysheep.Attempt) {
	f, ok := l.flights[at]
	if !ok {
		return
	}
	delete(l.flights, at)
	l.requests.take(-1)
	l.tokens.take(-f.tokens)
}

// dispatch lets go whoever may, and sets the timer for the next.
func (l *paceLane) dispatch(now time.Duration) {
	for {
		w := l.queue.peek()
		if w == nil {
			l.stopTimer()
			return
		}
		d, ok := l.wait(now, w.tokens)
		switch {
		case !ok:
			l.stopTimer() // the next attempt that ends comes here
			return
		case d > 0:
			l.startTimer(d)
			return
		}
		l.queue.pop(w)
		l.send(now, w.attempt, w.tokens)
		w.granted = true
		close(w.ready)
	}
}

func (l *paceLane) startTimer(d time.Duration) {
	if l.timer == nil {
		l.timer = time.AfterFunc(d, l.wake)
		return
	}
	l.timer.Reset(d)
}

func (l *paceLane) stopTimer() {
	if l.timer != nil {
		l.timer.Stop()
	}
}

func (l *paceLane) wake() {
	l.mu.Lock()
	defer l.mu.Unlock()
	l.dispatch(l.pacing.now())
}

// settle takes in how an attempt ended, lets go whoever may be sent now, and gives what it took and did not use.
func (l *paceLane) settle(now time.Duration, at *holysheep.Attempt) (spare paceSpare) {
	f, ok := l.flights[at]
	if !ok {
		return spare
	}
	if !wasSent(at) {
		l.unsend(at)
		l.dispatch(now)
		return paceSpare{1, f.tokens}
	}
	delete(l.flights, at)
	spare.tokens = l.learn(now, at, f.tokens)
	l.tokens.take(-spare.tokens)
	l.dispatch(now)
	return spare
}

// learn takes in an attempt that was sent, and gives how many of the tokens taken for it were not used.
func (l *paceLane) learn(now time.Duration, at *holysheep.Attempt, taken float64) (spare float64) {
	sent := at.Start.Sub(l.pacing.born)
	switch {
	case at.Status/100 == 2 && !isTrouble(at):
		l.rate.accept(now)
		l.limit.answer(now, sent, at.FirstByte.Seconds(), at.Latency.Seconds(), len(l.flights)+1)
		if used := float64(at.Usage.Total()); used > 0 {
			spare = taken - used
			l.size = mean(l.size, used)
			l.answer = mean(l.answer, float64(at.Usage.CompletionTokens))
		}
	case isRateLimited(at): // and no spent quota, which does not come back by slower sending
		spare = taken
		l.hold(now, l.rate.refuse(now, sent, retryAfterOf(at)))
	case isTrouble(at):
		l.limit.trouble(now, sent)
		l.hold(now, l.rate.heed(retryAfterOf(at)))
	default:
		spare = taken
	}
	l.applyRate(now)
	l.readHints(now, at)
	if l.tokens.rate == 0 {
		spare = 0
	}
	return spare
}

func mean(before, sample float64) float64 {
	if before == 0 {
		return sample
	}
	return before + (sample-before)/16
}

// readHints takes in what the answer says about the gateway's limits.
func (l *paceLane) readHints(now time.Duration, at *holysheep.Attempt) {
	if at.Header == nil {
		return
	}
	if h, ok := readHint(at.Header, requestHints, time.Now()); ok {
		l.hold(now, min(h.untilFree(1), longestHold))
	}
	if h, ok := readHint(at.Header, tokenHints, time.Now()); ok {
		need := max(l.size, 1)
		if h.limit > 0 {
			need = min(need, h.limit)
		}
		l.hold(now, min(h.untilFree(need), longestHold))
	}
}

// hold lets nothing be sent for d.
func (l *paceLane) hold(now, d time.Duration) {
	if d > 0 {
		l.held = max(l.held, now+d)
	}
}
