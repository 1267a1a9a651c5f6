package holysheep_test

import (
	"context"
	"encoding/json"
	"errors"
	"fmt"
	"math"
	"net/http"
	"strings"
	"sync"
	"testing"
	"testing/synctest"
	"time"

	"github.com/stretchr/testify/require"

	"github.com/holysheep-ai/holysheep-go"
	"github.com/holysheep-ai/holysheep-go/holysheeptest"
	"github.com/holysheep-ai/holysheep-go/tokens"
)

const embedModel = "text-embedding-3-small"

// texts makes n that differ, also in length.
func texts(n int) []string {
	out := make([]string, n)
	for i := range out {
		out[i] = fmt.Sprintf("text number %d%s", i, strings.Repeat(" more", i%7))
	}
	return out
}

func cosine(a, b []float32) (dot float64) {
	for i := range a {
		dot += float64(a[i]) * float64(b[i])
	}
	return dot
}

// vectorBody is an answer with one number for each text.
func vectorBody(n int, usage string) string {
	var data []string
	for i := range n {
		data = append(data, fmt.Sprintf(`{"index":%d,"embedding":[%d]}`, i, i))
	}
	return `{"data":[` + strings.Join(data, ",") + `],"model":"served"` + usage + `}`
}

func TestEmbed(t *testing.T) {
	synctest.Test(t, func(t *testing.T) {
		gw := holysheeptest.Start(t)
		seen := &sums{}
		c := gw.Client(&holysheep.Options{Observer: seen})
		ctx, scope := holysheep.NewScope(t.Context(), holysheep.Tags{"tenant": "acme"})
		in := []string{"How do I return an order?", "How do I return my order?", "天气怎么样"}
		vectors, err := c.Embedder("", nil).Embed(ctx, in)
		require.NoError(t, err)
		require.Len(t, vectors, 3)
		require.Len(t, vectors[0], 1536)
		require.InDelta(t, 1, cosine(vectors[0], vectors[0]), 1e-5)
		require.Greater(t, cosine(vectors[0], vectors[1]), 0.6)
		require.Less(t, cosine(vectors[0], vectors[2]), 0.3)

		require.Equal(t, 1, gw.Count())
		sent := gw.Requests()[0]
		require.Equal(t, in, sent.Texts)
		require.JSONEq(t, `{"model":"text-embedding-3-small","input":["How do I return an order?","How do I return my order?","天气怎么样"],"encoding_format":"base64"}`, string(sent.Body))

		require.Len(t, seen.calls, 1)
		call := seen.calls[0]
		require.Equal(t, "embed", call.Operation)
		require.Equal(t, embedModel, call.Model)
		require.Equal(t, embedModel, call.Served)
		require.Equal(t, "acme", call.Tags()["tenant"])
		require.Len(t, call.Attempts, 1)
		require.Equal(t, 1, call.Attempts[0].Number)
		require.Equal(t, "req-1", call.Attempts[0].RequestID)
		require.False(t, call.Attempts[0].Shared)
		require.NotZero(t, gw.Billed())
		require.Equal(t, holysheep.Cost{USD: gw.Billed(), AtMost: gw.Billed()}, call.Cost)
		require.Equal(t, call.Cost, scope.Cost())
		require.Equal(t, seen.totals, c.Meter())

		again, err := c.Embedder(embedModel, nil).Embed(ctx, in[1:2])
		require.NoError(t, err)
		require.Equal(t, vectors[1:2], again)
		none, err := c.Embedder(embedModel, nil).Embed(ctx, nil)
		require.NoError(t, err)
		require.Empty(t, none)
		require.Equal(t, 2, gw.Count())
	})
}

