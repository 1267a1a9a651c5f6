package cachetest

import (
	"bytes"
	"context"
	"errors"
	"fmt"
	"maps"
	"math"
	"math/rand/v2"
	"sort"
	"strings"
	"sync"
	"testing"
	"time"

	"github.com/holysheep-ai/holysheep-go"
	"github.com/holysheep-ai/holysheep-go/cache"
)

// RunNeighbours tests the neighbours that open gives. Each test asks for one of its own; all its partitions,
// namespaces, tenants, tags and books begin with "cachetest:" and belong to no other run. What is opened is closed
// with its test.
//
//	func TestNeighbours(t *testing.T) { cachetest.RunNeighbours(t, func(t *testing.T) cache.Neighbours { return open(t) }) }
func RunNeighbours(t *testing.T, open func(t *testing.T) cache.Neighbours) {
	t.Helper()
	for name, test := range map[string]func(t *testing.T, n cache.Neighbours){
		"Empty":              nothingThere,
		"AddAndNearest":      addAndNearest,
		"NearestOfMany":      nearestOfMany,
		"PartitionsAreApart": partitionsAreApart,
		"EntriesExpire":      entriesExpire,
		"AddReplaces":        addReplaces,
		"BytesStay":          bytesStay,
		"OtherDimensions":    otherDimensions,
		"BadEntries":         badEntries,
		"BadVectors":         badVectors,
		"VeryMany":           veryMany,
		"Judge":              judge,
		"Count":              count,
		"CountTogether":      countTogether,
		"Delete":             deleteEntries,
		"DeleteBook":         deleteBook,
		"DeleteNothing":      deleteNothing,
		"StrangeNames":       strangeNames,
		"AllAtOnce":          allAtOnce,
		"Cancelled":          cancelled,
	} {
		t.Run(name, func(t *testing.T) { test(t, open(t)) })
	}
}

// unit makes a vector of length 1.
func unit(v ...float32) []float32 {
	sum := 0.0
	for _, x := range v {
		sum += float64(x) * float64(x)
	}
	for i := range v {
		v[i] = float32(float64(v[i]) / math.Sqrt(sum))
	}
	return v
}

func randomUnit(rng *rand.Rand, dimensions int) []float32 {
	v := make([]float32, dimensions)
	for i := range v {
		v[i] = float32(rng.NormFloat64())
	}
	return unit(v...)
}

// entryOf makes an entry of the test's own namespace, which lives for an hour.
func entryOf(t *testing.T, partition, id string, v []float32) cache.Entry {
	now := time.Now().Truncate(time.Millisecond)
	return cache.Entry{
		Partition: k(t, partition), ID: id, Namespace: k(t, "namespace"), Vector: v,
		Meta: []byte("meta of " + id), Answer: []byte("answer of " + id), Created: now, Expires: now.Add(time.Hour),
	}
}

func add(t *testing.T, n cache.Neighbours, entries ...cache.Entry) {
	t.Helper()
	for _, e := range entries {
		if err := n.Add(t.Context(), e); err != nil {
			t.Fatalf("Add %s: %v", e.ID, err)
		}
	}
}

func nearest(t *testing.T, n cache.Neighbours, partition string, v []float32, most int) []cache.Neighbour {
	t.Helper()
	found, err := n.Nearest(t.Context(), k(t, partition), v, most, most)
	if err != nil {
		t.Fatalf("Nearest: %v", err)
	}
	return found
}

func ids(found []cache.Neighbour) string {
	var names []string
	for _, f := range found {
		names = append(names, f.ID)
	}
	return strings.Join(names, " ")
}

func expectIDs(t *testing.T, n cache.Neighbours, partition string, v []float32, most int, want string) {
	t.Helper()
	if got := ids(nearest(t, n, partition, v, most)); got != want {
		t.Fatalf("nearest in %s: got %q, want %q", partition, got, want)
	}
}

func erase(t *testing.T, n cache.Neighbours, which cache.Which, want int) {
	t.Helper()
	got, err := n.Delete(t.Context(), which)
	if err != nil || got != want {
		t.Fatalf("Delete %+v: got %d, %v, want %d", which, got, err, want)
	}
}

