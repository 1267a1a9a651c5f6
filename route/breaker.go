package route

import (
	"cmp"
	"context"
	"errors"
	"fmt"
	"net/http"
	"slices"
	"time"

	"github.com/holysheep-ai/holysheep-go"
)

// A Breaker stops sending to a model on a host that fails, and finds out when it is well again. It is a
// holysheep.Gate: set it as Options.Gate of the client, or one breaker for several clients. Each model on each host has
// a circuit of its own. Safe for concurrent use.
//
// Closed, a circuit lets everything through and counts over a rolling window. When enough calls failed or were slow, it
// opens: attempts end at once with an [*OpenError], nothing is sent, and the client does not retry. After OpenFor it is
// half-open: a few attempts go through as probes. When all of them went well it closes, at the first that did not it
// opens again.
//
// What counts as a failure: 503, 529 and other 5xx that mean trouble behind the gateway (500, 502, 504, 520 to 524), also
// as an error inside a 200; no connection, no first byte in time, no answer, an answer that was torn or stalled. 429 and
// every other 4xx count neither way, nor does a call that its caller cancelled before the first byte.
type Breaker struct {
	opts     BreakerOptions
	born     time.Time
	circuits gateTable[circuit]
}

// BreakerOptions change when a [Breaker] opens. The zero value of each field is its default.
type BreakerOptions struct {
	// Window is how long a call counts, give or take a tenth. Default: 30 s.
	Window time.Duration

	// MinCalls is how many calls there have to be within Window before the circuit may open. Default: 20.
	MinCalls int

	// FailureRate is the share of failures at which it opens, above 0 and at most 1. Default: 0.5.
	FailureRate float64

	// SlowAfter is how long the first byte of an answer may take before the call is a slow one; that of a plain answer
	// comes when all of it is there. A call given up by its caller after that time is slow as well. Default: 60 s.
	SlowAfter time.Duration

	// SlowRate is the share of slow calls at which it opens, above 0 and at most 1. Default: 0.8.
	SlowRate float64

	// OpenFor is how long nothing is sent before the first probe. Default: 5 s.
	OpenFor time.Duration

	// Jitter is the share of OpenFor by which it is longer at most, drawn each time, so that processes do not probe
	// together. 0 to 10. Default: 0.5.
	Jitter *float64

	// Probes is how many attempts half-open lets through, all of which have to go well. Default: 3.
	Probes int

	// OnChange is told of each change of a circuit, on the goroutine of the call that caused it. It must be fast and
	// safe for concurrent use. Default: nil.
	OnChange func(before BreakerState, now BreakerStatus)
}

// BreakerState is what a circuit does with the next attempt.
type BreakerState uint8

// The states of a circuit.
const (
	BreakerClosed   BreakerState = iota // everything goes through
	BreakerOpen                         // nothing does
	BreakerHalfOpen                     // a few probes do
)

func (s BreakerState) String() string {
	switch s {
	case BreakerClosed:
		return "closed"
	case BreakerOpen:
		return "open"
	case BreakerHalfOpen:
		return "half-open"
	}
	return fmt.Sprintf("BreakerState(%d)", uint8(s))
}

// BreakerStatus is where a circuit stands.
type BreakerStatus struct {
	Model, Host string
	State       BreakerState
	Forced      bool      // by ForceOpen or ForceClosed
	Until       time.Time // when an open one will probe; zero if it is not open, or forced
	Calls       int       // within the window, those that count
	Failures    int       // of them
	Slow        int       // of them
}

// ErrOpen is a circuit that lets nothing through, for errors.Is: the error is an [*OpenError].
var ErrOpen = errors.New("breaker open")

// OpenError is an attempt that was not sent because the circuit of its model and host is open. It matches [ErrOpen].
type OpenError struct {
	Model, Host string
	Until       time.Time // when the next probe may be sent; zero while it is forced open
	Forced      bool      // by ForceOpen
}

func (e *OpenError) Error() string {
	switch {
	case e.Forced:
		return fmt.Sprintf("route: %v: %s at %s, by force", ErrOpen, e.Model, e.Host)
	default:
		return fmt.Sprintf("route: %v: %s at %s (probes in %v)", ErrOpen, e.Model, e.Host, max(time.Until(e.Until), 0).Round(time.Millisecond))
	}
}

