package cache

import (
	"context"
	"fmt"
	"strings"

	"github.com/holysheep-ai/holysheep-go"
)

// Explanation is why a request would hit or miss. It has texts of questions in it: show it to whoever may see them.
type Explanation struct {
	Hit    bool
	Reason string // for a person to read

	Policy     string // what decides
	Similarity float64
	Wrong      float64 // how likely the policy takes the candidate to be wrong; 0 with a threshold
	Partition  string

	Neighbours []ExplainedNeighbour // nearest first
}

// ExplainedNeighbour is one of the entries around a question.
type ExplainedNeighbour struct {
	ID         string
	Question   string
	Similarity float64
	Guard      string // the one that keeps the two apart; "" when all agree
	Candidate  bool   // it is the one whose answer would be served
	SameAnswer bool   // its answer is the candidate's
	Right      int64  // verdicts on it so far
	Wrong      int64
}

// Explain tells why req would hit or miss now, without asking the model, learning or counting anything. It costs an
// embedding. The error says why the cache could not look.
func (c *SemanticCache) Explain(ctx context.Context, req *holysheep.ChatRequest) (*Explanation, error) {
	if c.bad != nil {
		return nil, c.bad
	}
	if _, _, err := holysheep.Resolve(c.next, req); err != nil {
		return nil, err
	}
	e := &Explanation{Policy: c.policy()}
	q, why, err := c.ask(ctx, req)
	if err != nil {
		return nil, err
	}
	if why != "" {
		e.Reason = "passed on: " + why
		return e, nil
	}
	if !c.ready(ctx) {
		c.gate.mu.Lock()
		defer c.gate.mu.Unlock()
		if c.gate.off != nil {
			e.Reason = "the cache is off: " + c.gate.off.Error()
			return e, nil
		}
		return nil, fmt.Errorf("cache: Explain: %w", errDown)
	}
	e.Partition = q.partition
	l := &lookup{question: q, chosen: -1}
	call := &holysheep.Call{Operation: "cache.semantic.explain"}
	ctx = c.recorder.Begin(ctx, call)
	c.search(ctx, l)
	c.recorder.End(ctx, call, nil)
	if l.reason != "" {
		return nil, fmt.Errorf("cache: Explain: %s", l.reason)
	}
	c.choose(l)
	c.judgeCandidate(l)
	e.Hit = l.verdict == serve
	e.Reason, e.Wrong = l.reason, l.estimate.wrong
	if l.chosen >= 0 {
		e.Similarity = l.around[l.chosen].Similarity
	}
	for i := range l.around {
		s := &l.around[i]
		n := ExplainedNeighbour{
			ID: s.ID, Question: s.text, Similarity: s.Similarity, Guard: c.fires(l.text, s.text),
			Candidate: i == l.chosen, Right: s.Right, Wrong: s.Wrong,
		}
		n.SameAnswer = l.chosen >= 0 && s.root == l.around[l.chosen].root
		e.Neighbours = append(e.Neighbours, n)
	}
	return e, nil
}

// String writes the explanation for a person.
func (e *Explanation) String() string {
	var b strings.Builder
	word := "miss"
	if e.Hit {
		word = "hit"
	}
	fmt.Fprintf(&b, "%s (%s): %s\n", word, e.Policy, e.Reason)
	for _, n := range e.Neighbours {
		mark := " "
		switch {
		case n.Candidate:
			mark = "*"
		case n.SameAnswer:
			mark = "="
		}
		fmt.Fprintf(&b, "%s %.3f %q", mark, n.Similarity, n.Question)
		if n.Guard != "" {
			fmt.Fprintf(&b, " [%s]", n.Guard)
		}
		if n.Right+n.Wrong > 0 {
			fmt.Fprintf(&b, " %d right, %d wrong", n.Right, n.Wrong)
		}
		b.WriteByte('\n')
	}
	return b.String()
}
