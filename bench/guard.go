package main

import (
	"context"
	"fmt"
	"io"
	"net/http"
	"runtime"
	"strconv"
	"strings"

	"github.com/holysheep-ai/holysheep-go"
)

// moneyJobs measure what counts and guards money, for this client alone.
var moneyJobs = map[string]func(scale float64) (result, error){
	"hostile": hostileTexts, "guards": guardedCalls, "rows": keptRows,
}

func init() {
	for _, kind := range countedKinds {
		moneyJobs["tokens-"+kind.name] = func(scale float64) (result, error) { return countBeside(kind.name, scale) }
	}
	for i, c := range ledgerCases {
		moneyJobs["ledger-"+strconv.Itoa(i)] = func(scale float64) (result, error) { return measureLedger(c, scale) }
	}
}

// canned answers every request with one body, without a network: what is left is the client's own work.
type canned struct{}

const cannedAnswer = `{"id":"chatcmpl-1","object":"chat.completion","created":1732450000,"model":"deepseek-v3.2","choices":[{"index":0,"message":{"role":"assistant","content":"Within 30 days."},"finish_reason":"stop"}],"usage":{"prompt_tokens":24,"completion_tokens":5,"total_tokens":29}}`

func (canned) RoundTrip(r *http.Request) (*http.Response, error) {
	_, _ = io.Copy(io.Discard, r.Body)
	return &http.Response{
		StatusCode: http.StatusOK, Header: http.Header{"Content-Type": {"application/json"}},
		ContentLength: int64(len(cannedAnswer)), Body: io.NopCloser(strings.NewReader(cannedAnswer)), Request: r,
	}, nil
}

// guardedCalls measures what budgets and caps add to a call, in turns with calls without them.
func guardedCalls(scale float64) (result, error) {
	ctx, _ := holysheep.NewScope(context.Background(), holysheep.Tags{"tenant": "acme"})
	capped, scope := holysheep.NewScope(ctx, nil)
	scope.SetCap(holysheep.Dollars(1e6), false)
	shared := &holysheep.MemoryLedger{}
	day := func(ledger holysheep.Ledger) *holysheep.Budget {
		return &holysheep.Budget{Name: "day", Limit: holysheep.Dollars(5e6), Period: holysheep.Daily, PerTag: "tenant", Ledger: ledger}
	}
	month := &holysheep.Budget{Name: "month", Limit: holysheep.Dollars(5e6), Period: holysheep.Monthly, Ledger: shared}
	var r result
	for _, guarded := range []struct {
		name    string
		ctx     context.Context //nolint:containedctx // a row of a table
		budgets []*holysheep.Budget
	}{
		{"a budget for each day and tenant", ctx, []*holysheep.Budget{day(nil)}},
		{"that and one for the month, in one ledger", ctx, []*holysheep.Budget{day(shared), month}},
		{"a budget for each day and tenant, and the cap of a scope", capped, []*holysheep.Budget{day(nil)}},
	} {
		plain, err := chatCost(ctx, nil)
		if err != nil {
			return result{}, err
		}
		with, err := chatCost(guarded.ctx, guarded.budgets)
		if err != nil {
			return result{}, err
		}
		var times []float64
		var allocs float64
		for range max(5, int(15*scale)) {
			t0, a0, err := plain()
			if err != nil {
				return result{}, err
			}
			t1, a1, err := with()
			if err != nil {
				return result{}, err
			}
			times, allocs = append(times, t1-t0), a1-a0
		}
		r.Limits = append(r.Limits, limit{guarded.name, middle(times)}, limit{"allocations", allocs})
	}
	return r, nil
}

// chatCost gives a function that measures a call: microseconds of processor time and allocations.
func chatCost(ctx context.Context, budgets []*holysheep.Budget) (func() (micros, allocs float64, err error), error) {
	c, err := holysheep.New("hs_bench_0123456789", &holysheep.Options{Transport: canned{}, Budgets: budgets})
	if err != nil {
		return nil, err
	}
	return func() (micros, allocs float64, err error) {
		const n = 20_000
		var before, after runtime.MemStats
		runtime.ReadMemStats(&before)
		start := cpuTime()
		for range n {
			if _, err := c.Chat(ctx, hello()); err != nil {
				return 0, 0, err
			}
		}
		used := cpuTime() - start
		runtime.ReadMemStats(&after)
		return float64(used.Nanoseconds()) / n / 1e3, float64(after.Mallocs-before.Mallocs) / n, nil
	}, nil
}

func compareGuards(self string, scale float64) error {
	r, err := measure(self, "", "guards", "guards", scale)
	if err != nil {
		return err
	}
	fmt.Print("\n**guards** (what they add to a call, with the ledger in memory; goal ≤ 5 µs, ≤ 4 allocations)\n\n| guarded by | µs | allocations |\n|---|---|---|\n")
	for i := 0; i+1 < len(r.Limits); i += 2 {
		fmt.Printf("| %s | %.2f | %.1f |\n", r.Limits[i].Name, r.Limits[i].Value, r.Limits[i+1].Value)
	}
	return nil
}
