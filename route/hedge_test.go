package route_test

import (
	"context"
	"errors"
	"iter"
	"math"
	"math/rand/v2"
	"sync"
	"testing"
	"testing/synctest"
	"time"

	"github.com/stretchr/testify/require"

	"github.com/holysheep-ai/holysheep-go"
	"github.com/holysheep-ai/holysheep-go/holysheeptest"
	"github.com/holysheep-ai/holysheep-go/route"
)

// hedged makes a hedge that knows that answers take a second, and has some money for second calls.
func hedged(t *testing.T, client *holysheep.Options, opts route.HedgeOptions) (*holysheeptest.Server, *route.Hedge, *rows) {
	t.Helper()
	gw, seen := holysheeptest.Start(t), &rows{}
	var o holysheep.Options
	if client != nil {
		o = *client
	}
	o.Observer = seen
	h, err := route.NewHedge(gw.Client(&o), &opts)
	require.NoError(t, err)
	for range 40 {
		for _, ask := range askers {
			gw.Reply(holysheeptest.Text("yes").After(time.Second))
			_, _, err := ask(t.Context(), h, short())
			require.NoError(t, err)
		}
	}
	require.Equal(t, 80, gw.Count(), "nothing is asked twice while answers take what they are wont to")
	seen.calls = nil
	return gw, h, seen
}

// short is a request that cannot cost much more than it does.
func short() *holysheep.ChatRequest {
	r := greeting(dear)
	r.MaxTokens = new(8)
	return r
}

func TestHedge(t *testing.T) {
	slow, late := holysheeptest.Text("first").After(10*time.Second), 1024*time.Millisecond
	for _, c := range []struct {
		name          string
		first, second *holysheeptest.Reply // no second call is expected without a reply to it
		want          string
		took          time.Duration
		wants         error
	}{
		{"the second is first", slow, holysheeptest.Text("second").After(time.Second), "second", late + time.Second, nil},
		{"the first is first all the same", holysheeptest.Text("first").After(2 * time.Second), slow, "first", 2 * time.Second, nil},
		{"the first fails meanwhile", holysheeptest.Status(503).After(2 * time.Second), holysheeptest.Text("second").After(2 * time.Second), "second", late + 2*time.Second, nil},
		{"the second fails", holysheeptest.Text("first").After(3 * time.Second), holysheeptest.Status(503), "first", 3 * time.Second, nil},
		{"both fail", holysheeptest.Status(429).After(2 * time.Second), holysheeptest.Status(503), "", 2 * time.Second, holysheep.ErrRateLimited},
		{"the first fails early", holysheeptest.Status(503), nil, "", 0, holysheep.ErrOverloaded},
	} {
		t.Run(c.name, func(t *testing.T) {
			for name, ask := range askers {
				t.Run(name, func(t *testing.T) {
					synctest.Test(t, func(t *testing.T) {
						gw, h, seen := hedged(t, &holysheep.Options{MaxAttempts: 1}, route.HedgeOptions{Share: 1})
						require.InDelta(t, late.Seconds(), h.After(dear, name == "stream").Seconds(), 0.1, "the bucket of a second ends there")
						billed := gw.Billed()
						gw.Reply(c.first)
						asked := 1
						if c.second != nil {
							gw.Reply(c.second)
							asked = 2
						}
						began := time.Now()
						resp, text, err := ask(t.Context(), h, short())
						require.InDelta(t, c.took.Seconds(), time.Since(began).Seconds(), 0.1)
						require.Equal(t, 80+asked, gw.Count())
						row := seen.of("hedge")
						require.Len(t, row, 1)
						require.Len(t, seen.of("chat"), asked, "both are booked when the call returns")
						if c.wants != nil {
							require.ErrorIs(t, err, c.wants)
							require.ErrorIs(t, row[0].Err, c.wants)
							return
						}
						require.NoError(t, err)
						require.Equal(t, c.want, text)
						require.Equal(t, c.want, resp.Text())
						require.InDelta(t, c.took.Seconds(), resp.FirstToken.Seconds(), 0.1, "from the start")
						require.Equal(t, row[0].Spent(), resp.Cost)
						require.GreaterOrEqual(t, resp.Cost.AtMost, gw.Billed()-billed, "the loser is in it")
						require.Len(t, resp.Steps, 1)
						require.Equal(t, c.want, resp.Steps[0].Detail.(*route.HedgeReceipt).Won)
					})
				})
			}
		})
	}
}

// One that has shown something is not overtaken, and its end is the reader's, however bad.
func TestHedgeNeverShowsTwoTexts(t *testing.T) {
	synctest.Test(t, func(t *testing.T) {
		gw, h, _ := hedged(t, nil, route.HedgeOptions{Share: 1})
		gw.Reply(holysheeptest.Text("The first is long").After(2*time.Second).Drip(time.Second).CutAfter(2), holysheeptest.Text("The second").After(5*time.Second))
		_, text, err := readStream(t.Context(), h, short())
		require.ErrorIs(t, err, holysheep.ErrTruncated)
		require.Equal(t, "The first", text)
		gw.Reply(holysheeptest.Text("The first").After(20*time.Second), holysheeptest.Text("The second is long").After(time.Second).CutAfter(2))
		_, text, err = readStream(t.Context(), h, short())
		require.ErrorIs(t, err, holysheep.ErrTruncated)
		require.Equal(t, "The second", text)
	})
}

