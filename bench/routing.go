package main

import (
	"context"

	"github.com/holysheep-ai/holysheep-go"
	"github.com/holysheep-ai/holysheep-go/route"
)

// routedCalls measures what the parts of package route add to a call that nothing goes wrong with.
func routedCalls(scale float64) (result, error) {
	gates := func() (breaker, pacing holysheep.Gate, err error) {
		if breaker, err = route.NewBreaker(nil); err != nil {
			return nil, nil, err
		}
		pacing, err = route.NewPacing(nil)
		return breaker, pacing, err
	}
	router := func(next holysheep.Completer, err error) (holysheep.Completer, error) {
		if err != nil {
			return nil, err
		}
		return route.New(next, route.Default(), &route.RouterOptions{Override: true})
	}
	gated := func(join func(breaker, pacing holysheep.Gate) holysheep.Gate) (holysheep.Completer, error) {
		breaker, pacing, err := gates()
		if err != nil {
			return nil, err
		}
		return offline(&holysheep.Options{Gate: join(breaker, pacing)}), nil
	}
	both := func(breaker, pacing holysheep.Gate) holysheep.Gate { return route.Gates(pacing, breaker) }
	var rows []beside
	for _, row := range []struct {
		name string
		make func() (holysheep.Completer, error)
	}{
		{"router", func() (holysheep.Completer, error) { return router(offline(&holysheep.Options{}), nil) }},
		{"breaker", func() (holysheep.Completer, error) {
			return gated(func(breaker, _ holysheep.Gate) holysheep.Gate { return breaker })
		}},
		{"pacing", func() (holysheep.Completer, error) {
			return gated(func(_, pacing holysheep.Gate) holysheep.Gate { return pacing })
		}},
		{"router, breaker and pacing", func() (holysheep.Completer, error) { return router(gated(both)) }},
	} {
		chat, err := row.make()
		if err != nil {
			return result{}, err
		}
		rows = append(rows, beside{row.name, context.Background(), chat})
	}
	return added(scale, rows)
}

func compareRouting(self string, scale float64) error {
	return compareAdded(self, "routing", "part", "while nothing goes wrong; goal for the last row ≤ 5 µs, ≤ 6 allocations", scale)
}
