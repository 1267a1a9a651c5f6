package tokens_test

import (
	"math/rand/v2"
	"os"
	"path/filepath"
	"strings"
	"testing"

	"github.com/stretchr/testify/require"

	"github.com/holysheep-ai/holysheep-go/internal/corpus"
)

var (
	sentences = corpus.Sentences
	compose   = corpus.Compose
	hostile   = corpus.Hostile
)

// code is source of this repository.
func code(tb testing.TB, size int) string {
	tb.Helper()
	files, err := filepath.Glob("../*.go")
	require.NoError(tb, err)
	require.NotEmpty(tb, files)
	var b strings.Builder
	for b.Len() < size {
		for _, file := range files {
			text, err := os.ReadFile(file)
			require.NoError(tb, err)
			b.Write(text)
		}
	}
	return b.String()[:size]
}

// anything makes a text of up to n characters that look for trouble.
func anything(r *rand.Rand, n int) string {
	const trouble = "aAbB zZ\t\n\r\v  '/sStTlLmMdDrReEvV.,!?<>|_0129ⅧⅨ²漢字ひらカǅʰªéÉßſK\u0301\u20dd\u00a0\u0085\u2028\u3000😀\u200d\ufffd\x00\x7f"
	runes := []rune(trouble)
	var b strings.Builder
	for range r.IntN(n + 1) {
		switch r.IntN(16) {
		case 0:
			b.WriteRune(rune(r.IntN(0x30000)))
		case 1:
			b.WriteByte(byte(r.IntN(256)))
		case 2:
			for range r.IntN(8) {
				b.WriteByte(byte('a' + r.IntN(26)))
			}
		default:
			b.WriteRune(runes[r.IntN(len(runes))])
		}
	}
	return b.String()
}
