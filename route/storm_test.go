package route_test

import (
	"context"
	"errors"
	"fmt"
	"math/rand/v2"
	"os"
	"strconv"
	"strings"
	"sync"
	"testing"
	"testing/synctest"
	"time"

	"github.com/stretchr/testify/require"

	"github.com/holysheep-ai/holysheep-go"
	"github.com/holysheep-ai/holysheep-go/holysheeptest"
	"github.com/holysheep-ai/holysheep-go/route"
)

// storm is a random assembly of what this package has, before two gateways that fail in every way they can, and what came
// of it.
type storm struct {
	t        *testing.T
	dice     *rand.Rand
	gateways [2]*holysheeptest.Server
	seen     rows
	pacings  []*route.Pacing
	built    []string // the assembly, to be read when something is wrong

	mu     sync.Mutex
	texts  int // that gateways may answer with
	calls  []stormCall
	hedges int
	moves  int
	puts   int
}

// stormCall is one call and what its caller saw.
type stormCall struct {
	question string
	stop     time.Time // when its context ended, or would have
	back     time.Time // when it returned
	shown    string
	resp     *holysheep.ChatResponse
	err      error
}

// TestStorm lets random assemblies of gates, fallbacks, hedges and deferrals answer under random faults, deadlines and
// cancels: no caller ever sees two texts, nothing is sent after a deadline or after the call has returned, and the books
// have every request that the gateways have, at no less than what these bill. HOLYSHEEP_STORM_SEEDS=10000 is the long form.
func TestStorm(t *testing.T) {
	seeds := 500
	if n, err := strconv.Atoi(os.Getenv("HOLYSHEEP_STORM_SEEDS")); err == nil {
		seeds = n
	} else if raceEnabled {
		seeds = 100
	}
	began := time.Now()
	calls, requests, answered, hedges, moves, puts := 0, 0, 0, 0, 0, 0
	for seed := range seeds {
		var s *storm
		ok := t.Run("", func(t *testing.T) {
			synctest.Test(t, func(t *testing.T) {
				s = newStorm(t, uint64(seed))
				s.rage()
				s.check()
				requests += s.gateways[0].Count() + s.gateways[1].Count()
			})
		})
		if !ok {
			t.Fatalf("seed %d: %s", seed, strings.Join(s.built, ", "))
		}
		calls, hedges, moves, puts = calls+len(s.calls), hedges+s.hedges, moves+s.moves, puts+s.puts
		for _, c := range s.calls {
			if c.err == nil {
				answered++
			}
		}
	}
	t.Logf("%d seeds in %v: %d calls, %d answered, %d requests, %d asked twice, %d moved on, %d deferred",
		seeds, time.Since(began).Round(time.Millisecond), calls, answered, requests, hedges, moves, puts)
	for _, n := range []int{answered, hedges, moves, puts} {
		require.Positive(t, n, "the storm has to reach everything")
	}
}

func newStorm(t *testing.T, seed uint64) *storm {
	t.Helper()
	s := &storm{t: t, dice: rand.New(rand.NewPCG(seed, 1))}
	for i := range s.gateways {
		s.gateways[i] = holysheeptest.Start(t)
	}
	return s
}

func (s *storm) chance(percent int) bool { return s.dice.IntN(100) < percent }

func (s *storm) upTo(d time.Duration) time.Duration {
	return time.Duration(s.dice.Int64N(int64(d))) + time.Millisecond
}

func (s *storm) note(format string, args ...any) {
	s.built = append(s.built, fmt.Sprintf(format, args...))
}

// client is one with random gates and limits.
func (s *storm) client(gateway int) holysheep.Completer {
	o := &holysheep.Options{
		Observer: &s.seen, MaxAttempts: 1 + s.dice.IntN(4), CollectStreams: s.chance(20),
		StreamHeaderTimeout: 8 * time.Second, StreamIdleTimeout: 4 * time.Second, AnswerTimeout: 16 * time.Second,
	}
	var gates []holysheep.Gate
	if s.chance(50) {
		p, err := route.NewPacing(&route.PacingOptions{StartConcurrency: 1 + s.dice.IntN(4), MaxQueue: 1 + s.dice.IntN(4), MaxWait: s.upTo(10 * time.Second)})
		require.NoError(s.t, err)
		gates, s.pacings = append(gates, p), append(s.pacings, p)
	}
	if s.chance(50) {
		b, err := route.NewBreaker(&route.BreakerOptions{MinCalls: 2 + s.dice.IntN(4), OpenFor: s.upTo(5 * time.Second), Probes: 1 + s.dice.IntN(2)})
		require.NoError(s.t, err)
		gates = append(gates, b)
	}
	s.note("client of %d with %d gates", gateway, len(gates))
	if len(gates) > 0 {
		o.Gate = route.Gates(gates...)
	}
	return s.gateways[gateway].Client(o)
}

