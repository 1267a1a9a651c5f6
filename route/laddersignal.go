package route

import (
	"context"
	"fmt"
	"time"

	"github.com/holysheep-ai/holysheep-go"
)

// A Signal says how bad things are. [BudgetSignal] and [BreakerSignal] make one; any function is one.
type Signal struct {
	// Name tells it from others, in receipts. Required.
	Name string

	// Read gives the rung to be on, and why, for people. An error leaves it as it was. It is called by one goroutine
	// at a time for each key, on the way of a call, and should be quick. Required.
	Read func(ctx context.Context) (Rung, string, error)

	// Key tells whom a reading concerns. Default: nil, everybody.
	Key func(ctx context.Context) string
}

// When a budget's signal asks for what.
const (
	farOver    = 1.25 // of the limit, by the forecast
	almostGone = 0.98 // of the limit, spent or reserved
)

// BudgetSignal goes by a budget: [Cheaper] when it will be spent before its period ends, at the average rate so far;
// [Shorter] when it would be spent one and a quarter times; [CachedOnly] when less than a fiftieth is left. A budget for
// each value of a tag concerns the calls with that value alone.
func BudgetSignal(b *holysheep.Budget) Signal {
	s := Signal{
		Name: "budget",
		Read: func(ctx context.Context) (Rung, string, error) {
			st, err := b.Status(ctx)
			if err != nil {
				return AsAsked, "", err
			}
			used, limit := st.Spent.Plus(st.Reserved).Dollars(), st.Limit.Dollars()
			rung := AsAsked
			switch forecast := st.Forecast.Dollars(); {
			case used >= almostGone*limit:
				rung = CachedOnly
			case forecast > farOver*limit:
				rung = Shorter
			case forecast > limit:
				rung = Cheaper
			}
			return rung, st.String(), nil
		},
	}
	if b.Name != "" {
		s.Name += " " + b.Name
	}
	if b.PerTag != "" {
		s.Key = func(ctx context.Context) string { return holysheep.ScopeOf(ctx).Tag(b.PerTag) }
	}
	return s
}

// BreakerSignal goes by a breaker: [Cheaper] while a circuit is open or half-open, [Shorter] while half of them are,
// [CachedOnly] while all of them are open and none may be probed.
func BreakerSignal(b *Breaker) Signal {
	return Signal{
		Name: "breaker",
		Read: func(context.Context) (Rung, string, error) {
			var all, bad, shut int
			now := time.Now()
			for _, st := range b.Statuses() {
				all++
				if st.State != BreakerClosed {
					bad++
				}
				// One that may be probed needs a call to be probed with.
				if st.State == BreakerOpen && (st.Until.After(now) || st.Forced) {
					shut++
				}
			}
			why := fmt.Sprintf("%d of %d circuits are not closed", bad, all)
			switch {
			case bad == 0:
				return AsAsked, why, nil
			case shut == all:
				return CachedOnly, why, nil
			case 2*bad >= all:
				return Shorter, why, nil
			}
			return Cheaper, why, nil
		},
	}
}
