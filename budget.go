package holysheep

import (
	"cmp"
	"context"
	"errors"
	"fmt"
	"reflect"
	"slices"
	"strconv"
	"strings"
	"sync"
	"sync/atomic"
	"time"
)

// A Budget is a limit that lasts: no call starts that could exceed it, whatever runs at the same time. Before a call
// is sent its worst case is reserved, and afterwards what it cost, or may have cost, is settled.
//
// List budgets in Options.Budgets; several may guard one call, and either all grant it or none holds anything. A
// budget may serve several clients. It is not to be changed or copied once a client has it.
type Budget struct {
	// Name of the budget, unique in its ledger. Required.
	Name string

	// Limit for each period, above zero. With PerTag it is the limit of each value. Required.
	Limit USD

	// Period after which the limit starts anew. Default: Total, never.
	Period Period

	// Zone is the IANA name of the time zone whose calendar counts ("Asia/Shanghai"). Default: UTC.
	Zone string

	// PerTag gives each value of this tag of the call's [Scope] an account of its own. A call without the tag is
	// refused. Default: one account for all calls.
	PerTag string

	// LimitFor overrides Limit for a value of PerTag; 0 allows nothing, ok = false leaves Limit as it is. It must be
	// fast and safe for concurrent use. Default: nil.
	LimitFor func(value string) (limit USD, ok bool)

	// Alerts are parts of the limit, above 0 and at most 1, at which OnAlert is told: when so much is spent, and at 1
	// also when a call is refused. Each fires once for a period and account, over all processes that share the
	// ledger. Default: 0.5, 0.8 and 1.
	Alerts []float64

	// OnAlert is called in a goroutine of its own, which Client.Close waits for. Default: nil, no alerts.
	OnAlert func(threshold float64, s BudgetStatus)

	// Ledger keeps the accounts. Default: a MemoryLedger of this budget's own.
	Ledger Ledger

	// Lease is how long a call may hold money without being settled; then, its process may have died, what it held
	// counts as spent. A call that takes longer is settled all the same. Default: 15 min.
	Lease time.Duration

	// FailOpen lets calls pass unguarded when the ledger is out of reach. Default: false, they are refused.
	FailOpen bool

	// OnError is told of what no call can report: it passed by FailOpen, or its settling failed, so that its
	// reservation stays until the lease runs out. It must be fast and safe for concurrent use. Default: nil.
	OnError func(error)

	ready  sync.Once
	bad    error
	zone   *time.Location
	now    atomic.Pointer[span]
	opened atomic.Int64 // calls that passed by FailOpen
	fired  sync.Map     // account key → the highest threshold known to have fired
}

// BudgetStatus is where a budget stands.
type BudgetStatus struct {
	Budget   string    // its name; empty for the cap of a scope
	Value    string    // of the tag whose account it is, "" without PerTag
	Account  string    // the account's key in the ledger
	Limit    USD       // for the period: an operator's, or the budget's
	Spent    USD       // settled, at what may be billed
	Reserved USD       // held for calls on their way
	Expired  USD       // the part of Spent whose calls were never settled
	Starts   time.Time // of the period; zero for Total
	ResetsAt time.Time // the end of the period; zero for Total

	// At the average rate of the period so far: what will be spent at its end, and when the limit is reached, zero
	// if not within the period. Both are zero for Total, and in the first hundredth of a period.
	Forecast  USD
	ReachedAt time.Time
}

// Left is what may still be reserved.
func (s BudgetStatus) Left() USD { return max(s.Limit-s.Spent.Plus(s.Reserved), 0) }

// BudgetError is a call that was not sent, or not sent again, because of a budget or the cap of a scope. It matches
// [ErrBudgetExceeded] when the money does not reach, [ErrBlocked] when an
// operator has blocked it, and [ErrLedger] when the ledger could not be asked.
type BudgetError struct {
	BudgetStatus
	Needed USD   // the worst case that was asked for
	Err    error // of the ledger; nil when the money does not reach
}

func (e *BudgetError) Error() string {
	name := "the scope's cap"
	if e.Budget != "" {
		name = "budget " + strconv.Quote(e.Budget)
	}
	if e.Value != "" {
		name += " for " + strconv.Quote(e.Value)
	}
	if e.Err != nil {
		return "holysheep: " + name + ": " + e.Err.Error()
	}
	s := fmt.Sprintf("holysheep: %v: %s: the call may cost %v; %v of %v is spent and %v reserved",
		ErrBudgetExceeded, name, e.Needed, e.Spent, e.Limit, e.Reserved)
	if !e.ResetsAt.IsZero() {
		s += ", until " + e.ResetsAt.Format(time.RFC3339)
	}
	return s
}

// Is reports whether target is ErrBudgetExceeded and the money does not reach.
func (e *BudgetError) Is(target error) bool { return target == ErrBudgetExceeded && e.Err == nil }

// Unwrap gives what the ledger said.
func (e *BudgetError) Unwrap() error { return e.Err }

const defaultLease = 15 * time.Minute

// prepare checks the budget and fills in its defaults, once.
func (b *Budget) prepare() error {
	b.ready.Do(func() { b.bad = b.fill() })
	return b.bad
}