// wrap puts up to three decorators before c, in any order.
func (s *storm) wrap(c holysheep.Completer, other holysheep.Completer) holysheep.Completer {
	for range s.dice.IntN(4) {
		var err error
		made := c
		switch s.dice.IntN(3) {
		case 0:
			made, err = route.NewHedge(c, &route.HedgeOptions{Share: 1, Least: s.upTo(time.Second)})
			s.note("hedge")
		case 1:
			made, err = route.NewDeferral(c, nil)
			s.note("deferral")
		case 2:
			opts := &route.FallbackOptions{Attempts: 1 + s.dice.IntN(2)}
			if s.chance(50) {
				opts.FirstToken = s.upTo(4 * time.Second)
			}
			list := []route.Target{{Model: cheap}}
			if other != nil {
				list = append(list, route.Target{Completer: other})
			}
			s.dice.Shuffle(len(list), func(i, j int) { list[i], list[j] = list[j], list[i] })
			var f *route.Fallback
			if f, err = route.NewFallback(c, map[string][]route.Target{dear: list}, opts); err != nil {
				continue // there is one already
			}
			made = f
			s.note("fallback to %d", len(list))
		}
		require.NoError(s.t, err)
		c = made
	}
	return c
}

// reply is a random answer or fault. Each text is another.
func (s *storm) reply() *holysheeptest.Reply {
	s.texts++
	r := holysheeptest.Text(fmt.Sprintf("t%d a b c d e f.", s.texts))
	switch s.dice.IntN(20) {
	case 0, 1:
		r = holysheeptest.Status(429)
	case 2:
		r = holysheeptest.Status(429).RetryAfter(s.upTo(2 * time.Minute))
	case 3, 4:
		r = holysheeptest.Status(503)
	case 5:
		r = holysheeptest.Status(500)
	case 6:
		r = holysheeptest.Reset()
	case 7:
		r = r.CutAfter(s.dice.IntN(6))
	case 8:
		r = r.EndAfter(s.dice.IntN(6))
	case 9:
		r = r.ErrorAfter(s.dice.IntN(6), "overloaded_error", "busy")
	case 10:
		r = r.StallAfter(s.dice.IntN(6))
	case 11:
		r = holysheeptest.HTML(200, "<html>sorry</html>")
	case 12:
		r = holysheeptest.Error(400, "context_length_exceeded", "too long")
	case 13:
		r = holysheeptest.Status(401)
	}
	if s.chance(50) {
		r = r.After(s.upTo(12 * time.Second))
	}
	if s.chance(30) {
		r = r.Drip(s.upTo(time.Second))
	}
	return r
}

// rage sends the calls.
func (s *storm) rage() {
	c := s.wrap(s.client(0), s.wrap(s.client(1), nil))
	if s.chance(60) { // so that hedges know what is late, and have something to spend
		for range 20 {
			for _, ask := range askers {
				_, _, _ = ask(s.t.Context(), c, s.request("warm"))
			}
		}
	}
	for _, gw := range s.gateways {
		replies := make([]*holysheeptest.Reply, 80)
		for i := range replies {
			replies[i] = s.reply()
		}
		gw.ReplyWhen(func(r *holysheeptest.Request) bool { return r.Question() != "warm" }, replies...)
	}
	var running sync.WaitGroup
	for caller := range 1 + s.dice.IntN(5) {
		dice := rand.New(rand.NewPCG(s.dice.Uint64(), 2))
		running.Go(func() {
			for i := range 1 + dice.IntN(4) {
				s.call(c, fmt.Sprintf("q%d-%d", caller, i), dice)
				time.Sleep(time.Duration(dice.IntN(2000)) * time.Millisecond)
			}
		})
	}
	running.Wait()
}

func (s *storm) request(question string) *holysheep.ChatRequest {
	return &holysheep.ChatRequest{Model: dear, MaxTokens: new(16), Messages: []holysheep.Message{holysheep.User(question)}}
}

