package main

import (
	"bytes"
	"context"
	"os"
	"path/filepath"
	"strings"
	"testing"

	"github.com/stretchr/testify/require"

	"github.com/holysheep-ai/holysheep-go/cache"
	"github.com/holysheep-ai/holysheep-go/examples/internal/banking"
)

// What the cache promises, on a small part of real questions: the bound is kept, in every order, and more is answered
// than a threshold could at that error.
func TestQualityOnSample(t *testing.T) {
	s, err := banking.Load("")
	require.NoError(t, err)
	results, err := measure(t.Context(), s, policies(), 1, 3)
	require.NoError(t, err)
	require.Len(t, results, 14)
	best := map[float64]int64{} // hits of the best threshold that kept a bound
	for _, r := range results {
		all := r.sum(0, parts)
		require.Equal(t, int64(3*len(s.Texts)), all.questions)
		for _, bound := range []float64{0.01, 0.02, 0.05} {
			if r.bound() == 0 && float64(all.wrong) <= bound*float64(all.hits) {
				best[bound] = max(best[bound], all.hits)
			}
		}
	}
	for _, r := range results {
		if r.bound() == 0 {
			continue
		}
		all := r.sum(0, parts)
		low, _ := cache.Wilson(all.wrong, all.hits)
		require.LessOrEqual(t, low, r.bound(), "%s: %+v", r.name, all)
		require.Greater(t, all.hits, 2*best[r.bound()], r.name)
	}
}

func TestSameSeedSameBytes(t *testing.T) {
	dir := t.TempDir()
	var tables, pictures [2]bytes.Buffer
	for i := range 2 {
		path := filepath.Join(dir, "q.svg")
		require.NoError(t, run(context.Background(), options{svg: path, seed: 3, seeds: 1}, &tables[i]))
		raw, err := os.ReadFile(path)
		require.NoError(t, err)
		pictures[i].Write(raw)
	}
	require.Equal(t, tables[0].String(), tables[1].String())
	require.Equal(t, pictures[0].String(), pictures[1].String())
	require.Equal(t, 28, strings.Count(pictures[0].String(), "<polyline"))
}

// The goals on all of the data, where it is there: HOLYSHEEP_DATA names the folder.
func TestQualityOnBanking77(t *testing.T) {
	dir := os.Getenv("HOLYSHEEP_DATA")
	if dir == "" {
		t.Skip("HOLYSHEEP_DATA is not set: the goals are measured on the sample only")
	}
	if _, err := os.Stat(filepath.Join(dir, "banking77", "train.csv")); err != nil {
		t.Skipf("no banking77 in %s: the goals are measured on the sample only", dir)
	}
	s, err := banking.Load(dir)
	require.NoError(t, err)
	const orders = 4
	results, err := measure(t.Context(), s, policies(), 1, orders)
	require.NoError(t, err)
	for _, r := range results {
		all, last := r.sum(0, parts), r.sum(parts*3/4, parts)
		switch {
		case r.name == "threshold 0.92" && !r.guards:
			require.Greater(t, all.wrong*25, all.hits, "more than 4 % of its hits are wrong")
		case r.bound() > 0:
			t.Logf("%s, guards %s: %.1f %% hits, %s wrong", r.name, onOff(r.guards), 100*float64(all.hits)/float64(all.questions), share(all))
			for _, c := range []count{all, last} {
				low, _ := cache.Wilson(c.wrong, c.hits)
				require.LessOrEqual(t, low, r.bound(), "%s: %+v", r.name, c)
			}
		}
		if r.bound() == 0.01 && !r.guards {
			require.GreaterOrEqual(t, float64(all.hits)/float64(all.questions), 0.195)
			require.GreaterOrEqual(t, float64(last.hits)/float64(last.questions), 1.3*0.28)
		}
	}
}

func TestLoad(t *testing.T) {
	dir := t.TempDir()
	_, err := banking.Load(dir)
	require.Error(t, err)
	require.NoError(t, os.WriteFile(filepath.Join(dir, "train.csv"), []byte("text,label\na,1\nb,2\n"), 0o600))
	require.NoError(t, os.WriteFile(filepath.Join(dir, "train.f32"), make([]byte, 12), 0o600))
	_, err = banking.Load(dir)
	require.ErrorContains(t, err, "no vectors for 2 questions")
	require.NoError(t, os.WriteFile(filepath.Join(dir, "train.f32"), make([]byte, 16), 0o600))
	s, err := banking.Load(dir)
	require.NoError(t, err)
	require.Len(t, s.Vectors[1], 2)
	require.Error(t, run(t.Context(), options{data: dir, seeds: 0}, &bytes.Buffer{}))
	require.Error(t, run(t.Context(), options{data: dir, seeds: 1}, &bytes.Buffer{}), "vectors of nothing")
}

func TestCalibrateOnFile(t *testing.T) {
	data := os.Getenv("HOLYSHEEP_DATA")
	if data == "" {
		t.Skip("HOLYSHEEP_DATA is not set")
	}
	var out bytes.Buffer
	require.NoError(t, run(t.Context(), options{data: data, calibrate: filepath.Join(data, "banking77", "train.csv"), target: 0.05, seeds: 1}, &out))
	require.Contains(t, out.String(), "for at most 5 % wrong hits")
}

// Where every answer is personal a bound serves nothing, and a threshold nothing else.
func TestPersonalAnswers(t *testing.T) {
	s, err := banking.Load("")
	require.NoError(t, err)
	own := personal(s, func(int) bool { return true })
	results, err := measure(t.Context(), own, policies(), 1, 1)
	require.NoError(t, err)
	for _, r := range results {
		all := r.sum(0, parts)
		require.Equal(t, all.hits, all.wrong)
		if r.bound() > 0 {
			require.Zero(t, all.hits, r.name)
		}
	}
	var out bytes.Buffer
	require.NoError(t, run(t.Context(), options{traffic: true, seed: 1, seeds: 1}, &out))
	require.Contains(t, out.String(), "| all answers are personal | 0.0 % | at most 1 % wrong | 0.0 % | – | 0.0 % | 0.0 % |")
}
