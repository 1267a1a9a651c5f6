package cache

import (
	"context"
	"fmt"
	"iter"
	"math"
	"math/rand/v2"
	"sync"
	"sync/atomic"
	"time"

	"github.com/holysheep-ai/holysheep-go"
	"github.com/holysheep-ai/holysheep-go/cache/guard"
)

// SemanticCache answers questions that are similar to one that was answered before. See [Semantic].
type SemanticCache struct {
	next       holysheep.Completer
	embed      func(ctx context.Context, texts []string) ([][]float32, error)
	print      string // of the embedder
	space      string // what all partitions have in common
	neighbours Neighbours
	opts       SemanticOptions
	bad        error // what is wrong with the options

	recorder *holysheep.Recorder
	store    *shelf // how neighbours are asked
	encoder  *shelf // how the embedder is asked
	learner  *learner
	book     string // of the learner

	gate    startGate
	syncing sync.Mutex
	dice    dice
	tally   semanticTally
	report  reporter

	judging chan struct{} // places for verdicts in the background
	closing sync.RWMutex
	closed  bool
	running sync.WaitGroup // verdicts
}

// SemanticOptions change what a [SemanticCache] does. The zero value of each field is its default.
type SemanticOptions struct {
	// Threshold is the least cosine between a question and one that was answered for its answer to be served. The
	// right one is a property of the encoder and of the questions: [Calibrate] suggests one, Shadow measures what it
	// does. Default: 0.92, where vendors start; 0 with MaxWrong.
	Threshold float64

	// MaxWrong, in place of a threshold, is the largest share of hits that may be wrong: 0.01 for one in a hundred.
	// The cache learns from verdicts what is safe, serves nothing until it has some hundred of them, and asks the
	// model about a part of what it would have served. Default: 0, a threshold decides.
	MaxWrong float64

	// Explore is the share of hits that are asked all the same, for their verdict, once enough is known. They are
	// what the bound costs. Default: 0.05. It needs MaxWrong.
	Explore float64

	// Verdict tells whether two answers come to the same. Caches that share neighbours and a namespace learn from each
	// other's verdicts: they should have the same one. Default: [EqualAnswers].
	Verdict Verdict

	// Guards have to agree that two questions may have the same answer. Default: guard.All(), and guard.Facts() with
	// MaxWrong; an empty slice that is not nil guards nothing.
	Guards []guard.Guard

	// Shadow serves no hit. It asks the model every time and notes what it would have done; see Report.
	// Default: false.
	Shadow bool

	// Namespace keeps caches apart that share neighbours: one for each feature or version of a prompt.
	// Default: "".
	Namespace string

	// TenantTag is the tag of the scope that says whose call it is. Answers for one tenant are never served to
	// another, nor to calls without one. Default: "tenant".
	TenantTag string

	// TTL is how long an answer is kept; see [WithTTL]. Default: 2 h.
	TTL time.Duration

	// Tags gives the tags that an answer to req is kept under, such as versions of documents, for Forget.
	// Default: none.
	Tags func(ctx context.Context, req *holysheep.ChatRequest) []string

	// Seal encrypts questions and answers where they are kept. Vectors have to stay readable, and tell what a text
	// is about. Default: nil.
	Seal Sealer

	// Probes are what the cache is tested with before its first look-up. Default: English ones.
	Probes *Probes

	// EmbedTimeout limits how long a question is embedded before it is asked without. Default: 2 s.
	EmbedTimeout time.Duration

	// Timeout limits one operation of the neighbours likewise. Default: 100 ms.
	Timeout time.Duration

	// Seed makes what is explored repeatable, for tests. Default: 0, every cache draws its own.
	Seed uint64
}

