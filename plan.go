package holysheep

import (
	"context"
	"crypto/sha256"
	"encoding/hex"
	"fmt"
	"maps"
	"slices"
	"sort"
	"strings"
)

// resolve gives the request as it will be sent: defaults filled in, checked.
func (c *Client) resolve(req *ChatRequest) (*ChatRequest, ModelInfo, error) {
	if req == nil {
		return nil, ModelInfo{}, &RequestError{"request", "nil"}
	}
	r := *req
	setDefault(&r.Model, c.opts.Model)
	info, _ := c.ModelInfo(r.Model)
	if r.Temperature == nil && !info.NoTemperature {
		r.Temperature = c.opts.Temperature
	}
	setDefault(&r.MaxTokens, c.opts.MaxTokens)
	if err := r.validate(); err != nil {
		return nil, info, err
	}
	return &r, info, nil
}

// Resolve gives the request as the client would send it; the fingerprint is its base URL and headers.
func (c *Client) Resolve(req *ChatRequest) (resolved *ChatRequest, fingerprint string, err error) {
	resolved, _, err = c.resolve(req)
	if err != nil {
		return nil, "", err
	}
	return resolved, c.fingerprint(), nil
}

func (c *Client) fingerprint() string {
	if len(c.opts.Headers) == 0 {
		return c.BaseURL()
	}
	// Hashed, because a header may be a secret.
	var b strings.Builder
	for _, name := range slices.Sorted(maps.Keys(c.opts.Headers)) {
		fmt.Fprintf(&b, "%q%q", name, c.opts.Headers[name])
	}
	sum := sha256.Sum256([]byte(b.String()))
	return c.BaseURL() + "#" + hex.EncodeToString(sum[:8])
}

// Plan prices a request without sending or reserving anything. Ledgers of budgets are asked how they stand, which for a
// shared one takes a round trip or two and no more than 250 ms each; switches of operators are among the refusals.
func (c *Client) Plan(ctx context.Context, req *ChatRequest) (*Quote, error) {
	scope := ScopeOf(ctx)
	if err := scope.check(); err != nil {
		return nil, err
	}
	r, info, err := c.resolve(req)
	if err != nil {
		return nil, err
	}
	w, err := c.worstCase(ctx, r, info)
	if err != nil {
		return nil, err
	}
	w.fit(r, scope)
	q := &Quote{
		Model: r.Model, PromptTokens: w.prompt, MaxTokens: w.completion,
		Price: w.price, PriceDate: c.opts.Prices.Date(),
		Expected: Cost{Basis: Unknown}, Worst: Cost{Basis: Unknown},
	}
	guards := c.guardsFor(scope)
	if !w.priced {
		if len(guards) > 0 {
			q.Refusals = append(q.Refusals, unknownPrice(r.Model))
		}
		return q, nil
	}
	expected := w.price.Of(Usage{PromptTokens: w.prompt, CompletionTokens: w.completion / 2})
	q.Expected = Cost{USD: expected, AtMost: w.usd, Basis: Estimated}
	q.Worst = Cost{USD: w.usd, AtMost: w.usd, Basis: Estimated}
	q.Refusals = append(q.Refusals, scope.refusals(w.usd)...)
	for _, g := range c.guards {
		if g, ok := g.(*ledgerGuard); ok {
			g.plan(ctx, q)
		}
	}
	return q, nil
}

func unknownPrice(model string) error {
	return fmt.Errorf("holysheep: %w: %q (add it with PriceTable.With and Options.Prices)", ErrUnknownPrice, model)
}

// worst is the most one attempt may cost.
type worst struct {
	price              Price
	priced             bool
	prompt, completion int64
	usd                USD
}

// An answer's bound where neither request, options nor the model table give one.
const unknownMaxOutput = 128 << 10

func (c *Client) worstCase(ctx context.Context, r *ChatRequest, info ModelInfo) (worst, error) {
	w := worst{completion: unknownMaxOutput}
	switch {
	case r.MaxTokens != nil:
		w.completion = int64(*r.MaxTokens)
	case info.MaxOutput > 0:
		w.completion = int64(info.MaxOutput)
	}
	if r.N != nil {
		w.completion *= int64(*r.N)
	}
	if counter := c.opts.Tokens; counter != nil {
		var err error
		if w.prompt, err = counter.CountTokens(ctx, r); err != nil {
			return worst{}, fmt.Errorf("holysheep: Options.Tokens: %w", err)
		}
		w.prompt = max(w.prompt, 0)
	} else {
		w.prompt = r.EstimateTokens()
	}
	w.price, w.priced = c.opts.Prices.Lookup(r.Model)
	if w.priced {
		w.usd = w.price.worst(w.prompt, w.completion)
	}
	return w, nil
}

// fit lowers max_tokens of r where the caps of the scope leave no room for them and allow that.
func (w *worst) fit(r *ChatRequest, scope *Scope) {
	if !w.priced || !scope.isCapped() {
		return
	}
	left, shrink := scope.room()
	if !shrink || w.usd <= left {
		return
	}
	choices := int64(1)
	if r.N != nil {
		choices = max(int64(*r.N), 1)
	}
	// The price is not linear where a long prompt costs more, so the largest number that fits is searched for.
	tokens := sort.Search(int(w.completion/choices), func(n int) bool {
		return w.price.worst(w.prompt, int64(n+1)*choices) > left
	})
	if tokens == 0 {
		return // not even one: the cap refuses
	}
	r.MaxTokens = &tokens
	w.completion = int64(tokens) * choices
	w.usd = w.price.worst(w.prompt, w.completion)
}

// What the framing of messages and tools adds, and the dearest image of the four providers (Claude bills up to
// about 1,600 tokens, OpenAI up to 1,445).
const (
	tokensPerMessage = 8
	tokensPerImage   = 1600
)

// EstimateTokens guesses the prompt tokens of the request without tables, erring upward: what is reserved where
// Options.Tokens counts nothing.
func (r *ChatRequest) EstimateTokens() int64 {
	var n int64
	for i := range r.Messages {
		m := &r.Messages[i]
		n += tokensPerMessage + estimateTokens(m.Name) + estimateTokens(m.Refusal)
		for _, p := range m.Content {
			switch p := p.(type) {
			case Text:
				n += estimateTokens(string(p))
			case Image:
				n += tokensPerImage
			case RawPart:
				n += estimateTokens(string(p))
			}
		}
		for _, call := range m.ToolCalls {
			n += tokensPerMessage + estimateTokens(call.Name) + estimateTokens(call.Arguments)
		}
		for key, raw := range m.Extra {
			n += estimateTokens(key) + estimateTokens(string(raw))
		}
	}
	for _, t := range r.Tools {
		n += 2*tokensPerMessage + estimateTokens(t.Name) + estimateTokens(t.Description) + estimateTokens(string(t.Parameters))
	}
	if f := r.ResponseFormat; f != nil {
		n += 2*tokensPerMessage + estimateTokens(f.Name) + estimateTokens(string(f.Schema))
	}
	return n
}
