package cache

import (
	"context"
	"encoding/binary"
	"errors"
	"fmt"
	"math"
	"slices"
	"sync"
	"sync/atomic"
	"testing"
	"testing/synctest"
	"time"

	"github.com/stretchr/testify/require"

	"github.com/holysheep-ai/holysheep-go"
)

// encoderOf is an Embedder whose vectors say what text they are of.
type encoderOf struct {
	model string
	dims  int
	takes time.Duration
	fails func(ctx context.Context, texts []string) error

	mu    sync.Mutex
	calls [][]string
}

func vectorOf(text string, dims int) []float32 {
	v := make([]float32, dims)
	for i := range v {
		v[i] = float32(len(text)*1000+i) + float32(text[0])/256
	}
	return v
}

func (e *encoderOf) Fingerprint() string { return e.model }

func (e *encoderOf) Embed(ctx context.Context, texts []string) ([][]float32, error) {
	e.mu.Lock()
	e.calls = append(e.calls, slices.Clone(texts))
	e.mu.Unlock()
	select {
	case <-time.After(e.takes):
	case <-ctx.Done():
		return nil, ctx.Err()
	}
	if e.fails != nil {
		if err := e.fails(ctx, texts); err != nil {
			return nil, err
		}
	}
	vectors := make([][]float32, len(texts))
	for i, text := range texts {
		vectors[i] = vectorOf(text, e.dims)
	}
	return vectors, nil
}

// sent are the texts of all calls so far.
func (e *encoderOf) sent() [][]string {
	e.mu.Lock()
	defer e.mu.Unlock()
	return slices.Clone(e.calls)
}

// questioner encodes questions in another way.
type questioner struct{ *encoderOf }

func (q questioner) EmbedQueries(ctx context.Context, texts []string) ([][]float32, error) {
	asked := make([]string, len(texts))
	for i, text := range texts {
		asked[i] = "query: " + text
	}
	return q.Embed(ctx, asked)
}

// embedderTest is a test in virtual time; what is still running at its end fails it.
type embedderTest struct {
	*testing.T
	next  *encoderOf
	store *batchStore
	e     CachedEmbedder
}

func withEmbedder(t *testing.T, test func(t *embedderTest)) {
	t.Helper()
	synctest.Test(t, func(t *testing.T) {
		next := &encoderOf{model: "m/3", dims: 3, takes: 100 * time.Millisecond}
		store := &batchStore{shaky: newShaky(t)}
		e := Embedder(next, store, nil)
		test(&embedderTest{t, next, store, e})
		require.NoError(t, e.Close())
	})
}

// embeds fails the test unless e gives the right vectors.
func embeds(tb testing.TB, e holysheep.Embedder, texts ...string) {
	tb.Helper()
	got, err := e.Embed(tb.Context(), texts)
	require.NoError(tb, err)
	require.Len(tb, got, len(texts))
	for i, text := range texts {
		require.Equal(tb, vectorOf(text, 3), got[i], text)
	}
}

func TestEmbedderSendsWhatIsMissing(t *testing.T) {
	withEmbedder(t, func(t *embedderTest) {
		next, store, e := t.next, t.store, t.e
		embeds(t, e, "a", "bb", "a", "ccc")
		embeds(t, e, "ccc", "dddd", "a", "eeeee", "bb", "dddd")
		start := time.Now()
		embeds(t, e, "eeeee", "a")
		require.Zero(t, time.Since(start))
		require.Equal(t, [][]string{{"a", "bb", "ccc"}, {"dddd", "eeeee"}}, next.sent())
		require.Equal(t, int64(3), store.many.Load(), "one look-up a call")
		require.Equal(t, Stats{Hits: 5, Misses: 5}, e.Stats())
		require.Equal(t, "m/3", e.Fingerprint())

		time.Sleep(24*time.Hour - time.Second)
		embeds(t, e, "a")
		require.Len(t, next.sent(), 2)
		time.Sleep(time.Second)
		embeds(t, e, "a")
		require.Len(t, next.sent(), 3)
	})
}

