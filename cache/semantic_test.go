package cache_test

import (
	"context"
	"encoding/base64"
	"errors"
	"fmt"
	"hash/fnv"
	"slices"
	"strings"
	"sync"
	"sync/atomic"
	"testing"
	"testing/synctest"
	"time"

	"github.com/stretchr/testify/require"

	"github.com/holysheep-ai/holysheep-go"
	"github.com/holysheep-ai/holysheep-go/cache"
	"github.com/holysheep-ai/holysheep-go/cache/guard"
	"github.com/holysheep-ai/holysheep-go/holysheeptest"
)

// words is an encoder that finds texts near each other that share words.
type words struct {
	calls  atomic.Int64
	broken atomic.Bool
	same   bool         // it gives every text one vector
	delay  atomic.Int64 // and takes its time, ns
}

func (w *words) Fingerprint() string { return "words/256" }

func (w *words) Embed(ctx context.Context, texts []string) ([][]float32, error) {
	w.calls.Add(1)
	if w.broken.Load() {
		return nil, errors.New("no encoder")
	}
	select {
	case <-ctx.Done():
		return nil, ctx.Err()
	case <-time.After(time.Duration(w.delay.Load())):
	}
	vectors := make([][]float32, len(texts))
	for i, text := range texts {
		v := make([]float32, 256)
		for word := range strings.FieldsFuncSeq(strings.ToLower(text), func(r rune) bool { return strings.ContainsRune(" ?!.,", r) }) {
			h := fnv.New32a()
			_, _ = h.Write([]byte(word))
			v[h.Sum32()%256]++
		}
		if w.same {
			clear(v)
			v[0] = 1
		}
		vectors[i] = v
	}
	return vectors, nil
}

func question(text string) *holysheep.ChatRequest {
	return &holysheep.ChatRequest{Messages: []holysheep.Message{holysheep.System("Be brief."), holysheep.User(text)}}
}

// answering makes a gateway that answers "<n> <question>" and a semantic cache before it.
func answering(t *testing.T, opts *cache.SemanticOptions) (*holysheeptest.Server, *cache.SemanticCache, *words) {
	t.Helper()
	gw := holysheeptest.Start(t)
	e := &words{}
	c := cache.Semantic(gw.Client(nil), e, cache.NewMemoryNeighbours(nil), opts)
	t.Cleanup(func() { require.NoError(t, c.Close()) })
	return gw, c, e
}

const (
	asked     = "How do I return a parcel that came damaged?"
	alike     = "how do I return a parcel that came damaged"
	unlike    = "What are your opening hours on Sunday?"
	theAnswer = "Send it back within thirty days."
)

func TestSemanticHit(t *testing.T) {
	synctest.Test(t, func(t *testing.T) {
		seen := &calls{}
		gw := holysheeptest.Start(t)
		gw.Reply(holysheeptest.Text(theAnswer), holysheeptest.Text("From ten to four."))
		e := &words{}
		client := gw.Client(&holysheep.Options{Observer: seen})
		c := cache.Semantic(client, e, cache.NewMemoryNeighbours(nil), nil)
		defer func() { require.NoError(t, c.Close()) }()
		ctx, scope := holysheep.NewScope(t.Context(), holysheep.Tags{"tenant": "acme"})

		first, err := c.Chat(ctx, question(asked))
		require.NoError(t, err)
		require.False(t, first.Cached)
		require.Equal(t, gw.Billed(), first.Cost.USD)
		require.Equal(t, "semantic miss: nothing like it was asked before", first.Steps[0].Reason)

		time.Sleep(time.Minute)
		hit, err := c.Chat(ctx, question(alike))
		require.NoError(t, err)
		require.True(t, hit.Cached)
		require.Equal(t, theAnswer, hit.Text())
		require.Equal(t, first.Cost.USD, hit.Saved, "exactly what it cost")
		require.Zero(t, hit.Cost, "this encoder is free")
		require.Equal(t, first.Usage, hit.Usage)
		receipt := hit.Steps[0].Detail.(*cache.SemanticHit)
		require.InDelta(t, 1, receipt.Similarity, 1e-3)
		require.Equal(t, time.Minute, receipt.Age)
		require.Equal(t, "threshold 0.92", receipt.Policy)
		require.Equal(t, 1, gw.Count())
		require.Equal(t, hit.Saved, scope.Totals().Saved)
		require.EqualValues(t, 1, scope.Totals().Calls, "money is booked by the client's calls alone")
		last := seen.last("cache.semantic")
		require.Equal(t, hit.Saved, last.Saved)
		require.Equal(t, theAnswer, last.Response.Text())

		other, err := c.Chat(ctx, question(unlike))
		require.NoError(t, err)
		require.False(t, other.Cached)
		require.Equal(t, "From ten to four.", other.Text())

		again, err := c.Chat(ctx, question(alike))
		require.NoError(t, err)
		again.Choices[0].Message.Content[0] = holysheep.Text("changed")
		once, err := c.Chat(ctx, question(alike))
		require.NoError(t, err)
		require.Equal(t, theAnswer, once.Text(), "who gets an answer may write to it")
		stats := c.Stats()
		require.EqualValues(t, 3, stats.Hits)
		require.EqualValues(t, 2, stats.Misses)

		time.Sleep(2 * time.Hour)
		gw.Reply(holysheeptest.Text("Within forty days."))
		late, err := c.Chat(ctx, question(alike))
		require.NoError(t, err)
		require.False(t, late.Cached, "it has expired")
	})
}

