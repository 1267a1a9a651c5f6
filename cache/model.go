package cache

import (
	"math"
	"math/rand/v2"
	"slices"
)

// tally is what is known of a cell: how often a question came to it, and the verdicts on what its candidate would
// have answered. Old ones weigh less, so they are no whole numbers.
type tally struct{ seen, right, wrong float64 }

// model says how likely a candidate is wrong:
//
//	P(wrong | x) = lapse + (1 - lapse)·σ(w·x)
//
// The lapse is the share of wrong ones that no look at the neighbours finds out: answers that vary, labels that err.
// Without it a model that is sure of itself would take such a stream for safe. A model is never changed.
type model struct {
	w     vector
	lapse float64

	limit    float64 // the highest w·x that is served; -Inf serves nothing
	verified float64 // verdicts behind what is served
	watch    float64 // verdicts on candidates less likely wrong than this tell of drift
}

// What the model believes before it has seen anything: nothing much.
const (
	priorPrecision     = 0.3
	interceptPrecision = 0.05
	lapsePrior         = 0.35 // mean of the lapse, as a share of the bound

	// Verdicts far from what could ever be served shape the model less: it has to be right where hits are.
	farFrom = 0.3

	newtonSteps      = 5
	firstNewtonSteps = 15
	longestStep      = 2.0

	// A bound has to be kept in so many of the worlds that the verdicts leave possible: posterior draws.
	drawn        = 64
	atConfidence = drawn * 3 / 4 // of the draws in order: three of four keep the bound

	watched     = 8    // times the likelihood at the limit
	leastWatch  = 0.02 // and at least this
	neverServed = -1e9
)

// lapses is the grid over which the lapse is weighed.
var lapses = [...]float64{
	0.0002, 0.0005, 0.001, 0.0015, 0.002, 0.003, 0.004, 0.005, 0.007, 0.01, 0.014, 0.02, 0.03, 0.04, 0.06, 0.08, 0.12, 0.2,
}

// draws are standard normal vectors and uniform numbers, the same in every process, so that all that count the same
// decide the same.
var draws = func() (d [drawn]struct {
	normal  vector
	uniform float64
},
) {
	rng := rand.New(rand.NewPCG(1, 1))
	for i := range d {
		for j := range features {
			d[i].normal[j] = rng.NormFloat64()
		}
	}
	for i := range d {
		d[i].uniform = rng.Float64()
	}
	return d
}()

// row is a cell while a model is fitted.
type row struct {
	at cell
	x  vector
	tally
	z float64
}

func (m *model) likelihood(z float64) float64 { return m.lapse + (1-m.lapse)*sigmoid(z) }

// fit gives the model of these tallies for a bound. It starts from the one before, which may be nil. Time grows with
// the number of cells: about a millisecond for a thousand.
func fit(before *model, tallies map[cell]tally, bound float64) *model {
	m := &model{}
	steps := firstNewtonSteps
	if before != nil {
		m.w, m.lapse, steps = before.w, before.lapse, newtonSteps
	}
	rows := make([]row, 0, len(tallies))
	for c, t := range tallies {
		rows = append(rows, row{at: c, x: c.vector(), tally: t})
	}
	// Sums of floats depend on their order; that of a map is another each time.
	slices.SortFunc(rows, func(a, b row) int { return compareCells(a.at, b.at) })
	var covariance matrix
	for range steps {
		covariance = m.newton(rows)
	}
	weights := m.weighLapses(rows, bound)
	m.setLimit(rows, &covariance, &weights, bound)
	return m
}

func compareCells(a, b cell) int { return int(a.order()) - int(b.order()) }

func (c cell) order() uint32 {
	return uint32(c.near)<<24 | uint32(c.ratio)<<16 | uint32(c.agree)<<8 | uint32(c.past)
}

