package holysheep

import (
	"context"
	"errors"
	"fmt"
	"net/http"
	"net/url"
	"strings"
	"time"

	"github.com/hashicorp/go-retryablehttp"
)

// call is one operation on its way. Every operation takes the one path in this file:
//
//	gate ▸ reserve ▸ send ▸ read ▸ book, again while it may be retried ▸ settle ▸ meter ▸ observe
//
// It is used by one goroutine.
type call struct {
	client *Client
	method string
	url    *url.URL
	body   []byte
	header http.Header // of the request
	stream bool        // whether a stream is asked for
	rec    Call
	op     operation // nil for a part of a shared request
	shared sharing   // set for a shared request

	worst     worst
	held      reservation
	shown     bool // the caller has seen a part of the answer: nothing is repeated any more
	ambiguous int  // attempts that may be billed although nothing came of them
	paid      int  // retries taken from the quota
	adapted   int  // attempts that only taught us what to leave out; they do not count
	delay     time.Duration
	finished  bool
	rest      *sending   // a complete answer whose connection is still to be drained
	first     [1]Attempt // room for the usual number of attempts
	key       credential // the last attempt's
}

// operation is what chats, embeddings and the list of models do not share.
type operation interface {
	// read takes the answer of an attempt that came with a 2xx.
	read(ctx context.Context, s *sending) error

	// adapt changes the request after a refusal that goes away by it, and reports whether it did.
	adapt(refusal *APIError) bool

	// response gives what the last attempt brought, whole or not; nil if that is nothing. It is asked once, last.
	response() *ChatResponse

	// texts are what the caller wrote: no error may repeat it.
	texts() []string
}

// sharing is a request that is sent for several calls (flight.go), each of which reserves, books and observes its part.
type sharing interface {
	// reserve lets each call hold the money for the attempt to come.
	reserve(ctx context.Context) error

	// share gives each call its part of a finished attempt.
	share(at *Attempt)

	// wait tells each call of the wait before the next attempt.
	wait(w Wait)
}

// run takes the call from begin to end, but for the drain of its last connection. The caller has entered the
// client and leaves it after that.
func (k *call) run(ctx context.Context) (err error) {
	if ctx, err = k.begin(ctx); err != nil {
		return err
	}
	err = errPanicked // unless we get there
	defer func() { k.finish(ctx, err) }()
	err = k.exchange(ctx)
	return err
}

// begin finds out who guards the call, and opens its record. Without an error finish has to follow.
func (k *call) begin(ctx context.Context) (context.Context, error) {
	c := k.client
	scope := ScopeOf(ctx)
	if err := scope.check(); err != nil {
		return nil, err
	}
	if k.method == http.MethodPost { // nothing else is charged for
		if k.held.guards = c.guardsFor(scope); len(k.held.guards) > 0 && !k.worst.priced {
			return nil, unknownPrice(k.rec.Model)
		}
	}
	k.rec.Attempts = k.first[:0]
	ctx = c.recorder.begin(ctx, &k.rec)
	k.held.id, k.held.model = k.rec.ID, k.rec.Model
	return ctx, nil
}

// exchange sends the call, as often as it takes, and reads the answer.
func (k *call) exchange(ctx context.Context) error {
	err := k.attempt(ctx)
	if err != nil && k.retryable(err) {
		err = k.retry(ctx, err)
	}
	if err == nil {
		k.client.quotas.succeed(k.rec.Model, k.paid)
	}
	k.stamp(err) // with what the wait or the refusal after the last attempt added
	return err
}

var (
	errPanicked = errors.New("holysheep: an observer, a gate or the loop over a stream panicked")
	errStopped  = errors.New("holysheep: the caller stopped reading")
)

// finish settles, meters and observes, once.
func (k *call) finish(ctx context.Context, err error) {
	if k.finished {
		return
	}
	k.finished = true
	sent := int64(0)
	for i := range k.rec.Attempts {
		at := &k.rec.Attempts[i]
		k.rec.Usage = k.rec.Usage.Plus(at.Usage)
		k.rec.Cost = k.rec.Cost.Plus(at.Cost)
		if !at.Shared {
			sent++
		}
	}
	var r *ChatResponse
	if k.op != nil {
		r = k.op.response()
	}
	if r != nil {
		k.rec.Response = r
		last := &k.rec.Attempts[len(k.rec.Attempts)-1]
		r.Requested, r.Usage, r.Cost = k.rec.Model, last.Usage, k.rec.Cost
		r.RequestID, r.Attempts = last.RequestID, len(k.rec.Attempts)
		r.Latency, r.FirstToken = time.Since(k.rec.Start), k.rec.FirstToken
		k.rec.Served = r.Model
	}
	k.rec.Reserved = k.held.held
	if over := k.rec.Cost.AtMost - k.held.held; over > 0 && k.held.held > 0 {
		k.rec.Overrun = over
	}
	if err == errStopped { //nolint:errorlint // a break is no error of the call
		err = nil
	}
	t := Totals{Calls: 1, Attempts: sent, Usage: k.rec.Usage, Cost: k.rec.Cost}
	if err != nil {
		t.Errors = 1
	}
	if k.rec.Model != "" { // the list of models has none, and costs nothing
		k.client.recorder.count(&k.rec, t)
	}
	k.held.settle(ctx, k.rec.Cost.AtMost) // after the scopes have counted it: at no time it is in neither
	k.client.recorder.end(ctx, &k.rec, err)
}

