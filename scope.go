package holysheep

import (
	"context"
	"fmt"
	"maps"
	"math"
	"strings"
	"sync"
)

// Tags say what a call is for: tenant, feature, anything.
type Tags map[string]string

// maxTag bounds names and values of tags, because they become parts of account keys.
const maxTag = 200

// A Scope sums up what is spent beneath it: by every call whose context descends from the one that NewScope gave,
// whatever path it took. Scopes nest, and each call is counted once in every scope above it. Safe for concurrent
// use.
type Scope struct {
	parent *Scope
	tags   Tags
	bad    error // what is wrong with the tags

	mu     sync.Mutex
	totals Totals
	held   USD // for calls on their way, when there is a cap
	capped bool
	limit  USD
	shrink bool
}

type scopeKey struct{}

// NewScope opens a scope beneath that of ctx, if there is one. The tags are added to those above; the scope belongs
// to the context returned, and needs no closing.
func NewScope(ctx context.Context, tags Tags) (context.Context, *Scope) {
	s := &Scope{parent: ScopeOf(ctx), tags: maps.Clone(tags), bad: tags.check()}
	if s.parent != nil && len(s.parent.tags) > 0 {
		s.tags = maps.Clone(s.parent.tags)
		maps.Copy(s.tags, tags)
	}
	return context.WithValue(ctx, scopeKey{}, s), s
}

// ScopeOf gives the innermost scope of ctx; nil, which is safe to use, where there is none.
func ScopeOf(ctx context.Context) *Scope {
	s, _ := ctx.Value(scopeKey{}).(*Scope)
	return s
}

// Tag gives the value of a tag, "" if it is not set here or above.
func (s *Scope) Tag(name string) string {
	if s == nil {
		return ""
	}
	return s.tags[name]
}

// Tags gives all tags, those from above included.
func (s *Scope) Tags() Tags {
	if s == nil {
		return nil
	}
	return maps.Clone(s.tags)
}

// own gives all tags, not to be changed.
func (s *Scope) own() Tags {
	if s == nil {
		return nil
	}
	return s.tags
}

// Totals sums up the calls that have ended.
func (s *Scope) Totals() Totals {
	if s == nil {
		return Totals{}
	}
	s.mu.Lock()
	defer s.mu.Unlock()
	return s.totals
}

// Cost is what was spent.
func (s *Scope) Cost() Cost { return s.Totals().Cost }

// SetCap limits what may be spent within the scope, what was spent before included: a call that could exceed it is
// refused with a [*BudgetError] before it is sent. With shrink its max_tokens is lowered instead, as long as some are
// left, so that the answer fits.
func (s *Scope) SetCap(limit USD, shrink bool) {
	s.mu.Lock()
	defer s.mu.Unlock()
	s.capped, s.limit, s.shrink = true, max(limit, 0), shrink
}

// check says what is wrong with the tags, here or above.
func (s *Scope) check() error {
	for ; s != nil; s = s.parent {
		if s.bad != nil {
			return s.bad
		}
	}
	return nil
}

// add counts a finished call, here and above.
func (s *Scope) add(t Totals) {
	for ; s != nil; s = s.parent {
		s.mu.Lock()
		s.totals = s.totals.Plus(t)
		s.mu.Unlock()
	}
}

// isCapped reports whether a cap is set here or above.
func (s *Scope) isCapped() bool {
	for ; s != nil; s = s.parent {
		s.mu.Lock()
		capped := s.capped
		s.mu.Unlock()
		if capped {
			return true
		}
	}
	return false
}

// room is what may still be spent under the caps here and above, and whether all of them allow shrinking.
func (s *Scope) room() (left USD, shrink bool) {
	left, shrink = math.MaxInt64, true
	for ; s != nil; s = s.parent {
		s.mu.Lock()
		if s.capped {
			left, shrink = min(left, s.left()), shrink && s.shrink
		}
		s.mu.Unlock()
	}
	return max(left, 0), shrink
}

// left is what the cap has left. The lock is held.
func (s *Scope) left() USD { return s.limit - s.totals.Cost.AtMost.Plus(s.held) }

// hold makes a Scope a guard: amount is held under every cap here and above, or under none.
func (s *Scope) hold(_ context.Context, _, _ string, amount USD) (bool, error) {
	for at := s; at != nil; at = at.parent {
		if err := at.take(amount); err != nil {
			for below := s; below != at; below = below.parent {
				below.giveBack(amount)
			}
			return false, err
		}
	}
	return true, nil
}

func (s *Scope) take(amount USD) error {
	s.mu.Lock()
	defer s.mu.Unlock()
	if err := s.refusal(amount); err != nil {
		return err
	}
	s.held = s.held.Plus(amount)
	return nil
}

// refusal says why this cap has no room for amount. The lock is held.
func (s *Scope) refusal(amount USD) error {
	if !s.capped || amount <= s.left() {
		return nil
	}
	return &BudgetError{
		Needed:       amount,
		BudgetStatus: BudgetStatus{Spent: s.totals.Cost.AtMost, Reserved: s.held, Limit: s.limit},
	}
}

// refusals are those of all caps, here and above.
func (s *Scope) refusals(amount USD) (errs []error) {
	for ; s != nil; s = s.parent {
		s.mu.Lock()
		err := s.refusal(amount)
		s.mu.Unlock()
		if err != nil {
			errs = append(errs, err)
		}
	}
	return errs
}

func (s *Scope) giveBack(amount USD) {
	s.mu.Lock()
	defer s.mu.Unlock()
	s.held -= amount
}

// settle gives the hold back: what was spent has been counted by then.
func (s *Scope) settle(_ context.Context, _ string, held, _ USD) {
	for ; s != nil; s = s.parent {
		s.giveBack(held)
	}
}

func (t Tags) check() error {
	for name, value := range t {
		if name == "" || len(name) > maxTag || len(value) > maxTag || !printable(name) || value != "" && !printable(strings.ReplaceAll(value, " ", "")) {
			return &RequestError{"Tags", fmt.Sprintf("%.20q: empty or longer than %d bytes, or with control characters, or invalid UTF-8", name, maxTag)}
		}
	}
	return nil
}
