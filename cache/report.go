package cache

import (
	"math"
	"sync"
	"sync/atomic"
)

// SemanticStats counts what a [SemanticCache] did since it was made.
type SemanticStats struct {
	Hits     int64
	Misses   int64
	Explored int64 // would have been hits, and were asked for their verdict
	Skipped  int64 // passed on without a look: not fit for the cache, or the cache is off
	Judged   int64 // answers with a verdict
	Unsure   int64 // answers whose verdict said nothing, or failed

	Neighbours, Embedder Stats // how asking them went
}

type semanticTally struct{ hits, misses, explored, skipped, judged, unsure atomic.Int64 }

// Stats counts what the cache did since it was made.
func (c *SemanticCache) Stats() SemanticStats {
	if c.bad != nil {
		return SemanticStats{}
	}
	t := &c.tally
	return SemanticStats{
		Hits: t.hits.Load(), Misses: t.misses.Load(), Explored: t.explored.Load(), Skipped: t.skipped.Load(),
		Judged: t.judged.Load(), Unsure: t.unsure.Load(), Neighbours: c.store.stats(), Embedder: c.encoder.stats(),
	}
}

// Report says how often a cache hits and how often its hits are wrong: in shadow mode what it would have done, judged
// by the answer that was given instead; with MaxWrong by the hits that were asked all the same, which stand for the
// others. With a threshold alone nothing is judged.
type Report struct {
	Questions int64   // that the cache looked at
	Hits      int64   // and would have served: those served, those explored, those of shadow mode
	HitRate   float64 // Hits ÷ Questions
	Judged    int64   // hits with a verdict
	Wrong     int64   // of these
	WrongRate float64 // Wrong ÷ Judged

	// Low and High are the 95 % confidence interval (Wilson) of the share of hits that are wrong.
	Low, High float64

	bins [similarities]bin
}

// bin is what is known of candidates of one similarity, whatever the policy made of them.
type bin struct{ seen, judged, wrong int64 }

const similarities = 200 // bins of half a hundredth

type reporter struct {
	mu sync.Mutex
	r  Report
}

func binOf(similarity float64) int {
	return max(0, min(similarities-1, int(similarity*similarities)))
}

// nothing counts a question without a candidate.
func (r *reporter) nothing() {
	r.mu.Lock()
	defer r.mu.Unlock()
	r.r.Questions++
}

func (r *reporter) candidate(similarity float64, d decision) {
	r.mu.Lock()
	defer r.mu.Unlock()
	r.r.Questions++
	if d != miss {
		r.r.Hits++
	}
	r.r.bins[binOf(similarity)].seen++
}

func (r *reporter) judged(similarity float64, d decision, wrong bool) {
	r.mu.Lock()
	defer r.mu.Unlock()
	b := &r.r.bins[binOf(similarity)]
	b.judged++
	if wrong {
		b.wrong++
	}
	if d == miss {
		return
	}
	r.r.Judged++
	if wrong {
		r.r.Wrong++
	}
}

// Report says how the cache did so far.
func (c *SemanticCache) Report() Report {
	c.report.mu.Lock()
	defer c.report.mu.Unlock()
	r := c.report.r
	r.HitRate, r.WrongRate = ratio(r.Hits, r.Questions), ratio(r.Wrong, r.Judged)
	r.Low, r.High = Wilson(r.Wrong, r.Judged)
	return r
}

// Threshold gives the lowest threshold that would have kept the share of wrong hits under target, with the guards in
// force, and the share of questions it would have answered. It counts on the upper end of the confidence interval, so
// that luck is not taken for safety; ok is false where no threshold can be vouched for. It is for shadow mode, where
// every candidate gets a verdict.
func (r Report) Threshold(target float64) (cosine, hitRate float64, ok bool) {
	var seen, judged, wrong int64
	for i := similarities - 1; i >= 0; i-- {
		seen, judged, wrong = seen+r.bins[i].seen, judged+r.bins[i].judged, wrong+r.bins[i].wrong
		if _, high := Wilson(wrong, judged); judged > 0 && high <= target {
			cosine, hitRate, ok = float64(i)/similarities, ratio(seen, r.Questions), true
		}
	}
	return cosine, hitRate, ok
}

func ratio(a, b int64) float64 {
	if b == 0 {
		return 0
	}
	return float64(a) / float64(b)
}

// Wilson gives the 95 % confidence interval of a share of which k in n were seen: 0 to 1 when none were.
func Wilson(k, n int64) (low, high float64) {
	if n <= 0 {
		return 0, 1
	}
	const z = 1.959963984540054
	share, count := float64(k)/float64(n), float64(n)
	middle := share + z*z/(2*count)
	half := z * math.Sqrt(share*(1-share)/count+z*z/(4*count*count))
	scale := 1 + z*z/count
	return max(0, (middle-half)/scale), min(1, (middle+half)/scale)
}
