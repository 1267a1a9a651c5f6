package cache

import (
	"context"
	"hash/fnv"
	"math/rand/v2"
	"slices"
	"time"

	"github.com/holysheep-ai/holysheep-go"
)

// settle takes the answer to a question that was asked: it is kept, the verdict on the candidate is learned, and the
// caller gets a copy with what this cache has to say.
func (c *SemanticCache) settle(ctx context.Context, l *lookup, resp *holysheep.ChatResponse) *holysheep.ChatResponse {
	if l.verdict == explore {
		c.tally.explored.Add(1)
	} else {
		c.tally.misses.Add(1)
	}
	step := holysheep.Step{Kind: "cache", Reason: "semantic " + l.verdict.String() + ": " + l.reason}
	if l.verdict == serve {
		step.Reason = "semantic shadow: would be served, " + l.reason
	}
	own := *resp
	own.Steps = append(slices.Clone(resp.Steps), step)
	// A completer that does not report to the recorder says itself what it cost.
	if spent := l.call.Spent(); spent.AtMost >= resp.Cost.AtMost {
		own.Cost = spent
	}
	l.call.Steps = append(l.call.Steps, step)
	if l.vector == nil || unfit(resp, 1, false) != "" {
		return &own
	}
	// The caller may write to what it gets.
	answer, err := encodeAnswer(resp, time.Now())
	if err != nil {
		c.store.failed(ctx, "encode", err, "")
		return &own
	}
	k := &keeping{lookup: l, text: resp.Text(), answer: answer}
	switch {
	case l.chosen < 0 || c.learner == nil && !c.opts.Shadow:
		c.keep(ctx, k, nil)
	case c.opts.Verdict == nil:
		_ = c.judge(ctx, k, EqualAnswers) // which never fails
	default:
		c.later(ctx, k)
	}
	return &own
}

// keeping is an answer on its way to the neighbours.
type keeping struct {
	*lookup
	text   string // of the answer
	answer []byte
}

// later judges in the background, because a verdict may take a call of its own. When too many are under way, the
// answer is kept without one.
func (c *SemanticCache) later(ctx context.Context, k *keeping) {
	ctx = context.WithoutCancel(ctx)
	c.closing.RLock()
	defer c.closing.RUnlock()
	select {
	case c.judging <- struct{}{}:
	default:
		c.keep(ctx, k, nil)
		return
	}
	if c.closed {
		<-c.judging
		c.keep(ctx, k, nil)
		return
	}
	c.running.Go(func() {
		defer func() { <-c.judging }()
		ctx, cancel := context.WithTimeout(ctx, verdictTimeout)
		defer cancel()
		call := &holysheep.Call{Operation: "cache.semantic.verdict"}
		ctx = c.recorder.Begin(ctx, call)
		err := safely(ctx, func(ctx context.Context) error { return c.judge(ctx, k, c.opts.Verdict) })
		c.recorder.End(ctx, call, err)
	})
}

const verdictTimeout = 5 * time.Minute

// judge gets the verdict, learns from it and keeps the answer.
func (c *SemanticCache) judge(ctx context.Context, k *keeping, verdict Verdict) error {
	var with []*seen
	var earlier []Answered
	// The candidate comes first, then the nearest of other groups: whom the answer joins is to be known.
	for i := range k.around[:min(candidates, len(k.around))] {
		s := &k.around[i]
		if !c.openAnswer(s) {
			continue
		}
		one := Answered{s.text, s.answer.Text()}
		if i == k.chosen {
			with, earlier = slices.Insert(with, 0, s), slices.Insert(earlier, 0, one)
		} else {
			with, earlier = append(with, s), append(earlier, one)
		}
	}
	verdicts, err := verdict(ctx, Answered{k.lookup.text, k.text}, earlier)
	if err != nil || len(verdicts) != len(earlier) {
		c.tally.unsure.Add(1)
		c.keep(ctx, k, nil)
		return err
	}
	c.learn(ctx, k.lookup, verdicts[0])
	var groups []uint64
	for i, v := range verdicts {
		if v == Same {
			groups = append(groups, with[i].groups...)
		}
	}
	c.keep(ctx, k, groups)
	c.sync(ctx)
	return nil
}

