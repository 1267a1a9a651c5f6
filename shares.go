package holysheep

import (
	"context"
	"fmt"
	"math/bits"
	"slices"
	"sync"
	"time"
)

// What the calls in one flight hold, pay and are told.

// reserve implements [sharing]: texts that nobody waits for stay behind, and so do those whose budgets have no room
// for another attempt.
func (f *flight) reserve(context.Context) error {
	e := f.embedder
	var tops sync.WaitGroup
	pieces := slices.Clone(f.pieces)
	refused := make([]error, len(pieces))
	gone := make([]bool, len(pieces))
	e.mu.Lock()
	for i, p := range pieces {
		k, ahead := p.of, p.of.ahead
		if gone[i] = k.gone; gone[i] || len(k.held.guards) == 0 {
			continue
		}
		tops.Go(func() { refused[i] = k.topUp(ahead) })
	}
	e.mu.Unlock()
	tops.Wait()
	for i, p := range pieces {
		switch err := refused[i]; {
		case gone[i]:
			f.drop(p, nil)
		case err != nil && len(f.rec.Attempts) > 1:
			f.drop(p, fmt.Errorf("%w; before: %w", err, copyOf(f.rec.Attempts[len(f.rec.Attempts)-2].Err)))
		case err != nil:
			f.drop(p, err)
		}
	}
	if len(f.pieces) == 0 {
		return errNobodyWaits
	}
	f.load()
	e.mu.Lock()
	f.sending = true
	e.mu.Unlock()
	return nil
}

// topUp holds what is missing for what has been spent and what lies ahead.
func (k *embedding) topUp(ahead USD) error {
	k.books.Lock()
	defer k.books.Unlock()
	if missing := k.spent.Plus(ahead) - k.held.held; missing > 0 {
		return k.held.take(k.ctx, missing)
	}
	return nil
}

// share implements [sharing]: by tokens as they were counted here, because the gateway tells only their sum.
func (f *flight) share(at *Attempt) {
	tokens := shares{total: f.worst.prompt}
	reported := shares{total: at.Usage.PromptTokens}
	atRisk := shares{total: int64(f.worst.usd)}
	for i, p := range f.pieces {
		part := *at
		part.Shared = i > 0
		part.Err = copyOf(at.Err)
		tokens.next(p.tokens)
		part.Usage = tokens.usage(at.Usage)
		by := &tokens
		if reported.total > 0 { // the same, in whole tokens, so that the cost is the price of them
			reported.next(part.Usage.PromptTokens)
			by = &reported
		}
		atRisk.next(int64(p.worst))
		part.Cost.USD = USD(by.of(int64(at.Cost.USD)))
		part.Cost.AtMost = part.Cost.USD + USD(atRisk.of(int64(at.Cost.AtMost-at.Cost.USD)))

		p.of.books.Lock()
		part.Number = len(p.of.rec.Attempts) + 1
		p.of.rec.Attempts = append(p.of.rec.Attempts, part)
		p.of.spent = p.of.spent.Plus(part.Cost.AtMost)
		p.of.books.Unlock()
	}
	f.embedder.mu.Lock()
	defer f.embedder.mu.Unlock()
	f.sending = false
	for _, p := range f.pieces {
		p.of.sent++
		p.of.billing = max(p.of.billing, at.Billing)
	}
}

// wait implements [sharing]. A call whose deadline comes before the next attempt fails at once.
func (f *flight) wait(w Wait) {
	for _, p := range slices.Clone(f.pieces) {
		k := p.of
		if deadline, ok := k.ctx.Deadline(); ok && time.Until(deadline) <= w.Delay {
			f.drop(p, copyOf(w.Cause))
			continue
		}
		f.embedder.mu.Lock()
		gone := k.gone
		f.embedder.mu.Unlock()
		if !gone {
			k.tell(w)
		}
	}
}

func (k *embedding) tell(w Wait) {
	k.books.Lock() // another flight may be about to book
	defer k.books.Unlock()
	w.Attempt, w.Cause = len(k.rec.Attempts)+1, copyOf(w.Cause)
	k.client.recorder.wait(k.ctx, &k.rec, w)
}

// shares cuts amounts into parts, one after the other, that add up to them.
type shares struct {
	total         int64 // of all weights
	before, after int64
	parts         int
}

// next goes on to the part with this weight.
func (s *shares) next(weight int64) {
	s.before, s.after = s.after, s.after+weight
	s.parts++
}

// of is the part of an amount. Where nothing has a weight, the first has all of it.
func (s *shares) of(amount int64) int64 {
	switch {
	case s.total > 0:
		return s.upTo(s.after, amount) - s.upTo(s.before, amount)
	case s.parts == 1:
		return amount
	}
	return 0
}

// upTo is the part of an amount that the weights up to one have, rounded down.
func (s *shares) upTo(weight, amount int64) int64 {
	hi, lo := bits.Mul64(uint64(weight), uint64(amount))
	part, _ := bits.Div64(hi, lo, uint64(s.total)) // never more than the amount, because weight is not above total
	return int64(part)
}

func (s *shares) usage(u Usage) Usage {
	return Usage{
		PromptTokens: s.of(u.PromptTokens), CompletionTokens: s.of(u.CompletionTokens), CachedTokens: s.of(u.CachedTokens),
		CacheWriteTokens: s.of(u.CacheWriteTokens), ReasoningTokens: s.of(u.ReasoningTokens),
	}
}
