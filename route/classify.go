package route

import (
	"context"
	"fmt"
	"slices"
	"strings"

	"github.com/holysheep-ai/holysheep-go"
)

// Class is what kind of question it is. Classifiers may have classes of their own.
type Class string

// The classes of [Words] and [Content].
const (
	Simple   Class = "simple"
	Standard Class = "standard"
	Complex  Class = "complex"
	Code     Class = "code"
	Maths    Class = "maths"
)

// A Classifier tells classes of questions apart. [Words], [Content] and [Nearest] make one; any function is one. It is
// not to be changed once a router has it.
type Classifier struct {
	// Name tells it from others, its settings included: keys of caches depend on it. Required.
	Name string

	// Classes are those that it gives. A rule for another one is refused. Default: nil, any.
	Classes []Class

	// Remote says that it asks a network or costs money: plans and keys of caches do without it. Default: false.
	Remote bool

	// Classify tells the class of a request, which it does not change; f is what was read of it. It is called
	// concurrently. When it fails, [Words] decides and the receipt says so. Required.
	Classify func(ctx context.Context, req *holysheep.ChatRequest, f *Features) (Class, error)

	pure func(f *Features) Class // instead of Classify
	bad  []error
}

// The figures of the default policy, which are the vendor's.
const (
	simpleUnder  = 15
	complexAbove = 40
)

// Words is the vendor's rule, with figures: a turn of fewer than under words in which none of how, why, explain,
// compare and analyze stands as a word of its own, in English or Chinese, is Simple; one of more than over words is
// Complex; the others are Standard. Figures that cannot be are refused by [New].
func Words(under, over int) *Classifier {
	c := &Classifier{
		Name:    fmt.Sprintf("words: simple under %d without a reasoning word, complex over %d", under, over),
		Classes: []Class{Simple, Standard, Complex},
		pure:    func(f *Features) Class { return byWords(f, under, over) },
	}
	if under < 0 {
		c.bad = append(c.bad, &holysheep.RequestError{Field: "Words.under", Reason: fmt.Sprintf("%d is negative", under)})
	}
	if over < 0 || over < under-1 {
		c.bad = append(c.bad, &holysheep.RequestError{
			Field: "Words.over", Reason: fmt.Sprintf("%d: it overlaps with what is simple under %d", over, under),
		})
	}
	return c
}

func byWords(f *Features, under, over int) Class {
	switch {
	case f.Words < under && f.Reasoning == "":
		return Simple
	case f.Words > over:
		return Complex
	}
	return Standard
}

// Content looks at what a turn is about as well: Code and Maths where there is some, Complex where two of these come
// together or one of them is strong: length, several questions, words that ask for thought. Everything else is
// Simple. docs/routing.md has how often it is right.
func Content() *Classifier {
	return &Classifier{Name: "content", Classes: []Class{Simple, Complex, Code, Maths}, pure: byContent}
}

func byContent(f *Features) Class {
	switch {
	case f.Code:
		return Code
	case f.Maths:
		return Maths
	}
	points := min(f.Thought, 2)
	if f.Thought > 0 && f.Words >= 8 {
		points++
	}
	for _, words := range []int{25, complexAbove} {
		if f.Words > words {
			points++
		}
	}
	if f.Questions > 1 {
		points += min(f.Questions-1, 2)
	}
	if points >= enoughPoints {
		return Complex
	}
	return Simple
}

// problems lists what is wrong with it.
func (c *Classifier) problems() []error {
	errs := slices.Clone(c.bad)
	if strings.TrimSpace(c.Name) == "" {
		errs = append(errs, &holysheep.RequestError{Field: "Policy.Classifier.Name", Reason: "empty: keys of caches depend on it"})
	}
	if c.Classify == nil && c.pure == nil && len(c.bad) == 0 {
		errs = append(errs, &holysheep.RequestError{Field: "Policy.Classifier.Classify", Reason: "nil"})
	}
	return errs
}

// knows reports whether it may give the class.
func (c *Classifier) knows(class Class) bool {
	return c.Classes == nil || slices.Contains(c.Classes, class)
}
