package sqlitestore_test

import (
	"bufio"
	"bytes"
	"context"
	"errors"
	"fmt"
	"iter"
	"math/rand/v2"
	"os"
	"os/exec"
	"path/filepath"
	"slices"
	"strings"
	"sync"
	"testing"
	"time"

	"github.com/stretchr/testify/require"

	"github.com/holysheep-ai/holysheep-go"
	"github.com/holysheep-ai/holysheep-go/costs"
	"github.com/holysheep-ai/holysheep-go/holysheeptest"
	"github.com/holysheep-ai/holysheep-go/store/sqlitestore"
)

func openRows(tb testing.TB, path string) *sqlitestore.Rows {
	tb.Helper()
	r, err := sqlitestore.OpenRows(path, nil)
	require.NoError(tb, err)
	tb.Cleanup(func() { _ = r.Close() })
	return r
}

func collect(tb testing.TB, rows iter.Seq2[costs.Row, error]) (all []costs.Row) {
	tb.Helper()
	for row, err := range rows {
		require.NoError(tb, err)
		all = append(all, row)
	}
	return all
}

// both keeps the same rows twice.
type both []costs.Store

func (b both) Append(rows []costs.Row) error {
	var errs []error
	for _, s := range b {
		errs = append(errs, s.Append(rows))
	}
	return errors.Join(errs...)
}

// Under faults of every kind, what is read back is the same from the file, from lines of JSON, and from the file after
// another process's worth of opening; a report cannot tell them apart, and the sums are those of the meter.
func TestRowsAreThoseOfLines(t *testing.T) {
	gw := holysheeptest.Start(t)
	gw.Chaos(holysheeptest.Chaos{Seed: 3, RateLimited: 0.1, Unavailable: 0.05, Cut: 0.2})
	path := filepath.Join(t.TempDir(), "rows")
	file := openRows(t, path)
	var lines bytes.Buffer
	rows := costs.NewRows(both{file, costs.Lines(&lines)}, nil)
	c := gw.Client(&holysheep.Options{Observer: rows, MaxAttempts: 3})
	e := c.Embedder("", &holysheep.EmbedOptions{MaxHold: 50 * time.Millisecond})
	var wg sync.WaitGroup
	for i := range 32 {
		wg.Go(func() {
			ctx, _ := holysheep.NewScope(t.Context(), holysheep.Tags{"tenant": fmt.Sprint("t", i%3), "feature": "a \"b\" 'c'"})
			req := &holysheep.ChatRequest{Messages: []holysheep.Message{holysheep.User("How do I return an order?")}}
			switch i % 3 {
			case 0:
				_, _ = e.Embed(ctx, []string{"How do I return an order?"})
				_, _ = c.Chat(ctx, req)
			case 1:
				for range c.Stream(ctx, req) {
					break
				}
			case 2:
				req.Model = "a-model-without-a-price"
				_, _ = holysheep.Collect(c.Stream(ctx, req))
			}
		})
	}
	wg.Wait()
	require.NoError(t, c.Close())
	require.Zero(t, rows.Lost())

	want := collect(t, costs.Read(&lines))
	require.Greater(t, len(want), 32)
	require.True(t, slices.ContainsFunc(want, func(r costs.Row) bool { return r.Shared }))
	byCall := func(a, b costs.Row) int {
		return strings.Compare(fmt.Sprint(a.Call, " ", a.Attempt), fmt.Sprint(b.Call, " ", b.Attempt))
	}
	slices.SortFunc(want, byCall)
	again := openRows(t, path)
	for _, r := range []*sqlitestore.Rows{file, again} {
		got := collect(t, r.All(t.Context(), time.Time{}, time.Time{}))
		slices.SortFunc(got, byCall)
		require.Equal(t, want, got)
	}
	text := func(rows iter.Seq2[costs.Row, error]) string {
		report := costs.NewReport(&costs.ReportOptions{Tag: "tenant"})
		require.NoError(t, report.AddAll(rows))
		var b bytes.Buffer
		require.NoError(t, report.WriteText(&b))
		require.NoError(t, report.WriteJSON(&b))
		return b.String()
	}
	require.Equal(t, text(slicesOf(want)), text(again.All(t.Context(), time.Time{}, time.Time{})))
	sum := holysheep.Cost{}
	for _, row := range want {
		sum = sum.Plus(row.Cost)
	}
	meter := holysheep.Cost{}
	for _, m := range c.Meter() {
		meter = meter.Plus(m.Cost)
	}
	require.Equal(t, meter, sum)
}

func slicesOf(rows []costs.Row) iter.Seq2[costs.Row, error] {
	return func(yield func(costs.Row, error) bool) {
		for _, row := range rows {
			if !yield(row, nil) {
				return
			}
		}
	}
}

func row(call string, sent time.Time) costs.Row {
	return costs.Row{
		Time: sent, Call: call, Attempt: 1, Last: true, Operation: "chat", Model: "gpt-4.1", Billing: holysheep.Billed,
		Cost: holysheep.Cost{USD: 7, AtMost: 7}, Outcome: costs.OK, Prices: "2026-11",
	}
}

