package route_test

import (
	"context"
	"fmt"
	"time"

	"github.com/holysheep-ai/holysheep-go"
	"github.com/holysheep-ai/holysheep-go/holysheeptest"
	"github.com/holysheep-ai/holysheep-go/route"
)

func ExampleNewHedge() {
	gateway, err := holysheeptest.NewServer() // in place of holysheep.FromEnv
	if err != nil {
		fmt.Println(err)
		return
	}
	defer gateway.Close()
	gateway.ReplyWhen(func(r *holysheeptest.Request) bool { return r.Question() == "And this one?" },
		holysheeptest.Text("At last.").After(time.Minute), holysheeptest.Text("Here it is."))

	// The answers are short here, so that a large share is small money.
	chat, err := route.NewHedge(gateway.Client(&holysheep.Options{MaxTokens: new(50)}), &route.HedgeOptions{Share: 0.5})
	if err != nil {
		fmt.Println(err)
		return
	}
	ask := func(question string) *holysheep.ChatResponse {
		resp, err := chat.Chat(context.Background(), &holysheep.ChatRequest{Messages: []holysheep.Message{holysheep.User(question)}})
		if err != nil {
			fmt.Println(err)
			return &holysheep.ChatResponse{}
		}
		return resp
	}
	for range 20 { // it learns how long answers take
		ask("How are orders returned?")
	}
	resp := ask("And this one?")
	fmt.Println(resp.Text())
	for _, step := range resp.Steps {
		fmt.Println(step.Kind, step.Detail.(*route.HedgeReceipt).Won)
	}
	// Output:
	// Here it is.
	// hedge second
}