// attempt sends the call once and reads what comes.
func (k *call) attempt(ctx context.Context) (err error) {
	c := k.client
	if ctx.Err() != nil {
		return &TransportError{Phase: PhaseWait, Err: causeOf(ctx)}
	}
	if k.key, err = c.key(ctx); err != nil {
		return err
	}
	k.rec.Attempts = append(k.rec.Attempts, Attempt{
		Number: len(k.rec.Attempts) + 1, Host: c.base.Host, Model: k.rec.Model, Wait: k.delay,
	})
	at := &k.rec.Attempts[len(k.rec.Attempts)-1]
	if err := k.admit(ctx, at); err != nil {
		k.rec.Attempts = k.rec.Attempts[:len(k.rec.Attempts)-1] // never sent
		return err
	}

	s := &sending{call: k, at: at}
	at.Start = time.Now()
	completed := false
	defer func() {
		if !completed {
			s.abandon()
		}
		at.Latency = time.Since(at.Start)
		k.book(at)
		k.stamp(err)
		at.Err = err
		if k.shared != nil {
			k.shared.share(at)
		}
		if c.opts.Gate != nil {
			c.opts.Gate.After(ctx, &k.rec, at)
		}
	}()
	if err = s.roundTrip(ctx); err != nil {
		if e, ok := err.(*APIError); ok && k.op.adapt(e) { //nolint:errorlint // made here, not wrapped
			e.retry, e.adapted = true, true
		}
		return err
	}
	if err = k.op.read(ctx, s); err != nil {
		return err
	}
	at.Billing = Billed
	k.rest = s
	completed = true
	return nil
}

// admit waits for the gate, then reserves the money. A gate that has let the attempt through is told of its end, also
// when that is a panic of a ledger.
func (k *call) admit(ctx context.Context, at *Attempt) (err error) {
	if g := k.client.opts.Gate; g != nil {
		if err := g.Before(ctx, &k.rec, at); err != nil {
			return err
		}
		err = errPanicked // unless we get there
		defer func() {
			if err != nil {
				at.Err = err
				g.After(ctx, &k.rec, at)
			}
		}()
	}
	err = k.reserve(ctx)
	return err
}

// reserve is the one place where money is held: a worst case for the attempt to come, and one for each attempt
// before it that may be on the bill.
func (k *call) reserve(ctx context.Context) error {
	if k.shared != nil {
		return k.shared.reserve(ctx)
	}
	if len(k.held.guards) == 0 {
		return nil
	}
	need := k.worst.usd
	for range k.ambiguous {
		need = need.Plus(k.worst.usd)
	}
	if k.held.rounds > 0 && need <= k.held.held {
		return nil
	}
	return k.held.take(ctx, need-k.held.held)
}

// book prices a finished attempt. What may be billed is booked at its worst case, because gateways of this kind
// bill a cancelled or torn answer in full.
func (k *call) book(at *Attempt) {
	if k.method != http.MethodPost {
		at.Billing = NotBilled
	}
	switch {
	case at.Billing == NotBilled:
		return
	case !k.worst.priced:
		at.Cost.Basis = Unknown
		return
	case at.Billing == Billed && at.Cost.Basis == Reported:
		at.Cost.USD = k.worst.price.Of(at.Usage)
		at.Cost.AtMost = at.Cost.USD
		return
	}
	at.Cost.Basis = Estimated
	at.Cost.USD = k.worst.price.Of(at.Usage)
	at.Cost.AtMost = max(at.Cost.USD, k.worst.usd)
}

// retryable reports whether err could be retried at all: no quota, no wait is asked yet.
func (k *call) retryable(err error) bool {
	if k.shown {
		return false
	}
	switch e := err.(type) { //nolint:errorlint // made by the attempt, not wrapped
	case *APIError:
		return e.retry
	case *TransportError:
		return e.retry
	}
	return false
}

