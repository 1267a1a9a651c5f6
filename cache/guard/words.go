package guard

import (
	"regexp"
	"slices"
	"strings"
)

// Quotes keeps questions apart that quote other texts. What one quotes and the other says without quotes is the same.
func Quotes() Guard {
	return Guard{name: "quotes", differ: func(a, b *question) bool { return foreignQuote(a, b) || foreignQuote(b, a) }}
}

var quoted = regexp.MustCompile("\"([^\"]{1,500})\"|`([^`]{1,500})`|(?:^|[\\s(])'([^']{1,500})'(?:$|[\\s).,?!])")

func foreignQuote(a, b *question) bool {
	if !strings.ContainsAny(a.text, "\"`'") {
		return false
	}
	for _, m := range quoted.FindAllStringSubmatch(a.text, 50) {
		said := strings.Trim(m[1]+m[2]+m[3], " .,?!")
		if said != "" && !strings.Contains(b.text, said) {
			return true
		}
	}
	return false
}

// Names keeps questions apart that name other people, places or products: words with a capital inside a sentence, or in
// capitals. However the other question writes them, they have to be in it.
func Names() Guard {
	return Guard{name: "names", differ: func(a, b *question) bool { return foreignName(a, b) || foreignName(b, a) }}
}

func foreignName(a, b *question) bool {
	for _, w := range a.words {
		if !w.name || idle[w.text] || len(w.text) < 2 {
			continue
		}
		if !slices.ContainsFunc(b.words, func(other word) bool {
			x, y := stem(w.text), stem(other.text)
			return x == y || len(x) >= 6 && near(x, y) // Iran and Iraq are no slips
		}) {
			return true
		}
	}
	return false
}

// Words keeps questions apart that are the same but for a word or two in the same place, unless these are spelled
// nearly alike, are forms of one word, or are known to mean the same.
func Words() Guard {
	return Guard{name: "words", differ: exchanged}
}

func exchanged(a, b *question) bool {
	x, y := a.contents(), b.contents()
	start := 0
	for start < len(x) && start < len(y) && alike(x[start], y[start]) {
		start++
	}
	end := 0
	for end < len(x)-start && end < len(y)-start && alike(x[len(x)-1-end], y[len(y)-1-end]) {
		end++
	}
	left, right := x[start:len(x)-end], y[start:len(y)-end]
	if len(left) == 0 || len(right) == 0 {
		return false // something was added, and nothing exchanged
	}
	kept := start + end
	wide := !isASCII(left[0]) || !isASCII(right[0])
	most := 2
	if wide {
		most = 4
	}
	if len(left) > most || len(right) > most || 2*kept < max(len(left), len(right)) || kept < 1 {
		return false // built in another way
	}
	return !synonyms(strings.Join(left, " "), strings.Join(right, " ")) && !moved(left, right)
}

// moved reports whether both sides have the same words.
func moved(left, right []string) bool {
	a, b := slices.Clone(left), slices.Clone(right)
	slices.Sort(a)
	slices.Sort(b)
	return slices.EqualFunc(a, b, alike)
}

// contents are the words that say what a question is about, in their order: no courtesies, and nothing that another
// guard compares.
func (q *question) contents() []string {
	if q.about != nil {
		return q.about
	}
	q.about = make([]string, 0, len(q.words))
	for i := 0; i < len(q.words); {
		if n := courtesy(q.words[i:]); n > 0 {
			i += n
			continue
		}
		w := q.words[i]
		i++
		_, number := englishNumbers[w.text]
		if w.text == "" || idle[w.text] || number || w.digit && !w.mixed || currencyWords[w.text] != "" {
			continue
		}
		q.about = append(q.about, w.text)
	}
	return q.about
}

// courtesies are what makes a question polite, by their first words.
var courtesies = func() map[string][][]string {
	out := map[string][][]string{}
	add := func(phrase []string) { out[phrase[0]] = append(out[phrase[0]], phrase) }
	for line := range strings.Lines(`could you tell me
could you explain
can you tell me
can you explain
can you let me know
could you let me know
could you help me
can you help me
would you tell me
i would like to know
i would like to ask
do you know
would you know
i was wondering
i am wondering
i want to know
i need to know
i just want to know
is it possible to
let me know
tell me
thank you
thanks in advance
quick question
excuse me
`) {
		add(strings.Fields(line))
	}
	for phrase := range strings.FieldsSeq("请问一下 请问 麻烦 劳驾 您好 你好 谢谢 多谢 请告诉我 告诉我 帮我 帮忙 我想知道 想知道 我想问一下 想问一下 想问 一下 能否 可否 可以 能不能") {
		add(strings.Split(phrase, ""))
	}
	for _, phrases := range out {
		slices.SortStableFunc(phrases, func(a, b []string) int { return len(b) - len(a) })
	}
	return out
}()

// courtesy gives the length of the courtesy that words begin with.
func courtesy(words []word) int {
	for _, phrase := range courtesies[words[0].text] {
		i, j := 0, 0
		for i < len(words) && j < len(phrase) {
			switch words[i].text {
			case phrase[j]:
				j++
			case "please", "kindly":
			default:
				j = len(phrase) + 1
			}
			i++
		}
		if j == len(phrase) {
			return i
		}
	}
	return 0
}

// asks are the words that ask for something else than "how" and "what" do.
var asks = map[string]string{"when": "time", "where": "place", "why": "reason", "who": "person", "whom": "person", "whose": "person"}

