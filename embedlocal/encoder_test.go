package embedlocal_test

import (
	"context"
	"errors"
	"math"
	"os"
	"path/filepath"
	"strings"
	"sync"
	"testing"

	"github.com/stretchr/testify/require"

	"github.com/holysheep-ai/holysheep-go"
	"github.com/holysheep-ai/holysheep-go/embedlocal"
)

// unit is the direction of a sum of rows, which is that of their mean.
func unit(x, y, z float64) []float32 {
	n := math.Sqrt(x*x + y*y + z*z)
	return []float32{float32(x / n), float32(y / n), float32(z / n)}
}

// Each row: what the tokens' vectors add up to, [CLS] (1,0,0) and [SEP] (0,1,0) included.
var pooled = []struct {
	name, text string
	want       []float32
}{
	{"one word", "refund", unit(1+4, 1, 0)},
	{"case and accents", "  RÉFUND\n", unit(1+4, 1, 0)},
	{"two words", "return order", unit(1+3, 1+1+4, 0)},
	{"a continued word", "orders", unit(1, 1+4, 2)},
	{"an unknown word", "zebra", unit(1, 1, 1)},
	{"punctuation", "refund!", unit(1+4+1, 1+1, 1)},
	{"a special token in a text is text", "[SEP]", unit(1, 1, 3)},
	{"past its 12 tokens a text is cut, and [SEP] stays", strings.Repeat("weather ", 10) + strings.Repeat("refund ", 1000), unit(1, 1, 50)},
}

func TestMeanOfTokens(t *testing.T) {
	e := open(t, tinyDir(t), nil)
	require.Equal(t, 3, e.Dimensions())
	texts := make([]string, len(pooled))
	for i, row := range pooled {
		texts[i] = row.text
		t.Run(row.name, func(t *testing.T) {
			got, err := e.Embed(t.Context(), []string{row.text})
			require.NoError(t, err)
			require.InDeltaSlice(t, row.want, got[0], 1e-6)
		})
	}
	// Together they are padded, with a token whose vector would outweigh all others.
	got, err := e.Embed(t.Context(), texts)
	require.NoError(t, err)
	for i, row := range pooled {
		require.InDeltaSlice(t, row.want, got[i], 1e-6, row.name)
	}
}

// In a model whose tokens see each other no token sees the padding: here each one's vector has all of them added.
func TestModelSeesNoPadding(t *testing.T) {
	dir, g := tinyDir(t), &onnxGraph{}
	g.input("input_ids")
	g.input("attention_mask")
	g.output(3)
	own := g.node("Gather", "own", []string{g.table([]int{len(tinyVocab), 3}, tinyRows...), "input_ids"})
	mask := g.node("Cast", "mask", []string{"attention_mask"}, "to", onnxFloat)
	row := g.node("Unsqueeze", "row", []string{mask, g.ints("axes", []int{1}, 1)})
	all := g.node("MatMul", "all", []string{row, own})
	g.node("Add", "last_hidden_state", []string{own, all})
	require.NoError(t, os.WriteFile(filepath.Join(dir, "model.onnx"), g.bytes(), 0o600))
	got, err := open(t, dir, nil).Embed(t.Context(), []string{"refund", "refund refund refund refund"})
	require.NoError(t, err)
	require.InDeltaSlice(t, unit(1+4, 1, 0), got[0], 1e-6)
	require.InDeltaSlice(t, unit(1+16, 1, 0), got[1], 1e-6)
}

func TestManyTextsKeepTheirOrder(t *testing.T) {
	e := open(t, tinyDir(t), nil)
	var texts []string
	for i := range 101 {
		texts = append(texts, strings.Repeat("order ", i%9)+[]string{"refund", "weather"}[i%2])
	}
	all, err := e.Embed(t.Context(), texts)
	require.NoError(t, err)
	for i, text := range texts {
		x, z := 5.0, 0.0
		if i%2 == 1 {
			x, z = 1, 5
		}
		require.InDeltaSlice(t, unit(x, 1+4*float64(i%9), z), all[i], 1e-6, text)
	}
	none, err := e.Embed(t.Context(), nil)
	require.NoError(t, err)
	require.Empty(t, none)
}

func TestFirstTokenWhereTheModelSaysSo(t *testing.T) {
	dir := tinyDir(t)
	require.NoError(t, os.Mkdir(filepath.Join(dir, "1_Pooling"), 0o700))
	write := func(s string) {
		require.NoError(t, os.WriteFile(filepath.Join(dir, "1_Pooling", "config.json"), []byte(s), 0o600))
	}
	write(`{"word_embedding_dimension": 3, "pooling_mode_cls_token": true, "pooling_mode_mean_tokens": false}`)
	got, err := open(t, dir, nil).Embed(t.Context(), []string{"weather"})
	require.NoError(t, err)
	require.InDeltaSlice(t, unit(1, 0, 0), got[0], 1e-6)

	for _, bad := range []string{`{"pooling_mode_max_tokens": true}`, `{"pooling_mode_cls_token": true, "pooling_mode_mean_tokens": true}`} {
		write(bad)
		_, err = embedlocal.Open(dir, nil)
		_, ok := errors.AsType[*embedlocal.ModelError](err)
		require.True(t, ok, bad)
	}
}

