package cache

import (
	"container/list"
	"context"
	"errors"
	"fmt"
	"maps"
	"slices"
	"sync"
	"sync/atomic"
	"time"
)

// MemoryNeighbours are [Neighbours] in the memory of this process. What is nearest is found by looking at every
// vector, which finds all of them: 0.1 ms for 10,000 entries of a partition, some milliseconds for 100,000. It has no
// goroutine and needs no closing.
type MemoryNeighbours struct {
	maxEntries int
	maxBytes   int64

	mu         sync.RWMutex // of the two below; taken after a partition's, never before
	partitions map[string]*partition
	queue      *list.List // of *item: whose turn it is to go is in front
	entries    int
	bytes      int64

	books sync.Map // by name, of *book
}

// MemoryNeighboursOptions bound the memory. The zero value of each field is its default.
type MemoryNeighboursOptions struct {
	// MaxEntries over all partitions. Over it entries go: those that have expired, and then, from the oldest on, those
	// that were nearest to no question since it was last their turn. Default: 100,000.
	MaxEntries int

	// MaxBytes of vectors, answers and what they are kept in, likewise. Default: 1 GiB.
	MaxBytes int64
}

// item is an entry in its partition.
type item struct {
	Entry
	partition    *partition
	place        int // in the partition
	bytes        int64
	queued       *list.Element
	right, wrong atomic.Int64
	used         atomic.Bool // was nearest since it was last its turn to go
}

// book is a set of counters.
type book struct {
	mu       sync.Mutex
	counters map[string]int64
}

const itemOverhead = 400 // bytes of an entry beside what it holds, as measured on the heap

// NewMemoryNeighbours makes one; opts may be nil. Negative bounds are those of the default.
func NewMemoryNeighbours(opts *MemoryNeighboursOptions) *MemoryNeighbours {
	m := &MemoryNeighbours{maxEntries: 100_000, maxBytes: 1 << 30, partitions: map[string]*partition{}, queue: list.New()}
	if opts != nil && opts.MaxEntries > 0 {
		m.maxEntries = opts.MaxEntries
	}
	if opts != nil && opts.MaxBytes > 0 {
		m.maxBytes = opts.MaxBytes
	}
	return m
}

var _ Neighbours = (*MemoryNeighbours)(nil)

// Len is how many entries there are, expired ones that are not swept yet included.
func (m *MemoryNeighbours) Len() int {
	m.mu.RLock()
	defer m.mu.RUnlock()
	return m.entries
}

// Add implements [Neighbours]. An entry larger than MaxBytes is an error.
func (m *MemoryNeighbours) Add(ctx context.Context, e Entry) error {
	if err := ctx.Err(); err != nil {
		return err
	}
	if err := e.Check(); err != nil {
		return err
	}
	it := &item{Entry: e, bytes: int64(4*len(e.Vector)+len(e.Meta)+len(e.Answer)+len(e.ID)) + itemOverhead}
	if it.bytes > m.maxBytes {
		return fmt.Errorf("cache: an entry of %d bytes is more than the %d that are kept", it.bytes, m.maxBytes)
	}
	for {
		p := m.partition(e.Partition, len(e.Vector))
		added, err := p.add(m, it)
		if err != nil {
			return err
		}
		if added {
			break
		} // else p was given up between the two
	}
	m.evict()
	return nil
}

// partition gives the one of this name, a new one if there is none.
func (m *MemoryNeighbours) partition(name string, dimensions int) *partition {
	m.mu.RLock()
	p := m.partitions[name]
	m.mu.RUnlock()
	if p != nil {
		return p
	}
	m.mu.Lock()
	defer m.mu.Unlock()
	if p = m.partitions[name]; p == nil {
		p = &partition{name: name, dimensions: dimensions, byID: map[string]*item{}}
		m.partitions[name] = p
	}
	return p
}

// enter and leave keep the queue and the sums. The lock of the item's partition is held.
func (m *MemoryNeighbours) enter(it *item) {
	m.mu.Lock()
	defer m.mu.Unlock()
	it.queued = m.queue.PushBack(it)
	m.entries++
	m.bytes += it.bytes
}