// A hit costs its embedding and nothing else, whoever books it.
func TestSemanticHitCostsItsEmbedding(t *testing.T) {
	synctest.Test(t, func(t *testing.T) {
		gw := holysheeptest.Start(t)
		gw.Reply(holysheeptest.Text(theAnswer))
		client := gw.Client(nil)
		c := cache.Semantic(client, client.Embedder("", nil), cache.NewMemoryNeighbours(nil), nil)
		require.NoError(t, c.Check(t.Context()))
		ctx, scope := holysheep.NewScope(t.Context(), holysheep.Tags{"tenant": "acme"})
		before := gw.Billed()
		miss, err := c.Chat(ctx, question(asked))
		require.NoError(t, err)
		require.Equal(t, gw.Billed()-before, miss.Cost.USD)
		before = gw.Billed()
		hit, err := c.Chat(ctx, question(asked))
		require.NoError(t, err)
		require.True(t, hit.Cached)
		require.Positive(t, hit.Cost.USD)
		require.Equal(t, gw.Billed()-before, hit.Cost.USD)
		require.Equal(t, miss.Cost.USD-hit.Cost.USD, hit.Saved, "the answer's cost without its embedding, which was paid again")
		require.Equal(t, miss.Cost.USD+hit.Cost.USD, scope.Cost().USD)
		require.NoError(t, c.Close())
	})
}

func TestSemanticStream(t *testing.T) {
	synctest.Test(t, func(t *testing.T) {
		gw, c, _ := answering(t, nil)
		gw.Reply(holysheeptest.Text(theAnswer))
		miss, err := holysheep.Collect(c.Stream(t.Context(), question(asked)))
		require.NoError(t, err)
		require.Equal(t, gw.Billed(), miss.Cost.USD)

		var text string
		var last *holysheep.ChatResponse
		for ev, err := range c.Stream(t.Context(), question(alike)) {
			require.NoError(t, err)
			text += ev.Text
			last = ev.Response
		}
		require.Equal(t, theAnswer, text)
		require.True(t, last.Cached)
		require.Equal(t, miss.Cost.USD, last.Saved)

		stream := c.Stream(t.Context(), question(alike))
		for range stream {
			break
		}
		for _, err := range stream {
			require.ErrorIs(t, err, holysheep.ErrStreamUsed)
		}

		gw.Reply(holysheeptest.Text("From ten to four.").CutAfter(1))
		_, err = holysheep.Collect(c.Stream(t.Context(), question(unlike)))
		require.ErrorIs(t, err, holysheep.ErrTruncated)
		gw.Reply(holysheeptest.Text("From ten to four."))
		whole, err := c.Chat(t.Context(), question(unlike))
		require.NoError(t, err)
		require.False(t, whole.Cached, "what was torn is not kept")
	})
}

