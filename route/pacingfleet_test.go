package route_test

import (
	"fmt"
	"io"
	"math/rand/v2"
	"net/http"
	"strings"
	"sync"
	"testing"
	"testing/synctest"
	"time"

	"github.com/stretchr/testify/require"

	"github.com/holysheep-ai/holysheep-go"
	"github.com/holysheep-ai/holysheep-go/route"
)

// bucketGateway takes so many requests a second, and so many at once; what is more gets a 429.
type bucketGateway struct {
	rate, burst float64
	latency     time.Duration // the mean of an answer's
	headers     func(h http.Header, level float64)

	mu       sync.Mutex
	level    float64
	at       time.Time
	rng      *rand.Rand
	from     time.Time // when counting starts
	until    time.Time // and ends
	accepted int
	refused  int
}

func newBucketGateway(rate, burst float64, latency time.Duration) *bucketGateway {
	return &bucketGateway{rate: rate, burst: burst, level: burst, latency: latency, at: time.Now(), rng: rand.New(rand.NewPCG(1, 2))}
}

const bucketAnswer = `{"choices":[{"message":{"role":"assistant","content":"yes"},"finish_reason":"stop"}],"usage":{"prompt_tokens":10,"completion_tokens":1}}`

func (g *bucketGateway) RoundTrip(r *http.Request) (*http.Response, error) {
	_, _ = io.Copy(io.Discard, r.Body)
	_ = r.Body.Close()
	resp := &http.Response{StatusCode: http.StatusOK, Header: http.Header{"Content-Type": {"application/json"}}, Request: r}
	body := bucketAnswer
	g.mu.Lock()
	now := time.Now()
	g.level = min(g.level+g.rate*now.Sub(g.at).Seconds(), g.burst)
	g.at = now
	counts := !now.Before(g.from) && now.Before(g.until)
	wait := time.Duration(float64(g.latency) * (0.5 + g.rng.Float64()))
	if g.level >= 1 {
		g.level--
		if counts {
			g.accepted++
		}
	} else {
		resp.StatusCode, body, wait = http.StatusTooManyRequests, `{"error":{"message":"too many requests","code":"rate_limit_exceeded"}}`, wait/10
		if counts {
			g.refused++
		}
	}
	if g.headers != nil {
		g.headers(resp.Header, g.level)
	}
	g.mu.Unlock()
	select {
	case <-time.After(wait):
	case <-r.Context().Done():
		return nil, r.Context().Err()
	}
	resp.Body = io.NopCloser(strings.NewReader(body))
	return resp, nil
}

// jain is 1 when all have the same, and 1/n when one has it all.
func jain(shares []float64) float64 {
	sum, squares := 0.0, 0.0
	for _, s := range shares {
		sum += s
		squares += s * s
	}
	return sum * sum / (float64(len(shares)) * squares)
}

type fleetResult struct {
	used, refused, byCaller, byProcess float64
	answered, failed                   int
}

func (r fleetResult) String() string {
	return fmt.Sprintf("%.1f %% of capacity used, %.2f %% refused, fairness %.3f by caller, %.3f by process, %d answered, %d failed",
		100*r.used, 100*r.refused, r.byCaller, r.byProcess, r.answered, r.failed)
}

// runFleet lets callers in processes that know nothing of each other ask a gateway as fast as they can, and looks at it
// from the tenth second on.
func runFleet(t *testing.T, gw *bucketGateway, processes, callers int, length time.Duration) fleetResult {
	t.Helper()
	const begin = 10 * time.Second
	gw.from = time.Now().Add(begin)
	gw.until = gw.from.Add(length)
	shares := make([]float64, processes*callers)
	var failed [256]int
	var running sync.WaitGroup
	for i := range processes {
		pacing, err := route.NewPacing(nil)
		require.NoError(t, err)
		client, err := holysheep.New("hs_test_key_0123456789", &holysheep.Options{BaseURL: "http://localhost", Transport: gw, Gate: pacing})
		require.NoError(t, err)
		defer func() { require.NoError(t, client.Close()) }()
		for j := range callers {
			n := i*callers + j
			running.Go(func() {
				for time.Now().Before(gw.until) {
					_, err := client.Chat(t.Context(), greeting(holysheep.GPT41))
					if counts := time.Now(); err == nil && !counts.Before(gw.from) && counts.Before(gw.until) {
						shares[n]++
					}
					if err != nil {
						failed[n]++
						time.Sleep(time.Second)
					}
				}
			})
		}
	}
	running.Wait()
	r := fleetResult{
		used:     float64(gw.accepted) / (gw.rate * length.Seconds()),
		refused:  float64(gw.refused) / float64(gw.accepted+gw.refused),
		byCaller: jain(shares),
	}
	byProcess := make([]float64, processes)
	for n, s := range shares {
		byProcess[n/callers] += s
		r.answered += int(s)
		r.failed += failed[n]
	}
	r.byProcess = jain(byProcess)
	return r
}

// A gateway that takes 100 requests a second, 64 callers in 4 processes that share nothing: nearly all of it is used,
// nearly nothing refused, and everybody gets the same.
func TestPacingFleet(t *testing.T) {
	length := 5 * time.Minute
	if raceEnabled {
		length = 2 * time.Minute
	}
	for _, tc := range []struct {
		name    string
		burst   float64
		latency time.Duration
		headers func(h http.Header, level float64)
	}{
		{"says nothing, burst of a second", 100, 200 * time.Millisecond, nil},
		{"says nothing, burst of a tenth", 10, 200 * time.Millisecond, nil},
		{"says nothing, quick", 20, 50 * time.Millisecond, nil},
		{"says nothing, slow", 20, 500 * time.Millisecond, nil},
		{"Retry-After of a second", 100, 200 * time.Millisecond, func(h http.Header, level float64) {
			if level < 1 {
				h.Set("Retry-After", "1")
			}
		}},
		{"says what remains", 100, 200 * time.Millisecond, func(h http.Header, level float64) {
			h.Set("X-Ratelimit-Limit-Requests", "100")
			h.Set("X-Ratelimit-Remaining-Requests", fmt.Sprint(int(level)))
			h.Set("X-Ratelimit-Reset-Requests", fmt.Sprint(time.Duration((100-level)*1e7)))
		}},
	} {
		t.Run(tc.name, func(t *testing.T) {
			synctest.Test(t, func(t *testing.T) {
				gw := newBucketGateway(100, tc.burst, tc.latency)
				gw.headers = tc.headers
				r := runFleet(t, gw, 4, 16, length)
				t.Log(r)
				require.GreaterOrEqual(t, r.used, 0.95)
				require.LessOrEqual(t, r.refused, 0.02)
				require.GreaterOrEqual(t, r.byCaller, 0.95)
				require.GreaterOrEqual(t, r.byProcess, 0.95)
			})
		})
	}
}
