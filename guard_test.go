package holysheep

import (
	"context"
	"errors"
	"io"
	"net/http"
	"strings"
	"sync"
	"testing"

	"github.com/stretchr/testify/require"
)

// purse is a guard with a limit that checks its own rules.
type purse struct {
	t       *testing.T
	mu      sync.Mutex
	limit   USD
	held    map[string]USD
	spent   USD
	settled int
}

var errNoMoney = errors.New("no money")

func (p *purse) hold(_ context.Context, id, _ string, amount USD) (bool, error) {
	p.mu.Lock()
	defer p.mu.Unlock()
	total := p.spent + amount
	for _, h := range p.held {
		total += h
	}
	if total > p.limit {
		return false, errNoMoney
	}
	if p.held == nil {
		p.held = map[string]USD{}
	}
	p.held[id] += amount
	return true, nil
}

func (p *purse) settle(ctx context.Context, id string, held, spent USD) {
	p.mu.Lock()
	defer p.mu.Unlock()
	if amount, ok := p.held[id]; !ok || amount != held || ctx.Err() != nil {
		p.t.Errorf("settled without a hold, twice, or with a cancelled context: %v", ctx.Err())
	}
	delete(p.held, id)
	p.spent += spent
	p.settled++
}

// script answers attempts one after the other, without a network.
type script struct {
	answers []func(r *http.Request) (*http.Response, error)
	sent    int
}

func (s *script) RoundTrip(r *http.Request) (*http.Response, error) {
	s.sent++
	next := s.answers[0]
	if len(s.answers) > 1 {
		s.answers = s.answers[1:]
	}
	return next(r)
}

func answerWith(status int, contentType, body string) func(*http.Request) (*http.Response, error) {
	return func(r *http.Request) (*http.Response, error) {
		return &http.Response{
			StatusCode: status, Header: http.Header{"Content-Type": {contentType}}, Request: r,
			ContentLength: int64(len(body)), Body: io.NopCloser(strings.NewReader(body)),
		}, nil
	}
}

const (
	guardAnswer = `{"choices":[{"message":{"content":"ok"},"finish_reason":"stop"}],"usage":{"prompt_tokens":10,"completion_tokens":5}}`
	guardStream = "data: {\"choices\":[{\"delta\":{\"content\":\"ok\"}}]}\n\ndata: {\"choices\":[{\"delta\":{\"content\":\" then\"}}]}\n\n"
	guardEnd    = "data: {\"choices\":[{\"delta\":{},\"finish_reason\":\"stop\"}],\"usage\":{\"prompt_tokens\":10,\"completion_tokens\":5}}\n\n"
)

func guardedClient(t *testing.T, s *script, opts Options, guards ...guard) *Client {
	t.Helper()
	opts.Transport = s
	c, err := New("hs_0123456789", &opts)
	require.NoError(t, err)
	c.guards = guards
	return c
}

func guardRequest() *ChatRequest {
	return &ChatRequest{Messages: []Message{User("What?")}, MaxTokens: new(100)}
}

// worstOf is what an attempt of guardRequest reserves.
func worstOf(t *testing.T, c *Client) USD {
	t.Helper()
	q, err := c.Plan(t.Context(), guardRequest())
	require.NoError(t, err)
	return q.Worst.USD
}

