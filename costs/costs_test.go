package costs_test

import (
	"bytes"
	"context"
	"encoding/json"
	"encoding/xml"
	"errors"
	"fmt"
	"io"
	"iter"
	"math"
	"slices"
	"strings"
	"sync"
	"testing"
	"testing/synctest"
	"time"

	"github.com/stretchr/testify/require"

	"github.com/holysheep-ai/holysheep-go"
	"github.com/holysheep-ai/holysheep-go/costs"
	"github.com/holysheep-ai/holysheep-go/holysheeptest"
)

func ask(model string) *holysheep.ChatRequest {
	return &holysheep.ChatRequest{Model: model, Messages: []holysheep.Message{holysheep.User("How do I return an order?")}, MaxTokens: new(200)}
}

func readAll(t *testing.T, b *bytes.Buffer) (rows []costs.Row) {
	t.Helper()
	for row, err := range costs.Read(b) {
		require.NoError(t, err)
		rows = append(rows, row)
	}
	return rows
}

// The books: under faults of every kind, with 64 callers that read, leave and cancel, the sums of the rows are those of
// the meter, the scopes and the budgets, to the picodollar.
func TestTheBooksBalance(t *testing.T) {
	gw := holysheeptest.Start(t)
	gw.Chaos(holysheeptest.Chaos{Seed: 7, RateLimited: 0.1, Unavailable: 0.05, Cut: 0.1})
	var file bytes.Buffer
	rows := costs.NewRows(costs.Lines(&file), nil)
	day := &holysheep.Budget{Name: "day", Limit: holysheep.Dollars(500), Period: holysheep.Total}
	tenants := &holysheep.Budget{Name: "tenants", Limit: holysheep.Dollars(100), PerTag: "tenant"}
	c := gw.Client(&holysheep.Options{Observer: rows, MaxAttempts: 3, Budgets: []*holysheep.Budget{day, tenants}})
	root, all := holysheep.NewScope(t.Context(), nil)
	models := []string{holysheep.DeepSeekV32, holysheep.GPT41, holysheep.Gemini25Flash}
	scopes := map[string]*holysheep.Scope{}
	contexts := map[string]context.Context{}
	for _, tenant := range []string{"acme", "bell"} {
		contexts[tenant], scopes[tenant] = holysheep.NewScope(root, holysheep.Tags{"tenant": tenant}) //nolint:fatcontext // each is beneath root
	}
	vectors := c.Embedder("text-embedding-3-small", &holysheep.EmbedOptions{MaxHold: 5 * time.Millisecond})
	var wg sync.WaitGroup
	for i := range 64 {
		wg.Go(func() {
			ctx := contexts[[]string{"acme", "bell"}[i%2]]
			req := ask(models[i%len(models)])
			switch i % 5 {
			case 4:
				_, _ = vectors.Embed(ctx, []string{strings.Repeat("a text ", 1+i), "another"})
			case 0:
				_, _ = c.Chat(ctx, req)
			case 1:
				_, _ = holysheep.Collect(c.Stream(ctx, req))
			case 2:
				for range c.Stream(ctx, req) {
					break
				}
			case 3:
				ctx, cancel := context.WithCancel(ctx)
				for range c.Stream(ctx, req) {
					cancel()
				}
				cancel()
			}
		})
	}
	wg.Wait()
	require.NoError(t, c.Close())
	require.Zero(t, rows.Lost())

	var sum holysheep.Totals
	byModel, byTenant := map[string]holysheep.Cost{}, map[string]holysheep.Cost{}
	report, wasted, written := costs.NewReport(nil), holysheep.USD(0), []costs.Row(nil)
	for _, row := range readAll(t, &file) {
		require.NotContains(t, row.Outcome, "return", "no prompt gets into a row")
		report.Add(row)
		if row.Wasted() {
			wasted += row.Cost.AtMost
		}
		written = append(written, row)
		if row.Attempt > 0 && !row.Shared {
			sum.Attempts++
		}
		if row.Last {
			sum.Calls++
			if row.Outcome != costs.OK && row.Outcome != costs.Left {
				sum.Errors++
			}
		}
		sum.Usage = sum.Usage.Plus(row.Usage)
		sum.Cost = sum.Cost.Plus(row.Cost)
		byModel[row.Model] = byModel[row.Model].Plus(row.Cost)
		byTenant[row.Tags["tenant"]] = byTenant[row.Tags["tenant"]].Plus(row.Cost)
	}
	require.EqualValues(t, 64, sum.Calls)
	require.Greater(t, sum.Cost.AtMost, sum.Cost.USD)
	require.Equal(t, all.Totals(), sum)
	require.Equal(t, costs.Sum{
		Spent: sum.Cost.USD, AtMost: sum.Cost.AtMost, Wasted: wasted, Calls: 64, Attempts: sum.Attempts, Failed: sum.Errors, Usage: sum.Usage,
	}, report.Total)
	for model, m := range c.Meter() {
		require.Equal(t, m.Cost, byModel[model], model)
	}
	for tenant, s := range scopes {
		require.Equal(t, s.Cost(), byTenant[tenant])
		status, err := tenants.Status(contexts[tenant])
		require.NoError(t, err)
		require.Equal(t, byTenant[tenant].AtMost, status.Spent)
	}
	status, err := day.Status(t.Context())
	require.NoError(t, err)
	require.Equal(t, sum.Cost.AtMost, status.Spent)
	require.Zero(t, status.Reserved)

	// And they are what the gateway has billed, or the range is around it.
	var export []costs.Billed
	for i, r := range gw.Requests() {
		if r.Billed > 0 {
			export = append(export, costs.Billed{
				Time: r.Time, RequestID: fmt.Sprint("req-", i+1), Model: r.Model, Cost: r.Billed,
				PromptTokens: r.Usage.PromptTokens, CompletionTokens: r.Usage.CompletionTokens,
			})
		}
	}
	drifts, err := costs.Reconcile(sequence(written), sequence(export), &costs.ReconcileOptions{Unit: 1})
	require.NoError(t, err)
	require.Len(t, drifts, 4)
	for _, d := range drifts {
		require.Zero(t, d.OnlyHere+d.OnlyThere, "%+v", d)
		require.True(t, d.Explained(), "%+v", d)
	}
}

