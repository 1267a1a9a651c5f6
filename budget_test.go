package holysheep_test

import (
	"context"
	"errors"
	"math"
	"sync"
	"testing"
	"testing/synctest"
	"time"

	"github.com/stretchr/testify/require"

	"github.com/holysheep-ai/holysheep-go"
	"github.com/holysheep-ai/holysheep-go/holysheeptest"
)

// budgeted is a client with budgets, and the worst case of ask("x").
func budgeted(t *testing.T, gw *holysheeptest.Server, budgets ...*holysheep.Budget) (*holysheep.Client, holysheep.USD) {
	t.Helper()
	c := gw.Client(&holysheep.Options{Budgets: budgets})
	plan, err := holysheep.Plan(t.Context(), gw.Client(nil), ask("x"))
	require.NoError(t, err)
	return c, plan.Worst.USD
}

// notes collects alerts.
type notes struct {
	mu    sync.Mutex
	fired []float64
	last  holysheep.BudgetStatus
}

func (n *notes) take(threshold float64, s holysheep.BudgetStatus) {
	n.mu.Lock()
	defer n.mu.Unlock()
	n.fired, n.last = append(n.fired, threshold), s
}

func (n *notes) all() []float64 {
	n.mu.Lock()
	defer n.mu.Unlock()
	return append([]float64(nil), n.fired...)
}

// A day in Shanghai ends at 16:00 UTC: the budget refuses until then, and no longer.
func TestBudgetRefusesAlertsAndResets(t *testing.T) {
	synctest.Test(t, func(t *testing.T) { // it is 2000-01-01 00:00 UTC, 08:00 in Shanghai
		gw := holysheeptest.Start(t)
		_, worst := budgeted(t, gw)
		var told notes
		daily := &holysheep.Budget{
			Name: "support", Limit: 3 * worst, Period: holysheep.Daily, Zone: "Asia/Shanghai", OnAlert: told.take,
		}
		c, _ := budgeted(t, gw, daily)
		var spent holysheep.USD
		var err error
		for err == nil {
			var resp *holysheep.ChatResponse
			if resp, err = c.Chat(t.Context(), ask("x")); err == nil {
				spent += resp.Cost.USD
			}
		}
		over, ok := errors.AsType[*holysheep.BudgetError](err)
		require.True(t, ok, "%v", err)
		require.ErrorIs(t, err, holysheep.ErrBudgetExceeded)
		require.NotErrorIs(t, err, holysheep.ErrLedger)
		require.Equal(t, spent, over.Spent)
		require.Equal(t, gw.Billed(), over.Spent)
		require.Zero(t, over.Reserved)
		require.Equal(t, worst, over.Needed)
		require.Less(t, over.Left(), worst)
		require.Equal(t, time.Date(2000, 1, 1, 16, 0, 0, 0, time.UTC), over.ResetsAt.UTC())
		require.Contains(t, err.Error(), `budget "support"`)
		sent := len(gw.Requests())

		_, err = c.Chat(t.Context(), ask("x"))
		require.ErrorIs(t, err, holysheep.ErrBudgetExceeded)
		require.Len(t, gw.Requests(), sent, "nothing is sent once the limit is reached")
		synctest.Wait()
		require.Equal(t, []float64{0.5, 0.8, 1}, told.all())
		require.Equal(t, "support", told.last.Budget)

		time.Sleep(16*time.Hour - time.Millisecond)
		_, err = c.Chat(t.Context(), ask("x"))
		require.ErrorIs(t, err, holysheep.ErrBudgetExceeded, "a millisecond before midnight")
		time.Sleep(time.Millisecond)
		resp, err := c.Chat(t.Context(), ask("x"))
		require.NoError(t, err, "midnight in Shanghai")
		status, err := daily.Status(t.Context())
		require.NoError(t, err)
		require.Equal(t, resp.Cost.USD, status.Spent)
		require.Equal(t, time.Date(2000, 1, 2, 16, 0, 0, 0, time.UTC), status.ResetsAt.UTC())
	})
}

