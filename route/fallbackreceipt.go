package route

import (
	"fmt"
	"strings"
	"time"

	"github.com/holysheep-ai/holysheep-go"
)

// FallbackReceipt is where a request went, in Step.Detail. It has no text of question or answer. Nothing changes it once
// the answer is there; String prints it.
type FallbackReceipt struct {
	Asked    string        // the model that was asked for
	Tries    []FallbackTry // in order
	Answered string        // the model whose answer was given; "" if none was
}

// FallbackTry is one target.
type FallbackTry struct {
	Target  int // 0 for what the fallback wraps, then its place in the list from 1
	Model   string
	Took    time.Duration
	Skipped string // why it was not asked; "" if it was
	Err     error  // what it failed with
}

// what says it in a few words.
func (t *FallbackTry) what() string {
	switch {
	case t.Skipped != "":
		return "not asked, " + t.Skipped
	case t.Err != nil:
		return strings.TrimPrefix(strings.TrimPrefix(t.Err.Error(), "holysheep: "), "route: ")
	}
	return "answered"
}

func (r *FallbackReceipt) step() holysheep.Step {
	reasons := make([]string, len(r.Tries))
	for i := range r.Tries {
		reasons[i] = r.Tries[i].Model + ": " + r.Tries[i].what()
	}
	return holysheep.Step{Kind: "fallback", Reason: strings.Join(reasons, "; "), Detail: r}
}

// String prints the receipt on some lines.
func (r *FallbackReceipt) String() string {
	var b strings.Builder
	answered := r.Answered
	if answered == "" {
		answered = "no answer"
	}
	fmt.Fprintf(&b, "fallback: %s, asked for %s\n", answered, r.Asked)
	for i := range r.Tries {
		t := &r.Tries[i]
		fmt.Fprintf(&b, "  %s", t.Model)
		if t.Skipped == "" {
			fmt.Fprintf(&b, ", %v", t.Took.Round(time.Millisecond))
		}
		fmt.Fprintf(&b, ": %s\n", t.what())
	}
	return b.String()
}

// FallbackError is a request that no target answered. It unwraps to what each of them failed with, the last one first.
type FallbackError struct {
	Receipt *FallbackReceipt
}

func (e *FallbackError) Error() string { return "route: nobody answered: " + e.Receipt.step().Reason }

// Unwrap gives the errors of the targets, the last one first.
func (e *FallbackError) Unwrap() []error {
	tries := e.Receipt.Tries
	errs := make([]error, 0, len(tries))
	for i := range tries {
		if err := tries[len(tries)-1-i].Err; err != nil {
			errs = append(errs, err)
		}
	}
	return errs
}
