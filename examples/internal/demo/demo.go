// Package demo connects the examples: to HolySheep when HOLYSHEEP_API_KEY is set, else to the mock gateway.
package demo

import (
	"fmt"
	"os"
	"time"

	"github.com/holysheep-ai/holysheep-go"
	"github.com/holysheep-ai/holysheep-go/holysheeptest"
)

// Connect makes a client, and the function that closes what it needs. The mock gateway takes its time, 25 ms a
// word, so that there is something to watch.
func Connect(opts *holysheep.Options, replies ...*holysheeptest.Reply) (*holysheep.Client, func(), error) {
	if os.Getenv("HOLYSHEEP_API_KEY") != "" {
		client, err := holysheep.FromEnv(opts)
		if err != nil {
			return nil, nil, err
		}
		return client, func() { _ = client.Close() }, nil
	}
	gateway, err := holysheeptest.NewServer()
	if err != nil {
		return nil, nil, err
	}
	for i, r := range replies {
		replies[i] = r.Drip(25 * time.Millisecond)
	}
	gateway.Reply(replies...)
	fmt.Fprintln(os.Stderr, "HOLYSHEEP_API_KEY is not set: this is the mock gateway.")
	return gateway.Client(opts), gateway.Close, nil
}