func nothingThere(t *testing.T, n cache.Neighbours) {
	expectIDs(t, n, "none", unit(1, 0), 4, "")
	if err := n.Judge(t.Context(), k(t, "none"), "x", 1, 1); err != nil {
		t.Fatalf("Judge: %v", err)
	}
	erase(t, n, cache.Which{Partition: k(t, "none")}, 0)
}

func addAndNearest(t *testing.T, n cache.Neighbours) {
	add(
		t, n,
		entryOf(t, "p", "east", unit(1, 0, 0)),
		entryOf(t, "p", "north", unit(0, 1, 0)),
		entryOf(t, "p", "west", unit(-1, 0, 0)),
	)
	found := nearest(t, n, "p", unit(4, 3, 0), 3)
	if got := ids(found); got != "east north west" {
		t.Fatalf("got %q", got)
	}
	for i, want := range []float64{0.8, 0.6, -0.8} {
		if got := found[i].Similarity; math.Abs(got-want) > 1e-3 {
			t.Errorf("similarity of %s: got %v, want %v", found[i].ID, got, want)
		}
	}
	first := found[0]
	want := entryOf(t, "p", "east", nil)
	if !bytes.Equal(first.Meta, want.Meta) || !bytes.Equal(first.Answer, want.Answer) || first.Right != 0 || first.Wrong != 0 {
		t.Fatalf("got %+v", first)
	}
	if age := time.Since(first.Created); age < 0 || age > time.Minute {
		t.Fatalf("created %v ago", age)
	}
	expectIDs(t, n, "p", unit(4, 3, 0), 1, "east")
	expectIDs(t, n, "p", unit(4, 3, 0), 9, "east north west")
	expectIDs(t, n, "p", unit(4, 3, 0), 0, "")
	few, err := n.Nearest(t.Context(), k(t, "p"), unit(4, 3, 0), 3, 1)
	if err != nil || len(few) != 3 || string(few[0].Answer) != "answer of east" || string(few[2].Meta) != "meta of west" {
		t.Fatalf("with one answer: got %+v, %v", few, err)
	}
}

// Nine of ten of the true neighbours have to be found: indexes may miss some.
func nearestOfMany(t *testing.T, n cache.Neighbours) {
	const entries, dimensions, most, questions = 1000, 64, 10, 20
	rng := rand.New(rand.NewPCG(1, 2))
	vectors := make([][]float32, entries)
	for i := range vectors {
		vectors[i] = randomUnit(rng, dimensions)
		add(t, n, entryOf(t, "p", fmt.Sprint(i), vectors[i]))
	}
	hits := 0
	for range questions {
		q := randomUnit(rng, dimensions)
		order := make([]int, entries)
		cosine := make([]float64, entries)
		for i, v := range vectors {
			order[i] = i
			for d := range v {
				cosine[i] += float64(v[d]) * float64(q[d])
			}
		}
		sort.Slice(order, func(a, b int) bool { return cosine[order[a]] > cosine[order[b]] })
		found := nearest(t, n, "p", q, most)
		if len(found) != most {
			t.Fatalf("got %d of %d", len(found), most)
		}
		if !sort.SliceIsSorted(found, func(a, b int) bool { return found[a].Similarity > found[b].Similarity }) {
			t.Fatal("not the nearest first")
		}
		wanted := map[string]bool{}
		for _, i := range order[:most] {
			wanted[fmt.Sprint(i)] = true
		}
		for _, f := range found {
			if wanted[f.ID] {
				hits++
			}
		}
	}
	if hits < questions*most*9/10 {
		t.Fatalf("found %d of %d neighbours", hits, questions*most)
	}
}

func partitionsAreApart(t *testing.T, n cache.Neighbours) {
	add(t, n, entryOf(t, "p", "1", unit(1, 0)), entryOf(t, "q", "1", unit(0, 1)), entryOf(t, "pp", "2", unit(1, 0)))
	expectIDs(t, n, "p", unit(1, 0), 5, "1")
	if got := nearest(t, n, "q", unit(1, 0), 5); len(got) != 1 || got[0].Similarity > 0.01 {
		t.Fatalf("got %+v", got)
	}
	erase(t, n, cache.Which{Partition: k(t, "p")}, 1)
	expectIDs(t, n, "p", unit(1, 0), 5, "")
	expectIDs(t, n, "pp", unit(1, 0), 5, "2")
}