// Questions keeps a question for the reason or the person apart from every other, and one for the time from one for the
// place.
func Questions() Guard {
	return Guard{name: "questions", differ: func(a, b *question) bool {
		x, y := asked(a), asked(b)
		strict := x == "reason" || x == "person" || y == "reason" || y == "person"
		return x != y && (strict || x != "" && y != "")
	}}
}

var chineseAsks = []struct{ word, asks string }{
	{"为什么", "reason"},
	{"为何", "reason"},
	{"怎么会", "reason"},
	{"什么时候", "time"},
	{"几点", "time"},
	{"何时", "time"},
	{"哪里", "place"},
	{"哪儿", "place"},
	{"在哪", "place"},
	{"谁", "person"},
}

func asked(q *question) string {
	if strings.Contains(q.text, "how come") || strings.Contains(q.text, "reason") || strings.Contains(q.text, "原因") {
		return "reason"
	}
	for _, w := range q.words {
		if kind := asks[w.text]; kind != "" {
			return kind
		}
	}
	if !isASCII(q.text) {
		for _, c := range chineseAsks {
			if strings.Contains(q.text, c.word) {
				return c.asks
			}
		}
	}
	return ""
}

// idle are words that say nothing about what a question is about. Those that ask for the time, the place, the reason or
// the person, and those that give a direction, do.
var idle = func() map[string]bool {
	out := map[string]bool{}
	for w := range strings.FieldsSeq(`a an the i me my we us our you your it its is are am was were be been being do does did done
have has had will would shall should can could may might must of in on at by for with about as into and or so if that this these
those there here then please just also really actually kindly hi hello hey thanks thank ok okay any some get got how what which
go going one way s 的 了 吗 呢 吧 啊 呀 我 你 您 他 她 它 们 是 在 个 这 那 有 么 什 怎 样 如 何 要 想 能 会 请 和 与 把 就 都 也 还 又 一 该 为 ?`) {
		out[w] = true
	}
	return out
}()

// stem cuts the commonest endings off.
func stem(w string) string {
	w = strings.TrimSuffix(w, "'s")
	for _, end := range []string{"ings", "ing", "ied", "ies", "ed", "es", "s", "y", "e"} {
		if s, ok := strings.CutSuffix(w, end); ok && len(s) >= 3 {
			if n := len(s); n > 3 && s[n-1] == s[n-2] {
				s = s[:n-1] // shipped
			}
			return s
		}
	}
	return w
}

func alike(a, b string) bool {
	if asks[a] != "" || asks[b] != "" {
		return a == b
	}
	return a == b || near(stem(a), stem(b)) || meaning[a] != "" && meaning[a] == meaning[b]
}

// near reports whether two words of four letters and more differ by one slip. Nobody slips in the first letter, and a
// letter before a word makes another one.
func near(a, b string) bool {
	if a == b {
		return true
	}
	n := min(len(a), len(b))
	if n < 4 || max(len(a), len(b))-n > 1 || a[0] != b[0] || !isASCII(a) || !isASCII(b) || strings.ContainsAny(a+b, "0123456789") || len(a) > 40 {
		return false
	}
	return slips(a, b) <= 1
}

// slips counts the letters to change, add, take away or swap (the restricted Damerau–Levenshtein distance).
func slips(a, b string) int {
	var rows [3][44]int
	last, this, before := &rows[0], &rows[1], &rows[2]
	if len(b) > 42 {
		return len(b)
	}
	for j := range len(b) + 1 {
		last[j] = j
	}
	for i := 1; i <= len(a); i++ {
		this[0] = i
		for j := 1; j <= len(b); j++ {
			cost := 1
			if a[i-1] == b[j-1] {
				cost = 0
			}
			this[j] = min(last[j]+1, this[j-1]+1, last[j-1]+cost)
			if i > 1 && j > 1 && a[i-1] == b[j-2] && a[i-2] == b[j-1] {
				this[j] = min(this[j], before[j-2]+1)
			}
		}
		before, last, this = last, this, before
	}
	return last[len(b)]
}

// groups are words that may stand for each other in a question to a shop, a bank or a help desk.
var groups = []string{
	"item product article goods thing", "buy purchase order", "bought purchased ordered", "phone mobile cellphone smartphone", "cancel terminate", "fix repair solve resolve",
	"begin start commence", "big large", "quick fast rapid", "error mistake problem issue fault bug", "show display", "find locate see", "change modify alter update edit",
	"delete remove erase", "help assist support", "need require", "return send-back", "delivery shipping shipment", "deliver ship", "arrive come", "price cost fee charge",
	"pay settle", "luggage baggage", "transfer send", "raise increase", "book reserve", "提高 提升", "账户 账号", "哪里 哪儿", "money funds cash", "card plastic", "create make open", "company firm business", "film movie", "client customer", "job work", "explain describe", "correct right",
	"allowed permitted", "wrong incorrect", "reach contact call", "missing lost", "broken damaged defective", "currently now", "get obtain receive acquire", "allow permit",
	"怎么 如何 怎样", "退 退还 退回", "东西 商品 物品 产品", "买 购买", "费用 价格 价钱", "电话 手机", "修改 更改 变更 改", "查询 查 查看", "快递 包裹",
}

var meaning = func() map[string]string {
	out := map[string]string{}
	for _, g := range groups {
		for w := range strings.FieldsSeq(g) {
			out[w] = g
		}
	}
	return out
}()

func synonyms(a, b string) bool {
	if alike(a, b) {
		return true
	}
	a, b = strings.ReplaceAll(a, " ", ""), strings.ReplaceAll(b, " ", "")
	return alike(a, b) || meaning[a] != "" && meaning[a] == meaning[b]
}
