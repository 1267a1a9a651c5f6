package tokens_test

import (
	"bytes"
	"context"
	"encoding/base64"
	"encoding/json"
	"image"
	"image/png"
	"maps"
	"math"
	"math/rand/v2"
	"slices"
	"strings"
	"sync"
	"testing"
	"time"

	"github.com/pkoukk/tiktoken-go"
	loader "github.com/pkoukk/tiktoken-go-loader"
	"github.com/stretchr/testify/require"

	"github.com/holysheep-ai/holysheep-go"
	"github.com/holysheep-ai/holysheep-go/holysheeptest"
	"github.com/holysheep-ai/holysheep-go/tokens"
)

// Models of the two encodings.
var exact = map[string]string{tiktoken.MODEL_O200K_BASE: "gpt-4.1", tiktoken.MODEL_CL100K_BASE: "gpt-4"}

var reference = map[string]func() *tiktoken.Tiktoken{
	tiktoken.MODEL_O200K_BASE:  sync.OnceValue(func() *tiktoken.Tiktoken { return loadReference(tiktoken.MODEL_O200K_BASE) }),
	tiktoken.MODEL_CL100K_BASE: sync.OnceValue(func() *tiktoken.Tiktoken { return loadReference(tiktoken.MODEL_CL100K_BASE) }),
}

func loadReference(name string) *tiktoken.Tiktoken {
	tiktoken.SetBpeLoader(loader.NewOfflineLoader())
	t, err := tiktoken.GetEncoding(name)
	if err != nil {
		panic(err)
	}
	return t
}

func count(tb testing.TB, model, text string) int64 {
	tb.Helper()
	var c tokens.Counter
	n, err := c.Text(tb.Context(), model, text)
	require.NoError(tb, err)
	return n
}

func requireSame(tb testing.TB, text string) {
	tb.Helper()
	for encoding, model := range exact {
		want := int64(len(reference[encoding]().EncodeOrdinary(text)))
		if got := count(tb, model, text); got != want {
			require.Equal(tb, want, got, "%s: %q", encoding, text)
		}
	}
}

func TestCountsLikeTiktoken(t *testing.T) {
	// The race detector makes the reference ten times as slow, and there is no race in it to be found.
	seeds, texts, step := uint64(20), 12_000, rune(1)
	if raceDetector || testing.Short() {
		seeds, texts, step = 2, 1_000, 101
	}
	for kind := range sentences {
		t.Run(kind, func(t *testing.T) {
			for seed := range seeds {
				text := compose(kind, 200+100*int(seed), seed)
				requireSame(t, text)
				requireSame(t, text[seed:len(text)-int(seed)]) // cut inside characters
			}
			requireSame(t, compose(kind, 20_000, 3))
		})
	}
	t.Run("code", func(t *testing.T) {
		text := code(t, 3_000*int(seeds))
		requireSame(t, text)
		for i := 0; i+300 < len(text); i += 300 {
			requireSame(t, text[i:i+300])
		}
	})
	t.Run("hostile", func(t *testing.T) {
		for _, size := range []int{2, 3, 100, 127, 128, 129, 130, 1_000, 5_000} {
			for _, text := range hostile(size) {
				requireSame(t, text)
			}
		}
	})
	t.Run("anything", func(t *testing.T) {
		r := rand.New(rand.NewPCG(1, 2))
		for range texts {
			requireSame(t, anything(r, 40))
		}
		for range texts / 40 {
			requireSame(t, anything(r, 800))
		}
	})
	t.Run("every character", func(t *testing.T) {
		for c := rune(0); c < 0x18000; c += 8 * step {
			var b strings.Builder
			for i := range rune(8) {
				s := string(c + i)
				b.WriteString("a" + s + "B'" + s + " " + s + "\n")
			}
			requireSame(t, b.String())
		}
	})
	for _, text := range []string{
		"", " ", "\n", "\r\n", "  x", "x  ", " \n x", "\n \n", "a\n\n\n  b", "<|endoftext|>", "<|fim_prefix|><|im_start|>", "\xff\xfe", "a\xc3", "\ufffd",
		"don't DON'T don’t", "'S 'll 'LL 'l", "HTTPServer2x", "漢字ABCdef", "\u0301ABC", " \u0301ABC", "//\n//", "a/b\r\n/c",
	} {
		requireSame(t, text)
	}
}

func FuzzCount(f *testing.F) {
	for kind := range sentences {
		f.Add(compose(kind, 60, 1))
	}
	for _, text := range hostile(64) {
		f.Add(text)
	}
	f.Fuzz(func(t *testing.T, text string) {
		if len(text) > 2<<10 {
			t.Skip()
		}
		requireSame(t, text)
	})
}

