// Goopenai is the smallest program with sashabaranov/go-openai.
package main

import (
	"context"
	"os"

	"github.com/sashabaranov/go-openai"
)

func main() {
	c := openai.NewClient("hs_bench")
	if len(os.Args) < 2 {
		return
	}
	_, _ = c.CreateChatCompletion(context.Background(), openai.ChatCompletionRequest{
		Messages: []openai.ChatCompletionMessage{{Role: "user", Content: os.Args[1]}},
	})
}
