package route_test

import (
	"context"
	"errors"
	"fmt"
	"iter"
	"testing"
	"testing/synctest"
	"time"

	"github.com/stretchr/testify/require"

	"github.com/holysheep-ai/holysheep-go"
	"github.com/holysheep-ai/holysheep-go/holysheeptest"
	"github.com/holysheep-ai/holysheep-go/route"
)

// failing fails with an error.
type failing struct{ err error }

func (f failing) Chat(context.Context, *holysheep.ChatRequest) (*holysheep.ChatResponse, error) {
	return nil, f.err
}

func (f failing) Stream(context.Context, *holysheep.ChatRequest) iter.Seq2[holysheep.StreamEvent, error] {
	return func(yield func(holysheep.StreamEvent, error) bool) { yield(holysheep.StreamEvent{}, f.err) }
}

func TestDeferralReadsErrors(t *testing.T) {
	synctest.Test(t, func(t *testing.T) {
		now := time.Now()
		in := now.Add
		over := &holysheep.BudgetError{Needed: 2, BudgetStatus: holysheep.BudgetStatus{Limit: 2, ResetsAt: in(5 * time.Hour)}}
		tooDear := &holysheep.BudgetError{Needed: 3, BudgetStatus: holysheep.BudgetStatus{Limit: 2, ResetsAt: in(5 * time.Hour)}}
		open := &route.OpenError{Model: dear, Until: in(4 * time.Second)}
		for _, c := range []struct {
			err error
			at  time.Time // zero: not deferred
		}{
			{over, in(5 * time.Hour)},
			{tooDear, time.Time{}},
			{&holysheep.BudgetError{Needed: 2}, time.Time{}}, // the cap of a scope
			{&holysheep.BudgetError{Err: holysheep.ErrLedger}, in(time.Hour)},
			{&holysheep.BudgetError{Err: fmt.Errorf("%w: by Ann", holysheep.ErrBlocked)}, time.Time{}},
			{open, in(4 * time.Second)},
			{&route.OpenError{Model: dear, Forced: true}, in(time.Hour)},
			{&route.WaitError{Model: dear, Full: true, Retry: in(90 * time.Second)}, in(90 * time.Second)},
			{&route.WaitError{Model: dear, Retry: in(-time.Second), Err: context.DeadlineExceeded}, now},
			{fmt.Errorf("%w; before: %w", open, holysheep.ErrOverloaded), in(4 * time.Second)},
			{fmt.Errorf("%w; before: %w", tooDear, holysheep.ErrOverloaded), time.Time{}},
			{&holysheep.TransportError{Phase: holysheep.PhaseWait, Err: context.DeadlineExceeded}, in(time.Hour)},
			{holysheep.ErrStalled, in(time.Hour)},
			{&holysheep.RequestError{Field: "Model"}, time.Time{}},
			{holysheep.ErrUnauthorized, time.Time{}},
			{holysheep.ErrContextLength, time.Time{}},
			{&route.FallbackError{Receipt: &route.FallbackReceipt{Tries: []route.FallbackTry{
				{Err: holysheep.ErrOverloaded}, {Err: open}, {Skipped: "no"}, {Err: holysheep.ErrUnauthorized},
			}}}, in(4 * time.Second)},
			{&route.FallbackError{Receipt: &route.FallbackReceipt{Tries: []route.FallbackTry{{Err: holysheep.ErrUnauthorized}, {Skipped: "no"}}}}, time.Time{}},
		} {
			for _, ask := range askers {
				d, err := route.NewDeferral(failing{c.err}, nil)
				require.NoError(t, err)
				_, _, err = ask(t.Context(), d, greeting(dear))
				require.ErrorIs(t, err, c.err)
				put, deferred := errors.AsType[*route.DeferredError](err)
				require.Equal(t, !c.at.IsZero(), deferred, "%v", c.err)
				if deferred {
					require.Equal(t, c.at, put.At, "%v", c.err)
					require.NotEmpty(t, put.Reason)
				}

				// What has a time already keeps it; what was cancelled has no later.
				outer, err2 := route.NewDeferral(d, &route.DeferralOptions{Usual: time.Minute})
				require.NoError(t, err2)
				_, _, again := ask(t.Context(), outer, greeting(dear))
				require.Equal(t, err.Error(), again.Error())
				ctx, cancel := context.WithCancel(t.Context())
				cancel()
				_, _, err = ask(ctx, d, greeting(dear))
				require.Equal(t, c.err, err)
			}
		}
	})
}

func TestDeferralOfRealCalls(t *testing.T) {
	for name, ask := range askers {
		t.Run(name, func(t *testing.T) {
			synctest.Test(t, func(t *testing.T) {
				gw, seen := holysheeptest.Start(t), &rows{}
				budget := &holysheep.Budget{Name: "day", Limit: holysheep.Dollars(0.0165), Period: holysheep.Daily}
				d, err := route.NewDeferral(gw.Client(&holysheep.Options{Observer: seen, Budgets: []*holysheep.Budget{budget}}), nil)
				require.NoError(t, err)
				put := func(err error) *route.DeferredError {
					e, ok := errors.AsType[*route.DeferredError](err)
					require.True(t, ok, "%v", err)
					return e
				}

				gw.Reply(holysheeptest.Status(429).RetryAfter(2 * time.Hour))
				_, _, err = ask(t.Context(), d, greeting(dear))
				require.Equal(t, time.Now().Add(2*time.Hour), put(err).At)
				require.ErrorIs(t, err, holysheep.ErrRateLimited)
				row := seen.of("deferral")
				require.Len(t, row, 1)
				require.Equal(t, err, row[0].Err)
				require.Equal(t, "deferral", row[0].Steps[0].Kind)

				// It would be served after its deadline: the client does not wait for that, and nothing is sent after it.
				gw.Reply(holysheeptest.Status(503).RetryAfter(30 * time.Second))
				ctx, cancel := context.WithTimeout(t.Context(), 10*time.Second)
				_, _, err = ask(ctx, d, greeting(dear))
				require.Equal(t, time.Now().Add(30*time.Second), put(err).At)
				cancel()

				resp, _, err := ask(t.Context(), d, greeting(dear))
				require.NoError(t, err)
				require.NotNil(t, resp)
				_, _, err = ask(t.Context(), d, greeting(dear))
				require.Equal(t, time.Now().UTC().Truncate(24*time.Hour).Add(24*time.Hour), put(err).At.UTC(), "the next day")
				require.Equal(t, 3, gw.Count())
			})
		})
	}
}

// What broke off after a part had been shown is not to be shown again later.
func TestDeferralLeavesShownAnswersAlone(t *testing.T) {
	gw := holysheeptest.Start(t)
	d, err := route.NewDeferral(gw.Client(nil), nil)
	require.NoError(t, err)
	gw.Reply(holysheeptest.Text("The answer is long").CutAfter(2))
	_, text, err := readStream(t.Context(), d, greeting(dear))
	require.Equal(t, "The answer", text)
	_, deferred := errors.AsType[*route.DeferredError](err)
	require.False(t, deferred)

	_, err = route.NewDeferral(nil, &route.DeferralOptions{Usual: -1})
	require.ErrorContains(t, err, "next: nil")
	require.ErrorContains(t, err, "DeferralOptions.Usual: -1ns")
	stream := d.Stream(t.Context(), greeting(dear))
	for range stream {
		break
	}
	for _, err := range stream {
		require.ErrorIs(t, err, holysheep.ErrStreamUsed)
	}
	_, err = d.Chat(t.Context(), nil)
	require.ErrorIs(t, err, holysheep.ErrBadRequest)
}
