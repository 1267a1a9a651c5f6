// Package ledgertest holds the tests that every [holysheep.Ledger] has to pass:
//
//	func TestLedger(t *testing.T) { ledgertest.Run(t, func(t *testing.T) holysheep.Ledger { return open(t) }) }
//
// It uses the standard testing package only.
package ledgertest

import (
	"context"
	"errors"
	"fmt"
	"math/rand/v2"
	"sync"
	"sync/atomic"
	"testing"
	"time"

	"github.com/holysheep-ai/holysheep-go"
)

// Run tests the ledgers that open gives. Each test asks for one of its own; what is opened is closed with its test.
func Run(t *testing.T, open func(t *testing.T) holysheep.Ledger) {
	t.Helper()
	for name, test := range map[string]func(t *testing.T, l holysheep.Ledger){
		"ReserveAndSettle":    reserveAndSettle,
		"TheLimitIsExact":     theLimitIsExact,
		"AllOrNone":           allOrNone,
		"ReserveTwice":        reserveTwice,
		"SettleTwice":         settleTwice,
		"SettledAboveTheHold": settledAboveTheHold,
		"LeaseRunsOut":        leaseRunsOut,
		"LateSettle":          lateSettle,
		"PeriodsAreApart":     periodsAreApart,
		"BadAmounts":          badAmounts,
		"StrangeKeys":         strangeKeys,
		"LastCent":            lastCent,
		"Random":              random,
		"Switches":            switches,
	} {
		t.Run(name, func(t *testing.T) { test(t, open(t)) })
	}
}

const limit = 500 * dollar

const dollar holysheep.USD = 1_000_000_000_000

// A day of the past: a ledger goes by the times it is given, whatever a clock says.
var noon = time.Date(2026, 11, 24, 12, 0, 0, 0, time.UTC)

func reservation(id string, amount holysheep.USD, keys ...string) holysheep.Reservation {
	r := holysheep.Reservation{ID: id, Now: noon, Lease: time.Minute}
	for _, key := range keys {
		r.Holds = append(r.Holds, holysheep.Hold{Key: key, Amount: amount, Limit: limit, Ends: noon.Add(12 * time.Hour)})
	}
	return r
}

// reserve fails the test unless r comes to refused.
func reserve(t *testing.T, l holysheep.Ledger, r holysheep.Reservation, refused int) {
	t.Helper()
	got, err := l.Reserve(t.Context(), r)
	if err != nil || got != refused {
		t.Fatalf("Reserve %s: got %d, %v, want %d", r.ID, got, err, refused)
	}
}

func settle(t *testing.T, l holysheep.Ledger, id string, spent holysheep.USD) []holysheep.Account {
	t.Helper()
	accounts, err := l.Settle(t.Context(), id, noon, spent)
	if err != nil {
		t.Fatalf("Settle %s: %v", id, err)
	}
	return accounts
}

func expect(t *testing.T, l holysheep.Ledger, at time.Time, want holysheep.Account) {
	t.Helper()
	got, err := l.Account(t.Context(), want.Key, at)
	if err != nil || got != want {
		t.Fatalf("got %+v, %v\nwant %+v", got, err, want)
	}
}

func reserveAndSettle(t *testing.T, l holysheep.Ledger) {
	expect(t, l, noon, holysheep.Account{Key: "a"})
	reserve(t, l, reservation("1", 10, "a"), -1)
	reserve(t, l, reservation("2", 20, "a"), -1)
	expect(t, l, noon, holysheep.Account{Key: "a", Reserved: 30})
	accounts := settle(t, l, "1", 7)
	if want := (holysheep.Account{Key: "a", Spent: 7, Reserved: 20}); len(accounts) != 1 || accounts[0] != want {
		t.Fatalf("got %+v, want %+v", accounts, want)
	}
	settle(t, l, "2", 0)
	expect(t, l, noon, holysheep.Account{Key: "a", Spent: 7})
}