// A reader that leaves, or a context that ends, leaves nothing running.
func TestHedgeLeavesNothingRunning(t *testing.T) {
	for _, firstWins := range []bool{true, false} {
		synctest.Test(t, func(t *testing.T) {
			gw, h, seen := hedged(t, nil, route.HedgeOptions{Share: 1})
			first, second := 2*time.Second, time.Hour
			if !firstWins {
				first, second = time.Hour, time.Second
			}
			gw.Reply(holysheeptest.Text("one two three").After(first).Drip(time.Second), holysheeptest.Text("one two three").After(second).Drip(time.Second))
			for ev, err := range h.Stream(t.Context(), short()) {
				require.NoError(t, err)
				require.NotEmpty(t, ev.Text)
				break
			}
			require.Len(t, seen.of("chat"), 2)
			require.NoError(t, seen.of("hedge")[0].Err)

			for _, ask := range askers {
				gw.Reply(holysheeptest.Text("yes").After(time.Hour), holysheeptest.Text("yes").After(time.Hour))
				ctx, cancel := context.WithTimeout(t.Context(), 5*time.Second)
				_, _, err := ask(ctx, h, short())
				require.ErrorIs(t, err, context.DeadlineExceeded)
				cancel()
			}
			require.Len(t, seen.of("chat"), 6)
		})
	}
}

func TestHedgeKeepsToItsShare(t *testing.T) {
	for _, share := range []float64{0, 0.3} {
		synctest.Test(t, func(t *testing.T) {
			gw, seen := holysheeptest.Start(t), &rows{}
			h, err := route.NewHedge(gw.Client(&holysheep.Options{Observer: seen}), &route.HedgeOptions{Share: share})
			require.NoError(t, err)
			dice := rand.New(rand.NewPCG(1, 2))
			gw.ReplyWhen(func(*holysheeptest.Request) bool { return true }, randomTimes(dice, 400)...)
			var running sync.WaitGroup
			for range 8 {
				running.Go(func() {
					for range 50 {
						_, err := h.Chat(t.Context(), short())
						require.NoError(t, err)
					}
				})
			}
			running.Wait()
			if share == 0 {
				share = 0.05
			}
			spent, extra, hedges := holysheep.USD(0), holysheep.USD(0), 0
			for _, row := range seen.of("hedge") {
				spent += row.Spent().AtMost
				for _, s := range row.Steps {
					extra += s.Detail.(*route.HedgeReceipt).Extra
					hedges++
				}
			}
			t.Logf("share %v: %d of 400 calls asked twice, for %.1f %% more", share, hedges, 100*extra.Dollars()/(spent-extra).Dollars())
			require.Positive(t, hedges)
			require.Equal(t, gw.Count(), 400+hedges)
			require.LessOrEqual(t, extra.Dollars(), share*(spent-extra).Dollars()*1.0001)
		})
	}
}

// randomTimes are answers most of which are quick.
func randomTimes(dice *rand.Rand, n int) (replies []*holysheeptest.Reply) {
	for range n {
		d := time.Duration(dice.ExpFloat64() * float64(200*time.Millisecond))
		if dice.IntN(10) == 0 {
			d += 5 * time.Second
		}
		replies = append(replies, holysheeptest.Text("yes").After(d))
	}
	return replies
}

// Nothing is asked twice without a price, under a budget that has no room, or after the deadline.
func TestHedgeHoldsBack(t *testing.T) {
	synctest.Test(t, func(t *testing.T) {
		client := &holysheep.Options{Budgets: []*holysheep.Budget{{Name: "day", Limit: holysheep.Dollars(0.2), Period: holysheep.Daily}}}
		gw, h, seen := hedged(t, client, route.HedgeOptions{Share: 1})
		gw.Reply(holysheeptest.Text("yes").After(10 * time.Second))
		unpriced := short()
		unpriced.Model = "no-price"
		_, err := h.Chat(t.Context(), unpriced)
		require.ErrorIs(t, err, holysheep.ErrUnknownPrice)

		ctx, scope := holysheep.NewScope(t.Context(), nil)
		q, err := holysheep.Plan(ctx, h, short())
		require.NoError(t, err)
		scope.SetCap(q.Worst.AtMost+1, false)
		resp, err := h.Chat(ctx, short())
		require.NoError(t, err)
		require.Equal(t, "first", resp.Steps[0].Detail.(*route.HedgeReceipt).Won)
		require.Equal(t, 81, gw.Count(), "the cap has room for one")
		require.Len(t, seen.of("chat"), 2)
		require.ErrorIs(t, seen.of("chat")[0].Err, holysheep.ErrBudgetExceeded)
	})
}

// bursting panics where it is asked for the second time.
type bursting struct {
	holysheep.Completer
	mu    sync.Mutex
	asked int
	from  int
}

func (b *bursting) Unwrap() holysheep.Completer { return b.Completer }

