package route

import (
	"math"
	"net/http"
	"strconv"
	"strings"
	"time"
)

// rateHint is what an answer says about a limit of the gateway.
type rateHint struct {
	limit, remaining float64 // a limit of 0 is not known
	reset            time.Duration
}

// maxHint bounds every time that a gateway states.
const maxHint = 24 * time.Hour

// The names under which gateways state their limits, as net/http writes them. Those without a kind are of requests.
var (
	requestHints = [][3]string{
		{"X-Ratelimit-Limit-Requests", "X-Ratelimit-Remaining-Requests", "X-Ratelimit-Reset-Requests"},
		{"X-Ratelimit-Limit", "X-Ratelimit-Remaining", "X-Ratelimit-Reset"},
	}
	tokenHints = [][3]string{{"X-Ratelimit-Limit-Tokens", "X-Ratelimit-Remaining-Tokens", "X-Ratelimit-Reset-Tokens"}}
)

// readHint reads the first of names whose remaining is there.
func readHint(h http.Header, names [][3]string, now time.Time) (hint rateHint, ok bool) {
	for _, n := range names {
		remaining := h[n[1]]
		if len(remaining) == 0 {
			continue
		}
		if hint.remaining, ok = parseCount(remaining[0]); !ok {
			continue
		}
		if limit := h[n[0]]; len(limit) > 0 {
			hint.limit, _ = parseCount(limit[0])
		}
		if reset := h[n[2]]; len(reset) > 0 {
			hint.reset, _ = parseReset(reset[0], now)
		}
		return hint, true
	}
	return rateHint{}, false
}

// parseCount reads a number of requests or tokens.
func parseCount(s string) (float64, bool) {
	n, err := strconv.ParseFloat(strings.TrimSpace(s), 64)
	if err != nil || !(n >= 0 && n <= 1e15) { // written so that NaN fails it
		return 0, false
	}
	return n, true
}

// parseReset reads when a limit is whole again: a duration as Go writes it ("6m0s", "20ms"), seconds with fractions, a
// Unix time in seconds or milliseconds, RFC 3339 or an HTTP date. What is past is 0, and no more than a day is believed.
func parseReset(s string, now time.Time) (time.Duration, bool) {
	s = strings.TrimSpace(s)
	if len(s) > 64 {
		return 0, false
	}
	if n, err := strconv.ParseFloat(s, 64); err == nil {
		switch {
		case !(n >= 0 && n < math.MaxInt64/1e6): // NaN and infinities too
			return 0, false
		case n >= 1e11: // milliseconds since 1970, from 1973 on
			return boundHint(time.UnixMilli(int64(n)).Sub(now)), true
		case n >= 1e8: // seconds since 1970, likewise
			return boundHint(time.Unix(int64(n), 0).Sub(now)), true
		}
		return boundHint(time.Duration(min(n, maxHint.Seconds()) * float64(time.Second))), true
	}
	if d, err := time.ParseDuration(s); err == nil {
		return boundHint(d), d >= 0
	}
	if at, err := time.Parse(time.RFC3339, s); err == nil {
		return boundHint(at.Sub(now)), true
	}
	if at, err := http.ParseTime(s); err == nil {
		return boundHint(at.Sub(now)), true
	}
	return 0, false
}

func boundHint(d time.Duration) time.Duration { return min(max(d, 0), maxHint) }

// untilFree is how long until need permits are there, when not all of them are. Limits that fill steadily state when they
// are full again, so that a share of that time is enough; without a limit it is all of it.
func (h rateHint) untilFree(need float64) time.Duration {
	missing := need - h.remaining
	if missing <= 0 {
		return 0
	}
	if used := h.limit - h.remaining; h.limit > 0 && used > missing {
		return time.Duration(float64(h.reset) * missing / used)
	}
	return h.reset
}
