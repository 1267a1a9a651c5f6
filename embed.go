package holysheep

import (
	"context"
	"fmt"
	"io"
	"net/url"
	"slices"
	"strconv"
	"sync"
	"sync/atomic"
	"time"
	"unicode/utf8"
)

// An Embedder turns texts into vectors. [Client.Embedder] makes one that asks the gateway; package cache has one that
// remembers. All methods are safe for concurrent use.
type Embedder interface {
	// Embed gives a vector for each text, in order, all of the same length. An empty text is a *RequestError. The
	// vectors are the caller's to read; what else may hold them is not to be changed.
	Embed(ctx context.Context, texts []string) ([][]float32, error)

	// Fingerprint names what makes vectors comparable: the model and its dimensions. Cache keys and stored indexes
	// are checked against it.
	Fingerprint() string
}

// A QueryEmbedder is an [Embedder] that treats questions in another way than the texts that answer them.
type QueryEmbedder interface {
	Embedder

	// EmbedQueries is Embed for questions.
	EmbedQueries(ctx context.Context, texts []string) ([][]float32, error)
}

// EmbedOptions change what an embedder does. The zero value of each field is its default.
type EmbedOptions struct {
	// Dimensions of the vectors, for models that can shorten theirs. Vectors of another length are then ErrMalformed.
	// Default: what the model gives.
	Dimensions int

	// TextPrefix goes before each text, and QueryPrefix before each question, for encoders that were trained with
	// them: "passage: " and "query: " for E5, a sentence before the question for BGE. With two that differ the embedder
	// is a QueryEmbedder. Default: none.
	TextPrefix, QueryPrefix string

	// MaxTexts is how many texts one request carries at most, 1 to 2048. Many long vectors make a long answer:
	// Options.MaxAnswerBytes. Default: 128.
	MaxTexts int

	// MaxTokens is how many tokens one request carries at most, as counted here, unless a single text has more.
	// Default: 300,000, which is OpenAI's limit.
	MaxTokens int64

	// MaxHold is how long a call may wait for others to share its request. One that fills half of a request by itself
	// does not wait; below zero nobody does, and each call sends its own. Default: 2 ms.
	MaxHold time.Duration
}

const (
	defaultEmbedModel  = "text-embedding-3-small"
	defaultEmbedTexts  = 128
	defaultEmbedTokens = 300_000
	defaultEmbedHold   = 2 * time.Millisecond

	maxEmbedTexts      = 2048
	maxEmbedDimensions = 1 << 16
)

// Embedder makes an embedder that asks the gateway for the vectors of a model; "" stands for text-embedding-3-small.
// opts may be nil. What cannot work is a *RequestError of every Embed.
//
// Calls that come within MaxHold of each other share requests of up to MaxTexts texts; a call with more texts sends
// several, four at a time. Each call reserves its worst case before its texts leave, in its own scope and under all
// budgets, and pays for its part of the tokens, as they are counted here: the parts add up to what the gateway reports,
// to the picodollar. Its record has the attempts with its part of them, see [Attempt].
//
// A request that the gateway refuses for one of its texts is sent again in parts, so that only the call with that text
// fails; n calls take at most n + √n requests more. A call that is cancelled returns at once; the request goes on while
// somebody waits for it, and the call's part is booked when it has ended. A [Gate] sees each request once, as a call
// without tags.
//
// With Options.Key only calls with the same key share a request; calls under [LimitAttempts] share none.
func (c *Client) Embedder(model string, opts *EmbedOptions) Embedder {
	e := &embedder{client: c, model: model, url: c.base.JoinPath("embeddings")}
	if opts != nil {
		e.opts = *opts
	}
	setDefault(&e.model, defaultEmbedModel)
	setDefault(&e.opts.MaxTexts, defaultEmbedTexts)
	setDefault(&e.opts.MaxTokens, defaultEmbedTokens)
	setDefault(&e.opts.MaxHold, defaultEmbedHold)
	e.bad = e.check()
	if e.opts.QueryPrefix != e.opts.TextPrefix {
		return queryEmbedder{e}
	}
	return e
}

