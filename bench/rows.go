package main

import (
	"context"
	"errors"
	"fmt"
	"net"
	"os"
	"path/filepath"
	"time"

	"github.com/redis/go-redis/v9"

	"github.com/holysheep-ai/holysheep-go"
	"github.com/holysheep-ai/holysheep-go/costs"
	"github.com/holysheep-ai/holysheep-go/store/redisstore"
	"github.com/holysheep-ai/holysheep-go/store/sqlitestore"
)

// keptRows measures stores of rows.
func keptRows(scale float64) (result, error) {
	dir, err := os.MkdirTemp("", "bench")
	if err != nil {
		return result{}, err
	}
	defer func() { _ = os.RemoveAll(dir) }()
	file, err := os.OpenFile(filepath.Join(dir, "rows.jsonl"), os.O_CREATE|os.O_WRONLY|os.O_APPEND, 0o600)
	if err != nil {
		return result{}, err
	}
	defer func() { _ = file.Close() }()
	books, err := sqlitestore.OpenRows(filepath.Join(dir, "rows.db"), nil)
	if err != nil {
		return result{}, err
	}
	defer func() { _ = books.Close() }()
	row := []costs.Row{{
		Time: time.Now(), Call: "0123456789abcdef0123456789abcdef", Attempt: 1, Last: true, Operation: "chat", Model: "gpt-4.1",
		Billing: holysheep.Billed, Outcome: costs.OK, Prices: "2026-11", Tags: holysheep.Tags{"tenant": "acme", "feature": "returns"},
	}}
	var r result
	for _, s := range []struct {
		name  string
		store costs.Store
	}{{"a file, as lines of JSON", costs.Lines(file)}, {"SQLite", books}} {
		var rates []float64
		for range max(3, int(5*scale)) {
			n, start := 0, time.Now()
			for ; time.Since(start) < 300*time.Millisecond; n++ {
				if err := s.store.Append(row); err != nil {
					return result{}, err
				}
			}
			rates = append(rates, float64(n)/time.Since(start).Seconds())
		}
		r.Limits = append(r.Limits, limit{s.name, middle(rates)})
	}
	return r, nil
}

// unreachableRedis measures how long a call is held up by a Redis that is down, or takes connections and is silent.
func unreachableRedis(_, url string, scale float64) (result, error) {
	silent, err := net.Listen("tcp", "127.0.0.1:0")
	if err != nil {
		return result{}, err
	}
	defer func() { _ = silent.Close() }()
	var all result
	for _, redisIs := range []struct{ what, address string }{{"down", "127.0.0.1:1"}, {"silent", silent.Addr().String()}} {
		rdb := redis.NewClient(&redis.Options{Addr: redisIs.address, ContextTimeoutEnabled: true, MaxRetries: -1, DialerRetries: 1})
		l, err := redisstore.NewLedger(rdb, nil)
		if err != nil {
			return result{}, err
		}
		c, err := holysheep.New("hs_bench", &holysheep.Options{BaseURL: url + "/chat/v1", Budgets: []*holysheep.Budget{
			{Name: "day", Limit: holysheep.Dollars(500), Ledger: l},
		}})
		if err != nil {
			return result{}, err
		}
		r, err := timed("refuse a call whose Redis is "+redisIs.what+" (limit 250)", int(20*scale)+1, func() (time.Duration, error) {
			start := time.Now()
			_, err := c.Chat(context.Background(), hello())
			if !errors.Is(err, holysheep.ErrLedger) {
				return 0, fmt.Errorf("got %w", err)
			}
			return time.Since(start), nil
		})
		if err != nil {
			return result{}, err
		}
		all.Limits = append(all.Limits, r.Limits...)
		if err := errors.Join(c.Close(), rdb.Close()); err != nil {
			return result{}, err
		}
	}
	return all, nil
}
