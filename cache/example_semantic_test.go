package cache_test

import (
	"context"
	"fmt"

	"github.com/holysheep-ai/holysheep-go"
	"github.com/holysheep-ai/holysheep-go/cache"
	"github.com/holysheep-ai/holysheep-go/holysheeptest"
)

func ExampleSemantic() {
	gateway, err := holysheeptest.NewServer() // in place of holysheep.FromEnv
	if err != nil {
		fmt.Println(err)
		return
	}
	defer gateway.Close()
	gateway.Reply(holysheeptest.Text("Within 30 days, with the label in the parcel."))
	client := gateway.Client(nil)

	embedder := client.Embedder("text-embedding-3-small", nil)
	chat := cache.Semantic(client, embedder, cache.NewMemoryNeighbours(nil), nil)
	defer func() { _ = chat.Close() }()

	for _, q := range []string{"How do I return a damaged parcel?", "how do I return a damaged parcel"} {
		resp, err := chat.Chat(context.Background(), &holysheep.ChatRequest{Messages: []holysheep.Message{holysheep.User(q)}})
		if err != nil {
			fmt.Println(err)
			return
		}
		fmt.Println(resp.Text(), resp.Cost, resp.Saved)
	}
	// Output:
	// Within 30 days, with the label in the parcel. $0.00000814 $0.00
	// Within 30 days, with the label in the parcel. $0.00000014 $0.00000798
}
