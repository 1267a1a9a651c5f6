package cache

import (
	"context"
	"fmt"
	"iter"
	"math"
	"sync"
	"sync/atomic"
	"time"

	"github.com/holysheep-ai/holysheep-go"
)

// operation is what the rows of the cache are called.
const operation = "cache.exact"

// ExactCache answers a request that was answered before. See [Exact].
type ExactCache struct {
	next     holysheep.Completer
	opts     ExactOptions
	bad      error // what is wrong with the options
	recorder *holysheep.Recorder
	store    Store
	shelf    *shelf
	space    string // the prefix of all keys

	flights [flightShards]flightShard

	closing sync.RWMutex
	closed  bool
	running sync.WaitGroup // whatever may use the shelf
}

// ExactOptions change what an [ExactCache] does. The zero value of each field is its default.
type ExactOptions struct {
	// TTL is how long an answer is served. Default: 2 h. See WithTTL.
	TTL time.Duration

	// Stale is how long after its TTL an answer is still served, while a new one is fetched in the background, once
	// and booked to the scope that asked. Default: 0, not at all.
	Stale time.Duration

	// Namespace keeps caches apart that share a store: one for each feature, or each version of your documents.
	// Default: "".
	Namespace string

	// TenantTag is the tag of the scope that says whose call it is. Answers for one tenant are never served to
	// another, nor to calls without one. Default: "tenant".
	TenantTag string

	// ShareTenants serves answers to every tenant. It is for answers that hold nothing of anybody. Default: false.
	ShareTenants bool

	// MaxTemperature leaves calls above it alone, because they want another answer each time. A request that leaves
	// the temperature to the server counts as 1. Default: nil, all are cached; the temperature is a part of the key.
	MaxTemperature *float64

	// ToolCalls stores answers that are tool calls as well. Default: false.
	ToolCalls bool

	// FoldQuestion takes the last user message without regard to case and white space, for questions to documents.
	// Not for code or names, where both may matter. Default: false.
	FoldQuestion bool

	// AnswerTimeout limits a call to what is beneath. It goes on as long as somebody waits for its answer, so it has
	// no deadline of a caller. Default: 1 h.
	AnswerTimeout time.Duration

	// MaxAnswerBytes limits what is kept of a stream for those who read along. Over it the stream ends, for all of
	// them, with ErrTooLarge. Default: 32 MiB.
	MaxAnswerBytes int

	// Timeout limits an operation of the store, after which it goes on without. Default: 100 ms.
	Timeout time.Duration

	// Seal encrypts what is stored. Default: nil, it is stored as it is.
	Seal Sealer
}

// complete fills in the defaults, or says which option is wrong.
func (o *ExactOptions) complete() error {
	for _, d := range []struct {
		field string
		value *time.Duration
		usual time.Duration
	}{
		{"TTL", &o.TTL, 2 * time.Hour},
		{"Stale", &o.Stale, 0},
		{"AnswerTimeout", &o.AnswerTimeout, time.Hour},
		{"Timeout", &o.Timeout, 100 * time.Millisecond},
	} {
		if *d.value < 0 {
			return &holysheep.RequestError{Field: "ExactOptions." + d.field, Reason: fmt.Sprintf("%v is negative", *d.value)}
		}
		if *d.value == 0 {
			*d.value = d.usual
		}
	}
	if o.TTL > math.MaxInt64-o.Stale {
		return &holysheep.RequestError{Field: "ExactOptions.Stale", Reason: "with TTL it is longer than a duration can be"}
	}
	if t := o.MaxTemperature; t != nil && !(*t >= 0) { // written so that NaN fails it
		return &holysheep.RequestError{Field: "ExactOptions.MaxTemperature", Reason: fmt.Sprintf("%v is no temperature", *t)}
	}
	if o.MaxAnswerBytes < 0 || o.MaxAnswerBytes > 1<<30 {
		return &holysheep.RequestError{Field: "ExactOptions.MaxAnswerBytes", Reason: fmt.Sprintf("%d is not between 1 and 1 GiB", o.MaxAnswerBytes)}
	}
	if o.MaxAnswerBytes == 0 {
		o.MaxAnswerBytes = 32 << 20
	}
	if o.TenantTag == "" {
		o.TenantTag = "tenant"
	}
	return nil
}

