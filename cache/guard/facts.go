package guard

import (
	"slices"
	"strings"
)

// Identifiers keeps questions apart that name other orders, products, addresses, versions, files, flags or functions:
// whatever mixes letters with digits or signs, or stands behind a #.
func Identifiers() Guard {
	return Guard{name: "identifiers", differ: func(a, b *question) bool {
		return !slices.Equal(identifiers(a), identifiers(b))
	}}
}

func identifiers(q *question) []string {
	var out []string
	for _, w := range q.words {
		if w.mixed || strings.HasPrefix(w.text, "#") || strings.HasPrefix(w.text, "--") {
			out = append(out, strings.TrimPrefix(w.text, "#"))
		}
	}
	slices.Sort(out)
	return out
}

// Currencies keeps questions apart about other currencies, or about the same in another order.
func Currencies() Guard {
	return Guard{name: "currencies", differ: func(a, b *question) bool {
		return !slices.Equal(currencies(a), currencies(b))
	}}
}

// currencyWords are the ways to write each currency. Longer Chinese ones come before those within them.
var currencyWords = words(map[string]string{
	"usd": "usd dollar dollars bucks us$", "eur": "eur euro euros", "gbp": "gbp pound sterling pounds quid",
	"jpy": "jpy yen", "cny": "cny rmb yuan renminbi", "inr": "inr rupee rupees", "chf": "chf franc francs",
	"krw": "krw won", "hkd": "hkd", "aud": "aud", "cad": "cad", "sgd": "sgd", "btc": "btc bitcoin", "eth": "eth ether",
})

var currencySigns = []struct{ sign, currency string }{
	{"美元", "usd"},
	{"美金", "usd"},
	{"欧元", "eur"},
	{"英镑", "gbp"},
	{"日元", "jpy"},
	{"港币", "hkd"},
	{"人民币", "cny"},
	{"$", "usd"},
	{"€", "eur"},
	{"£", "gbp"},
	{"¥", "cny"},
	{"₹", "inr"},
	{"₩", "krw"},
	{"元", "cny"},
	{"块钱", "cny"},
}

// currencies gives those of a question in their order, each once.
func currencies(q *question) []string {
	type at struct {
		place    int
		currency string
	}
	var found []at
	for i, w := range q.words {
		c := currencyWords[w.text]
		if w.text == "won" || w.text == "pound" || w.text == "pounds" && !money(q.words, i) {
			c = "" // a verb, a weight
		}
		if c != "" {
			found = append(found, at{strings.Index(q.text, w.text), c})
		}
	}
	text := q.text
	for _, s := range currencySigns {
		for {
			i := strings.Index(text, s.sign)
			if i < 0 {
				break
			}
			found = append(found, at{i, s.currency})
			text = text[:i] + strings.Repeat(" ", len(s.sign)) + text[i+len(s.sign):]
		}
	}
	slices.SortStableFunc(found, func(a, b at) int { return a.place - b.place })
	var out []string
	for _, f := range found {
		if !slices.Contains(out, f.currency) {
			out = append(out, f.currency)
		}
	}
	return out
}

// money reports whether pounds are money and no weight: something else of money stands beside them.
func money(words []word, i int) bool {
	for _, w := range words[max(i-4, 0):min(i+5, len(words))] {
		switch w.text {
		case "exchange", "convert", "pay", "cost", "costs", "price", "dollars", "euros", "transfer", "account", "worth":
			return true
		}
	}
	return false
}

// Dates keeps questions apart about other days, weekdays, months or parts of a day.
func Dates() Guard {
	return Guard{name: "dates", differ: func(a, b *question) bool { return !slices.Equal(dates(a), dates(b)) }}
}

var dateWords = words(map[string]string{
	"jan": "january jan", "feb": "february feb", "mar": "march", "apr": "april apr", "jun": "june", "jul": "july",
	"aug": "august aug", "sep": "september sept", "oct": "october oct", "nov": "november nov", "dec": "december dec",
	"mon": "monday mondays", "tue": "tuesday tuesdays", "wed": "wednesday wednesdays", "thu": "thursday thursdays",
	"fri": "friday fridays", "sat": "saturday saturdays", "sun": "sunday sundays", "today": "today tonight",
	"tomorrow": "tomorrow", "yesterday": "yesterday", "weekend": "weekend weekends", "am": "am", "pm": "pm",
	"noon": "noon midday", "midnight": "midnight", "morning": "morning mornings", "evening": "evening evenings",
	"afternoon": "afternoon afternoons", "christmas": "christmas", "easter": "easter", "summer": "summer",
	"winter": "winter", "spring": "spring", "autumn": "autumn",
})

var chineseDates = []string{
	"今天", "明天", "昨天", "后天", "前天", "今晚", "明晚", "今年", "明年", "去年", "前年", "本周", "上周", "下周", "本月", "上个月", "下个月",
	"上午", "下午", "早上", "晚上", "中午", "凌晨", "周末", "星期一", "星期二", "星期三", "星期四", "星期五", "星期六", "星期日", "星期天",
	"周一", "周二", "周三", "周四", "周五", "周六", "周日", "春节", "国庆", "中秋", "圣诞",
}

var chineseGreetings = strings.NewReplacer("早上好", " ", "上午好", " ", "中午好", " ", "下午好", " ", "晚上好", " ")

