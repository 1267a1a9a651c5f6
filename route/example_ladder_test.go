package route_test

import (
	"context"
	"fmt"
	"time"

	"github.com/holysheep-ai/holysheep-go"
	"github.com/holysheep-ai/holysheep-go/holysheeptest"
	"github.com/holysheep-ai/holysheep-go/route"
)

func ExampleNewLadder() {
	gateway, err := holysheeptest.NewServer() // in place of holysheep.New
	if err != nil {
		fmt.Println(err)
		return
	}
	defer gateway.Close()
	client := gateway.Client(nil)

	// A signal of your own: the length of your queue.
	waiting := 900
	queue := route.Signal{Name: "queue", Read: func(context.Context) (route.Rung, string, error) {
		if waiting > 500 {
			return route.Shorter, fmt.Sprintf("%d are waiting", waiting), nil
		}
		return route.AsAsked, "", nil
	}}
	chat, err := route.NewLadder(client, []route.Signal{queue}, &route.LadderOptions{Every: time.Nanosecond, Rise: time.Nanosecond})
	if err != nil {
		fmt.Println(err)
		return
	}
	for range 2 {
		resp, err := chat.Chat(context.Background(), &holysheep.ChatRequest{
			Model: holysheep.GPT41, Messages: []holysheep.Message{holysheep.User("Where is order 48291?")},
		})
		if err != nil {
			fmt.Println(err)
			return
		}
		fmt.Println(resp.Steps[0].Reason)
	}
	// Output:
	// cheaper: gpt-4.1 became deepseek-v3.2, because queue: 900 are waiting
	// shorter: gpt-4.1 became deepseek-v3.2, at most 256 tokens, because queue: 900 are waiting
}