// learn takes the verdict on the candidate.
func (c *SemanticCache) learn(ctx context.Context, l *lookup, verdict Sameness) {
	if verdict == Unsure {
		c.tally.unsure.Add(1)
		return
	}
	wrong := verdict == Different
	c.tally.judged.Add(1)
	s := &l.around[l.chosen]
	c.report.judged(s.Similarity, l.verdict, wrong)
	if c.learner == nil {
		return
	}
	c.learner.learn(l.cell, wrong)
	right, bad := int64(1), int64(0)
	if wrong {
		right, bad = 0, 1
	}
	_ = c.store.ask(ctx, c.store.writes, "judge", 1, func(ctx context.Context) error {
		return c.neighbours.Judge(ctx, l.partition, s.ID, right, bad)
	})
}

// An entry names so many groups at most: the nearest first.
const mostGroups = 4

// keep adds the answer to the neighbours.
func (c *SemanticCache) keep(ctx context.Context, k *keeping, groups []uint64) {
	// Equal answers are one group wherever they are, and others one of their own, until a verdict joins them.
	groups = append(groups, groupOf(k.text))
	var distinct []uint64
	for _, g := range groups {
		if !slices.Contains(distinct, g) && len(distinct) < mostGroups {
			distinct = append(distinct, g)
		}
	}
	id := k.id()
	meta, err := c.metaOf(id, k.lookup.text, distinct)
	if err == nil {
		var answer []byte
		if answer, err = wrap(id, k.answer, c.opts.Seal); err == nil {
			now := time.Now().Truncate(time.Millisecond)
			entry := Entry{
				Partition: k.partition, ID: id, Namespace: c.opts.Namespace, Tenant: k.tenant, Tags: k.tags,
				Vector: k.vector, Meta: meta, Answer: answer, Created: now, Expires: now.Add(k.ttl),
			}
			_ = c.store.ask(ctx, c.store.writes, "add", 1+len(answer)/aMillisecondOf, func(ctx context.Context) error {
				return c.neighbours.Add(ctx, entry)
			})
			return
		}
	}
	c.store.failed(ctx, "encode", err, "")
}

// groupOf is that of all equal answers, where equal says enough.
func groupOf(answer string) uint64 {
	canonical := canonicalAnswer(answer)
	if !tellsEnough(canonical) {
		return rand.Uint64()
	}
	h := fnv.New64a()
	_, _ = h.Write([]byte(canonical))
	return h.Sum64()
}

// sync writes what was counted to the book, reads what others counted, and fits the model anew, when it is time.
func (c *SemanticCache) sync(ctx context.Context) {
	if c.learner == nil || !c.learner.due() || !c.syncing.TryLock() {
		return
	}
	defer c.syncing.Unlock()
	c.exchange(ctx)
	c.learner.fit()
}

// exchange does so. A book that cannot be reached is tried again the next time.
func (c *SemanticCache) exchange(ctx context.Context) {
	current, deltas, verdicts := c.learner.take()
	if len(deltas) > 0 {
		book, err := c.count(ctx, generationName(c.book, current), deltas)
		if err != nil {
			c.learner.giveBack(deltas)
			return
		}
		c.learner.read(current, book)
	}
	total, err := c.count(ctx, c.book, map[string]int64{verdictCounter: verdicts})
	if err != nil {
		return
	}
	newest := int(total[verdictCounter] / perGeneration)
	if newest <= current {
		return
	}
	for n := max(current+1, newest-oldest+1); n <= newest; n++ {
		if book, err := c.count(ctx, generationName(c.book, n), nil); err == nil {
			c.learner.read(n, book)
		}
	}
	for _, n := range c.learner.turn(newest) {
		_ = c.store.ask(ctx, c.store.writes, "delete", 1, func(ctx context.Context) error {
			_, err := c.neighbours.Delete(ctx, Which{Book: generationName(c.book, n)})
			return err
		})
	}
}

// verdictCounter sums up all verdicts there ever were; by it the generations are told apart.
const verdictCounter = "verdicts"

// load reads what was learned before this process began.
func (c *SemanticCache) load(ctx context.Context) error {
	total, err := c.count(ctx, c.book, nil)
	if err != nil {
		return err
	}
	newest := int(total[verdictCounter] / perGeneration)
	c.learner.turn(newest)
	for n := max(0, newest-oldest+1); n <= newest; n++ {
		book, err := c.count(ctx, generationName(c.book, n), nil)
		if err != nil {
			return err
		}
		c.learner.read(n, book)
	}
	c.learner.fit()
	return nil
}

func (c *SemanticCache) count(ctx context.Context, book string, deltas map[string]int64) (map[string]int64, error) {
	var all map[string]int64
	err := c.store.ask(ctx, c.store.writes, "count", 1+len(deltas)/100, func(ctx context.Context) error {
		got, err := c.neighbours.Count(ctx, book, deltas)
		all = got
		return err
	})
	if err != nil {
		return nil, err
	}
	return all, nil
}
