package holysheep_test

import (
	"encoding/json"
	"errors"
	"math"
	"math/big"
	"math/rand/v2"
	"reflect"
	"strings"
	"testing"
	"time"

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
		var back holysheep.USD
		require.NoError(t, json.Unmarshal(raw, &back))
		require.Equal(t, r.usd, back)
		quoted, err := json.Marshal(r.usd.String())
		require.NoError(t, err)
		require.NoError(t, json.Unmarshal(quoted, &back), "what String writes can be read")
		require.Equal(t, r.usd, back)
	}
	require.Equal(t, "¥0.000886", holysheep.Dollars(0.000123).CNY(7.2))
	require.Equal(t, "¥0.000899", holysheep.Dollars(0.000123).CNY(7.31))
	require.Equal(t, "-¥7.20", holysheep.Dollars(-1).CNY(7.2))
	require.Equal(t, "¥64800000.00", holysheep.Dollars(9_000_000).CNY(7.2), "more yuan than USD can hold dollars")
	require.Equal(t, "¥NaN", holysheep.Dollars(1).CNY(math.NaN()))

	require.Equal(t, holysheep.USD(0), holysheep.Dollars(math.NaN()))
	require.Equal(t, holysheep.USD(math.MaxInt64), holysheep.Dollars(1e300))
	require.Equal(t, holysheep.USD(math.MinInt64), holysheep.Dollars(math.Inf(-1)))
	require.Equal(t, holysheep.USD(math.MaxInt64), holysheep.USD(math.MaxInt64).Plus(1))
	require.Equal(t, holysheep.USD(math.MinInt64), holysheep.USD(math.MinInt64).Plus(-1))
	require.Equal(t, holysheep.USD(-1), holysheep.USD(math.MaxInt64).Plus(math.MinInt64))
	require.InDelta(t, 0.000123, holysheep.Dollars(0.000123).Dollars(), 1e-18)
}

func TestUSDFromJSON(t *testing.T) {
	for in, want := range map[string]holysheep.USD{
		`2.00`: 2e12, `"2.00"`: 2e12, `"$2"`: 2e12, `0.0001`: 1e8, `1e-4`: 1e8, `1.5E2`: 150e12, `0.0000000000010`: 1, `-0.5`: -5e11, `0`: 0,
		`"-$1.50"`: -15e11, `"1e-4"`: 1e8, `"0.0001"`: 1e8, `"$0.0001"`: 1e8, `-0`: 0, `1e-12`: 1,
	} {
		var u holysheep.USD
		require.NoError(t, json.Unmarshal([]byte(in), &u), in)
		require.Equal(t, want, u, in)
	}
	for _, in := range []string{
		`"NaN"`, `"1,5"`, `0.0000000000001`, `1e30`, `10000000`, `""`, `"-"`, `null`, `{}`, `true`, `"1e"`, `"0x1p3"`,
		`"$-1"`, `"$$1"`, `"--1"`, `"+1"`, `"Infinity"`, `"1."`, `".5"`, `1e101`, `-9223372.036854775809`, `9223372.036854775808`, `[1]`, `"\u0000"`,
	} {
		u := holysheep.USD(7)
		require.ErrorIs(t, json.Unmarshal([]byte(in), &u), holysheep.ErrBadPrice, in)
		require.EqualValues(t, 7, u, "a failure changes nothing")
	}
	var u holysheep.USD
	require.ErrorIs(t, u.UnmarshalJSON([]byte(`"1`)), holysheep.ErrBadPrice)
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
		{"the advertised input price, 100 picodollars a token", holysheep.Price{Input: holysheep.Dollars(0.0001)}, usage{PromptTokens: 7}, 700},
		{"a long price without one for cached tokens", holysheep.Price{LongAbove: 1, Long: &holysheep.Price{Input: 1e12}}, usage{PromptTokens: 2, CachedTokens: 2}, 2e6},
		{"half a picodollar", holysheep.Price{Input: 1}, usage{PromptTokens: 500_000}, 1},
		{"less than half", holysheep.Price{Input: 1}, usage{PromptTokens: 499_999}, 0},
		{"rounded once, not for each part", holysheep.Price{Input: 1, Output: 1}, usage{PromptTokens: 1_500_000, CachedTokens: 500_000, CacheWriteTokens: 500_000, CompletionTokens: 500_000}, 2},
		{"every component at its largest", holysheep.Price{Input: math.MaxInt64, Output: math.MaxInt64}, usage{PromptTokens: math.MaxInt64, CompletionTokens: math.MaxInt64}, math.MaxInt64},
		{"a negative price", holysheep.Price{Input: -1e12, Output: 1e12}, usage{PromptTokens: 10, CompletionTokens: 1}, 1e6},
		{"more than there is money", list("gpt-4.1"), usage{PromptTokens: math.MaxInt64, CompletionTokens: math.MaxInt64}, math.MaxInt64},
	} {
		require.Equal(t, r.want, r.price.Of(r.usage), r.name)
	}
}

