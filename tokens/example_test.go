package tokens_test

import (
	"context"
	"fmt"

	"github.com/holysheep-ai/holysheep-go"
	"github.com/holysheep-ai/holysheep-go/tokens"
)

func ExampleCounter_Text() {
	var counter tokens.Counter
	n, err := counter.Text(context.Background(), holysheep.GPT41, "Within thirty days, and we'll pay the postage.")
	if err != nil {
		fmt.Println(err)
		return
	}
	fmt.Println(n)
	// Output: 10
}

// What a prompt takes with each model, at most.
func ExampleCounter_CountTokens() {
	var counter tokens.Counter
	for _, model := range []string{holysheep.GPT41, holysheep.ClaudeSonnet45, holysheep.DeepSeekV32} {
		n, err := counter.CountTokens(context.Background(), &holysheep.ChatRequest{
			Model:    model,
			Messages: []holysheep.Message{holysheep.System("Be brief."), holysheep.User("How do I return order 48291?")},
		})
		if err != nil {
			fmt.Println(err)
			return
		}
		m := tokens.MappingOf(model)
		fmt.Printf("%s: %d (%s × %.2f + %.0f%%)\n", model, n, m.Encoding, m.Factor, 100*m.Margin)
	}
	// Output:
	// gpt-4.1: 23 (o200k_base × 1.00 + 0%)
	// claude-sonnet-4.5: 47 (o200k_base × 1.30 + 25%)
	// deepseek-v3.2: 50 (o200k_base × 1.10 + 65%)
}

func shortRequest() *holysheep.ChatRequest {
	return &holysheep.ChatRequest{
		Model:    holysheep.GPT41,
		Messages: []holysheep.Message{holysheep.System("Be brief."), holysheep.User("How do I return order 48291?")},
	}
}
