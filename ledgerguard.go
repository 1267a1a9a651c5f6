package holysheep

import (
	"cmp"
	"context"
	"errors"
	"fmt"
	"slices"
	"strconv"
	"strings"
	"time"
)

// ledgerGuard asks one ledger for all the budgets that it keeps, at once.
type ledgerGuard struct {
	ledger  Ledger
	local   bool // it never waits
	lease   time.Duration
	budgets []*Budget
	spawn   func(func())
}

// ledgerTimeout is how long a call waits for a ledger, so that it is refused within 250 ms.
const ledgerTimeout = 240 * time.Millisecond

// newGuards sorts budgets by their ledgers, in the order in which these come.
func newGuards(budgets []*Budget, spawn func(func())) ([]guard, error) {
	var guards []guard
	byLedger := map[Ledger]*ledgerGuard{}
	for i, b := range budgets {
		if b == nil {
			return nil, &RequestError{fmt.Sprintf("Options.Budgets[%d]", i), "nil"}
		}
		if err := b.prepare(); err != nil {
			if e, ok := errors.AsType[*RequestError](err); ok {
				return nil, &RequestError{fmt.Sprintf("Options.Budgets[%d].%s", i, strings.TrimPrefix(e.Field, "Budget.")), e.Reason}
			}
			return nil, err
		}
		g := byLedger[b.Ledger]
		if g == nil {
			_, local := b.Ledger.(*MemoryLedger)
			g = &ledgerGuard{ledger: b.Ledger, local: local, spawn: spawn}
			byLedger[b.Ledger] = g
			guards = append(guards, g)
		}
		if slices.ContainsFunc(g.budgets, func(other *Budget) bool { return other.Name == b.Name }) {
			return nil, &RequestError{fmt.Sprintf("Options.Budgets[%d].Name", i), fmt.Sprintf("%q is there twice in one ledger", b.Name)}
		}
		g.budgets = append(g.budgets, b)
		g.lease = max(g.lease, b.Lease)
	}
	return guards, nil
}

// bounded limits how long a ledger may take, when it is one that waits.
func (g *ledgerGuard) bounded(ctx context.Context) (context.Context, context.CancelFunc) {
	if g.local {
		return ctx, func() {}
	}
	return context.WithTimeout(ctx, ledgerTimeout)
}

func (g *ledgerGuard) hold(ctx context.Context, id, model string, amount USD) (bool, error) {
	now := time.Now()
	r := Reservation{
		ID: id, Now: now, Lease: g.lease, Holds: make([]Hold, len(g.budgets)), Model: model, Tags: ScopeOf(ctx).own(),
	}
	for i, b := range g.budgets {
		value, err := b.valueIn(ctx)
		if err != nil {
			return false, err
		}
		p := b.period(now)
		r.Holds[i] = Hold{Key: b.key(p, value), Amount: amount, Limit: b.limit(value), Ends: p.end}
	}
	bounded, cancel := g.bounded(ctx)
	refused, err := g.ledger.Reserve(bounded, r)
	cancel()
	switch {
	case errors.Is(err, ErrBlocked):
		return false, &BudgetError{BudgetStatus: BudgetStatus{Budget: g.budgets[0].Name}, Needed: amount, Err: err}
	case err != nil:
		return g.unreachable(ctx, r, err)
	case refused >= 0:
		return false, g.refusal(ctx, r, refused)
	}
	return true, nil
}

// unreachable refuses, or lets the call pass when all budgets say so.
func (g *ledgerGuard) unreachable(ctx context.Context, r Reservation, err error) (bool, error) {
	if ctx.Err() != nil {
		return false, &TransportError{Phase: PhaseWait, Err: causeOf(ctx)}
	}
	// The ledger may have taken it all the same; that would count until the lease runs out.
	g.spawn(func() {
		ctx, cancel := g.bounded(context.WithoutCancel(ctx))
		defer cancel()
		_, _ = g.ledger.Settle(ctx, r.ID, time.Now(), 0)
	})
	for _, b := range g.budgets {
		if !b.FailOpen {
			return false, b.notUsable(r.Holds[0].Amount, err)
		}
	}
	for _, b := range g.budgets {
		b.opened.Add(1)
		b.failed(fmt.Errorf("holysheep: budget %q: a call passes unguarded: %w", b.Name, err))
	}
	return false, nil
}

// notUsable is the refusal of a budget whose ledger could not be asked.
func (b *Budget) notUsable(amount USD, err error) error {
	if !errors.Is(err, ErrLedger) {
		err = fmt.Errorf("%w: %w", ErrLedger, err)
	}
	return &BudgetError{BudgetStatus: BudgetStatus{Budget: b.Name, Limit: b.Limit}, Needed: amount, Err: err}
}

func (g *ledgerGuard) refusal(ctx context.Context, r Reservation, i int) error {
	b, h := g.budgets[i], r.Holds[i]
	value, _ := b.valueIn(ctx)
	bounded, cancel := g.bounded(ctx)
	defer cancel()
	account, err := g.ledger.Account(bounded, h.Key, r.Now)
	if err != nil {
		account = Account{Key: h.Key} // the refusal stands without its figures
	}
	status := b.status(value, account, r.Now)
	if h.Amount <= h.Limit {
		g.alert(b, h.Key, 1, status)
	}
	return &BudgetError{BudgetStatus: status, Needed: h.Amount}
}

