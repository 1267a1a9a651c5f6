package route

import (
	"fmt"
	"slices"
	"strings"
	"text/tabwriter"
	"time"

	"github.com/holysheep-ai/holysheep-go"
)

// A Policy is a table of rules, of which the first that fits decides. String prints it.
type Policy struct {
	Name  string // on receipts
	Rules []Rule // the last one fits everything

	// Classifier tells the classes of rules apart. Default: the vendor's rule, Words(15, 40).
	Classifier *Classifier
}

// A Rule says which models may answer what.
type Rule struct {
	Name    string
	Quality []Quality // that the caller wants; nil fits all
	Class   []Class   // of the question; nil fits all

	// Models that may answer. One that is known to lack what the request needs (pictures, tools, a JSON schema, the
	// window) is passed over; if that are all of them, the first one is asked.
	Models []string

	// Cheapest takes the one with the lowest price for the expected tokens: the prompt as it was estimated, and an
	// answer of half of max_tokens. Default: false, the first.
	Cheapest bool

	// MaxP95 passes over models that have been slower: the 95th percentile of the time to the first token, of at least
	// 20 calls of the last five minutes. If that are all of them, it is not looked at. Default: 0, no limit.
	MaxP95 time.Duration
}

// Default is the vendor's advice to the figure: questions of fewer than 15 words that ask neither how nor why, nor to
// explain, compare or analyze, go to gemini-2.5-flash; all others to deepseek-v3.2, of which those over 40 words count
// as complex; premium to claude-sonnet-4.5 and coding to gpt-4.1. Economy, of which the vendor says nothing, is the
// cheaper of the first two. The models named after the first one stand in where it lacks what a request needs.
func Default() Policy { return advised("default", Words(simpleUnder, complexAbove)) }

// ByContent is [Default] with another eye for questions: those about code go to gpt-4.1 and those that are short but
// hard do not count as simple, whatever their words. See [Content].
func ByContent() Policy {
	p := advised("by content", Content())
	code := Rule{Name: "code", Class: []Class{Code}, Models: []string{holysheep.GPT41, holysheep.ClaudeSonnet45}}
	p.Rules = slices.Insert(p.Rules, len(p.Rules)-3, code)
	p.Rules = slices.DeleteFunc(p.Rules, func(r Rule) bool { return r.Name == "standard" })
	last := &p.Rules[len(p.Rules)-1]
	last.Name, last.Class = "complex, maths", nil
	return p
}

func advised(name string, classifier *Classifier) Policy {
	cheap := []string{holysheep.DeepSeekV32, holysheep.Gemini25Flash}
	most := []string{holysheep.DeepSeekV32, holysheep.Gemini25Flash, holysheep.GPT41}
	return Policy{
		Name: name,
		Rules: []Rule{
			{Name: "premium", Quality: []Quality{Premium}, Models: []string{holysheep.ClaudeSonnet45, holysheep.GPT41}},
			{Name: "coding", Quality: []Quality{Coding}, Models: []string{holysheep.GPT41, holysheep.ClaudeSonnet45}},
			{Name: "economy", Quality: []Quality{Economy}, Models: cheap, Cheapest: true},
			{Name: "simple", Class: []Class{Simple}, Models: []string{holysheep.Gemini25Flash, holysheep.DeepSeekV32}},
			{Name: "standard", Class: []Class{Standard}, Models: most},
			{Name: "complex", Models: most},
		},
		Classifier: classifier,
	}
}

// Cheapest takes the model with the lowest price for the expected tokens of each request, whatever is wanted and
// asked. No models stands for the four of HolySheep. By list price that is deepseek-v3.2 wherever it can do it,
// simple questions included.
func Cheapest(models ...string) Policy {
	if len(models) == 0 {
		models = []string{holysheep.DeepSeekV32, holysheep.Gemini25Flash, holysheep.GPT41, holysheep.ClaudeSonnet45}
	}
	return Policy{Name: "cheapest", Rules: []Rule{{Name: "cheapest", Models: models, Cheapest: true}}}
}

