package route

import (
	"cmp"
	"context"
	"crypto/sha256"
	"encoding/hex"
	"encoding/json"
	"fmt"
	"maps"
	"reflect"
	"slices"
	"strings"

	"github.com/holysheep-ai/holysheep-go"
)

// problems lists everything that is wrong with a fallback.
func (f *Fallback) problems(lists map[string][]Target) (errs []error) {
	bad := func(field, reason string, args ...any) {
		errs = append(errs, &holysheep.RequestError{Field: field, Reason: fmt.Sprintf(reason, args...)})
	}
	if f.next == nil {
		bad("next", "nil")
	}
	if len(lists) == 0 && len(f.others) == 0 {
		bad("targets", "there are none: nothing would ever be asked but next")
	}
	for _, model := range slices.Sorted(maps.Keys(lists)) {
		field := fmt.Sprintf("targets[%q]", model)
		switch _, known, _ := f.first.known.look(model); {
		case model == "":
			bad(field, "a model has a name (FallbackOptions.Others are for all that have no list)")
		case !known:
			bad(field, "the model is not known (describe it in Options.Models)")
		}
		if len(lists[model]) == 0 {
			bad(field, "there are none")
		}
		f.badTargets(field, model, f.lists[model], bad)
	}
	f.badTargets("FallbackOptions.Others", "", f.others, bad)
	if f.opts.Attempts < 1 || f.opts.Attempts > 8 {
		bad("FallbackOptions.Attempts", "%d is not between 1 and 8", f.opts.Attempts)
	}
	if f.opts.FirstToken < 0 {
		bad("FallbackOptions.FirstToken", "%v is negative", f.opts.FirstToken)
	}
	return errs
}

// badTargets looks at a list of targets; model is "" where it may be any.
func (f *Fallback) badTargets(field, model string, list []*target, bad func(field, reason string, args ...any)) {
	seen := map[place]bool{}
	for _, p := range placesOf(f.next, model) {
		seen[p] = true
	}
	for i, t := range list {
		at, name := fmt.Sprintf("%s[%d]", field, i), cmp.Or(t.Model, model)
		again := false
		for _, p := range placesOf(t.Completer, name) {
			again = again || seen[p]
			seen[p] = true
		}
		if again {
			bad(at, "it leads back to %s, which has been asked before it", cmp.Or(name, "the model"))
		}
		if name == "" {
			continue
		}
		_, known, priced := t.known.look(name)
		if !known {
			bad(at, "%.60q is not known (describe it in Options.Models)", name)
		}
		if !priced {
			bad(at, "%.60q has no price, so that budgets would refuse it (add it with PriceTable.With and Options.Prices)", name)
		}
	}
}

// place is where a request ends up: the client at the bottom, and the model that it is asked for.
type place struct {
	bottom any
	model  string
}

// placesOf are where requests of a model may end up beneath c: more than one where there is a fallback in between.
func placesOf(c holysheep.Completer, model string) []place {
	for at := c; at != nil; {
		if f, ok := at.(*Fallback); ok {
			all := placesOf(f.next, model)
			for _, t := range f.after(model) {
				all = append(all, placesOf(t.Completer, cmp.Or(t.Model, model))...)
			}
			return all
		}
		w, ok := at.(interface{ Unwrap() holysheep.Completer })
		if !ok {
			break
		}
		at = w.Unwrap()
	}
	return []place{{bottomOf(c), model}}
}

// bottomOf gives what lies lowest, to be compared.
func bottomOf(c holysheep.Completer) any {
	for c != nil {
		w, ok := c.(interface{ Unwrap() holysheep.Completer })
		if !ok {
			break
		}
		c = w.Unwrap()
	}
	if c == nil || !reflect.ValueOf(c).Comparable() {
		return new(byte) // like no other
	}
	return c
}

// Plan prices the call as next would make it, and shows where it would go from there. Worst is all targets after one
// another.
func (f *Fallback) Plan(ctx context.Context, req *holysheep.ChatRequest) (*holysheep.Quote, error) {
	q, err := holysheep.Plan(ctx, f.next, req)
	if err != nil {
		return nil, err
	}
	j := f.open(ctx, req, false)
	if j == nil {
		return q, nil
	}
	names := make([]string, 0, len(j.targets))
	for _, t := range j.targets[1:] {
		names = append(names, cmp.Or(t.Model, j.model))
		if more, err := holysheep.Plan(ctx, t.Completer, t.request(req, j.model)); err == nil { // else it refuses at once
			q.Worst = q.Worst.Plus(more.Worst)
			q.Expected.AtMost = q.Expected.AtMost.Plus(more.Expected.AtMost)
		}
	}
	q.Steps = append(q.Steps, holysheep.Step{
		Kind: "fallback", Reason: j.model + "; where it cannot answer " + strings.Join(names, ", then "),
	})
	return q, nil
}

// Resolve gives the request as next would send it, and a fingerprint that tells targets apart.
func (f *Fallback) Resolve(req *holysheep.ChatRequest) (resolved *holysheep.ChatRequest, fingerprint string, err error) {
	resolved, fingerprint, err = holysheep.Resolve(f.next, req)
	if err != nil {
		return nil, "", err
	}
	list := f.after(resolved.Model)
	if len(list) == 0 {
		return resolved, fingerprint, nil
	}
	h := sha256.New()
	for _, t := range list {
		r := t.request(req, resolved.Model)
		_, beneath, err := holysheep.Resolve(t.Completer, r)
		if err != nil {
			beneath = err.Error() // it would not answer
		}
		fmt.Fprintf(h, "%q%q", r.Model, beneath)
		if t.Prepare == nil {
			continue
		}
		changed, err := json.Marshal(r)
		if err != nil {
			return nil, "", fmt.Errorf("route: fallback to %s: %w", r.Model, err)
		}
		_, _ = h.Write(changed) // which does not fail
	}
	return resolved, fingerprint + "|fallback:" + hex.EncodeToString(h.Sum(nil)[:8]), nil
}

// Vary says what a context asks of what the targets have beneath them, for keys of caches.
func (f *Fallback) Vary(ctx context.Context) (parts string) {
	for _, t := range f.all() {
		if t.Completer != f.next {
			parts += varyOf(ctx, t.Completer)
		}
	}
	return parts
}

// varyOf is what a context changes of the answers of c.
func varyOf(ctx context.Context, c holysheep.Completer) (parts string) {
	for c != nil {
		if v, ok := c.(interface {
			Vary(ctx context.Context) string
		}); ok {
			if part := v.Vary(ctx); part != "" {
				parts += "|" + part
			}
		}
		w, ok := c.(interface{ Unwrap() holysheep.Completer })
		if !ok {
			break
		}
		c = w.Unwrap()
	}
	return parts
}

// all gives every target after next.
func (f *Fallback) all() []*target {
	var all []*target
	for _, model := range slices.Sorted(maps.Keys(f.lists)) {
		all = append(all, f.lists[model]...)
	}
	return append(all, f.others...)
}
