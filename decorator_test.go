package holysheep_test

import (
	"context"
	"errors"
	"iter"
	"net/http"
	"strings"
	"testing"
	"testing/synctest"
	"time"

	"github.com/stretchr/testify/require"

	"github.com/holysheep-ai/holysheep-go"
	"github.com/holysheep-ai/holysheep-go/holysheeptest"
)

// shout is a toy decorator: it asks a fixed model, in capitals, twice, and takes the second answer. It shows that
// everything a decorator needs is there: Unwrap, the recorder, steps, plans, resolved requests, cost of the losers.
type shout struct {
	next     holysheep.Completer
	model    string
	recorder *holysheep.Recorder
}

func newShout(next holysheep.Completer, model string) *shout {
	return &shout{next, model, holysheep.RecorderOf(next)}
}

func (s *shout) Unwrap() holysheep.Completer { return s.next }

func (s *shout) change(req *holysheep.ChatRequest) *holysheep.ChatRequest {
	r := *req
	r.Model = s.model
	r.Messages = []holysheep.Message{holysheep.User(strings.ToUpper(req.Messages[0].Text()))}
	return &r
}

func (s *shout) Chat(ctx context.Context, req *holysheep.ChatRequest) (resp *holysheep.ChatResponse, err error) {
	call := &holysheep.Call{Operation: "shout", Model: s.model, Saved: 7, Request: req}
	ctx = s.recorder.Begin(ctx, call)
	defer func() { s.recorder.End(ctx, call, err) }()
	for range 2 {
		if resp, err = s.next.Chat(ctx, s.change(req)); err != nil {
			return nil, err
		}
	}
	step := holysheep.Step{Kind: "shout", Reason: "it is loud here", Saved: 7}
	call.Steps = append(call.Steps, step)
	resp.Steps = append(resp.Steps, step)
	resp.Saved += 7
	resp.Cost = call.Spent()
	return resp, nil
}

func (s *shout) Stream(ctx context.Context, req *holysheep.ChatRequest) iter.Seq2[holysheep.StreamEvent, error] {
	return s.next.Stream(ctx, s.change(req))
}

func (s *shout) Plan(ctx context.Context, req *holysheep.ChatRequest) (*holysheep.Quote, error) {
	q, err := holysheep.Plan(ctx, s.next, s.change(req))
	if err != nil {
		return nil, err
	}
	q.Steps = append(q.Steps, holysheep.Step{Kind: "shout"})
	return q, nil
}

func (s *shout) Resolve(req *holysheep.ChatRequest) (*holysheep.ChatRequest, string, error) {
	r, below, err := holysheep.Resolve(s.next, s.change(req))
	return r, below + "|shout", err
}

// through changes nothing, and is passed through by Plan and Resolve.
type through struct{ holysheep.Completer }

func (t through) Unwrap() holysheep.Completer { return t.Completer }

func TestDecorator(t *testing.T) {
	synctest.Test(t, func(t *testing.T) {
		gw := holysheeptest.Start(t)
		seen := &sums{}
		client := gw.Client(&holysheep.Options{Observer: seen})
		d := through{newShout(through{client}, holysheep.GPT41)}
		req := ask("how loud is it?")

		resp, err := d.Chat(t.Context(), req)
		require.NoError(t, err)
		require.Equal(t, "how loud is it?", req.Messages[0].Text(), "the caller's request is not changed")
		require.Equal(t, gw.Billed(), resp.Cost.USD, "the loser is paid for as well")
		require.Equal(t, 2, gw.Count())
		require.Equal(t, "HOW LOUD IS IT?", gw.Requests()[1].Question())
		require.Equal(t, "shout", resp.Steps[0].Kind)

		meter := client.Meter()[holysheep.GPT41]
		require.EqualValues(t, 2, meter.Calls, "money is booked by the client's calls alone")
		require.Equal(t, gw.Billed(), meter.Cost.USD)
		require.EqualValues(t, 7, meter.Saved)

		require.Len(t, seen.calls, 3)
		parent := seen.calls[2]
		require.Equal(t, "shout", parent.Operation)
		require.Nil(t, parent.Parent)
		require.Same(t, parent, seen.calls[0].Parent)
		require.NotEqual(t, seen.calls[0].ID, seen.calls[1].ID)
		require.Zero(t, parent.Cost)
		require.Equal(t, gw.Billed(), parent.Spent().USD)

		q, err := holysheep.Plan(t.Context(), d, req)
		require.NoError(t, err)
		require.Equal(t, holysheep.GPT41, q.Model)
		require.Equal(t, "shout", q.Steps[0].Kind)
		require.GreaterOrEqual(t, q.Worst.USD, resp.Cost.USD/2)
		require.Equal(t, 2, gw.Count(), "a plan sends nothing")

		r, fingerprint, err := holysheep.Resolve(d, req)
		require.NoError(t, err)
		require.Equal(t, holysheep.GPT41, r.Model)
		require.Equal(t, 2048, *r.MaxTokens)
		require.InDelta(t, 0.7, *r.Temperature, 0)
		require.Equal(t, client.BaseURL()+"|shout", fingerprint)

		other := gw.Client(&holysheep.Options{Headers: http.Header{"X-Beta": {"on"}}})
		_, otherPrint, err := holysheep.Resolve(other, req)
		require.NoError(t, err)
		require.NotEqual(t, client.BaseURL(), otherPrint, "headers may change the answer")
		require.NotContains(t, otherPrint, "on")
	})
}

