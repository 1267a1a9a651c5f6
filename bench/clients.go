package main

import (
	"bufio"
	"bytes"
	"context"
	"encoding/json"
	"errors"
	"fmt"
	"io"
	"net/http"
	"strings"

	"github.com/openai/openai-go/v3"
	"github.com/openai/openai-go/v3/option"
	goopenai "github.com/sashabaranov/go-openai"

	"github.com/holysheep-ai/holysheep-go"
)

const (
	model    = "deepseek-v3.2"
	system   = "You are a helpful customer service assistant."
	question = "How do I return order 48291, and when do I get my money back?"
)

// client is one of those compared. chat and stream give the length of the answer, so that nobody can skip it.
type client struct {
	name string
	make func(baseURL string) (chat, stream func(ctx context.Context) (int, error), err error)
}

var clients = []client{
	{"raw", makeRaw},
	{"holysheep", makeHolysheep},
	{"go-openai", makeGoOpenAI},
	{"openai-go", makeOpenAIGo},
}

type call = func(ctx context.Context) (int, error)

// makeRaw is the floor: net/http, encoding/json and a line reader, with nothing checked beyond the status.
func makeRaw(baseURL string) (chat, stream call, err error) {
	type message struct {
		Role    string `json:"role"`
		Content string `json:"content"`
	}
	type request struct {
		Model         string    `json:"model"`
		Messages      []message `json:"messages"`
		Temperature   float64   `json:"temperature"`
		MaxTokens     int       `json:"max_tokens"`
		Stream        bool      `json:"stream,omitempty"`
		StreamOptions any       `json:"stream_options,omitempty"`
	}
	type usage struct {
		PromptTokens     int `json:"prompt_tokens"`
		CompletionTokens int `json:"completion_tokens"`
	}
	type answer struct {
		ID      string `json:"id"`
		Model   string `json:"model"`
		Choices []struct {
			Message      message `json:"message"`
			FinishReason string  `json:"finish_reason"`
		} `json:"choices"`
		Usage usage `json:"usage"`
	}
	type chunk struct {
		ID      string `json:"id"`
		Model   string `json:"model"`
		Choices []struct {
			Index        int     `json:"index"`
			Delta        message `json:"delta"`
			FinishReason string  `json:"finish_reason"`
		} `json:"choices"`
		Usage *usage `json:"usage"`
	}
	hc := &http.Client{Transport: &http.Transport{MaxIdleConns: 512, MaxIdleConnsPerHost: 256}}
	send := func(ctx context.Context, stream bool) (*http.Response, error) {
		r := request{Model: model, Messages: []message{{"system", system}, {"user", question}}, Temperature: 0.7, MaxTokens: 2048, Stream: stream}
		if stream {
			r.StreamOptions = map[string]bool{"include_usage": true}
		}
		body, err := json.Marshal(r)
		if err != nil {
			return nil, err
		}
		req, err := http.NewRequestWithContext(ctx, http.MethodPost, baseURL+"/chat/completions", bytes.NewReader(body))
		if err != nil {
			return nil, err
		}
		req.Header.Set("Authorization", "Bearer hs_bench")
		req.Header.Set("Content-Type", "application/json")
		resp, err := hc.Do(req)
		if err != nil {
			return nil, err
		}
		if resp.StatusCode != http.StatusOK {
			_ = resp.Body.Close()
			return nil, errors.New(resp.Status)
		}
		return resp, nil
	}
	chat = func(ctx context.Context) (int, error) {
		resp, err := send(ctx, false)
		if err != nil {
			return 0, err
		}
		defer func() { _ = resp.Body.Close() }()
		body, err := io.ReadAll(resp.Body)
		if err != nil {
			return 0, err
		}
		var a answer
		if err := json.Unmarshal(body, &a); err != nil {
			return 0, err
		}
		return len(a.Choices[0].Message.Content), nil
	}
	stream = func(ctx context.Context) (int, error) {
		resp, err := send(ctx, true)
		if err != nil {
			return 0, err
		}
		defer func() { _ = resp.Body.Close() }()
		n := 0
		lines := bufio.NewScanner(resp.Body)
		for lines.Scan() {
			data, ok := bytes.CutPrefix(lines.Bytes(), []byte("data: "))
			if !ok || string(data) == "[DONE]" {
				continue
			}
			var c chunk
			if err := json.Unmarshal(data, &c); err != nil {
				return n, err
			}
			for _, c := range c.Choices {
				n += len(c.Delta.Content)
			}
		}
		return n, lines.Err()
	}
	return chat, stream, nil
}