func entriesExpire(t *testing.T, n cache.Neighbours) {
	short := entryOf(t, "p", "short", unit(1, 0))
	short.Expires = time.Now().Add(1500 * time.Millisecond).Truncate(time.Millisecond)
	add(t, n, short, entryOf(t, "p", "long", unit(1, 1)))
	expectIDs(t, n, "p", unit(1, 0), 5, "short long")
	time.Sleep(time.Until(short.Expires) + 50*time.Millisecond)
	expectIDs(t, n, "p", unit(1, 0), 5, "long")
	expectIDs(t, n, "p", unit(1, 0), 1, "long")
}

func addReplaces(t *testing.T, n cache.Neighbours) {
	e := entryOf(t, "p", "1", unit(1, 0))
	add(t, n, e)
	if err := n.Judge(t.Context(), e.Partition, "1", 2, 3); err != nil {
		t.Fatal(err)
	}
	e.Vector, e.Answer, e.Meta = unit(0, 1), []byte("another"), nil
	add(t, n, e)
	found := nearest(t, n, "p", unit(0, 1), 5)
	if len(found) != 1 || found[0].Similarity < 0.99 || string(found[0].Answer) != "another" || len(found[0].Meta) != 0 {
		t.Fatalf("got %+v", found)
	}
	if found[0].Right != 0 || found[0].Wrong != 0 {
		t.Fatalf("the verdicts on what was replaced are still there: %+v", found[0])
	}
}

func bytesStay(t *testing.T, n cache.Neighbours) {
	raw := make([]byte, 20_000)
	for i := range raw {
		raw[i] = byte(i * i >> 3)
	}
	for id, value := range map[string][]byte{"raw": raw, "empty": {}, "invalid": {0xff, 0, 0xfe, '\n'}} {
		e := entryOf(t, id, id, unit(1, 0))
		e.Answer, e.Meta = value, value[:min(len(value), 500)]
		add(t, n, e)
		found := nearest(t, n, id, unit(1, 0), 1)
		if len(found) != 1 || !bytes.Equal(found[0].Answer, value) || !bytes.Equal(found[0].Meta, e.Meta) {
			t.Fatalf("%s: not what was added", id)
		}
	}
}

func otherDimensions(t *testing.T, n cache.Neighbours) {
	add(t, n, entryOf(t, "p", "1", unit(1, 0, 0)))
	refused(t, n.Add(t.Context(), entryOf(t, "p", "2", unit(1, 0))), "Entry.Vector", "another number of dimensions")
	refused(t, n.Add(t.Context(), entryOf(t, "p", "1", unit(1, 0))), "Entry.Vector", "the same in place of the only one")
	expectIDs(t, n, "p", unit(1, 0), 5, "")
	expectIDs(t, n, "p", unit(1, 0, 0), 5, "1")
	add(t, n, entryOf(t, "q", "2", unit(1, 0)))
	expectIDs(t, n, "q", unit(1, 0), 5, "2")
}

func refused(t *testing.T, err error, field, what string) {
	t.Helper()
	bad, ok := errors.AsType[*holysheep.RequestError](err)
	if !ok || bad.Field != field {
		t.Errorf("%s: got %v, want a *holysheep.RequestError of %s", what, err, field)
	}
}

// hostile are vectors that nothing may be compared with.
var hostile = map[string][]float32{
	"none":            nil,
	"empty":           {},
	"no direction":    {0, 0, 0},
	"NaN":             {1, 0, float32(math.NaN())},
	"infinite":        {1, 0, float32(math.Inf(1))},
	"beyond float32":  {3e38, 3e38, 3e38},
	"longer than 1":   {2, 0, 0},
	"shorter than 1":  {0.9, 0, 0},
	"very many zeros": append(make([]float32, 16_000), 1),
}