func (g *ledgerGuard) settle(ctx context.Context, id string, _, spent USD) {
	now := time.Now()
	bounded, cancel := g.bounded(ctx)
	defer cancel()
	accounts, err := g.ledger.Settle(bounded, id, now, spent)
	if err != nil {
		for _, b := range g.budgets {
			b.failed(fmt.Errorf("holysheep: budget %q: %v is not settled: %w", b.Name, spent, err))
		}
		return
	}
	for i, b := range g.budgets {
		if b.OnAlert == nil || spent == 0 || i >= len(accounts) {
			continue
		}
		value, _ := b.valueIn(ctx)
		if accounts[i].Key != b.key(b.period(now), value) {
			continue // the period is over
		}
		part := float64(accounts[i].Spent) / float64(max(cmp.Or(accounts[i].Limit, b.limit(value)), 1))
		if n, _ := slices.BinarySearchFunc(b.Alerts, part, func(a, part float64) int {
			return cmp.Compare(a, part) | 1 // the first above
		}); n > 0 {
			g.alert(b, accounts[i].Key, b.Alerts[n-1], b.status(value, accounts[i], now))
		}
	}
}

// plan adds to q where the budgets stand, and why they would refuse.
func (g *ledgerGuard) plan(ctx context.Context, q *Quote) {
	amount := q.Worst.USD
	if s, ok := g.switched(ctx, q.Model); ok {
		q.Refusals = append(q.Refusals, &BudgetError{BudgetStatus: BudgetStatus{Budget: g.budgets[0].Name}, Needed: amount, Err: s.Blocked()})
	}
	for _, b := range g.budgets {
		bounded, cancel := g.bounded(ctx)
		status, err := b.Status(bounded)
		cancel()
		switch {
		case errors.Is(err, ErrBadRequest):
			q.Refusals = append(q.Refusals, err)
		case err != nil && !b.FailOpen:
			q.Refusals = append(q.Refusals, b.notUsable(amount, err))
		case err == nil && amount > status.Left():
			q.Refusals = append(q.Refusals, &BudgetError{BudgetStatus: status, Needed: amount})
		}
		if err == nil {
			q.Budgets = append(q.Budgets, status)
		}
	}
}

// switched gives the switch that would block a call. A ledger that cannot tell is left to the refusals of its budgets.
func (g *ledgerGuard) switched(ctx context.Context, model string) (Switch, bool) {
	op, ok := g.ledger.(Operator)
	if !ok {
		return Switch{}, false
	}
	bounded, cancel := g.bounded(ctx)
	defer cancel()
	rows, err := op.Switches(bounded)
	if err != nil {
		return Switch{}, false
	}
	r := Reservation{Model: model, Tags: ScopeOf(ctx).own()}
	targets := r.Targets()
	last := map[string]Switch{}
	for _, s := range rows {
		if slices.Contains(targets, s.Target) {
			last[s.Target] = s
		}
	}
	for _, target := range targets {
		if s := last[target]; s.On {
			return s, true
		}
	}
	return Switch{}, false
}

// alert fires the thresholds up to one, those that have not fired yet.
func (g *ledgerGuard) alert(b *Budget, key string, upTo float64, s BudgetStatus) {
	if b.OnAlert == nil {
		return
	}
	known, _ := b.fired.Load(key)
	last, _ := known.(float64)
	if last >= upTo {
		return
	}
	b.fired.Store(key, upTo)
	g.spawn(func() {
		for _, threshold := range b.Alerts {
			if threshold > last && threshold <= upTo && g.first(b, key, threshold, s.ResetsAt) {
				b.OnAlert(threshold, s)
			}
		}
	})
}

// first reports whether nobody has fired this alert before. An alert is an account with room for one picodollar: who
// gets that, fires, and the ledger's promise about money is one about alerts as well. No budget has a key that begins
// with a slash, whatever the values of tags are.
func (g *ledgerGuard) first(b *Budget, key string, threshold float64, ends time.Time) bool {
	ctx, cancel := g.bounded(context.Background())
	defer cancel()
	now, id := time.Now(), newID()
	refused, err := g.ledger.Reserve(ctx, Reservation{ID: id, Now: now, Lease: g.lease, Holds: []Hold{
		{Key: "/" + strconv.FormatFloat(threshold, 'g', -1, 64) + "/" + key, Amount: 1, Limit: 1, Ends: ends},
	}})
	if err != nil {
		b.fired.Delete(key) // somebody will try again
		b.failed(fmt.Errorf("holysheep: budget %q: alert at %v: %w", b.Name, threshold, err))
		return false
	}
	if refused >= 0 {
		return false
	}
	_, _ = g.ledger.Settle(ctx, id, now, 1) // a lease that runs out comes to the same
	return true
}
