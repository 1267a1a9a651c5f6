package embedlocal_test

import (
	"context"
	"fmt"
	"os"

	"github.com/holysheep-ai/holysheep-go"
	"github.com/holysheep-ai/holysheep-go/cache"
	"github.com/holysheep-ai/holysheep-go/embedlocal"
	"github.com/holysheep-ai/holysheep-go/holysheeptest"
)

func ExampleOpen() {
	dir, err := os.MkdirTemp("", "tiny-model") // in place of the folder with the files of all-MiniLM-L6-v2
	if err == nil {
		err = writeModel(dir, tinyGraph(), tinyVocab, 64)
	}
	if err != nil {
		fmt.Println(err)
		return
	}
	defer func() { _ = os.RemoveAll(dir) }()

	encoder, err := embedlocal.Open(dir, nil)
	if err != nil {
		fmt.Println(err)
		return
	}
	defer func() { _ = encoder.Close() }()
	vectors, err := encoder.Embed(context.Background(), []string{"refund", "Refund!", "weather"})
	if err != nil {
		fmt.Println(err)
		return
	}
	for _, v := range vectors[1:] {
		cosine := 0.0
		for i, x := range v {
			cosine += float64(x * vectors[0][i])
		}
		fmt.Printf("%d dimensions, cosine %.2f\n", encoder.Dimensions(), cosine)
	}
	// Output:
	// 3 dimensions, cosine 0.98
	// 3 dimensions, cosine 0.23
}

func ExampleEncoder() {
	dir, err := os.MkdirTemp("", "tiny-model") // in place of the folder with the files of all-MiniLM-L6-v2
	if err == nil {
		err = writeModel(dir, tinyGraph(), tinyVocab, 64)
	}
	if err != nil {
		fmt.Println(err)
		return
	}
	defer func() { _ = os.RemoveAll(dir) }()
	gateway, err := holysheeptest.NewServer() // in place of holysheep.FromEnv
	if err != nil {
		fmt.Println(err)
		return
	}
	defer gateway.Close()
	gateway.Reply(holysheeptest.Text("Within 30 days."))

	encoder, err := embedlocal.Open(dir, nil)
	if err != nil {
		fmt.Println(err)
		return
	}
	defer func() { _ = encoder.Close() }()
	remembered := cache.Embedder(encoder, cache.NewMemory(nil), nil)
	chat := cache.Semantic(gateway.Client(nil), remembered, cache.NewMemoryNeighbours(nil), &cache.SemanticOptions{
		Probes: &cache.Probes{Like: [2]string{"refund", "Refund!"}, Unlike: [2]string{"refund", "weather"}}, // the tiny model's words
	})
	defer func() { _ = chat.Close() }()
	for _, q := range []string{"refund order", "Refund order!"} {
		resp, err := chat.Chat(context.Background(), &holysheep.ChatRequest{Messages: []holysheep.Message{holysheep.User(q)}})
		if err != nil {
			fmt.Println(err)
			return
		}
		fmt.Println(resp.Text(), resp.Cached, resp.Saved)
	}
	// Output:
	// Within 30 days. false $0.00
	// Within 30 days. true $0.00000336
}