// What is refused leaves what is there as it was.
func badEntries(t *testing.T, n cache.Neighbours) {
	first := entryOf(t, "p", "1", unit(1, 0, 0))
	add(t, n, first)
	long := strings.Repeat("x", 1001)
	for _, test := range []struct {
		field  string
		change func(e *cache.Entry)
	}{
		{"Entry.Partition", func(e *cache.Entry) { e.Partition = "" }},
		{"Entry.Partition", func(e *cache.Entry) { e.Partition = long }},
		{"Entry.ID", func(e *cache.Entry) { e.ID = "" }},
		{"Entry.ID", func(e *cache.Entry) { e.ID = long }},
		{"Entry.Namespace", func(e *cache.Entry) { e.Namespace = long }},
		{"Entry.Tenant", func(e *cache.Entry) { e.Tenant = long }},
		{"Entry.Tags[1]", func(e *cache.Entry) { e.Tags = []string{"a", long} }},
		{"Entry.Expires", func(e *cache.Entry) { e.Expires = time.Time{} }},
	} {
		e := entryOf(t, "p", "1", unit(0, 1, 0))
		test.change(&e)
		refused(t, n.Add(t.Context(), e), test.field, "an entry")
	}
	for name, v := range hostile {
		refused(t, n.Add(t.Context(), entryOf(t, "p", "1", v)), "Entry.Vector", name)
	}
	found := nearest(t, n, "p", unit(1, 0, 0), 9)
	if len(found) != 1 || found[0].Similarity < 0.99 {
		t.Fatalf("got %+v", found)
	}
}

func badVectors(t *testing.T, n cache.Neighbours) {
	add(t, n, entryOf(t, "p", "1", unit(1, 0, 0)))
	for name, v := range hostile {
		found, err := n.Nearest(t.Context(), k(t, "p"), v, 1, 1)
		refused(t, err, "vector", name)
		if len(found) > 0 {
			t.Errorf("%s: found %+v", name, found)
		}
	}
}

// More is asked for than there is, and fewer answers than none.
func veryMany(t *testing.T, n cache.Neighbours) {
	add(t, n, entryOf(t, "p", "1", unit(1, 0)), entryOf(t, "p", "2", unit(0, 1)))
	for _, most := range []int{math.MaxInt32, math.MaxInt} {
		expectIDs(t, n, "p", unit(1, 0), most, "1 2")
	}
	for _, most := range []int{-1, math.MinInt} {
		expectIDs(t, n, "p", unit(1, 0), most, "")
	}
	found, err := n.Nearest(t.Context(), k(t, "p"), unit(1, 0), 2, -1)
	if err != nil || len(found) != 2 {
		t.Fatalf("got %+v, %v", found, err)
	}
}

func judge(t *testing.T, n cache.Neighbours) {
	add(t, n, entryOf(t, "p", "1", unit(1, 0)), entryOf(t, "p", "2", unit(0, 1)))
	var all sync.WaitGroup
	for range 20 {
		all.Go(func() {
			for range 5 {
				if err := n.Judge(t.Context(), k(t, "p"), "1", 1, 2); err != nil {
					t.Errorf("Judge: %v", err)
				}
			}
		})
	}
	all.Wait()
	found := nearest(t, n, "p", unit(1, 0), 2)
	if found[0].Right != 100 || found[0].Wrong != 200 || found[1].Right != 0 {
		t.Fatalf("got %+v", found)
	}
}

func counters(t *testing.T, n cache.Neighbours, book string, deltas, want map[string]int64) {
	t.Helper()
	got, err := n.Count(t.Context(), book, deltas)
	if err != nil || !maps.Equal(got, want) {
		t.Fatalf("Count %s: got %v, %v, want %v", book, got, err, want)
	}
}

