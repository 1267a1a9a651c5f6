package main

import (
	"context"
	"errors"
	"fmt"
	"maps"
	"os"
	"path/filepath"
	"slices"
	"strings"
	"time"

	"github.com/pkoukk/tiktoken-go"
	loader "github.com/pkoukk/tiktoken-go-loader"

	"github.com/holysheep-ai/holysheep-go/internal/corpus"
	"github.com/holysheep-ai/holysheep-go/tokens"
)

// Models of the two encodings.
var encodings = []struct{ name, model string }{
	{tiktoken.MODEL_O200K_BASE, "gpt-4.1"},
	{tiktoken.MODEL_CL100K_BASE, "gpt-4"},
}

// countedKinds are the kinds of text, and the megabytes of them that a second of one core should count.
var countedKinds = []struct {
	name string
	goal float64
}{{"english", 80}, {"code", 50}, {"chinese", 20}}

const countedSize = 1 << 20

func textOf(kind string) (string, error) {
	if kind != "code" {
		return corpus.Compose(kind, countedSize, 1), nil
	}
	var b strings.Builder
	files, err := filepath.Glob("../*.go") // the program runs in its own folder
	if err != nil {
		return "", err
	}
	if len(files) == 0 {
		return "", errors.New("no source of the library above this folder")
	}
	for b.Len() < countedSize {
		for _, file := range files {
			text, err := os.ReadFile(file)
			if err != nil {
				return "", err
			}
			b.Write(text)
		}
	}
	return b.String()[:countedSize], nil
}

// countBeside measures package tokens beside tiktoken-go, in turns: megabytes for each second of processor time, the
// collection of garbage included.
func countBeside(kind string, scale float64) (result, error) {
	text, err := textOf(kind)
	if err != nil {
		return result{}, err
	}
	tiktoken.SetBpeLoader(loader.NewOfflineLoader())
	var r result
	for _, e := range encodings {
		reference, err := tiktoken.GetEncoding(e.name)
		if err != nil {
			return result{}, err
		}
		var counter tokens.Counter
		var counted, want int64
		ours := func() (err error) {
			counted, err = counter.Text(context.Background(), e.model, text)
			return err
		}
		theirs := func() error {
			want = int64(len(reference.EncodeOrdinary(text)))
			return nil
		}
		var fast, slow []float64
		for range max(3, int(7*scale)) {
			a, err := speed(ours, len(text), 10)
			if err != nil {
				return result{}, err
			}
			b, err := speed(theirs, len(text), 1)
			if err != nil {
				return result{}, err
			}
			fast, slow = append(fast, a), append(slow, b)
		}
		if counted != want {
			return result{}, fmt.Errorf("%s: %d tokens are counted, tiktoken-go has %d", e.name, counted, want)
		}
		r.Limits = append(r.Limits, limit{e.name, middle(fast)}, limit{"tiktoken-go", middle(slow)})
	}
	return r, nil
}

// speed is megabytes for each second of processor time.
func speed(do func() error, size, times int) (float64, error) {
	if err := do(); err != nil { // the first reads the tables
		return 0, err
	}
	start := cpuTime()
	for range times {
		if err := do(); err != nil {
			return 0, err
		}
	}
	return float64(size*times) / 1e6 / (cpuTime() - start).Seconds(), nil
}

func middle(values []float64) float64 {
	slices.Sort(values)
	return values[len(values)/2]
}

// hostileTexts times a megabyte of each text that is slow to count otherwise, and gives the slowest.
func hostileTexts(float64) (result, error) {
	var counter tokens.Counter
	took := map[string]time.Duration{}
	for _, e := range encodings {
		if _, err := counter.Text(context.Background(), e.model, "x"); err != nil {
			return result{}, err
		}
		for name, text := range corpus.Hostile(countedSize) {
			var times []float64
			for range 3 {
				start := cpuTime()
				if _, err := counter.Text(context.Background(), e.model, text); err != nil {
					return result{}, err
				}
				times = append(times, float64(cpuTime()-start))
			}
			took[name] = max(took[name], time.Duration(middle(times)))
		}
	}
	names := slices.SortedFunc(maps.Keys(took), func(a, b string) int { return int(took[b] - took[a]) })
	var r result
	for _, name := range names[:5] {
		r.Limits = append(r.Limits, limit{name, float64(took[name]) / 1e6})
	}
	r.Note = fmt.Sprint(len(names))
	return r, nil
}

// compareTokens writes the tables.
func compareTokens(self string, scale float64) error {
	fmt.Print("\n**tokens** (megabytes for each second of one core)\n\n")
	fmt.Println("| text | encoding | this package | tiktoken-go | times as fast | goal |")
	fmt.Println("|---|---|---|---|---|---|")
	for _, kind := range countedKinds {
		r, err := measure(self, "", "tokens", "tokens-"+kind.name, scale)
		if err != nil {
			return err
		}
		for i := 0; i+1 < len(r.Limits); i += 2 {
			ours, theirs := r.Limits[i], r.Limits[i+1]
			fmt.Printf("| %s | %s | %.0f | %.1f | %.0f | ≥ %.0f |\n", kind.name, ours.Name, ours.Value, theirs.Value, ours.Value/theirs.Value, kind.goal)
		}
	}
	r, err := measure(self, "", "tokens", "hostile", scale)
	if err != nil {
		return err
	}
	fmt.Printf("\n**the slowest of %s hostile texts of a megabyte**, in the slower of both encodings (goal ≤ 300 ms)\n\n| text | ms |\n|---|---|\n", r.Note)
	for _, l := range r.Limits {
		fmt.Printf("| %s | %.0f |\n", l.Name, l.Value)
	}
	return nil
}