// Is reports whether target is ErrOpen.
func (e *OpenError) Is(target error) bool { return target == ErrOpen }

// NewBreaker makes a breaker, all circuits closed. opts may be nil; the error joins a *holysheep.RequestError for each
// option that is out of range.
func NewBreaker(opts *BreakerOptions) (*Breaker, error) {
	b := &Breaker{born: time.Now()}
	if opts != nil {
		b.opts = *opts
	}
	if err := b.opts.complete(); err != nil {
		return nil, err
	}
	return b, nil
}

// complete fills in the defaults, or says which options are wrong.
func (o *BreakerOptions) complete() error {
	var errs []error
	wrong := func(field, format string, args ...any) {
		errs = append(errs, &holysheep.RequestError{Field: "BreakerOptions." + field, Reason: fmt.Sprintf(format, args...)})
	}
	for _, d := range []struct {
		field string
		value *time.Duration
		usual time.Duration
	}{
		{"Window", &o.Window, 30 * time.Second},
		{"SlowAfter", &o.SlowAfter, time.Minute},
		{"OpenFor", &o.OpenFor, 5 * time.Second},
	} {
		if *d.value == 0 {
			*d.value = d.usual
		}
		if *d.value < time.Millisecond || *d.value > 24*time.Hour {
			wrong(d.field, "%v is not between 1 ms and 24 h", *d.value)
		}
	}
	for _, n := range []struct {
		field string
		value *int
		usual int
	}{
		{"MinCalls", &o.MinCalls, 20},
		{"Probes", &o.Probes, 3},
	} {
		if *n.value == 0 {
			*n.value = n.usual
		}
		if *n.value < 1 || *n.value > 1e6 {
			wrong(n.field, "%d is not between 1 and a million", *n.value)
		}
	}
	for _, r := range []struct {
		field string
		value *float64
		usual float64
	}{
		{"FailureRate", &o.FailureRate, 0.5},
		{"SlowRate", &o.SlowRate, 0.8},
	} {
		if *r.value == 0 {
			*r.value = r.usual
		}
		if !(*r.value > 0 && *r.value <= 1) { // written so that NaN fails it
			wrong(r.field, "%v is not above 0 and at most 1", *r.value)
		}
	}
	if o.Jitter == nil {
		o.Jitter = new(0.5)
	}
	if j := *o.Jitter; !(j >= 0 && j <= 10) { // likewise
		wrong("Jitter", "%v is not between 0 and 10", j)
	}
	return errors.Join(errs...)
}

// Before implements holysheep.Gate. It does not wait.
func (b *Breaker) Before(_ context.Context, _ *holysheep.Call, at *holysheep.Attempt) error {
	c := b.circuit(keyOfAttempt(at))
	c.mu.Lock()
	now := time.Since(b.born)
	change, refused := c.admit(now, at)
	c.mu.Unlock()
	b.tell(change)
	return refused
}

// refuses says whether Before would let the attempt through, and takes no probe.
func (b *Breaker) refuses(at *holysheep.Attempt) error {
	c := b.circuits.get(keyOfAttempt(at))
	if c == nil {
		return nil
	}
	c.mu.Lock()
	defer c.mu.Unlock()
	return c.refusal(time.Since(b.born))
}

// After implements holysheep.Gate.
func (b *Breaker) After(_ context.Context, _ *holysheep.Call, at *holysheep.Attempt) {
	c := b.circuits.get(keyOfAttempt(at))
	if c == nil {
		return // it has been forgotten
	}
	c.mu.Lock()
	change := c.settle(time.Since(b.born), at, outcomeOf(at, b.opts.SlowAfter))
	c.mu.Unlock()
	b.tell(change)
}

func (b *Breaker) tell(change *circuitChange) {
	if change != nil && b.opts.OnChange != nil {
		b.opts.OnChange(change.before, change.now)
	}
}

