package cache

import (
	"context"
	"fmt"
	"slices"
	"strconv"
	"time"

	"github.com/holysheep-ai/holysheep-go"
	"github.com/holysheep-ai/holysheep-go/cache/guard"
)

// Labelled is a question, and a word for its answer: questions with one label are answered alike.
type Labelled struct{ Question, Label string }

// Calibration is what thresholds would have done on labelled questions.
type Calibration struct {
	Threshold float64 // the lowest that can be vouched for; 1 when none can
	Found     bool    // whether there is one
	Curve     []CalibrationPoint
}

// CalibrationPoint is one threshold.
type CalibrationPoint struct {
	Threshold float64
	HitRate   float64 // hits ÷ questions
	Wrong     float64 // wrong hits ÷ hits
	Low, High float64 // the 95 % confidence interval of Wrong
}

// Calibrate suggests a threshold for an encoder and questions like those of the user: the lowest at which at most
// target of the hits are wrong, vouched for by the upper end of the confidence interval. The questions come in the
// order given, each one compared with all before it; a few hundred with every label several times are the least that
// says something. guards are as in SemanticOptions. It embeds every question, and takes time that grows with their
// square: a second for 10,000.
func Calibrate(ctx context.Context, embedder holysheep.Embedder, questions []Labelled, target float64, guards []guard.Guard) (*Calibration, error) {
	o := SemanticOptions{Guards: guards}
	switch {
	case embedder == nil:
		return nil, &holysheep.RequestError{Field: "embedder", Reason: "nil"}
	case len(questions) < 2:
		return nil, &holysheep.RequestError{Field: "questions", Reason: "fewer than two"}
	case !(target > 0 && target < 1):
		return nil, &holysheep.RequestError{Field: "target", Reason: fmt.Sprintf("%v is not a share above 0 and below 1", target)}
	}
	if err := o.complete(); err != nil {
		return nil, err
	}
	c := &SemanticCache{opts: o, embed: embedder.Embed, encoder: newShelf(nil, shelfOptions{Timeout: time.Minute})}
	if q, ok := embedder.(holysheep.QueryEmbedder); ok {
		c.embed = q.EmbedQueries
	}
	neighbours := NewMemoryNeighbours(&MemoryNeighboursOptions{MaxEntries: len(questions), MaxBytes: 1 << 40})
	never := time.Now().Add(1000 * time.Hour)
	var report Report
	const batch = 128
	for from := 0; from < len(questions); from += batch {
		some := questions[from:min(from+batch, len(questions))]
		texts := make([]string, len(some))
		for i := range some {
			texts[i] = some[i].Question
		}
		vectors, err := c.vectorsOf(ctx, texts)
		if err != nil {
			return nil, fmt.Errorf("cache: Calibrate: %w", err)
		}
		for i, v := range vectors {
			found, err := neighbours.Nearest(ctx, onlyPartition, v, candidates, candidates)
			if err != nil {
				return nil, err
			}
			report.Questions++
			// The nearest that the guards let pass, as a look-up has it.
			if at := slices.IndexFunc(found, func(n Neighbour) bool { return c.fires(texts[i], questions[number(n.ID)].Question) == "" }); at >= 0 {
				b := &report.bins[binOf(found[at].Similarity)]
				b.seen++
				b.judged++
				if questions[number(found[at].ID)].Label != some[i].Label {
					b.wrong++
				}
			}
			if err := neighbours.Add(ctx, Entry{Partition: onlyPartition, ID: strconv.Itoa(from + i), Vector: v, Expires: never}); err != nil {
				return nil, err
			}
		}
	}
	k := &Calibration{Curve: curveOf(&report)}
	if k.Threshold, _, k.Found = report.Threshold(target); !k.Found {
		k.Threshold = 1
	}
	return k, nil
}

// onlyPartition is where all questions of a calibration are.
const onlyPartition = "calibration"

func number(id string) int {
	n, _ := strconv.Atoi(id)
	return n
}

// curveOf gives every hundredth from the highest threshold on that hits, downward.
func curveOf(r *Report) (points []CalibrationPoint) {
	var hits, wrong int64
	for i := similarities - 1; i >= 0; i-- {
		hits, wrong = hits+r.bins[i].judged, wrong+r.bins[i].wrong
		if i%2 == 0 && hits > 0 {
			p := CalibrationPoint{Threshold: float64(i) / similarities, HitRate: ratio(hits, r.Questions), Wrong: ratio(wrong, hits)}
			p.Low, p.High = Wilson(wrong, hits)
			points = append(points, p)
		}
	}
	return points
}