func count(t *testing.T, n cache.Neighbours) {
	book := k(t, "book")
	counters(t, n, book, nil, map[string]int64{})
	counters(t, n, book, map[string]int64{"a": 3, "b": 1}, map[string]int64{"a": 3, "b": 1})
	counters(t, n, book, map[string]int64{"a": -1, "c": 1 << 50}, map[string]int64{"a": 2, "b": 1, "c": 1 << 50})
	counters(t, n, book+"x", nil, map[string]int64{})
	counters(t, n, book, nil, map[string]int64{"a": 2, "b": 1, "c": 1 << 50})

	many := map[string]int64{}
	for i := range 3000 {
		many[fmt.Sprintf("%06x:s", i)] = int64(i + 1)
	}
	counters(t, n, k(t, "many"), many, many)
}

func countTogether(t *testing.T, n cache.Neighbours) {
	book := k(t, "book")
	var all sync.WaitGroup
	for i := range 20 {
		all.Go(func() {
			for range 10 {
				if _, err := n.Count(t.Context(), book, map[string]int64{"all": 1, fmt.Sprint(i): 1}); err != nil {
					t.Errorf("Count: %v", err)
				}
			}
		})
	}
	all.Wait()
	got, err := n.Count(t.Context(), book, nil)
	if err != nil || got["all"] != 200 || got["7"] != 10 || len(got) != 21 {
		t.Fatalf("got %v, %v", got, err)
	}
}

func deleteEntries(t *testing.T, n cache.Neighbours) {
	old := time.Now().Add(-time.Hour).Truncate(time.Millisecond)
	fill := func() {
		for i, e := range []cache.Entry{
			{Tenant: k(t, "acme"), Tags: []string{k(t, "v1")}},
			{Tenant: k(t, "acme"), Tags: []string{k(t, "v1"), k(t, "v2")}, Created: old},
			{Tenant: k(t, "globex"), Tags: []string{k(t, "v2")}},
			{Namespace: k(t, "other"), Created: old},
		} {
			full := entryOf(t, "p", fmt.Sprint(i), unit(1, float32(i)))
			full.Tenant, full.Tags = e.Tenant, e.Tags
			if e.Namespace != "" {
				full.Namespace = e.Namespace
			}
			if !e.Created.IsZero() {
				full.Created = e.Created
			}
			add(t, n, full)
		}
	}
	ours := k(t, "namespace")
	for _, test := range []struct {
		name  string
		which cache.Which
		gone  int
		left  string
	}{
		{"one", cache.Which{Partition: k(t, "p"), ID: "1"}, 1, "0 2 3"},
		{"one that is not there", cache.Which{Partition: k(t, "p"), ID: "9"}, 0, "0 1 2 3"},
		{"tenant", cache.Which{Tenant: k(t, "acme")}, 2, "2 3"},
		{"tenant that is not there", cache.Which{Tenant: k(t, "acm")}, 0, "0 1 2 3"},
		{"tag", cache.Which{Tag: k(t, "v2")}, 2, "0 3"},
		{"namespace", cache.Which{Namespace: k(t, "other")}, 1, "0 1 2"},
		{"tag in a namespace", cache.Which{Namespace: ours, Tag: k(t, "v1")}, 2, "2 3"},
		{"tag in another namespace", cache.Which{Namespace: k(t, "other"), Tag: k(t, "v1")}, 0, "0 1 2 3"},
		{"age", cache.Which{Namespace: ours, Before: old.Add(time.Minute)}, 1, "0 2 3"},
		{"exactly that age", cache.Which{Namespace: ours, Before: old}, 0, "0 1 2 3"},
		{"everything at once", cache.Which{Partition: k(t, "p"), Namespace: ours, Tenant: k(t, "acme"), Tag: k(t, "v2"), Before: time.Now()}, 1, "0 2 3"},
		{"partition", cache.Which{Partition: k(t, "p")}, 4, ""},
	} {
		fill()
		erase(t, n, test.which, test.gone)
		if got := ids(nearest(t, n, "p", unit(1, 0), 9)); got != test.left {
			t.Errorf("%s: left %q, want %q", test.name, got, test.left)
		}
	}
}

