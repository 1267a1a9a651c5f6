package pairs

import (
	"math/rand/v2"
	"strings"
	"unicode"
	"unicode/utf8"
)

// change makes another text of the same meaning; "" if there is nothing to change.
type change struct {
	kind string
	make func(r *rand.Rand, lang, template string, values []value) string
}

// onText is a change that does not need to know how the text was made.
func onText(kind string, f func(r *rand.Rand, lang, s string) string) change {
	return change{kind, func(r *rand.Rand, lang, template string, values []value) string {
		return f(r, lang, write(template, values))
	}}
}

var changes = []change{
	onText("politeness", polite),
	onText("contraction", contract),
	onText("punctuation", punctuate),
	onText("case", recase),
	onText("width", rewidth),
	onText("spacing", respace),
	onText("synonym", replaceWord),
	onText("script", script),
	{"typo", typo},
	{"word order", reorder},
	{"format", reformat},
}

// perTemplate is how many variants of each kind are made of a template.
const perTemplate = 3

// Variants gives pairs of questions of the same meaning, from politeness to another way of writing a date. There are
// more than 2,000, no two the same.
func Variants(seed uint64) []Pair {
	r := rand.New(rand.NewPCG(seed, 2))
	var out []Pair
	seen := map[[2]string]bool{}
	for _, lang := range []string{"en", "zh"} {
		for _, t := range templates[lang] {
			for _, c := range changes {
				for range perTemplate {
					values := fillAll(r, lang, t)
					a := write(t, values)
					b := c.make(r, lang, t, values)
					if key := [2]string{a, b}; b != "" && b != a && !seen[key] {
						seen[key] = true
						out = append(out, Pair{c.kind, lang, a, b})
					}
				}
			}
		}
	}
	return out
}

// decapital makes the first letter small, unless the first word is a name or I.
func decapital(s string) string {
	first, _, _ := strings.Cut(s, " ")
	if first == "I" || strings.HasPrefix(first, "I'") {
		return s
	}
	r, n := utf8.DecodeRuneInString(s)
	return string(unicode.ToLower(r)) + s[n:]
}

func polite(r *rand.Rand, lang, s string) string {
	if lang == "zh" {
		return pick(r, []func() string{
			func() string { return "请问" + s },
			func() string { return "您好，" + s },
			func() string { return "你好，我想问一下，" + s },
			func() string { return s + "谢谢！" },
			func() string { return "麻烦帮我看一下，" + s },
			func() string { return "您好，请问" + s + "谢谢" },
		})()
	}
	return pick(r, []func() string{
		func() string { return "Hi, " + decapital(s) },
		func() string { return "Hello there! " + s },
		func() string { return s + " Thanks!" },
		func() string { return "Please help: " + s },
		func() string { return "Excuse me, " + decapital(s) },
		func() string { return "Quick question: " + decapital(s) },
		func() string { return "Good morning, " + decapital(s) + " Thank you in advance." },
		func() string { return "Could you please tell me: " + decapital(s) },
		func() string { return "Sorry to bother you. " + s },
	})()
}

func contract(r *rand.Rand, lang, s string) string {
	if lang == "zh" {
		return ""
	}
	long := []string{"do not", "does not", "did not", "is not", "has not", "cannot", "What is", "Where is", "Who is", "I have", "I am"}
	short := []string{"don't", "doesn't", "didn't", "isn't", "hasn't", "can't", "What's", "Where's", "Who's", "I've", "I'm"}
	for i, l := range long {
		if strings.Contains(s, l) {
			to := short[i]
			if r.IntN(3) == 0 {
				to = strings.ReplaceAll(to, "'", "’")
			}
			return strings.Replace(s, l, to, 1)
		}
	}
	return ""
}

func punctuate(r *rand.Rand, lang, s string) string {
	bare := strings.TrimRight(s, "?？")
	if lang == "zh" {
		return bare + pick(r, []string{"", "？？", "?", "。", "！", "呢？"})
	}
	return bare + pick(r, []string{"", "??", " ?", ".", "!", "...", "?!"})
}

func recase(r *rand.Rand, lang, s string) string {
	if lang == "zh" || strings.ContainsAny(s, "`_") || strings.Contains(s, "°") { // code has its case
		return ""
	}
	switch r.IntN(3) {
	case 0:
		return strings.ToUpper(s)
	case 1:
		words := strings.Split(s, " ")
		for i, w := range words {
			c, n := utf8.DecodeRuneInString(w)
			words[i] = string(unicode.ToUpper(c)) + w[n:]
		}
		return strings.Join(words, " ")
	}
	return strings.ToLower(s)
}

// rewidth writes digits, letters and signs in full width.
func rewidth(_ *rand.Rand, lang, s string) string {
	if lang != "zh" {
		return ""
	}
	return strings.Map(func(c rune) rune {
		if c >= '0' && c <= '9' || c >= 'A' && c <= 'Z' || c == '%' {
			return c + 0xFEE0
		}
		return c
	}, s)
}

