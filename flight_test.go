package holysheep_test

import (
	"context"
	"errors"
	"fmt"
	"math/rand/v2"
	"net/http"
	"slices"
	"strings"
	"sync"
	"sync/atomic"
	"testing"
	"testing/synctest"
	"time"

	"github.com/stretchr/testify/require"

	"github.com/holysheep-ai/holysheep-go"
	"github.com/holysheep-ai/holysheep-go/holysheeptest"
)

// small keeps the vectors of tests short.
func small(o holysheep.EmbedOptions) *holysheep.EmbedOptions {
	o.Dimensions = 4
	return &o
}

// together runs f n times at once and gives the errors, in order.
func together(n int, f func(i int) error) []error {
	errs := make([]error, n)
	var wg sync.WaitGroup
	for i := range n {
		wg.Go(func() { errs[i] = f(i) })
	}
	wg.Wait()
	return errs
}

func TestCallersShareARequest(t *testing.T) {
	synctest.Test(t, func(t *testing.T) {
		gw := holysheeptest.Start(t)
		seen := &sums{}
		c := gw.Client(&holysheep.Options{Observer: seen})
		e := c.Embedder("", small(holysheep.EmbedOptions{}))
		in := texts(100)
		start := time.Now()
		got := make([][][]float32, 100)
		for _, err := range together(100, func(i int) (err error) {
			got[i], err = e.Embed(t.Context(), in[i:i+1])
			return err
		}) {
			require.NoError(t, err)
		}
		require.Equal(t, 2*time.Millisecond, time.Since(start), "nobody is held longer")
		require.Equal(t, 1, gw.Count())
		require.Len(t, gw.Requests()[0].Texts, 100)

		alone := c.Embedder("", small(holysheep.EmbedOptions{MaxHold: -1}))
		for i := range got {
			want, err := alone.Embed(t.Context(), in[i:i+1])
			require.NoError(t, err)
			require.Equal(t, want, got[i], "each caller gets its own")
		}
		require.Equal(t, 101, gw.Count())
		require.Equal(t, 2*time.Millisecond, time.Since(start), "below zero nobody is held")

		require.Equal(t, gw.Count(), seen.counted)
		require.EqualValues(t, gw.Count(), c.Meter()[embedModel].Attempts)
		require.Equal(t, gw.Billed(), c.Meter()[embedModel].Cost.USD)
	})
}

func TestAFullRequestDepartsAtOnce(t *testing.T) {
	synctest.Test(t, func(t *testing.T) {
		gw := holysheeptest.Start(t)
		e := gw.Client(nil).Embedder("", small(holysheep.EmbedOptions{MaxTexts: 8, MaxHold: time.Hour}))
		start := time.Now()
		for _, err := range together(32, func(i int) error {
			_, err := e.Embed(t.Context(), []string{fmt.Sprint("first ", i), fmt.Sprint("second ", i)})
			return err
		}) {
			require.NoError(t, err)
		}
		require.Zero(t, time.Since(start))
		require.Equal(t, 8, gw.Count())

		// One that has no room for the next departs without it.
		ended := make(chan error, 3)
		begin := func(n int) {
			go func() {
				_, err := e.Embed(t.Context(), texts(n))
				ended <- err
			}()
			synctest.Wait()
		}
		begin(3)
		begin(3)
		require.Equal(t, 8, gw.Count())
		begin(3)
		require.Equal(t, 9, gw.Count())
		require.Zero(t, time.Since(start))
		for range 3 {
			require.NoError(t, <-ended)
		}
		require.Equal(t, time.Hour, time.Since(start))
		require.Equal(t, 10, gw.Count())

		// One that fills half of it takes along who waits, and waits for nobody.
		begin(2)
		_, err := e.Embed(t.Context(), texts(5))
		require.NoError(t, err)
		require.NoError(t, <-ended)
		require.Equal(t, time.Hour, time.Since(start))
		require.Len(t, gw.Requests()[10].Texts, 7)
	})
}

