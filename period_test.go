package holysheep

import (
	"testing"
	"time"
	_ "time/tzdata" // the tests name zones

	"github.com/stretchr/testify/require"
)

func TestPeriods(t *testing.T) {
	for _, r := range []struct {
		period     Period
		zone, when string
		name       string
		start, end string
		length     time.Duration
	}{
		{Daily, "Asia/Shanghai", "2026-11-24T15:59:59Z", "2026-11-24", "2026-11-23T16:00:00Z", "2026-11-24T16:00:00Z", 24 * time.Hour},
		{Daily, "Asia/Shanghai", "2026-11-24T16:00:00Z", "2026-11-25", "2026-11-24T16:00:00Z", "2026-11-25T16:00:00Z", 24 * time.Hour},
		{Daily, "America/New_York", "2026-03-08T12:00:00Z", "2026-03-08", "2026-03-08T05:00:00Z", "2026-03-09T04:00:00Z", 23 * time.Hour},
		{Daily, "America/New_York", "2026-11-01T05:30:00Z", "2026-11-01", "2026-11-01T04:00:00Z", "2026-11-02T05:00:00Z", 25 * time.Hour},
		{Daily, "America/New_York", "2026-11-02T04:59:59Z", "2026-11-01", "2026-11-01T04:00:00Z", "2026-11-02T05:00:00Z", 25 * time.Hour},
		// Midnight did not exist: the day began at 01:00.
		{Daily, "America/Sao_Paulo", "2018-11-04T03:00:00Z", "2018-11-04", "2018-11-04T03:00:00Z", "2018-11-05T02:00:00Z", 23 * time.Hour},
		{Daily, "America/Sao_Paulo", "2018-11-04T02:59:59Z", "2018-11-03", "2018-11-03T03:00:00Z", "2018-11-04T03:00:00Z", 24 * time.Hour},
		{Weekly, "UTC", "2026-11-24T12:00:00Z", "2026-W48", "2026-11-23T00:00:00Z", "2026-11-30T00:00:00Z", 7 * 24 * time.Hour},
		{Weekly, "UTC", "2027-01-03T12:00:00Z", "2026-W53", "2026-12-28T00:00:00Z", "2027-01-04T00:00:00Z", 7 * 24 * time.Hour},
		{Monthly, "America/New_York", "2026-11-30T12:00:00Z", "2026-11", "2026-11-01T04:00:00Z", "2026-12-01T05:00:00Z", 30*24*time.Hour + time.Hour},
		{Monthly, "UTC", "2026-12-31T23:59:59Z", "2026-12", "2026-12-01T00:00:00Z", "2027-01-01T00:00:00Z", 31 * 24 * time.Hour},
		{"15m", "UTC", "2026-11-24T12:14:59Z", "15m0s@1795521600", "2026-11-24T12:00:00Z", "2026-11-24T12:15:00Z", 15 * time.Minute},
	} {
		zone, err := time.LoadLocation(r.zone)
		require.NoError(t, err)
		when, err := time.Parse(time.RFC3339, r.when)
		require.NoError(t, err)
		got := r.period.at(when, zone)
		require.Equal(t, r.name, got.name, "%s in %s at %s", r.period, r.zone, r.when)
		require.Equal(t, r.start, got.start.UTC().Format(time.RFC3339), r.when)
		require.Equal(t, r.end, got.end.UTC().Format(time.RFC3339), r.when)
		require.Equal(t, r.length, got.end.Sub(got.start))
		require.True(t, got.contains(when))
		require.False(t, got.contains(got.end))
		require.False(t, got.contains(got.start.Add(-1)))
	}
}

// Every quarter of an hour of ten years belongs to exactly one day, and days follow each other without a gap.
func TestDaysHaveNoGaps(t *testing.T) {
	for _, name := range []string{"Asia/Shanghai", "America/New_York", "America/Sao_Paulo", "Africa/Cairo", "Asia/Beirut", "Pacific/Apia", "Australia/Lord_Howe"} {
		zone, err := time.LoadLocation(name)
		require.NoError(t, err)
		end := time.Date(2020, 1, 1, 0, 0, 0, 0, time.UTC)
		day := Daily.at(time.Date(2010, 1, 1, 0, 0, 0, 0, time.UTC), zone)
		for day.end.Before(end) {
			next := Daily.at(day.end, zone)
			if !next.start.Equal(day.end) || !next.contains(day.end) || next.name <= day.name {
				t.Fatalf("%s: after %s (until %v) comes %s (from %v)", name, day.name, day.end, next.name, next.start)
			}
			day = next
		}
	}
}
