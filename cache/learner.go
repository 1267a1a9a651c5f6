package cache

import (
	"math"
	"strconv"
	"sync"
	"sync/atomic"
)

// learner keeps a bound on the share of hits that are wrong. It counts, by cell, the questions that came and the
// verdicts on what their candidates would have answered, and fits a model to the counts again and again. It decides
// from memory; what it counted goes to a book of counters, from which other processes and later ones learn as well.
// Safe for concurrent use.
type learner struct {
	bound, explore float64

	now atomic.Pointer[model] // nil until there are verdicts enough

	mu          sync.Mutex
	generations map[int]generation // what is in the books, as last read, and what was counted since
	current     int                // the generation that is being written
	pending     map[string]int64   // counted here, and not in the book yet
	fresh       int                // verdicts since the last fit
	alarm       drift
}

// counts of a cell in one generation.
type counts struct{ seen, right, wrong int64 }

// Verdicts are kept by generations of about equal size. An old one weighs half as much after halfLife younger ones
// and is forgotten after oldest; the questions that came are those of the youngest few.
const (
	perGeneration = 512
	halfLife      = 10
	oldest        = 16
	traffic       = 4

	mostCounted = 1 << 40 // of what a book says

	firstFit = 100 // verdicts
	refit    = 25  // verdicts from one fit to the next
)

func newLearner(bound, explore float64) *learner {
	return &learner{
		bound: bound, explore: explore,
		generations: map[int]generation{}, pending: map[string]int64{},
	}
}

// estimate is what the policy makes of a candidate.
type estimate struct {
	wrong   float64 // how likely it is wrong; 1 before anything is known
	serve   bool
	explore float64 // the share of such hits that are asked all the same
}

// estimate judges a candidate in this cell.
func (l *learner) estimate(c cell) estimate {
	m := l.now.Load()
	if m == nil {
		return estimate{wrong: 1}
	}
	x := c.vector()
	z := m.w.dot(&x)
	// As long as few verdicts stand behind the hits, many are asked: 0.2 ÷ bound verdicts make it every one of them
	// down to the usual share.
	share := min(1, max(l.explore, exploreUntil/l.bound/(m.verified+1)))
	return estimate{wrong: m.likelihood(z), serve: z <= m.limit, explore: share}
}

const exploreUntil = 0.2

// see counts a question that came to a cell.
func (l *learner) see(c cell) {
	l.mu.Lock()
	defer l.mu.Unlock()
	l.count(c, 's', 1)
}

// learn takes a verdict.
func (l *learner) learn(c cell, wrong bool) {
	l.mu.Lock()
	defer l.mu.Unlock()
	what := byte('r')
	if wrong {
		what = 'w'
	}
	l.count(c, what, 1)
	if m := l.now.Load(); m != nil {
		x := c.vector()
		if p := m.likelihood(m.w.dot(&x)); p < m.watch {
			l.alarm.add(p, wrong)
		}
	}
	l.fresh++
}

// due reports whether it is time to write to the book, and to fit.
func (l *learner) due() bool {
	l.mu.Lock()
	defer l.mu.Unlock()
	return l.fresh >= refit
}

// count adds to a counter. The lock is held.
func (l *learner) count(c cell, what byte, n int64) {
	l.generation(l.current).add(c, what, n)
	l.pending[c.String()+string(rune(what))] += n
}

// generation is what was counted while it was the current one.
type generation map[cell]*counts

func (l *learner) generation(n int) generation {
	g, ok := l.generations[n]
	if !ok {
		g = generation{}
		l.generations[n] = g
	}
	return g
}

func (g generation) add(c cell, what byte, n int64) {
	k, ok := g[c]
	if !ok {
		k = &counts{}
		g[c] = k
	}
	switch what {
	case 's':
		k.seen += n
	case 'r':
		k.right += n
	case 'w':
		k.wrong += n
	}
}

