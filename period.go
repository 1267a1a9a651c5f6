package holysheep

import (
	"fmt"
	"strconv"
	"time"
)

// Period is how long a budget's limit lasts before it starts anew: one of the constants, or the length of a fixed
// window as time.ParseDuration reads it ("15m"). Windows are counted from 1970-01-01 00:00 UTC.
type Period string

// The periods of a calendar, which is that of the budget's Zone: a day that is 23 or 25 hours long is one day.
const (
	Total   Period = ""      // for ever
	Daily   Period = "day"   // from midnight
	Weekly  Period = "week"  // from Monday
	Monthly Period = "month" // from the first
)

// span is one period: its name in account keys, and its bounds. Without an end it is for ever.
type span struct {
	name       string
	start, end time.Time
}

func (s *span) contains(t time.Time) bool {
	return s.end.IsZero() || !t.Before(s.start) && t.Before(s.end)
}

// shortestWindow keeps the accounts of a budget few.
const shortestWindow = time.Second

// window is the length of a fixed window, 0 for the constants.
func (p Period) window() (time.Duration, error) {
	switch p {
	case Total, Daily, Weekly, Monthly:
		return 0, nil
	}
	d, err := time.ParseDuration(string(p))
	if err != nil {
		return 0, fmt.Errorf("%q is neither day, week, month nor a length like 15m", string(p))
	}
	if d < shortestWindow {
		return 0, fmt.Errorf("%v is shorter than %v", d, shortestWindow)
	}
	return d, nil
}

// at gives the period that t is in.
func (p Period) at(t time.Time, zone *time.Location) *span {
	t = t.In(zone)
	year, month, day := t.Date()
	switch p {
	case Total:
		return &span{name: "total"}
	case Daily:
		return &span{t.Format("2006-01-02"), midnight(year, month, day, zone), midnight(year, month, day+1, zone)}
	case Weekly:
		monday := day - (int(t.Weekday())+6)%7
		y, w := t.ISOWeek()
		return &span{fmt.Sprintf("%d-W%02d", y, w), midnight(year, month, monday, zone), midnight(year, month, monday+7, zone)}
	case Monthly:
		return &span{t.Format("2006-01"), midnight(year, month, 1, zone), midnight(year, month+1, 1, zone)}
	}
	length, _ := p.window() // checked when the budget was
	sinceEpoch := t.Sub(time.Unix(0, 0))
	start := time.Unix(0, 0).Add(sinceEpoch - sinceEpoch%length)
	return &span{length.String() + "@" + strconv.FormatInt(start.Unix(), 10), start, start.Add(length)}
}

// midnight is when a date begins, which is not 00:00 where clocks are put forward at that time.
func midnight(year int, month time.Month, day int, zone *time.Location) time.Time {
	t := time.Date(year, month, day, 0, 0, 0, 0, zone)
	want := time.Date(year, month, day, 12, 0, 0, 0, zone).Day()
	for t.Day() != want {
		t = t.Add(15 * time.Minute)
	}
	return t
}
