package main

import (
	"bytes"
	"os"
	"regexp"
	"strconv"
	"testing"

	"github.com/stretchr/testify/require"

	"github.com/holysheep-ai/holysheep-go/holysheeptest"
)

// withGuards finds, in each row with guards, the false hits among adversarial pairs and the share of variants that hit.
var withGuards = regexp.MustCompile(`\| threshold 0\.\d\d \| on \| (\d+) \([^|]+\| \d+ \([^|]+\| \d+ \(([0-9.]+) %\)`)

// requireGoals: no pair with different answers hits at any threshold, and at 0.92 most variants do.
func requireGoals(t *testing.T, table string, least float64) {
	t.Helper()
	rows := withGuards.FindAllStringSubmatch(table, -1)
	require.Len(t, rows, 4, table)
	for _, row := range rows {
		require.Equal(t, "0", row[1], row[0])
	}
	hits, err := strconv.ParseFloat(rows[1][2], 64)
	require.NoError(t, err)
	require.GreaterOrEqual(t, hits, least, table)
}

// Every eighth pair, with the vectors of the mock gateway: they are near where words are shared, which is what guards
// are for.
func TestLiveOnMock(t *testing.T) {
	kinds := allPairs(1)
	for i, k := range kinds {
		kinds[i].pairs = nil
		for j := 0; j < len(k.pairs); j += 8 {
			kinds[i].pairs = append(kinds[i].pairs, k.pairs[j])
		}
	}
	var out bytes.Buffer
	gw := holysheeptest.Start(t)
	require.NoError(t, live(t.Context(), gw.Client(nil).Embedder("", nil), kinds, &out))
	requireGoals(t, out.String(), 20)
	require.Regexp(t, `threshold 0\.75 \| off \| [1-9]\d\d `, out.String(), "without guards hundreds do")
}

// The goals with a real encoder, where there is one: HOLYSHEEP_TEST_ENCODER is its address, http://127.0.0.1:18090/v1.
func TestLiveEncoder(t *testing.T) {
	url := os.Getenv("HOLYSHEEP_TEST_ENCODER")
	if url == "" {
		t.Skip("HOLYSHEEP_TEST_ENCODER is not set: pairs go through the mock gateway only")
	}
	encoder, err := encoderOf(options{embed: url, model: "use-lite"})
	require.NoError(t, err)
	var out bytes.Buffer
	require.NoError(t, live(t.Context(), encoder, allPairs(1), &out))
	requireGoals(t, out.String(), 60)
}
