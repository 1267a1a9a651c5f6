package main

import (
	"context"
	"errors"
	"fmt"
	"math/rand/v2"
	"slices"
	"sync"
	"sync/atomic"
	"time"

	"github.com/holysheep-ai/holysheep-go"
)

// limitJobs measure what has an absolute bound.
var limitJobs = map[string]func(name, url string, scale float64) (result, error){
	"cancel": cancels, "linger": lingers, "late": errorsThatDrip, "hint": hints, "ledger": silentLedgers,
	"redis": unreachableRedis,
}

// silentLedger is one that takes questions and never answers.
type silentLedger struct{ *holysheep.MemoryLedger }

func (silentLedger) Reserve(ctx context.Context, _ holysheep.Reservation) (int, error) {
	<-ctx.Done()
	return 0, ctx.Err()
}

// silentLedgers measures how long a call is held up by a budget that cannot be asked.
func silentLedgers(_, url string, scale float64) (result, error) {
	c, err := holysheep.New("hs_bench", &holysheep.Options{BaseURL: url + "/chat/v1", Budgets: []*holysheep.Budget{
		{Name: "day", Limit: holysheep.Dollars(500), Ledger: silentLedger{&holysheep.MemoryLedger{}}},
	}})
	if err != nil {
		return result{}, err
	}
	return timed("refuse a call whose ledger is silent (limit 250)", int(20*scale)+1, func() (time.Duration, error) {
		start := time.Now()
		_, err := c.Chat(context.Background(), hello())
		if !errors.Is(err, holysheep.ErrLedger) {
			return 0, fmt.Errorf("got %w", err)
		}
		return time.Since(start), nil
	})
}

// lingers reads streams of a server that keeps the connection busy for 50 ms after [DONE], and measures from the
// last text to the end of the loop.
func lingers(_, url string, scale float64) (result, error) {
	c, err := holysheep.New("hs_bench", &holysheep.Options{BaseURL: url + "/linger/v1"})
	if err != nil {
		return result{}, err
	}
	return timed("return after [DONE], with a server that lingers for 50 ms", int(500*scale), func() (time.Duration, error) {
		var last time.Time
		for ev, err := range c.Stream(context.Background(), hello()) {
			if err != nil {
				return 0, err
			}
			if ev.Response == nil {
				last = time.Now()
			}
		}
		return time.Since(last), nil
	})
}

// errorsThatDrip measures how long an error takes whose body would drip for seconds.
func errorsThatDrip(_, url string, scale float64) (result, error) {
	c, err := holysheep.New("hs_bench", &holysheep.Options{BaseURL: url + "/late/v1", MaxAttempts: 1})
	if err != nil {
		return result{}, err
	}
	return timed("an error whose body drips for 4 s (limit 250)", int(20*scale)+1, func() (time.Duration, error) {
		start := time.Now()
		_, err := c.Chat(context.Background(), hello())
		if !errors.Is(err, holysheep.ErrServer) {
			return 0, fmt.Errorf("got %w", err)
		}
		return time.Since(start), nil
	})
}

// hints measures how long a call takes that is told to come back in an hour.
func hints(_, url string, scale float64) (result, error) {
	c, err := holysheep.New("hs_bench", &holysheep.Options{BaseURL: url + "/hour/v1"})
	if err != nil {
		return result{}, err
	}
	return timed("fail at once when told to come back in an hour", int(2000*scale), func() (time.Duration, error) {
		start := time.Now()
		_, err := c.Chat(context.Background(), hello())
		if !errors.Is(err, holysheep.ErrRateLimited) {
			return 0, fmt.Errorf("got %w", err)
		}
		return time.Since(start), nil
	})
}

func hello() *holysheep.ChatRequest {
	return &holysheep.ChatRequest{Messages: []holysheep.Message{holysheep.User(question)}}
}

// timed runs f n times and gives the median and the 99.9th percentile.
func timed(what string, n int, f func() (time.Duration, error)) (result, error) {
	var took []float64
	for range n {
		d, err := f()
		if err != nil {
			return result{}, err
		}
		took = append(took, float64(d)/1e6)
	}
	return percentiles(what, took)
}

func percentiles(what string, took []float64) (result, error) {
	if len(took) == 0 {
		return result{}, errors.New(what + ": nothing was measured")
	}
	slices.Sort(took)
	at := func(p float64) float64 { return took[min(len(took)-1, int(p*float64(len(took))))] }
	return result{Limits: []limit{
		{fmt.Sprintf("%s; %d times, p50", what, len(took)), at(0.5)},
		{"the same, p99.9", at(0.999)},
	}}, nil
}

// cancels cancels calls at random moments, in all phases, and measures how long they take to return.
func cancels(name, url string, scale float64) (result, error) {
	n := int(10_000 * scale)
	slowChat, slowStream, err := makeClient(name, url+"/slow/v1")
	if err != nil {
		return result{}, err
	}
	busyChat, _, err := makeClient(name, url+"/busy/v1") // spends its time in waits
	if err != nil {
		return result{}, err
	}
	calls := []call{slowChat, slowStream, busyChat}
	var mu sync.Mutex
	var took []float64
	var wg sync.WaitGroup
	const workers = 16
	for w := range workers {
		wg.Go(func() {
			for i := w; i < n; i += workers {
				ctx, cancel := context.WithCancel(context.Background())
				var at atomic.Int64
				timer := time.AfterFunc(time.Duration(rand.Int64N(int64(20*time.Millisecond))), func() {
					at.Store(time.Now().UnixNano())
					cancel()
				})
				_, err := calls[i%len(calls)](ctx)
				end := time.Now().UnixNano()
				timer.Stop()
				cancel()
				if s := at.Load(); s != 0 && errors.Is(err, context.Canceled) {
					mu.Lock()
					took = append(took, float64(end-s)/1e6)
					mu.Unlock()
				}
			}
		})
	}
	wg.Wait()
	return percentiles("return after a cancel in a random phase", took)
}
