package route

import (
	"cmp"
	"context"
	"errors"
	"fmt"
	"slices"
	"time"

	"github.com/holysheep-ai/holysheep-go"
)

// Pacing sends no faster than a gateway can take. It is a holysheep.Gate: set it as Options.Gate of the client, alone or
// with [Gates]; one pacing may serve several clients. Each model on each host is paced for itself. Safe for concurrent use.
//
// What a gateway can take is found out: from 429s and how long they ask to wait, from x-ratelimit headers of requests and
// tokens, from overload (503, 529, time-outs) and from the time to the first byte. Where the limits are known they can be
// set. Before the first sign of trouble nothing is held back but what exceeds StartConcurrency, which doubles with each
// round of answers.
//
// Calls that have to wait stand in a queue, by their priority ([WithPriority]), in turn between tenants, and in the order
// they came within a tenant. A call that would wait longer than MaxWait, or past its deadline, ends at once with a
// [*WaitError], and nothing is sent; so does one that finds the queue full. A cancelled call leaves at once.
type Pacing struct {
	opts  PacingOptions
	born  time.Time
	lanes gateTable[paceLane]
}

// PacingOptions are what a [Pacing] is told. The zero value of each field is its default.
type PacingOptions struct {
	// RequestsPerMinute is a limit of the gateway that is known, for each model and host. Default: 0, it is found out.
	RequestsPerMinute int

	// TokensPerMinute likewise, of prompts and answers together. What a call will use is estimated from its prompt and
	// the answers before it, and set right when it has ended. Default: 0, not limited.
	TokensPerMinute int

	// Burst is how much of these limits may be used at once after a pause, as the time that it takes to fill up again.
	// Default: 1 s.
	Burst time.Duration

	// MinConcurrency, StartConcurrency and MaxConcurrency bound how many attempts are under way at a time, for each model
	// and host: what it never falls under, where it starts, and what it never exceeds. Default: 1, 20 and 256.
	MinConcurrency, StartConcurrency, MaxConcurrency int

	// MaxQueue is how many calls wait for a model on a host at most. One of a higher priority takes the place of the
	// youngest of a lower one. Default: 1,000.
	MaxQueue int

	// MaxWait is how long a call waits for its turn at most. Default: 30 s.
	MaxWait time.Duration

	// TenantTag is the tag of the scope that tells tenants apart, who are served in turn. Default: "tenant".
	TenantTag string

	// Shared lets processes keep to RequestsPerMinute and TokensPerMinute together; package redisstore has one in Redis.
	// Default: nil, each process keeps to them for itself.
	Shared SharedPace

	// SharedTimeout limits a question to Shared. Default: 100 ms.
	SharedTimeout time.Duration

	// OnError is told when Shared fails; the call goes on as if there were none. It must be fast and safe for concurrent
	// use. Default: nil.
	OnError func(error)
}

// NewPacing makes a pacing that knows nothing of its gateways yet. opts may be nil; the error joins a
// *holysheep.RequestError for each option that is out of range.
func NewPacing(opts *PacingOptions) (*Pacing, error) {
	p := &Pacing{born: time.Now()}
	if opts != nil {
		p.opts = *opts
	}
	if err := p.opts.complete(); err != nil {
		return nil, err
	}
	return p, nil
}