func makeHolysheep(baseURL string) (chat, stream call, err error) {
	c, err := holysheep.New("hs_bench", &holysheep.Options{BaseURL: baseURL})
	if err != nil {
		return nil, nil, err
	}
	request := func() *holysheep.ChatRequest {
		return &holysheep.ChatRequest{
			Model: model, Messages: []holysheep.Message{holysheep.System(system), holysheep.User(question)},
			Temperature: new(0.7), MaxTokens: new(2048),
		}
	}
	chat = func(ctx context.Context) (int, error) {
		resp, err := c.Chat(ctx, request())
		if err != nil {
			return 0, err
		}
		return len(resp.Text()), nil
	}
	stream = func(ctx context.Context) (int, error) {
		n := 0
		for ev, err := range c.Stream(ctx, request()) {
			if err != nil {
				return n, err
			}
			n += len(ev.Text)
		}
		return n, nil
	}
	return chat, stream, nil
}

func makeGoOpenAI(baseURL string) (chat, stream call, err error) {
	config := goopenai.DefaultConfig("hs_bench")
	config.BaseURL = baseURL
	c := goopenai.NewClientWithConfig(config)
	request := func(stream bool) goopenai.ChatCompletionRequest {
		r := goopenai.ChatCompletionRequest{
			Model: model, Temperature: 0.7, MaxTokens: 2048, //nolint:staticcheck // what the other clients send
			Messages: []goopenai.ChatCompletionMessage{{Role: "system", Content: system}, {Role: "user", Content: question}},
		}
		if stream {
			r.StreamOptions = &goopenai.StreamOptions{IncludeUsage: true}
		}
		return r
	}
	chat = func(ctx context.Context) (int, error) {
		resp, err := c.CreateChatCompletion(ctx, request(false))
		if err != nil {
			return 0, err
		}
		return len(resp.Choices[0].Message.Content), nil
	}
	stream = func(ctx context.Context) (int, error) {
		s, err := c.CreateChatCompletionStream(ctx, request(true))
		if err != nil {
			return 0, err
		}
		defer func() { _ = s.Close() }()
		n := 0
		for {
			ev, err := s.Recv()
			if errors.Is(err, io.EOF) {
				return n, nil
			}
			if err != nil {
				return n, err
			}
			for _, c := range ev.Choices {
				n += len(c.Delta.Content)
			}
		}
	}
	return chat, stream, nil
}

func makeOpenAIGo(baseURL string) (chat, stream call, err error) {
	c := openai.NewClient(option.WithBaseURL(baseURL), option.WithAPIKey("hs_bench"))
	params := func() openai.ChatCompletionNewParams {
		return openai.ChatCompletionNewParams{
			Model: model, Temperature: openai.Float(0.7), MaxTokens: openai.Int(2048),
			Messages: []openai.ChatCompletionMessageParamUnion{openai.SystemMessage(system), openai.UserMessage(question)},
		}
	}
	chat = func(ctx context.Context) (int, error) {
		resp, err := c.Chat.Completions.New(ctx, params())
		if err != nil {
			return 0, err
		}
		return len(resp.Choices[0].Message.Content), nil
	}
	stream = func(ctx context.Context) (int, error) {
		p := params()
		p.StreamOptions.IncludeUsage = openai.Bool(true)
		s := c.Chat.Completions.NewStreaming(ctx, p)
		defer func() { _ = s.Close() }()
		n := 0
		for s.Next() {
			for _, c := range s.Current().Choices {
				n += len(c.Delta.Content)
			}
		}
		return n, s.Err()
	}
	return chat, stream, nil
}

func makeClient(name, baseURL string) (chat, stream call, err error) {
	for _, c := range clients {
		if c.name == name {
			return c.make(baseURL)
		}
	}
	return nil, nil, fmt.Errorf("no client %q; there are %s", name, strings.Join([]string{"raw", "holysheep", "go-openai", "openai-go"}, ", "))
}
