package holysheep

import (
	"encoding/base64"
	"encoding/json"
	"maps"
	"net/http"
	"slices"
)

// The JSON of a request. Pointers keep "zero" and "not set" apart.
type wireRequest struct {
	Model               string         `json:"model"`
	Messages            []wireMessage  `json:"messages"`
	Temperature         *float64       `json:"temperature,omitempty"`
	TopP                *float64       `json:"top_p,omitempty"`
	MaxTokens           *int           `json:"max_tokens,omitempty"`
	MaxCompletionTokens *int           `json:"max_completion_tokens,omitempty"`
	Stop                []string       `json:"stop,omitempty"`
	Seed                *int64         `json:"seed,omitempty"`
	N                   *int           `json:"n,omitempty"`
	PresencePenalty     *float64       `json:"presence_penalty,omitempty"`
	FrequencyPenalty    *float64       `json:"frequency_penalty,omitempty"`
	Logprobs            bool           `json:"logprobs,omitempty"`
	TopLogprobs         *int           `json:"top_logprobs,omitempty"`
	ResponseFormat      *wireFormat    `json:"response_format,omitempty"`
	Tools               []wireTool     `json:"tools,omitempty"`
	ToolChoice          any            `json:"tool_choice,omitempty"`
	ParallelTools       *bool          `json:"parallel_tool_calls,omitempty"`
	ReasoningEffort     string         `json:"reasoning_effort,omitempty"`
	User                string         `json:"user,omitempty"`
	Stream              bool           `json:"stream,omitempty"`
	StreamOptions       *streamOptions `json:"stream_options,omitempty"`
}

type streamOptions struct {
	IncludeUsage bool `json:"include_usage"`
}

var includeUsage = &streamOptions{IncludeUsage: true}

type wireMessage struct {
	Role       string         `json:"role"`
	Content    any            `json:"content"` // Text, a list of parts, or nil beside tool calls
	Name       string         `json:"name,omitempty"`
	ToolCalls  []wireToolCall `json:"tool_calls,omitempty"`
	ToolCallID string         `json:"tool_call_id,omitempty"`
	Refusal    string         `json:"refusal,omitempty"`
}

type wireTool struct {
	Type     string `json:"type"`
	Function Tool   `json:"function"`
}

type wireFunction struct {
	Name      string `json:"name"`
	Arguments string `json:"arguments"`
}

type wireToolCall struct {
	ID       string       `json:"id,omitempty"`
	Type     string       `json:"type"`
	Function wireFunction `json:"function"`
}

type wireSchema struct {
	Name   string          `json:"name"`
	Schema json.RawMessage `json:"schema"`
	Strict bool            `json:"strict,omitempty"`
}

type wireFormat struct {
	Type       string      `json:"type"`
	JSONSchema *wireSchema `json:"json_schema,omitempty"`
}

type wireText struct {
	Type string `json:"type"`
	Text string `json:"text"`
}

type wireImagePart struct {
	Type     string    `json:"type"`
	ImageURL wireImage `json:"image_url"`
}

type wireImage struct {
	URL    string `json:"url"`
	Detail string `json:"detail,omitempty"`
}

// encode writes a resolved and valid request as JSON.
func (r *ChatRequest) encode(info ModelInfo, stream, usage bool) ([]byte, error) {
	w := wireRequest{
		Model: r.Model, Messages: make([]wireMessage, len(r.Messages)),
		Temperature: r.Temperature, TopP: r.TopP, MaxTokens: r.MaxTokens,
		Stop: r.Stop, Seed: r.Seed, N: r.N, PresencePenalty: r.PresencePenalty, FrequencyPenalty: r.FrequencyPenalty,
		Logprobs: r.Logprobs, TopLogprobs: r.TopLogprobs, ParallelTools: r.ParallelTools,
		ReasoningEffort: r.ReasoningEffort, User: r.User, Stream: stream,
	}
	if info.MaxCompletionTokens {
		w.MaxTokens, w.MaxCompletionTokens = nil, r.MaxTokens
	}
	if stream && usage {
		w.StreamOptions = includeUsage
	}
	var extras bool
	for i := range r.Messages {
		w.Messages[i] = encodeMessage(&r.Messages[i])
		extras = extras || hasExtra(&r.Messages[i])
	}
	for _, t := range r.Tools {
		w.Tools = append(w.Tools, wireTool{Type: "function", Function: t})
	}
	switch r.ToolChoice {
	case "":
	case "auto", "none", "required":
		w.ToolChoice = r.ToolChoice
	default:
		w.ToolChoice = wireTool{Type: "function", Function: Tool{Name: r.ToolChoice}}
	}
	if f := r.ResponseFormat; f != nil {
		w.ResponseFormat = &wireFormat{Type: f.Type}
		if f.Type == "json_schema" {
			w.ResponseFormat.JSONSchema = &wireSchema{f.Name, f.Schema, f.Strict}
		}
	}
	body, err := json.Marshal(&w)
	if err != nil {
		return nil, &RequestError{"request", err.Error()}
	}
	if extras {
		if body, err = r.spliceMessages(body, w.Messages); err != nil {
			return nil, err
		}
	}
	return splice(body, "Extra", r.Extra)
}

