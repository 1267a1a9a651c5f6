package holysheep

import (
	"context"
	"errors"
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
	// that its limit has no room for. Asked again with an ID that it has granted, it grants without taking more.
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
}

// What ledgers answer, for errors.Is.
var (
	ErrNoReservation = errors.New("no such reservation") // settled already, or never taken
	ErrLedger        = errors.New("ledger not usable")   // out of reach, or it lost its accounts: nothing may be spent
)
