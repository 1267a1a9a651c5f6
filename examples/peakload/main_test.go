package main

import (
	"bytes"
	"testing"
	"testing/synctest"
	"time"

	"github.com/stretchr/testify/require"

	"github.com/holysheep-ai/holysheep-go/examples/internal/banking"
)

// A third of the hour, in which the brown-out is half of the time: the goals hold, and the same seed gives the same bytes.
func TestPeakLoad(t *testing.T) {
	var printed [2]bytes.Buffer
	for i := range printed {
		synctest.Test(t, func(t *testing.T) {
			h := &hour{length: 20 * time.Minute, capacity: 1.2, brownout: true, seed: 1}
			set, err := banking.Load("")
			require.NoError(t, err)
			h.questions = traffic(set, h.seed, h.length)
			all := variants()
			var results []*result
			for _, v := range []*variant{all[0], all[1], all[2], all[len(all)-1]} {
				r, err := simulate(t.Context(), h, v)
				require.NoError(t, err)
				results = append(results, r)
			}
			writeTable(&printed[i], results)
			plain, whole := results[0], results[len(results)-1]
			require.Less(t, float64(plain.answered), 0.9*float64(plain.asked), "a plain client does not survive it")
			require.GreaterOrEqual(t, float64(whole.answered), 0.9997*float64(whole.asked))
			require.LessOrEqual(t, perAnswer(whole), 0.27*perAnswer(results[2]))
			require.LessOrEqual(t, float64(whole.wrong), 0.01*float64(whole.cached))
			require.Contains(t, string(draw(results, h.length)), "</svg>")
		})
	}
	require.Equal(t, printed[0].String(), printed[1].String())
}

// The sweep has a value for every capacity, and no client does worse with more of it.
func TestSweep(t *testing.T) {
	synctest.Test(t, func(t *testing.T) {
		set, err := banking.Load("")
		require.NoError(t, err)
		h := &hour{length: 6 * time.Minute, seed: 1}
		h.questions = traffic(set, h.seed, h.length)
		found, err := sweep(t.Context(), h, variants()[:1])
		require.NoError(t, err)
		require.Len(t, found[0].shares, len(capacities))
		require.Less(t, found[0].shares[0], 60.0)
		require.Greater(t, found[0].shares[len(capacities)-1], 99.0)
		var b bytes.Buffer
		writeSweep(&b, found, h.length)
		require.Contains(t, b.String(), "plain client")
		require.Contains(t, string(drawSweep(found)), "</svg>")
	})
}
