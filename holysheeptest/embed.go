package holysheeptest

import (
	"encoding/base64"
	"encoding/binary"
	"encoding/json"
	"fmt"
	"hash/fnv"
	"math"
	"strings"
	"unicode"
)

// Vectors answers a request for embeddings with these vectors, one for each of its texts. With none they are made up,
// as they are without a script: Vectors().After(time.Second).
func Vectors(vectors ...[]float32) *Reply {
	return &Reply{kind: embeddings, vectors: vectors, stopAt: -1}
}

const (
	maxTexts      = 2048 // what OpenAI takes
	maxDimensions = 1 << 16
)

// parseTexts reads the body of a request for embeddings and says what is wrong with it.
func (r *Request) parseTexts() string {
	var body struct {
		Model          string
		Input          json.RawMessage
		EncodingFormat string `json:"encoding_format"`
		Dimensions     int
	}
	if err := json.Unmarshal(r.Body, &body); err != nil {
		return "the body is no JSON: " + err.Error()
	}
	r.Model, r.base64, r.dimensions = body.Model, body.EncodingFormat == "base64", body.Dimensions
	if json.Unmarshal(body.Input, &r.Texts) != nil {
		var text string
		if json.Unmarshal(body.Input, &text) != nil {
			return "input is neither a text nor an array of texts"
		}
		r.Texts = []string{text}
	}
	if len(r.Texts) == 0 || len(r.Texts) > maxTexts {
		return fmt.Sprintf("input has %d texts", len(r.Texts))
	}
	for i, text := range r.Texts {
		if text == "" {
			return fmt.Sprintf("input[%d] is empty", i)
		}
	}
	if body.Dimensions < 0 || body.Dimensions > maxDimensions {
		return fmt.Sprintf("dimensions is %d", body.Dimensions)
	}
	return ""
}

func (x *exchange) embeddings() map[string]any {
	var data []any
	for i, v := range x.vectors() {
		embedding := any(v)
		if x.request.base64 {
			embedding = inBase64(v)
		}
		data = append(data, map[string]any{"object": "embedding", "index": i, "embedding": embedding})
	}
	body := map[string]any{"object": "list", "data": data, "model": x.request.Model}
	if !x.reply.noUsage {
		u := x.usage()
		body["usage"] = map[string]any{"prompt_tokens": u.PromptTokens, "total_tokens": u.Total()}
	}
	return body
}

func (x *exchange) vectors() [][]float32 {
	if x.reply.vectors != nil {
		return x.reply.vectors
	}
	vectors := make([][]float32, len(x.request.Texts))
	for i, text := range x.request.Texts {
		vectors[i] = vectorOf(text, x.dimensions())
	}
	return vectors
}

// dimensions are those asked for, or the model's own.
func (x *exchange) dimensions() int {
	switch {
	case x.request.dimensions > 0:
		return x.request.dimensions
	case strings.Contains(x.request.Model, "3-large"):
		return 3072
	}
	return 1536
}

func inBase64(v []float32) string {
	b := make([]byte, 0, 4*len(v))
	for _, f := range v {
		b = binary.LittleEndian.AppendUint32(b, math.Float32bits(f))
	}
	return base64.StdEncoding.EncodeToString(b)
}

// vectorOf is what the server makes up for a text: of unit length, always the same for the same text, and the nearer
// to that of another the more words they share, or, with less weight, parts of words. It knows nothing of what words
// mean.
func vectorOf(text string, dimensions int) []float32 {
	v := make([]float32, dimensions)
	for _, word := range words(text) {
		put(v, word, 1)
		around := []rune("^" + word + "$")
		for i := 0; i+3 <= len(around); i++ {
			put(v, string(around[i:i+3]), 0.3)
		}
	}
	put(v, "", 0.01) // so that a text without a word has a direction as well
	var sum float64
	for _, f := range v {
		sum += float64(f) * float64(f)
	}
	if sum == 0 { // all of it has cancelled out
		v[0], sum = 1, 1
	}
	for i := range v {
		v[i] /= float32(math.Sqrt(sum))
	}
	return v
}

// put adds a feature at the place that its hash gives, with the sign that it gives.
func put(v []float32, feature string, weight float32) {
	h := fnv.New64a()
	_, _ = h.Write([]byte(feature))
	sum := h.Sum64()
	sum ^= sum >> 32 // the low bits of FNV alone are not mixed well
	if sum>>63 == 1 {
		weight = -weight
	}
	v[sum%uint64(len(v))] += weight
}

// words are those of a text in lower case; characters of scripts that are written without spaces are words of their
// own.
func words(text string) []string {
	var out []string
	start := -1
	lower := strings.ToLower(text)
	flush := func(end int) {
		if start >= 0 {
			out = append(out, lower[start:end])
		}
		start = -1
	}
	for i, r := range lower {
		switch {
		case r >= 0x2e80 && unicode.IsLetter(r):
			flush(i)
			out = append(out, string(r))
		case !unicode.IsLetter(r) && !unicode.IsDigit(r):
			flush(i)
		case start < 0:
			start = i
		}
	}
	flush(len(lower))
	return out
}
