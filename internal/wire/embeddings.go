package wire

import (
	"encoding/base64"
	"encoding/binary"
	"encoding/json"
	"errors"
	"fmt"
	"math"
	"slices"
	"strings"
	"unicode/utf8"
)

// Embeddings is the answer of /embeddings.
type Embeddings struct {
	Model    string
	Vectors  [][]float32 // as many as were asked for, by index, all of one length; nil after a Problem
	Usage    Usage
	HasUsage bool   // a number of tokens was there
	HasData  bool   // "data" was there as an array
	Error    string // raw JSON of a top-level "error", "" when there is none or it is null, false or ""

	// Problem says why the vectors are not those of the texts: gaps, repeated indexes, lengths that differ, something
	// that is no vector. The usage has been read all the same, because the answer is on the bill.
	Problem string

	// Bad are the indexes of vectors with a value that is not finite, or far from what an embedding has.
	Bad []int
}

// largestValue is far above what any encoder gives. Beyond it lie the values of other bytes taken for float32: half
// of the numbers in an int8 or binary vector are.
const largestValue = 1e9

// DecodeEmbeddings reads an answer to n texts. The error is for what is no JSON object; what an object may lack or
// have too much of is in e.
func DecodeEmbeddings(data string, n int, e *Embeddings) error {
	data = strings.TrimPrefix(data, "\ufeff")
	d := vectors{scanner: scanner{data: data}, out: e, want: n}
	if !d.fast() {
		*e = Embeddings{}
		if err := d.reference(data); err != nil {
			*e = Embeddings{}
			return err
		}
	}
	if e.HasData && e.Problem == "" && d.count != n {
		d.problem("%d vectors for %d texts", d.count, n)
	}
	if e.Problem != "" || !e.HasData {
		e.Vectors, e.Bad = nil, nil
	}
	slices.Sort(e.Bad)
	return nil
}

// vectors reads embeddings. Like the decoders of chats it has a fast way for the usual shapes, and a reference way
// that decides what all others mean.
type vectors struct {
	scanner
	out    *Embeddings
	want   int
	count  int // vectors that came
	length int // of each; 0 before the first
	bytes  []byte
}

// problem notes what is wrong with the vectors, once.
func (d *vectors) problem(format string, args ...any) {
	if d.out.Problem == "" {
		d.out.Problem = fmt.Sprintf(format, args...)
	}
}

// fast reports whether it read the answer; if not, the answer is in disorder.
func (d *vectors) fast() bool {
	d.space()
	var list, usage bool
	for more := d.enter('{', '}'); more; more = d.next('}') {
		switch d.key() {
		case "model":
			d.out.Model = d.text()
		case "data":
			if list || d.peek() != '[' {
				d.fail()
			}
			list = true
			d.list()
		case "usage":
			if usage {
				d.fail()
			}
			usage = true
			d.out.readUsage(d.raw())
		case "error":
			d.out.Error = errorIn(d.raw())
		default:
			d.skip()
		}
	}
	d.space()
	return !d.bad && d.pos == len(d.data)
}

func (d *vectors) list() {
	d.out.HasData = true
	for more := d.enter('[', ']'); more; more = d.next(']') {
		if d.peek() != '{' {
			d.fail()
			return
		}
		d.element()
	}
}

func (d *vectors) element() {
	index, hasIndex, came := int64(0), false, false
	var vector []float32
	good := true
	for more := d.enter('{', '}'); more; more = d.next('}') {
		switch d.key() {
		case "index":
			index = d.whole()
			hasIndex = index != absent
		case "embedding":
			if came {
				d.fail()
				return
			}
			came = true
			vector, good = d.vector()
		default:
			d.skip()
		}
	}
	if !hasIndex {
		index = int64(d.count) // as servers leave it out that leave out zeros
	}
	d.put(index, vector, good)
}

// put takes a vector in; good is whether its values can be those of an embedding.
func (d *vectors) put(index int64, vector []float32, good bool) {
	d.count++
	e := d.out
	switch {
	case e.Problem != "":
		return
	case index < 0 || index >= int64(d.want):
		d.problem("a vector has the index %d, and %d texts were sent", index, d.want)
		return
	case len(vector) == 0:
		d.problem("the vector of index %d is empty, or no vector", index)
		return
	case d.length == 0:
		d.length = len(vector)
		e.Vectors = make([][]float32, d.want)
	}
	switch {
	case len(vector) != d.length:
		d.problem("one vector has %d numbers, another %d", d.length, len(vector))
	case e.Vectors[index] != nil:
		d.problem("two vectors have the index %d", index)
	default:
		e.Vectors[index] = vector
		if !good {
			e.Bad = append(e.Bad, int(index))
		}
	}
}

// vector reads either form of a vector.
func (d *vectors) vector() (v []float32, good bool) {
	if d.out.Problem != "" { // nothing is made of it
		d.skip()
		return nil, true
	}
	switch d.peek() {
	case '"':
		return d.quotedVector()
	case '[':
		return d.floats()
	}
	d.skip()
	return nil, true
}

