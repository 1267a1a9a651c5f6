package holysheep

import (
	"context"
	"errors"
	"fmt"
	"strings"
	"time"
)

// A Ledger keeps the accounts of budgets: what is spent, and what is reserved for calls on their way. It is what
// budgets have in common over goroutines, processes and machines. [MemoryLedger] serves one process; package
// ledgertest has the tests that every implementation has to pass.
//
// All methods are safe for concurrent use. Time is an argument: a ledger never asks the clock, except to bound its
// own waiting. One that talks to a server does not repeat what may have been done without the id that makes the
// repetition harmless.
type Ledger interface {
	// Reserve takes all holds of r, or none. It returns -1 when they are granted, else the index of the first hold
	// that its limit has no room for. A switch of an [Operator] against it is ErrBlocked. Asked again with an ID that it has granted, it grants without taking more.
	// An error means that nothing may be spent, although a hold may have been taken: settle it, if only with 0.
	Reserve(ctx context.Context, r Reservation) (refused int, err error)

	// Settle ends the reservation id: spent, which may be more than was held, is added to each of its accounts, and
	// what was held is free again. It gives the accounts as they are then, in the order of the holds. A reservation
	// whose lease ran out was counted as spent; settling corrects that. An id that is not known, or is settled
	// already, changes nothing and is ErrNoReservation.
	Settle(ctx context.Context, id string, now time.Time, spent USD) ([]Account, error)

	// Account looks at one account; an unknown key is an empty account.
	Account(ctx context.Context, key string, now time.Time) (Account, error)
}

// Reservation is money held for one call, on all the accounts that it concerns.
type Reservation struct {
	ID    string // unique to it
	Now   time.Time
	Lease time.Duration // when it is not settled after so long, it counts as spent
	Holds []Hold        // no account twice
	Model string        // what switches may concern
	Tags  Tags          // likewise; not to be changed
}

// Hold is an amount on one account.
type Hold struct {
	Key    string    // of the account; includes the period, so that each period starts anew
	Amount USD       // not negative
	Limit  USD       // of the account: spent and reserved together stay within it
	Ends   time.Time // of the period, after which the account can be forgotten; zero for never
}

// Account is what a ledger knows about one key.
type Account struct {
	Key      string
	Spent    USD // settled, and Expired
	Reserved USD // for calls on their way
	Expired  USD // the part of Spent whose calls never settled: their process died, or a stream was never read on
	Limit    USD // that an operator has set for it; 0 for none, and the limit of the hold counts
}

// An Operator is a ledger with switches, which work at once for everybody who shares it. The ledgers of this project
// are operators: ledger.(holysheep.Operator).
type Operator interface {
	// SetSwitch sets, changes or lifts a switch, and leaves a row behind.
	SetSwitch(ctx context.Context, s Switch) error

	// Switches gives the rows of all switches that were ever set or lifted, oldest first; the last 10,000.
	Switches(ctx context.Context) ([]Switch, error)
}

// Switch is an operator's decision.
type Switch struct {
	// Target is what it concerns: SwitchAll, SwitchModel, SwitchTag or SwitchLimit, with what comes after the slash.
	Target string    `json:"target"`
	On     bool      `json:"on"`              // false lifts it
	Limit  USD       `json:"limit,omitempty"` // of the account, for SwitchLimit: instead of the budget's
	At     time.Time `json:"at"`
	By     string    `json:"by"`
	Reason string    `json:"reason"`
}

// What switches concern.
const (
	SwitchAll   = "all"    // all spending
	SwitchModel = "model/" // and the model's name, as it is asked for
	SwitchTag   = "tag/"   // and a tag's name, "/" and its value
	SwitchLimit = "limit/" // and an account (BudgetStatus.Account): its limit until the period ends
)

// Check says what is wrong with a switch.
func (s Switch) Check() error {
	fail := func(field, reason string) error { return &RequestError{"Switch." + field, reason} }
	kind, name, _ := strings.Cut(s.Target, "/")
	switch {
	case s.By == "":
		return fail("By", "empty: an operator has a name")
	case s.Target == SwitchAll:
	case kind+"/" == SwitchTag && !strings.Contains(name, "/"),
		kind+"/" != SwitchTag && kind+"/" != SwitchModel && kind+"/" != SwitchLimit, name == "":
		return fail("Target", fmt.Sprintf("%.60q is none of all, model/NAME, tag/NAME/VALUE, limit/ACCOUNT", s.Target))
	}
	if isLimit := kind+"/" == SwitchLimit; isLimit && s.On && s.Limit <= 0 || !isLimit && s.Limit != 0 {
		return fail("Limit", fmt.Sprintf("%v: above zero for a limit, and not for anything else", s.Limit))
	}
	return nil
}

// Targets are the switches that would block r.
func (r *Reservation) Targets() []string {
	targets := append(make([]string, 0, 2+len(r.Tags)), SwitchAll, SwitchModel+r.Model)
	for name, value := range r.Tags {
		targets = append(targets, SwitchTag+name+"/"+value)
	}
	return targets
}

// Blocked is the error of Reserve when a switch is against it.
func (s Switch) Blocked() error {
	return fmt.Errorf("%w: %s, by %s: %s", ErrBlocked, s.Target, s.By, s.Reason)
}

// What ledgers answer, for errors.Is.
var (
	ErrBlocked       = errors.New("blocked by an operator") // a switch is against it: nothing may be spent
	ErrNoReservation = errors.New("no such reservation")    // settled already, or never taken
	ErrLedger        = errors.New("ledger not usable")      // out of reach, or it lost its accounts: nothing may be spent
)
