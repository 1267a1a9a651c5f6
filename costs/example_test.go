package costs_test

import (
	"bytes"
	"context"
	"fmt"
	"os"

	"github.com/holysheep-ai/holysheep-go"
	"github.com/holysheep-ai/holysheep-go/costs"
	"github.com/holysheep-ai/holysheep-go/holysheeptest"
)

// Every attempt becomes a row; a report sums them up.
func ExampleRows() {
	gateway, err := holysheeptest.NewServer()
	if err != nil {
		fmt.Println(err)
		return
	}
	defer gateway.Close()
	gateway.Reply(holysheeptest.Status(503), holysheeptest.Text("Within 30 days."))

	var file bytes.Buffer // usually a file, opened to append
	rows := costs.NewRows(&file, nil)
	client := gateway.Client(&holysheep.Options{Observer: rows})
	ctx, _ := holysheep.NewScope(context.Background(), holysheep.Tags{"tenant": "acme"})
	if _, err := client.Chat(ctx, ask("")); err != nil {
		fmt.Println(err)
		return
	}
	if err := rows.Flush(); err != nil {
		fmt.Println(err)
		return
	}

	report := costs.NewReport(&costs.ReportOptions{Tag: "tenant"})
	if err := report.AddAll(costs.Read(&file)); err != nil {
		fmt.Println(err)
		return
	}
	acme := report.ByTag["acme"]
	fmt.Println(acme.Calls, "call,", acme.Attempts, "attempts,", acme.Spent)
	// Output: 1 call, 2 attempts, $0.00000476
}

func ExampleCalculator() {
	c := costs.Calculator{Queries: 1_000_000, InputTokens: 2_000, OutputTokens: 1_024}
	lines, err := c.Lines()
	if err != nil {
		fmt.Println(err)
		return
	}
	for _, l := range lines {
		if l.Model == holysheep.GPT41 || l.Model == holysheep.DeepSeekV32 {
			fmt.Println(l.Model, l.All)
		}
	}
	// Output:
	// deepseek-v3.2 $990.08
	// gpt-4.1 $12192.00
}

func ExampleMove() {
	m := costs.Move{Before: holysheep.Dollars(47_000), After: holysheep.Dollars(8_200), Cost: holysheep.Dollars(19_400)}
	less, err := m.Yearly()
	if err != nil {
		fmt.Println(err)
		return
	}
	fmt.Fprintf(os.Stdout, "%v less in a year, paid back after %.1f months\n", less, m.PaidBack())
	// Output: $465600.00 less in a year, paid back after 0.5 months
}
