// Package cachetest holds the tests that every [cache.Store] has to pass:
//
//	func TestStore(t *testing.T) { cachetest.Run(t, func(t *testing.T) cache.Store { return open(t) }) }
//
// What the store can do besides, as a [cache.BatchStore] or a [cache.Clearer], is tested as well. It uses the standard
// testing package only, and some seconds of real time.
package cachetest

import (
	"bytes"
	"context"
	"errors"
	"fmt"
	"math"
	"math/rand/v2"
	"slices"
	"strings"
	"sync"
	"testing"
	"time"

	"github.com/holysheep-ai/holysheep-go/cache"
)

// Run tests the stores that open gives. Each test asks for one of its own, which is empty or holds nothing under the
// keys of the suite; they all begin with "cachetest:". What is opened is closed with its test.
func Run(t *testing.T, open func(t *testing.T) cache.Store) {
	t.Helper()
	for name, test := range map[string]func(t *testing.T, s cache.Store){
		"SetAndGet":        setAndGet,
		"Overwrite":        overwrite,
		"Delete":           remove,
		"TTL":              ttl,
		"ShortTTL":         shortTTL,
		"LongTTL":          longTTL,
		"TTLIsThatOfSet":   ttlIsThatOfSet,
		"ValuesAreBytes":   valuesAreBytes,
		"KeysAreBytes":     keysAreBytes,
		"ValuesStay":       valuesStay,
		"Concurrent":       concurrent,
		"CancelledContext": cancelledContext,
		"GetMany":          getMany,
		"Clear":            clearPrefix,
		"ClearMany":        clearMany,
	} {
		t.Run(name, func(t *testing.T) { test(t, open(t)) })
	}
}

// k is a key that no other run of the suite has.
func k(t *testing.T, name string) string {
	return fmt.Sprintf("cachetest:%s:%d:%s", t.Name(), run, name)
}

var run = rand.Uint64()

func set(t *testing.T, s cache.Store, key string, value []byte, ttl time.Duration) {
	t.Helper()
	if err := s.Set(t.Context(), key, value, ttl); err != nil {
		t.Fatalf("Set %q: %v", key, err)
	}
}

func get(t *testing.T, s cache.Store, key string) (value []byte, ok bool) {
	t.Helper()
	value, ok, err := s.Get(t.Context(), key)
	if err != nil {
		t.Fatalf("Get %q: %v", key, err)
	}
	return value, ok
}

// has fails the test unless key has the value.
func has(t *testing.T, s cache.Store, key string, want []byte) {
	t.Helper()
	if got, ok := get(t, s, key); !ok || !bytes.Equal(got, want) {
		t.Fatalf("Get %q: %v, %d bytes %.40q, want %d bytes %.40q", key, ok, len(got), got, len(want), want)
	}
}

// hasNot fails the test if key has a value.
func hasNot(t *testing.T, s cache.Store, key string) {
	t.Helper()
	if got, ok := get(t, s, key); ok {
		t.Fatalf("Get %q: %d bytes %.40q, want none", key, len(got), got)
	}
}

// goes waits until key has no value.
func goes(t *testing.T, s cache.Store, key string) {
	t.Helper()
	for range 200 {
		if _, ok := get(t, s, key); !ok {
			return
		}
		time.Sleep(10 * time.Millisecond)
	}
	t.Fatalf("Get %q: its time is over, and it is still there", key)
}

func setAndGet(t *testing.T, s cache.Store) {
	a, b := k(t, "a"), k(t, "b")
	hasNot(t, s, a)
	set(t, s, a, []byte("1"), time.Hour)
	has(t, s, a, []byte("1"))
	has(t, s, a, []byte("1"))
	hasNot(t, s, b)
}

func overwrite(t *testing.T, s cache.Store) {
	a := k(t, "a")
	set(t, s, a, []byte("a long value"), time.Hour)
	set(t, s, a, []byte("short"), time.Hour)
	has(t, s, a, []byte("short"))
}

