// Costreport shows who spent what on what: a week of three tenants on a gateway that fails now and then, as a report
// to read and as a chart, and held against what the gateway says it billed.
//
//	go run ./examples/costreport [-svg costs.svg]
//
// It always talks to the mock gateway. The week is made up, the costs are counted.
package main

import (
	"bytes"
	"context"
	"flag"
	"fmt"
	"io"
	"log"
	"math/rand/v2"
	"os"
	"strings"
	"time"

	"github.com/holysheep-ai/holysheep-go"
	"github.com/holysheep-ai/holysheep-go/costs"
	"github.com/holysheep-ai/holysheep-go/holysheeptest"
)

const days = 7

func main() {
	log.SetFlags(0)
	svg := flag.String("svg", "", "write the chart to this file")
	flag.Parse()
	if err := run(context.Background(), os.Stdout, *svg); err != nil {
		log.Fatal(err)
	}
}

func run(ctx context.Context, out io.Writer, svg string) error {
	var file, export bytes.Buffer
	if err := traffic(ctx, &file, &export); err != nil {
		return err
	}
	report := costs.NewReport(&costs.ReportOptions{Tag: "tenant", Limit: holysheep.Dollars(0.05)})
	if err := report.AddAll(costs.Read(bytes.NewReader(file.Bytes()))); err != nil {
		return err
	}
	if err := report.WriteText(out); err != nil {
		return err
	}
	drifts, err := costs.Reconcile(costs.Read(&file), costs.ReadBilledCSV(&export), nil)
	if err != nil {
		return err
	}
	fmt.Fprint(out, "Against the gateway's own export, in which each call is rounded to $0.000002:\n\n")
	if err := costs.WriteDrifts(out, drifts); err != nil {
		return err
	}
	if svg == "" {
		return nil
	}
	f, err := os.Create(svg)
	if err != nil {
		return err
	}
	if err := report.WriteSVG(f); err != nil {
		_ = f.Close()
		return err
	}
	return f.Close()
}

// traffic writes the rows of a week, and what the gateway says of it.
func traffic(ctx context.Context, file, export io.Writer) error {
	gateway, err := holysheeptest.NewServer()
	if err != nil {
		return err
	}
	defer gateway.Close()
	dice := rand.New(rand.NewPCG(1, 1))
	gateway.Chaos(holysheeptest.Chaos{Seed: 1, Cut: 0.06})
	gateway.ReplyWhen(func(*holysheeptest.Request) bool { return dice.IntN(25) == 0 }, holysheeptest.Status(503).Header("Retry-After-Ms", "1"))
	var today time.Time
	first := time.Date(2026, 11, 16, 12, 0, 0, 0, time.UTC)
	rows := costs.NewRows(costs.Lines(file), nil)
	client := gateway.Client(&holysheep.Options{Observer: onDay{rows, &today}})

	models := []string{holysheep.DeepSeekV32, holysheep.DeepSeekV32, holysheep.Gemini25Flash, holysheep.GPT41}
	for day := range days {
		today = first.AddDate(0, 0, day)
		for range 40 + 15*day {
			tenant := []string{"acme", "acme", "bell", "corner shop"}[dice.IntN(4)]
			ctx, _ := holysheep.NewScope(ctx, holysheep.Tags{"tenant": tenant})
			req := &holysheep.ChatRequest{
				Model:     models[dice.IntN(len(models))],
				MaxTokens: new(200),
				Messages:  []holysheep.Message{holysheep.User("What about this order? " + strings.Repeat("It has a long story. ", dice.IntN(20)))},
			}
			left := dice.IntN(20) == 0 // a reader who closes the page
			for _, err := range client.Stream(ctx, req) {
				if err != nil || left {
					break // torn streams are what the report is about
				}
			}
		}
	}
	if err := client.Close(); err != nil {
		return err
	}
	if n := rows.Lost(); n > 0 {
		return fmt.Errorf("%d rows were not kept", n)
	}
	fmt.Fprintln(export, "request_id,time,model,prompt_tokens,completion_tokens,cost")
	const unit = 2_000_000 // picodollars
	for i, r := range gateway.Requests() {
		if r.Billed > 0 {
			fmt.Fprintf(export, "req-%d,%s,%s,%d,%d,%v\n", i+1, r.Time.Format(time.RFC3339), r.Model, r.Usage.PromptTokens,
				r.Usage.CompletionTokens, (r.Billed+unit/2)/unit*unit)
		}
	}
	return nil
}

// onDay moves calls to the day that is being played.
type onDay struct {
	*costs.Rows
	day *time.Time
}

// End implements [holysheep.Observer].
func (o onDay) End(ctx context.Context, call *holysheep.Call) {
	for i := range call.Attempts {
		call.Attempts[i].Start = *o.day
	}
	o.Rows.End(ctx, call)
}
