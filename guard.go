package holysheep

import (
	"context"
	"slices"
	"strconv"
)

// A guard is asked before money may be spent, and told what was. Budgets and the caps of scopes are guards.
type guard interface {
	// hold reserves amount for a call to model under id, or refuses. Not held and no error: the call may go on
	// unguarded.
	hold(ctx context.Context, id, model string, amount USD) (held bool, err error)

	// settle ends the reservation: spent is what counts, and what was held is free again. It is called exactly once
	// for every id that is held, with a context that is not cancelled.
	settle(ctx context.Context, id string, held, spent USD)
}

// reservation is the money held for one call by all its guards: by all of them or by none.
type reservation struct {
	guards []guard
	id     string
	model  string
	held   USD
	rounds int // how often money was taken
	taken  []hold
	first  [2]hold // room for the usual number
}

type hold struct {
	guard  guard
	id     string
	amount USD
}

// take holds amount more at every guard, in order. When one refuses, what this round has taken is given back in
// reverse order; earlier rounds stay, because attempts were sent on them.
func (r *reservation) take(ctx context.Context, amount USD) error {
	id := r.id
	if r.rounds > 0 {
		id += "+" + strconv.Itoa(r.rounds)
	}
	r.rounds++
	if r.taken == nil {
		r.taken = r.first[:0]
	}
	before := len(r.taken)
	for _, g := range r.guards {
		held, err := g.hold(ctx, id, r.model, amount)
		if err != nil {
			for len(r.taken) > before {
				h := r.taken[len(r.taken)-1]
				r.taken = r.taken[:len(r.taken)-1]
				h.guard.settle(context.WithoutCancel(ctx), h.id, h.amount, 0)
			}
			return err
		}
		if held {
			r.taken = append(r.taken, hold{g, id, amount})
		}
	}
	r.held = r.held.Plus(amount)
	return nil
}

// settle ends the holds: all that was spent is booked to the first of each guard, so that at no time less is counted
// than was spent. The second call does nothing.
func (r *reservation) settle(ctx context.Context, spent USD) {
	ctx = context.WithoutCancel(ctx)
	taken := r.taken
	r.taken = nil
	for i, h := range taken {
		share := spent
		if slices.ContainsFunc(taken[:i], func(before hold) bool { return before.guard == h.guard }) {
			share = 0
		}
		h.guard.settle(ctx, h.id, h.amount, share)
	}
}
