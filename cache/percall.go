package cache

import (
	"context"
	"time"

	"github.com/holysheep-ai/holysheep-go"
)

// perCall is what a context asks of the caches beneath it.
type perCall struct {
	bypass, refresh bool
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

// WithTTL sets, for the calls of a context, how long an answer is kept, and how old one may be that is taken from the
// cache. It is above zero.
func WithTTL(ctx context.Context, ttl time.Duration) context.Context {
	p := perCallOf(ctx)
	p.ttl, p.ttlSet = ttl, true
	return context.WithValue(ctx, perCallKey{}, p)
}
