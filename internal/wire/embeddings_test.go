package wire

import (
	"encoding/base64"
	"encoding/binary"
	"encoding/json"
	"fmt"
	"math"
	"math/rand/v2"
	"runtime"
	"slices"
	"strconv"
	"strings"
	"testing"
	"unicode/utf8"

	"github.com/stretchr/testify/require"
)

// packed writes a vector as providers do.
func packed(v ...float32) string {
	var b []byte
	for _, f := range v {
		b = binary.LittleEndian.AppendUint32(b, math.Float32bits(f))
	}
	return base64.StdEncoding.EncodeToString(b)
}

// inBytes is any bytes in base64.
func inBytes(n int) string {
	b := make([]byte, n)
	for i := range b {
		b[i] = byte(-5 - i%7) // an int8 vector of small numbers
	}
	return base64.StdEncoding.EncodeToString(b)
}

var nan = float32(math.NaN())

// Each row is an answer to two texts.
var embeddingShapes = []struct {
	name, in string
	want     [][]float32
	problem  string // a part of it
	bad      []int
	usage    int64 // -1: none
}{
	{"floats", `{"object":"list","data":[{"object":"embedding","index":0,"embedding":[0.5,-1e-3]},{"index":1,"embedding":[1,2.0E0]}],"model":"m","usage":{"prompt_tokens":7,"total_tokens":7}}`, [][]float32{{0.5, -1e-3}, {1, 2}}, "", nil, 7},
	{"base64", `{"data":[{"index":0,"embedding":"` + packed(0.25, -3) + `"},{"index":1,"embedding":"` + packed(1, 0) + `"}],"usage":{"prompt_tokens":3}}`, [][]float32{{0.25, -3}, {1, 0}}, "", nil, 3},
	{"base64 with escaped slashes", `{"data":[{"embedding":"` + strings.ReplaceAll(packed(-1.99, 1), "/", `\/`) + `"},{"index":1,"embedding":"` + packed(1, 0) + `"}]}`, [][]float32{{-1.99, 1}, {1, 0}}, "", nil, -1},
	{"base64 without padding", `{"data":[{"index":0,"embedding":"` + strings.TrimRight(packed(0.25), "=") + `"},{"index":1,"embedding":"` + packed(1) + `"}]}`, [][]float32{{0.25}, {1}}, "", nil, -1},
	{"one of each form", `{"data":[{"index":0,"embedding":[0.5]},{"index":1,"embedding":"` + packed(1) + `"}]}`, [][]float32{{0.5}, {1}}, "", nil, -1},
	{"in another order", `{"data":[{"index":1,"embedding":[1]},{"index":0,"embedding":[0]}]}`, [][]float32{{0}, {1}}, "", nil, -1},
	{"without an index", `{"data":[{"embedding":[0]},{"embedding":[1]}]}`, [][]float32{{0}, {1}}, "", nil, -1},
	{"without the index 0", `{"data":[{"embedding":[0]},{"index":1,"embedding":[1]}]}`, [][]float32{{0}, {1}}, "", nil, -1},
	{"index null and 1.0", `{"data":[{"index":null,"embedding":[0]},{"index":1.0,"embedding":[1]}]}`, [][]float32{{0}, {1}}, "", nil, -1},
	{"only a total", `{"data":[{"embedding":[0]},{"embedding":[1]}],"usage":{"total_tokens":9}}`, [][]float32{{0}, {1}}, "", nil, 9},
	{"usage zero", `{"data":[{"embedding":[0]},{"embedding":[1]}],"usage":{"prompt_tokens":0,"total_tokens":0}}`, [][]float32{{0}, {1}}, "", nil, 0},
	{"usage absurd", `{"data":[{"embedding":[0]},{"embedding":[1]}],"usage":{"prompt_tokens":-4}}`, [][]float32{{0}, {1}}, "", nil, -1},
	{"escaped names", `{"d\u0061ta":[{"ind\u0065x":0,"embedding":[0]},{"index":1,"embedding":[1]}]}`, [][]float32{{0}, {1}}, "", nil, -1},
	{"int8 as numbers", `{"data":[{"index":0,"embedding":[-128,127]},{"index":1,"embedding":[3,-4]}]}`, [][]float32{{-128, 127}, {3, -4}}, "", nil, -1},
	{"a gap", `{"data":[{"index":0,"embedding":[0]}],"usage":{"prompt_tokens":7}}`, nil, "1 vectors for 2 texts", nil, 7},
	{"none", `{"data":[]}`, nil, "0 vectors for 2 texts", nil, -1},
	{"one too many", `{"data":[{"index":0,"embedding":[0]},{"index":1,"embedding":[0]},{"index":2,"embedding":[0]}]}`, nil, "has the index 2", nil, -1},
	{"an index twice", `{"data":[{"index":1,"embedding":[0]},{"index":1,"embedding":[0]}],"usage":{"prompt_tokens":7}}`, nil, "two vectors have the index 1", nil, 7},
	{"an index below zero", `{"data":[{"index":-1,"embedding":[0]},{"index":1,"embedding":[0]}]}`, nil, "has the index", nil, -1},
	{"lengths differ", `{"data":[{"index":0,"embedding":[0]},{"index":1,"embedding":[0,1]}],"usage":{"prompt_tokens":7}}`, nil, "one vector has 1 numbers, another 2", nil, 7},
	{"empty vectors", `{"data":[{"index":0,"embedding":[]},{"index":1,"embedding":[]}]}`, nil, "empty, or no vector", nil, -1},
	{"null for a vector", `{"data":[{"index":0,"embedding":null},{"index":1,"embedding":[1]}]}`, nil, "empty, or no vector", nil, -1},
	{"an object for a vector", `{"data":[{"index":0,"embedding":{"float":[1]}},{"index":1,"embedding":[1]}]}`, nil, "empty, or no vector", nil, -1},
	{"null in a vector", `{"data":[{"index":0,"embedding":[1,null]},{"index":1,"embedding":[1,2]}]}`, nil, "no number", nil, -1},
	{"a number for an element", `{"data":[1,2]}`, nil, "no object", nil, -1},
	{"no base64", `{"data":[{"index":0,"embedding":"?!"},{"index":1,"embedding":[1]}]}`, nil, "no base64", nil, -1},
	{"int8 in base64, odd", `{"data":[{"index":0,"embedding":"` + inBytes(1023) + `"},{"index":1,"embedding":"` + inBytes(1023) + `"}],"usage":{"prompt_tokens":7}}`, nil, "1023 bytes is not made of float32: int8 or binary?", nil, 7},
	{"NaN in one vector", `{"data":[{"index":1,"embedding":"` + packed(1, 2) + `"},{"index":0,"embedding":"` + packed(1, nan) + `"}],"usage":{"prompt_tokens":7}}`, [][]float32{{1, nan}, {1, 2}}, "", []int{0}, 7},
	{"infinite numbers", `{"data":[{"index":0,"embedding":[1e39]},{"index":1,"embedding":[-1e10]}]}`, [][]float32{{float32(math.Inf(1))}, {-1e10}}, "", []int{0, 1}, -1},
	{"no data", `{"object":"list"}`, nil, "", nil, -1},
	{"data null", `{"data":null}`, nil, "", nil, -1},
}