// Tenants of all sizes share requests whose usage is any number: what they pay adds up to the bill, to the
// picodollar, in scopes, budgets, meter, records and attempts.
func TestSharesAddUpToTheBill(t *testing.T) {
	const tenants = 16
	for name, price := range map[string]holysheep.Price{
		"list price":        {Input: 20_000_000_000},
		"fractions a token": {Input: 123_456_789, Output: 987_654_321},
	} {
		t.Run(name, func(t *testing.T) {
			synctest.Test(t, func(t *testing.T) {
				gw := holysheeptest.Start(t)
				prices, err := holysheep.ListPrices().With(embedModel, price)
				require.NoError(t, err)
				gw.Prices = prices
				random := rand.New(rand.NewPCG(5, 6))
				gw.Chaos(holysheeptest.Chaos{Seed: 9, RateLimited: 0.1, Unavailable: 0.05, Cut: 0.1})
				var odd []*holysheeptest.Reply // answers with a usage that nobody could have counted
				for range 40 {
					odd = append(odd, holysheeptest.Vectors().Usage(holysheep.Usage{PromptTokens: 1 + random.Int64N(3000)}))
				}
				gw.Reply(odd...)
				day := &holysheep.Budget{Name: "day", Limit: holysheep.Dollars(100)}
				each := &holysheep.Budget{Name: "each", Limit: holysheep.Dollars(10), PerTag: "tenant"}
				seen := &sums{}
				c := gw.Client(&holysheep.Options{Prices: prices, Budgets: []*holysheep.Budget{day, each}, Observer: seen, MaxAttempts: 8})
				e := c.Embedder("", small(holysheep.EmbedOptions{MaxTexts: 32}))
				ctx, all := holysheep.NewScope(t.Context(), nil)
				var contexts []context.Context
				var scopes []*holysheep.Scope
				for i := range tenants {
					tenant, scope := holysheep.NewScope(ctx, holysheep.Tags{"tenant": fmt.Sprint(i)})
					contexts, scopes = append(contexts, tenant), append(scopes, scope)
				}
				var failed atomic.Int64
				together(64, func(i int) error {
					for round := range 20 {
						_, err := e.Embed(contexts[i%tenants], texts(1 + (i+round)*(i+round)%9)[0:])
						if err != nil {
							failed.Add(1)
						}
					}
					return nil
				})
				require.Less(t, failed.Load(), int64(5))
				require.Zero(t, gw.Unasked())

				var sum holysheep.Totals
				for i, s := range scopes {
					sum = sum.Plus(s.Totals())
					status, err := each.Status(contexts[i])
					require.NoError(t, err)
					require.Equal(t, s.Cost().AtMost, status.Spent)
					require.Zero(t, status.Reserved)
					require.NotZero(t, status.Spent)
				}
				total := c.Meter()[embedModel]
				require.Equal(t, total, sum)
				require.Equal(t, total, all.Totals())
				require.Equal(t, total, seen.totals[embedModel])
				require.EqualValues(t, 64*20, total.Calls)
				require.EqualValues(t, gw.Count(), total.Attempts)
				require.Less(t, gw.Count(), 64*20/2)
				status, err := day.Status(t.Context())
				require.NoError(t, err)
				require.Equal(t, total.Cost.AtMost, status.Spent)

				// What was answered is billed to the picodollar; what was cut may be on the bill.
				type sent struct {
					usd    holysheep.USD
					tokens int64
				}
				answers := map[string]sent{}
				for _, call := range seen.calls {
					var usd holysheep.USD
					for _, at := range call.Attempts {
						usd += at.Cost.AtMost
						if at.Billing == holysheep.Billed {
							a := answers[at.RequestID]
							a.usd += at.Cost.USD
							a.tokens += at.Usage.PromptTokens
							answers[at.RequestID] = a
							if price.Input%1_000_000 == 0 {
								require.Equal(t, price.Of(holysheep.Usage{PromptTokens: at.Usage.PromptTokens}), at.Cost.USD)
							}
						}
					}
					require.Equal(t, usd, call.Cost.AtMost)
				}
				var billed holysheep.USD
				for _, a := range answers {
					billed += a.usd
				}
				require.LessOrEqual(t, billed, gw.Billed())
				require.GreaterOrEqual(t, total.Cost.AtMost, gw.Billed())
				for i, r := range gw.Requests() {
					if a, ok := answers[fmt.Sprint("req-", i+1)]; ok {
						require.Equal(t, r.Billed, a.usd)
					}
				}
			})
		})
	}
}

