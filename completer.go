package holysheep

import (
	"context"
	"errors"
	"iter"
)

// A Completer answers chat requests. [*Client] is one; every decorator (cache, router, fallback …) wraps one and
// is one. A decorator also has a method Unwrap() Completer that gives what it wraps, never changes the caller's
// request (it copies the struct before it changes a field), and reports through the [Recorder] of what it wraps.
type Completer interface {
	// Chat answers req. It is safe for concurrent use.
	Chat(ctx context.Context, req *ChatRequest) (*ChatResponse, error)

	// Stream answers req piece by piece. The request leaves when the range starts and break ends it; a stream is
	// ranged over once. An error comes last and alone; the last event without one carries the whole response.
	Stream(ctx context.Context, req *ChatRequest) iter.Seq2[StreamEvent, error]
}

// Step is a receipt of what happened to a request above the client: a cache hit, a route, a fallback. Decorators
// append theirs to ChatResponse.Steps.
type Step struct {
	Kind   string // "cache", "route", "fallback" …
	Reason string // for a person to read
	Saved  USD    // what it saved
	Detail any    // the decorator's own receipt; nil if it has none
}

// Quote is what a request would do if it were sent now.
type Quote struct {
	Model        string  // the model that would be asked
	PromptTokens int64   // counted here, erring upward
	MaxTokens    int64   // the most the answers together may have
	Price        Price   // zero when no price is known
	PriceDate    string  // the date of the price table
	Expected     Cost    // the counted prompt and an answer of half of MaxTokens
	Worst        Cost    // the counted prompt and an answer of MaxTokens: what would be reserved
	Steps        []Step  // what the decorators would do
	Refusals     []error // why the call would not be sent; empty when it would

	Budgets []BudgetStatus // of Options.Budgets, as they stand
}

// A Planner can tell what a request would do without sending it. A decorator that changes what is sent
// implements it, asking [Plan] about what it wraps; the others are passed through.
type Planner interface {
	Plan(ctx context.Context, req *ChatRequest) (*Quote, error)
}

// Plan prices a request without sending or reserving anything. The error says why the request could never be
// sent; what would be refused just now is in Quote.Refusals.
func Plan(ctx context.Context, c Completer, req *ChatRequest) (*Quote, error) {
	p, ok := find[Planner](c)
	if !ok {
		return nil, errors.New("holysheep: Plan: no Planner beneath this Completer")
	}
	return p.Plan(ctx, req)
}

// A Resolver can tell what it would send for a request: with defaults filled in, and with a fingerprint of
// everything beneath it that can change the answer (base URL, policies). Cache keys are made of both, and of what
// Vary(ctx) string says where a decorator has that method: what the context changes.
type Resolver interface {
	Resolve(req *ChatRequest) (resolved *ChatRequest, fingerprint string, err error)
}

// Resolve gives the request as the client beneath c would send it, and the fingerprint of what lies beneath.
// Two completers that could answer differently never share both.
func Resolve(c Completer, req *ChatRequest) (resolved *ChatRequest, fingerprint string, err error) {
	r, ok := find[Resolver](c)
	if !ok {
		return nil, "", errors.New("holysheep: Resolve: no Resolver beneath this Completer")
	}
	return r.Resolve(req)
}

// find walks Unwrap from c down to the first completer that is a T.
func find[T any](c Completer) (T, bool) {
	for c != nil {
		if t, ok := c.(T); ok {
			return t, true
		}
		w, ok := c.(interface{ Unwrap() Completer })
		if !ok {
			break
		}
		c = w.Unwrap()
	}
	var none T
	return none, false
}