func TestEmbeddingShapes(t *testing.T) {
	for _, s := range embeddingShapes {
		t.Run(s.name, func(t *testing.T) {
			var e Embeddings
			require.NoError(t, DecodeEmbeddings(s.in, 2, &e))
			require.Contains(t, e.Problem, s.problem)
			require.Equal(t, s.problem == "", e.Problem == "", e.Problem)
			require.Equal(t, bitsOf(s.want), bitsOf(e.Vectors))
			require.Equal(t, s.bad, e.Bad)
			require.Equal(t, s.usage >= 0, e.HasUsage)
			require.Equal(t, max(s.usage, 0), e.Usage.Prompt)
			require.Equal(t, strings.Contains(s.in, `ta":[`), e.HasData)
			checkEmbeddings(t, s.in, 2)
		})
	}
}

// An int8 vector whose length is a multiple of four has the form of float32, and values that no encoder gives.
func TestInt8InBase64IsNoVector(t *testing.T) {
	var e Embeddings
	require.NoError(t, DecodeEmbeddings(`{"data":[{"embedding":"`+inBytes(1536)+`"}]}`, 1, &e))
	require.Equal(t, []int{0}, e.Bad)
}

func TestEmbeddingErrors(t *testing.T) {
	for _, in := range []string{"", "[]", "x", `{"data":[{"embedding":[01]}]}`, `{"data":[{"embedding":[1.]}]}`, `{"data":[`, strings.Repeat(`{"a":`, 100) + "1" + strings.Repeat("}", 100)} {
		var e Embeddings
		require.Error(t, DecodeEmbeddings(in, 1, &e), in)
		require.Equal(t, Embeddings{}, e)
	}
	var e Embeddings
	require.NoError(t, DecodeEmbeddings(`[{"error":{"message":"no"}}]`, 1, &e))
	require.JSONEq(t, `{"message":"no"}`, e.Error)
	require.NoError(t, DecodeEmbeddings("\ufeff"+`{"error":null,"data":[{"embedding":[1]}]}`, 1, &e))
	require.Empty(t, e.Error)
	require.Equal(t, [][]float32{{1}}, e.Vectors)
}