func TestAThousandAtOnce(t *testing.T) {
	// With -run of this test alone they are the first to count.
	var (
		wg    sync.WaitGroup
		start = make(chan struct{})
		got   [1000]int64
		errs  [1000]error
	)
	for i := range got {
		wg.Go(func() {
			<-start
			var c tokens.Counter
			got[i], errs[i] = c.Text(context.Background(), []string{"gpt-4.1", "gpt-4"}[i%2], "Hello, world!")
		})
	}
	close(start)
	wg.Wait()
	for i := range got {
		require.NoError(t, errs[i])
		require.EqualValues(t, 4, got[i])
	}
}

func TestEndsWithItsContext(t *testing.T) {
	count(t, "gpt-4.1", "") // the tables are there
	var c tokens.Counter
	t.Run("before", func(t *testing.T) {
		ctx, cancel := context.WithCancel(t.Context())
		cancel()
		_, err := c.Text(ctx, "gpt-4.1", "Hello")
		require.ErrorIs(t, err, context.Canceled)
		_, err = c.CountTokens(ctx, &holysheep.ChatRequest{Model: "gpt-4.1", Messages: []holysheep.Message{holysheep.User("Hello")}})
		require.ErrorIs(t, err, context.Canceled)
	})
	for name, text := range map[string]string{
		"one piece":   strings.Repeat("qwzx", 2<<20),
		"many pieces": strings.Repeat("Lorem ipsum, dolor sit amet. ", 1<<20),
	} {
		t.Run(name, func(t *testing.T) {
			ctx, cancel := context.WithTimeout(t.Context(), 20*time.Millisecond)
			defer cancel()
			start := time.Now()
			_, err := c.Text(ctx, "gpt-4.1", text)
			require.ErrorIs(t, err, context.DeadlineExceeded)
			require.Less(t, time.Since(start), 20*time.Second)
		})
	}
}

func TestMappings(t *testing.T) {
	for name, want := range map[string]string{
		"gpt-4.1": "o200k_base", "GPT-4.1": "o200k_base", "gpt-4.1-2025-04-14": "o200k_base", "gpt-4.1-mini": "o200k_base",
		"openai/gpt-4o": "o200k_base", "ft:gpt-4o-mini:shop::returns": "o200k_base", "chatgpt-4o-latest": "o200k_base",
		"gpt-5": "o200k_base", "gpt-5.1": "o200k_base", "gpt-5-nano": "o200k_base", "o1": "o200k_base", "o3-mini": "o200k_base",
		"o4-mini-2025-04-16": "o200k_base", "gpt-4": "cl100k_base", "gpt-4-1106-preview": "cl100k_base",
		"gpt-4-turbo": "cl100k_base", "gpt-3.5-turbo-0125": "cl100k_base", "text-embedding-3-large": "cl100k_base",
	} {
		m := tokens.MappingOf(name)
		require.True(t, m.Exact(), name)
		require.Equal(t, want, m.Encoding, name)
		require.Equal(t, "openai", m.Family, name)
	}
	for name, want := range map[string]string{
		"claude-sonnet-4.5": "anthropic", "claude-sonnet-4-20250514": "anthropic", "anthropic/claude-opus-4.7": "anthropic",
		"gemini-2.5-flash": "google", "deepseek-v3.2": "deepseek", "deepseek-chat": "deepseek",
		"qwen3-max": "", "gpt-40": "", "o12": "", "gpt-2": "", "claudette": "",
	} {
		m := tokens.MappingOf(name)
		require.False(t, m.Exact(), name)
		require.Equal(t, want, m.Family, name)
		require.Greater(t, m.Factor*(1+m.Margin), 1.2, name)
		require.NotEmpty(t, m.Source, name)
	}
	require.Greater(t, tokens.MappingOf("claude-opus-4-7").Factor, tokens.MappingOf("claude-opus-4-6").Factor)
	require.Equal(t, tokens.MappingOf("claude-sonnet-4"), tokens.MappingOf("claude-sonnet-4-20250514"))

	for name, encoding := range tiktoken.MODEL_TO_ENCODING {
		if exact[encoding] != "" {
			require.Equal(t, encoding, tokens.MappingOf(name).Encoding, name)
			require.True(t, tokens.MappingOf(name).Exact(), name)
		}
	}
	for prefix, encoding := range tiktoken.MODEL_PREFIX_TO_ENCODING {
		require.Equal(t, encoding, tokens.MappingOf(prefix+"preview").Encoding, prefix)
	}
}

func TestEstimatesHold(t *testing.T) {
	for model, counts := range measured {
		require.ElementsMatch(t, slices.Collect(maps.Keys(sentences)), slices.Collect(maps.Keys(counts)))
		for kind, want := range counts {
			got := count(t, model, compose(kind, 20_000, 3))
			t.Logf("%s, %s: %.2f times", model, kind, float64(got)/float64(want))
			require.GreaterOrEqual(t, got, want, "%s: %s", model, kind)
		}
	}
}