// A text that the gateway refuses fails its own caller alone, at the price of a few requests more.
func TestOneBadTextFailsItsCallerAlone(t *testing.T) {
	for _, r := range []struct {
		callers int
		bad     []int
		most    int // requests
	}{
		{1, []int{0}, 1},
		{2, []int{1}, 3},
		{2, []int{0, 1}, 3},
		{128, nil, 1},
		{128, []int{77}, 1 + 11 + 12},
		{128, []int{0, 127}, 1 + 11 + 2*12},
		{100, []int{3, 4, 5, 60}, 1 + 10 + 4*10},
		{128, every(128), 1 + 11 + 128},
	} {
		t.Run(fmt.Sprint(r.callers, " callers, bad ", len(r.bad)), func(t *testing.T) {
			synctest.Test(t, func(t *testing.T) {
				gw := holysheeptest.Start(t)
				gw.ReplyWhen(func(q *holysheeptest.Request) bool { return strings.Contains(string(q.Body), "forbidden") },
					holysheeptest.Error(400, "content_policy_violation", "one of the texts is against the rules"))
				seen := &sums{}
				c := gw.Client(&holysheep.Options{Observer: seen, Budgets: []*holysheep.Budget{{Name: "b", Limit: holysheep.Dollars(1)}}})
				e := c.Embedder("", small(holysheep.EmbedOptions{}))
				for i, err := range together(r.callers, func(i int) error {
					text := fmt.Sprint("a text of caller ", i)
					if slices.Contains(r.bad, i) {
						text += ", forbidden"
					}
					vectors, err := e.Embed(t.Context(), []string{text})
					if err == nil && len(vectors) != 1 {
						return errors.New("no vector")
					}
					return err
				}) {
					if slices.Contains(r.bad, i) {
						require.ErrorIs(t, err, holysheep.ErrContentFiltered)
						_, billing := outcome(t, err)
						require.Equal(t, holysheep.NotBilled, billing)
					} else {
						require.NoError(t, err)
					}
				}
				require.LessOrEqual(t, gw.Count(), r.most)
				require.Equal(t, gw.Count(), seen.counted)
				total := c.Meter()[embedModel]
				require.EqualValues(t, len(r.bad), total.Errors)
				require.Equal(t, gw.Billed(), total.Cost.USD)
				require.Equal(t, gw.Billed(), total.Cost.AtMost)
			})
		})
	}
}

func every(n int) (all []int) {
	for i := range n {
		all = append(all, i)
	}
	return all
}

// A vector that is not finite is the error of the caller whose text it is for.
func TestOneBadVectorFailsItsCallerAlone(t *testing.T) {
	synctest.Test(t, func(t *testing.T) {
		gw := holysheeptest.Start(t)
		gw.ReplyWhen(func(*holysheeptest.Request) bool { return true }, holysheeptest.Raw(200, "application/json",
			`{"data":[{"embedding":[1]},{"embedding":[2]},{"embedding":[3]},{"embedding":[1e99]},{"embedding":[5]},{"embedding":[6]}],"usage":{"prompt_tokens":100}}`))
		c := gw.Client(nil)
		e := c.Embedder("", nil)
		errs := together(3, func(i int) error {
			time.Sleep(time.Duration(i) * time.Microsecond) // the second text of the second caller is the fourth of all
			_, err := e.Embed(t.Context(), []string{"first", "second"})
			return err
		})
		require.NoError(t, errs[0])
		require.NoError(t, errs[2])
		require.ErrorIs(t, errs[1], holysheep.ErrMalformed)
		require.ErrorContains(t, errs[1], "the vector of texts[1]")
		require.Equal(t, 1, gw.Count())
		require.EqualValues(t, 100, c.Meter()[embedModel].Usage.PromptTokens)
	})
}