func bitsOf(vectors [][]float32) (bits [][]uint32) {
	for _, v := range vectors {
		b := make([]uint32, len(v))
		for i, f := range v {
			b[i] = math.Float32bits(f)
		}
		bits = append(bits, b)
	}
	return bits
}

// judge reads an answer with encoding/json alone. ok is false for what has no vectors of the texts.
func judge(data string, n int) (vectors [][]float32, bad []int, ok bool) {
	var top map[string]json.RawMessage
	var list []json.RawMessage
	if json.Unmarshal([]byte(data), &top) != nil || json.Unmarshal(top["data"], &list) != nil || len(list) != n {
		return nil, nil, false
	}
	vectors = make([][]float32, n)
	for i, raw := range list {
		var element map[string]json.RawMessage
		if json.Unmarshal(raw, &element) != nil || element == nil {
			return nil, nil, false
		}
		index := float64(i)
		if raw := element["index"]; raw != nil && raw[0] != 'n' {
			var value any
			_ = json.Unmarshal(raw, &value)
			switch v := value.(type) {
			case float64:
				index = v
			case nil: // out of range
				return nil, nil, false
			}
		}
		if index != math.Trunc(index) || index < 0 || index >= float64(n) || vectors[int(index)] != nil {
			return nil, nil, false
		}
		v, good, ok := judgeVector(element["embedding"])
		if !ok || len(v) == 0 || i > 0 && len(v) != len(someVector(vectors)) {
			return nil, nil, false
		}
		vectors[int(index)] = v
		if !good {
			bad = append(bad, int(index))
		}
	}
	slices.Sort(bad)
	return vectors, bad, true
}

// someVector is one of those that have come.
func someVector(vectors [][]float32) []float32 {
	i := slices.IndexFunc(vectors, func(v []float32) bool { return v != nil })
	return vectors[i]
}

