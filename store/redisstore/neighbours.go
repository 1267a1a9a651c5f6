package redisstore

import (
	"context"
	"crypto/rand"
	"crypto/sha256"
	"encoding/hex"
	"errors"
	"fmt"
	"strconv"
	"strings"
	"sync/atomic"
	"time"

	"github.com/redis/go-redis/v9"

	"github.com/holysheep-ai/holysheep-go"
	"github.com/holysheep-ai/holysheep-go/cache"
)

// Neighbours are [cache.Neighbours] in the vector sets of Redis 8, alone or as a cluster, shared by every process that
// uses the same Redis and prefix. A look-up is two round trips, of which the search does not hold up Redis.
//
// Vectors are kept as they are, 4 bytes a number: with the 8 bits that Redis would make of them, one nearest question
// in 200 was another one. Redis searches along a graph, which may miss some. Of the 24 nearest it found 100.0 % among
// 9,800 questions to a bank, in 0.7 ms, and 91 % among as many random vectors, the hardest there are; Exact finds all,
// in 3 ms. An entry takes about 2.7 KiB at 384 dimensions, and its answer.
//
// The keys of a partition, which share a slot of a cluster: PREFIX{H}:vectors, a vector set; PREFIX{H}:entries, a hash
// of what belongs to them; PREFIX{H}:until, a sorted set of when they expire; H is the SHA-256 of its name. They expire
// with the last entry, and what expires before that is deleted with later look-ups and additions. Time is that of the
// server. A book of counters is the hash PREFIX{H}:book, which does not expire. PREFIX{H}:once:… keep a verdict that
// is sent twice from being counted twice; they last a minute.
//
// As for [Cache], a Redis that is shared with a ledger must not evict, so give it one of its own, with a limit and the
// policy allkeys-lru. A partition that has been evicted in part is begun anew.
type Neighbours struct {
	rdb    redis.UniversalClient
	prefix string
	most   int
	exact  bool
}

// NeighboursOptions are what neighbours can be told. The zero value of each field is its default.
type NeighboursOptions struct {
	// Prefix comes before every key, to tell neighbours in one Redis apart; without braces. Default:
	// "holysheep:neighbours:".
	Prefix string

	// MaxEntries of a partition. Over it those go that expire first. Default: 100,000.
	MaxEntries int

	// Exact looks at every vector of a partition, which misses none: 3 ms for 10,000 entries. Default: false.
	Exact bool
}

var _ cache.Neighbours = (*Neighbours)(nil)

// NewNeighbours makes them in rdb, which stays the caller's to close. Nothing is sent yet. As for [NewCache], the client
// has to honour the deadlines of contexts, and is kept dialling while Redis is down. opts may be nil.
func NewNeighbours(rdb redis.UniversalClient, opts *NeighboursOptions) (*Neighbours, error) {
	n := &Neighbours{rdb: rdb, prefix: "holysheep:neighbours:", most: 100_000}
	if opts != nil {
		if strings.ContainsAny(opts.Prefix, "{}") {
			return nil, &holysheep.RequestError{Field: "NeighboursOptions.Prefix", Reason: fmt.Sprintf("%.40q has braces", opts.Prefix)}
		}
		if opts.MaxEntries < 0 {
			return nil, &holysheep.RequestError{Field: "NeighboursOptions.MaxEntries", Reason: fmt.Sprintf("%d is negative", opts.MaxEntries)}
		}
		if opts.Prefix != "" {
			n.prefix = opts.Prefix
		}
		if opts.MaxEntries > 0 {
			n.most = opts.MaxEntries
		}
		n.exact = opts.Exact
	}
	if err := checkDeadlines(rdb); err != nil {
		return nil, err
	}
	dialsAgain(rdb)
	return n, nil
}

// base is what the keys of a partition or of a book have in common. Names may hold anything, so they are hashed.
func (n *Neighbours) base(name string) string {
	sum := sha256.Sum256([]byte(name))
	return n.prefix + "{" + hex.EncodeToString(sum[:16]) + "}:"
}