func (s *storm) call(c holysheep.Completer, question string, dice *rand.Rand) {
	seen := stormCall{question: question}
	life := time.Hour
	if dice.IntN(2) == 0 {
		life = time.Duration(dice.IntN(30_000)) * time.Millisecond
	}
	seen.stop = time.Now().Add(life)
	ctx, cancel := context.WithDeadline(s.t.Context(), seen.stop)
	defer cancel()
	if dice.IntN(6) == 0 {
		early := time.Duration(dice.Int64N(int64(min(life, 10*time.Second)) + 1))
		seen.stop = time.Now().Add(early)
		defer time.AfterFunc(early, cancel).Stop()
	}
	leaves := 1000
	if dice.IntN(6) == 0 {
		leaves = 1 + dice.IntN(3)
	}
	if dice.IntN(3) == 0 {
		if seen.resp, seen.err = c.Chat(ctx, s.request(question)); seen.resp != nil {
			seen.shown = seen.resp.Text()
		}
	} else {
		for ev, err := range c.Stream(ctx, s.request(question)) {
			seen.shown += ev.Text
			seen.resp, seen.err = ev.Response, err
			if leaves--; leaves == 0 {
				break
			}
		}
	}
	seen.back = time.Now()
	s.mu.Lock()
	defer s.mu.Unlock()
	s.calls = append(s.calls, seen)
}

// check looks at what callers, gateways and books have seen.
func (s *storm) check() {
	t := s.t
	received, billed := map[string]int{}, map[string]holysheep.USD{} // by call, by question
	byQuestion := map[string][]*holysheeptest.Request{}
	for _, gw := range s.gateways {
		for _, r := range gw.Requests() {
			received[r.Header.Get("Idempotency-Key")]++
			billed[r.Question()] += r.Billed
			byQuestion[r.Question()] = append(byQuestion[r.Question()], r)
		}
	}
	booked := map[string]holysheep.USD{}
	for _, row := range s.seen.calls {
		s.count(row)
		s.checkRow(row, received[row.ID])
		delete(received, row.ID)
		booked[row.Request.Messages[0].Text()] += row.Cost.AtMost
	}
	require.Empty(t, received, "requests that are not in the books")
	for q, usd := range billed {
		require.GreaterOrEqual(t, booked[q], usd, "%s is booked at what is billed, at least", q)
	}
	for _, c := range s.calls {
		s.checkCall(&c, billed[c.question])
		for _, r := range byQuestion[c.question] {
			require.False(t, r.Time.After(c.stop), "%s: a request %v after its deadline", c.question, r.Time.Sub(c.stop))
			require.False(t, r.Time.After(c.back), "%s: a request %v after it had returned", c.question, r.Time.Sub(c.back))
		}
	}
	for _, p := range s.pacings {
		for _, status := range p.Statuses() {
			require.Zero(t, status.InFlight, "every place comes back")
			require.Zero(t, status.Queued)
		}
	}
}

// count notes what the decorators did.
func (s *storm) count(row *holysheep.Call) {
	for i := range row.Steps {
		switch row.Operation {
		case "hedge":
			s.hedges++
		case "fallback":
			s.moves += len(row.Steps[i].Detail.(*route.FallbackReceipt).Tries) - 1
		case "deferral":
			s.puts++
		}
	}
}

// checkRow compares the attempts of a row with what the gateways received. Of an attempt that was cancelled in the moment
// that it was made nobody can say whether it arrived: it is booked as one that may be billed.
func (s *storm) checkRow(row *holysheep.Call, received int) {
	instant := 0
	for i := range row.Attempts {
		if at := &row.Attempts[i]; at.Status == 0 && at.Latency == 0 && errors.Is(at.Err, context.Canceled) {
			instant++
		}
	}
	require.LessOrEqual(s.t, received, len(row.Attempts), "%v", row.Request.Messages[0].Text())
	require.GreaterOrEqual(s.t, received, len(row.Attempts)-instant, "%v", row.Request.Messages[0].Text())
}

func (s *storm) checkCall(c *stormCall, billed holysheep.USD) {
	t := s.t
	// One text, and no more than that: each begins with a word that no other has.
	require.LessOrEqual(t, strings.Count(c.shown, "t"), 1, "%s: two texts: %q", c.question, c.shown)
	if _, of, ok := strings.Cut(c.shown, " "); ok {
		require.True(t, strings.HasPrefix("a b c d e f.", of), "%s: %q", c.question, c.shown)
	}
	if c.resp != nil {
		require.NoError(t, c.err)
		require.Equal(t, c.shown, c.resp.Text())
		require.GreaterOrEqual(t, c.resp.Cost.AtMost, billed, "%s: the cost of the response has all of it", c.question)
	}
	if c.err == nil {
		return
	}
	require.NotContains(t, c.err.Error(), "panicked")
	if cut, ok := errors.AsType[*holysheep.StreamError](c.err); ok && c.shown != "" {
		require.Equal(t, c.shown, cut.Partial.Text())
		require.GreaterOrEqual(t, cut.Partial.Cost.AtMost, billed, "%s: the cost of the partial answer has all of it", c.question)
	}
	if put, ok := errors.AsType[*route.DeferredError](c.err); ok {
		require.Empty(t, c.shown, "what has been shown is not for later")
		require.False(t, put.At.IsZero())
	}
}
