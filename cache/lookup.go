package cache

import (
	"context"
	"encoding/binary"
	"errors"
	"fmt"
	"slices"
	"time"

	"github.com/holysheep-ai/holysheep-go"
	"github.com/holysheep-ai/holysheep-go/cache/guard"
)

// lookup is one question on its way through the cache.
type lookup struct {
	question
	call *holysheep.Call

	vector []float32 // nil when it could not be had
	around []seen    // nearest first
	chosen int       // the candidate, an index of around; -1 for none
	fired  []string  // guards, of the candidates before it

	cell     cell
	estimate estimate
	verdict  decision
	reason   string
	hit      *SemanticHit
}

// decision is what becomes of a question.
type decision uint8

const (
	miss decision = iota
	serve
	explore // would be served, and is asked for the verdict
)

func (d decision) String() string { return [...]string{"miss", "hit", "explored"}[d] }

// seen is a neighbour, opened.
type seen struct {
	Neighbour
	text   string   // its question
	groups []uint64 // of entries with the same answer; the first one is its own
	root   uint64   // of all groups that are known to be one
	answer *holysheep.ChatResponse
	at     time.Time
}

// How many neighbours a bound looks at, and of how many the answer is fetched: those that can be candidates.
const (
	lookedAt   = 24
	candidates = 4
)

// SemanticHit is the receipt of a hit, in Step.Detail. It has no text of question or answer.
type SemanticHit struct {
	Similarity float64       // the cosine of the two questions
	Age        time.Duration // of the answer
	Guards     []string      // that were asked, and agreed
	Policy     string        // "threshold 0.92" or "at most 1% wrong"
	Wrong      float64       // how likely the policy takes it to be wrong; 0 with a threshold
	Partition  string        // where the entry is
	ID         string        // the entry

	cell cell
}

// begin takes the question up, or gives no lookup when it is none for this cache. Its call has begun then, and the
// context is for what lies beneath.
func (c *SemanticCache) begin(ctx context.Context, req *holysheep.ChatRequest, stream bool) (*lookup, context.Context, error) {
	if c.bad != nil {
		return nil, ctx, c.bad
	}
	if req == nil {
		return nil, ctx, nil // next says what is wrong
	}
	q, why, err := c.ask(ctx, req)
	if err != nil {
		return nil, ctx, err
	}
	if why != "" || !c.ready(ctx) {
		c.tally.skipped.Add(1)
		return nil, ctx, notCached(ctx, c.next)
	}
	l := &lookup{question: q, chosen: -1}
	l.call = &holysheep.Call{Operation: "cache.semantic", Model: req.Model, Stream: stream, Request: req}
	ctx = c.recorder.Begin(ctx, l.call)
	c.search(ctx, l)
	c.decide(l)
	return l, ctx, nil
}

// end closes the call.
func (c *SemanticCache) end(ctx context.Context, l *lookup, resp *holysheep.ChatResponse, err error) {
	l.call.Response = resp
	if resp != nil {
		l.call.Served, l.call.Usage = resp.Model, resp.Usage
		if l.hit != nil {
			l.call.Usage = holysheep.Usage{} // nobody spent it now
		}
	}
	c.recorder.End(ctx, l.call, err)
}

// search embeds the question and finds its neighbours. What fails leaves it without them.
func (c *SemanticCache) search(ctx context.Context, l *lookup) {
	vector, err := c.vectorOf(ctx, l.text)
	if err != nil {
		l.reason = "the question could not be embedded"
		return
	}
	l.vector = vector
	var found []Neighbour
	most := candidates
	if c.learner != nil {
		most = lookedAt // who agrees matters
	}
	err = c.store.ask(ctx, c.store.reads, "nearest", 1, func(ctx context.Context) error {
		n, err := c.neighbours.Nearest(ctx, l.partition, vector, most, candidates)
		found = n
		return err
	})
	if err != nil {
		l.vector, l.reason = nil, "the neighbours could not be asked" // nor can they be added to
		return
	}
	l.around = make([]seen, 0, len(found))
	for i := range found {
		if s, ok := c.open(&found[i]); ok {
			l.around = append(l.around, s)
		}
	}
	joinGroups(l.around)
}

