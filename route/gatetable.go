package route

import (
	"sync"

	"github.com/holysheep-ai/holysheep-go"
)

// Model names come from callers. Past this many pairs of host and model, those that nothing would be lost with go.
const maxGateKeys = 1000

// gateKey is what breakers and pacing tell apart.
type gateKey struct{ host, model string }

func keyOfAttempt(at *holysheep.Attempt) gateKey { return gateKey{at.Host, at.Model} }

// gateTable keeps a T for each host and model.
type gateTable[T any] struct {
	mu      sync.RWMutex
	entries map[gateKey]*T
}

// get gives the entry of a key, nil if there is none.
func (t *gateTable[T]) get(key gateKey) *T {
	t.mu.RLock()
	defer t.mu.RUnlock()
	return t.entries[key]
}

// getOrMake gives the entry of a key; a full table lets one go that is idle, if there is one.
func (t *gateTable[T]) getOrMake(key gateKey, fresh func(gateKey) *T, idle func(*T) bool) *T {
	if e := t.get(key); e != nil {
		return e
	}
	t.mu.Lock()
	defer t.mu.Unlock()
	if e := t.entries[key]; e != nil {
		return e
	}
	if t.entries == nil {
		t.entries = map[gateKey]*T{}
	}
	if len(t.entries) >= maxGateKeys {
		for k, e := range t.entries {
			if idle(e) {
				delete(t.entries, k)
				break
			}
		}
	}
	e := fresh(key)
	t.entries[key] = e
	return e
}

// all gives the entries, in no order.
func (t *gateTable[T]) all() []*T {
	t.mu.RLock()
	defer t.mu.RUnlock()
	all := make([]*T, 0, len(t.entries))
	for _, e := range t.entries {
		all = append(all, e)
	}
	return all
}
