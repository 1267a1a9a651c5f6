package cache

import (
	"context"
	"errors"
	"fmt"
	"sync"
	"sync/atomic"
	"time"

	"github.com/sony/gobreaker/v2"

	"github.com/holysheep-ai/holysheep-go"
)

// shelf is how caches use a [Store]: nothing that goes wrong in it fails a call. What cannot be read is a miss, what
// cannot be written is not kept, and a store that is down or silent is left alone until it answers a probe. Safe for
// concurrent use.
type shelf struct {
	store         Store
	batch         BatchStore // store, if it is one
	local         bool       // it never waits
	opts          shelfOptions
	reads, writes *breaker
	running       sync.WaitGroup // operations nobody may wait for any more

	hits, misses, corrupt, errors, skipped atomic.Int64
}

// shelfOptions are what a shelf can be told.
type shelfOptions struct {
	Recorder *holysheep.Recorder // is told when the store fails and when it is back; nil tells nobody
	Kind     string              // what reports: "cache.exact"
	Seal     Sealer              // of what is stored; nil stores it open
	Timeout  time.Duration       // of one operation; what is large or many gets more. Default: 100 ms
}

// Stats counts what a cache asked its store for.
type Stats struct {
	Hits    int64
	Misses  int64
	Corrupt int64 // misses where a value was damaged, foreign, of another version, or did not open
	Errors  int64 // operations that failed or took too long
	Skipped int64 // operations left out because the store was down
}

// errDown is a store that is not asked because it was down a moment ago.
var errDown = errors.New("cache: the store is down")

func newShelf(store Store, opts shelfOptions) *shelf {
	s := &shelf{store: store, opts: opts, reads: newBreaker(), writes: newBreaker()}
	s.batch, _ = store.(BatchStore)
	_, s.local = store.(*Memory)
	if s.opts.Recorder == nil {
		s.opts.Recorder = &holysheep.Recorder{}
	}
	if s.opts.Timeout <= 0 {
		s.opts.Timeout = 100 * time.Millisecond
	}
	return s
}

// get gives the value of key, which is not to be changed.
func (s *shelf) get(ctx context.Context, key string) (value []byte, ok bool) {
	var raw []byte
	var err error
	if s.local {
		if raw, ok, err = s.store.Get(ctx, key); err != nil {
			s.failed(ctx, "get", err, "")
		}
	} else {
		raw, ok, err = s.fetch(ctx, key)
	}
	if err != nil || !ok {
		s.misses.Add(1)
		return nil, false
	}
	return s.open(key, raw)
}

func (s *shelf) fetch(ctx context.Context, key string) (raw []byte, ok bool, err error) {
	var got struct { // of the operation alone until it ends: it may go on when nobody waits for it any more
		raw []byte
		ok  bool
	}
	err = s.ask(ctx, s.reads, "get", 1, func(ctx context.Context) (err error) {
		got.raw, got.ok, err = s.store.Get(ctx, key)
		return err
	})
	if err != nil {
		return nil, false, err
	}
	return got.raw, got.ok, nil
}

// open counts and gives what is in raw.
func (s *shelf) open(key string, raw []byte) (value []byte, ok bool) {
	value, err := unwrap(key, raw, s.opts.Seal)
	if err != nil {
		s.misses.Add(1)
		s.corrupt.Add(1)
		return nil, false
	}
	s.hits.Add(1)
	return value, true
}

// spoiled takes back a hit whose value turned out to be of no use.
func (s *shelf) spoiled() {
	s.hits.Add(-1)
	s.misses.Add(1)
	s.corrupt.Add(1)
}

// getMany gives the value of each key, in order, none of them to be changed; nil for a miss.
func (s *shelf) getMany(ctx context.Context, keys []string) [][]byte {
	values := make([][]byte, len(keys))
	raws, err := s.fetchMany(ctx, keys)
	if err != nil || len(raws) != len(keys) {
		s.misses.Add(int64(len(keys)))
		return values
	}
	for i, raw := range raws {
		if raw == nil {
			s.misses.Add(1)
		} else if value, ok := s.open(keys[i], raw); ok {
			values[i] = value
		}
	}
	return values
}

func (s *shelf) fetchMany(ctx context.Context, keys []string) ([][]byte, error) {
	if len(keys) == 0 {
		return nil, nil
	}
	var raws [][]byte
	err := s.ask(ctx, s.reads, "get", len(keys), func(ctx context.Context) (err error) {
		if s.batch != nil {
			raws, err = s.batch.GetMany(ctx, keys)
			return err
		}
		found := make([][]byte, len(keys))
		for i, key := range keys {
			raw, ok, err := s.store.Get(ctx, key)
			if err != nil {
				return err
			}
			if ok {
				found[i] = raw
			}
		}
		raws = found
		return nil
	})
	if err != nil {
		return nil, err
	}
	return raws, nil
}

// set keeps value under key for ttl, if it can.
func (s *shelf) set(ctx context.Context, key string, value []byte, ttl time.Duration) {
	raw, err := wrap(key, value, s.opts.Seal)
	if err != nil {
		s.failed(ctx, "set", err, "")
		return
	}
	_ = s.ask(ctx, s.writes, "set", 1+len(raw)/aMillisecondOf, func(ctx context.Context) error { return s.store.Set(ctx, key, raw, ttl) })
}

