package holysheep

import (
	"cmp"
	"context"
	"fmt"
	"math"
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

	// Limit for each period, above zero and below $9.2 million. With PerTag it is the limit of each value. Required.
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

// String says it to a person: `budget "support": $300.00 of $500.00 spent, $2.00 reserved, until 2026-11-25 00:00 CST; at
// this rate it ends at $612.00, and the limit is reached at 2026-11-24 17:40 CST`.
func (s BudgetStatus) String() string {
	const minute = "2006-01-02 15:04 MST"
	text := fmt.Sprintf("%s: %v of %v spent, %v reserved", s.name(), s.Spent, s.Limit, s.Reserved)
	if !s.ResetsAt.IsZero() {
		text += ", until " + s.ResetsAt.Format(minute)
	}
	if s.Forecast > 0 {
		text += "; at this rate it ends at " + s.Forecast.String()
	}
	if !s.ReachedAt.IsZero() {
		text += ", and the limit is reached at " + s.ReachedAt.Format(minute)
	}
	return text
}

func (s BudgetStatus) name() string {
	switch {
	case s.Budget == "":
		return "the scope's cap"
	case s.Value == "":
		return "budget " + strconv.Quote(s.Budget)
	}
	return "budget " + strconv.Quote(s.Budget) + " for " + strconv.Quote(s.Value)
}

// BudgetError is a call that was not sent, or not sent again, because of a budget or the cap of a scope. It matches
// [ErrBudgetExceeded] when the money does not reach, [ErrBlocked] when an
// operator has blocked it, and [ErrLedger] when the ledger could not be asked.
type BudgetError struct {
	BudgetStatus
	Needed USD   // the worst case that was asked for
	Err    error // of the ledger; nil when the money does not reach
}

func (e *BudgetError) Error() string {
	name := e.name()
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
	if b.Limit == math.MaxInt64 {
		return fail("Limit", "more than $9.2 million, which cannot be counted: choose a shorter period")
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
		s.ReachedAt = now.Add(time.Duration(max(until, 0) * float64(time.Second))).In(b.zone)
	}
	return s
}

func (b *Budget) failed(err error) {
	if b.OnError != nil {
		b.OnError(err)
	}
}