func remove(t *testing.T, s cache.Store) {
	keys := []string{k(t, "a"), k(t, "b"), k(t, "c")}
	for _, key := range keys {
		set(t, s, key, []byte(key), time.Hour)
	}
	for _, gone := range [][]string{{}, {k(t, "unknown")}, {keys[0], keys[2], k(t, "unknown")}, {keys[0]}} {
		if err := s.Delete(t.Context(), gone...); err != nil {
			t.Fatalf("Delete %q: %v", gone, err)
		}
	}
	hasNot(t, s, keys[0])
	has(t, s, keys[1], []byte(keys[1]))
	hasNot(t, s, keys[2])
}

func ttl(t *testing.T, s cache.Store) {
	a, b := k(t, "a"), k(t, "b")
	const short = 400 * time.Millisecond
	start := time.Now()
	set(t, s, a, []byte("1"), short)
	set(t, s, b, []byte("2"), time.Hour)
	if _, ok := get(t, s, a); !ok && time.Since(start) < short {
		t.Fatal("gone before its time")
	}
	time.Sleep(short)
	goes(t, s, a)
	has(t, s, b, []byte("2"))
	set(t, s, a, []byte("3"), time.Hour)
	has(t, s, a, []byte("3"))
}

// However short the time, it ends.
func shortTTL(t *testing.T, s cache.Store) {
	for _, d := range []time.Duration{1, time.Microsecond, 999 * time.Microsecond, time.Millisecond, 1500 * time.Microsecond} {
		key := k(t, d.String())
		set(t, s, key, []byte("1"), d)
		goes(t, s, key)
	}
}

func longTTL(t *testing.T, s cache.Store) {
	for _, d := range []time.Duration{365 * 24 * time.Hour, 100 * 365 * 24 * time.Hour, math.MaxInt64} {
		key := k(t, d.String())
		set(t, s, key, []byte("1"), d)
		has(t, s, key, []byte("1"))
	}
}

// The last Set decides, whether it lengthens or shortens.
func ttlIsThatOfSet(t *testing.T, s cache.Store) {
	longer, shorter := k(t, "longer"), k(t, "shorter")
	set(t, s, longer, []byte("1"), 50*time.Millisecond)
	set(t, s, longer, []byte("2"), time.Hour)
	set(t, s, shorter, []byte("1"), time.Hour)
	set(t, s, shorter, []byte("2"), 50*time.Millisecond)
	goes(t, s, shorter)
	has(t, s, longer, []byte("2"))
}

func valuesAreBytes(t *testing.T, s cache.Store) {
	big := make([]byte, 8<<20)
	source := rand.NewChaCha8([32]byte{})
	_, _ = source.Read(big)
	all := make([]byte, 256)
	for i := range all {
		all[i] = byte(i)
	}
	for name, value := range map[string][]byte{
		"nil": nil, "empty": {}, "zero": {0}, "zeros": make([]byte, 1000), "every byte": all, "not UTF-8": []byte("\xff\xfe"),
		"text": []byte("文字 and more"), "8 MiB": big,
	} {
		set(t, s, k(t, name), value, time.Hour)
		has(t, s, k(t, name), value)
	}
}