// A million calls one by one cost what they cost together.
func TestSums(t *testing.T) {
	for model, want := range map[string]holysheep.USD{holysheep.GPT41: holysheep.Dollars(12_192), holysheep.DeepSeekV32: holysheep.Dollars(990.08)} {
		p, ok := holysheep.ListPrices().Lookup(model)
		require.True(t, ok)
		var sum holysheep.USD
		for range 1_000_000 {
			sum = sum.Plus(p.Of(holysheep.Usage{PromptTokens: 2_000, CompletionTokens: 1_024}))
		}
		require.Equal(t, want, sum, model)
	}
}

// What is reserved covers every way a prompt of the counted size may be billed, to the last picodollar.
func TestWorstCoversEveryUsage(t *testing.T) {
	random := rand.New(rand.NewPCG(1, 2))
	for range 300 {
		// From the lowest price there is to some dollars; close together, so that rounding can show.
		top := int64(1) << (27 + random.IntN(18))
		amount := func() holysheep.USD { return holysheep.USD(top - random.Int64N(1+top/64)) }
		price := holysheep.Price{Input: amount(), CachedInput: amount(), CacheWrite: amount(), Output: amount()}
		if random.IntN(2) == 0 {
			price.LongAbove = 1 + random.Int64N(5_000)
			price.Long = &holysheep.Price{Input: amount(), CachedInput: amount(), CacheWrite: amount(), Output: amount()}
		}
		table, err := holysheep.ListPrices().With("mine", price)
		require.NoError(t, err)
		c, err := holysheep.New("hs_0123456789", &holysheep.Options{Prices: table})
		require.NoError(t, err)
		req := ask(strings.Repeat("word ", random.IntN(3_000)))
		req.Model, req.MaxTokens = "mine", new(1+random.IntN(1_000_000))
		q, err := c.Plan(t.Context(), req)
		require.NoError(t, err)
		for range 50 {
			u := holysheep.Usage{PromptTokens: q.PromptTokens, CompletionTokens: q.MaxTokens - random.Int64N(2)}
			u.CachedTokens = random.Int64N(u.PromptTokens + 1)
			u.CacheWriteTokens = random.Int64N(u.PromptTokens + 1)
			require.LessOrEqual(t, price.Of(u), q.Worst.USD, "%+v of %+v", u, price)
		}
		require.NoError(t, c.Close())
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
		{Output: holysheep.Dollars(0.00000042)},
		{LongAbove: 5},
		{Long: &holysheep.Price{}},
		{LongAbove: -1, Long: &holysheep.Price{}},
		{LongAbove: 1, Long: &holysheep.Price{LongAbove: 1, Long: &holysheep.Price{}}},
		{LongAbove: 1, Long: &holysheep.Price{LongAbove: 1}},
		{LongAbove: 1, Long: &holysheep.Price{Input: -1}},
	} {
		_, err = holysheep.ListPrices().With("gpt-4.1", bad)
		require.ErrorIs(t, err, holysheep.ErrBadPrice)
	}
	for _, name := range []string{"", " ", "/", "openai/", "-latest"} {
		_, err = holysheep.ListPrices().With(name, own)
		require.ErrorIs(t, err, holysheep.ErrBadPrice, name)
	}

	own = holysheep.Price{LongAbove: 5, Long: &holysheep.Price{Input: 1e9}}
	table, err = holysheep.ListPrices().With("mine", own)
	require.NoError(t, err)
	own.Long.Input = 2e9
	p, _ = table.Lookup("mine")
	require.EqualValues(t, int64(1e9), p.Long.Input, "the table has its own copy")
	tuned, err := table.With("ft:gpt-4.1:shop::x", holysheep.Price{Input: 3e9})
	require.NoError(t, err)
	p, _ = tuned.Lookup("FT:gpt-4.1:shop::x")
	require.EqualValues(t, int64(3e9), p.Input)
}

