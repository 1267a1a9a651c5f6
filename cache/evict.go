package cache

import (
	"context"
	"encoding/hex"
	"strings"
	"time"

	"github.com/holysheep-ai/holysheep-go"
)

// Plan prices a request. One that is in the cache costs nothing, and nothing would refuse it.
func (c *ExactCache) Plan(ctx context.Context, req *holysheep.ChatRequest) (*holysheep.Quote, error) {
	if err := c.enter(); err != nil {
		return nil, err
	}
	defer c.running.Done()
	a, err := c.ask(ctx, req, false)
	if err != nil {
		return nil, err
	}
	var e stored
	found := false
	if a != nil && !a.refresh {
		e, found = c.look(ctx, a, time.Now())
	}
	q, err := holysheep.Plan(ctx, c.next, req)
	switch step := (holysheep.Step{Kind: "cache"}); {
	case !found:
		return q, err
	case e.stale:
		if err != nil {
			return nil, err
		}
		step.Reason = "an answer past its time would be served; the costs are those of the one that replaces it"
		q.Steps = append(q.Steps, step)
	default:
		if err != nil {
			q = &holysheep.Quote{Model: a.resolved.Model}
		}
		step.Reason, step.Saved = "answered "+ago(e.age), e.resp.Cost.USD
		step.Detail = &Receipt{Key: a.receipt(), Age: e.age}
		q.Expected, q.Worst, q.Refusals, q.Steps = holysheep.Cost{}, holysheep.Cost{}, nil, []holysheep.Step{step}
	}
	return q, nil
}

// Evict forgets the answer to a request, for the tenant of the context. A call for it that is under way ends well, and
// what it brings is not kept. An error means that the answer may still be there.
func (c *ExactCache) Evict(ctx context.Context, req *holysheep.ChatRequest) error {
	if err := c.enter(); err != nil {
		return err
	}
	defer c.running.Done()
	a, err := c.identify(ctx, req)
	if err != nil {
		return err
	}
	if err := c.shard(a).void(ctx, func(f *flight) bool { return f.asked.key == a.key }); err != nil {
		return err
	}
	return c.shelf.delete(ctx, a.key)
}

// Clear forgets every answer of the namespace for the tenant of the context, or, where its scope names none, for calls
// without a tenant. The store has to be a [Clearer]; else the error matches errors.ErrUnsupported.
func (c *ExactCache) Clear(ctx context.Context) error {
	tenant := c.tenant(ctx)
	return c.clear(ctx, c.space+hex.EncodeToString(tenant[:16])+":")
}

// ClearAll forgets every answer of the namespace, for all tenants.
func (c *ExactCache) ClearAll(ctx context.Context) error { return c.clear(ctx, c.space) }

func (c *ExactCache) clear(ctx context.Context, prefix string) error {
	if err := c.enter(); err != nil {
		return err
	}
	defer c.running.Done()
	for i := range c.flights {
		err := c.flights[i].void(ctx, func(f *flight) bool { return strings.HasPrefix(f.asked.key, prefix) })
		if err != nil {
			return err
		}
	}
	return c.shelf.clear(ctx, prefix)
}
