package route

import (
	"errors"
	"fmt"
	"strings"

	"github.com/holysheep-ai/holysheep-go"
)

// LadderReceipt is what a ladder gave up of a call, in Step.Detail.
type LadderReceipt struct {
	Rung      Rung
	Priority  Priority
	Reason    string // what the signal says
	From, To  string // the models, or "auto" and a quality; "" if the model is the one asked for
	MaxTokens int    // that were allowed instead of what was asked for; 0 if that was kept
	Whole     bool   // a cache had the answer that was asked for, so that nothing was given up
}

// asAsked is for an answer that a cache had.
func (r *LadderReceipt) asAsked() { r.From, r.To, r.MaxTokens, r.Whole = "", "", 0, true }

// String says it in a line: "cheaper: gpt-4.1 became deepseek-v3.2, because budget: it will be …".
func (r *LadderReceipt) String() string {
	var what []string
	if r.To != "" {
		what = append(what, r.From+" became "+r.To)
	}
	if r.MaxTokens > 0 {
		what = append(what, fmt.Sprintf("at most %d tokens", r.MaxTokens))
	}
	if r.Whole {
		what = append(what, "a cache had the answer")
	}
	if what == nil {
		what = append(what, "no change")
	}
	return fmt.Sprintf("%v: %s, because %s", r.Rung, strings.Join(what, ", "), r.Reason)
}

func (r *LadderReceipt) step() holysheep.Step {
	own := *r
	return holysheep.Step{Kind: "ladder", Reason: own.String(), Detail: &own}
}

// ErrRefused is a call that a [Ladder] gave no answer, for errors.Is: the error is a [*RefusedError].
var ErrRefused = errors.New("refused while things are bad")

// RefusedError is a call that a [Ladder] gave no answer: nothing was sent. It matches [ErrRefused].
type RefusedError struct {
	Rung     Rung // CachedOnly, if no cache had it, or Refused
	Priority Priority
	Reason   string // what the signal says
}

func (e *RefusedError) Error() string {
	if e.Rung == CachedOnly {
		return fmt.Sprintf("route: %v: %v calls are answered from caches alone, and none has it: %s", ErrRefused, e.Priority, e.Reason)
	}
	return fmt.Sprintf("route: %v: %v calls are not answered: %s", ErrRefused, e.Priority, e.Reason)
}

// Is reports whether target is ErrRefused.
func (e *RefusedError) Is(target error) bool { return target == ErrRefused }