// Everything but the text of the last user message has to be equal.
func TestSemanticPartition(t *testing.T) {
	synctest.Test(t, func(t *testing.T) {
		gw := holysheeptest.Start(t)
		n := cache.NewMemoryNeighbours(nil)
		client, other := gw.Client(nil), gw.Client(&holysheep.Options{Temperature: new(0.1)})
		with := func(change func(r *holysheep.ChatRequest)) *holysheep.ChatRequest {
			r := question(alike)
			change(r)
			return r
		}
		semantic := func(next holysheep.Completer, opts *cache.SemanticOptions) *cache.SemanticCache {
			c := cache.Semantic(next, &words{}, n, opts)
			t.Cleanup(func() { require.NoError(t, c.Close()) })
			return c
		}
		c := semantic(client, nil)
		acme := holysheep.Tags{"tenant": "acme"}
		as := func(tags holysheep.Tags) context.Context {
			ctx, _ := holysheep.NewScope(t.Context(), tags)
			return ctx
		}
		gw.Reply(holysheeptest.Text(theAnswer))
		_, err := c.Chat(as(acme), question(asked))
		require.NoError(t, err)
		hit, err := c.Chat(as(holysheep.Tags{"tenant": "acme", "feature": "other"}), question(alike))
		require.NoError(t, err)
		require.True(t, hit.Cached)

		for name, test := range map[string]struct {
			tags  holysheep.Tags // of the scope; nil for none
			c     *cache.SemanticCache
			req   *holysheep.ChatRequest
			never bool // kept apart by never being looked up
		}{
			"another tenant":        {tags: holysheep.Tags{"tenant": "globex"}},
			"no scope":              {tags: holysheep.Tags{}},
			"tags and no tenant":    {tags: holysheep.Tags{"feature": "returns"}, never: true},
			"another namespace":     {c: semantic(client, &cache.SemanticOptions{Namespace: "b"})},
			"another client":        {c: semantic(other, nil)},
			"another model":         {req: with(func(r *holysheep.ChatRequest) { r.Model = holysheep.GPT41 })},
			"another temperature":   {req: with(func(r *holysheep.ChatRequest) { r.Temperature = new(0.2) })},
			"another system prompt": {req: with(func(r *holysheep.ChatRequest) { r.Messages[0] = holysheep.System("Be long.") })},
			"an extra parameter":    {req: with(func(r *holysheep.ChatRequest) { r.Extra = map[string]any{"top_k": 3} })},
			"a tool":                {req: with(func(r *holysheep.ChatRequest) { r.Tools = []holysheep.Tool{{Name: "now"}} })},
			"a name":                {req: with(func(r *holysheep.ChatRequest) { r.Messages[1].Name = "bob" })},
			"earlier turns": {req: with(func(r *holysheep.ChatRequest) {
				r.Messages = append([]holysheep.Message{holysheep.User("Hi"), holysheep.Assistant("Hello")}, r.Messages...)
			})},
			"a picture": {never: true, req: with(func(r *holysheep.ChatRequest) {
				r.Messages[1] = holysheep.User(alike, holysheep.Image{URL: "https://x/y.png"})
			})},
			"several answers":        {never: true, req: with(func(r *holysheep.ChatRequest) { r.N = new(2) })},
			"an assistant's message": {never: true, req: with(func(r *holysheep.ChatRequest) { r.Messages = append(r.Messages, holysheep.Assistant("Well,")) })},
		} {
			if test.tags == nil {
				test.tags = acme
			}
			if test.c == nil {
				test.c = c
			}
			if test.req == nil {
				test.req = question(alike)
			}
			for i := range 2 {
				again := i == 1 && !test.never
				if !again {
					gw.Reply(holysheeptest.Text("Another answer, given to " + name))
				}
				resp, err := test.c.Chat(as(test.tags), test.req)
				require.NoError(t, err, name)
				require.Equal(t, "Another answer, given to "+name, resp.Text())
				require.Equal(t, again, resp.Cached, name)
			}
		}
	})
}

