package costs_test

import (
	"bytes"
	"context"
	"encoding/json"
	"fmt"
	"os"
	"strings"

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
	client := gateway.Client(&holysheep.Options{Observer: costs.NewRows(costs.Lines(&file), nil)})
	ctx, _ := holysheep.NewScope(context.Background(), holysheep.Tags{"tenant": "acme"})
	if _, err := client.Chat(ctx, ask("")); err != nil {
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

// A gateway that bills what was answered, and an answer that the rows know nothing of.
func ExampleReconcile() {
	var file bytes.Buffer
	file.WriteString(`{"time":"2026-11-24T09:00:00Z","call":"a","attempt":1,"last":true,"operation":"chat","model":"gpt-4.1","request_id":"r1","usage":{"prompt_tokens":1000,"completion_tokens":200},"cost":{"usd":0.0036,"at_most":0.0036,"basis":"reported"},"billing":"billed","outcome":"ok","latency":0}` + "\n")
	file.WriteString(`{"time":"2026-11-24T09:01:00Z","call":"b","attempt":1,"last":true,"operation":"chat","model":"gpt-4.1","usage":{"prompt_tokens":1000,"completion_tokens":10},"cost":{"usd":0.00208,"at_most":0.0184,"basis":"estimated"},"billing":"maybe billed","outcome":"cut short","latency":0}` + "\n")
	export := strings.NewReader(`request_id,created_at,model,prompt_tokens,completion_tokens,cost
r1,2026-11-24T09:00:02Z,gpt-4.1-2025-04-14,1000,200,0.0036
,2026-11-24T09:01:02Z,gpt-4.1-2025-04-14,1000,10,0.0184
r9,2026-11-24T09:05:00Z,gpt-4.1-2025-04-14,50,50,0.0005
`)
	drifts, err := costs.Reconcile(costs.Read(&file), costs.ReadBilledCSV(export), nil)
	if err != nil {
		fmt.Println(err)
		return
	}
	for _, d := range drifts {
		fmt.Println(d.Day, d.Model, "matched", d.Matched, "and", d.OnlyThere, "is not ours; billed", d.There, "for", d.Here, "to", d.AtMost)
	}
	// Output: 2026-11-24 gpt-4.1 matched 2 and 1 is not ours; billed $0.0225 for $0.00568 to $0.022
}

// A million questions a month, at list prices and at those of another provider, which come as JSON.
func ExampleCalculator() {
	elsewhere := new(holysheep.PriceTable)
	if err := json.Unmarshal([]byte(`{"date":"2026-11","source":"an offer","models":{
		"anthropic/claude-sonnet-4-5-20250929":{"input":3.30,"cached_input":0.33,"cache_write":4.125,"output":16.50}}}`), elsewhere); err != nil {
		fmt.Println(err)
		return
	}
	c := costs.Calculator{
		Queries: 1_000_000, InputTokens: 2_000, OutputTokens: 1_024,
		Models:  []string{holysheep.GPT41, holysheep.ClaudeSonnet45, holysheep.DeepSeekV32},
		Tables:  []costs.NamedTable{{Name: "list", Table: holysheep.ListPrices()}, {Name: "Bedrock", Table: elsewhere}},
		Against: holysheep.GPT41, Moving: holysheep.Dollars(20_000),
	}
	if err := c.Write(os.Stdout, 7.2); err != nil {
		fmt.Println(err)
	}
	// Output:
	// model   prices       of    one query  1000000 queries     in yuan  a year less than gpt-4.1  paid back in
	//       deepseek-v3.2     list  2026-11  $0.00099008          $990.08   ¥7128.576                $134423.04    1.8 months
	//             gpt-4.1     list  2026-11    $0.012192        $12192.00   ¥87782.40                     $0.00         never
	//   claude-sonnet-4.5     list  2026-11     $0.02136        $21360.00  ¥153792.00               -$110016.00         never
	//   claude-sonnet-4.5  Bedrock  2026-11    $0.023496        $23496.00  ¥169171.20               -$135648.00         never
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
