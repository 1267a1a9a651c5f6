package cache

import (
	"bytes"
	"context"
	"crypto/aes"
	"crypto/cipher"
	crand "crypto/rand"
	"encoding/binary"
	"errors"
	"math/rand/v2"
	"runtime"
	"strings"
	"testing"
	"time"

	"github.com/golang/snappy"
	"github.com/stretchr/testify/require"
)

// gcm seals with AES-GCM, as a user would.
type gcm struct{ cipher.AEAD }

func newGCM(tb testing.TB, key string) gcm {
	tb.Helper()
	block, err := aes.NewCipher([]byte(key))
	require.NoError(tb, err)
	aead, err := cipher.NewGCM(block)
	require.NoError(tb, err)
	return gcm{aead}
}

func (g gcm) Seal(plain []byte) ([]byte, error) {
	nonce := make([]byte, g.NonceSize(), g.NonceSize()+len(plain)+g.Overhead())
	_, _ = crand.Read(nonce)
	return g.AEAD.Seal(nonce, nonce, plain, nil), nil
}

func (g gcm) Open(sealed []byte) ([]byte, error) {
	if len(sealed) < g.NonceSize() {
		return nil, errors.New("too short")
	}
	return g.AEAD.Open(nil, sealed[:g.NonceSize()], sealed[g.NonceSize():], nil)
}

func random(n int) []byte {
	b := make([]byte, n)
	_, _ = rand.NewChaCha8([32]byte{1}).Read(b)
	return b
}

func TestEnvelope(t *testing.T) {
	prose := strings.Repeat("Items may be returned within 30 days of delivery. ", 1000)
	seal := newGCM(t, "0123456789abcdef")
	for name, tt := range map[string]struct {
		value  []byte
		packed bool
	}{
		"nothing": {nil, false}, "short": {[]byte("an answer"), false}, "zero": {[]byte{0}, false},
		"prose":                   {[]byte(prose), true},
		"prose that is short":     {[]byte(prose[:packFrom-1]), false},
		"prose that is long now":  {[]byte(prose[:packFrom]), true},
		"what does not get small": {random(3 * packFrom), false},
	} {
		for what, s := range map[string]Sealer{"open": nil, "sealed": seal} {
			t.Run(name+"/"+what, func(t *testing.T) {
				raw, err := wrap("key", tt.value, s)
				require.NoError(t, err)
				require.Equal(t, tt.packed, raw[3]&flagPacked != 0)
				if tt.packed {
					require.Less(t, len(raw), len(tt.value)/2)
				} else {
					require.Less(t, len(raw), len(tt.value)+64)
				}
				got, err := unwrap("key", raw, s)
				require.NoError(t, err)
				require.Equal(t, string(tt.value), string(got))
				_, err = unwrap("kez", raw, s)
				require.ErrorIs(t, err, errForeign)
			})
		}
	}
	_, err := wrap("key", make([]byte, maxValue+1), nil)
	require.Error(t, err)
}

func TestSeal(t *testing.T) {
	seal, other := newGCM(t, "0123456789abcdef"), newGCM(t, "another key, 16.")
	secret := []byte("the answer is 42, and nobody may know")
	raw, err := wrap("tenant a", secret, seal)
	require.NoError(t, err)
	require.NotContains(t, string(raw), "answer")
	require.NotContains(t, string(raw), "tenant")
	for what, s := range map[string]Sealer{"without a sealer": nil, "with another key": other} {
		_, err := unwrap("tenant a", raw, s)
		require.Error(t, err, what)
	}
	// Somebody who can write to the store, and knows how a value is made, moves it to another key.
	moved := bytes.Clone(raw)
	binary.LittleEndian.PutUint32(moved[4:], checksum(moved[3], "tenant b", moved[headerSize:]))
	_, err = unwrap("tenant b", moved, seal)
	require.ErrorIs(t, err, errForeign)
	// What was stored in the open is not taken for sealed.
	open, err := wrap("tenant a", secret, nil)
	require.NoError(t, err)
	_, err = unwrap("tenant a", open, seal)
	require.ErrorIs(t, err, errForeign)

	m := NewMemory(nil)
	defer func() { _ = m.Close() }()
	s := newShelf(m, shelfOptions{Seal: seal})
	s.set(t.Context(), "key", secret, time.Hour)
	value, ok := s.get(t.Context(), "key")
	require.True(t, ok)
	require.Equal(t, secret, value)
	_, ok = newShelf(m, shelfOptions{Seal: other}).get(t.Context(), "key")
	require.False(t, ok)
	s = newShelf(m, shelfOptions{Seal: brokenSealer{}})
	s.set(t.Context(), "other", secret, time.Hour)
	require.Equal(t, int64(1), s.stats().Errors)
	_, ok, err = m.Get(context.Background(), "other")
	require.NoError(t, err)
	require.False(t, ok, "what cannot be sealed is not stored")
}

type brokenSealer struct{}

func (brokenSealer) Seal([]byte) ([]byte, error) { return nil, errors.New("no key") }

func (brokenSealer) Open([]byte) ([]byte, error) { return nil, errors.New("no key") }

// envelope makes one by hand.
func envelope(key string, flags byte, content []byte) []byte {
	raw := []byte{'h', 's', envelopeVersion, flags}
	raw = binary.LittleEndian.AppendUint32(raw, checksum(flags, key, content))
	return append(raw, content...)
}

// What claims to unpack to more than it can takes no memory.
func TestBombs(t *testing.T) {
	for name, content := range map[string][]byte{
		"a gigabyte":           append(binary.AppendUvarint(nil, 1<<30), 0),
		"below the limit":      append(binary.AppendUvarint(nil, maxValue), 0),
		"more than is allowed": snappy.Encode(nil, make([]byte, maxValue+1)),
	} {
		raw := envelope("key", flagPacked, content)
		var before, after runtime.MemStats
		runtime.ReadMemStats(&before)
		_, err := unwrap("key", raw, nil)
		runtime.ReadMemStats(&after)
		require.ErrorIs(t, err, errForeign, name)
		require.Less(t, after.TotalAlloc-before.TotalAlloc, uint64(1<<20), name)
	}
	zeros, err := unwrap("key", envelope("key", flagPacked, snappy.Encode(nil, make([]byte, maxValue))), nil)
	require.NoError(t, err)
	require.Len(t, zeros, maxValue)
}

func FuzzUnwrap(f *testing.F) {
	raw, err := wrap("key", []byte(strings.Repeat("prose ", 2000)), nil)
	require.NoError(f, err)
	f.Add(raw, true)
	f.Add([]byte("hs\x01\x00\x00\x00\x00\x00"), false)
	f.Add([]byte("hs\x01\x01\xff\xff\x03"), true)
	seal := newGCM(f, "0123456789abcdef")
	f.Fuzz(func(t *testing.T, data []byte, correct bool) {
		if correct && len(data) >= headerSize { // let it past the checksum
			binary.LittleEndian.PutUint32(data[4:], checksum(data[3], "key", data[headerSize:]))
		}
		for _, s := range []Sealer{nil, seal} {
			value, err := unwrap("key", data, s)
			if err == nil && len(value) > mostPerByte*len(data) {
				t.Fatalf("%d bytes became %d", len(data), len(value))
			}
		}
		for _, s := range []Sealer{nil, seal} {
			raw, err := wrap("key", data, s)
			if err != nil {
				t.Fatal(err)
			}
			if value, err := unwrap("key", raw, s); err != nil || !bytes.Equal(value, data) {
				t.Fatalf("%v: %q became %q", err, data, value)
			}
		}
	})
}
