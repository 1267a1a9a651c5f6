package embedlocal

import (
	"encoding/json"
	"errors"
	"fmt"
	"io/fs"
	"os"
	"path/filepath"
)

// maxConfigBytes bounds the JSON files; the tokenizer.json of a WordPiece model has less than 10 MB.
const maxConfigBytes = 64 << 20

const needed = "a model directory has model.onnx (or onnx/model.onnx), tokenizer.json and config.json, " +
	"for example those of huggingface.co/sentence-transformers/all-MiniLM-L6-v2"

// ModelError is a model directory that cannot be used: a file is missing, broken, or of a kind that this package does
// not run. For a missing file errors.Is(err, fs.ErrNotExist) holds.
type ModelError struct {
	File   string // the path of the file
	Reason string // what is wrong, and for a missing file which files are needed and where to get them
	Err    error  // the cause, nil if none
}

func (e *ModelError) Error() string {
	s := "embedlocal: " + e.File + ": " + e.Reason
	if e.Err != nil {
		s += ": " + e.Err.Error()
	}
	return s
}

// Unwrap returns the cause.
func (e *ModelError) Unwrap() error { return e.Err }

// config is what the JSON files beside the model say.
type config struct {
	maxTokens int
	cls       bool // the first token's vector is the text's, not the mean
}

// readConfig takes the length from sentence_bert_config.json, else from tokenizer.json, and never more than the model
// has positions.
func readConfig(dir string, tok *tokenizer) (*config, error) {
	var model struct {
		Type      string `json:"model_type"`
		Positions int    `json:"max_position_embeddings"`
		VocabSize int    `json:"vocab_size"`
		Pad       int    `json:"pad_token_id"`
	}
	path := filepath.Join(dir, "config.json")
	if err := readJSON(path, &model); err != nil {
		return nil, err
	}
	if model.Type == "mpnet" || model.Type == "roberta" {
		model.Positions -= model.Pad + 1 // their positions count from behind the padding's
	}
	if model.Positions < 4 || model.VocabSize < 1 {
		return nil, &ModelError{path, "max_position_embeddings or vocab_size is missing or too small", nil}
	}
	if tok.maxID >= model.VocabSize {
		reason := fmt.Sprintf("has token %d, and config.json says the model knows %d: they belong to different models", tok.maxID, model.VocabSize)
		return nil, &ModelError{filepath.Join(dir, "tokenizer.json"), reason, nil}
	}
	c := &config{maxTokens: model.Positions}

	var sentence struct {
		Max int `json:"max_seq_length"`
	}
	if err := readOptional(filepath.Join(dir, "sentence_bert_config.json"), &sentence); err != nil {
		return nil, err
	}
	if sentence.Max < 1 {
		sentence.Max = tok.truncation
	}
	if sentence.Max > 0 {
		c.maxTokens = min(c.maxTokens, sentence.Max)
	}

	path = filepath.Join(dir, "1_Pooling", "config.json")
	var pooling map[string]any
	if err := readOptional(path, &pooling); err != nil {
		return nil, err
	}
	modes := 0
	for key, value := range pooling {
		if on, _ := value.(bool); !on {
			continue
		}
		switch key {
		case "pooling_mode_cls_token":
			c.cls = true
			modes++
		case "pooling_mode_mean_tokens":
			modes++
		case "include_prompt":
		default:
			return nil, &ModelError{path, key + " is not supported, only the mean and the first token are", nil}
		}
	}
	if modes > 1 {
		return nil, &ModelError{path, "two ways of pooling at once are not supported", nil}
	}
	return c, nil
}

// findModel returns the path of the ONNX file.
func findModel(dir string) string {
	flat := filepath.Join(dir, "model.onnx")
	if _, err := os.Stat(flat); err != nil {
		nested := filepath.Join(dir, "onnx", "model.onnx")
		if _, err := os.Stat(nested); err == nil {
			return nested
		}
	}
	return flat
}

func readFile(path string, limit int64) ([]byte, error) {
	info, err := os.Stat(path)
	if errors.Is(err, fs.ErrNotExist) {
		return nil, &ModelError{path, "missing; " + needed, fs.ErrNotExist}
	}
	if err == nil && (!info.Mode().IsRegular() || info.Size() > limit) {
		return nil, &ModelError{path, fmt.Sprintf("not a file of at most %d MB", limit>>20), nil}
	}
	data, err := os.ReadFile(path)
	if err != nil {
		return nil, &ModelError{path, "cannot be read", err}
	}
	return data, nil
}

func readJSON(path string, into any) error {
	data, err := readFile(path, maxConfigBytes)
	if err != nil {
		return err
	}
	if err := json.Unmarshal(data, into); err != nil {
		return &ModelError{path, "not the JSON that it should be", err}
	}
	return nil
}

func readOptional(path string, into any) error {
	err := readJSON(path, into)
	if errors.Is(err, fs.ErrNotExist) {
		return nil
	}
	return err
}
