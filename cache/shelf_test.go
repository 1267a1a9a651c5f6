package cache

import (
	"context"
	"errors"
	"fmt"
	"math/rand/v2"
	"slices"
	"sync"
	"sync/atomic"
	"testing"
	"testing/synctest"
	"time"

	"github.com/stretchr/testify/require"

	"github.com/holysheep-ai/holysheep-go"
	"github.com/holysheep-ai/holysheep-go/holysheeptest"
)

// events records what an observer is told.
type events struct {
	mu    sync.Mutex
	calls []*holysheep.Call
}

func (e *events) Begin(ctx context.Context, _ *holysheep.Call) context.Context { return ctx }

func (e *events) Wait(context.Context, *holysheep.Call, holysheep.Wait) {}

func (e *events) End(_ context.Context, call *holysheep.Call) {
	e.mu.Lock()
	defer e.mu.Unlock()
	e.calls = append(e.calls, call)
}

func (e *events) all() []*holysheep.Call {
	e.mu.Lock()
	defer e.mu.Unlock()
	return slices.Clone(e.calls)
}

// recorder gives one that e listens to.
func (e *events) recorder(t *testing.T) *holysheep.Recorder {
	t.Helper()
	return holysheeptest.Start(t).Client(&holysheep.Options{Observer: e}).Recorder()
}

// shaky is a store that can be made to fail, over one that does not.
type shaky struct {
	*Memory
	asked atomic.Int64
	fault atomic.Pointer[func(ctx context.Context) error]
}

func newShaky(t *testing.T) *shaky {
	t.Helper()
	s := &shaky{Memory: NewMemory(nil)}
	t.Cleanup(func() { _ = s.Close() })
	return s
}

func (s *shaky) is(fault func(ctx context.Context) error) { s.fault.Store(&fault) }

func (s *shaky) check(ctx context.Context) error {
	s.asked.Add(1)
	if f := s.fault.Load(); f != nil {
		return (*f)(ctx)
	}
	return nil
}

func (s *shaky) Get(ctx context.Context, key string) ([]byte, bool, error) {
	if err := s.check(ctx); err != nil {
		return nil, false, err
	}
	return s.Memory.Get(context.WithoutCancel(ctx), key)
}

func (s *shaky) Set(ctx context.Context, key string, value []byte, ttl time.Duration) error {
	if err := s.check(ctx); err != nil {
		return err
	}
	return s.Memory.Set(ctx, key, value, ttl)
}

func (s *shaky) Delete(ctx context.Context, keys ...string) error {
	if err := s.check(ctx); err != nil {
		return err
	}
	return s.Memory.Delete(ctx, keys...)
}

var errBroken = errors.New("connection refused")

func up(context.Context) error { return nil }

func down(context.Context) error { return errBroken }

func silent(ctx context.Context) error {
	<-ctx.Done()
	return ctx.Err()
}

// inBubble is a test in virtual time, with a store and a shelf of its own.
type inBubble struct {
	*testing.T
	store  *shaky
	shelf  *shelf
	events *events
}

func bubble(t *testing.T, test func(t *inBubble)) {
	t.Helper()
	synctest.Test(t, func(t *testing.T) {
		b := &inBubble{t, newShaky(t), nil, &events{}}
		b.shelf = newShelf(b.store, shelfOptions{Recorder: b.events.recorder(t), Kind: "cache.test"})
		test(b)
		b.shelf.wait()
	})
}

// get asks for a key that is there, and says how long that took.
func get(tb testing.TB, s *shelf) (ok bool, took time.Duration) {
	tb.Helper()
	start := time.Now()
	_, ok = s.get(tb.Context(), "key")
	return ok, time.Since(start)
}

