package guard

import (
	"strings"
	"unicode"
	"unicode/utf8"
)

// question is what guards see of a text.
type question struct {
	words []word
	text  string   // lower case, in plain forms, without what is polite
	raw   string   // as it was written, in plain forms
	rest  string   // what is not read
	about []string // its contents, once they are asked for
}

// word is a run of letters and digits with what may stand inside one, or a single Chinese character.
type word struct {
	text  string // lower case
	name  bool   // written like a name: a capital inside a sentence, or capitals only
	mixed bool   // letters with digits or signs: an identifier
	digit bool   // begins with a digit
	wide  bool   // a Chinese, Japanese or Korean character
}

// read takes a question apart.
func read(s string) *question {
	q := &question{}
	if len(s) > most {
		cut := most
		for cut > 0 && !utf8.RuneStart(s[cut]) {
			cut--
		}
		s, q.rest = s[:cut], s[cut:]
	}
	q.raw = plain(s)
	q.text = strings.ToLower(q.raw)
	q.words = split(q.raw)
	return q
}

// plain writes full-width forms and typographic signs as the ASCII ones they stand for.
func plain(s string) string {
	if isASCII(s) {
		return s
	}
	return strings.Map(func(r rune) rune {
		switch {
		case r >= 0xff01 && r <= 0xff5e:
			return r - 0xfee0
		case r == 0x3000 || r == 0xa0:
			return ' '
		case r == '’' || r == '‘':
			return '\''
		case r == '“' || r == '”' || r == '「' || r == '」' || r == '『' || r == '』':
			return '"'
		case r == '。':
			return '.'
		case r == '、':
			return ','
		case r == utf8.RuneError:
			return '?'
		}
		return r
	}, s)
}

func isASCII(s string) bool {
	for i := range len(s) {
		if s[i] >= 0x80 {
			return false
		}
	}
	return true
}

func isWide(r rune) bool { return r >= 0x2e80 && r < 0xe000 || r >= 0x20000 && r < 0x32000 }

// inside are the signs that may stand within a word when letters or digits are on both sides.
func inside(r rune) bool { return strings.ContainsRune(".,_-@/:#'+&%=", r) }

func isWord(r rune) bool { return unicode.IsLetter(r) || unicode.IsDigit(r) || unicode.IsMark(r) }

// split cuts a text into words.
func split(s string) []word {
	words := make([]word, 0, len(s)/5+1)
	begins := true // of a sentence
	shouting := strings.ToUpper(s) == s
	for i := 0; i < len(s); {
		r, size := utf8.DecodeRuneInString(s[i:])
		switch {
		case isWide(r):
			words = append(words, word{text: s[i : i+size], wide: true})
			i += size
			begins = false
			continue
		case r == '-' && i+2 < len(s) && s[i+1] == '-' && (i == 0 || s[i-1] == ' '), r == '#' && i+1 < len(s):
			// a flag, or a number with its sign
		case !isWord(r):
			if r == '.' || r == '!' || r == '?' || r == '\n' || r == '"' || r == ':' {
				begins = true
			}
			i += size
			continue
		}
		end := i + size
		for end < len(s) {
			r, size := utf8.DecodeRuneInString(s[end:])
			if isWide(r) {
				break
			}
			if !isWord(r) {
				next, _ := utf8.DecodeRuneInString(s[end+size:])
				glued := inside(r) && isWord(next) && !isWide(next) || r == '-' && end == i+1 || r == '/' && next == '/' || r == '/' && end > 0 && s[end-1] == '/'
				called := r == '(' && next == ')'
				if !glued && !called {
					break
				}
				if called {
					size++
				}
			}
			end += size
		}
		words = appendWord(words, s[i:end], begins, shouting)
		begins = false
		i = end
	}
	return words
}

// appendWord adds a run, as the words it stands for: don't as two, 10kg as two, 5-day as two, state-of-the-art as it is.
func appendWord(words []word, run string, begins, shouting bool) []word {
	lower := strings.ToLower(run)
	if stem, ok := strings.CutSuffix(lower, "n't"); ok {
		if full := shortened[stem]; full != "" {
			stem = full
		}
		return append(words, word{text: stem}, word{text: "not"})
	}
	if lower == "cannot" {
		return append(words, word{text: "can"}, word{text: "not"})
	}
	if i := strings.IndexByte(lower, '\''); i > 0 && i >= len(lower)-3 {
		short := lower[i+1:]
		// Not at i: in lower case a letter may have other bytes.
		run, lower = run[:strings.IndexByte(run, '\'')], lower[:i]
		if full := joined[short]; full != "" {
			return append(words, word{text: lower}, word{text: full})
		}
		if short == "s" && takesIs[lower] {
			return append(words, word{text: lower}, word{text: "is"})
		}
	}
	letters, digits, signs, capitals := 0, 0, 0, 0
	for _, r := range run {
		switch {
		case unicode.IsDigit(r):
			digits++
		case unicode.IsLetter(r) || unicode.IsMark(r):
			letters++
			if unicode.IsUpper(r) {
				capitals++
			}
		default:
			signs++
		}
	}
	w := word{text: lower, digit: lower[0] >= '0' && lower[0] <= '9'}
	if w.digit && letters > 0 {
		// A number and what it counts.
		i := strings.IndexFunc(lower, func(r rune) bool { return !unicode.IsDigit(r) && r != '.' && r != ',' })
		tail := strings.TrimLeft(lower[i:], "-")
		if ordinalEnd[tail] {
			return append(words, word{text: lower[:i], digit: true})
		}
		if unitOf(tail) != "" || tail == "am" || tail == "pm" || tail == "k" || tail == "x" {
			return append(words, word{text: lower[:i], digit: true}, word{text: tail})
		}
	}
	if digits == 0 && strings.Contains(lower, "-") && signs == strings.Count(lower, "-") && !strings.HasPrefix(lower, "-") {
		for part := range strings.SplitSeq(lower, "-") { // well-known, e-mail
			words = append(words, word{text: part})
		}
		return words
	}
	if signs > 0 && letters > 0 && signs == strings.Count(lower, "/") && digits == 0 && !strings.Contains(lower, "//") {
		for part := range strings.SplitSeq(lower, "/") { // and/or
			words = append(words, word{text: part})
		}
		return words
	}
	w.mixed = letters > 0 && (digits > 0 || signs > 0)
	switch {
	case shouting || letters == 0 || lower == "i":
	case capitals >= 2 && capitals == letters, capitals > 0 && !isCapital(run):
		w.name = true // FAQ, iPhone
	case capitals > 0 && !begins:
		w.name = true
	}
	return append(words, w)
}

// isCapital reports whether only the first letter is a capital.
func isCapital(s string) bool {
	_, size := utf8.DecodeRuneInString(s)
	return strings.ToLower(s[size:]) == s[size:]
}

// The forms that an apostrophe makes of words: what stands before n't, what stands behind it, and what 's is short for.
var (
	shortened = map[string]string{"ca": "can", "wo": "will", "sha": "shall"}
	joined    = map[string]string{"m": "am", "re": "are", "ll": "will", "ve": "have", "d": "would"}
	takesIs   = map[string]bool{"what": true, "where": true, "who": true, "how": true, "it": true, "that": true, "there": true, "here": true, "when": true}
)

var ordinalEnd = map[string]bool{"st": true, "nd": true, "rd": true, "th": true}
