package cache

import (
	"encoding/binary"
	"encoding/json"
	"reflect"
	"slices"
	"strings"
	"testing"
	"time"

	"github.com/stretchr/testify/require"

	"github.com/holysheep-ai/holysheep-go"
)

// notKept are the fields of an answer that belong to the call that bought it, or to the gateway's bytes.
var notKept = []string{"Saved", "Cached", "RequestID", "Attempts", "Latency", "FirstToken", "Steps", "Raw"}

// fill sets everything that v has to something that no other field has.
func fill(tb testing.TB, v reflect.Value, n *int64) {
	tb.Helper()
	*n++
	switch v.Type() {
	case reflect.TypeFor[json.RawMessage]():
		v.SetBytes([]byte(`{"n":` + strings.Repeat("1", int(*n%50)+1) + "}"))
		return
	case reflect.TypeFor[[]holysheep.Part]():
		v.Set(reflect.ValueOf([]holysheep.Part{
			holysheep.Text("text \xff 文"), holysheep.Text(""), holysheep.RawPart(`{"type":"audio"}`),
			holysheep.Image{URL: "https://example.com/a.png", Detail: "low"},
			holysheep.Image{Data: []byte{0, 1, 255}, MediaType: "image/png"},
		}))
		return
	}
	switch v.Kind() {
	case reflect.Struct:
		for _, field := range v.Fields() {
			fill(tb, field, n)
		}
	case reflect.Slice:
		v.Set(reflect.MakeSlice(v.Type(), 2, 2))
		for i := range 2 {
			fill(tb, v.Index(i), n)
		}
	case reflect.Map:
		v.Set(reflect.MakeMap(v.Type()))
		for range 2 {
			key, value := reflect.New(v.Type().Key()).Elem(), reflect.New(v.Type().Elem()).Elem()
			fill(tb, key, n)
			fill(tb, value, n)
			v.SetMapIndex(key, value)
		}
	case reflect.String:
		v.SetString("s" + time.Duration(*n).String())
	case reflect.Int, reflect.Int64:
		v.SetInt(-*n * 1_000_000_007)
	case reflect.Uint8:
		v.SetUint(uint64(*n % 3))
	case reflect.Bool:
		v.SetBool(true)
	default:
		tb.Fatalf("%v: a kind of field that is new: encode it", v.Type())
	}
}

// fullAnswer has something in every field that is kept.
func fullAnswer(tb testing.TB) *holysheep.ChatResponse {
	tb.Helper()
	full := &holysheep.ChatResponse{}
	v, n := reflect.ValueOf(full).Elem(), int64(0)
	for i := range v.NumField() {
		if !slices.Contains(notKept, v.Type().Field(i).Name) {
			fill(tb, v.Field(i), &n)
		}
	}
	return full
}

// Every field of an answer comes back, or is named in notKept: whoever adds one has to decide.
func TestAnswerRoundTrip(t *testing.T) {
	for name, resp := range map[string]*holysheep.ChatResponse{"full": fullAnswer(t), "empty": {Choices: []holysheep.Choice{}}} {
		at := time.Unix(0, 1764115200123456789)
		raw, err := encodeAnswer(resp, at)
		require.NoError(t, err, name)
		again, err := encodeAnswer(resp, at)
		require.NoError(t, err, name)
		require.Equal(t, raw, again, "the same answer has one form")
		got, when, err := decodeAnswer(raw)
		require.NoError(t, err, name)
		require.Equal(t, resp, got, name)
		require.True(t, at.Equal(when), name)
	}
}

// What is cut, longer, or of another version is none.
func TestAnswersThatAreNone(t *testing.T) {
	raw, err := encodeAnswer(fullAnswer(t), time.Now())
	require.NoError(t, err)
	for n := range raw {
		_, _, err := decodeAnswer(raw[:n])
		require.ErrorIs(t, err, errNoAnswer, n)
	}
	_, _, err = decodeAnswer(append(slices.Clone(raw), 0))
	require.ErrorIs(t, err, errNoAnswer)
	for _, version := range []byte{0, answerVersion + 1, 255} {
		other := slices.Clone(raw)
		other[0] = version
		_, _, err = decodeAnswer(other)
		require.ErrorIs(t, err, errNoAnswer)
	}
	_, err = encodeAnswer(&holysheep.ChatResponse{Choices: []holysheep.Choice{{Message: holysheep.Message{Content: []holysheep.Part{nil}}}}}, time.Now())
	require.Error(t, err)
}

// An answer in a million pieces is neither written nor read.
func TestAnswerOfManyPieces(t *testing.T) {
	parts := make([]holysheep.Part, mostElements)
	for i := range parts {
		parts[i] = holysheep.Text("")
	}
	resp := &holysheep.ChatResponse{Choices: []holysheep.Choice{{Message: holysheep.Message{Content: parts[:mostElements-1]}}}}
	raw, err := encodeAnswer(resp, time.Now())
	require.NoError(t, err)
	_, _, err = decodeAnswer(raw)
	require.NoError(t, err)
	resp.Choices[0].Message.Content = parts
	_, err = encodeAnswer(resp, time.Now())
	require.Error(t, err)

	hostile := writer{b: []byte{answerVersion}}
	for range 12 { // the time, three names, eight figures
		hostile.int(0)
	}
	hostile.count(0) // no fields
	hostile.count(1 << 20)
	hostile.b = append(hostile.b, make([]byte, leastChoice<<20)...)
	_, _, err = decodeAnswer(hostile.b)
	require.ErrorIs(t, err, errNoAnswer)
	hostile.b = hostile.b[:len(hostile.b)-leastChoice<<20-len(binary.AppendUvarint(nil, 1<<20))]
	hostile.count(1 << 10)
	hostile.b = append(hostile.b, make([]byte, leastChoice<<10)...)
	got, _, err := decodeAnswer(hostile.b)
	require.NoError(t, err, "the same with fewer is an answer")
	require.Len(t, got.Choices, 1<<10)
}

// A caller may write to what he got.
func TestAnswerSharesNothing(t *testing.T) {
	raw, err := encodeAnswer(fullAnswer(t), time.Now())
	require.NoError(t, err)
	before := slices.Clone(raw)
	got, _, err := decodeAnswer(raw)
	require.NoError(t, err)
	c := &got.Choices[0]
	for _, b := range [][]byte{c.Logprobs, c.Message.Content[2].(holysheep.RawPart), c.Message.Content[4].(holysheep.Image).Data} {
		clear(b)
	}
	for _, b := range got.Extra {
		clear(b)
	}
	require.Equal(t, before, raw)
}

// Whatever is read, it ends, without a panic; and what was understood is written and read as the same.
func FuzzDecodeAnswer(f *testing.F) {
	raw, err := encodeAnswer(fullAnswer(f), time.Unix(1, 2))
	require.NoError(f, err)
	f.Add(raw)
	f.Fuzz(func(t *testing.T, data []byte) {
		resp, at, err := decodeAnswer(data)
		if err != nil {
			return
		}
		raw, err := encodeAnswer(resp, at)
		if err != nil {
			t.Fatal(err)
		}
		again, then, err := decodeAnswer(raw)
		if err != nil || !then.Equal(at) || !reflect.DeepEqual(resp, again) {
			t.Fatalf("%v\n%+v\n%+v", err, resp, again)
		}
	})
}