func TestShelf(t *testing.T) {
	bubble(t, func(t *inBubble) {
		s, e := t.shelf, t.events
		ctx := t.Context()
		s.set(ctx, "a", []byte("1"), time.Hour)
		s.set(ctx, "empty", nil, time.Hour)
		s.set(ctx, "over", []byte("1"), time.Second)
		time.Sleep(time.Second)
		value, ok := s.get(ctx, "a")
		require.True(t, ok)
		require.Equal(t, "1", string(value))
		value, ok = s.get(ctx, "empty")
		require.True(t, ok)
		require.Empty(t, value)
		_, ok = s.get(ctx, "over")
		require.False(t, ok)
		require.Equal(t, [][]byte{{'1'}, nil, {}, {'1'}}, s.getMany(ctx, []string{"a", "b", "empty", "a"}))
		require.Empty(t, s.getMany(ctx, nil))
		require.NoError(t, s.delete(ctx, "a", "b"))
		require.NoError(t, s.delete(ctx))
		_, ok = s.get(ctx, "a")
		require.False(t, ok)
		require.NoError(t, s.clear(ctx, "em"))
		_, ok = s.get(ctx, "empty")
		require.False(t, ok)
		require.Error(t, s.clear(ctx, ""))
		require.Equal(t, Stats{Hits: 5, Misses: 4}, s.stats())
		s.spoiled()
		require.Equal(t, Stats{Hits: 4, Misses: 5, Corrupt: 1}, s.stats())
		require.Empty(t, e.all())
	})
}

// A store that is down costs a few calls a moment, and the others nothing; within a second of its return it is in use.
func TestStoreThatIsDown(t *testing.T) {
	for name, fault := range map[string]func(context.Context) error{
		"refuses": down, "is silent": silent,
		"panics":             func(context.Context) error { panic("what a store") },
		"ignores its caller": func(context.Context) error { time.Sleep(400 * time.Millisecond); return errBroken },
		"is late":            func(context.Context) error { time.Sleep(101 * time.Millisecond); return nil },
	} {
		t.Run(name, func(t *testing.T) {
			bubble(t, func(t *inBubble) {
				store, s, e := t.store, t.shelf, t.events
				s.set(t.Context(), "key", []byte("1"), time.Hour)
				store.is(fault)
				for range failuresInARow {
					ok, took := get(t, s)
					require.False(t, ok)
					require.LessOrEqual(t, took, 100*time.Millisecond)
				}
				asked := store.asked.Load()
				for start := time.Now(); time.Since(start) < 30*time.Second; time.Sleep(5 * time.Millisecond) {
					ok, took := get(t, s)
					require.False(t, ok)
					require.Zero(t, took)
				}
				probes := store.asked.Load() - asked
				require.Greater(t, probes, int64(25))
				require.LessOrEqual(t, probes, int64(30*4))
				require.Greater(t, s.stats().Skipped, int64(5000))

				store.is(up)
				returned := time.Now()
				for ok := false; !ok; time.Sleep(time.Millisecond) {
					var took time.Duration
					ok, took = get(t, s)
					require.Zero(t, took)
				}
				require.LessOrEqual(t, time.Since(returned), time.Second)

				synctest.Wait()
				calls := e.all()
				require.Len(t, calls, failuresInARow+1, "an event for each failure, and one for the return")
				for i, call := range calls {
					require.Equal(t, "cache.test.store", call.Operation)
					if i < failuresInARow {
						require.ErrorContains(t, call.Err, "cache: get: ")
					}
				}
				require.Contains(t, calls[failuresInARow-1].Steps[0].Reason, "not asked")
				require.NoError(t, calls[failuresInARow].Err)
				require.Contains(t, calls[failuresInARow].Steps[0].Reason, "answers again, after 30")
			})
		})
	}
}

// One probe at a time, whoever comes.
func TestOneProbe(t *testing.T) {
	bubble(t, func(t *inBubble) {
		store, s := t.store, t.shelf
		var now, most atomic.Int64
		store.is(func(ctx context.Context) error {
			if n := now.Add(1); n > most.Load() {
				most.Store(n)
			}
			defer now.Add(-1)
			return silent(ctx)
		})
		for range failuresInARow {
			get(t, s)
		}
		synctest.Wait()
		most.Store(0)
		var wg sync.WaitGroup
		for range 64 {
			wg.Go(func() {
				for range 1000 {
					s.get(context.Background(), "key")
					time.Sleep(time.Millisecond)
				}
			})
		}
		wg.Wait()
		require.Equal(t, int64(1), most.Load())
	})
}

