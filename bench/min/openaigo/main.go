// Openaigo is the smallest program with openai/openai-go.
package main

import (
	"context"
	"os"

	"github.com/openai/openai-go/v3"
	"github.com/openai/openai-go/v3/option"
)

func main() {
	c := openai.NewClient(option.WithAPIKey("hs_bench"))
	if len(os.Args) < 2 {
		return
	}
	_, _ = c.Chat.Completions.New(context.Background(), openai.ChatCompletionNewParams{
		Messages: []openai.ChatCompletionMessageParamUnion{openai.UserMessage(os.Args[1])},
	})
}