// What is held, and what is settled, for each way an attempt can be billed. Amounts are in worst cases, plus what a
// complete answer costs.
func TestReservation(t *testing.T) {
	ok := answerWith(200, "application/json", guardAnswer)
	gone := func(*http.Request) (*http.Response, error) { return nil, io.ErrUnexpectedEOF } // sent, and no answer
	for _, r := range []struct {
		name    string
		answers []func(*http.Request) (*http.Response, error)
		held    int64 // worst cases
		worst   int64 // worst cases settled
		answer  bool  // and the price of an answer
		sent    int
	}{
		{"answered", []func(*http.Request) (*http.Response, error){ok}, 1, 0, true, 1},
		{"refused, then answered", []func(*http.Request) (*http.Response, error){answerWith(503, "text/plain", "busy"), ok}, 1, 0, true, 2},
		{"refused", []func(*http.Request) (*http.Response, error){answerWith(400, "text/plain", "no")}, 1, 0, false, 1},
		{"rate limited, for good", []func(*http.Request) (*http.Response, error){answerWith(429, "text/plain", "no")}, 1, 0, false, 3},
		{"500 of a gateway", []func(*http.Request) (*http.Response, error){answerWith(500, "application/json", `{"error":{"message":"x"}}`), ok}, 1, 0, true, 2},
		{"500 of something else", []func(*http.Request) (*http.Response, error){answerWith(500, "text/html", `<h1>x</h1>`), ok}, 2, 1, true, 2},
		{"no answer, then one", []func(*http.Request) (*http.Response, error){gone, ok}, 2, 1, true, 2},
		{"no answer at all", []func(*http.Request) (*http.Response, error){gone}, 3, 3, false, 3},
		{"error inside a 200", []func(*http.Request) (*http.Response, error){answerWith(200, "application/json", `{"error":{"message":"x","type":"invalid_request_error"}}`)}, 1, 1, false, 1},
	} {
		t.Run(r.name, func(t *testing.T) {
			p := &purse{t: t, limit: Dollars(1)}
			s := &script{answers: r.answers}
			var call *Call
			c := guardedClient(t, s, Options{MaxAttempts: 3, Observer: ending(func(k *Call) { call = k })}, p)
			_, _ = c.Chat(t.Context(), guardRequest())
			worst := worstOf(t, c)
			require.Equal(t, r.sent, s.sent)
			require.Equal(t, worst*USD(r.held), call.Reserved)
			want := worst * USD(r.worst)
			if r.answer {
				want += ListPrices().prices[DeepSeekV32].Of(Usage{PromptTokens: 10, CompletionTokens: 5})
			}
			require.Equal(t, want, p.spent)
			require.Equal(t, want, call.Cost.AtMost)
			require.EqualValues(t, r.held, p.settled)
			require.Empty(t, p.held)
			require.Zero(t, call.Overrun)
		})
	}
}

// ending is an observer that is only told of ends.
type ending func(*Call)

func (ending) Begin(ctx context.Context, _ *Call) context.Context { return ctx }
func (ending) Wait(context.Context, *Call, Wait)                  {}
func (f ending) End(_ context.Context, call *Call)                { f(call) }

// Without money for one more worst case an attempt that may be billed is not repeated.
func TestNoTopUpNoRepeat(t *testing.T) {
	s := &script{answers: []func(*http.Request) (*http.Response, error){func(*http.Request) (*http.Response, error) { return nil, io.ErrUnexpectedEOF }}}
	p := &purse{t: t}
	c := guardedClient(t, s, Options{}, p)
	p.limit = worstOf(t, c)*2 - 1
	_, err := c.Chat(t.Context(), guardRequest())
	require.ErrorIs(t, err, errNoMoney)
	require.ErrorIs(t, err, ErrNoAnswer)
	require.Equal(t, 1, s.sent)
	require.Equal(t, worstOf(t, c), p.spent)
}

// All guards grant, or none holds anything.
func TestAllGuardsOrNone(t *testing.T) {
	s := &script{answers: []func(*http.Request) (*http.Response, error){answerWith(200, "application/json", guardAnswer)}}
	rich, poor := &purse{t: t, limit: Dollars(1)}, &purse{t: t}
	c := guardedClient(t, s, Options{}, rich, poor)
	_, err := c.Chat(t.Context(), guardRequest())
	require.ErrorIs(t, err, errNoMoney)
	require.Zero(t, s.sent)
	require.Zero(t, rich.spent)
	require.Empty(t, rich.held)
	require.Equal(t, 1, rich.settled)
	require.Zero(t, poor.settled)
}

