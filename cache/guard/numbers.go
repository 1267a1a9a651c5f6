package guard

import (
	"slices"
	"strconv"
	"strings"
)

// Numbers keeps questions apart whose numbers are not the same: in digits, in English words and in Chinese ones, however
// they are grouped. "One" and 一 alone are no numbers, being mostly something else.
func Numbers() Guard {
	return Guard{name: "numbers", differ: func(a, b *question) bool {
		return !slices.Equal(numbers(a), numbers(b))
	}}
}

// numbers gives those of a question in a form that can be compared, sorted.
func numbers(q *question) []string {
	var out []string
	for i := 0; i < len(q.words); {
		w := q.words[i]
		switch {
		case w.digit && !w.mixed:
			out = append(out, digits(w.text))
			i++
		case w.wide:
			n, used := chinese(q.words[i:])
			if n >= 0 {
				out = append(out, strconv.FormatInt(n, 10))
			}
			i += max(used, 1)
		default:
			n, used := english(q.words[i:])
			if n >= 0 {
				out = append(out, strconv.FormatInt(n, 10))
			}
			i += max(used, 1)
		}
	}
	slices.Sort(out)
	return out
}

// digits writes a number without what groups it, without zeros before it, and without a fraction of zeros.
func digits(s string) string {
	var sign byte
	// The last sign is a decimal point unless three digits follow a comma.
	if i := strings.LastIndexAny(s, ".,"); i >= 0 && (s[i] == '.' || len(s)-i-1 != 3) && strings.Count(s, s[i:i+1]) == 1 {
		sign = s[i]
		fraction := strings.TrimRight(s[i+1:], "0")
		s = strings.NewReplacer(".", "", ",", "").Replace(s[:i])
		if fraction != "" {
			s += "." + fraction
		}
	}
	if sign == 0 && strings.Count(s, ",") > 0 {
		s = strings.ReplaceAll(s, ",", "")
	}
	if s = strings.TrimLeft(s, "0"); s == "" || s[0] == '.' {
		s = "0" + s
	}
	return s
}

var englishNumbers = map[string]int64{
	"zero": 0, "two": 2, "three": 3, "four": 4, "five": 5, "six": 6, "seven": 7, "eight": 8, "nine": 9, "ten": 10,
	"eleven": 11, "twelve": 12, "thirteen": 13, "fourteen": 14, "fifteen": 15, "sixteen": 16, "seventeen": 17,
	"eighteen": 18, "nineteen": 19, "twenty": 20, "thirty": 30, "forty": 40, "fifty": 50, "sixty": 60, "seventy": 70,
	"eighty": 80, "ninety": 90, "dozen": 12, "twice": 2, "double": 2, "triple": 3, "half": -2, "both": 2,
	"second": 2, "third": 3, "fourth": 4, "fifth": 5, "sixth": 6, "seventh": 7, "eighth": 8, "ninth": 9, "tenth": 10,
}

var englishScales = map[string]int64{"hundred": 100, "thousand": 1_000, "million": 1_000_000, "billion": 1_000_000_000}

// english reads a number in words; -1 when there is none.
func english(words []word) (n int64, used int) {
	n = -1
	var total, part int64
	for used < len(words) && used < 16 {
		text := words[used].text
		value, ok := englishNumbers[text]
		scale := englishScales[text]
		switch {
		case ok && value < 0:
			if n >= 0 {
				return n, used
			}
			return 1_000_000_000_000, 1 // a half: no whole number
		case ok && n >= 0 && (value >= 10 || part%10 != 0 || part%100 == 10) && part%100 != 0:
			return n, used // another number begins
		case ok:
			part += value
		case scale > 0 && (n >= 0 || used > 0 || text != "hundred"):
			if scale == 100 {
				part = max(part, 1) * 100
			} else {
				total += max(part, 1) * scale
				part = 0
			}
		case text == "one" && used == 0 && len(words) > 1 && englishScales[words[1].text] > 0, text == "one" && n >= 20 && part%10 == 0:
			part++
		case text == "and" && n >= 100 && used+1 < len(words) && englishNumbers[words[used+1].text] > 0:
			used++
			continue
		default:
			return n, used
		}
		n = total + part
		used++
	}
	return n, used
}

var chineseDigits = map[string]int64{
	"〇": 0, "零": 0, "一": 1, "二": 2, "两": 2, "三": 3, "四": 4, "五": 5, "六": 6, "七": 7, "八": 8, "九": 9,
}

var chineseScales = map[string]int64{"十": 10, "百": 100, "千": 1_000, "万": 10_000, "亿": 100_000_000}

// chinese reads a number in Chinese; -1 when there is none, or what looks like one is a word.
func chinese(words []word) (n int64, used int) {
	var total, part, digit int64
	found, scaled := false, false
	for used < len(words) && used < 24 {
		text := words[used].text
		if text == "零" && scaled {
			used++ // 二百零五
			continue
		}
		if d, ok := chineseDigits[text]; ok {
			if found && !scaled {
				part = part*10 + digit // a number said digit by digit
			}
			digit, found, scaled = d, true, false
			used++
			continue
		}
		scale, ok := chineseScales[text]
		if !ok {
			break
		}
		if scale >= 10_000 {
			total = (total + part + digit) * scale
			part = 0
		} else {
			part += max(digit, 1) * scale
		}
		digit, found, scaled = 0, true, true
		used++
	}
	if !found {
		return -1, 0
	}
	n = total + part + digit
	if !scaled && part > 0 && total == 0 && used > 1 {
		n = part*10 + digit
	}
	next := ""
	if used < len(words) {
		next = words[used].text
	}
	switch {
	case used == 1 && (words[0].text == "一" || words[0].text == "千" || words[0].text == "万" || words[0].text == "百"):
		return -1, 1 // 一下, 一直, 百货
	case used == 1 && words[0].text == "十" && next == "分", used == 2 && words[0].text == "万" && words[1].text == "一":
		return -1, used // very; in case
	case used == 2 && words[0].text == "千" && words[1].text == "万":
		return -1, used // by all means
	}
	return n, used
}
