package holysheep

import (
	"bytes"
	"cmp"
	"encoding/json"
	"errors"
	"fmt"
	"maps"
	"math"
	"math/bits"
	"slices"
	"strconv"
	"strings"
)

// Price is what a model costs, in dollars per million tokens. Cached and cache-write tokens are parts of the prompt,
// reasoning tokens are output tokens.
type Price struct {
	Input       USD `json:"input"`
	CachedInput USD `json:"cached_input,omitzero"` // read from the provider's cache; 0: as Input
	CacheWrite  USD `json:"cache_write,omitzero"`  // written to it; 0: as Input
	Output      USD `json:"output"`

	// Above so many prompt tokens the whole call is priced at Long. 0: always at this price.
	LongAbove int64  `json:"long_above,omitzero"`
	Long      *Price `json:"long,omitempty"`
}

// Of is the exact price of a usage, rounded once to the nearest picodollar, half up; what is too large to hold is
// the largest amount. Counts that cannot be (negative, more cached tokens than prompt tokens) are taken for the
// nearest that can.
func (p Price) Of(u Usage) USD {
	p = p.at(u.PromptTokens)
	prompt := max(u.PromptTokens, 0)
	cached := min(max(u.CachedTokens, 0), prompt)
	written := min(max(u.CacheWriteTokens, 0), prompt-cached)
	var b bill
	b.add(p.Input, prompt-cached-written)
	b.add(cmp.Or(p.CachedInput, p.Input), cached)
	b.add(cmp.Or(p.CacheWrite, p.Input), written)
	b.add(p.Output, u.CompletionTokens)
	return b.total()
}

// worst is the most that a call with so many tokens can cost, however its prompt is cached.
func (p Price) worst(prompt, completion int64) USD {
	p = p.at(prompt)
	var b bill
	b.add(max(p.Input, p.CachedInput, p.CacheWrite), prompt)
	b.add(p.Output, completion)
	return b.total()
}

func (p Price) at(prompt int64) Price {
	if p.Long != nil && p.LongAbove > 0 && prompt > p.LongAbove {
		return *p.Long
	}
	return p
}

// bill adds up tokens times prices in 128 bits. Rounding the sum alone, and not its parts, is what keeps worst above
// every Of.
type bill struct{ hi, lo uint64 }

func (b *bill) add(perMillion USD, tokens int64) {
	hi, lo := bits.Mul64(uint64(max(perMillion, 0)), uint64(max(tokens, 0)))
	var carry uint64
	b.lo, carry = bits.Add64(b.lo, lo, 0)
	b.hi += hi + carry // four products of 63 bits each fit
}

func (b *bill) total() USD {
	const million = 1_000_000
	lo, carry := bits.Add64(b.lo, million/2, 0)
	hi := b.hi + carry
	if hi >= million {
		return math.MaxInt64
	}
	quotient, _ := bits.Div64(hi, lo, million)
	return USD(min(quotient, math.MaxInt64))
}

// ErrBadPrice is a price that cannot be right. The error that wraps it says which one, and why.
var ErrBadPrice = errors.New("holysheep: bad price")

func badPrice(where, reason string) error {
	return fmt.Errorf("%w: %s: %s", ErrBadPrice, where, reason)
}

// What a price for a million tokens may be, unless it is 0. A price above is one for something else; one below is a
// price for a single token: the lowest that anybody has published is HolySheep's $0.0001.
const (
	highestPrice = 1000 * dollar
	lowestPrice  = dollar / 10_000
)

// problems lists what is wrong with a price.
func (p Price) problems(model string) []error {
	var errs []error
	bad := func(field, reason string) { errs = append(errs, badPrice(model+", "+field, reason)) }
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
		if f.value > highestPrice || f.value > 0 && f.value < lowestPrice {
			bad(f.field, f.value.String()+" for a million tokens: is that the unit?")
		}
	}
	switch {
	case p.LongAbove < 0:
		bad("long_above", "negative")
	case (p.LongAbove > 0) != (p.Long != nil):
		bad("long_above", "it and long belong together")
	case p.Long != nil && (p.Long.Long != nil || p.Long.LongAbove != 0):
		bad("long", "has a long price of its own")
	case p.Long != nil:
		errs = append(errs, p.Long.problems(model+", long")...)
	}
	return errs
}