// quotedVector finds the end of the text without looking at what is in it: what base64 takes is plain, but for line
// breaks, which it ignores, and JSON does not allow.
func (d *vectors) quotedVector() (v []float32, good bool) {
	from := d.pos + 1
	end := strings.IndexByte(d.data[from:], '"')
	if end < 0 {
		d.fail()
		return nil, true
	}
	text := d.data[from : from+end]
	if strings.IndexByte(text, '\\') >= 0 {
		return d.packed(d.text())
	}
	d.pos = from + end + 1
	v, good = d.packed(text)
	if d.out.Problem != "" || len(v) != base64.RawStdEncoding.DecodedLen(len(strings.TrimRight(text, "=")))/4 {
		d.fail() // the reference finds out what it is
	}
	return v, good
}

// packed reads float32s, little endian, in base64.
func (d *vectors) packed(text string) (v []float32, good bool) {
	encoding := base64.StdEncoding
	if len(text)%4 != 0 {
		encoding = base64.RawStdEncoding
	}
	if need := encoding.DecodedLen(len(text)); len(d.bytes) < need {
		d.bytes = make([]byte, need)
	}
	n, err := encoding.Decode(d.bytes, stringBytes(text))
	switch {
	case err != nil:
		d.problem("a vector is a text, and no base64")
		return nil, true
	case n%4 != 0:
		d.problem("a vector of %d bytes is not made of float32: int8 or binary?", n)
		return nil, true
	}
	v = make([]float32, n/4)
	in, largest := d.bytes[:n], uint32(0)
	for i := range v {
		bits := binary.LittleEndian.Uint32(in)
		in = in[4:]
		v[i] = math.Float32frombits(bits)
		largest = max(largest, bits&^(1<<31)) // without their sign, the bits of floats are in the order of the floats
	}
	return v, largest <= math.Float32bits(largestValue)
}

// isValue is false for NaN as well.
func isValue(f float32) bool { return f >= -largestValue && f <= largestValue }

// floats reads an array of numbers.
func (d *vectors) floats() (v []float32, good bool) {
	// No more than what can follow: a vector that is much shorter than the one before it is the last that is read.
	v, good = make([]float32, 0, min(max(d.length, 16), (len(d.data)-d.pos)/2+1)), true
	for more := d.enter('[', ']'); more; more = d.next(']') {
		f, next, ok := parseFloat32(d.data, d.pos)
		if !ok {
			d.fail()
			return nil, true
		}
		d.pos = next
		good = good && isValue(f)
		v = append(v, f)
	}
	return v, good
}

// readUsage reads the tokens of a usage object. Where only their total is given, that is the prompt's: there is no
// completion.
func (e *Embeddings) readUsage(value string) {
	if kind(value) != '{' {
		return
	}
	var a Answer
	a.readUsage(value)
	if total := countIn(member(value, "total_tokens")); a.Usage.Prompt == 0 && total > 0 {
		a.Usage.Prompt, a.HasUsage = total, true
	}
	e.Usage, e.HasUsage = a.Usage, a.HasUsage
}

// reference reads any JSON object.
func (d *vectors) reference(data string) error {
	d.count, d.length = 0, 0
	if !utf8.ValidString(data) {
		data = strings.Map(func(r rune) rune { return r }, data)
	}
	if !json.Valid([]byte(data)) {
		return errors.New("not valid JSON")
	}
	if depth(data) > maxDepth {
		return errTooDeep
	}
	data = trimSpace(data)
	if kind(data) == '[' {
		data = wrappedError(data)
	}
	if kind(data) != '{' {
		return errNotObject
	}
	var list, usage string
	_ = eachMember(data, func(key, value string) error {
		switch key {
		case "model":
			d.out.Model = text(value)
		case "data":
			list = value
		case "usage":
			usage = value
		case "error":
			d.out.Error = errorIn(value)
		}
		return nil
	})
	d.out.readUsage(usage)
	if kind(list) != '[' {
		return nil
	}
	d.out.HasData = true
	return eachElement(list, d.referenceElement)
}

func (d *vectors) referenceElement(object string) error {
	if kind(object) != '{' {
		d.problem("what stands for a vector is no object")
		return nil
	}
	var rawIndex, raw string
	_ = eachMember(object, func(key, value string) error {
		switch key {
		case "index":
			rawIndex = value
		case "embedding":
			raw = value
		}
		return nil
	})
	index := int64(d.count)
	if isNumber(rawIndex) {
		index = count(rawIndex)
	}
	var vector []float32
	good := true
	switch {
	case d.out.Problem != "":
	case kind(raw) == '"':
		vector, good = d.packed(text(raw))
	case kind(raw) == '[':
		vector, good = d.referenceFloats(raw)
	}
	d.put(index, vector, good)
	return nil
}

func (d *vectors) referenceFloats(array string) (v []float32, good bool) {
	good = true
	_ = eachElement(array, func(value string) error {
		f, _, ok := parseFloat32(value, 0)
		if !ok {
			d.problem("a vector holds what is no number")
			return errNotObject
		}
		good = good && isValue(f)
		v = append(v, f)
		return nil
	})
	return v, good
}
