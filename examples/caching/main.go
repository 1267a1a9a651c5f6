// Caching shows what caches save: a day of questions to a shop, of which many come again, word for word or nearly.
//
//	go run ./examples/caching
//
// Equal questions are answered for two hours, vectors are kept for a day, and similar questions share an answer from a
// cosine of 0.92 on, if no guard objects. It always talks to the mock gateway, whose vectors are near for texts that
// share words.
package main

import (
	"context"
	"fmt"
	"io"
	"log"
	"os"

	"github.com/holysheep-ai/holysheep-go"
	"github.com/holysheep-ai/holysheep-go/cache"
	"github.com/holysheep-ai/holysheep-go/holysheeptest"
)

var questions = []string{
	"How do I return a damaged toaster?",
	"Where is order 48291?",
	"How do I return a damaged toaster?",
	"how do i return a damaged toaster please",
	"Where is order 48292?",
	"Do you deliver to Norway?",
	"Where is order 48291?",
	"Do you deliver to Norway, please?",
	"Do you deliver to Sweden?",
	"How do I return a damaged toaster?",
}

func main() {
	log.SetFlags(0)
	if err := run(context.Background(), os.Stdout); err != nil {
		log.Fatal(err)
	}
}

func run(ctx context.Context, out io.Writer) error {
	gateway, err := holysheeptest.NewServer()
	if err != nil {
		return err
	}
	defer gateway.Close()
	client := gateway.Client(nil)
	store := cache.NewMemory(nil)
	defer func() { _ = store.Close() }()
	embedder := cache.Embedder(client.Embedder("text-embedding-3-small", nil), store, nil)

	similar := cache.Semantic(client, embedder, cache.NewMemoryNeighbours(nil), nil)
	chat := cache.Exact(similar, store, nil)

	ctx, scope := holysheep.NewScope(ctx, holysheep.Tags{"tenant": "shop"})
	for _, q := range questions {
		resp, err := chat.Chat(ctx, &holysheep.ChatRequest{Messages: []holysheep.Message{holysheep.User(q)}, MaxTokens: new(200)})
		if err != nil {
			return err
		}
		how := "asked the model"
		if resp.Cached {
			how = resp.Steps[0].Reason
		}
		fmt.Fprintf(out, "%-42s %s\n", q, how)
	}
	t := scope.Totals()
	fmt.Fprintf(out, "%d questions: %v spent, %v saved\n", len(questions), t.Cost, t.Saved)
	if err := chat.Close(); err != nil {
		return err
	}
	return similar.Close()
}