// One picodollar counts, also far above 2^53, where floating-point numbers no longer tell neighbours apart.
func theLimitIsExact(t *testing.T, l holysheep.Ledger) {
	for i, limit := range []holysheep.USD{10, 500 * dollar, 50_000 * dollar, 9_223_372 * dollar} {
		key := fmt.Sprint("a", i)
		r := reservation("most"+key, limit-1, key)
		r.Holds[0].Limit = limit
		reserve(t, l, r, -1)
		r.ID, r.Holds[0].Amount = "two"+key, 2
		reserve(t, l, r, 0)
		r.ID, r.Holds[0].Amount = "one"+key, 1
		reserve(t, l, r, -1)
		r.ID = "more" + key
		reserve(t, l, r, 0)
		r.ID, r.Holds[0].Amount = "none"+key, 0
		reserve(t, l, r, -1)
		expect(t, l, noon, holysheep.Account{Key: key, Reserved: limit})
	}
}

func allOrNone(t *testing.T, l holysheep.Ledger) {
	reserve(t, l, reservation("1", limit-5, "b"), -1)
	reserve(t, l, reservation("2", 6, "a", "b", "c"), 1)
	for _, key := range []string{"a", "c"} {
		expect(t, l, noon, holysheep.Account{Key: key})
	}
	reserve(t, l, reservation("2", 5, "a", "b", "c"), -1) // a refused id was never taken
	accounts := settle(t, l, "2", 4)
	for i, want := range []holysheep.Account{{Key: "a", Spent: 4}, {Key: "b", Spent: 4, Reserved: limit - 5}, {Key: "c", Spent: 4}} {
		if accounts[i] != want {
			t.Fatalf("account %d: got %+v, want %+v", i, accounts[i], want)
		}
	}
}

func reserveTwice(t *testing.T, l holysheep.Ledger) {
	reserve(t, l, reservation("1", limit, "a"), -1)
	reserve(t, l, reservation("1", limit, "a"), -1)
	expect(t, l, noon, holysheep.Account{Key: "a", Reserved: limit})
}

func settleTwice(t *testing.T, l holysheep.Ledger) {
	reserve(t, l, reservation("1", 10, "a"), -1)
	settle(t, l, "1", 7)
	if _, err := l.Settle(t.Context(), "1", noon, 7); !errors.Is(err, holysheep.ErrNoReservation) {
		t.Fatalf("the second settle: %v", err)
	}
	if _, err := l.Settle(t.Context(), "never", noon, 7); !errors.Is(err, holysheep.ErrNoReservation) {
		t.Fatalf("an unknown id: %v", err)
	}
	expect(t, l, noon, holysheep.Account{Key: "a", Spent: 7})
}

// What was spent counts in full, also when it is more than was held, or than there is.
func settledAboveTheHold(t *testing.T, l holysheep.Ledger) {
	reserve(t, l, reservation("1", 10, "a"), -1)
	settle(t, l, "1", limit+5)
	expect(t, l, noon, holysheep.Account{Key: "a", Spent: limit + 5})
	reserve(t, l, reservation("2", 1, "a"), 0)
}

func leaseRunsOut(t *testing.T, l holysheep.Ledger) {
	reserve(t, l, reservation("1", 10, "a"), -1)
	expect(t, l, noon.Add(59*time.Second), holysheep.Account{Key: "a", Reserved: 10})
	expect(t, l, noon.Add(62*time.Second), holysheep.Account{Key: "a", Spent: 10, Expired: 10})
	r := reservation("2", limit-9, "a")
	r.Now = noon.Add(62 * time.Second)
	reserve(t, l, r, 0)
}

func lateSettle(t *testing.T, l holysheep.Ledger) {
	reserve(t, l, reservation("1", 10, "a"), -1)
	late := noon.Add(5 * time.Minute)
	expect(t, l, late, holysheep.Account{Key: "a", Spent: 10, Expired: 10})
	if _, err := l.Settle(t.Context(), "1", late, 3); err != nil {
		t.Fatal(err)
	}
	expect(t, l, late, holysheep.Account{Key: "a", Spent: 3})
}