// newton takes one step of Fisher's scoring and gives the covariance of w there.
func (m *model) newton(rows []row) matrix {
	var information matrix
	var slope vector
	for i := range features {
		p := priorPrecision
		if i == 0 {
			p = interceptPrecision
		}
		information[i][i] = p
		slope[i] = -p * m.w[i]
	}
	for i := range rows {
		r := &rows[i]
		n := r.right + r.wrong
		if n == 0 {
			continue
		}
		s := sigmoid(m.w.dot(&r.x))
		p := m.lapse + (1-m.lapse)*s
		change := (1 - m.lapse) * s * (1 - s) // of p with w·x
		spread := max(p*(1-p), 1e-9)
		near := min(1, farFrom/p)
		e, v := near*(r.wrong-n*p)/spread*change, near*n*change*change/spread
		for a := range features {
			slope[a] += e * r.x[a]
			for b := range a + 1 {
				information[a][b] += v * r.x[a] * r.x[b]
			}
		}
	}
	l := information.cholesky()
	covariance := l.inverse()
	for i := range features {
		m.w[i] += max(-longestStep, min(longestStep, covariance[i].dot(&slope)))
	}
	return covariance
}

// weighLapses sets the lapse to its mean and gives how likely each one of the grid is.
func (m *model) weighLapses(rows []row, bound float64) (weights [len(lapses)]float64) {
	below := 0.0
	for i, lapse := range lapses {
		above := 0.25
		if i+1 < len(lapses) {
			above = math.Sqrt(lapse * lapses[i+1])
		}
		weights[i] = -lapse/(lapsePrior*bound) + math.Log(above-below)
		below = above
	}
	for i := range rows {
		r := &rows[i]
		r.z = m.w.dot(&r.x)
		if r.right+r.wrong == 0 {
			continue
		}
		s := sigmoid(r.z)
		for i, lapse := range lapses {
			p := lapse + (1-lapse)*s
			weights[i] += r.wrong*math.Log(p) + r.right*math.Log1p(-p)
		}
	}
	most, sum := slices.Max(weights[:]), 0.0
	for i := range weights {
		weights[i] = math.Exp(weights[i] - most)
		sum += weights[i]
	}
	m.lapse = 0
	for i := range weights {
		weights[i] /= sum
		m.lapse += weights[i] * lapses[i]
	}
	return weights
}

// setLimit finds how far from certainty the model may serve, so that of the questions that came the share of wrong
// hits keeps the bound in three of four worlds that the verdicts leave possible. The questions are those that came, not
// those with a verdict: it is about the hits that there would be.
func (m *model) setLimit(rows []row, covariance *matrix, weights *[len(lapses)]float64, bound float64) {
	root := covariance.cholesky()
	var worlds [drawn]struct {
		w            vector
		lapse, wrong float64
	}
	for i := range worlds {
		w := &worlds[i]
		w.w = m.w
		for a := range features {
			for b := range a + 1 {
				w.w[a] += root[a][b] * draws[i].normal[b]
			}
		}
		sum := 0.0
		for k, weight := range weights {
			if w.lapse = lapses[k]; sum+weight >= draws[i].uniform {
				break
			}
			sum += weight
		}
	}
	slices.SortStableFunc(rows, func(a, b row) int {
		switch {
		case a.z < b.z:
			return -1
		case a.z > b.z:
			return 1
		}
		return 0
	})
	m.limit = neverServed
	var seen, verified float64
	var shares [drawn]float64
sums:
	for i := range rows {
		r := &rows[i]
		if verified += r.right + r.wrong; r.seen == 0 {
			continue
		}
		seen += r.seen
		for k := range worlds {
			w := &worlds[k]
			w.wrong += r.seen * (w.lapse + (1-w.lapse)*sigmoid(w.w.dot(&r.x)))
			shares[k] = w.wrong / seen
		}
		sorted := shares
		slices.Sort(sorted[:])
		switch share := sorted[atConfidence]; {
		case share <= bound:
			m.limit, m.verified = r.z, verified
		case share > 5*bound+0.05: // from here on it only gets worse
			break sums
		}
	}
	m.watch = leastWatch
	if m.limit > neverServed {
		m.watch = max(m.watch, watched*m.likelihood(m.limit))
	}
}
