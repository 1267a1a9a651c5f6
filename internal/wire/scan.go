package wire

import (
	"strings"
	"unicode/utf8"
)

// scanner reads JSON from front to back and checks all of its syntax. The first thing that is wrong, or unusual
// enough to be left to the reference decoder, moves it to the end of the text: nothing is found there, so every
// loop over it ends and only the last caller has to look at bad.
type scanner struct {
	data  string
	pos   int
	depth int
	bad   bool
}

func (s *scanner) fail() {
	s.bad = true
	s.pos = len(s.data)
}

// peek is the next byte, 0 at the end; a NUL outside a string is never valid.
func (s *scanner) peek() byte {
	if s.pos < len(s.data) {
		return s.data[s.pos]
	}
	return 0
}

func (s *scanner) space() {
	for s.pos < len(s.data) && s.data[s.pos] <= ' ' {
		switch s.data[s.pos] {
		case ' ', '\t', '\r', '\n':
			s.pos++
		default:
			return
		}
	}
}

// enter opens an array or object and reports whether it has elements. The loop over them is
//
//	for more := s.enter('[', ']'); more; more = s.next(']') {
func (s *scanner) enter(open, end byte) bool {
	if s.peek() != open || s.depth == maxDepth {
		s.fail()
		return false
	}
	s.pos++
	s.depth++
	s.space()
	if s.peek() == end {
		s.pos++
		s.depth--
		return false
	}
	return true
}

// next goes on to the next element and reports whether there is one.
func (s *scanner) next(end byte) bool {
	s.space()
	switch s.peek() {
	case ',':
		s.pos++
		s.space()
		return true
	case end:
		s.pos++
		s.depth--
	default:
		s.fail()
	}
	return false
}

// key reads a member's name and goes on to its value.
func (s *scanner) key() string {
	raw, escaped := s.quoted()
	if escaped {
		s.fail() // two spellings of one name
	}
	s.colon()
	return raw
}

func (s *scanner) colon() {
	s.space()
	if s.peek() != ':' {
		s.fail()
		return
	}
	s.pos++
	s.space()
}

// text reads a string, and anything else as "".
func (s *scanner) text() string {
	if s.peek() != '"' {
		s.skip()
		return ""
	}
	raw, escaped := s.quoted()
	if escaped {
		return unescape(raw)
	}
	return raw
}

// raw reads any value as it is written, and null as "".
func (s *scanner) raw() string {
	if s.null() {
		return ""
	}
	from := s.pos
	if s.skip(); s.bad {
		return "" // half a value is none
	}
	return s.data[from:s.pos]
}

// null steps over a null, if one is next.
func (s *scanner) null() bool {
	if s.peek() != 'n' {
		return false
	}
	s.literal("null")
	return true
}

func (s *scanner) literal(word string) {
	if !strings.HasPrefix(s.data[s.pos:], word) {
		s.fail()
		return
	}
	s.pos += len(word)
}

// skip steps over any value.
func (s *scanner) skip() {
	switch s.peek() {
	case '"':
		s.quoted()
	case '{':
		for more := s.enter('{', '}'); more; more = s.next('}') {
			s.quoted()
			s.colon()
			s.skip()
		}
	case '[':
		for more := s.enter('[', ']'); more; more = s.next(']') {
			s.skip()
		}
	case 't':
		s.literal("true")
	case 'f':
		s.literal("false")
	case 'n':
		s.literal("null")
	default:
		s.number()
	}
}

func (s *scanner) number() {
	if s.peek() == '-' {
		s.pos++
	}
	if s.peek() == '0' {
		s.pos++
	} else {
		s.digits()
	}
	if s.peek() == '.' {
		s.pos++
		s.digits()
	}
	if s.peek()|0x20 == 'e' {
		s.pos++
		if c := s.peek(); c == '+' || c == '-' {
			s.pos++
		}
		s.digits()
	}
}

func (s *scanner) digits() {
	from := s.pos
	for isDigit(s.peek()) {
		s.pos++
	}
	if s.pos == from {
		s.fail()
	}
}

func isDigit(c byte) bool { return '0' <= c && c <= '9' }

// whole reads a plain whole number of at most 12 digits, or null as absent.
func (s *scanner) whole() int64 {
	if s.null() {
		return absent
	}
	from := s.pos
	n := int64(0)
	for c := s.peek(); isDigit(c); c = s.peek() {
		n = n*10 + int64(c-'0')
		if s.pos++; s.pos-from > 12 {
			break
		}
	}
	length := s.pos - from
	switch c := s.peek(); {
	case length == 0, length > 12, length > 1 && s.data[from] == '0', c == '.', c|0x20 == 'e':
		s.fail()
	}
	return n
}

// quoted reads a string up to its end. What it returns still has its escapes.
func (s *scanner) quoted() (raw string, escaped bool) {
	if s.peek() != '"' {
		s.fail()
		return "", false
	}
	data, from := s.data, s.pos+1
	wide := false // characters outside ASCII
	for i := from; ; {
		for len(data)-i >= 8 && allPlain(data[i:]) {
			i += 8
		}
		for i < len(data) && isPlain[data[i]] {
			i++
		}
		if i == len(data) {
			break
		}
		switch c := data[i]; {
		case c >= utf8.RuneSelf:
			wide = true
			for i < len(data) && data[i] >= utf8.RuneSelf {
				i++
			}
			continue
		case c == '"':
			raw = data[from:i]
			s.pos = i + 1
			if wide && !utf8.ValidString(raw) {
				s.fail()
			}
			return raw, escaped
		}
		n := escapeLen(data[i:])
		if n == 0 {
			break
		}
		escaped = true
		i += n
	}
	s.fail()
	return "", false
}

// isPlain tells the bytes that need no second look inside a string: ASCII but quotes, backslashes and controls.
var isPlain = func() (plain [256]bool) {
	for c := ' '; c < utf8.RuneSelf; c++ {
		plain[c] = c != '"' && c != '\\'
	}
	return plain
}()

// allPlain reports whether eight bytes are plain, looking at all of them at once. It may err towards no.
func allPlain(s string) bool {
	const (
		each = 0x0101010101010101
		high = 0x8080808080808080
	)
	_ = s[7]
	w := uint64(s[0]) | uint64(s[1])<<8 | uint64(s[2])<<16 | uint64(s[3])<<24 |
		uint64(s[4])<<32 | uint64(s[5])<<40 | uint64(s[6])<<48 | uint64(s[7])<<56
	quote, backslash := w^each*'"', w^each*'\\'
	return (w|(w-each*' ')|(quote-each)|(backslash-each))&high == 0
}
