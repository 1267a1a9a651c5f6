package holysheep

import (
	"bytes"
	"encoding/json"
	"errors"
	"fmt"
	"io"
	"maps"
	"math"
	"math/bits"
	"slices"
	"strconv"
	"strings"
)

// USD is an amount of money in picodollars, 1e-12 $. That is exact for every price there is, and holds up to 9.2
// million dollars; sums beyond stay at that.
type USD int64

const (
	dollar   = 1_000_000_000_000
	decimals = 12
)

// Dollars makes an amount, rounded to the nearest picodollar. NaN is 0; what is too large is the largest amount.
func Dollars(d float64) USD {
	p := math.Round(d * dollar)
	switch {
	case math.IsNaN(p):
		return 0
	case p >= math.MaxInt64:
		return math.MaxInt64
	case p <= math.MinInt64:
		return math.MinInt64
	}
	return USD(p)
}

// Dollars is the amount as a float, for display and statistics. Sums belong in USD.
func (u USD) Dollars() float64 { return float64(u) / dollar }

// Plus adds two amounts; a sum that is too large to hold stays at the largest.
func (u USD) Plus(v USD) USD {
	sum := u + v
	switch {
	case u > 0 && v > 0 && sum < 0:
		return math.MaxInt64
	case u < 0 && v < 0 && sum >= 0:
		return math.MinInt64
	}
	return sum
}

// String writes the exact amount: "$0.000123", "-$1.50".
func (u USD) String() string {
	s := u.decimal(2)
	if rest, negative := strings.CutPrefix(s, "-"); negative {
		return "-$" + rest
	}
	return "$" + s
}

// CNY writes the amount in yuan, at the user's rate of yuan for a dollar: for display only, "¥0.000886".
func (u USD) CNY(rate float64) string {
	y := Dollars(u.Dollars() * rate)
	y -= y % (dollar / 1_000_000)
	s := y.decimal(2)
	if rest, negative := strings.CutPrefix(s, "-"); negative {
		return "-¥" + rest
	}
	return "¥" + s
}

// decimal writes the amount in dollars with all its digits, and at least so many after the point.
func (u USD) decimal(least int) string {
	n := uint64(u)
	sign := ""
	if u < 0 {
		n, sign = -n, "-"
	}
	digits := fmt.Sprintf("%0*d", decimals+1, n)
	point := len(digits) - decimals
	end := len(digits)
	for end > point+least && digits[end-1] == '0' {
		end--
	}
	if end == point {
		return sign + digits[:point]
	}
	return sign + digits[:point] + "." + digits[point:end]
}

// MarshalJSON writes dollars as a number with all its digits.
func (u USD) MarshalJSON() ([]byte, error) { return []byte(u.decimal(0)), nil }

// UnmarshalJSON reads dollars from a number, or from a string that may begin with "$". Nothing is rounded: digits
// beyond the twelfth, and amounts that are too large, are ErrBadPrice.
func (u *USD) UnmarshalJSON(raw []byte) error {
	text := string(bytes.Trim(raw, `"`))
	n, err := parseUSD(strings.TrimPrefix(text, "$"))
	if err != nil {
		return fmt.Errorf("%w: %q: %w", ErrBadPrice, text, err)
	}
	*u = n
	return nil
}

