// Quickstart streams one answer and says what it took: tokens, cost, latency and attempts.
//
//	go run ./examples/quickstart ["your question"]
//
// Without HOLYSHEEP_API_KEY it talks to the mock gateway.
package main

import (
	"context"
	"fmt"
	"log"
	"os"
	"strings"
	"time"

	"github.com/holysheep-ai/holysheep-go"
	"github.com/holysheep-ai/holysheep-go/examples/internal/demo"
	"github.com/holysheep-ai/holysheep-go/holysheeptest"
)

func main() {
	log.SetFlags(0)
	if err := run(context.Background()); err != nil {
		log.Fatal(err)
	}
}

func run(ctx context.Context) error {
	client, closeAll, err := demo.Connect(nil, holysheeptest.Text(
		"Within 30 days: open your orders, choose the item, print the label, and drop the parcel at any post office. "+
			"The money is back on your card about five days after it reaches us."))
	if err != nil {
		return err
	}
	defer closeAll()

	question := "How do I return an order?"
	if len(os.Args) > 1 {
		question = strings.Join(os.Args[1:], " ")
	}
	req := &holysheep.ChatRequest{Messages: []holysheep.Message{holysheep.User(question)}}

	plan, err := holysheep.Plan(ctx, client, req)
	if err != nil {
		return err
	}
	fmt.Printf("> %s\n  (at most %s on %s)\n\n", question, plan.Worst.AtMost, plan.Model)

	for ev, err := range client.Stream(ctx, req) {
		if err != nil {
			return err
		}
		fmt.Print(ev.Text)
		if r := ev.Response; r != nil {
			fmt.Printf("\n\nmodel     %s\ntokens    %d in, %d out\ncost      %s\nlatency   %v, first text after %v\nattempts  %d\n",
				r.Model, r.Usage.PromptTokens, r.Usage.CompletionTokens, r.Cost,
				r.Latency.Round(time.Millisecond), r.FirstToken.Round(time.Millisecond), r.Attempts)
		}
	}
	return nil
}