// Each alert fires once, however many clients share the ledger.
func TestAlertsFireOnceOverAllProcesses(t *testing.T) {
	gw := holysheeptest.Start(t)
	_, worst := budgeted(t, gw)
	var told notes
	ledger := &holysheep.MemoryLedger{}
	var clients []*holysheep.Client
	for range 3 {
		c, _ := budgeted(t, gw, &holysheep.Budget{Name: "b", Limit: 20 * worst, Ledger: ledger, OnAlert: told.take})
		clients = append(clients, c)
	}
	var wg sync.WaitGroup
	for _, c := range clients {
		for range 8 {
			wg.Go(func() {
				for {
					if _, err := c.Chat(context.Background(), ask("x")); err != nil {
						return
					}
				}
			})
		}
	}
	wg.Wait()
	for _, c := range clients {
		require.NoError(t, c.Close())
	}
	require.ElementsMatch(t, []float64{0.5, 0.8, 1}, told.all())
}

// Sixteen callers at the last cents: what was spent stays within the limit, and is what the gateway billed.
func TestBudgetHoldsUnderConcurrency(t *testing.T) {
	gw := holysheeptest.Start(t)
	_, worst := budgeted(t, gw)
	b := &holysheep.Budget{Name: "b", Limit: 10 * worst}
	c, _ := budgeted(t, gw, b)
	var wg sync.WaitGroup
	for i := range 16 {
		wg.Go(func() {
			for {
				var err error
				if i%2 == 0 {
					_, err = c.Chat(context.Background(), ask("x"))
				} else {
					_, err = holysheep.Collect(c.Stream(context.Background(), ask("x")))
				}
				if err != nil {
					if !errors.Is(err, holysheep.ErrBudgetExceeded) {
						t.Error(err)
					}
					return
				}
			}
		})
	}
	wg.Wait()
	status, err := b.Status(t.Context())
	require.NoError(t, err)
	require.Zero(t, status.Reserved)
	require.LessOrEqual(t, status.Spent, b.Limit)
	require.Greater(t, status.Spent, b.Limit-worst, "the limit is used")
	require.Equal(t, gw.Billed(), status.Spent)
}

// Every tenant has a limit of its own, a call of nobody's is refused, and the shared day limits them all.
func TestBudgetPerTag(t *testing.T) {
	gw := holysheeptest.Start(t)
	_, worst := budgeted(t, gw)
	tenants := &holysheep.Budget{
		Name: "tenants", Limit: worst, PerTag: "tenant",
		LimitFor: func(tenant string) (holysheep.USD, bool) { return 0, tenant == "blocked" },
	}
	resp, err := gw.Client(nil).Chat(t.Context(), ask("x"))
	require.NoError(t, err)
	all := &holysheep.Budget{Name: "all", Limit: worst + resp.Cost.USD} // room for two calls
	sent := len(gw.Requests())
	c, _ := budgeted(t, gw, tenants, all)
	as := func(tenant string) context.Context {
		ctx, _ := holysheep.NewScope(t.Context(), holysheep.Tags{"tenant": tenant})
		return ctx
	}

	_, err = c.Chat(t.Context(), ask("x"))
	require.ErrorIs(t, err, holysheep.ErrBadRequest)
	require.ErrorContains(t, err, `"tenant"`)
	_, err = c.Chat(as("blocked"), ask("x"))
	require.ErrorIs(t, err, holysheep.ErrBudgetExceeded)
	require.Len(t, gw.Requests(), sent)

	a, err := c.Chat(as("acme"), ask("x"))
	require.NoError(t, err)
	_, err = c.Chat(as("acme"), ask("x"))
	over, ok := errors.AsType[*holysheep.BudgetError](err)
	require.True(t, ok)
	require.Equal(t, "acme", over.Value)
	require.Equal(t, a.Cost.USD, over.Spent)

	b, err := c.Chat(as("bell"), ask("x"))
	require.NoError(t, err)
	_, err = c.Chat(as("cern"), ask("x"))
	over, ok = errors.AsType[*holysheep.BudgetError](err)
	require.True(t, ok)
	require.Equal(t, "all", over.Budget)
	require.Equal(t, a.Cost.USD+b.Cost.USD, over.Spent)

	status, err := tenants.Status(as("cern"))
	require.NoError(t, err)
	require.Zero(t, status.Spent+status.Reserved, "refused by one budget, nothing is held by the other")
}

