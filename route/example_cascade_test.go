package route_test

import (
	"context"
	"fmt"

	"github.com/holysheep-ai/holysheep-go"
	"github.com/holysheep-ai/holysheep-go/holysheeptest"
	"github.com/holysheep-ai/holysheep-go/route"
)

func ExampleNewCascade() {
	gateway, err := holysheeptest.NewServer() // in place of holysheep.FromEnv
	if err != nil {
		fmt.Println(err)
		return
	}
	defer gateway.Close()
	gateway.Reply(holysheeptest.Text(`Sure! {"refund": true}`), holysheeptest.Text(`{"refund": true}`))

	chat, err := route.NewCascade(gateway.Client(nil), []string{holysheep.DeepSeekV32, holysheep.GPT41}, nil, nil)
	if err != nil {
		fmt.Println(err)
		return
	}
	defer func() { _ = chat.Close() }()
	resp, err := chat.Chat(context.Background(), &holysheep.ChatRequest{
		Messages:       []holysheep.Message{holysheep.User("Is the customer owed a refund? Reply in JSON.")},
		ResponseFormat: &holysheep.ResponseFormat{Type: "json_object"},
	})
	if err != nil {
		fmt.Println(err)
		return
	}
	fmt.Println(resp.Text(), resp.Cost)
	fmt.Print(resp.Steps[0].Detail)
	// Output:
	// {"refund": true} $0.0000944
	// cascade: gpt-4.1
	//   deepseek-v3.2, $0.0000084: rejected, keeps schema: it is no JSON
	//   gpt-4.1, $0.000086: given
	//   cost $0.000094, $0.0000084 more than these tokens of the last model
}