// embedder is the client's own Embedder.
type embedder struct {
	client *Client
	model  string
	opts   EmbedOptions
	url    *url.URL
	bad    error // what is wrong with the options

	// Set once the gateway has refused base64: it is not asked for it again.
	floats atomic.Bool

	mu      sync.Mutex
	waiting []*flight // not departed yet, one for each key
}

// queryEmbedder is an embedder whose questions have a prefix of their own.
type queryEmbedder struct{ *embedder }

func (e queryEmbedder) EmbedQueries(ctx context.Context, texts []string) ([][]float32, error) {
	return e.embed(ctx, e.opts.QueryPrefix, texts)
}

func (e *embedder) check() error {
	o := &e.opts
	fail := func(field, reason string) error { return &RequestError{field, reason} }
	switch {
	case !printable(e.model):
		return fail("model", "has white space, control characters or invalid UTF-8")
	case o.Dimensions < 0 || o.Dimensions > maxEmbedDimensions:
		return fail("EmbedOptions.Dimensions", fmt.Sprintf("%d is not between 1 and %d", o.Dimensions, maxEmbedDimensions))
	case !utf8.ValidString(o.TextPrefix):
		return fail("EmbedOptions.TextPrefix", "invalid UTF-8")
	case !utf8.ValidString(o.QueryPrefix):
		return fail("EmbedOptions.QueryPrefix", "invalid UTF-8")
	case o.MaxTexts < 1 || o.MaxTexts > maxEmbedTexts:
		return fail("EmbedOptions.MaxTexts", fmt.Sprintf("%d is not between 1 and %d", o.MaxTexts, maxEmbedTexts))
	case o.MaxTokens < 1:
		return fail("EmbedOptions.MaxTokens", fmt.Sprintf("%d is not above zero", o.MaxTokens))
	}
	return nil
}

// Fingerprint is the model's name, with the dimensions and the prefixes where they are set.
func (e *embedder) Fingerprint() string {
	s := e.model
	if e.opts.Dimensions > 0 {
		s += "/" + strconv.Itoa(e.opts.Dimensions)
	}
	if e.opts.TextPrefix != "" || e.opts.QueryPrefix != "" {
		s += fmt.Sprintf("|%q|%q", e.opts.TextPrefix, e.opts.QueryPrefix)
	}
	return s
}

// String names the embedder by what it makes.
func (e *embedder) String() string { return "holysheep.Embedder(" + e.Fingerprint() + ")" }

// Format writes String for every verb, so that no verb shows what is inside.
func (e *embedder) Format(s fmt.State, _ rune) { _, _ = io.WriteString(s, e.String()) }

// Embed implements [Embedder]. Errors are those of Client.Chat.
func (e *embedder) Embed(ctx context.Context, texts []string) ([][]float32, error) {
	return e.embed(ctx, e.opts.TextPrefix, texts)
}

func (e *embedder) embed(ctx context.Context, prefix string, texts []string) ([][]float32, error) {
	if err := e.client.enter(); err != nil {
		return nil, err
	}
	defer e.client.running.Done()
	if e.bad != nil {
		return nil, e.bad
	}
	for i, text := range texts {
		if text == "" || !utf8.ValidString(text) {
			return nil, &RequestError{"texts[" + strconv.Itoa(i) + "]", "empty or invalid UTF-8"}
		}
	}
	if len(texts) == 0 {
		return [][]float32{}, nil
	}
	if prefix != "" {
		texts = slices.Clone(texts)
		for i := range texts {
			texts[i] = prefix + texts[i]
		}
	}
	k, err := e.newEmbedding(ctx, texts)
	if err != nil {
		return nil, err
	}
	if err := k.run(ctx); err != nil {
		return nil, err
	}
	return k.vectors, nil
}