func TestSemanticOptions(t *testing.T) {
	gw := holysheeptest.Start(t)
	client, n := gw.Client(nil), cache.NewMemoryNeighbours(nil)
	for field, c := range map[string]*cache.SemanticCache{
		"next":                         cache.Semantic(nil, &words{}, n, nil),
		"embedder":                     cache.Semantic(client, nil, n, nil),
		"neighbours":                   cache.Semantic(client, &words{}, nil, nil),
		"SemanticOptions.Threshold":    cache.Semantic(client, &words{}, n, &cache.SemanticOptions{Threshold: 1.1}),
		"SemanticOptions.MaxWrong":     cache.Semantic(client, &words{}, n, &cache.SemanticOptions{MaxWrong: 0.01, Threshold: 0.9}),
		"SemanticOptions.Explore":      cache.Semantic(client, &words{}, n, &cache.SemanticOptions{Explore: 0.1}),
		"SemanticOptions.Namespace":    cache.Semantic(client, &words{}, n, &cache.SemanticOptions{Namespace: strings.Repeat("x", 1001)}),
		"SemanticOptions.TTL":          cache.Semantic(client, &words{}, n, &cache.SemanticOptions{TTL: -1}),
		"SemanticOptions.Timeout":      cache.Semantic(client, &words{}, n, &cache.SemanticOptions{Timeout: -1}),
		"SemanticOptions.EmbedTimeout": cache.Semantic(client, &words{}, n, &cache.SemanticOptions{EmbedTimeout: -1}),
		"SemanticOptions.Probes":       cache.Semantic(client, &words{}, n, &cache.SemanticOptions{Probes: &cache.Probes{}}),
	} {
		_, chat := c.Chat(t.Context(), question(asked))
		_, stream := holysheep.Collect(c.Stream(t.Context(), question(asked)))
		_, plan := c.Plan(t.Context(), question(asked))
		_, explain := c.Explain(t.Context(), question(asked))
		_, forget := c.Forget(t.Context(), cache.Which{Tenant: "acme"})
		for _, err := range []error{chat, stream, plan, explain, forget, c.Check(t.Context()), c.Wrong(t.Context(), nil)} {
			bad, ok := errors.AsType[*holysheep.RequestError](err)
			require.True(t, ok, "%s: %v", field, err)
			require.Equal(t, field, bad.Field)
		}
		require.NoError(t, c.Close())
		require.Zero(t, c.Stats())
	}
	require.Zero(t, gw.Count())
}

// A bad request is what next says it is, and a plan shows the cache.
func TestSemanticPassesOn(t *testing.T) {
	_, c, e := answering(t, nil)
	_, err := c.Chat(t.Context(), nil)
	require.ErrorIs(t, err, holysheep.ErrBadRequest)
	_, err = c.Chat(t.Context(), &holysheep.ChatRequest{})
	require.ErrorIs(t, err, holysheep.ErrBadRequest)
	q, err := holysheep.Plan(t.Context(), c, question(asked))
	require.NoError(t, err)
	require.Equal(t, "the answer to a similar question is served if there is one", q.Steps[0].Reason)
	require.Zero(t, e.calls.Load(), "a plan costs nothing")
}

func TestSelfTest(t *testing.T) {
	synctest.Test(t, func(t *testing.T) {
		seen := &calls{}
		gw := holysheeptest.Start(t)
		for name, test := range map[string]struct {
			e    *words
			opts *cache.SemanticOptions
			want string
		}{
			"one vector for everything": {&words{same: true}, nil, "the encoder finds everything alike, or the threshold is too low for it"},
			"with a bound":              {&words{same: true}, &cache.SemanticOptions{MaxWrong: 0.01}, "the encoder finds everything alike, or the threshold is too low for it"},
			"too low": {&words{}, &cache.SemanticOptions{Threshold: 0.5, Probes: &cache.Probes{
				Like: [2]string{"a b c", "A b c."}, Unlike: [2]string{"a b c d", "a b c x"},
			}}, "the encoder finds everything alike, or the threshold is too low for it"},
			"too high": {&words{}, &cache.SemanticOptions{Threshold: 0.9, Probes: &cache.Probes{
				Like: [2]string{"a b c d", "a b c x"}, Unlike: [2]string{"a b c", "e f g"},
			}}, "the threshold is too high for this encoder"},
			"the wrong way round": {&words{}, &cache.SemanticOptions{MaxWrong: 0.01, Probes: &cache.Probes{
				Like: [2]string{"a b c", "e f g"}, Unlike: [2]string{"a b c d", "a b c x"},
			}}, "the encoder does not tell like from unlike"},
		} {
			c := cache.Semantic(gw.Client(&holysheep.Options{Observer: seen}), test.e, cache.NewMemoryNeighbours(nil), test.opts)
			gw.Reply(holysheeptest.Text(theAnswer), holysheeptest.Text("From ten to four."))
			for _, q := range []string{asked, unlike} {
				resp, err := c.Chat(t.Context(), question(q))
				require.NoError(t, err)
				require.False(t, resp.Cached, name)
			}
			require.EqualValues(t, 1, test.e.calls.Load(), "tested once")
			failed, ok := errors.AsType[*cache.SelfTestError](seen.last("cache.semantic.start").Err)
			require.True(t, ok, name)
			require.Equal(t, test.want, failed.Reason, name)
			require.ErrorAs(t, c.Check(t.Context()), &failed)
			why, err := c.Explain(t.Context(), question(asked))
			require.NoError(t, err)
			require.Contains(t, why.Reason, "the cache is off: cache: self-test: "+test.want)
			require.NoError(t, c.Close())
		}
		c := cache.Semantic(gw.Client(nil), &words{}, cache.NewMemoryNeighbours(nil), nil)
		require.NoError(t, c.Check(t.Context()))
		require.NoError(t, c.Close())
	})
}