func TestTableJSON(t *testing.T) {
	for _, table := range []*holysheep.PriceTable{holysheep.ListPrices(), holysheep.AdvertisedPrices()} {
		raw, err := json.Marshal(table)
		require.NoError(t, err)
		var back holysheep.PriceTable
		require.NoError(t, json.Unmarshal(raw, &back))
		require.Equal(t, table, &back)
	}
	raw, err := json.Marshal(holysheep.ListPrices())
	require.NoError(t, err)
	require.Contains(t, string(raw), `"deepseek-v3.2":{"input":0.28,"cached_input":0.028,"output":0.42}`)
	require.Contains(t, string(raw), `"long_above":200000,"long":{"input":2.5,"cached_input":0.625,"output":15}`)
}

func TestBadTables(t *testing.T) {
	table := func(models string) string { return `{"date":"d","source":"s","models":{` + models + `}}` }
	for name, r := range map[string]struct {
		in   string
		says []string
	}{
		"no JSON":              {`{`, nil},
		"no object":            {`[]`, []string{"the table: not an object"}},
		"null":                 {`null`, []string{"the table: not an object"}},
		"no models":            {table(``), []string{"no models"}},
		"models left out":      {`{"date":"d"}`, []string{"no models"}},
		"models of null":       {`{"models":null}`, []string{"models: not an object"}},
		"trailing":             {table(`"a":{"input":1,"output":1}`) + `{}`, nil},
		"too large":            {table(`"a":{"input":1,"output":1}`) + strings.Repeat(" ", 1<<20), []string{"1 MiB"}},
		"unknown field":        {table(`"a":{"input":1,"output":1,"inputs":2}`), []string{"a, inputs: unknown field"}},
		"unknown outer field":  {`{"currency":"CNY","models":{"a":{"input":1,"output":1}}}`, []string{"currency: unknown field"}},
		"a date that is none":  {`{"date":2026,"models":{"a":{"input":1,"output":1}}}`, []string{"date"}},
		"no price":             {table(`"a":5`), []string{"a: not an object"}},
		"missing":              {table(`"a":{"input":1}`), []string{"a, output: missing"}},
		"null for a price":     {table(`"a":{"input":null,"output":1}`), []string{"a, input"}},
		"a free long prompt":   {table(`"a":{"input":1,"output":1,"long_above":5,"long":{}}`), []string{"a, long, input: missing", "a, long, output: missing"}},
		"long without a bound": {table(`"a":{"input":1,"output":1,"long":{"input":1,"output":1}}`), []string{"a, long_above"}},
		"a bound in parts":     {table(`"a":{"input":1,"output":1,"long_above":1.5,"long":{"input":1,"output":1}}`), []string{"a, long_above"}},
		"long within long":     {table(`"a":{"input":1,"output":1,"long_above":5,"long":{"input":1,"output":1,"long":{}}}`), []string{"a, long, long: unknown field"}},
		"every problem": {
			table(`"a":{"input":-1,"output":2000},"b":{"input":1,"output":"x","cached_input":-2},"c":{"input":1}`),
			[]string{"a, input: negative", "a, output: $2000.00", "b, output", "b, cached_input: negative", "c, output: missing"},
		},
		"one model, twice":        {table(`"gpt-4.1":{"input":1,"output":1},"openai/gpt-4-1":{"input":1,"output":1}`), []string{"openai/gpt-4-1: the same model as gpt-4.1"}},
		"the same name, twice":    {table(`"a":{"input":1,"output":1},"a":{"input":9,"output":9}`), []string{"models, a: given twice"}},
		"the same field, twice":   {table(`"a":{"input":3,"output":1,"input":0}`), []string{"a, input: given twice"}},
		"two spaces make no name": {table(`"  ":{"input":1,"output":1}`), []string{"without a name"}},
		"a vendor without model":  {table(`"openai/":{"input":1,"output":1}`), []string{"without a name"}},
		"a price for one token":   {table(`"a":{"input":0.0000003,"output":0.0000025}`), []string{"a, input: $0.0000003 for a million", "a, output"}},
		"too fine":                {table(`"a":{"input":0.00000000000001,"output":1}`), []string{"a, input", "finer than a picodollar"}},
	} {
		before, err := holysheep.ListPrices().With("kept", holysheep.Price{})
		require.NoError(t, err)
		after := *before
		err = after.UnmarshalJSON([]byte(r.in))
		require.ErrorIs(t, err, holysheep.ErrBadPrice, name)
		for _, s := range r.says {
			require.ErrorContains(t, err, s, name)
		}
		require.Equal(t, *before, after, "a failure changes nothing")
	}
}