// parseUSD reads a decimal number, 12.50 or 1e-4.
func parseUSD(s string) (USD, error) {
	s, negative := strings.CutPrefix(s, "-")
	mantissa, exponent := s, 0
	if i := strings.IndexAny(s, "eE"); i >= 0 {
		e, err := strconv.Atoi(s[i+1:])
		if err != nil || e < -100 || e > 100 {
			return 0, errors.New("bad exponent")
		}
		mantissa, exponent = s[:i], e
	}
	whole, fraction, pointed := strings.Cut(mantissa, ".")
	if whole == "" || pointed && fraction == "" {
		return 0, errors.New("not a number")
	}
	digits := whole + fraction
	if strings.ContainsFunc(digits, func(r rune) bool { return r < '0' || r > '9' }) {
		return 0, errors.New("not a number")
	}
	digits = strings.TrimLeft(digits, "0")
	if digits == "" {
		return 0, nil
	}
	shift := decimals + exponent - len(fraction)
	for ; shift < 0 && strings.HasSuffix(digits, "0"); shift++ {
		digits = digits[:len(digits)-1]
	}
	if shift < 0 {
		return 0, errors.New("smaller than a picodollar")
	}
	if len(digits)+shift > 19 {
		return 0, errors.New("too large")
	}
	n, err := strconv.ParseInt(digits+strings.Repeat("0", shift), 10, 64)
	if err != nil {
		return 0, errors.New("too large")
	}
	if negative {
		n = -n
	}
	return USD(n), nil
}

// Price is what a model costs, in dollars per million tokens. Reasoning tokens are output tokens.
type Price struct {
	Input       USD `json:"input"`
	CachedInput USD `json:"cached_input,omitzero"` // read from the provider's cache; 0: as Input
	CacheWrite  USD `json:"cache_write,omitzero"`  // written to it; 0: as Input
	Output      USD `json:"output"`

	// Above so many prompt tokens the whole call is priced at Long. 0: always at this price.
	LongAbove int64  `json:"long_above,omitzero"`
	Long      *Price `json:"long,omitempty"`
}

// Of is the exact price of a usage, rounded to the nearest picodollar for each kind of token. Counts that cannot be
// (negative, more cached tokens than prompt tokens) are taken for the nearest that can.
func (p Price) Of(u Usage) USD {
	p = p.at(u.PromptTokens)
	prompt := max(u.PromptTokens, 0)
	cached := min(max(u.CachedTokens, 0), prompt)
	written := min(max(u.CacheWriteTokens, 0), prompt-cached)
	return times(p.Input, prompt-cached-written).
		Plus(times(p.or(p.CachedInput), cached)).
		Plus(times(p.or(p.CacheWrite), written)).
		Plus(times(p.Output, max(u.CompletionTokens, 0)))
}

// worst is the most that a call with so many tokens can cost, however its prompt is cached.
func (p Price) worst(prompt, completion int64) USD {
	p = p.at(prompt)
	return times(max(p.Input, p.CachedInput, p.CacheWrite), max(prompt, 0)).Plus(times(p.Output, max(completion, 0)))
}

func (p Price) at(prompt int64) Price {
	if p.Long != nil && p.LongAbove > 0 && prompt > p.LongAbove {
		return *p.Long
	}
	return p
}

func (p Price) or(special USD) USD {
	if special == 0 {
		return p.Input
	}
	return special
}

// times prices tokens at an amount for a million of them, in 128 bits.
func times(perMillion USD, tokens int64) USD {
	const million = 1_000_000
	if perMillion <= 0 || tokens <= 0 {
		return 0
	}
	hi, lo := bits.Mul64(uint64(perMillion), uint64(tokens))
	lo, carry := bits.Add64(lo, million/2, 0)
	if hi += carry; hi >= million {
		return math.MaxInt64
	}
	quotient, _ := bits.Div64(hi, lo, million)
	if quotient > math.MaxInt64 {
		return math.MaxInt64
	}
	return USD(quotient)
}

// ErrBadPrice is a price that cannot be right.
var ErrBadPrice = errors.New("holysheep: bad price")

// No model costs a thousand dollars for a million tokens; a figure above is in another unit.
const absurdPrice = 1000 * dollar

