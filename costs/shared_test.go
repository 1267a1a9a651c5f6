package costs_test

import (
	"bytes"
	"context"
	"errors"
	"fmt"
	"iter"
	"slices"
	"sync"
	"testing"
	"testing/synctest"
	"time"

	"github.com/stretchr/testify/require"

	"github.com/holysheep-ai/holysheep-go"
	"github.com/holysheep-ai/holysheep-go/costs"
	"github.com/holysheep-ai/holysheep-go/holysheeptest"
)

// Embeddings of several tenants travel in one request: each has a row with its part, the request counts once, and is
// one line of the gateway's export.
func TestRowsOfSharedRequests(t *testing.T) {
	synctest.Test(t, func(t *testing.T) {
		gw := holysheeptest.Start(t)
		slow := holysheeptest.Vectors().After(10 * time.Millisecond)
		gw.ReplyWhen(func(*holysheeptest.Request) bool { return true }, slow, holysheeptest.Status(503), slow)
		var file bytes.Buffer
		rows := costs.NewRows(costs.Lines(&file), nil)
		c := gw.Client(&holysheep.Options{Observer: rows, MaxAttempts: 8})
		e := c.Embedder("", &holysheep.EmbedOptions{Dimensions: 2})
		var wg sync.WaitGroup
		for i := range 30 {
			wg.Go(func() {
				ctx, _ := holysheep.NewScope(t.Context(), holysheep.Tags{"tenant": fmt.Sprint(i % 3)})
				if i == 0 { // leaves a request that others wait for
					ctx, cancel := context.WithTimeout(ctx, 5*time.Millisecond)
					defer cancel()
					if _, err := e.Embed(ctx, []string{"left"}); !errors.Is(err, context.DeadlineExceeded) {
						t.Error(err)
					}
				}
				for range 5 {
					if _, err := e.Embed(ctx, []string{fmt.Sprint("a text of number ", i)}); err != nil {
						t.Error(err)
					}
				}
			})
		}
		wg.Wait()
		require.NoError(t, c.Close())
		require.Zero(t, rows.Lost())
		written := readAll(t, &file)

		report := costs.NewReport(&costs.ReportOptions{Tag: "tenant"})
		for _, r := range written {
			report.Add(r)
		}
		total := c.Meter()["text-embedding-3-small"]
		require.Less(t, gw.Count(), 40)
		require.EqualValues(t, gw.Count(), report.Total.Attempts)
		require.Equal(t, total.Calls, report.Total.Calls)
		require.EqualValues(t, 1, report.Total.Failed)
		require.Positive(t, report.Total.Wasted, "what was paid for the one who left")
		require.Equal(t, gw.Billed(), report.Total.Spent)
		require.Len(t, report.ByTag, 3)

		var export []costs.Billed
		for i, r := range gw.Requests() {
			if r.Billed > 0 {
				const unit = 2_000_000
				export = append(export, costs.Billed{
					Time: r.Time, RequestID: fmt.Sprint("req-", i+1), Model: r.Model, Cost: (r.Billed + unit/2) / unit * unit,
				})
			}
		}
		for name, rows := range map[string][]costs.Row{"as written": written, "in reverse": reversed(written)} {
			drifts, err := costs.Reconcile(sequence(rows), sequence(export), nil)
			require.NoError(t, err)
			require.Len(t, drifts, 1)
			d := drifts[0]
			require.Equal(t, len(export), d.Matched, name)
			require.Zero(t, d.OnlyHere+d.OnlyThere)
			require.Zero(t, d.Difference())
		}
	})
}

func reversed[T any](all []T) (out []T) {
	out = slices.Clone(all)
	slices.Reverse(out)
	return out
}

func sequence[T any](all []T) iter.Seq2[T, error] {
	return func(yield func(T, error) bool) {
		for _, v := range all {
			if !yield(v, nil) {
				return
			}
		}
	}
}