// complete fills in the defaults, or says which options are wrong.
func (o *PacingOptions) complete() error {
	var errs []error
	wrong := func(field, format string, args ...any) {
		errs = append(errs, &holysheep.RequestError{Field: "PacingOptions." + field, Reason: fmt.Sprintf(format, args...)})
	}
	if o.MaxConcurrency == 0 {
		o.MaxConcurrency = max(256, o.StartConcurrency, o.MinConcurrency)
	}
	for _, n := range []struct {
		field        string
		value        *int
		usual, least int
	}{
		{"RequestsPerMinute", &o.RequestsPerMinute, 0, 0},
		{"TokensPerMinute", &o.TokensPerMinute, 0, 0},
		{"MinConcurrency", &o.MinConcurrency, 1, 1},
		{"StartConcurrency", &o.StartConcurrency, max(min(20, o.MaxConcurrency), o.MinConcurrency), 1},
		{"MaxConcurrency", &o.MaxConcurrency, 256, 1},
		{"MaxQueue", &o.MaxQueue, 1000, 1},
	} {
		if *n.value == 0 {
			*n.value = n.usual
		}
		if *n.value < n.least || *n.value > 1e9 {
			wrong(n.field, "%d is not between %d and a thousand million", *n.value, n.least)
		}
	}
	if len(errs) == 0 && (o.MinConcurrency > o.StartConcurrency || o.StartConcurrency > o.MaxConcurrency) {
		wrong("StartConcurrency", "%d is not between MinConcurrency %d and MaxConcurrency %d", o.StartConcurrency, o.MinConcurrency, o.MaxConcurrency)
	}
	for _, d := range []struct {
		field string
		value *time.Duration
		usual time.Duration
	}{
		{"Burst", &o.Burst, time.Second},
		{"MaxWait", &o.MaxWait, 30 * time.Second},
		{"SharedTimeout", &o.SharedTimeout, 100 * time.Millisecond},
	} {
		if *d.value == 0 {
			*d.value = d.usual
		}
		if *d.value < time.Millisecond || *d.value > 24*time.Hour {
			wrong(d.field, "%v is not between 1 ms and 24 h", *d.value)
		}
	}
	if o.TenantTag == "" {
		o.TenantTag = "tenant"
	}
	if o.Shared != nil && o.RequestsPerMinute == 0 && o.TokensPerMinute == 0 {
		wrong("Shared", "without RequestsPerMinute and TokensPerMinute there is nothing to share")
	}
	return errors.Join(errs...)
}

func (p *Pacing) now() time.Duration { return time.Since(p.born) }

// What a call ends with when it gets no turn, for errors.Is: the error is a [*WaitError].
var (
	ErrQueueFull = errors.New("queue full")      // as many wait as may
	ErrNoTurn    = errors.New("no turn in time") // its turn would come, or has not come, before its deadline or MaxWait
)

// WaitError is an attempt that was not sent because its turn would have come too late. It matches [ErrQueueFull] or
// [ErrNoTurn], and unwraps to the error of the context if that ended the wait.
type WaitError struct {
	Model, Host string
	Priority    Priority
	Full        bool          // the queue was full, or became so and this one was of the lowest priority
	Waited      time.Duration // before it gave up; 0 when it did so at once
	Retry       time.Time     // when there may be a turn, as far as is known now
	Err         error         // of the context; nil if that did not end the wait
}

func (e *WaitError) Error() string {
	s := fmt.Sprintf("route: %v: %s at %s (%v, waited %v, a turn may come in %v)", e.kind(), e.Model, e.Host, e.Priority,
		e.Waited.Round(time.Millisecond), max(time.Until(e.Retry), 0).Round(time.Millisecond))
	if e.Err != nil {
		s += ": " + e.Err.Error()
	}
	return s
}

func (e *WaitError) kind() error {
	if e.Full {
		return ErrQueueFull
	}
	return ErrNoTurn
}

// Is reports whether target is ErrQueueFull or ErrNoTurn, whichever applies.
func (e *WaitError) Is(target error) bool { return target == e.kind() }

// Unwrap gives the error of the context, nil if that did not end the wait.
func (e *WaitError) Unwrap() error { return e.Err }