// keysOf gives the keys of a partition, in the order in which the scripts take them.
func keysOf(base string) []string {
	return []string{base + "vectors", base + "entries", base + "until"}
}

// Add implements [cache.Neighbours].
func (n *Neighbours) Add(ctx context.Context, e cache.Entry) error {
	if err := e.Check(); err != nil {
		return err
	}
	ttl := time.Until(e.Expires).Milliseconds()
	if ttl <= 0 {
		_, err := n.Delete(ctx, cache.Which{Partition: e.Partition, ID: e.ID})
		return err
	}
	head := newHead(&e)
	keys := keysOf(n.base(e.Partition))
	err := addScript.Run(ctx, n.rdb, keys, head.element(e.ID), ttl, vectorBytes(e.Vector), head.bytes(), e.Answer, n.most).Err()
	if otherDimensions(err) {
		return &holysheep.RequestError{
			Field: "Entry.Vector", Reason: fmt.Sprintf("%d dimensions, and the others of its partition have another number", len(e.Vector)),
		}
	}
	return neighboursFailed(err)
}

// searchWidth is how many entries Redis keeps in view while it walks the graph. With 200, of 24 nearest among random
// vectors it found 73 %, with 400 91 %, with 1,000 98 %, in 2.3, 3.6 and 4.8 ms; among questions no more than 400 is of
// use.
const (
	searchWidth = 400
	widest      = 1_000_000 // that Redis takes
)

// Nearest implements [cache.Neighbours].
func (n *Neighbours) Nearest(ctx context.Context, partition string, vector []float32, k, answers int) ([]cache.Neighbour, error) {
	if err := cache.CheckVector(vector); err != nil {
		return nil, err
	}
	if k <= 0 {
		return nil, ctx.Err()
	}
	k = min(k, n.most)
	keys := keysOf(n.base(partition))
	args := &redis.VSimArgs{Count: int64(k), EF: int64(min(max(k, searchWidth), widest)), Truth: n.exact}
	// What is found expired is deleted, so that the next look finds others. Three are enough, unless very many expire
	// at once in a partition that goes on: then some look-ups find less.
	for look := 1; ; look++ {
		near, err := n.rdb.VSimWithArgsWithScores(ctx, keys[0], &redis.VectorFP32{Val: vectorBytes(vector)}, args).Result()
		switch {
		case redis.HasErrorPrefix(err, "WRONGTYPE"), otherDimensions(err):
			return nil, nil // not ours, or of another length
		case err != nil:
			return nil, neighboursFailed(err)
		case len(near) == 0:
			return nil, nil
		}
		found, dead, err := n.fetch(ctx, keys, near, answers)
		if err != nil || dead == 0 || look == 3 {
			return found, err
		}
	}
}

// fetch reads what belongs to vectors that were found, and tells how many are dead: they have expired or were replaced
// or evicted. What cannot be read is left out.
func (n *Neighbours) fetch(ctx context.Context, keys []string, near []redis.VectorScore, answers int) (found []cache.Neighbour, dead int, err error) {
	args := make([]any, 0, 1+len(near))
	args = append(args, answers)
	for _, v := range near {
		args = append(args, v.Name)
	}
	rows, err := fetchScript.Run(ctx, n.rdb, keys, args...).Slice()
	if redis.HasErrorPrefix(err, "WRONGTYPE") {
		return nil, 0, nil
	}
	if err != nil {
		return nil, 0, neighboursFailed(err)
	}
	if len(rows) != len(near) {
		return nil, 0, fmt.Errorf("redisstore: %d rows of %d", len(rows), len(near))
	}
	for i, row := range rows {
		fields, ok := row.([]any)
		if !ok {
			dead++
			continue
		}
		if found1, ok := readRow(near[i], fields); ok {
			found = append(found, found1)
		}
	}
	return found, dead, nil
}