// take gives what is to be written to the book of the current generation; giveBack returns it when that failed.
func (l *learner) take() (current int, deltas map[string]int64, verdicts int64) {
	l.mu.Lock()
	defer l.mu.Unlock()
	deltas, l.pending = l.pending, map[string]int64{}
	for name, n := range deltas {
		if what := name[len(name)-1]; what == 'r' || what == 'w' {
			verdicts += n
		}
	}
	return l.current, deltas, verdicts
}

func (l *learner) giveBack(deltas map[string]int64) {
	l.mu.Lock()
	defer l.mu.Unlock()
	for name, n := range deltas {
		l.pending[name] += n
	}
}

// read replaces a generation by what its book says, and what was counted since belongs to it if it is the current
// one. What cannot be read in the book is left out: it may be a later version's.
func (l *learner) read(number int, book map[string]int64) {
	g := generation{}
	for name, n := range book {
		if len(name) != 7 || n <= 0 {
			continue
		}
		if c, ok := parseCell(name[:6]); ok {
			g.add(c, name[6], min(n, mostCounted))
		}
	}
	l.mu.Lock()
	defer l.mu.Unlock()
	if number == l.current {
		for name, n := range l.pending {
			if c, ok := parseCell(name[:6]); ok {
				g.add(c, name[6], n)
			}
		}
	}
	l.generations[number] = g
}

// turn makes a generation the current one, and gives those that are to be forgotten.
func (l *learner) turn(number int) (gone []int) {
	l.mu.Lock()
	defer l.mu.Unlock()
	l.current = max(l.current, number)
	for n := range l.generations {
		if n <= l.current-oldest {
			delete(l.generations, n)
			gone = append(gone, n)
		}
	}
	return gone
}

// fit makes a model of what is known, if that is enough.
func (l *learner) fit() {
	l.mu.Lock()
	defer l.mu.Unlock()
	l.fresh = 0
	sums := map[cell]tally{}
	var verdicts int64
	for n, g := range l.generations {
		age := l.current - n
		weight := math.Exp2(-float64(age) / halfLife)
		for c, k := range g {
			t := sums[c]
			if age < traffic {
				t.seen += float64(k.seen)
			}
			t.right += weight * float64(k.right)
			t.wrong += weight * float64(k.wrong)
			sums[c] = t
			verdicts += k.right + k.wrong
		}
	}
	if verdicts < firstFit {
		return
	}
	l.now.Store(fit(l.now.Load(), sums, l.bound/l.alarm.factor()))
}

// drift watches whether what the model takes for nearly sure still is. Most verdicts are on questions that were not
// served, so a change shows within some tens of questions, long before the hits alone would show it.
type drift struct{ wrong, expected float64 }

const (
	driftHalfLife = 100 // verdicts
	driftPrior    = 2   // wrong ones, as many as expected
	driftSigmas   = 1.2
)

func (d *drift) add(expected float64, wrong bool) {
	const fade = 0.9930924954370359 // 2^(-1/driftHalfLife)
	d.wrong, d.expected = fade*d.wrong, fade*d.expected+expected
	if wrong {
		d.wrong++
	}
}

// factor is how many times as often as expected they were wrong at the least; 1 as long as chance explains it.
func (d *drift) factor() float64 {
	wrong := d.wrong + driftPrior
	return max(1, (wrong-driftSigmas*math.Sqrt(wrong))/(d.expected+driftPrior))
}

// generationName is that of its book, beneath the name of the learner's.
func generationName(book string, number int) string { return book + "/" + strconv.Itoa(number) }

// reset forgets everything, and names the books that are to go.
func (l *learner) reset(book string) (names []string) {
	l.mu.Lock()
	defer l.mu.Unlock()
	for n := range l.generations {
		names = append(names, generationName(book, n))
	}
	l.generations, l.pending = map[int]generation{}, map[string]int64{}
	l.current, l.fresh, l.alarm = 0, 0, drift{}
	l.now.Store(nil)
	return names
}
