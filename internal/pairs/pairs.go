// Package pairs makes pairs of questions to judge a semantic cache by: some may share an answer, some may not.
//
// [Adversarial] and [Variants] are made by rules, from templates of seven trades in English and Chinese; a seed gives
// the same pairs each time. [Handmade] and [Paraphrases] were written by hand, before there was a guard to be judged by
// them.
package pairs

import (
	_ "embed"
	"strings"
)

// Pair is two questions.
type Pair struct {
	Kind string // what was done to A to make B
	Lang string // en or zh
	A, B string
}

//go:embed handmade.tsv
var handmade string

//go:embed paraphrases.tsv
var paraphrases string

// Handmade gives pairs with different answers, of kinds that [Adversarial] does not make.
func Handmade() []Pair {
	var out []Pair
	for line := range strings.Lines(handmade) {
		f := strings.Split(strings.TrimSpace(line), "\t")
		out = append(out, Pair{f[0], f[1], f[2], f[3]})
	}
	return out
}

// Paraphrases gives pairs with the same answer, from the same words in another order to hardly a word in common.
func Paraphrases() []Pair {
	var out []Pair
	for line := range strings.Lines(paraphrases) {
		f := strings.Split(strings.TrimSpace(line), "\t")
		out = append(out, Pair{"paraphrase", f[0], f[1], f[2]})
	}
	return out
}