func (b *bursting) Chat(ctx context.Context, req *holysheep.ChatRequest) (*holysheep.ChatResponse, error) {
	b.mu.Lock()
	b.asked++
	burst := b.asked > b.from
	b.mu.Unlock()
	if burst {
		panic("bug")
	}
	return b.Completer.Chat(ctx, req)
}

// A panic of the second call ends that call, and not the program; one of the first is the caller's.
func TestHedgePanics(t *testing.T) {
	synctest.Test(t, func(t *testing.T) {
		gw := holysheeptest.Start(t)
		b := &bursting{Completer: gw.Client(nil), from: 41}
		h, err := route.NewHedge(b, &route.HedgeOptions{Share: 1})
		require.NoError(t, err)
		for range 40 {
			_, err := h.Chat(t.Context(), short())
			require.NoError(t, err)
		}
		gw.Reply(holysheeptest.Text("yes").After(time.Second))
		resp, err := h.Chat(t.Context(), short())
		require.NoError(t, err)
		require.Len(t, resp.Steps, 1)
		require.Equal(t, 42, b.asked)
		require.Panics(t, func() { _, _ = h.Chat(t.Context(), short()) })
	})
}

func TestHedgeRefusesBadOptions(t *testing.T) {
	client := holysheeptest.Start(t).Client(nil)
	for _, share := range []float64{-1, 1.1, math.NaN()} {
		_, err := route.NewHedge(client, &route.HedgeOptions{Share: share, Least: -1})
		require.ErrorIs(t, err, holysheep.ErrBadRequest)
		require.ErrorContains(t, err, "HedgeOptions.Share")
		require.ErrorContains(t, err, "HedgeOptions.Least")
	}
	_, err := route.NewHedge(nil, nil)
	require.ErrorContains(t, err, "next: nil")
	h, err := route.NewHedge(client, nil)
	require.NoError(t, err)
	require.Equal(t, holysheep.Completer(client), h.Unwrap())
	require.Zero(t, h.After(dear, true))
	stream := h.Stream(t.Context(), short())
	for range stream {
		break
	}
	for _, err := range stream {
		require.ErrorIs(t, err, holysheep.ErrStreamUsed)
	}
	_, err = h.Chat(t.Context(), nil)
	_, bad := errors.AsType[*holysheep.RequestError](err)
	require.True(t, bad)
}

// stubborn does not look at its context. It answers the first time after one while, and then after another.
type stubborn struct {
	holysheep.Completer
	mu     sync.Mutex
	whiles []time.Duration
}

func (s *stubborn) Unwrap() holysheep.Completer { return s.Completer }

func (s *stubborn) Stream(_ context.Context, req *holysheep.ChatRequest) iter.Seq2[holysheep.StreamEvent, error] {
	return func(yield func(holysheep.StreamEvent, error) bool) {
		s.mu.Lock()
		while := s.whiles[0]
		s.whiles = s.whiles[1:]
		s.mu.Unlock()
		time.Sleep(while)
		text := "after " + while.String()
		if yield(holysheep.StreamEvent{Text: text}, nil) {
			resp := &holysheep.ChatResponse{Requested: req.Model, Choices: []holysheep.Choice{{Message: holysheep.Assistant(text)}}}
			yield(holysheep.StreamEvent{Response: resp}, nil)
		}
	}
}

// What comes from the other one in spite of its cancelled context is not shown.
func TestHedgeOfTheStubborn(t *testing.T) {
	synctest.Test(t, func(t *testing.T) {
		s := &stubborn{Completer: holysheeptest.Start(t).Client(nil)}
		h, err := route.NewHedge(s, &route.HedgeOptions{Share: 1})
		require.NoError(t, err)
		for range 20 {
			s.whiles = []time.Duration{time.Second}
			_, _, err := readStream(t.Context(), h, short())
			require.NoError(t, err)
		}
		for range 60 { // nobody books for it: what it may have cost comes from answers
			_, err := h.Chat(t.Context(), short())
			require.NoError(t, err)
		}
		for _, c := range []struct {
			whiles []time.Duration
			want   string
		}{
			{[]time.Duration{9 * time.Second, 2 * time.Second}, "after 2s"},
			{[]time.Duration{3 * time.Second, 9 * time.Second}, "after 3s"},
		} {
			s.whiles = c.whiles
			resp, text, err := readStream(t.Context(), h, short())
			require.NoError(t, err)
			require.Equal(t, c.want, text)
			require.Equal(t, c.want, resp.Text())
			require.Empty(t, s.whiles, "both were asked")
		}
	})
}

// The second call is sent once, whatever the client's retries.
func TestHedgeDoesNotRetry(t *testing.T) {
	synctest.Test(t, func(t *testing.T) {
		gw, h, _ := hedged(t, &holysheep.Options{MaxAttempts: 4}, route.HedgeOptions{Share: 1})
		gw.Reply(holysheeptest.Text("first").After(30*time.Second), holysheeptest.Status(503))
		resp, err := h.Chat(t.Context(), short())
		require.NoError(t, err)
		require.Equal(t, "first", resp.Text())
		require.Equal(t, 82, gw.Count())
	})
}
