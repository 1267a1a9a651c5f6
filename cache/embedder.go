package cache

import (
	"context"
	"crypto/sha256"
	"encoding/binary"
	"encoding/hex"
	"fmt"
	"math"
	"slices"
	"sync"
	"sync/atomic"
	"time"

	"github.com/holysheep-ai/holysheep-go"
)

// A CachedEmbedder is an Embedder that remembers: [Embedder] makes it.
type CachedEmbedder interface {
	holysheep.Embedder

	// Stats counts the vectors that the store was asked for.
	Stats() Stats

	// Close waits until what is under way has ended; nothing is asked of the Embedder meanwhile or afterwards. Store
	// and Embedder beneath stay open.
	Close() error
}

// EmbedderOptions are what [Embedder] can be told.
type EmbedderOptions struct {
	// TTL is how long a vector is kept. Default: 24 h.
	TTL time.Duration

	// Prefix comes before the SHA-256 of fingerprint and text that is a vector's key. Default: "rag:emb:".
	Prefix string

	// Seal encrypts what is stored; nil stores it open. Default: nil.
	Seal Sealer

	// Recorder is told of each call and of a store that fails. Default: that of the Embedder beneath, if it has one.
	Recorder *holysheep.Recorder
}

// Embedder makes an Embedder that keeps the vectors of next in store: it looks for all texts of a call in one round
// trip where the store is a [BatchStore], and sends only those that are not there. Equal texts cost one, within a call
// and over calls at the same time, whoever of them leaves. A store that fails costs what it would have saved, and no
// call. Where next is a [holysheep.QueryEmbedder], so is what Embedder makes, and questions are kept apart from texts.
// Vectors belong to a text and a model, and are shared by all who ask: by all tenants, too. opts may be nil.
func Embedder(next holysheep.Embedder, store Store, opts *EmbedderOptions) CachedEmbedder {
	var o EmbedderOptions
	if opts != nil {
		o = *opts
	}
	if o.TTL <= 0 {
		o.TTL = 24 * time.Hour
	}
	if o.Prefix == "" {
		o.Prefix = "rag:emb:"
	}
	if r, ok := next.(interface{ Recorder() *holysheep.Recorder }); ok && o.Recorder == nil {
		o.Recorder = r.Recorder()
	}
	if o.Recorder == nil {
		o.Recorder = &holysheep.Recorder{}
	}
	e := &embedder{
		next: next, opts: o, items: map[string]*embedItem{},
		shelf: newShelf(store, shelfOptions{Recorder: o.Recorder, Kind: embedderKind, Seal: o.Seal}),
	}
	if q, ok := next.(holysheep.QueryEmbedder); ok {
		return &queryEmbedder{e, q}
	}
	return e
}

const embedderKind = "cache.embedder"

type embedder struct {
	next    holysheep.Embedder
	opts    EmbedderOptions
	shelf   *shelf
	running sync.WaitGroup

	mu    sync.Mutex
	items map[string]*embedItem // on their way, by key
}

type queryEmbedder struct {
	*embedder
	next holysheep.QueryEmbedder
}

func (e *embedder) Fingerprint() string { return e.next.Fingerprint() }

func (e *embedder) Stats() Stats { return e.shelf.stats() }

func (e *embedder) Close() error {
	e.running.Wait()
	e.shelf.wait()
	return nil
}

func (e *embedder) Embed(ctx context.Context, texts []string) ([][]float32, error) {
	return e.recorded(ctx, texts, encoder{e.next.Embed, 'd'})
}

func (e *queryEmbedder) EmbedQueries(ctx context.Context, texts []string) ([][]float32, error) {
	return e.recorded(ctx, texts, encoder{e.next.EmbedQueries, 'q'})
}

// encoder is one of the two ways in which texts become vectors.
type encoder struct {
	embed func(ctx context.Context, texts []string) ([][]float32, error)
	kind  byte
}

// all asks for vectors, and checks that there are as many as texts.
func (enc encoder) all(ctx context.Context, texts []string) (vectors [][]float32, err error) {
	err = safely(ctx, func(ctx context.Context) (err error) {
		vectors, err = enc.embed(ctx, texts)
		return err
	})
	if err == nil && len(vectors) != len(texts) {
		err = fmt.Errorf("cache: Embedder: %d vectors came for %d texts", len(vectors), len(texts))
	}
	if err != nil {
		return nil, err
	}
	return vectors, nil
}