// An embedder or neighbours that fail cost no call, and soon no time.
func TestSemanticFaults(t *testing.T) {
	for _, what := range []string{"embedder", "neighbours"} {
		synctest.Test(t, func(t *testing.T) {
			seen := &calls{}
			gw := holysheeptest.Start(t)
			gw.ReplyWhen(func(*holysheeptest.Request) bool { return true }, holysheeptest.Text(theAnswer))
			e := &words{}
			n := &stuck{Neighbours: cache.NewMemoryNeighbours(nil)}
			c := cache.Semantic(gw.Client(&holysheep.Options{Observer: seen}), e, n, &cache.SemanticOptions{EmbedTimeout: time.Second})
			defer func() { require.NoError(t, c.Close()) }()
			require.NoError(t, c.Check(t.Context()))
			ask := func() (*holysheep.ChatResponse, time.Duration) {
				start := time.Now()
				resp, err := c.Chat(t.Context(), question(asked))
				require.NoError(t, err, what)
				return resp, time.Since(start)
			}
			ask()
			resp, _ := ask()
			require.True(t, resp.Cached)
			if what == "embedder" {
				e.delay.Store(int64(time.Hour))
			} else {
				n.stuck.Store(true)
			}
			for range 3 {
				resp, took := ask()
				require.False(t, resp.Cached)
				require.LessOrEqual(t, took, 1100*time.Millisecond)
			}
			for range 20 {
				_, took := ask()
				require.LessOrEqual(t, took, 5*time.Millisecond, what)
			}
			require.Error(t, seen.lastStarting("cache.semantic").Err)
			e.delay.Store(0)
			n.stuck.Store(false)
			time.Sleep(time.Second)
			ask() // the probe
			time.Sleep(time.Second)
			resp, _ = ask()
			require.True(t, resp.Cached, "%s is back", what)
		})
	}
}

// What no store could keep is not kept, with an event, and the store is not given up for it.
func TestSemanticKeepsNoBadEntry(t *testing.T) {
	seen := &calls{}
	gw := holysheeptest.Start(t)
	gw.ReplyWhen(func(*holysheeptest.Request) bool { return true }, holysheeptest.Text(theAnswer))
	tag := strings.Repeat("x", 1001)
	opts := &cache.SemanticOptions{Tags: func(context.Context, *holysheep.ChatRequest) []string { return []string{tag} }}
	c := cache.Semantic(gw.Client(&holysheep.Options{Observer: seen}), &words{}, &stuck{Neighbours: cache.NewMemoryNeighbours(nil)}, opts)
	defer func() { require.NoError(t, c.Close()) }()
	ask := func() bool {
		resp, err := c.Chat(t.Context(), question(asked))
		require.NoError(t, err)
		return resp.Cached
	}
	for range 30 {
		require.False(t, ask())
	}
	bad, ok := errors.AsType[*holysheep.RequestError](seen.lastStarting("cache.semantic.store").Err)
	require.True(t, ok)
	require.Equal(t, "Entry.Tags[0]", bad.Field)
	tag = "v1"
	require.False(t, ask())
	require.True(t, ask(), "the store was given up")
}