func TestEmbedRefusesBadArguments(t *testing.T) {
	gw := holysheeptest.Start(t)
	c := gw.Client(nil)
	for _, r := range []struct {
		field, model string
		opts         holysheep.EmbedOptions
		texts        []string
	}{
		{"texts[1]", "", holysheep.EmbedOptions{}, []string{"a", ""}},
		{"texts[0]", "", holysheep.EmbedOptions{TextPrefix: "passage: "}, []string{""}},
		{"texts[2]", "", holysheep.EmbedOptions{}, []string{"a", "b", "\xff"}},
		{"model", "no such", holysheep.EmbedOptions{}, []string{"a"}},
		{"model", "\n", holysheep.EmbedOptions{}, []string{"a"}},
		{"EmbedOptions.Dimensions", "", holysheep.EmbedOptions{Dimensions: -1}, []string{"a"}},
		{"EmbedOptions.Dimensions", "", holysheep.EmbedOptions{Dimensions: 1 << 20}, []string{"a"}},
		{"EmbedOptions.MaxTexts", "", holysheep.EmbedOptions{MaxTexts: -1}, []string{"a"}},
		{"EmbedOptions.MaxTexts", "", holysheep.EmbedOptions{MaxTexts: 2049}, nil},
		{"EmbedOptions.MaxTokens", "", holysheep.EmbedOptions{MaxTokens: -1}, []string{"a"}},
		{"EmbedOptions.TextPrefix", "", holysheep.EmbedOptions{TextPrefix: "\xff"}, []string{"a"}},
		{"EmbedOptions.QueryPrefix", "", holysheep.EmbedOptions{QueryPrefix: "\xff"}, []string{"a"}},
	} {
		_, err := c.Embedder(r.model, &r.opts).Embed(t.Context(), r.texts)
		e, ok := errors.AsType[*holysheep.RequestError](err)
		require.True(t, ok, "%v: %v", r, err)
		require.Equal(t, r.field, e.Field)
	}
	ctx, _ := holysheep.NewScope(t.Context(), holysheep.Tags{"": "x"})
	_, err := c.Embedder("", nil).Embed(ctx, texts(1))
	require.ErrorIs(t, err, holysheep.ErrBadRequest)
	require.Zero(t, gw.Count())
	require.Empty(t, c.Meter())
}

