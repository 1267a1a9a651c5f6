package route_test

import (
	"context"
	"encoding/json"
	"errors"
	"sync"
	"testing"
	"testing/synctest"
	"time"

	"github.com/stretchr/testify/require"

	"github.com/holysheep-ai/holysheep-go"
	"github.com/holysheep-ai/holysheep-go/cache"
	"github.com/holysheep-ai/holysheep-go/holysheeptest"
	"github.com/holysheep-ai/holysheep-go/route"
)

// knob is a signal that a test sets.
type knob struct {
	mu    sync.Mutex
	rung  route.Rung
	err   error
	reads int
}

func (k *knob) set(r route.Rung) {
	k.mu.Lock()
	defer k.mu.Unlock()
	k.rung = r
}

func (k *knob) signal() route.Signal {
	return route.Signal{Name: "knob", Read: func(context.Context) (route.Rung, string, error) {
		k.mu.Lock()
		defer k.mu.Unlock()
		k.reads++
		return k.rung, "turned to " + k.rung.String(), k.err
	}}
}

// at makes a ladder that stands on a rung at once.
func at(t *testing.T, next holysheep.Completer, r route.Rung) *route.Ladder {
	t.Helper()
	k := &knob{rung: r}
	l, err := route.NewLadder(next, []route.Signal{k.signal()}, &route.LadderOptions{Every: 1, Rise: 1})
	require.NoError(t, err)
	require.Eventually(t, func() bool { now, _ := l.Rung(t.Context()); return now == r }, time.Second, 10)
	return l
}

func TestLadderRungs(t *testing.T) {
	type asked struct {
		model  string
		tokens int
	}
	whole := asked{holysheep.GPT41, 1000}
	cheaper := asked{holysheep.DeepSeekV32, 1000}
	shorter := asked{holysheep.DeepSeekV32, 256}
	none := asked{}
	for _, c := range []struct {
		rung                    route.Rung
		normal, critical, batch asked // none where nothing is sent
	}{
		{route.AsAsked, whole, whole, whole},
		{route.Cheaper, cheaper, whole, shorter},
		{route.Shorter, shorter, cheaper, none},
		{route.CachedOnly, none, shorter, none},
		{route.Refused, none, none, none},
	} {
		t.Run(c.rung.String(), func(t *testing.T) {
			gw := holysheeptest.Start(t)
			l := at(t, gw.Client(nil), c.rung)
			for _, p := range []struct {
				of   route.Priority
				want asked
			}{{route.Normal, c.normal}, {route.Critical, c.critical}, {route.Batch, c.batch}} {
				for _, stream := range []bool{false, true} {
					sent := gw.Count()
					req := plainly("Compare these two toasters.")
					req.Model, req.MaxTokens = holysheep.GPT41, new(1000)
					resp, err := chatOrStream(route.WithPriority(t.Context(), p.of), l, req, stream)
					require.Equal(t, holysheep.GPT41, req.Model, "the caller's request is not changed")
					require.Equal(t, 1000, *req.MaxTokens)
					if p.want == none {
						require.ErrorIs(t, err, route.ErrRefused)
						refused, ok := errors.AsType[*route.RefusedError](err)
						require.True(t, ok)
						require.Equal(t, p.of, refused.Priority)
						require.Equal(t, sent, gw.Count())
						continue
					}
					require.NoError(t, err)
					got := gw.Requests()[sent]
					var body struct {
						MaxTokens int `json:"max_tokens"`
					}
					require.NoError(t, json.Unmarshal(got.Body, &body))
					require.Equal(t, p.want, asked{got.Model, body.MaxTokens})
					if p.want == whole {
						require.Empty(t, resp.Steps)
						continue
					}
					receipt := resp.Steps[len(resp.Steps)-1].Detail.(*route.LadderReceipt)
					require.Equal(t, holysheep.GPT41, receipt.From)
					require.Equal(t, p.want.model, receipt.To)
					require.Contains(t, receipt.String(), "because knob: turned to "+c.rung.String())
				}
			}
		})
	}
}

func chatOrStream(ctx context.Context, c holysheep.Completer, req *holysheep.ChatRequest, stream bool) (*holysheep.ChatResponse, error) {
	if stream {
		return holysheep.Collect(c.Stream(ctx, req))
	}
	return c.Chat(ctx, req)
}

