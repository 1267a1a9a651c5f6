package holysheeptest

import (
	"context"
	"encoding/json"

	"github.com/holysheep-ai/holysheep-go"
)

// promptTokens counts the prompt of a chat by Server.Tokens, or else about a word each, as it does texts to be embedded.
func (s *Server) promptTokens(r *Request) int64 {
	if s.Tokens != nil && !r.embeds() {
		if n, err := s.Tokens.CountTokens(context.Background(), r.chat()); err == nil {
			return n
		}
	}
	var n int64
	for _, text := range r.Texts {
		n += int64(len(pieces(text)))
	}
	for _, m := range r.Messages {
		n += 4 + int64(len(pieces(m.Text)))
	}
	return n
}

// chat is what a counter needs to see of a request: the model, messages, tools and the response format.
func (r *Request) chat() *holysheep.ChatRequest {
	var body struct {
		Messages []struct {
			Role, Name, Refusal string
			Content             json.RawMessage
			ToolCallID          string `json:"tool_call_id"`
			ToolCalls           []struct {
				ID       string
				Function struct{ Name, Arguments string }
			} `json:"tool_calls"`
		}
		Tools []struct {
			Function struct {
				Name, Description string
				Parameters        json.RawMessage
			}
		}
		ResponseFormat *struct {
			Type       string
			JSONSchema struct {
				Name   string
				Schema json.RawMessage
			} `json:"json_schema"`
		} `json:"response_format"`
	}
	_ = json.Unmarshal(r.Body, &body) // what it could read is there
	chat := &holysheep.ChatRequest{Model: r.Model}
	for _, m := range body.Messages {
		message := holysheep.Message{Role: m.Role, Name: m.Name, Refusal: m.Refusal, ToolCallID: m.ToolCallID, Content: contentParts(m.Content)}
		for _, c := range m.ToolCalls {
			message.ToolCalls = append(message.ToolCalls, holysheep.ToolCall{ID: c.ID, Name: c.Function.Name, Arguments: c.Function.Arguments})
		}
		chat.Messages = append(chat.Messages, message)
	}
	for _, t := range body.Tools {
		chat.Tools = append(chat.Tools, holysheep.Tool{
			Name: t.Function.Name, Description: t.Function.Description, Parameters: t.Function.Parameters,
		})
	}
	if f := body.ResponseFormat; f != nil {
		chat.ResponseFormat = &holysheep.ResponseFormat{Type: f.Type, Name: f.JSONSchema.Name, Schema: f.JSONSchema.Schema}
	}
	return chat
}

func contentParts(raw json.RawMessage) []holysheep.Part {
	if len(raw) == 0 || string(raw) == "null" {
		return nil
	}
	var text string
	if json.Unmarshal(raw, &text) == nil {
		return []holysheep.Part{holysheep.Text(text)}
	}
	var list []json.RawMessage
	_ = json.Unmarshal(raw, &list) // none, then
	var parts []holysheep.Part
	for _, raw := range list {
		var part struct {
			Type, Text string
			ImageURL   struct{ URL, Detail string } `json:"image_url"`
		}
		_ = json.Unmarshal(raw, &part) // what it is not stays empty
		switch part.Type {
		case "text":
			parts = append(parts, holysheep.Text(part.Text))
		case "image_url":
			parts = append(parts, holysheep.Image{URL: part.ImageURL.URL, Detail: part.ImageURL.Detail})
		default:
			parts = append(parts, holysheep.RawPart(raw))
		}
	}
	return parts
}
