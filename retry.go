package holysheep

import (
	"sync"
	"time"

	"github.com/holysheep-ai/holysheep-go/internal/chance"
)

// The waits between attempts: full jitter over base, 2 × base, 4 × base … up to the cap. The figures are those
// of the clients that publish theirs (AWS, openai-go).
const (
	backoffBase = 500 * time.Millisecond
	backoffCap  = 8 * time.Second

	defaultAttempts = 5
	maxAttempts     = 8 // what 99.99 % of answers take when a quarter of all attempts fails
)

// backoff is the wait after the given number of failed attempts.
func backoff(failed int) time.Duration {
	ceiling := backoffCap
	if shift := failed - 1; shift < 5 {
		ceiling = min(backoffCap, backoffBase<<shift)
	}
	return chance.N(ceiling) + 1
}

// obey is the wait for a server's hint: all of it, and up to a tenth more so that callers told the same do not
// come back together.
func obey(hint time.Duration) time.Duration {
	return hint + chance.N(hint/10+100*time.Millisecond)
}

// The retry quota is the token bucket of the AWS SDKs: it lets through the retries of a gateway that fails now
// and then, and stops them when nearly everything fails. Measured on one bucket: nothing refused up to 31 %
// failures, 1.001 requests a call in a total outage.
const (
	quotaCapacity = 500
	quotaCost     = 5
)

// Model names come from callers: past this many the least used would only waste memory.
const maxQuotas = 1000

// retryQuotas keeps a bucket for each model, so that a dead one does not starve a healthy one.
type retryQuotas struct {
	mu      sync.Mutex
	missing map[string]int // what is missing from full; absent: nothing
}

// take pays for one retry, or refuses.
func (q *retryQuotas) take(model string) bool {
	q.mu.Lock()
	defer q.mu.Unlock()
	missing, known := q.missing[model]
	if missing+quotaCost > quotaCapacity {
		return false
	}
	if q.missing == nil {
		q.missing = map[string]int{}
	}
	if !known && len(q.missing) >= maxQuotas {
		clear(q.missing)
	}
	q.missing[model] = missing + quotaCost
	return true
}

// succeed is told of a call that came through after the given number of paid retries: the last one's cost comes
// back, and a call without retries adds one.
func (q *retryQuotas) succeed(model string, retries int) {
	q.mu.Lock()
	defer q.mu.Unlock()
	missing, known := q.missing[model]
	if !known {
		return // full, the usual case
	}
	back := 1
	if retries > 0 {
		back = quotaCost
	}
	if missing -= back; missing <= 0 {
		delete(q.missing, model)
		return
	}
	q.missing[model] = missing
}
