package sqlitestore_test

import (
	"context"
	"fmt"
	"os"
	"path/filepath"
	"time"

	"github.com/holysheep-ai/holysheep-go"
	"github.com/holysheep-ai/holysheep-go/costs"
	"github.com/holysheep-ai/holysheep-go/holysheeptest"
	"github.com/holysheep-ai/holysheep-go/store/sqlitestore"
)

// The books of one machine in a file, and a report of them.
func ExampleOpenRows() {
	dir, err := os.MkdirTemp("", "books")
	if err != nil {
		fmt.Println(err)
		return
	}
	defer func() { _ = os.RemoveAll(dir) }()
	books, err := sqlitestore.OpenRows(filepath.Join(dir, "costs.db"), nil)
	if err != nil {
		fmt.Println(err)
		return
	}
	defer func() { _ = books.Close() }()
	gateway, err := holysheeptest.NewServer()
	if err != nil {
		fmt.Println(err)
		return
	}
	defer gateway.Close()
	gateway.Reply(holysheeptest.Text("Within 30 days."))

	client := gateway.Client(&holysheep.Options{Observer: costs.NewRows(books, nil)})
	ctx, _ := holysheep.NewScope(context.Background(), holysheep.Tags{"tenant": "acme"})
	if _, err := client.Chat(ctx, &holysheep.ChatRequest{Messages: []holysheep.Message{holysheep.User("How do I return an order?")}}); err != nil {
		fmt.Println(err)
		return
	}

	report := costs.NewReport(&costs.ReportOptions{Tag: "tenant"})
	if err := report.AddAll(books.All(ctx, time.Now().AddDate(0, -1, 0), time.Time{})); err != nil {
		fmt.Println(err)
		return
	}
	fmt.Println("acme:", report.ByTag["acme"].Spent)
	// Output: acme: $0.00000476
}
