package cache

import (
	"context"
	"crypto/sha256"
	"encoding/binary"
	"encoding/hex"
	"encoding/json"
	"fmt"
	"hash"
	"maps"
	"math"
	"slices"
	"strconv"
	"strings"
	"sync"
	"unicode"

	"github.com/holysheep-ai/holysheep-go"
)

// A key is exactPrefix, 16 digits of the namespace, 32 of the tenant and 64 of the whole request, all of them hashes:
// what belongs to a namespace or a tenant has a prefix in common, and no key shows a name or a prompt. The number in it
// counts up when the form of what is hashed changes, so that old entries are misses.
const exactPrefix = "hs:exact:1:"

// spaceOf is the prefix of all keys of a namespace.
func spaceOf(namespace string) string {
	sum := sha256.Sum256([]byte("namespace\x00" + namespace))
	return exactPrefix + hex.EncodeToString(sum[:8]) + ":"
}

// tenantPart is what tells the keys of a tenant apart from those of another. The name of the tag goes in as well, and
// what is shared between tenants is nobody's.
func tenantPart(tag, tenant string, shared bool) [sha256.Size]byte {
	var room [128]byte
	b := append(room[:0], "tenant\x00"...)
	if shared {
		b = append(b, 's')
	} else {
		b = append(b, 't')
		b = appendText(b, tag)
		b = appendText(b, tenant)
	}
	return sha256.Sum256(b)
}

// keyed is what a request is known by.
type keyed struct {
	sum [sha256.Size]byte
	key string
}

// receipt is enough of a key to find the entry, and not enough to test guesses about the prompt.
func (k *keyed) receipt() string { return k.key[len(k.key)-2*sha256.Size:][:12] }

// keyOf makes the key of a resolved request. space is the prefix of the namespace, beneath the fingerprint of what will
// answer.
func keyOf(space string, tenant [sha256.Size]byte, r *holysheep.ChatRequest, beneath string, fold bool) (keyed, error) {
	w := keyWriters.Get().(*keyWriter) //nolint:forcetypeassert // nothing else is in there
	defer w.free()
	w.b = append(w.b[:0], space...)
	w.b = append(w.b, tenant[:]...)
	if err := w.request(r, fold); err != nil {
		return keyed{}, err
	}
	keyText(w, keyBeneath, beneath)
	w.flag(keyFolded, fold)

	var k keyed
	k.sum = w.sum()
	b := hex.AppendEncode(append(w.b[:0], space...), tenant[:16])
	w.b = hex.AppendEncode(append(b, ':'), k.sum[:])
	k.key = string(w.b)
	return k, nil
}

// resolve gives what keyOf is made of: the request as it will be asked, and what will answer it in this context.
func resolve(ctx context.Context, next holysheep.Completer, req *holysheep.ChatRequest) (*holysheep.ChatRequest, string, error) {
	r, beneath, err := holysheep.Resolve(next, req)
	if err != nil {
		return nil, "", err
	}
	for c := next; c != nil; {
		if v, ok := c.(interface {
			Vary(ctx context.Context) string
		}); ok {
			if part := v.Vary(ctx); part != "" {
				beneath += "|" + part
			}
		}
		w, ok := c.(interface{ Unwrap() holysheep.Completer })
		if !ok {
			break
		}
		c = w.Unwrap()
	}
	return r, beneath, nil
}

// What is hashed is a list of fields: a number, then the value in a form that the number implies. Fields that are not
// set are left out, so that a field added later changes no key of a request that does not use it. Each form says where
// it ends, so no two requests are written alike. A number is never used for something else.
const (
	keyEnd = iota
	keyModel
	keyMessages
	keyTemperature
	keyTopP
	keyMaxTokens
	keyStop
	keySeed
	keyN
	keyPresence
	keyFrequency
	keyLogprobs
	keyTopLogprobs
	keyFormat
	keyTools
	keyToolChoice
	keyParallel
	keyEffort
	keyUser
	keyExtra
	keyHeaders
	keyBeneath
	keyFolded
)

// Fields of what is inside a request, each kind with numbers of its own. New ones go last.
const (
	keyRole = iota + 1
	keyContent
	keyName
	keyToolCalls
	keyToolCallID
	keyRefusal
	keyReasoning
	keyMessageExtra
)

const (
	keyPartText = iota + 1
	keyPartImage
	keyPartRaw
)

const (
	keyImageURL = iota + 1
	keyImageData
	keyImageMedia
	keyImageDetail
)

const (
	keyCallIndex = iota + 1
	keyCallID
	keyCallName
	keyCallArguments
	keyCallExtra
)