// Each row is one way a request can end: what the caller gets, how often it was sent, and whether it may be billed.
func TestEmbedEndings(t *testing.T) {
	raw := func(body string) *holysheeptest.Reply { return holysheeptest.Raw(200, "application/json", body) }
	const usage = `,"usage":{"prompt_tokens":1000,"total_tokens":1000}`
	for _, r := range []struct {
		name    string
		reply   *holysheeptest.Reply
		is      error // nil: vectors
		sent    int
		billing holysheep.Billing
		tokens  int64 // reported
	}{
		{"numbers", raw(vectorBody(2, usage)), nil, 1, holysheep.Billed, 1000},
		{"no usage", raw(vectorBody(2, "")), nil, 1, holysheep.Billed, 0},
		{"usage of zero", raw(vectorBody(2, `,"usage":{"prompt_tokens":0}`)), nil, 1, holysheep.Billed, 0},
		{"one vector too few", raw(vectorBody(1, usage)), holysheep.ErrMalformed, 1, holysheep.Billed, 1000},
		{"one too many", raw(vectorBody(3, usage)), holysheep.ErrMalformed, 1, holysheep.Billed, 1000},
		{"one too many, no usage", raw(vectorBody(3, "")), holysheep.ErrMalformed, 1, holysheep.MaybeBilled, 0},
		{"an index twice", raw(`{"data":[{"index":1,"embedding":[1]},{"index":1,"embedding":[1]}]` + usage + `}`), holysheep.ErrMalformed, 1, holysheep.Billed, 1000},
		{"lengths that differ", raw(`{"data":[{"index":0,"embedding":[1]},{"index":1,"embedding":[1,2]}]` + usage + `}`), holysheep.ErrMalformed, 1, holysheep.Billed, 1000},
		{"not finite", holysheeptest.Vectors([]float32{1, 2}, []float32{1, float32(math.NaN())}).Usage(holysheep.Usage{PromptTokens: 1000}), holysheep.ErrMalformed, 1, holysheep.Billed, 1000},
		{"infinite", raw(`{"data":[{"index":0,"embedding":[1]},{"index":1,"embedding":[1e60]}]` + usage + `}`), holysheep.ErrMalformed, 1, holysheep.Billed, 1000},
		{"int8 in base64", raw(`{"data":[{"index":0,"embedding":"+vv8/Q=="},{"index":1,"embedding":"/v/9/A=="}]` + usage + `}`), holysheep.ErrMalformed, 1, holysheep.Billed, 1000},
		{"binary in base64", raw(`{"data":[{"index":0,"embedding":"+vv8"},{"index":1,"embedding":"/v/9"}]` + usage + `}`), holysheep.ErrMalformed, 1, holysheep.Billed, 1000},
		{"no data", raw(`{"object":"list"}`), holysheep.ErrMalformed, 1, holysheep.MaybeBilled, 0},
		{"a chat", raw(`{"choices":[{"message":{"content":"hi"},"finish_reason":"stop"}]}`), holysheep.ErrMalformed, 1, holysheep.MaybeBilled, 0},
		{"empty body", raw(``), holysheep.ErrMalformed, 1, holysheep.MaybeBilled, 0},
		{"HTML", holysheeptest.HTML(200, "<h1>Log in</h1>"), holysheep.ErrMalformed, 1, holysheep.MaybeBilled, 0},
		{"error inside a 200", raw(`{"error":{"message":"slow down","type":"rate_limit_error"}}`), holysheep.ErrRateLimited, 5, holysheep.MaybeBilled, 0},
		{"cut", holysheeptest.Vectors([]float32{1}, []float32{2}).CutAfter(0), holysheep.ErrTruncated, 5, holysheep.MaybeBilled, 0},
		{"stalled", holysheeptest.Vectors([]float32{1}, []float32{2}).StallAfter(0), holysheep.ErrTimeout, 1, holysheep.MaybeBilled, 0},
		{"reset", holysheeptest.Reset(), holysheep.ErrNoAnswer, 5, holysheep.MaybeBilled, 0},
		{"too large", raw(vectorBody(2, usage) + strings.Repeat(" ", 10_000)), holysheep.ErrTooLarge, 1, holysheep.MaybeBilled, 0},
		{"400", holysheeptest.Status(400), holysheep.ErrBadRequest, 1, holysheep.NotBilled, 0},
		{"401", holysheeptest.Status(401), holysheep.ErrUnauthorized, 1, holysheep.NotBilled, 0},
		{"404", holysheeptest.Error(404, "model_not_found", "no such model"), holysheep.ErrModelNotFound, 1, holysheep.NotBilled, 0},
		{"429", holysheeptest.Status(429), holysheep.ErrRateLimited, 5, holysheep.NotBilled, 0},
		{"429 for an hour", holysheeptest.Status(429).RetryAfter(time.Hour), holysheep.ErrRateLimited, 1, holysheep.NotBilled, 0},
		{"503", holysheeptest.Status(503), holysheep.ErrOverloaded, 5, holysheep.NotBilled, 0},
	} {
		t.Run(r.name, func(t *testing.T) {
			synctest.Test(t, func(t *testing.T) {
				gw := holysheeptest.Start(t)
				gw.ReplyWhen(func(*holysheeptest.Request) bool { return true }, r.reply)
				seen := &sums{}
				c := gw.Client(&holysheep.Options{MaxAnswerBytes: 5000, Observer: seen})
				vectors, err := c.Embedder("", nil).Embed(t.Context(), []string{"A text of some length.", "And another of them."})
				require.Equal(t, r.sent, gw.Count())
				call := seen.calls[0]
				require.Equal(t, err, call.Err)
				require.Equal(t, r.billing, call.Attempts[len(call.Attempts)-1].Billing)
				if r.is == nil {
					require.NoError(t, err)
					require.Equal(t, [][]float32{{0}, {1}}, vectors)
					require.Equal(t, "served", call.Served)
				} else {
					require.ErrorIs(t, err, r.is)
					attempts, billing := outcome(t, err)
					require.Equal(t, r.sent, attempts)
					require.Equal(t, r.billing, billing)
					require.NotContains(t, err.Error(), "some length")
				}
				total := c.Meter()[embedModel]
				require.EqualValues(t, r.sent, total.Attempts)
				price, _ := holysheep.ListPrices().Lookup(embedModel)
				switch {
				case r.tokens > 0:
					usd := price.Of(holysheep.Usage{PromptTokens: r.tokens})
					require.Equal(t, holysheep.Cost{USD: usd, AtMost: usd}, total.Cost)
				case r.billing == holysheep.NotBilled:
					require.Zero(t, total.Cost)
				default:
					require.Equal(t, holysheep.Estimated, total.Cost.Basis)
					require.Positive(t, total.Cost.AtMost)
					require.GreaterOrEqual(t, total.Cost.AtMost, gw.Billed())
				}
			})
		})
	}
}

