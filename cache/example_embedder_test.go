package cache_test

import (
	"context"
	"fmt"

	"github.com/holysheep-ai/holysheep-go/cache"
)

// lengths is an encoder that says what it is asked.
type lengths struct{}

func (lengths) Fingerprint() string { return "lengths/1" }

func (lengths) Embed(_ context.Context, texts []string) ([][]float32, error) {
	fmt.Printf("encoding %q\n", texts)
	vectors := make([][]float32, len(texts))
	for i, text := range texts {
		vectors[i] = []float32{float32(len(text))}
	}
	return vectors, nil
}

// Vectors are kept by model and text: only what is new is sent. In place of the memory: sqlitestore.OpenCache,
// redisstore.NewCache or pgstore.NewCache.
func ExampleEmbedder() {
	store := cache.NewMemory(&cache.MemoryOptions{MaxBytes: 256 << 20})
	defer func() { _ = store.Close() }()
	embedder := cache.Embedder(lengths{}, store, nil) // in place of lengths: client.Embedder("text-embedding-3-small")
	defer func() { _ = embedder.Close() }()

	ctx := context.Background()
	for _, texts := range [][]string{{"refunds", "returns"}, {"returns", "repairs", "refunds"}} {
		vectors, err := embedder.Embed(ctx, texts)
		if err != nil {
			fmt.Println(err)
			return
		}
		fmt.Println(vectors)
	}
	fmt.Printf("%+v\n", embedder.Stats())
	// Output:
	// encoding ["refunds" "returns"]
	// [[7] [7]]
	// encoding ["repairs"]
	// [[7] [7] [7]]
	// {Hits:2 Misses:3 Corrupt:0 Errors:0 Skipped:0}
}
