package pairs

import (
	"math/rand/v2"
	"strings"
)

// perPlace is how many pairs are made of each place of a template.
const perPlace = 9

// Adversarial gives pairs of questions that look alike and have different answers: one order number, amount, date,
// quantity, entity, direction or negation differs. There are more than 2,000, no two the same.
func Adversarial(seed uint64) []Pair {
	r := rand.New(rand.NewPCG(seed, 1))
	var out []Pair
	seen := map[[2]string]bool{}
	for _, lang := range []string{"en", "zh"} {
		for _, t := range templates[lang] {
			places := placesOf(t)
			for at := range places {
				for range perPlace {
					p, ok := twist(r, lang, t, at)
					if key := [2]string{p.A, p.B}; ok && !seen[key] {
						seen[key] = true
						out = append(out, p)
					}
				}
			}
		}
	}
	return out
}

// twist fills a template twice, with one place different.
func twist(r *rand.Rand, lang, template string, at int) (Pair, bool) {
	filled := fillAll(r, lang, template)
	other := append([]value(nil), filled...)
	place := placesOf(template)[at]
	kind := ""
	switch open, name := place[0], place[1:len(place)-1]; open {
	case '[':
		kind = "negation"
	case '<':
		kind = "direction"
	default:
		kind = kinds[strings.TrimSuffix(name, "2")]
		for range 20 {
			if kind == "identifier" && r.IntN(2) == 0 {
				other[at] = value{text: near(r, filled[at].text)}
			} else {
				other[at] = fill(r, lang, name)
			}
			if !sameValue(filled[at], other[at]) && !clashes(other, at) {
				break
			}
		}
		if sameValue(filled[at], other[at]) || clashes(other, at) {
			return Pair{}, false
		}
		if name == "currency" && r.IntN(2) == 0 { // the other way round
			for i, p := range placesOf(template) {
				if p == "{currency2}" {
					other = append([]value(nil), filled...)
					other[at], other[i] = filled[i], filled[at]
					kind = "direction"
				}
			}
		}
	}
	if open := place[0]; open != '{' {
		a, b, _ := strings.Cut(place[1:len(place)-1], "|")
		filled[at], other[at] = value{text: a}, value{text: b}
	}
	return Pair{kind, lang, write(template, filled), write(template, other)}, true
}

// sameValue reports whether two values mean the same, as far as their texts tell.
func sameValue(a, b value) bool {
	texts := append([]string{a.text}, a.same...)
	for _, t := range append([]string{b.text}, b.same...) {
		for _, u := range texts {
			if strings.EqualFold(t, u) {
				return true
			}
		}
	}
	return false
}

// clashes reports whether the value at one place is another's too.
func clashes(values []value, at int) bool {
	for i := range values {
		if i != at && sameValue(values[i], values[at]) {
			return true
		}
	}
	return false
}

// near changes one digit of an identifier, or exchanges two.
func near(r *rand.Rand, s string) string {
	b := []byte(s)
	var at []int
	for i, c := range b {
		if c >= '0' && c <= '9' {
			at = append(at, i)
		}
	}
	if len(at) == 0 {
		return s
	}
	i := pick(r, at)
	if j := i + 1; j < len(b) && b[j] >= '0' && b[j] <= '9' && b[i] != b[j] && r.IntN(2) == 0 {
		b[i], b[j] = b[j], b[i]
		return string(b)
	}
	b[i] = '0' + (b[i]-'0'+1+byte(r.IntN(9)))%10
	return string(b)
}

// placesOf gives the places of a template, brackets included.
func placesOf(t string) []string {
	var out []string
	for i := 0; i < len(t); {
		j := strings.IndexAny(t[i:], "{[<")
		if j < 0 {
			break
		}
		i += j
		end := i + strings.IndexByte(t[i:], map[byte]byte{'{': '}', '[': ']', '<': '>'}[t[i]]) + 1
		out = append(out, t[i:end])
		i = end
	}
	return out
}

// fillAll makes a value for each place of a template.
func fillAll(r *rand.Rand, lang, template string) []value {
	var out []value
	for _, p := range placesOf(template) {
		if p[0] != '{' {
			out = append(out, value{text: pick(r, strings.Split(p[1:len(p)-1], "|"))})
			continue
		}
		out = append(out, fill(r, lang, p[1:len(p)-1]))
		for range 20 {
			if !clashes(out, len(out)-1) {
				break
			}
			out[len(out)-1] = fill(r, lang, p[1:len(p)-1])
		}
	}
	return out
}

// write puts values into a template.
func write(template string, values []value) string {
	for i, p := range placesOf(template) {
		template = strings.Replace(template, p, values[i].text, 1)
	}
	return strings.Replace(template, " | ", " ", 1)
}
