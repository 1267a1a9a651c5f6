package tokens

import (
	"errors"
	"fmt"
	"hash/maphash"
	"sync"

	"github.com/pkoukk/tiktoken-go"
	loader "github.com/pkoukk/tiktoken-go-loader"
)

// offline is said to tiktoken-go once, for the whole process: its own default downloads vocabularies, without a time
// limit and without a look at the status code.
var offline = sync.OnceValue(func() tiktoken.BpeLoader {
	l := loader.NewOfflineLoader()
	tiktoken.SetBpeLoader(l)
	return l
})

var (
	o200k  = sync.OnceValues(func() (*encoding, error) { return load(tiktoken.MODEL_O200K_BASE, splitO200k) })
	cl100k = sync.OnceValues(func() (*encoding, error) { return load(tiktoken.MODEL_CL100K_BASE, splitCL100k) })
)

// encoding is a vocabulary and the rule by which text is cut before it is merged. It is never written to after it was
// loaded. Its tables have no pointers, so that the garbage collector need not look at them, and open addressing, of
// which half the slots are free.
type encoding struct {
	split splitter
	class *classes
	pairs []int32 // ranks of two bytes, by first<<8 | second
	short []shortSlot
	long  []longSlot
	seed  maphash.Seed
	start []uint32 // where the token of a rank begins in bytes; one more at the end
	bytes string
	most  int // bytes of the longest token
}

// shortSlot is a token of three to eight bytes, which most lookups are for: it is found in one place of memory, where
// those of longSlot take three.
type shortSlot struct {
	key  uint64
	rank int32 // plus 1; 0 is an empty slot
	size int32
}

type longSlot struct {
	tag  uint32
	rank int32 // plus 1; 0 is an empty slot
}

const shortToken = 8

// pack makes a key of three to eight bytes.
func pack(s string) uint64 {
	n := len(s)
	if n == 3 {
		return uint64(s[0]) | uint64(s[1])<<8 | uint64(s[2])<<16
	}
	a, z := s[:4], s[n-4:]
	first := uint32(a[0]) | uint32(a[1])<<8 | uint32(a[2])<<16 | uint32(a[3])<<24
	last := uint32(z[0]) | uint32(z[1])<<8 | uint32(z[2])<<16 | uint32(z[3])<<24
	return uint64(first) | uint64(last)<<(8*(n-4)) // they overlap where they are equal
}

// place is where the search for a key begins. The factor is 2^64 divided by the golden ratio (Knuth, 6.4).
func (e *encoding) place(key uint64) int {
	key *= 0x9e3779b97f4a7c15
	return int(key>>32) & (len(e.short) - 1)
}

const none = -1

func load(name string, split splitter) (*encoding, error) {
	ranks, err := offline().LoadTiktokenBpe(name + ".tiktoken")
	if err != nil {
		return nil, fmt.Errorf("tokens: the tables of %s: %w", name, err)
	}
	e := &encoding{split: split, class: unicodeClasses(), seed: maphash.MakeSeed()}
	if err := e.fill(ranks); err != nil {
		return nil, fmt.Errorf("tokens: the tables of %s: %w", name, err)
	}
	return e, nil
}

func (e *encoding) fill(ranks map[string]int) error {
	byRank := make([]string, len(ranks))
	size, shorts := 0, 0
	for token, rank := range ranks {
		if rank < 0 || rank >= len(byRank) || byRank[rank] != "" {
			return errors.New("the ranks have gaps or duplicates")
		}
		byRank[rank] = token
		size += len(token)
		e.most = max(e.most, len(token))
		if len(token) <= shortToken {
			shorts++
		}
	}
	e.short = make([]shortSlot, powerOfTwo(2*shorts))
	e.long = make([]longSlot, powerOfTwo(2*(len(byRank)-shorts)))
	e.start = make([]uint32, 0, len(byRank)+1)
	e.pairs = make([]int32, 1<<16)
	for i := range e.pairs {
		e.pairs[i] = none
	}
	text := make([]byte, 0, size)
	var single [256]bool
	for rank, token := range byRank {
		e.start = append(e.start, uint32(len(text)))
		text = append(text, token...)
		switch {
		case len(token) == 1:
			single[token[0]] = true
		case len(token) == 2:
			e.pairs[int(token[0])<<8|int(token[1])] = int32(rank)
		case len(token) <= shortToken:
			key := pack(token)
			at := e.place(key)
			for e.short[at].rank != 0 {
				at = (at + 1) & (len(e.short) - 1)
			}
			e.short[at] = shortSlot{key: key, rank: int32(rank) + 1, size: int32(len(token))}
		default:
			hash := maphash.String(e.seed, token)
			at := int(hash) & (len(e.long) - 1)
			for e.long[at].rank != 0 {
				at = (at + 1) & (len(e.long) - 1)
			}
			e.long[at] = longSlot{tag: uint32(hash >> 32), rank: int32(rank) + 1}
		}
	}
	e.start = append(e.start, uint32(len(text)))
	e.bytes = string(text)
	for b, known := range single {
		if !known {
			return fmt.Errorf("byte %#x is missing", b)
		}
	}
	return nil
}

func powerOfTwo(atLeast int) int {
	n := 1
	for n < atLeast {
		n *= 2
	}
	return n
}

// rank of a text of two bytes or more; none when it is not a token.
func (e *encoding) rank(s string) int32 {
	switch {
	case len(s) == 2:
		return e.pairs[int(s[0])<<8|int(s[1])]
	case len(s) <= shortToken:
		key := pack(s)
		for at := e.place(key); ; at = (at + 1) & (len(e.short) - 1) {
			found := e.short[at]
			if found.rank == 0 {
				return none
			}
			if found.key == key && int(found.size) == len(s) {
				return found.rank - 1
			}
		}
	case len(s) <= e.most:
		return e.longRank(s)
	}
	return none
}

func (e *encoding) longRank(s string) int32 {
	hash := maphash.String(e.seed, s)
	tag := uint32(hash >> 32)
	for at := int(hash) & (len(e.long) - 1); ; at = (at + 1) & (len(e.long) - 1) {
		found := e.long[at]
		if found.rank == 0 {
			return none
		}
		if found.tag == tag && e.bytes[e.start[found.rank-1]:e.start[found.rank]] == s {
			return found.rank - 1
		}
	}
}
