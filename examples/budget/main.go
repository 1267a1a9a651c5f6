// Budget is a limit that holds: it warns at parts of it, refuses what could exceed it before anything is sent, and
// starts anew. The day of this example has three seconds.
//
//	go run ./examples/budget
//
// Without HOLYSHEEP_API_KEY it talks to the mock gateway.
package main

import (
	"context"
	"errors"
	"fmt"
	"log"
	"os"
	"time"

	"github.com/holysheep-ai/holysheep-go"
	"github.com/holysheep-ai/holysheep-go/examples/internal/demo"
)

func main() {
	log.SetFlags(0)
	if err := run(context.Background()); err != nil {
		log.Fatal(err)
	}
}

func run(ctx context.Context) error {
	day := &holysheep.Budget{
		Name: "support", Limit: holysheep.Dollars(0.0002), PerTag: "tenant",
		Period: "3s", // holysheep.Daily, with Zone: "Asia/Shanghai"
		OnAlert: func(threshold float64, s holysheep.BudgetStatus) { // in a goroutine of its own
			fmt.Printf("alert: %s has used %.0f %% of its %v\n", s.Value, 100*threshold, s.Limit)
		},
	}
	if os.Getenv("HOLYSHEEP_API_KEY") != "" {
		day.Period = "60s" // a real gateway takes longer
	}
	client, closeAll, err := demo.Connect(&holysheep.Options{Budgets: []*holysheep.Budget{day}})
	if err != nil {
		return err
	}
	defer closeAll()

	ctx, scope := holysheep.NewScope(ctx, holysheep.Tags{"tenant": "acme"})
	if s, err := day.Status(ctx); err == nil {
		time.Sleep(time.Until(s.ResetsAt)) // begin with a whole day
	}
	var over *holysheep.BudgetError
	for i := 1; over == nil && i <= 20; i++ {
		resp, err := client.Chat(ctx, question(i))
		var refused bool
		if over, refused = errors.AsType[*holysheep.BudgetError](err); !refused && err != nil {
			return err
		}
		if err == nil {
			fmt.Printf("question %d: %v, %v so far\n", i, resp.Cost, scope.Cost())
		}
	}
	if over == nil {
		return errors.New("20 questions cost less than the limit")
	}
	fmt.Printf("refused, nothing was sent: it may cost %v, and %v of %v is left\n", over.Needed, over.Left(), over.Limit)

	time.Sleep(time.Until(over.ResetsAt))
	resp, err := client.Chat(ctx, question(0))
	if err != nil {
		return err
	}
	fmt.Printf("the next day: %v, %v in all\n", resp.Cost, scope.Cost())
	return client.Close() // waits for alerts
}

// question bounds its answer, because that bounds what it may cost.
func question(i int) *holysheep.ChatRequest {
	return &holysheep.ChatRequest{
		Messages:  []holysheep.Message{holysheep.User(fmt.Sprintf("How do I return order %d?", 48291+i))},
		MaxTokens: new(100),
	}
}
