package route

import "github.com/holysheep-ai/holysheep-go"

// turnQueue is who waits for a turn: weighted between priorities, in turn between the tenants of one, first come first
// served within a tenant.
type turnQueue struct {
	classes [len(classWeights)]turnClass
	length  int
	virtual float64 // the pass of the last turn
}

// turnClass are the waiters of one priority.
type turnClass struct {
	pass    float64 // when its next turn is due, in turns by weight
	length  int
	tenants map[string]*turnLine // those who wait
	next    *turnLine            // whose turn it is, in a ring
}

// turnLine are the waiters of one tenant, in the order they came.
type turnLine struct {
	tenant      string
	first, last *turnWaiter
	prev, next  *turnLine // in the ring
	length      int
}

// turnWaiter is an attempt that waits.
type turnWaiter struct {
	priority   Priority
	attempt    *holysheep.Attempt
	line       *turnLine
	prev, next *turnWaiter
	tokens     float64       // what it is expected to use
	ready      chan struct{} // closed when granted or dropped
	granted    bool
	dropped    bool // for one of a higher priority
}

// push takes a waiter in.
func (q *turnQueue) push(w *turnWaiter, tenant string) {
	c := &q.classes[w.priority]
	if c.length == 0 {
		c.pass = max(c.pass, q.virtual) // no turns are saved up
	}
	line := c.tenants[tenant]
	if line == nil {
		line = &turnLine{tenant: tenant}
		if c.tenants == nil {
			c.tenants = map[string]*turnLine{}
		}
		c.tenants[tenant] = line
		if c.next == nil {
			line.prev, line.next = line, line
			c.next = line
		} else { // the last in the ring
			line.prev, line.next = c.next.prev, c.next
			line.prev.next, line.next.prev = line, line
		}
	}
	w.line, w.prev = line, line.last
	if line.last == nil {
		line.first = w
	} else {
		line.last.next = w
	}
	line.last = w
	line.length++
	c.length++
	q.length++
}

// peek gives the waiter whose turn it is; nil if nobody waits.
func (q *turnQueue) peek() *turnWaiter {
	var best *turnClass
	for i := range q.classes {
		if c := &q.classes[i]; c.length > 0 && (best == nil || c.pass < best.pass) {
			best = c
		}
	}
	if best == nil {
		return nil
	}
	return best.next.first
}

// pop takes out the waiter that peek gave, whose turn this was.
func (q *turnQueue) pop(w *turnWaiter) {
	c := &q.classes[w.priority]
	q.virtual = c.pass
	c.pass += 1 / classWeights[w.priority]
	c.next = w.line.next
	q.remove(w)
}

// remove takes out a waiter, wherever it stands.
func (q *turnQueue) remove(w *turnWaiter) {
	c, line := &q.classes[w.priority], w.line
	if w.prev == nil {
		line.first = w.next
	} else {
		w.prev.next = w.next
	}
	if w.next == nil {
		line.last = w.prev
	} else {
		w.next.prev = w.prev
	}
	w.prev, w.next = nil, nil
	line.length--
	c.length--
	q.length--
	if line.length > 0 {
		return
	}
	delete(c.tenants, line.tenant)
	if c.next == line {
		c.next = line.next
	}
	if c.next == line { // it was the only one
		c.next = nil
		return
	}
	line.prev.next, line.next.prev = line.next, line.prev
}

// lowest gives the waiter that has to go first for one of priority p: the youngest of the longest line of the lowest
// priority below p. Nil if there is none below.
func (q *turnQueue) lowest(p Priority) *turnWaiter {
	for _, lower := range []Priority{Batch, Normal} {
		c := &q.classes[lower]
		if classRank[lower] >= classRank[p] || c.length == 0 {
			continue
		}
		longest := c.next
		for line := c.next.next; line != c.next; line = line.next {
			if line.length > longest.length {
				longest = line
			}
		}
		return longest.last
	}
	return nil
}

// ahead is how many turns, about, a new waiter of priority p comes behind.
func (q *turnQueue) ahead(p Priority) float64 {
	own := float64(q.classes[p].length)
	sum := own
	for i := range q.classes {
		if Priority(i) != p {
			sum += min(float64(q.classes[i].length), (own+1)*classWeights[i]/classWeights[p])
		}
	}
	return sum
}
