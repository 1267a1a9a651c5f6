// Holysheep is the smallest program with this client.
package main

import (
	"context"
	"os"

	"github.com/holysheep-ai/holysheep-go"
)

func main() {
	c, err := holysheep.New("hs_bench", nil)
	if err != nil {
		os.Exit(1)
	}
	if len(os.Args) < 2 {
		return
	}
	_, _ = c.Chat(context.Background(), &holysheep.ChatRequest{Messages: []holysheep.Message{holysheep.User(os.Args[1])}})
}
