package embedlocal

import (
	"context"
	"crypto/sha256"
	"errors"
	"fmt"
	"runtime"
	"slices"
	"strconv"
	"sync"
	"unicode/utf8"

	"github.com/holysheep-ai/holysheep-go"
)

// Options change how texts are read. The zero value works for models that treat questions and passages alike.
type Options struct {
	// QueryPrefix is put before each text of EmbedQueries: "query: " for e5, "Represent this sentence for searching
	// relevant passages: " for bge in English. Default none.
	QueryPrefix string

	// PassagePrefix is put before each text of Embed: "passage: " for e5. Default none.
	PassagePrefix string

	// MaxTokens is how many tokens of a text are read, prefix and special tokens included; what comes after them does
	// not count. Default what the model was trained for (sentence_bert_config.json, else tokenizer.json), and never
	// more than it has positions for.
	MaxTokens int
}

// Encoder is a sentence encoder in memory. It is a [holysheep.QueryEmbedder], safe for concurrent use, and has to be
// closed. It asks no gateway, so it costs nothing and books nothing.
type Encoder struct {
	opts        Options
	tokens      *tokenizer
	engine      *engine
	cls         bool
	dims        int
	fingerprint string
	seats       chan struct{} // bounds the passes that run at once, and with them the memory

	mu     sync.Mutex
	closed bool
	calls  sync.WaitGroup
}

var _ holysheep.QueryEmbedder = (*Encoder)(nil)

// Open reads a model from dir; the package comment says which files it needs. opts may be nil. A directory that cannot
// be used is a [*ModelError], a bad option a [*holysheep.RequestError]. Nothing is downloaded. An encoder takes about
// as much memory as its model.onnx has, up to four times that while it is read.
func Open(dir string, opts *Options) (*Encoder, error) {
	var o Options
	if opts != nil {
		o = *opts
	}
	prefixes := []struct{ field, text string }{{"Options.QueryPrefix", o.QueryPrefix}, {"Options.PassagePrefix", o.PassagePrefix}}
	for _, p := range prefixes {
		if !utf8.ValidString(p.text) {
			return nil, &holysheep.RequestError{Field: p.field, Reason: "invalid UTF-8"}
		}
	}
	if o.MaxTokens < 0 {
		return nil, &holysheep.RequestError{Field: "Options.MaxTokens", Reason: fmt.Sprintf("%d is below zero", o.MaxTokens)}
	}
	tokens, err := readTokenizer(dir)
	if err != nil {
		return nil, err
	}
	config, err := readConfig(dir, tokens)
	if err != nil {
		return nil, err
	}
	if o.MaxTokens == 0 {
		o.MaxTokens = config.maxTokens
	}
	o.MaxTokens = min(o.MaxTokens, config.maxTokens)
	// Every text keeps a token of its own behind the prefix.
	for _, p := range prefixes {
		if all, _ := tokens.encode(p.text, o.MaxTokens+1); len(all) >= o.MaxTokens {
			if p.text == "" {
				p.field = "Options.MaxTokens"
			}
			return nil, &holysheep.RequestError{Field: p.field, Reason: fmt.Sprintf("leaves no token for the text, of %d", o.MaxTokens)}
		}
	}

	path := findModel(dir)
	data, err := readFile(path, maxModelBytes)
	if err != nil {
		return nil, err
	}
	sum := sha256.New()
	sum.Write(data)
	e := &Encoder{opts: o, tokens: tokens, cls: config.cls, seats: make(chan struct{}, min(runtime.GOMAXPROCS(0), 4))}
	if e.engine, err = newEngine(data); err != nil {
		return nil, &ModelError{path, "not a sentence encoder that can be run", err}
	}
	// A first text shows whether the model runs, and how long its vectors are.
	probe := slices.Concat(tokens.before, []int64{tokens.unknown}, tokens.after)
	first, err := e.pass([][]int64{probe}, pass{[]int{0}, widthOf(len(probe), o.MaxTokens)})
	if err != nil {
		e.engine.close()
		return nil, &ModelError{path, "not a sentence encoder that can be run", err}
	}
	e.dims = len(first[0])

	// Two tokenizers or settings give two vectors for one text, so they are part of the name.
	fmt.Fprintf(sum, "\x00%x\x00%d %t %q %q", tokens.sum, o.MaxTokens, e.cls, o.QueryPrefix, o.PassagePrefix)
	e.fingerprint = fmt.Sprintf("embedlocal:%x:%d", sum.Sum(nil)[:16], e.dims)
	return e, nil
}