// Each way a call can go has its row.
func TestRowsOfEveryEnding(t *testing.T) {
	synctest.Test(t, func(t *testing.T) {
		gw := holysheeptest.Start(t)
		var file bytes.Buffer
		rows := costs.NewRows(costs.Lines(&file), nil)
		c := gw.Client(&holysheep.Options{Observer: rows, MaxAttempts: 2})
		gw.Reply(
			holysheeptest.Status(503), holysheeptest.Text("after a retry"),
			holysheeptest.Text("one two three four five six seven").CutAfter(3),
			holysheeptest.Text("without usage").NoUsage(),
			holysheeptest.Text("one two three four five six seven"),
		)
		_, err := c.Chat(t.Context(), ask(""))
		require.NoError(t, err)
		_, err = holysheep.Collect(c.Stream(t.Context(), ask("")))
		require.ErrorIs(t, err, holysheep.ErrTruncated)
		_, err = holysheep.Collect(c.Stream(t.Context(), ask("")))
		require.NoError(t, err)
		for range c.Stream(t.Context(), ask("")) {
			break
		}
		ctx, cancel := context.WithCancel(t.Context())
		cancel()
		_, err = c.Chat(ctx, ask(""))
		require.ErrorIs(t, err, context.Canceled)

		// A hedge: the loser is cancelled when the winner has answered, and may be billed in full.
		gw.Reply(holysheeptest.Text("the loser").After(time.Minute), holysheeptest.Text("the winner"))
		hedge, loser := context.WithCancel(t.Context())
		var wg sync.WaitGroup
		wg.Go(func() { _, err = c.Chat(hedge, ask("")) })
		synctest.Wait()
		_, won := c.Chat(t.Context(), ask(""))
		require.NoError(t, won)
		loser()
		wg.Wait()
		require.ErrorIs(t, err, context.Canceled)
		require.NoError(t, c.Close())

		got := readAll(t, &file)
		var lines []string
		for _, r := range got {
			sure := "exact"
			if r.Cost.AtMost > r.Cost.USD {
				sure = "a range"
			}
			lines = append(lines, fmt.Sprintf("%d %v, %v, %v, %s", r.Attempt, r.Billing, r.Cost.Basis, r.Outcome, sure))
		}
		require.Equal(t, []string{
			"1 not billed, reported, overloaded, exact",
			"2 billed, reported, ok, exact",
			"1 maybe billed, estimated, cut short, a range",
			"1 billed, estimated, ok, a range",
			"1 maybe billed, estimated, left by its reader, a range",
			"0 not billed, reported, canceled, exact",
			"1 billed, reported, ok, exact",
			"1 maybe billed, estimated, canceled, a range",
		}, lines)
		require.Equal(t, got[0].Call, got[1].Call)
		require.True(t, got[1].Last)
		require.Equal(t, "2026-11", got[1].Prices)
	})
}