// PriceTable is the prices of models at a date. It does not change and is safe to share; With makes a changed copy.
// The zero table is empty.
type PriceTable struct {
	date, source string
	prices       map[string]Price  // by the names as listed
	canonical    map[string]string // the listed name of each canonical one
}

// ListPrices are the list prices of OpenAI, Anthropic, Google and DeepSeek as of 2026-11, the default. Where sources
// conflict the table holds the higher plausible figure, so that a budget errs on the safe side.
func ListPrices() *PriceTable { return listPrices }

// AdvertisedPrices is HolySheep's published table of 2026 to the letter. It is not the default: its input prices
// of $0.0001 for a million tokens (gemini-2.5-flash, deepseek-v3.2) are some 3,000 times below every upstream list
// price, and a budget that believed them would let through many times what it should.
func AdvertisedPrices() *PriceTable { return advertisedPrices }

var listPrices = mustTable("2026-11", "the providers' list prices, the higher plausible one where sources conflict", map[string]Price{
	"gpt-4.1":           {Input: 2 * dollar, CachedInput: dollar / 2, Output: 8 * dollar},
	"gpt-4.1-mini":      {Input: cents(40), CachedInput: cents(10), Output: cents(160)},
	"claude-sonnet-4.5": {Input: 3 * dollar, CachedInput: cents(30), CacheWrite: cents(375), Output: 15 * dollar},
	"claude-sonnet-4-6": {Input: 3 * dollar, CachedInput: cents(30), CacheWrite: cents(375), Output: 15 * dollar},
	"claude-haiku-4-5":  {Input: 1 * dollar, CachedInput: cents(10), CacheWrite: cents(125), Output: 5 * dollar},
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
// before a slash, a date or "latest" at the end. What Long points to belongs to the table and must not be changed.
func (t *PriceTable) Lookup(model string) (Price, bool) {
	if p, ok := t.prices[model]; ok {
		return p, true
	}
	name, ok := t.canonical[canonicalModel(model)]
	return t.prices[name], ok
}

// With gives a copy of the table in which the model, under whichever of its names, has this price. The error matches
// ErrBadPrice and lists everything that is wrong with the price. A price of zero is a free model.
func (t *PriceTable) With(model string, p Price) (*PriceTable, error) {
	model = strings.TrimSpace(model)
	canonical := canonicalModel(model)
	if canonical == "" {
		return nil, badPrice(strconv.Quote(model), noName)
	}
	if errs := p.problems(model); errs != nil {
		return nil, errors.Join(errs...)
	}
	if p.Long != nil {
		p.Long = new(*p.Long)
	}
	c := &PriceTable{date: t.date, source: t.source, prices: maps.Clone(t.prices), canonical: maps.Clone(t.canonical)}
	if c.prices == nil {
		c.prices, c.canonical = map[string]Price{}, map[string]string{}
	}
	delete(c.prices, c.canonical[canonical])
	c.prices[model], c.canonical[canonical] = p, model
	return c, nil
}

const noName = "a model without a name"

// Date is when the prices were valid, as the table says: "2026-11".
func (t *PriceTable) Date() string { return t.date }

// Source is where the prices are from.
func (t *PriceTable) Source() string { return t.source }

// Models are the names in the table, sorted.
func (t *PriceTable) Models() []string { return slices.Sorted(maps.Keys(t.prices)) }

// MarshalJSON writes the table; prices are dollars per million tokens.
func (t *PriceTable) MarshalJSON() ([]byte, error) {
	return json.Marshal(struct {
		Date   string           `json:"date"`
		Source string           `json:"source"`
		Models map[string]Price `json:"models"`
	}{t.date, t.source, t.prices})
}

// A table of every model there is takes less than a tenth of this.
const maxTable = 1 << 20

// UnmarshalJSON reads what MarshalJSON writes, up to 1 MiB of it:
//
//	{"date":"2026-11","source":"…","models":{"gpt-4.1":{"input":2.00,"cached_input":0.50,"output":8.00}}}
//
// The error matches ErrBadPrice and lists every problem with its model and field: unknown, missing or repeated fields,
// prices that are negative or in another unit, two names for one model. The table is then as it was.
func (t *PriceTable) UnmarshalJSON(raw []byte) error {
	if len(raw) > maxTable {
		return badPrice("the table", "larger than 1 MiB")
	}
	if err := json.Unmarshal(raw, new(json.RawMessage)); err != nil {
		return fmt.Errorf("%w: %w", ErrBadPrice, err)
	}
	var r tableReader
	next := r.table(raw)
	if r.errs != nil {
		return errors.Join(r.errs...)
	}
	*t = *next
	return nil
}

// tableReader reads valid JSON and collects all that is wrong with it. It goes member by member, because structs and
// maps take the last of two equal names without a word.
type tableReader struct{ errs []error }

func (r *tableReader) bad(where, reason string) { r.errs = append(r.errs, badPrice(where, reason)) }

func (r *tableReader) table(raw []byte) *PriceTable {
	t := &PriceTable{prices: map[string]Price{}, canonical: map[string]string{}}
	r.object("the table", raw, func(field string, value []byte) {
		switch field {
		case "date":
			r.value(field, value, &t.date)
		case "source":
			r.value(field, value, &t.source)
		case "models":
			r.object(field, value, func(model string, value []byte) { r.model(t, strings.TrimSpace(model), value) })
		default:
			r.bad(field, "unknown field")
		}
	})
	if len(t.prices) == 0 && r.errs == nil {
		r.bad("the table", "no models")
	}
	return t
}

func (r *tableReader) model(t *PriceTable, name string, raw []byte) {
	canonical := canonicalModel(name)
	if canonical == "" {
		r.bad(strconv.Quote(name), noName)
	}
	if twin, taken := t.canonical[canonical]; taken {
		r.bad(name, "the same model as "+twin)
	}
	p := r.price(name, raw, false)
	r.errs = append(r.errs, p.problems(name)...)
	t.prices[name], t.canonical[canonical] = p, name
}

// price reads a price, or the price for long prompts within one.
func (r *tableReader) price(model string, raw []byte, long bool) (p Price) {
	absent := map[string]*USD{
		"input": &p.Input, "cached_input": &p.CachedInput, "cache_write": &p.CacheWrite, "output": &p.Output,
	}
	r.object(model, raw, func(field string, value []byte) {
		where := model + ", " + field
		switch amount := absent[field]; {
		case amount != nil:
			var err error
			if *amount, err = readUSD(value); err != nil {
				r.bad(where, err.Error())
			}
			delete(absent, field)
		case field == "long_above" && !long:
			r.value(where, value, &p.LongAbove)
		case field == "long" && !long:
			p.Long = new(r.price(where, value, true))
		default:
			r.bad(where, "unknown field")
		}
	})
	for _, field := range []string{"input", "output"} {
		if absent[field] != nil {
			r.bad(model+", "+field, "missing")
		}
	}
	return p
}

func (r *tableReader) value(where string, raw []byte, into any) {
	if err := json.Unmarshal(raw, into); err != nil {
		r.bad(where, err.Error())
	}
}

// object calls member for each member of an object, in order.
func (r *tableReader) object(where string, raw []byte, member func(name string, value []byte)) {
	dec := json.NewDecoder(bytes.NewReader(raw))
	if start, _ := dec.Token(); start != json.Delim('{') {
		r.bad(where, "not an object")
		return
	}
	seen := map[string]bool{}
	for dec.More() {
		key, err := dec.Token()
		var value json.RawMessage
		if err == nil {
			err = dec.Decode(&value)
		}
		name, ok := key.(string)
		if err != nil || !ok {
			r.bad(where, "not JSON")
			return
		}
		if seen[name] {
			r.bad(where+", "+name, "given twice")
			continue
		}
		seen[name] = true
		member(name, value)
	}
}
