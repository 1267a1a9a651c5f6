package route

import (
	"fmt"
	"strings"

	"github.com/holysheep-ai/holysheep-go"
)

// Features is what a router sees of a request. The first group is read from the last user turn, in English and
// Chinese, without relying on spaces; the texts themselves are not kept.
type Features struct {
	Words     int    // of the turn; five Chinese characters count as three words, rounded
	Han       int    // Chinese characters (and Japanese kana) among them
	Questions int    // question marks that end something
	Reasoning string // the first word like "why", "compare", "为什么" that stands by itself; "" without one
	Thought   int    // how many words ask for more than a fact: reasoning words but "how", "pros", "strategy", "优缺点" …
	Code      bool   // it has code in it, or asks for some
	Maths     bool   // it has formulas in it, or is about them

	PromptTokens int64 // of the whole request, estimated, erring upward
	MaxTokens    int64 // the most that the answers together may have
	Images       bool  // it shows pictures, in any turn
	Tools        bool  // it offers tools
	JSONSchema   bool  // it wants an answer that keeps to a schema
}

// Read takes the features of a request. It is linear in the request's length and keeps nothing of it. MaxTokens is 0
// where the request sets none: a router fills in what lies beneath it would take.
func Read(req *holysheep.ChatRequest) Features {
	var f Features
	readFeatures(&f, req)
	return f
}

func readFeatures(f *Features, req *holysheep.ChatRequest) {
	for i := range req.Messages {
		for _, part := range req.Messages[i].Content {
			if _, ok := part.(holysheep.Image); ok {
				f.Images = true
			}
		}
	}
	if turn := lastUserTurn(req); turn != nil {
		var s turnScan
		for _, part := range turn.Content {
			if t, ok := part.(holysheep.Text); ok {
				s.text(string(t))
			}
		}
		s.into(f)
	}
	f.PromptTokens = req.EstimateTokens()
	if req.MaxTokens != nil {
		f.MaxTokens = min(int64(*req.MaxTokens), 1<<40) // so that no product of it overflows
	}
	f.Tools = len(req.Tools) > 0
	f.JSONSchema = req.ResponseFormat != nil && req.ResponseFormat.Type == "json_schema"
}

// lastUserTurn is nil where nobody has asked anything.
func lastUserTurn(req *holysheep.ChatRequest) *holysheep.Message {
	for i := len(req.Messages) - 1; i >= 0; i-- {
		if req.Messages[i].Role == holysheep.RoleUser {
			return &req.Messages[i]
		}
	}
	return nil
}

// String writes the features of the turn: "12 words, 1 question, reasoning word "why"".
func (f Features) String() string {
	var b strings.Builder
	b.WriteString(countOf(f.Words, "word"))
	if f.Han > 0 {
		fmt.Fprintf(&b, " (%s)", countOf(f.Han, "Chinese character"))
	}
	if f.Questions > 0 {
		b.WriteString(", " + countOf(f.Questions, "question"))
	}
	if f.Reasoning != "" {
		fmt.Fprintf(&b, ", reasoning word %q", f.Reasoning)
	}
	for _, has := range []struct {
		it   bool
		name string
	}{{f.Code, "code"}, {f.Maths, "mathematics"}} {
		if has.it {
			b.WriteString(", " + has.name)
		}
	}
	return b.String()
}

// needs writes what a model has to be able to do.
func (f Features) needs() string {
	var b strings.Builder
	fmt.Fprintf(&b, "%d tokens, and up to %d for the answer", f.PromptTokens, f.MaxTokens)
	for _, has := range []struct {
		it   bool
		name string
	}{{f.Images, "pictures"}, {f.Tools, "tools"}, {f.JSONSchema, "a JSON schema"}} {
		if has.it {
			b.WriteString(", " + has.name)
		}
	}
	return b.String()
}

func countOf(n int, what string) string {
	if n == 1 {
		return "1 " + what
	}
	return fmt.Sprintf("%d %ss", n, what)
}