// Who cancels returns at once, and harms nobody; the request ends with the last who waits for it.
func TestCancelsInASharedRequest(t *testing.T) {
	slow := holysheeptest.Vectors().After(10 * time.Second)
	synctest.Test(t, func(t *testing.T) {
		gw := holysheeptest.Start(t)
		gw.Reply(slow)
		seen := &sums{}
		day := &holysheep.Budget{Name: "day", Limit: holysheep.Dollars(1)}
		c := gw.Client(&holysheep.Options{Observer: seen, Budgets: []*holysheep.Budget{day}})
		e := c.Embedder("", small(holysheep.EmbedOptions{}))
		start := time.Now()
		scopes := make([]*holysheep.Scope, 5)
		errs := together(5, func(i int) error {
			ctx, cancel := context.WithTimeout(t.Context(), time.Duration(i+1)*time.Second)
			if i > 2 {
				ctx, cancel = context.WithCancel(t.Context())
			}
			defer cancel()
			ctx, scopes[i] = holysheep.NewScope(ctx, nil)
			_, err := e.Embed(ctx, texts(i+1))
			if i < 3 {
				if since := time.Since(start); since != time.Duration(i+1)*time.Second {
					t.Errorf("returned after %v", since)
				}
				if cost := scopes[i].Cost(); cost != (holysheep.Cost{}) {
					t.Errorf("booked %v before the request ended", cost)
				}
			}
			return err
		})
		for i, err := range errs {
			if i > 2 {
				require.NoError(t, err)
				continue
			}
			require.ErrorIs(t, err, context.DeadlineExceeded)
			attempts, billing := outcome(t, err)
			require.Equal(t, 1, attempts)
			require.Equal(t, holysheep.MaybeBilled, billing)
		}
		require.NoError(t, c.Close()) // waits for what those who left have left behind
		var sum holysheep.USD
		for _, s := range scopes {
			require.Equal(t, holysheep.Reported, s.Cost().Basis)
			require.NotZero(t, s.Cost().USD)
			sum += s.Cost().USD
		}
		require.Equal(t, gw.Billed(), sum)
		require.Equal(t, 1, gw.Count())
		require.EqualValues(t, 3, c.Meter()[embedModel].Errors)
		require.Len(t, seen.calls, 5)
		status, err := day.Status(t.Context())
		require.NoError(t, err)
		require.Equal(t, gw.Billed(), status.Spent)
		require.Zero(t, status.Reserved)
	})
	t.Run("all of them", func(t *testing.T) {
		synctest.Test(t, func(t *testing.T) {
			gw := holysheeptest.Start(t)
			gw.Reply(slow)
			c := gw.Client(nil)
			e := c.Embedder("", small(holysheep.EmbedOptions{}))
			start := time.Now()
			for _, err := range together(3, func(i int) error {
				ctx, cancel := context.WithTimeout(t.Context(), time.Duration(i+1)*time.Second)
				defer cancel()
				_, err := e.Embed(ctx, texts(1))
				return err
			}) {
				require.ErrorIs(t, err, context.DeadlineExceeded)
			}
			require.Equal(t, 3*time.Second, time.Since(start))
			require.NoError(t, c.Close())
			require.Equal(t, 3*time.Second, time.Since(start), "the request is cancelled with the last")
			total := c.Meter()[embedModel]
			require.EqualValues(t, 3, total.Errors)
			require.EqualValues(t, 1, total.Attempts)
			require.Zero(t, total.Cost.USD)
			require.GreaterOrEqual(t, total.Cost.AtMost, gw.Billed())
		})
	})
	t.Run("before it departs", func(t *testing.T) {
		synctest.Test(t, func(t *testing.T) {
			gw := holysheeptest.Start(t)
			c := gw.Client(nil)
			e := c.Embedder("", small(holysheep.EmbedOptions{MaxHold: time.Minute}))
			errs := together(3, func(i int) error {
				ctx, cancel := context.WithTimeout(t.Context(), time.Duration(i)*40*time.Second)
				defer cancel()
				_, err := e.Embed(ctx, []string{fmt.Sprint("of ", i)})
				return err
			})
			require.ErrorIs(t, errs[0], context.DeadlineExceeded)
			require.ErrorIs(t, errs[1], context.DeadlineExceeded)
			require.NoError(t, errs[2])
			require.Equal(t, []string{"of 2"}, gw.Requests()[0].Texts)
			for _, err := range errs[:2] {
				attempts, billing := outcome(t, err)
				require.Zero(t, attempts)
				require.Equal(t, holysheep.NotBilled, billing)
			}
			require.Equal(t, gw.Billed(), c.Meter()[embedModel].Cost.AtMost, "what was not sent costs nothing")
		})
	})
	t.Run("between two attempts", func(t *testing.T) {
		synctest.Test(t, func(t *testing.T) {
			gw := holysheeptest.Start(t)
			gw.Reply(holysheeptest.Status(429).RetryAfter(10 * time.Second))
			c := gw.Client(nil)
			e := c.Embedder("", small(holysheep.EmbedOptions{}))
			start := time.Now()
			errs := together(3, func(i int) error {
				ctx, cancel := context.WithCancel(t.Context())
				defer cancel()
				switch i {
				case 0: // its time would be over before the next attempt
					ctx, cancel = context.WithTimeout(ctx, 5*time.Second)
					defer cancel()
				case 1:
					time.AfterFunc(5*time.Second, cancel)
				}
				_, err := e.Embed(ctx, []string{fmt.Sprint("of ", i)})
				if want := time.Duration(i) * 5 * time.Second; i < 2 && time.Since(start).Truncate(time.Second) != want {
					t.Errorf("%d returned after %v", i, time.Since(start))
				}
				return err
			})
			require.ErrorIs(t, errs[0], holysheep.ErrRateLimited)
			require.ErrorIs(t, errs[1], context.Canceled)
			require.NoError(t, errs[2])
			require.Len(t, gw.Requests()[0].Texts, 3)
			require.Equal(t, []string{"of 2"}, gw.Requests()[1].Texts, "nobody pays for what nobody waits for")
			first, second := gw.Requests()[0].Header, gw.Requests()[1].Header
			require.NotEqual(t, first.Get("Idempotency-Key"), second.Get("Idempotency-Key"))
			require.NoError(t, c.Close())
			require.Equal(t, gw.Billed(), c.Meter()[embedModel].Cost.AtMost)
		})
	})
}

