package wire

import (
	"encoding/json"
	"math/rand/v2"
	"net/http"
	"strings"
	"testing"
	"time"
	"unicode/utf8"

	"github.com/stretchr/testify/require"
)

// checkAgreement decodes one text after another and checks all that holds for any text.
func checkAgreement(t *testing.T, before, data string) {
	t.Helper()
	var fast, ref, reused Answer
	err := decodeReference(data, &ref)
	if decodeFast(data, &fast) {
		require.NoError(t, err, "the fast decoder took what the reference refuses")
		require.Equal(t, normal(&ref), normal(&fast))
	}
	_ = Decode(before, &reused)
	if got := Decode(data, &reused); strings.HasPrefix(data, "\ufeff") {
		return
	} else if err != nil {
		require.Equal(t, err, got)
		require.Equal(t, Answer{}, normal(&reused))
		return
	}
	require.Equal(t, normal(&ref), normal(&reused))
	checkSanity(t, &reused)
}

func checkSanity(t *testing.T, a *Answer) {
	t.Helper()
	checkFields := func(fields []Field) {
		require.LessOrEqual(t, len(fields), maxExtra)
		for i, f := range fields {
			require.True(t, json.Valid([]byte(f.Raw)), f)
			require.True(t, i == 0 || fields[i-1].Key < f.Key, fields)
		}
	}
	checkFields(a.Extra)
	require.True(t, a.Error == "" || json.Valid([]byte(a.Error)))
	require.LessOrEqual(t, len(a.Choices), maxChoices)
	u := a.Usage
	require.GreaterOrEqual(t, min(u.Prompt, u.Completion, u.Cached, u.CacheWrite, u.Reasoning), int64(0))
	require.True(t, a.HasUsage || u == Usage{})
	for _, c := range a.Choices {
		require.True(t, 0 <= c.Index && c.Index <= maxIndex)
		require.True(t, c.Logprobs == "" || json.Valid([]byte(c.Logprobs)))
		for _, s := range append(c.Parts, c.Text, c.Reasoning, c.Refusal, c.Role, c.FinishReason) {
			require.True(t, utf8.ValidString(s))
		}
		checkFields(c.Extra)
		for _, call := range c.ToolCalls {
			require.True(t, 0 <= call.Index && call.Index <= maxIndex)
			require.True(t, utf8.ValidString(call.Arguments+call.Name+call.ID))
			checkFields(call.Extra)
		}
	}
}

func FuzzDecode(f *testing.F) {
	for _, quirks := range [][]quirk{answerQuirks, choiceQuirks, contentQuirks, callQuirks, usageQuirks} {
		for _, q := range quirks {
			f.Add(escapedChunk, q.in)
		}
	}
	for _, in := range badAnswers {
		if len(in) < 1000 {
			f.Add(hotChunks[3], in)
		}
	}
	for _, in := range hotChunks {
		f.Add(plainAnswer, in)
	}
	f.Fuzz(checkAgreement)
}

