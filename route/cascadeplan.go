package route

import (
	"context"
	"crypto/sha256"
	"encoding/hex"
	"fmt"
	"slices"
	"strings"

	"github.com/holysheep-ai/holysheep-go"
)

// problems lists everything that is wrong with a cascade.
func (c *Cascade) problems(known routedModels, models []string) (errs []error) {
	bad := func(field, reason string, args ...any) {
		errs = append(errs, &holysheep.RequestError{Field: field, Reason: fmt.Sprintf(reason, args...)})
	}
	if c.next == nil {
		bad("next", "nil")
	}
	if len(models) < 2 {
		bad("models", "%d: a cascade has at least two", len(models))
	}
	for i, name := range models {
		field := fmt.Sprintf("models[%d]", i)
		if slices.Contains(models[:i], name) {
			bad(field, "%.60q is there twice", name)
			continue
		}
		_, isKnown, isPriced := known.look(name)
		if !isKnown {
			bad(field, "%.60q is not known (describe it in Options.Models)", name)
		}
		if !isPriced {
			bad(field, "%.60q has no price, so that budgets would refuse it (add it with PriceTable.With and Options.Prices)", name)
		}
	}
	if len(c.checks) == 0 {
		bad("checks", "there are none: nothing would ever reach the second model")
	}
	names := map[string]bool{}
	for i, k := range c.checks {
		field := fmt.Sprintf("checks[%d]", i)
		switch {
		case strings.TrimSpace(k.Name) == "":
			bad(field+".Name", "empty: keys of caches depend on it")
		case names[k.Name]:
			bad(field+".Name", "%.60q is there twice", k.Name)
		}
		names[k.Name] = true
		if k.Reject == nil && k.bad == nil {
			bad(field+".Reject", "nil")
		}
		if k.bad != nil {
			errs = append(errs, k.bad)
		}
	}
	if !(c.opts.Shadow >= 0 && c.opts.Shadow <= 1) { // written so that NaN fails it
		bad("CascadeOptions.Shadow", "%v is not between 0 and 1", c.opts.Shadow)
	}
	if c.opts.ShadowMaxCost < 0 {
		bad("CascadeOptions.ShadowMaxCost", "%v is negative", c.opts.ShadowMaxCost)
	}
	return errs
}

// fingerprint tells cascades apart whose answers may differ.
func (c *Cascade) fingerprint() string {
	h := sha256.New()
	for _, m := range c.models {
		fmt.Fprintf(h, "%q", m.name)
	}
	for _, k := range c.checks {
		fmt.Fprintf(h, ",%q", k.Name)
	}
	return "cascade:" + hex.EncodeToString(h.Sum(nil)[:8])
}

// Plan prices what may come of a request: Worst is all models after one another, Expected the first one and the others
// at the share of answers that has been rejected so far. Judges and shadows are not in it.
func (c *Cascade) Plan(ctx context.Context, req *holysheep.ChatRequest) (*holysheep.Quote, error) {
	d, err := c.enter(ctx, req, false)
	switch {
	case err != nil:
		return nil, err
	case d == nil:
		return holysheep.Plan(ctx, c.next, req)
	}
	q, err := holysheep.Plan(ctx, c.next, c.request(d))
	if err != nil {
		return nil, err
	}
	first, names, share := d.at, []string{c.models[d.at].name}, c.Report().rejectedShare()
	for reach := share; !c.last(d); reach *= share {
		d.at++
		names = append(names, c.models[d.at].name)
		more, err := holysheep.Plan(ctx, c.next, c.request(d))
		if err != nil {
			return nil, err
		}
		q.Worst = q.Worst.Plus(more.Worst)
		q.Expected.USD = q.Expected.USD.Plus(holysheep.USD(float64(more.Expected.USD) * reach))
		q.Expected.AtMost = q.Expected.AtMost.Plus(more.Expected.AtMost)
	}
	reason := names[0]
	if first < len(c.models)-1 {
		reason = "the first of " + strings.Join(names, ", ") + " whose answer passes"
	}
	q.Steps = append(q.Steps, holysheep.Step{Kind: "cascade", Reason: reason})
	return q, nil
}

// Resolve gives the request as the first model would get it, and a fingerprint that tells cascades apart.
func (c *Cascade) Resolve(req *holysheep.ChatRequest) (resolved *holysheep.ChatRequest, fingerprint string, err error) {
	d, err := c.enter(context.Background(), req, false)
	switch {
	case err != nil:
		return nil, "", err
	case d == nil:
		return holysheep.Resolve(c.next, req)
	}
	r := *req
	r.Model = c.models[d.at].name
	if resolved, fingerprint, err = holysheep.Resolve(c.next, &r); err != nil {
		return nil, "", err
	}
	return resolved, fingerprint + "|" + c.print, nil
}

// Vary says what a context asks of the cascade, for keys of caches.
func (c *Cascade) Vary(ctx context.Context) string { return varyByQuality(ctx) }