// State gives the state of a model on a host ("api.holysheep.ai"); closed for one that was never asked. An open circuit
// whose time is over is half-open, also before the first probe.
func (b *Breaker) State(model, host string) BreakerState { return b.Status(model, host).State }

// Status gives the figures behind State.
func (b *Breaker) Status(model, host string) BreakerStatus {
	c := b.circuits.get(gateKey{host, model})
	if c == nil {
		return BreakerStatus{Model: model, Host: host}
	}
	c.mu.Lock()
	defer c.mu.Unlock()
	return c.status(time.Since(b.born))
}

// Statuses gives all circuits that are known, by host and model.
func (b *Breaker) Statuses() []BreakerStatus {
	circuits := b.circuits.all()
	all := make([]BreakerStatus, len(circuits))
	for i, c := range circuits {
		c.mu.Lock()
		all[i] = c.status(time.Since(b.born))
		c.mu.Unlock()
	}
	slices.SortFunc(all, func(x, y BreakerStatus) int {
		return cmp.Or(cmp.Compare(x.Host, y.Host), cmp.Compare(x.Model, y.Model))
	})
	return all
}

// ForceOpen lets nothing through to a model on a host until Release.
func (b *Breaker) ForceOpen(model, host string) { b.force(model, host, forcedOpen) }

// ForceClosed lets everything through, however much fails, until Release.
func (b *Breaker) ForceClosed(model, host string) { b.force(model, host, forcedClosed) }

// Release ends ForceOpen and ForceClosed: the circuit is closed, and counts from zero.
func (b *Breaker) Release(model, host string) { b.force(model, host, notForced) }

func (b *Breaker) force(model, host string, to forcing) {
	c := b.circuit(gateKey{host, model})
	c.mu.Lock()
	change := c.force(time.Since(b.born), to)
	c.mu.Unlock()
	b.tell(change)
}

func (b *Breaker) circuit(key gateKey) *circuit {
	if c := b.circuits.get(key); c != nil {
		return c
	}
	return b.circuits.getOrMake(key, func(key gateKey) *circuit {
		return &circuit{breaker: b, key: key, window: callWindow{width: b.opts.Window / windowBuckets}}
	}, func(c *circuit) bool {
		c.mu.Lock()
		defer c.mu.Unlock()
		return c.forced == notForced && c.state == BreakerClosed
	})
}

// attemptOutcome is what a finished attempt says about the model and its host.
type attemptOutcome uint8

const (
	saysNothing attemptOutcome = iota
	wentWell
	wentSlow
	failed
)

// outcomeOf reads an attempt.
func outcomeOf(at *holysheep.Attempt, slowAfter time.Duration) attemptOutcome {
	if !wasSent(at) {
		return saysNothing
	}
	if isTrouble(at) {
		return failed
	}
	// A break of the reader, or a cancelled context, after the answer began: the other side did its part.
	_, refused := errors.AsType[*holysheep.APIError](at.Err)
	answered := at.Err == nil || at.Status/100 == 2 && !refused
	switch first := at.FirstByte; {
	case answered && first > slowAfter, first == 0 && at.Latency >= slowAfter:
		return wentSlow
	case answered:
		return wentWell
	}
	return saysNothing
}

// isTrouble reports whether an attempt ended as it does when host or model are down or overloaded.
func isTrouble(at *holysheep.Attempt) bool {
	if e, ok := errors.AsType[*holysheep.APIError](at.Err); ok {
		switch e.StatusCode {
		case http.StatusNotImplemented, http.StatusHTTPVersionNotSupported, http.StatusNetworkAuthenticationRequired:
			return false
		}
		return e.Is(holysheep.ErrOverloaded) || e.Is(holysheep.ErrServer)
	}
	e, ok := errors.AsType[*holysheep.TransportError](at.Err)
	switch {
	case !ok:
		return false
	case e.Is(holysheep.ErrNoAnswer):
		return at.Billing != holysheep.NotBilled // else a kept connection that the other side had closed
	}
	return e.Is(holysheep.ErrConnect) || e.Is(holysheep.ErrTimeout) || e.Is(holysheep.ErrStalled) || e.Is(holysheep.ErrTruncated)
}
