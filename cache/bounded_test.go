package cache_test

import (
	"context"
	"fmt"
	"iter"
	"math/rand/v2"
	"sync"
	"testing"
	"testing/synctest"

	"github.com/stretchr/testify/require"

	"github.com/holysheep-ai/holysheep-go"
	"github.com/holysheep-ai/holysheep-go/cache"
	"github.com/holysheep-ai/holysheep-go/cache/guard"
)

// world is a stream of questions about topics, some of which are close to another: each has an answer, and a vector
// around that of its topic. It is its own encoder and its own model.
type world struct {
	mu      sync.Mutex
	rng     *rand.Rand
	topics  [][]float32
	vectors map[string][]float32
	answers map[string]string
	noise   float64
	lapse   float64 // the share of answers that are another one each time
	drifted bool    // answers no longer follow from topics
}

const worldDimensions = 48

func newWorld(topics int, noise float64) *world {
	w := &world{rng: rand.New(rand.NewPCG(uint64(topics), 5)), vectors: map[string][]float32{}, answers: map[string]string{}, noise: noise}
	for i := range topics {
		v := unitVector(w.rng, worldDimensions)
		if i%3 == 2 { // a neighbour of the one before
			for d := range v {
				v[d] = 0.55*v[d] + w.topics[i-1][d]
			}
			cache.Normalize(v)
		}
		w.topics = append(w.topics, v)
	}
	for i, text := range []string{"probe one", "probe One", "probe two"} {
		w.vectors[text] = w.topics[i/2*3]
	}
	return w
}

var worldProbes = &cache.Probes{Like: [2]string{"probe one", "probe One"}, Unlike: [2]string{"probe one", "probe two"}}

// ask makes a question up.
func (w *world) ask() string {
	topic := w.rng.IntN(len(w.topics))
	v := unitVector(w.rng, worldDimensions)
	spread := w.noise * (0.3 + w.rng.ExpFloat64())
	for d := range v {
		v[d] = float32(spread)*v[d] + w.topics[topic][d]
	}
	cache.Normalize(v)
	text := fmt.Sprintf("question %d", len(w.vectors))
	answer := fmt.Sprintf("This is all that there is to say about topic %d.", topic)
	if w.rng.Float64() < w.lapse || w.drifted && w.rng.IntN(2) == 0 {
		answer = "Something else entirely, for once: " + text
	}
	w.mu.Lock()
	defer w.mu.Unlock()
	w.vectors[text], w.answers[text] = v, answer
	return text
}

func (w *world) Embed(_ context.Context, texts []string) ([][]float32, error) {
	w.mu.Lock()
	defer w.mu.Unlock()
	vectors := make([][]float32, len(texts))
	for i, text := range texts {
		vectors[i] = w.vectors[text]
	}
	return vectors, nil
}

func (w *world) Fingerprint() string { return "world" }

func (w *world) Chat(_ context.Context, req *holysheep.ChatRequest) (*holysheep.ChatResponse, error) {
	w.mu.Lock()
	defer w.mu.Unlock()
	return &holysheep.ChatResponse{Choices: []holysheep.Choice{{
		FinishReason: "stop", Message: holysheep.Assistant(w.answers[req.Messages[0].Text()]),
	}}}, nil
}

func (w *world) Stream(context.Context, *holysheep.ChatRequest) iter.Seq2[holysheep.StreamEvent, error] {
	return nil
}

func (w *world) Resolve(req *holysheep.ChatRequest) (*holysheep.ChatRequest, string, error) {
	return req, "world", nil
}

// outcome of a part of a stream.
type outcome struct{ hits, wrong int }

func (w *world) run(t *testing.T, c *cache.SemanticCache, questions int) (o outcome) {
	t.Helper()
	for range questions {
		text := w.ask()
		resp, err := c.Chat(t.Context(), &holysheep.ChatRequest{Messages: []holysheep.Message{holysheep.User(text)}})
		require.NoError(t, err)
		if resp.Cached {
			o.hits++
			if resp.Text() != w.answers[text] {
				o.wrong++
			}
		}
	}
	return o
}

// keeps fails the test when the share of wrong hits is above the bound by more than chance.
func (o outcome) keeps(t *testing.T, bound float64) {
	t.Helper()
	low, _ := cache.Wilson(int64(o.wrong), int64(o.hits))
	require.LessOrEqual(t, low, bound, "%+v", o)
}

