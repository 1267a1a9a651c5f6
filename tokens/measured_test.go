package tokens_test

// measured has what published tokenizers make of compose(kind, 20000, 3): DeepSeek V3's and Gemma 3's own
// tokenizer.json, run on 2026-11-24. It must be measured again when the sentences change.
var measured = map[string]map[string]int64{
	"deepseek-v3.2": {
		"arabic": 4194, "chinese": 3817, "combining": 12529, "emoji": 8978, "english": 4200, "german": 5427, "hindi": 4814,
		"japanese": 4663, "json": 7179, "korean": 5625, "markup": 8250, "numbers": 11687, "russian": 3546, "tamil": 4055,
		"thai": 2761,
	},
	"gemini-2.5-flash": {
		"arabic": 3976, "chinese": 4447, "combining": 9803, "emoji": 5145, "english": 4477, "german": 4750, "hindi": 2360,
		"japanese": 3748, "json": 8371, "korean": 4578, "markup": 9328, "numbers": 19097, "russian": 3003, "tamil": 2218,
		"thai": 2556,
	},
}