func TestEmbedderKeys(t *testing.T) {
	synctest.Test(t, func(t *testing.T) {
		next := &encoderOf{model: "m/3", dims: 3}
		store := newShaky(t)
		e := Embedder(next, store, nil)
		embeds(t, e, "a")
		keys := slices.Collect(store.entries.Keys())
		require.Len(t, keys, 1)
		require.Regexp(t, "^rag:emb:[0-9a-f]{64}$", keys[0])
		raw, _, err := store.Memory.Get(t.Context(), keys[0])
		require.NoError(t, err)
		value, err := unwrap(keys[0], raw, nil)
		require.NoError(t, err)
		require.Len(t, value, 4*3)
		for i, f := range vectorOf("a", 3) {
			require.Equal(t, math.Float32bits(f), binary.LittleEndian.Uint32(value[4*i:]))
		}

		// Another process with the same model finds it; another model, another prefix, another key do not.
		for what, tt := range map[string]struct {
			next  *encoderOf
			opts  *EmbedderOptions
			sends int
		}{
			"the same":       {&encoderOf{model: "m/3", dims: 3}, nil, 0},
			"another model":  {&encoderOf{model: "n/3", dims: 3}, nil, 1},
			"another prefix": {&encoderOf{model: "m/3", dims: 3}, &EmbedderOptions{Prefix: "p:"}, 1},
			"sealed":         {&encoderOf{model: "m/3", dims: 3}, &EmbedderOptions{Seal: newGCM(t, "0123456789abcdef"), Prefix: "sealed:"}, 1},
		} {
			other := Embedder(tt.next, store, tt.opts)
			embeds(t, other, "a")
			require.Len(t, tt.next.sent(), tt.sends, what)
			embeds(t, other, "a")
			require.Len(t, tt.next.sent(), tt.sends, what)
			require.NoError(t, other.Close())
		}
		require.NoError(t, e.Close())
	})
}

// The kind, the fingerprint and the text cannot be taken for one another.
func TestEmbedderKeysAreApart(t *testing.T) {
	e := &embedder{}
	seen := map[string]string{}
	for _, kind := range []byte{'d', 'q'} {
		for _, fingerprint := range []string{"", "m", "m\x01", "ma", "d"} {
			for _, text := range []string{"", "a", "m", "ma", "\x01a", "aa"} {
				what := fmt.Sprintf("%c %q %q", kind, fingerprint, text)
				key := e.key(kind, fingerprint, text)
				require.Empty(t, seen[key], what)
				seen[key] = what
			}
		}
	}
}

// A thousand callers with the same texts cost what one does.
func TestEqualTextsCostOne(t *testing.T) {
	withEmbedder(t, func(t *embedderTest) {
		next, e := t.next, t.e
		var wg sync.WaitGroup
		for c := range 1000 {
			wg.Go(func() {
				texts := []string{"a", "bb", "ccc"}
				if c%2 == 1 {
					slices.Reverse(texts)
				}
				time.Sleep(time.Duration(c) * 300 * time.Microsecond) // before, while and after it is sent
				got, err := e.Embed(context.Background(), texts)
				if err != nil || !slices.Equal(got[0], vectorOf(texts[0], 3)) || !slices.Equal(got[2], vectorOf(texts[2], 3)) {
					t.Error(got, err)
				}
			})
		}
		wg.Wait()
		require.Len(t, next.sent(), 1)
	})
}

// Calls that overlap share what they have in common, and send the rest.
func TestOverlappingCalls(t *testing.T) {
	withEmbedder(t, func(t *embedderTest) {
		next, e := t.next, t.e
		var wg sync.WaitGroup
		wg.Go(func() { embeds(t, e, "a", "bb") })
		synctest.Wait()
		wg.Go(func() { embeds(t, e, "bb", "ccc") })
		synctest.Wait()
		wg.Go(func() { embeds(t, e, "dddd", "ccc", "bb", "a") })
		wg.Wait()
		require.Equal(t, [][]string{{"a", "bb"}, {"ccc"}, {"dddd"}}, next.sent())
	})
}