// problems lists what is wrong with a price.
func (p Price) problems(model string) []error {
	var errs []error
	bad := func(field, reason string) {
		errs = append(errs, fmt.Errorf("%w: %s, %s: %s", ErrBadPrice, model, field, reason))
	}
	for _, f := range []struct {
		field string
		value USD
	}{
		{"input", p.Input},
		{"cached_input", p.CachedInput},
		{"cache_write", p.CacheWrite},
		{"output", p.Output},
	} {
		if f.value < 0 {
			bad(f.field, "negative")
		}
		if f.value > absurdPrice {
			bad(f.field, f.value.String()+" for a million tokens: is that the unit?")
		}
	}
	switch {
	case p.LongAbove < 0:
		bad("long_above", "negative")
	case (p.LongAbove > 0) != (p.Long != nil):
		bad("long_above", "it and long belong together")
	case p.Long != nil && p.Long.Long != nil:
		bad("long", "has a long price of its own")
	case p.Long != nil:
		errs = append(errs, p.Long.problems(model+", long")...)
	}
	return errs
}

// PriceTable is the prices of models at a date. It does not change and may be shared.
type PriceTable struct {
	date, source string
	prices       map[string]Price  // by the names as listed
	canonical    map[string]string // the listed name of each canonical one
}

// ListPrices are list prices as of 2026-11, the default. Where sources conflict the table holds the higher
// plausible figure, so that a budget errs on the safe side.
func ListPrices() *PriceTable { return listPrices }

// AdvertisedPrices is HolySheep's published table of 2026 to the letter. It is not the default: its input prices
// of $0.0001 for a million tokens (gemini-2.5-flash, deepseek-v3.2) are some 3,000 times below every upstream list
// price, and a budget that believed them would let through many times what it should.
func AdvertisedPrices() *PriceTable { return advertisedPrices }

var listPrices = mustTable("2026-11", "the providers' list prices, the higher plausible one where sources conflict", map[string]Price{
	"gpt-4.1":           {Input: 2 * dollar, CachedInput: dollar / 2, Output: 8 * dollar},
	"gpt-4.1-mini":      {Input: cents(40), CachedInput: cents(10), Output: cents(160)},
	"claude-sonnet-4.5": {Input: 3 * dollar, CachedInput: cents(30), CacheWrite: cents(375), Output: 15 * dollar},
	"claude-sonnet-4.6": {Input: 3 * dollar, CachedInput: cents(30), CacheWrite: cents(375), Output: 15 * dollar},
	"claude-haiku-4.5":  {Input: 1 * dollar, CachedInput: cents(10), CacheWrite: cents(125), Output: 5 * dollar},
	"gemini-2.5-flash":  {Input: cents(30), CachedInput: cents(75) / 10, Output: cents(250)},
	"gemini-2.5-pro": {
		Input: cents(125), CachedInput: cents(31), Output: 10 * dollar,
		LongAbove: 200_000,
		Long:      &Price{Input: cents(250), CachedInput: cents(625) / 10, Output: 15 * dollar},
	},
	"deepseek-v3.2":          {Input: cents(28), CachedInput: cents(28) / 10, Output: cents(42)},
	"text-embedding-3-small": {Input: cents(2)},
	"text-embedding-3-large": {Input: cents(13)},
})

var advertisedPrices = mustTable("2026", "HolySheep's published table", map[string]Price{
	"gpt-4.1":           {Input: 2 * dollar, Output: 8 * dollar},
	"claude-sonnet-4.5": {Input: 3 * dollar, Output: 15 * dollar},
	"gemini-2.5-flash":  {Input: dollar / 10_000, Output: cents(250)},
	"deepseek-v3.2":     {Input: dollar / 10_000, Output: cents(42)},
})

func cents(n int64) USD { return USD(n) * (dollar / 100) }

// mustTable is for the tables above, which a test checks.
func mustTable(date, source string, prices map[string]Price) *PriceTable {
	t := &PriceTable{date: date, source: source, prices: prices, canonical: map[string]string{}}
	for name := range prices {
		t.canonical[canonicalModel(name)] = name
	}
	return t
}