// It climbs a rung at a time, and goes down only when a signal has asked for less for a while.
func TestLadderIsSlow(t *testing.T) {
	synctest.Test(t, func(t *testing.T) {
		gw := holysheeptest.Start(t)
		var steps []route.LadderChange
		k := &knob{}
		seen := &rows{}
		l, err := route.NewLadder(gw.Client(&holysheep.Options{Observer: seen}), []route.Signal{k.signal()},
			&route.LadderOptions{Most: route.CachedOnly, OnChange: func(c route.LadderChange) { steps = append(steps, c) }})
		require.NoError(t, err)
		stands := func(after time.Duration, want route.Rung) {
			t.Helper()
			for end := time.Now().Add(after); time.Now().Before(end); time.Sleep(time.Second) {
				l.Rung(t.Context())
			}
			got, _ := l.Rung(t.Context())
			require.Equal(t, want, got)
		}
		stands(0, route.AsAsked)
		k.set(route.Refused)
		stands(0, route.AsAsked) // the reading still counts
		stands(time.Second, route.Cheaper)
		stands(4*time.Second, route.Cheaper)
		stands(time.Second, route.Shorter)
		stands(time.Minute, route.CachedOnly)
		k.set(route.Cheaper)
		stands(14*time.Second, route.CachedOnly)
		k.set(route.Refused) // once more
		stands(time.Second, route.CachedOnly)
		k.set(route.Cheaper)
		stands(14*time.Second, route.CachedOnly)
		stands(time.Second, route.Shorter)
		stands(15*time.Second, route.Cheaper)
		stands(time.Minute, route.Cheaper)
		k.set(route.AsAsked)
		k.err = errors.New("no reading")
		stands(time.Minute, route.Cheaper)
		k.err = nil
		stands(time.Minute, route.AsAsked)
		var to []route.Rung
		for _, s := range steps {
			to = append(to, s.To)
		}
		require.Equal(t, []route.Rung{1, 2, 3, 2, 1, 0}, to)
		require.Len(t, seen.of("ladder"), len(steps), "the observer sees each step")
		reads := k.reads
		for range 1000 {
			l.Rung(t.Context())
		}
		require.LessOrEqual(t, k.reads, reads+1)
	})
}

// As soon as something is given up, caches are asked for what was wanted, expired answers included.
func TestLadderLooksIntoCachesFirst(t *testing.T) {
	synctest.Test(t, func(t *testing.T) {
		gw := holysheeptest.Start(t)
		store := cache.NewMemory(nil)
		exact := cache.Exact(gw.Client(nil), store, &cache.ExactOptions{TTL: time.Minute, Stale: time.Hour})
		defer func() {
			require.NoError(t, exact.Close())
			require.NoError(t, store.Close())
		}()
		k := &knob{}
		l, err := route.NewLadder(exact, []route.Signal{k.signal()}, nil)
		require.NoError(t, err)
		ask := func(text string, stream bool) (*holysheep.ChatResponse, error) {
			req := plainly(text)
			req.Model = holysheep.GPT41
			return chatOrStream(t.Context(), l, req, stream)
		}
		_, err = ask("known", false)
		require.NoError(t, err)
		for _, rung := range []route.Rung{route.Cheaper, route.Shorter, route.CachedOnly} {
			k.set(rung)
			time.Sleep(5 * time.Second)
			for _, stream := range []bool{false, true} {
				resp, err := ask("known", stream)
				require.NoError(t, err)
				require.True(t, resp.Cached)
				require.Equal(t, holysheep.GPT41, resp.Requested)
				require.True(t, resp.Steps[len(resp.Steps)-1].Detail.(*route.LadderReceipt).Whole)
			}
		}
		require.Equal(t, 1, gw.Count())
		_, err = ask("not known", true)
		require.ErrorIs(t, err, route.ErrRefused)
		time.Sleep(30 * time.Minute)
		resp, err := ask("known", false)
		require.NoError(t, err)
		require.True(t, resp.Steps[0].Detail.(*cache.Receipt).Stale)
		require.Equal(t, 1, gw.Count(), "nothing is fetched")
	})
}