func TestRowsBetween(t *testing.T) {
	r := openRows(t, filepath.Join(t.TempDir(), "rows"))
	noon := time.Date(2026, 11, 24, 12, 0, 0, 0, time.UTC)
	for i := range 5 {
		require.NoError(t, r.Append([]costs.Row{row(fmt.Sprint(i), noon.Add(time.Duration(i)*time.Hour))}))
	}
	require.NoError(t, r.Append(nil))
	calls := func(from, until time.Time) (all string) {
		for _, row := range collect(t, r.All(t.Context(), from, until)) {
			all += row.Call
		}
		return all
	}
	require.Equal(t, "01234", calls(time.Time{}, time.Time{}))
	require.Equal(t, "12", calls(noon.Add(time.Hour), noon.Add(3*time.Hour)))
	require.Equal(t, "34", calls(noon.Add(3*time.Hour), time.Time{}))
	for range r.All(t.Context(), time.Time{}, time.Time{}) {
		break
	}
	ctx, cancel := context.WithCancel(t.Context())
	cancel()
	for _, err := range r.All(ctx, time.Time{}, time.Time{}) {
		require.ErrorIs(t, err, context.Canceled)
	}
}

// Rows are added and nothing else, whoever tries.
func TestRowsAreOnlyAdded(t *testing.T) {
	path := filepath.Join(t.TempDir(), "rows")
	r := openRows(t, path)
	require.NoError(t, r.Append([]costs.Row{row("a", time.Now())}))
	require.ErrorContains(t, r.Exec("UPDATE rows SET usd = 0"), "only added")
	require.ErrorContains(t, r.Exec("DELETE FROM rows"), "only added")
	require.NoError(t, r.Exec("INSERT INTO rows SELECT NULL, time, call, parent, attempt, shared, last, operation, model, served, request_id, 1, 2, 0, 0, 0, 5, 4, basis, billing, 0, prices, outcome, 0, tags FROM rows"))
	n := 0
	for _, err := range r.All(t.Context(), time.Time{}, time.Time{}) {
		if n++; n == 2 {
			bad, ok := errors.AsType[*costs.RowError](err)
			require.True(t, ok, "%v", err)
			require.Equal(t, 2, bad.Line)
		}
	}
	require.Equal(t, 2, n)

	_, err := sqlitestore.OpenLedger(path, nil)
	require.ErrorContains(t, err, "of something else")
	ledger := filepath.Join(t.TempDir(), "ledger")
	open(t, ledger)
	_, err = sqlitestore.OpenRows(ledger, nil)
	require.ErrorContains(t, err, "of something else")
	require.NoError(t, r.Exec("PRAGMA user_version = 2"))
	_, err = sqlitestore.OpenRows(path, nil)
	require.ErrorContains(t, err, "version 2")
	require.NoError(t, r.Close())
	require.Error(t, r.Append([]costs.Row{row("b", time.Now())}))
	for _, err := range r.All(t.Context(), time.Time{}, time.Time{}) {
		require.Error(t, err)
	}
}

// Processes that are killed at any moment: what was appended is there, and no call is there in part.
func TestKilledWhileWritingRows(t *testing.T) {
	path := filepath.Join(t.TempDir(), "rows")
	openRows(t, path)
	told := map[string]bool{}
	for range killCount(t) {
		cmd := exec.CommandContext(t.Context(), os.Args[0])
		cmd.Env = append(os.Environ(), "HOLYSHEEP_KILL_ROWS="+path)
		out, err := cmd.StdoutPipe()
		require.NoError(t, err)
		require.NoError(t, cmd.Start())
		time.AfterFunc(30*time.Millisecond+rand.N(100*time.Millisecond), func() { _ = cmd.Process.Kill() })
		for lines := bufio.NewScanner(out); lines.Scan(); {
			if call, whole := strings.CutSuffix(lines.Text(), "."); whole {
				told[call] = true
			}
		}
		_ = cmd.Wait()
	}
	found := map[string]int{}
	for _, row := range collect(t, openRows(t, path).All(t.Context(), time.Time{}, time.Time{})) {
		found[row.Call]++
	}
	t.Logf("%d calls were told to be kept, %d are there", len(told), len(found))
	require.NotEmpty(t, told)
	for call := range told {
		require.Equal(t, 2, found[call], call)
	}
	for call, n := range found {
		require.Equal(t, 2, n, call)
	}
}

func writeUntilKilled(path string) {
	r, err := sqlitestore.OpenRows(path, nil)
	if err != nil {
		panic(err)
	}
	var wg sync.WaitGroup
	for c := range 4 {
		wg.Go(func() {
			for i := 0; ; i++ {
				call := fmt.Sprint(os.Getpid(), "/", c, "/", i)
				if err := r.Append([]costs.Row{row(call, time.Now()), row(call, time.Now())}); err != nil {
					panic(err)
				}
				_, _ = os.Stdout.WriteString(call + ".\n")
			}
		})
	}
	wg.Wait()
}

func BenchmarkAppend(b *testing.B) {
	r := openRows(b, filepath.Join(b.TempDir(), "rows"))
	rows := []costs.Row{row("0123456789abcdef0123456789abcdef", time.Now())}
	rows[0].Tags = holysheep.Tags{"tenant": "acme", "feature": "returns"}
	for b.Loop() {
		if err := r.Append(rows); err != nil {
			b.Fatal(err)
		}
	}
}
