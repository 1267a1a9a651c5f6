package redisstore

import (
	"testing"
	"time"

	"github.com/stretchr/testify/require"

	"github.com/holysheep-ai/holysheep-go/cache"
)

// Whatever somebody else wrote into the hash, reading it ends, and what can be read is what was written.
func FuzzReadHead(f *testing.F) {
	whole := newHead(&cache.Entry{
		Namespace: "support", Tenant: "acme", Tags: []string{"v1", ""}, Meta: []byte("meta"), Created: time.UnixMilli(1_700_000_000_000),
	}).bytes()
	f.Add(whole)
	f.Add(whole[:20])
	f.Add([]byte("12345678\x01\x00\x00\x00\x00\x00\x00\x00\x00\xff\xff\xff\xff\xff\xff\xff\xff\xff\x01"))
	f.Fuzz(func(t *testing.T, raw []byte) {
		h, ok := readHead(string(raw))
		if !ok {
			return
		}
		again, ok := readHead(string(h.bytes()))
		require.True(t, ok)
		require.Equal(t, h, again)
	})
}

func TestHeads(t *testing.T) {
	e := &cache.Entry{Namespace: "n", Tenant: "acme", Tags: []string{"v1", ""}, Meta: []byte{0, 0xff}, Created: time.UnixMilli(1_700_000_000_000)}
	h := newHead(e)
	got, ok := readHead(string(h.bytes()))
	require.True(t, ok)
	require.Equal(t, *h, got)
	for n := range len(h.bytes()) - len(e.Meta) { // which may have any length
		_, ok := readHead(string(h.bytes()[:n]))
		require.False(t, ok, "%d bytes of it", n)
	}
}
