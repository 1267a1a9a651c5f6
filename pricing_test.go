package holysheep_test

import (
	"encoding/json"
	"errors"
	"math"
	"testing"

	"github.com/stretchr/testify/require"

	"github.com/holysheep-ai/holysheep-go"
)

func TestUSD(t *testing.T) {
	for _, r := range []struct {
		usd  holysheep.USD
		text string
		json string
	}{
		{0, "$0.00", "0"},
		{1, "$0.000000000001", "0.000000000001"},
		{holysheep.Dollars(0.000123), "$0.000123", "0.000123"},
		{holysheep.Dollars(1.5), "$1.50", "1.5"},
		{holysheep.Dollars(-1.5), "-$1.50", "-1.5"},
		{holysheep.Dollars(500), "$500.00", "500"},
		{math.MaxInt64, "$9223372.036854775807", "9223372.036854775807"},
		{math.MinInt64, "-$9223372.036854775808", "-9223372.036854775808"},
	} {
		require.Equal(t, r.text, r.usd.String())
		raw, err := json.Marshal(r.usd)
		require.NoError(t, err)
		require.Equal(t, r.json, string(raw))
		if r.usd == math.MinInt64 {
			continue // its absolute value has no USD
		}
		var back holysheep.USD
		require.NoError(t, json.Unmarshal(raw, &back))
		require.Equal(t, r.usd, back)
	}
	require.Equal(t, "¥0.000885", holysheep.Dollars(0.000123).CNY(7.2))
	require.Equal(t, "-¥7.20", holysheep.Dollars(-1).CNY(7.2))

	require.Equal(t, holysheep.USD(0), holysheep.Dollars(math.NaN()))
	require.Equal(t, holysheep.USD(math.MaxInt64), holysheep.Dollars(1e300))
	require.Equal(t, holysheep.USD(math.MinInt64), holysheep.Dollars(math.Inf(-1)))
	require.Equal(t, holysheep.USD(math.MaxInt64), holysheep.USD(math.MaxInt64).Plus(1))
	require.Equal(t, holysheep.USD(math.MinInt64), holysheep.USD(math.MinInt64).Plus(-1))
	require.Equal(t, holysheep.USD(-1), holysheep.USD(math.MaxInt64).Plus(math.MinInt64))
}

func TestUSDFromJSON(t *testing.T) {
	for in, want := range map[string]holysheep.USD{
		`2.00`: 2e12, `"2.00"`: 2e12, `"$2"`: 2e12, `0.0001`: 1e8, `1e-4`: 1e8, `1.5E2`: 150e12, `0.0000000000010`: 1, `-0.5`: -5e11, `0`: 0,
	} {
		var u holysheep.USD
		require.NoError(t, json.Unmarshal([]byte(in), &u), in)
		require.Equal(t, want, u, in)
	}
	for _, in := range []string{`"NaN"`, `"1,5"`, `0.0000000000001`, `1e30`, `10000000`, `""`, `"-"`, `null`, `{}`, `true`, `"1e"`, `"0x1p3"`} {
		var u holysheep.USD
		require.ErrorIs(t, json.Unmarshal([]byte(in), &u), holysheep.ErrBadPrice, in)
	}
}

