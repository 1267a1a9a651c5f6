package route_test

import (
	"context"
	"errors"
	"math"
	"strings"
	"sync/atomic"
	"testing"
	"testing/synctest"
	"time"

	"github.com/stretchr/testify/require"

	"github.com/holysheep-ai/holysheep-go"
	"github.com/holysheep-ai/holysheep-go/holysheeptest"
	"github.com/holysheep-ai/holysheep-go/route"
)

// letters is an encoder of a kind: how often each letter stands in a text.
type letters struct {
	texts atomic.Int64
	fail  func(texts []string) ([][]float32, error) // instead
	slow  time.Duration
}

func (*letters) Fingerprint() string { return "letters" }

func (l *letters) Embed(ctx context.Context, texts []string) ([][]float32, error) {
	l.texts.Add(int64(len(texts)))
	if l.slow > 0 {
		select {
		case <-time.After(l.slow):
		case <-ctx.Done():
			return nil, ctx.Err()
		}
	}
	if l.fail != nil {
		if v, err := l.fail(texts); v != nil || err != nil {
			return v, err
		}
	}
	vectors := make([][]float32, len(texts))
	for i, text := range texts {
		vectors[i] = make([]float32, 27)
		vectors[i][26] = 0.1
		for _, r := range strings.ToLower(text) {
			if 'a' <= r && r <= 'z' {
				vectors[i][r-'a']++
			}
		}
	}
	return vectors, nil
}

var someExamples = []route.Example{
	{Text: "aaaa", Class: "a"},
	{Text: "aaab", Class: "a"},
	{Text: "aabb", Class: "a"},
	{Text: "zzzz", Class: "z"},
	{Text: "zzzy", Class: "z"},
	{Text: "zzyy", Class: "z"},
}

func nearestPolicy(e holysheep.Embedder, opts *route.NearestOptions) route.Policy {
	return route.Policy{Name: "by example", Classifier: route.Nearest(e, someExamples, opts), Rules: []route.Rule{
		{Name: "z", Class: []route.Class{"z"}, Models: []string{holysheep.ClaudeSonnet45}},
		{Name: "a", Class: []route.Class{"a"}, Models: []string{holysheep.GPT41}},
		{Name: "rest", Models: []string{holysheep.DeepSeekV32}},
	}}
}

func TestNearest(t *testing.T) {
	e := &letters{}
	_, _, r, _ := routed(t, nearestPolicy(e, &route.NearestOptions{Votes: 3, Least: 0.5}), nil)
	require.Zero(t, e.texts.Load(), "nothing is embedded before it is needed")
	q, err := holysheep.Plan(t.Context(), r, ask("zz"))
	require.NoError(t, err)
	require.Equal(t, holysheep.DeepSeekV32, q.Model)
	require.ErrorContains(t, q.Steps[0].Detail.(*route.Receipt).Unsure, "asked when the call is made")
	resolved, fingerprint, err := holysheep.Resolve(r, ask("zz"))
	require.NoError(t, err)
	require.Equal(t, "auto:balanced", resolved.Model)
	require.Zero(t, e.texts.Load(), "neither by a plan nor by the key of a cache")

	require.Equal(t, route.Class("z"), receiptOf(t, r, ask("zzz")).Class)
	require.EqualValues(t, len(someExamples)+1, e.texts.Load())
	require.Equal(t, route.Class("a"), receiptOf(t, r, ask("a aa b")).Class)
	require.EqualValues(t, len(someExamples)+2, e.texts.Load(), "the examples are embedded once")
	far := receiptOf(t, r, ask("mmmm"))
	require.Equal(t, route.Simple, far.Class, "nothing is near: words decide")
	require.NoError(t, far.Unsure)
	require.Error(t, receiptOf(t, r, ask(" ")).Unsure)
	require.Equal(t, route.Class("z"), receiptOf(t, r, ask(strings.Repeat("z", 1<<20))).Class)

	other, err := route.New(nothing{}, nearestPolicy(e, &route.NearestOptions{Votes: 2, Least: 0.5}), nil)
	require.NoError(t, err)
	_, otherFingerprint, _ := holysheep.Resolve(other, ask("zz"))
	require.NotEqual(t, fingerprint, otherFingerprint)
}

func TestNearestFails(t *testing.T) {
	e := &letters{}
	_, _, r, _ := routed(t, nearestPolicy(e, nil), nil)
	gone := errors.New("gone")
	for name, fail := range map[string]func([]string) ([][]float32, error){
		"an error":         func([]string) ([][]float32, error) { return nil, gone },
		"too few":          func([]string) ([][]float32, error) { return [][]float32{{1}}, nil },
		"not finite":       func(x []string) ([][]float32, error) { return filled(len(x), float32(math.NaN())), nil },
		"without a length": func(x []string) ([][]float32, error) { return filled(len(x), 0), nil },
	} {
		e.fail = fail
		receipt := receiptOf(t, r, ask("zzz"))
		require.Error(t, receipt.Unsure, name)
		require.Equal(t, holysheep.DeepSeekV32, receipt.Chosen, "the call is answered all the same")
	}
	e.fail = nil
	require.Equal(t, route.Class("z"), receiptOf(t, r, ask("zzz")).Class, "the examples are tried again")
	e.fail = func(x []string) ([][]float32, error) { return filled(len(x), 1), nil }
	require.Error(t, receiptOf(t, r, ask("zzz")).Unsure, "of other dimensions than the examples")
}

func filled(n int, v float32) [][]float32 {
	vectors := make([][]float32, n)
	for i := range vectors {
		vectors[i] = []float32{v}
	}
	return vectors
}

// While the examples are fetched, nobody waits longer than his time.
func TestNearestIsSlow(t *testing.T) {
	synctest.Test(t, func(t *testing.T) {
		e := &letters{slow: time.Hour}
		_, _, r, _ := routed(t, nearestPolicy(e, &route.NearestOptions{Timeout: time.Second}), nil)
		for range 10 {
			go func() { _, _ = r.Chat(t.Context(), ask("zzz")) }()
		}
		start := time.Now()
		require.ErrorIs(t, receiptOf(t, r, ask("zzz")).Unsure, context.DeadlineExceeded)
		require.Equal(t, time.Second, time.Since(start))
		synctest.Wait()
	})
}

// What the classifier costs is a part of the call.
func TestNearestIsPaidFor(t *testing.T) {
	gw, seen := holysheeptest.Start(t), &rows{}
	client := gw.Client(&holysheep.Options{Observer: seen})
	r, err := route.New(client, nearestPolicy(client.Embedder("text-embedding-3-small", nil), nil), nil)
	require.NoError(t, err)
	ctx, scope := holysheep.NewScope(t.Context(), nil)
	for range 2 {
		before := gw.Billed()
		resp, err := r.Chat(ctx, ask("zzz"))
		require.NoError(t, err)
		require.Equal(t, gw.Billed()-before, resp.Cost.USD)
		require.Equal(t, resp.Cost.USD, resp.Steps[0].Detail.(*route.Receipt).Cost)
	}
	require.Equal(t, gw.Billed(), scope.Cost().USD)
	for _, c := range append(seen.of("embed"), seen.of("chat")...) {
		require.Equal(t, "route", c.Parent.Operation)
	}
	require.Len(t, seen.of("embed"), 3)
	require.NotEmpty(t, seen.of("route")[0].Model)
}
