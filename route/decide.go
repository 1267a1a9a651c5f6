package route

import (
	"time"

	"github.com/holysheep-ai/holysheep-go"
)

// decision is one request on its way through the router. It is one piece of memory, because every call makes one.
type decision struct {
	call    holysheep.Call
	req     holysheep.ChatRequest // as it goes on
	resp    holysheep.ChatResponse
	receipt Receipt
	rule    *compiledRule
	chosen  int // of the rule's models
	saved   holysheep.USD
	ended   bool

	baseline holysheep.Price // what savings count against

	candidates [4]Candidate
	steps      [1]holysheep.Step
}

// compiledRule is a rule with what is known of its models.
type compiledRule struct {
	*Rule
	models  []*routedModel
	reasons []string // for the step, by the model that is chosen
}

type routedModel struct {
	name  string
	info  holysheep.ModelInfo
	price holysheep.Price
	seen  seenTimes
}

// lacks says what the model is known not to do of what the request needs; "" if nothing.
func (m *routedModel) lacks(f *Features) string { return lacking(m.info, f) }

func lacking(m holysheep.ModelInfo, f *Features) string {
	switch {
	case f.Images && !m.Vision:
		return "reads no pictures"
	case f.Tools && !m.Tools:
		return "calls no tools"
	case f.JSONSchema && !m.JSONSchema:
		return "keeps to no JSON schema"
	case m.Window > 0 && f.PromptTokens+f.MaxTokens > int64(m.Window):
		return "its window is too small"
	}
	return ""
}

// expectedAt is what the call costs if the answer is half as long as it may be.
func expectedAt(p holysheep.Price, f *Features) holysheep.USD {
	return p.Of(holysheep.Usage{PromptTokens: f.PromptTokens, CompletionTokens: f.MaxTokens / 2})
}

// decide finds the rule and the model, and writes them where they belong. The receipt has features, quality and class.
func (r *Router) decide(d *decision, now time.Time) {
	rec := &d.receipt
	for i := range r.rules {
		if d.rule = &r.rules[i]; d.rule.fits(rec.Quality, rec.Class) {
			break // the last one fits everything
		}
	}
	d.chosen = d.rule.choose(d, now)
	chosen := &rec.Candidates[d.chosen]
	rec.Policy, rec.Rule, rec.Chosen, rec.Cost = r.policy.Name, d.rule.Name, chosen.Model, chosen.Expected
	rec.AllPremium, rec.AllGPT41 = expectedAt(r.premium.price, &rec.Features), expectedAt(r.usual.price, &rec.Features)
	d.baseline = r.baseline.price
	if rec.InPlaceOf != "" {
		if p, ok := r.prices.Lookup(rec.InPlaceOf); ok {
			d.baseline = p
		}
	}
	d.saved = expectedAt(d.baseline, &rec.Features) - chosen.Expected
	d.steps[0] = holysheep.Step{Kind: "route", Reason: d.rule.reasons[d.chosen], Saved: d.saved, Detail: rec}
	if rec.InPlaceOf != "" {
		d.steps[0].Reason += ", in place of " + rec.InPlaceOf
	}
	d.req.Model, d.call.Model, d.call.Steps = chosen.Model, chosen.Model, d.steps[:]
}

// choose fills in the candidates, and gives the index of the one to ask. now is zero where times are not to matter.
func (u *compiledRule) choose(d *decision, now time.Time) int {
	rec := &d.receipt
	rec.Candidates = d.candidates[:0]
	best, slow := -1, -1
	for i, m := range u.models {
		c := Candidate{Model: m.name, Expected: expectedAt(m.price, &rec.Features), Lacks: m.lacks(&rec.Features)}
		if !now.IsZero() {
			c.P95 = m.seen.p95(now)
		}
		rec.Candidates = append(rec.Candidates, c)
		switch better := func(than int) bool {
			return than < 0 || u.Cheapest && c.Expected < rec.Candidates[than].Expected
		}; {
		case c.Lacks != "":
		case u.MaxP95 > 0 && c.P95 > u.MaxP95:
			rec.Candidates[i].Lacks = "is slower than the rule allows"
			if better(slow) {
				slow = i
			}
		case better(best):
			best = i
		}
	}
	switch {
	case best >= 0:
		return best
	case slow >= 0:
		return slow
	}
	return 0 // what is known of models is no reason to refuse
}

// settleReceipt writes into the receipt what the answer did cost.
func (r *Router) settleReceipt(d *decision, resp *holysheep.ChatResponse) {
	rec := &d.receipt
	rec.Cost, rec.Final = resp.Cost.USD, true
	rec.AllPremium, rec.AllGPT41 = r.premium.price.Of(resp.Usage), r.usual.price.Of(resp.Usage)
	d.saved = d.baseline.Of(resp.Usage) - resp.Cost.USD
	if resp.Cached {
		d.saved = 0 // the cache has counted it
	}
	d.steps[0].Saved = d.saved
}