// What is torn off or cancelled counts at its worst case.
func TestBudgetAndBrokenStreams(t *testing.T) {
	gw := holysheeptest.Start(t)
	b := &holysheep.Budget{Name: "b", Limit: holysheep.Dollars(1)}
	c, worst := budgeted(t, gw, b)
	for range c.Stream(t.Context(), ask("x")) {
		break
	}
	status, err := b.Status(t.Context())
	require.NoError(t, err)
	require.Equal(t, worst, status.Spent)
	require.Zero(t, status.Reserved)
}

// brokenLedger fails as told.
type brokenLedger struct {
	holysheep.MemoryLedger
	reserve, settle error
	hang            bool
}

func (l *brokenLedger) Reserve(ctx context.Context, r holysheep.Reservation) (int, error) {
	if l.hang {
		<-ctx.Done()
		return 0, ctx.Err()
	}
	if l.reserve != nil {
		return 0, l.reserve
	}
	return l.MemoryLedger.Reserve(ctx, r)
}

func (l *brokenLedger) Settle(ctx context.Context, id string, now time.Time, spent holysheep.USD) ([]holysheep.Account, error) {
	if l.settle != nil {
		return nil, l.settle
	}
	return l.MemoryLedger.Settle(ctx, id, now, spent)
}

func (l *brokenLedger) Account(ctx context.Context, key string, now time.Time) (holysheep.Account, error) {
	if l.hang {
		<-ctx.Done()
		return holysheep.Account{}, ctx.Err()
	}
	return l.MemoryLedger.Account(ctx, key, now)
}

func (l *brokenLedger) Switches(ctx context.Context) ([]holysheep.Switch, error) {
	if l.hang {
		<-ctx.Done()
		return nil, ctx.Err()
	}
	return l.MemoryLedger.Switches(ctx)
}

// A ledger that cannot be asked refuses, at once or after 250 ms, unless the budget fails open.
func TestLedgerOutOfReach(t *testing.T) {
	synctest.Test(t, func(t *testing.T) {
		gw := holysheeptest.Start(t)
		down := errors.New("connection refused")
		for _, l := range []*brokenLedger{{reserve: down}, {hang: true}} {
			b := &holysheep.Budget{Name: "b", Limit: holysheep.Dollars(1), Ledger: l}
			c, _ := budgeted(t, gw, b)
			start := time.Now()
			_, err := c.Chat(t.Context(), ask("x"))
			require.ErrorIs(t, err, holysheep.ErrLedger)
			require.NotErrorIs(t, err, holysheep.ErrBudgetExceeded)
			require.LessOrEqual(t, time.Since(start), 250*time.Millisecond)
			require.Empty(t, gw.Requests())
			require.NoError(t, c.Close())
		}

		var failures []error
		b := &holysheep.Budget{
			Name: "b", Limit: holysheep.Dollars(1), Ledger: &brokenLedger{reserve: down}, FailOpen: true,
			OnError: func(err error) { failures = append(failures, err) },
		}
		c, _ := budgeted(t, gw, b)
		_, err := c.Chat(t.Context(), ask("x"))
		require.NoError(t, err)
		require.EqualValues(t, 1, b.OpenedByFailure())
		require.Len(t, failures, 1)
		require.ErrorIs(t, failures[0], down)
		require.NoError(t, c.Close())
	})
}

// A caller that leaves while the ledger is silent gets its own error, at once.
func TestCancelWhileTheLedgerIsSilent(t *testing.T) {
	synctest.Test(t, func(t *testing.T) {
		gw := holysheeptest.Start(t)
		c, _ := budgeted(t, gw, &holysheep.Budget{Name: "b", Limit: holysheep.Dollars(1), Ledger: &brokenLedger{hang: true}})
		ctx, cancel := context.WithTimeout(t.Context(), 50*time.Millisecond)
		defer cancel()
		start := time.Now()
		_, err := c.Chat(ctx, ask("x"))
		require.ErrorIs(t, err, context.DeadlineExceeded)
		require.Equal(t, 50*time.Millisecond, time.Since(start))
		require.NoError(t, c.Close())
	})
}

