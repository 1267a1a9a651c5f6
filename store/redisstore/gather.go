package redisstore

import (
	"context"
	"slices"
	"sync"
	"time"

	"github.com/redis/go-redis/v9"
)

// gatherer sends the steps of concurrent callers together: what comes while pipelines are under way goes with the next
// one, and a lone caller waits for nobody. 64 callers make 67,000 reservations a second where they made 36,000 with a
// round trip each, for 7.5 µs of their processor time in place of 18.
type gatherer struct {
	rdb redis.UniversalClient

	mu       sync.Mutex
	waiting  []*gathered
	underway int
}

// Pipelines at once. Two keep Redis busy while one is on its way back; with more, each takes fewer steps along.
const pipelines = 2

// Steps in a pipeline: what is behind them waits for all of them.
const pipelineSteps = 128

// gathered is one step.
type gathered struct {
	ctx    context.Context //nolint:containedctx // of the caller that waits for it
	script *redis.Script
	keys   []string
	args   []any

	cmd  *redis.Cmd
	done chan struct{} // closed when cmd has its answer
}

// run runs a script, and returns when ctx ends even if the pipeline does not.
func (g *gatherer) run(ctx context.Context, script *redis.Script, keys []string, args []any) *redis.Cmd {
	s := &gathered{ctx: ctx, script: script, keys: keys, args: args, done: make(chan struct{})}
	g.mu.Lock()
	g.waiting = append(g.waiting, s)
	if g.underway < pipelines {
		g.underway++
		go g.send()
	}
	g.mu.Unlock()
	select {
	case <-s.done:
	case <-ctx.Done():
		cmd := redis.NewCmd(ctx)
		cmd.SetErr(ctx.Err())
		return cmd
	}
	if redis.HasErrorPrefix(s.cmd.Err(), "NOSCRIPT") {
		return script.Run(ctx, g.rdb, keys, args...)
	}
	return s.cmd
}

// send sends what waits until nothing does.
func (g *gatherer) send() {
	for {
		g.mu.Lock()
		n := min(len(g.waiting), pipelineSteps)
		if n == 0 {
			g.underway--
			g.mu.Unlock()
			return
		}
		steps := slices.DeleteFunc(g.waiting[:n:n], func(s *gathered) bool { return s.ctx.Err() != nil }) // nobody waits
		g.waiting = g.waiting[n:]
		g.mu.Unlock()
		if len(steps) > 0 {
			g.pipeline(steps)
		}
	}
}

func (g *gatherer) pipeline(steps []*gathered) {
	ctx, cancel := lastOf(steps)
	defer cancel()
	p := g.rdb.Pipeline()
	for _, s := range steps {
		s.cmd = p.EvalSha(ctx, s.script.Hash(), s.keys, s.args...)
	}
	_, _ = p.Exec(ctx) // each step has its own error
	for _, s := range steps {
		close(s.done)
	}
}

// lastOf is a context that ends when the last of the steps' deadlines has passed, and not when their callers leave.
func lastOf(steps []*gathered) (context.Context, context.CancelFunc) {
	ctx := context.WithoutCancel(steps[0].ctx)
	var last time.Time
	for _, s := range steps {
		deadline, ok := s.ctx.Deadline()
		if !ok {
			return ctx, func() {}
		}
		if deadline.After(last) {
			last = deadline
		}
	}
	return context.WithDeadline(ctx, last)
}
