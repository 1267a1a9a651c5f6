package embedlocal

import (
	"crypto/sha256"
	"encoding/json"
	"fmt"
	"path/filepath"
	"slices"
)

// tokenizer turns a text into the model's tokens, as tokenizer.json says. It is read-only, so safe to share.
type tokenizer struct {
	wordPiece
	before, after []int64 // the special tokens around a text
	pad           int64
	maxID         int
	truncation    int // the length that tokenizer.json cuts at, 0 if it does not say
	sum           [sha256.Size]byte
}

// tokenizerFile is the part of tokenizer.json that decides about tokens.
type tokenizerFile struct {
	Truncation *struct {
		Max int `json:"max_length"`
	} `json:"truncation"`
	Padding *struct {
		ID int64 `json:"pad_id"`
	} `json:"padding"`
	Added []struct {
		ID      int    `json:"id"`
		Content string `json:"content"`
		Special bool   `json:"special"`
	} `json:"added_tokens"`
	Normalizer struct {
		Type         string `json:"type"`
		CleanText    bool   `json:"clean_text"`
		Chinese      bool   `json:"handle_chinese_chars"`
		StripAccents *bool  `json:"strip_accents"` // null means as lowercase says
		Lowercase    bool   `json:"lowercase"`
	} `json:"normalizer"`
	PreTokenizer struct {
		Type string `json:"type"`
	} `json:"pre_tokenizer"`
	PostProcessor *struct {
		Type   string `json:"type"`
		Single []struct {
			Special *struct {
				ID string `json:"id"`
			} `json:"SpecialToken"`
			Sequence *struct{} `json:"Sequence"`
		} `json:"single"`
		Specials map[string]struct {
			IDs []int64 `json:"ids"`
		} `json:"special_tokens"`
		Sep []any `json:"sep"`
		Cls []any `json:"cls"`
	} `json:"post_processor"`
	Model struct {
		Type    string           `json:"type"`
		Unknown string           `json:"unk_token"`
		Prefix  *string          `json:"continuing_subword_prefix"`
		MaxWord int              `json:"max_input_chars_per_word"`
		Vocab   map[string]int64 `json:"vocab"`
	} `json:"model"`
}

func readTokenizer(dir string) (*tokenizer, error) {
	path := filepath.Join(dir, "tokenizer.json")
	data, err := readFile(path, maxConfigBytes)
	if err != nil {
		return nil, err
	}
	fail := func(format string, args ...any) (*tokenizer, error) {
		return nil, &ModelError{path, fmt.Sprintf(format, args...), nil}
	}
	// The vocabulary of other types is no map, so the type comes first.
	var kind struct {
		Model struct {
			Type string `json:"type"`
		} `json:"model"`
	}
	if err := json.Unmarshal(data, &kind); err != nil {
		return nil, &ModelError{path, "not the JSON that it should be", err}
	}
	if kind.Model.Type != "WordPiece" {
		return fail("a tokenizer of type %q is not supported, only WordPiece is", kind.Model.Type)
	}
	var f tokenizerFile
	if err := json.Unmarshal(data, &f); err != nil {
		return nil, &ModelError{path, "not the JSON that it should be", err}
	}
	if f.Normalizer.Type != "BertNormalizer" || f.PreTokenizer.Type != "BertPreTokenizer" {
		return fail("normalizer %q with pre_tokenizer %q is not supported, only BertNormalizer with BertPreTokenizer is",
			f.Normalizer.Type, f.PreTokenizer.Type)
	}
	unknown, ok := f.Model.Vocab[f.Model.Unknown]
	if !ok {
		return fail("unk_token %q is not in the vocabulary", f.Model.Unknown)
	}
	if f.Model.Prefix == nil {
		f.Model.Prefix = new("##")
	}
	if f.Model.MaxWord < 1 || f.Model.MaxWord > 1000 {
		f.Model.MaxWord = 100
	}
	t := &tokenizer{sum: sha256.Sum256(data), wordPiece: wordPiece{
		vocab: f.Model.Vocab, unknown: unknown, prefix: *f.Model.Prefix, maxWord: f.Model.MaxWord,
		clean: f.Normalizer.CleanText, chinese: f.Normalizer.Chinese, lower: f.Normalizer.Lowercase, strip: f.Normalizer.Lowercase,
	}}
	if f.Normalizer.StripAccents != nil {
		t.strip = *f.Normalizer.StripAccents
	}
	for _, a := range f.Added {
		if !a.Special {
			return fail("added token %d is not a special one, which is not supported", a.ID)
		}
		t.vocab[a.Content] = int64(a.ID)
	}
	if f.Padding != nil {
		t.pad = f.Padding.ID
	} else if id, ok := t.vocab["[PAD]"]; ok {
		t.pad = id
	}
	if f.Truncation != nil {
		t.truncation = max(f.Truncation.Max, 0)
	}
	if !t.surround(&f) {
		return fail("its post_processor is not supported")
	}
	for _, id := range t.vocab {
		if id < 0 {
			return fail("has a negative token")
		}
		t.maxID = max(t.maxID, int(id))
	}
	if all := slices.Concat(t.before, t.after, []int64{t.pad}); slices.Min(all) < 0 || int(slices.Max(all)) > t.maxID {
		return fail("has a special token outside the vocabulary")
	}
	return t, nil
}

// surround finds the special tokens around a text, and reports whether it could.
func (t *tokenizer) surround(f *tokenizerFile) bool {
	p := f.PostProcessor
	if p == nil {
		return true
	}
	switch p.Type {
	case "TemplateProcessing":
		side := &t.before
		for _, piece := range p.Single {
			switch {
			case piece.Sequence != nil:
				side = &t.after
			case piece.Special != nil:
				*side = append(*side, p.Specials[piece.Special.ID].IDs...)
			}
		}
		return side == &t.after
	case "BertProcessing", "RobertaProcessing":
		for side, pair := range map[*[]int64][]any{&t.before: p.Cls, &t.after: p.Sep} {
			if len(pair) != 2 {
				return false
			}
			id, ok := pair[1].(float64)
			if !ok {
				return false
			}
			*side = []int64{int64(id)}
		}
		return true
	}
	return false
}

// encode gives the tokens of a text, special ones included, at most limit of them: the text's end is what is cut off.
// The count of the text's own tokens comes with them.
func (t *tokenizer) encode(text string, limit int) (tokens []int64, own int) {
	tokens = t.appendTokens(slices.Clone(t.before), text, limit-len(t.after))
	own = len(tokens) - len(t.before)
	return append(tokens, t.after...), own
}