// complete gives a copy with the defaults filled in.
func (p Policy) complete() Policy {
	if p.Name == "" && p.Rules == nil && p.Classifier == nil {
		p = Default()
	}
	p.Rules = slices.Clone(p.Rules)
	for i := range p.Rules {
		r := &p.Rules[i]
		r.Quality, r.Class, r.Models = slices.Clone(r.Quality), slices.Clone(r.Class), slices.Clone(r.Models)
	}
	if p.Classifier == nil {
		p.Classifier = Words(simpleUnder, complexAbove)
	}
	return p
}

func (r *Rule) fits(q Quality, c Class) bool {
	return (len(r.Quality) == 0 || slices.Contains(r.Quality, q)) && (len(r.Class) == 0 || slices.Contains(r.Class, c))
}

// String is the policy as a table.
func (p Policy) String() string {
	p = p.complete()
	var b strings.Builder
	fmt.Fprintf(&b, "policy %s, questions told apart by %s\n", p.Name, p.Classifier.Name)
	w := tabwriter.NewWriter(&b, 0, 0, 2, ' ', 0)
	fmt.Fprintln(w, "rule\twanted\tquestion\tmodels")
	for _, r := range p.Rules {
		models := strings.Join(r.Models, ", ")
		if r.Cheapest {
			models = "the cheapest of " + models
		}
		if r.MaxP95 > 0 {
			models += ", p95 up to " + r.MaxP95.String()
		}
		fmt.Fprintf(w, "%s\t%s\t%s\t%s\n", r.Name, anyOf(r.Quality), anyOf(r.Class), models)
	}
	_ = w.Flush() // to a strings.Builder, which does not fail
	return b.String()
}

func anyOf[T fmt.Stringer](list []T) string {
	if len(list) == 0 {
		return "any"
	}
	names := make([]string, len(list))
	for i, v := range list {
		names[i] = v.String()
	}
	return strings.Join(names, ", ")
}

func (c Class) String() string { return string(c) }

// problems lists everything that is wrong with the policy. look tells what is known of a model.
func (p Policy) problems(look func(model string) (known, priced bool)) []error {
	errs := p.Classifier.problems()
	bad := func(field, reason string, args ...any) {
		errs = append(errs, &holysheep.RequestError{Field: "Policy." + field, Reason: fmt.Sprintf(reason, args...)})
	}
	if len(p.Rules) == 0 {
		bad("Rules", "there are none")
	}
	names := map[string]bool{}
	reported := map[string]bool{}
	open := true // nothing has fitted everything yet
	for i, r := range p.Rules {
		at := fmt.Sprintf("Rules[%d].", i)
		switch {
		case strings.TrimSpace(r.Name) == "":
			bad(at+"Name", "empty")
		case names[r.Name]:
			bad(at+"Name", "%.40q is there twice", r.Name)
		}
		names[r.Name] = true
		if !open {
			bad(at+"Name", "%.40q is never reached: a rule before it fits everything", r.Name)
		}
		for _, q := range r.Quality {
			if int(q) >= len(qualityNames) {
				bad(at+"Quality", "%v is none", q)
			}
		}
		for _, c := range r.Class {
			if !p.Classifier.knows(c) {
				bad(at+"Class", "%.40q is not among those of the classifier: %s", c, anyOf(p.Classifier.Classes))
			}
		}
		if r.MaxP95 < 0 {
			bad(at+"MaxP95", "%v is negative", r.MaxP95)
		}
		if len(r.Models) == 0 {
			bad(at+"Models", "there are none")
		}
		for j, m := range r.Models {
			field := fmt.Sprintf("%sModels[%d]", at, j)
			if slices.Contains(r.Models[:j], m) {
				bad(field, "%.60q is there twice", m)
				continue
			}
			if reported[m] {
				continue
			}
			known, priced := look(m)
			if !known {
				bad(field, "%.60q is not known (describe it in Options.Models)", m)
			}
			if !priced {
				bad(field, "%.60q has no price, so that budgets would refuse it (add it with PriceTable.With and Options.Prices)", m)
			}
			reported[m] = !known || !priced
		}
		if len(r.Quality) == 0 && len(r.Class) == 0 {
			open = false
		}
	}
	if open && len(p.Rules) > 0 {
		bad("Rules", "none fits everything: the last one should have neither Quality nor Class")
	}
	return errs
}