// A gateway that does not know base64 is asked once more, and from then on for numbers.
func TestEmbedAdaptsToGatewaysWithoutBase64(t *testing.T) {
	for _, refusal := range []*holysheeptest.Reply{
		holysheeptest.Error(400, "", "Unknown parameter: encoding_format"),
		holysheeptest.Error(400, "", "base64 encoding is not currently supported"),
		holysheeptest.Error(500, "", "Setting {'encoding_format': 'base64'} is not supported"),
	} {
		synctest.Test(t, func(t *testing.T) {
			gw := holysheeptest.Start(t)
			gw.ReplyWhen(func(r *holysheeptest.Request) bool { return strings.Contains(string(r.Body), "encoding_format") }, refusal)
			c := gw.Client(&holysheep.Options{MaxAttempts: 1})
			e := c.Embedder("", nil)
			for i := range 2 {
				vectors, err := e.Embed(t.Context(), texts(3))
				require.NoError(t, err)
				require.Len(t, vectors, 3)
				require.Equal(t, 2+i, gw.Count())
			}
			keys := map[string]bool{}
			for _, r := range gw.Requests() {
				keys[r.Header.Get("Idempotency-Key")] = true
			}
			require.Len(t, keys, 3, "another body is another request")
			require.Equal(t, gw.Billed(), c.Meter()[embedModel].Cost.AtMost)
		})
	}
	t.Run("once", func(t *testing.T) {
		synctest.Test(t, func(t *testing.T) {
			gw := holysheeptest.Start(t)
			gw.ReplyWhen(func(*holysheeptest.Request) bool { return true }, holysheeptest.Error(400, "", "bad encoding_format"))
			e := gw.Client(nil).Embedder("", nil)
			_, err := e.Embed(t.Context(), texts(1))
			require.ErrorIs(t, err, holysheep.ErrBadRequest)
			require.Equal(t, 2, gw.Count())
			_, err = e.Embed(t.Context(), []string{"what is base64?"})
			require.ErrorIs(t, err, holysheep.ErrBadRequest)
			require.Equal(t, 4, gw.Count(), "nothing is learned from a refusal that stays")
		})
	})
}

func TestEmbedDimensions(t *testing.T) {
	synctest.Test(t, func(t *testing.T) {
		gw := holysheeptest.Start(t)
		c := gw.Client(nil)
		e := c.Embedder("text-embedding-3-large", &holysheep.EmbedOptions{Dimensions: 256})
		vectors, err := e.Embed(t.Context(), texts(2))
		require.NoError(t, err)
		require.Len(t, vectors[1], 256)
		require.Equal(t, "text-embedding-3-large/256", e.Fingerprint())

		gw.Reply(holysheeptest.Vectors(make([]float32, 3072)))
		_, err = e.Embed(t.Context(), texts(1))
		require.ErrorIs(t, err, holysheep.ErrMalformed)
		require.ErrorContains(t, err, "vectors of 3072 numbers, and 256 were asked for")
		require.Equal(t, gw.Billed(), c.Meter()["text-embedding-3-large"].Cost.USD)
	})
}

