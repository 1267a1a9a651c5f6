package holysheep

import (
	"errors"
	"time"
)

// The phases of an attempt. Each has its own time limit, and the whole has none but the caller's context.
const (
	inHeaders   int32 = iota // waiting for the first byte of the answer
	inBody                   // reading a plain answer
	inStream                 // reading events
	inTail                   // finish_reason is there, [DONE] is not
	inErrorBody              // reading an error's body
	ended
)

var errLimit = errors.New("holysheep: time limit passed")

// How often a phase is looked at within its limit: a limit passes up to an eighth of it late.
const ticks = 8

// How long the usage and [DONE] may come after the finish_reason; the answer is complete without them.
const tailTimeout = 5 * time.Second

// limit is how long a phase may last without a change.
func (s *sending) limit(phase int32) time.Duration {
	o := s.call.client.opts
	switch {
	case phase == inHeaders && s.call.stream:
		return o.StreamHeaderTimeout
	case phase == inStream:
		return o.StreamIdleTimeout
	case phase == inTail:
		return min(tailTimeout, o.StreamIdleTimeout)
	case phase == inErrorBody:
		return 0 // its timer is set to the whole of it
	}
	return o.AnswerTimeout
}

// startClock sets the timer.
func (s *sending) startClock() {
	s.tick = s.limit(inHeaders) / ticks
	if s.call.stream {
		s.tick = min(s.tick, s.limit(inStream)/ticks, s.limit(inTail)/2)
	}
	s.tick = max(s.tick, time.Millisecond)
	s.starting.Lock()
	defer s.starting.Unlock()
	s.timer = time.AfterFunc(s.tick, s.expire)
}

// expire is one tick of the timer.
func (s *sending) expire() {
	phase, beats := s.phase.Load(), s.beats.Load()
	switch l := &s.last; {
	case phase == ended:
		return
	case phase != l.phase, beats != l.beats, beats%2 == 1:
		l.phase, l.beats, l.age = phase, beats, 0
	default:
		l.age += s.tick
	}
	if s.last.age >= s.limit(phase) {
		s.fired.Store(phase + 1)
		s.cancel(errLimit)
		return
	}
	s.starting.Lock() // the first tick could come before its timer is there
	defer s.starting.Unlock()
	s.timer.Reset(s.tick)
}

// timedOut reports whether the limit of the phase passed.
func (s *sending) timedOut(phase int32) bool { return s.fired.Load() == phase+1 }
