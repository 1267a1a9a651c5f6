package cache

import (
	"bytes"
	"context"
	"encoding/json"
	"strings"
	"unicode"
)

// Answered is a question with its answer.
type Answered struct{ Question, Answer string }

// Sameness is what a verdict says of two answers. The zero value is [Unsure].
type Sameness uint8

// What two answers can be to each other.
const (
	Unsure Sameness = iota // nothing is learned from them
	Same
	Different
)

// A Verdict says for each of the earlier answers whether the fresh one comes to the same, in order. It is asked after
// a call that the cache did not answer, in the background, with at most four answers to similar questions, the most
// similar first; an error is no verdict on any. What it spends belongs to the scope of that call.
type Verdict func(ctx context.Context, fresh Answered, earlier []Answered) ([]Sameness, error)

// EqualAnswers is the verdict that costs nothing: answers are the same when they are equal but for case, spaces,
// punctuation at the end and the order of fields in JSON, and different otherwise. It fits answers that are chosen,
// filled in or looked up. A model that writes freely at a temperature above 0 hardly ever says the same thing twice
// in the same words: [SimilarAnswers] or [JudgeAnswers] are for that. Two equal answers of a few words, such as
// "Yes.", are no verdict, because they come to the same only if the questions do.
func EqualAnswers(_ context.Context, fresh Answered, earlier []Answered) ([]Sameness, error) {
	verdicts := make([]Sameness, len(earlier))
	canonical := canonicalAnswer(fresh.Answer)
	for i := range earlier {
		switch {
		case canonicalAnswer(earlier[i].Answer) != canonical:
			verdicts[i] = Different
		case tellsEnough(canonical):
			verdicts[i] = Same
		}
	}
	return verdicts, nil
}

// canonicalAnswer is what equal answers have in common.
func canonicalAnswer(s string) string {
	s = strings.TrimSpace(s)
	if strings.HasPrefix(s, "{") || strings.HasPrefix(s, "[") {
		if canonical, ok := canonicalJSON(s); ok {
			return canonical
		}
	}
	s = strings.ToLower(s)
	return strings.TrimRightFunc(strings.Join(strings.Fields(s), " "), unicode.IsPunct)
}

func canonicalJSON(s string) (string, bool) {
	d := json.NewDecoder(strings.NewReader(s))
	d.UseNumber()
	var v any
	if d.Decode(&v) != nil || d.More() {
		return "", false
	}
	var b bytes.Buffer
	if json.NewEncoder(&b).Encode(v) != nil {
		return "", false
	}
	return b.String(), true
}

// Answers of fewer letters or digits say too little.
const leastTelling = 16

func tellsEnough(canonical string) bool {
	n := 0
	for _, r := range canonical {
		switch {
		case unicode.Is(unicode.Han, r):
			n += 4 // as much as a word
		case unicode.IsLetter(r), unicode.IsDigit(r):
			n++
		}
		if n >= leastTelling {
			return true
		}
	}
	return false
}