func judgeVector(raw json.RawMessage) (v []float32, good, ok bool) {
	var text string
	var numbers []json.RawMessage
	good = true
	switch {
	case len(raw) == 0 || raw[0] == 'n':
		return nil, true, false
	case json.Unmarshal(raw, &text) == nil:
		b, err := base64.StdEncoding.DecodeString(text)
		if err != nil {
			b, err = base64.RawStdEncoding.DecodeString(text)
		}
		if err != nil || len(b)%4 != 0 {
			return nil, true, false
		}
		for ; len(b) > 0; b = b[4:] {
			f := math.Float32frombits(binary.LittleEndian.Uint32(b))
			good = good && math.Abs(float64(f)) <= 1e9
			v = append(v, f)
		}
	case json.Unmarshal(raw, &numbers) == nil:
		for _, n := range numbers {
			var f float32
			if n[0] != '-' && (n[0] < '0' || n[0] > '9') {
				return nil, true, false
			}
			if json.Unmarshal(n, &f) != nil {
				good, f = false, float32(math.Inf(1))
				if n[0] == '-' {
					f = -f
				}
			}
			good = good && math.Abs(float64(f)) <= 1e9
			v = append(v, f)
		}
	default:
		return nil, true, false
	}
	return v, good, true
}

// checkEmbeddings compares the decoder, and each of its two ways, with encoding/json.
func checkEmbeddings(t *testing.T, data string, n int) {
	t.Helper()
	var e, fast, ref Embeddings
	d := vectors{scanner: scanner{data: data}, out: &fast, want: n}
	isFast := d.fast()
	r := vectors{out: &ref, want: n}
	err := r.reference(data)
	require.True(t, !isFast || err == nil, "the fast decoder took what the reference refuses")
	if isFast {
		require.Equal(t, ref.Problem == "" && r.count == n, fast.Problem == "" && d.count == n, "%q %q", ref.Problem, fast.Problem)
		require.Equal(t, ref.HasData, fast.HasData)
		require.Equal(t, []any{ref.Usage, ref.HasUsage, ref.Error, ref.Model}, []any{fast.Usage, fast.HasUsage, fast.Error, fast.Model})
	}
	got := DecodeEmbeddings(data, n, &e)
	if strings.HasPrefix(data, "\ufeff") {
		return
	}
	require.Equal(t, err, got)
	require.Equal(t, e.Problem == "" && e.HasData && got == nil, e.Vectors != nil)
	if depth := depthOf(data); depth > maxDepth || !utf8.ValidString(data) || strings.HasPrefix(strings.TrimLeft(data, space), "[") {
		return // bounded here, and not there
	}
	vectors, bad, ok := judge(data, n)
	require.Equal(t, ok, got == nil && e.HasData && e.Problem == "", "%v %q", got, e.Problem)
	if ok {
		require.Equal(t, bitsOf(vectors), bitsOf(e.Vectors))
		require.Equal(t, bad, e.Bad)
	}
}

func depthOf(data string) int {
	if !json.Valid([]byte(data)) {
		return 0
	}
	return depth(data)
}

func FuzzEmbeddings(f *testing.F) {
	for _, s := range embeddingShapes {
		f.Add(s.in, 2)
	}
	f.Fuzz(func(t *testing.T, data string, n int) { checkEmbeddings(t, data, 1+n&3) })
}

// FuzzFloat32 compares with encoding/json, which rounds as strconv does.
func FuzzFloat32(f *testing.F) {
	for _, s := range []string{
		"0", "-0", "1.5e3", "0.006929283495992422", "-1e-46", "3.4028236e38", "1.00000005960464477539062500001", "16777217", "16777219",
		"9007199254740993", "1e22", "8.5e-46", "0.1e", "1.", ".5", "00", "1e99999999999", "-", "1E+2", "0.000000000000000000000000000000001",
	} {
		f.Add(s)
	}
	f.Fuzz(checkFloat32)
}

func checkFloat32(t *testing.T, s string) {
	t.Helper()
	got, end, ok := parseFloat32(s, 0)
	isNumber := s != "" && (s[0] == '-' || s[0] >= '0' && s[0] <= '9') && json.Valid([]byte(s)) && !strings.ContainsAny(s, space)
	require.Equal(t, isNumber, ok && end == len(s), "%q: %v %d", s, ok, end)
	if !isNumber {
		return
	}
	var want float32
	if json.Unmarshal([]byte(s), &want) != nil {
		require.True(t, math.IsInf(float64(got), 0), s)
		return
	}
	require.Equal(t, math.Float32bits(want), math.Float32bits(got), s)
}

