package redisstore_test

import (
	"context"
	"fmt"
	"sync"
	"sync/atomic"
	"testing"
	"time"

	"github.com/redis/go-redis/v9"
	"github.com/stretchr/testify/require"

	"github.com/holysheep-ai/holysheep-go"
	"github.com/holysheep-ai/holysheep-go/store/redisstore"
)

// pipelines counts those of scripts, and holds them up while held is not nil.
type pipelines struct {
	sent  atomic.Int64
	steps atomic.Int64
	held  chan struct{}
}

func (*pipelines) DialHook(next redis.DialHook) redis.DialHook { return next }

func (*pipelines) ProcessHook(next redis.ProcessHook) redis.ProcessHook { return next }

func (p *pipelines) ProcessPipelineHook(next redis.ProcessPipelineHook) redis.ProcessPipelineHook {
	return func(ctx context.Context, cmds []redis.Cmder) error {
		if cmds[0].Name() != "evalsha" {
			return next(ctx, cmds) // a connection that introduces itself
		}
		p.sent.Add(1)
		p.steps.Add(int64(len(cmds)))
		if p.held != nil {
			<-p.held
		}
		return next(ctx, cmds)
	}
}

func oneHold(id string) holysheep.Reservation {
	now := time.Now()
	return holysheep.Reservation{ID: id, Now: now, Lease: time.Minute, Holds: []holysheep.Hold{
		{Key: "a", Amount: 1, Limit: 1 << 40, Ends: now.Add(time.Hour)},
	}}
}

// Steps of many callers travel together, and a lone one travels at once.
func TestStepsTravelTogether(t *testing.T) {
	rdb := connect(t, false)
	count := &pipelines{}
	rdb.AddHook(count)
	l := newLedger(t, rdb)
	for i := range 10 {
		_, err := l.Reserve(t.Context(), oneHold(fmt.Sprint("alone", i)))
		require.NoError(t, err)
	}
	require.Equal(t, int64(10), count.sent.Load())

	var wg sync.WaitGroup
	for caller := range 64 {
		wg.Go(func() {
			for i := range 50 {
				if refused, err := l.Reserve(t.Context(), oneHold(fmt.Sprint(caller, "-", i))); err != nil || refused >= 0 {
					t.Error(refused, err)
				}
			}
		})
	}
	wg.Wait()
	require.Equal(t, int64(10+64*50), count.steps.Load())
	require.Less(t, count.sent.Load(), int64(64*50/2))
	account, err := l.Account(t.Context(), "a", time.Now())
	require.NoError(t, err)
	require.Equal(t, holysheep.USD(10+64*50), account.Reserved)
}

// A caller that leaves takes nobody along, and what nobody waits for is not sent.
func TestACallerLeaves(t *testing.T) {
	rdb := connect(t, false)
	l := newLedger(t, rdb)
	_, err := l.Account(t.Context(), "a", time.Now())
	require.NoError(t, err)
	count := &pipelines{held: make(chan struct{})}
	rdb.AddHook(count)
	ctx, cancel := context.WithCancel(t.Context())
	var leaving, staying sync.WaitGroup
	for i := range 10 {
		leaving.Go(func() {
			_, err := l.Reserve(ctx, oneHold(fmt.Sprint("leaves", i)))
			if err == nil {
				t.Error("granted to a caller that has left")
			}
		})
		staying.Go(func() {
			if refused, err := l.Reserve(t.Context(), oneHold(fmt.Sprint("stays", i))); err != nil || refused >= 0 {
				t.Error(refused, err)
			}
		})
	}
	require.Eventually(t, func() bool { return redisstore.Waiting(l)+int(count.steps.Load()) == 20 }, 5*time.Second, time.Millisecond)
	before := count.steps.Load()
	cancel()
	leaving.Wait()
	close(count.held)
	staying.Wait()
	require.LessOrEqual(t, count.steps.Load(), before+10)
	account, err := l.Account(t.Context(), "a", time.Now())
	require.NoError(t, err)
	require.GreaterOrEqual(t, account.Reserved, holysheep.USD(10))
	require.LessOrEqual(t, account.Reserved, holysheep.USD(10+before), "only what was on its way may be held")
}