const (
	keyToolName = iota + 1
	keyToolDescription
	keyToolParameters
	keyToolStrict
)

const (
	keyFormatType = iota + 1
	keyFormatName
	keyFormatSchema
	keyFormatStrict
)

// What a field of JSON may hold.
const (
	keyJSON   = iota + 1
	keyOpaque // something that is none
)

// keyWriter hashes what is written to it. Most requests fit into its buffer and are hashed at once.
type keyWriter struct {
	b     []byte
	hash  hash.Hash
	begun bool // a part has been hashed already
	names []string
	json  []byte
}

var keyWriters = sync.Pool{New: func() any { return &keyWriter{b: make([]byte, 0, 2*keyBlock), hash: sha256.New()} }}

// keyBlock is how much is hashed at once.
const keyBlock = 4 << 10

// free gives the writer back, without what a huge request made of it.
func (w *keyWriter) free() {
	if cap(w.json) > 16*keyBlock {
		w.json = nil
	}
	clear(w.names)
	w.names = w.names[:0]
	if w.begun {
		w.hash.Reset()
		w.begun = false
	}
	keyWriters.Put(w)
}

func (w *keyWriter) sum() (sum [sha256.Size]byte) {
	if !w.begun {
		return sha256.Sum256(w.b)
	}
	w.flush()
	w.hash.Sum(sum[:0])
	return sum
}

func (w *keyWriter) flush() {
	w.hash.Write(w.b)
	w.b, w.begun = w.b[:0], true
}

func appendText(b []byte, s string) []byte {
	return append(binary.AppendUvarint(b, uint64(len(s))), s...)
}

func (w *keyWriter) uint(n int) { w.b = binary.AppendUvarint(w.b, uint64(n)) }

// keyPut writes a text with its length.
func keyPut[T string | []byte](w *keyWriter, s T) {
	w.uint(len(s))
	for len(w.b)+len(s) > keyBlock {
		n := min(max(keyBlock-len(w.b), 0), len(s))
		w.b = append(w.b, s[:n]...)
		s = s[n:]
		w.flush()
	}
	w.b = append(w.b, s...)
}

// keyText writes a text, unless it is empty.
func keyText[T string | []byte](w *keyWriter, field int, s T) {
	if len(s) > 0 {
		w.uint(field)
		keyPut(w, s)
	}
}

func (w *keyWriter) flag(field int, set bool) {
	if set {
		w.uint(field)
	}
}

func (w *keyWriter) float(field int, f *float64) {
	if f != nil {
		w.uint(field)
		w.b = binary.LittleEndian.AppendUint64(w.b, math.Float64bits(*f))
	}
}

func keyInt[T int | int64](w *keyWriter, field int, n *T) {
	if n != nil {
		w.uint(field)
		w.b = binary.AppendVarint(w.b, int64(*n))
	}
}

// list begins a list, unless it is empty: nil and empty are sent alike.
func (w *keyWriter) list(field, n int) {
	if n > 0 {
		w.uint(field)
		w.uint(n)
	}
}

// raw writes JSON in its canonical form.
func (w *keyWriter) raw(field int, raw []byte, schema bool) {
	if raw != nil {
		w.uint(field)
		w.value(raw, schema)
	}
}

func (w *keyWriter) value(raw []byte, schema bool) {
	kind, ok := keyJSON, false
	if w.json, ok = appendCanonical(w.json[:0], raw, schema); !ok {
		kind, w.json = keyOpaque, append(w.json[:0], raw...)
	}
	w.uint(kind)
	keyPut(w, w.json)
}

func (w *keyWriter) request(r *holysheep.ChatRequest, fold bool) error {
	keyText(w, keyModel, r.Model)
	w.list(keyMessages, len(r.Messages))
	for i := range r.Messages {
		m := &r.Messages[i]
		if err := w.message(m, i, fold && i == len(r.Messages)-1 && m.Role == holysheep.RoleUser); err != nil {
			return err
		}
	}
	w.float(keyTemperature, r.Temperature)
	w.float(keyTopP, r.TopP)
	keyInt(w, keyMaxTokens, r.MaxTokens)
	w.list(keyStop, len(r.Stop))
	for _, s := range r.Stop {
		keyPut(w, s)
	}
	keyInt(w, keySeed, r.Seed)
	keyInt(w, keyN, r.N)
	w.float(keyPresence, r.PresencePenalty)
	w.float(keyFrequency, r.FrequencyPenalty)
	w.flag(keyLogprobs, r.Logprobs)
	keyInt(w, keyTopLogprobs, r.TopLogprobs)
	w.format(r.ResponseFormat)
	w.list(keyTools, len(r.Tools))
	for i := range r.Tools {
		w.tool(&r.Tools[i])
	}
	keyText(w, keyToolChoice, r.ToolChoice)
	if r.ParallelTools != nil {
		w.uint(keyParallel)
		keyPut(w, strconv.FormatBool(*r.ParallelTools))
	}
	keyText(w, keyEffort, r.ReasoningEffort)
	keyText(w, keyUser, r.User)
	w.list(keyHeaders, len(r.Headers))
	for _, name := range keyNames(w, r.Headers) {
		keyPut(w, name)
		w.uint(len(r.Headers[name]))
		for _, v := range r.Headers[name] {
			keyPut(w, v)
		}
	}
	return w.extra(r.Extra)
}

