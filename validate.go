package holysheep

import (
	"encoding/json"
	"fmt"
	"math"
	"slices"
	"unicode/utf8"
)

// Parameters that have a field of their own, or that the client decides: in Extra they would be sent twice, or
// change what a call may cost behind the reservation's back.
var reservedParameters = []string{
	"model", "messages", "temperature", "top_p", "max_tokens", "max_completion_tokens", "stop", "seed", "n",
	"presence_penalty", "frequency_penalty", "logprobs", "top_logprobs", "response_format", "tools", "tool_choice",
	"parallel_tool_calls", "reasoning_effort", "user", "stream", "stream_options",
}

// validate says why a resolved request cannot be sent.
func (r *ChatRequest) validate() error {
	if r.Model == "" {
		return &RequestError{"Model", "empty, and the client has no default"}
	}
	if !printable(r.Model) {
		return &RequestError{"Model", "has white space, control characters or invalid UTF-8"}
	}
	if len(r.Messages) == 0 {
		return &RequestError{"Messages", "empty"}
	}
	for i := range r.Messages {
		if err := r.Messages[i].validate(i); err != nil {
			return err
		}
	}
	if err := r.validateNumbers(); err != nil {
		return err
	}
	for i, s := range r.Stop {
		if s == "" || !utf8.ValidString(s) {
			return &RequestError{fmt.Sprintf("Stop[%d]", i), "empty or invalid UTF-8"}
		}
	}
	if !utf8.ValidString(r.User) {
		return &RequestError{"User", "invalid UTF-8"}
	}
	if err := r.validateTools(); err != nil {
		return err
	}
	return r.validateExtra()
}

func (r *ChatRequest) validateNumbers() error {
	for _, p := range []struct {
		field    string
		value    *float64
		min, max float64
	}{
		{"Temperature", r.Temperature, 0, 2},
		{"TopP", r.TopP, 0, 1},
		{"PresencePenalty", r.PresencePenalty, -2, 2},
		{"FrequencyPenalty", r.FrequencyPenalty, -2, 2},
	} {
		if p.value == nil {
			continue
		}
		// Written so that NaN fails it.
		if v := *p.value; !(v >= p.min && v <= p.max) {
			return &RequestError{p.field, fmt.Sprintf("%v is not between %v and %v", v, p.min, p.max)}
		}
	}
	for _, p := range []struct {
		field    string
		value    *int
		min, max int
	}{
		{"MaxTokens", r.MaxTokens, 1, math.MaxInt32},
		{"N", r.N, 1, 128},
		{"TopLogprobs", r.TopLogprobs, 0, 20},
	} {
		if p.value == nil {
			continue
		}
		if v := *p.value; v < p.min || v > p.max {
			return &RequestError{p.field, fmt.Sprintf("%d is not between %d and %d", v, p.min, p.max)}
		}
	}
	return nil
}

func (m Message) validate(i int) error {
	fail := func(field, reason string) error {
		return &RequestError{fmt.Sprintf("Messages[%d].%s", i, field), reason}
	}
	if m.Role == "" || !printable(m.Role) {
		return fail("Role", "empty or not printable")
	}
	if len(m.Content) == 0 && len(m.ToolCalls) == 0 && m.Refusal == "" {
		return fail("Content", "empty")
	}
	if m.Role == RoleTool && m.ToolCallID == "" {
		return fail("ToolCallID", "empty: a tool message has to say which call it answers")
	}
	for j, p := range m.Content {
		if reason := partProblem(p); reason != "" {
			return fail(fmt.Sprintf("Content[%d]", j), reason)
		}
	}
	for _, s := range []struct{ field, value string }{
		{"Name", m.Name},
		{"ToolCallID", m.ToolCallID},
		{"Refusal", m.Refusal},
	} {
		if !utf8.ValidString(s.value) {
			return fail(s.field, "invalid UTF-8")
		}
	}
	for j, call := range m.ToolCalls {
		if call.Name == "" || !utf8.ValidString(call.Name+call.ID+call.Arguments) {
			return fail(fmt.Sprintf("ToolCalls[%d]", j), "without a name, or invalid UTF-8")
		}
		if key := badRaw(call.Extra); key != "" {
			return fail(fmt.Sprintf("ToolCalls[%d].Extra[%q]", j, key), "not JSON")
		}
	}
	if key := badRaw(m.Extra); key != "" {
		return fail(fmt.Sprintf("Extra[%q]", key), "not JSON")
	}
	return nil
}

func partProblem(p Part) string {
	switch p := p.(type) {
	case Text:
		if !utf8.ValidString(string(p)) {
			return "invalid UTF-8"
		}
	case Image:
		switch {
		case p.URL == "" && len(p.Data) == 0:
			return "image without URL and Data"
		case p.URL != "" && len(p.Data) != 0:
			return "image with both URL and Data"
		case !utf8.ValidString(p.URL):
			return "invalid UTF-8"
		}
	case RawPart:
		if !json.Valid(p) {
			return "not JSON"
		}
	case nil:
		return "nil"
	}
	return ""
}

func (r *ChatRequest) validateTools() error {
	seen := map[string]bool{}
	for i, t := range r.Tools {
		field := fmt.Sprintf("Tools[%d].", i)
		switch {
		case t.Name == "" || !printable(t.Name):
			return &RequestError{field + "Name", "empty or not printable"}
		case seen[t.Name]:
			return &RequestError{field + "Name", fmt.Sprintf("%q is there twice", t.Name)}
		case !utf8.ValidString(t.Description):
			return &RequestError{field + "Description", "invalid UTF-8"}
		case t.Parameters != nil && !json.Valid(t.Parameters):
			return &RequestError{field + "Parameters", "not JSON"}
		}
		seen[t.Name] = true
	}
	switch r.ToolChoice {
	case "", "auto", "none", "required":
	default:
		if !seen[r.ToolChoice] {
			return &RequestError{"ToolChoice", fmt.Sprintf("%q is neither auto, none, required nor a tool of the request", r.ToolChoice)}
		}
	}
	f := r.ResponseFormat
	switch {
	case f == nil:
	case f.Type == "":
		return &RequestError{"ResponseFormat.Type", "empty"}
	case f.Type == "json_schema" && f.Name == "":
		return &RequestError{"ResponseFormat.Name", "empty"}
	case f.Type == "json_schema" && !json.Valid(f.Schema):
		return &RequestError{"ResponseFormat.Schema", "not JSON"}
	}
	return nil
}

func (r *ChatRequest) validateExtra() error {
	for key := range r.Extra {
		if key == "" || !utf8.ValidString(key) {
			return &RequestError{fmt.Sprintf("Extra[%q]", key), "empty or invalid UTF-8"}
		}
		if slices.Contains(reservedParameters, key) {
			return &RequestError{fmt.Sprintf("Extra[%q]", key), "has a field of its own, or is the client's to set"}
		}
	}
	return validHeaders("Headers", r.Headers)
}

func badRaw(fields map[string]json.RawMessage) string {
	for key, raw := range fields {
		if !utf8.ValidString(key) || !json.Valid(raw) {
			return key
		}
	}
	return ""
}

// printable reports whether s is UTF-8 without white space and control characters.
func printable(s string) bool {
	for _, r := range s {
		if r <= ' ' || r == 0x7f || r == utf8.RuneError || r == 0x85 || r == 0xa0 || r == 0x2028 || r == 0x2029 {
			return false
		}
	}
	return true
}