// A reservation books to the account it was made on, whatever the time is when it is settled.
func periodsAreApart(t *testing.T, l holysheep.Ledger) {
	today, tomorrow := reservation("1", limit, "a/2026-11-24"), reservation("2", limit, "a/2026-11-25")
	reserve(t, l, today, -1)
	tomorrow.Now = noon.Add(30 * time.Second)
	tomorrow.Holds[0].Ends = noon.Add(36 * time.Hour)
	reserve(t, l, tomorrow, -1)
	settle(t, l, "1", 5)
	expect(t, l, noon, holysheep.Account{Key: "a/2026-11-24", Spent: 5})
	expect(t, l, noon, holysheep.Account{Key: "a/2026-11-25", Reserved: limit})
}

func badAmounts(t *testing.T, l holysheep.Ledger) {
	if refused, err := l.Reserve(t.Context(), reservation("1", -1, "a")); err == nil && refused != 0 {
		t.Fatal("a negative amount was granted")
	}
	r := reservation("2", 1<<62, "a")
	r.Holds[0].Limit = 1<<63 - 1
	reserve(t, l, r, -1)
	r.ID = "3"
	reserve(t, l, r, 0)
	r.ID, r.Holds[0].Amount = "4", 1<<62-1
	reserve(t, l, r, -1)
	expect(t, l, noon, holysheep.Account{Key: "a", Reserved: 1<<63 - 1})
}

func strangeKeys(t *testing.T, l holysheep.Ledger) {
	for i, key := range []string{"a b", "{a}", "a:*", "ключ/日本", "a'; DROP TABLE accounts;--", "a\\0%"} {
		id := fmt.Sprint("id ", key)
		reserve(t, l, reservation(id, holysheep.USD(i+1), key), -1)
		settle(t, l, id, holysheep.USD(i+1))
		expect(t, l, noon, holysheep.Account{Key: key, Spent: holysheep.USD(i + 1)})
	}
}

// A thousand callers at the last cents: what is granted never exceeds the limit, and none of it stays unused.
func lastCent(t *testing.T, l holysheep.Ledger) {
	const callers, amount, room = 1000, 7, 100
	reserve(t, l, reservation("before", limit-room*amount-3, "a"), -1)
	var granted atomic.Int64
	var wg sync.WaitGroup
	start := make(chan struct{})
	for i := range callers {
		wg.Go(func() {
			<-start
			refused, err := l.Reserve(context.WithoutCancel(t.Context()), reservation(fmt.Sprint("caller ", i), amount, "a"))
			if err != nil {
				t.Error(err)
			}
			if err == nil && refused < 0 {
				granted.Add(1)
			}
		})
	}
	close(start)
	wg.Wait()
	if granted.Load() != room {
		t.Fatalf("%d were granted, there was room for %d", granted.Load(), room)
	}
	expect(t, l, noon, holysheep.Account{Key: "a", Reserved: limit - 3})
}

// Many callers over three accounts, settling less and more than they held: the accounts end at what was settled.
func random(t *testing.T, l holysheep.Ledger) {
	const callers, calls = 8, 50
	keys := []string{"a", "b", "c"}
	var sums [3]atomic.Int64
	var wg sync.WaitGroup
	for c := range callers {
		wg.Go(func() {
			rng := rand.New(rand.NewPCG(1, uint64(c)))
			for i := range calls {
				first, n := rng.IntN(len(keys)), 1+rng.IntN(len(keys))
				r := reservation(fmt.Sprint(c, "/", i), holysheep.USD(rng.Int64N(int64(dollar))))
				for j := range n {
					r.Holds = append(r.Holds, holysheep.Hold{Key: keys[(first+j)%len(keys)], Amount: 1 + holysheep.USD(j), Limit: limit, Ends: noon.Add(time.Hour)})
				}
				if refused, err := l.Reserve(context.WithoutCancel(t.Context()), r); err != nil || refused >= 0 {
					t.Errorf("refused %d: %v", refused, err)
					return
				}
				spent := rng.Int64N(100)
				if _, err := l.Settle(context.WithoutCancel(t.Context()), r.ID, noon, holysheep.USD(spent)); err != nil {
					t.Error(err)
					return
				}
				for j := range n {
					sums[(first+j)%len(keys)].Add(spent)
				}
			}
		})
	}
	wg.Wait()
	for i, key := range keys {
		expect(t, l, noon, holysheep.Account{Key: key, Spent: holysheep.USD(sums[i].Load())})
	}
}

