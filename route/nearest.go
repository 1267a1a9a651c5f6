package route

import (
	"context"
	"crypto/sha256"
	"encoding/hex"
	"errors"
	"fmt"
	"math"
	"slices"
	"strings"
	"sync/atomic"
	"time"
	"unicode/utf8"

	"github.com/holysheep-ai/holysheep-go"
)

// Example is a question whose class somebody has said.
type Example struct {
	Text  string
	Class Class
}

// NearestOptions change what [Nearest] does. The zero value of each field is its default.
type NearestOptions struct {
	// Votes is how many of the nearest examples are asked; each counts by its similarity. Default: 5.
	Votes int

	// Least is the similarity that the nearest example has to have. Without one, and where votes are even, words decide
	// instead. Default: 0, whatever is nearest.
	Least float64

	// Timeout limits how long a question is embedded. Default: 2 s.
	Timeout time.Duration
}

// Nearest classifies by the examples whose vectors are nearest to that of the last user turn. embedder turns texts into
// vectors ([holysheep.QueryEmbedder] where it is one); put a cache.Embedder in front of it. opts may be nil; what cannot
// work is refused by [New].
//
// Each call costs an embedding of at most 8 KiB, booked to it; the first one embeds the examples as well, and again if
// that failed. It is Remote.
func Nearest(embedder holysheep.Embedder, examples []Example, opts *NearestOptions) *Classifier {
	n := &nearest{
		examples: slices.Clone(examples), learning: make(chan struct{}, 1),
		NearestOptions: NearestOptions{Votes: 5, Timeout: 2 * time.Second},
	}
	c := &Classifier{Remote: true, Classify: n.classify}
	if opts != nil {
		if opts.Votes != 0 {
			n.Votes = opts.Votes
		}
		if opts.Timeout != 0 {
			n.Timeout = opts.Timeout
		}
		n.Least = opts.Least
	}
	bad := func(field, reason string) {
		c.bad = append(c.bad, &holysheep.RequestError{Field: field, Reason: reason})
	}
	if n.Votes < 1 || n.Votes > 1000 {
		bad("NearestOptions.Votes", fmt.Sprintf("%d is not between 1 and 1000", n.Votes))
	}
	if !(n.Least >= -1 && n.Least <= 1) { // written so that NaN fails it
		bad("NearestOptions.Least", fmt.Sprintf("%v is no cosine", n.Least))
	}
	if n.Timeout < 0 {
		bad("NearestOptions.Timeout", fmt.Sprintf("%v is negative", n.Timeout))
	}
	if len(examples) == 0 {
		bad("examples", "there are none")
	}
	for i, e := range examples {
		if strings.TrimSpace(e.Text) == "" || e.Class == "" {
			bad(fmt.Sprintf("examples[%d]", i), "without a text or without a class")
		}
		if !slices.Contains(c.Classes, e.Class) {
			c.Classes = append(c.Classes, e.Class)
		}
	}
	c.Classes = append(c.Classes, Simple, Standard, Complex) // by words
	if embedder == nil {
		bad("embedder", "nil")
		c.Name = "nearest"
		return c
	}
	n.embed = embedder.Embed
	if q, ok := embedder.(holysheep.QueryEmbedder); ok {
		n.embed = q.EmbedQueries
	}
	c.Name = n.name(embedder.Fingerprint())
	return c
}

// nearest is the classifier behind Nearest.
type nearest struct {
	NearestOptions
	embed    func(ctx context.Context, texts []string) ([][]float32, error)
	examples []Example

	learning chan struct{}               // full while somebody fetches the vectors
	vectors  atomic.Pointer[[][]float32] // of the examples, of length 1; nil until they are there
}

func (n *nearest) name(fingerprint string) string {
	h := sha256.New()
	for _, e := range n.examples {
		fmt.Fprintf(h, "%q%q", e.Text, e.Class)
	}
	return fmt.Sprintf("the nearest %d of %d examples (%s) by %s, from %v", n.Votes, len(n.examples),
		hex.EncodeToString(h.Sum(nil)[:4]), fingerprint, n.Least)
}