// Exact makes a cache of equal requests before next. opts may be nil; what cannot work in them is a
// *holysheep.RequestError of each call, and of [ExactCache.Check].
//
// Requests are equal when everything is that can change the answer: the request with the defaults of the client filled
// in, every message, parameter and header, what lies beneath, the tenant and the namespace. Only whole answers are
// kept: no errors, nothing that was cut short, filtered or refused, and nothing that came from another cache.
//
// Equal requests at the same time cost one call. It runs on its own, with the values of the context of the one who came
// first, whose scope it is booked to; the others see its text as it comes, and none of them can harm another by being
// slow or leaving. It is cancelled when the last one has left.
//
// A store that fails or is silent is a miss and an event for the recorder of next, never an error of a call.
//
// Close waits for the calls under way. next and store stay the caller's.
func Exact(next holysheep.Completer, store Store, opts *ExactOptions) *ExactCache {
	c := &ExactCache{next: next, store: store, recorder: holysheep.RecorderOf(next)}
	if opts != nil {
		c.opts = *opts
	}
	switch c.bad = c.opts.complete(); {
	case c.bad != nil:
	case next == nil:
		c.bad = &holysheep.RequestError{Field: "next", Reason: "nil"}
	case store == nil:
		c.bad = &holysheep.RequestError{Field: "store", Reason: "nil"}
	case !resolves(next):
		c.bad = &holysheep.RequestError{Field: "next", Reason: "nothing in it is a holysheep.Resolver: equal requests cannot be told"}
	}
	if c.bad != nil {
		return c
	}
	c.space = spaceOf(c.opts.Namespace)
	c.shelf = newShelf(store, shelfOptions{Recorder: c.recorder, Kind: operation, Seal: c.opts.Seal, Timeout: c.opts.Timeout})
	return c
}

// resolves reports whether there is a Resolver in c.
func resolves(c holysheep.Completer) bool {
	for c != nil {
		if _, ok := c.(holysheep.Resolver); ok {
			return true
		}
		w, ok := c.(interface{ Unwrap() holysheep.Completer })
		if !ok {
			break
		}
		c = w.Unwrap()
	}
	return false
}

// Unwrap gives what the cache is before.
func (c *ExactCache) Unwrap() holysheep.Completer { return c.next }

// Err says what is wrong with what Exact was given; nil if nothing is. It asks nobody.
func (c *ExactCache) Err() error { return c.bad }

// Check says what is wrong with what Exact was given, or with the store, which it asks. It is for the start of a
// program: calls go on without a store.
func (c *ExactCache) Check(ctx context.Context) error {
	if err := c.enter(); err != nil {
		return err
	}
	defer c.running.Done()
	if _, _, err := c.store.Get(ctx, exactPrefix+"check"); err != nil {
		return fmt.Errorf("cache: the store: %w", err)
	}
	return nil
}

// Stats counts what was asked of the store.
func (c *ExactCache) Stats() Stats {
	if c.bad != nil {
		return Stats{}
	}
	return c.shelf.stats()
}

// Close refuses new calls (ErrClosed) and waits for those beneath that are under way, and for what is being stored. It
// may be called more than once. It returns nil.
func (c *ExactCache) Close() error {
	c.closing.Lock()
	c.closed = true
	c.closing.Unlock()
	c.running.Wait()
	if c.bad == nil {
		c.shelf.wait()
	}
	return nil
}

// enter counts a call as running, unless it cannot be made. Done on running follows.
func (c *ExactCache) enter() error {
	c.closing.RLock()
	defer c.closing.RUnlock()
	switch {
	case c.bad != nil:
		return c.bad
	case c.closed:
		return fmt.Errorf("cache: %w", holysheep.ErrClosed)
	}
	c.running.Add(1)
	return nil
}

// asked is a request that is up to the cache.
type asked struct {
	keyed
	req      *holysheep.ChatRequest // the caller's
	resolved *holysheep.ChatRequest
	ttl      time.Duration
	refresh  bool
	only     bool
	stream   bool
}