// Fingerprint is a hash of the model, its tokenizer and the options, with the number of dimensions: two encoders have
// the same one only if they give the same vectors.
func (e *Encoder) Fingerprint() string { return e.fingerprint }

// Dimensions is the length of the vectors.
func (e *Encoder) Dimensions() int { return e.dims }

// Embed gives a vector of unit length for each text, in order: the mean of its tokens' vectors, or the first one where
// the model says so. A text past Options.MaxTokens is cut. A text that is empty, invalid UTF-8, or nothing but white
// space and control characters is a [*holysheep.RequestError]. The context is looked at between passes, which have
// at most 256 tokens, or one text that is longer. After Close it is [holysheep.ErrClosed].
func (e *Encoder) Embed(ctx context.Context, texts []string) ([][]float32, error) {
	return e.embed(ctx, texts, e.opts.PassagePrefix)
}

// EmbedQueries is Embed with Options.QueryPrefix.
func (e *Encoder) EmbedQueries(ctx context.Context, texts []string) ([][]float32, error) {
	return e.embed(ctx, texts, e.opts.QueryPrefix)
}

// Close frees the model, after the calls that are under way have ended. It may be called twice.
func (e *Encoder) Close() error {
	e.mu.Lock()
	first := !e.closed
	e.closed = true
	e.mu.Unlock()
	e.calls.Wait()
	if first {
		e.engine.close()
	}
	return nil
}

func (e *Encoder) embed(ctx context.Context, texts []string, prefix string) ([][]float32, error) {
	e.mu.Lock()
	if e.closed {
		e.mu.Unlock()
		return nil, fmt.Errorf("embedlocal: %w", holysheep.ErrClosed)
	}
	e.calls.Add(1)
	e.mu.Unlock()
	defer e.calls.Done()

	for i, text := range texts {
		if text == "" || !utf8.ValidString(text) {
			return nil, refuse(i, "empty or invalid UTF-8")
		}
	}
	tokens := make([][]int64, len(texts))
	for i, text := range texts {
		if err := ctx.Err(); err != nil {
			return nil, err
		}
		own := 0
		if tokens[i], own = e.tokens.encode(text, e.opts.MaxTokens); own == 0 {
			// Its vector would be that of every other such text.
			return nil, refuse(i, "nothing but white space and control characters")
		}
		if prefix != "" {
			tokens[i], _ = e.tokens.encode(prefix+text, e.opts.MaxTokens)
		}
	}
	vectors := make([][]float32, len(texts))
	for _, p := range plan(tokens, e.opts.MaxTokens) {
		select {
		case e.seats <- struct{}{}:
		case <-ctx.Done():
			return nil, ctx.Err()
		}
		var got [][]float32
		err := ctx.Err()
		if err == nil {
			got, err = e.pass(tokens, p)
		}
		<-e.seats
		if err != nil {
			return nil, err
		}
		for i, text := range p.texts {
			vectors[text] = got[i]
		}
	}
	return vectors, nil
}

// pass runs the model once.
func (e *Encoder) pass(tokens [][]int64, p pass) ([][]float32, error) {
	rows := len(p.texts)
	ids, mask := make([]int64, rows*p.width), make([]int64, rows*p.width)
	for i := range ids {
		ids[i] = e.tokens.pad
	}
	for i, text := range p.texts {
		copy(ids[i*p.width:], tokens[text])
		for j := range tokens[text] {
			mask[i*p.width+j] = 1
		}
	}
	flat, dims, err := e.engine.run(ids, mask, rows, p.width)
	if err != nil {
		return nil, fmt.Errorf("embedlocal: %w", err)
	}
	vectors := make([][]float32, rows)
	for i, text := range p.texts {
		n := len(tokens[text])
		if e.cls {
			n = 1
		}
		vectors[i] = mean(flat[i*p.width*dims:(i+1)*p.width*dims], n, dims)
		if !normalize(vectors[i]) {
			return nil, errors.New("embedlocal: the model gave a vector without a direction")
		}
	}
	return vectors, nil
}

func refuse(i int, reason string) error {
	return &holysheep.RequestError{Field: "texts[" + strconv.Itoa(i) + "]", Reason: reason}
}
