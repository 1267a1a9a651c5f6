package cache

import (
	"fmt"
	"math"
	"runtime"
	"sync"
	"time"

	"github.com/viterin/vek/vek32"

	"github.com/holysheep-ai/holysheep-go"
)

// partition holds the vectors that are compared with each other, side by side in memory: a scan is as fast as memory
// can be read. They lie in blocks, so that growing never copies more than one.
type partition struct {
	name       string
	dimensions int

	mu     sync.RWMutex
	blocks [][]float32
	items  []*item // in the order of the vectors
	byID   map[string]*item
	dead   bool // given up: empty, and no longer in the map
}

// A block has so many vectors. The first one grows to it, because most partitions are small.
const perBlock = 1024

// add takes an item in; not when the partition has been given up.
func (p *partition) add(m *MemoryNeighbours, it *item) (bool, error) {
	p.mu.Lock()
	defer p.mu.Unlock()
	if p.dead {
		return false, nil
	}
	if len(it.Vector) != p.dimensions {
		return false, &holysheep.RequestError{
			Field: "Entry.Vector", Reason: fmt.Sprintf("%d dimensions, and the others of its partition have %d", len(it.Vector), p.dimensions),
		}
	}
	if before := p.byID[it.ID]; before != nil {
		p.drop(before)
		p.dead = false // it is filled again at once
		m.leave(before)
	}
	it.partition, it.place = p, len(p.items)
	block := it.place / perBlock
	if block == len(p.blocks) {
		var rows []float32
		if block > 0 {
			rows = make([]float32, 0, perBlock*p.dimensions)
		}
		p.blocks = append(p.blocks, rows)
	}
	p.blocks[block] = append(p.blocks[block], it.Vector...)
	it.Vector = nil // it is in the block
	p.items = append(p.items, it)
	p.byID[it.ID] = it
	m.enter(it)
	return true, nil
}

// remove takes an item out; false when it is out already.
func (p *partition) remove(m *MemoryNeighbours, it *item) bool {
	p.mu.Lock()
	defer p.mu.Unlock()
	if p.byID[it.ID] != it {
		return false
	}
	p.drop(it)
	m.leave(it)
	return true
}

// drop moves the last item to the place of this one. The lock is held.
func (p *partition) drop(it *item) {
	end := len(p.items) - 1
	last := p.items[end]
	copy(p.row(it.place), p.row(end))
	last.place = it.place
	p.items[it.place] = last
	p.items[end] = nil
	p.items = p.items[:end]
	block := end / perBlock
	if p.blocks[block] = p.blocks[block][:end%perBlock*p.dimensions]; len(p.blocks[block]) == 0 {
		p.blocks[block] = nil
		p.blocks = p.blocks[:block]
	}
	delete(p.byID, it.ID)
	p.dead = end == 0
}

func (p *partition) row(place int) []float32 {
	at := place % perBlock * p.dimensions
	return p.blocks[place/perBlock][at : at+p.dimensions]
}

func (p *partition) find(id string) *item {
	if p == nil {
		return nil
	}
	p.mu.RLock()
	defer p.mu.RUnlock()
	return p.byID[id]
}

// those gives the items that which describes.
func (p *partition) those(which Which) (found []*item) {
	p.mu.RLock()
	defer p.mu.RUnlock()
	for _, it := range p.items {
		if which.matches(&it.Entry) {
			found = append(found, it)
		}
	}
	return found
}

// From so many entries on the blocks are shared out among processors: below it a goroutine costs more than it saves.
const parallelFrom = 4 * perBlock

// nearest gives the k nearest.
func (p *partition) nearest(vector []float32, k int) []Neighbour {
	p.mu.RLock()
	defer p.mu.RUnlock()
	k = min(k, len(p.items))
	now := time.Now()
	workers := 1
	if len(p.items) >= parallelFrom {
		workers = min(runtime.GOMAXPROCS(0), len(p.blocks), 8)
	}
	best := ranking{k: k, places: make([]ranked, 0, k)}
	if workers == 1 {
		p.scan(&best, vector, 0, 1, now)
	} else {
		shares := make([]ranking, workers)
		var all sync.WaitGroup
		for i := range shares {
			shares[i] = ranking{k: k, places: make([]ranked, 0, k)}
			all.Go(func() { p.scan(&shares[i], vector, i, workers, now) })
		}
		all.Wait()
		for _, share := range shares {
			for _, r := range share.places {
				best.add(r)
			}
		}
	}
	found := make([]Neighbour, len(best.places))
	for i, r := range best.places {
		it := p.items[r.place]
		if i == 0 && !it.used.Load() {
			it.used.Store(true)
		}
		found[i] = Neighbour{
			ID: it.ID, Similarity: float64(r.similarity), Meta: it.Meta, Answer: it.Answer, Created: it.Created,
			Right: it.right.Load(), Wrong: it.wrong.Load(),
		}
	}
	return found
}

// scan looks at every step-th block from the first one on.
func (p *partition) scan(best *ranking, vector []float32, first, step int, now time.Time) {
	for b := first; b < len(p.blocks); b += step {
		rows := p.blocks[b]
		for i := 0; i*p.dimensions < len(rows); i++ {
			similarity := vek32.Dot(vector, rows[i*p.dimensions:(i+1)*p.dimensions])
			r := ranked{b*perBlock + i, similarity}
			if best.takes(r) && p.items[r.place].Expires.After(now) {
				best.add(r)
			}
		}
	}
}

// ranking keeps the k best, best first. Equally good ones are in the order they came in, so that what is found does
// not depend on how the work was shared.
type ranking struct {
	k      int
	places []ranked
}

type ranked struct {
	place      int
	similarity float32
}

func (r ranked) before(s ranked) bool {
	return r.similarity > s.similarity || r.similarity == s.similarity && r.place < s.place
}

// takes is false for what would not be among the best, NaN included.
func (b *ranking) takes(r ranked) bool {
	if r.similarity != r.similarity {
		return false
	}
	return len(b.places) < b.k || r.before(b.places[len(b.places)-1])
}

func (b *ranking) add(r ranked) {
	if !b.takes(r) {
		return
	}
	if len(b.places) < b.k {
		b.places = append(b.places, r)
	} else {
		b.places[len(b.places)-1] = r
	}
	for i := len(b.places) - 1; i > 0 && b.places[i].before(b.places[i-1]); i-- {
		b.places[i], b.places[i-1] = b.places[i-1], b.places[i]
	}
}

// normalize makes v one of length 1. It is false for one that has no direction.
func normalize(v []float32) bool {
	if len(v) == 0 {
		return false
	}
	length := float64(vek32.Dot(v, v))
	if !(length > 0) || math.IsInf(length, 0) {
		return false
	}
	if math.Abs(length-1) > 1e-6 {
		vek32.MulNumber_Inplace(v, float32(1/math.Sqrt(length)))
	}
	return true
}
