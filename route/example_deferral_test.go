package route_test

import (
	"context"
	"errors"
	"fmt"
	"time"

	"github.com/holysheep-ai/holysheep-go"
	"github.com/holysheep-ai/holysheep-go/holysheeptest"
	"github.com/holysheep-ai/holysheep-go/route"
)

func ExampleNewDeferral() {
	gateway, err := holysheeptest.NewServer() // in place of holysheep.FromEnv
	if err != nil {
		fmt.Println(err)
		return
	}
	defer gateway.Close()
	gateway.Reply(holysheeptest.Status(429).RetryAfter(2 * time.Hour))

	chat, err := route.NewDeferral(gateway.Client(nil), nil)
	if err != nil {
		fmt.Println(err)
		return
	}
	_, err = chat.Chat(context.Background(), &holysheep.ChatRequest{
		Messages: []holysheep.Message{holysheep.User("Summarise last month's returns.")},
	})
	if later, ok := errors.AsType[*route.DeferredError](err); ok { // for a queue or a journal
		fmt.Println("again in", time.Until(later.At).Round(time.Minute), later.Reason)
	}
	// Output:
	// again in 2h0m0s as the gateway asks
}