func TestPrefixes(t *testing.T) {
	e := open(t, tinyDir(t), &embedlocal.Options{QueryPrefix: "weather ", PassagePrefix: "order "})
	query, err := e.EmbedQueries(t.Context(), []string{"refund"})
	require.NoError(t, err)
	require.InDeltaSlice(t, unit(1+4, 1, 5), query[0], 1e-6)
	passage, err := e.Embed(t.Context(), []string{"refund"})
	require.NoError(t, err)
	require.InDeltaSlice(t, unit(1+4, 1+4, 0), passage[0], 1e-6)
}

func TestLength(t *testing.T) {
	dir := tinyDir(t)
	text := "refund refund weather weather"
	cut := func(opts *embedlocal.Options) []float32 {
		got, err := open(t, dir, opts).Embed(t.Context(), []string{text})
		require.NoError(t, err)
		return got[0]
	}
	require.InDeltaSlice(t, unit(1+8, 1, 0), cut(&embedlocal.Options{MaxTokens: 4}), 1e-6)
	require.InDeltaSlice(t, unit(1+8, 1, 10), cut(&embedlocal.Options{MaxTokens: 400}), 1e-6, "never more than the model's")
	require.NoError(t, os.WriteFile(filepath.Join(dir, "sentence_bert_config.json"), []byte(`{"max_seq_length": 5}`), 0o600))
	require.InDeltaSlice(t, unit(1+8, 1, 5), cut(nil), 1e-6)
}

func TestTextsThatAreRefused(t *testing.T) {
	e := open(t, tinyDir(t), &embedlocal.Options{PassagePrefix: "order "})
	for name, bad := range map[string]string{"empty": "", "invalid UTF-8": "a\xff", "blank": " \n\t", "controls": "\x00\u200b"} {
		t.Run(name, func(t *testing.T) {
			_, err := e.Embed(t.Context(), []string{"refund", bad})
			wrong, ok := errors.AsType[*holysheep.RequestError](err)
			require.True(t, ok)
			require.Equal(t, "texts[1]", wrong.Field)
		})
	}
}

func TestOptionsThatAreRefused(t *testing.T) {
	for _, row := range []struct {
		field string
		opts  embedlocal.Options
	}{
		{"Options.MaxTokens", embedlocal.Options{MaxTokens: 2}},
		{"Options.MaxTokens", embedlocal.Options{MaxTokens: -1}},
		{"Options.QueryPrefix", embedlocal.Options{QueryPrefix: "a\xff"}},
		{"Options.PassagePrefix", embedlocal.Options{PassagePrefix: strings.Repeat("order ", 10)}},
	} {
		t.Run(row.field, func(t *testing.T) {
			_, err := embedlocal.Open(tinyDir(t), &row.opts)
			wrong, ok := errors.AsType[*holysheep.RequestError](err)
			require.True(t, ok, "%v", err)
			require.Equal(t, row.field, wrong.Field)
		})
	}
}

func TestContextAndClose(t *testing.T) {
	e := open(t, tinyDir(t), nil)
	ctx, cancel := context.WithCancel(t.Context())
	cancel()
	_, err := e.Embed(ctx, []string{"refund"})
	require.ErrorIs(t, err, context.Canceled)
	require.NoError(t, e.Close())
	_, err = e.Embed(t.Context(), []string{"refund"})
	require.ErrorIs(t, err, holysheep.ErrClosed)
}

func TestSharedByManyAndClosedMeanwhile(t *testing.T) {
	e := open(t, tinyDir(t), nil)
	var callers sync.WaitGroup
	for n := range 8 {
		callers.Go(func() {
			for i := range 20 {
				row := pooled[(n+i)%len(pooled)]
				got, err := e.Embed(context.Background(), []string{row.text, "refund"})
				if n != 0 && errors.Is(err, holysheep.ErrClosed) {
					return
				}
				if err != nil || math.Abs(float64(got[0][0]-row.want[0])) > 1e-6 {
					t.Errorf("%s: %v, %v", row.name, got, err)
				}
			}
			if n == 0 {
				if err := e.Close(); err != nil {
					t.Error(err)
				}
			}
		})
	}
	callers.Wait()
}

func TestFingerprintNamesTheVectors(t *testing.T) {
	dir := tinyDir(t)
	first := open(t, dir, nil).Fingerprint()
	require.Equal(t, first, open(t, tinyDir(t), nil).Fingerprint(), "the same files elsewhere")
	require.NotEqual(t, first, open(t, dir, &embedlocal.Options{MaxTokens: 5}).Fingerprint())
	require.NotEqual(t, first, open(t, dir, &embedlocal.Options{PassagePrefix: "order "}).Fingerprint())

	data, err := os.ReadFile(filepath.Join(dir, "tokenizer.json"))
	require.NoError(t, err)
	require.NoError(t, os.WriteFile(filepath.Join(dir, "tokenizer.json"), append(data, '\n'), 0o600))
	require.NotEqual(t, first, open(t, dir, nil).Fingerprint())
}
