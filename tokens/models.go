package tokens

import (
	"strings"

	"github.com/pkoukk/tiktoken-go"
)

// Mapping says how the texts of a model are counted.
type Mapping struct {
	Family   string  // "openai", "anthropic", "google" or "deepseek"; "" for a model that is not known
	Encoding string  // what is counted with: "o200k_base" or "cl100k_base"
	Factor   float64 // tokens of the model for one of the encoding; 1 where the encoding is the model's own
	Margin   float64 // what is added to that, as a part of it; 0 where the encoding is the model's own
	Digits   float64 // what is added for each digit from 0 to 9, for families that do not join them
	Source   string  // where the figures come from
}

// Exact reports whether the encoding is the model's own.
func (m Mapping) Exact() bool { return m.Factor == 1 && m.Margin == 0 }

// MappingOf tells how texts are counted for a model. Names are matched without regard to case, vendor/, dots for
// dashes, dates and "latest" at their end, and fine-tuned ones (ft:) by the model that they were made from. A name
// that is in no line is counted as [Mapping] with an empty Family says, with the widest margin.
func MappingOf(model string) Mapping { return familyOf(model).mapping }

// family is what the models of a line have in common.
type family struct {
	mapping Mapping
	framing framing
	image   imageRule
}

// line matches the names that are its pattern, or, when that ends in *, that begin with it and end there or go on
// with something else than a letter or a digit. The longest pattern that matches is taken.
type line struct {
	pattern string
	family
}

const (
	tiktokenModels = "openai/tiktoken, tiktoken/model.py"
	tiktokenNewer  = "the line of its predecessors in openai/tiktoken, tiktoken/model.py; its own is not published"
)

// The mappings that more than one line uses. What OpenAI's models use is published and exact. For the others:
//
//   - Claude: Anthropic publishes no tokenizer. Comparisons of Claude 3.5 Sonnet with GPT-4o that made the rounds in
//     2025 give 1.16 times the tokens for English, 1.21 for mathematics and 1.30 for Python. The factor is the highest
//     of them; the margin is a guess for scripts that were not compared.
//   - Claude from Opus 4.7 on: Anthropic says that its new tokenizer makes 1 to 1.35 times the tokens; measurements
//     with its counting endpoint that were published in 2026 found up to 1.46 in English prose, and 2 in words of two
//     letters. The factor is 1.30 × 1.35, the margin a guess that holds for 1.30 × 1.46 too.
//   - Gemini: Google publishes no tokenizer of it, but says in the report on Gemma 3 that this one has the tokenizer of
//     Gemini 2. Gemma 3's, over the texts of the tests, makes 0.73 to 1.07 times the tokens once digits are set apart
//     (it keeps each one, where o200k_base joins three), and 1.21 for Go. Runs of blanks can make more than the margin
//     allows: seven times for two thousand spaces.
//   - DeepSeek: the published tokenizer of V3 makes 0.76 to 1.22 times the tokens in most of them, 1.56 in Tamil and
//     1.80 in Hindi, which is what the margin is for.
//   - Others: a guess, with room for vocabularies a third of the size.
var (
	o200kExact  = Mapping{Family: "openai", Encoding: tiktoken.MODEL_O200K_BASE, Factor: 1, Source: tiktokenModels}
	o200kLikely = Mapping{Family: "openai", Encoding: tiktoken.MODEL_O200K_BASE, Factor: 1, Source: tiktokenNewer}
	cl100kExact = Mapping{Family: "openai", Encoding: tiktoken.MODEL_CL100K_BASE, Factor: 1, Source: tiktokenModels}

	claude = Mapping{
		Family: "anthropic", Encoding: tiktoken.MODEL_O200K_BASE, Factor: 1.30, Margin: 0.25,
		Source: "the highest of published comparisons of Claude 3.5 with GPT-4o; the margin is a guess",
	}
	claudeNew = Mapping{
		Family: "anthropic", Encoding: tiktoken.MODEL_O200K_BASE, Factor: 1.755, Margin: 0.25,
		Source: "as older Claude, times 1.35 that Anthropic states for its tokenizer since Opus 4.7; the margin is a guess",
	}
	gemini = Mapping{
		Family: "google", Encoding: tiktoken.MODEL_O200K_BASE, Factor: 1.20, Margin: 0.20, Digits: 2.0 / 3,
		Source: "measured with the published tokenizer of Gemma 3, which is that of Gemini 2; a guess for later ones",
	}
	deepseek = Mapping{
		Family: "deepseek", Encoding: tiktoken.MODEL_O200K_BASE, Factor: 1.10, Margin: 0.65,
		Source: "measured with the published tokenizer of DeepSeek V3; a guess for others",
	}
	unknown = Mapping{Encoding: tiktoken.MODEL_O200K_BASE, Factor: 1.25, Margin: 0.50, Source: "a guess"}
)

