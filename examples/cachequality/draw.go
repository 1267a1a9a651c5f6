package main

import (
	"bytes"
	"fmt"
)

// The picture: hits above, wrong ones among them below, over the stream.
const (
	width, height = 760, 560
	left, right   = 60, 200
	top, gap      = 40, 60
	panel         = (height - 2*top - gap) / 2
)

var colours = []string{"#9aa5b1", "#627d98", "#c65d21", "#e9b949", "#0b6e4f", "#2cb1bc", "#7b61d1"}

// draw makes an SVG of the results.
func draw(results []result) []byte {
	var b bytes.Buffer
	fmt.Fprintf(&b, `<svg xmlns="http://www.w3.org/2000/svg" viewBox="0 0 %d %d" font-family="sans-serif" font-size="12">`+"\n", width, height)
	fmt.Fprintf(&b, `<rect width="%d" height="%d" fill="white"/>`+"\n", width, height)
	fmt.Fprintln(&b, `<title>Hits of a semantic cache, and how many of them are wrong</title>`)
	axes(&b, top, "hits, % of the questions", 100, 20)
	axes(&b, top+panel+gap, "wrong, % of the hits (over the four tenths of the stream before; what is above 10 is not shown)", 10, 2)
	fmt.Fprintf(&b, `<text x="%d" y="%d" text-anchor="middle">questions, from an empty cache on</text>`+"\n", (left+width-right)/2, height-8)
	for i := range results {
		r := &results[i]
		colour, dash := colours[i%len(colours)], ""
		if !r.guards {
			dash = ` stroke-dasharray="4 3"`
		}
		line(&b, colour, dash, top, 100, func(part int) (float64, bool) {
			c := r.sum(max(0, part-3), part+1)
			return 100 * float64(c.hits) / float64(max(c.questions, 1)), true
		})
		line(&b, colour, dash, top+panel+gap, 10, func(part int) (float64, bool) {
			c := r.sum(max(0, part-parts*4/10+1), part+1)
			return 100 * float64(c.wrong) / float64(max(c.hits, 1)), c.hits >= 30
		})
		if i < len(colours) {
			y := top + 10 + 18*i
			fmt.Fprintf(&b, `<line x1="%d" x2="%d" y1="%d" y2="%d" stroke="%s" stroke-width="2"/>`+"\n", width-right+15, width-right+40, y, y, colour)
			fmt.Fprintf(&b, `<text x="%d" y="%d">%s</text>`+"\n", width-right+46, y+4, r.name)
		}
	}
	fmt.Fprintf(&b, `<text x="%d" y="%d" fill="#52606d">solid: guards on, dashed: off</text>`+"\n", width-right+15, top+10+18*len(colours)+10)
	fmt.Fprintln(&b, "</svg>")
	return b.Bytes()
}

func axes(b *bytes.Buffer, y int, name string, most, step int) {
	fmt.Fprintf(b, `<text x="%d" y="%d" font-weight="bold">%s</text>`+"\n", left, y-10, name)
	for v := 0; v <= most; v += step {
		at := y + panel - panel*v/most
		fmt.Fprintf(b, `<line x1="%d" x2="%d" y1="%d" y2="%d" stroke="#e4e7eb"/>`, left, width-right, at, at)
		fmt.Fprintf(b, `<text x="%d" y="%d" text-anchor="end" fill="#52606d">%d</text>`+"\n", left-8, at+4, v)
	}
}

// line draws the values that are known and fit into the panel.
func line(b *bytes.Buffer, colour, dash string, y int, most float64, value func(part int) (float64, bool)) {
	fmt.Fprintf(b, `<polyline fill="none" stroke="%s" stroke-width="1.6"%s points="`, colour, dash)
	for part := range parts {
		v, ok := value(part)
		if !ok || v > most {
			continue
		}
		x := left + float64(width-right-left)*float64(part+1)/parts
		fmt.Fprintf(b, "%.1f,%.1f ", x, float64(y)+panel*(1-v/most))
	}
	b.WriteString(`"/>` + "\n")
}