// vectorOf gives the vector of a text, of length 1.
func (c *SemanticCache) vectorOf(ctx context.Context, text string) ([]float32, error) {
	vectors, err := c.vectorsOf(ctx, []string{text})
	if err != nil {
		return nil, err
	}
	return vectors[0], nil
}

var errVectors = errors.New("cache: the embedder gave no usable vectors")

func (c *SemanticCache) vectorsOf(ctx context.Context, texts []string) ([][]float32, error) {
	var vectors [][]float32
	err := c.encoder.ask(ctx, c.encoder.reads, "embed", 1, func(ctx context.Context) error {
		got, err := c.embed(ctx, texts)
		if err != nil {
			return err
		}
		if len(got) != len(texts) {
			return errVectors
		}
		own := make([][]float32, len(got))
		for i := range got {
			own[i] = slices.Clone(got[i]) // the embedder may keep its own
			if !normalize(own[i]) {
				return errVectors
			}
		}
		vectors = own
		return nil
	})
	if err != nil {
		return nil, err
	}
	return vectors, nil
}

// The part of an entry that comes with every neighbour: the question and the groups.
const metaVersion = 1

func (c *SemanticCache) metaOf(id, text string, groups []uint64) ([]byte, error) {
	w := writer{b: []byte{metaVersion}}
	w.string(text)
	w.count(len(groups))
	for _, g := range groups {
		w.b = binary.LittleEndian.AppendUint64(w.b, g)
	}
	return wrap(id+"/meta", w.b, c.opts.Seal)
}

// open reads a neighbour. One that cannot be read is none.
func (c *SemanticCache) open(n *Neighbour) (s seen, ok bool) {
	raw, err := unwrap(n.ID+"/meta", n.Meta, c.opts.Seal)
	if err == nil && n.Similarity >= -1.01 && n.Similarity <= 1.01 { // no NaN
		s.Neighbour = *n
		if s.text, s.groups, ok = readMeta(raw); ok {
			return s, true
		}
	}
	c.store.corrupt.Add(1)
	return s, false
}

// readMeta reads what metaOf wrote.
func readMeta(raw []byte) (text string, groups []uint64, ok bool) {
	if len(raw) == 0 || raw[0] != metaVersion {
		return "", nil, false
	}
	r := reader{s: string(raw[1:])}
	text = r.string()
	groups = make([]uint64, r.count(8))
	for i := range groups {
		groups[i] = binary.LittleEndian.Uint64([]byte(r.s[8*i : 8*i+8]))
	}
	return text, groups, !r.bad && len(groups) > 0
}

// openAnswer reads the answer of a neighbour that is about to be of use.
func (c *SemanticCache) openAnswer(s *seen) bool {
	if s.answer != nil {
		return true
	}
	if len(s.Answer) == 0 {
		return false
	}
	raw, err := unwrap(s.ID, s.Answer, c.opts.Seal)
	if err == nil {
		s.answer, s.at, err = decodeAnswer(raw)
	}
	if err != nil {
		c.store.corrupt.Add(1)
		return false
	}
	return true
}

// joinGroups finds which groups are one: an entry that had the same answer as entries of two groups names both.
func joinGroups(around []seen) {
	parent := map[uint64]uint64{}
	var root func(g uint64) uint64
	root = func(g uint64) uint64 {
		p, ok := parent[g]
		if !ok || p == g {
			return g
		}
		p = root(p)
		parent[g] = p
		return p
	}
	for i := range around {
		for _, g := range around[i].groups[1:] {
			parent[root(g)] = root(around[i].groups[0])
		}
	}
	for i := range around {
		around[i].root = root(around[i].groups[0])
	}
}

