package holysheep

import (
	"context"
	"fmt"
	"slices"
	"strings"
	"sync"
	"time"
)

// MemoryLedger is the ledger of one process: what it knows ends with it. The zero value is ready. Do not copy it.
type MemoryLedger struct {
	mu       sync.Mutex
	accounts map[string]*account
	held     map[string]*taken
	free     *taken    // used again, so that a reservation allocates nothing
	swept    time.Time // when leases were last looked at
	switches map[string]Switch
	rows     []Switch // of switches
}

type account struct {
	Account
	ends time.Time
}

// taken is a reservation on its way.
type taken struct {
	holds   []heldOn
	until   time.Time // of the lease
	expired bool
	next    *taken // in the free list
}

type heldOn struct {
	account *account
	amount  USD
}

const (
	sweepEvery = time.Second    // leases run out up to so much late
	lateSettle = 24 * time.Hour // for so long a settle still corrects a lease that ran out, or a period that ended
)

// Reserve implements [Ledger].
func (l *MemoryLedger) Reserve(_ context.Context, r Reservation) (refused int, err error) {
	l.mu.Lock()
	defer l.mu.Unlock()
	l.sweep(r.Now)
	if l.held[r.ID] != nil {
		return -1, nil
	}
	if len(l.switches) > 0 {
		for _, target := range r.Targets() {
			if s, ok := l.switches[target]; ok {
				return 0, s.Blocked()
			}
		}
	}
	t := l.take()
	for i, h := range r.Holds {
		a := l.account(h)
		if a.Limit > 0 {
			h.Limit = a.Limit
		}
		if used := a.Spent.Plus(a.Reserved); h.Amount < 0 || h.Amount > h.Limit || used > h.Limit-h.Amount {
			l.release(t)
			return i, nil
		}
		a.Reserved += h.Amount
		t.holds = append(t.holds, heldOn{a, h.Amount})
	}
	t.until = r.Now.Add(r.Lease)
	l.held[r.ID] = t
	return -1, nil
}

// Settle implements [Ledger].
func (l *MemoryLedger) Settle(_ context.Context, id string, now time.Time, spent USD) ([]Account, error) {
	l.mu.Lock()
	defer l.mu.Unlock()
	l.sweep(now)
	t := l.held[id]
	if t == nil {
		return nil, fmt.Errorf("holysheep: %w: %q", ErrNoReservation, id)
	}
	delete(l.held, id)
	accounts := make([]Account, len(t.holds))
	for i, h := range t.holds {
		a := h.account
		if t.expired {
			a.Expired -= h.amount
			a.Spent -= h.amount
		} else {
			a.Reserved -= h.amount
		}
		a.Spent = a.Spent.Plus(spent)
		accounts[i] = a.Account
	}
	t.holds = t.holds[:0]
	l.release(t)
	return accounts, nil
}

// Account implements [Ledger].
func (l *MemoryLedger) Account(_ context.Context, key string, now time.Time) (Account, error) {
	l.mu.Lock()
	defer l.mu.Unlock()
	l.sweep(now)
	if a := l.accounts[key]; a != nil {
		return a.Account, nil
	}
	return Account{Key: key}, nil
}

// SetSwitch implements [Operator].
func (l *MemoryLedger) SetSwitch(_ context.Context, s Switch) error {
	if err := s.Check(); err != nil {
		return err
	}
	l.mu.Lock()
	defer l.mu.Unlock()
	l.rows = append(l.rows, s)
	if len(l.rows) > maxSwitchRows {
		l.rows = slices.Delete(l.rows, 0, 1)
	}
	if key, ok := strings.CutPrefix(s.Target, SwitchLimit); ok {
		if !s.On {
			s.Limit = 0
		}
		l.account(Hold{Key: key}).Limit = s.Limit
		return nil
	}
	if l.switches == nil {
		l.switches = map[string]Switch{}
	}
	delete(l.switches, s.Target)
	if s.On {
		l.switches[s.Target] = s
	}
	return nil
}

const maxSwitchRows = 10_000

// Switches implements [Operator].
func (l *MemoryLedger) Switches(context.Context) ([]Switch, error) {
	l.mu.Lock()
	defer l.mu.Unlock()
	return slices.Clone(l.rows), nil
}

func (l *MemoryLedger) account(h Hold) *account {
	a := l.accounts[h.Key]
	if a == nil {
		if l.accounts == nil {
			l.accounts, l.held = map[string]*account{}, map[string]*taken{}
		}
		a = &account{Account{Key: h.Key}, h.Ends}
		l.accounts[h.Key] = a
	}
	return a
}

func (l *MemoryLedger) take() *taken {
	t := l.free
	if t == nil {
		return &taken{holds: make([]heldOn, 0, 2)}
	}
	l.free, t.next = t.next, nil
	return t
}

// release gives back what t still holds, and t.
func (l *MemoryLedger) release(t *taken) {
	for _, h := range t.holds {
		h.account.Reserved -= h.amount
	}
	clear(t.holds)
	*t = taken{holds: t.holds[:0], next: l.free}
	l.free = t
}

// sweep lets leases run out, and forgets what has been over for long.
func (l *MemoryLedger) sweep(now time.Time) {
	if now.Sub(l.swept) < sweepEvery {
		return
	}
	l.swept = now
	for id, t := range l.held {
		switch {
		case now.Before(t.until):
		case !t.expired:
			t.expired = true
			for _, h := range t.holds {
				h.account.Reserved -= h.amount
				h.account.Spent += h.amount
				h.account.Expired += h.amount
			}
		case now.Sub(t.until) > lateSettle:
			delete(l.held, id)
		}
	}
	for key, a := range l.accounts {
		if !a.ends.IsZero() && now.Sub(a.ends) > lateSettle && a.Reserved == 0 {
			delete(l.accounts, key)
		}
	}
}
