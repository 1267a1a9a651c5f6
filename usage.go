package holysheep

import (
	"context"
	"fmt"
	"sync"

	"github.com/holysheep-ai/holysheep-go/internal/wire"
)

// Usage counts the tokens of a call. Cached and cache-write tokens are parts of the prompt, reasoning tokens
// are a part of the completion: nothing is to be added up twice, whichever provider counted.
type Usage struct {
	PromptTokens     int64 `json:"prompt_tokens"`
	CompletionTokens int64 `json:"completion_tokens"`
	CachedTokens     int64 `json:"cached_tokens,omitempty"`      // prompt tokens read from the provider's cache
	CacheWriteTokens int64 `json:"cache_write_tokens,omitempty"` // prompt tokens written to it
	ReasoningTokens  int64 `json:"reasoning_tokens,omitempty"`   // completion tokens nobody sees
}

// Total is the sum of prompt and completion tokens.
func (u Usage) Total() int64 { return u.PromptTokens + u.CompletionTokens }

// Plus adds two usages.
func (u Usage) Plus(v Usage) Usage {
	return Usage{
		PromptTokens:     u.PromptTokens + v.PromptTokens,
		CompletionTokens: u.CompletionTokens + v.CompletionTokens,
		CachedTokens:     u.CachedTokens + v.CachedTokens,
		CacheWriteTokens: u.CacheWriteTokens + v.CacheWriteTokens,
		ReasoningTokens:  u.ReasoningTokens + v.ReasoningTokens,
	}
}

func usageFrom(u wire.Usage) Usage {
	return Usage{
		PromptTokens: u.Prompt, CompletionTokens: u.Completion,
		CachedTokens: u.Cached, CacheWriteTokens: u.CacheWrite, ReasoningTokens: u.Reasoning,
	}
}

// Basis says how a cost is known. The zero value is [Reported].
type Basis uint8

// The bases, from the surest to the least sure.
const (
	Reported  Basis = iota // the gateway reported the usage
	Estimated              // counted here: the stream was cancelled or torn, or the gateway sent no usage
	Unknown                // no price is known for the model
)

func (b Basis) String() string {
	switch b {
	case Reported:
		return "reported"
	case Estimated:
		return "estimated"
	case Unknown:
		return "unknown"
	}
	return fmt.Sprintf("Basis(%d)", uint8(b))
}

// MarshalText writes the basis as its word.
func (b Basis) MarshalText() ([]byte, error) { return []byte(b.String()), nil }

// UnmarshalText reads what MarshalText wrote.
func (b *Basis) UnmarshalText(text []byte) error {
	for _, known := range []Basis{Reported, Estimated, Unknown} {
		if string(text) == known.String() {
			*b = known
			return nil
		}
	}
	return fmt.Errorf("holysheep: %q is no cost basis", text)
}

// Cost is what something cost: both ends of it, when the bill is not certain. A gateway may bill an answer in
// full although it was cancelled or torn on the way; USD is then what was delivered, and AtMost what the bill
// may say. A zero Cost is nothing spent. With Basis [Unknown] the amounts hold only what could be priced.
type Cost struct {
	USD    USD   `json:"usd"`     // what was delivered
	AtMost USD   `json:"at_most"` // what may be billed, retries included; equals USD when that is certain
	Basis  Basis `json:"basis"`
}

// Plus adds two costs; the less sure basis wins.
func (c Cost) Plus(d Cost) Cost {
	return Cost{USD: c.USD.Plus(d.USD), AtMost: c.AtMost.Plus(d.AtMost), Basis: max(c.Basis, d.Basis)}
}

// String writes "$0.000231", "~$0.000231 (at most $0.001)" or "unknown".
func (c Cost) String() string {
	switch {
	case c.Basis == Unknown:
		return "unknown"
	case c.AtMost > c.USD:
		return "~" + c.USD.String() + " (at most " + c.AtMost.String() + ")"
	case c.Basis == Estimated:
		return "~" + c.USD.String()
	}
	return c.USD.String()
}

// Billing says whether the gateway charges for an attempt. The zero value is [NotBilled].
type Billing uint8