func TestFailedSettleIsTold(t *testing.T) {
	gw := holysheeptest.Start(t)
	var failures []error
	b := &holysheep.Budget{
		Name: "b", Limit: holysheep.Dollars(1), Ledger: &brokenLedger{settle: errors.New("gone")},
		OnError: func(err error) { failures = append(failures, err) },
	}
	c, worst := budgeted(t, gw, b)
	_, err := c.Chat(t.Context(), ask("x"))
	require.NoError(t, err)
	require.Len(t, failures, 1)
	status, err := b.Status(t.Context())
	require.NoError(t, err)
	require.Equal(t, worst, status.Reserved, "kept until the lease runs out")
}

func TestBadBudgets(t *testing.T) {
	ledger := &holysheep.MemoryLedger{}
	for field, b := range map[string]*holysheep.Budget{
		"Name":     {Limit: 1},
		"Limit":    {Name: "b"},
		"Period":   {Name: "b", Limit: 1, Period: "fortnight"},
		"Zone":     {Name: "b", Limit: 1, Zone: "Mars/Olympus"},
		"Lease":    {Name: "b", Limit: 1, Lease: -1},
		"LimitFor": {Name: "b", Limit: 1, LimitFor: func(string) (holysheep.USD, bool) { return 0, false }},
		"Alerts":   {Name: "b", Limit: 1, Alerts: []float64{math.NaN()}},
	} {
		_, err := holysheep.New("hs_0123456789", &holysheep.Options{Budgets: []*holysheep.Budget{b}})
		e, ok := errors.AsType[*holysheep.RequestError](err)
		require.True(t, ok, field)
		require.Equal(t, "Options.Budgets[0]."+field, e.Field)
	}
	for _, b := range []*holysheep.Budget{
		{Name: "a/b", Limit: 1},
		{Name: "b", Limit: -1},
		{Name: "b", Limit: holysheep.Dollars(1e9)},
		{Name: "b", Limit: 1, Period: "10ms"},
		{Name: "b", Limit: 1, Period: "-1h"},
		{Name: "b", Limit: 1, Alerts: []float64{80}},
		nil,
	} {
		_, err := holysheep.New("hs_0123456789", &holysheep.Options{Budgets: []*holysheep.Budget{b}})
		require.ErrorIs(t, err, holysheep.ErrBadRequest)
	}
	_, err := holysheep.New("hs_0123456789", &holysheep.Options{Budgets: []*holysheep.Budget{
		{Name: "b", Limit: 1, Ledger: ledger}, {Name: "b", Limit: 2, Ledger: ledger},
	}})
	require.ErrorContains(t, err, "twice in one ledger")
}

// An operator freezes, blocks and raises on a running fleet.
func TestSwitchesReachCalls(t *testing.T) {
	gw := holysheeptest.Start(t)
	ledger := &holysheep.MemoryLedger{}
	_, worst := budgeted(t, gw)
	b := &holysheep.Budget{Name: "b", Limit: worst, Ledger: ledger}
	c, _ := budgeted(t, gw, b)
	set := func(s holysheep.Switch) {
		s.By, s.At = "ann", time.Now()
		require.NoError(t, ledger.SetSwitch(t.Context(), s))
	}
	set(holysheep.Switch{Target: holysheep.SwitchModel + holysheep.DeepSeekV32, On: true, Reason: "it is down"})
	_, err := c.Chat(t.Context(), ask("x"))
	require.ErrorIs(t, err, holysheep.ErrBlocked)
	require.NotErrorIs(t, err, holysheep.ErrBudgetExceeded)
	require.ErrorContains(t, err, "by ann: it is down")
	require.Empty(t, gw.Requests())
	set(holysheep.Switch{Target: holysheep.SwitchModel + holysheep.DeepSeekV32})

	_, err = c.Chat(t.Context(), ask("x"))
	require.NoError(t, err)
	_, err = c.Chat(t.Context(), ask("x"))
	over, ok := errors.AsType[*holysheep.BudgetError](err)
	require.True(t, ok)
	set(holysheep.Switch{Target: holysheep.SwitchLimit + over.Account, On: true, Limit: 3 * worst})
	_, err = c.Chat(t.Context(), ask("x"))
	require.NoError(t, err)
	status, err := b.Status(t.Context())
	require.NoError(t, err)
	require.Equal(t, 3*worst, status.Limit)
}
