package route

import (
	"math/bits"
	"sync"
	"time"
)

// seenTimes remembers the latest times to a first token of one model: the 95th percentile of those of the last minutes.
// A model that is no longer asked because it was slow is forgotten to be slow after that. Safe for concurrent use.
type seenTimes struct {
	mu     sync.Mutex
	ring   [seenMost]seenTime
	next   int
	stored int
	counts [64]uint16 // of the buckets of what is in the ring
}

type seenTime struct {
	at     time.Time
	bucket uint8
}

const (
	seenMost  = 256
	seenLeast = 20 // fewer say nothing of a percentile
	seenFor   = 5 * time.Minute
)

// add counts a time.
func (s *seenTimes) add(now time.Time, d time.Duration) {
	s.mu.Lock()
	defer s.mu.Unlock()
	if s.stored == seenMost {
		s.counts[s.ring[s.next].bucket]--
		s.stored--
	}
	b := bucketOf(d)
	s.ring[s.next] = seenTime{now, b}
	s.counts[b]++
	s.next = (s.next + 1) % seenMost
	s.stored++
}

// p95 is 0 while too little is known. It errs upward by at most a quarter, the width of a bucket.
func (s *seenTimes) p95(now time.Time) time.Duration {
	s.mu.Lock()
	defer s.mu.Unlock()
	for s.stored > 0 {
		oldest := &s.ring[(s.next-s.stored+seenMost)%seenMost]
		if now.Sub(oldest.at) <= seenFor {
			break
		}
		s.counts[oldest.bucket]--
		s.stored--
	}
	if s.stored < seenLeast {
		return 0
	}
	above := s.stored / 20 // so many may be slower
	for b := len(s.counts) - 1; b > 0; b-- {
		if above -= int(s.counts[b]); above < 0 {
			return bucketEnd(uint8(b))
		}
	}
	return bucketEnd(0)
}

// Buckets are a quarter of an octave of milliseconds wide, from 1 ms up to 65 s and over.

func bucketOf(d time.Duration) uint8 {
	ms := uint64(max(d.Milliseconds(), 1))
	octave := bits.Len64(ms) - 1
	quarter := ms << 2 >> octave & 3
	return uint8(min(octave*4+int(quarter), 63))
}

// bucketEnd is the longest time of a bucket.
func bucketEnd(b uint8) time.Duration {
	octave, quarter := b/4, b%4
	return time.Duration(5+quarter) * time.Millisecond << octave / 4
}