// Every published figure, in dollars per million tokens.
func TestTables(t *testing.T) {
	type figures struct{ input, cached, write, output float64 }
	for table, rows := range map[*holysheep.PriceTable]map[string]figures{
		holysheep.ListPrices(): {
			"gpt-4.1": {2, 0.5, 0, 8}, "gpt-4.1-mini": {0.4, 0.1, 0, 1.6},
			"claude-sonnet-4.5": {3, 0.3, 3.75, 15}, "claude-sonnet-4-6": {3, 0.3, 3.75, 15}, "claude-haiku-4-5": {1, 0.1, 1.25, 5},
			"gemini-2.5-flash": {0.3, 0.075, 0, 2.5}, "gemini-2.5-pro": {1.25, 0.31, 0, 10},
			"deepseek-v3.2": {0.28, 0.028, 0, 0.42}, "text-embedding-3-small": {0.02, 0, 0, 0}, "text-embedding-3-large": {0.13, 0, 0, 0},
		},
		holysheep.AdvertisedPrices(): {
			"gpt-4.1": {2, 0, 0, 8}, "claude-sonnet-4.5": {3, 0, 0, 15}, "gemini-2.5-flash": {0.0001, 0, 0, 2.5}, "deepseek-v3.2": {0.0001, 0, 0, 0.42},
		},
	} {
		require.Len(t, table.Models(), len(rows))
		require.NotEmpty(t, table.Date())
		require.NotEmpty(t, table.Source())
		for model, f := range rows {
			p, ok := table.Lookup(model)
			require.True(t, ok, model)
			require.Equal(t, holysheep.Dollars(f.input), p.Input, model)
			require.Equal(t, holysheep.Dollars(f.cached), p.CachedInput, model)
			require.Equal(t, holysheep.Dollars(f.write), p.CacheWrite, model)
			require.Equal(t, holysheep.Dollars(f.output), p.Output, model)
		}
	}
	long, _ := holysheep.ListPrices().Lookup("gemini-2.5-pro")
	require.EqualValues(t, 200_000, long.LongAbove)
	require.Equal(t, holysheep.Price{Input: holysheep.Dollars(2.5), CachedInput: holysheep.Dollars(0.625), Output: holysheep.Dollars(15)}, *long.Long)
}

func TestPriceOf(t *testing.T) {
	list := func(model string) holysheep.Price {
		p, ok := holysheep.ListPrices().Lookup(model)
		require.True(t, ok)
		return p
	}
	type usage = holysheep.Usage
	for _, r := range []struct {
		name  string
		price holysheep.Price
		usage usage
		want  holysheep.USD
	}{
		{"nothing", list("gpt-4.1"), usage{}, 0},
		{"a million queries on gpt-4.1", list("gpt-4.1"), usage{PromptTokens: 2_000_000_000, CompletionTokens: 1_024_000_000}, holysheep.Dollars(12_192)},
		{"and on deepseek-v3.2", list("deepseek-v3.2"), usage{PromptTokens: 2_000_000_000, CompletionTokens: 1_024_000_000}, holysheep.Dollars(990.08)},
		{"cached tokens are part of the prompt", list("gpt-4.1"), usage{PromptTokens: 1000, CachedTokens: 400}, 600*2e6 + 400*5e5},
		{"so are those written to the cache", list("claude-sonnet-4.5"), usage{PromptTokens: 1000, CachedTokens: 400, CacheWriteTokens: 100}, 500*3e6 + 400*3e5 + 100*375e4},
		{"reasoning is part of the completion", list("gpt-4.1"), usage{CompletionTokens: 10, ReasoningTokens: 8}, 10 * 8e6},
		{"no cached price", holysheep.Price{Input: 1e12}, usage{PromptTokens: 10, CachedTokens: 5, CacheWriteTokens: 5}, 10e6},
		{"up to the long prompt", list("gemini-2.5-pro"), usage{PromptTokens: 200_000, CompletionTokens: 1}, 200_000*125e4 + 10e6},
		{"above it", list("gemini-2.5-pro"), usage{PromptTokens: 200_001, CompletionTokens: 1}, 200_001*25e5 + 15e6},
		{"more cached than there is", list("gpt-4.1"), usage{PromptTokens: 10, CachedTokens: 100, CacheWriteTokens: 100}, 10 * 5e5},
		{"negative counts", list("gpt-4.1"), usage{PromptTokens: -10, CompletionTokens: -1, CachedTokens: -5}, 0},
		{"a price finer than a picodollar a token", holysheep.Price{Input: 1}, usage{PromptTokens: 1_500_000}, 2},
		{"more than there is money", list("gpt-4.1"), usage{PromptTokens: math.MaxInt64, CompletionTokens: math.MaxInt64}, math.MaxInt64},
	} {
		require.Equal(t, r.want, r.price.Of(r.usage), r.name)
	}
}

