package cache

import (
	"context"
	"errors"
	"time"

	"github.com/holysheep-ai/holysheep-go"
)

// perCall is what a context asks of the caches beneath it.
type perCall struct {
	bypass, refresh bool
	only            bool
	ttl             time.Duration
	ttlSet          bool
}

type perCallKey struct{}

func perCallOf(ctx context.Context) perCall {
	p, _ := ctx.Value(perCallKey{}).(perCall)
	return p
}

// problem says what cannot work.
func (p perCall) problem() error {
	if p.ttlSet && p.ttl <= 0 {
		return &holysheep.RequestError{Field: "WithTTL", Reason: p.ttl.String() + " is not above zero"}
	}
	return nil
}

// Bypass lets the calls of a context pass by the caches: nothing is looked up, shared or stored.
func Bypass(ctx context.Context) context.Context {
	p := perCallOf(ctx)
	p.bypass, p.refresh = true, false
	return context.WithValue(ctx, perCallKey{}, p)
}

// Refresh lets the calls of a context ask the model again: nothing is looked up, and what comes is stored in place of
// what was there.
func Refresh(ctx context.Context) context.Context {
	p := perCallOf(ctx)
	p.bypass, p.refresh = false, true
	return context.WithValue(ctx, perCallKey{}, p)
}

// ErrNotCached is a call that was for caches alone, and none of them has the answer.
var ErrNotCached = errors.New("cache: no answer in any cache")

// Only keeps the calls of a context to the caches: what none of them has ends with [ErrNotCached], and nothing is sent
// but what a semantic cache needs for its look-up, the embedding of the question. An answer past its TTL is served as
// long as ExactOptions.Stale allows, and not fetched anew. With Bypass or Refresh nothing is left that could answer.
func Only(ctx context.Context) context.Context {
	p := perCallOf(ctx)
	p.only = true
	return context.WithValue(ctx, perCallKey{}, p)
}

// notCached ends a call that is for caches alone, unless there is another cache in next.
func notCached(ctx context.Context, next holysheep.Completer) error {
	if !perCallOf(ctx).only {
		return nil
	}
	for c := next; c != nil; {
		switch c.(type) {
		case *ExactCache, *SemanticCache:
			return nil // it will say
		}
		w, ok := c.(interface{ Unwrap() holysheep.Completer })
		if !ok {
			break
		}
		c = w.Unwrap()
	}
	return ErrNotCached
}

// WithTTL sets, for the calls of a context, how long an answer is kept, and how old one may be that is taken from the
// cache. It is above zero.
func WithTTL(ctx context.Context, ttl time.Duration) context.Context {
	p := perCallOf(ctx)
	p.ttl, p.ttlSet = ttl, true
	return context.WithValue(ctx, perCallKey{}, p)
}