// A usage above what was reserved is settled in full and shown.
func TestOverrun(t *testing.T) {
	s := &script{answers: []func(*http.Request) (*http.Response, error){answerWith(200, "application/json",
		`{"choices":[{"message":{"content":"ok"},"finish_reason":"stop"}],"usage":{"prompt_tokens":100000,"completion_tokens":5}}`)}}
	p := &purse{t: t, limit: Dollars(1)}
	var call *Call
	c := guardedClient(t, s, Options{Observer: ending(func(k *Call) { call = k })}, p)
	resp, err := c.Chat(t.Context(), guardRequest())
	require.NoError(t, err)
	require.Equal(t, resp.Cost.USD, p.spent)
	require.Equal(t, resp.Cost.USD-worstOf(t, c), call.Overrun)
}

func TestUnknownPriceIsRefused(t *testing.T) {
	s := &script{}
	c := guardedClient(t, s, Options{}, &purse{t: t, limit: Dollars(1)})
	req := guardRequest()
	req.Model = "no-such-model"
	_, err := c.Chat(t.Context(), req)
	require.ErrorIs(t, err, ErrUnknownPrice)
	require.Zero(t, s.sent)
	q, err := c.Plan(t.Context(), req)
	require.NoError(t, err)
	require.ErrorIs(t, q.Refusals[0], ErrUnknownPrice)
}

// Whatever happens in between, a reservation is settled exactly once.
func TestSettledOnce(t *testing.T) {
	streamed := []func(*http.Request) (*http.Response, error){answerWith(200, "text/event-stream", guardStream+guardEnd)}
	plain := []func(*http.Request) (*http.Response, error){answerWith(200, "application/json", guardAnswer)}
	for name, r := range map[string]struct {
		answers []func(*http.Request) (*http.Response, error)
		opts    Options
		do      func(c *Client)
		panics  bool
		worst   bool // settled at the worst case
	}{
		"chat":             {plain, Options{}, func(c *Client) { _, _ = c.Chat(t.Context(), guardRequest()) }, false, false},
		"stream":           {streamed, Options{}, func(c *Client) { _, _ = Collect(c.Stream(t.Context(), guardRequest())) }, false, false},
		"break":            {streamed, Options{}, func(c *Client) { breakAfterOne(t.Context(), c) }, false, true},
		"cancel":           {streamed, Options{}, cancelAfterOne, false, true},
		"panic in a loop":  {streamed, Options{}, panicAfterOne, true, true},
		"panic at the end": {plain, Options{Observer: ending(func(*Call) { panic("observer") })}, func(c *Client) { _, _ = c.Chat(t.Context(), guardRequest()) }, true, false},
		"panic in a gate":  {plain, Options{Gate: panicGate{}}, func(c *Client) { _, _ = c.Chat(t.Context(), guardRequest()) }, true, false},
	} {
		t.Run(name, func(t *testing.T) {
			p := &purse{t: t, limit: Dollars(1)}
			c := guardedClient(t, &script{answers: r.answers}, r.opts, p)
			if r.panics {
				require.Panics(t, func() { r.do(c) })
			} else {
				r.do(c)
			}
			require.Equal(t, 1, p.settled)
			require.Empty(t, p.held)
			if r.worst {
				require.Equal(t, worstOf(t, c), p.spent)
			} else {
				require.Equal(t, ListPrices().prices[DeepSeekV32].Of(Usage{PromptTokens: 10, CompletionTokens: 5}), p.spent)
			}
			require.NoError(t, c.Close(), "nothing is left running")
			require.EqualValues(t, 1, c.Meter()[DeepSeekV32].Calls)
		})
	}
}

func breakAfterOne(ctx context.Context, c *Client) {
	for range c.Stream(ctx, guardRequest()) {
		break
	}
}

func cancelAfterOne(c *Client) {
	ctx, cancel := context.WithCancel(context.Background())
	defer cancel()
	for range c.Stream(ctx, guardRequest()) {
		cancel()
		break
	}
}

func panicAfterOne(c *Client) {
	for range c.Stream(context.Background(), guardRequest()) {
		panic("reader")
	}
}

// panicGate lets attempts in and panics when they have ended.
type panicGate struct{}

func (panicGate) Before(context.Context, *Call, *Attempt) error { return nil }
func (panicGate) After(context.Context, *Call, *Attempt)        { panic("gate") }
