package holysheep_test

import (
	"context"
	"errors"
	"testing"
	"testing/synctest"
	"time"

	"github.com/stretchr/testify/require"

	"github.com/holysheep-ai/holysheep-go"
	"github.com/holysheep-ai/holysheep-go/holysheeptest"
)

func TestPlanShowsHeadroom(t *testing.T) {
	gw := holysheeptest.Start(t)
	_, worst := budgeted(t, gw)
	b := &holysheep.Budget{Name: "b", Limit: worst}
	c, _ := budgeted(t, gw, b)
	q, err := holysheep.Plan(t.Context(), c, ask("x"))
	require.NoError(t, err)
	require.Empty(t, q.Refusals)
	require.Equal(t, worst, q.Budgets[0].Left())
	_, err = c.Chat(t.Context(), ask("x"))
	require.NoError(t, err)
	q, err = holysheep.Plan(t.Context(), c, ask("x"))
	require.NoError(t, err)
	require.Len(t, q.Refusals, 1)
	require.ErrorIs(t, q.Refusals[0], holysheep.ErrBudgetExceeded)
	require.Less(t, q.Budgets[0].Left(), worst)
}

// What would be refused is said beforehand, and why: a switch, a ledger out of reach, a tag that is missing.
func TestPlanTellsRefusals(t *testing.T) {
	synctest.Test(t, func(t *testing.T) {
		gw := holysheeptest.Start(t)
		ctx, _ := holysheep.NewScope(t.Context(), holysheep.Tags{"tenant": "acme"})
		ledger := &holysheep.MemoryLedger{}
		b := &holysheep.Budget{Name: "b", Limit: holysheep.Dollars(1), Ledger: ledger, PerTag: "tenant"}
		c, worst := budgeted(t, gw, b)
		refusal := func(ctx context.Context, c *holysheep.Client) error {
			q, err := holysheep.Plan(ctx, c, ask("x"))
			require.NoError(t, err)
			require.Equal(t, worst, q.Worst.USD)
			require.Equal(t, "2026-11", q.PriceDate)
			return errors.Join(q.Refusals...)
		}
		require.NoError(t, refusal(ctx, c))
		require.ErrorIs(t, refusal(t.Context(), c), holysheep.ErrBadRequest, "no tenant")
		for _, target := range []string{holysheep.SwitchAll, holysheep.SwitchModel + holysheep.DeepSeekV32, holysheep.SwitchTag + "tenant/acme"} {
			s := holysheep.Switch{Target: target, On: true, By: "ann", Reason: "a test"}
			require.NoError(t, ledger.SetSwitch(ctx, s))
			require.ErrorIs(t, refusal(ctx, c), holysheep.ErrBlocked)
			_, err := c.Chat(ctx, ask("x"))
			require.ErrorIs(t, err, holysheep.ErrBlocked)
			s.On = false
			require.NoError(t, ledger.SetSwitch(ctx, s))
			require.NoError(t, refusal(ctx, c))
		}
		require.NoError(t, ledger.SetSwitch(ctx, holysheep.Switch{Target: holysheep.SwitchTag + "tenant/bell", On: true, By: "ann"}))
		require.NoError(t, refusal(ctx, c))

		silent := &brokenLedger{hang: true}
		for _, open := range []bool{false, true} {
			c, _ := budgeted(t, gw, &holysheep.Budget{Name: "b", Limit: holysheep.Dollars(1), Ledger: silent, FailOpen: open})
			start := time.Now()
			err := refusal(ctx, c)
			require.Equal(t, !open, errors.Is(err, holysheep.ErrLedger), "%v", err)
			require.LessOrEqual(t, time.Since(start), 500*time.Millisecond)
		}
		require.Empty(t, gw.Requests())
		account, err := ledger.Account(ctx, "b/total/acme", time.Now())
		require.NoError(t, err)
		require.Zero(t, account.Reserved, "nothing is reserved")
	})
}

