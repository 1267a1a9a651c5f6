package tokens_test

import (
	"os"
	"os/exec"
	"strings"
	"testing"

	"github.com/pkoukk/tiktoken-go"
	"github.com/stretchr/testify/require"

	"github.com/holysheep-ai/holysheep-go/tokens"
)

// BenchmarkText compares this package with tiktoken-go on the same texts, in one goroutine.
func BenchmarkText(b *testing.B) {
	for _, text := range []struct{ name, text string }{
		{"english", compose("english", 1<<20, 1)},
		{"code", code(b, 400_000)},
		{"chinese", compose("chinese", 1<<20, 1)},
	} {
		for _, encoding := range []string{tiktoken.MODEL_O200K_BASE, tiktoken.MODEL_CL100K_BASE} {
			b.Run(text.name+"/"+encoding+"/ours", func(b *testing.B) {
				count(b, exact[encoding], "")
				b.SetBytes(int64(len(text.text)))
				b.ReportAllocs()
				defer perCPU(b, len(text.text))()
				for b.Loop() {
					count(b, exact[encoding], text.text)
				}
			})
			b.Run(text.name+"/"+encoding+"/tiktoken-go", func(b *testing.B) {
				ref := reference[encoding]()
				b.SetBytes(int64(len(text.text)))
				b.ReportAllocs()
				defer perCPU(b, len(text.text))()
				for b.Loop() {
					ref.EncodeOrdinary(text.text)
				}
			})
		}
	}
}

// BenchmarkHostile counts a megabyte that is slow to count otherwise.
func BenchmarkHostile(b *testing.B) {
	for name, text := range hostile(1 << 20) {
		b.Run(strings.ReplaceAll(name, " ", "-"), func(b *testing.B) {
			count(b, "gpt-4.1", "")
			b.SetBytes(int64(len(text)))
			b.ReportAllocs()
			defer perCPU(b, len(text))()
			for b.Loop() {
				count(b, "gpt-4.1", text)
			}
		})
	}
}

// BenchmarkFirstUse starts a process in which a thousand goroutines count at once, with both encodings.
func BenchmarkFirstUse(b *testing.B) {
	self, err := os.Executable()
	require.NoError(b, err)
	for b.Loop() {
		out, err := exec.CommandContext(b.Context(), self, "-test.run", "^TestAThousandAtOnce$").CombinedOutput()
		require.NoError(b, err, "%s", out)
	}
}

func BenchmarkRequest(b *testing.B) {
	var c tokens.Counter
	req := shortRequest()
	count(b, req.Model, "")
	b.ReportAllocs()
	for b.Loop() {
		_, err := c.CountTokens(b.Context(), req)
		require.NoError(b, err)
	}
}

// perCPU reports megabytes for each second of processor time, the collection of garbage included.
func perCPU(b *testing.B, size int) func() {
	b.Helper()
	start := cpuTime()
	return func() {
		if used := cpuTime() - start; used > 0 {
			b.ReportMetric(float64(size)*float64(b.N)/1e6/used.Seconds(), "MB/cpu-s")
		}
	}
}
