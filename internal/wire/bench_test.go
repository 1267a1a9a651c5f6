package wire

import (
	"encoding/json"
	"strings"
	"testing"

	"github.com/stretchr/testify/require"
)

// Chunks as providers send them, the first of them by far the most common.
var hotChunks = []string{
	`{"id":"chatcmpl-AbCdEf0123456789","object":"chat.completion.chunk","created":1764000000,"model":"gpt-4.1-2025-04-14","service_tier":"default","system_fingerprint":"fp_0123456789","choices":[{"index":0,"delta":{"content":" weather"},"logprobs":null,"finish_reason":null}],"usage":null,"obfuscation":"a1b2c3"}`,
	`{"id":"chatcmpl-AbCdEf0123456789","object":"chat.completion.chunk","created":1764000000,"model":"gpt-4.1-2025-04-14","choices":[{"index":0,"delta":{"role":"assistant","content":"","refusal":null},"logprobs":null,"finish_reason":null}],"usage":null}`,
	`{"id":"chatcmpl-AbCdEf0123456789","object":"chat.completion.chunk","created":1764000000,"model":"deepseek-v3.2","choices":[{"index":0,"delta":{"content":null,"reasoning_content":"我们先看看这个问题"},"logprobs":null,"finish_reason":null}]}`,
	`{"id":"chatcmpl-AbCdEf0123456789","object":"chat.completion.chunk","created":1764000000,"model":"gpt-4.1-2025-04-14","choices":[{"index":0,"delta":{"tool_calls":[{"index":0,"id":"call_abc","type":"function","function":{"name":"get_weather","arguments":""}}]},"logprobs":null,"finish_reason":null}]}`,
	`{"id":"chatcmpl-AbCdEf0123456789","object":"chat.completion.chunk","created":1764000000,"model":"gpt-4.1-2025-04-14","choices":[{"index":0,"delta":{},"logprobs":null,"finish_reason":"stop"}]}`,
	`{"id":"chatcmpl-AbCdEf0123456789","object":"chat.completion.chunk","created":1764000000,"model":"gpt-4.1-2025-04-14","choices":[],"usage":{"prompt_tokens":1117,"completion_tokens":46,"total_tokens":1163,"prompt_tokens_details":{"cached_tokens":1024,"audio_tokens":0},"completion_tokens_details":{"reasoning_tokens":12,"audio_tokens":0,"accepted_prediction_tokens":0,"rejected_prediction_tokens":0}}}`,
}

var escapedChunk = `{"id":"chatcmpl-AbCdEf0123456789","object":"chat.completion.chunk","created":1764000000,"model":"gpt-4.1-2025-04-14","choices":[{"index":0,"delta":{"content":"\n\n\"Hi\" \u2014 \ud83d\ude00"},"logprobs":null,"finish_reason":null}]}`

var plainAnswer = `{"id":"chatcmpl-AbCdEf0123456789","object":"chat.completion","created":1764000000,"model":"gpt-4.1-2025-04-14","choices":[{"index":0,"message":{"role":"assistant","content":"` +
	strings.Repeat(`It is a truth universally acknowledged, that a text of some length has a line break now and then.\n\n`, 14) +
	`","refusal":null,"annotations":[]},"logprobs":null,"finish_reason":"stop"}],"usage":{"prompt_tokens":1117,"completion_tokens":346,"total_tokens":1463,"prompt_tokens_details":{"cached_tokens":1024,"audio_tokens":0},"completion_tokens_details":{"reasoning_tokens":0,"audio_tokens":0}},"service_tier":"default","system_fingerprint":"fp_0123456789"}`

// typedAnswer is what one would write for encoding/json.
type typedAnswer struct {
	ID      string `json:"id"`
	Model   string `json:"model"`
	Choices []struct {
		Index   int           `json:"index"`
		Delta   *typedMessage `json:"delta"`
		Message *typedMessage `json:"message"`
		Finish  string        `json:"finish_reason"`
	} `json:"choices"`
	Usage *struct {
		Prompt        int64 `json:"prompt_tokens"`
		Completion    int64 `json:"completion_tokens"`
		PromptDetails *struct {
			Cached int64 `json:"cached_tokens"`
		} `json:"prompt_tokens_details"`
		CompletionDetails *struct {
			Reasoning int64 `json:"reasoning_tokens"`
		} `json:"completion_tokens_details"`
	} `json:"usage"`
}

type typedMessage struct {
	Role      string `json:"role"`
	Content   string `json:"content"`
	Reasoning string `json:"reasoning_content"`
	Refusal   string `json:"refusal"`
	ToolCalls []struct {
		Index    int    `json:"index"`
		ID       string `json:"id"`
		Type     string `json:"type"`
		Function struct {
			Name      string `json:"name"`
			Arguments string `json:"arguments"`
		} `json:"function"`
	} `json:"tool_calls"`
}

func BenchmarkChunk(b *testing.B) {
	hot := hotChunks[:1]
	mix := append(strings.Split(strings.Repeat(hotChunks[0]+"\n", 20), "\n")[:20], hotChunks...)
	mix = append(mix, escapedChunk)
	b.Run("hot", func(b *testing.B) { compare(b, hot) })
	b.Run("mix", func(b *testing.B) { compare(b, mix) })
}

func BenchmarkPlainAnswer(b *testing.B) { compare(b, []string{plainAnswer}) }

// compare decodes the texts in turn with each decoder.
func compare(b *testing.B, texts []string) {
	b.Helper()
	size := 0
	for _, text := range texts {
		size += len(text)
	}
	run := func(name string, decode func(text string) bool) {
		b.Run(name, func(b *testing.B) {
			b.ReportAllocs()
			b.SetBytes(int64(size / len(texts)))
			for i := 0; b.Loop(); i++ {
				if !decode(texts[i%len(texts)]) {
					b.Fatal("not decoded")
				}
			}
		})
	}
	var a Answer
	run("fast", func(text string) bool { return decodeFast(text, &a) })
	if len(texts) == 1 {
		require.NoError(b, Decode(strings.Clone(texts[0]), &a))
		run("again", func(text string) bool { return decodeAgain(text, &a) })
	}
	run("reference", func(text string) bool { return decodeReference(text, &a) == nil })
	run("encoding-json", func(text string) bool {
		var t typedAnswer
		return json.Unmarshal([]byte(text), &t) == nil
	})
}

func TestHotChunksCostNoAllocation(t *testing.T) {
	if raceEnabled {
		t.Skip("the race detector allocates")
	}
	var a Answer
	for _, chunk := range hotChunks {
		require.Zero(t, testing.AllocsPerRun(100, func() { _ = Decode(chunk, &a) }), chunk)
	}
	require.Equal(t, 1, int(testing.AllocsPerRun(100, func() { _ = Decode(escapedChunk, &a) })))
}