// Each caller reserves in its own name: one whose budget is spent is refused alone, also for the repetition of an
// attempt that may be on the bill.
func TestReservationsInASharedRequest(t *testing.T) {
	synctest.Test(t, func(t *testing.T) {
		gw := holysheeptest.Start(t)
		gw.Reply(holysheeptest.Reset())
		limits := map[string]holysheep.USD{"poor": 1, "tight": 0, "rich": holysheep.Dollars(1)}
		seen := &sums{}
		budget := &holysheep.Budget{
			Name: "each", Limit: holysheep.Dollars(1), PerTag: "tenant",
			LimitFor: func(v string) (holysheep.USD, bool) { return limits[v], true },
		}
		c := gw.Client(&holysheep.Options{Budgets: []*holysheep.Budget{budget}, Observer: seen})
		text := "the same text for everybody"
		price, _ := holysheep.ListPrices().Lookup(embedModel)
		plan, err := holysheep.Plan(t.Context(), gw.Client(nil), ask(text))
		require.NoError(t, err)
		worst := price.Of(holysheep.Usage{PromptTokens: plan.PromptTokens - 8})
		limits["tight"] = worst + worst/2 // one attempt, and no second
		e := c.Embedder("", small(holysheep.EmbedOptions{}))
		tenants := []string{"poor", "tight", "rich"}
		errs := together(3, func(i int) error {
			ctx, _ := holysheep.NewScope(t.Context(), holysheep.Tags{"tenant": tenants[i]})
			_, err := e.Embed(ctx, []string{text})
			return err
		})
		require.ErrorIs(t, errs[0], holysheep.ErrBudgetExceeded)
		require.ErrorIs(t, errs[1], holysheep.ErrBudgetExceeded)
		require.ErrorIs(t, errs[1], holysheep.ErrNoAnswer, "and what came before")
		require.NoError(t, errs[2])
		require.Len(t, gw.Requests()[0].Texts, 2)
		require.Len(t, gw.Requests()[1].Texts, 1)
		for _, call := range seen.calls {
			switch call.Tags()["tenant"] {
			case "poor":
				require.Empty(t, call.Attempts)
				require.Zero(t, call.Cost)
			case "tight":
				require.Equal(t, worst, call.Reserved)
				require.Equal(t, worst, call.Cost.AtMost)
				require.Len(t, call.Attempts, 1)
			case "rich":
				require.Equal(t, 2*worst, call.Reserved)
				require.Len(t, call.Attempts, 2)
				require.Equal(t, worst+gw.Requests()[1].Billed, call.Cost.AtMost)
			}
			require.Zero(t, call.Overrun)
			ctx, _ := holysheep.NewScope(t.Context(), call.Tags())
			status, err := budget.Status(ctx)
			require.NoError(t, err)
			require.Equal(t, call.Cost.AtMost, status.Spent)
			require.Zero(t, status.Reserved)
		}
		require.Equal(t, 2, seen.counted)
	})
}

