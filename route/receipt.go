package route

import (
	"fmt"
	"strings"
	"text/tabwriter"
	"time"

	"github.com/holysheep-ai/holysheep-go"
)

// Receipt is why a model was asked, in Step.Detail. It has no text of the question. Nothing changes it once the answer
// is there; String prints it.
type Receipt struct {
	Policy     string
	Rule       string
	Quality    Quality // that was wanted
	Class      Class   // of the question
	Features   Features
	Candidates []Candidate // of the rule, in its order
	Chosen     string
	InPlaceOf  string // the model that the request named, with RouterOptions.Override; "" if it named none
	Unsure     error  // why the classifier gave no class, so that words decided; nil if it gave one

	// What the call cost, and what the same tokens cost at the table's prices if all calls were asked of the premium
	// model, or of gpt-4.1; 0 where the table has no price. Before the answer, and in a plan, all are expectations: the
	// estimated prompt, and an answer of half of max_tokens.
	Cost, AllPremium, AllGPT41 holysheep.USD
	Final                      bool // the tokens are those that the gateway reported
}

// Candidate is a model that the rule names.
type Candidate struct {
	Model    string
	Expected holysheep.USD // what the call would cost
	P95      time.Duration // of the time to its first token, as seen; 0 before it was seen often enough
	Lacks    string        // why it was passed over: "reads no pictures"; "" if it was not
}

// The models that savings are told against.
const (
	premiumModel = holysheep.ClaudeSonnet45
	usualModel   = holysheep.GPT41
)

// String prints the receipt on some lines.
func (r *Receipt) String() string {
	var b strings.Builder
	w := tabwriter.NewWriter(&b, 0, 0, 2, ' ', 0)
	row := func(name, format string, args ...any) {
		fmt.Fprintf(w, "  %s\t%s\n", name, fmt.Sprintf(format, args...))
	}
	fmt.Fprintf(&b, "route: %s, by rule %q of policy %q\n", r.Chosen, r.Rule, r.Policy)
	row("wanted", "%v%s", r.Quality, after(", in place of ", r.InPlaceOf))
	class := string(r.Class)
	if r.Unsure != nil {
		class += ", by words alone: " + r.Unsure.Error()
	}
	row("question", "%s: %v", class, r.Features)
	row("needs", "%s", r.Features.needs())
	for i := range r.Candidates {
		c := &r.Candidates[i]
		name, note := "", ""
		if i == 0 {
			name = "candidates"
		}
		if c.Model == r.Chosen {
			note = ", chosen"
		}
		if c.P95 > 0 {
			note += ", p95 " + c.P95.Round(time.Millisecond).String()
		}
		row(name, "%s\t%s expected%s%s", c.Model, roundUSD(c.Expected), note, after(", ", c.Lacks))
	}
	what := "expected"
	if r.Final {
		what = "cost"
	}
	row(what, "%s%s%s", roundUSD(r.Cost), r.saved(r.AllPremium, "premium"), r.saved(r.AllGPT41, usualModel))
	_ = w.Flush() // to a strings.Builder, which does not fail
	return b.String()
}

// saved writes what was saved against all calls to one model.
func (r *Receipt) saved(all holysheep.USD, name string) string {
	if all == 0 {
		return ""
	}
	word, by := "less", all-r.Cost
	if by < 0 {
		word, by = "more", -by
	}
	return fmt.Sprintf(", %s %s (%.0f %%) than all-%s", roundUSD(by), word, 100*by.Dollars()/all.Dollars(), name)
}

// roundUSD writes an amount to a millionth of a dollar, or exactly where that would hide it.
func roundUSD(u holysheep.USD) string {
	const micro = 1_000_000
	if u < 10*micro {
		return u.String()
	}
	return ((u + micro/2) / micro * micro).String()
}

func after(prefix, s string) string {
	if s == "" {
		return ""
	}
	return prefix + s
}
