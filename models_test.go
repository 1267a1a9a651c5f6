package holysheep_test

import (
	"testing"

	"github.com/stretchr/testify/require"

	"github.com/holysheep-ai/holysheep-go"
)

// One rule for names, in both tables.
func TestNamesOfModels(t *testing.T) {
	const sonnet, haiku = "claude-sonnet-4.5", "claude-haiku-4-5"
	for name, want := range map[string]string{
		"claude-sonnet-4.5": sonnet, "claude-sonnet-4-5": sonnet, "claude-sonnet-4-5-20250929": sonnet,
		"claude-sonnet-4-5@20250929": sonnet, "anthropic/claude-sonnet-4.5": sonnet, "Claude-Sonnet-4.5": sonnet,
		"claude-sonnet-4-5-latest": sonnet, "\tclaude-sonnet-4.5\n": sonnet,
		"claude-sonnet-4.6": "claude-sonnet-4-6", "claude-sonnet-4-6": "claude-sonnet-4-6",
		"claude-haiku-4.5": haiku, "claude-haiku-4-5-20251001": haiku,
		"gpt-4.1-2025-04-14": "gpt-4.1", "openrouter/openai/gpt-4.1": "gpt-4.1", "gpt-4.1-latest": "gpt-4.1", " gpt-4.1 ": "gpt-4.1",
		"gpt-4.1-mini": "gpt-4.1-mini", "openai/GPT-4-1-mini-2025-04-14": "gpt-4.1-mini",
		"models/gemini-2.5-flash": "gemini-2.5-flash", "deepseek-v3-2": "deepseek-v3.2",

		"gpt-4": "", "gpt-4.1-nano": "", "gpt-4.10": "", "gpt-41": "", "gpt-4.1-": "", "gpt-4.1-2025": "", "gpt-4.1-2025-4-14": "",
		"gpt-4.1@2025-04-14": "", "gpt-4.1:free": "", "gemini-2.5-flash-lite": "", "deepseek-v3": "", "claude-sonnet-4": "",
		"": "", "/": "", "openai/": "", "-20250929": "", "@20250929": "", "-latest": "",

		// Fine-tuned models have prices of their own.
		"ft:gpt-4.1:shop::x": "", "ft:gpt-4.1": "", "ft:gpt-4.1:shop::x/gpt-4.1": "", "FT:x/gpt-4.1": "", "openai/ft:gpt-4.1:shop::x": "",
	} {
		info, ok := holysheep.LookupModel(name)
		require.Equal(t, want, info.Name, name)
		require.Equal(t, want != "", ok, name)
		p, ok := holysheep.ListPrices().Lookup(name)
		require.Equal(t, want != "", ok, name)
		if ok {
			listed, _ := holysheep.ListPrices().Lookup(want)
			require.Equal(t, listed, p, name)
		}
	}
}

func TestLookupDoesNotAllocate(t *testing.T) {
	names := append(holysheep.ListPrices().Models(), "claude-sonnet-4-5", "claude-sonnet-4-5-20250929", "anthropic/claude-haiku-4-5", "o3-2025-04-16")
	for _, name := range names {
		require.Zero(t, testing.AllocsPerRun(100, func() {
			holysheep.ListPrices().Lookup(name)
			holysheep.LookupModel(name)
		}), name)
	}
}

func TestModelTable(t *testing.T) {
	for _, r := range []struct {
		name, family       string
		window, max        int
		vision, jsonSchema bool
	}{
		{"gpt-4.1", "openai", 1_047_576, 32_768, true, true},
		{"gpt-4.1-mini", "openai", 1_047_576, 32_768, true, true},
		{"claude-sonnet-4.5", "anthropic", 200_000, 64_000, true, false},
		{"claude-sonnet-4-6", "anthropic", 1_000_000, 64_000, true, false},
		{"claude-haiku-4-5", "anthropic", 200_000, 64_000, true, false},
		{"gemini-2.5-flash", "google", 1_048_576, 65_536, true, true},
		{"gemini-2.5-pro", "google", 1_048_576, 65_536, true, true},
		{"deepseek-v3.2", "deepseek", 128_000, 65_536, false, false},
		{"text-embedding-3-small", "openai", 8_191, 0, false, false},
		{"text-embedding-3-large", "openai", 8_191, 0, false, false},
		{"o1", "openai", 200_000, 100_000, true, true},
		{"o3", "openai", 200_000, 100_000, true, true},
		{"o3-mini", "openai", 200_000, 100_000, false, true},
		{"o4-mini", "openai", 200_000, 100_000, true, true},
		{"gpt-5", "openai", 400_000, 128_000, true, true},
		{"gpt-5-mini", "openai", 400_000, 128_000, true, true},
		{"gpt-5-nano", "openai", 400_000, 128_000, true, true},
	} {
		info, ok := holysheep.LookupModel(r.name)
		require.True(t, ok, r.name)
		require.Equal(t, r.name, info.Name)
		require.Equal(t, r.family, info.Family, r.name)
		require.Equal(t, []int{r.window, r.max}, []int{info.Window, info.MaxOutput}, r.name)
		require.Equal(t, []bool{r.vision, r.jsonSchema}, []bool{info.Vision, info.JSONSchema}, r.name)
		thinker := r.name[0] == 'o' || r.name[:4] == "gpt-" && r.name[4] == '5'
		require.Equal(t, thinker, info.NoTemperature, r.name)
		require.Equal(t, thinker, info.MaxCompletionTokens, r.name)
		require.Equal(t, r.max > 0, info.Tools, r.name)
	}
	for _, name := range holysheep.ListPrices().Models() {
		_, ok := holysheep.LookupModel(name)
		require.True(t, ok, "%s has a price and is not known", name)
	}
}

// The vendor's four models have its advice and its latency; no other does.
func TestStatedByVendor(t *testing.T) {
	stated := map[string]int64{holysheep.DeepSeekV32: 180, holysheep.Gemini25Flash: 50, holysheep.GPT41: 220, holysheep.ClaudeSonnet45: 250}
	for _, name := range append(holysheep.ListPrices().Models(), "o3", "gpt-5") {
		info, _ := holysheep.LookupModel(name)
		require.Equal(t, stated[name], info.StatedP95.Milliseconds(), name)
		require.Equal(t, stated[name] > 0, info.BestUse != "", name)
	}
}
