package holysheep_test

import (
	"context"
	"errors"
	"fmt"
	"io"
	"testing"
	"testing/synctest"
	"time"

	"github.com/stretchr/testify/require"

	"github.com/holysheep-ai/holysheep-go"
	"github.com/holysheep-ai/holysheep-go/cache"
	"github.com/holysheep-ai/holysheep-go/costs"
	"github.com/holysheep-ai/holysheep-go/holysheeptest"
	"github.com/holysheep-ai/holysheep-go/route"
	"github.com/holysheep-ai/holysheep-go/stack"
)

// The code of README.md, compiled and run. CI compares it line by line.

func Example() {
	gateway, err := holysheeptest.NewServer()
	if err != nil {
		fmt.Println(err)
		return
	}
	defer gateway.Close()
	gateway.Reply(holysheeptest.Text("Within 30 days."))
	ctx, client := context.Background(), gateway.Client(nil)

	resp, err := client.Chat(ctx, &holysheep.ChatRequest{
		Messages: []holysheep.Message{holysheep.User("How do I return order 48291?")},
	})
	if err != nil {
		fmt.Println(err)
		return
	}
	fmt.Println(resp.Text(), resp.Cost)
	// Output: Within 30 days. $0.00000476
}

func TestFromEnvAsInReadme(t *testing.T) {
	t.Setenv("HOLYSHEEP_API_KEY", "hs_0123456789")
	client, err := holysheep.FromEnv(nil) // HOLYSHEEP_API_KEY
	require.NoError(t, err)
	require.NoError(t, client.Close())
}

func ExampleClient_Stream() {
	gateway, err := holysheeptest.NewServer()
	if err != nil {
		fmt.Println(err)
		return
	}
	defer gateway.Close()
	gateway.Reply(holysheeptest.Text("Within 30 days."))
	ctx, client := context.Background(), gateway.Client(nil)
	req := &holysheep.ChatRequest{Messages: []holysheep.Message{holysheep.User("How do I return order 48291?")}}

	for ev, err := range client.Stream(ctx, req) {
		if err != nil {
			fmt.Println(err) // errors.Is(err, holysheep.ErrTruncated); the partial answer is inside
			return
		}
		fmt.Print(ev.Text)
		if r := ev.Response; r != nil {
			fmt.Println(" –", r.Usage.CompletionTokens, "tokens,", r.Cost)
		}
	}
	// Output: Within 30 days. – 4 tokens, $0.00000476
}

func ExampleClient_Embedder() {
	gateway, err := holysheeptest.NewServer()
	if err != nil {
		fmt.Println(err)
		return
	}
	defer gateway.Close()
	ctx, client := context.Background(), gateway.Client(nil)

	embedder := client.Embedder("text-embedding-3-small", nil)
	vectors, err := embedder.Embed(ctx, []string{"How do I return an order?", "Where is my parcel?"})
	if err != nil {
		fmt.Println(err)
		return
	}
	fmt.Println(len(vectors), "vectors of", len(vectors[0]), "numbers,", client.Meter()["text-embedding-3-small"].Cost)
	// Output: 2 vectors of 1536 numbers, $0.00000024
}

func ExamplePlan() {
	client, err := holysheep.New("hs_your_key", nil)
	if err != nil {
		fmt.Println(err)
		return
	}
	req := &holysheep.ChatRequest{
		Model:     holysheep.GPT41,
		Messages:  []holysheep.Message{holysheep.User("How do I return order 48291?")},
		MaxTokens: new(500),
	}
	plan, err := holysheep.Plan(context.Background(), client, req)
	if err != nil {
		fmt.Println(err)
		return
	}
	fmt.Println(plan.Model, "costs at most", plan.Worst.USD)
	// Output: gpt-4.1 costs at most $0.004056
}

func Example_errors() {
	gateway, err := holysheeptest.NewServer()
	if err != nil {
		fmt.Println(err)
		return
	}
	defer gateway.Close()
	gateway.Reply(holysheeptest.Status(429).RetryAfter(time.Hour))
	ctx, client := context.Background(), gateway.Client(nil)
	req := &holysheep.ChatRequest{Messages: []holysheep.Message{holysheep.User("How do I return order 48291?")}}

	_, err = client.Chat(ctx, req)
	if errors.Is(err, holysheep.ErrRateLimited) {
		if e, ok := errors.AsType[*holysheep.APIError](err); ok {
			fmt.Println("come back in", e.RetryAfter)
		}
	}
	// Output: come back in 1h0m0s
}

