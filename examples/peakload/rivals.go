package main

import (
	"bytes"
	"context"
	"encoding/json"
	"fmt"
	"io"
	"math/rand/v2"
	"net/http"
	"time"

	"github.com/holysheep-ai/holysheep-go"
)

// refusal is the status of an answer that is none.
type refusal int

func (r refusal) Error() string { return fmt.Sprintf("status %d", int(r)) }

// rival is a client without this library: it sends a request, and again if it is told to.
type rival struct {
	http     *http.Client
	model    string
	attempts int
}

// rivalOf makes one with so many attempts. One is a plain client. Three of them, with waits of half a second doubled up to
// eight and less up to a quarter, after 408, 409, 429 and 5xx, are what openai-go does.
func rivalOf(g *gateway, model string, attempts int) asker {
	c := &rival{http: &http.Client{Transport: g}, model: model, attempts: attempts}
	return asker{ask: c.ask}
}

func (c *rival) ask(ctx context.Context, q *question) (answer string, cached bool, err error) {
	body, err := json.Marshal(map[string]any{
		"model": c.model, "max_tokens": maxTokens, "messages": []map[string]string{{"role": "user", "content": q.text}},
	})
	if err != nil {
		return "", false, err
	}
	jitter := rand.New(rand.NewPCG(uint64(q.at), 3))
	for attempt := 0; ; attempt++ {
		var again bool
		if answer, again, err = c.once(ctx, body); err == nil || !again || attempt == c.attempts-1 {
			return answer, false, err
		}
		wait := min(500*time.Millisecond<<attempt, 8*time.Second)
		wait -= time.Duration(jitter.Int64N(int64(wait / 4)))
		select {
		case <-time.After(wait):
		case <-ctx.Done():
			return "", false, ctx.Err()
		}
	}
}

func (c *rival) once(ctx context.Context, body []byte) (answer string, again bool, err error) {
	req, err := http.NewRequestWithContext(ctx, http.MethodPost, holysheep.DefaultBaseURL+"/chat/completions", bytes.NewReader(body))
	if err != nil {
		return "", false, err
	}
	resp, err := c.http.Do(req)
	if err != nil {
		return "", ctx.Err() == nil, err
	}
	defer func() { _ = resp.Body.Close() }()
	raw, err := io.ReadAll(resp.Body)
	switch code := resp.StatusCode; {
	case err != nil:
		return "", true, err
	case code != http.StatusOK:
		again = code == http.StatusRequestTimeout || code == http.StatusConflict || code == http.StatusTooManyRequests || code >= 500
		return "", again, refusal(code)
	}
	var parsed struct {
		Choices []struct {
			Message struct {
				Content string `json:"content"`
			} `json:"message"`
		} `json:"choices"`
	}
	if err := json.Unmarshal(raw, &parsed); err != nil || len(parsed.Choices) == 0 {
		return "", true, fmt.Errorf("no answer: %w", err)
	}
	return parsed.Choices[0].Message.Content, false, nil
}
