package main

import (
	"context"
	"errors"
	"fmt"
	"math"
	"math/rand/v2"
	"slices"
	"strings"
	"sync"
	"sync/atomic"
	"time"

	"github.com/jackc/pgx/v5/pgxpool"
	"github.com/redis/go-redis/v9"

	"github.com/holysheep-ai/holysheep-go/cache"
	"github.com/holysheep-ai/holysheep-go/store/pgstore"
	"github.com/holysheep-ai/holysheep-go/store/redisstore"
)

// neighbourCase is where entries are kept. The first one looks at every vector, and the others are compared with it.
type neighbourCase struct {
	name string
	open func(entries int) (n cache.Neighbours, again cache.Neighbours, done func(), err error)
}

var neighbourCases = []neighbourCase{
	{"memory", func(entries int) (cache.Neighbours, cache.Neighbours, func(), error) {
		return cache.NewMemoryNeighbours(&cache.MemoryNeighboursOptions{MaxEntries: entries}), nil, func() {}, nil
	}},
	{"Redis 8", redisNeighbours},
	{"pgvector", postgresNeighbours},
}

// redisNeighbours gives those along the graph, and as again those that look at every vector, in the same keys.
func redisNeighbours(entries int) (graph, exact cache.Neighbours, done func(), err error) {
	ctx := context.Background()
	rdb := redis.NewClient(&redis.Options{Addr: redisAddress, ContextTimeoutEnabled: true, MaxRetries: -1, ReadTimeout: time.Minute})
	if rdb.Ping(ctx).Err() != nil {
		return nil, nil, nil, errNoService
	}
	opts := redisstore.NeighboursOptions{Prefix: fmt.Sprintf("bench-%d:", time.Now().UnixNano()), MaxEntries: entries}
	g, err := redisstore.NewNeighbours(rdb, &opts)
	if err != nil {
		return nil, nil, nil, err
	}
	opts.Exact = true
	e, err := redisstore.NewNeighbours(rdb, &opts)
	return g, e, func() {
		_, _ = g.Delete(ctx, cache.Which{Partition: "bench"})
		_ = rdb.Close()
	}, err
}

func postgresNeighbours(entries int) (n, again cache.Neighbours, done func(), err error) {
	ctx := context.Background()
	pool, err := pgxpool.New(ctx, postgresAddress)
	if err != nil {
		return nil, nil, nil, err
	}
	if pool.Ping(ctx) != nil {
		return nil, nil, nil, errNoService
	}
	schema := fmt.Sprint("bench_", time.Now().UnixNano())
	if _, err := pool.Exec(ctx, "CREATE SCHEMA "+schema); err != nil {
		return nil, nil, nil, err
	}
	if err := pgstore.MigrateNeighbours(ctx, pool, &pgstore.Options{Schema: schema}); err != nil {
		return nil, nil, nil, err
	}
	return pgstore.NewNeighbours(pool, &pgstore.NeighboursOptions{Schema: schema, MaxEntries: entries}), nil, func() {
		_, _ = pool.Exec(ctx, "DROP SCHEMA "+schema+" CASCADE")
		pool.Close()
	}, nil
}

// compareNeighbours writes what a look-up takes in each store, one after the other for each question, and how often it
// finds the nearest entry.
func compareNeighbours(scale float64) error {
	fmt.Printf("\n**neighbours** (the 24 nearest of vectors of %d random dimensions and 4 answers, one caller, by the clock, with the service on the same cores)\n\n", vectorSize)
	fmt.Println("| kept in | entries | p50, ms | p99, ms | p50, ratio to memory | nearest found, of questions like one | like none | filled, entries a second |")
	fmt.Println("|---|---|---|---|---|---|---|---|")
	for _, size := range []struct{ entries, questions int }{{10_000, 400}, {100_000, 200}} {
		if err := neighboursOf(max(1000, int(float64(size.entries)*scale)), size.questions); err != nil {
			return err
		}
	}
	return nil
}

// kept is a row of the table.
type kept struct {
	name          string
	n             cache.Neighbours
	rate          float64 // of filling
	took          []float64
	found, ofLike [2]int // by whether the question is like an entry
}