// Switches block what they concern and nothing else, until they are lifted; each leaves a row.
func switches(t *testing.T, l holysheep.Ledger) {
	op, ok := l.(holysheep.Operator)
	if !ok {
		t.Skip("this ledger has no switches")
	}
	var rows []holysheep.Switch
	set := func(s holysheep.Switch) {
		s.At, s.By, s.Reason = noon.Add(time.Duration(len(rows))*time.Second), "ann", "a test"
		if err := op.SetSwitch(t.Context(), s); err != nil {
			t.Fatal(err)
		}
		rows = append(rows, s)
	}
	call := reservation("", 1, "a")
	call.Model, call.Tags = "gpt-4.1", holysheep.Tags{"tenant": "acme", "feature": "x/y"}
	n := 0
	expectBlocked := func(want bool) {
		t.Helper()
		n++
		call.ID = fmt.Sprint("switch ", n)
		refused, err := l.Reserve(t.Context(), call)
		if want && !errors.Is(err, holysheep.ErrBlocked) || !want && (err != nil || refused >= 0) {
			t.Fatalf("after %+v: got %d, %v, want blocked: %v", rows, refused, err, want)
		}
	}
	expectBlocked(false)
	for _, target := range []string{"all", "model/gpt-4.1", "tag/tenant/acme", "tag/feature/x/y"} {
		set(holysheep.Switch{Target: target, On: true})
		expectBlocked(true)
		set(holysheep.Switch{Target: target})
		expectBlocked(false)
	}
	for _, target := range []string{"model/gpt-4", "tag/tenant/acm", "tag/app/acme"} {
		set(holysheep.Switch{Target: target, On: true})
		expectBlocked(false)
	}

	// A raised limit holds for its account, to the picodollar.
	held, err := l.Account(t.Context(), "a", noon)
	if err != nil {
		t.Fatal(err)
	}
	call.Holds[0].Limit = held.Reserved
	full := call
	full.ID = "over the limit"
	reserve(t, l, full, 0)
	set(holysheep.Switch{Target: "limit/a", On: true, Limit: 60_000 * dollar})
	account, err := l.Account(t.Context(), "a", noon)
	if err != nil || account.Limit != 60_000*dollar {
		t.Fatalf("got %+v, %v", account, err)
	}
	full.ID, full.Holds[0].Amount = "one too many", 60_000*dollar-account.Reserved+1
	reserve(t, l, full, 0)
	full.ID, full.Holds[0].Amount = "all of it", 60_000*dollar-account.Reserved
	reserve(t, l, full, -1)
	set(holysheep.Switch{Target: "limit/a"})
	full.ID, full.Holds[0].Amount = "after", 1
	reserve(t, l, full, 0)

	if err := op.SetSwitch(t.Context(), holysheep.Switch{Target: "models/gpt-4.1", On: true, By: "ann"}); !errors.Is(err, holysheep.ErrBadRequest) {
		t.Fatalf("a switch for nothing: %v", err)
	}
	got, err := op.Switches(t.Context())
	if err != nil || len(got) != len(rows) {
		t.Fatalf("%d rows, %v, want %d", len(got), err, len(rows))
	}
	for i := range rows {
		if !got[i].At.Equal(rows[i].At) {
			t.Fatalf("row %d: got %+v, want %+v", i, got[i], rows[i])
		}
		if got[i].At = rows[i].At; got[i] != rows[i] {
			t.Fatalf("row %d: got %+v, want %+v", i, got[i], rows[i])
		}
	}
}
