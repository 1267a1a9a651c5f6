package cache

import (
	"encoding/json"
	"strings"
	"sync"
	"testing"
	"time"

	"github.com/holysheep-ai/holysheep-go"
)

// answerOf is a usual answer whose text is so long.
func answerOf(size int) *holysheep.ChatResponse {
	text := strings.Repeat("Items may be returned within 30 days of delivery, unless they were made to order. ", size/80+1)[:size]
	return &holysheep.ChatResponse{
		ID: "chatcmpl-123456789012345678901234", Requested: "gpt-4.1", Model: "gpt-4.1-2025-04-14",
		Usage: holysheep.Usage{PromptTokens: 1200, CompletionTokens: 900}, Cost: holysheep.Cost{USD: 9_600_000_000, AtMost: 9_600_000_000},
		Choices: []holysheep.Choice{{FinishReason: "stop", Message: holysheep.Assistant(text)}},
	}
}

func BenchmarkEncodeAnswer(b *testing.B) {
	resp, at := answerOf(4096), time.Now()
	b.ReportAllocs()
	for b.Loop() {
		if _, err := encodeAnswer(resp, at); err != nil {
			b.Fatal(err)
		}
	}
}

func BenchmarkDecodeAnswer(b *testing.B) {
	raw, err := encodeAnswer(answerOf(4096), time.Now())
	if err != nil {
		b.Fatal(err)
	}
	b.ReportAllocs()
	for b.Loop() {
		if _, _, err := decodeAnswer(raw); err != nil {
			b.Fatal(err)
		}
	}
}

// BenchmarkHit is what a hit takes beside hashing its key: out of memory, checked, decoded.
func BenchmarkHit(b *testing.B) {
	for name, size := range map[string]int{"4KiB": 4 << 10, "64KiB": 64 << 10} {
		b.Run(name, func(b *testing.B) {
			m := NewMemory(nil)
			defer func() { _ = m.Close() }()
			s := newShelf(m, shelfOptions{Kind: "cache.bench"})
			ctx, key := b.Context(), "hs:exact:"+strings.Repeat("0123456789abcdef", 4)
			raw, err := encodeAnswer(answerOf(size), time.Now())
			if err != nil {
				b.Fatal(err)
			}
			s.set(ctx, key, raw, time.Hour)
			b.ReportAllocs()
			for b.Loop() {
				raw, ok := s.get(ctx, key)
				if !ok {
					b.Fatal("a miss")
				}
				if _, _, err := decodeAnswer(raw); err != nil {
					b.Fatal(err)
				}
			}
		})
	}
}

func BenchmarkMemoryGet(b *testing.B) {
	m := NewMemory(nil)
	defer func() { _ = m.Close() }()
	ctx, key := b.Context(), "hs:exact:"+strings.Repeat("0123456789abcdef", 4)
	if err := m.Set(ctx, key, make([]byte, 4<<10), time.Hour); err != nil {
		b.Fatal(err)
	}
	b.ReportAllocs()
	for b.Loop() {
		if _, ok, _ := m.Get(ctx, key); !ok {
			b.Fatal("a miss")
		}
	}
}

// BenchmarkShelfOverhead is what time limit, breaker and goroutine add to a store that may wait.
func BenchmarkShelfOverhead(b *testing.B) {
	m := NewMemory(nil)
	defer func() { _ = m.Close() }()
	s := newShelf(struct{ Store }{m}, shelfOptions{Kind: "cache.bench"})
	ctx := b.Context()
	s.set(ctx, "key", make([]byte, 4<<10), time.Hour)
	b.ReportAllocs()
	for b.Loop() {
		if _, ok := s.get(ctx, "key"); !ok {
			b.Fatal("a miss")
		}
	}
}

// BenchmarkDecodeJSON is what encoding/json takes for the same answer, without its parts of many kinds: why answers have
// a form of their own.
func BenchmarkDecodeJSON(b *testing.B) {
	resp := answerOf(4096)
	type plain struct {
		ID, Requested, Model, Text, FinishReason string

		Usage holysheep.Usage
		Cost  holysheep.Cost
	}
	raw, err := json.Marshal(plain{resp.ID, resp.Requested, resp.Model, resp.Text(), resp.FinishReason(), resp.Usage, resp.Cost})
	if err != nil {
		b.Fatal(err)
	}
	b.ReportAllocs()
	for b.Loop() {
		var got plain
		if err := json.Unmarshal(raw, &got); err != nil {
			b.Fatal(err)
		}
	}
}

// BenchmarkReadMap is the least that any look-up takes: the floor of BenchmarkMemoryGet.
func BenchmarkReadMap(b *testing.B) {
	var mu sync.RWMutex
	key := "hs:exact:" + strings.Repeat("0123456789abcdef", 4)
	m := map[string][]byte{key: make([]byte, 4<<10)}
	for b.Loop() {
		mu.RLock()
		value, ok := m[key]
		mu.RUnlock()
		if !ok || value == nil {
			b.Fatal("a miss")
		}
	}
}