// The default of the client, without tables, is never below the exact count either; the log says by how much it is above.
func TestTheClientsEstimateErrsUpward(t *testing.T) {
	client := holysheeptest.Start(t).Client(nil)
	estimate := func(text string) int64 {
		q, err := holysheep.Plan(t.Context(), client, &holysheep.ChatRequest{Model: "gpt-4.1", Messages: []holysheep.Message{holysheep.User(text)}})
		require.NoError(t, err)
		return q.PromptTokens
	}
	const framing = 8
	require.EqualValues(t, framing+1, estimate("a"), "what the estimate adds for a message has changed")
	texts := map[string]string{"code": code(t, 60_000)}
	for kind := range sentences {
		texts[kind] = compose(kind, 20_000, 3)
	}
	for name, text := range hostile(20_000) {
		texts[name] = strings.ToValidUTF8(text, "\ufffd")
	}
	for _, name := range slices.Sorted(maps.Keys(texts)) {
		n, want := estimate(texts[name])-framing, count(t, "gpt-4.1", texts[name])
		t.Logf("%-17s %.2f times", name, float64(n)/float64(want))
		require.GreaterOrEqual(t, n, want, name)
	}
}

// corporate is the example of OpenAI's cookbook, with what its API counted.
var corporate = []holysheep.Message{
	holysheep.System("You are a helpful, pattern-following assistant that translates corporate jargon into plain English."),
	named("example_user", "New synergies will help drive top-line growth."),
	named("example_assistant", "Things working well together will increase revenue."),
	named("example_user", "Let's circle back when we have more bandwidth to touch base on opportunities for increased leverage."),
	named("example_assistant", "Let's talk later when we're less busy about how to do better."),
	holysheep.User("This late pivot means we don't have time to boil the ocean for the client deliverable."),
}

func named(name, text string) holysheep.Message {
	m := holysheep.System(text)
	m.Name = name
	return m
}

func request(tb testing.TB, req *holysheep.ChatRequest) int64 {
	tb.Helper()
	var c tokens.Counter
	n, err := c.CountTokens(tb.Context(), req)
	require.NoError(tb, err)
	return n
}

func TestRequests(t *testing.T) {
	t.Run("messages", func(t *testing.T) {
		require.EqualValues(t, 124, request(t, &holysheep.ChatRequest{Model: "gpt-4o", Messages: corporate}))
		require.EqualValues(t, 129, request(t, &holysheep.ChatRequest{Model: "gpt-4", Messages: corporate}))
	})
	t.Run("tools", func(t *testing.T) {
		// The API counted 101, says the cookbook.
		n := request(t, &holysheep.ChatRequest{
			Model: "gpt-4o",
			Messages: []holysheep.Message{
				holysheep.System("You are a helpful assistant that can answer to questions about the weather."),
				holysheep.User("What's the weather like in San Francisco?"),
			},
			Tools: []holysheep.Tool{{
				Name: "get_current_weather", Description: "Get the current weather in a given location",
				Parameters: json.RawMessage(`{"type":"object","properties":{"location":{"type":"string","description":"The city and state, e.g. San Francisco, CA"},"unit":{"type":"string","description":"The unit of temperature to return","enum":["celsius","fahrenheit"]}},"required":["location"]}`),
			}},
		})
		require.GreaterOrEqual(t, n, int64(101))
		require.Less(t, n, int64(160))
	})
	t.Run("everything counts", func(t *testing.T) {
		with := func(model string, change func(r *holysheep.ChatRequest, m *holysheep.Message)) int64 {
			r := &holysheep.ChatRequest{Model: model, Messages: []holysheep.Message{holysheep.User("Hello")}}
			change(r, &r.Messages[0])
			return request(t, r)
		}
		for _, model := range []string{"gpt-4.1", "gpt-4", "claude-sonnet-4.5", "gemini-2.5-flash", "deepseek-v3.2", "whatever"} {
			plain := with(model, func(*holysheep.ChatRequest, *holysheep.Message) {})
			require.Positive(t, plain)
			for name, change := range map[string]func(r *holysheep.ChatRequest, m *holysheep.Message){
				"message": func(r *holysheep.ChatRequest, m *holysheep.Message) { r.Messages = append(r.Messages, *m) },
				"part": func(_ *holysheep.ChatRequest, m *holysheep.Message) {
					m.Content = append(m.Content, holysheep.Text("x"))
				},
				"raw part": func(_ *holysheep.ChatRequest, m *holysheep.Message) {
					m.Content = append(m.Content, holysheep.RawPart(`{}`))
				},
				"image": func(_ *holysheep.ChatRequest, m *holysheep.Message) {
					m.Content = append(m.Content, holysheep.Image{URL: "https://example.com/a.png"})
				},
				"name":    func(_ *holysheep.ChatRequest, m *holysheep.Message) { m.Name = "x" },
				"refusal": func(_ *holysheep.ChatRequest, m *holysheep.Message) { m.Refusal = "x" },
				"call":    func(_ *holysheep.ChatRequest, m *holysheep.Message) { m.ToolCalls = []holysheep.ToolCall{{Name: "x"}} },
				"extra": func(_ *holysheep.ChatRequest, m *holysheep.Message) {
					m.Extra = map[string]json.RawMessage{"x": json.RawMessage(`1`)}
				},
				"tool": func(r *holysheep.ChatRequest, _ *holysheep.Message) { r.Tools = []holysheep.Tool{{Name: "x"}} },
				"format": func(r *holysheep.ChatRequest, _ *holysheep.Message) {
					r.ResponseFormat = &holysheep.ResponseFormat{Type: "json_object"}
				},
				"params": func(r *holysheep.ChatRequest, _ *holysheep.Message) { r.Extra = map[string]any{"documents": "x"} },
			} {
				require.Greater(t, with(model, change), plain, "%s: %s", model, name)
			}
			require.Equal(t, plain, with(model, func(_ *holysheep.ChatRequest, m *holysheep.Message) { m.Reasoning = "not sent" }))
		}
	})
}