// A gateway that fails now and then, 64 callers: all of them get their vectors, and the books agree with its.
func TestEmbedChaos(t *testing.T) {
	n := 20_000
	if raceEnabled {
		n = 3_000
	}
	synctest.Test(t, func(t *testing.T) {
		gw := holysheeptest.Start(t)
		gw.Chaos(holysheeptest.Chaos{Seed: 2, RateLimited: 0.2, Unavailable: 0.05, Cut: 0.02})
		seen := &sums{}
		c := gw.Client(&holysheep.Options{MaxAttempts: 8, Observer: seen})
		e := c.Embedder("", small(holysheep.EmbedOptions{}))
		var failed atomic.Int64
		atOnce(n, func(i int) {
			text := fmt.Sprint("text ", i)
			v, err := e.Embed(t.Context(), []string{text})
			if err != nil {
				failed.Add(1)
			} else if len(v) != 1 || len(v[0]) != 4 {
				t.Errorf("got %v", v)
			}
		})
		require.LessOrEqual(t, failed.Load(), int64(n/1000))
		total := c.Meter()[embedModel]
		t.Logf("%d calls, %d failed, %d requests", n, failed.Load(), gw.Count())
		require.EqualValues(t, n, total.Calls)
		require.EqualValues(t, gw.Count(), total.Attempts)
		require.Equal(t, gw.Count(), seen.counted)
		require.Equal(t, seen.totals, c.Meter())
		require.GreaterOrEqual(t, total.Cost.AtMost, gw.Billed())
	})
}