// decide finds the candidate, asks the policy and counts.
func (c *SemanticCache) decide(l *lookup) {
	if l.reason != "" {
		return
	}
	c.choose(l)
	c.judgeCandidate(l)
	if l.refresh {
		l.verdict, l.reason = miss, "to be asked again"
		return
	}
	if l.chosen < 0 {
		c.report.nothing()
		return
	}
	if c.learner != nil {
		c.learner.see(l.cell)
		if l.verdict == serve && !c.opts.Shadow && !l.only && c.dice.below(l.estimate.explore) {
			l.verdict = explore
		}
	}
	c.report.candidate(l.around[l.chosen].Similarity, l.verdict)
}

// judgeCandidate asks the policy, and says why.
func (c *SemanticCache) judgeCandidate(l *lookup) {
	if l.chosen < 0 {
		switch {
		case len(l.around) == 0:
			l.reason = "nothing like it was asked before"
		case len(l.fired) > 0:
			l.reason = "guard " + l.fired[0]
		default:
			l.reason = "no neighbour with an answer"
		}
		return
	}
	similarity := l.around[l.chosen].Similarity
	served := similarity >= c.opts.Threshold
	l.reason = fmt.Sprintf("similarity %.3f", similarity)
	if c.learner != nil {
		l.cell = cellOf(similarity, l.points())
		l.estimate = c.learner.estimate(l.cell)
		served = l.estimate.serve
		l.reason += fmt.Sprintf(", wrong with a likelihood of %.2g", l.estimate.wrong)
	}
	if len(l.fired) > 0 {
		l.reason += ", after guard " + l.fired[0]
	}
	if served {
		l.verdict = serve
	}
}

// choose takes the nearest neighbour that all guards agree on, and that is young enough for the call.
func (c *SemanticCache) choose(l *lookup) {
	for i := range l.around[:min(candidates, len(l.around))] {
		s := &l.around[i]
		if fired := c.fires(l.text, s.text); fired != "" {
			l.fired = append(l.fired, fired)
			continue
		}
		if c.openAnswer(s) && time.Since(s.at) < l.ttl {
			l.chosen = i
			return
		}
	}
}

// fires names the guard that keeps two questions apart; "" when all agree.
func (c *SemanticCache) fires(a, b string) string {
	return guard.First(c.opts.Guards, a, b)
}

// points is how the policy sees what is around the candidate.
func (l *lookup) points() []point {
	points := make([]point, len(l.around))
	for i := range l.around {
		s := &l.around[i]
		points[i] = point{s.Similarity, s.root == l.around[l.chosen].root, s.Right, s.Wrong}
	}
	return points
}

// policy names what decides.
func (c *SemanticCache) policy() string {
	if c.learner != nil {
		return fmt.Sprintf("at most %.4g%% wrong", 100*c.opts.MaxWrong)
	}
	return fmt.Sprintf("threshold %.4g", c.opts.Threshold)
}

// serve gives the answer of a hit, and nil for everything else.
func (c *SemanticCache) serve(l *lookup) *holysheep.ChatResponse {
	if l.verdict != serve || c.opts.Shadow {
		return nil
	}
	s := &l.around[l.chosen]
	receipt := &SemanticHit{
		Similarity: s.Similarity, Age: max(time.Since(s.at), 0), Policy: c.policy(), Wrong: l.estimate.wrong,
		Partition: l.partition, ID: s.ID, cell: l.cell,
	}
	receipt.Guards = c.guardNames()
	l.hit = receipt
	resp := hit(s.answer, l.call, s.answer.Cost.USD, holysheep.Step{
		Kind: "cache", Detail: receipt,
		Reason: fmt.Sprintf("semantic hit: similarity %.3f, answered %s", s.Similarity, ago(receipt.Age)),
	})
	resp.Cost = l.call.Spent() // the embedding
	c.tally.hits.Add(1)
	return resp
}
