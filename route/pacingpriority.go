package route

import (
	"context"
	"fmt"
)

// Priority says whose turn comes first when calls have to wait. See [WithPriority].
type Priority uint8

// The priorities. While all of them wait, of 21 turns 16 are for critical calls, 4 for normal ones and 1 for a batch, so
// that none starves.
const (
	Normal   Priority = iota
	Critical          // somebody is waiting at the screen
	Batch             // nobody is
)

// classWeights are the turns of each priority.
var classWeights = [...]float64{Normal: 4, Critical: 16, Batch: 1}

// classRank orders the priorities: a full queue gives up a place of a lower one for a higher one.
var classRank = [...]int{Normal: 1, Critical: 2, Batch: 0}

func (p Priority) String() string {
	switch p {
	case Normal:
		return "normal"
	case Critical:
		return "critical"
	case Batch:
		return "batch"
	}
	return fmt.Sprintf("Priority(%d)", uint8(p))
}

type priorityKey struct{}

// WithPriority gives the calls beneath ctx a priority. Default: Normal.
func WithPriority(ctx context.Context, p Priority) context.Context {
	if p > Batch {
		p = Normal
	}
	return context.WithValue(ctx, priorityKey{}, p)
}

// PriorityOf gives the priority of the calls beneath ctx.
func PriorityOf(ctx context.Context) Priority {
	p, _ := ctx.Value(priorityKey{}).(Priority)
	return p
}