// Keys are compared byte by byte, and none is a part or a form of another.
func keysAreBytes(t *testing.T, s cache.Store) {
	names := []string{
		"", "a", "ab", "abc", "A", "a ", " a", "a\n", "a\x00", "a\x00b", "a\xff", "\xff\xfe", "é", "e\u0301", "文", "'", `"`, `\`, "%", "_", "*",
		"{a}", "{b}", "a:b", "a/b", "; DROP TABLE cache", "$1", "?", strings.Repeat("long", 250),
	}
	for _, name := range names {
		set(t, s, k(t, name), []byte("value of "+name), time.Hour)
	}
	for _, name := range names {
		has(t, s, k(t, name), []byte("value of "+name))
	}
	if err := s.Delete(t.Context(), k(t, "a"), k(t, "%")); err != nil {
		t.Fatal(err)
	}
	for _, name := range names {
		if name == "a" || name == "%" {
			hasNot(t, s, k(t, name))
		} else {
			has(t, s, k(t, name), []byte("value of "+name))
		}
	}
}

// What was read stays as it is, whatever becomes of its key.
func valuesStay(t *testing.T, s cache.Store) {
	a := k(t, "a")
	set(t, s, a, []byte("first"), time.Hour)
	first, _ := get(t, s, a)
	set(t, s, a, []byte("other"), time.Hour)
	if err := s.Delete(t.Context(), a); err != nil {
		t.Fatal(err)
	}
	set(t, s, a, []byte("third"), time.Hour)
	if string(first) != "first" {
		t.Fatalf("a value that was read has become %q", first)
	}
}

// Values are never mixed, and neither are keys.
func concurrent(t *testing.T, s cache.Store) {
	const keys, callers, rounds = 5, 16, 40
	names := make([]string, keys)
	for i := range names {
		names[i] = k(t, fmt.Sprint(i))
	}
	ctx := t.Context()
	var wg sync.WaitGroup
	for c := range callers {
		wg.Go(func() {
			source := rand.New(rand.NewPCG(uint64(c), 0))
			for range rounds {
				i := source.IntN(keys)
				switch source.IntN(8) {
				case 0:
					if err := s.Delete(ctx, names[i]); err != nil {
						t.Errorf("Delete: %v", err)
					}
				case 1, 2, 3:
					value := bytes.Repeat([]byte{byte(i), byte(c)}, 1+source.IntN(5000))
					if err := s.Set(ctx, names[i], value, time.Hour); err != nil {
						t.Errorf("Set: %v", err)
					}
				default:
					value, ok, err := s.Get(ctx, names[i])
					if err != nil {
						t.Errorf("Get: %v", err)
					}
					if ok && (len(value) < 2 || value[0] != byte(i) || !bytes.Equal(value, bytes.Repeat(value[:2], len(value)/2))) {
						t.Errorf("key %d has a value that nobody set: %.20q…, %d bytes", i, value, len(value))
					}
				}
			}
		})
	}
	wg.Wait()
}

func cancelledContext(t *testing.T, s cache.Store) {
	a := k(t, "a")
	set(t, s, a, []byte("1"), time.Hour)
	ctx, cancel := context.WithCancel(t.Context())
	cancel()
	start := time.Now()
	_, _, getErr := s.Get(ctx, a)
	errs := map[string]error{"Get": getErr, "Set": s.Set(ctx, k(t, "b"), nil, time.Hour), "Delete": s.Delete(ctx, a)}
	if b, ok := s.(cache.BatchStore); ok {
		_, errs["GetMany"] = b.GetMany(ctx, []string{a})
	}
	if c, ok := s.(cache.Clearer); ok {
		errs["Clear"] = c.Clear(ctx, a)
	}
	for what, err := range errs {
		if !errors.Is(err, context.Canceled) {
			t.Errorf("%s with a cancelled context: %v", what, err)
		}
	}
	if took := time.Since(start); took > 2*time.Second {
		t.Errorf("took %v to notice", took)
	}
	has(t, s, a, []byte("1"))
	hasNot(t, s, k(t, "b"))
}

func getMany(t *testing.T, s cache.Store) {
	b, ok := s.(cache.BatchStore)
	if !ok {
		t.Skip("not a BatchStore")
	}
	const n = 1000
	var keys []string
	want := map[string][]byte{}
	for i := range n {
		key := k(t, fmt.Sprint(i))
		keys = append(keys, key)
		if i%3 == 0 {
			continue // a miss
		}
		value := bytes.Repeat([]byte{byte(i)}, i%7)
		if i%10 == 1 || i > n-20 {
			set(t, s, key, value, time.Hour)
			want[key] = value
		}
	}
	set(t, s, k(t, "over"), []byte("1"), time.Millisecond)
	goes(t, s, k(t, "over"))
	keys = append(keys, keys[1], keys[0], k(t, "over"), k(t, "binary \xff\x00"))
	set(t, s, keys[len(keys)-1], []byte{0, 255}, time.Hour)
	want[keys[len(keys)-1]] = []byte{0, 255}
	slices.Reverse(keys)
	for _, ask := range [][]string{nil, keys[:1], {keys[len(keys)-2]}, keys} {
		got, err := b.GetMany(t.Context(), ask)
		if err != nil {
			t.Fatalf("GetMany of %d: %v", len(ask), err)
		}
		if len(got) != len(ask) {
			t.Fatalf("GetMany of %d: %d values", len(ask), len(got))
		}
		for i, key := range ask {
			value, there := want[key]
			if there != (got[i] != nil) || !bytes.Equal(got[i], value) {
				t.Fatalf("GetMany of %d: at %d %q (nil: %v), want %q (there: %v)", len(ask), i, got[i], got[i] == nil, value, there)
			}
		}
	}
}

// A prefix is taken to the letter, whatever it means to the language the store is asked in.
func clearPrefix(t *testing.T, s cache.Store) {
	c, ok := s.(cache.Clearer)
	if !ok {
		t.Skip("not a Clearer")
	}
	if err := c.Clear(t.Context(), ""); err == nil {
		t.Error("an empty prefix was taken: it stands for everything in the store, whosever it is")
	}
	for i, prefix := range []string{
		"a", "%", "_", "a%", "a_b", "*", "?", "[", "]", "[a-z]", "[^a]", "\\", "\\*", "{a}", "'", "\"", "é", "文", "a\x00", "\xff", "\xff\xff", "^", "-", ":",
	} {
		base := k(t, fmt.Sprint(i))
		under := []string{base + prefix, base + prefix + "1", base + prefix + prefix, base + prefix + "\xff", base + prefix + "\x00", base + prefix + "*"}
		beside := []string{base, base + "x", base + "xyz", base + "b1", base + "A1", base + "\x01", base + "~~", k(t, "x") + prefix}
		beside = slices.DeleteFunc(beside, func(key string) bool { return strings.HasPrefix(key, base+prefix) })
		for _, key := range append(under, beside...) {
			set(t, s, key, []byte("1"), time.Hour)
		}
		if err := c.Clear(t.Context(), base+prefix); err != nil {
			t.Fatalf("Clear %q: %v", prefix, err)
		}
		for _, key := range under {
			hasNot(t, s, key)
		}
		for _, key := range beside {
			has(t, s, key, []byte("1"))
		}
	}
	if err := c.Clear(t.Context(), k(t, "nothing has this")); err != nil {
		t.Errorf("Clear of nothing: %v", err)
	}
}

func clearMany(t *testing.T, s cache.Store) {
	c, ok := s.(cache.Clearer)
	if !ok {
		t.Skip("not a Clearer")
	}
	const n = 2500
	ctx := t.Context()
	var wg sync.WaitGroup
	for w := range 4 {
		wg.Go(func() {
			for i := w; i < n; i += 4 {
				if err := s.Set(ctx, k(t, fmt.Sprint("gone/", i)), []byte("1"), time.Hour); err != nil {
					t.Errorf("Set: %v", err)
					return
				}
			}
		})
	}
	set(t, s, k(t, "gone"), []byte("1"), time.Hour)
	wg.Wait()
	if err := c.Clear(ctx, k(t, "gone/")); err != nil {
		t.Fatalf("Clear: %v", err)
	}
	for i := range n {
		hasNot(t, s, k(t, fmt.Sprint("gone/", i)))
	}
	has(t, s, k(t, "gone"), []byte("1"))
}