func TestNamesOfModels(t *testing.T) {
	for name, want := range map[string]string{
		"claude-sonnet-4.5": "claude-sonnet-4.5", "claude-sonnet-4-5": "claude-sonnet-4.5", "claude-sonnet-4-5-20250929": "claude-sonnet-4.5",
		"anthropic/claude-sonnet-4.5": "claude-sonnet-4.5", "Claude-Sonnet-4.5": "claude-sonnet-4.5", "claude-sonnet-4-5@20250929": "claude-sonnet-4.5",
		"gpt-4.1-2025-04-14": "gpt-4.1", "openrouter/openai/gpt-4.1": "gpt-4.1", "gpt-4.1-latest": "gpt-4.1", " gpt-4.1 ": "gpt-4.1", "gpt-4.1-mini": "gpt-4.1-mini",
		"deepseek-v3-2": "deepseek-v3.2", "gpt-4": "", "gpt-4.1-nano": "", "ft:gpt-4.1:shop::x": "", "": "", "/": "", "-20250929": "",
	} {
		info, ok := holysheep.LookupModel(name)
		require.Equal(t, want, info.Name, name)
		require.Equal(t, want != "", ok, name)
		p, ok := holysheep.ListPrices().Lookup(name)
		require.Equal(t, want != "", ok, name)
		if ok {
			listed, _ := holysheep.ListPrices().Lookup(want)
			require.Equal(t, listed, p)
		}
	}
	require.Zero(t, testing.AllocsPerRun(100, func() {
		holysheep.ListPrices().Lookup("deepseek-v3.2")
		holysheep.LookupModel("deepseek-v3.2")
	}), "a name as listed costs no allocation")
}

// Every model with a price of the default table is known, and the vendor's four have advice and a latency.
func TestModelTable(t *testing.T) {
	for _, name := range holysheep.ListPrices().Models() {
		info, ok := holysheep.LookupModel(name)
		require.True(t, ok, name)
		require.NotEmpty(t, info.Family, name)
		require.Positive(t, info.Window, name)
	}
	for name, ms := range map[string]int64{holysheep.DeepSeekV32: 180, holysheep.Gemini25Flash: 50, holysheep.GPT41: 220, holysheep.ClaudeSonnet45: 250} {
		info, ok := holysheep.LookupModel(name)
		require.True(t, ok)
		require.NotEmpty(t, info.BestUse)
		require.Equal(t, ms, info.StatedP95.Milliseconds())
		require.Positive(t, info.MaxOutput)
	}
}

func TestWith(t *testing.T) {
	own := holysheep.Price{Input: holysheep.Dollars(1), Output: holysheep.Dollars(2)}
	table, err := holysheep.ListPrices().With("GPT-4-1", own)
	require.NoError(t, err)
	p, _ := table.Lookup("gpt-4.1")
	require.Equal(t, own, p)
	require.Len(t, table.Models(), len(holysheep.ListPrices().Models()))
	p, _ = holysheep.ListPrices().Lookup("gpt-4.1")
	require.Equal(t, holysheep.Dollars(2), p.Input, "the table itself does not change")

	var empty holysheep.PriceTable
	table, err = empty.With("mine", holysheep.Price{})
	require.NoError(t, err, "a model of one's own may be free")
	_, ok := table.Lookup("mine")
	require.True(t, ok)

	for _, bad := range []holysheep.Price{
		{Input: -1},
		{Output: holysheep.Dollars(1001)},
		{LongAbove: 5},
		{Long: &holysheep.Price{}},
		{LongAbove: -1, Long: &holysheep.Price{}},
		{LongAbove: 1, Long: &holysheep.Price{LongAbove: 1, Long: &holysheep.Price{}}},
		{LongAbove: 1, Long: &holysheep.Price{Input: -1}},
	} {
		_, err = holysheep.ListPrices().With("gpt-4.1", bad)
		require.ErrorIs(t, err, holysheep.ErrBadPrice)
	}
	_, err = holysheep.ListPrices().With(" ", own)
	require.ErrorIs(t, err, holysheep.ErrBadPrice)
}