// stuck are neighbours that can be made not to answer.
type stuck struct {
	cache.Neighbours
	stuck atomic.Bool
}

func (s *stuck) Nearest(ctx context.Context, p string, v []float32, k, a int) ([]cache.Neighbour, error) {
	if s.stuck.Load() {
		<-ctx.Done()
		return nil, ctx.Err()
	}
	return s.Neighbours.Nearest(ctx, p, v, k, a)
}

func (s *stuck) Add(ctx context.Context, e cache.Entry) error {
	if s.stuck.Load() {
		<-ctx.Done()
		return ctx.Err()
	}
	return s.Neighbours.Add(ctx, e)
}

// An embedder that is down when the cache starts is no reason to stay off.
func TestSemanticStartsLater(t *testing.T) {
	synctest.Test(t, func(t *testing.T) {
		gw, c, e := answering(t, nil)
		gw.Reply(holysheeptest.Text(theAnswer), holysheeptest.Text(theAnswer), holysheeptest.Text(theAnswer))
		e.broken.Store(true)
		for range 2 {
			_, err := c.Chat(t.Context(), question(asked))
			require.NoError(t, err)
		}
		require.EqualValues(t, 1, e.calls.Load())
		e.broken.Store(false)
		time.Sleep(time.Minute)
		_, err := c.Chat(t.Context(), question(asked))
		require.NoError(t, err)
		resp, err := c.Chat(t.Context(), question(alike))
		require.NoError(t, err)
		require.True(t, resp.Cached)
	})
}

func TestSemanticForget(t *testing.T) {
	synctest.Test(t, func(t *testing.T) {
		gw, c, _ := answering(t, &cache.SemanticOptions{
			Namespace: "support",
			Tags:      func(context.Context, *holysheep.ChatRequest) []string { return []string{"policy/3"} },
		})
		ctx, _ := holysheep.NewScope(t.Context(), holysheep.Tags{"tenant": "acme"})
		fill := func() *holysheep.ChatResponse {
			gw.Reply(holysheeptest.Text(theAnswer))
			_, err := c.Chat(ctx, question(asked))
			require.NoError(t, err)
			resp, err := c.Chat(ctx, question(alike))
			require.NoError(t, err)
			require.True(t, resp.Cached)
			return resp
		}
		for _, which := range []cache.Which{
			{Tenant: "acme"}, {Tag: "policy/3"}, {Namespace: "support"}, {Before: time.Now().Add(time.Hour)}, {},
		} {
			fill()
			n, err := c.Forget(t.Context(), which)
			require.NoError(t, err)
			require.Equal(t, 1, n, "%+v", which)
		}
		hit := fill()
		for _, which := range []cache.Which{{Tenant: "globex"}, {Tag: "policy/2"}, {Namespace: "other"}} {
			n, err := c.Forget(t.Context(), which)
			require.NoError(t, err)
			require.Zero(t, n, "%+v", which)
		}
		_, err := c.Forget(t.Context(), cache.Which{Book: "x"})
		require.ErrorIs(t, err, holysheep.ErrBadRequest)

		require.NoError(t, c.Wrong(ctx, hit))
		fill()
		require.ErrorIs(t, c.Wrong(ctx, &holysheep.ChatResponse{}), holysheep.ErrBadRequest)
	})
}

// Sealed, nothing of question and answer is to be read where they are kept.
func TestSemanticSeal(t *testing.T) {
	synctest.Test(t, func(t *testing.T) {
		gw := holysheeptest.Start(t)
		gw.Reply(holysheeptest.Text(theAnswer), holysheeptest.Text(theAnswer))
		spy := &spying{Neighbours: cache.NewMemoryNeighbours(nil)}
		sealed := cache.Semantic(gw.Client(nil), &words{}, spy, &cache.SemanticOptions{Seal: reversing{}})
		open := cache.Semantic(gw.Client(nil), &words{}, spy, nil)
		_, err := sealed.Chat(t.Context(), question(asked))
		require.NoError(t, err)
		require.NotContains(t, spy.all(), "damaged")
		require.NotContains(t, spy.all(), "thirty")
		resp, err := sealed.Chat(t.Context(), question(alike))
		require.NoError(t, err)
		require.True(t, resp.Cached)
		resp, err = open.Chat(t.Context(), question(alike))
		require.NoError(t, err)
		require.False(t, resp.Cached, "who has not the seal cannot read it")
		require.NoError(t, sealed.Close())
		require.NoError(t, open.Close())
	})
}