func encodeMessage(m *Message) wireMessage {
	w := wireMessage{Role: m.Role, Name: m.Name, ToolCallID: m.ToolCallID, Refusal: m.Refusal}
	switch {
	case len(m.Content) == 1 && isText(m.Content[0]):
		w.Content = m.Content[0]
	case len(m.Content) > 0:
		parts := make([]any, len(m.Content))
		for i, p := range m.Content {
			parts[i] = encodePart(p)
		}
		w.Content = parts
	}
	for _, c := range m.ToolCalls {
		w.ToolCalls = append(w.ToolCalls, wireToolCall{c.ID, "function", wireFunction{c.Name, c.Arguments}})
	}
	return w
}

func isText(p Part) bool {
	_, ok := p.(Text)
	return ok
}

func encodePart(p Part) any {
	switch p := p.(type) {
	case Text:
		return wireText{"text", string(p)}
	case Image:
		url := p.URL
		if url == "" {
			media := p.MediaType
			if media == "" {
				media = http.DetectContentType(p.Data)
			}
			url = "data:" + media + ";base64," + base64.StdEncoding.EncodeToString(p.Data)
		}
		return wireImagePart{"image_url", wireImage{url, p.Detail}}
	case RawPart:
		return json.RawMessage(p)
	}
	return nil // validate let no other kind through
}

func hasExtra(m *Message) bool {
	return len(m.Extra) > 0 || slices.ContainsFunc(m.ToolCalls, func(c ToolCall) bool { return len(c.Extra) > 0 })
}

// spliceMessages puts the Extra fields of messages and tool calls back where they were received. It is the rare
// way, so it may marshal the messages a second time.
func (r *ChatRequest) spliceMessages(body []byte, messages []wireMessage) ([]byte, error) {
	spliced := make([]json.RawMessage, len(messages))
	for i, m := range messages {
		calls := make([]json.RawMessage, len(m.ToolCalls))
		for j, c := range m.ToolCalls {
			raw, err := json.Marshal(c)
			if err != nil {
				return nil, &RequestError{"Messages", err.Error()}
			}
			if calls[j], err = splice(raw, "ToolCalls.Extra", r.Messages[i].ToolCalls[j].Extra); err != nil {
				return nil, err
			}
		}
		m.ToolCalls = nil
		raw, err := json.Marshal(m)
		if err != nil {
			return nil, &RequestError{"Messages", err.Error()}
		}
		extra := maps.Clone(r.Messages[i].Extra)
		if len(calls) > 0 {
			joined, err := json.Marshal(calls)
			if err != nil {
				return nil, &RequestError{"Messages", err.Error()}
			}
			if extra == nil {
				extra = map[string]json.RawMessage{}
			}
			extra["tool_calls"] = joined
		}
		if spliced[i], err = splice(raw, "Messages.Extra", extra); err != nil {
			return nil, err
		}
	}
	var fields map[string]json.RawMessage
	if err := json.Unmarshal(body, &fields); err != nil {
		return nil, &RequestError{"request", err.Error()}
	}
	joined, err := json.Marshal(spliced)
	if err != nil {
		return nil, &RequestError{"Messages", err.Error()}
	}
	fields["messages"] = joined
	return json.Marshal(fields)
}

// splice adds fields to a JSON object, in the order of their names so that equal requests are equal bytes.
func splice[T any](object []byte, where string, extra map[string]T) ([]byte, error) {
	if len(extra) == 0 {
		return object, nil
	}
	for _, key := range slices.Sorted(maps.Keys(extra)) {
		name, err := json.Marshal(key)
		if err != nil {
			return nil, &RequestError{where, err.Error()}
		}
		value, err := json.Marshal(extra[key])
		if err != nil {
			return nil, &RequestError{where + "[" + string(name) + "]", err.Error()}
		}
		object = append(object[:len(object)-1], ',')
		object = append(append(append(object, name...), ':'), value...)
		object = append(object, '}')
	}
	return object, nil
}