func TestQueryEmbedder(t *testing.T) {
	synctest.Test(t, func(t *testing.T) {
		gw := holysheeptest.Start(t)
		c := gw.Client(nil)
		_, ok := c.Embedder("e5", &holysheep.EmbedOptions{TextPrefix: "x", QueryPrefix: "x"}).(holysheep.QueryEmbedder)
		require.False(t, ok)
		e, ok := c.Embedder("e5", &holysheep.EmbedOptions{TextPrefix: "passage: ", QueryPrefix: "query: "}).(holysheep.QueryEmbedder)
		require.True(t, ok)
		in := []string{"a"}
		_, err := e.Embed(t.Context(), in)
		require.NoError(t, err)
		_, err = e.EmbedQueries(t.Context(), in)
		require.NoError(t, err)
		require.Equal(t, []string{"a"}, in)
		require.Equal(t, []string{"passage: a"}, gw.Requests()[0].Texts)
		require.Equal(t, []string{"query: a"}, gw.Requests()[1].Texts)

		fingerprints := map[string]bool{}
		for _, o := range []holysheep.EmbedOptions{{}, {Dimensions: 5}, {TextPrefix: "a"}, {QueryPrefix: "a"}, {TextPrefix: "a", QueryPrefix: "b"}, {MaxTexts: 7}} {
			fingerprints[c.Embedder("e5", &o).Fingerprint()] = true
		}
		require.Len(t, fingerprints, 5)
	})
}

// A long list goes in several requests, four at a time, and comes back in order.
func TestEmbedSplitsLargeInputs(t *testing.T) {
	synctest.Test(t, func(t *testing.T) {
		gw := holysheeptest.Start(t)
		gw.ReplyWhen(func(*holysheeptest.Request) bool { return true }, holysheeptest.Vectors().After(time.Second))
		c := gw.Client(nil)
		in := texts(1000)
		start := time.Now()
		vectors, err := c.Embedder("", &holysheep.EmbedOptions{Dimensions: 8}).Embed(t.Context(), in)
		require.NoError(t, err)
		require.Equal(t, 2*time.Second, time.Since(start), "eight requests of a second, four at a time")
		require.Equal(t, 8, gw.Count())
		whole := map[string]bool{}
		for _, r := range gw.Requests() {
			require.LessOrEqual(t, len(r.Texts), 128)
			for _, text := range r.Texts {
				whole[text] = true
			}
		}
		require.Len(t, whole, 1000)
		one, err := c.Embedder("", &holysheep.EmbedOptions{Dimensions: 8, MaxTexts: 2048}).Embed(t.Context(), in)
		require.NoError(t, err)
		require.Equal(t, one, vectors)
		require.Equal(t, 9, gw.Count())
		total := c.Meter()[embedModel]
		require.EqualValues(t, 2, total.Calls)
		require.EqualValues(t, 9, total.Attempts)
		require.Equal(t, gw.Billed(), total.Cost.AtMost)
	})
}

// A request carries as many tokens as it may, and a text that has more by itself goes alone.
func TestEmbedSplitsByTokens(t *testing.T) {
	synctest.Test(t, func(t *testing.T) {
		gw := holysheeptest.Start(t)
		e := gw.Client(&holysheep.Options{Tokens: &tokens.Counter{}}).Embedder("", &holysheep.EmbedOptions{MaxTokens: 8})
		four, long := "one two three four", strings.Repeat("long ", 20)
		_, err := e.Embed(t.Context(), []string{four, four, long, four, four, four})
		require.NoError(t, err)
		sizes := map[int]int{}
		for _, r := range gw.Requests() {
			sizes[len(r.Texts)]++
		}
		require.Equal(t, map[int]int{2: 2, 1: 2}, sizes)
	})
}

