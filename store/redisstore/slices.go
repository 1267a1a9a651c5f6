package redisstore

import (
	"context"
	"errors"
	"fmt"
	"math/rand/v2"
	"strconv"
	"sync"
	"time"

	"github.com/holysheep-ai/holysheep-go"
)

// Slices is a ledger for very high rates: it reserves slices of a shared ledger's accounts, and grants calls out of
// them without asking again. The limit holds as before, since a slice is reserved before anything of it is granted.
//
// What that costs: a process that dies takes with it what was left of its slices (they count as spent when their lease
// runs out), at most Size for each account; near the limit that much may lie idle in each process for Keep; and
// operators' switches and other processes' spending are seen with the next slice, up to Keep late. Close gives all
// slices back.
type Slices struct {
	shared holysheep.Ledger
	size   holysheep.USD
	keep   time.Duration
	prefix string // of the slices' ids, unique to this process

	mu     sync.Mutex
	closed bool
	number int
	open   map[string]*slice // by account
	calls  map[string][]part // by reservation
	giving sync.WaitGroup
}

// SliceOptions are what Slices can be told.
type SliceOptions struct {
	// Size of a slice; a call that needs more gets one of its own size. Required, above zero. A thousandth of the
	// limit for each process is a good start.
	Size holysheep.USD

	// Keep is how long a slice is granted from before what is left goes back. Default: 10 s.
	Keep time.Duration
}

// slice is a reservation in the shared ledger, granted from locally.
type slice struct {
	id      string
	account holysheep.Account // as it was when the slice was taken
	amount  holysheep.USD
	held    holysheep.USD // for calls on their way
	spent   holysheep.USD
	retired bool // nothing more is granted from it
	timer   *time.Timer
}

// part is what a call holds of a slice.
type part struct {
	slice  *slice
	amount holysheep.USD
}

// NewSlices makes a ledger on top of a shared one, which stays the caller's.
func NewSlices(shared holysheep.Ledger, opts SliceOptions) (*Slices, error) {
	if opts.Size <= 0 {
		return nil, &holysheep.RequestError{Field: "SliceOptions.Size", Reason: fmt.Sprintf("%v is not above zero", opts.Size)}
	}
	if opts.Keep < 0 {
		return nil, &holysheep.RequestError{Field: "SliceOptions.Keep", Reason: fmt.Sprintf("%v is negative", opts.Keep)}
	}
	if opts.Keep == 0 {
		opts.Keep = 10 * time.Second
	}
	return &Slices{
		shared: shared, size: opts.Size, keep: opts.Keep, prefix: "slice/" + strconv.FormatUint(rand.Uint64(), 36) + "/",
		open: map[string]*slice{}, calls: map[string][]part{},
	}, nil
}

// Reserve implements [holysheep.Ledger].
func (s *Slices) Reserve(ctx context.Context, r holysheep.Reservation) (refused int, err error) {
	for {
		missing, done := s.grant(r)
		if done {
			return -1, nil
		}
		full, err := s.fetch(ctx, r, missing)
		if err != nil {
			return 0, err
		}
		if full {
			return missing, nil
		}
	}
}

// grant gives the call what it holds out of the open slices, or tells the first hold that there is too little for.
func (s *Slices) grant(r holysheep.Reservation) (missing int, done bool) {
	s.mu.Lock()
	defer s.mu.Unlock()
	if _, again := s.calls[r.ID]; again {
		return 0, true
	}
	for i, h := range r.Holds {
		if sl := s.open[h.Key]; sl == nil || h.Amount < 0 || h.Amount > sl.amount-sl.held-sl.spent {
			return i, false
		}
	}
	parts := make([]part, len(r.Holds))
	for i, h := range r.Holds {
		sl := s.open[h.Key]
		sl.held += h.Amount
		parts[i] = part{sl, h.Amount}
	}
	s.calls[r.ID] = parts
	return 0, true
}