type reversing struct{}

func (reversing) Seal(plain []byte) ([]byte, error) {
	return []byte(base64.StdEncoding.EncodeToString(plain)), nil
}

func (reversing) Open(sealed []byte) ([]byte, error) {
	return base64.StdEncoding.DecodeString(string(sealed))
}

// spying keeps what is added.
type spying struct {
	cache.Neighbours
	mu   sync.Mutex
	seen strings.Builder
}

func (s *spying) Add(ctx context.Context, e cache.Entry) error {
	s.mu.Lock()
	fmt.Fprintf(&s.seen, "%s %s %s %s %v", e.Partition, e.ID, e.Meta, e.Answer, e.Tags)
	s.mu.Unlock()
	return s.Neighbours.Add(ctx, e)
}

func (s *spying) all() string {
	s.mu.Lock()
	defer s.mu.Unlock()
	return s.seen.String()
}

// An answer from a cache beneath is passed on and not kept, and so is one that was cut short.
func TestSemanticKeepsWholeAnswers(t *testing.T) {
	synctest.Test(t, func(t *testing.T) {
		gw, c, _ := answering(t, nil)
		for _, reply := range []*holysheeptest.Reply{
			holysheeptest.Text(theAnswer).Finish("length"), holysheeptest.Text(theAnswer).Finish("content_filter"),
			holysheeptest.ToolCalls(holysheep.ToolCall{ID: "1", Name: "now", Arguments: "{}"}), holysheeptest.Text(""),
		} {
			gw.Reply(reply, holysheeptest.Status(400))
			_, err := c.Chat(t.Context(), question(asked))
			require.NoError(t, err)
			_, err = c.Chat(t.Context(), question(asked))
			require.ErrorIs(t, err, holysheep.ErrBadRequest, "it was asked again")
		}
		gw.Reply(holysheeptest.Text(theAnswer))
		_, err := c.Chat(t.Context(), question(asked))
		require.NoError(t, err)
		n := cache.NewMemoryNeighbours(nil)
		above := cache.Semantic(c, &words{}, n, nil)
		resp, err := above.Chat(t.Context(), question(alike))
		require.NoError(t, err)
		require.True(t, resp.Cached)
		require.Zero(t, n.Len())
		require.NoError(t, above.Close())
	})
}

// calls keeps what an observer sees.
type calls struct {
	mu  sync.Mutex
	all []*holysheep.Call
}

func (o *calls) Begin(ctx context.Context, _ *holysheep.Call) context.Context { return ctx }
func (o *calls) Wait(context.Context, *holysheep.Call, holysheep.Wait)        {}
func (o *calls) End(_ context.Context, call *holysheep.Call) {
	o.mu.Lock()
	defer o.mu.Unlock()
	o.all = append(o.all, call)
}

func (o *calls) last(operation string) *holysheep.Call {
	return o.find(func(c *holysheep.Call) bool { return c.Operation == operation })
}

// lastStarting is the last one whose operation begins so and that failed.
func (o *calls) lastStarting(operation string) *holysheep.Call {
	return o.find(func(c *holysheep.Call) bool { return strings.HasPrefix(c.Operation, operation) && c.Err != nil })
}

func (o *calls) find(is func(*holysheep.Call) bool) *holysheep.Call {
	o.mu.Lock()
	defer o.mu.Unlock()
	for _, call := range slices.Backward(o.all) {
		if is(call) {
			return call
		}
	}
	return &holysheep.Call{}
}

// shouting is a guard of a user's.
var shouting = guard.New("shouting", func(a, b string) bool { return strings.Contains(a, "!") != strings.Contains(b, "!") })

