package route_test

import (
	"context"
	"errors"
	"testing"

	"github.com/stretchr/testify/require"

	"github.com/holysheep-ai/holysheep-go"
	"github.com/holysheep-ai/holysheep-go/holysheeptest"
	"github.com/holysheep-ai/holysheep-go/route"
)

// greeting is a request to a model.
func greeting(model string) *holysheep.ChatRequest {
	return &holysheep.ChatRequest{Model: model, Messages: []holysheep.Message{holysheep.User("hello")}}
}

// countingGate counts what it let through and what came back, and can refuse or panic.
type countingGate struct {
	before, after int
	refuse        error
	panics        bool
	last          holysheep.Attempt
}

func (g *countingGate) Before(context.Context, *holysheep.Call, *holysheep.Attempt) error {
	if g.panics {
		panic("gate")
	}
	if g.refuse != nil {
		return g.refuse
	}
	g.before++
	return nil
}

func (g *countingGate) After(_ context.Context, _ *holysheep.Call, at *holysheep.Attempt) {
	g.after++
	g.last = *at
}

func TestGatesTellEachGateOnce(t *testing.T) {
	gw := holysheeptest.Start(t)
	first, second := &countingGate{}, &countingGate{}
	client := gw.Client(&holysheep.Options{Gate: route.Gates(nil, first, second)})
	_, err := client.Chat(t.Context(), greeting(holysheep.GPT41))
	require.NoError(t, err)
	for _, g := range []*countingGate{first, second} {
		require.Equal(t, [2]int{1, 1}, [2]int{g.before, g.after})
		require.NoError(t, g.last.Err)
	}

	second.refuse = errors.New("not now")
	_, err = client.Chat(t.Context(), greeting(holysheep.GPT41))
	require.ErrorIs(t, err, second.refuse)
	require.Equal(t, 1, gw.Count(), "nothing is sent")
	require.Equal(t, [2]int{2, 2}, [2]int{first.before, first.after}, "the first one gets its place back")
	require.ErrorIs(t, first.last.Err, second.refuse)
	require.True(t, first.last.Start.IsZero())
	require.Equal(t, [2]int{1, 1}, [2]int{second.before, second.after})

	second.refuse, second.panics = nil, true
	require.Panics(t, func() { _, _ = client.Chat(t.Context(), greeting(holysheep.GPT41)) })
	require.Equal(t, [2]int{3, 3}, [2]int{first.before, first.after})
	require.Error(t, first.last.Err)
}

func TestGatesOfNone(t *testing.T) {
	gw := holysheeptest.Start(t)
	_, err := gw.Client(&holysheep.Options{Gate: route.Gates(nil)}).Chat(t.Context(), greeting(holysheep.GPT41))
	require.NoError(t, err)
}

func TestGatesAskTheBreakerBeforeTheQueue(t *testing.T) {
	gw := holysheeptest.Start(t)
	queue := &countingGate{}
	breaker, err := route.NewBreaker(nil)
	require.NoError(t, err)
	client := gw.Client(&holysheep.Options{Gate: route.Gates(queue, breaker)})
	_, err = client.Chat(t.Context(), greeting(holysheep.GPT41))
	require.NoError(t, err)
	require.Equal(t, 1, queue.before)
	breaker.ForceOpen(holysheep.GPT41, breaker.Statuses()[0].Host)
	_, err = client.Chat(t.Context(), greeting(holysheep.GPT41))
	require.ErrorIs(t, err, route.ErrOpen)
	require.Equal(t, 1, queue.before, "nobody waits for a turn that the breaker would refuse")
}

// brokenLedger panics when something is reserved.
type brokenLedger struct{ holysheep.Ledger }

func (brokenLedger) Reserve(context.Context, holysheep.Reservation) (int, error) { panic("ledger") }

func TestGatesGetTheirPlaceBackFromAPanickingLedger(t *testing.T) {
	gw := holysheeptest.Start(t)
	gate := &countingGate{}
	client := gw.Client(&holysheep.Options{Gate: gate, Budgets: []*holysheep.Budget{
		{Name: "b", Limit: holysheep.Dollars(1), Ledger: brokenLedger{}},
	}})
	require.Panics(t, func() { _, _ = client.Chat(t.Context(), greeting(holysheep.GPT41)) })
	require.Equal(t, [2]int{1, 1}, [2]int{gate.before, gate.after})
	require.Error(t, gate.last.Err)
}
