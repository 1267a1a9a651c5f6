package redisstore

import (
	"context"
	"crypto/rand"
	"encoding/binary"
	"errors"
	"math"
	"slices"

	"github.com/redis/go-redis/v9"

	"github.com/holysheep-ai/holysheep-go/cache"
)

// head is what is known of an entry beside its vector and its answer.
type head struct {
	nonce             string
	created           int64 // ms
	namespace, tenant string
	tags              []string
	meta              []byte
}

const (
	nonceSize   = 8
	headVersion = 1
)

func newHead(e *cache.Entry) *head {
	return &head{
		nonce: rand.Text()[:nonceSize], created: e.Created.UnixMilli(), // 40 bits
		namespace: e.Namespace, tenant: e.Tenant, tags: e.Tags, meta: e.Meta,
	}
}

// element is the entry's in the vector set.
func (h *head) element(id string) string { return h.nonce + id }

func (h *head) bytes() []byte {
	b := append([]byte(h.nonce), headVersion)
	b = binary.BigEndian.AppendUint64(b, uint64(h.created))
	b = binary.AppendUvarint(b, uint64(len(h.tags)))
	for _, s := range append([]string{h.namespace, h.tenant}, h.tags...) {
		b = append(binary.AppendUvarint(b, uint64(len(s))), s...)
	}
	return append(b, h.meta...)
}

// readHead reads what bytes wrote; not what is cut off or of another version.
func readHead(s string) (h head, ok bool) {
	const fixed = nonceSize + 1 + 8
	if len(s) < fixed || s[nonceSize] != headVersion {
		return h, false
	}
	h.nonce = s[:nonceSize]
	rest := []byte(s[nonceSize+1:])
	h.created = int64(binary.BigEndian.Uint64(rest))
	rest = rest[8:]
	count, n := binary.Uvarint(rest)
	if n <= 0 || count > uint64(len(rest)) {
		return h, false
	}
	rest = rest[n:]
	texts := make([]string, 2+count)
	for i := range texts {
		size, n := binary.Uvarint(rest)
		if n <= 0 || size > uint64(len(rest)-n) {
			return h, false
		}
		texts[i] = string(rest[n : n+int(size)])
		rest = rest[n+int(size):]
	}
	h.namespace, h.tenant, h.tags, h.meta = texts[0], texts[1], texts[2:], rest
	return h, true
}

// matches reports whether which describes the entry, of the partition and the ID that were asked for.
func (h *head) matches(which *cache.Which) bool {
	return (which.Namespace == "" || h.namespace == which.Namespace) &&
		(which.Tenant == "" || h.tenant == which.Tenant) &&
		(which.Tag == "" || slices.Contains(h.tags, which.Tag)) &&
		(which.Before.IsZero() || h.created < which.Before.UnixMilli())
}

// deleteFrom deletes what which describes from one partition. What cannot be read goes with it: it is of no use, and
// might be what was to be erased.
func (n *Neighbours) deleteFrom(ctx context.Context, base string, which cache.Which) (int, error) {
	keys := keysOf(base)
	if which == (cache.Which{Partition: which.Partition}) {
		return dropScript.Run(ctx, n.rdb, keys, math.MaxInt32).Int()
	}
	elements, all, err := n.described(ctx, keys[1], which)
	if err != nil || len(elements) == 0 {
		return 0, err
	}
	if which.ID == "" && len(elements) == all { // as for a tenant, whose partitions are his alone
		if gone, err := dropScript.Run(ctx, n.rdb, keys, all).Int(); err != nil || gone >= 0 {
			return max(gone, 0), err
		}
	}
	gone := 0
	for some := range slices.Chunk(elements, 50) { // 10 ms of the time of Redis
		one, err := removeScript.Run(ctx, n.rdb, keys, some...).Int()
		if gone += one; err != nil {
			return gone, err
		}
	}
	return gone, nil
}

// described gives the elements that which describes, and the number of all that it looked at.
func (n *Neighbours) described(ctx context.Context, entries string, which cache.Which) (elements []any, all int, err error) {
	take := func(id, raw string) {
		all++
		if h, ok := readHead(raw); len(raw) >= nonceSize && (!ok || h.matches(&which)) {
			elements = append(elements, raw[:nonceSize]+id)
		}
	}
	if which.ID != "" {
		raw, err := n.rdb.HGet(ctx, entries, "h"+which.ID).Result()
		if err == nil {
			take(which.ID, raw)
		} else if errors.Is(err, redis.Nil) {
			err = nil
		}
		return elements, all, err
	}
	seen := map[string]bool{} // a scan may give a field twice
	for cursor := uint64(0); ; {
		fields, next, err := n.rdb.HScan(ctx, entries, cursor, "h*", 1000).Result()
		if redis.HasErrorPrefix(err, "WRONGTYPE") {
			return nil, 0, nil // not ours
		}
		if err != nil {
			return nil, 0, err
		}
		for i := 0; i+1 < len(fields); i += 2 {
			if id := fields[i][1:]; !seen[id] {
				seen[id] = true
				take(id, fields[i+1])
			}
		}
		if cursor = next; cursor == 0 {
			return elements, all, nil
		}
	}
}

// vectorBytes is a vector as Redis takes it.
func vectorBytes(v []float32) []byte {
	b := make([]byte, 0, 4*len(v))
	for _, x := range v {
		b = binary.LittleEndian.AppendUint32(b, math.Float32bits(x))
	}
	return b
}
