package holysheeptest

import (
	"errors"
	"fmt"
	"io/fs"
	"os"
	"path/filepath"
	"strings"
	"testing"

	"github.com/holysheep-ai/holysheep-go"
)

// CostsAtMost fails the test when the requests so far were billed more than limit: a prompt that grew, or a loop that
// asks twice, is found before its bill is.
func (s *Server) CostsAtMost(tb testing.TB, limit holysheep.USD) {
	tb.Helper()
	if billed := s.Billed(); billed > limit {
		tb.Errorf("holysheeptest: %d requests cost %v, more than %v:\n%s", s.Count(), billed, limit, s.bills())
	}
}

// UpdateGolden is the environment variable that lets GoldenTokens write its file instead of comparing with it.
const UpdateGolden = "HOLYSHEEP_UPDATE_GOLDEN"

// GoldenTokens compares model and tokens of each request so far, as the server counts them, with the lines of a file,
// which belongs into testdata. A test whose prompts have changed fails until somebody has looked at the difference and
// has run it with HOLYSHEEP_UPDATE_GOLDEN=1.
func (s *Server) GoldenTokens(tb testing.TB, file string) {
	tb.Helper()
	got := s.bills()
	if os.Getenv(UpdateGolden) != "" {
		if err := errors.Join(os.MkdirAll(filepath.Dir(file), 0o755), os.WriteFile(file, []byte(got), 0o644)); err != nil {
			tb.Fatalf("holysheeptest: %v", err)
		}
		return
	}
	want, err := os.ReadFile(file)
	switch {
	case errors.Is(err, fs.ErrNotExist):
		tb.Fatalf("holysheeptest: no %s: run the test with %s=1 to write it", file, UpdateGolden)
	case err != nil:
		tb.Fatalf("holysheeptest: %v", err)
	}
	if want := strings.ReplaceAll(string(want), "\r\n", "\n"); got != want {
		tb.Errorf("holysheeptest: the tokens are not those of %s (%s=1 accepts them)\ngot:\n%swant:\n%s", file, UpdateGolden, got, want)
	}
}

// bills writes a line for each request that was billed.
func (s *Server) bills() string {
	s.mu.Lock()
	defer s.mu.Unlock()
	var b strings.Builder
	for _, r := range s.requests {
		if r.Usage.Total() > 0 {
			fmt.Fprintf(&b, "%s %d in %d out\n", r.Model, r.Usage.PromptTokens, r.Usage.CompletionTokens)
		}
	}
	return b.String()
}