func TestRefuses(t *testing.T) {
	var c tokens.Counter
	ask := []holysheep.Message{holysheep.User("Hello")}
	for field, req := range map[string]*holysheep.ChatRequest{
		"request":                nil,
		"Model":                  {Messages: ask},
		`Extra["x"]`:             {Model: "gpt-4.1", Messages: ask, Extra: map[string]any{"x": math.NaN()}},
		"Messages[0].Content[1]": {Model: "gpt-4.1", Messages: []holysheep.Message{holysheep.User("Hello", nil)}},
	} {
		_, err := c.CountTokens(t.Context(), req)
		var refused *holysheep.RequestError
		require.ErrorAs(t, err, &refused)
		require.Equal(t, field, refused.Field)
	}
	_, err := c.Text(t.Context(), " ", "Hello")
	require.EqualError(t, err, "tokens: the name of the model is empty")
}

func TestImages(t *testing.T) {
	picture := func(w, h int) holysheep.Image {
		var b bytes.Buffer
		require.NoError(t, png.Encode(&b, image.NewGray(image.Rect(0, 0, w, h))))
		return holysheep.Image{Data: b.Bytes()}
	}
	low := picture(2000, 2000)
	low.Detail = "low"
	there := holysheep.Image{URL: "https://example.com/a.png"}
	inline := holysheep.Image{URL: "data:image/png;base64," + base64.StdEncoding.EncodeToString(picture(1024, 1024).Data)}
	for _, test := range []struct {
		model string
		image holysheep.Image
		want  int64
	}{
		// The examples of https://platform.openai.com/docs/guides/images-vision.
		{"gpt-4o", picture(1024, 1024), 765},
		{"gpt-4o", inline, 765},
		{"gpt-4o", picture(2048, 4096), 1105},
		{"gpt-4o", low, 85},
		{"gpt-4.1-mini", picture(1024, 1024), 1659}, // 1,024 × 1.62
		{"gpt-4o", picture(128, 64), 255},
		{"gpt-4o", there, 1445},
		{"gpt-4o", holysheep.Image{Data: []byte("no image")}, 1445},
		{"gpt-4o", holysheep.Image{URL: "data:image/png;base64,***"}, 1445},
		{"gpt-4o-mini", there, 48169},
		{"gpt-4.1-mini", picture(4000, 1474), 2489},
		{"o3", picture(512, 512), 225},
		{"gpt-5", picture(512, 512), 210},
		{"gpt-5.2", picture(512, 512), 255},
		{"claude-sonnet-4.5", picture(1000, 1000), 1334}, // as Anthropic's page has it
		{"claude-sonnet-4.5", picture(4000, 3000), 1600},
		{"claude-opus-4.7", picture(4000, 3000), 4784},
		{"gemini-2.5-flash", picture(300, 384), 258},
		{"gemini-2.5-flash", picture(960, 540), 7 * 258},
		{"gemini-2.5-flash", there, 17 * 258},
		{"deepseek-v3.2", there, 4784},
		{"whatever", low, 4784},
		{"gpt-4o", picture(3000, 1), 85 + 4*170},
	} {
		r := &holysheep.ChatRequest{Model: test.model, Messages: []holysheep.Message{holysheep.User("What is this?")}}
		without := request(t, r)
		r.Messages[0].Content = append(r.Messages[0].Content, test.image)
		require.Equal(t, test.want, request(t, r)-without, "%s", test.model)
	}
}
