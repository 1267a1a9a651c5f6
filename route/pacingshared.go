package route

import (
	"context"
	"errors"
	"fmt"
	"time"

	"github.com/holysheep-ai/holysheep-go"
)

// SharedPace is what processes share that keep to one limit. Package redisstore implements it in Redis. Both methods are
// called concurrently.
type SharedPace interface {
	// Reserve takes a place in each of the buckets, as soon as it has room, and gives how long until then. When that
	// would be longer than most for one of them, nothing is taken from any, and wait is longer than most.
	Reserve(ctx context.Context, takes []SharedTake, most time.Duration) (wait time.Duration, err error)

	// Return gives back what was taken and not used; a negative amount takes more.
	Return(ctx context.Context, takes []SharedTake) error
}

// SharedTake is an amount taken from a bucket. Every process that knows the key states the same rate and burst.
type SharedTake struct {
	Key    string  // of the bucket: host, model and what it counts
	Rate   float64 // how much it fills in a second
	Burst  float64 // how much it holds; more than that is taken when it is full
	Amount float64
}

// takes are the buckets that an attempt takes from.
func (l *paceLane) takes(requests, tokens float64) []SharedTake {
	o := &l.pacing.opts
	takes := make([]SharedTake, 0, 2)
	for _, t := range []struct {
		kind      string
		perMinute int
		amount    float64
	}{
		{"requests", o.RequestsPerMinute, requests},
		{"tokens", o.TokensPerMinute, tokens},
	} {
		if t.perMinute == 0 || t.amount == 0 {
			continue
		}
		rate := float64(t.perMinute) / 60
		takes = append(takes, SharedTake{
			Key: l.key.host + "/" + l.key.model + "/" + t.kind, Rate: rate, Burst: max(1, rate*o.Burst.Seconds()), Amount: t.amount,
		})
	}
	return takes
}

// share waits for the turn among all processes. The lock is held when it is called and when it returns, and not in between.
func (p *Pacing) share(ctx context.Context, l *paceLane, at *holysheep.Attempt, tokens float64) (err error) {
	begun, done := p.now(), false
	l.mu.Unlock()
	defer func() {
		l.mu.Lock()
		if !done {
			l.unsend(at)
			l.dispatch(p.now())
		}
	}()
	most := p.opts.MaxWait
	if deadline, ok := ctx.Deadline(); ok {
		most = min(most, time.Until(deadline))
	}
	takes := l.takes(1, tokens)
	asked, cancel := context.WithTimeout(ctx, p.opts.SharedTimeout)
	wait, err := p.opts.Shared.Reserve(asked, takes, most)
	cancel()
	switch {
	case ctx.Err() != nil:
		if err == nil && wait <= most {
			p.giveBack(takes)
		}
		return waitEnded(ctx)
	case err != nil:
		p.sharedFailed(err)
		done = true
		return nil
	case wait > most:
		return &WaitError{Model: l.key.model, Host: l.key.host, Priority: PriorityOf(ctx), Waited: p.now() - begun, Retry: time.Now().Add(wait)}
	case wait > 0:
		turn := time.NewTimer(wait)
		defer turn.Stop()
		select {
		case <-turn.C:
		case <-ctx.Done():
			p.giveBack(takes)
			return waitEnded(ctx)
		}
	}
	done = true
	return nil
}

func (p *Pacing) giveBack(takes []SharedTake) {
	ctx, cancel := context.WithTimeout(context.Background(), p.opts.SharedTimeout)
	defer cancel()
	if err := p.opts.Shared.Return(ctx, takes); err != nil {
		p.sharedFailed(err)
	}
}

// correct gives the others what an attempt took and did not use.
func (p *Pacing) correct(l *paceLane, spare paceSpare) {
	if p.opts.Shared == nil || spare == (paceSpare{}) {
		return
	}
	if takes := l.takes(spare.requests, spare.tokens); len(takes) > 0 {
		p.giveBack(takes)
	}
}

func (p *Pacing) sharedFailed(err error) {
	if p.opts.OnError != nil && !errors.Is(err, context.Canceled) {
		p.opts.OnError(fmt.Errorf("route: shared pacing: %w", err))
	}
}

// paceSpare is what an attempt took and did not use.
type paceSpare struct{ requests, tokens float64 }
