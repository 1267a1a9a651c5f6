package pairs_test

import (
	"testing"

	"github.com/stretchr/testify/require"

	"github.com/holysheep-ai/holysheep-go/internal/pairs"
)

func TestMadeByRules(t *testing.T) {
	for name, of := range map[string]func(uint64) []pairs.Pair{"adversarial": pairs.Adversarial, "variants": pairs.Variants} {
		t.Run(name, func(t *testing.T) {
			all := of(1)
			require.Greater(t, len(all), 2000)
			require.Equal(t, all, of(1), "a seed gives the same pairs each time")
			require.NotEqual(t, all, of(2))
			seen, langs := map[[2]string]bool{}, map[string]int{}
			for _, p := range all {
				require.NotEqual(t, p.A, p.B)
				require.NotContains(t, p.A+p.B, "{", "a place is left")
				require.False(t, seen[[2]string{p.A, p.B}], "%q twice", p)
				seen[[2]string{p.A, p.B}] = true
				langs[p.Lang]++
			}
			require.Greater(t, langs["en"], len(all)/3)
			require.Greater(t, langs["zh"], len(all)/3)
		})
	}
}

func TestWrittenByHand(t *testing.T) {
	require.Len(t, pairs.Handmade(), 364)
	require.Len(t, pairs.Paraphrases(), 173)
	for _, p := range append(pairs.Handmade(), pairs.Paraphrases()...) {
		require.NotEmpty(t, p.A)
		require.NotEqual(t, p.A, p.B)
	}
}
