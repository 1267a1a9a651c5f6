package pairs

import (
	"fmt"
	"math/rand/v2"
	"strconv"
	"strings"
)

// value is what was filled in: the text, and other texts that mean the same.
type value struct {
	text string
	same []string
}

// kinds gives what a pair is called that differs in a value of a name.
var kinds = map[string]string{
	"order": "identifier", "digits": "identifier", "flight": "identifier", "phone": "identifier", "version": "identifier", "code": "identifier",
	"amount": "amount", "date": "date", "weight": "unit", "distance": "unit", "span": "unit", "percent": "unit", "data": "unit", "speed": "unit", "dose": "unit", "temp": "unit",
	"item": "entity", "place": "entity", "person": "entity", "surname": "entity", "brand": "entity", "bank": "entity", "drug": "entity", "service": "entity",
	"host": "identifier", "command": "code", "file": "code", "currency": "entity",
}

func pick[T any](r *rand.Rand, from []T) T { return from[r.IntN(len(from))] }

// fill makes a value of a name.
func fill(r *rand.Rand, lang, name string) value {
	zh := lang == "zh"
	switch name = strings.TrimSuffix(name, "2"); name {
	case "order":
		return value{text: pick(r, []string{
			strconv.Itoa(10000 + r.IntN(90000)), fmt.Sprintf("#%d", 10000+r.IntN(90000)), fmt.Sprintf("A-%d", 1000+r.IntN(9000)),
			fmt.Sprintf("INV-%d", 1000+r.IntN(9000)), fmt.Sprintf("%d-%07d", 100+r.IntN(900), r.IntN(10000000)), fmt.Sprintf("PO%d", 20000+r.IntN(9999)),
			fmt.Sprintf("%dX%c%d", 1+r.IntN(9), 'A'+rune(r.IntN(26)), 100+r.IntN(900)),
		})}
	case "digits":
		return value{text: fmt.Sprintf("%04d", r.IntN(10000))}
	case "flight":
		return value{text: fmt.Sprintf("%s%d", pick(r, []string{"BA", "LH", "CA", "MU", "QF"}), 100+r.IntN(900))}
	case "phone":
		return value{text: fmt.Sprintf("555-%04d", r.IntN(10000))}
	case "version":
		return value{text: fmt.Sprintf("%s%d.%d.%d", pick(r, []string{"", "v"}), 1+r.IntN(9), r.IntN(20), r.IntN(10))}
	case "code":
		return value{text: pick(r, []string{strconv.Itoa(400 + r.IntN(150)), fmt.Sprintf("E%d", 1000+r.IntN(9000)), "ERR_TIMEOUT", "ERR_REFUSED"})}
	case "amount":
		return amount(r, zh)
	case "date":
		return date(r, zh)
	case "weight":
		return quantity(r, zh, 2, 40, pick(r, [][]string{{"kg", "kilograms", "公斤", "千克"}, {"lb", "pounds", "磅", "磅"}, {"g", "grams", "克", "克"}}))
	case "distance":
		return quantity(r, zh, 2, 40, pick(r, [][]string{{"km", "kilometres", "公里", "千米"}, {"miles", "miles", "英里", "英里"}, {"metres", "meters", "米", "米"}}))
	case "span":
		return quantity(r, zh, 2, 20, pick(r, [][]string{{"days", "days", "天", "天"}, {"hours", "hours", "小时", "个小时"}, {"weeks", "weeks", "周", "个星期"}, {"months", "months", "个月", "个月"}}))
	case "percent":
		return quantity(r, zh, 2, 30, []string{"%", "percent", "%", "%"})
	case "data":
		return quantity(r, zh, 2, 64, pick(r, [][]string{{"GB", "gigabytes", "GB", "gb"}, {"MB", "megabytes", "MB", "mb"}}))
	case "speed":
		return quantity(r, zh, 10, 900, pick(r, [][]string{{"Mbps", "mbps", "Mbps", "mbps"}, {"Gbps", "gbps", "Gbps", "gbps"}}))
	case "dose":
		return quantity(r, zh, 5, 900, pick(r, [][]string{{"mg", "milligrams", "毫克", "mg"}, {"ml", "millilitres", "毫升", "ml"}}))
	case "temp":
		return quantity(r, zh, 36, 42, pick(r, [][]string{{"°C", "degrees celsius", "摄氏度", "℃"}, {"°F", "degrees fahrenheit", "华氏度", "℉"}}))
	}
	return value{text: pick(r, lists[lang][name])}
}

func amount(r *rand.Rand, zh bool) value {
	n := pick(r, []int{5 + r.IntN(90), 100 + r.IntN(900), 1000 + r.IntN(9000), 10000 + 500*r.IntN(90)})
	plain, grouped := strconv.Itoa(n), group(n)
	if zh {
		switch r.IntN(3) {
		case 0:
			return value{plain + "元", []string{grouped + "元", "¥" + plain, plain + "块", chinese(n) + "元"}}
		case 1:
			return value{plain + "美元", []string{"$" + plain, plain + "美金", grouped + "美元"}}
		}
		return value{plain + "欧元", []string{"€" + plain, grouped + "欧元"}}
	}
	c := pick(r, [][]string{{"$", "dollars", "USD"}, {"€", "euros", "EUR"}, {"£", "GBP", "GBP"}})
	return value{c[0] + plain, []string{c[0] + grouped, plain + " " + c[1], c[2] + " " + grouped, c[0] + plain + ".00"}}
}