func neighboursOf(entries, questions int) error {
	rng := rand.New(rand.NewPCG(3, 3))
	vectors := make([][]float32, entries)
	for i := range vectors {
		vectors[i] = randomVector(rng)
	}
	var rows []*kept
	for _, c := range neighbourCases {
		n, again, done, err := c.open(entries)
		if errors.Is(err, errNoService) {
			fmt.Printf("| %s | %d | %s | | | | | |\n", c.name, entries, err)
			continue
		}
		if err != nil {
			return err
		}
		defer done()
		rate, err := fill(n, vectors)
		if err != nil {
			return fmt.Errorf("%s: %w", c.name, err)
		}
		rows = append(rows, &kept{name: c.name, n: n, rate: rate})
		if again != nil {
			rows = append(rows, &kept{name: c.name + ", exact", n: again, rate: rate})
		}
	}
	for i := range questions {
		like := i % 2
		q := randomVector(rng)
		if like == 1 {
			q = near(q, vectors[rng.IntN(entries)], 0.92)
		}
		if err := look(rows, q, like); err != nil {
			return err
		}
	}
	base := quantile(rows[0].took, 0.5)
	for _, r := range rows {
		p50 := quantile(r.took, 0.5)
		fmt.Printf("| %s | %d | %.2f | %.2f | %.1f | %.1f %% | %.1f %% | %.0f |\n", r.name, entries, p50, quantile(r.took, 0.99), p50/base,
			100*float64(r.found[1])/float64(r.ofLike[1]), 100*float64(r.found[0])/float64(r.ofLike[0]), r.rate)
	}
	return nil
}

// look asks all stores one question.
func look(rows []*kept, q []float32, like int) error {
	nearest := ""
	for _, r := range rows {
		start := time.Now()
		found, err := r.n.Nearest(context.Background(), "bench", q, 24, 4)
		r.took = append(r.took, float64(time.Since(start))/1e6)
		if err != nil || len(found) == 0 {
			return fmt.Errorf("%s found %d: %w", r.name, len(found), err)
		}
		if nearest == "" {
			nearest = found[0].ID
		}
		r.ofLike[like]++
		if found[0].ID == nearest {
			r.found[like]++
		}
	}
	return nil
}

// fill adds all vectors, and gives how many it added a second.
func fill(n cache.Neighbours, vectors [][]float32) (rate float64, err error) {
	answer, meta := []byte(strings.Repeat("answer ", 60)), []byte(strings.Repeat("meta ", 30))
	var next atomic.Int64
	var wg sync.WaitGroup
	const workers = 4
	errs := make([]error, workers)
	start := time.Now()
	for w := range workers {
		wg.Go(func() {
			for i := next.Add(1) - 1; i < int64(len(vectors)) && errs[w] == nil; i = next.Add(1) - 1 {
				errs[w] = n.Add(context.Background(), cache.Entry{
					Partition: "bench", ID: fmt.Sprintf("%032d", i), Vector: vectors[i], Meta: meta, Answer: answer,
					Created: start, Expires: start.Add(time.Hour),
				})
			}
		})
	}
	wg.Wait()
	return float64(len(vectors)) / time.Since(start).Seconds(), errors.Join(errs...)
}

func randomVector(rng *rand.Rand) []float32 {
	v := make([]float32, vectorSize)
	for d := range v {
		v[d] = float32(rng.NormFloat64())
	}
	return unit(v)
}

// near turns v towards to, until their cosine is about cosine. Random vectors stand at right angles to each other.
func near(v, to []float32, cosine float64) []float32 {
	for d := range v {
		v[d] = float32(cosine)*to[d] + float32(math.Sqrt(1-cosine*cosine))*v[d]
	}
	return unit(v)
}

func unit(v []float32) []float32 {
	sum := 0.0
	for _, x := range v {
		sum += float64(x) * float64(x)
	}
	for d := range v {
		v[d] /= float32(math.Sqrt(sum))
	}
	return v
}

func quantile(took []float64, p float64) float64 {
	took = slices.Clone(took)
	slices.Sort(took)
	return took[min(len(took)-1, int(p*float64(len(took))))]
}