// A store that fails does not fail calls; what is lost is counted and told.
func TestRowsThatCannotBeKept(t *testing.T) {
	gw := holysheeptest.Start(t)
	var told []error
	disk := &fullDisk{room: 700}
	rows := costs.NewRows(costs.Lines(disk), &costs.RowOptions{OnError: func(err error) { told = append(told, err) }})
	c := gw.Client(&holysheep.Options{Observer: rows})
	call := func() {
		_, err := c.Chat(t.Context(), ask(""))
		require.NoError(t, err)
	}
	for range 3 {
		call()
	}
	require.EqualValues(t, 2, rows.Lost())
	require.Len(t, told, 2)
	require.ErrorIs(t, told[0], io.ErrShortWrite)
	disk.room += 10_000
	call()
	require.EqualValues(t, 2, rows.Lost())

	good, torn := 0, 0
	for line := range strings.Lines(disk.text.String()) {
		for _, err := range costs.Read(strings.NewReader(line)) {
			if err != nil {
				torn++
			} else {
				good++
			}
		}
	}
	require.Equal(t, []int{2, 1}, []int{good, torn}, "what came after is not lost with the half line")
}

// fullDisk takes so many bytes.
type fullDisk struct {
	text strings.Builder
	room int
}

func (d *fullDisk) Write(p []byte) (int, error) {
	n := min(len(p), d.room)
	d.room -= n
	_, _ = d.text.Write(p[:n])
	if n < len(p) {
		return n, io.ErrShortWrite
	}
	return n, nil
}

// An observer behind the rows sees what they see.
func TestRowsAndAnotherObserver(t *testing.T) {
	gw := holysheeptest.Start(t)
	gw.Reply(holysheeptest.Status(503).Header("Retry-After-Ms", "1"), holysheeptest.Text("ok"))
	var seen counted
	c := gw.Client(&holysheep.Options{Observer: costs.NewRows(costs.Lines(io.Discard), &costs.RowOptions{Next: &seen})})
	_, err := c.Chat(t.Context(), ask(""))
	require.NoError(t, err)
	require.Equal(t, counted{1, 1, 1}, seen)
}

type counted struct{ begun, waited, ended int }

func (c *counted) Begin(ctx context.Context, _ *holysheep.Call) context.Context {
	c.begun++
	return ctx
}
func (c *counted) Wait(context.Context, *holysheep.Call, holysheep.Wait) { c.waited++ }
func (c *counted) End(context.Context, *holysheep.Call)                  { c.ended++ }

func TestReadRefuses(t *testing.T) {
	good := `{"call":"1","outcome":"ok","cost":{"usd":1,"at_most":1,"basis":"reported"},"billing":"billed","usage":{}}` + "\n"
	for name, r := range map[string]struct {
		in   string
		line int
		cut  bool
	}{
		"no JSON":        {good + "what\n", 2, false},
		"cut":            {good + "\n" + good[:40], 3, true},
		"negative":       {strings.ReplaceAll(good, `"usd":1`, `"usd":-1`), 1, false},
		"another basis":  {strings.ReplaceAll(good, "reported", "guessed"), 1, false},
		"another object": {"{}\n", 1, false},
		"too long":       {strings.Repeat(" ", 2<<20), 1, false},
	} {
		var last error
		for _, err := range costs.Read(strings.NewReader(r.in)) {
			last = err
		}
		e, ok := errors.AsType[*costs.RowError](last)
		require.True(t, ok, "%s: %v", name, last)
		require.Equal(t, r.line, e.Line, name)
		require.Equal(t, r.cut, e.Cut, name)
	}
	n := 0
	for range costs.Read(strings.NewReader(good + good)) {
		n++
		break
	}
	require.Equal(t, 1, n)
}