// Images: OpenAI's by https://platform.openai.com/docs/guides/images-vision, Claude's by
// https://platform.claude.com/docs/en/build-with-claude/vision, Gemini's by https://ai.google.dev/gemini-api/docs/tokens.
// What each rule adds to its page is said where it is defined.
var models = []line{
	{"gpt-4o*", family{o200kExact, openaiFraming, tiles(85, 170)}},
	{"gpt-4o-mini*", family{o200kExact, openaiFraming, tiles(2833, 5667)}},
	{"chatgpt-4o*", family{o200kExact, openaiFraming, tiles(85, 170)}},
	{"gpt-4-1*", family{o200kExact, openaiFraming, tiles(85, 170)}},
	{"gpt-4-1-mini*", family{o200kExact, openaiFraming, patches(1.62)}},
	{"gpt-4-1-nano*", family{o200kExact, openaiFraming, patches(2.46)}},
	{"gpt-4-5*", family{o200kExact, openaiFraming, tiles(85, 170)}},
	{"gpt-5", family{o200kExact, openaiFraming, tiles(70, 140)}},
	{"gpt-5*", family{o200kLikely, openaiFraming, tiles(85, 170)}}, // 5.2 was seen to bill 1.2 times the tiles of 5
	{"gpt-5-mini*", family{o200kExact, openaiFraming, patches(1.62)}},
	{"gpt-5-nano*", family{o200kExact, openaiFraming, patches(2.46)}},
	{"gpt-oss*", family{o200kExact, openaiFraming, tiles(85, 170)}}, // o200k_harmony: o200k_base and special tokens
	{"o1*", family{o200kExact, openaiFraming, tiles(75, 150)}},
	{"o3*", family{o200kExact, openaiFraming, tiles(75, 150)}},
	{"o4-mini*", family{o200kExact, openaiFraming, patches(1.72)}},
	{"gpt-4*", family{cl100kExact, openaiFraming, tiles(85, 170)}},
	{"gpt-3-5*", family{cl100kExact, openaiFraming, tiles(85, 170)}},
	{"gpt-35-turbo*", family{cl100kExact, openaiFraming, tiles(85, 170)}}, // as Azure names it
	{"text-embedding-3-small", family{cl100kExact, openaiFraming, tiles(85, 170)}},
	{"text-embedding-3-large", family{cl100kExact, openaiFraming, tiles(85, 170)}},
	{"text-embedding-ada-002", family{cl100kExact, openaiFraming, tiles(85, 170)}},

	{"claude-2*", family{claude, claudeFraming, area(1568, 1600)}},
	{"claude-3*", family{claude, claudeFraming, area(1568, 1600)}},
	{"claude-sonnet-4", family{claude, claudeFraming, area(1568, 1600)}},
	{"claude-sonnet-4-0", family{claude, claudeFraming, area(1568, 1600)}},
	{"claude-sonnet-4-5*", family{claude, claudeFraming, area(1568, 1600)}},
	{"claude-sonnet-4-6*", family{claude, claudeFraming, area(1568, 1600)}},
	{"claude-haiku-4-5*", family{claude, claudeFraming, area(1568, 1600)}},
	{"claude-opus-4", family{claude, claudeFraming, area(1568, 1600)}},
	{"claude-opus-4-0", family{claude, claudeFraming, area(1568, 1600)}},
	{"claude-opus-4-1*", family{claude, claudeFraming, area(1568, 1600)}},
	{"claude-opus-4-5*", family{claude, claudeFraming, area(1568, 1600)}},
	{"claude-opus-4-6*", family{claude, claudeFraming, area(1568, 1600)}},
	{"claude*", family{claudeNew, claudeFraming, area(2576, 4784)}}, // the dearer of both, for names to come

	{"gemini*", family{gemini, otherFraming, crops}},
	{"gemma*", family{gemini, otherFraming, crops}},

	{"deepseek*", family{deepseek, otherFraming, anyImage}},
}

var unknownFamily = family{unknown, claudeFraming, anyImage}

func familyOf(model string) family {
	name := canonical(model)
	best, length := unknownFamily, -1
	for _, l := range models {
		prefix, open := strings.CutSuffix(l.pattern, "*")
		rest, ok := strings.CutPrefix(name, prefix)
		if !ok || rest != "" && (!open || isWordByte(rest[0])) {
			continue
		}
		if open == (rest == "") && len(prefix) == length {
			continue // the whole name is in a line of its own
		}
		if len(prefix) >= length {
			best, length = l.family, len(prefix)
		}
	}
	return best
}

func isWordByte(b byte) bool { return '0' <= b && b <= '9' || 'a' <= b && b <= 'z' }

// canonical is the name as the table has it.
func canonical(model string) string {
	name := strings.ToLower(strings.TrimSpace(model))
	if tuned, ok := strings.CutPrefix(name, "ft:"); ok {
		name, _, _ = strings.Cut(tuned, ":")
	}
	name = name[strings.LastIndexByte(name, '/')+1:]
	name = strings.ReplaceAll(name, ".", "-")
	name = strings.TrimSuffix(name, "-latest")
	// A date, as 20250929 or 2025-04-14, after a dash or an @.
	digits := 0
	for i := len(name) - 1; i > 0; i-- {
		b := name[i]
		if '0' <= b && b <= '9' {
			digits++
			continue
		}
		if digits == 8 && (b == '-' || b == '@') {
			return name[:i]
		}
		if b != '-' || digits != 2 && digits != 4 {
			break
		}
	}
	return name
}
