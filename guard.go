package holysheep

import "context"

// A guard is asked before money may be spent, and told what was. Budgets and the caps of scopes are guards.
type guard interface {
	// hold reserves amount for the call id, or refuses. Asked again for the same id it holds that much more.
	hold(ctx context.Context, id string, amount USD) error

	// settle ends the reservation: spent is what counts, the rest is free again. It is called exactly once for
	// every id with a hold, with a context that is not cancelled.
	settle(ctx context.Context, id string, spent USD)
}

// reservation is the money held for one call by all its guards: by all of them or by none.
type reservation struct {
	guards []guard
	id     string
	held   USD
	open   int // how many of guards, from the first, have a hold
}

// take holds amount more at every guard, in order. When one refuses, a first hold is given back in reverse
// order; after that the earlier holds stay, because attempts were sent on them.
func (r *reservation) take(ctx context.Context, amount USD) error {
	first := r.open == 0
	for i, g := range r.guards {
		err := g.hold(ctx, r.id, amount)
		if err == nil {
			r.open = max(r.open, i+1)
			continue
		}
		if first {
			r.settle(ctx, 0)
		}
		return err
	}
	r.held = r.held.Plus(amount)
	return nil
}

// settle ends the holds. The second call does nothing.
func (r *reservation) settle(ctx context.Context, spent USD) {
	ctx = context.WithoutCancel(ctx)
	for r.open > 0 {
		r.open--
		r.guards[r.open].settle(ctx, r.id, spent)
	}
}