// delete forgets keys. It is tried even when the store seems to be down: whoever evicts has to know.
func (s *shelf) delete(ctx context.Context, keys ...string) error {
	if len(keys) == 0 {
		return nil
	}
	err := s.within(ctx, s.limit(len(keys))+evictTimeout, func(ctx context.Context) error { return s.store.Delete(ctx, keys...) })
	return s.notEvicted(ctx, "delete", err)
}

// clear forgets everything whose key begins with prefix, which is not empty. It takes as long as ctx lets it.
func (s *shelf) clear(ctx context.Context, prefix string) error {
	if prefix == "" {
		return errNoPrefix
	}
	c, ok := s.store.(Clearer)
	if !ok {
		return fmt.Errorf("cache: clear: %w by %T", errors.ErrUnsupported, s.store)
	}
	return s.notEvicted(ctx, "clear", c.Clear(ctx, prefix))
}

func (s *shelf) notEvicted(ctx context.Context, what string, err error) error {
	if err == nil {
		return nil
	}
	s.failed(ctx, what, err, "")
	return fmt.Errorf("cache: %s: %w", what, err)
}

// stats are the counts so far.
func (s *shelf) stats() Stats {
	return Stats{
		Hits: s.hits.Load(), Misses: s.misses.Load(), Corrupt: s.corrupt.Load(), Errors: s.errors.Load(), Skipped: s.skipped.Load(),
	}
}

// wait waits for what is still under way in the store, no longer than the time limit of an operation. It is for Close:
// nothing is asked of the shelf meanwhile or afterwards.
func (s *shelf) wait() { s.running.Wait() }

const (
	aMillisecondOf = 10_000      // bytes to be written
	evictTimeout   = time.Second // more than reads get: an eviction matters more than its speed
)

// limit is how long an operation may take that is so many times the usual one.
func (s *shelf) limit(size int) time.Duration {
	return s.opts.Timeout + min(time.Duration(size-1)*time.Millisecond, 10*time.Second)
}

// ask runs an operation, unless the store is down. When it is time to see whether it is back, the operation becomes
// the probe: it runs in the background, and its caller does not wait for it.
func (s *shelf) ask(ctx context.Context, b *breaker, what string, size int, op func(context.Context) error) error {
	if s.local {
		err := op(ctx)
		s.failed(ctx, what, err, "")
		return err
	}
	state := b.State()
	done, err := b.Allow()
	switch {
	case err != nil:
		s.skipped.Add(1)
		return errDown
	case state != gobreaker.StateClosed:
		s.skipped.Add(1)
		s.probe(context.WithoutCancel(ctx), b, size, op, done)
		return errDown
	}
	err = s.within(ctx, s.limit(size), op)
	if err != nil && ctx.Err() != nil {
		done(errLeft)
		return err
	}
	if errors.Is(err, holysheep.ErrBadRequest) {
		done(errLeft) // what it was asked was wrong, not the store
	} else {
		done(err)
	}
	if err != nil {
		reason := ""
		if b.State() != gobreaker.StateClosed {
			reason = "not asked until it answers a probe"
		}
		s.failed(ctx, what, err, reason)
	}
	return err
}

// within runs an operation with a time limit, which holds even for a store that does not look at its context: a
// client may sleep in a read that only a deadline ends.
func (s *shelf) within(ctx context.Context, limit time.Duration, op func(context.Context) error) error {
	if err := ctx.Err(); err != nil {
		return err
	}
	ctx, cancel := context.WithTimeout(ctx, limit)
	defer cancel()
	ended := make(chan error, 1)
	s.running.Go(func() { ended <- safely(ctx, op) })
	select {
	case err := <-ended:
		return err
	case <-ctx.Done():
		return ctx.Err()
	}
}

// safely keeps the panic of a store, on a goroutine of ours, from ending the program.
func safely(ctx context.Context, op func(context.Context) error) (err error) {
	defer func() {
		if p := recover(); p != nil {
			err = fmt.Errorf("the store panicked: %v", p)
		}
	}()
	return op(ctx)
}

func (s *shelf) probe(ctx context.Context, b *breaker, size int, op func(context.Context) error, done func(error)) {
	s.running.Go(func() {
		ctx, cancel := context.WithTimeout(ctx, s.limit(size))
		defer cancel()
		opened := b.opened.Load()
		err := safely(ctx, op)
		if err == nil {
			err = ctx.Err() // an answer that took too long is none
		}
		done(err)
		if err != nil {
			s.errors.Add(1)
			return
		}
		// The call that led to the probe may be over, so this is no part of it.
		s.report(context.Background(), nil, fmt.Sprintf("answers again, after %v", time.Since(time.Unix(0, opened)).Round(time.Millisecond)))
	})
}

// failed counts and reports a failure, unless it is the caller who left.
func (s *shelf) failed(ctx context.Context, what string, err error, reason string) {
	if err == nil || ctx.Err() != nil {
		return
	}
	s.errors.Add(1)
	s.report(ctx, fmt.Errorf("cache: %s: %w", what, err), reason)
}

// report tells the observer about the store.
func (s *shelf) report(ctx context.Context, err error, reason string) {
	call := &holysheep.Call{Operation: s.opts.Kind + ".store"}
	if reason != "" {
		call.Steps = []holysheep.Step{{Kind: "store", Reason: reason}}
	}
	s.opts.Recorder.End(s.opts.Recorder.Begin(ctx, call), call, err)
}
