package cache

import (
	"context"
	"errors"

	"github.com/holysheep-ai/holysheep-go"
)

// Forget erases the entries that which describes: a tenant's, a tag's such as the version of a document, those from
// before a time. It tells how many there were. Where which names no Namespace and no Partition, it is about the
// cache's own namespace if it has one. Unlike a look-up it says when it could not be done.
func (c *SemanticCache) Forget(ctx context.Context, which Which) (int, error) {
	if c.bad != nil {
		return 0, c.bad
	}
	if which.Book != "" {
		return 0, &holysheep.RequestError{Field: "Which.Book", Reason: "is not the caller's to forget; see ForgetLearned"}
	}
	if which.Namespace == "" && which.Partition == "" {
		which.Namespace = c.opts.Namespace
	}
	if which.empty() {
		return 0, &holysheep.RequestError{Field: "Which", Reason: "empty"}
	}
	n, err := c.neighbours.Delete(ctx, which)
	return n, c.store.notEvicted(ctx, "delete", err)
}

// Wrong says that an answer from this cache was wrong. Its entry is erased, and the policy learns from it. Answers
// that are no semantic hit of this cache are an error.
func (c *SemanticCache) Wrong(ctx context.Context, resp *holysheep.ChatResponse) error {
	if c.bad != nil {
		return c.bad
	}
	hit := hitOf(resp)
	if hit == nil {
		return &holysheep.RequestError{Field: "resp", Reason: "no semantic hit: it has no receipt of one in Steps"}
	}
	if c.learner != nil {
		c.learner.learn(hit.cell, true)
		c.sync(ctx)
	}
	_, err := c.neighbours.Delete(ctx, Which{Partition: hit.Partition, ID: hit.ID})
	return c.store.notEvicted(ctx, "delete", err)
}

// hitOf gives the receipt of a semantic hit.
func hitOf(resp *holysheep.ChatResponse) *SemanticHit {
	if resp == nil {
		return nil
	}
	for i := range resp.Steps {
		if hit, ok := resp.Steps[i].Detail.(*SemanticHit); ok {
			return hit
		}
	}
	return nil
}

// ForgetLearned forgets every verdict that the policy learned from, for all that share its neighbours: after the
// answers have changed their nature, say with another model. Entries stay.
func (c *SemanticCache) ForgetLearned(ctx context.Context) error {
	if c.bad != nil {
		return c.bad
	}
	if c.learner == nil {
		return nil
	}
	c.syncing.Lock()
	defer c.syncing.Unlock()
	var failed error
	for _, name := range append(c.learner.reset(c.book), c.book) {
		_, err := c.neighbours.Delete(ctx, Which{Book: name})
		failed = errors.Join(failed, err)
	}
	return c.store.notEvicted(ctx, "delete", failed)
}
