package tokens

import (
	"context"
	"math"
	"slices"
)

// A piece that is no token is merged: of all neighbouring pairs that are a token together, the one of the lowest rank
// becomes one, the leftmost first, until none is left. Pieces up to this many bytes are searched through for each merge,
// on the stack; in long ones that takes the square of their length, seconds for a hundred kilobytes.
const shortPiece = 128

// countPiece gives the number of tokens of a piece.
func (e *encoding) countPiece(ctx context.Context, piece string) (int64, error) {
	switch {
	case len(piece) == 1:
		return 1, nil
	case e.rank(piece) != none:
		return 1, nil
	case len(piece) <= shortPiece:
		return e.mergeShort(piece), nil
	}
	m := merger{encoding: e, piece: piece}
	return m.run(ctx)
}

const noPair = math.MaxInt32

func (e *encoding) mergeShort(piece string) int64 {
	var (
		starts [shortPiece + 1]uint8 // of the parts, and the end of the last one
		ranks  [shortPiece]int32     // of a part together with the next
	)
	n := len(piece)
	for i := range n - 1 {
		starts[i] = uint8(i)
		ranks[i] = noPair
		if r := e.pairs[int(piece[i])<<8|int(piece[i+1])]; r != none {
			ranks[i] = r
		}
	}
	starts[n-1], starts[n] = uint8(n-1), uint8(n)
	ranks[n-1] = noPair
	for {
		least, at := int32(noPair), 0
		for i, r := range ranks[:n-1] {
			if r < least {
				least, at = r, i
			}
		}
		if least == noPair {
			return int64(n)
		}
		copy(starts[at+1:n], starts[at+2:n+1])
		copy(ranks[at+1:n-1], ranks[at+2:n])
		n--
		for _, i := range [2]int{at - 1, at} {
			if i < 0 || i+1 >= n {
				continue
			}
			ranks[i] = noPair
			if r := e.rank(piece[starts[i]:starts[i+2]]); r != none {
				ranks[i] = r
			}
		}
		ranks[n-1] = noPair
	}
}

// merger merges a long piece. Pairs wait in one list for each rank; the lists are taken by rank, each sorted by
// place when its turn comes, which is quick because it is nearly sorted. A merge can make a pair of a rank that is
// not above the one whose turn it is: such pairs wait in a heap and go before the rest of the list. They only come up
// beside the merge just made, so that the heap stays small and in the processor's cache, where one of all pairs would
// not. A megabyte of one letter takes 0.05 s, one of random letters 0.25.
type merger struct {
	*encoding
	piece string

	next  []int32 // where the part after the one that begins here begins
	prev  []int32
	ranks []int32 // of the part that begins here together with the next; none where no part begins

	waiting map[int32]*[]int32 // places by rank, all above turn
	order   []int32            // a heap of the ranks that wait
	early   []uint64           // a heap of rank<<32 | place, none above turn
	turn    int32
}

func (m *merger) run(ctx context.Context) (int64, error) {
	n := len(m.piece)
	if n > math.MaxInt32-1 {
		return 0, errTooLong
	}
	buf := make([]int32, 3*n+2)
	m.next, m.prev, m.ranks = buf[:n:n], buf[n:2*n+1:2*n+1], buf[2*n+1:]
	m.waiting = map[int32]*[]int32{}
	m.turn = -1
	for i := range n {
		m.next[i], m.prev[i+1] = int32(i+1), int32(i)
	}
	for i := range n {
		if i&0xffff == 0 {
			if err := ctx.Err(); err != nil {
				return 0, err
			}
		}
		m.pair(int32(i))
	}
	count := int64(n)
	var merges int
	merge := func(place int32) {
		count--
		merges++
		after := m.next[place]
		m.ranks[after] = none
		m.next[place] = m.next[after]
		m.prev[m.next[after]] = place
		m.pair(place)
		if place > 0 {
			m.pair(m.prev[place])
		}
	}
	for len(m.order) > 0 {
		m.turn = pop(&m.order)
		places := *m.waiting[m.turn]
		delete(m.waiting, m.turn)
		slices.Sort(places)
		for i := 0; i < len(places) || len(m.early) > 0; {
			if merges&0xfff == 0 {
				if err := ctx.Err(); err != nil {
					return 0, err
				}
			}
			if len(m.early) > 0 && (i == len(places) || m.early[0] < key(m.turn, places[i])) {
				first := pop(&m.early)
				if place := int32(first & math.MaxUint32); m.ranks[place] == int32(first>>32) {
					merge(place)
				}
				continue
			}
			if m.ranks[places[i]] == m.turn {
				merge(places[i])
			}
			i++
		}
	}
	return count, nil
}

func key(rank, place int32) uint64 { return uint64(rank)<<32 | uint64(place) }

// pair sets the rank of the part at place together with the next one, and lets it wait for its turn.
func (m *merger) pair(place int32) {
	m.ranks[place] = none
	after := int(m.next[place])
	if after == len(m.piece) {
		return
	}
	rank := m.rank(m.piece[place:m.next[after]])
	if rank == none {
		return
	}
	m.ranks[place] = rank
	if rank <= m.turn {
		push(&m.early, key(rank, place))
		return
	}
	places, ok := m.waiting[rank]
	if !ok {
		places = new([]int32)
		m.waiting[rank] = places
		push(&m.order, rank)
	}
	*places = append(*places, place)
}

// push and pop keep a binary heap, the least first.
func push[T int32 | uint64](heap *[]T, v T) {
	h := append(*heap, v)
	i := len(h) - 1
	for i > 0 {
		up := (i - 1) / 2
		if h[up] <= v {
			break
		}
		h[i] = h[up]
		i = up
	}
	h[i] = v
	*heap = h
}

func pop[T int32 | uint64](heap *[]T) T {
	h := *heap
	first, v := h[0], h[len(h)-1]
	h = h[:len(h)-1]
	*heap = h
	i := 0
	for {
		down := 2*i + 1
		if down >= len(h) {
			break
		}
		if down+1 < len(h) && h[down+1] < h[down] {
			down++
		}
		if v <= h[down] {
			break
		}
		h[i] = h[down]
		i = down
	}
	if len(h) > 0 {
		h[i] = v
	}
	return first
}