// Semantic makes a cache of similar questions before next. embedder turns questions into vectors ([holysheep.QueryEmbedder]
// where it is one), neighbours keep them. opts may be nil; what cannot work in them is a *holysheep.RequestError of
// each call.
//
// Only the last user message is compared, and only with those whose everything else was equal: tenant, namespace,
// system prompt, tools, earlier turns, model and every parameter, and the embedder. A question with images, one that
// answers a tool call, and any below a scope that has tags but none that names the tenant, is passed on. Nothing that goes
// wrong here fails a call: it is a miss, and an event for the recorder of next. Put [Exact] in front, so that equal
// questions cost no embedding. [Bypass], [Refresh] and [WithTTL] are obeyed.
//
// Close waits for verdicts that are still being made. next, embedder and neighbours stay the caller's.
func Semantic(next holysheep.Completer, embedder holysheep.Embedder, neighbours Neighbours, opts *SemanticOptions) *SemanticCache {
	c := &SemanticCache{next: next, neighbours: neighbours, recorder: holysheep.RecorderOf(next), judging: make(chan struct{}, 32)}
	if opts != nil {
		c.opts = *opts
	}
	if c.bad = c.opts.complete(); c.bad == nil {
		switch {
		case next == nil:
			c.bad = &holysheep.RequestError{Field: "next", Reason: "nil"}
		case embedder == nil:
			c.bad = &holysheep.RequestError{Field: "embedder", Reason: "nil"}
		case neighbours == nil:
			c.bad = &holysheep.RequestError{Field: "neighbours", Reason: "nil"}
		}
	}
	if c.bad != nil {
		return c
	}
	c.embed, c.print = embedder.Embed, embedder.Fingerprint()
	c.space = c.spaceName()
	if q, ok := embedder.(holysheep.QueryEmbedder); ok {
		c.embed = q.EmbedQueries
	}
	c.store = newShelf(nil, shelfOptions{Recorder: c.recorder, Kind: "cache.semantic", Timeout: c.opts.Timeout})
	_, c.store.local = neighbours.(*MemoryNeighbours)
	c.encoder = newShelf(nil, shelfOptions{Recorder: c.recorder, Kind: "cache.semantic.embedder", Timeout: c.opts.EmbedTimeout})
	c.dice.seed(c.opts.Seed)
	if c.opts.MaxWrong > 0 {
		c.learner = newLearner(c.opts.MaxWrong, c.opts.Explore)
		c.book = c.bookName()
	}
	return c
}

// complete fills in the defaults, or says which option is wrong.
func (o *SemanticOptions) complete() error {
	fail := func(field, reason string, args ...any) error {
		return &holysheep.RequestError{Field: "SemanticOptions." + field, Reason: fmt.Sprintf(reason, args...)}
	}
	share := func(v float64) bool { return v >= 0 && v < 1 } // false for NaN
	switch {
	case math.IsNaN(o.Threshold) || o.Threshold < 0 || o.Threshold > 1:
		return fail("Threshold", "%v is not between 0 and 1", o.Threshold)
	case !share(o.MaxWrong):
		return fail("MaxWrong", "%v is not a share below 1", o.MaxWrong)
	case o.Threshold > 0 && o.MaxWrong > 0:
		return fail("MaxWrong", "set beside Threshold: one of them decides")
	case !share(o.Explore) || o.Explore > 0 && o.MaxWrong == 0:
		return fail("Explore", "%v is not a share below 1, or set without MaxWrong", o.Explore)
	case len(o.Namespace) > maxName:
		return fail("Namespace", "%d bytes, more than %d", len(o.Namespace), maxName)
	case o.TTL < 0:
		return fail("TTL", "%v is negative", o.TTL)
	case o.EmbedTimeout < 0:
		return fail("EmbedTimeout", "%v is negative", o.EmbedTimeout)
	case o.Timeout < 0:
		return fail("Timeout", "%v is negative", o.Timeout)
	case o.Probes != nil && o.Probes.bad():
		return fail("Probes", "one of them is empty")
	}
	for i, g := range o.Guards {
		if g.Name() == "" {
			return fail("Guards", "[%d] has no name: see guard.New", i)
		}
	}
	if o.Threshold == 0 && o.MaxWrong == 0 {
		o.Threshold = 0.92
	}
	if o.Explore == 0 {
		o.Explore = 0.05
	}
	if o.Guards == nil && o.MaxWrong > 0 {
		o.Guards = guard.Facts()
	}
	if o.Guards == nil {
		o.Guards = guard.All()
	}
	if o.TenantTag == "" {
		o.TenantTag = "tenant"
	}
	if o.TTL == 0 {
		o.TTL = 2 * time.Hour
	}
	if o.EmbedTimeout == 0 {
		o.EmbedTimeout = 2 * time.Second
	}
	if o.Probes == nil {
		o.Probes = &englishProbes
	}
	return nil
}

// Unwrap gives what the cache is before.
func (c *SemanticCache) Unwrap() holysheep.Completer { return c.next }

