package embedlocal_test

import (
	"encoding/binary"
	"math"

	"google.golang.org/protobuf/encoding/protowire"
)

// An onnxGraph writes an ONNX model by hand; the numbers are the fields of onnx.proto.
type onnxGraph struct{ body []byte }

const (
	onnxFloat = 1
	onnxInt64 = 7
)

func field(b []byte, n protowire.Number, m []byte) []byte {
	return protowire.AppendBytes(protowire.AppendTag(b, n, protowire.BytesType), m)
}

func number(b []byte, n protowire.Number, v int) []byte {
	return protowire.AppendVarint(protowire.AppendTag(b, n, protowire.VarintType), uint64(v))
}

// table adds the vectors of the tokens.
func (g *onnxGraph) table(dims []int, values ...float32) string {
	raw := make([]byte, 0, 4*len(values))
	for _, v := range values {
		raw = binary.LittleEndian.AppendUint32(raw, math.Float32bits(v))
	}
	return g.tensor("table", onnxFloat, dims, raw)
}

func (g *onnxGraph) ints(name string, dims []int, values ...int) string {
	var raw []byte
	for _, v := range values {
		raw = binary.LittleEndian.AppendUint64(raw, uint64(v))
	}
	return g.tensor(name, onnxInt64, dims, raw)
}

func (g *onnxGraph) tensor(name string, kind int, dims []int, raw []byte) string {
	var t []byte
	for _, d := range dims {
		t = number(t, 1, d)
	}
	g.body = field(g.body, 5, field(field(number(t, 2, kind), 8, []byte(name)), 9, raw))
	return name
}

func (g *onnxGraph) input(name string) {
	g.value(11, name, onnxInt64, "batch_size", "sequence_length")
}

func (g *onnxGraph) output(dims int) {
	g.value(12, "last_hidden_state", onnxFloat, "batch_size", "sequence_length", dims)
}

// value declares an input or an output; its dimensions are names or numbers.
func (g *onnxGraph) value(n protowire.Number, name string, kind int, dims ...any) {
	var shape []byte
	for _, d := range dims {
		if v, ok := d.(int); ok {
			shape = field(shape, 1, number(nil, 1, v))
		} else {
			shape = field(shape, 1, field(nil, 2, []byte(d.(string))))
		}
	}
	tensor := field(number(nil, 1, kind), 2, shape)
	g.body = field(g.body, n, field(field(nil, 1, []byte(name)), 2, field(nil, 1, tensor)))
}

// node adds an operation; attributes are names and ints.
func (g *onnxGraph) node(op, out string, in []string, attributes ...any) string {
	var n []byte
	for _, i := range in {
		n = field(n, 1, []byte(i))
	}
	n = field(field(field(n, 2, []byte(out)), 3, []byte(out)), 4, []byte(op))
	for i := 0; i < len(attributes); i += 2 {
		a := field(nil, 1, []byte(attributes[i].(string)))
		a = number(number(a, 3, attributes[i+1].(int)), 20, 2)
		n = field(n, 5, a)
	}
	g.body = field(g.body, 1, n)
	return out
}

func (g *onnxGraph) bytes() []byte {
	model := field(number(nil, 1, 7), 7, field(g.body, 2, []byte("test")))
	return field(model, 8, number(nil, 2, 14))
}
