package cache

import (
	"bytes"
	"encoding/json"
	"slices"
	"unicode/utf16"
	"unicode/utf8"
)

// appendCanonical appends raw in the one form that all JSON texts of its value share: no white space, members in the
// order of their names, characters written as themselves. Numbers stay as they are written, because 1 and 1.0 may not
// mean the same to a reader, and so do names that are there twice and halves of surrogate pairs. In a schema the
// members of "properties" keep their order: models write the fields of an answer in it. What is no JSON is not ok.
//
// The text is parsed once and every byte is written once, however deep it is nested.
func appendCanonical(b, raw []byte, schema bool) (_ []byte, ok bool) {
	if !json.Valid(raw) { // it also bounds the depth
		return b, false
	}
	p := jsonParser{raw: raw}
	root, _ := p.value(p.skip(0))
	w := jsonWriter{nodes: p.nodes, schema: schema, b: b}
	w.value(root, false)
	return w.b, true
}

// node is a value in a text that is known to be JSON.
type node struct {
	text        []byte // of a scalar
	name        []byte // of a member of an object, with its quotes
	kind        byte   // the first byte
	child, next int    // the first value inside, and the one after this; 0 is none
}

type jsonParser struct {
	raw   []byte
	nodes []node
}

func (p *jsonParser) skip(at int) int {
	for at < len(p.raw) && (p.raw[at] == ' ' || p.raw[at] == '\n' || p.raw[at] == '\t' || p.raw[at] == '\r') {
		at++
	}
	return at
}

// value parses what begins at at, and gives where it ends.
func (p *jsonParser) value(at int) (index, end int) {
	if len(p.nodes) == 0 {
		p.nodes = append(p.nodes, node{}) // so that 0 is none
	}
	index = len(p.nodes)
	p.nodes = append(p.nodes, node{kind: p.raw[at]})
	switch p.raw[at] {
	case '{', '[':
		end = p.inside(index, at+1)
	case '"':
		end = p.stringEnd(at)
	default:
		for end = at + 1; end < len(p.raw) && (p.raw[end] > ',' && p.raw[end] != ']' && p.raw[end] != '}' || p.raw[end] == '+'); {
			end++
		}
	}
	p.nodes[index].text = p.raw[at:end]
	return index, end
}

// inside parses the values of an object or an array.
func (p *jsonParser) inside(parent, at int) (end int) {
	last := 0
	for at = p.skip(at); p.raw[at] != '}' && p.raw[at] != ']'; at = p.skip(at) {
		if p.raw[at] == ',' {
			at = p.skip(at + 1)
		}
		var name []byte
		if p.nodes[parent].kind == '{' {
			colon := p.stringEnd(at)
			name = p.raw[at:colon]
			at = p.skip(p.skip(colon) + 1)
		}
		index, end := p.value(at)
		p.nodes[index].name = name
		if last == 0 {
			p.nodes[parent].child = index
		} else {
			p.nodes[last].next = index
		}
		last, at = index, end
	}
	return at + 1
}

func (p *jsonParser) stringEnd(at int) int {
	for at++; p.raw[at] != '"'; at++ {
		if p.raw[at] == '\\' {
			at++
		}
	}
	return at + 1
}

type jsonWriter struct {
	nodes  []node
	schema bool
	b      []byte
}

// value writes a value; the members of an object in their order if that is to be kept.
func (w *jsonWriter) value(index int, keep bool) {
	n := &w.nodes[index]
	switch n.kind {
	case '{':
		w.object(n, keep)
	case '[':
		w.b = append(w.b, '[')
		for i := n.child; i != 0; i = w.nodes[i].next {
			if i != n.child {
				w.b = append(w.b, ',')
			}
			w.value(i, false)
		}
		w.b = append(w.b, ']')
	case '"':
		w.b = appendCanonicalString(w.b, n.text)
	default:
		w.b = append(w.b, n.text...)
	}
}

type member struct {
	name  []byte // in its canonical form
	index int
}

func (w *jsonWriter) object(n *node, keep bool) {
	var members []member
	for i := n.child; i != 0; i = w.nodes[i].next {
		name := w.nodes[i].name
		if bytes.IndexByte(name, '\\') >= 0 {
			name = appendCanonicalString(nil, name)
		}
		members = append(members, member{name, i})
	}
	if !keep {
		slices.SortStableFunc(members, func(a, b member) int { return bytes.Compare(a.name, b.name) })
	}
	w.b = append(w.b, '{')
	for i, m := range members {
		if i > 0 {
			w.b = append(w.b, ',')
		}
		w.b = append(append(w.b, m.name...), ':')
		w.value(m.index, w.schema && string(m.name) == `"properties"`)
	}
	w.b = append(w.b, '}')
}

// appendCanonicalString writes a string with its quotes, escaping only what has to be.
func appendCanonicalString(b, quoted []byte) []byte {
	if bytes.IndexByte(quoted, '\\') < 0 {
		return append(b, quoted...)
	}
	for at := 0; at < len(quoted); {
		if quoted[at] != '\\' {
			b = append(b, quoted[at])
			at++
			continue
		}
		c := quoted[at+1]
		at += 2
		switch c {
		case '"', '\\':
			b = append(b, '\\', c)
		case '/':
			b = append(b, '/')
		case 'u':
			r := hexRune(quoted[at : at+4])
			at += 4
			if utf16.IsSurrogate(r) {
				if at+6 <= len(quoted) && quoted[at] == '\\' && quoted[at+1] == 'u' {
					if pair := utf16.DecodeRune(r, hexRune(quoted[at+2:at+6])); pair != utf8.RuneError {
						b = utf8.AppendRune(b, pair)
						at += 6
						continue
					}
				}
				b = appendEscape(b, r)
				continue
			}
			b = appendCharacter(b, r)
		default:
			b = appendEscape(b, map[byte]rune{'b': '\b', 'f': '\f', 'n': '\n', 'r': '\r', 't': '\t'}[c])
		}
	}
	return b
}

func appendCharacter(b []byte, r rune) []byte {
	switch {
	case r == '"', r == '\\':
		return append(b, '\\', byte(r))
	case r < ' ':
		return appendEscape(b, r)
	}
	return utf8.AppendRune(b, r)
}

func appendEscape(b []byte, r rune) []byte {
	const digits = "0123456789abcdef"
	return append(b, '\\', 'u', digits[r>>12], digits[r>>8&15], digits[r>>4&15], digits[r&15])
}

func hexRune(digits []byte) (r rune) {
	for _, c := range digits {
		switch {
		case c <= '9':
			c -= '0'
		default:
			c = c&^0x20 - 'A' + 10
		}
		r = r<<4 | rune(c)
	}
	return r
}
