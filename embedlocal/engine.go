package embedlocal

import (
	"errors"
	"fmt"
	"slices"
	"strings"

	"github.com/gomlx/gomlx/backends"
	"github.com/gomlx/gomlx/backends/simplego"
	"github.com/gomlx/gomlx/pkg/core/dtypes"
	"github.com/gomlx/gomlx/pkg/core/graph"
	"github.com/gomlx/gomlx/pkg/core/tensors"
	"github.com/gomlx/gomlx/pkg/ml/context"
	"github.com/gomlx/onnx-gomlx/onnx"
)

// maxModelBytes bounds the ONNX file; the format itself ends at 2 GiB.
const maxModelBytes = 2 << 30

// engine runs the model. It is safe for concurrent use.
type engine struct {
	backend backends.Backend
	weights *context.Context
	exec    *context.Exec
	inputs  []string
	narrow  []bool // the input takes int32
}

// newEngine reads an ONNX file. What the library says by a panic becomes an error.
func newEngine(data []byte) (e *engine, err error) {
	defer recovered(&err)
	model, err := onnx.Parse(data)
	if err != nil {
		return nil, err
	}
	for _, t := range model.Proto.Graph.Initializer {
		if t.DataLocation != 0 {
			return nil, errors.New("its weights are in another file")
		}
	}
	output, err := pickOutput(model)
	if err != nil {
		return nil, err
	}
	e = &engine{weights: context.New().Reuse(), inputs: model.InputsNames}
	for i, name := range model.InputsNames {
		if !slices.Contains([]string{"input_ids", "attention_mask", "token_type_ids", "position_ids"}, name) {
			return nil, fmt.Errorf("its input %q is unknown", name)
		}
		dtype := model.InputsShapes[i].DType
		if dtype != dtypes.Int64 && dtype != dtypes.Int32 {
			return nil, fmt.Errorf("its input %q is of type %s", name, dtype)
		}
		e.narrow = append(e.narrow, dtype == dtypes.Int32)
	}
	if !slices.Contains(e.inputs, "input_ids") {
		return nil, errors.New("it has no input_ids")
	}
	if err := model.VariablesToContext(e.weights); err != nil {
		return nil, err
	}
	for _, t := range model.Proto.Graph.Initializer {
		// The weights are copied now. Small ones are kept: shapes are computed from them.
		if len(t.RawData) > 1<<16 {
			t.RawData = nil
		}
	}
	if e.backend, err = simplego.New(""); err != nil {
		return nil, err
	}
	e.exec, err = context.NewExec(e.backend, e.weights, func(ctx *context.Context, nodes []*graph.Node) *graph.Node {
		byName := make(map[string]*graph.Node)
		for i, name := range e.inputs {
			byName[name] = nodes[i]
		}
		return model.CallGraph(ctx, nodes[0].Graph(), byName, output)[0]
	})
	if err != nil {
		return nil, err
	}
	e.exec.SetMaxCache(-1) // no limit: widths and maxRows make the shapes few
	return e, nil
}

// pickOutput chooses the vectors of the tokens among the model's outputs.
func pickOutput(model *onnx.Model) (string, error) {
	for _, want := range []string{"last_hidden_state", "token_embeddings"} {
		if slices.Contains(model.OutputsNames, want) {
			return want, nil
		}
	}
	for i, name := range model.OutputsNames {
		if model.OutputsShapes[i].Rank() == 3 {
			return name, nil
		}
	}
	return "", fmt.Errorf("none of its outputs (%s) has a vector for each token", strings.Join(model.OutputsNames, ", "))
}

// run gives the vectors of all tokens of rows of width tokens each, one behind the other, and their dimensions.
func (e *engine) run(ids, mask []int64, rows, width int) (flat []float32, dims int, err error) {
	defer recovered(&err)
	args := make([]any, len(e.inputs))
	for i, name := range e.inputs {
		values := make([]int64, rows*width) // token_type_ids are all zero
		switch name {
		case "input_ids":
			values = ids
		case "attention_mask":
			values = mask
		case "position_ids":
			for j := range values {
				values[j] = int64(j % width)
			}
		}
		var t *tensors.Tensor
		if e.narrow[i] {
			small := make([]int32, len(values))
			for j, v := range values {
				small[j] = int32(v)
			}
			t = tensors.FromFlatDataAndDimensions(small, rows, width)
		} else {
			t = tensors.FromFlatDataAndDimensions(values, rows, width)
		}
		defer finalize(t)
		args[i] = t
	}
	out, err := e.exec.Exec(args...)
	if err != nil {
		return nil, 0, err
	}
	defer finalize(out[0])
	shape := out[0].Shape()
	if shape.DType != dtypes.Float32 || shape.Rank() != 3 || shape.Dimensions[0] != rows || shape.Dimensions[1] != width {
		return nil, 0, fmt.Errorf("its output is %s for %d texts of %d tokens", shape, rows, width)
	}
	flat, err = tensors.CopyFlatData[float32](out[0])
	return flat, shape.Dimensions[2], err
}

func (e *engine) close() {
	e.exec.Finalize()
	e.weights.Finalize()
	e.backend.Finalize()
}

// finalize gives a tensor's memory back; without it the collector does.
func finalize(t *tensors.Tensor) { _ = t.FinalizeAll() }

func recovered(err *error) {
	if r := recover(); r != nil {
		*err = fmt.Errorf("the model cannot be run: %v", r)
	}
}
