package route

import (
	"context"
	"fmt"
	"math/rand/v2"
	"slices"
	"sync"
	"time"

	"github.com/holysheep-ai/holysheep-go"
)

// cascadeShadow asks the last model in the background about answers that have been given.
type cascadeShadow struct {
	cap    spendCap
	places chan struct{}

	drawing sync.Mutex
	rng     *rand.Rand

	closing sync.RWMutex
	closed  bool
	running sync.WaitGroup
}

const (
	mostShadows   = 32
	shadowTimeout = 5 * time.Minute
)

func (s *cascadeShadow) open(seed uint64, limit holysheep.USD) {
	other := seed
	if seed == 0 {
		seed, other = rand.Uint64(), rand.Uint64()
	}
	s.rng = rand.New(rand.NewPCG(seed, other))
	s.places = make(chan struct{}, mostShadows)
	s.cap.limit = limit
}

func (s *cascadeShadow) close() {
	s.closing.Lock()
	s.closed = true
	s.closing.Unlock()
	s.running.Wait()
}

// draws is true with a probability of share.
func (s *cascadeShadow) draws(share float64) bool {
	s.drawing.Lock()
	defer s.drawing.Unlock()
	return s.rng.Float64() < share
}

// run does the work in the background, if there is a place for it.
func (s *cascadeShadow) run(work func()) bool {
	s.closing.RLock()
	defer s.closing.RUnlock()
	if s.closed {
		return false
	}
	select {
	case s.places <- struct{}{}:
	default:
		return false
	}
	s.running.Go(func() {
		defer func() { <-s.places }()
		work()
	})
	return true
}

// maybeShadow asks the last model about a share of the answers that have passed. Its cost belongs to the scope of the
// call, in a row of its own, because the call has ended by then.
func (c *Cascade) maybeShadow(ctx context.Context, d *descent, given *holysheep.ChatResponse) {
	if c.opts.Shadow == 0 || c.last(d) || given.Cached || !c.shadow.draws(c.opts.Shadow) {
		return
	}
	req := d.req
	ctx = context.WithoutCancel(ctx)
	// Both belong to the caller, who may change them.
	own := *req
	own.Model = c.models[len(c.models)-1].name
	own.Messages = slices.Clone(req.Messages)
	answer := *given
	answer.Choices = slices.Clone(given.Choices)
	for i := range answer.Choices {
		m := &answer.Choices[i].Message
		m.Content, m.ToolCalls = slices.Clone(m.Content), slices.Clone(m.ToolCalls)
	}
	if !c.shadow.run(func() { c.compare(ctx, &own, &answer) }) {
		c.tally.shadowed(false, false)
	}
}

// compare asks the last model, and whether the answer given is worse.
func (c *Cascade) compare(ctx context.Context, req *holysheep.ChatRequest, given *holysheep.ChatResponse) {
	ctx, cancel := context.WithTimeout(ctx, shadowTimeout)
	defer cancel()
	call := &holysheep.Call{Operation: cascadeOperation + ".shadow", Model: req.Model, Request: req}
	ctx = c.recorder.Begin(ctx, call)
	worse, err := c.isWorse(ctx, req, given)
	c.tally.shadowed(err == nil, worse)
	c.recorder.End(ctx, call, err)
}

// isWorse recovers, because nobody else could here.
func (c *Cascade) isWorse(ctx context.Context, req *holysheep.ChatRequest, given *holysheep.ChatResponse) (worse bool, err error) {
	defer func() {
		if p := recover(); p != nil {
			err = fmt.Errorf("route: the shadow panicked: %v", p)
		}
	}()
	last, err := c.shadow.cap.chat(ctx, c.next, req)
	if err != nil {
		return false, err
	}
	return c.opts.Worse(ctx, req, given, last)
}

func (t *cascadeTally) shadowed(judged, worse bool) {
	t.mu.Lock()
	defer t.mu.Unlock()
	switch l := &t.report.Loss; {
	case !judged:
		t.report.Unshadowed++
	case worse:
		l.Count++
		l.Of++
	default:
		l.Of++
	}
}
