package wire

import (
	"encoding/json"
	"errors"
	"fmt"
	"math"
	"slices"
	"strconv"
	"strings"
	"unicode/utf8"
)

var (
	errNotObject = errors.New("not a JSON object")
	errTooDeep   = fmt.Errorf("nested deeper than %d", maxDepth)
	errTooMany   = errors.New("too many choices, tool calls or fields")
	errBadIndex  = errors.New("an index out of range")
)

// decodeReference is the decoder that defines what answers mean. It is slow and understands everything; the fast
// one must agree with it or step aside.
func decodeReference(data string, a *Answer) error {
	a.Reset()
	if !utf8.ValidString(data) {
		// What encoding/json makes of bad bytes in a string, done once for raw values as well.
		data = strings.Map(func(r rune) rune { return r }, data)
	}
	if !json.Valid([]byte(data)) {
		return errors.New("not valid JSON")
	}
	if depth(data) > maxDepth {
		return errTooDeep
	}
	data = trimSpace(data)
	if kind(data) == '[' {
		data = wrappedError(data)
	}
	if kind(data) != '{' {
		return errNotObject
	}
	return a.read(data)
}

// wrappedError unwraps the error object that some gateways put into an array.
func wrappedError(array string) string {
	var only string
	n := 0
	_ = eachElement(array, func(value string) error {
		only = value
		if n++; n > 1 {
			return errTooMany
		}
		return nil
	})
	if n == 1 && kind(only) == '{' && errorIn(member(only, "error")) != "" {
		return only
	}
	return ""
}

func (a *Answer) read(object string) error {
	var choices, usage, groq string
	err := eachMember(object, func(key, value string) error {
		if droppedTop(key) {
			return nil
		}
		switch key {
		case "id":
			a.ID = text(value)
		case "model":
			a.Model = text(value)
		case "choices":
			choices = value
		case "usage":
			usage = value
		case "x_groq":
			groq = value
		case "error":
			a.Error = errorIn(value)
		default:
			return putField(&a.Extra, key, value)
		}
		return nil
	})
	if err != nil {
		return err
	}
	dropNulls(&a.Extra)
	a.readUsage(usage)
	if kind(groq) == '{' {
		a.readUsage(member(groq, "usage"))
	}
	if !isSet(choices) {
		return nil
	}
	if kind(choices) != '[' {
		return errors.New("choices is not an array")
	}
	a.HasChoices = true
	calls := 0
	return eachElement(choices, func(value string) error {
		if len(a.Choices) == maxChoices {
			return errTooMany
		}
		if kind(value) != '{' {
			return errors.New("a choice is not an object")
		}
		c := a.addChoice()
		if err := a.readChoice(c, value); err != nil {
			return err
		}
		if calls += len(c.ToolCalls); calls > maxCalls {
			return errTooMany
		}
		return nil
	})
}

func (a *Answer) readChoice(c *Choice, object string) error {
	var index, delta, message, usage string
	err := eachMember(object, func(key, value string) error {
		switch key {
		case "index":
			index = value
		case "delta":
			delta = value
		case "message":
			message = value
		case "finish_reason":
			c.FinishReason = text(value)
		case "logprobs":
			c.Logprobs = set(value)
		case "usage":
			usage = value
		}
		return nil
	})
	if err != nil {
		return err
	}
	a.readUsage(usage)
	if c.Index, _, err = readIndex(index); err != nil {
		return err
	}
	if isSet(delta) && kind(delta) != '{' || isSet(message) && kind(message) != '{' {
		return errors.New("a choice's delta or message is not an object")
	}
	if isSet(delta) {
		message = delta
	}
	if !isSet(message) {
		return nil
	}
	return c.readMessage(message)
}

func (c *Choice) readMessage(object string) error {
	var content, reasoning, calls string
	err := eachMember(object, func(key, value string) error {
		switch key {
		case "role":
			c.Role = text(value)
		case "content":
			content = value
		case "reasoning_content":
			c.Reasoning = text(value)
		case "reasoning":
			reasoning = text(value)
		case "refusal":
			c.Refusal = text(value)
		case "tool_calls":
			calls = value
		default:
			return putField(&c.Extra, key, value)
		}
		return nil
	})
	if err != nil {
		return err
	}
	if c.Reasoning == "" {
		c.Reasoning = reasoning
	}
	if err := c.readContent(content); err != nil {
		return err
	}
	if kind(calls) != '[' {
		// Not understood, but nothing of an answer is to be lost.
		if err := putField(&c.Extra, "tool_calls", set(calls)); err != nil {
			return err
		}
	} else if err := eachElement(calls, c.readCall); err != nil {
		return err
	}
	dropNulls(&c.Extra)
	c.Extra = slices.DeleteFunc(c.Extra, func(f Field) bool { return f.Key == "annotations" && isEmptyArray(f.Raw) })
	return nil
}

