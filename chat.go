package holysheep

import (
	"context"
	"encoding/json"
	"net/http"
	"strings"
	"time"
)

// Roles of a [Message].
const (
	RoleSystem    = "system"
	RoleUser      = "user"
	RoleAssistant = "assistant"
	RoleTool      = "tool"
)

// ChatRequest is what a model is asked. Only Messages is required. What is nil or empty takes the client's
// default where it has one (Model, Temperature, MaxTokens) and is not sent otherwise; a value that is set is
// sent, zero included: Temperature: new(0.0). A request is never changed by the client and may be shared.
type ChatRequest struct {
	Model    string
	Messages []Message

	Temperature      *float64 // 0 to 2; not sent to models that refuse it
	TopP             *float64 // 0 to 1
	MaxTokens        *int     // the most tokens of one answer, at least 1; this is what bounds the cost of a call
	Stop             []string
	Seed             *int64
	N                *int // how many answers, 1 to 128
	PresencePenalty  *float64
	FrequencyPenalty *float64
	Logprobs         bool
	TopLogprobs      *int // 0 to 20
	ResponseFormat   *ResponseFormat
	Tools            []Tool
	ToolChoice       string // "auto", "none", "required" or the name of a tool
	ParallelTools    *bool
	ReasoningEffort  string // "minimal", "low", "medium", "high": whatever the model knows
	User             string

	// Extra holds parameters that have no field here, sent as they are.
	Extra map[string]any

	// Headers are sent with this request, over those of the client.
	Headers http.Header
}

// Message is one turn of a conversation.
type Message struct {
	Role       string
	Content    []Part
	Name       string
	ToolCalls  []ToolCall // an assistant's
	ToolCallID string     // which call a tool message answers
	Refusal    string     // an assistant's

	// Reasoning is the thinking that a model showed. It is not sent back.
	Reasoning string

	// Extra holds fields of a received message that have no field here. They are sent back with it: some
	// providers want their signatures returned.
	Extra map[string]json.RawMessage
}

// Text joins the message's text parts.
func (m Message) Text() string {
	if len(m.Content) == 1 {
		t, _ := m.Content[0].(Text)
		return string(t)
	}
	var b strings.Builder
	for _, p := range m.Content {
		if t, ok := p.(Text); ok {
			b.WriteString(string(t))
		}
	}
	return b.String()
}

// A Part is a piece of a message: [Text], [Image] or, received from a server, [RawPart].
type Part interface{ part() }

// Text is a text part.
type Text string

// Image is a picture, by address or by its bytes.
type Image struct {
	URL       string // https://… or data:…
	Data      []byte // instead of URL
	MediaType string // of Data; "" detects it
	Detail    string // "low", "high" or "auto"; "" leaves it to the server
}

// RawPart is a content part of a kind that has no type here, as its JSON. It is sent back as it came.
type RawPart json.RawMessage

func (Text) part() {}

func (Image) part() {}

func (RawPart) part() {}

// System makes a system message.
func System(text string) Message { return Message{Role: RoleSystem, Content: []Part{Text(text)}} }

// User makes a user message, with pictures or further texts after the text.
func User(text string, more ...Part) Message {
	content := make([]Part, 0, 1+len(more))
	return Message{Role: RoleUser, Content: append(append(content, Text(text)), more...)}
}

// Assistant makes an assistant message, for examples and earlier turns.
func Assistant(text string) Message { return Message{Role: RoleAssistant, Content: []Part{Text(text)}} }

// ToolResult makes the message that answers a tool call.
func ToolResult(callID, result string) Message {
	return Message{Role: RoleTool, ToolCallID: callID, Content: []Part{Text(result)}}
}

// Tool describes a function that the model may ask for.
type Tool struct {
	Name        string
	Description string
	Parameters  json.RawMessage // a JSON Schema; nil for a function without arguments
	Strict      bool
}

// ToolCall is a function that the model asks for, or in a StreamEvent a piece of one.
type ToolCall struct {
	Index     int // its place in the answer, from 0
	ID        string
	Name      string
	Arguments string // JSON, as the model wrote it; it may be invalid

	// Extra holds fields that have no field here. They are sent back with the call.
	Extra map[string]json.RawMessage
}

// ResponseFormat asks for JSON.
type ResponseFormat struct {
	Type   string          // "json_object", "json_schema" or "text"
	Name   string          // of the schema; required with "json_schema"
	Schema json.RawMessage // required with "json_schema"
	Strict bool
}

// Choice is one of the answers to a request.
type Choice struct {
	Index        int
	Message      Message
	FinishReason string          // "stop", "length", "tool_calls", "content_filter", or the provider's own word
	Logprobs     json.RawMessage // as the server sent them; nil without
}

// ChatResponse is a complete answer, or inside a [StreamError] what came of one.
type ChatResponse struct {
	ID        string
	Requested string // the model asked for
	Model     string // the model that answered, as the gateway names it
	Choices   []Choice
	Usage     Usage
	Cost      Cost // all that was spent beneath this call, failed attempts included
	Saved     USD  // what caches and routers above the client saved
	Cached    bool // the answer comes from a cache

	RequestID  string // the gateway's name for the last attempt
	Attempts   int    // requests sent
	Latency    time.Duration
	FirstToken time.Duration // from the start to the first text, reasoning or tool call; for plain answers the latency
	Steps      []Step        // what decorators did

	// Extra holds top-level fields that have no field here.
	Extra map[string]json.RawMessage

	// Raw is the body of a plain answer; nil when it came as a stream. The texts above share its memory: it may be
	// read and not be written to.
	Raw json.RawMessage
}

// Text is the text of the first choice.
func (r *ChatResponse) Text() string { return r.first().Message.Text() }

// Message is the message of the first choice, to be appended to the conversation.
func (r *ChatResponse) Message() Message { return r.first().Message }

// ToolCalls are those of the first choice.
func (r *ChatResponse) ToolCalls() []ToolCall { return r.first().Message.ToolCalls }

// Reasoning is the thinking shown with the first choice.
func (r *ChatResponse) Reasoning() string { return r.first().Message.Reasoning }

// FinishReason is that of the first choice.
func (r *ChatResponse) FinishReason() string { return r.first().FinishReason }

func (r *ChatResponse) first() Choice {
	if len(r.Choices) == 0 {
		return Choice{}
	}
	return r.Choices[0]
}

// Chat answers req. The error is a *RequestError when nothing could be sent, an *APIError for what the gateway
// said, and a *TransportError for what went wrong between; with Options.CollectStreams a *StreamError around one
// of them when a part of the answer had come.
func (c *Client) Chat(ctx context.Context, req *ChatRequest) (*ChatResponse, error) {
	if err := c.enter(); err != nil {
		return nil, err
	}
	defer c.running.Done()
	k, err := c.newChat(ctx, req, c.opts.CollectStreams)
	if err != nil {
		return nil, err
	}
	defer func() { k.rest.drain() }()
	if err := k.run(ctx); err != nil {
		return nil, k.withPartial(err)
	}
	return k.rec.Response, nil
}