// fetch takes another slice for a hold, of the usual size or, where that does not fit, of just what is needed.
func (s *Slices) fetch(ctx context.Context, r holysheep.Reservation, i int) (full bool, err error) {
	h := r.Holds[i]
	if h.Amount < 0 {
		return true, nil
	}
	s.mu.Lock()
	if s.closed {
		s.mu.Unlock()
		return false, fmt.Errorf("redisstore: %w: the slices are closed", holysheep.ErrLedger)
	}
	s.number++
	sl := &slice{id: s.prefix + strconv.Itoa(s.number), amount: max(s.size, h.Amount)}
	s.mu.Unlock()
	take := r
	take.ID, take.Lease = sl.id, max(r.Lease, s.keep)+r.Lease
	for {
		take.Holds = []holysheep.Hold{h}
		take.Holds[0].Amount = sl.amount
		refused, err := s.shared.Reserve(ctx, take)
		if err != nil {
			_, _ = s.shared.Settle(context.WithoutCancel(ctx), sl.id, r.Now, 0) // it may be held all the same
			return false, err
		}
		if refused < 0 {
			break
		}
		if sl.amount == h.Amount {
			return true, nil
		}
		sl.amount = h.Amount
	}
	if sl.account, err = s.shared.Account(ctx, h.Key, r.Now); err != nil {
		sl.account = holysheep.Account{Key: h.Key}
	}
	s.mu.Lock()
	defer s.mu.Unlock()
	s.retire(s.open[h.Key]) // a rest that is too small for this call
	s.open[h.Key] = sl
	sl.timer = time.AfterFunc(s.keep, func() {
		s.mu.Lock()
		defer s.mu.Unlock()
		s.retire(sl)
	})
	return false, nil
}

// retire lets nothing more be granted from a slice; when nothing is held of it any more it is settled. The lock is
// held.
func (s *Slices) retire(sl *slice) {
	if sl == nil || sl.retired {
		return
	}
	sl.retired = true
	sl.timer.Stop()
	if s.open[sl.account.Key] == sl {
		delete(s.open, sl.account.Key)
	}
	s.giveBack(sl)
}

// giveBack settles a slice that is done with. The lock is held.
func (s *Slices) giveBack(sl *slice) {
	if !sl.retired || sl.held > 0 {
		return
	}
	s.giving.Go(func() {
		ctx, cancel := context.WithTimeout(context.Background(), 5*time.Second)
		defer cancel()
		for ctx.Err() == nil {
			_, err := s.shared.Settle(ctx, sl.id, time.Now(), sl.spent)
			if err == nil || errors.Is(err, holysheep.ErrNoReservation) {
				return
			}
			time.Sleep(50 * time.Millisecond)
		} // else its lease runs out, and it counts as spent
	})
}

// Settle implements [holysheep.Ledger]. The accounts it gives are those of the last slice, with what this process has
// spent since.
func (s *Slices) Settle(_ context.Context, id string, _ time.Time, spent holysheep.USD) ([]holysheep.Account, error) {
	s.mu.Lock()
	defer s.mu.Unlock()
	parts, ok := s.calls[id]
	if !ok {
		return nil, fmt.Errorf("redisstore: %w: %q", holysheep.ErrNoReservation, id)
	}
	delete(s.calls, id)
	accounts := make([]holysheep.Account, len(parts))
	for i, p := range parts {
		p.slice.held -= p.amount
		p.slice.spent = p.slice.spent.Plus(max(spent, 0))
		accounts[i] = p.slice.now()
		s.giveBack(p.slice)
	}
	return accounts, nil
}

// now is the account as this process knows it.
func (sl *slice) now() holysheep.Account {
	a := sl.account
	a.Spent = a.Spent.Plus(sl.spent)
	a.Reserved = max(a.Reserved-sl.spent, 0)
	return a
}

// Account implements [holysheep.Ledger]: the shared account, in which slices are reserved.
func (s *Slices) Account(ctx context.Context, key string, now time.Time) (holysheep.Account, error) {
	return s.shared.Account(ctx, key, now)
}

// SetSwitch implements [holysheep.Operator], in the shared ledger.
func (s *Slices) SetSwitch(ctx context.Context, sw holysheep.Switch) error {
	op, ok := s.shared.(holysheep.Operator)
	if !ok {
		return fmt.Errorf("redisstore: %w: a %T has no switches", holysheep.ErrLedger, s.shared)
	}
	return op.SetSwitch(ctx, sw)
}

// Switches implements [holysheep.Operator]; a shared ledger without switches has none.
func (s *Slices) Switches(ctx context.Context) ([]holysheep.Switch, error) {
	op, ok := s.shared.(holysheep.Operator)
	if !ok {
		return nil, nil
	}
	return op.Switches(ctx)
}

// Close gives the slices back, and waits for that. Close the clients that use it first.
func (s *Slices) Close() error {
	s.mu.Lock()
	s.closed = true
	for _, sl := range s.open {
		s.retire(sl)
	}
	s.mu.Unlock()
	s.giving.Wait()
	return nil
}