// The call that sends may leave; those that wait for the same text get it. When all have left, nothing goes on.
func TestLeaderLeaves(t *testing.T) {
	withEmbedder(t, func(t *embedderTest) {
		next, e := t.next, t.e
		ctx, cancel := context.WithCancel(t.Context())
		var wg sync.WaitGroup
		wg.Go(func() {
			start := time.Now()
			_, err := e.Embed(ctx, []string{"a"})
			if !errors.Is(err, context.Canceled) || time.Since(start) != 50*time.Millisecond {
				t.Error(err, time.Since(start))
			}
		})
		synctest.Wait()
		wg.Go(func() { embeds(t, e, "a") })
		time.Sleep(50 * time.Millisecond)
		cancel()
		wg.Wait()
		require.Len(t, next.sent(), 1)
		embeds(t, e, "a")
		require.Len(t, next.sent(), 1, "it was kept")

		ctx, cancel = context.WithTimeout(t.Context(), 10*time.Millisecond)
		defer cancel()
		var ended atomic.Bool
		next.fails = func(ctx context.Context, _ []string) error { ended.Store(true); return ctx.Err() }
		for range 3 {
			wg.Go(func() {
				if _, err := e.Embed(ctx, []string{"bb"}); !errors.Is(err, context.DeadlineExceeded) {
					t.Error(err)
				}
			})
		}
		wg.Wait()
		time.Sleep(time.Second)
		require.False(t, ended.Load(), "nobody wanted it any more")
		next.fails = nil
		embeds(t, e, "bb")
	})
}

// What is wrong with one call, its budget or its other texts, is not another one's trouble.
func TestLeaderFails(t *testing.T) {
	withEmbedder(t, func(t *embedderTest) {
		next, e := t.next, t.e
		next.fails = func(ctx context.Context, texts []string) error {
			if slices.Contains(texts, "bad") || holysheep.ScopeOf(ctx).Tag("tenant") == "poor" {
				return holysheep.ErrBudgetExceeded
			}
			return nil
		}
		var wg sync.WaitGroup
		wg.Go(func() {
			ctx, _ := holysheep.NewScope(t.Context(), holysheep.Tags{"tenant": "poor"})
			if _, err := e.Embed(ctx, []string{"a"}); !errors.Is(err, holysheep.ErrBudgetExceeded) {
				t.Error(err)
			}
		})
		wg.Go(func() {
			if _, err := e.Embed(t.Context(), []string{"bad", "bb"}); !errors.Is(err, holysheep.ErrBudgetExceeded) {
				t.Error(err)
			}
		})
		synctest.Wait()
		wg.Go(func() { embeds(t, e, "a", "bb", "ccc") })
		wg.Wait()
		require.Len(t, next.sent(), 4)
		embeds(t, e, "a", "bb", "ccc")
		require.Len(t, next.sent(), 4)
	})
}

// Without a store, vectors come all the same, and hardly later.
func TestEmbedderWithoutItsStore(t *testing.T) {
	for name, tt := range map[string]struct {
		fault func(context.Context) error
		texts int
	}{"down": {down, 2}, "silent": {silent, 2}, "silent, one text": {silent, 1}} {
		t.Run(name, func(t *testing.T) {
			withEmbedder(t, func(t *embedderTest) {
				store, e := t.store, t.e
				embeds(t, e, "kept")
				store.is(tt.fault)
				for i := range 200 {
					start := time.Now()
					embeds(t, e, []string{fmt.Sprint(i, " is new"), "kept"}[:tt.texts]...)
					if took := time.Since(start); i > failuresInARow {
						require.Equal(t, 100*time.Millisecond, took)
					} else {
						require.LessOrEqual(t, took, 400*time.Millisecond)
					}
				}
				store.is(up)
				time.Sleep(time.Second)
				embeds(t, e, "one that probes")
				embeds(t, e, "one that probes to write")
				synctest.Wait()
				start := time.Now()
				embeds(t, e, "kept")
				require.Zero(t, time.Since(start))
			})
		})
	}
}

func TestQueryEmbedder(t *testing.T) {
	synctest.Test(t, func(t *testing.T) {
		store := newShaky(t)
		_, ok := Embedder(&encoderOf{}, store, nil).(holysheep.QueryEmbedder)
		require.False(t, ok)
		next := questioner{&encoderOf{model: "m/3", dims: 3}}
		e := Embedder(next, store, nil)
		q, ok := e.(holysheep.QueryEmbedder)
		require.True(t, ok)
		for range 2 {
			embeds(t, e, "a")
			got, err := q.EmbedQueries(t.Context(), []string{"a"})
			require.NoError(t, err)
			require.Equal(t, [][]float32{vectorOf("query: a", 3)}, got)
		}
		require.Equal(t, [][]string{{"a"}, {"query: a"}}, next.sent())
		require.NoError(t, e.Close())
	})
}

