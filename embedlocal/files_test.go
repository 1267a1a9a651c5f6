package embedlocal_test

import (
	"errors"
	"io/fs"
	"os"
	"path/filepath"
	"strings"
	"testing"

	"github.com/stretchr/testify/require"

	"github.com/holysheep-ai/holysheep-go/embedlocal"
)

func TestMissingFiles(t *testing.T) {
	for _, file := range []string{"model.onnx", "tokenizer.json", "config.json"} {
		t.Run(file, func(t *testing.T) {
			dir := tinyDir(t)
			require.NoError(t, os.Remove(filepath.Join(dir, file)))
			_, err := embedlocal.Open(dir, nil)
			require.ErrorIs(t, err, fs.ErrNotExist)
			wrong, ok := errors.AsType[*embedlocal.ModelError](err)
			require.True(t, ok)
			require.Equal(t, filepath.Join(dir, file), wrong.File)
			require.Contains(t, wrong.Reason, "huggingface.co/sentence-transformers/all-MiniLM-L6-v2")
		})
	}
}

func TestBrokenFiles(t *testing.T) {
	for _, file := range []string{"model.onnx", "tokenizer.json", "config.json"} {
		for name, broken := range map[string]func([]byte) []byte{
			"empty":    func([]byte) []byte { return nil },
			"half":     func(b []byte) []byte { return b[:len(b)/2] },
			"nonsense": func([]byte) []byte { return []byte("\x0a\x05hello{}") },
		} {
			t.Run(name+" "+file, func(t *testing.T) {
				dir := tinyDir(t)
				path := filepath.Join(dir, file)
				data, err := os.ReadFile(path)
				require.NoError(t, err)
				require.NoError(t, os.WriteFile(path, broken(data), 0o600))
				_, err = embedlocal.Open(dir, nil)
				_, ok := errors.AsType[*embedlocal.ModelError](err)
				require.True(t, ok, "%v", err)
			})
		}
	}
}

func TestTokenizersThatDoNotFit(t *testing.T) {
	for name, change := range map[string][2]string{
		"another type":         {`"WordPiece"`, `"Unigram"`},
		"another normalizer":   {`"BertNormalizer"`, `"NFKC"`},
		"a larger vocabulary":  {`"weather":8`, `"weather":800`},
		"no unknown token":     {`"[UNK]":1`, `"[unk]":1`},
		"a negative token":     {`"weather":8`, `"weather":-8`},
		"special out of range": {`"ids":[3]`, `"ids":[300]`},
		"an added word":        {`"special":true`, `"special":false`},
		"no place for a text":  {`"Sequence"`, `"Sequel"`},
	} {
		t.Run(name, func(t *testing.T) {
			dir := tinyDir(t)
			path := filepath.Join(dir, "tokenizer.json")
			data, err := os.ReadFile(path)
			require.NoError(t, err)
			changed := strings.Replace(string(data), change[0], change[1], 1)
			require.NotEqual(t, string(data), changed)
			require.NoError(t, os.WriteFile(path, []byte(changed), 0o600))
			_, err = embedlocal.Open(dir, nil)
			wrong, ok := errors.AsType[*embedlocal.ModelError](err)
			require.True(t, ok, "%v", err)
			require.Equal(t, path, wrong.File)
		})
	}
}

func TestModelsThatDoNotFit(t *testing.T) {
	for name, build := range map[string]func(*onnxGraph){
		"an unknown input": func(g *onnxGraph) {
			g.input("input_ids")
			g.input("pixels")
			g.output(3)
		},
		"an operation that nobody has": func(g *onnxGraph) {
			g.input("input_ids")
			g.output(3)
			g.node("Conjure", "last_hidden_state", []string{"input_ids"})
		},
		"a vector for each text alone": func(g *onnxGraph) {
			g.input("input_ids")
			g.value(12, "pooler_output", onnxFloat, "batch_size", 3)
		},
		"vectors without a direction": func(g *onnxGraph) {
			g.input("input_ids")
			g.output(3)
			g.node("Gather", "last_hidden_state", []string{g.table([]int{10, 3}, make([]float32, 30)...), "input_ids"})
		},
	} {
		t.Run(name, func(t *testing.T) {
			dir := tinyDir(t)
			g := &onnxGraph{}
			build(g)
			path := filepath.Join(dir, "model.onnx")
			require.NoError(t, os.WriteFile(path, g.bytes(), 0o600))
			_, err := embedlocal.Open(dir, nil)
			wrong, ok := errors.AsType[*embedlocal.ModelError](err)
			require.True(t, ok, "%v", err)
			require.Equal(t, path, wrong.File)
		})
	}
}

func TestModelInItsFolder(t *testing.T) {
	dir := tinyDir(t)
	want := open(t, dir, nil).Fingerprint()
	require.NoError(t, os.Mkdir(filepath.Join(dir, "onnx"), 0o700))
	require.NoError(t, os.Rename(filepath.Join(dir, "model.onnx"), filepath.Join(dir, "onnx", "model.onnx")))
	require.Equal(t, want, open(t, dir, nil).Fingerprint())
}