// A budget for each tenant degrades the calls of the one that spends too fast, and nobody else's.
func TestBudgetSignal(t *testing.T) {
	synctest.Test(t, func(t *testing.T) {
		time.Sleep(time.Until(time.Now().UTC().Truncate(24 * time.Hour).Add(36 * time.Hour))) // noon
		gw := holysheeptest.Start(t)
		budget := &holysheep.Budget{Name: "day", Limit: holysheep.Dollars(1), Period: holysheep.Daily, PerTag: "tenant"}
		client := gw.Client(&holysheep.Options{Budgets: []*holysheep.Budget{budget}, Model: holysheep.GPT41})
		l, err := route.NewLadder(client, []route.Signal{route.BudgetSignal(budget)}, &route.LadderOptions{Rise: time.Second})
		require.NoError(t, err)
		hungry, _ := holysheep.NewScope(t.Context(), holysheep.Tags{"tenant": "hungry"})
		other, _ := holysheep.NewScope(t.Context(), holysheep.Tags{"tenant": "other"})
		spend := func(dollars float64) {
			gw.Reply(holysheeptest.Text("x").Usage(holysheep.Usage{PromptTokens: int64(dollars / 2 * 1e6)})) // gpt-4.1 is $2 a million in
			req := plainly("x")
			req.MaxTokens = new(10)
			_, err := client.Chat(hungry, req)
			require.NoError(t, err)
		}
		stands := func(want route.Rung) {
			t.Helper()
			for range 10 {
				time.Sleep(time.Second)
				l.Rung(hungry)
			}
			got, why := l.Rung(hungry)
			require.Equal(t, want, got, why)
			got, _ = l.Rung(other)
			require.Equal(t, route.AsAsked, got)
		}
		spend(0.4)
		stands(route.AsAsked)
		spend(0.15) // at noon: $1.10 by midnight
		stands(route.Cheaper)
		spend(0.2)
		stands(route.Shorter)
		spend(0.24)
		stands(route.CachedOnly)
	})
}

// All circuits open is nothing to send; one that may be probed gets its probe.
func TestBreakerSignal(t *testing.T) {
	synctest.Test(t, func(t *testing.T) {
		gw := holysheeptest.Start(t)
		b, err := route.NewBreaker(&route.BreakerOptions{MinCalls: 2, FailureRate: 0.6, OpenFor: time.Minute, Jitter: new(0.0), Probes: 1})
		require.NoError(t, err)
		client := gw.Client(&holysheep.Options{Gate: b, MaxAttempts: 1})
		signal := route.BreakerSignal(b)
		asks := func() route.Rung {
			r, _, err := signal.Read(t.Context())
			require.NoError(t, err)
			return r
		}
		call := func(model string) error {
			req := plainly("x")
			req.Model = model
			_, err := client.Chat(t.Context(), req)
			return err
		}
		models := []string{holysheep.GPT41, holysheep.DeepSeekV32, holysheep.Gemini25Flash}
		for _, m := range models {
			require.NoError(t, call(m))
		}
		require.Equal(t, route.AsAsked, asks())
		for i, m := range models {
			gw.Reply(holysheeptest.Status(503), holysheeptest.Status(503))
			require.Error(t, call(m))
			require.Error(t, call(m))
			require.ErrorIs(t, call(m), route.ErrOpen)
			require.Equal(t, []route.Rung{route.Cheaper, route.Shorter, route.CachedOnly}[i], asks())
		}
		time.Sleep(time.Minute)
		require.Equal(t, route.Shorter, asks(), "they may be probed")
		for _, m := range models {
			require.NoError(t, call(m))
		}
		require.Equal(t, route.AsAsked, asks())
	})
}

func TestBadLadders(t *testing.T) {
	_, err := route.NewLadder(nil, nil, &route.LadderOptions{
		Cheaper:   map[string]string{"a": "a", "gpt-4.1": "b", "b": "unknown-model"},
		MaxTokens: -1, Most: 9, Every: -1, Rise: -1, Fall: -1,
	})
	require.ErrorIs(t, err, holysheep.ErrBadRequest)
	for _, part := range []string{"next: nil", "signals: there are none", "stands in for itself", "is stood in for", "is not known", "under one", "Rung(9)", "Every", "Rise", "Fall"} {
		require.ErrorContains(t, err, part)
	}
	k := &knob{}
	_, err = route.NewLadder(holysheeptest.Start(t).Client(nil), []route.Signal{k.signal(), k.signal(), {}}, nil)
	for _, part := range []string{"signals[1].Name", "signals[2].Name", "signals[2].Read"} {
		require.ErrorContains(t, err, part)
	}
}

func plainly(text string) *holysheep.ChatRequest {
	return &holysheep.ChatRequest{Messages: []holysheep.Message{holysheep.User(text)}}
}