func row(day int, model, tenant string, usd, atMost holysheep.USD, outcome string) costs.Row {
	return costs.Row{
		Time: time.Date(2026, 11, day, 23, 30, 0, 0, time.UTC), Call: "x", Attempt: 1, Last: true, Operation: "chat", Model: model,
		Cost: holysheep.Cost{USD: usd, AtMost: atMost}, Billing: holysheep.Billed, Outcome: outcome,
		Usage: holysheep.Usage{PromptTokens: 10, CompletionTokens: 5}, Tags: holysheep.Tags{"tenant": tenant},
	}
}

func TestReport(t *testing.T) {
	shanghai, err := time.LoadLocation("Asia/Shanghai")
	require.NoError(t, err)
	r := costs.NewReport(&costs.ReportOptions{Zone: shanghai, Tag: "tenant", Limit: holysheep.Dollars(5)})
	r.Add(row(23, "gpt-4.1", "acme", holysheep.Dollars(2), holysheep.Dollars(2), costs.OK))
	r.Add(row(23, "deepseek-v3.2", "<b&\"", holysheep.Dollars(1), holysheep.Dollars(3), "cut short"))
	r.Add(row(24, "gpt-4.1", "", holysheep.Dollars(0.5), holysheep.Dollars(0.5), costs.OK))
	require.Equal(t, holysheep.Dollars(5), r.ByDay["2026-11-24"].AtMost, "the day in Shanghai")
	require.Equal(t, holysheep.Dollars(3), r.Total.Wasted)
	require.EqualValues(t, 1, r.Total.Failed)

	var text bytes.Buffer
	require.NoError(t, r.WriteText(&text))
	for _, want := range []string{"2026-11-24", "100.0 %", "gpt-4.1", "acme", "(none)", "$5.5000"} {
		require.Contains(t, text.String(), want)
	}
	var raw bytes.Buffer
	require.NoError(t, r.WriteJSON(&raw))
	var back struct {
		ByModel map[string]costs.Sum `json:"by_model"`
	}
	require.NoError(t, json.Unmarshal(raw.Bytes(), &back))
	require.Equal(t, *r.ByModel["gpt-4.1"], back.ByModel["gpt-4.1"])

	var svg bytes.Buffer
	require.NoError(t, r.WriteSVG(&svg))
	wellFormed(t, svg.Bytes())
	require.Contains(t, svg.String(), "limit $5.00 a day")
	unpriced := row(24, "mystery", "", 0, 0, costs.OK)
	unpriced.Cost.Basis = holysheep.Unknown
	r.Add(unpriced)
	text.Reset()
	require.NoError(t, r.WriteText(&text))
	require.Contains(t, text.String(), "not in it: 1 attempts with models that have no price")
	require.NoError(t, costs.NewReport(nil).WriteSVG(&svg), "no rows, no picture to speak of, and no error")
	for _, amount := range []holysheep.USD{1, 7, math.MaxInt64 - 1, math.MaxInt64} {
		r.Add(row(1, "m", "", amount, amount, costs.OK))
		svg.Reset()
		require.NoError(t, r.WriteSVG(&svg))
		wellFormed(t, svg.Bytes())
		require.LessOrEqual(t, strings.Count(svg.String(), `class="axis"`), 11)
	}
}

func wellFormed(t *testing.T, svg []byte) {
	t.Helper()
	for d := xml.NewDecoder(bytes.NewReader(svg)); ; {
		if _, err := d.Token(); errors.Is(err, io.EOF) {
			return
		} else if err != nil {
			t.Fatal(err)
		}
	}
}