// A caller that leaves does not wait for the store, and is no evidence against it.
func TestCallerLeaves(t *testing.T) {
	bubble(t, func(t *inBubble) {
		store, s, e := t.store, t.shelf, t.events
		store.is(func(context.Context) error { time.Sleep(50 * time.Millisecond); return nil })
		for range 20 {
			ctx, cancel := context.WithTimeout(t.Context(), 7*time.Millisecond)
			start := time.Now()
			_, ok := s.get(ctx, "key")
			require.False(t, ok)
			require.Equal(t, 7*time.Millisecond, time.Since(start))
			s.set(ctx, "key", []byte("1"), time.Hour)
			require.Equal(t, 7*time.Millisecond, time.Since(start))
			cancel()
		}
		store.is(up)
		s.set(t.Context(), "key", []byte("1"), time.Hour)
		ok, _ := get(t, s)
		require.True(t, ok)
		require.Empty(t, e.all())
		require.Equal(t, Stats{Hits: 1, Misses: 20}, s.stats())
	})
}

// A store that takes its time now and then is given up as well: what matters is what most callers see.
func TestStoreThatFlaps(t *testing.T) {
	bubble(t, func(t *inBubble) {
		store, s := t.store, t.shelf
		source := rand.New(rand.NewPCG(1, 2))
		var mu sync.Mutex
		store.is(func(ctx context.Context) error {
			mu.Lock()
			slow := source.IntN(3) == 0
			mu.Unlock()
			if slow {
				return silent(ctx)
			}
			return nil
		})
		var slow int
		const calls = 10_000
		for range calls {
			if _, took := get(t, s); took > 5*time.Millisecond {
				slow++
			}
			time.Sleep(10 * time.Millisecond)
		}
		t.Logf("a third of the operations is silent: %d of %d calls waited, %+v", slow, calls, s.stats())
		require.Less(t, slow, calls/10)
	})
}

// What cannot be written any more can still be read.
func TestReadsAndWritesAreApart(t *testing.T) {
	bubble(t, func(t *inBubble) {
		store, s, e := t.store, t.shelf, t.events
		s.set(t.Context(), "key", []byte("1"), time.Hour)
		store.is(down)
		for range 10 {
			s.set(t.Context(), "other", []byte("1"), time.Hour)
		}
		require.Len(t, e.all(), failuresInARow)
		store.is(up)
		ok, _ := get(t, s)
		require.True(t, ok)
		time.Sleep(time.Second)
		s.set(t.Context(), "probe", []byte("written by the probe"), time.Hour)
		synctest.Wait()
		value, ok := s.get(t.Context(), "probe")
		require.True(t, ok)
		require.Equal(t, "written by the probe", string(value))
	})
}

// An eviction that did not happen is an error, and it is tried whatever the breaker says.
func TestEvictions(t *testing.T) {
	bubble(t, func(t *inBubble) {
		store, s, e := t.store, t.shelf, t.events
		s.set(t.Context(), "key", []byte("1"), time.Hour)
		store.is(down)
		for range failuresInARow {
			get(t, s)
		}
		require.ErrorIs(t, s.delete(t.Context(), "key"), errBroken)
		require.ErrorIs(t, e.all()[failuresInARow].Err, errBroken)
		store.is(silent)
		start := time.Now()
		require.ErrorIs(t, s.delete(t.Context(), "key"), context.DeadlineExceeded)
		require.Less(t, time.Since(start), 2*time.Second)
		store.is(up)
		require.NoError(t, s.delete(t.Context(), "key"))
		_, ok, err := store.Memory.Get(t.Context(), "key")
		require.NoError(t, err)
		require.False(t, ok)
	})
	s := newShelf(struct{ Store }{NewMemory(nil)}, shelfOptions{})
	require.ErrorIs(t, s.clear(t.Context(), "a"), errors.ErrUnsupported)
}