// The days of New York on which clocks change have 23 and 25 hours, and the limit starts anew after so many.
func TestBudgetOnDaysWhenClocksChange(t *testing.T) {
	synctest.Test(t, func(t *testing.T) { // it is 2000-01-01 00:00 UTC
		gw := holysheeptest.Start(t)
		_, worst := budgeted(t, gw)
		daily := &holysheep.Budget{Name: "b", Limit: worst, Period: holysheep.Daily, Zone: "America/New_York"}
		c, _ := budgeted(t, gw, daily)
		spend := func() error {
			for range c.Stream(t.Context(), ask("x")) { // costs the worst case: all there is
				break
			}
			_, err := c.Chat(t.Context(), ask("x"))
			return err
		}
		for _, day := range []struct {
			midnight time.Time
			length   time.Duration
		}{
			{time.Date(2000, 4, 2, 5, 0, 0, 0, time.UTC), 23 * time.Hour},
			{time.Date(2000, 10, 29, 4, 0, 0, 0, time.UTC), 25 * time.Hour},
		} {
			midnight, length := day.midnight, day.length
			time.Sleep(time.Until(midnight))
			require.ErrorIs(t, spend(), holysheep.ErrBudgetExceeded)
			time.Sleep(length - time.Millisecond)
			_, err := c.Chat(t.Context(), ask("x"))
			over, ok := errors.AsType[*holysheep.BudgetError](err)
			require.True(t, ok, "a millisecond before midnight: %v", err)
			require.Equal(t, midnight.Add(length), over.ResetsAt.UTC())
			time.Sleep(time.Millisecond)
			_, err = c.Chat(t.Context(), ask("x"))
			require.NoError(t, err, "midnight")
		}
	})
}

// A tenant whose name looks like another's alert cannot keep that from firing.
func TestAlertsAreNoAccounts(t *testing.T) {
	gw := holysheeptest.Start(t)
	_, worst := budgeted(t, gw)
	var told notes
	c, _ := budgeted(t, gw, &holysheep.Budget{Name: "b", Limit: worst, PerTag: "tenant", Alerts: []float64{0.5}, OnAlert: told.take})
	for _, tenant := range []string{"acme#0.5", "/0.5/b/total/acme", "acme"} {
		ctx, _ := holysheep.NewScope(t.Context(), holysheep.Tags{"tenant": tenant})
		for range c.Stream(ctx, ask("x")) {
			break
		}
	}
	require.NoError(t, c.Close())
	require.Len(t, told.all(), 3)
}

func TestForecast(t *testing.T) {
	synctest.Test(t, func(t *testing.T) {
		gw := holysheeptest.Start(t)
		_, worst := budgeted(t, gw)
		b := &holysheep.Budget{Name: "b", Limit: 3 * worst, Period: holysheep.Daily}
		c, _ := budgeted(t, gw, b)
		time.Sleep(6 * time.Hour)
		for range c.Stream(t.Context(), ask("x")) { // costs the worst case
			break
		}
		status, err := b.Status(t.Context())
		require.NoError(t, err)
		require.InEpsilon(t, float64(4*worst), float64(status.Forecast), 1e-6)
		require.WithinDuration(t, time.Date(2000, 1, 1, 18, 0, 0, 0, time.UTC), status.ReachedAt, time.Second)

		status = holysheep.BudgetStatus{
			Budget: "support", Value: "acme", Limit: holysheep.Dollars(500), Spent: holysheep.Dollars(450.5), Reserved: holysheep.Dollars(2),
			ResetsAt: status.ResetsAt, Forecast: holysheep.Dollars(612), ReachedAt: time.Date(2000, 1, 1, 17, 40, 0, 0, time.UTC),
		}
		require.Equal(t, `budget "support" for "acme": $450.50 of $500.00 spent, $2.00 reserved, until 2000-01-02 00:00 UTC; `+
			`at this rate it ends at $612.00, and the limit is reached at 2000-01-01 17:40 UTC`, status.String())
		require.Equal(t, `the scope's cap: $0.00 of $1.00 spent, $0.00 reserved`, holysheep.BudgetStatus{Limit: holysheep.Dollars(1)}.String())
	})
}