// Groups are bounded, and nothing of the sum is lost.
func TestReportWithTooManyNames(t *testing.T) {
	r := costs.NewReport(&costs.ReportOptions{Tag: "tenant"})
	for i := range 12_000 {
		r.Add(row(1, "m", fmt.Sprint(i), 1, 1, costs.OK))
	}
	require.LessOrEqual(t, len(r.ByTag), 10_001)
	var sum holysheep.USD
	for _, s := range r.ByTag {
		sum += s.Spent
	}
	require.EqualValues(t, 12_000, sum)
}

func TestReconcile(t *testing.T) {
	gw := holysheeptest.Start(t)
	var file bytes.Buffer
	rows := costs.NewRows(costs.Lines(&file), nil)
	c := gw.Client(&holysheep.Options{Observer: rows})
	for range 5 {
		_, err := c.Chat(t.Context(), ask(holysheep.GPT41))
		require.NoError(t, err)
	}
	for range c.Stream(t.Context(), ask(holysheep.GPT41)) {
		break
	}
	require.NoError(t, c.Close())
	written := readAll(t, bytes.NewBuffer(file.Bytes()))
	require.Len(t, written, 6)

	// What the gateway says: three by id, one by its time, one missing, the torn one in full, and one of somebody else.
	const unit = 2_000_000
	rounded := func(u holysheep.USD) holysheep.USD { return (u + unit/2) / unit * unit }
	export := "created_at,ID,model,prompt_tokens,completion_tokens,cost\n"
	for i, r := range written {
		id, cost := r.RequestID, rounded(r.Cost.USD)
		switch i {
		case 3:
			id = "of their own"
		case 4:
			continue
		case 5:
			cost = rounded(r.Cost.AtMost)
		}
		export += fmt.Sprintf("%s,%s,%s,%d,%d,%s\n", r.Time.Add(time.Second).Format(time.RFC3339), id, r.Model, r.Usage.PromptTokens, r.Usage.CompletionTokens, strings.TrimPrefix(cost.String(), "$"))
	}
	export += fmt.Sprintf("%d,x,gpt-4.1,1,1,0.5\n", written[0].Time.Unix())
	drifts, err := costs.Reconcile(costs.Read(&file), costs.ReadBilledCSV(strings.NewReader(export)), nil)
	require.NoError(t, err)
	require.Len(t, drifts, 1)
	d := drifts[0]
	require.Equal(t, []int{5, 1, 1}, []int{d.Matched, d.OnlyHere, d.OnlyThere})
	var here holysheep.USD
	for _, r := range written {
		here += rounded(r.Cost.USD)
	}
	require.Equal(t, here, d.Here)
	left := written[5]
	require.Equal(t, holysheep.Dollars(0.5)-rounded(written[4].Cost.USD)+rounded(left.Cost.AtMost)-rounded(left.Cost.USD), d.Difference())
	require.False(t, d.Explained())

	same := func(yield func(costs.Billed, error) bool) {
		for _, r := range written {
			if !yield(costs.Billed{Time: r.Time, RequestID: r.RequestID, Model: r.Model, Cost: rounded(r.Cost.AtMost)}, nil) {
				return
			}
		}
	}
	drifts, err = costs.Reconcile(sequence(written), same, nil)
	require.NoError(t, err)
	require.True(t, drifts[0].Explained(), "%+v", drifts[0])
	require.Zero(t, drifts[0].OnlyHere+drifts[0].OnlyThere)
}