// Members of an object are read one by one: depth must not cost its square.
func TestDeepTable(t *testing.T) {
	deep := strings.Repeat(`{"long":`, 9_000) + "1" + strings.Repeat("}", 9_000)
	var table holysheep.PriceTable
	start := time.Now()
	require.ErrorIs(t, json.Unmarshal([]byte(`{"models":{"a":`+deep+`}}`), &table), holysheep.ErrBadPrice)
	require.Less(t, time.Since(start), 2*time.Second)
}

func FuzzPriceTable(f *testing.F) {
	raw, err := json.Marshal(holysheep.ListPrices())
	if err != nil {
		f.Fatal(err)
	}
	f.Add(raw)
	f.Add([]byte(`{"models":{"a":{"input":1,"output":1},"a":{"input":1,"input":-1}}} {}`))
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
		if !reflect.DeepEqual(table, back) {
			t.Fatalf("%s became %s, %+v became %+v", raw, out, table, back)
		}
		for _, name := range table.Models() {
			p, ok := back.Lookup(name)
			if !ok || p.Of(holysheep.Usage{PromptTokens: math.MaxInt64, CompletionTokens: math.MaxInt64, CachedTokens: 5}) < 0 {
				t.Fatalf("%q: %+v, %v", name, p, ok)
			}
		}
	})
}

func FuzzUSDJSON(f *testing.F) {
	for _, s := range []string{"2.00", "1e-4", "-0.5", `"$9223372.036854775807"`, "0.0000000000010", "1e+10", "00", "-", `"-$9223372.036854775808"`} {
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
		// big.Rat reads decimals too, and knows no rounding.
		text := s
		if strings.HasPrefix(s, `"`) && json.Unmarshal([]byte(s), &text) != nil {
			t.Fatalf("%s is no JSON and was read as %d", s, u)
		}
		want, ok := new(big.Rat).SetString(strings.Replace(text, "$", "", 1))
		if !ok || want.Mul(want, big.NewRat(1e12, 1)).Cmp(new(big.Rat).SetInt64(int64(u))) != 0 {
			t.Fatalf("%q was read as %d picodollars, not %v", s, u, want)
		}
	})
}
