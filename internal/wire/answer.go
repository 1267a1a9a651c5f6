// Package wire reads what OpenAI-compatible gateways send for /chat/completions and /embeddings: answers, chunks of
// answers, vectors, and errors in all their shapes. Everything it reads is taken to be hostile: time and memory are
// bounded by the size of the input, and nothing panics.
package wire

import "strings"

// Bounds on what one value may hold. Real answers stay far below them.
const (
	maxDepth   = 64      // nested arrays and objects
	maxChoices = 1024    // in one answer
	maxCalls   = 1024    // tool calls in one answer, over all its choices
	maxParts   = 1024    // parts of one content that are neither text nor thinking
	maxIndex   = 1 << 20 // of a choice or a tool call
	maxExtra   = 256     // unmodelled fields of one object
)

// Answer is a chat completion or one chunk of it.
type Answer struct {
	ID, Model  string
	Choices    []Choice
	Usage      Usage   // merged from wherever it was found
	HasUsage   bool    // a usage object with at least one count was there
	HasChoices bool    // "choices" was there as an array, be it empty
	Error      string  // raw JSON of a top-level "error", "" when there is none or it is null, false or ""
	Extra      []Field // unmodelled top-level fields other than null, sorted by key

	frame frame // for the next chunk
}

// Choice is one choice of an answer, or a piece of it.
type Choice struct {
	Index                                        int
	Role, Text, Reasoning, Refusal, FinishReason string
	Parts                                        []string // raw JSON of content parts that are neither text nor thinking
	ToolCalls                                    []ToolCall
	Logprobs                                     string  // raw JSON, "" when none or null
	Extra                                        []Field // unmodelled fields of the message other than null, sorted by key
}

// ToolCall is a tool call, or a piece of one.
type ToolCall struct {
	Index                     int
	HasIndex                  bool
	ID, Type, Name, Arguments string  // Arguments that came as JSON instead of a string are its raw text
	Extra                     []Field // unmodelled fields of the call and its function other than null, sorted by key
}

// Field is an unmodelled member of an object.
type Field struct {
	Key, Raw string // Raw is the member's value as JSON
}

// Decode reads an answer or a chunk into a, reusing its slices, and what it read before where that comes again:
// nobody else may write to a. Strings in a are parts of data, or of data before it, wherever they can be. After an
// error a is empty.
func Decode(data string, a *Answer) error {
	data = strings.TrimPrefix(data, "\ufeff")
	if decodeAgain(data, a) || decodeFast(data, a) {
		return nil
	}
	err := decodeReference(data, a)
	if err != nil {
		a.Reset()
	}
	return err
}

// Reset empties the answer for reuse. Every slice keeps its capacity, nested ones too.
func (a *Answer) Reset() {
	*a = Answer{Choices: a.Choices[:0], Extra: a.Extra[:0]}
}

// Forget empties the answer for somebody else's use: nothing that was read stays reachable.
func (a *Answer) Forget() {
	var kept []Choice
	if cap(a.Choices) <= 8 {
		clear(a.Choices[:cap(a.Choices)])
		kept = a.Choices[:0]
	}
	*a = Answer{Choices: kept}
}

// addChoice appends an empty choice.
func (a *Answer) addChoice() *Choice {
	var c *Choice
	a.Choices, c = extend(a.Choices)
	*c = Choice{Parts: c.Parts[:0], ToolCalls: c.ToolCalls[:0], Extra: c.Extra[:0]}
	return c
}

// addCall appends an empty tool call.
func (c *Choice) addCall() *ToolCall {
	var t *ToolCall
	c.ToolCalls, t = extend(c.ToolCalls)
	*t = ToolCall{Extra: t.Extra[:0]}
	return t
}

// droppedTop reports whether a top-level member is known and of no use here.
func droppedTop(key string) bool {
	switch key {
	case "object", "created", "system_fingerprint", "service_tier", "obfuscation":
		return true
	}
	return false
}

// errorIn is the value of an "error" member, "" where it says that there is none.
func errorIn(value string) string {
	switch value {
	case "null", "false", `""`:
		return ""
	}
	return value
}

// extend lengthens s by one and returns the new element, which may hold slices worth reusing from an earlier life.
func extend[T any](s []T) ([]T, *T) {
	if len(s) < cap(s) {
		s = s[:len(s)+1]
	} else {
		var zero T
		s = append(s, zero)
	}
	return s, &s[len(s)-1]
}