// Vectors of two requests that do not fit together are no answer, and nothing more is sent after a failure.
func TestEmbedSplitsFail(t *testing.T) {
	synctest.Test(t, func(t *testing.T) {
		gw := holysheeptest.Start(t)
		c := gw.Client(nil)
		gw.Reply(holysheeptest.Vectors(make([]float32, 3)), holysheeptest.Vectors(make([]float32, 4)))
		_, err := c.Embedder("", &holysheep.EmbedOptions{MaxTexts: 1}).Embed(t.Context(), texts(2))
		require.ErrorIs(t, err, holysheep.ErrMalformed)

		// The others take a second, so that the failure is known before one of them makes room for the next.
		before, refused := gw.Count(), texts(1000)[2]
		gw.ReplyWhen(func(r *holysheeptest.Request) bool { return r.Texts[0] == refused }, holysheeptest.Status(401))
		gw.ReplyWhen(func(*holysheeptest.Request) bool { return true }, holysheeptest.Vectors().After(time.Second))
		_, err = c.Embedder("", &holysheep.EmbedOptions{MaxTexts: 1}).Embed(t.Context(), texts(1000))
		require.ErrorIs(t, err, holysheep.ErrUnauthorized)
		require.Less(t, gw.Count()-before, 10)
		total := c.Meter()[embedModel]
		require.EqualValues(t, gw.Count(), total.Attempts)
		require.Equal(t, gw.Billed(), total.Cost.AtMost)
	})
}

// A counter that can count texts is asked for texts; one that cannot, for a message.
func TestEmbedCountsTokens(t *testing.T) {
	gw := holysheeptest.Start(t)
	price, _ := holysheep.ListPrices().Lookup(embedModel)
	for _, r := range []struct {
		counter holysheep.TokenCounter
		tokens  int64
	}{{&tokens.Counter{}, 8}, {fixed(7), 14}, {fixed(-1), 0}} {
		seen := &sums{}
		c := gw.Client(&holysheep.Options{
			Tokens: r.counter, Observer: seen, Budgets: []*holysheep.Budget{{Name: "b", Limit: holysheep.Dollars(1)}},
		})
		_, err := c.Embedder("", nil).Embed(t.Context(), []string{"one two three four", "five six seven eight"})
		require.NoError(t, err)
		require.Equal(t, price.Of(holysheep.Usage{PromptTokens: r.tokens}), seen.calls[0].Reserved)
	}
	c := gw.Client(&holysheep.Options{Tokens: broken{}})
	_, err := c.Embedder("", nil).Embed(t.Context(), texts(1))
	require.ErrorIs(t, err, errBroken)
}

type fixed int64

func (f fixed) CountTokens(context.Context, *holysheep.ChatRequest) (int64, error) {
	return int64(f), nil
}

type broken struct{}

var errBroken = errors.New("broken")

func (broken) CountTokens(context.Context, *holysheep.ChatRequest) (int64, error) {
	return 0, errBroken
}

