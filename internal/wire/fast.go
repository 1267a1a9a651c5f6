package wire

import "slices"

// maxFastExtra bounds the cost of keeping fields sorted; no real answer comes near it.
const maxFastExtra = 32

// fast reads the common shapes of answers in one pass and without copies. It never guesses: what it does not
// handle is left to the reference decoder, and what it handles comes out the same.
type fast struct {
	scanner
	answer *Answer
	calls  int
}

// decodeFast reports whether it read the answer; if not, a is in disorder.
func decodeFast(data string, a *Answer) bool {
	a.Reset()
	d := fast{scanner: scanner{data: data}, answer: a}
	d.space()
	d.top()
	d.space()
	return !d.bad && d.pos == len(data)
}

// members notes which of an object's members have come.
type members uint32

// once refuses a second member of one name: which one counts is the reference's business.
func (d *fast) once(seen *members, which uint) {
	bit := members(1) << which
	if *seen&bit != 0 {
		d.fail()
	}
	*seen |= bit
}

func (d *fast) top() {
	a := d.answer
	var seen members
	for more := d.enter('{', '}'); more; more = d.next('}') {
		switch key := d.key(); key {
		case "id":
			d.once(&seen, 0)
			a.ID = d.text()
		case "model":
			d.once(&seen, 1)
			a.Model = d.text()
		case "choices":
			d.once(&seen, 2)
			d.choices()
		case "usage":
			d.once(&seen, 3)
			d.usage()
		case "x_groq":
			d.once(&seen, 4)
			d.groq()
		case "error":
			d.once(&seen, 5)
			a.Error = errorIn(d.raw())
		default:
			if droppedTop(key) {
				d.skip()
			} else {
				d.extra(&a.Extra, key)
			}
		}
	}
}

// extra keeps a field that is not modelled.
func (d *fast) extra(fields *[]Field, key string) {
	raw := d.raw()
	i, found := findField(*fields, key)
	switch {
	case found, len(*fields) == maxFastExtra:
		d.fail()
	case raw != "":
		*fields = slices.Insert(*fields, i, Field{key, raw})
	}
}

func (d *fast) groq() {
	if d.peek() != '{' {
		d.skip()
		return
	}
	var seen members
	for more := d.enter('{', '}'); more; more = d.next('}') {
		if d.key() != "usage" {
			d.skip()
			continue
		}
		d.once(&seen, 0)
		d.usage()
	}
}

func (d *fast) choices() {
	if d.null() {
		return
	}
	d.answer.HasChoices = true
	for more := d.enter('[', ']'); more; more = d.next(']') {
		if len(d.answer.Choices) == maxChoices {
			d.fail()
			return
		}
		d.choice(d.answer.addChoice())
	}
}

func (d *fast) choice(c *Choice) {
	var seen members
	for more := d.enter('{', '}'); more; more = d.next('}') {
		switch d.key() {
		case "index":
			d.once(&seen, 0)
			c.Index, _ = d.index()
		case "delta":
			d.once(&seen, 1)
			d.piece(c, &seen)
		case "message":
			d.once(&seen, 2)
			d.piece(c, &seen)
		case "finish_reason":
			d.once(&seen, 4)
			c.FinishReason = d.text()
		case "logprobs":
			d.once(&seen, 5)
			c.Logprobs = d.raw()
		case "usage":
			d.once(&seen, 6)
			d.usage()
		default:
			d.skip()
		}
	}
}

// piece reads a delta or a message, and leaves it to the reference to choose between both.
func (d *fast) piece(c *Choice, seen *members) {
	if !d.null() {
		d.once(seen, 3)
		d.message(c)
	}
}

func (d *fast) index() (index int, was bool) {
	n := d.whole()
	if n > maxIndex {
		d.fail()
	}
	return int(max(n, 0)), n != absent
}

func (d *fast) message(c *Choice) {
	var seen members
	var reasoning string
	for more := d.enter('{', '}'); more; more = d.next('}') {
		switch key := d.key(); key {
		case "role":
			d.once(&seen, 0)
			c.Role = d.text()
		case "content":
			d.once(&seen, 1)
			c.Text = d.textOrNull()
		case "reasoning_content":
			d.once(&seen, 2)
			c.Reasoning = d.text()
		case "reasoning":
			d.once(&seen, 3)
			reasoning = d.text()
		case "refusal":
			d.once(&seen, 4)
			c.Refusal = d.text()
		case "tool_calls":
			d.once(&seen, 5)
			d.toolCalls(c)
		case "annotations":
			d.once(&seen, 6)
			d.annotations(c)
		default:
			d.extra(&c.Extra, key)
		}
	}
	if c.Reasoning == "" {
		c.Reasoning = reasoning
	}
}

// textOrNull reads what can only be a string here, or null.
func (d *fast) textOrNull() string {
	if c := d.peek(); c != '"' && c != 'n' {
		d.fail()
	}
	return d.text()
}

func (d *fast) annotations(c *Choice) {
	d.extra(&c.Extra, "annotations")
	if i, found := findField(c.Extra, "annotations"); found && isEmptyArray(c.Extra[i].Raw) {
		c.Extra = slices.Delete(c.Extra, i, i+1)
	}
}

func (d *fast) toolCalls(c *Choice) {
	if d.null() {
		return
	}
	for more := d.enter('[', ']'); more; more = d.next(']') {
		if d.null() {
			continue
		}
		if d.calls++; d.calls > maxCalls {
			d.fail()
			return
		}
		d.toolCall(c.addCall())
	}
}

func (d *fast) toolCall(t *ToolCall) {
	var seen members
	for more := d.enter('{', '}'); more; more = d.next('}') {
		switch key := d.key(); key {
		case "index":
			d.once(&seen, 0)
			t.Index, t.HasIndex = d.index()
		case "id":
			d.once(&seen, 1)
			t.ID = d.text()
		case "type":
			d.once(&seen, 2)
			t.Type = d.text()
		case "function":
			d.once(&seen, 3)
			if !d.null() {
				d.function(t)
			}
		default:
			d.extra(&t.Extra, key)
		}
	}
}

func (d *fast) function(t *ToolCall) {
	var seen members
	for more := d.enter('{', '}'); more; more = d.next('}') {
		switch key := d.key(); key {
		case "name":
			d.once(&seen, 0)
			t.Name = d.text()
		case "arguments":
			d.once(&seen, 1)
			t.Arguments = d.textOrNull()
		default:
			d.extra(&t.Extra, key)
		}
	}
}

func (d *fast) usage() {
	if d.peek() != '{' {
		d.skip()
		return
	}
	var seen members
	c := noCounts
	for more := d.enter('{', '}'); more; more = d.next('}') {
		key := d.key()
		if i := countOf(key); i != unknown {
			d.once(&seen, uint(i))
			c.top[i] = d.whole()
		} else if g := groupOf(key); g != unknown {
			d.once(&seen, uint(numCounts+g))
			d.details(&c.details[g])
		} else {
			d.skip()
		}
	}
	d.answer.addUsage(&c)
}

func (d *fast) details(c *[numDetails]int64) {
	if d.peek() != '{' {
		d.skip()
		return
	}
	var seen members
	for more := d.enter('{', '}'); more; more = d.next('}') {
		i := detailOf(d.key())
		if i == unknown {
			d.skip()
			continue
		}
		d.once(&seen, uint(i))
		c[i] = d.whole()
	}
}
