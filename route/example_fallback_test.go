package route_test

import (
	"context"
	"fmt"

	"github.com/holysheep-ai/holysheep-go"
	"github.com/holysheep-ai/holysheep-go/holysheeptest"
	"github.com/holysheep-ai/holysheep-go/route"
)

func ExampleNewFallback() {
	gateway, err := holysheeptest.NewServer() // in place of holysheep.FromEnv
	if err != nil {
		fmt.Println(err)
		return
	}
	defer gateway.Close()
	gateway.Reply(holysheeptest.Status(503), holysheeptest.Text("Within 30 days."))

	chat, err := route.NewFallback(gateway.Client(nil), map[string][]route.Target{
		holysheep.GPT41: {
			{Model: holysheep.DeepSeekV32, Prepare: func(r *holysheep.ChatRequest) { r.MaxTokens = new(500) }},
			{Model: holysheep.Gemini25Flash},
		},
	}, nil)
	if err != nil {
		fmt.Println(err)
		return
	}
	resp, err := chat.Chat(context.Background(), &holysheep.ChatRequest{
		Model:    holysheep.GPT41,
		Messages: []holysheep.Message{holysheep.User("How long can I return an order?")},
	})
	if err != nil {
		fmt.Println(err)
		return
	}
	fmt.Println(resp.Text(), resp.Requested)
	fmt.Println(resp.Steps[0].Reason)
	// Output:
	// Within 30 days. deepseek-v3.2
	// gpt-4.1: 503 overloaded: Service Unavailable (request req-1); deepseek-v3.2: answered
}
