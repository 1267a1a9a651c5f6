package route

import (
	"strings"
	"unicode"
	"unicode/utf8"
)

// turnScan reads texts once, from left to right, without allocating.
type turnScan struct {
	words, han, questions int
	reasoning             string
	thought, code, maths  int // points

	inWord bool // since the last space, a letter or digit has come

	// The letters of the run that is being read, folded; a run longer than any known word is none of them.
	run    [longestCue]byte
	letter int  // how many; more than fit are counted all the same
	other  bool // something in the run is no ASCII letter

	seen  marks // which signs of code or formulas have come
	last  rune  // the character before
	ticks int   // backticks in a row
}

// marks are counted once each: a text of braces is not more code than one with some.
type marks uint16

const (
	markBraces marks = 1 << iota
	markCall
	markOperator
	markTag
	markFence
	markAssign
	markSnake
	markSemicolon
	markPower
	markSymbol
	markSum
	markEquals
	markPercent
)

// text reads one part of a turn. Words do not go on from one part to the next.
func (s *turnScan) text(t string) {
	for i := 0; i < len(t); {
		c := t[i]
		if c < utf8.RuneSelf {
			s.ascii(c, t, i)
			s.last = rune(c)
			i++
			continue
		}
		r, size := utf8.DecodeRuneInString(t[i:])
		s.wide(r, t[i:])
		s.last = r
		i += size
	}
	s.endRun()
	s.inWord, s.last, s.ticks = false, 0, 0
}

// ascii reads the byte at t[i].
func (s *turnScan) ascii(c byte, t string, i int) {
	if c != '`' {
		s.ticks = 0
	}
	switch {
	case 'a' <= c && c <= 'z', 'A' <= c && c <= 'Z':
		if s.letter < len(s.run) {
			s.run[s.letter] = c | 0x20
		}
		s.letter++
		s.word()
		return
	case '0' <= c && c <= '9':
		s.inRun()
		return
	case c == '_':
		if s.letter > 0 && i+1 < len(t) && isASCIILetter(t[i+1]) {
			s.mark(markSnake)
		}
		s.inRun()
		return
	}
	s.endRun()
	next := byte(' ')
	if i+1 < len(t) {
		next = t[i+1]
	}
	switch c {
	case ' ', '\t', '\n', '\r', '\v', '\f':
		s.inWord = false
	case '?':
		// One in the middle of something is a part of an address.
		if s.last != '?' && s.last != '？' && s.last != '!' && !isASCIILetter(next) && !isDigit(next) {
			s.questions++
		}
	default:
		s.sign(c, next)
	}
}

// sign looks for code and formulas.
func (s *turnScan) sign(c, next byte) {
	before := byte(' ')
	if s.last < utf8.RuneSelf {
		before = byte(s.last)
	}
	operand := isASCIILetter(before) || isDigit(before) || before == ')' || before == ' ' && isDigit(next)
	switch c {
	case '`':
		if s.ticks++; s.ticks == 3 {
			s.mark(markFence)
		}
	case '{', '}':
		s.mark(markBraces)
	case '(':
		if next == ')' && (isASCIILetter(before) || before == '_') {
			s.mark(markCall)
		}
	case ';':
		if next == '\n' || before == ')' || before == '}' {
			s.mark(markSemicolon)
		}
	case '<':
		if next == '/' {
			s.mark(markTag)
		}
	case '=':
		switch {
		case next == '=' || next == '>' || before == '=' || before == '!' || before == ':':
			s.mark(markOperator)
		case before == ' ' && next == ' ', isASCIILetter(before) && isDigit(next):
			s.mark(markAssign | markEquals)
		case isDigit(before) || isDigit(next):
			s.mark(markEquals)
		}
	case '-':
		if next == '>' && before != '-' {
			s.mark(markOperator)
		}
	case '&', '|', ':':
		if next == c {
			s.mark(markOperator)
		}
	case '^':
		if operand {
			s.mark(markPower)
		}
	case '+', '*', '/':
		if c != '/' && next == c {
			s.mark(markOperator)
		} else if c != '/' && before == ' ' && next == ' ' || operand && (isDigit(before) && (isDigit(next) || next == ' ') || c != '/' && isDigit(next)) {
			s.mark(markSum)
		}
	case '%':
		if isDigit(before) {
			s.mark(markPercent)
		}
	case '\\':
		if isASCIILetter(next) && before != ':' {
			s.mark(markPower)
		}
	case '$':
		if next == '$' {
			s.mark(markPower)
		}
	}
}