func bounded(w *world, n cache.Neighbours, bound float64, change func(o *cache.SemanticOptions)) *cache.SemanticCache {
	o := &cache.SemanticOptions{MaxWrong: bound, Seed: 1, Probes: worldProbes, Guards: []guard.Guard{}}
	if change != nil {
		change(o)
	}
	return cache.Semantic(w, w, n, o)
}

func TestBoundIsKept(t *testing.T) {
	for _, bound := range []float64{0.01, 0.02, 0.05} {
		t.Run(fmt.Sprint(bound), func(t *testing.T) {
			t.Parallel()
			w := newWorld(60, 0.5)
			c := bounded(w, cache.NewMemoryNeighbours(nil), bound, nil)
			cold := w.run(t, c, 2500)
			warm := w.run(t, c, 2500)
			t.Logf("cold %+v, warm %+v", cold, warm)
			cold.keeps(t, bound)
			warm.keeps(t, bound)
			require.Greater(t, warm.hits, 1000, "and it is of use")
			r := c.Report()
			require.Equal(t, int64(cold.hits+warm.hits)+c.Stats().Explored, r.Hits)
			require.LessOrEqual(t, r.Low, bound, "its own estimate")
			require.NoError(t, c.Close())
		})
	}
}

// What cannot be told from the neighbours is not served, however sure they seem.
func TestBoundWithAnswersThatVary(t *testing.T) {
	t.Parallel()
	w := newWorld(60, 0.5)
	w.lapse = 0.05
	c := bounded(w, cache.NewMemoryNeighbours(nil), 0.01, nil)
	o := w.run(t, c, 5000)
	require.Less(t, o.hits, 250, "one in twenty answers is another: hardly anything can be vouched for")
	require.NoError(t, c.Close())
}

// When answers stop following from questions, hits stop.
func TestBoundAfterDrift(t *testing.T) {
	t.Parallel()
	w := newWorld(60, 0.5)
	c := bounded(w, cache.NewMemoryNeighbours(nil), 0.02, nil)
	before := w.run(t, c, 4000)
	w.drifted = true
	at := w.run(t, c, 1000)
	after := w.run(t, c, 2000)
	t.Logf("before %+v, at %+v, after %+v", before, at, after)
	before.keeps(t, 0.02)
	require.Less(t, at.hits, 300)
	require.Less(t, after.hits, 20)
	require.NoError(t, c.Close())
}

// What one process learned, the next one knows, and two learn together.
func TestBoundIsShared(t *testing.T) {
	t.Parallel()
	w := newWorld(60, 0.5)
	n := cache.NewMemoryNeighbours(nil)
	first := bounded(w, n, 0.02, nil)
	w.run(t, first, 3000)
	late := w.run(t, first, 1000)
	require.NoError(t, first.Close())

	next := bounded(w, n, 0.02, nil)
	o := w.run(t, next, 1000)
	require.Greater(t, o.hits, late.hits*8/10, "it starts where the other was")
	o.keeps(t, 0.02)
	stricter := bounded(w, n, 0.01, nil)
	w.run(t, stricter, 200)
	require.Positive(t, stricter.Stats().Hits, "verdicts are verdicts, whatever the bound")
	apart := bounded(w, n, 0.02, func(o *cache.SemanticOptions) { o.Namespace = "other" })
	require.Zero(t, w.run(t, apart, 90).hits)

	require.NoError(t, next.ForgetLearned(t.Context()))
	require.Zero(t, w.run(t, next, 90).hits)
	for _, c := range []*cache.SemanticCache{next, stricter, apart} {
		require.NoError(t, c.Close())
	}
}

// Told that an answer was wrong, the cache drops it.
func TestBoundedWrong(t *testing.T) {
	t.Parallel()
	w := newWorld(30, 0.3)
	c := bounded(w, cache.NewMemoryNeighbours(nil), 0.05, nil)
	w.run(t, c, 1500)
	for i := 0; ; i++ {
		require.Less(t, i, 1000, "no hit")
		req := &holysheep.ChatRequest{Messages: []holysheep.Message{holysheep.User(w.ask())}}
		resp, err := c.Chat(t.Context(), req)
		require.NoError(t, err)
		if !resp.Cached {
			continue
		}
		hit := resp.Steps[0].Detail.(*cache.SemanticHit)
		require.Positive(t, hit.Wrong)
		require.NoError(t, c.Wrong(t.Context(), resp))
		why, err := c.Explain(t.Context(), req)
		require.NoError(t, err)
		for _, n := range why.Neighbours {
			require.NotEqual(t, hit.ID, n.ID)
		}
		break
	}
	require.NoError(t, c.Close())
}