// A chunk in the frame of the one before it must come out as the reference reads it, whatever its content.
func FuzzDecodeAgain(f *testing.F) {
	for _, in := range hotChunks {
		for _, text := range []string{"", " weather", `\n\"\u2014\ud83d\ude00`, "我们", `","role":"x`, `"`, `\`, "\x00", "\xff", `\ud83d`} {
			f.Add(in, text)
		}
	}
	f.Fuzz(func(t *testing.T, before, text string) {
		var a Answer
		if _ = Decode(before, &a); a.frame.head == "" {
			return
		}
		data := a.frame.head + text + a.frame.tail
		var ref Answer
		if decodeAgain(data, &a) {
			require.NoError(t, decodeReference(data, &ref))
			require.Equal(t, normal(&ref), normal(&a))
		}
		checkAgreement(t, before, data)
		checkAgreement(t, data, before)
	})
}

// What the functions for raw JSON find must be what encoding/json finds.
func FuzzRawJSON(f *testing.F) {
	for _, quirks := range [][]quirk{answerQuirks, choiceQuirks, contentQuirks, callQuirks, usageQuirks} {
		for _, q := range quirks {
			f.Add(q.in)
		}
	}
	f.Add(` [1 , -2.5e3,"a]\\\"",{"b":[ ]},[[]],true , null ] `)
	f.Fuzz(func(t *testing.T, data string) {
		if !json.Valid([]byte(data)) || !utf8.ValidString(data) {
			return
		}
		data = trimSpace(data)
		switch kind(data) {
		case '{':
			want, got := map[string]json.RawMessage{}, map[string]json.RawMessage{}
			require.NoError(t, json.Unmarshal([]byte(data), &want))
			require.NoError(t, eachMember(data, func(key, value string) error {
				got[key] = json.RawMessage(value)
				return nil
			}))
			require.Equal(t, want, got)
		case '[':
			want, got := []json.RawMessage{}, []json.RawMessage{}
			require.NoError(t, json.Unmarshal([]byte(data), &want))
			require.NoError(t, eachElement(data, func(value string) error {
				got = append(got, json.RawMessage(value))
				return nil
			}))
			require.Equal(t, want, got)
		case '"':
			var want string
			require.NoError(t, json.Unmarshal([]byte(data), &want))
			require.Equal(t, want, text(data))
		}
	})
}

// FuzzDecodeShapes builds its texts from what providers send, so that most of them are read to the end.
func FuzzDecodeShapes(f *testing.F) {
	f.Add([]byte{})
	f.Add([]byte("\x08\x02\x01\x05\x03\x02\x08\x01\x01\x07\x04\x03\x02\x01"))
	f.Fuzz(func(t *testing.T, script []byte) {
		g := generator{script: script}
		before := g.value(0)
		checkAgreement(t, before, g.value(0))
	})
}

// A sample of what FuzzDecodeShapes looks for, for every run of the tests.
func TestDecodersAgreeOnShapes(t *testing.T) {
	random := rand.NewChaCha8([32]byte{})
	script := make([]byte, 512)
	fast, refused := 0, 0
	const rounds = 5000
	for range rounds {
		_, _ = random.Read(script)
		g := generator{script: script}
		before, data := g.object(0), g.object(0)
		checkAgreement(t, before, data)
		var a Answer
		if decodeFast(data, &a) {
			fast++
		} else if decodeReference(data, &a) != nil {
			refused++
		}
	}
	require.Greater(t, fast, rounds/10, "too few texts that the fast decoder reads")
	require.Greater(t, refused, rounds/10, "too few texts that are refused")
	require.Less(t, fast+refused, rounds*9/10, "too few texts that only the reference reads")
}

// generator writes JSON that resembles answers, led by a script.
type generator struct{ script []byte }

func (g *generator) pick(n int) int {
	if len(g.script) == 0 {
		return 0
	}
	b := int(g.script[0])
	g.script = g.script[1:]
	return b % n
}

var shapes = [][]string{
	{`"id"`, `"model"`, `"choices"`, `"usage"`, `"x_groq"`, `"error"`, `"object"`, `"x"`, `"y"`, `"choice\u0073"`},
	{`"index"`, `"delta"`, `"message"`, `"finish_reason"`, `"logprobs"`, `"usage"`, `"x"`},
	{`"role"`, `"content"`, `"reasoning_content"`, `"reasoning"`, `"refusal"`, `"tool_calls"`, `"annotations"`, `"x"`, `"y"`},
	{`"index"`, `"id"`, `"type"`, `"function"`, `"x"`, `"y"`},
	{`"name"`, `"arguments"`, `"x"`, `"y"`},
	{`"type"`, `"text"`, `"thinking"`},
	{
		`"prompt_tokens"`, `"input_tokens"`, `"completion_tokens"`, `"output_tokens"`, `"cached_tokens"`,
		`"cache_read_input_tokens"`, `"cache_creation_input_tokens"`, `"reasoning_tokens"`, `"prompt_tokens_details"`,
		`"output_tokens_details"`, `"prompt_cache_hit_tokens"`,
	},
}

// shapeOf says which members the value of a member tends to have.
var shapeOf = map[string]int{
	`"choices"`: 1, `"choice\u0073"`: 1, `"delta"`: 2, `"message"`: 2, `"tool_calls"`: 3, `"function"`: 4, `"content"`: 5,
	`"thinking"`: 5, `"usage"`: 6, `"x_groq"`: 0, `"prompt_tokens_details"`: 6, `"output_tokens_details"`: 6,
}

var scalars = []string{
	`null`, `"a"`, `""`, `0`, `1`, `7`, `12.0`, `1.2e1`, `-1`, `0.5`, `1e13`, `1048577`, `true`, `false`, `"\n\u00e9"`, `"\ud83d\ude00"`,
	`"\ud83d"`, "\"\xff\"", `"中文"`, `"text"`, `"thinking"`, `[]`, `[ ]`, `{}`, `01`, "\"\t\"", `"output_text"`, `"long enough for eight at a time é"`,
}

func (g *generator) value(shape int) string {
	switch g.pick(8) {
	case 0, 1, 2, 3:
		return g.object(shape)
	case 4, 5:
		var elements []string
		for range g.pick(4) {
			elements = append(elements, g.value(shape))
		}
		return "[" + strings.Join(elements, ",") + "]"
	}
	return scalars[g.pick(len(scalars))]
}

func (g *generator) object(shape int) string {
	var members []string
	for range g.pick(6) {
		key := shapes[shape][g.pick(len(shapes[shape]))]
		value := scalars[g.pick(len(scalars))]
		inner, composite := shapeOf[key]
		switch {
		case composite && (key == `"choices"` || key == `"tool_calls"` || key == `"content"`) && g.pick(8) > 0:
			value = "[" + g.value(inner) + "," + g.value(inner) + "]"
		case composite && g.pick(8) > 0:
			value = g.value(inner)
		}
		members = append(members, []string{"", " ", "\r\n\t"}[g.pick(3)]+key+":"+value)
	}
	return "{" + strings.Join(members, ",") + "}"
}

func FuzzErrorBody(f *testing.F) {
	for _, c := range errorBodies {
		f.Add([]byte(c.in))
	}
	f.Fuzz(func(t *testing.T, body []byte) {
		start := time.Now()
		e := ParseError(body)
		excerpt := Excerpt(body, 100)
		require.Less(t, time.Since(start), 5*time.Second)
		for _, s := range []string{e.Message, e.Type, e.Code, e.Param, e.RequestID, e.ResetAt, excerpt} {
			require.True(t, utf8.ValidString(s), s)
		}
		require.LessOrEqual(t, len(e.Type+e.Code+e.Param+e.RequestID+e.ResetAt), 5*maxWord)
		require.LessOrEqual(t, len(excerpt), 100)
		require.LessOrEqual(t, len(e.Message), maxMessage)
		if !e.Object {
			require.LessOrEqual(t, len(e.Message), maxExcerpt)
		}
		require.GreaterOrEqual(t, e.RetryAfter, time.Duration(0))
		require.True(t, e.HasRetryAfter || e.RetryAfter == 0)
		require.True(t, !e.Object || json.Valid([]byte(strings.ToValidUTF8(strings.TrimPrefix(string(body), "\ufeff"), "?"))))
	})
}

func FuzzRetryAfter(f *testing.F) {
	for _, hint := range retryHints {
		f.Add(hint.millis, hint.seconds)
	}
	f.Fuzz(func(t *testing.T, millis, seconds string) {
		h := http.Header{}
		h.Set("Retry-After-Ms", millis)
		h.Set("Retry-After", seconds)
		d, ok := RetryAfter(h, time.Unix(1764000000, 0))
		require.GreaterOrEqual(t, d, time.Duration(0))
		require.True(t, ok || d == 0)
	})
}
