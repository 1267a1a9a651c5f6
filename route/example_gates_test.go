package route_test

import (
	"context"
	"errors"
	"fmt"

	"github.com/holysheep-ai/holysheep-go"
	"github.com/holysheep-ai/holysheep-go/holysheeptest"
	"github.com/holysheep-ai/holysheep-go/route"
)

func ExampleGates() {
	gateway, err := holysheeptest.NewServer() // in place of holysheep.FromEnv
	if err != nil {
		fmt.Println(err)
		return
	}
	defer gateway.Close()
	gateway.Reply(holysheeptest.Status(503), holysheeptest.Status(503))

	pacing, err := route.NewPacing(&route.PacingOptions{RequestsPerMinute: 600})
	if err != nil {
		fmt.Println(err)
		return
	}
	breaker, err := route.NewBreaker(&route.BreakerOptions{MinCalls: 2, OnChange: func(before route.BreakerState, now route.BreakerStatus) {
		fmt.Println("the breaker of", now.Model, "was", before, "and is", now.State)
	}})
	if err != nil {
		fmt.Println(err)
		return
	}
	client := gateway.Client(&holysheep.Options{MaxAttempts: 1, Gate: route.Gates(pacing, breaker)})

	ctx := route.WithPriority(context.Background(), route.Critical)
	for range 3 {
		_, err := client.Chat(ctx, &holysheep.ChatRequest{Messages: []holysheep.Message{holysheep.User("Where is my order?")}})
		fmt.Println("overloaded:", errors.Is(err, holysheep.ErrOverloaded), "not sent:", errors.Is(err, route.ErrOpen))
	}
	// Output:
	// overloaded: true not sent: false
	// the breaker of deepseek-v3.2 was closed and is open
	// overloaded: true not sent: false
	// overloaded: false not sent: true
}
