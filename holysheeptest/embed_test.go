package holysheeptest_test

import (
	"encoding/json"
	"io"
	"net/http"
	"strings"
	"testing"
	"testing/synctest"

	"github.com/stretchr/testify/require"

	"github.com/holysheep-ai/holysheep-go"
	"github.com/holysheep-ai/holysheep-go/holysheeptest"
)

func cosine(a, b []float32) (dot float64) {
	for i := range a {
		dot += float64(a[i]) * float64(b[i])
	}
	return dot
}

// Texts that share words are near each other, others are not; the same text always has the same vector of length 1.
func TestMadeUpVectors(t *testing.T) {
	synctest.Test(t, func(t *testing.T) {
		e := holysheeptest.Start(t).Client(nil).Embedder("", nil)
		v, err := e.Embed(t.Context(), []string{
			"How do I return order 48291?", "how do I return my ORDER", "Is it going to rain in Paris tomorrow", "怎么退货", "我要退货", "?!",
			"How do I return order 48291?",
		})
		require.NoError(t, err)
		require.Equal(t, v[0], v[6])
		for i := range v {
			require.Len(t, v[i], 1536)
			require.InDelta(t, 1, cosine(v[i], v[i]), 1e-5)
		}
		require.Greater(t, cosine(v[0], v[1]), 0.6)
		require.Less(t, cosine(v[0], v[2]), 0.2)
		require.Greater(t, cosine(v[3], v[4]), 0.4)
		require.Less(t, cosine(v[3], v[0]), 0.1)
		require.Less(t, cosine(v[5], v[0]), 0.1)
		for _, r := range []struct {
			model string
			opts  holysheep.EmbedOptions
			want  int
		}{
			{"text-embedding-3-large", holysheep.EmbedOptions{}, 3072},
			{"another", holysheep.EmbedOptions{}, 1536},
			{"another", holysheep.EmbedOptions{Dimensions: 7}, 7},
		} {
			v, err := holysheeptest.Start(t).Client(nil).Embedder(r.model, &r.opts).Embed(t.Context(), []string{"x"})
			require.NoError(t, err)
			require.Len(t, v[0], r.want)
		}
	})
}

// A scripted answer waits for a request of its kind; a fault is for whichever request comes when it is first.
func TestScriptOfBothKinds(t *testing.T) {
	synctest.Test(t, func(t *testing.T) {
		gw := holysheeptest.Start(t)
		c := gw.Client(&holysheep.Options{MaxAttempts: 1})
		e := c.Embedder("", nil)
		gw.Reply(holysheeptest.Text("the first answer"), holysheeptest.Vectors([]float32{1, 2}), holysheeptest.Status(401), holysheeptest.Text("the second"))
		v, err := e.Embed(t.Context(), []string{"x"})
		require.NoError(t, err)
		require.Equal(t, [][]float32{{1, 2}}, v)
		v, err = e.Embed(t.Context(), []string{"x"})
		require.NoError(t, err)
		require.Len(t, v[0], 1536, "made up: the fault's turn has not come")
		resp, err := c.Chat(t.Context(), ask("x"))
		require.NoError(t, err)
		require.Equal(t, "the first answer", resp.Text())
		_, err = e.Embed(t.Context(), []string{"x"})
		require.ErrorIs(t, err, holysheep.ErrUnauthorized)
		resp, err = c.Chat(t.Context(), ask("x"))
		require.NoError(t, err)
		require.Equal(t, "the second", resp.Text())
		require.Equal(t, gw.Billed(), c.Meter()["text-embedding-3-small"].Cost.USD+c.Meter()[holysheep.DeepSeekV32].Cost.USD)
	})
}

// Other clients ask for numbers, and with a text alone.
func TestEmbeddingsOverPlainHTTP(t *testing.T) {
	gw, err := holysheeptest.NewServer()
	require.NoError(t, err)
	defer gw.Close()
	post := func(body string) (int, string) {
		req, err := http.NewRequestWithContext(t.Context(), http.MethodPost, gw.BaseURL()+"/embeddings", strings.NewReader(body))
		require.NoError(t, err)
		resp, err := gw.Transport().RoundTrip(req)
		require.NoError(t, err)
		defer func() { _ = resp.Body.Close() }()
		text, err := io.ReadAll(resp.Body)
		require.NoError(t, err)
		return resp.StatusCode, string(text)
	}
	status, text := post(`{"model":"text-embedding-3-small","input":"one two three","dimensions":2}`)
	require.Equal(t, 200, status)
	var answer struct {
		Data  []struct{ Embedding []float32 }
		Usage struct {
			PromptTokens int64 `json:"prompt_tokens"`
		}
	}
	require.NoError(t, json.Unmarshal([]byte(text), &answer))
	require.Len(t, answer.Data[0].Embedding, 2)
	require.EqualValues(t, 3, answer.Usage.PromptTokens)
	require.Equal(t, []string{"one two three"}, gw.Requests()[0].Texts)
	price, _ := holysheep.ListPrices().Lookup("text-embedding-3-small")
	require.Equal(t, price.Of(holysheep.Usage{PromptTokens: 3}), gw.Billed())
	for _, bad := range []string{
		`{`, `{"input":7}`, `{"input":[]}`, `{"input":["a",""]}`, `{"input":["a"],"dimensions":-1}`, `{"input":["a"],"dimensions":1000000}`,
		`{"input":["a"` + strings.Repeat(`,"a"`, 2048) + `]}`,
	} {
		status, text = post(bad)
		require.Equal(t, 400, status)
		require.Contains(t, text, "invalid_request_error")
	}
	require.Equal(t, price.Of(holysheep.Usage{PromptTokens: 3}), gw.Billed(), "refusals are not billed")
}