// Err says what is wrong with what Semantic was given; nil if nothing is. It asks nobody.
func (c *SemanticCache) Err() error { return c.bad }

// Close waits for the verdicts and the operations that are still under way. Calls that come afterwards are answered as
// before, and their answers kept without a verdict that would take its time. It may be called more than once.
func (c *SemanticCache) Close() error {
	c.closing.Lock()
	c.closed = true
	c.closing.Unlock()
	c.running.Wait()
	if c.store != nil { // else the options were bad
		c.store.wait()
		c.encoder.wait()
	}
	return nil
}

// Plan prices the call that a miss would make. Whether it is one cannot be told without paying for the embedding;
// Explain does that.
func (c *SemanticCache) Plan(ctx context.Context, req *holysheep.ChatRequest) (*holysheep.Quote, error) {
	if c.bad != nil {
		return nil, c.bad
	}
	q, err := holysheep.Plan(ctx, c.next, req)
	if err != nil {
		return nil, err
	}
	step := holysheep.Step{Kind: "cache", Reason: "the answer to a similar question is served if there is one"}
	asked, why, err := c.ask(ctx, req)
	switch {
	case err != nil:
		return nil, err
	case why != "":
		step.Reason = "passed on: " + why
	case asked.refresh:
		step.Reason = "the model is asked again, and its answer kept"
	}
	q.Steps = append(q.Steps, step)
	return q, nil
}

// Chat answers req from a similar question's answer, or passes it on.
func (c *SemanticCache) Chat(ctx context.Context, req *holysheep.ChatRequest) (resp *holysheep.ChatResponse, err error) {
	l, ctx, err := c.begin(ctx, req, false)
	if err != nil {
		return nil, err
	}
	if l == nil {
		return c.next.Chat(ctx, req)
	}
	defer func() { c.end(ctx, l, resp, err) }()
	if resp = c.serve(l); resp != nil {
		return resp, nil
	}
	if err = notCached(ctx, c.next); err != nil {
		return nil, err
	}
	if resp, err = c.next.Chat(ctx, req); err != nil {
		return nil, err
	}
	return c.settle(ctx, l, resp), nil
}

// Stream answers req from a similar question's answer, in one piece, or passes it on.
func (c *SemanticCache) Stream(ctx context.Context, req *holysheep.ChatRequest) iter.Seq2[holysheep.StreamEvent, error] {
	var used atomic.Bool
	return func(yield func(holysheep.StreamEvent, error) bool) {
		if used.Swap(true) {
			yield(holysheep.StreamEvent{}, fmt.Errorf("holysheep: %w", holysheep.ErrStreamUsed))
			return
		}
		l, ctx, err := c.begin(ctx, req, true)
		if err != nil {
			yield(holysheep.StreamEvent{}, err)
			return
		}
		if l == nil {
			c.next.Stream(ctx, req)(yield)
			return
		}
		if resp := c.serve(l); resp != nil {
			c.end(ctx, l, resp, nil)
			inPieces(resp, yield)
			return
		}
		if err := notCached(ctx, c.next); err != nil {
			c.end(ctx, l, nil, err)
			yield(holysheep.StreamEvent{}, err)
			return
		}
		c.streamMiss(ctx, l, req, yield)
	}
}

// streamMiss passes a stream on and keeps what it ends with. Its figures are final before the last event.
func (c *SemanticCache) streamMiss(ctx context.Context, l *lookup, req *holysheep.ChatRequest, yield func(holysheep.StreamEvent, error) bool) {
	var err error
	ended := false
	defer func() {
		if !ended {
			c.end(ctx, l, nil, err)
		}
	}()
	for ev, failed := range c.next.Stream(ctx, req) {
		if err = failed; ev.Response != nil {
			ev.Response = c.settle(ctx, l, ev.Response)
			ended = true
			c.end(ctx, l, ev.Response, nil)
		}
		if !yield(ev, failed) {
			return
		}
	}
}

// dice decide what is explored.
type dice struct {
	mu  sync.Mutex
	rng *rand.Rand
}

func (d *dice) seed(seed uint64) {
	other := seed
	if seed == 0 {
		seed, other = rand.Uint64(), rand.Uint64()
	}
	d.rng = rand.New(rand.NewPCG(seed, other))
}

// below is true with a probability of p.
func (d *dice) below(p float64) bool {
	d.mu.Lock()
	defer d.mu.Unlock()
	return d.rng.Float64() < p
}