// ask takes a request up. It gives nil for one that is none of the cache's.
func (c *ExactCache) ask(ctx context.Context, req *holysheep.ChatRequest, stream bool) (*asked, error) {
	p := perCallOf(ctx)
	if p.bypass {
		return nil, nil //nolint:nilnil // neither an error nor for us
	}
	if err := p.problem(); err != nil {
		return nil, err
	}
	a, err := c.identify(ctx, req)
	if err != nil {
		return nil, err
	}
	if most := c.opts.MaxTemperature; most != nil {
		t := 1.0 // what OpenAI's models take
		if a.resolved.Temperature != nil {
			t = *a.resolved.Temperature
		}
		if t > *most {
			return nil, nil //nolint:nilnil // likewise
		}
	}
	a.ttl, a.refresh, a.only, a.stream = c.opts.TTL, p.refresh, p.only, stream
	if p.ttlSet {
		a.ttl = p.ttl
	}
	return a, nil
}

// identify resolves a request and makes its key.
func (c *ExactCache) identify(ctx context.Context, req *holysheep.ChatRequest) (*asked, error) {
	r, beneath, err := resolve(ctx, c.next, req)
	if err != nil {
		return nil, err
	}
	a := &asked{req: req, resolved: r}
	a.keyed, err = keyOf(c.space, c.tenant(ctx), r, beneath, c.opts.FoldQuestion)
	return a, err
}

func (c *ExactCache) tenant(ctx context.Context) [32]byte {
	return tenantPart(c.opts.TenantTag, holysheep.ScopeOf(ctx).Tag(c.opts.TenantTag), c.opts.ShareTenants)
}

// Chat answers req from the cache, from an equal call under way, or from next.
func (c *ExactCache) Chat(ctx context.Context, req *holysheep.ChatRequest) (*holysheep.ChatResponse, error) {
	for {
		inner, resp, p, err := c.take(ctx, req, false)
		switch {
		case err != nil:
			return nil, err
		case resp != nil:
			return resp, nil
		case p == nil:
			return c.next.Chat(ctx, req)
		}
		if resp, err = p.wait(inner); err != errAgain { //nolint:errorlint // ours, bare
			return resp, err
		}
	}
}

// Stream answers req likewise, piece by piece; what is in the cache comes in one piece. Nothing happens before the
// range starts. See [holysheep.Client.Stream] for the rest.
func (c *ExactCache) Stream(ctx context.Context, req *holysheep.ChatRequest) iter.Seq2[holysheep.StreamEvent, error] {
	var used atomic.Bool
	return func(yield func(holysheep.StreamEvent, error) bool) {
		if used.Swap(true) {
			yield(holysheep.StreamEvent{}, fmt.Errorf("cache: %w", holysheep.ErrStreamUsed))
			return
		}
		for {
			inner, resp, p, err := c.take(ctx, req, true)
			switch {
			case err != nil:
				yield(holysheep.StreamEvent{}, err)
				return
			case resp != nil:
				inPieces(resp, yield)
				return
			case p == nil:
				c.next.Stream(ctx, req)(yield)
				return
			}
			if p.read(inner, yield) != errAgain { //nolint:errorlint // ours, bare
				return
			}
		}
	}
}

// take looks a request up. It gives the answer, or a place in a flight that will bring it, or neither when the request
// is to be passed on. The context is that of the cache's own call.
func (c *ExactCache) take(ctx context.Context, req *holysheep.ChatRequest, stream bool) (
	inner context.Context, resp *holysheep.ChatResponse, p *passenger, err error,
) {
	if err := c.enter(); err != nil {
		return ctx, nil, nil, err
	}
	defer c.running.Done()
	a, err := c.ask(ctx, req, stream)
	if a == nil {
		if err == nil {
			err = notCached(ctx, c.next)
		}
		return ctx, nil, nil, err
	}
	call := &holysheep.Call{Operation: operation, Stream: stream, Model: a.resolved.Model, Request: a.resolved}
	inner = c.recorder.Begin(ctx, call)
	ended := c.shard(a).ended.Load()
	if !a.refresh {
		if e, ok := c.look(inner, a, call.Start); ok {
			if e.stale && !a.only {
				c.renew(ctx, a)
			}
			resp = e.serve(a, call)
			c.recorder.End(inner, call, nil)
			return inner, resp, nil, nil
		}
	}
	switch {
	case ctx.Err() != nil:
		err = &holysheep.TransportError{Phase: holysheep.PhaseWait, Err: why(ctx)}
	case a.only:
		err = notCached(ctx, c.next)
	default:
		return inner, nil, c.board(inner, a, call, ended), nil
	}
	c.recorder.End(inner, call, err)
	return inner, nil, nil, err
}