// Before implements holysheep.Gate: it waits for the attempt's turn.
func (p *Pacing) Before(ctx context.Context, call *holysheep.Call, at *holysheep.Attempt) error {
	l := p.lane(keyOfAttempt(at))
	defer l.mu.Unlock()
	now := p.now()
	if ctx.Err() != nil {
		return waitEnded(ctx)
	}
	tokens := l.expect(call)
	if l.queue.length == 0 {
		if d, ok := l.wait(now, tokens); ok && d == 0 {
			l.send(now, at, tokens)
			if p.opts.Shared == nil {
				return nil
			}
			return p.share(ctx, l, at, tokens)
		}
	}
	if err := l.queueUp(ctx, now, at, tokens); err != nil {
		return err
	}
	if p.opts.Shared == nil {
		return nil
	}
	return p.share(ctx, l, at, tokens)
}

// After implements holysheep.Gate.
func (p *Pacing) After(_ context.Context, _ *holysheep.Call, at *holysheep.Attempt) {
	l := p.lanes.get(keyOfAttempt(at))
	if l == nil {
		return
	}
	l.mu.Lock()
	spare := l.settle(p.now(), at)
	l.mu.Unlock()
	p.correct(l, spare)
}

// lane gives the lane of a key, locked.
func (p *Pacing) lane(key gateKey) *paceLane {
	for {
		l := p.lanes.get(key)
		if l == nil {
			l = p.lanes.getOrMake(key, func(key gateKey) *paceLane { return newPaceLane(p, key) }, (*paceLane).retire)
		}
		l.mu.Lock()
		if !l.gone {
			return l
		}
		l.mu.Unlock()
	}
}

// waitEnded is the error of a wait that its context ended.
func waitEnded(ctx context.Context) error {
	cause := context.Cause(ctx)
	if !errors.Is(cause, ctx.Err()) {
		cause = fmt.Errorf("%w: %w", ctx.Err(), cause)
	}
	// Wrapped, so that the client takes it for what it is: no attempt was made, and the error before it counts.
	return fmt.Errorf("route: waiting for a turn: %w", &holysheep.TransportError{Phase: holysheep.PhaseWait, Err: cause})
}

// isRateLimited reports whether an attempt was refused because too much was sent.
func isRateLimited(at *holysheep.Attempt) bool { return errors.Is(at.Err, holysheep.ErrRateLimited) }

// retryAfterOf is how long the gateway asked to wait; 0 without a hint.
func retryAfterOf(at *holysheep.Attempt) time.Duration {
	if e, ok := errors.AsType[*holysheep.APIError](at.Err); ok {
		return e.RetryAfter
	}
	return 0
}

// PacingStatus is what a [Pacing] has found out about a model on a host.
type PacingStatus struct {
	Model, Host string
	Rate        float64   // requests a second; 0: no limit is known
	Concurrency int       // how many attempts may be under way
	InFlight    int       // how many are
	Queued      int       // how many wait
	HeldUntil   time.Time // nothing is sent before, as the gateway asked; zero if it does not
}

// Status gives what is known of a model on a host ("api.holysheep.ai").
func (p *Pacing) Status(model, host string) PacingStatus {
	l := p.lanes.get(gateKey{host, model})
	if l == nil {
		return PacingStatus{Model: model, Host: host, Concurrency: p.opts.StartConcurrency, Rate: float64(p.opts.RequestsPerMinute) / 60}
	}
	return l.status()
}

// Statuses gives all that is known, by host and model.
func (p *Pacing) Statuses() []PacingStatus {
	lanes := p.lanes.all()
	all := make([]PacingStatus, len(lanes))
	for i, l := range lanes {
		all[i] = l.status()
	}
	slices.SortFunc(all, func(x, y PacingStatus) int {
		return cmp.Or(cmp.Compare(x.Host, y.Host), cmp.Compare(x.Model, y.Model))
	})
	return all
}

func (l *paceLane) status() PacingStatus {
	l.mu.Lock()
	defer l.mu.Unlock()
	s := PacingStatus{
		Model: l.key.model, Host: l.key.host, Rate: l.rate.limit(), Concurrency: int(l.limit.limit),
		InFlight: len(l.flights), Queued: l.queue.length,
	}
	if l.held > l.pacing.now() {
		s.HeldUntil = l.pacing.born.Add(l.held)
	}
	return s
}
