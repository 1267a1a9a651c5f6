package cache

import (
	"context"
	"fmt"
	"sync"
	"time"

	"github.com/holysheep-ai/holysheep-go"
)

// Probes are texts that tell whether an encoder does its work: two that any one has to find alike, and two that none
// may. Use your users' language.
type Probes struct {
	Like, Unlike [2]string
}

var englishProbes = Probes{
	Like:   [2]string{"How do I reset my password?", "how do I reset my password"},
	Unlike: [2]string{"How do I reset my password?", "Which mountains can be seen from the lake in winter?"},
}

func (p *Probes) bad() bool {
	return p.Like[0] == "" || p.Like[1] == "" || p.Unlike[0] == "" || p.Unlike[1] == ""
}

// SelfTestError is an encoder that cannot be trusted to tell questions apart: the cache stays off.
type SelfTestError struct {
	Like, Unlike float64 // the cosines of the two pairs of probes
	Reason       string
}

func (e *SelfTestError) Error() string {
	return fmt.Sprintf("cache: self-test: %s (like ones have cosine %.3f, unlike ones %.3f)", e.Reason, e.Like, e.Unlike)
}

// startGate lets questions in once the cache has been tested.
type startGate struct {
	mu      sync.Mutex
	started bool
	off     error     // why it stays off
	retry   time.Time // when a start that failed for want of an embedder is tried again
	testing bool
}

const startAgainAfter = 30 * time.Second

// ready reports whether the cache is on. The first question to come starts it; those that come meanwhile are passed
// on.
func (c *SemanticCache) ready(ctx context.Context) bool {
	g := &c.gate
	g.mu.Lock()
	if g.started || g.off != nil || g.testing || time.Now().Before(g.retry) {
		defer g.mu.Unlock()
		return g.started
	}
	g.testing = true
	g.mu.Unlock()
	return c.start(ctx) == nil
}

// Check tests the encoder, as the first look-up does, and switches the cache on or off by the result: off with a
// *SelfTestError, which two like probes that do not match give, or two unlike ones that do. Another error means that
// the test could not be made, because the embedder or the neighbours failed; it is made again with a later question.
// It embeds four texts.
func (c *SemanticCache) Check(ctx context.Context) error {
	if c.bad != nil {
		return c.bad
	}
	c.gate.mu.Lock()
	c.gate.testing = true
	c.gate.mu.Unlock()
	return c.start(ctx)
}

func (c *SemanticCache) start(ctx context.Context) error {
	call := &holysheep.Call{Operation: "cache.semantic.start"}
	ctx = c.recorder.Begin(ctx, call)
	err := c.selfTest(ctx)
	tested := err == nil
	failed, isResult := err.(*SelfTestError) //nolint:errorlint // made by selfTest, bare
	if tested && c.learner != nil {
		err = c.load(ctx)
	}
	c.recorder.End(ctx, call, err)
	g := &c.gate
	g.mu.Lock()
	defer g.mu.Unlock()
	g.testing = false
	g.started, g.off = err == nil, nil
	switch {
	case isResult:
		g.off = failed
	case err != nil:
		g.retry = time.Now().Add(startAgainAfter)
	}
	return err
}

// Like probes have to be this much nearer than unlike ones, and unlike ones this far from equal.
const (
	leastContrast = 0.05
	tooAlike      = 0.98
)

func (c *SemanticCache) selfTest(ctx context.Context) error {
	p := c.opts.Probes
	vectors, err := c.vectorsOf(ctx, []string{p.Like[0], p.Like[1], p.Unlike[0], p.Unlike[1]})
	if err != nil {
		return err
	}
	e := &SelfTestError{}
	var ok [2]bool
	e.Like, ok[0] = cosineOf(vectors[0], vectors[1])
	e.Unlike, ok[1] = cosineOf(vectors[2], vectors[3])
	threshold := c.opts.Threshold
	switch {
	case !ok[0] || !ok[1]:
		e.Reason = "vectors of different lengths"
	case e.Unlike >= tooAlike || c.learner == nil && e.Unlike >= threshold:
		e.Reason = "the encoder finds everything alike, or the threshold is too low for it"
	case e.Like < e.Unlike+leastContrast:
		e.Reason = "the encoder does not tell like from unlike"
	case c.learner == nil && e.Like < threshold:
		e.Reason = "the threshold is too high for this encoder"
	default:
		return nil
	}
	return e
}
