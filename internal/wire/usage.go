package wire

import (
	"math"
	"strconv"
)

// Usage counts tokens. Cached and CacheWrite are parts of Prompt, Reasoning is a part of Completion.
type Usage struct {
	Prompt, Completion, Cached, CacheWrite, Reasoning int64
}

// maxCount is the largest number of tokens that is believed.
const maxCount = 1e12

// Values of a count that is no number of tokens.
const (
	absent = -1
	absurd = -2 // negative, fractional or too large: the rest of its object is not to be trusted either
)

// The counts of a usage object, and those of the objects inside it.
const (
	promptTokens = iota
	inputTokens
	completionTokens
	outputTokens
	cachedTokens
	cacheHitTokens
	cacheReadTokens
	cacheCreationTokens
	reasoningTokens
	numCounts

	detailCached = iota - numCounts - 1
	detailCacheWrite
	detailCacheCreation
	detailReasoning
	numDetails

	unknown = -1
)

// The objects inside a usage object.
const (
	promptDetails = iota
	inputDetails
	completionDetails
	outputDetails
	numGroups
)

// countOf finds the count a member of a usage object stands for.
func countOf(key string) int {
	switch key {
	case "prompt_tokens":
		return promptTokens
	case "input_tokens":
		return inputTokens
	case "completion_tokens":
		return completionTokens
	case "output_tokens":
		return outputTokens
	case "cached_tokens": // Moonshot
		return cachedTokens
	case "prompt_cache_hit_tokens": // DeepSeek
		return cacheHitTokens
	case "cache_read_input_tokens": // Anthropic
		return cacheReadTokens
	case "cache_creation_input_tokens":
		return cacheCreationTokens
	case "reasoning_tokens":
		return reasoningTokens
	}
	return unknown
}

// groupOf finds the inner object a member of a usage object is.
func groupOf(key string) int {
	switch key {
	case "prompt_tokens_details":
		return promptDetails
	case "input_tokens_details":
		return inputDetails
	case "completion_tokens_details":
		return completionDetails
	case "output_tokens_details":
		return outputDetails
	}
	return unknown
}

// detailOf finds the count a member of an inner object stands for.
func detailOf(key string) int {
	switch key {
	case "cached_tokens":
		return detailCached
	case "cache_write_tokens": // OpenRouter
		return detailCacheWrite
	case "cached_creation_tokens": // new-api
		return detailCacheCreation
	case "reasoning_tokens":
		return detailReasoning
	}
	return unknown
}

// counts are what one usage object says.
type counts struct {
	top     [numCounts]int64
	details [numGroups][numDetails]int64
}

var noCounts = func() (c counts) {
	for i := range c.top {
		c.top[i] = absent
	}
	for g := range c.details {
		for i := range c.details[g] {
			c.details[g][i] = absent
		}
	}
	return c
}()

// count reads a JSON number of tokens; a whole number may be written 12.0 or 1.2e1.
func count(number string) int64 {
	f, err := strconv.ParseFloat(number, 64)
	if err != nil || f < 0 || f > maxCount || f != math.Trunc(f) {
		return absurd
	}
	return int64(f)
}

// trusted reports whether there are any counts, and none that is absurd.
func (c *counts) trusted() (ok bool) {
	for _, n := range c.top {
		if n == absurd {
			return false
		}
		ok = ok || n >= 0
	}
	for g := range c.details {
		for _, n := range c.details[g] {
			if n == absurd {
				return false
			}
			ok = ok || n >= 0
		}
	}
	return ok
}

// usage brings the names of all providers to one form.
func (c *counts) usage() Usage {
	t, prompt, input := &c.top, &c.details[promptDetails], &c.details[inputDetails]
	u := Usage{
		Prompt:     max(0, t[promptTokens], t[inputTokens]),
		Completion: max(0, t[completionTokens], t[outputTokens]),
		Cached: max(0, t[cachedTokens], t[cacheHitTokens], t[cacheReadTokens],
			prompt[detailCached], input[detailCached]),
		CacheWrite: max(0, t[cacheCreationTokens], prompt[detailCacheWrite], prompt[detailCacheCreation],
			input[detailCacheWrite], input[detailCacheCreation]),
		Reasoning: max(0, t[reasoningTokens],
			c.details[completionDetails][detailReasoning], c.details[outputDetails][detailReasoning]),
	}
	// Anthropic counts what its cache read and wrote apart from the input, everybody else counts it in.
	if t[inputTokens] >= 0 && t[promptTokens] <= 0 {
		u.Prompt += max(0, t[cacheReadTokens]) + max(0, t[cacheCreationTokens])
	}
	return u
}

// addUsage merges a usage object into the answer's: servers repeat a growing count, or send its fields apart.
func (a *Answer) addUsage(c *counts) {
	if !c.trusted() {
		return
	}
	m, u := &a.Usage, c.usage()
	m.Prompt, m.Completion = max(m.Prompt, u.Prompt), max(m.Completion, u.Completion)
	m.Cached, m.CacheWrite = max(m.Cached, u.Cached), max(m.CacheWrite, u.CacheWrite)
	m.Reasoning = max(m.Reasoning, u.Reasoning)
	a.HasUsage = true
}
