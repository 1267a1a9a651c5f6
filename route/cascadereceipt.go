package route

import (
	"fmt"
	"maps"
	"math"
	"strings"
	"sync"

	"github.com/holysheep-ai/holysheep-go"
)

// CascadeReceipt is what a cascade did with a request, in Step.Detail. It has no text of question or answer. Nothing
// changes it once the answer is there; String prints it.
type CascadeReceipt struct {
	Tries    []CascadeTry // the models asked, in order
	Answered string       // the one whose answer was given; "" if none was

	Cost   holysheep.USD // of all models and judges
	Direct holysheep.USD // what the given answer's tokens cost at the price of the last model
	Loss   Share         // as the cascade's shadows have measured it by now; see CascadeReport.Loss
}

// CascadeTry is one model asked.
type CascadeTry struct {
	Model     string
	Cost      holysheep.Cost
	Rejected  string   // the check and what it found; "" if the answer passed
	Unchecked []string // checks that could not look, and let it pass
	Err       error    // what the model, or the check, failed with

	last bool
}

// reason says it in a line.
func (r *CascadeReceipt) reason() string {
	var b strings.Builder
	for _, t := range r.Tries {
		switch {
		case t.Rejected != "":
			fmt.Fprintf(&b, "%s: rejected (%s), ", t.Model, t.Rejected)
		case t.Model == r.Answered:
			b.WriteString(t.Model + ": given")
		}
	}
	return strings.TrimSuffix(b.String(), ", ")
}

// String prints the receipt on some lines.
func (r *CascadeReceipt) String() string {
	var b strings.Builder
	answered := r.Answered
	if answered == "" {
		answered = "no answer"
	}
	fmt.Fprintf(&b, "cascade: %s\n", answered)
	for _, t := range r.Tries {
		what := "given"
		if t.Rejected != "" {
			what = "rejected, " + t.Rejected
		}
		fmt.Fprintf(&b, "  %s, %v: %s", t.Model, t.Cost, what)
		if t.Err != nil {
			fmt.Fprintf(&b, ": %v", t.Err)
		}
		if len(t.Unchecked) > 0 {
			fmt.Fprintf(&b, ", not checked by %s", strings.Join(t.Unchecked, ", "))
		}
		b.WriteByte('\n')
	}
	if r.Answered != "" {
		word, by := "less", r.Direct-r.Cost
		if by < 0 {
			word, by = "more", -by
		}
		fmt.Fprintf(&b, "  cost %s, %s %s than these tokens of the last model\n", roundUSD(r.Cost), roundUSD(by), word)
	}
	if r.Loss.Of > 0 {
		fmt.Fprintf(&b, "  worse than the last model: %v of the shadowed answers\n", r.Loss)
	}
	return b.String()
}

// Share is a share as it was counted, and between what it may lie: the 95 % interval of Wilson.
type Share struct {
	Count, Of int64
}

// Rate is the share itself; 0 where nothing was counted.
func (s Share) Rate() float64 {
	if s.Of == 0 {
		return 0
	}
	return float64(s.Count) / float64(s.Of)
}

// Interval is 0 to 1 where nothing was counted.
func (s Share) Interval() (low, high float64) {
	if s.Of == 0 {
		return 0, 1
	}
	const z = 1.959964
	n, p := float64(s.Of), s.Rate()
	middle := (p + z*z/(2*n)) / (1 + z*z/n)
	half := z / (1 + z*z/n) * math.Sqrt(p*(1-p)/n+z*z/(4*n*n))
	return max(0, middle-half), min(1, middle+half)
}

// String writes "2 of 40, 5.0 % (1.4 to 16.5 %)".
func (s Share) String() string {
	low, high := s.Interval()
	return fmt.Sprintf("%d of %d, %.1f %% (%.1f to %.1f %%)", s.Count, s.Of, 100*s.Rate(), 100*low, 100*high)
}

// CascadeReport sums up what a cascade has done.
type CascadeReport struct {
	Answers  int64            // given
	Passed   int64            // of them, by a model before the last one
	Tried    int64            // answers that were checked, and models that failed before the last one
	Rejected map[string]int64 // of those, by check; "it failed" for the models that failed
	Cost     holysheep.USD    // of all answers, judges included
	Direct   holysheep.USD    // what the given answers' tokens cost at the price of the last model

	Loss       Share         // of the answers that passed and were shadowed, those that were worse than the last model's
	ShadowCost holysheep.USD // of the last model's answers to them, which is not in Cost; what judged them is in neither
	Unshadowed int64         // drawn, and not judged: no place or money left, or the last model or the verdict failed
}

// least is how many were tried before a share of them is believed.
const leastTried = 20

// rejectedShare is 0 while little is known.
func (r CascadeReport) rejectedShare() float64 {
	if r.Tried < leastTried {
		return 0
	}
	var n int64
	for _, k := range r.Rejected {
		n += k
	}
	return float64(n) / float64(r.Tried)
}

// cascadeTally counts for the report.
type cascadeTally struct {
	mu     sync.Mutex
	report CascadeReport
}

// count takes a receipt of an answer that was given.
func (t *cascadeTally) count(r *CascadeReceipt) {
	t.mu.Lock()
	defer t.mu.Unlock()
	all := &t.report
	all.Answers++
	all.Cost, all.Direct = all.Cost.Plus(r.Cost), all.Direct.Plus(r.Direct)
	for i := range r.Tries {
		try := &r.Tries[i]
		if try.last {
			continue
		}
		all.Tried++
		if try.Rejected == "" {
			all.Passed++
			continue
		}
		if all.Rejected == nil {
			all.Rejected = map[string]int64{}
		}
		check, _, _ := strings.Cut(try.Rejected, ": ")
		all.Rejected[check]++
	}
}

// Report sums up what the cascade has done so far.
func (c *Cascade) Report() CascadeReport {
	c.tally.mu.Lock()
	defer c.tally.mu.Unlock()
	r := c.tally.report
	r.Rejected = maps.Clone(r.Rejected)
	r.ShadowCost = c.shadow.cap.total()
	return r
}
