// Costreport shows who spent what on what: a week of three tenants on a gateway that fails now and then, as a report
// to read and as a chart.
//
//	go run ./examples/costreport [-svg costs.svg]
//
// It always talks to the mock gateway. The week is made up, the costs are counted.
package main

import (
	"bytes"
	"context"
	"flag"
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
	var file bytes.Buffer
	if err := traffic(ctx, &file); err != nil {
		return err
	}
	report := costs.NewReport(&costs.ReportOptions{Tag: "tenant", Limit: holysheep.Dollars(0.05)})
	if err := report.AddAll(costs.Read(&file)); err != nil {
		return err
	}
	if err := report.WriteText(out); err != nil {
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

// traffic writes the rows of a week.
func traffic(ctx context.Context, file io.Writer) error {
	gateway, err := holysheeptest.NewServer()
	if err != nil {
		return err
	}
	defer gateway.Close()
	gateway.Chaos(holysheeptest.Chaos{Seed: 1, Cut: 0.06})
	var today time.Time
	first := time.Date(2026, 11, 16, 12, 0, 0, 0, time.UTC)
	rows := costs.NewRows(file, nil)
	client := gateway.Client(&holysheep.Options{Observer: onDay{rows, &today}})

	dice := rand.New(rand.NewPCG(1, 1))
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
	return rows.Flush()
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
