package main

import (
	"bytes"
	"fmt"
	"strings"
	"time"
)

// The picture: what came of the questions of each minute.
const (
	width, left, right = 900, 60, 250
	panel, gap, top    = 150, 50, 50
)

var colours = []string{"#9aa5b1", "#c65d21", "#0b6e4f", "#2cb1bc", "#7b61d1"}

// panels are drawn below one another.
var panels = []struct {
	name string
	most func(drawn []*result) float64
	step float64
	of   func(m *minute) (float64, bool)
}{
	{"answered within 20 s, %", fixed(100), 25, func(m *minute) (float64, bool) {
		return 100 * float64(m.answered) / float64(max(m.asked, 1)), m.asked > 0
	}},
	{"latency of the answers, p95, s", fixed(20), 5, func(m *minute) (float64, bool) {
		_, _, latencies, _ := total([]minute{*m})
		return quantile(latencies, 0.95).Seconds(), len(latencies) > 0
	}},
	{"spent, cents a minute", func(drawn []*result) float64 {
		most := 1.0
		for _, r := range drawn {
			for i := range r.minutes {
				most = max(most, 100*r.minutes[i].cost.Dollars())
			}
		}
		return most * 1.1
	}, 0, func(m *minute) (float64, bool) { return 100 * m.cost.Dollars(), true }},
}

func fixed(v float64) func([]*result) float64 { return func([]*result) float64 { return v } }

// draw makes an SVG of some results over time; the brown-out is shaded.
func draw(drawn []*result, length time.Duration) []byte {
	var b bytes.Buffer
	height := top + len(panels)*(panel+gap)
	fmt.Fprintf(&b, `<svg xmlns="http://www.w3.org/2000/svg" viewBox="0 0 %d %d" font-family="sans-serif" font-size="12">`+"\n", width, height)
	fmt.Fprintf(&b, `<rect width="%d" height="%d" fill="white"/>`+"\n<title>An hour of 50,000 questions, with a brown-out</title>\n", width, height)
	x := func(part float64) float64 { return left + part*(width-left-right) }
	for i, p := range panels {
		y := float64(top + i*(panel+gap))
		most := p.most(drawn)
		from, to := x(float64(length-brownoutFor)/2/float64(length)), x(float64(length+brownoutFor)/2/float64(length))
		fmt.Fprintf(&b, `<rect x="%.1f" y="%.1f" width="%.1f" height="%d" fill="#f3ece4"/>`+"\n", from, y, to-from, panel)
		fmt.Fprintf(&b, `<text x="%d" y="%.1f" font-weight="bold">%s</text>`+"\n", left, y-10, p.name)
		step := p.step
		if step == 0 {
			step = most / 4
		}
		for v := 0.0; v <= most+1e-9; v += step {
			at := y + panel*(1-v/most)
			fmt.Fprintf(&b, `<line x1="%d" x2="%d" y1="%.1f" y2="%.1f" stroke="#e4e7eb"/>`, left, width-right, at, at)
			fmt.Fprintf(&b, `<text x="%d" y="%.1f" text-anchor="end" fill="#52606d">%.3g</text>`+"\n", left-8, at+4, v)
		}
		for j, r := range drawn {
			line := path(r, p.of, func(part, v float64) (float64, float64) { return x(part), y + panel*(1-min(v/most, 1)) })
			fmt.Fprintf(&b, `<path d="%s" fill="none" stroke="%s" stroke-width="2"/>`+"\n", line, colours[j%len(colours)])
		}
	}
	for j, r := range drawn {
		y := top + 10 + 20*j
		fmt.Fprintf(&b, `<line x1="%d" x2="%d" y1="%d" y2="%d" stroke="%s" stroke-width="3"/>`, width-right+15, width-right+40, y, y, colours[j%len(colours)])
		fmt.Fprintf(&b, `<text x="%d" y="%d">%s</text>`+"\n", width-right+46, y+4, r.name)
	}
	fmt.Fprintf(&b, `<text x="%d" y="%d" fill="#52606d">minutes; shaded: a fifth of the capacity</text>`+"\n", left, height-20)
	fmt.Fprintln(&b, "</svg>")
	return b.Bytes()
}

// path goes through the minutes that have a value.
func path(r *result, of func(*minute) (float64, bool), at func(part, v float64) (x, y float64)) string {
	var b strings.Builder
	verb := "M"
	for i := range r.minutes {
		v, ok := of(&r.minutes[i])
		if !ok {
			verb = "M"
			continue
		}
		x, y := at((float64(i)+0.5)/float64(len(r.minutes)), v)
		fmt.Fprintf(&b, "%s%.1f %.1f", verb, x, y)
		verb = "L"
	}
	return b.String()
}
