package route

import (
	"context"
	"errors"
	"fmt"
	"sync/atomic"
	"time"

	"github.com/holysheep-ai/holysheep-go"
)

// try is one target being asked.
type try struct {
	cancel context.CancelCauseFunc
	timer  *time.Timer // nil without a limit
	late   atomic.Bool
}

// begin asks a target, with a context that limits it. end has to follow.
func (f *Fallback) begin(ctx context.Context, j *journey) (context.Context, *try) {
	j.began = time.Now()
	t := &try{cancel: func(error) {}}
	if j.last() {
		return ctx, t
	}
	ctx = holysheep.LimitAttempts(ctx, f.opts.Attempts)
	if f.opts.FirstToken > 0 {
		ctx, t.cancel = context.WithCancelCause(ctx)
		t.timer = time.AfterFunc(f.opts.FirstToken, func() {
			t.late.Store(true)
			t.cancel(errNoFirstToken)
		})
	}
	return ctx, t
}

var errNoFirstToken = errors.New("no first token in time")

// arrived is told of the first token, and reports whether it came in time.
func (t *try) arrived() bool {
	if t.timer != nil {
		t.timer.Stop()
	}
	return !t.late.Load()
}

// end ends it, and gives what it failed with.
func (t *try) end(ctx context.Context, limit time.Duration, err error) error {
	intime := t.arrived()
	t.cancel(context.Canceled)
	if err != nil && !intime && ctx.Err() == nil {
		// Without the error of the try's own context: the caller's has not ended.
		return fmt.Errorf("route: %w: %w, which is %v", holysheep.ErrTimeout, errNoFirstToken, limit)
	}
	return err
}