// A guard keeps questions apart however similar they are, Explain names it, and a neighbour behind it may still serve.
func TestSemanticGuards(t *testing.T) {
	synctest.Test(t, func(t *testing.T) {
		gw, c, _ := answering(t, &cache.SemanticOptions{Threshold: 0.7})
		const first, second = "Where is my order 48291 please?", "Where is my order 48292 please?"
		gw.Reply(holysheeptest.Text("It left yesterday."), holysheeptest.Text("It is at the door."))
		for _, q := range []string{first, second} {
			resp, err := c.Chat(t.Context(), question(q))
			require.NoError(t, err)
			require.False(t, resp.Cached, q)
		}
		resp, err := c.Chat(t.Context(), question("where is my order 48291"))
		require.NoError(t, err)
		require.True(t, resp.Cached)
		require.Equal(t, "It left yesterday.", resp.Text())
		require.Contains(t, resp.Steps[0].Detail.(*cache.SemanticHit).Guards, "numbers")

		why, err := c.Explain(t.Context(), question("Where is my order 48293 please?"))
		require.NoError(t, err)
		require.False(t, why.Hit)
		require.Equal(t, "guard numbers", why.Reason)
		require.Len(t, why.Neighbours, 2)
		for _, n := range why.Neighbours {
			require.Equal(t, "numbers", n.Guard)
		}
		require.Contains(t, why.String(), `"Where is my order 48291 please?" [numbers]`)
		why, err = c.Explain(t.Context(), question(second))
		require.NoError(t, err)
		require.True(t, why.Hit)
		require.Equal(t, 2, gw.Count(), "an explanation asks no model")

		own := cache.Semantic(gw.Client(nil), &words{}, cache.NewMemoryNeighbours(nil), &cache.SemanticOptions{Guards: []guard.Guard{shouting}})
		gw.Reply(holysheeptest.Text(theAnswer), holysheeptest.Text("Calm down."))
		for _, q := range []string{asked, asked + "!"} {
			resp, err := own.Chat(t.Context(), question(q))
			require.NoError(t, err)
			require.False(t, resp.Cached, q)
		}
		require.NoError(t, own.Close())
	})
}

// What a context asks of caches holds for this one as well, and an exact cache in front spares the embedding.
func TestSemanticPerCall(t *testing.T) {
	synctest.Test(t, func(t *testing.T) {
		gw, c, e := answering(t, nil)
		store := cache.NewMemory(nil)
		both := cache.Exact(c, store, nil)
		defer func() {
			require.NoError(t, both.Close())
			require.NoError(t, store.Close())
		}()
		ask := func(ctx context.Context, q string) *holysheep.ChatResponse {
			resp, err := both.Chat(ctx, question(q))
			require.NoError(t, err)
			return resp
		}
		gw.Reply(holysheeptest.Text(theAnswer))
		ask(t.Context(), asked)
		embedded := e.calls.Load()
		require.True(t, ask(t.Context(), asked).Cached)
		require.Equal(t, embedded, e.calls.Load(), "an equal question pays for no embedding")
		require.True(t, ask(t.Context(), alike).Cached)
		require.Equal(t, embedded+1, e.calls.Load())
		require.True(t, ask(t.Context(), alike).Cached)
		require.Equal(t, embedded+2, e.calls.Load(), "an answer from a cache is not kept again")

		gw.Reply(holysheeptest.Text("Within forty days."))
		require.False(t, ask(cache.Bypass(t.Context()), alike).Cached)
		require.Equal(t, embedded+2, e.calls.Load())
		require.Equal(t, theAnswer, ask(t.Context(), alike).Text())

		gw.Reply(holysheeptest.Text("Within fifty days."))
		require.False(t, ask(cache.Refresh(t.Context()), alike).Cached)
		require.Equal(t, "Within fifty days.", ask(t.Context(), alike).Text())

		gw.Reply(holysheeptest.Text("Within sixty days."))
		time.Sleep(time.Minute)
		require.False(t, ask(cache.WithTTL(t.Context(), 30*time.Second), "How do I return a parcel, that came damaged?").Cached)
		_, err := c.Chat(cache.WithTTL(t.Context(), -1), question(asked))
		require.ErrorIs(t, err, holysheep.ErrBadRequest)
	})
}
