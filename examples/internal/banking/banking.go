// Package banking has labelled questions with vectors, for programs that measure caches: Banking77 (PolyAI, CC BY 4.0), of
// which a sample comes with it.
package banking

import (
	"bytes"
	_ "embed"
	"encoding/binary"
	"encoding/csv"
	"errors"
	"fmt"
	"io"
	"math"
	"os"
	"path/filepath"
)

// Set is questions with their answers and vectors.
type Set struct {
	Name    string
	Texts   []string
	Labels  []string // questions with one label have one answer
	Vectors [][]float32
}

// Kinds counts the labels.
func (s *Set) Kinds() int {
	seen := map[string]bool{}
	for _, label := range s.Labels {
		seen[label] = true
	}
	return len(seen)
}

// sample is ten of the 77 kinds of question of Banking77 (PolyAI, CC BY 4.0), without their texts; see testdata.
//
//go:embed testdata/sample.bin
var sample []byte

// Load reads a folder; "" is the sample.
func Load(dir string) (*Set, error) {
	if dir == "" {
		return readSample(sample)
	}
	if at := filepath.Join(dir, "banking77"); exists(filepath.Join(at, "train.csv")) {
		dir = at
	}
	rows, err := ReadCSV(filepath.Join(dir, "train.csv"))
	if err != nil {
		return nil, err
	}
	raw, err := os.ReadFile(filepath.Join(dir, "train.f32"))
	if err != nil {
		return nil, err
	}
	dimensions := len(raw) / 4 / len(rows)
	if dimensions == 0 || len(raw) != 4*dimensions*len(rows) {
		return nil, fmt.Errorf("train.f32 has %d bytes: no vectors for %d questions", len(raw), len(rows))
	}
	s := &Set{Name: filepath.Base(dir)}
	for i, row := range rows {
		v := make([]float32, dimensions)
		for d := range v {
			v[d] = math.Float32frombits(binary.LittleEndian.Uint32(raw[4*(i*dimensions+d):]))
		}
		s.Texts, s.Labels, s.Vectors = append(s.Texts, row[0]), append(s.Labels, row[1]), append(s.Vectors, v)
	}
	return s, nil
}

func exists(path string) bool {
	_, err := os.Stat(path)
	return err == nil
}

// ReadCSV gives the rows of text and label, without the heading.
func ReadCSV(path string) ([][]string, error) {
	f, err := os.Open(path)
	if err != nil {
		return nil, err
	}
	defer func() { _ = f.Close() }()
	r := csv.NewReader(f)
	r.FieldsPerRecord = 2
	rows, err := r.ReadAll()
	if err != nil {
		return nil, fmt.Errorf("%s: %w", path, err)
	}
	if len(rows) < 2 {
		return nil, fmt.Errorf("%s: no questions", path)
	}
	return rows[1:], nil
}

// readSample reads dimensions, and for each question its label and a byte for each dimension.
func readSample(raw []byte) (*Set, error) {
	r := bytes.NewReader(raw)
	dimensions, err := r.ReadByte()
	if err != nil {
		return nil, err
	}
	s := &Set{Name: "sample of banking77"}
	row := make([]byte, 1+int(dimensions))
	for {
		switch _, err := io.ReadFull(r, row); {
		case errors.Is(err, io.EOF):
			return s, nil
		case err != nil:
			return nil, err
		}
		v := make([]float32, dimensions)
		for d := range v {
			v[d] = float32(int8(row[1+d]))
		}
		s.Texts = append(s.Texts, "question "+InLetters(len(s.Texts)))
		s.Labels = append(s.Labels, fmt.Sprint("kind ", row[0]))
		s.Vectors = append(s.Vectors, v)
	}
}

// InLetters names a question without a digit, which guards would look at.
func InLetters(n int) string {
	name := ""
	for ; n > 0 || name == ""; n /= 26 {
		name += string(rune('a' + n%26))
	}
	return name
}
