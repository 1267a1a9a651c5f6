package route

import (
	"cmp"
	"errors"
	"sync"
	"time"

	"github.com/holysheep-ai/holysheep-go"
)

// way is where a request may go after an error.
type way uint8

const (
	nowhere   way = iota
	anywhere      // any target may do better
	elsewhere     // another gateway may
	larger        // a model with a larger window may
)

// passing are the errors that come and go.
var passing = []error{
	holysheep.ErrOverloaded, holysheep.ErrRateLimited, holysheep.ErrServer, holysheep.ErrConnect, holysheep.ErrNoAnswer,
	holysheep.ErrTimeout, holysheep.ErrStalled, holysheep.ErrTruncated, holysheep.ErrEmpty, holysheep.ErrMalformed,
	holysheep.ErrConflict, ErrOpen, ErrQueueFull, ErrNoTurn,
}

// wayAfter reads an error.
func wayAfter(err error, req *holysheep.ChatRequest) way {
	_, unsendable := errors.AsType[*holysheep.RequestError](err)
	_, unpaid := errors.AsType[*holysheep.BudgetError](err)
	if unsendable || unpaid {
		return nowhere // also where a passing one came before it
	}
	switch {
	case isAny(err, passing...), errors.Is(err, holysheep.ErrModelNotFound):
		return anywhere
	case isAny(err, holysheep.ErrUnauthorized, holysheep.ErrInsufficientBalance, holysheep.ErrForbidden, holysheep.ErrNotFound):
		return elsewhere
	case errors.Is(err, holysheep.ErrContextLength):
		return larger
	case errors.Is(err, holysheep.ErrBadRequest) && wantsMore(req):
		return anywhere
	}
	return nowhere
}

func isAny(err error, kinds ...error) bool {
	for _, kind := range kinds {
		if errors.Is(err, kind) {
			return true
		}
	}
	return false
}

// wantsMore reports whether a request has what a model may refuse that another one takes. Without it a refused request
// is one that everybody refuses.
func wantsMore(r *holysheep.ChatRequest) bool {
	if len(r.Tools) > 0 || r.ResponseFormat != nil || r.Logprobs || r.N != nil || r.Seed != nil || r.ReasoningEffort != "" ||
		r.ParallelTools != nil || len(r.Stop) > 0 || len(r.Extra) > 0 || r.PresencePenalty != nil || r.FrequencyPenalty != nil ||
		r.Temperature != nil || r.TopP != nil || r.MaxTokens != nil {
		return true
	}
	for i := range r.Messages {
		for _, part := range r.Messages[i].Content {
			if _, ok := part.(holysheep.Text); !ok {
				return true
			}
		}
	}
	return false
}

// wasRefusedHere reports whether a gate let nothing be sent.
func wasRefusedHere(err error) bool {
	if _, sent := errors.AsType[*holysheep.APIError](err); sent {
		return false
	}
	return isAny(err, ErrOpen, ErrQueueFull, ErrNoTurn)
}

// unfit says why a target would not do better than the one that failed; "" if it may.
func (j *journey) unfit(from, to *target, w way) string {
	info, _ := to.known.info(cmp.Or(to.Model, j.model))
	switch w {
	case elsewhere:
		if to.bottom == from.bottom {
			return "it is the same gateway"
		}
	case larger:
		was, _ := from.known.info(cmp.Or(from.Model, j.model))
		if info.Window > 0 && was.Window > 0 && info.Window <= was.Window {
			return "its window is no larger"
		}
	}
	return lacking(info, needsOf(to.request(j.req, j.model)))
}

// needsOf is what a request needs but a window: whether that is large enough is not known before a gateway has said so.
func needsOf(req *holysheep.ChatRequest) *Features {
	var f Features
	readFeatures(&f, req)
	f.PromptTokens, f.MaxTokens = 0, 0
	return &f
}

// moveQuota bounds what moving on adds in an outage of everything, as the retry quota of the client does for retries:
// a bucket of moves, which answers fill again. Time fills it as well, so that a target that is well again is found out
// while the one before it still is not. The zero value is full.
type moveQuota struct {
	mu      sync.Mutex
	missing float64
	at      time.Time
}

const (
	mostMoves     = 100
	movesASecond  = 1
	movesAnswered = 2 // what an answer gives back: the move itself, and one more
)

// take pays for one move, or refuses.
func (q *moveQuota) take(now time.Time) bool {
	q.mu.Lock()
	defer q.mu.Unlock()
	if q.missing > 0 {
		q.missing = max(q.missing-now.Sub(q.at).Seconds()*movesASecond, 0)
	}
	q.at = now
	if q.missing+1 > mostMoves {
		return false
	}
	q.missing++
	return true
}

func (q *moveQuota) giveBack(moves float64) {
	q.mu.Lock()
	defer q.mu.Unlock()
	q.missing = max(q.missing-moves, 0)
}
