package wire

import (
	"math"
	"net/http"
	"testing"
	"time"

	"github.com/stretchr/testify/require"
)

var retryHints = []struct {
	name, millis, seconds string
	want                  time.Duration
	ok                    bool
}{
	{"none", "", "", 0, false},
	{"seconds", "", "7", 7 * time.Second, true},
	{"a fraction", "", "1.5", 1500 * time.Millisecond, true},
	{"spaces", "", " 7 ", 7 * time.Second, true},
	{"milliseconds", "250", "7", 250 * time.Millisecond, true},
	{"milliseconds make no sense", "soon", "7", 7 * time.Second, true},
	{"milliseconds negative", "-1", "7", 7 * time.Second, true},
	{"zero", "", "0", 0, true},
	{"negative", "", "-1", 0, false},
	{"negative zero", "", "-0", 0, true},
	{"not a number", "", "NaN", 0, false},
	{"infinite", "", "Inf", 0, false},
	{"hexadecimal", "", "0x10", 0, false},
	{"underscores", "", "1_0", 0, false},
	{"text", "", "soon", 0, false},
	{"an hour and more", "", "2892", 2892 * time.Second, true},
	{"longer than time", "", "1e30", math.MaxInt64, true},
	{"longer than numbers", "", "1e999", math.MaxInt64, true},
	{"just too long", "", "9223372036.8547758079", math.MaxInt64, true},
	{"smaller than numbers", "", "1e-999", 0, true},
	{"date", "", "Mon, 24 Nov 2025 16:00:30 GMT", 30 * time.Second, true},
	{"date gone by", "", "Mon, 24 Nov 2025 15:59:59 GMT", 0, true},
	{"date far away", "", "Fri, 31 Dec 9999 23:59:59 GMT", math.MaxInt64, true},
	{"no date", "", "Mon, 99 Nov 2025 16:00:30 GMT", 0, false},
}

func TestRetryAfter(t *testing.T) {
	now := time.Unix(1764000000, 0) // 2025-11-24 16:00:00 UTC
	for _, c := range retryHints {
		t.Run(c.name, func(t *testing.T) {
			h := http.Header{}
			if c.millis != "" {
				h.Set("Retry-After-Ms", c.millis)
			}
			h.Set("Retry-After", c.seconds)
			d, ok := RetryAfter(h, now)
			require.Equal(t, c.ok, ok)
			require.Equal(t, c.want, d)
		})
	}
}
