package holysheep_test

import (
	"context"
	"fmt"
	"sync"
	"time"

	"github.com/holysheep-ai/holysheep-go"
	"github.com/holysheep-ai/holysheep-go/holysheeptest"
)

// Callers that come at the same time share a request, and each pays for its own texts.
func ExampleEmbedder() {
	gateway, err := holysheeptest.NewServer()
	if err != nil {
		fmt.Println(err)
		return
	}
	defer gateway.Close()
	embedder := gateway.Client(nil).Embedder("text-embedding-3-small", &holysheep.EmbedOptions{
		MaxTexts: 3, MaxHold: time.Minute, // it departs when the third has come
	})

	var wg sync.WaitGroup
	var scopes [3]*holysheep.Scope
	for i, tenant := range []string{"acme", "globex", "initech"} {
		var ctx context.Context
		ctx, scopes[i] = holysheep.NewScope(context.Background(), holysheep.Tags{"tenant": tenant})
		wg.Go(func() {
			if _, err := embedder.Embed(ctx, []string{"How do I return an order of " + tenant + "?"}); err != nil {
				fmt.Println(err)
			}
		})
	}
	wg.Wait()
	sum := scopes[0].Cost().USD + scopes[1].Cost().USD + scopes[2].Cost().USD
	fmt.Println(gateway.Count(), "request for", gateway.Billed(), sum == gateway.Billed())
	// Output: 1 request for $0.00000054 true
}