// Shadow mode asks every time, and its report agrees with what serving would have done.
func TestShadow(t *testing.T) {
	t.Parallel()
	w := newWorld(60, 0.5)
	shadow := cache.Semantic(w, w, cache.NewMemoryNeighbours(nil), &cache.SemanticOptions{Threshold: 0.8, Shadow: true, Probes: worldProbes, Guards: []guard.Guard{}})
	require.Zero(t, w.run(t, shadow, 3000).hits)
	r := shadow.Report()
	require.Equal(t, int64(3000), r.Questions)
	require.Equal(t, r.Hits, r.Judged)
	require.Positive(t, r.Wrong)
	require.Less(t, r.Low, r.WrongRate)
	require.Greater(t, r.High, r.WrongRate)

	loose, looseHits, ok := r.Threshold(0.1)
	require.True(t, ok)
	strict, strictHits, ok := r.Threshold(0.02)
	require.True(t, ok)
	require.Greater(t, strict, loose)
	require.Less(t, strictHits, looseHits)
	_, _, ok = r.Threshold(0.00001)
	require.False(t, ok, "nothing can vouch for that")
	require.NoError(t, shadow.Close())
}

func TestWilson(t *testing.T) {
	for _, test := range []struct {
		k, n      int64
		low, high float64
	}{{0, 0, 0, 1}, {0, 100, 0, 0.037}, {1, 100, 0.0018, 0.0545}, {50, 100, 0.4038, 0.5962}, {100, 100, 0.963, 1}} {
		low, high := cache.Wilson(test.k, test.n)
		require.InDelta(t, test.low, low, 1e-3)
		require.InDelta(t, test.high, high, 1e-3)
	}
}

// The verdicts in the background are made under way and waited for.
func TestVerdictInBackground(t *testing.T) {
	synctest.Test(t, func(t *testing.T) {
		w := newWorld(30, 0.3)
		var mu sync.Mutex
		asked := 0
		c := bounded(w, cache.NewMemoryNeighbours(nil), 0.05, func(o *cache.SemanticOptions) {
			o.Verdict = func(ctx context.Context, fresh cache.Answered, earlier []cache.Answered) ([]cache.Sameness, error) {
				mu.Lock()
				defer mu.Unlock()
				if asked++; asked%50 == 0 {
					panic("a verdict of the user's")
				}
				if len(earlier) == 0 || len(earlier) > 4 || fresh.Question == "" {
					return nil, fmt.Errorf("asked about %d answers", len(earlier))
				}
				return cache.EqualAnswers(ctx, fresh, earlier)
			}
		})
		for range 600 {
			w.run(t, c, 1)
			synctest.Wait()
		}
		require.NoError(t, c.Close())
		stats := c.Stats()
		require.Positive(t, stats.Hits)
		require.EqualValues(t, asked-asked/50, stats.Judged)
	})
}

func TestEqualAnswers(t *testing.T) {
	long := "You can send it back within thirty days."
	for _, test := range []struct {
		a, b string
		want cache.Sameness
	}{
		{long, long, cache.Same},
		{long, "you can  send it back\nwithin thirty days", cache.Same},
		{long, "You can send it back within forty days.", cache.Different},
		{"Yes.", "yes", cache.Unsure},
		{"Yes.", "No.", cache.Different},
		{"您可以在三十天内退货", "您可以在三十天内退货。", cache.Same},
		{"可以", "可以。", cache.Unsure},
		{`{"refund": true, "days": 30, "reason": "damaged"}`, `{"days":30,"reason":"damaged","refund":true}`, cache.Same},
		{`{"refund": true, "days": 30, "reason": "damaged"}`, `{"days":31,"reason":"damaged","refund":true}`, cache.Different},
		{`{"id": 9007199254740993, "reason": "damaged"}`, `{"id": 9007199254740992, "reason": "damaged"}`, cache.Different},
		{"", "", cache.Unsure},
	} {
		got, err := cache.EqualAnswers(t.Context(), cache.Answered{Answer: test.a}, []cache.Answered{{Answer: test.b}})
		require.NoError(t, err)
		require.Equal(t, []cache.Sameness{test.want}, got, "%q, %q", test.a, test.b)
	}
}