// Cancels at random moments, in every phase: each caller returns at once, every piece is booked, nothing is left.
func TestEmbedRandomCancels(t *testing.T) {
	n := 5_000
	if raceEnabled {
		n = 1_000
	}
	synctest.Test(t, func(t *testing.T) {
		gw := holysheeptest.Start(t)
		replies := []*holysheeptest.Reply{
			holysheeptest.Vectors().After(300 * time.Millisecond), holysheeptest.Status(429).RetryAfter(200 * time.Millisecond),
			holysheeptest.Reset(), holysheeptest.Vectors().CutAfter(0), holysheeptest.Status(503).After(100 * time.Millisecond),
			holysheeptest.Error(400, "", "one of them is bad"), holysheeptest.Vectors(), holysheeptest.Vectors().StallAfter(0),
		}
		var turn atomic.Int64
		for i, r := range replies {
			gw.ReplyWhen(func(*holysheeptest.Request) bool {
				return turn.Load()%int64(len(replies)) == int64(i) && turn.Add(1) > 0
			}, r)
		}
		seen := &sums{}
		day := &holysheep.Budget{Name: "day", Limit: holysheep.Dollars(1000)}
		c := gw.Client(&holysheep.Options{Observer: seen, Budgets: []*holysheep.Budget{day}, AnswerTimeout: 2 * time.Second})
		e := c.Embedder("", small(holysheep.EmbedOptions{MaxTexts: 16}))
		var cancelled atomic.Int64
		var mu sync.Mutex
		dice := rand.New(rand.NewPCG(8, 8))
		roll := func(n int) int {
			mu.Lock()
			defer mu.Unlock()
			return dice.IntN(n)
		}
		atOnce(n, func(int) {
			ctx, cancel := context.WithCancel(t.Context())
			defer cancel()
			var at atomic.Int64
			stop := time.AfterFunc(time.Duration(roll(int(500*time.Millisecond))), func() {
				at.Store(time.Now().UnixNano())
				cancel()
			})
			defer stop.Stop()
			_, err := e.Embed(ctx, texts(1+roll(40)))
			end := time.Now().UnixNano()
			if !errors.Is(err, context.Canceled) {
				return
			}
			cancelled.Add(1)
			if late := time.Duration(end - at.Load()); late > 10*time.Millisecond {
				t.Errorf("returned %v after the cancel: %v", late, err)
			}
		})
		require.NoError(t, c.Close())
		t.Logf("%d of %d cancelled, %d requests", cancelled.Load(), n, gw.Count())
		require.Greater(t, cancelled.Load(), int64(n/8))
		total := c.Meter()[embedModel]
		require.EqualValues(t, n, total.Calls)
		require.EqualValues(t, gw.Count(), total.Attempts)
		require.Equal(t, seen.totals, c.Meter())
		require.GreaterOrEqual(t, total.Cost.AtMost, gw.Billed())
		status, err := day.Status(t.Context())
		require.NoError(t, err)
		require.Equal(t, total.Cost.AtMost, status.Spent)
		require.Zero(t, status.Reserved)
		for _, call := range seen.calls {
			for i, at := range call.Attempts {
				require.Equal(t, i+1, at.Number)
			}
		}
	})
}

// A call whose attempts are limited goes by itself, so that the limit is its own.
func TestLimitedCallsShareNothing(t *testing.T) {
	synctest.Test(t, func(t *testing.T) {
		gw := holysheeptest.Start(t)
		gw.ReplyWhen(func(q *holysheeptest.Request) bool { return q.Texts[0] == "limited" }, holysheeptest.Status(503))
		e := gw.Client(nil).Embedder("", small(holysheep.EmbedOptions{}))
		errs := together(2, func(i int) error {
			if i == 0 {
				_, err := e.Embed(holysheep.LimitAttempts(t.Context(), 2), []string{"limited"})
				return err
			}
			_, err := e.Embed(t.Context(), texts(1))
			return err
		})
		require.ErrorIs(t, errs[0], holysheep.ErrOverloaded)
		require.NoError(t, errs[1])
		require.Equal(t, 3, gw.Count())
	})
}

// turnstile is a gate that counts, refuses and panics as it is told.
type turnstile struct {
	refuse error
	from   int // the attempt that is refused first
	panics bool
	before atomic.Int64
	after  atomic.Int64
}

func (g *turnstile) Before(_ context.Context, call *holysheep.Call, at *holysheep.Attempt) error {
	g.before.Add(1)
	if g.panics {
		panic("a gate's mistake")
	}
	if call.Operation != "embed" || call.Model != embedModel || at.Model != embedModel {
		return fmt.Errorf("odd call: %v %v", call.Operation, at.Model)
	}
	if at.Number < g.from {
		return nil
	}
	return g.refuse
}

