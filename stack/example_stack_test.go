package stack_test

import (
	"context"
	"fmt"

	"github.com/holysheep-ai/holysheep-go"
	"github.com/holysheep-ai/holysheep-go/holysheeptest"
	"github.com/holysheep-ai/holysheep-go/stack"
)

func ExampleNew() {
	gateway, err := holysheeptest.NewServer()
	if err != nil {
		fmt.Println(err)
		return
	}
	defer gateway.Close()

	// Without BaseURL it is HolySheep, and the key is yours.
	chat, err := stack.New(holysheeptest.Key, &stack.Options{Client: holysheep.Options{BaseURL: gateway.BaseURL()}})
	if err != nil {
		fmt.Println(err)
		return
	}
	defer func() { _ = chat.Close() }()

	for range 2 {
		resp, err := chat.Chat(context.Background(), &holysheep.ChatRequest{
			Messages: []holysheep.Message{holysheep.User("Where is my parcel?")},
		})
		if err != nil {
			fmt.Println(err)
			return
		}
		fmt.Println(resp.Requested, resp.Cached)
	}
	// Output:
	// gemini-2.5-flash false
	// gemini-2.5-flash true
}
