package holysheep_test

import (
	"context"
	"fmt"
	"io"
	"net/http"
	"strings"
	"testing"
	"time"

	"github.com/stretchr/testify/require"

	"github.com/holysheep-ai/holysheep-go"
)

// canned answers every request with one body, without a network: what is left is this package's own work.
type canned struct{ contentType, body string }

func (c canned) RoundTrip(r *http.Request) (*http.Response, error) {
	_, _ = io.Copy(io.Discard, r.Body)
	return &http.Response{
		StatusCode: http.StatusOK, Header: http.Header{"Content-Type": {c.contentType}},
		ContentLength: int64(len(c.body)), Body: io.NopCloser(strings.NewReader(c.body)), Request: r,
	}, nil
}

func cannedClient(tb testing.TB, contentType, body string) *holysheep.Client {
	tb.Helper()
	c, err := holysheep.New("hs_0123456789", &holysheep.Options{Transport: canned{contentType, body}})
	require.NoError(tb, err)
	return c
}

const cannedAnswer = `{"id":"chatcmpl-1","object":"chat.completion","created":1732450000,"model":"deepseek-v3.2","choices":[{"index":0,"message":{"role":"assistant","content":"Within 30 days.","refusal":null,"annotations":[]},"logprobs":null,"finish_reason":"stop"}],"usage":{"prompt_tokens":24,"completion_tokens":5,"total_tokens":29}}`

func BenchmarkChat(b *testing.B) {
	c := cannedClient(b, "application/json", cannedAnswer)
	req := ask("How do I return order 48291?")
	b.ReportAllocs()
	for b.Loop() {
		if _, err := c.Chat(context.Background(), req); err != nil {
			b.Fatal(err)
		}
	}
}

const chunksPerStream = 200

func BenchmarkStreamChunk(b *testing.B) {
	body := strings.Repeat(chunkA, chunksPerStream) + chunkStop + chunkUse + chunkDone
	c := cannedClient(b, "text/event-stream", body)
	req := ask("How do I return order 48291?")
	b.ReportAllocs()
	for n := 0; n < b.N; n += chunksPerStream {
		for _, err := range c.Stream(context.Background(), req) {
			if err != nil {
				b.Fatal(err)
			}
		}
	}
}

// What a budget adds to a call: the two differ in nothing else.
func BenchmarkGuardedChat(b *testing.B) {
	c, err := holysheep.New("hs_0123456789", &holysheep.Options{
		Transport: canned{"application/json", cannedAnswer},
		Budgets:   []*holysheep.Budget{{Name: "day", Limit: holysheep.Dollars(5e6), Period: holysheep.Daily, PerTag: "tenant"}},
	})
	require.NoError(b, err)
	req := ask("How do I return order 48291?")
	ctx, _ := holysheep.NewScope(context.Background(), holysheep.Tags{"tenant": "acme"})
	b.ReportAllocs()
	for b.Loop() {
		if _, err := c.Chat(ctx, req); err != nil {
			b.Fatal(err)
		}
	}
}

// A reservation and its settling.
func BenchmarkMemoryLedger(b *testing.B) {
	var l holysheep.MemoryLedger
	ctx, now := context.Background(), time.Now()
	ids := make([]string, 1024)
	for i := range ids {
		ids[i] = fmt.Sprintf("%032d", i)
	}
	b.ReportAllocs()
	for i := 0; b.Loop(); i++ {
		r := holysheep.Reservation{
			ID: ids[i%len(ids)], Now: now, Lease: time.Minute,
			Holds: []holysheep.Hold{{Key: "support/2026-11-24", Amount: 100, Limit: holysheep.Dollars(500)}},
		}
		if refused, err := l.Reserve(ctx, r); err != nil || refused >= 0 {
			b.Fatal(refused, err)
		}
		if _, err := l.Settle(ctx, r.ID, now, 1); err != nil {
			b.Fatal(err)
		}
	}
}
