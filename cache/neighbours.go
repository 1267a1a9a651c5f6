package cache

import (
	"context"
	"fmt"
	"math"
	"time"

	"github.com/viterin/vek/vek32"

	"github.com/holysheep-ai/holysheep-go"
)

// Neighbours keeps answered questions by their vectors, for [Semantic], and counters for what it learns.
// [MemoryNeighbours] serves one process; cachetest.RunNeighbours has the tests that every implementation has to pass.
//
// All methods are safe for concurrent use and honour the context. What no implementation may take is a
// *holysheep.RequestError, and nothing is done. Any other error means that the method may have done its work or not;
// none of them is repeated.
type Neighbours interface {
	// Add keeps e until e.Expires, in place of an entry of the same partition and ID, whose verdicts are forgotten.
	// What e refers to may be kept: the caller does not change it afterwards. What [Entry.Check] refuses is refused,
	// and so is a vector of another number of dimensions than the partition's others.
	Add(ctx context.Context, e Entry) error

	// Nearest gives the k entries of a partition whose vectors have the largest cosine with vector, the largest
	// first, those that have expired left out. The first answers of them come with their Answer; the others may
	// come without. A partition that is not there has none, and neither has one of vectors of another length.
	// What [CheckVector] refuses is refused. Finding fewer than all of the nearest is allowed, as indexes do. What is
	// given may not be changed.
	Nearest(ctx context.Context, partition string, vector []float32, k, answers int) ([]Neighbour, error)

	// Judge adds verdicts to an entry, in one step: none is lost when two come at once. For an entry that is not
	// there it does nothing.
	Judge(ctx context.Context, partition, id string, right, wrong int64) error

	// Count adds deltas to the counters of a book, each in one step, and gives all counters of the book as they are
	// afterwards. A book begins empty, and counters at 0; no deltas only reads. Books do not expire.
	Count(ctx context.Context, book string, deltas map[string]int64) (map[string]int64, error)

	// Delete forgets the entries that which describes and tells how many there were. An empty one is an error.
	Delete(ctx context.Context, which Which) (int, error)
}

// Entry is an answered question as [Neighbours] keep it.
type Entry struct {
	Partition string // only entries of one partition are compared
	ID        string // unique in its partition
	Namespace string
	Tenant    string
	Tags      []string // what [Which] finds it by: document versions
	Vector    []float32
	Meta      []byte // some hundred bytes that come with every neighbour
	Answer    []byte
	Created   time.Time // in milliseconds
	Expires   time.Time // in milliseconds; never zero
}

// Names of an entry are no longer, and vectors no larger, so that every store can index them.
const (
	maxName       = 1000 // bytes
	maxDimensions = 16_000
)

// Check says what is wrong with an entry that comes to Add, whatever it comes from: a *holysheep.RequestError for no
// partition or ID, a name longer than 1,000 bytes, a vector that [CheckVector] refuses, and no end.
func (e *Entry) Check() error {
	for _, name := range []struct {
		field, value string
		needed       bool
	}{{"Partition", e.Partition, true}, {"ID", e.ID, true}, {"Namespace", e.Namespace, false}, {"Tenant", e.Tenant, false}} {
		if len(name.value) > maxName || name.needed && name.value == "" {
			return badName("Entry."+name.field, name.value)
		}
	}
	for i, tag := range e.Tags {
		if len(tag) > maxName {
			return badName(fmt.Sprintf("Entry.Tags[%d]", i), tag)
		}
	}
	if reason := badVector(e.Vector); reason != "" {
		return &holysheep.RequestError{Field: "Entry.Vector", Reason: reason}
	}
	if e.Expires.IsZero() {
		return &holysheep.RequestError{Field: "Entry.Expires", Reason: "never"}
	}
	return nil
}

func badName(field, value string) error {
	return &holysheep.RequestError{Field: field, Reason: fmt.Sprintf("%d bytes, not 1 to %d", len(value), maxName)}
}

// CheckVector says what is wrong with a vector that comes to Nearest: a *holysheep.RequestError unless it has 1 to 16,000
// dimensions and, to a thousandth, the length 1. One that is longer would be near to everything, and one with a NaN to
// nothing.
func CheckVector(v []float32) error {
	if reason := badVector(v); reason != "" {
		return &holysheep.RequestError{Field: "vector", Reason: reason}
	}
	return nil
}

func badVector(v []float32) string {
	if len(v) == 0 || len(v) > maxDimensions {
		return fmt.Sprintf("%d dimensions, not 1 to %d", len(v), maxDimensions)
	}
	if length := math.Sqrt(float64(vek32.Dot(v, v))); !(math.Abs(length-1) <= 1e-3) { // written so that NaN fails it
		return fmt.Sprintf("its length is %.4g, not 1", length)
	}
	return ""
}

// Neighbour is an entry that was found.
type Neighbour struct {
	ID           string
	Similarity   float64 // the cosine, -1 to 1, right to about 1e-3
	Meta, Answer []byte  // as they were added
	Created      time.Time
	Right, Wrong int64 // the verdicts on it
}

// Which describes entries: those for which everything that is set here holds.
type Which struct {
	Partition string
	ID        string // with Partition
	Namespace string
	Tenant    string
	Tag       string
	Before    time.Time // created before

	// Book forgets a book of counters, and no entries. It stands alone.
	Book string
}

// empty reports whether nothing is set.
func (w Which) empty() bool { return w == Which{} }
