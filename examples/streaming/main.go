// Streaming shows what a stream is for: the first words are there long before the answer is.
//
//	go run ./examples/streaming
//
// Without HOLYSHEEP_API_KEY it talks to the mock gateway.
package main

import (
	"context"
	"errors"
	"fmt"
	"log"
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
		"A stream brings an answer word by word. A reader who sees the first of them after a moment waits "+
			"gladly for the rest; one who stares at an empty page for the same time does not."))
	if err != nil {
		return err
	}
	defer closeAll()

	stream := client.Stream(ctx, &holysheep.ChatRequest{
		Messages: []holysheep.Message{holysheep.User("Why stream an answer? Two sentences.")},
	})
	for ev, err := range stream {
		if broken, ok := errors.AsType[*holysheep.StreamError](err); ok {
			fmt.Printf("\n\nBroke off after %d characters, which may cost up to %s.\n",
				len(broken.Partial.Text()), broken.Partial.Cost.AtMost)
		}
		if err != nil {
			return err
		}
		fmt.Print(ev.Text)
		if r := ev.Response; r != nil {
			fmt.Printf("\n\nfirst text after %v, all of it after %v\n",
				r.FirstToken.Round(time.Millisecond), r.Latency.Round(time.Millisecond))
		}
	}
	return nil
}