func TestEmbedBudgets(t *testing.T) {
	synctest.Test(t, func(t *testing.T) {
		gw := holysheeptest.Start(t)
		day := &holysheep.Budget{Name: "day", Limit: holysheep.Dollars(0.000_002)}
		c := gw.Client(&holysheep.Options{Budgets: []*holysheep.Budget{day}})
		e := c.Embedder("", nil)
		var err error
		calls := 0
		for ; err == nil; calls++ {
			_, err = e.Embed(t.Context(), []string{"one two three four five"})
		}
		require.ErrorIs(t, err, holysheep.ErrBudgetExceeded)
		require.Equal(t, calls-1, gw.Count(), "what could exceed it is not sent")
		status, err := day.Status(t.Context())
		require.NoError(t, err)
		require.Equal(t, gw.Billed(), status.Spent)
		require.Zero(t, status.Reserved)
		_, err = c.Embedder("no-price", nil).Embed(t.Context(), texts(1))
		require.ErrorIs(t, err, holysheep.ErrUnknownPrice)

		// A list that the limit has no room for is refused as a whole.
		before := gw.Count()
		ctx, scope := holysheep.NewScope(t.Context(), nil)
		scope.SetCap(holysheep.Dollars(0.000_1), true)
		_, err = gw.Client(nil).Embedder("", nil).Embed(ctx, texts(1000))
		require.ErrorIs(t, err, holysheep.ErrBudgetExceeded)
		require.Equal(t, before, gw.Count())
		require.Zero(t, scope.Cost())
	})
}

func TestEmbedAfterClose(t *testing.T) {
	synctest.Test(t, func(t *testing.T) {
		gw := holysheeptest.Start(t)
		gw.Reply(holysheeptest.Vectors().After(time.Minute))
		c := gw.Client(nil)
		e := c.Embedder("", nil)
		ended := make(chan error, 1)
		go func() {
			_, err := e.Embed(t.Context(), texts(1))
			ended <- err
		}()
		synctest.Wait()
		start := time.Now()
		require.NoError(t, c.Close())
		require.GreaterOrEqual(t, time.Since(start), time.Minute)
		require.NoError(t, <-ended)
		_, err := e.Embed(t.Context(), texts(1))
		require.ErrorIs(t, err, holysheep.ErrClosed)
	})
}

// Nothing that can be printed of an embedder shows a key.
func TestEmbedderShowsNoKey(t *testing.T) {
	c := holysheeptest.Start(t).Client(&holysheep.Options{Key: func(context.Context) (string, error) { return "hs_canary_0123456789", nil }})
	for _, o := range []*holysheep.EmbedOptions{nil, {QueryPrefix: "q"}} {
		e := c.Embedder("", o)
		_, err := e.Embed(t.Context(), texts(1))
		require.NoError(t, err)
		raw, _ := json.Marshal(e)
		all := fmt.Sprintf("%v %+v %#v %s %q %s", e, e, e, e, e, raw)
		require.NotContains(t, all, "canary")
		require.Contains(t, all, "holysheep.Embedder(text-embedding-3-small")
	}
}

// Callers with different keys never share a request.
func TestEmbedKeepsKeysApart(t *testing.T) {
	synctest.Test(t, func(t *testing.T) {
		type tenant struct{}
		gw := holysheeptest.Start(t)
		c := gw.Client(&holysheep.Options{Key: func(ctx context.Context) (string, error) {
			if ctx.Value(tenant{}) == nil {
				return "", errBroken
			}
			return fmt.Sprint("hs_0123456789_", ctx.Value(tenant{})), nil
		}})
		e := c.Embedder("", nil)
		var wg sync.WaitGroup
		for i := range 40 {
			wg.Go(func() {
				_, err := e.Embed(context.WithValue(t.Context(), tenant{}, i%4), []string{fmt.Sprint("of tenant ", i%4)})
				if err != nil {
					t.Error(err)
				}
			})
		}
		wg.Wait()
		require.Equal(t, 4, gw.Count())
		for _, r := range gw.Requests() {
			require.Len(t, r.Texts, 10)
			for _, text := range r.Texts {
				require.Equal(t, "Bearer hs_0123456789_"+strings.TrimPrefix(text, "of tenant "), r.Header.Get("Authorization"))
			}
		}
		_, err := e.Embed(t.Context(), texts(1))
		require.ErrorIs(t, err, errBroken)
		require.Equal(t, 4, gw.Count())
		require.Equal(t, http.MethodPost, gw.Requests()[0].Method)
	})
}
