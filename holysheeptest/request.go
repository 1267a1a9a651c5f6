package holysheeptest

import (
	"encoding/json"
	"net/http"
	"slices"
	"strings"
	"time"

	"github.com/holysheep-ai/holysheep-go"
)

// Request is what the server received.
type Request struct {
	Time   time.Time
	Method string
	Path   string
	Header http.Header
	Body   []byte

	// Read from the body of a chat.
	Model    string
	Stream   bool
	Messages []Message

	// Read from the body of a request for embeddings.
	Texts []string

	// Billed is what the answer costs. A gateway of this kind bills an answer in full, also when the client leaves
	// in the middle of it.
	Billed holysheep.USD
	Usage  holysheep.Usage // that it is billed for

	number       int // from 1
	includeUsage bool
	max          int

	base64     bool
	dimensions int
}

// embeds reports whether it asks for embeddings.
func (r *Request) embeds() bool { return strings.HasSuffix(r.Path, "/embeddings") }

// Message is one of a request's messages, with the texts of its parts joined.
type Message struct{ Role, Text string }

// Question is the text of the last user message.
func (r *Request) Question() string {
	for _, m := range slices.Backward(r.Messages) {
		if m.Role == "user" {
			return m.Text
		}
	}
	return ""
}

// parse reads the body and says what is wrong with it.
func (r *Request) parse() string {
	switch {
	case r.Method == http.MethodGet:
		return ""
	case r.embeds():
		return r.parseTexts()
	}
	var body struct {
		Model         string
		Stream        bool
		StreamOptions struct {
			IncludeUsage bool `json:"include_usage"`
		} `json:"stream_options"`
		MaxTokens           int `json:"max_tokens"`
		MaxCompletionTokens int `json:"max_completion_tokens"`
		Messages            []struct {
			Role    string
			Content json.RawMessage
		}
	}
	if err := json.Unmarshal(r.Body, &body); err != nil {
		return "the body is no JSON: " + err.Error()
	}
	r.Model, r.Stream, r.includeUsage = body.Model, body.Stream, body.StreamOptions.IncludeUsage
	r.max = max(body.MaxTokens, body.MaxCompletionTokens)
	for _, m := range body.Messages {
		r.Messages = append(r.Messages, Message{m.Role, contentText(m.Content)})
	}
	if len(r.Messages) == 0 {
		return "messages is empty"
	}
	return ""
}

func contentText(raw json.RawMessage) string {
	var text string
	if json.Unmarshal(raw, &text) == nil {
		return text
	}
	var parts []struct{ Text string }
	if json.Unmarshal(raw, &parts) != nil {
		return ""
	}
	var texts []string
	for _, p := range parts {
		texts = append(texts, p.Text)
	}
	return strings.Join(texts, " ")
}
