package tokens

import (
	"sync"
	"unicode"
	"unicode/utf8"
)

// The classes of a character that the patterns tell apart, one bit each.
const (
	upper   = 1 << iota // Lu, Lt
	lower               // Ll
	other               // Lm, Lo: letters that count as upper and as lower
	mark                // M
	number              // N
	newline             // \r, \n
	space               // other white space
	symbol              // everything else
)

const (
	letter     = upper | lower | other
	upperRun   = upper | other | mark
	lowerRun   = lower | other | mark
	blank      = newline | space
	sign       = mark | symbol         // [^\s\p{L}\p{N}]
	leading    = mark | symbol | space // [^\r\n\p{L}\p{N}]
	blockSize  = 256
	blockCount = (unicode.MaxRune + 1) / blockSize
)

// classes finds the class of a character: blocks of 256 of them, and equal blocks once (43 KB in all).
type classes struct {
	ascii  [utf8.RuneSelf]uint8
	block  [blockCount]uint16
	blocks [][blockSize]uint8
}

func (c *classes) of(r rune) uint8 { return c.blocks[c.block[r/blockSize]][r%blockSize] }

var unicodeClasses = sync.OnceValue(func() *classes {
	flat := make([]uint8, unicode.MaxRune+1)
	for i := range flat {
		flat[i] = symbol
	}
	for _, set := range []struct {
		table *unicode.RangeTable
		class uint8
	}{
		{unicode.Lu, upper},
		{unicode.Lt, upper},
		{unicode.Ll, lower},
		{unicode.Lm, other},
		{unicode.Lo, other},
		{unicode.M, mark},
		{unicode.N, number},
		{unicode.White_Space, space},
	} {
		for _, r := range set.table.R16 {
			for i := uint32(r.Lo); i <= uint32(r.Hi); i += uint32(r.Stride) {
				flat[i] = set.class
			}
		}
		for _, r := range set.table.R32 {
			for i := r.Lo; i <= r.Hi; i += r.Stride {
				flat[i] = set.class
			}
		}
	}
	flat['\r'], flat['\n'] = newline, newline
	c := &classes{}
	copy(c.ascii[:], flat)
	seen := map[[blockSize]uint8]uint16{}
	for i := range c.block {
		b := [blockSize]uint8(flat[i*blockSize:])
		at, ok := seen[b]
		if !ok {
			at = uint16(len(c.blocks))
			seen[b] = at
			c.blocks = append(c.blocks, b)
		}
		c.block[i] = at
	}
	return c
})

// at gives the class and the length of the character at i; 0, 0 at the end.
func (c *classes) at(s string, i int) (class uint8, size int) {
	if i >= len(s) {
		return 0, 0
	}
	if b := s[i]; b < utf8.RuneSelf {
		return c.ascii[b], 1
	}
	r, size := utf8.DecodeRuneInString(s[i:])
	return c.of(r), size
}

// run gives the end of the run of characters of the classes in set that begins at i.
func (c *classes) run(s string, i int, set uint8) int {
	for i < len(s) {
		if b := s[i]; b < utf8.RuneSelf {
			if c.ascii[b]&set == 0 {
				return i
			}
			i++
			continue
		}
		r, size := utf8.DecodeRuneInString(s[i:])
		if c.of(r)&set == 0 {
			return i
		}
		i += size
	}
	return i
}

// splitter gives the end of the piece that begins at i, for i < len(s) and valid UTF-8. What it looks at is at most a
// few times what it passes, so that cutting a text takes time in proportion to its length whatever is in it.
type splitter func(c *classes, s string, i int) int