func (m *MemoryNeighbours) leave(it *item) {
	m.mu.Lock()
	defer m.mu.Unlock()
	m.queue.Remove(it.queued)
	m.entries--
	m.bytes -= it.bytes
	if it.partition.dead {
		delete(m.partitions, it.partition.name)
	}
}

// evict sweeps what has expired from the front of the queue, and more while there is too much.
func (m *MemoryNeighbours) evict() {
	now := time.Now()
	for {
		m.mu.Lock()
		front := m.queue.Front()
		if front == nil {
			m.mu.Unlock()
			return
		}
		it := front.Value.(*item)
		full := m.entries > m.maxEntries || m.bytes > m.maxBytes
		expired := !it.Expires.After(now)
		if full && !expired && it.used.Swap(false) {
			m.queue.MoveToBack(front) // it has earned another round
			m.mu.Unlock()
			continue
		}
		m.mu.Unlock()
		if !full && !expired {
			return
		}
		it.partition.remove(m, it)
	}
}

// Nearest implements [Neighbours].
func (m *MemoryNeighbours) Nearest(ctx context.Context, name string, vector []float32, k, _ int) ([]Neighbour, error) {
	if err := ctx.Err(); err != nil {
		return nil, err
	}
	if err := CheckVector(vector); err != nil {
		return nil, err
	}
	m.mu.RLock()
	p := m.partitions[name]
	m.mu.RUnlock()
	if p == nil || k <= 0 || len(vector) != p.dimensions {
		return nil, nil
	}
	return p.nearest(vector, k), nil
}

// Judge implements [Neighbours].
func (m *MemoryNeighbours) Judge(ctx context.Context, name, id string, right, wrong int64) error {
	if err := ctx.Err(); err != nil {
		return err
	}
	m.mu.RLock()
	p := m.partitions[name]
	m.mu.RUnlock()
	if it := p.find(id); it != nil {
		it.right.Add(right)
		it.wrong.Add(wrong)
	}
	return nil
}

// Count implements [Neighbours].
func (m *MemoryNeighbours) Count(ctx context.Context, name string, deltas map[string]int64) (map[string]int64, error) {
	if err := ctx.Err(); err != nil {
		return nil, err
	}
	found, ok := m.books.Load(name)
	if !ok {
		if len(deltas) == 0 {
			return map[string]int64{}, nil
		}
		found, _ = m.books.LoadOrStore(name, &book{counters: map[string]int64{}})
	}
	b := found.(*book)
	b.mu.Lock()
	defer b.mu.Unlock()
	for counter, n := range deltas {
		b.counters[counter] += n
	}
	return maps.Clone(b.counters), nil
}

// Delete implements [Neighbours].
func (m *MemoryNeighbours) Delete(ctx context.Context, which Which) (int, error) {
	switch {
	case ctx.Err() != nil:
		return 0, ctx.Err()
	case which.empty():
		return 0, errors.New("cache: Delete: nothing is said of what")
	case which.Book != "":
		m.books.Delete(which.Book)
		return 0, nil
	}
	m.mu.RLock()
	var partitions []*partition
	if which.Partition == "" {
		partitions = slices.Collect(maps.Values(m.partitions))
	} else if p := m.partitions[which.Partition]; p != nil {
		partitions = append(partitions, p)
	}
	m.mu.RUnlock()
	n := 0
	for _, p := range partitions {
		for _, it := range p.those(which) {
			if p.remove(m, it) {
				n++
			}
		}
	}
	return n, nil
}

func (w Which) matches(e *Entry) bool {
	return (w.ID == "" || e.ID == w.ID) &&
		(w.Namespace == "" || e.Namespace == w.Namespace) &&
		(w.Tenant == "" || e.Tenant == w.Tenant) &&
		(w.Tag == "" || slices.Contains(e.Tags, w.Tag)) &&
		(w.Before.IsZero() || e.Created.Before(w.Before))
}
