package cachetest_test

import (
	"bytes"
	"context"
	"errors"
	"os"
	"os/exec"
	"path"
	"slices"
	"strings"
	"testing"
	"time"

	"github.com/holysheep-ai/holysheep-go/cache"
	"github.com/holysheep-ai/holysheep-go/cache/cachetest"
)

func memory(t *testing.T) *cache.Memory {
	t.Helper()
	m := cache.NewMemory(nil)
	t.Cleanup(func() { _ = m.Close() })
	return m
}

func TestMemory(t *testing.T) {
	cachetest.Run(t, func(t *testing.T) cache.Store { t.Helper(); return memory(t) })
}

// batch is a store that does everything right.
type batch struct{ *cache.Memory }

func (b batch) GetMany(ctx context.Context, keys []string) ([][]byte, error) {
	values := make([][]byte, len(keys))
	for i, key := range keys {
		value, ok, err := b.Get(ctx, key)
		if err != nil {
			return nil, err
		}
		if ok {
			values[i] = append([]byte{}, value...)
		}
	}
	return values, nil
}

func TestBatchStore(t *testing.T) {
	cachetest.Run(t, func(t *testing.T) cache.Store { t.Helper(); return batch{memory(t)} })
}

// Stores with one thing wrong, each by the test that has to notice.
type (
	forgetful  struct{ batch }
	immortal   struct{ batch }
	eternal    struct{ batch }
	folding    struct{ batch }
	trimming   struct{ batch }
	heedless   struct{ batch }
	undeleting struct{ batch }
	reversing  struct{ batch }
	nothings   struct{ batch }
	globbing   struct{ batch }
	careless   struct{ batch }
	shared     struct {
		batch
		last map[string][]byte
	}
)

func (s forgetful) Set(ctx context.Context, key string, value []byte, ttl time.Duration) error {
	if len(value) > 1<<20 {
		return nil
	}
	return s.batch.Set(ctx, key, value, ttl)
}

func (s immortal) Set(ctx context.Context, key string, value []byte, _ time.Duration) error {
	return s.batch.Set(ctx, key, value, time.Hour)
}

func (s eternal) Set(ctx context.Context, key string, value []byte, ttl time.Duration) error {
	if ttl < time.Millisecond { // as Redis takes 0
		ttl = time.Hour
	}
	return s.batch.Set(ctx, key, value, ttl)
}

func (s folding) Set(ctx context.Context, key string, value []byte, ttl time.Duration) error {
	return s.batch.Set(ctx, strings.ToLower(key), value, ttl)
}

func (s folding) Get(ctx context.Context, key string) ([]byte, bool, error) {
	return s.batch.Get(ctx, strings.ToLower(key))
}

func (s trimming) Set(ctx context.Context, key string, value []byte, ttl time.Duration) error {
	return s.batch.Set(ctx, key, bytes.TrimRight(value, "\x00"), ttl)
}

func (s heedless) Get(ctx context.Context, key string) ([]byte, bool, error) {
	return s.batch.Get(context.WithoutCancel(ctx), key)
}

func (s undeleting) Delete(ctx context.Context, keys ...string) error {
	return s.batch.Delete(ctx, keys[:min(len(keys), 1)]...)
}

func (s reversing) GetMany(ctx context.Context, keys []string) ([][]byte, error) {
	values, err := s.batch.GetMany(ctx, keys)
	slices.Reverse(values)
	return values, err
}

func (s nothings) GetMany(ctx context.Context, keys []string) ([][]byte, error) {
	values, err := s.batch.GetMany(ctx, keys)
	for i := range values {
		if len(values[i]) == 0 {
			values[i] = nil
		}
	}
	return values, err
}

func (s globbing) Clear(ctx context.Context, prefix string) error {
	if prefix == "" {
		return errors.New("no prefix")
	}
	for _, tail := range []string{"", "x", "xyz", "b1", "A1", "~~"} {
		for n := range len(prefix) {
			if ok, _ := path.Match(prefix[n:]+"*", tail); ok {
				if err := s.Delete(ctx, prefix[:n]+tail); err != nil {
					return err
				}
			}
		}
	}
	return s.batch.Clear(ctx, prefix)
}

func (s careless) Clear(ctx context.Context, prefix string) error {
	if prefix == "" {
		return nil
	}
	return s.batch.Clear(ctx, prefix)
}

func (s shared) Set(ctx context.Context, key string, value []byte, ttl time.Duration) error {
	if old := s.last[key]; len(old) == len(value) {
		copy(old, value)
		value = old
	}
	s.last[key] = value
	return s.batch.Set(ctx, key, value, ttl)
}

var broken = map[string]struct {
	test string
	open func(batch) cache.Store
}{
	"forgets what is big":           {"ValuesAreBytes", func(b batch) cache.Store { return forgetful{b} }},
	"forgets nothing":               {"TTL", func(b batch) cache.Store { return immortal{b} }},
	"keeps the shortest for ever":   {"ShortTTL", func(b batch) cache.Store { return eternal{b} }},
	"folds case":                    {"KeysAreBytes", func(b batch) cache.Store { return folding{b} }},
	"trims zeros":                   {"ValuesAreBytes", func(b batch) cache.Store { return trimming{b} }},
	"does not look at the context":  {"CancelledContext", func(b batch) cache.Store { return heedless{b} }},
	"deletes one key":               {"Delete", func(b batch) cache.Store { return undeleting{b} }},
	"gives many in another order":   {"GetMany", func(b batch) cache.Store { return reversing{b} }},
	"takes empty values for none":   {"GetMany", func(b batch) cache.Store { return nothings{b} }},
	"takes prefixes for patterns":   {"Clear", func(b batch) cache.Store { return globbing{b} }},
	"takes an empty prefix":         {"Clear", func(b batch) cache.Store { return careless{b} }},
	"writes over what it gave away": {"ValuesStay", func(b batch) cache.Store { return shared{b, map[string][]byte{}} }},
}

// The suite notices what is wrong: it runs on stores with one fault each, in a process of its own, and has to fail in
// the test that is for it.
func TestTheSuiteNotices(t *testing.T) {
	if name := os.Getenv("HOLYSHEEP_BROKEN_STORE"); name != "" {
		cachetest.Run(t, func(t *testing.T) cache.Store { t.Helper(); return broken[name].open(batch{memory(t)}) })
		return
	}
	for name, tt := range broken {
		t.Run(name, func(t *testing.T) {
			t.Parallel()
			cmd := exec.CommandContext(t.Context(), os.Args[0], "-test.run", "^TestTheSuiteNotices$/^"+tt.test+"$")
			cmd.Env = append(os.Environ(), "HOLYSHEEP_BROKEN_STORE="+name)
			out, err := cmd.CombinedOutput()
			if err == nil || !strings.Contains(string(out), "--- FAIL: TestTheSuiteNotices/"+tt.test) {
				t.Errorf("%v: a store that %s passes: %s", err, name, out)
			}
		})
	}
}
