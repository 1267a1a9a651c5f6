package holysheep

import (
	"math"
	"math/rand/v2"
	"testing"

	"github.com/stretchr/testify/require"
)

// Whatever the weights, the parts add up, none is below zero, and none is further than one from its exact part.
func TestSharesAddUp(t *testing.T) {
	random := rand.New(rand.NewPCG(1, 1))
	for range 2_000 {
		weights := make([]int64, 1+random.IntN(130))
		var total int64
		for i := range weights {
			if random.IntN(4) > 0 {
				weights[i] = random.Int64N(1 << (1 + random.IntN(40)))
			}
			total += weights[i]
		}
		amount := random.Int64N(1 << (1 + random.IntN(62)))
		s := shares{total: total}
		var sum int64
		for _, w := range weights {
			s.next(w)
			part := s.of(amount)
			require.GreaterOrEqual(t, part, int64(0))
			if total > 0 {
				exact := float64(amount) * (float64(w) / float64(total))
				require.InDelta(t, exact, float64(part), 1+exact*1e-9+float64(amount)*1e-12)
			}
			sum += part
		}
		require.Equal(t, amount, sum)

		// Money that is at risk goes back to who reserved it.
		s = shares{total: total}
		for _, w := range weights {
			s.next(w)
			if total > 0 {
				require.Equal(t, w, s.of(total))
			}
		}
	}
	s := shares{total: math.MaxInt64}
	s.next(math.MaxInt64)
	require.EqualValues(t, math.MaxInt64, s.of(math.MaxInt64))
}
