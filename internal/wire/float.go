package wire

import (
	"math"
	"strconv"
	"unsafe"
)

// exactPowers are the powers of ten that a float64 holds exactly.
var exactPowers = [...]float64{
	1, 1e1, 1e2, 1e3, 1e4, 1e5, 1e6, 1e7, 1e8, 1e9, 1e10, 1e11, 1e12, 1e13, 1e14, 1e15, 1e16, 1e17, 1e18, 1e19, 1e20, 1e21, 1e22,
}

// parseFloat32 reads the JSON number that starts at s[i], to the same float32 as strconv and encoding/json, and tells
// where it ends. What is too large is infinite. It is written by hand because a vector has hundreds of numbers: most
// have a mantissa that a float64 holds, and one division then gives the float64 nearest to the number.
func parseFloat32(s string, i int) (f float32, next int, ok bool) {
	start := i
	negative := i < len(s) && s[i] == '-'
	if negative {
		i++
	}
	var mantissa uint64
	first := i
	for ; i < len(s) && isDigit(s[i]); i++ {
		mantissa = mantissa*10 + uint64(s[i]-'0')
	}
	digits := i - first
	if digits == 0 || digits > 1 && s[first] == '0' {
		return 0, i, false
	}
	exponent := 0
	if i < len(s) && s[i] == '.' {
		i++
		first = i
		for ; i < len(s) && isDigit(s[i]); i++ {
			mantissa = mantissa*10 + uint64(s[i]-'0')
		}
		exponent = first - i
		if exponent == 0 {
			return 0, i, false
		}
		digits -= exponent
	}
	if i < len(s) && s[i]|0x20 == 'e' {
		var power int
		if power, i, ok = parsePower(s, i+1); !ok {
			return 0, i, false
		}
		exponent += power
	}
	// Up to 19 digits fit into the mantissa without an overflow.
	if digits <= 19 && mantissa < 1<<53 && -22 <= exponent && exponent <= 22 {
		v := float64(mantissa)
		if exponent < 0 {
			v /= exactPowers[-exponent]
		} else {
			v *= exactPowers[exponent]
		}
		// Rounding twice is rounding once, unless the first result lies half-way between two float32s.
		if math.Float64bits(v)&(1<<29-1) != 1<<28 {
			if negative {
				v = -v
			}
			return float32(v), i, true
		}
	}
	v, _ := strconv.ParseFloat(s[start:i], 32) // the syntax is right, and what is out of range is infinite
	return float32(v), i, true
}

// parsePower reads the exponent of a number; one of more than four digits is as good as any other.
func parsePower(s string, i int) (power, next int, ok bool) {
	negative := i < len(s) && s[i] == '-'
	if negative || i < len(s) && s[i] == '+' {
		i++
	}
	first := i
	for ; i < len(s) && isDigit(s[i]); i++ {
		power = min(power*10+int(s[i]-'0'), 10_000)
	}
	if negative {
		power = -power
	}
	return power, i, i > first
}

// stringBytes gives the bytes of a string, which nobody may write to.
func stringBytes(s string) []byte { return unsafe.Slice(unsafe.StringData(s), len(s)) }
