package embedlocal

import (
	"strings"
	"unicode"
	"unicode/utf8"

	"golang.org/x/text/unicode/norm"
)

// wordPiece is BERT's way from a text to tokens: the text is cleaned, cut at white space, punctuation and Chinese
// characters, and each word is cut into the longest pieces that the vocabulary has. Time grows linearly with the text.
// What looks like a special token in a text is text, so that nobody can end a sequence from within.
type wordPiece struct {
	vocab                        map[string]int64
	unknown                      int64
	prefix                       string // of a piece that continues a word
	maxWord                      int    // characters; a longer word is one unknown token
	clean, chinese, lower, strip bool
}

// appendTokens stops when tokens has limit of them.
func (w *wordPiece) appendTokens(tokens []int64, text string, limit int) []int64 {
	for text != "" && len(tokens) < limit {
		var run string
		run, text = w.nextRun(text)
		tokens = w.appendRun(tokens, run, limit)
	}
	return tokens
}

// nextRun cuts off what stands before the next white space, or one Chinese character.
func (w *wordPiece) nextRun(text string) (run, rest string) {
	for i, r := range text {
		switch {
		case unicode.IsSpace(r) && (!w.clean || !isControl(r)):
			return text[:i], text[i+utf8.RuneLen(r):]
		case w.chinese && isChinese(r):
			if i == 0 {
				i = utf8.RuneLen(r)
			}
			return text[:i], text[i:]
		}
	}
	return text, ""
}

// appendRun normalises a run without white space, and cuts it at punctuation.
func (w *wordPiece) appendRun(tokens []int64, run string, limit int) []int64 {
	if run == "" {
		return tokens
	}
	if w.clean {
		run = strings.Map(func(r rune) rune {
			if r == 0 || r == utf8.RuneError || isControl(r) {
				return -1
			}
			return r
		}, run)
	}
	if w.strip {
		run = strings.Map(func(r rune) rune {
			if unicode.Is(unicode.Mn, r) {
				return -1
			}
			return r
		}, norm.NFD.String(run))
	}
	if w.lower {
		// Each character by itself: a sigma at the end of a word is one like the others.
		run = strings.Map(unicode.ToLower, strings.ReplaceAll(run, "\u0130", "i\u0307"))
	}
	start := 0
	for i, r := range run {
		if len(tokens) >= limit {
			return tokens
		}
		if isPunctuation(r) {
			end := i + utf8.RuneLen(r)
			tokens = w.appendWord(tokens, run[start:i], limit)
			tokens = w.appendWord(tokens, run[i:end], limit)
			start = end
		}
	}
	return w.appendWord(tokens, run[start:], limit)
}

// appendWord cuts a word into pieces; one that cannot be cut is unknown as a whole.
func (w *wordPiece) appendWord(tokens []int64, word string, limit int) []int64 {
	if word == "" || len(tokens) >= limit {
		return tokens
	}
	if len(word) > w.maxWord && utf8.RuneCountInString(word) > w.maxWord {
		return append(tokens, w.unknown)
	}
	begin := len(tokens)
	for start := 0; start < len(word); {
		end := len(word)
		for ; end > start; end-- {
			if end < len(word) && !utf8.RuneStart(word[end]) {
				continue
			}
			piece := word[start:end]
			if start > 0 {
				piece = w.prefix + piece
			}
			if id, ok := w.vocab[piece]; ok {
				tokens = append(tokens, id)
				break
			}
		}
		if end == start {
			return append(tokens[:begin], w.unknown)
		}
		start = end
	}
	return tokens[:min(len(tokens), limit)]
}

func isControl(r rune) bool {
	return r != '\t' && r != '\n' && r != '\r' && unicode.In(r, unicode.Cc, unicode.Cf, unicode.Co)
}

func isPunctuation(r rune) bool {
	if r < utf8.RuneSelf {
		return r >= '!' && r <= '/' || r >= ':' && r <= '@' || r >= '[' && r <= '`' || r >= '{' && r <= '~'
	}
	return unicode.IsPunct(r)
}

// isChinese has the ranges of the reference, the gap before U+2B920 included.
func isChinese(r rune) bool {
	return r >= 0x4E00 && r <= 0x9FFF || r >= 0x3400 && r <= 0x4DBF || r >= 0x20000 && r <= 0x2A6DF ||
		r >= 0x2A700 && r <= 0x2B73F || r >= 0x2B740 && r <= 0x2B81F || r >= 0x2B920 && r <= 0x2CEAF ||
		r >= 0xF900 && r <= 0xFAFF || r >= 0x2F800 && r <= 0x2FA1F
}
