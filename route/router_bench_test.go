package route_test

import (
	"context"
	"iter"
	"strings"
	"testing"

	"github.com/stretchr/testify/require"

	"github.com/holysheep-ai/holysheep-go"
	"github.com/holysheep-ai/holysheep-go/route"
)

// nothing answers at once, with the same response: what is left is the router.
type nothing struct{ resp *holysheep.ChatResponse }

func (n nothing) Chat(context.Context, *holysheep.ChatRequest) (*holysheep.ChatResponse, error) {
	if n.resp == nil {
		return &holysheep.ChatResponse{}, nil
	}
	return n.resp, nil
}

func (n nothing) Stream(context.Context, *holysheep.ChatRequest) iter.Seq2[holysheep.StreamEvent, error] {
	return func(yield func(holysheep.StreamEvent, error) bool) {
		yield(holysheep.StreamEvent{Response: n.resp}, nil)
	}
}

func shortQuestion() (nothing, *holysheep.ChatRequest) {
	return nothing{&holysheep.ChatResponse{Usage: holysheep.Usage{PromptTokens: 20, CompletionTokens: 10}}},
		&holysheep.ChatRequest{Messages: []holysheep.Message{holysheep.User("What are your opening hours on Sunday, please?")}}
}

func TestAllocations(t *testing.T) {
	if raceEnabled {
		t.Skip("the race detector allocates")
	}
	next, req := shortQuestion()
	r, err := route.New(next, route.Default(), nil)
	require.NoError(t, err)
	require.LessOrEqual(t, testing.AllocsPerRun(200, func() { _, _ = r.Chat(context.Background(), req) }), 3.0)
	require.Zero(t, testing.AllocsPerRun(200, func() { route.Read(req) }))
}

func BenchmarkRouter(b *testing.B) {
	next, req := shortQuestion()
	r, err := route.New(next, route.Default(), nil)
	require.NoError(b, err)
	b.ReportAllocs()
	for b.Loop() {
		_, _ = r.Chat(context.Background(), req)
	}
}

func BenchmarkRead(b *testing.B) {
	_, short := shortQuestion()
	for name, req := range map[string]*holysheep.ChatRequest{
		"short":            short,
		"English, 100 KiB": ask(strings.Repeat("Please compare what it costs to ship a parcel. ", 2178)),
		"Chinese, 100 KiB": ask(strings.Repeat("请比较一下寄包裹的价格，说明原因。", 2008)),
	} {
		b.Run(name, func(b *testing.B) {
			b.ReportAllocs()
			b.SetBytes(int64(len(req.Messages[0].Text())))
			for b.Loop() {
				route.Read(req)
			}
		})
	}
}
