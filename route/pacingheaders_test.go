package route

import (
	"testing"
	"time"
)

func FuzzParseReset(f *testing.F) {
	for _, s := range []string{
		"1", "1.5", "6m0s", "20ms", "1700000000", "1700000000000", "2026-11-26T07:00:00Z", "Thu, 26 Nov 2026 07:00:00 GMT",
		"-1", "-5s", "NaN", "Inf", "1e300", "0x1p-2", "",
	} {
		f.Add(s)
	}
	now := time.Date(2026, 11, 26, 7, 0, 0, 0, time.UTC)
	f.Fuzz(func(t *testing.T, s string) {
		if d, ok := parseReset(s, now); ok && (d < 0 || d > maxHint) {
			t.Fatalf("%q is %v", s, d)
		}
	})
}