func (c *Choice) readContent(content string) error {
	switch kind(content) {
	case '"':
		c.Text = text(content)
		return nil
	case '[':
		var b contentParts
		if err := eachElement(content, b.add); err != nil {
			return err
		}
		c.Text, c.Parts = b.text.String(), append(c.Parts, b.other...)
		if c.Reasoning == "" {
			c.Reasoning = b.thinking.String()
		}
		return nil
	}
	if isSet(content) {
		return errors.New("content is neither a string nor an array")
	}
	return nil
}

// contentParts sorts the parts of a content array.
type contentParts struct {
	text, thinking strings.Builder
	other          []string
}

func (b *contentParts) add(part string) error {
	if kind(part) == '"' {
		b.text.WriteString(text(part))
		return nil
	}
	if kind(part) != '{' {
		if isSet(part) {
			return b.keep(part)
		}
		return nil
	}
	switch inner := member(part, "text"); text(member(part, "type")) {
	case "text", "output_text", "":
		if kind(inner) == '"' {
			b.text.WriteString(text(inner))
			return nil
		}
	case "thinking":
		thinking := member(part, "thinking")
		if kind(thinking) == '"' {
			b.thinking.WriteString(text(thinking))
			return nil
		}
		if kind(thinking) == '[' {
			return eachElement(thinking, func(piece string) error {
				if kind(piece) == '{' {
					b.thinking.WriteString(text(member(piece, "text")))
				}
				return nil
			})
		}
	}
	return b.keep(part)
}

func (b *contentParts) keep(part string) error {
	if len(b.other) == maxParts {
		return errTooMany
	}
	b.other = append(b.other, part)
	return nil
}

func (c *Choice) readCall(value string) error {
	if !isSet(value) {
		return nil
	}
	if kind(value) != '{' {
		return errors.New("a tool call is not an object")
	}
	if len(c.ToolCalls) == maxCalls {
		return errTooMany
	}
	t := c.addCall()
	var index, function string
	err := eachMember(value, func(key, value string) error {
		switch key {
		case "index":
			index = value
		case "id":
			t.ID = text(value)
		case "type":
			t.Type = text(value)
		case "function":
			function = value
		default:
			return putField(&t.Extra, key, value)
		}
		return nil
	})
	if err != nil {
		return err
	}
	dropNulls(&t.Extra)
	if t.Index, t.HasIndex, err = readIndex(index); err != nil {
		return err
	}
	return t.readFunction(function)
}

// readFunction reads the function of a call. Its unmodelled fields win over those of the call.
func (t *ToolCall) readFunction(value string) error {
	if kind(value) != '{' {
		return putField(&t.Extra, "function", set(value))
	}
	var extra []Field
	err := eachMember(value, func(key, value string) error {
		switch key {
		case "name":
			t.Name = text(value)
		case "arguments":
			if t.Arguments = set(value); kind(value) == '"' {
				t.Arguments = text(value)
			}
		default:
			return putField(&extra, key, value)
		}
		return nil
	})
	if err != nil {
		return err
	}
	dropNulls(&extra)
	for _, f := range extra {
		if err := putField(&t.Extra, f.Key, f.Raw); err != nil {
			return err
		}
	}
	return nil
}

func (a *Answer) readUsage(value string) {
	if kind(value) != '{' {
		return
	}
	c := noCounts
	var groups [numGroups]string
	_ = eachMember(value, func(key, value string) error {
		if i := countOf(key); i != unknown {
			c.top[i] = countIn(value)
		} else if g := groupOf(key); g != unknown {
			groups[g] = value
		}
		return nil
	})
	for g, value := range groups {
		if kind(value) != '{' {
			continue
		}
		_ = eachMember(value, func(key, value string) error {
			if i := detailOf(key); i != unknown {
				c.details[g][i] = countIn(value)
			}
			return nil
		})
	}
	a.addUsage(&c)
}

func countIn(value string) int64 {
	if !isNumber(value) {
		return absent
	}
	return count(value)
}

// readIndex reads an index; was is false when there is none, or none that is a number.
func readIndex(value string) (index int, was bool, err error) {
	if !isNumber(value) {
		return 0, false, nil
	}
	f, err := strconv.ParseFloat(value, 64)
	if err != nil || f < 0 || f > maxIndex || f != math.Trunc(f) {
		return 0, false, errBadIndex
	}
	return int(f), true, nil
}
