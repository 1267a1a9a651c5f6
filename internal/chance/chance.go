// Package chance is what waits are spread by. Seeded, it makes a simulation repeatable.
package chance

import (
	"math/rand/v2"
	"sync"
	"sync/atomic"
)

type seeded struct {
	mu  sync.Mutex
	rng *rand.Rand
}

var source atomic.Pointer[seeded]

// Seed makes everything that is drawn from now on, in the whole process, follow from seed.
func Seed(seed uint64) { source.Store(&seeded{rng: rand.New(rand.NewPCG(seed, seed))}) }

// N is at least 0 and less than n, which is above 0. Safe for concurrent use.
func N[T ~int64](n T) T {
	s := source.Load()
	if s == nil {
		return rand.N(n)
	}
	s.mu.Lock()
	defer s.mu.Unlock()
	return T(s.rng.Int64N(int64(n)))
}