func deleteBook(t *testing.T, n cache.Neighbours) {
	counters(t, n, k(t, "book"), map[string]int64{"a": 1}, map[string]int64{"a": 1})
	counters(t, n, k(t, "book/1"), map[string]int64{"a": 2}, map[string]int64{"a": 2})
	add(t, n, entryOf(t, "book", "1", unit(1, 0)))
	erase(t, n, cache.Which{Book: k(t, "book")}, 0)
	counters(t, n, k(t, "book"), nil, map[string]int64{})
	counters(t, n, k(t, "book/1"), nil, map[string]int64{"a": 2})
	expectIDs(t, n, "book", unit(1, 0), 1, "1")
}

func deleteNothing(t *testing.T, n cache.Neighbours) {
	add(t, n, entryOf(t, "p", "1", unit(1, 0)))
	if _, err := n.Delete(t.Context(), cache.Which{}); err == nil {
		t.Fatal("an empty Which was taken")
	}
	expectIDs(t, n, "p", unit(1, 0), 1, "1")
}

// Names are data: nothing in them means anything to the store.
func strangeNames(t *testing.T, n cache.Neighbours) {
	strange := []string{"a b", "{a}", "a*", "a%", "a_b", "a'b", `a"b\`, "a:b", "a,b|c", "日本", "a@b.c", "-a", strings.Repeat("x", 200)}
	for i, name := range strange {
		e := entryOf(t, name, name, unit(1, float32(i)))
		e.Tenant, e.Tags, e.Namespace = k(t, "t"+name), []string{k(t, "g"+name), k(t, "all")}, k(t, "n"+name)
		add(t, n, e)
		counters(t, n, k(t, name), map[string]int64{name: 7}, map[string]int64{name: 7})
	}
	for i, name := range strange {
		expectIDs(t, n, name, unit(1, float32(i)), 2, name)
		which := []cache.Which{
			{Tenant: k(t, "t"+name)}, {Tag: k(t, "g"+name)}, {Namespace: k(t, "n"+name)}, {Partition: k(t, name), ID: name},
		}[i%4]
		erase(t, n, which, 1)
		expectIDs(t, n, name, unit(1, float32(i)), 2, "")
	}
}

func allAtOnce(t *testing.T, n cache.Neighbours) {
	var all sync.WaitGroup
	for worker := range 8 {
		all.Go(func() {
			rng := rand.New(rand.NewPCG(uint64(worker), 1))
			for i := range 30 {
				id := fmt.Sprint(rng.IntN(40))
				e := entryOf(t, "p", id, randomUnit(rng, 8))
				e.Tags = []string{k(t, fmt.Sprint(i%3))}
				if err := n.Add(t.Context(), e); err != nil {
					t.Errorf("Add: %v", err)
				}
				found, err := n.Nearest(t.Context(), k(t, "p"), randomUnit(rng, 8), 4, 4)
				if err != nil {
					t.Errorf("Nearest: %v", err)
				}
				for _, f := range found {
					if string(f.Answer) != "answer of "+f.ID {
						t.Errorf("%s has %q", f.ID, f.Answer)
					}
				}
				if err := n.Judge(t.Context(), k(t, "p"), id, 1, 0); err != nil {
					t.Errorf("Judge: %v", err)
				}
				if i%10 == 9 {
					if _, err := n.Delete(t.Context(), cache.Which{Partition: k(t, "p"), Tag: k(t, "1")}); err != nil {
						t.Errorf("Delete: %v", err)
					}
				}
			}
		})
	}
	all.Wait()
}

func cancelled(t *testing.T, n cache.Neighbours) {
	ctx, cancel := context.WithCancel(t.Context())
	cancel()
	_, nearest := n.Nearest(ctx, k(t, "p"), unit(1, 0), 1, 1)
	_, count := n.Count(ctx, k(t, "book"), map[string]int64{"a": 1})
	_, gone := n.Delete(ctx, cache.Which{Partition: k(t, "p")})
	for name, err := range map[string]error{
		"Add": n.Add(ctx, entryOf(t, "p", "1", unit(1, 0))), "Nearest": nearest, "Count": count, "Delete": gone,
		"Judge": n.Judge(ctx, k(t, "p"), "1", 1, 0),
	} {
		if err == nil {
			t.Errorf("%s: no error with a cancelled context", name)
		}
	}
}