var errNothingToRead = errors.New("the turn has no text")

// longestRead is how much of a turn is embedded: encoders take some thousand tokens, and what kind of question it is
// shows early.
const longestRead = 8 << 10

func (n *nearest) classify(ctx context.Context, req *holysheep.ChatRequest, f *Features) (Class, error) {
	var text string
	if turn := lastUserTurn(req); turn != nil {
		text = strings.TrimSpace(turn.Text())
	}
	if text == "" {
		return "", errNothingToRead
	}
	if len(text) > longestRead {
		end := longestRead
		for end > 0 && !utf8.RuneStart(text[end]) {
			end--
		}
		text = text[:end]
	}
	ctx, cancel := context.WithTimeout(ctx, n.Timeout)
	defer cancel()
	known, err := n.learn(ctx)
	if err != nil {
		return "", err
	}
	asked, err := n.unit(ctx, []string{text})
	if err != nil {
		return "", err
	}
	if len(asked[0]) != len(known[0]) {
		return "", errBadVectors
	}
	if class, ok := n.vote(asked[0], known); ok {
		return class, nil
	}
	return byWords(f, simpleUnder, complexAbove), nil
}

// vote lets the nearest examples decide.
func (n *nearest) vote(v []float32, known [][]float32) (Class, bool) {
	type neighbour struct {
		example    int
		similarity float64
	}
	all := make([]neighbour, len(known))
	for i, k := range known {
		all[i] = neighbour{i, dotProduct(v, k)}
	}
	slices.SortStableFunc(all, func(a, b neighbour) int {
		switch {
		case a.similarity > b.similarity:
			return -1
		case a.similarity < b.similarity:
			return 1
		}
		return 0
	})
	if all[0].similarity < n.Least {
		return "", false
	}
	votes := map[Class]float64{}
	for _, one := range all[:min(n.Votes, len(all))] {
		votes[n.examples[one.example].Class] += max(one.similarity, 0)
	}
	var best Class
	most, even := -1.0, false
	for class, weight := range votes {
		switch {
		case weight > most:
			best, most, even = class, weight, false
		case weight == most:
			even = true
		}
	}
	return best, !even
}

// learn gives the vectors of the examples. Callers that come while they are fetched wait for them.
func (n *nearest) learn(ctx context.Context) ([][]float32, error) {
	if v := n.vectors.Load(); v != nil {
		return *v, nil
	}
	select {
	case n.learning <- struct{}{}:
		defer func() { <-n.learning }()
	case <-ctx.Done():
		return nil, ctx.Err()
	}
	if v := n.vectors.Load(); v != nil {
		return *v, nil
	}
	texts := make([]string, len(n.examples))
	for i, e := range n.examples {
		texts[i] = e.Text
	}
	vectors, err := n.unit(ctx, texts)
	if err != nil {
		return nil, fmt.Errorf("the examples: %w", err)
	}
	n.vectors.Store(&vectors)
	return vectors, nil
}

var errBadVectors = errors.New("the embedder gave no usable vectors")

// unit gives vectors of length 1, all of the same dimensions.
func (n *nearest) unit(ctx context.Context, texts []string) ([][]float32, error) {
	got, err := n.embed(ctx, texts)
	if err != nil {
		return nil, err
	}
	if len(got) != len(texts) {
		return nil, errBadVectors
	}
	own := make([][]float32, len(got))
	for i, v := range got {
		length := math.Sqrt(dotProduct(v, v))
		if len(v) == 0 || len(v) != len(got[0]) || !(length > 0) || math.IsInf(length, 0) {
			return nil, errBadVectors
		}
		own[i] = make([]float32, len(v)) // the embedder may keep its own
		for j := range v {
			own[i][j] = float32(float64(v[j]) / length)
		}
	}
	return own, nil
}

func dotProduct(a, b []float32) float64 {
	var sum float64
	for i := range a {
		sum += float64(a[i]) * float64(b[i])
	}
	return sum
}
