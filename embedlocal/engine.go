package embedlocal

import (
	"errors"
	"fmt"
	"slices"
	"strings"

	_ "github.com/gomlx/gomlx/backends/simplego" // registers itself as hugot's backend "GO"
	"github.com/gomlx/gomlx/pkg/core/dtypes"
	"github.com/gomlx/gomlx/pkg/core/tensors"
	"github.com/gomlx/onnx-gomlx/onnx"
	"github.com/knights-analytics/hugot/backends"
	"github.com/knights-analytics/hugot/options"
)

// maxModelBytes bounds the ONNX file; the format itself ends at 2 GiB.
const maxModelBytes = 2 << 30

// engine runs the model, as hugot's Go backend loads it. It is safe for concurrent use.
type engine struct {
	model  *backends.GoMLXModel
	inputs []string
	narrow []bool // the input takes int32
	output int    // the one that has the vectors of the tokens
}

// newEngine reads an ONNX file. What the libraries say by a panic becomes an error.
func newEngine(data []byte) (e *engine, err error) {
	defer recovered(&err)
	e = &engine{}
	if err := e.vet(data); err != nil {
		return nil, err
	}
	opts := options.Defaults()
	opts.Backend = "GO"
	model := &backends.Model{OnnxBytes: data}
	if err := backends.CreateModelBackend(model, opts); err != nil {
		return nil, err
	}
	e.model = model.GoMLXModel
	for _, t := range e.model.OnnxModel.Proto.Graph.Initializer {
		// The weights are copied now. Small ones are kept: shapes are computed from them.
		if len(t.RawData) > 1<<16 {
			t.RawData = nil
		}
	}
	return e, nil
}

// vet looks at the file before hugot does, which would follow the paths that are in it.
func (e *engine) vet(data []byte) error {
	model, err := onnx.Parse(data)
	if err != nil {
		return err
	}
	for _, t := range model.Proto.Graph.Initializer {
		if t.DataLocation != 0 {
			return errors.New("its weights are in another file")
		}
	}
	for i, name := range model.InputsNames {
		if !slices.Contains([]string{"input_ids", "attention_mask", "token_type_ids", "position_ids"}, name) {
			return fmt.Errorf("its input %q is unknown", name)
		}
		dtype := model.InputsShapes[i].DType
		if dtype != dtypes.Int64 && dtype != dtypes.Int32 {
			return fmt.Errorf("its input %q is of type %s", name, dtype)
		}
		e.narrow = append(e.narrow, dtype == dtypes.Int32)
	}
	e.inputs = model.InputsNames
	if !slices.Contains(e.inputs, "input_ids") {
		return errors.New("it has no input_ids")
	}
	e.output, err = pickOutput(model)
	return err
}

// pickOutput chooses the vectors of the tokens among the model's outputs.
func pickOutput(model *onnx.Model) (int, error) {
	for _, want := range []string{"last_hidden_state", "token_embeddings"} {
		if i := slices.Index(model.OutputsNames, want); i >= 0 {
			return i, nil
		}
	}
	for i, shape := range model.OutputsShapes {
		if shape.Rank() == 3 {
			return i, nil
		}
	}
	return 0, fmt.Errorf("none of its outputs (%s) has a vector for each token", strings.Join(model.OutputsNames, ", "))
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
	out, err := e.model.Exec.Exec(args...)
	if err != nil {
		return nil, 0, err
	}
	for _, t := range out {
		defer finalize(t)
	}
	vectors := out[e.output]
	shape := vectors.Shape()
	if shape.DType != dtypes.Float32 || shape.Rank() != 3 || shape.Dimensions[0] != rows || shape.Dimensions[1] != width {
		return nil, 0, fmt.Errorf("its output is %s for %d texts of %d tokens", shape, rows, width)
	}
	flat, err = tensors.CopyFlatData[float32](vectors)
	return flat, shape.Dimensions[2], err
}

func (e *engine) close() { e.model.Destroy() }

// finalize gives a tensor's memory back; without it the collector does.
func finalize(t *tensors.Tensor) { _ = t.FinalizeAll() }

func recovered(err *error) {
	if r := recover(); r != nil {
		*err = fmt.Errorf("the model cannot be run: %v", r)
	}
}