// keyNames are the keys of a map in order. They are good until the next call.
func keyNames[V any](w *keyWriter, m map[string]V) []string {
	if len(m) == 0 {
		return nil
	}
	w.names = slices.AppendSeq(w.names[:0], maps.Keys(m))
	slices.Sort(w.names)
	return w.names
}

// extra writes parameters as they will be sent.
func (w *keyWriter) extra(fields map[string]any) error {
	w.list(keyExtra, len(fields))
	for _, name := range keyNames(w, fields) {
		keyPut(w, name)
		raw, err := json.Marshal(fields[name])
		if err != nil {
			return &holysheep.RequestError{Field: "Extra[" + strconv.Quote(name) + "]", Reason: err.Error()}
		}
		w.value(raw, false)
	}
	return nil
}

func (w *keyWriter) rawFields(field int, fields map[string]json.RawMessage) {
	w.list(field, len(fields))
	for _, name := range keyNames(w, fields) {
		keyPut(w, name)
		w.value(fields[name], false)
	}
}

func (w *keyWriter) message(m *holysheep.Message, at int, fold bool) error {
	keyText(w, keyRole, m.Role)
	w.list(keyContent, len(m.Content))
	for i, p := range m.Content {
		switch p := p.(type) {
		case holysheep.Text:
			w.uint(keyPartText)
			if fold {
				keyPut(w, folded(string(p)))
			} else {
				keyPut(w, string(p))
			}
		case holysheep.Image:
			w.uint(keyPartImage)
			keyText(w, keyImageURL, p.URL)
			keyText(w, keyImageData, p.Data)
			keyText(w, keyImageMedia, p.MediaType)
			keyText(w, keyImageDetail, p.Detail)
			w.uint(keyEnd)
		case holysheep.RawPart:
			w.uint(keyPartRaw)
			w.value(p, false)
		default:
			return &holysheep.RequestError{
				Field: fmt.Sprintf("Messages[%d].Content[%d]", at, i), Reason: fmt.Sprintf("%T is no part that can be sent", p),
			}
		}
	}
	keyText(w, keyName, m.Name)
	w.list(keyToolCalls, len(m.ToolCalls))
	for i := range m.ToolCalls {
		c := &m.ToolCalls[i]
		keyInt(w, keyCallIndex, &c.Index)
		keyText(w, keyCallID, c.ID)
		keyText(w, keyCallName, c.Name)
		keyText(w, keyCallArguments, c.Arguments)
		w.rawFields(keyCallExtra, c.Extra)
		w.uint(keyEnd)
	}
	keyText(w, keyToolCallID, m.ToolCallID)
	keyText(w, keyRefusal, m.Refusal)
	keyText(w, keyReasoning, m.Reasoning)
	w.rawFields(keyMessageExtra, m.Extra)
	w.uint(keyEnd)
	return nil
}

func (w *keyWriter) tool(t *holysheep.Tool) {
	keyText(w, keyToolName, t.Name)
	keyText(w, keyToolDescription, t.Description)
	w.raw(keyToolParameters, t.Parameters, true)
	w.flag(keyToolStrict, t.Strict)
	w.uint(keyEnd)
}

func (w *keyWriter) format(f *holysheep.ResponseFormat) {
	if f == nil {
		return
	}
	w.uint(keyFormat)
	keyText(w, keyFormatType, f.Type)
	keyText(w, keyFormatName, f.Name)
	w.raw(keyFormatSchema, f.Schema, true)
	w.flag(keyFormatStrict, f.Strict)
	w.uint(keyEnd)
}

// folded takes case and white space out of a question.
func folded(s string) string {
	var b strings.Builder
	b.Grow(len(s))
	gap := false
	for _, r := range s {
		if unicode.IsSpace(r) {
			gap = b.Len() > 0
			continue
		}
		if gap {
			b.WriteByte(' ')
			gap = false
		}
		b.WriteRune(unicode.ToLower(r))
	}
	return b.String()
}
