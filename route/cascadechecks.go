package route

import (
	"context"
	"encoding/json"
	"errors"
	"fmt"
	"math"
	"strings"

	"github.com/holysheep-ai/holysheep-go"
)

// A Check says whether an answer may be given, or a better model is to be asked. [NotEmpty], [NoRefusal], [KeepsSchema],
// [Margin] and [Judge] make one; any function is one.
type Check struct {
	// Name tells it from others, its settings included: receipts and keys of caches have it. Required.
	Name string

	// Prepare changes what the models before the last one are asked, if the check needs more than the answer. The
	// request is a copy; what it points to is the caller's. Default: nil.
	Prepare func(req *holysheep.ChatRequest)

	// Reject says what is wrong with the answer to req, in words for receipts that quote neither; "" lets it pass. An
	// error rejects it as well, but for [ErrNotChecked]. It is called concurrently. Required.
	Reject func(ctx context.Context, req *holysheep.ChatRequest, resp *holysheep.ChatResponse) (why string, err error)

	bad error
}

// ErrNotChecked from a check lets an answer pass that it could not look at. The receipt says so.
var ErrNotChecked = errors.New("route: not checked")

// NotEmpty rejects answers with neither text nor tool calls: some models think until max_tokens are spent.
func NotEmpty() Check {
	return Check{Name: "not empty", Reject: everyChoice(func(_ *holysheep.ChatRequest, c *holysheep.Choice) (string, error) {
		m := &c.Message
		if len(m.ToolCalls) == 0 && m.Refusal == "" && strings.TrimSpace(m.Text()) == "" {
			return "it is empty", nil
		}
		return "", nil
	})}
}

// NoRefusal rejects answers in which the model says that it will not, or cannot, in English or Chinese.
func NoRefusal() Check {
	return Check{Name: "no refusal", Reject: everyChoice(func(_ *holysheep.ChatRequest, c *holysheep.Choice) (string, error) {
		if c.Message.Refusal != "" || c.FinishReason == "content_filter" || soundsRefusing(c.Message.Text()) {
			return "the model refuses", nil
		}
		return "", nil
	})}
}

// How a model begins when it does not answer.
var refusals = []string{
	"i'm sorry, but i can", "i am sorry, but i can", "i'm sorry, i can", "i can't help", "i cannot help", "i can't assist",
	"i cannot assist", "i can't provide", "i cannot provide", "i'm unable to", "i am unable to", "i'm not able to",
	"i am not able to", "as an ai", "i don't have enough information", "i do not have enough information", "i'm not sure",
	"i don't know", "i do not know",
	"很抱歉，我", "抱歉，我", "对不起，我不", "对不起，我无", "我无法", "我不能", "我没有办法", "作为一个人工智能", "作为人工智能", "作为一个ai",
	"作为ai", "我不知道", "我不确定", "很抱歉，無法", "抱歉，無法", "我無法", "作為ai", "作為一個ai", "作為人工智慧", "我不確定",
}

// soundsRefusing looks at how a text begins: further on, the same words tell of something else.
func soundsRefusing(text string) bool {
	const begins = 120
	text = strings.TrimSpace(text)
	text = strings.ToLower(strings.ReplaceAll(text[:min(len(text), begins)], "’", "'"))
	for _, r := range refusals {
		if i := strings.Index(text, r); i >= 0 && i <= begins/2 {
			return true
		}
	}
	return false
}

