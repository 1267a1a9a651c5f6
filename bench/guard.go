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

// ownJobs measure parts of this library alone.
var ownJobs = map[string]func(scale float64) (result, error){
	"hostile": hostileTexts, "guards": guardedCalls, "routing": routedCalls, "rows": keptRows,
}

func init() {
	for _, kind := range countedKinds {
		ownJobs["tokens-"+kind.name] = func(scale float64) (result, error) { return countBeside(kind.name, scale) }
	}
	for i, c := range ledgerCases {
		ownJobs["ledger-"+strconv.Itoa(i)] = func(scale float64) (result, error) { return measureLedger(c, scale) }
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
	return added(scale, []beside{
		{"a budget for each day and tenant", ctx, offline(&holysheep.Options{Budgets: []*holysheep.Budget{day(nil)}})},
		{"that and one for the month, in one ledger", ctx, offline(&holysheep.Options{Budgets: []*holysheep.Budget{day(shared), month}})},
		{"a budget for each day and tenant, and the cap of a scope", capped, offline(&holysheep.Options{Budgets: []*holysheep.Budget{day(nil)}})},
	})
}

// offline makes a client of the canned gateway.
func offline(opts *holysheep.Options) holysheep.Completer {
	opts.Transport = canned{}
	c, err := holysheep.New("hs_bench_0123456789", opts)
	if err != nil {
		panic(err) // a mistake of this program
	}
	return c
}

// beside is a client whose calls are measured in turns with those of a plain one.
type beside struct {
	name string
	ctx  context.Context //nolint:containedctx // a row of a table
	chat holysheep.Completer
}

// added measures what the clients add to a call: microseconds of processor time, the median of some rounds, and
// allocations.
func added(scale float64, rows []beside) (r result, err error) {
	plain := offline(&holysheep.Options{})
	for _, row := range rows {
		var times []float64
		var allocs float64
		for range max(5, int(15*scale)) {
			t0, a0, err := chatCost(row.ctx, plain)
			if err != nil {
				return result{}, err
			}
			t1, a1, err := chatCost(row.ctx, row.chat)
			if err != nil {
				return result{}, err
			}
			times, allocs = append(times, t1-t0), a1-a0
		}
		r.Limits = append(r.Limits, limit{row.name, middle(times)}, limit{"allocations", allocs})
	}
	return r, nil
}

// chatCost measures a call: microseconds of processor time and allocations.
func chatCost(ctx context.Context, c holysheep.Completer) (micros, allocs float64, err error) {
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
}

func compareGuards(self string, scale float64) error {
	return compareAdded(self, "guards", "guarded by", "with the ledger in memory; goal ≤ 5 µs, ≤ 4 allocations", scale)
}

// compareAdded prints what a job of this process found out with added.
func compareAdded(self, job, by, note string, scale float64) error {
	r, err := measure(self, "", job, job, scale)
	if err != nil {
		return err
	}
	fmt.Printf("\n**%s** (what they add to a call, %s)\n\n| %s | µs | allocations |\n|---|---|---|\n", job, note, by)
	for i := 0; i+1 < len(r.Limits); i += 2 {
		fmt.Printf("| %s | %.2f | %.1f |\n", r.Limits[i].Name, r.Limits[i].Value, r.Limits[i+1].Value)
	}
	return nil
}