func TestBudgetAsInReadme(t *testing.T) {
	gw := holysheeptest.Start(t)
	t.Setenv("HOLYSHEEP_API_KEY", "hs_0123456789")
	t.Setenv("HOLYSHEEP_BASE_URL", gw.BaseURL())
	notify := func(float64, holysheep.BudgetStatus) {}
	daily := &holysheep.Budget{
		Name: "support", Limit: holysheep.Dollars(500), Period: holysheep.Daily, Zone: "Asia/Shanghai",
		PerTag: "tenant", OnAlert: notify,
	}
	client, err := holysheep.FromEnv(&holysheep.Options{Budgets: []*holysheep.Budget{daily}})
	require.NoError(t, err)
	require.NoError(t, client.Close())
	client = gw.Client(&holysheep.Options{Budgets: []*holysheep.Budget{daily}})
	req, tryLater := ask("How do I return order 48291?"), func(time.Time) error { return nil }
	require.NoError(t, func(ctx context.Context) error {
		ctx, scope := holysheep.NewScope(ctx, holysheep.Tags{"tenant": "acme", "feature": "returns"})
		_, err = client.Chat(ctx, req)
		if over, ok := errors.AsType[*holysheep.BudgetError](err); ok {
			return tryLater(over.ResetsAt)
		}
		fmt.Println(scope.Cost())
		return err
	}(t.Context()))
}

// flat finds every text like every other, which a semantic cache finds out.
type flat struct{}

func (flat) Embed(_ context.Context, texts []string) ([][]float32, error) {
	vectors := make([][]float32, len(texts))
	for i := range vectors {
		vectors[i] = []float32{1}
	}
	return vectors, nil
}

func (flat) Fingerprint() string { return "flat" }

func TestCacheAsInReadme(t *testing.T) {
	gw := holysheeptest.Start(t)
	client, embedder := gw.Client(nil), holysheep.Embedder(flat{})
	var chat holysheep.Completer = client
	chat = cache.Semantic(chat, embedder, cache.NewMemoryNeighbours(nil), &cache.SemanticOptions{MaxWrong: 0.01})
	resp, err := chat.Chat(t.Context(), ask("How do I return order 48291?"))
	require.NoError(t, err)
	require.False(t, resp.Cached)
}

func TestRouterAsInReadme(t *testing.T) {
	gw := holysheeptest.Start(t)
	ctx, client := t.Context(), gw.Client(nil)
	router, err := route.New(client, route.Default(), nil)
	require.NoError(t, err)
	ctx = route.WithQuality(ctx, route.Premium) // for these calls
	resp, err := router.Chat(ctx, ask("How do I return order 48291?"))
	require.NoError(t, err)
	require.Equal(t, holysheep.ClaudeSonnet45, resp.Requested)
}

func TestFallbackAsInReadme(t *testing.T) {
	gateway := holysheeptest.Start(t)
	otherGateway := holysheeptest.Start(t).Client(nil)
	pacing, err := route.NewPacing(nil)
	require.NoError(t, err)
	breaker, err := route.NewBreaker(nil)
	require.NoError(t, err)
	client := gateway.Client(&holysheep.Options{Gate: route.Gates(pacing, breaker)})
	chat, err := route.NewFallback(client, map[string][]route.Target{
		holysheep.GPT41: {{Model: holysheep.DeepSeekV32}, {Completer: otherGateway}},
	}, nil)
	require.NoError(t, err)
	gateway.Reply(holysheeptest.Status(503), holysheeptest.Status(503))
	req := ask("How do I return order 48291?")
	req.Model = holysheep.GPT41
	resp, err := chat.Chat(t.Context(), req)
	require.NoError(t, err)
	require.Len(t, resp.Steps[0].Detail.(*route.FallbackReceipt).Tries, 3)
}

func TestStackAsInReadme(t *testing.T) {
	key := holysheeptest.Key
	chat, err := stack.New(key, nil)
	require.NoError(t, err)
	require.NoError(t, chat.Close())
}

func TestWaitsAsTold(t *testing.T) {
	synctest.Test(t, func(t *testing.T) { // a minute of waiting passes in no time
		gw := holysheeptest.Start(t)
		gw.Reply(holysheeptest.Status(429).RetryAfter(time.Minute), holysheeptest.Text("Within 30 days."))
		resp, err := gw.Client(nil).Chat(t.Context(), ask("How do I return order 48291?"))
		require.NoError(t, err)
		require.Equal(t, gw.Billed(), resp.Cost.USD)
	})
}

func TestRowsAsInReadme(t *testing.T) {
	gateway, file := holysheeptest.Start(t), io.Discard
	rows := costs.NewRows(costs.Lines(file), nil) // or sqlitestore.OpenRows("costs.db", nil)
	client := gateway.Client(&holysheep.Options{Observer: rows})
	_, err := client.Chat(t.Context(), ask("How do I return order 48291?"))
	require.NoError(t, err)
	gateway.CostsAtMost(t, holysheep.Dollars(0.002))
	require.Zero(t, rows.Lost())
}

func TestExactAsInReadme(t *testing.T) {
	client, store := holysheeptest.Start(t).Client(nil), cache.NewMemory(nil)
	chat := cache.Exact(client, store, nil)
	_, err := chat.Chat(t.Context(), ask("How do I return order 48291?"))
	require.NoError(t, err)
	again, err := chat.Chat(t.Context(), ask("How do I return order 48291?"))
	require.NoError(t, err)
	require.True(t, again.Cached)
	require.NoError(t, chat.Close())
	require.NoError(t, store.Close())
}