// KeepsSchema rejects answers that are not the JSON that was asked for: with a response_format of json_object an
// object, with json_schema one that keeps to the schema; and tool calls whose arguments do not keep to the tool's. Of
// schemas it reads type, enum, const, properties, required, additionalProperties, items, anyOf, oneOf, allOf, $ref within
// the document, and the bounds of numbers, texts and lists; it passes over all others.
func KeepsSchema() Check {
	return Check{Name: "keeps schema", Reject: everyChoice(func(req *holysheep.ChatRequest, c *holysheep.Choice) (string, error) {
		for i := range c.Message.ToolCalls {
			if why := wrongCall(req.Tools, &c.Message.ToolCalls[i]); why != "" {
				return why, nil
			}
		}
		f := req.ResponseFormat
		if f == nil || len(c.Message.ToolCalls) > 0 {
			return "", nil
		}
		switch f.Type {
		case "json_object":
			return againstSchema(json.RawMessage(`{"type":"object"}`), c.Message.Text()), nil
		case "json_schema":
			return againstSchema(f.Schema, c.Message.Text()), nil
		}
		return "", nil
	})}
}

func wrongCall(tools []holysheep.Tool, call *holysheep.ToolCall) string {
	for i := range tools {
		if tools[i].Name != call.Name {
			continue
		}
		arguments := call.Arguments
		if arguments == "" {
			arguments = "{}"
		}
		if why := againstSchema(tools[i].Parameters, arguments); why != "" {
			return "the arguments of a tool call: " + why
		}
		return ""
	}
	return "it calls a tool that there is not"
}

// Margin rejects answers of which the model was not sure: over all tokens, the mean distance between the probability of
// the token that it chose and that of the next likely one is under least, which is between 0 and 1. It asks for log
// probabilities; an answer without them cannot be checked and is rejected, so use it with models that give them.
func Margin(least float64) Check {
	c := Check{
		Name: fmt.Sprintf("margin %v", least),
		Prepare: func(req *holysheep.ChatRequest) {
			if req.Logprobs = true; req.TopLogprobs == nil || *req.TopLogprobs < 2 {
				req.TopLogprobs = new(2)
			}
		},
		Reject: everyChoice(func(_ *holysheep.ChatRequest, c *holysheep.Choice) (string, error) {
			margin, err := marginOf(c.Logprobs)
			if err != nil {
				return "", err
			}
			if margin < least {
				return fmt.Sprintf("its margin is %.2f", margin), nil
			}
			return "", nil
		}),
	}
	if !(least > 0 && least <= 1) { // written so that NaN fails it
		c.bad = &holysheep.RequestError{Field: "Margin.least", Reason: fmt.Sprintf("%v is not above 0 and up to 1", least)}
	}
	return c
}

var errNoLogprobs = errors.New("the answer came without log probabilities")

// marginOf reads the logprobs of a choice.
func marginOf(raw json.RawMessage) (float64, error) {
	var l struct {
		Content []struct {
			Logprob float64 `json:"logprob"`
			Top     []struct {
				Logprob float64 `json:"logprob"`
			} `json:"top_logprobs"`
		} `json:"content"`
	}
	if len(raw) == 0 {
		return 0, errNoLogprobs
	}
	if err := json.Unmarshal(raw, &l); err != nil || len(l.Content) == 0 {
		return 0, errNoLogprobs
	}
	var sum float64
	for _, t := range l.Content {
		// What was chosen is among the likely ones, or was drawn from below them.
		chosen, other := math.Exp(min(t.Logprob, 0)), 0.0
		passed := false
		for _, top := range t.Top {
			if !passed && top.Logprob == t.Logprob {
				passed = true
				continue
			}
			other = max(other, math.Exp(min(top.Logprob, 0)))
		}
		sum += chosen - other
	}
	return sum / float64(len(l.Content)), nil
}

// everyChoice makes a check of all answers out of one of each.
func everyChoice(reject func(*holysheep.ChatRequest, *holysheep.Choice) (string, error)) func(context.Context, *holysheep.ChatRequest, *holysheep.ChatResponse) (string, error) {
	return func(_ context.Context, req *holysheep.ChatRequest, resp *holysheep.ChatResponse) (string, error) {
		if len(resp.Choices) == 0 {
			return "there is no answer", nil
		}
		for i := range resp.Choices {
			if why, err := reject(req, &resp.Choices[i]); why != "" || err != nil {
				return why, err
			}
		}
		return "", nil
	}
}
