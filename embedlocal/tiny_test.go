package embedlocal_test

import (
	"encoding/json"
	"os"
	"path/filepath"
	"testing"

	"github.com/stretchr/testify/require"

	"github.com/holysheep-ai/holysheep-go/embedlocal"
)

// The tiny encoder: a token's vector is its row of this table.
var (
	tinyVocab = map[string]int{
		"[PAD]": 0, "[UNK]": 1, "[CLS]": 2, "[SEP]": 3, "refund": 4, "return": 5, "order": 6, "##s": 7, "weather": 8, "!": 9,
	}
	tinyRows = []float32{
		100, 100, 100, 0, 0, 1, 1, 0, 0, 0, 1, 0, 4, 0, 0, 3, 1, 0, 0, 4, 0, 0, 0, 2, 0, 0, 5, 1, 1, 1,
	}
)

func tinyGraph() []byte {
	g := &onnxGraph{}
	for _, name := range []string{"input_ids", "attention_mask", "token_type_ids"} {
		g.input(name)
	}
	g.output(3)
	g.node("Gather", "last_hidden_state", []string{g.table([]int{len(tinyVocab), 3}, tinyRows...), "input_ids"})
	return g.bytes()
}

// tinyTokenizer is a tokenizer.json like that of all-MiniLM-L6-v2, with another vocabulary.
func tinyTokenizer(vocab map[string]int) map[string]any {
	special := func(name string) map[string]any { return map[string]any{"SpecialToken": map[string]any{"id": name}} }
	ids := func(name string) map[string]any { return map[string]any{"ids": []int{vocab[name]}} }
	return map[string]any{
		"truncation": map[string]any{"max_length": 12},
		"added_tokens": []any{
			map[string]any{"id": vocab["[CLS]"], "content": "[CLS]", "special": true},
			map[string]any{"id": vocab["[SEP]"], "content": "[SEP]", "special": true},
		},
		"normalizer": map[string]any{
			"type": "BertNormalizer", "clean_text": true, "handle_chinese_chars": true, "strip_accents": nil, "lowercase": true,
		},
		"pre_tokenizer": map[string]any{"type": "BertPreTokenizer"},
		"post_processor": map[string]any{
			"type":           "TemplateProcessing",
			"single":         []any{special("[CLS]"), map[string]any{"Sequence": map[string]any{"id": "A"}}, special("[SEP]")},
			"special_tokens": map[string]any{"[CLS]": ids("[CLS]"), "[SEP]": ids("[SEP]")},
		},
		"model": map[string]any{
			"type": "WordPiece", "unk_token": "[UNK]", "continuing_subword_prefix": "##", "max_input_chars_per_word": 100, "vocab": vocab,
		},
	}
}

// writeModel fills a directory.
func writeModel(dir string, model []byte, vocab map[string]int, positions int) error {
	files := map[string]any{
		"tokenizer.json": tinyTokenizer(vocab),
		"config.json":    map[string]any{"model_type": "bert", "max_position_embeddings": positions, "vocab_size": len(vocab)},
	}
	for name, content := range files {
		data, err := json.Marshal(content)
		if err != nil {
			return err
		}
		if err := os.WriteFile(filepath.Join(dir, name), data, 0o600); err != nil {
			return err
		}
	}
	return os.WriteFile(filepath.Join(dir, "model.onnx"), model, 0o600)
}

func tinyDir(tb testing.TB) string {
	tb.Helper()
	dir := tb.TempDir()
	require.NoError(tb, writeModel(dir, tinyGraph(), tinyVocab, 64))
	return dir
}

func open(tb testing.TB, dir string, opts *embedlocal.Options) *embedlocal.Encoder {
	tb.Helper()
	e, err := embedlocal.Open(dir, opts)
	require.NoError(tb, err)
	tb.Cleanup(func() { require.NoError(tb, e.Close()) })
	return e
}