// What an attempt may cost.
const (
	NotBilled   Billing = iota // never sent, or refused with an error that gateways do not charge for
	Billed                     // answered
	MaybeBilled                // sent, and what became of it is not known
)

func (b Billing) String() string {
	switch b {
	case NotBilled:
		return "not billed"
	case Billed:
		return "billed"
	case MaybeBilled:
		return "maybe billed"
	}
	return fmt.Sprintf("Billing(%d)", uint8(b))
}

// MarshalText writes the state as its words.
func (b Billing) MarshalText() ([]byte, error) { return []byte(b.String()), nil }

// UnmarshalText reads what MarshalText wrote.
func (b *Billing) UnmarshalText(text []byte) error {
	for _, known := range []Billing{NotBilled, Billed, MaybeBilled} {
		if string(text) == known.String() {
			*b = known
			return nil
		}
	}
	return fmt.Errorf("holysheep: %q is no state of billing", text)
}

// Totals sums up finished calls.
type Totals struct {
	Calls    int64 // calls that ended, well or not
	Errors   int64 // calls that ended with an error
	Attempts int64 // requests sent for them, retries included
	Usage    Usage
	Cost     Cost
	Saved    USD // what caches and routers above report to have saved
}

// Plus adds two totals.
func (t Totals) Plus(u Totals) Totals {
	return Totals{
		Calls: t.Calls + u.Calls, Errors: t.Errors + u.Errors, Attempts: t.Attempts + u.Attempts,
		Usage: t.Usage.Plus(u.Usage), Cost: t.Cost.Plus(u.Cost), Saved: t.Saved.Plus(u.Saved),
	}
}

// Model names come from callers, who may take them from theirs: past this many the rest is summed as "other".
const maxMeteredModels = 1000

// meter keeps totals by the model asked for.
type meter struct {
	mu     sync.Mutex
	totals map[string]*Totals
}

func (m *meter) add(model string, t Totals) {
	m.mu.Lock()
	defer m.mu.Unlock()
	sum := m.totals[model]
	if sum == nil {
		if m.totals == nil {
			m.totals = map[string]*Totals{}
		}
		if len(m.totals) >= maxMeteredModels {
			model = "other"
		}
		if sum = m.totals[model]; sum == nil {
			sum = &Totals{}
			m.totals[model] = sum
		}
	}
	*sum = sum.Plus(t)
}

func (m *meter) snapshot() map[string]Totals {
	m.mu.Lock()
	defer m.mu.Unlock()
	out := make(map[string]Totals, len(m.totals))
	for model, t := range m.totals {
		out[model] = *t
	}
	return out
}

// A TokenCounter counts the tokens of a request before it is sent. Package tokens has one; without it they are
// estimated. It is safe for concurrent use.
type TokenCounter interface {
	// CountTokens gives the prompt tokens of a resolved request, or more: what it counts is what is reserved. An
	// error keeps the call from being sent. Texts for an [Embedder] are counted one by one: by a method
	// Text(ctx, model, text) (int64, error) where the counter has one, as that of package tokens has, else as messages.
	CountTokens(ctx context.Context, req *ChatRequest) (int64, error)
}

// estimateTokens guesses the tokens of a text without tables, erring upward. What a character is taken at was fitted to
// o200k_base over 39 kinds of text, from prose and code in a dozen languages to random letters and combining marks: the
// lowest ratio to the exact count is 1.06 (combining marks), English comes to 2.8, code and Chinese to 2.3. Package
// tokens counts exactly, and its tests compare.
func estimateTokens(text string) int64 {
	var ninths int64
	for _, r := range text {
		switch {
		case r == ' ', 'a' <= r && r <= 'z':
			ninths += 5
		case r < 0x80:
			ninths += 9
		case 0x3000 <= r && r < 0xe000: // Chinese, Japanese, Korean
			ninths += 15
		case 0x400 <= r && r < 0x700: // Cyrillic, Hebrew, Arabic
			ninths += 10
		case 0x800 <= r && r < 0x1000: // the scripts of India, Thai
			ninths += 9
		case r < 0x800:
			ninths += 14
		case r < 0x10000:
			ninths += 21
		default:
			ninths += 28
		}
	}
	return (ninths + 8) / 9
}
