package cache

import (
	"math"
	"math/rand/v2"
	"testing"

	"github.com/stretchr/testify/require"
)

func TestCellNames(t *testing.T) {
	seen := map[string]bool{}
	for near := range uint8(nearSteps) {
		for ratio := range uint8(ratioSteps) {
			for agree := range uint8(agreeing + 1) {
				for past := range uint8(pasts) {
					c := cell{near, ratio, agree, past}
					name := c.String()
					require.False(t, seen[name])
					seen[name] = true
					back, ok := parseCell(name)
					require.True(t, ok)
					require.Equal(t, c, back)
				}
			}
		}
	}
	for _, name := range []string{"", "0", "ffffff", "000090", "000004", "0000000", "zzzzzz", "200000", "001400"} {
		_, ok := parseCell(name)
		require.False(t, ok, name)
	}
}

func TestCellOf(t *testing.T) {
	around := func(same int, similarities ...float64) (points []point) {
		for i, s := range similarities {
			points = append(points, point{similarity: s, same: i < same, right: 1})
		}
		return points
	}
	alone := cellOf(0.9, around(1, 0.9, 0.5, 0.5))
	agreed := cellOf(0.9, around(3, 0.9, 0.9, 0.9))
	nearer := cellOf(0.99, around(1, 0.99, 0.5, 0.5))
	require.EqualValues(t, 1, alone.agree)
	require.EqualValues(t, 3, agreed.agree)
	require.Less(t, nearer.near, alone.near)
	require.Greater(t, nearer.ratio, alone.ratio)
	require.Equal(t, uint8(pasts-1), cellOf(0.9, []point{{0.9, true, 0, 5}}).past)
	require.Zero(t, cellOf(0.9, []point{{0.9, true, 50, 0}}).past)
	for _, s := range []float64{1, 1.001, 0, -1, 0.999999} {
		c := cellOf(s, around(0, s, s-2))
		require.Less(t, c.near, uint8(nearSteps))
		require.Less(t, c.ratio, uint8(ratioSteps))
	}
	require.NotPanics(t, func() { cellOf(0.9, nil) })
}

// The counts of a book come from a store: whatever is in it, the model stays one.
func TestLearnerWithForeignBook(t *testing.T) {
	l := newLearner(0.01, 0.05)
	l.read(0, map[string]int64{
		"": 1, "x": 2, "zzzzzzs": 3, "000000s": math.MaxInt64, "010000r": math.MaxInt64, "020000w": math.MaxInt64,
		"030000r": -5, "000000q": 9, "0000000000": 1,
	})
	l.fit()
	e := l.estimate(cell{near: 3})
	require.False(t, math.IsNaN(e.wrong))
	require.GreaterOrEqual(t, e.explore, 0.05)
	require.LessOrEqual(t, e.explore, 1.0)
}

// Two learners that count apart and read each other's book come to the same model, whatever the order.
func TestLearnersAgree(t *testing.T) {
	var all [2]*learner
	for i := range all {
		all[i] = newLearner(0.02, 0.05)
	}
	rng := rand.New(rand.NewPCG(1, 1))
	book := map[string]int64{}
	for range 400 {
		c := cell{near: uint8(8 + rng.IntN(16)), ratio: uint8(rng.IntN(10)), agree: uint8(rng.IntN(9)), past: uint8(rng.IntN(4))}
		l := all[rng.IntN(2)]
		l.see(c)
		l.learn(c, rng.IntN(10) > int(c.agree))
	}
	for _, l := range all {
		_, deltas, verdicts := l.take()
		require.Positive(t, verdicts)
		for name, n := range deltas {
			book[name] += n
		}
	}
	for _, l := range all {
		l.alarm = drift{}
		l.read(0, book)
		l.fit()
	}
	require.Equal(t, all[0].now.Load(), all[1].now.Load())
}

func TestLearnerForgetsGenerations(t *testing.T) {
	l := newLearner(0.02, 0.05)
	for n := range 40 {
		gone := l.turn(n)
		if n >= oldest {
			require.Equal(t, []int{n - oldest}, gone)
		} else {
			require.Empty(t, gone)
		}
		l.learn(cell{}, false)
	}
	require.Len(t, l.generations, oldest)
	_, deltas, _ := l.take()
	require.Equal(t, map[string]int64{"000000r": 40}, deltas)
	l.giveBack(deltas)
	_, again, _ := l.take()
	require.Equal(t, deltas, again, "what could not be written is kept")
}

func TestDrift(t *testing.T) {
	var d drift
	rng := rand.New(rand.NewPCG(1, 1))
	for range 2000 {
		d.add(0.02, rng.Float64() < 0.02)
		require.Less(t, d.factor(), 2.5, "chance is no drift")
	}
	n := 0
	for ; d.factor() < 3; n++ {
		d.add(0.02, rng.Float64() < 0.5)
	}
	require.Less(t, n, 60)
}

func FuzzReadMeta(f *testing.F) {
	f.Add([]byte{metaVersion, 1, 'a', 1, 1, 2, 3, 4, 5, 6, 7, 8})
	f.Add([]byte{metaVersion, 0xff, 0xff, 0xff, 0xff, 0x0f})
	f.Fuzz(func(t *testing.T, raw []byte) {
		text, groups, ok := readMeta(raw)
		if ok && len(text)+8*len(groups) > len(raw) {
			t.Fatalf("%d bytes gave %d", len(raw), len(text)+8*len(groups))
		}
	})
}