// Lookup gives the price of a model. Names are matched as gateways vary them: any case, dots or dashes, a vendor
// before a slash, a date or "latest" at the end.
func (t *PriceTable) Lookup(model string) (Price, bool) {
	if p, ok := t.prices[model]; ok {
		return p, true
	}
	name, ok := t.canonical[canonicalModel(model)]
	return t.prices[name], ok
}

// With gives a copy of the table in which the model has this price.
func (t *PriceTable) With(model string, p Price) (*PriceTable, error) {
	if model = strings.TrimSpace(model); model == "" {
		return nil, fmt.Errorf("%w: a model without a name", ErrBadPrice)
	}
	if errs := p.problems(model); errs != nil {
		return nil, errors.Join(errs...)
	}
	c := &PriceTable{date: t.date, source: t.source, prices: maps.Clone(t.prices), canonical: maps.Clone(t.canonical)}
	if c.prices == nil {
		c.prices, c.canonical = map[string]Price{}, map[string]string{}
	}
	canonical := canonicalModel(model)
	delete(c.prices, c.canonical[canonical])
	c.prices[model], c.canonical[canonical] = p, model
	return c, nil
}

// Date is when the prices were valid, as the table says: "2026-11".
func (t *PriceTable) Date() string { return t.date }

// Source is where the prices are from.
func (t *PriceTable) Source() string { return t.source }

// Models are the names in the table, sorted.
func (t *PriceTable) Models() []string { return slices.Sorted(maps.Keys(t.prices)) }

type tableJSON[P any] struct {
	Date   string       `json:"date"`
	Source string       `json:"source"`
	Models map[string]P `json:"models"`
}

// listedPrice tells a price of zero from one that was left out.
type listedPrice struct {
	Price

	Input  *USD `json:"input"`
	Output *USD `json:"output"`
}

// MarshalJSON writes the table, in dollars per million tokens.
func (t *PriceTable) MarshalJSON() ([]byte, error) {
	return json.Marshal(tableJSON[Price]{t.date, t.source, t.prices})
}

// UnmarshalJSON reads what MarshalJSON wrote:
//
//	{"date":"2026-11","source":"…","models":{"gpt-4.1":{"input":2.00,"cached_input":0.50,"output":8.00}}}
//
// The error matches ErrBadPrice and lists every problem: unknown or missing fields, prices that are negative or in another
// unit, two names for one model.
func (t *PriceTable) UnmarshalJSON(raw []byte) error {
	var in tableJSON[listedPrice]
	dec := json.NewDecoder(bytes.NewReader(raw))
	dec.DisallowUnknownFields()
	if err := dec.Decode(&in); err != nil {
		return fmt.Errorf("%w: %w", ErrBadPrice, err)
	}
	if _, err := dec.Token(); err != io.EOF {
		return fmt.Errorf("%w: more than one value", ErrBadPrice)
	}
	var errs []error
	next := &PriceTable{date: in.Date, source: in.Source, prices: map[string]Price{}, canonical: map[string]string{}}
	for _, name := range slices.Sorted(maps.Keys(in.Models)) {
		canonical := canonicalModel(name)
		switch twin, taken := next.canonical[canonical]; {
		case canonical == "":
			errs = append(errs, fmt.Errorf("%w: a model without a name", ErrBadPrice))
		case taken:
			errs = append(errs, fmt.Errorf("%w: %q and %q are one model", ErrBadPrice, twin, name))
		}
		listed := in.Models[name]
		if listed.Input == nil || listed.Output == nil {
			errs = append(errs, fmt.Errorf("%w: %s: input or output is missing", ErrBadPrice, name))
			continue
		}
		p := listed.Price
		p.Input, p.Output = *listed.Input, *listed.Output
		errs = append(errs, p.problems(name)...)
		next.prices[name], next.canonical[canonical] = p, name
	}
	if len(in.Models) == 0 {
		errs = append(errs, fmt.Errorf("%w: no models", ErrBadPrice))
	}
	if errs != nil {
		return errors.Join(errs...)
	}
	*t = *next
	return nil
}