func (g *turnstile) After(context.Context, *holysheep.Call, *holysheep.Attempt) { g.after.Add(1) }

func TestGateSeesASharedRequestOnce(t *testing.T) {
	synctest.Test(t, func(t *testing.T) {
		gw := holysheeptest.Start(t)
		gw.Reply(holysheeptest.Status(503))
		g := &turnstile{}
		c := gw.Client(&holysheep.Options{Gate: g})
		e := c.Embedder("", small(holysheep.EmbedOptions{}))
		embed := func(int) error {
			_, err := e.Embed(t.Context(), texts(2))
			return err
		}
		for _, err := range together(5, embed) {
			require.NoError(t, err)
		}
		require.EqualValues(t, 2, g.before.Load())
		require.EqualValues(t, 2, g.after.Load())

		g.refuse = errBroken
		for _, err := range together(5, embed) {
			require.ErrorIs(t, err, errBroken)
		}
		require.Equal(t, 2, gw.Count())
		g.from = 2
		gw.Reply(holysheeptest.Status(503))
		for _, err := range together(5, embed) {
			require.ErrorIs(t, err, errBroken)
			require.ErrorIs(t, err, holysheep.ErrOverloaded, "and what came before")
		}
		require.Equal(t, 3, gw.Count())
		g.panics = true
		for _, err := range together(5, func(i int) (err error) {
			defer func() {
				if p := recover(); p != "a gate's mistake" {
					err = fmt.Errorf("recovered %v", p)
				}
			}()
			return errors.Join(embed(i), errors.New("no panic"))
		}) {
			require.NoError(t, err)
		}
		total := c.Meter()[embedModel]
		require.EqualValues(t, 20, total.Calls)
		require.EqualValues(t, 15, total.Errors)
		require.EqualValues(t, 3, total.Attempts)
		require.Equal(t, gw.Billed(), total.Cost.AtMost)
	})
}

// Observers of all callers are told of a wait, each about its own call.
func TestWaitsInASharedRequest(t *testing.T) {
	synctest.Test(t, func(t *testing.T) {
		gw := holysheeptest.Start(t)
		gw.Reply(holysheeptest.Status(429).RetryAfter(time.Second), holysheeptest.Status(503))
		seen := &sums{}
		e := gw.Client(&holysheep.Options{Observer: seen}).Embedder("", small(holysheep.EmbedOptions{}))
		for _, err := range together(3, func(int) error {
			_, err := e.Embed(t.Context(), texts(1))
			return err
		}) {
			require.NoError(t, err)
		}
		require.Len(t, seen.waits, 6)
		for _, w := range seen.waits[:3] {
			require.Equal(t, 2, w.Attempt)
			require.ErrorIs(t, w.Cause, holysheep.ErrRateLimited)
			require.GreaterOrEqual(t, w.Delay, time.Second)
		}
		for _, call := range seen.calls {
			require.Len(t, call.Attempts, 3)
			require.Equal(t, http.StatusTooManyRequests, call.Attempts[0].Status)
			require.Equal(t, 3, call.Attempts[2].Number)
		}
		require.Equal(t, 3, seen.counted)
	})
}

// In an outage a shared request is retried as one, and 64 callers send no more than one would.
func TestEmbedOutage(t *testing.T) {
	synctest.Test(t, func(t *testing.T) {
		gw := holysheeptest.Start(t)
		gw.ReplyWhen(func(*holysheeptest.Request) bool { return true }, holysheeptest.Status(503))
		e := gw.Client(nil).Embedder("", small(holysheep.EmbedOptions{}))
		for _, err := range together(64, func(int) error {
			_, err := e.Embed(t.Context(), texts(1))
			return err
		}) {
			require.ErrorIs(t, err, holysheep.ErrOverloaded)
			attempts, _ := outcome(t, err)
			require.Equal(t, 5, attempts)
		}
		require.Equal(t, 5, gw.Count())
	})
}