func group(n int) string {
	if n < 1000 {
		return strconv.Itoa(n)
	}
	return group(n/1000) + fmt.Sprintf(",%03d", n%1000)
}

func date(r *rand.Rand, zh bool) value {
	d, m, y := 1+r.IntN(28), 1+r.IntN(12), 2023+r.IntN(4)
	names := strings.Fields("January February March April May June July August September October November December")
	days := strings.Fields("Monday Tuesday Wednesday Thursday Friday Saturday Sunday")
	suffix := "th"
	switch {
	case d%10 == 1 && d != 11:
		suffix = "st"
	case d%10 == 2 && d != 12:
		suffix = "nd"
	case d%10 == 3 && d != 13:
		suffix = "rd"
	}
	iso := fmt.Sprintf("%d-%02d-%02d", y, m, d)
	if zh {
		switch r.IntN(4) {
		case 0:
			return value{fmt.Sprintf("%d年%d月%d日", y, m, d), []string{iso, fmt.Sprintf("%d年%d月%d号", y, m, d)}}
		case 1:
			return value{fmt.Sprintf("%d月%d日", m, d), []string{fmt.Sprintf("%d月%d号", m, d), chinese(m) + "月" + chinese(d) + "日"}}
		case 2:
			w := pick(r, strings.Fields("一 二 三 四 五 六"))
			return value{"周" + w, []string{"星期" + w, "礼拜" + w}}
		}
		return pick(r, []value{{"明天", []string{"明日"}}, {"昨天", []string{"昨日"}}, {"今天", []string{"今日"}}, {"后天", nil}, {"下周", []string{"下个星期"}}, {"上个月", []string{"上月"}}})
	}
	switch r.IntN(4) {
	case 0:
		return value{fmt.Sprintf("%d %s %d", d, names[m-1], y), []string{iso, fmt.Sprintf("%s %d, %d", names[m-1], d, y), fmt.Sprintf("%s %d%s %d", names[m-1], d, suffix, y)}}
	case 1:
		return value{fmt.Sprintf("%s %d", names[m-1], d), []string{fmt.Sprintf("%d %s", d, names[m-1]), fmt.Sprintf("the %d%s of %s", d, suffix, names[m-1]), fmt.Sprintf("%s. %d", names[m-1][:3], d)}}
	case 2:
		w := pick(r, days)
		return value{w, []string{strings.ToLower(w)}}
	}
	return pick(r, []value{{"May 2025", nil}, {"June 2025", nil}, {"Monday morning", nil}, {"Monday evening", nil}, {"Christmas", []string{"Xmas"}}, {"Easter", nil}})
}

func quantity(r *rand.Rand, zh bool, low, high int, unit []string) value {
	n := low + r.IntN(high-low+1)
	if zh {
		v := value{text: strconv.Itoa(n) + unit[2], same: []string{strconv.Itoa(n) + " " + unit[3]}}
		if !strings.ContainsAny(unit[2], "%GM") {
			v.same = append(v.same, chinese(n)+unit[2])
		}
		return v
	}
	gap := " "
	if unit[0] == "%" || strings.HasPrefix(unit[0], "°") {
		gap = ""
	}
	v := value{text: strconv.Itoa(n) + gap + unit[0], same: []string{strconv.Itoa(n) + " " + unit[1]}}
	if n < 100 {
		v.same = append(v.same, english(n)+" "+unit[1])
	}
	return v
}

func english(n int) string {
	small := strings.Fields("zero one two three four five six seven eight nine ten eleven twelve thirteen fourteen fifteen sixteen seventeen eighteen nineteen")
	tens := strings.Fields("- - twenty thirty forty fifty sixty seventy eighty ninety")
	switch {
	case n < 20:
		return small[n]
	case n%10 == 0:
		return tens[n/10]
	}
	return tens[n/10] + "-" + small[n%10]
}

func chinese(n int) string {
	digit := strings.Fields("零 一 二 三 四 五 六 七 八 九")
	var b strings.Builder
	for _, p := range []struct {
		size int
		name string
	}{{10000, "万"}, {1000, "千"}, {100, "百"}, {10, "十"}} {
		k := n / p.size
		rest := n % p.size
		switch {
		case k > 9:
			b.WriteString(chinese(k) + p.name)
		case k > 0 && (p.size > 10 || k > 1 || b.Len() > 0):
			b.WriteString(digit[k] + p.name)
		case k > 0:
			b.WriteString(p.name)
		case b.Len() > 0 && n > 0 && !strings.HasSuffix(b.String(), "零") && rest > 0:
			b.WriteString("零")
		}
		n = rest
	}
	if n > 0 || b.Len() == 0 {
		b.WriteString(digit[n])
	}
	return b.String()
}
