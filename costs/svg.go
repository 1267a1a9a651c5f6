package costs

import (
	"encoding/xml"
	"fmt"
	"io"
	"maps"
	"math"
	"slices"
	"strings"

	"github.com/holysheep-ai/holysheep-go"
)

// The picture's measures, in pixels.
const (
	chartLeft, chartRight, chartTop = 70, 24, 74
	chartHeight, chartFoot          = 240, 56
	leastSlot, mostSlot             = 46, 72 // a day, with the gap beside it
	leastWidth, mostDays            = 640, 62
)

// WriteSVG writes a chart of what may be billed a day, with the part that was wasted, and the limit if there is one: a
// picture that stands alone, for light and dark pages. Of more than 62 days the last are shown.
func (r *Report) WriteSVG(w io.Writer) error {
	days := slices.Sorted(maps.Keys(r.ByDay))
	days = days[max(len(days)-mostDays, 0):]
	top := max(r.Limit, 1)
	for _, day := range days {
		top = max(top, r.ByDay[day].AtMost)
	}
	step := axisStep(top)
	end := step
	for end < top && end < math.MaxInt64-step {
		end += step
	}
	slot := min(max((leastWidth-chartLeft-chartRight)/max(len(days), 1), leastSlot), mostSlot)
	width := max(leastWidth, chartLeft+len(days)*slot+chartRight)
	const base, total = chartTop + chartHeight, chartTop + chartHeight + chartFoot
	height := func(u holysheep.USD) float64 { return chartHeight * float64(u) / float64(end) }

	var b strings.Builder
	fmt.Fprintf(&b, `<svg xmlns="http://www.w3.org/2000/svg" viewBox="0 0 %[1]d %[2]d" width="%[1]d" height="%[2]d" role="img" font-family="sans-serif" font-size="12">
<style>text{fill:#24292f}.small{font-size:11px;paint-order:stroke;stroke:#ffffff;stroke-width:3px}.title{font-size:15px;font-weight:600}.axis{stroke:#8c959f;stroke-opacity:.4}.useful{fill:#2f81f7}.wasted{fill:#db6d28}.limit{stroke:#cf222e;stroke-dasharray:5 4}.paper{fill:#ffffff}
@media (prefers-color-scheme: dark){text{fill:#e6edf3}.paper{fill:#0d1117}.small{stroke:#0d1117}}</style>
<title>What each day may cost, in dollars</title>
<rect class="paper" width="100%%" height="100%%"/>
`, width, total)
	text := func(x, y float64, class, anchor, s string) {
		fmt.Fprintf(&b, `<text x="%.1f" y="%.1f" class="%s" text-anchor="%s">`, x, y, class, anchor)
		_ = xml.EscapeText(&b, []byte(s)) // a Builder does not fail
		b.WriteString("</text>\n")
	}
	bar := func(class string, x, y, width, height float64) {
		fmt.Fprintf(&b, `<rect class="%s" x="%.1f" y="%.1f" width="%.1f" height="%.1f"/>`+"\n", class, x, y, width, height)
	}
	across := func(class string, u holysheep.USD) float64 {
		y := base - height(u)
		fmt.Fprintf(&b, `<line class="%s" x1="%d" x2="%d" y1="%.1f" y2="%.1f"/>`+"\n", class, chartLeft, width-chartRight, y, y)
		return y
	}
	text(chartLeft, 24, "title", "start", "What each day may cost")
	bar("useful", chartLeft, 38, 12, 12)
	text(chartLeft+18, 48, "", "start", "brought answers")
	bar("wasted", chartLeft+150, 38, 12, 12)
	text(chartLeft+168, 48, "", "start", "wasted: cut short, left, repeated")
	for u := holysheep.USD(0); u <= end && u >= 0; u += step {
		text(chartLeft-8, across("axis", u)+4, "", "end", short(u))
	}
	for i, day := range days {
		s, x := r.ByDay[day], float64(chartLeft+i*slot)+float64(slot)/8
		wasted, all, wide := height(s.Wasted), height(s.AtMost), float64(slot)*3/4
		bar("useful", x, base-all, wide, all-wasted)
		bar("wasted", x, base-wasted, wide, wasted)
		text(x+wide/2, base-all-5, "small", "middle", short(s.AtMost))
		text(x+wide/2, base+16, "small", "middle", day[max(len(day)-5, 0):])
	}
	if r.Limit > 0 {
		across("limit", r.Limit)
		text(float64(width-chartRight), 48, "", "end", "- - limit "+short(r.Limit)+" a day")
	}
	text(chartLeft, base+40, "", "start", fmt.Sprintf("%d calls may cost %s, %s of it wasted. Days of %s.", r.Total.Calls, short(r.Total.AtMost), short(r.Total.Wasted), r.Zone))
	b.WriteString("</svg>\n")
	_, err := io.WriteString(w, b.String())
	return err
}

// axisStep divides up to top into about five round parts.
func axisStep(top holysheep.USD) holysheep.USD {
	step := holysheep.USD(1)
	for step < top/5 && step < math.MaxInt64/10 {
		step *= 10
	}
	for _, part := range []holysheep.USD{5, 2} { // a fifth or a half of it is round, too
		if finer := step / part; finer >= top/6 && finer > 0 {
			return finer
		}
	}
	return step
}

// short is an amount with as many decimals as its size needs.
func short(u holysheep.USD) string {
	switch d := u.Dollars(); {
	case d == 0:
		return "$0"
	case d < 0.01:
		return fmt.Sprintf("$%.5f", d)
	case d < 1:
		return fmt.Sprintf("$%.3f", d)
	case d < 1000:
		return fmt.Sprintf("$%.2f", d)
	}
	return fmt.Sprintf("$%.0f", u.Dollars())
}
