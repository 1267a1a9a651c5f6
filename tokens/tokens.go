// Package tokens counts the tokens of texts and of whole chat requests, offline.
//
// For the models of OpenAI texts are counted exactly, with the vocabularies of tiktoken-go. The tokenizers of the
// others are not public or not here: their texts are counted with o200k_base, times a factor and a margin that errs
// upward; [MappingOf] tells them and where they come from. Framing, tools and images follow what the providers
// publish, and err upward where they publish nothing. So a count is the most that a prompt should be billed for, not
// a bill: that is in the answer's usage.
//
// Importing the package costs nothing but the size of the tables in the program (7 MB). Each vocabulary is read once
// for the process, when something is first counted with it (o200k_base: about 0.1 s, then 12 MB of memory; cl100k_base half of both).
package tokens

import (
	"context"
	"errors"
	"strings"

	"github.com/holysheep-ai/holysheep-go"
)

// Counter counts tokens. The zero value is ready, has no settings and may be shared by any number of goroutines.
type Counter struct{}

var _ holysheep.TokenCounter = (*Counter)(nil)

// Text gives the number of tokens of a text for a model: exact, or estimated and erring upward, as [MappingOf] says.
// Special tokens such as <|endoftext|> are counted as the text that they are in a prompt, and each byte that is not
// UTF-8 as U+FFFD, which is what it would be sent as. The time it takes is in proportion to the length, or nearly so,
// whatever the text is; a text without a break, such as a megabyte of one letter, takes up to 60 times its length in
// memory meanwhile. The error is that of the context, looked at every millisecond or so, and else that of a nameless
// model or of tables that cannot be read.
func (c *Counter) Text(ctx context.Context, model, text string) (int64, error) {
	if strings.TrimSpace(model) == "" {
		return 0, errors.New("tokens: the name of the model is empty")
	}
	p := &prompt{family: familyOf(model)}
	if err := p.text(ctx, text); err != nil {
		return 0, err
	}
	return p.total(), nil
}

// CountTokens gives the most tokens that the prompt of a request is expected to be billed for: texts, tool calls and
// the framing of messages, tools with their schemas, the response format, parameters in Extra (as JSON, because some
// carry prompt text) and images. Reasoning of earlier turns is not sent and not counted. The request must name its
// model, as a resolved one does, and is not changed. Errors are those of Text, and *holysheep.RequestError.
func (c *Counter) CountTokens(ctx context.Context, req *holysheep.ChatRequest) (int64, error) {
	switch {
	case req == nil:
		return 0, &holysheep.RequestError{Field: "request", Reason: "nil"}
	case strings.TrimSpace(req.Model) == "":
		return 0, &holysheep.RequestError{Field: "Model", Reason: "empty: tokens depend on the model"}
	}
	p := &prompt{family: familyOf(req.Model)}
	if err := p.request(ctx, req); err != nil {
		return 0, err
	}
	return p.total(), nil
}