func dates(q *question) []string {
	var out []string
	for i, w := range q.words {
		if w.wide {
			continue
		}
		d := dateWords[w.text]
		if w.text == "may" && (i > 0 && (q.words[i-1].digit || q.words[i-1].text == "in") || i+1 < len(q.words) && q.words[i+1].digit) {
			d = "may"
		}
		if w.text == "am" && (i == 0 || !q.words[i-1].digit) {
			d = "" // I am
		}
		if i > 0 && q.words[i-1].text == "good" && (d == "morning" || d == "afternoon" || d == "evening") {
			d = "" // a greeting
		}
		if d != "" {
			out = append(out, d)
		}
		if i+1 < len(q.words) && (w.text == "last" || w.text == "next" || w.text == "this") {
			switch next := q.words[i+1].text; next {
			case "week", "month", "year", "quarter", "weekend":
				out = append(out, w.text+" "+next)
			}
		}
	}
	if !isASCII(q.text) {
		text := chineseGreetings.Replace(q.text)
		for _, d := range chineseDates {
			if strings.Contains(text, d) {
				out = append(out, strings.Replace(strings.Replace(d, "星期", "周", 1), "周天", "周日", 1))
			}
		}
	}
	slices.Sort(out)
	return slices.Compact(out)
}

// Units keeps questions apart that count in other units.
func Units() Guard {
	return Guard{name: "units", differ: func(a, b *question) bool { return !slices.Equal(units(a), units(b)) }}
}

var unitWords = words(map[string]string{
	"kg": "kg kilo kilos kilogram kilograms", "g": "g gram grams", "mg": "mg milligram milligrams", "lb": "lb lbs pounds",
	"oz": "oz ounce ounces", "t": "ton tons tonne tonnes", "km": "km kilometer kilometers kilometre kilometres",
	"m": "m meter meters metre metres", "cm": "cm centimeter centimeters centimetre centimetres", "mm": "mm millimeters",
	"mi": "mi mile miles", "ft": "ft foot feet", "in": "inch inches", "yd": "yd yard yards",
	"l": "l liter liters litre litres", "ml": "ml milliliter milliliters", "gal": "gal gallon gallons",
	"s": "s sec secs seconds", "ms": "ms milliseconds", "min": "min mins minute minutes", "h": "h hr hrs hour hours",
	"d": "d day days", "wk": "wk week weeks", "mo": "month months", "yr": "yr year years", "%": "percent",
	"c": "celsius", "f": "fahrenheit", "kb": "kb kilobytes", "mb": "mb megabyte megabytes", "gb": "gb gigabyte gigabytes",
	"tb": "tb terabyte terabytes", "mph": "mph", "kmh": "kmh kph", "v": "volt volts", "w": "watt watts",
	"daily": "daily", "weekly": "weekly", "monthly": "monthly", "yearly": "yearly annual annually", "hourly": "hourly",
})

var chineseUnits = []struct{ word, unit string }{
	{"公斤", "kg"},
	{"千克", "kg"},
	{"毫克", "mg"},
	{"克", "g"},
	{"磅", "lb"},
	{"吨", "t"},
	{"公里", "km"},
	{"千米", "km"},
	{"英里", "mi"},
	{"厘米", "cm"},
	{"毫米", "mm"},
	{"米", "m"},
	{"英寸", "in"},
	{"英尺", "ft"},
	{"毫升", "ml"},
	{"升", "l"},
	{"小时", "h"},
	{"分钟", "min"},
	{"秒", "s"},
	{"天", "d"},
	{"周", "wk"},
	{"个月", "mo"},
	{"年", "yr"},
	{"摄氏", "c"},
	{"华氏", "f"},
}

func unitOf(text string) string {
	if u := unitWords[text]; u != "" && !strings.HasSuffix(u, "ly") {
		return u
	}
	return ""
}

// counts are the words before a unit that is counted by it.
var counts = map[string]bool{"a": true, "an": true, "per": true, "each": true, "every": true, "many": true, "few": true, "several": true, "one": true}

func units(q *question) []string {
	var out []string
	for i, w := range q.words {
		u := unitWords[w.text]
		switch {
		case u == "" || w.wide:
			continue
		case strings.HasSuffix(u, "ly"), len(u) > 1 && !slices.Contains([]string{"in", "ft", "min"}, u) && !isTime(u):
		case i == 0:
			continue
		case !q.words[i-1].digit && englishNumbers[q.words[i-1].text] == 0 && !counts[q.words[i-1].text]:
			continue
		}
		if u == "lb" && money(q.words, i) {
			continue
		}
		out = append(out, u)
	}
	if strings.Contains(q.text, "%") {
		out = append(out, "%")
	}
	if !isASCII(q.text) {
		out = append(out, countedInChinese(q.words)...)
	}
	slices.Sort(out)
	return slices.Compact(out)
}

func isTime(unit string) bool {
	switch unit {
	case "ms", "min", "wk", "mo", "yr":
		return true
	}
	return false
}

// countedInChinese gives the units behind numbers, and behind 几 and 每.
func countedInChinese(words []word) (out []string) {
	for i := range words {
		w := words[i].text
		_, digit := chineseDigits[w]
		_, scale := chineseScales[w]
		if !digit && !scale && !words[i].digit && w != "几" && w != "每" && w != "多少" {
			continue
		}
		var rest strings.Builder
		for _, next := range words[i+1 : min(i+3, len(words))] {
			rest.WriteString(next.text)
		}
		for _, u := range chineseUnits {
			if strings.HasPrefix(rest.String(), u.word) {
				out = append(out, u.unit)
				break
			}
		}
	}
	return out
}

// words turns lists of words into what each stands for.
func words(lists map[string]string) map[string]string {
	out := map[string]string{}
	for meaning, list := range lists {
		for w := range strings.FieldsSeq(list) {
			out[w] = meaning
		}
	}
	return out
}
