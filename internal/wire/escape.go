package wire

import (
	"strings"
	"unicode/utf16"
	"unicode/utf8"
)

// escapeLen is the length of the escape sequence s starts with: 12 for a surrogate pair, 0 if it is none, or half
// a pair.
func escapeLen(s string) int {
	if len(s) < 2 || s[0] != '\\' {
		return 0
	}
	switch s[1] {
	case '"', '\\', '/', 'b', 'f', 'n', 'r', 't':
		return 2
	}
	r := hexRune(s)
	switch {
	case r < 0:
		return 0
	case !utf16.IsSurrogate(r):
		return 6
	case utf16.DecodeRune(r, hexRune(s[6:])) == utf8.RuneError:
		return 0
	}
	return 12
}

// hexRune is the value of the \u escape s starts with, -1 if there is none.
func hexRune(s string) (r rune) {
	if len(s) < 6 || s[0] != '\\' || s[1] != 'u' {
		return -1
	}
	for _, c := range []byte(s[2:6]) {
		switch {
		case isDigit(c):
			c -= '0'
		case 'a' <= c|0x20 && c|0x20 <= 'f':
			c = c | 0x20 - 'a' + 10
		default:
			return -1
		}
		r = r<<4 | rune(c)
	}
	return r
}

// unescape resolves the escapes of a string that quoted has checked.
func unescape(raw string) string {
	var b strings.Builder
	b.Grow(len(raw)) // no escape is shorter than what it stands for
	for {
		i := strings.IndexByte(raw, '\\')
		if i < 0 {
			b.WriteString(raw)
			return b.String()
		}
		b.WriteString(raw[:i])
		raw = raw[i:]
		n := escapeLen(raw)
		switch n {
		case 0: // a string that was not checked, or one cut off by a failure
			return b.String()
		case 2:
			b.WriteByte(unescaped(raw[1]))
		case 6:
			b.WriteRune(hexRune(raw))
		default:
			b.WriteRune(utf16.DecodeRune(hexRune(raw), hexRune(raw[6:])))
		}
		raw = raw[n:]
	}
}

// unescaped is what a letter after a backslash stands for.
func unescaped(c byte) byte {
	switch c {
	case 'b':
		return '\b'
	case 'f':
		return '\f'
	case 'n':
		return '\n'
	case 'r':
		return '\r'
	case 't':
		return '\t'
	}
	return c
}