func (b *Budget) fill() error {
	fail := func(field, reason string) error { return &RequestError{"Budget." + field, reason} }
	if b.Name == "" || len(b.Name) > maxTag || strings.ContainsAny(b.Name, "/{}") || !printable(b.Name) {
		return fail("Name", fmt.Sprintf("%.20q is empty, too long, or has white space, control characters or one of /{}", b.Name))
	}
	if b.Limit <= 0 {
		return fail("Limit", fmt.Sprintf("%v is not above zero", b.Limit))
	}
	if _, err := b.Period.window(); err != nil {
		return fail("Period", err.Error())
	}
	if b.Lease < 0 {
		return fail("Lease", fmt.Sprintf("%v is negative", b.Lease))
	}
	if b.LimitFor != nil && b.PerTag == "" {
		return fail("LimitFor", "set without PerTag")
	}
	var err error
	if b.zone, err = time.LoadLocation(b.Zone); err != nil {
		return fail("Zone", fmt.Sprintf("%.60q: %v (where a system has no time zones, import time/tzdata)", b.Zone, err))
	}
	if b.Zone == "Local" {
		return fail("Zone", `"Local" differs between machines; name the zone`)
	}
	for _, a := range b.Alerts {
		if !(a > 0 && a <= 1) {
			return fail("Alerts", fmt.Sprintf("%v is not above 0 and at most 1", a))
		}
	}
	if b.Alerts = slices.Sorted(slices.Values(b.Alerts)); len(b.Alerts) == 0 {
		b.Alerts = []float64{0.5, 0.8, 1}
	}
	if b.Ledger == nil {
		b.Ledger = &MemoryLedger{}
	}
	if !reflect.TypeOf(b.Ledger).Comparable() {
		return fail("Ledger", "has to be a pointer")
	}
	setDefault(&b.Lease, defaultLease)
	return nil
}

// period is the one that t is in.
func (b *Budget) period(t time.Time) *span {
	if s := b.now.Load(); s != nil && s.contains(t) {
		return s
	}
	s := b.Period.at(t, b.zone)
	b.now.Store(s)
	return s
}

// key names an account: the value comes last, because it may hold anything.
func (b *Budget) key(s *span, value string) string {
	if b.PerTag == "" {
		return b.Name + "/" + s.name
	}
	return b.Name + "/" + s.name + "/" + value
}

// limit is that of a value.
func (b *Budget) limit(value string) USD {
	if b.LimitFor != nil {
		if limit, ok := b.LimitFor(value); ok {
			return max(limit, 0)
		}
	}
	return b.Limit
}

// valueIn is the value of the budget's tag.
func (b *Budget) valueIn(ctx context.Context) (string, error) {
	if b.PerTag == "" {
		return "", nil
	}
	value := ScopeOf(ctx).Tag(b.PerTag)
	if value == "" {
		return "", &RequestError{"Tags", fmt.Sprintf("budget %q needs the tag %q; see NewScope", b.Name, b.PerTag)}
	}
	return value, nil
}

// Status tells where the budget stands now. With PerTag the account is that of the tag in the scope of ctx. The
// error is that of the ledger, or says what is wrong with the budget.
func (b *Budget) Status(ctx context.Context) (BudgetStatus, error) {
	if err := b.prepare(); err != nil {
		return BudgetStatus{}, err
	}
	value, err := b.valueIn(ctx)
	if err != nil {
		return BudgetStatus{}, err
	}
	now := time.Now()
	account, err := b.Ledger.Account(ctx, b.key(b.period(now), value), now)
	if err != nil {
		return BudgetStatus{}, err
	}
	return b.status(value, account, now), nil
}

// OpenedByFailure is how many calls have passed unguarded because of FailOpen.
func (b *Budget) OpenedByFailure() int64 { return b.opened.Load() }

func (b *Budget) status(value string, a Account, now time.Time) BudgetStatus {
	p := b.period(now)
	s := BudgetStatus{
		Budget: b.Name, Value: value, Account: a.Key, Limit: cmp.Or(a.Limit, b.limit(value)),
		Spent: a.Spent, Reserved: a.Reserved, Expired: a.Expired, Starts: p.start, ResetsAt: p.end,
	}
	length, gone := p.end.Sub(p.start), now.Sub(p.start)
	if p.end.IsZero() || gone < length/100 || s.Spent <= 0 {
		return s
	}
	perSecond := float64(s.Spent) / gone.Seconds()
	s.Forecast = Dollars(perSecond * length.Seconds() / dollar)
	if until := float64(s.Limit-s.Spent) / perSecond; until < p.end.Sub(now).Seconds() {
		s.ReachedAt = now.Add(time.Duration(max(until, 0) * float64(time.Second)))
	}
	return s
}

// ledgerGuard asks one ledger for all the budgets that it keeps, at once.
type ledgerGuard struct {
	ledger  Ledger
	local   bool // it never waits
	lease   time.Duration
	budgets []*Budget
	spawn   func(func())
}

// ledgerTimeout is how long a call waits for a ledger before it is refused.
const ledgerTimeout = 250 * time.Millisecond

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
	if !errors.Is(err, ErrLedger) {
		err = fmt.Errorf("%w: %w", ErrLedger, err)
	}
	for _, b := range g.budgets {
		if !b.FailOpen {
			return false, &BudgetError{BudgetStatus: BudgetStatus{Budget: b.Name, Limit: b.Limit}, Needed: r.Holds[0].Amount, Err: err}
		}
	}
	for _, b := range g.budgets {
		b.opened.Add(1)
		b.failed(fmt.Errorf("holysheep: budget %q: a call passes unguarded: %w", b.Name, err))
	}
	return false, nil
}

func (b *Budget) failed(err error) {
	if b.OnError != nil {
		b.OnError(err)
	}
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
// gets that, fires, and the ledger's promise about money is one about alerts as well.
func (g *ledgerGuard) first(b *Budget, key string, threshold float64, ends time.Time) bool {
	ctx, cancel := g.bounded(context.Background())
	defer cancel()
	now, id := time.Now(), newID()
	refused, err := g.ledger.Reserve(ctx, Reservation{ID: id, Now: now, Lease: g.lease, Holds: []Hold{
		{Key: key + "#" + strconv.FormatFloat(threshold, 'g', -1, 64), Amount: 1, Limit: 1, Ends: ends},
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