// splitO200k cuts as the pattern of o200k_base does, alternative by alternative:
//
//	[^\r\n\p{L}\p{N}]?[\p{Lu}\p{Lt}\p{Lm}\p{Lo}\p{M}]*[\p{Ll}\p{Lm}\p{Lo}\p{M}]+(?i:'s|'t|'re|'ve|'m|'ll|'d)?
//	[^\r\n\p{L}\p{N}]?[\p{Lu}\p{Lt}\p{Lm}\p{Lo}\p{M}]+[\p{Ll}\p{Lm}\p{Lo}\p{M}]*(?i:'s|'t|'re|'ve|'m|'ll|'d)?
//	\p{N}{1,3}
//	 ?[^\s\p{L}\p{N}]+[\r\n/]*
//	\s*[\r\n]+
//	\s+(?!\S)
//	\s+
func splitO200k(c *classes, s string, i int) int {
	class, size := c.at(s, i)
	var end int
	if class&leading != 0 {
		next, _ := c.at(s, i+size)
		if next&(letter|mark) != 0 {
			if end = c.lowerWord(s, i+size); end < 0 && class == mark {
				end = i + size // the mark is all of the word: what follows it is upper case to its end
			}
			if end < 0 {
				end = c.run(s, i+size, upper)
			}
			return contraction(s, end)
		}
		if class == mark {
			return contraction(s, i+size)
		}
	} else if class&letter != 0 {
		if end = c.lowerWord(s, i); end < 0 {
			end = c.run(s, i, upper)
		}
		return contraction(s, end)
	}
	return c.rest(s, i, class, size, true)
}

// lowerWord gives the end of [\p{Lu}\p{Lt}\p{Lm}\p{Lo}\p{M}]*[\p{Ll}\p{Lm}\p{Lo}\p{M}]+ at i, or -1. The first run
// takes all it can and gives back only what the second one needs: when nothing follows that is lower case alone, the
// match ends after the last character that is both.
func (c *classes) lowerWord(s string, i int) int {
	both := -1
	for i < len(s) {
		class, size := c.at(s, i)
		if class == upper {
			i += size
			continue
		}
		if class&(other|mark) == 0 {
			if class == lower {
				return c.run(s, i+size, lowerRun)
			}
			break
		}
		i += size
		both = i
	}
	return both
}

// contraction takes a 's, 't, 're, 've, 'm, 'll or 'd along that stands at i.
func contraction(s string, i int) int {
	if i+1 >= len(s) || s[i] != '\'' {
		return i
	}
	switch s[i+1] | 0x20 {
	case 's', 't', 'm', 'd':
		return i + 2
	case 'r', 'v':
		if i+2 < len(s) && s[i+2]|0x20 == 'e' {
			return i + 3
		}
	case 'l':
		if i+2 < len(s) && s[i+2]|0x20 == 'l' {
			return i + 3
		}
	}
	return i
}

// splitCL100k cuts as the pattern of cl100k_base does:
//
//	(?i:'s|'t|'re|'ve|'m|'ll|'d)
//	[^\r\n\p{L}\p{N}]?\p{L}+
//	\p{N}{1,3}
//	 ?[^\s\p{L}\p{N}]+[\r\n]*
//	\s*[\r\n]+
//	\s+(?!\S)
//	\s+
func splitCL100k(c *classes, s string, i int) int {
	if end := contraction(s, i); end > i {
		return end
	}
	class, size := c.at(s, i)
	if class&letter != 0 {
		return c.run(s, i+size, letter)
	}
	if class&leading != 0 {
		if end := c.run(s, i+size, letter); end > i+size {
			return end
		}
	}
	return c.rest(s, i, class, size, false)
}

// rest holds what the two patterns end with alike, but that slashes go with newlines in o200k.
func (c *classes) rest(s string, i int, class uint8, size int, slashes bool) int {
	if class == number {
		end := i + size
		for range 2 {
			next, size := c.at(s, end)
			if next != number {
				break
			}
			end += size
		}
		return end
	}
	from := i
	if s[i] == ' ' {
		from++
	}
	if end := c.run(s, from, sign); end > from {
		for end < len(s) && (s[end] == '\r' || s[end] == '\n' || slashes && s[end] == '/') {
			end++
		}
		return end
	}
	return c.blanks(s, i)
}

// blanks cuts white space: up to its last newline, or else all but its last character, which goes to what follows.
func (c *classes) blanks(s string, i int) int {
	end, last, afterNewline := i, i, -1
	for end < len(s) {
		class, size := c.at(s, end)
		if class&blank == 0 {
			break
		}
		last = end
		end += size
		if class == newline {
			afterNewline = end
		}
	}
	switch {
	case afterNewline > 0:
		return afterNewline
	case end < len(s) && last > i:
		return last
	}
	return end
}
