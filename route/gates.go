package route

import (
	"context"
	"errors"

	"github.com/holysheep-ai/holysheep-go"
)

// Gates joins gates into one, for Options.Gate. Each attempt asks them in the order given, and tells them of its end in
// reverse. When one refuses, or the context ends while it waits, or it panics, the ones before it are told so at once:
// none of them keeps a place for an attempt that is never sent. Nil gates are left out.
//
// The usual order is pacing, then breaker: a [Breaker] that would refuse is asked before anybody waits, and again when
// the turn has come.
func Gates(gates ...holysheep.Gate) holysheep.Gate {
	var all joinedGates
	for _, g := range gates {
		if g != nil {
			all = append(all, g)
		}
	}
	return all
}

type joinedGates []holysheep.Gate

// refuser is a gate that can say that it would refuse, without taking anything.
type refuser interface {
	refuses(at *holysheep.Attempt) error
}

// errGatePanicked is what the gates before one that panicked are told.
var errGatePanicked = errors.New("route: a gate panicked")

func (gates joinedGates) Before(ctx context.Context, call *holysheep.Call, at *holysheep.Attempt) (err error) {
	for _, g := range gates {
		if r, ok := g.(refuser); ok {
			if err := r.refuses(at); err != nil {
				return err
			}
		}
	}
	passed, told := 0, errGatePanicked
	defer func() {
		if passed < len(gates) {
			at.Err = told
			gates[:passed].After(ctx, call, at)
		}
	}()
	for _, g := range gates {
		if err := g.Before(ctx, call, at); err != nil {
			told = err
			return err
		}
		passed++
	}
	return nil
}

func (gates joinedGates) After(ctx context.Context, call *holysheep.Call, at *holysheep.Attempt) {
	if len(gates) == 0 {
		return
	}
	last := len(gates) - 1
	defer gates[:last].After(ctx, call, at) // also when the last one panics
	gates[last].After(ctx, call, at)
}

// wasSent tells an attempt that was sent from one that a gate or a budget refused.
func wasSent(at *holysheep.Attempt) bool { return !at.Start.IsZero() }
