package wire

import (
	"slices"
	"strings"
)

// maxFastExtra bounds the cost of keeping fields sorted; no real answer comes near it.
const maxFastExtra = 32

// fast reads the common shapes of answers in one pass and without copies. It never guesses: what it does not
// handle is left to the reference decoder, and what it handles comes out the same.
type fast struct {
	scanner
	answer   *Answer
	calls    int
	from, to int // the last content, as it is written
}

// decodeFast reports whether it read the answer; if not, a is in disorder.
func decodeFast(data string, a *Answer) bool {
	a.Reset()
	d := fast{scanner: scanner{data: data}, answer: a}
	d.space()
	d.top()
	d.space()
	if d.bad || d.pos != len(data) {
		return false
	}
	if len(a.Choices) == 1 {
		a.frame = frameOf(data, d.from, d.to)
	}
	return true
}

// once refuses a second member of one name where both would add up. Elsewhere the second overwrites the first,
// which is what encoding/json does.
func (d *fast) once(came *bool) {
	if *came {
		d.fail()
	}
	*came = true
}

func (d *fast) top() {
	a := d.answer
	var choices, usage, groq bool
	for more := d.enter('{', '}'); more; more = d.next('}') {
		switch key := d.key(); key {
		case "id":
			a.ID = d.text()
		case "model":
			a.Model = d.text()
		case "choices":
			d.once(&choices)
			d.choices()
		case "usage":
			d.once(&usage)
			d.usage()
		case "x_groq":
			d.once(&groq)
			d.groq()
		case "error":
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
	var usage bool
	for more := d.enter('{', '}'); more; more = d.next('}') {
		if d.key() != "usage" {
			d.skip()
			continue
		}
		d.once(&usage)
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
	var delta, message, either, usage bool
	for more := d.enter('{', '}'); more; more = d.next('}') {
		switch d.key() {
		case "index":
			c.Index, _ = d.index()
		case "delta":
			d.once(&delta)
			d.piece(c, &either)
		case "message":
			d.once(&message)
			d.piece(c, &either)
		case "finish_reason":
			c.FinishReason = d.text()
		case "logprobs":
			c.Logprobs = d.raw()
		case "usage":
			d.once(&usage)
			d.usage()
		default:
			d.skip()
		}
	}
}

// piece reads a delta or a message, and leaves it to the reference to choose between both.
func (d *fast) piece(c *Choice, came *bool) {
	if !d.null() {
		d.once(came)
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
	var calls, annotations bool
	var reasoning string
	for more := d.enter('{', '}'); more; more = d.next('}') {
		switch key := d.key(); key {
		case "role":
			c.Role = d.text()
		case "content":
			d.from = d.pos
			c.Text = d.textOrNull()
			d.to = d.pos
		case "reasoning_content":
			c.Reasoning = d.text()
		case "reasoning":
			reasoning = d.text()
		case "refusal":
			c.Refusal = d.text()
		case "tool_calls":
			d.once(&calls)
			d.toolCalls(c)
		case "annotations":
			d.once(&annotations)
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
	if strings.HasPrefix(d.data[d.pos:], "[]") { // what nearly every answer has
		d.pos += len("[]")
		return
	}
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
	var function bool
	for more := d.enter('{', '}'); more; more = d.next('}') {
		switch key := d.key(); key {
		case "index":
			t.Index, t.HasIndex = d.index()
		case "id":
			t.ID = d.text()
		case "type":
			t.Type = d.text()
		case "function":
			d.once(&function)
			if !d.null() {
				d.function(t)
			}
		default:
			d.extra(&t.Extra, key)
		}
	}
}

func (d *fast) function(t *ToolCall) {
	for more := d.enter('{', '}'); more; more = d.next('}') {
		switch key := d.key(); key {
		case "name":
			t.Name = d.text()
		case "arguments":
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
	var groups [numGroups]bool
	c := noCounts
	for more := d.enter('{', '}'); more; more = d.next('}') {
		key := d.key()
		if i := countOf(key); i != unknown {
			c.top[i] = d.whole()
		} else if g := groupOf(key); g != unknown {
			d.once(&groups[g])
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
	for more := d.enter('{', '}'); more; more = d.next('}') {
		i := detailOf(d.key())
		if i == unknown {
			d.skip()
			continue
		}
		c[i] = d.whole()
	}
}