// Without request ids, attempts and lines are matched by time, tokens and any name of the model, and a great many of
// one kind take no longer for that.
func TestReconcileWithoutIDs(t *testing.T) {
	const n = 50_000
	noon := time.Date(2026, 11, 24, 12, 0, 0, 0, time.UTC)
	rows := func(yield func(costs.Row, error) bool) {
		for i := range n {
			r := row(24, "claude-sonnet-4.5", "", 1000, 1000, costs.OK)
			r.Time, r.RequestID = noon.Add(time.Duration(i)*time.Second), ""
			if i%2 == 0 {
				r.Model, r.Served = "best", "claude-sonnet-4-5"
			}
			if !yield(r, nil) {
				return
			}
		}
	}
	export := func(yield func(costs.Billed, error) bool) {
		for i := range n {
			b := costs.Billed{
				Time: noon.Add(time.Duration(n-1-i)*time.Second + 90*time.Second), Model: "anthropic/claude-sonnet-4-5-20250929",
				PromptTokens: 10, CompletionTokens: 5, Cost: 1000,
			}
			if !yield(b, nil) {
				return
			}
		}
	}
	start := time.Now()
	drifts, err := costs.Reconcile(rows, export, &costs.ReconcileOptions{Unit: 1})
	require.NoError(t, err)
	require.Less(t, time.Since(start), 20*time.Second)
	matched := 0
	for _, d := range drifts {
		matched += d.Matched
		require.Zero(t, d.OnlyHere+d.OnlyThere, d.Day)
		require.True(t, d.Explained())
	}
	require.Equal(t, n, matched)

	// The same lines as JSON, and one of them a day later than anything of ours.
	lines := `{"created_at":1795521600,"id":"r1","model_name":"claude-sonnet-4.5","input_tokens":10,"output_tokens":5,"cost_usd":"$0.000002","more":{}}
{"time":"2026-11-25T12:00:00Z","request_id":null,"model":"claude-sonnet-4.5","prompt_tokens":10,"completion_tokens":5,"cost":0.000002}
`
	one := row(24, "claude-sonnet-4.5", "", 1, 1_999_999, costs.OK)
	one.Time = noon
	ours := func(yield func(costs.Row, error) bool) { yield(one, nil) }
	drifts, err = costs.Reconcile(ours, costs.ReadBilledJSON(strings.NewReader(lines)), nil)
	require.NoError(t, err)
	require.Equal(t, []costs.Drift{
		{Day: "2026-11-24", Model: "claude-sonnet-4.5", Matched: 1, AtMost: 2_000_000, There: 2_000_000},
		{Day: "2026-11-25", Model: "claude-sonnet-4.5", OnlyThere: 1, There: 2_000_000},
	}, drifts)
	require.True(t, drifts[0].Explained())
	var text bytes.Buffer
	require.NoError(t, costs.WriteDrifts(&text, drifts))
	require.Regexp(t, `(?m)^ +2026-11-24 +claude-sonnet-4.5 +1 +0 +0 +\$0\.00000000 .*\$0\.00000200 *$`, text.String())
	require.Regexp(t, `(?m)^ +2026-11-25 .* not explained$`, text.String())
}

func TestBadExports(t *testing.T) {
	for in, line := range map[string]int{
		"":                                      1,
		"time,model\n":                          1,
		"time,timestamp,model,cost\n":           1,
		"time,model,cost\n1,m,1\nx,m,1\n":       3,
		"time,model,cost\n1,m,abc\n":            2,
		"time,model,cost\n1,m,-1\n":             2,
		"time,model,cost\n1,,1\n":               2,
		"time,model,cost\n1,m\n":                2,
		"time,model,cost,input_tokens\n1,m,1,x": 2,
		"time,model,cost\n\"":                   2,
	} {
		_, err := costs.Reconcile(costs.Read(strings.NewReader("")), costs.ReadBilledCSV(strings.NewReader(in)), nil)
		e, ok := errors.AsType[*costs.RowError](err)
		require.True(t, ok, "%q: %v", in, err)
		require.Equal(t, line, e.Line, in)
	}
	_, err := costs.Reconcile(costs.Read(strings.NewReader("")), costs.ReadBilledJSON(strings.NewReader("{}\n")), nil)
	require.ErrorContains(t, err, "line 1: time: \"\" is neither")
}

