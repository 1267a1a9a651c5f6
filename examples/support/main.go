// Support is a customer service assistant: one question about an order, one answer, and what the session cost.
//
//	go run ./examples/support
//
// Without HOLYSHEEP_API_KEY it talks to the mock gateway.
package main

import (
	"context"
	"fmt"
	"log"

	"github.com/holysheep-ai/holysheep-go"
	"github.com/holysheep-ai/holysheep-go/examples/internal/demo"
	"github.com/holysheep-ai/holysheep-go/holysheeptest"
)

func main() {
	log.SetFlags(0)
	if err := run(context.Background()); err != nil {
		log.Fatal(err)
	}
}

func run(ctx context.Context) error {
	client, closeAll, err := demo.Connect(nil, holysheeptest.Text(
		"Order #48291 left our warehouse yesterday and should reach you on Thursday. "+
			"I have sent the tracking link to your e-mail address. Is there anything else I can do for you?"))
	if err != nil {
		return err
	}
	defer closeAll()

	resp, err := client.Chat(ctx, &holysheep.ChatRequest{
		Model: holysheep.DeepSeekV32,
		Messages: []holysheep.Message{
			holysheep.System("You are a helpful customer service assistant for an online shop. Be brief, friendly and exact."),
			holysheep.User("Hi, where is my order #48291? It should have been here two days ago."),
		},
		Temperature: new(0.3),
		MaxTokens:   new(512),
	})
	if err != nil {
		return err
	}
	fmt.Println(resp.Text())
	fmt.Println()

	var session holysheep.Totals
	for _, t := range client.Meter() {
		session = session.Plus(t)
	}
	fmt.Println("Session cost:", session.Cost)
	return nil
}