// batchStore counts how it is asked.
type batchStore struct {
	*shaky
	many atomic.Int64
	give func([][]byte) [][]byte
}

func (b *batchStore) GetMany(ctx context.Context, keys []string) ([][]byte, error) {
	b.many.Add(1)
	if err := b.check(ctx); err != nil {
		return nil, err
	}
	values := make([][]byte, len(keys))
	for i, key := range keys {
		values[i], _, _ = b.Memory.Get(ctx, key)
	}
	if b.give != nil {
		values = b.give(values)
	}
	return values, nil
}

func TestGetManyIsOneRoundTrip(t *testing.T) {
	synctest.Test(t, func(t *testing.T) {
		store := &batchStore{shaky: newShaky(t)}
		s := newShelf(store, shelfOptions{})
		ctx := t.Context()
		var keys []string
		for i := range 100 {
			keys = append(keys, fmt.Sprint(i))
			s.set(ctx, keys[i], []byte(keys[i]), time.Hour)
		}
		values := s.getMany(ctx, keys)
		for i := range keys {
			require.Equal(t, keys[i], string(values[i]))
		}
		require.Equal(t, int64(1), store.many.Load())
		store.give = func(v [][]byte) [][]byte { return v[1:] } // a store that loses count
		for _, v := range s.getMany(ctx, keys) {
			require.Nil(t, v)
		}
		store.is(down)
		for range 10 {
			require.Len(t, s.getMany(ctx, keys), len(keys))
		}
		s.wait()
	})
}

// What is damaged, foreign, of another version, or lies under another key is a miss and counted.
func TestValuesThatAreNotOurs(t *testing.T) {
	ctx := t.Context()
	store := newShaky(t)
	s := newShelf(store, shelfOptions{})
	s.set(ctx, "key", []byte("an answer"), time.Hour)
	raw, _, err := store.Get(ctx, "key")
	require.NoError(t, err)
	bad := map[string][]byte{"empty": {}, "text": []byte("hello, I am somebody else's"), "JSON": []byte(`{"answer": 42}`)}
	for i := range raw {
		for bit := range 8 {
			damaged := slices.Clone(raw)
			damaged[i] ^= 1 << bit
			bad[fmt.Sprintf("bit %d of byte %d", bit, i)] = damaged
		}
		bad[fmt.Sprintf("cut at %d", i)] = raw[:i]
	}
	var n int64
	for what, value := range bad {
		require.NoError(t, store.Set(ctx, "key", value, time.Hour))
		_, ok := s.get(ctx, "key")
		require.False(t, ok, what)
		n++
		require.Equal(t, Stats{Misses: n, Corrupt: n}, s.stats(), what)
	}
	require.NoError(t, store.Set(ctx, "another key", raw, time.Hour))
	_, ok := s.get(ctx, "another key")
	require.False(t, ok)
	require.Equal(t, n+1, s.stats().Corrupt)
	require.Equal(t, [][]byte{nil}, s.getMany(ctx, []string{"another key"}))
}

// Memory that is closed, and a caller that left, are misses as well.
func TestShelfOnMemory(t *testing.T) {
	m := NewMemory(nil)
	e := &events{}
	s := newShelf(m, shelfOptions{Recorder: e.recorder(t), Kind: "cache.test"})
	s.set(t.Context(), "key", []byte("1"), time.Hour)
	ctx, cancel := context.WithCancel(t.Context())
	cancel()
	_, ok := s.get(ctx, "key")
	require.False(t, ok)
	require.Empty(t, e.all())
	ok, _ = get(t, s)
	require.True(t, ok)
	require.NoError(t, m.Close())
	ok, _ = get(t, s)
	require.False(t, ok)
	s.set(t.Context(), "key", []byte("1"), time.Hour)
	require.Len(t, e.all(), 2)
	require.ErrorIs(t, e.all()[0].Err, holysheep.ErrClosed)
	require.Equal(t, Stats{Hits: 1, Misses: 2, Errors: 2}, s.stats())
}
