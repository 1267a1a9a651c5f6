package holysheep

import (
	"encoding/json"
	"errors"
	"fmt"
	"math"
	"strconv"
	"strings"
)

// USD is an amount of money in picodollars, 1e-12 $. That is exact for every price there is, and holds up to 9.2
// million dollars; Plus, Dollars and Price.Of stay at that instead of wrapping.
type USD int64

const dollar = 1_000_000_000_000

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

// String writes the exact amount, with at least two decimals: "$0.000123", "-$1.50".
func (u USD) String() string { return money("$", u.decimal(2)) }

// CNY writes the amount in yuan, at the user's rate of yuan for a dollar, to six decimals: "¥0.000886". It is for
// display only.
func (u USD) CNY(rate float64) string {
	return money("¥", shorten(strconv.FormatFloat(u.Dollars()*rate, 'f', 6, 64), 2))
}

func money(currency, amount string) string {
	if amount, negative := strings.CutPrefix(amount, "-"); negative {
		return "-" + currency + amount
	}
	return currency + amount
}

// decimal writes all digits of the amount in dollars, at least so many of them after the point.
func (u USD) decimal(least int) string {
	n, sign := uint64(u), ""
	if u < 0 {
		n, sign = -n, "-"
	}
	return sign + shorten(fmt.Sprintf("%d.%012d", n/dollar, n%dollar), least)
}

// shorten drops the zeros at the end of a decimal, but leaves so many digits after the point.
func shorten(s string, least int) string {
	least += strings.IndexByte(s, '.') + 1
	for len(s) > least && s[len(s)-1] == '0' {
		s = s[:len(s)-1]
	}
	return strings.TrimSuffix(s, ".")
}

// MarshalJSON writes dollars as a number with all its digits.
func (u USD) MarshalJSON() ([]byte, error) { return []byte(u.decimal(0)), nil }

// UnmarshalJSON reads dollars from a number, or from a string as String writes it, with or without the "$". Nothing
// is rounded: digits beyond the twelfth and amounts that are too large match ErrBadPrice, as does what is no number.
func (u *USD) UnmarshalJSON(raw []byte) error {
	n, err := readUSD(raw)
	if err != nil {
		return fmt.Errorf("%w: %w", ErrBadPrice, err)
	}
	*u = n
	return nil
}

func readUSD(raw []byte) (USD, error) {
	text := string(raw)
	if strings.HasPrefix(text, `"`) {
		if err := json.Unmarshal(raw, &text); err != nil {
			return 0, err
		}
	}
	n, err := parseUSD(text)
	if err != nil {
		return 0, fmt.Errorf("%.40q: %w", text, err)
	}
	return n, nil
}

// parseUSD reads a decimal number: 12.50, -$0.10 or 1e-4.
func parseUSD(s string) (USD, error) {
	s, negative := strings.CutPrefix(s, "-")
	mantissa, exponent := strings.TrimPrefix(s, "$"), 0
	if i := strings.IndexAny(mantissa, "eE"); i >= 0 {
		e, err := strconv.Atoi(mantissa[i+1:])
		if err != nil || e < -100 || e > 100 {
			return 0, errors.New("bad exponent")
		}
		mantissa, exponent = mantissa[:i], e
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
	shift := 12 + exponent - len(fraction)
	for ; shift < 0 && strings.HasSuffix(digits, "0"); shift++ {
		digits = digits[:len(digits)-1]
	}
	if shift < 0 {
		return 0, errors.New("finer than a picodollar")
	}
	if len(digits)+shift > 19 {
		return 0, errors.New("too large")
	}
	digits += strings.Repeat("0", shift)
	if negative {
		digits = "-" + digits
	}
	n, err := strconv.ParseInt(digits, 10, 64)
	if err != nil {
		return 0, errors.New("too large")
	}
	return USD(n), nil
}