// wide reads a character that is not ASCII, with which t begins.
func (s *turnScan) wide(r rune, t string) {
	s.ticks = 0
	switch {
	case isHan(r):
		s.endRun()
		s.inWord = false
		s.han++
		s.chinese(r, t)
	case 0xFF01 <= r && r <= 0xFF5E: // ASCII in full width
		s.fullWidth(byte(r - 0xFEE0))
	case isCJKPunctuation(r), unicode.IsSpace(r):
		s.endRun()
		s.inWord = false
	case unicode.IsLetter(r), unicode.IsDigit(r):
		if r >= 0x370 && r < 0x400 { // Greek
			s.mark(markSum)
		}
		s.inRun()
	case unicode.IsMark(r):
		if s.letter > 0 {
			s.other = true
		}
	default:
		s.endRun()
		if strings.ContainsRune("×÷√∑∫∂∞≤≥≠≈∈²³½", r) {
			s.mark(markSymbol)
		}
	}
}

func (s *turnScan) fullWidth(c byte) {
	switch {
	case isASCIILetter(c):
		s.ascii(c, "", 0)
	case isDigit(c):
		s.inRun()
	default:
		s.endRun()
		s.inWord = false
		if c == '?' && s.last != '？' && s.last != '?' && s.last != '！' {
			s.questions++
		}
	}
}

// word counts the word that a letter or digit stands in.
func (s *turnScan) word() {
	if !s.inWord {
		s.inWord = true
		s.words++
	}
}

// inRun takes a character that belongs to a run of letters and is no letter that a known word has.
func (s *turnScan) inRun() {
	s.other = true
	s.letter++
	s.word()
}

// endRun looks the run of letters up that has just ended.
func (s *turnScan) endRun() {
	if n := s.letter; n > 1 && n <= len(s.run) && !s.other {
		if c, ok := englishCues[string(s.run[:n])]; ok {
			s.take(c)
		}
	}
	s.letter, s.other = 0, false
}

func (s *turnScan) take(c cue) {
	if c.reasoning && s.reasoning == "" {
		s.reasoning = c.word
	}
	s.thought += int(c.thought)
	s.code += int(c.code)
	s.maths += int(c.maths)
}

// mark counts signs that have not been seen before.
func (s *turnScan) mark(m marks) {
	m &^= s.seen
	s.seen |= m
	for _, sign := range signs {
		if m&sign.of != 0 {
			s.code += sign.code
			s.maths += sign.maths
		}
	}
}

var signs = [...]struct {
	of          marks
	code, maths int
}{
	{markBraces, 1, 0},
	{markCall, 2, 0},
	{markOperator, 1, 0},
	{markTag, 2, 0},
	{markFence, 2, 0},
	{markAssign, 1, 0},
	{markSnake, 1, 0},
	{markSemicolon, 1, 0},
	{markPower, 0, 2},
	{markSymbol, 0, 2},
	{markSum, 0, 1},
	{markEquals, 0, 1},
	{markPercent, 0, 1},
}

// enoughPoints is how many make a turn one with code or mathematics.
const enoughPoints = 2

func (s *turnScan) into(f *Features) {
	f.Words = s.words + (s.han*3+2)/5
	f.Han, f.Questions, f.Reasoning, f.Thought = s.han, s.questions, s.reasoning, s.thought
	f.Code, f.Maths = s.code >= enoughPoints, s.maths >= enoughPoints
}

func isASCIILetter(c byte) bool { return 'a' <= c|0x20 && c|0x20 <= 'z' }

func isDigit(c byte) bool { return '0' <= c && c <= '9' }

// isHan reports whether r is a Chinese character, or kana, which has no spaces either.
func isHan(r rune) bool {
	return 0x4E00 <= r && r <= 0x9FFF || 0x3400 <= r && r <= 0x4DBF || 0x3041 <= r && r <= 0x30FF && r != 0x30FB ||
		r == 0x3005 || r == 0x3007 || 0xF900 <= r && r <= 0xFAFF || 0x20000 <= r && r <= 0x323AF
}

// isCJKPunctuation includes the dashes, dots and quotes that Chinese shares with others, where they part words.
func isCJKPunctuation(r rune) bool {
	return 0x3001 <= r && r <= 0x303F || r == 0x30FB || 0xFF5F <= r && r <= 0xFF65 || 0x2013 <= r && r <= 0x2015 || r == 0x2026
}
