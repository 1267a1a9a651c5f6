package route

import (
	"context"
	"sync"
	"time"
)

// watched is a signal and where it stands, for each key.
type watched struct {
	Signal
	opts *LadderOptions

	mu     sync.Mutex
	states map[string]*standing
}

// mostStandings bounds the keys that are remembered; those on no rung are forgotten when there are more. While all are on
// one, further keys stand as asked.
const mostStandings = 10_000

// standing is the rung of one key, which follows the readings slowly.
type standing struct {
	reading sync.Mutex // held by the call that reads

	mu     sync.Mutex
	rung   Rung
	reason string
	read   time.Time // the last reading
	moved  time.Time // the last step
	asked  time.Time // when this rung or a higher one was last asked for
}

// rung gives where the calls of ctx stand. One of them at a time reads the signal, when its reading is old; the others
// go by what is known.
func (w *watched) rung(ctx context.Context, tell func(context.Context, LadderChange)) (Rung, string) {
	key := ""
	if w.Key != nil {
		key = w.Key(ctx)
	}
	s := w.standing(key)
	if s == nil {
		return AsAsked, ""
	}
	now := time.Now()
	s.mu.Lock()
	rung, reason := s.rung, s.reason
	old := s.read.IsZero() || now.Sub(s.read) >= w.opts.Every
	s.mu.Unlock()
	if !old || !s.reading.TryLock() {
		return rung, reason
	}
	defer s.reading.Unlock()
	wants, says, err := w.Read(ctx)
	now = time.Now()
	s.mu.Lock()
	s.read = now
	from := s.rung
	if err == nil {
		s.follow(min(wants, w.opts.Most), says, now, w.opts)
	}
	rung, reason = s.rung, s.reason
	s.mu.Unlock()
	if rung != from {
		tell(ctx, LadderChange{Signal: w.Name, Key: key, From: from, To: rung, Reason: reason, At: now})
	}
	return rung, reason
}

// follow takes a step towards the rung that is wanted, if it is time for one.
func (s *standing) follow(wants Rung, reason string, now time.Time, opts *LadderOptions) {
	if wants >= s.rung {
		s.asked = now
		if wants > AsAsked {
			s.reason = reason
		}
	}
	switch {
	case wants > s.rung && (s.rung == AsAsked || now.Sub(s.moved) >= opts.Rise):
		s.rung++
		s.moved = now
	case wants < s.rung && now.Sub(s.asked) >= opts.Fall:
		s.rung--
		s.moved, s.asked, s.reason = now, now, reason
	}
}

func (w *watched) standing(key string) *standing {
	w.mu.Lock()
	defer w.mu.Unlock()
	s := w.states[key]
	if s != nil {
		return s
	}
	if len(w.states) >= mostStandings {
		for k, s := range w.states {
			s.mu.Lock()
			idle := s.rung == AsAsked
			s.mu.Unlock()
			if idle {
				delete(w.states, k)
			}
		}
		if len(w.states) >= mostStandings {
			return nil
		}
	}
	s = &standing{}
	w.states[key] = s
	return s
}
