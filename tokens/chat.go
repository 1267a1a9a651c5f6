package tokens

import (
	"context"
	"encoding/json"
	"fmt"
	"math"

	"github.com/pkoukk/tiktoken-go"

	"github.com/holysheep-ai/holysheep-go"
)

// framing is what a family adds to the texts of a request, in its own tokens.
type framing struct {
	message  int64 // around each message; its role is counted as a text
	name     int64 // for a message with a name
	reply    int64 // before the answer
	call     int64 // around a tool call of an assistant
	tool     int64 // around each tool
	anyTools int64 // once, when there are tools
	format   int64 // for a response format
}

var (
	// Messages, names and the reply are those of OpenAI's cookbook (How to count tokens with tiktoken). Tools are
	// rendered in a form that is not published; the cookbook's rule for them is always less than the JSON with this
	// around it.
	openaiFraming = framing{message: 3, name: 1, reply: 3, call: 8, tool: 8, anyTools: 12, format: 16}

	// Anthropic publishes what its prompt for tools takes, 159 to 530 tokens by model
	// (https://docs.claude.com/en/docs/agents-and-tools/tool-use/overview). The rest is a guess: the framing of a
	// message is not published, and a bare "hi" with an answer "hi" counts 9 tokens before Opus 4.7 and 15 since.
	claudeFraming = framing{message: 8, name: 2, reply: 8, call: 24, tool: 32, anyTools: 530, format: 32}

	// A guess.
	otherFraming = framing{message: 8, name: 2, reply: 8, call: 16, tool: 24, anyTools: 64, format: 32}
)

// prompt adds up a request.
type prompt struct {
	family
	texts  int64 // tokens of the encoding
	digits int64 // in the texts, where the family wants them counted
	exact  int64 // tokens of the model
}

func (p *prompt) total() int64 {
	if p.mapping.Exact() {
		return p.texts + p.exact
	}
	scaled := float64(p.texts)*p.mapping.Factor*(1+p.mapping.Margin) + float64(p.digits)*p.mapping.Digits
	return int64(math.Ceil(scaled)) + p.exact
}

func (p *prompt) request(ctx context.Context, r *holysheep.ChatRequest) error {
	p.exact += p.framing.reply
	for i := range r.Messages {
		if err := p.message(ctx, &r.Messages[i], fmt.Sprintf("Messages[%d]", i)); err != nil {
			return err
		}
	}
	if len(r.Tools) > 0 {
		p.exact += p.framing.anyTools
	}
	for _, t := range r.Tools {
		p.exact += p.framing.tool
		if err := p.text(ctx, t.Name, t.Description, string(t.Parameters)); err != nil {
			return err
		}
	}
	if f := r.ResponseFormat; f != nil {
		p.exact += p.framing.format
		if err := p.text(ctx, f.Name, string(f.Schema)); err != nil {
			return err
		}
	}
	for name, value := range r.Extra {
		raw, err := json.Marshal(value)
		if err != nil {
			return &holysheep.RequestError{Field: fmt.Sprintf("Extra[%q]", name), Reason: err.Error()}
		}
		if err := p.text(ctx, name, string(raw)); err != nil {
			return err
		}
	}
	return nil
}

func (p *prompt) message(ctx context.Context, m *holysheep.Message, field string) error {
	p.exact += p.framing.message
	if m.Name != "" {
		p.exact += p.framing.name
	}
	if err := p.text(ctx, m.Role, m.Name, m.ToolCallID, m.Refusal); err != nil {
		return err
	}
	for i, part := range m.Content {
		switch part := part.(type) {
		case holysheep.Text:
			if err := p.text(ctx, string(part)); err != nil {
				return err
			}
		case holysheep.Image:
			p.exact += p.image.tokens(part)
		case holysheep.RawPart:
			if err := p.text(ctx, string(part)); err != nil {
				return err
			}
		default:
			return &holysheep.RequestError{Field: fmt.Sprintf("%s.Content[%d]", field, i), Reason: fmt.Sprintf("a %T", part)}
		}
	}
	for _, call := range m.ToolCalls {
		p.exact += p.framing.call
		if err := p.text(ctx, call.ID, call.Name, call.Arguments); err != nil {
			return err
		}
		if err := p.extra(ctx, call.Extra); err != nil {
			return err
		}
	}
	return p.extra(ctx, m.Extra)
}

func (p *prompt) extra(ctx context.Context, fields map[string]json.RawMessage) error {
	for name, raw := range fields {
		if err := p.text(ctx, name, string(raw)); err != nil {
			return err
		}
	}
	return nil
}

func (p *prompt) text(ctx context.Context, texts ...string) error {
	load := o200k
	if p.mapping.Encoding == tiktoken.MODEL_CL100K_BASE {
		load = cl100k
	}
	e, err := load()
	if err != nil {
		return err
	}
	for _, text := range texts {
		n, err := e.count(ctx, text)
		if err != nil {
			return err
		}
		p.texts += n
		if p.mapping.Digits == 0 {
			continue
		}
		for i := range len(text) {
			if '0' <= text[i] && text[i] <= '9' {
				p.digits++
			}
		}
	}
	return nil
}