// respace puts spaces where they mean nothing: between Chinese and the rest, and twice between words.
func respace(r *rand.Rand, lang, s string) string {
	if lang != "zh" {
		at := strings.IndexByte(s, ' ')
		return pick(r, []string{" " + s + " ", strings.Replace(s, " ", "  ", 2), s[:at] + "\n" + s[at+1:], strings.ReplaceAll(s, " ", "\u00a0")})
	}
	var b strings.Builder
	prev := rune(0)
	for _, c := range s {
		if prev != 0 && prev != ' ' && c != ' ' && unicode.Is(unicode.Han, prev) != unicode.Is(unicode.Han, c) && !unicode.IsPunct(c) && !unicode.IsPunct(prev) {
			b.WriteByte(' ')
		}
		b.WriteRune(c)
		prev = c
	}
	return b.String()
}

var synonyms = map[string][]string{
	"en": {
		"How do I|How can I", "How do I|What is the way to", "Can I|Am I able to", "parcel|package", "Do you deliver|Do you ship", "bought|purchased",
		"I want|I would like", "cost|charge", "another|a different", "cash machine|ATM", "happens|would happen", "bill|invoice",
		"Why was I charged|Why did you charge me", "take a|bring a", "phone|smartphone", "reachable|accessible", "mean|stand for", "roll back|revert",
		"Who approves|Who signs off", "stay|remain", "allowed|permitted", "Where are|Where can I find", "salary|wage", "Does my plan|Does my tariff", "sick|ill",
	},
	"zh": {
		"怎么|如何", "怎么|怎样", "可以|能", "多少钱|什么价格", "快递|包裹", "哪里|哪儿", "为什么|为何", "扣了我|收了我", "优惠|折扣", "需要|要", "怎么样|如何",
		"账户|账号", "打开|开启", "话费|电话费", "流量|数据流量", "日志|log", "孩子|小孩", "办公|工作", "包含|包括", "号码|电话号码",
	},
}

// replaceWord puts a word of the same meaning in place of one.
func replaceWord(r *rand.Rand, lang, s string) string {
	list := synonyms[lang]
	for _, i := range r.Perm(len(list)) {
		from, to, _ := strings.Cut(list[i], "|")
		if strings.Contains(s, from) {
			return strings.Replace(s, from, to, 1)
		}
	}
	return ""
}

// script writes some Chinese characters as they are written in Taiwan and Hong Kong.
func script(_ *rand.Rand, lang, s string) string {
	if lang != "zh" {
		return ""
	}
	return strings.NewReplacer("订", "訂", "单", "單", "么", "麼", "货", "貨", "款", "款", "为", "為", "钱", "錢", "话", "話", "费", "費", "账", "帳", "户", "戶", "开", "開",
		"关", "關", "闭", "閉", "这", "這", "还", "還", "号", "號", "码", "碼", "时", "時", "转", "轉", "买", "買", "卖", "賣", "吗", "嗎", "发", "發", "后", "後").Replace(s)
}

// typo makes one slip of the pen in an ordinary word: not in a name or a number, not in a short word.
func typo(r *rand.Rand, lang, template string, values []value) string {
	if lang == "zh" {
		return ""
	}
	words := strings.Split(template, " ")
	var at []int
	for i, w := range words {
		if len(w) >= 5 && !strings.ContainsAny(w, "{}[]<>|'") && strings.ToLower(w) == w {
			at = append(at, i)
		}
	}
	if len(at) == 0 {
		return ""
	}
	i := pick(r, at)
	w := []byte(words[i])
	k := 1 + r.IntN(len(w)-3)
	switch r.IntN(4) {
	case 0:
		w[k], w[k+1] = w[k+1], w[k]
	case 1:
		w = append(w[:k], w[k+1:]...)
	case 2:
		w = append(w[:k], append([]byte{w[k]}, w[k:]...)...)
	default:
		w[k] = 'a' + (w[k]-'a'+1)%26
	}
	words[i] = string(w)
	return write(strings.Join(words, " "), values)
}

// reorder puts a clause in front.
func reorder(r *rand.Rand, lang, template string, values []value) string {
	full := strings.Replace(write(strings.Replace(template, " | ", " \x00 ", 1), values), "?", "", 1)
	if main, clause, ok := strings.Cut(full, " \x00 "); ok {
		return strings.ToUpper(clause[:1]) + clause[1:] + ", " + decapital(main) + "?"
	}
	if lang == "zh" {
		for _, lead := range []string{"怎么", "为什么"} {
			if i := strings.Index(full, lead); i > 0 && strings.HasSuffix(full, "？") {
				return lead + full[:i] + full[i+len(lead):]
			}
		}
		return ""
	}
	if strings.HasPrefix(full, "Which") {
		return ""
	}
	for _, lead := range []string{" on ", " in ", " for "} { // On Monday, can I …?
		if i := strings.LastIndex(full, lead); i > 0 && r.IntN(2) == 0 && !strings.Contains(full[i:], ",") {
			rest := strings.TrimSpace(full[i:])
			return strings.ToUpper(rest[:1]) + rest[1:] + ", " + decapital(full[:i]) + "?"
		}
	}
	return ""
}

// reformat writes one value in another way.
func reformat(r *rand.Rand, _, template string, values []value) string {
	for _, i := range r.Perm(len(values)) {
		if len(values[i].same) > 0 {
			other := append([]value(nil), values...)
			other[i] = value{text: pick(r, values[i].same)}
			return write(template, other)
		}
	}
	return ""
}