func TestNoPlannerBeneath(t *testing.T) {
	_, err := holysheep.Plan(t.Context(), through{}, ask("x"))
	require.Error(t, err)
	_, _, err = holysheep.Resolve(through{}, ask("x"))
	require.Error(t, err)
	require.NotNil(t, holysheep.RecorderOf(through{}))
}

func TestLimitAttempts(t *testing.T) {
	for limit, want := range map[int]int{-1: 1, 1: 1, 2: 2, 9: 5} {
		synctest.Test(t, func(t *testing.T) {
			gw := holysheeptest.Start(t)
			gw.ReplyWhen(func(*holysheeptest.Request) bool { return true }, holysheeptest.Status(503))
			ctx := holysheep.LimitAttempts(t.Context(), limit)
			_, err := gw.Client(nil).Chat(holysheep.LimitAttempts(ctx, 7), ask("x"))
			require.ErrorIs(t, err, holysheep.ErrOverloaded)
			require.Equal(t, want, gw.Count())
		})
	}
}

// doorman is a gate that lets so many attempts in and keeps what it was told.
type doorman struct {
	admit int
	wait  time.Duration
	seen  []holysheep.Attempt
}

var errFull = errors.New("full house")

func (d *doorman) Before(context.Context, *holysheep.Call, *holysheep.Attempt) error {
	if d.admit == 0 {
		return errFull
	}
	d.admit--
	time.Sleep(d.wait)
	return nil
}

func (d *doorman) After(_ context.Context, _ *holysheep.Call, at *holysheep.Attempt) {
	d.seen = append(d.seen, *at)
}

func TestGate(t *testing.T) {
	synctest.Test(t, func(t *testing.T) {
		gw := holysheeptest.Start(t)
		gw.Reply(holysheeptest.Status(429).RetryAfter(2*time.Second).Header("X-Ratelimit-Remaining-Requests", "0"), holysheeptest.Text("yes").After(time.Second))
		gate := &doorman{admit: 2, wait: time.Minute}
		c := gw.Client(&holysheep.Options{Gate: gate})
		_, err := c.Chat(t.Context(), ask("x"))
		require.NoError(t, err)
		require.Len(t, gate.seen, 2)
		first, second := gate.seen[0], gate.seen[1]
		require.Equal(t, 429, first.Status)
		require.Equal(t, "0", first.Header.Get("X-Ratelimit-Remaining-Requests"))
		require.ErrorIs(t, first.Err, holysheep.ErrRateLimited)
		require.Equal(t, 200, second.Status)
		require.Equal(t, 2, second.Number)
		require.GreaterOrEqual(t, second.Wait, 2*time.Second)
		require.Equal(t, time.Second, second.FirstByte)
		require.NoError(t, second.Err)
		require.Equal(t, holysheep.DeepSeekV32, second.Model)
		require.Equal(t, "localhost", second.Host)

		_, err = c.Chat(t.Context(), ask("x"))
		require.ErrorIs(t, err, errFull)
		require.Equal(t, 2, gw.Count(), "nothing was sent")
		require.Len(t, gate.seen, 2, "and nothing ended")
	})
}

// A gate that closes between two attempts ends the call; the error has both.
func TestGateClosesBetweenAttempts(t *testing.T) {
	synctest.Test(t, func(t *testing.T) {
		gw := holysheeptest.Start(t)
		gw.Reply(holysheeptest.Status(503))
		_, err := gw.Client(&holysheep.Options{Gate: &doorman{admit: 1}}).Chat(t.Context(), ask("x"))
		require.ErrorIs(t, err, errFull)
		require.ErrorIs(t, err, holysheep.ErrOverloaded)
		require.Equal(t, 1, gw.Count())
	})
}

func TestObserverSeesWaits(t *testing.T) {
	synctest.Test(t, func(t *testing.T) {
		gw := holysheeptest.Start(t)
		gw.Reply(holysheeptest.Status(429).RetryAfter(2*time.Second), holysheeptest.Text("yes"))
		seen := &sums{}
		_, err := gw.Client(&holysheep.Options{Observer: seen}).Chat(t.Context(), ask("x"))
		require.NoError(t, err)
		require.Len(t, seen.waits, 1)
		require.Equal(t, 2, seen.waits[0].Attempt)
		require.GreaterOrEqual(t, seen.waits[0].Delay, 2*time.Second)
		require.ErrorIs(t, seen.waits[0].Cause, holysheep.ErrRateLimited)
		call := seen.calls[0]
		require.Equal(t, "chat", call.Operation)
		require.Equal(t, "yes", call.Response.Text())
		require.Len(t, call.Attempts, 2)
		require.Equal(t, call.Attempts[1].Usage, call.Usage)
	})
}