// The sums that can be checked by hand.
func TestCalculator(t *testing.T) {
	c := costs.Calculator{Queries: 1_000_000, InputTokens: 2_000, OutputTokens: 1_024}
	lines, err := c.Lines()
	require.NoError(t, err)
	all := map[string]holysheep.USD{}
	for _, l := range lines {
		all[l.Model] = l.All
	}
	require.Equal(t, holysheep.Dollars(12_192), all["gpt-4.1"])
	require.Equal(t, holysheep.Dollars(990.08), all["deepseek-v3.2"])
	require.True(t, slices.IsSortedFunc(lines, func(a, b costs.Line) int { return int(min(max(a.All-b.All, -1), 1)) }))

	var text bytes.Buffer
	c.Tables = []costs.NamedTable{{"list", holysheep.ListPrices()}, {"advertised", holysheep.AdvertisedPrices()}}
	require.NoError(t, c.Write(&text, 7.2))
	require.Contains(t, text.String(), "$12192.00")
	require.Contains(t, text.String(), "¥")
	require.Contains(t, text.String(), "advertised")

	for field, bad := range map[string]costs.Calculator{
		"Queries":         {},
		"InputTokens":     {Queries: 1, InputTokens: -1},
		"OutputTokens":    {Queries: 1, OutputTokens: -1},
		"Moving":          {Queries: 1, Moving: -1},
		"Models[1]":       {Queries: 1, Models: []string{"gpt-4.1", "gpt-4.9"}},
		"Against":         {Queries: 1, Against: "gpt-4.9"},
		"Tables[0].Table": {Queries: 1, Tables: []costs.NamedTable{{Name: "none"}}},
	} {
		_, err := bad.Lines()
		e, ok := errors.AsType[*holysheep.RequestError](err)
		require.True(t, ok, field)
		require.Equal(t, "Calculator."+field, e.Field)
	}
	for _, most := range []costs.Calculator{
		{Queries: math.MaxInt64, InputTokens: 1_000_000},
		{Queries: 1, InputTokens: math.MaxInt64},
		{Queries: 5_000_000, InputTokens: 1_000_000, Models: []string{"deepseek-v3.2"}, Against: "gemini-2.5-pro"},
	} {
		_, err := most.Lines()
		require.ErrorContains(t, err, "$9.2 million")
	}

	move := costs.Move{Before: holysheep.Dollars(47_000), After: holysheep.Dollars(8_200), Cost: holysheep.Dollars(19_400)}
	year, err := move.Yearly()
	require.NoError(t, err)
	require.Equal(t, holysheep.Dollars(465_600), year)
	require.InDelta(t, 0.5, move.PaidBack(), 1e-9)
	require.True(t, math.IsInf(costs.Move{Before: 1, After: 2}.PaidBack(), 1))
	require.True(t, math.IsInf(costs.Move{Before: 1, After: 1, Cost: 1}.PaidBack(), 1))
	require.Zero(t, costs.Move{Before: 1, After: 1}.PaidBack())
	_, err = costs.Move{Before: -1}.Yearly()
	require.ErrorIs(t, err, holysheep.ErrBadRequest)
}

// Whatever a file holds, reading it ends with rows or with a *RowError.
func FuzzRead(f *testing.F) {
	f.Add([]byte(`{"call":"1","outcome":"ok","cost":{"usd":1,"at_most":1,"basis":"reported"},"billing":"billed","usage":{}}` + "\n"))
	f.Add([]byte("time,model,cost\n1,m,1\n"))
	f.Add([]byte(`{"time":1,"model":"m","cost":0.1}`))
	f.Fuzz(func(t *testing.T, text []byte) {
		ends := func(err error) {
			if _, ok := errors.AsType[*costs.RowError](err); err != nil && !ok {
				t.Fatalf("%T: %v", err, err)
			}
		}
		report := costs.NewReport(&costs.ReportOptions{Tag: "tenant"})
		ends(report.AddAll(costs.Read(bytes.NewReader(text))))
		require.NoError(t, report.WriteText(io.Discard))
		var svg bytes.Buffer
		require.NoError(t, report.WriteSVG(&svg))
		for _, export := range []iter.Seq2[costs.Billed, error]{
			costs.ReadBilledCSV(bytes.NewReader(text)), costs.ReadBilledJSON(bytes.NewReader(text)),
		} {
			_, err := costs.Reconcile(costs.Read(strings.NewReader("")), export, nil)
			ends(err)
		}
	})
}
