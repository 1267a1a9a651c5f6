package cache

import (
	"fmt"
	"math"
	"strconv"
)

// A cell is a kind of situation that a question can meet in the cache: how near its nearest entry is, how much
// farther the nearest one with another answer, how many of those around agree, and how the entries around have done
// so far. What is learned about one question is learned for its cell, so that a few hundred counters, which add up
// over processes in any order, hold all that the policy knows. No text and no vector can be told from them.
type cell struct {
	near  uint8 // distance of the nearest, by its logarithm: encoders that press their cosines together only shift it
	ratio uint8 // distance of the nearest other answer to that distance, by its logarithm: the same for every encoder
	agree uint8 // how many of the nearest entries have the nearest one's answer
	past  uint8 // verdicts on them so far: 0 hardly ever wrong, to 3 often wrong or not known
}

// The scales of a cell. Finer ones made no difference on streams of 10,000 questions, coarser ones cost hits.
const (
	nearFrom, nearStep, nearSteps    = -7.0, 0.25, 32
	ratioFrom, ratioStep, ratioSteps = 0.0, 0.15, 20
	agreeing                         = 8
	pasts                            = 4

	leastDistance = 1e-3 // below it cosines are rounding
)

// pastFrom are the shares of wrong verdicts, with one and a half imagined ones, at which past counts up.
var pastFrom = [pasts - 1]float64{0.05, 0.12, 0.3}

// point is what the policy sees of a neighbour.
type point struct {
	similarity   float64
	same         bool // it has the candidate's answer
	right, wrong int64
}

// cellOf places a candidate among its neighbours, nearest first.
func cellOf(candidate float64, around []point) cell {
	own := distance(candidate)
	other := math.NaN()
	var agree uint8
	var right, wrong int64
	for i, p := range around {
		switch {
		case p.same:
			right, wrong = right+p.right, wrong+p.wrong
			if i < agreeing {
				agree++
			}
		case math.IsNaN(other):
			other = distance(p.similarity)
		}
	}
	if math.IsNaN(other) { // no other answer in sight: it is at least beyond the last
		other = own
		if n := len(around); n > 0 {
			other = 1.1 * distance(around[n-1].similarity)
		}
	}
	share := (float64(wrong) + 0.5) / (float64(right+wrong) + 1.5)
	var past uint8
	for past < pasts-1 && share >= pastFrom[past] {
		past++
	}
	return cell{
		near:  step(math.Log(own), nearFrom, nearStep, nearSteps),
		ratio: step(math.Log(other/own), ratioFrom, ratioStep, ratioSteps),
		agree: agree, past: past,
	}
}

func distance(similarity float64) float64 { return max(1-similarity, leastDistance) }

func step(v, from, width float64, steps int) uint8 {
	return uint8(max(0, min(float64(steps-1), math.Floor((v-from)/width))))
}

func middle(step uint8, from, width float64) float64 { return from + (float64(step)+0.5)*width }

// features is how many numbers a cell becomes in the model.
const features = 6

// vector is the cell as the model takes it, centred where hits begin.
func (c cell) vector() (x vector) {
	x[0] = 1
	x[1] = middle(c.near, nearFrom, nearStep) + 2
	x[2] = middle(c.ratio, ratioFrom, ratioStep) - 0.3
	x[3] = float64(c.agree)/2 - 2
	if c.agree == agreeing {
		x[4] = 1
	}
	x[5] = float64(c.past)
	return x
}

// String is the cell's part in the name of a counter.
func (c cell) String() string { return fmt.Sprintf("%02x%02x%x%x", c.near, c.ratio, c.agree, c.past) }

// parseCell reads what String wrote.
func parseCell(s string) (cell, bool) {
	n, err := strconv.ParseUint(s, 16, 24)
	if err != nil || len(s) != 6 {
		return cell{}, false
	}
	c := cell{near: uint8(n >> 16), ratio: uint8(n >> 8), agree: uint8(n>>4) & 15, past: uint8(n) & 15}
	return c, c.near < nearSteps && c.ratio < ratioSteps && c.agree <= agreeing && c.past < pasts
}