func TestEmbedderRefuses(t *testing.T) {
	withEmbedder(t, func(t *embedderTest) {
		next, e := t.next, t.e
		_, err := e.Embed(t.Context(), []string{"a", ""})
		bad, ok := errors.AsType[*holysheep.RequestError](err)
		require.True(t, ok)
		require.Equal(t, "texts[1]", bad.Field)
		got, err := e.Embed(t.Context(), nil)
		require.NoError(t, err)
		require.Empty(t, got)
		require.Empty(t, next.sent())
		next.fails = func(context.Context, []string) error { panic("what an encoder") }
		_, err = e.Embed(t.Context(), []string{"a"})
		require.ErrorContains(t, err, "what an encoder")
		next.fails = nil
		embeds(t, e, "a")
	})
	few := Embedder(fewVectors{}, newShaky(t), nil)
	_, err := few.Embed(t.Context(), []string{"a", "b"})
	require.ErrorContains(t, err, "1 vectors came for 2 texts")
}

type fewVectors struct{}

func (fewVectors) Fingerprint() string { return "few" }

func (fewVectors) Embed(context.Context, []string) ([][]float32, error) { return [][]float32{{1}}, nil }

// A model that changes its dimensions under the same name, and what is no vector, lead to new ones.
func TestVectorsThatAreOfNoUse(t *testing.T) {
	withEmbedder(t, func(t *embedderTest) {
		next, e := t.next, t.e
		embeds(t, e, "a", "bb")
		next.dims = 4
		got, err := e.Embed(t.Context(), []string{"a", "ccc", "bb", "a"})
		require.NoError(t, err)
		for i, text := range []string{"a", "ccc", "bb", "a"} {
			require.Equal(t, vectorOf(text, 4), got[i])
		}
		got, err = e.Embed(t.Context(), []string{"a"})
		require.NoError(t, err)
		require.Equal(t, vectorOf("a", 4), got[0], "it replaced the old one")
		require.Equal(t, [][]string{{"a", "bb"}, {"ccc"}, {"a", "ccc", "bb"}}, next.sent())

		inner, ok := e.(*embedder)
		require.True(t, ok)
		for _, bad := range [][]byte{{}, {1, 2, 3}} {
			inner.shelf.set(t.Context(), inner.key('d', "m/3", "a"), bad, time.Hour)
			corrupt := e.Stats().Corrupt
			got, err = e.Embed(t.Context(), []string{"a"})
			require.NoError(t, err)
			require.Equal(t, vectorOf("a", 4), got[0])
			require.Equal(t, corrupt+1, e.Stats().Corrupt)
		}
	})
}

// Each call leaves a row, without the texts.
func TestEmbedderReports(t *testing.T) {
	rows := &events{}
	e := Embedder(&encoderOf{model: "m/3", dims: 3}, newShaky(t), &EmbedderOptions{Recorder: rows.recorder(t)})
	embeds(t, e, "secret", "more")
	embeds(t, e, "secret", "new")
	require.NoError(t, e.Close())
	calls := rows.all()
	require.Len(t, calls, 2)
	require.Equal(t, "cache.embedder", calls[1].Operation)
	require.Equal(t, "m/3", calls[1].Model)
	require.Equal(t, "1 of 2 texts sent", calls[1].Steps[0].Reason)
}

func BenchmarkEmbedderHit(b *testing.B) {
	m := NewMemory(nil)
	defer func() { _ = m.Close() }()
	e := Embedder(&encoderOf{model: "m/384", dims: 384}, m, nil)
	texts := make([]string, 64)
	for i := range texts {
		texts[i] = fmt.Sprintf("text number %d, of some length, as chunks of a document are when they are short", i)
	}
	for b.Loop() {
		if _, err := e.Embed(b.Context(), texts); err != nil {
			b.Fatal(err)
		}
	}
}
