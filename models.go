package holysheep

import (
	"strings"
	"time"
)

// The models of HolySheep AI.
const (
	GPT41          = "gpt-4.1"
	ClaudeSonnet45 = "claude-sonnet-4.5"
	Gemini25Flash  = "gemini-2.5-flash"
	DeepSeekV32    = "deepseek-v3.2"
)

// ModelInfo is what is known of a model. It shapes requests and helps to plan; it is never a reason to refuse one.
type ModelInfo struct {
	Name   string
	Family string // "openai", "anthropic", "google" or "deepseek"

	Window    int // tokens of prompt and answer; 0 when not known
	MaxOutput int // tokens of one answer, reasoning included; 0 when not known

	Vision     bool // reads images
	Tools      bool // calls tools
	JSONSchema bool // keeps to a response_format of json_schema
	Reasoning  bool // thinks before it answers, always or when asked to

	NoTemperature       bool // refuses temperature and top_p: the default temperature is not sent
	MaxCompletionTokens bool // wants max_completion_tokens in place of max_tokens

	BestUse   string        // as the vendor advises; "" for models it does not
	StatedP95 time.Duration // latency as the vendor states it; 0 for models it does not
}

// LookupModel tells what is known of a model. Names are matched as [PriceTable.Lookup] does.
func LookupModel(name string) (ModelInfo, bool) {
	if info, ok := modelTable[name]; ok {
		return info, true
	}
	listed, ok := modelNames[canonicalModel(name)]
	return modelTable[listed], ok
}

// Windows and longest answers are those that the providers document, at the address above each family; gateways may
// allow less. The vendor's advice and latencies are those of its price page of 2026.
var modelTable = byName(
	// https://platform.openai.com/docs/models
	ModelInfo{
		Name: GPT41, Family: "openai", Window: 1_047_576, MaxOutput: 32_768,
		Vision: true, Tools: true, JSONSchema: true,
		BestUse: "code", StatedP95: 220 * time.Millisecond,
	},
	ModelInfo{
		Name: "gpt-4.1-mini", Family: "openai", Window: 1_047_576, MaxOutput: 32_768,
		Vision: true, Tools: true, JSONSchema: true,
	},
	thinker("o1", 200_000, 100_000),
	thinker("o3", 200_000, 100_000),
	thinker("o3-mini", 200_000, 100_000),
	thinker("o4-mini", 200_000, 100_000),
	thinker("gpt-5", 400_000, 128_000),
	thinker("gpt-5-mini", 400_000, 128_000),
	thinker("gpt-5-nano", 400_000, 128_000),
	ModelInfo{Name: "text-embedding-3-small", Family: "openai", Window: 8_191},
	ModelInfo{Name: "text-embedding-3-large", Family: "openai", Window: 8_191},

	// https://platform.claude.com/docs/en/about-claude/models/overview; response_format is ignored in the OpenAI
	// shape: https://platform.claude.com/docs/en/api/openai-sdk
	ModelInfo{
		Name: ClaudeSonnet45, Family: "anthropic", Window: 200_000, MaxOutput: 64_000,
		Vision: true, Tools: true, Reasoning: true,
		BestUse: "the best answer, whatever it costs", StatedP95: 250 * time.Millisecond,
	},
	ModelInfo{
		// A million without a beta header, at one price, since 2026-03-13.
		Name: "claude-sonnet-4-6", Family: "anthropic", Window: 1_000_000, MaxOutput: 64_000,
		Vision: true, Tools: true, Reasoning: true,
	},
	ModelInfo{
		Name: "claude-haiku-4-5", Family: "anthropic", Window: 200_000, MaxOutput: 64_000,
		Vision: true, Tools: true, Reasoning: true,
	},

	// https://ai.google.dev/gemini-api/docs/models; on Vertex AI an answer is one token shorter.
	ModelInfo{
		Name: Gemini25Flash, Family: "google", Window: 1_048_576, MaxOutput: 65_536,
		Vision: true, Tools: true, JSONSchema: true, Reasoning: true,
		BestUse: "simple questions, at once", StatedP95: 50 * time.Millisecond,
	},
	ModelInfo{
		Name: "gemini-2.5-pro", Family: "google", Window: 1_048_576, MaxOutput: 65_536,
		Vision: true, Tools: true, JSONSchema: true, Reasoning: true,
	},

	// https://api-docs.deepseek.com/quick_start/pricing: 8K as deepseek-chat, 64K as deepseek-reasoner. The name does
	// not tell which one answers, and a worst case must hold for both.
	ModelInfo{
		Name: DeepSeekV32, Family: "deepseek", Window: 128_000, MaxOutput: 65_536,
		Tools: true, Reasoning: true,
		BestUse: "most things, cheaply", StatedP95: 180 * time.Millisecond,
	},
)

var modelNames = func() map[string]string {
	names := map[string]string{}
	for name := range modelTable {
		names[canonicalModel(name)] = name
	}
	return names
}()

// thinker is a reasoning model of OpenAI: they refuse temperature and max_tokens.
func thinker(name string, window, output int) ModelInfo {
	return ModelInfo{
		Name: name, Family: "openai", Window: window, MaxOutput: output,
		Vision: name != "o3-mini", Tools: true, JSONSchema: true, Reasoning: true,
		NoTemperature: true, MaxCompletionTokens: true,
	}
}

func byName(infos ...ModelInfo) map[string]ModelInfo {
	table := make(map[string]ModelInfo, len(infos))
	for _, info := range infos {
		table[info.Name] = info
	}
	return table
}

// canonicalModel is the name under which tables find a model: lower case, without vendor/, with dashes for dots,
// without a date or "latest" at the end. It is never what is sent.
func canonicalModel(name string) string {
	name = strings.ToLower(strings.TrimSpace(name))
	if strings.HasPrefix(name, "ft:") {
		return name // fine-tuned: another model at another price, whatever its name ends in
	}
	name = name[strings.LastIndexByte(name, '/')+1:]
	name = strings.ReplaceAll(name, ".", "-")
	name = strings.TrimSuffix(name, "-latest")
	for _, layout := range []string{"-dddddddd", "@dddddddd", "-dddd-dd-dd"} {
		if endsLike(name, layout) {
			return name[:len(name)-len(layout)]
		}
	}
	return name
}

// endsLike reports whether name ends like layout, in which d is any digit.
func endsLike(name, layout string) bool {
	if len(name) <= len(layout) {
		return false
	}
	end := name[len(name)-len(layout):]
	for i := range len(layout) {
		if layout[i] == 'd' {
			if end[i] < '0' || end[i] > '9' {
				return false
			}
		} else if end[i] != layout[i] {
			return false
		}
	}
	return true
}