// readRow reads head, right, wrong and answer.
func readRow(near redis.VectorScore, fields []any) (n cache.Neighbour, ok bool) {
	if len(fields) < 3 {
		return n, false
	}
	raw, _ := fields[0].(string)
	h, ok := readHead(raw)
	if !ok {
		return n, false
	}
	n = cache.Neighbour{ID: near.Name[nonceSize:], Similarity: 2*near.Score - 1, Meta: h.meta, Created: time.UnixMilli(h.created)}
	for i, count := range []*int64{&n.Right, &n.Wrong} {
		s, _ := fields[1+i].(string)
		var err error
		if *count, err = strconv.ParseInt(s, 10, 64); err != nil {
			return n, false
		}
	}
	if len(fields) > 3 {
		answer, ok := fields[3].(string)
		if !ok {
			return n, false
		}
		n.Answer = []byte(answer)
	}
	return n, true
}

// Judge implements [cache.Neighbours].
func (n *Neighbours) Judge(ctx context.Context, partition, id string, right, wrong int64) error {
	base := n.base(partition)
	return neighboursFailed(judgeScript.Run(ctx, n.rdb, []string{base + "entries", once(base)}, id, right, wrong).Err())
}

// Count implements [cache.Neighbours].
func (n *Neighbours) Count(ctx context.Context, book string, deltas map[string]int64) (map[string]int64, error) {
	base := n.base(book)
	args := make([]any, 0, 2*len(deltas))
	for counter, delta := range deltas {
		args = append(args, counter, delta)
	}
	var err error
	var got []string
	if len(args) == 0 {
		var all map[string]string
		all, err = n.rdb.HGetAll(ctx, base+"book").Result()
		for counter, value := range all {
			got = append(got, counter, value)
		}
	} else {
		got, err = countScript.Run(ctx, n.rdb, []string{base + "book", once(base)}, args...).StringSlice()
	}
	if err != nil {
		return nil, neighboursFailed(err)
	}
	counters := make(map[string]int64, len(got)/2)
	for i := 0; i+1 < len(got); i += 2 {
		if value, err := strconv.ParseInt(got[i+1], 10, 64); err == nil {
			counters[got[i]] = value
		}
	}
	return counters, nil
}

// once is a key by which Redis knows a step that it has done: go-redis sends one again when its answer is late.
func once(base string) string { return base + "once:" + rand.Text() }

// Delete implements [cache.Neighbours]. Without a partition it walks through all keys of the Redis, however few are of
// neighbours, a thousand at a time; Redis serves others meanwhile. What is added during the walk may stay, and so may a
// partition of a cluster whose slot moves to another node meanwhile.
func (n *Neighbours) Delete(ctx context.Context, which cache.Which) (int, error) {
	switch {
	case which == cache.Which{}:
		return 0, errors.New("redisstore: Delete: nothing is said of what")
	case which.Book != "":
		return 0, neighboursFailed(n.rdb.Unlink(ctx, n.base(which.Book)+"book").Err())
	case which.Partition != "":
		gone, err := n.deleteFrom(ctx, n.base(which.Partition), which)
		return gone, neighboursFailed(err)
	}
	var all atomic.Int64 // nodes are asked at the same time
	const last = "entries"
	err := eachKey(ctx, n.rdb, globs.Replace(n.prefix)+"{*}:"+last, func(ctx context.Context, _ redis.UniversalClient, keys []string) error {
		for _, key := range keys {
			gone, err := n.deleteFrom(ctx, strings.TrimSuffix(key, last), which)
			all.Add(int64(gone))
			if err != nil {
				return err
			}
		}
		return nil
	})
	return int(all.Load()), neighboursFailed(err)
}

// otherDimensions is what Redis says of a vector that has another length than those of the set.
func otherDimensions(err error) bool {
	return err != nil && strings.Contains(err.Error(), "dimension mismatch")
}

// neighboursFailed says what to do about a Redis that has no vector sets.
func neighboursFailed(err error) error {
	switch {
	case err == nil:
		return nil
	case strings.Contains(err.Error(), "unknown command") || strings.Contains(err.Error(), "Unknown Redis command"):
		return fmt.Errorf("redisstore: neighbours need Redis 8, for its vector sets: %w", err)
	}
	return fmt.Errorf("redisstore: %w", err)
}
