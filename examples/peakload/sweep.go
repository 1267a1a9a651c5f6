package main

import (
	"bytes"
	"context"
	"fmt"
	"io"
	"time"
)

// capacities of each model, in parts of the mean load, that the sweep goes through.
var capacities = []float64{0.2, 0.3, 0.4, 0.5, 0.6, 0.7, 0.8, 0.9, 1, 1.1, 1.2, 1.5, 2}

// swept is what share of the questions a client answered in time, by capacity.
type swept struct {
	name   string
	shares []float64
}

// sweep finds the cliff: the capacity under which a client no longer answers. There is no brown-out, and each run lasts a
// third of the time.
func sweep(ctx context.Context, h *hour, clients []*variant) ([]swept, error) {
	short := *h
	short.length, short.brownout = h.length/3, false
	for i := range h.questions {
		if h.questions[i].at >= short.length {
			short.questions = h.questions[:i]
			break
		}
	}
	var all []swept
	for _, v := range clients {
		s := swept{name: v.name}
		for _, short.capacity = range capacities {
			r, err := simulate(ctx, &short, v)
			if err != nil {
				return nil, fmt.Errorf("%s: %w", v.name, err)
			}
			s.shares = append(s.shares, 100*float64(r.answered)/float64(r.asked))
		}
		all = append(all, s)
	}
	return all, nil
}

func writeSweep(out io.Writer, all []swept, length time.Duration) {
	fmt.Fprintf(out, "\nAnswered in time, %%, by the capacity of each model in parts of the mean load; %v without a brown-out:\n\n| client |", length/3)
	for _, c := range capacities {
		fmt.Fprintf(out, " %.1f |", c)
	}
	fmt.Fprint(out, "\n|---|")
	for range capacities {
		fmt.Fprint(out, "---|")
	}
	fmt.Fprintln(out)
	for _, s := range all {
		fmt.Fprintf(out, "| %s |", s.name)
		for _, share := range s.shares {
			fmt.Fprintf(out, " %.2f |", share)
		}
		fmt.Fprintln(out)
	}
}

// drawSweep makes an SVG of it.
func drawSweep(all []swept) []byte {
	const height = 330
	var b bytes.Buffer
	fmt.Fprintf(&b, `<svg xmlns="http://www.w3.org/2000/svg" viewBox="0 0 %d %d" font-family="sans-serif" font-size="12">`+"\n", width, height)
	fmt.Fprintf(&b, `<rect width="%d" height="%d" fill="white"/>`+"\n<title>Answered in time, by the capacity of the gateway</title>\n", width, height)
	fmt.Fprintf(&b, `<text x="%d" y="%d" font-weight="bold">answered within 20 s, %%</text>`+"\n", left, top-15)
	const tall = height - top - 70
	x := func(c float64) float64 { return left + c/2*(width-left-right) }
	y := func(share float64) float64 { return top + tall*(1-share/100) }
	for v := 0.0; v <= 100; v += 20 {
		fmt.Fprintf(&b, `<line x1="%d" x2="%d" y1="%.1f" y2="%.1f" stroke="#e4e7eb"/>`, left, width-right, y(v), y(v))
		fmt.Fprintf(&b, `<text x="%d" y="%.1f" text-anchor="end" fill="#52606d">%.0f</text>`+"\n", left-8, y(v)+4, v)
	}
	for c := 0.0; c <= 2; c += 0.2 {
		fmt.Fprintf(&b, `<text x="%.1f" y="%d" text-anchor="middle" fill="#52606d">%.1f</text>`+"\n", x(c), top+tall+18, c)
	}
	for j, s := range all {
		for i, share := range s.shares {
			fmt.Fprintf(&b, `<circle cx="%.1f" cy="%.1f" r="3" fill="%s"/>`, x(capacities[i]), y(share), colours[j])
			if i > 0 {
				fmt.Fprintf(&b, `<line x1="%.1f" y1="%.1f" x2="%.1f" y2="%.1f" stroke="%s" stroke-width="2"/>`+"\n",
					x(capacities[i-1]), y(s.shares[i-1]), x(capacities[i]), y(share), colours[j])
			}
		}
		at := top + 10 + 20*j
		fmt.Fprintf(&b, `<line x1="%d" x2="%d" y1="%d" y2="%d" stroke="%s" stroke-width="3"/>`, width-right+15, width-right+40, at, at, colours[j])
		fmt.Fprintf(&b, `<text x="%d" y="%d">%s</text>`+"\n", width-right+46, at+4, s.name)
	}
	fmt.Fprintf(&b, `<text x="%d" y="%d" fill="#52606d">capacity of each model, in parts of the mean load</text>`+"\n", left, height-20)
	fmt.Fprintln(&b, "</svg>")
	return b.Bytes()
}
