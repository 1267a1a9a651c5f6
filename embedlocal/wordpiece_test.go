package embedlocal_test

import (
	"slices"
	"strings"
	"testing"
	"unicode"
	"unicode/utf8"

	"github.com/stretchr/testify/require"
	"golang.org/x/text/unicode/norm"

	"github.com/holysheep-ai/holysheep-go/embedlocal"
)

// The words of this vocabulary are pieces that can be told apart.
var wordVocab = func() map[string]int {
	vocab := map[string]int{"[UNK]": 0, "[CLS]": 1, "[SEP]": 2}
	for i, piece := range strings.Fields("un ##aff ##able cafe naive zurich ß i ' t don σ ##α ##σ , . ! $ + [ ] sep 退 货 货x ﬁ ##ne 1 ##2 ae \u1112 ##\u1161 ##\u11ab a ##b ##c ##a b") {
		vocab[piece] = i + 3
	}
	return vocab
}()

func wordEncoder(tb testing.TB) *embedlocal.Encoder {
	tb.Helper()
	g := &onnxGraph{}
	g.input("input_ids")
	g.output(1)
	rows := slices.Repeat([]float32{1}, len(wordVocab))
	g.node("Gather", "last_hidden_state", []string{g.table([]int{len(wordVocab), 1}, rows...), "input_ids"})
	dir := tb.TempDir()
	require.NoError(tb, writeModel(dir, g.bytes(), wordVocab, 40))
	return open(tb, dir, nil)
}

func pieces(tb testing.TB, ids []int64) string {
	tb.Helper()
	names := make([]string, len(ids))
	for i, id := range ids {
		for piece, n := range wordVocab {
			if int64(n) == id {
				names[i] = piece
			}
		}
	}
	require.Equal(tb, "[CLS]", names[0])
	require.Equal(tb, "[SEP]", names[len(names)-1])
	return strings.Join(names[1:len(names)-1], " ")
}

// The tokens are those of Hugging Face's tokenizers for the same files, but for the last row.
func TestWordPiece(t *testing.T) {
	e := wordEncoder(t)
	for _, row := range []struct{ name, text, want string }{
		{"longest pieces first", "unaffable", "un ##aff ##able"},
		{"a word that cannot be cut is unknown as a whole", "unaffablex", "[UNK]"},
		{"composed accents", "Café NAÏVE Zürich", "cafe naive zurich"},
		{"combining accents", "cafe\u0301", "cafe"},
		{"no compatibility forms", "ﬁne", "ﬁ ##ne"},
		{"the dotted I of Turkish", "\u0130", "i"},
		{"a sigma at the end is one", "ΣΑΣ", "σ ##α ##σ"},
		{"a sharp s stays", "ß", "ß"},
		{"punctuation stands alone", "don't,un.+$", "don ' t , un . + $"},
		{"Chinese characters stand alone", "un退货x", "un 退 货 [UNK]"},
		{"Korean is cut into its letters", "한", "\u1112 ##\u1161 ##\u11ab"},
		{"white space of all kinds", "\tun\u00a0i\u3000t\r\n", "un i t"},
		{"controls vanish", "u\x00n\u200b i\u00ad", "un i"},
		{"replacement characters vanish", "u\ufffdn", "un"},
		{"a word of 100 characters", strings.Repeat("1", 100), "[UNK]"},
		{"a word of 101 characters, of known pieces", "1" + strings.Repeat("2", 100), "[UNK]"},
		{"a special token in a text is text", "[SEP]", "[ sep ]"},
	} {
		t.Run(row.name, func(t *testing.T) {
			require.Equal(t, row.want, pieces(t, e.Tokens(row.text)))
		})
	}
}

// FuzzWordPiece compares with a plain implementation that goes over the whole text once for each rule.
func FuzzWordPiece(f *testing.F) {
	e := wordEncoder(f)
	for _, s := range []string{"unaffable Café", "un退货x 한 ", "a\u0301\u0323b!c", "\x00\u200b\u3000", "\u037e\u1fef\u212b", "1222 \u0130 ab[SEP]"} {
		f.Add(s)
	}
	f.Fuzz(func(t *testing.T, text string) {
		if !utf8.ValidString(text) {
			return
		}
		want := plainTokens(text)
		want = append(want[:min(len(want), 12-2)], 2) // tinyTokenizer cuts at 12
		require.Equal(t, append([]int64{1}, want...), e.Tokens(text))
	})
}

func plainTokens(text string) []int64 {
	var clean strings.Builder
	for _, r := range text {
		switch {
		case r == '\t' || r == '\n' || r == '\r':
			clean.WriteByte(' ')
		case r == 0, r == 0xFFFD, unicode.Is(unicode.Cc, r), unicode.Is(unicode.Cf, r), unicode.Is(unicode.Co, r):
		case unicode.Is(unicode.Unified_Ideograph, r) && r < 0x2B820, r >= 0xF900 && r <= 0xFAFF, r >= 0x2F800 && r <= 0x2FA1F:
			clean.WriteString(" " + string(r) + " ")
		default:
			clean.WriteRune(r)
		}
	}
	var spaced strings.Builder
	for _, r := range norm.NFD.String(clean.String()) {
		if unicode.Is(unicode.Mn, r) {
			continue
		}
		r = unicode.ToLower(r)
		if unicode.IsPunct(r) || strings.ContainsRune("$+<=>^`|~", r) {
			spaced.WriteString(" " + string(r) + " ")
		} else {
			spaced.WriteRune(r)
		}
	}
	var tokens []int64
	for word := range strings.FieldsSeq(spaced.String()) {
		tokens = append(tokens, plainPieces([]rune(word))...)
	}
	return tokens
}

func plainPieces(word []rune) []int64 {
	var tokens []int64
	if len(word) > 100 {
		return []int64{0}
	}
	for prefix := ""; len(word) > 0; prefix = "##" {
		n := len(word)
		for n > 0 && wordVocab[prefix+string(word[:n])] == 0 {
			n--
		}
		if n == 0 {
			return []int64{0}
		}
		tokens = append(tokens, int64(wordVocab[prefix+string(word[:n])]))
		word = word[n:]
	}
	return tokens
}

func TestPassesHaveFewShapes(t *testing.T) {
	require.Equal(t, [][2]int{{2, 8}, {1, 8}, {1, 12}, {1, 160}}, embedlocal.Shapes([]int{3, 150, 8, 9, 5}, 512))
	require.Equal(t, [][2]int{{1, 10}}, embedlocal.Shapes([]int{9}, 10), "never wider than the model")
	require.Equal(t, [][2]int{{4, 64}, {1, 64}}, embedlocal.Shapes(slices.Repeat([]int{60}, 5), 512), "256 tokens")
	require.Equal(t, [][2]int{{1, 512}, {1, 512}}, embedlocal.Shapes(slices.Repeat([]int{500}, 2), 512), "a long text by itself")
	require.Equal(t, [][2]int{{32, 8}, {32, 8}, {4, 8}, {2, 8}}, embedlocal.Shapes(slices.Repeat([]int{4}, 70), 512), "32 texts")
}