// key is where the vector of a text is kept.
func (e *embedder) key(kind byte, fingerprint, text string) string {
	h := sha256.New()
	head := append(make([]byte, 0, 64), kind)
	head = binary.AppendUvarint(head, uint64(len(fingerprint)))
	h.Write(append(head, fingerprint...))
	h.Write([]byte(text))
	var sum [sha256.Size]byte
	return e.opts.Prefix + hex.EncodeToString(h.Sum(sum[:0]))
}

func (e *embedder) recorded(ctx context.Context, texts []string, enc encoder) ([][]float32, error) {
	for i, text := range texts {
		if text == "" {
			return nil, &holysheep.RequestError{Field: fmt.Sprintf("texts[%d]", i), Reason: "empty"}
		}
	}
	if len(texts) == 0 {
		return nil, nil
	}
	call := &holysheep.Call{Operation: embedderKind, Model: e.next.Fingerprint()}
	ctx = e.opts.Recorder.Begin(ctx, call)
	vectors, sent, err := e.embed(ctx, texts, enc)
	call.Steps = []holysheep.Step{{Kind: "cache", Reason: fmt.Sprintf("%d of %d texts sent", sent, len(texts))}}
	e.opts.Recorder.End(ctx, call, err)
	return vectors, err
}

// embed gives the vectors of texts, and says how many of them this call has sent.
func (e *embedder) embed(ctx context.Context, texts []string, enc encoder) (vectors [][]float32, sent int, err error) {
	fingerprint := e.next.Fingerprint()
	places := make(map[string]int, len(texts)) // of each text, among the distinct ones
	keys, distinct := make([]string, 0, len(texts)), make([]string, 0, len(texts))
	for _, text := range texts {
		if _, again := places[text]; !again {
			places[text] = len(distinct)
			distinct, keys = append(distinct, text), append(keys, e.key(enc.kind, fingerprint, text))
		}
	}
	found, sent, err := e.together(ctx, keys, distinct, enc)
	if err == nil && !sameLength(found) { // the model has changed under its name: what was kept is of no use
		sent = len(distinct)
		found, err = e.alone(ctx, keys, distinct, enc)
	}
	if err != nil {
		return nil, sent, err
	}
	vectors = make([][]float32, len(texts))
	for i, text := range texts {
		vectors[i] = found[places[text]]
	}
	return vectors, sent, nil
}

func sameLength(vectors [][]float32) bool {
	for _, v := range vectors {
		if len(v) != len(vectors[0]) {
			return false
		}
	}
	return true
}

// alone asks for vectors, whatever is kept or on its way, and keeps what comes.
func (e *embedder) alone(ctx context.Context, keys, texts []string, enc encoder) ([][]float32, error) {
	vectors, err := enc.all(ctx, texts)
	if err != nil {
		return nil, err
	}
	e.keep(ctx, keys, vectors)
	return vectors, nil
}

// setsAtOnce is how many vectors are on their way to the store at the same time.
const setsAtOnce = 16

// keep stores vectors, as many as there is time for. That is more than one operation has, so that a store that takes
// too long is seen to.
func (e *embedder) keep(ctx context.Context, keys []string, vectors [][]float32) {
	ctx, cancel := context.WithTimeout(ctx, 2*e.shelf.limit(len(keys)))
	defer cancel()
	var next atomic.Int64
	var wg sync.WaitGroup
	for range min(setsAtOnce, len(keys)) {
		wg.Go(func() {
			for i := int(next.Add(1)) - 1; i < len(keys); i = int(next.Add(1)) - 1 {
				e.shelf.set(ctx, keys[i], appendVector(nil, vectors[i]), e.opts.TTL)
			}
		})
	}
	wg.Wait()
}

// appendVector writes a vector as float32, little-endian.
func appendVector(b []byte, vector []float32) []byte {
	b = slices.Grow(b, 4*len(vector))
	for _, f := range vector {
		b = binary.LittleEndian.AppendUint32(b, math.Float32bits(f))
	}
	return b
}

// parseVector reads what appendVector wrote; nil for what it did not.
func parseVector(raw []byte) []float32 {
	if len(raw) == 0 || len(raw)%4 != 0 {
		return nil
	}
	vector := make([]float32, len(raw)/4)
	for i := range vector {
		vector[i] = math.Float32frombits(binary.LittleEndian.Uint32(raw[4*i:]))
	}
	return vector
}