// retry goes on from the first failed attempt with go-retryablehttp: its loop counts and waits, our policy
// decides. A call that succeeds at once never comes here, which saves it 12 allocations; the library is shown
// the first failure as if it had sent that attempt itself.
func (k *call) retry(ctx context.Context, last error) error {
	replayed := false
	var refused error
	loop := retryablehttp.Client{
		HTTPClient: &http.Client{Transport: roundTripFunc(func(r *http.Request) (*http.Response, error) {
			if replayed {
				before := last
				if last = k.attempt(r.Context()); last != nil && !isOutcome(last) {
					refused, last = last, before // a gate or a budget: nothing was sent
				}
			}
			replayed = true
			if last != nil {
				return nil, last
			}
			return &http.Response{StatusCode: http.StatusOK, Header: http.Header{}, Body: http.NoBody, Request: r}, nil
		})},
		RetryMax: maxAttempts, // mayRetry stops before
		CheckRetry: func(ctx context.Context, _ *http.Response, _ error) (bool, error) {
			return last != nil && refused == nil && k.mayRetry(ctx, last), nil
		},
		Backoff: func(time.Duration, time.Duration, int, *http.Response) time.Duration {
			w := Wait{len(k.rec.Attempts) + 1, k.delay, last}
			if k.shared != nil {
				k.shared.wait(w)
			} else {
				k.client.recorder.wait(ctx, &k.rec, w)
			}
			return k.delay
		},
		ErrorHandler: retryablehttp.PassthroughErrorHandler,
	}
	req, err := retryablehttp.NewRequestWithContext(ctx, k.method, k.url.String(), nil)
	if err != nil {
		return err
	}
	resp, err := loop.Do(req)
	if err == nil {
		return resp.Body.Close()
	}
	switch {
	case refused != nil:
		return fmt.Errorf("%w; before: %w", refused, last)
	case ctx.Err() != nil && isWait(err):
		return &TransportError{Phase: PhaseWait, Err: causeOf(ctx), Last: last}
	}
	return last
}

// isWait tells the context error of the library's own wait from the error of an attempt.
func isWait(err error) bool {
	return err == context.Canceled || err == context.DeadlineExceeded //nolint:errorlint // the library returns them bare
}

// isOutcome reports whether err tells how an attempt ended, and not that there was none.
func isOutcome(err error) bool {
	switch err.(type) { //nolint:errorlint // made by the attempt, not wrapped
	case *APIError, *TransportError, *StreamError:
		return true
	}
	return err == errStopped //nolint:errorlint // likewise
}

type roundTripFunc func(*http.Request) (*http.Response, error)

func (f roundTripFunc) RoundTrip(r *http.Request) (*http.Response, error) { return f(r) }

// mayRetry decides whether the attempt that ended with err is followed by another, and sets the wait before it.
func (k *call) mayRetry(ctx context.Context, err error) bool {
	o := k.client.opts
	if ctx.Err() != nil || !k.retryable(err) {
		return false
	}
	if e, ok := err.(*APIError); ok && e.adapted { //nolint:errorlint // made by the attempt, not wrapped
		k.delay, k.adapted = 0, k.adapted+1
		return true
	}
	limit := o.MaxAttempts
	if n := attemptLimit(ctx); n > 0 {
		limit = min(limit, n)
	}
	if len(k.rec.Attempts) >= limit+k.adapted {
		return false
	}
	if k.rec.Attempts[len(k.rec.Attempts)-1].Billing == MaybeBilled {
		if n := o.AmbiguousRetries; n != nil && k.ambiguous >= *n {
			return false
		}
		k.ambiguous++
	}
	if e, ok := err.(*APIError); ok && e.RetryAfter > o.MaxRetryWait { //nolint:errorlint // made by the attempt, not wrapped
		return false
	}
	delay := k.waitAfter(err)
	if deadline, ok := ctx.Deadline(); ok && time.Until(deadline) <= delay {
		return false
	}
	if !k.client.quotas.take(k.rec.Model) {
		return false
	}
	k.paid++
	k.delay = delay
	return true
}

// waitAfter is how long to wait after err.
func (k *call) waitAfter(err error) time.Duration {
	switch e := err.(type) { //nolint:errorlint // made by the attempt, not wrapped
	case *APIError:
		if e.hinted {
			return obey(e.RetryAfter)
		}
	case *TransportError:
		if e.stale {
			return 0 // an idle connection that the server had closed: no sign of trouble
		}
	}
	return backoff(len(k.rec.Attempts))
}

// stamp writes into an attempt's error what the call knows: its attempts and billing so far. It takes out what no
// error may say, before anybody sees it.
func (k *call) stamp(err error) {
	if err == nil {
		return
	}
	k.mark(err)
	if e, ok := errors.AsType[*APIError](err); ok {
		e.Message, e.Code, e.Type, e.Param = k.redact(e.Message), k.redact(e.Code), k.redact(e.Type), k.redact(e.Param)
	}
}

// mark writes into an error how often the call was sent, and whether it may be on the bill.
func (k *call) mark(err error) {
	billing := NotBilled
	for i := range k.rec.Attempts {
		billing = max(billing, k.rec.Attempts[i].Billing)
	}
	if e, ok := errors.AsType[*APIError](err); ok {
		e.Attempts, e.Billing = len(k.rec.Attempts), billing
	}
	if e, ok := errors.AsType[*TransportError](err); ok {
		e.Attempts, e.Billing = len(k.rec.Attempts), billing
	}
}

// redact takes key and prompt out of what a server said.
func (k *call) redact(s string) string {
	if s == "" {
		return ""
	}
	if k.key.key != "" {
		s = strings.ReplaceAll(s, k.key.key, "[key]")
	}
	for _, text := range k.op.texts() {
		if len(text) >= 8 { // shorter ones are words that a message may need
			s = strings.ReplaceAll(s, text, "[prompt]")
		}
	}
	return s
}
