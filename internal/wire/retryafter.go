package wire

import (
	"errors"
	"math"
	"net/http"
	"strconv"
	"strings"
	"time"
)

// RetryAfter reads how long a server asks to wait: retry-after-ms, or Retry-After in seconds (fractions allowed)
// or as an HTTP date, which counts from now. A date in the past is no wait, and a wait that no Duration can hold
// is the longest one. ok is false when there is no hint, or none that makes sense.
func RetryAfter(h http.Header, now time.Time) (d time.Duration, ok bool) {
	if d, ok := wait(h.Get("Retry-After-Ms"), time.Millisecond); ok {
		return d, true
	}
	hint := h.Get("Retry-After")
	if d, ok := wait(hint, time.Second); ok {
		return d, true
	}
	at, err := http.ParseTime(strings.TrimSpace(hint))
	if err != nil {
		return 0, false
	}
	return max(0, at.Sub(now)), true
}

// wait reads a decimal number of units.
func wait(number string, unit time.Duration) (time.Duration, bool) {
	number = strings.TrimSpace(number)
	if number == "" || strings.Trim(number, "0123456789.eE+-") != "" {
		return 0, false // ParseFloat also takes hexadecimal, infinities and NaN
	}
	n, err := strconv.ParseFloat(number, 64)
	if err != nil && !errors.Is(err, strconv.ErrRange) || n < 0 {
		return 0, false
	}
	if n *= float64(unit); n >= math.MaxInt64 {
		return math.MaxInt64, true
	}
	return time.Duration(n), true
}
