package redisstore_test

import (
	"context"
	"fmt"
	"math"
	"net/http"
	"net/http/httptest"
	"sync"
	"testing"
	"time"

	"github.com/stretchr/testify/require"

	"github.com/holysheep-ai/holysheep-go"
	"github.com/holysheep-ai/holysheep-go/route"
	"github.com/holysheep-ai/holysheep-go/store/redisstore"
)

func newPace(t *testing.T, cluster bool) *redisstore.Pace {
	t.Helper()
	name := fmt.Sprintf("test-%s-%d", t.Name(), time.Now().UnixNano())
	p, err := redisstore.NewPace(connect(t, cluster), &redisstore.PaceOptions{Name: name})
	require.NoError(t, err)
	return p
}

func take(kind string, rate, burst, amount float64) route.SharedTake {
	return route.SharedTake{Key: "gw/m/" + kind, Rate: rate, Burst: burst, Amount: amount}
}

// near allows for the time that a step takes on a busy machine.
func near(t *testing.T, want, got time.Duration) {
	t.Helper()
	require.LessOrEqual(t, got, want)
	require.Greater(t, got, want-time.Second)
}

func TestPace(t *testing.T) {
	for _, cluster := range []bool{false, true} {
		t.Run(map[bool]string{false: "alone", true: "cluster"}[cluster], func(t *testing.T) {
			p, ctx := newPace(t, cluster), t.Context()
			const patience = time.Minute
			reserve := func(most time.Duration, takes ...route.SharedTake) time.Duration {
				wait, err := p.Reserve(ctx, takes, most)
				require.NoError(t, err)
				return wait
			}

			// A bucket is full at first; what is promised is not promised to another.
			require.Zero(t, reserve(patience, take("requests", 0.1, 2, 1)))
			require.Zero(t, reserve(patience, take("requests", 0.1, 2, 1)))
			near(t, 10*time.Second, reserve(patience, take("requests", 0.1, 2, 1)))
			near(t, 20*time.Second, reserve(patience, take("requests", 0.1, 2, 1)))

			// Too long for one bucket: nothing is taken from any.
			near(t, 30*time.Second, reserve(25*time.Second, take("tokens", 0.1, 50, 50), take("requests", 0.1, 2, 1)))
			require.Zero(t, reserve(patience, take("tokens", 0.1, 50, 50)))
			near(t, 30*time.Second, reserve(patience, take("requests", 0.1, 2, 1)))

			// What is given back is there for the next; more than the burst is not kept.
			require.NoError(t, p.Return(ctx, []route.SharedTake{take("requests", 0.1, 2, 1), take("tokens", 0.1, 50, 500)}))
			near(t, 30*time.Second, reserve(patience, take("requests", 0.1, 2, 1)))
			require.Zero(t, reserve(patience, take("tokens", 0.1, 50, 50)))
			near(t, 10*time.Second, reserve(patience, take("tokens", 0.1, 50, 1)))

			// More than the burst is lent by a full bucket.
			require.Zero(t, reserve(patience, take("large", 1, 5, 8)))
			near(t, 4*time.Second, reserve(patience, take("large", 1, 5, 1)))
		})
	}
}

func TestPaceRefuses(t *testing.T) {
	_, err := redisstore.NewPace(connect(t, false), &redisstore.PaceOptions{Name: "a b"})
	require.ErrorIs(t, err, holysheep.ErrBadRequest)
	p := newPace(t, false)
	for _, bad := range []route.SharedTake{take("x", 0, 1, 1), take("x", 1, math.NaN(), 1)} {
		_, err := p.Reserve(t.Context(), []route.SharedTake{bad}, time.Second)
		require.ErrorIs(t, err, holysheep.ErrBadRequest)
	}
	ctx, cancel := context.WithCancel(t.Context())
	cancel()
	_, err = p.Reserve(ctx, []route.SharedTake{take("x", 1, 1, 1)}, time.Second)
	require.ErrorIs(t, err, context.Canceled)
}

// Four clients with a connection each keep to one limit together, and to equal shares.
func TestPaceIsSharedByClients(t *testing.T) {
	const (
		clients, callers = 4, 16
		perSecond        = 100
		length           = 5 * time.Second
	)
	var mu sync.Mutex
	var arrivals []time.Time
	gw := httptest.NewServer(http.HandlerFunc(func(w http.ResponseWriter, _ *http.Request) {
		mu.Lock()
		arrivals = append(arrivals, time.Now())
		mu.Unlock()
		w.Header().Set("Content-Type", "application/json")
		_, _ = w.Write([]byte(`{"choices":[{"message":{"role":"assistant","content":"yes"},"finish_reason":"stop"}],"usage":{"prompt_tokens":10,"completion_tokens":1}}`))
	}))
	defer gw.Close()
	name := fmt.Sprintf("test-fleet-%d", time.Now().UnixNano())
	var answered [clients]float64
	var failures []error
	var running sync.WaitGroup
	end := time.Now().Add(length)
	for i := range clients {
		shared, err := redisstore.NewPace(connect(t, false), &redisstore.PaceOptions{Name: name})
		require.NoError(t, err)
		pacing, err := route.NewPacing(&route.PacingOptions{
			RequestsPerMinute: 60 * perSecond, Shared: shared, SharedTimeout: 5 * time.Second,
			OnError: func(err error) { mu.Lock(); defer mu.Unlock(); failures = append(failures, err) },
		})
		require.NoError(t, err)
		client, err := holysheep.New("hs_test_key_0123456789", &holysheep.Options{BaseURL: gw.URL, Gate: pacing})
		require.NoError(t, err)
		defer func() { require.NoError(t, client.Close()) }()
		for range callers {
			running.Go(func() {
				for time.Now().Before(end) {
					_, err := client.Chat(t.Context(), &holysheep.ChatRequest{Messages: []holysheep.Message{holysheep.User("Hi")}})
					mu.Lock()
					if err != nil {
						failures = append(failures, err)
					} else {
						answered[i]++
					}
					mu.Unlock()
				}
			})
		}
	}
	running.Wait()
	require.Empty(t, failures)
	sum, squares := 0.0, 0.0
	for _, n := range answered {
		sum += n
		squares += n * n
	}
	took := arrivals[len(arrivals)-1].Sub(arrivals[0]).Seconds()
	used := sum / (perSecond + perSecond*took) // a burst of a second, and what has filled since
	fairness := sum * sum / (clients * squares)
	t.Logf("%.0f requests in %.1f s: %.1f %% of the limit, fairness %.3f", sum, took, 100*used, fairness)
	require.InDelta(t, 1, used, 0.05)
	require.GreaterOrEqual(t, fairness, 0.95)
}
