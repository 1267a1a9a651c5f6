package route_test

import (
	"context"
	"testing"
	"time"

	"github.com/stretchr/testify/require"

	"github.com/holysheep-ai/holysheep-go"
	"github.com/holysheep-ai/holysheep-go/route"
)

// What the parts add to a call that goes well.
func BenchmarkProtection(b *testing.B) {
	next, req := shortQuestion()
	req.Model = dear
	pacing, err := route.NewPacing(nil)
	require.NoError(b, err)
	breaker, err := route.NewBreaker(nil)
	require.NoError(b, err)
	fallback, err := route.NewFallback(next, map[string][]route.Target{dear: {{Model: cheap}}}, nil)
	require.NoError(b, err)
	hedge, err := route.NewHedge(next, nil)
	require.NoError(b, err)
	deferral, err := route.NewDeferral(next, nil)
	require.NoError(b, err)
	gates := route.Gates(pacing, breaker)
	for _, c := range []struct {
		name string
		call func()
	}{
		{"pacing and breaker", func() {
			at := &holysheep.Attempt{Host: "gw", Model: dear}
			_ = gates.Before(context.Background(), nil, at)
			at.Start, at.Status, at.Billing = time.Now(), 200, holysheep.Billed
			gates.After(context.Background(), nil, at)
		}},
		{"fallback", func() { _, _ = fallback.Chat(context.Background(), req) }},
		{"hedge", func() { _, _ = hedge.Chat(context.Background(), req) }},
		{"deferral", func() { _, _ = deferral.Chat(context.Background(), req) }},
	} {
		b.Run(c.name, func(b *testing.B) {
			b.ReportAllocs()
			for b.Loop() {
				c.call()
			}
		})
	}
}
