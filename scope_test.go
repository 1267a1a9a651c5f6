package holysheep_test

import (
	"context"
	"errors"
	"strings"
	"sync"
	"testing"

	"github.com/stretchr/testify/require"

	"github.com/holysheep-ai/holysheep-go"
	"github.com/holysheep-ai/holysheep-go/holysheeptest"
)

// Whatever runs beneath, each scope counts each call once, and all of them together are the meter.
func TestScopesRollUp(t *testing.T) {
	gw := holysheeptest.Start(t)
	gw.Chaos(holysheeptest.Chaos{Seed: 1, RateLimited: 0.1, Cut: 0.1})
	c := gw.Client(&holysheep.Options{MaxAttempts: 8})
	ctx, day := holysheep.NewScope(t.Context(), holysheep.Tags{"app": "shop"})
	var scopes []*holysheep.Scope
	var wg sync.WaitGroup
	for range 8 {
		inner, s := holysheep.NewScope(ctx, holysheep.Tags{"feature": "returns"})
		scopes = append(scopes, s)
		for i := range 4 {
			wg.Go(func() {
				if i%2 == 0 {
					_, _ = c.Chat(inner, ask("x"))
				} else {
					for range c.Stream(inner, ask("x")) {
						break
					}
				}
				_, _ = day.Cost(), s.Totals() // while others run
			})
		}
	}
	wg.Wait()
	var sum holysheep.Totals
	for _, s := range scopes {
		require.EqualValues(t, 4, s.Totals().Calls)
		require.Equal(t, holysheep.Tags{"app": "shop", "feature": "returns"}, s.Tags())
		sum = sum.Plus(s.Totals())
	}
	require.Equal(t, sum, day.Totals())
	require.Equal(t, c.Meter()["deepseek-v3.2"], day.Totals())
	require.Empty(t, day.Tag("feature"))
}

func TestNoScope(t *testing.T) {
	s := holysheep.ScopeOf(context.Background())
	require.Nil(t, s)
	require.Zero(t, s.Cost())
	require.Empty(t, s.Tag("tenant"))
	require.Empty(t, s.Tags())
}

func TestBadTags(t *testing.T) {
	gw := holysheeptest.Start(t)
	for _, tags := range []holysheep.Tags{{"": "x"}, {"a": strings.Repeat("x", 201)}, {"a": "x\n"}, {"a b": "x"}, {"a": "\xff"}} {
		ctx, _ := holysheep.NewScope(t.Context(), tags)
		ctx, _ = holysheep.NewScope(ctx, nil)
		_, err := gw.Client(nil).Chat(ctx, ask("x"))
		require.ErrorIs(t, err, holysheep.ErrBadRequest, "%q", tags)
	}
	require.Empty(t, gw.Requests())
}

// What could exceed a cap, here or above, is refused before it is sent.
func TestCapRefuses(t *testing.T) {
	gw := holysheeptest.Start(t)
	c := gw.Client(nil)
	outer, top := holysheep.NewScope(t.Context(), nil)
	inner, low := holysheep.NewScope(outer, nil)
	plan, err := holysheep.Plan(t.Context(), c, ask("x"))
	require.NoError(t, err)
	worst := plan.Worst.USD
	low.SetCap(10*worst, false)
	top.SetCap(worst, false)
	_, err = c.Chat(inner, ask("x"))
	require.NoError(t, err)
	_, err = c.Chat(inner, ask("x"))
	over, ok := errors.AsType[*holysheep.BudgetError](err)
	require.True(t, ok)
	require.ErrorIs(t, err, holysheep.ErrBudgetExceeded)
	require.Equal(t, worst, over.Limit)
	require.Equal(t, top.Cost().USD, over.Spent)
	require.Len(t, gw.Requests(), 1)
	plan, err = holysheep.Plan(inner, c, ask("x"))
	require.NoError(t, err)
	require.Len(t, plan.Refusals, 1)
	_, err = c.Chat(t.Context(), ask("x"))
	require.NoError(t, err, "outside the scope")
}

// Many callers under one cap never spend more together.
func TestCapHoldsUnderConcurrency(t *testing.T) {
	gw := holysheeptest.Start(t)
	c := gw.Client(nil)
	ctx, scope := holysheep.NewScope(t.Context(), nil)
	plan, err := holysheep.Plan(t.Context(), c, ask("x"))
	require.NoError(t, err)
	limit := 5 * plan.Worst.USD
	scope.SetCap(limit, false)
	var wg sync.WaitGroup
	for range 16 {
		wg.Go(func() {
			for {
				if _, err := c.Chat(ctx, ask("x")); err != nil {
					return
				}
			}
		})
	}
	wg.Wait()
	require.LessOrEqual(t, scope.Cost().AtMost, limit)
	require.Greater(t, scope.Cost().AtMost, limit-plan.Worst.USD)
	require.Equal(t, gw.Billed(), scope.Cost().USD)
}

// With leave to shrink, max_tokens is what the cap has left, to the token.
func TestCapShrinks(t *testing.T) {
	gw := holysheeptest.Start(t)
	c := gw.Client(nil)
	price, ok := holysheep.ListPrices().Lookup(holysheep.DeepSeekV32)
	require.True(t, ok)
	plan, err := holysheep.Plan(t.Context(), c, ask("x"))
	require.NoError(t, err)
	ctx, scope := holysheep.NewScope(t.Context(), nil)
	left := price.Of(holysheep.Usage{PromptTokens: plan.PromptTokens, CompletionTokens: 10})
	scope.SetCap(left+price.Output/1_000_000-1, true)
	_, err = c.Chat(ctx, ask("x"))
	require.NoError(t, err)
	require.Contains(t, string(gw.Requests()[0].Body), `"max_tokens":10`)

	req := ask("x")
	ctx, scope = holysheep.NewScope(t.Context(), nil)
	scope.SetCap(1, true)
	_, err = c.Chat(ctx, req)
	require.ErrorIs(t, err, holysheep.ErrBudgetExceeded, "not one token fits")
	require.Nil(t, req.MaxTokens, "the caller's request stays as it is")
}

// A server that ignores max_tokens is cut where the cap ends, with what it delivered; it is booked as what may be billed.
func TestStreamIsCutAtTheCap(t *testing.T) {
	const chunks = 2000
	c := cannedClient(t, "text/event-stream", strings.Repeat(chunkA, chunks)+chunkStop+chunkUse+chunkDone)
	req := ask("x")
	req.MaxTokens = new(10)
	plan, err := holysheep.Plan(t.Context(), c, req)
	require.NoError(t, err)
	ctx, scope := holysheep.NewScope(t.Context(), nil)
	scope.SetCap(3*plan.Worst.USD, false)
	var text strings.Builder
	for ev, e := range c.Stream(ctx, req) {
		text.WriteString(ev.Text)
		err = e
	}
	require.ErrorIs(t, err, holysheep.ErrBudgetExceeded)
	broken, ok := errors.AsType[*holysheep.StreamError](err)
	require.True(t, ok, "%v", err)
	require.NotEmpty(t, text.String())
	require.Less(t, broken.Partial.Usage.CompletionTokens, int64(chunks))
	require.True(t, strings.HasPrefix(broken.Partial.Text(), text.String()))
	require.Equal(t, holysheep.Estimated, scope.Cost().Basis)
	require.Greater(t, scope.Cost().AtMost, plan.Worst.USD)
}
