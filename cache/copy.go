package cache

import (
	"bytes"
	"encoding/json"
	"maps"
	"slices"

	"github.com/holysheep-ai/holysheep-go"
)

// A flight outlives the caller who opened it, and its answer belongs to several. So it has a copy of the request, and
// each of them a copy of what comes of it.

// copyRequest gives one that shares nothing that can be written to. Extra is taken as it would be sent.
func copyRequest(req *holysheep.ChatRequest) *holysheep.ChatRequest {
	r := *req
	r.Messages = slices.Clone(req.Messages)
	for i := range r.Messages {
		copyMessage(&r.Messages[i])
	}
	r.Temperature, r.TopP = copyOf(req.Temperature), copyOf(req.TopP)
	r.MaxTokens, r.Seed, r.N = copyOf(req.MaxTokens), copyOf(req.Seed), copyOf(req.N)
	r.PresencePenalty, r.FrequencyPenalty = copyOf(req.PresencePenalty), copyOf(req.FrequencyPenalty)
	r.TopLogprobs, r.ParallelTools = copyOf(req.TopLogprobs), copyOf(req.ParallelTools)
	r.Stop = slices.Clone(req.Stop)
	if r.ResponseFormat = copyOf(req.ResponseFormat); r.ResponseFormat != nil {
		r.ResponseFormat.Schema = bytes.Clone(r.ResponseFormat.Schema)
	}
	r.Tools = slices.Clone(req.Tools)
	for i := range r.Tools {
		r.Tools[i].Parameters = bytes.Clone(r.Tools[i].Parameters)
	}
	r.Headers = req.Headers.Clone()
	r.Extra = maps.Clone(req.Extra)
	for name, value := range r.Extra {
		switch value.(type) {
		case nil, bool, string, int, int64, float64:
		default:
			if raw, err := json.Marshal(value); err == nil { // it has been marshalled for the key already
				r.Extra[name] = json.RawMessage(raw)
			}
		}
	}
	return &r
}

func copyOf[T any](p *T) *T {
	if p == nil {
		return nil
	}
	v := *p
	return &v
}

func copyMessage(m *holysheep.Message) {
	m.Content = slices.Clone(m.Content)
	for i, p := range m.Content {
		switch p := p.(type) {
		case holysheep.Image:
			p.Data = bytes.Clone(p.Data)
			m.Content[i] = p
		case holysheep.RawPart:
			m.Content[i] = holysheep.RawPart(bytes.Clone(p))
		}
	}
	m.ToolCalls = copyCalls(m.ToolCalls)
	m.Extra = copyFields(m.Extra)
}

func copyCalls(calls []holysheep.ToolCall) []holysheep.ToolCall {
	calls = slices.Clone(calls)
	for i := range calls {
		calls[i].Extra = copyFields(calls[i].Extra)
	}
	return calls
}

func copyFields(fields map[string]json.RawMessage) map[string]json.RawMessage {
	fields = maps.Clone(fields)
	for name, raw := range fields {
		fields[name] = bytes.Clone(raw)
	}
	return fields
}

// copyResponse gives one that shares nothing that may be written to. Raw may not.
func copyResponse(resp *holysheep.ChatResponse) *holysheep.ChatResponse {
	r := *resp
	r.Choices = slices.Clone(resp.Choices)
	for i := range r.Choices {
		copyMessage(&r.Choices[i].Message)
		r.Choices[i].Logprobs = bytes.Clone(r.Choices[i].Logprobs)
	}
	r.Steps = slices.Clone(resp.Steps)
	r.Extra = copyFields(resp.Extra)
	return &r
}

// copyError gives each of several callers an error of his own, where it is of a type whose fields can be written to.
// For one who paid nothing (guest) it says so.
func copyError(err error, guest bool) error {
	switch e := err.(type) { //nolint:errorlint // what wraps one of these stays shared: it cannot be rebuilt
	case *holysheep.StreamError:
		own := &holysheep.StreamError{Err: copyError(e.Err, guest)}
		if e.Partial != nil {
			own.Partial = copyResponse(e.Partial)
			if guest {
				own.Partial.Cost, own.Partial.Attempts, own.Partial.RequestID = holysheep.Cost{}, 0, ""
			}
		}
		return own
	case *holysheep.APIError:
		own := *e
		if guest {
			own.Attempts, own.Billing = 0, holysheep.NotBilled
		}
		return &own
	case *holysheep.TransportError:
		own := *e
		if guest {
			own.Attempts, own.Billing = 0, holysheep.NotBilled
		}
		return &own
	case *holysheep.BudgetError:
		own := *e
		return &own
	case *holysheep.RequestError:
		own := *e
		return &own
	}
	return err
}
