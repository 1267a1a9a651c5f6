package costs

import (
	"encoding/xml"
	"fmt"
	"io"
	"maps"
	"slices"
	"strings"

	"github.com/holysheep-ai/holysheep-go"
)

// The picture's measures, in pixels.
const (
	chartLeft, chartTop     = 70, 50
	chartHeight, chartFoot  = 240, 60
	barWidth, barGap        = 36, 14
	leastWidth, mostBarDays = 420, 62
)

// WriteSVG writes a chart of what may be billed a day, with the part that was wasted, and the limit if there is one: a
// picture that stands alone, for light and dark pages. Of more than 62 days the last are shown.
func (r *Report) WriteSVG(w io.Writer) error {
	days := slices.Sorted(maps.Keys(r.ByDay))
	if len(days) > mostBarDays {
		days = days[len(days)-mostBarDays:]
	}
	top := max(r.Limit, 1)
	for _, day := range days {
		top = max(top, r.ByDay[day].AtMost)
	}
	height := func(u holysheep.USD) float64 { return chartHeight * float64(u) / float64(top) }
	width := max(leastWidth, chartLeft+len(days)*(barWidth+barGap)+barGap)
	var b strings.Builder
	fmt.Fprintf(&b, `<svg xmlns="http://www.w3.org/2000/svg" viewBox="0 0 %d %d" width="%d" height="%d" role="img" font-family="sans-serif" font-size="12">
<style>text{fill:#24292f}.axis{stroke:#8c959f}.useful{fill:#2f81f7}.wasted{fill:#db6d28}.limit{stroke:#cf222e;stroke-dasharray:5 4}.paper{fill:#ffffff}
@media (prefers-color-scheme: dark){text{fill:#e6edf3}.paper{fill:#0d1117}}</style>
<title>What each day cost, in dollars</title>
<rect class="paper" width="100%%" height="100%%"/>
`, width, chartTop+chartHeight+chartFoot, width, chartTop+chartHeight+chartFoot)
	text := func(x, y float64, anchor, s string) {
		fmt.Fprintf(&b, `<text x="%.1f" y="%.1f" text-anchor="%s">`, x, y, anchor)
		_ = xml.EscapeText(&b, []byte(s)) // a Builder does not fail
		b.WriteString("</text>\n")
	}
	fmt.Fprintf(&b, `<rect class="useful" x="%d" y="14" width="12" height="12"/><rect class="wasted" x="%d" y="14" width="12" height="12"/>`+"\n", chartLeft, chartLeft+110)
	text(chartLeft+18, 25, "start", "brought answers")
	text(chartLeft+128, 25, "start", "wasted")
	for i := range 5 {
		u := holysheep.USD(float64(top) * float64(i) / 4)
		y := chartTop + chartHeight - height(u)
		fmt.Fprintf(&b, `<line class="axis" x1="%d" x2="%d" y1="%.1f" y2="%.1f" stroke-opacity="0.4"/>`+"\n", chartLeft, width-barGap, y, y)
		text(chartLeft-6, y+4, "end", short(u))
	}
	for i, day := range days {
		s, x := r.ByDay[day], float64(chartLeft+barGap+i*(barWidth+barGap))
		wasted, all := height(s.Wasted), height(s.AtMost)
		base := float64(chartTop + chartHeight)
		fmt.Fprintf(&b, `<rect class="useful" x="%.1f" y="%.1f" width="%d" height="%.1f"/><rect class="wasted" x="%.1f" y="%.1f" width="%d" height="%.1f"/>`+"\n",
			x, base-all, barWidth, all-wasted, x, base-wasted, barWidth, wasted)
		text(x+barWidth/2, base-all-4, "middle", short(s.AtMost))
		text(x+barWidth/2, base+16, "middle", day[max(len(day)-5, 0):])
	}
	if r.Limit > 0 {
		y := chartTop + chartHeight - height(r.Limit)
		fmt.Fprintf(&b, `<line class="limit" x1="%d" x2="%d" y1="%.1f" y2="%.1f"/>`+"\n", chartLeft, width-barGap, y, y)
		text(float64(width-barGap), y-5, "end", "limit "+short(r.Limit))
	}
	text(chartLeft, chartTop+chartHeight+42, "start", fmt.Sprintf("%s to be billed at most, %s of it wasted; %d calls; days of %s",
		short(r.Total.AtMost), short(r.Total.Wasted), r.Total.Calls, r.Zone))
	b.WriteString("</svg>\n")
	_, err := io.WriteString(w, b.String())
	return err
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