// A sample of what FuzzFloat32 looks for: numbers of all lengths, and those half-way between two float32s.
func TestFloat32RoundsAsEncodingJSON(t *testing.T) {
	random := rand.New(rand.NewPCG(1, 2))
	for range 20_000 {
		v := (random.Float64() - 0.5) * math.Pow(10, float64(random.IntN(90)-50))
		for _, format := range []byte{'g', 'f', 'e'} {
			checkFloat32(t, strconv.FormatFloat(v, format, random.IntN(20)+1, 64))
			checkFloat32(t, strconv.FormatFloat(float64(float32(v)), format, -1, 32))
		}
		low := math.Float32bits(float32(v))
		half := (float64(math.Float32frombits(low)) + float64(math.Float32frombits(low+1))) / 2
		if s := strconv.FormatFloat(half, 'f', -1, 64); len(s) < 40 {
			checkFloat32(t, s)
			checkFloat32(t, s+"0000000000000000000001")
		}
	}
}

// What a server sends decides how much memory it takes: never many times its length.
func TestHostileEmbeddingsTakeNoMemory(t *testing.T) {
	long := "[" + strings.Repeat("0,", 1<<20) + "0]"
	var elements []string
	for i := range 2000 {
		elements = append(elements, fmt.Sprintf(`{"index":%d,"embedding":[1]}`, i+1))
	}
	data := `{"data":[{"index":0,"embedding":` + long + `},` + strings.Join(elements, ",") + `]}`
	var before, after runtime.MemStats
	runtime.ReadMemStats(&before)
	var e Embeddings
	require.NoError(t, DecodeEmbeddings(data, 2001, &e))
	runtime.ReadMemStats(&after)
	require.Contains(t, e.Problem, "one vector has 1048577 numbers")
	require.Less(t, after.TotalAlloc-before.TotalAlloc, uint64(16*len(data)))
}

// embeddingBody is an answer with n vectors.
func embeddingBody(n, dimensions int, base64 bool) string {
	random := rand.New(rand.NewPCG(3, 4))
	var b strings.Builder
	b.WriteString(`{"object":"list","data":[`)
	for i := range n {
		if i > 0 {
			b.WriteByte(',')
		}
		v := make([]float32, dimensions)
		for j := range v {
			v[j] = float32(random.NormFloat64() / 20)
		}
		fmt.Fprintf(&b, `{"object":"embedding","index":%d,"embedding":`, i)
		if base64 {
			b.WriteString(`"` + packed(v...) + `"`)
		} else {
			raw, _ := json.Marshal(v)
			b.Write(raw)
		}
		b.WriteByte('}')
	}
	b.WriteString(`],"model":"text-embedding-3-small","usage":{"prompt_tokens":640,"total_tokens":640}}`)
	return b.String()
}

func BenchmarkEmbeddings(b *testing.B) {
	for name, packed := range map[string]bool{"base64": true, "floats": false} {
		body := embeddingBody(64, 384, packed)
		b.Run(name, func(b *testing.B) {
			b.SetBytes(int64(len(body)))
			b.ReportAllocs()
			for b.Loop() {
				var e Embeddings
				if err := DecodeEmbeddings(body, 64, &e); err != nil || e.Problem != "" {
					b.Fatal(err, e.Problem)
				}
			}
		})
	}
	body := []byte(embeddingBody(64, 384, false))
	b.Run("floats, encoding/json", func(b *testing.B) {
		b.SetBytes(int64(len(body)))
		b.ReportAllocs()
		for b.Loop() {
			var answer struct {
				Data []struct {
					Index     int       `json:"index"`
					Embedding []float32 `json:"embedding"`
				} `json:"data"`
			}
			if err := json.Unmarshal(body, &answer); err != nil {
				b.Fatal(err)
			}
		}
	})
}