func TestTableJSON(t *testing.T) {
	raw, err := json.Marshal(holysheep.ListPrices())
	require.NoError(t, err)
	var back holysheep.PriceTable
	require.NoError(t, json.Unmarshal(raw, &back))
	again, err := json.Marshal(&back)
	require.NoError(t, err)
	require.Equal(t, string(raw), string(again))
	require.Contains(t, string(raw), `"deepseek-v3.2":{"input":0.28,"cached_input":0.028,"output":0.42}`)

	table := func(models string) string { return `{"date":"d","source":"s","models":{` + models + `}}` }
	for name, r := range map[string]struct {
		in   string
		says []string
	}{
		"no JSON":          {`{`, nil},
		"no models":        {table(``), []string{"no models"}},
		"trailing":         {table(`"a":{"input":1,"output":1}`) + `{}`, nil},
		"unknown field":    {table(`"a":{"input":1,"output":1,"inputs":2}`), []string{"inputs"}},
		"missing":          {table(`"a":{"input":1}`), []string{"a: input or output is missing"}},
		"every problem":    {table(`"a":{"input":-1,"output":2000},"b":{"input":1,"output":1,"cached_input":-2}`), []string{"a, input: negative", "a, output: $2000.00", "b, cached_input"}},
		"one model, twice": {table(`"gpt-4.1":{"input":1,"output":1},"openai/gpt-4-1":{"input":1,"output":1}`), []string{"one model"}},
		"no name":          {table(`" ":{"input":1,"output":1}`), []string{"without a name"}},
		"too fine":         {table(`"a":{"input":0.00000000000001,"output":1}`), nil},
	} {
		var p holysheep.PriceTable
		err := p.UnmarshalJSON([]byte(r.in))
		require.ErrorIs(t, err, holysheep.ErrBadPrice, name)
		for _, s := range r.says {
			require.ErrorContains(t, err, s)
		}
		require.Empty(t, p.Models())
	}
}

func FuzzPriceTable(f *testing.F) {
	raw, err := json.Marshal(holysheep.ListPrices())
	if err != nil {
		f.Fatal(err)
	}
	f.Add(raw)
	f.Add([]byte(`{"date":"","source":"","models":{"a":{"input":1e-4,"output":"$0.5","long_above":5,"long":{"input":1,"output":2}}}}`))
	f.Fuzz(func(t *testing.T, raw []byte) {
		var table holysheep.PriceTable
		if err := json.Unmarshal(raw, &table); err != nil {
			return
		}
		out, err := json.Marshal(&table)
		if err != nil {
			t.Fatal(err)
		}
		var back holysheep.PriceTable
		if err := json.Unmarshal(out, &back); err != nil {
			t.Fatalf("%s became %s: %v", raw, out, err)
		}
		for _, name := range table.Models() {
			p, ok := back.Lookup(name)
			if !ok || p.Of(holysheep.Usage{PromptTokens: math.MaxInt64, CompletionTokens: math.MaxInt64, CachedTokens: 5}) < 0 {
				t.Fatalf("%q: %+v, %v", name, p, ok)
			}
		}
	})
}

func FuzzUSD(f *testing.F) {
	for _, s := range []string{"2.00", "1e-4", "-0.5", `"$9223372.036854775807"`, "0.0000000000010", "1e+10", "00", "-"} {
		f.Add(s)
	}
	f.Fuzz(func(t *testing.T, s string) {
		var u, back holysheep.USD
		if err := u.UnmarshalJSON([]byte(s)); err != nil {
			if !errors.Is(err, holysheep.ErrBadPrice) {
				t.Fatal(err)
			}
			return
		}
		raw, err := u.MarshalJSON()
		if err != nil || !json.Valid(raw) || back.UnmarshalJSON(raw) != nil || back != u {
			t.Fatalf("%q is %d, written %s, read %d", s, u, raw, back)
		}
	})
}
