package cache

import (
	"context"
	"errors"
	"fmt"
	"strings"
	"sync/atomic"
	"time"

	"github.com/maypok86/otter/v2"

	"github.com/holysheep-ai/holysheep-go"
)

// Memory is a [Store] in this process, bounded by bytes: what is used least makes room for what is new. Close it when
// the caches that use it are closed.
type Memory struct {
	entries *otter.Cache[string, entry]
	closed  atomic.Bool
}

// MemoryOptions are what a Memory can be told.
type MemoryOptions struct {
	// MaxBytes bounds keys and values, with what keeping them takes. Default: 64 MiB.
	MaxBytes int64
}

type entry struct {
	value []byte
	ttl   time.Duration
}

// perEntry is what an entry takes beside its key and value, measured with a million of them.
const perEntry = 160

// NewMemory makes an empty store. opts may be nil.
func NewMemory(opts *MemoryOptions) *Memory {
	limit := int64(64 << 20)
	if opts != nil && opts.MaxBytes > 0 {
		limit = opts.MaxBytes
	}
	return &Memory{entries: otter.Must(&otter.Options[string, entry]{
		MaximumWeight: uint64(limit),
		Weigher: func(key string, e entry) uint32 {
			return uint32(min(int64(len(key)+len(e.value)+perEntry), 1<<32-1))
		},
		ExpiryCalculator: otter.ExpiryWritingFunc(func(e otter.Entry[string, entry]) time.Duration { return e.Value.ttl }),
		// Housekeeping runs with the calls that cause it: no goroutine of theirs outlives Close.
		Executor: func(work func()) { work() },
	})}
}

// Close forgets everything. What is asked of the store afterwards is refused.
func (m *Memory) Close() error {
	if !m.closed.Swap(true) {
		m.entries.StopAllGoroutines()
		m.entries.InvalidateAll()
	}
	return nil
}

// ready says why nothing can be done.
func (m *Memory) ready(ctx context.Context) error {
	if m.closed.Load() {
		return fmt.Errorf("cache: Memory: %w", holysheep.ErrClosed)
	}
	return ctx.Err()
}

// Get implements [Store].
func (m *Memory) Get(ctx context.Context, key string) (value []byte, ok bool, err error) {
	if err := m.ready(ctx); err != nil {
		return nil, false, err
	}
	e, ok := m.entries.GetIfPresent(key)
	return e.value, ok, nil
}

// Set implements [Store].
func (m *Memory) Set(ctx context.Context, key string, value []byte, ttl time.Duration) error {
	if err := m.ready(ctx); err != nil {
		return err
	}
	m.entries.Set(key, entry{value, max(ttl, 1)})
	return nil
}

// Delete implements [Store].
func (m *Memory) Delete(ctx context.Context, keys ...string) error {
	if err := m.ready(ctx); err != nil {
		return err
	}
	for _, key := range keys {
		m.entries.Invalidate(key)
	}
	return nil
}

var errNoPrefix = errors.New("cache: an empty prefix would clear everything")

// Clear implements [Clearer]. It looks at every key.
func (m *Memory) Clear(ctx context.Context, prefix string) error {
	if prefix == "" {
		return errNoPrefix
	}
	if err := m.ready(ctx); err != nil {
		return err
	}
	for key := range m.entries.Keys() {
		if strings.HasPrefix(key, prefix) {
			m.entries.Invalidate(key)
		}
	}
	return nil
}
