package route_test

import (
	"math/rand/v2"
	"strings"
	"testing"
	"time"
	"unicode/utf8"

	"github.com/stretchr/testify/require"

	"github.com/holysheep-ai/holysheep-go"
	"github.com/holysheep-ai/holysheep-go/route"
)

func words(n int) string { return strings.TrimSpace(strings.Repeat("word ", n)) }

// The vendor's rule, to the figure.
func TestWordsToTheFigure(t *testing.T) {
	r, err := route.New(nothing{}, route.Policy{}, nil)
	require.NoError(t, err)
	for _, c := range []struct {
		name, text string
		class      route.Class
		model      string
	}{
		{"14 words", words(14), route.Simple, holysheep.Gemini25Flash},
		{"15 words", words(15), route.Standard, holysheep.DeepSeekV32},
		{"40 words", words(40), route.Standard, holysheep.DeepSeekV32},
		{"41 words", words(41), route.Complex, holysheep.DeepSeekV32},
		{"41 words, one of them how", "how " + words(40), route.Complex, holysheep.DeepSeekV32},
		{"none", "", route.Simple, holysheep.Gemini25Flash},
		{"how", "how late is it", route.Standard, holysheep.DeepSeekV32},
		{"why", "Why?", route.Standard, holysheep.DeepSeekV32},
		{"explain", "EXPLAIN it", route.Standard, holysheep.DeepSeekV32},
		{"compare", "please compare: A, B", route.Standard, holysheep.DeepSeekV32},
		{"analyze", "(analyze)", route.Standard, holysheep.DeepSeekV32},
		{"how's", "how's it going", route.Standard, holysheep.DeepSeekV32},
		{"how-to", "a how-to", route.Standard, holysheep.DeepSeekV32},
		{"in full width", "ｗｈｙ", route.Standard, holysheep.DeepSeekV32},
		{"show", "show me the invoice", route.Simple, holysheep.Gemini25Flash},
		{"somehow", "somehow it broke", route.Simple, holysheep.Gemini25Flash},
		{"however", "however late", route.Simple, holysheep.Gemini25Flash},
		{"explained", "nobody explained it", route.Simple, holysheep.Gemini25Flash},
		{"whyever, compares, analyzer", "whyever compares analyzer", route.Simple, holysheep.Gemini25Flash},
		{"a digit after", "how2 why_not 4why", route.Simple, holysheep.Gemini25Flash},
		{"a letter of another alphabet after", "howé éwhy", route.Simple, holysheep.Gemini25Flash},
		{"a combining accent after", "how\u0301", route.Simple, holysheep.Gemini25Flash},

		{"24 characters, 14 words", strings.Repeat("货", 24), route.Simple, holysheep.Gemini25Flash},
		{"25 characters, 15 words", strings.Repeat("货", 25), route.Standard, holysheep.DeepSeekV32},
		{"67 characters, 40 words", strings.Repeat("货", 67), route.Standard, holysheep.DeepSeekV32},
		{"68 characters, 41 words", strings.Repeat("货", 68), route.Complex, holysheep.DeepSeekV32},
		{"怎么", "怎么退货", route.Standard, holysheep.DeepSeekV32},
		{"如何", "请问如何退货", route.Standard, holysheep.DeepSeekV32},
		{"为什么", "这是为什么", route.Standard, holysheep.DeepSeekV32},
		{"為什麼", "這是為什麼", route.Standard, holysheep.DeepSeekV32},
		{"解释", "解释一下", route.Standard, holysheep.DeepSeekV32},
		{"比较", "比较一下这两款", route.Standard, holysheep.DeepSeekV32},
		{"分析", "分析数据", route.Standard, holysheep.DeepSeekV32},
		{"说明书 is a manual", "说明书丢了", route.Simple, holysheep.Gemini25Flash},
		{"比较便宜 is rather cheap", "有比较便宜的吗", route.Simple, holysheep.Gemini25Flash},
		{"分析师 is a profession", "找分析师", route.Simple, holysheep.Gemini25Flash},
		{"解释权 is in the terms", "解释权归谁", route.Simple, holysheep.Gemini25Flash},
		{"between the languages", "请explain一下", route.Standard, holysheep.DeepSeekV32},
	} {
		t.Run(c.name, func(t *testing.T) {
			got := receiptOf(t, r, ask(c.text))
			require.Equal(t, c.class, got.Class, got)
			require.Equal(t, c.model, got.Chosen)
		})
	}
}

func TestRead(t *testing.T) {
	for text, want := range map[string]route.Features{
		"What is it? And where?":           {Words: 5, Questions: 2},
		"Really?! Really???":               {Words: 2, Questions: 2},
		"see https://a.b/c?d=1 please":     {Words: 3},
		"order #48291, two – parts":        {Words: 4},
		"a\u00a0b\u3000c":                  {Words: 3},
		"用Python写 ok":                      {Words: 3, Han: 2, Code: true},
		"好吗？真的？？":                          {Words: 2, Han: 4, Questions: 2},
		"\xff\xfewhy\xff":                  {Words: 1, Reasoning: "why", Thought: 1},
		"x^2":                              {Words: 1, Maths: true},
		"3x + 7 = 22":                      {Words: 3, Maths: true},
		"for (;;) { run(); }":              {Words: 2, Code: true},
		"```\nx\n```":                      {Words: 1, Code: true},
		"why, why, compare":                {Words: 3, Reasoning: "why", Thought: 3},
		"my discount code returns nothing": {Words: 5},
		"积分":                               {Words: 1, Han: 2},
	} {
		f := route.Read(ask(text))
		require.Positive(t, f.PromptTokens)
		f.PromptTokens = 0
		require.Equal(t, want, f, text)
	}
}

func TestReadTheLastUserTurn(t *testing.T) {
	f := route.Read(&holysheep.ChatRequest{
		Messages: []holysheep.Message{
			holysheep.System("Explain why."),
			holysheep.User("how?", holysheep.Image{URL: "https://a.b/c.png"}),
			holysheep.Assistant("Why not?"),
			{Role: holysheep.RoleUser, Content: []holysheep.Part{holysheep.Text("sh"), holysheep.Text("ow")}},
			holysheep.ToolResult("1", "explain"),
		},
		MaxTokens: new(7), Tools: []holysheep.Tool{{Name: "f"}}, ResponseFormat: &holysheep.ResponseFormat{Type: "json_schema"},
	})
	require.Equal(t, 2, f.Words, "parts are apart")
	require.Empty(t, f.Reasoning)
	require.True(t, f.Images, "of any turn, because they are sent again")
	require.True(t, f.Tools)
	require.True(t, f.JSONSchema)
	require.EqualValues(t, 7, f.MaxTokens)

	require.Zero(t, route.Read(&holysheep.ChatRequest{}))
}

// Features of a text do not depend on case, and grow with the text.
func TestReadProperties(t *testing.T) {
	pieces := []string{"why", "show", "？", "?", " ", "\n", "怎么", "货", "3+4", "`", "x^2", "{", "}", "é", "\xff", "SQL", "the", "，", "_", "9"}
	rng := rand.New(rand.NewPCG(1, 2))
	for range 5000 {
		var b strings.Builder
		for range rng.IntN(30) {
			b.WriteString(pieces[rng.IntN(len(pieces))])
		}
		text := b.String()
		f := route.Read(ask(text))
		if utf8.ValidString(text) {
			upper := route.Read(ask(strings.ToUpper(text)))
			upper.PromptTokens = f.PromptTokens
			require.Equal(t, f, upper, text)
		}
		more := route.Read(ask(text + " and then"))
		require.Equal(t, f.Words+2, more.Words, text)
		require.GreaterOrEqual(t, more.Thought, f.Thought)
		require.Equal(t, f.Reasoning, more.Reasoning)
		require.LessOrEqual(t, f.Words, len(text))
	}
}

// A megabyte of anything takes a bounded time.
func TestReadHostileTexts(t *testing.T) {
	const size = 1 << 20
	for name, piece := range map[string]string{
		"letters": "a", "spaces": " ", "backticks": "`", "questions": "?", "Han": "货", "first characters of words": "怎", "为": "为",
		"almost words": "比", "marks": "\u0301", "invalid": "\xff", "words": "why ", "braces": "{", "full width": "？", "nul": "\x00", "emoji": "👩‍👩‍👧",
	} {
		req := ask(strings.Repeat(piece, size/len(piece)))
		start := time.Now()
		route.Read(req)
		require.Less(t, time.Since(start), 2*time.Second, name) // 10 ms, on a machine that may be busy
	}
}

func FuzzRead(f *testing.F) {
	for _, seed := range []string{"How do I return order 48291?", "为什么？", "x^2 = 4", "```go\n```", "\xff\xe4", "比较便宜", "ｗｈｙ？"} {
		f.Add(seed, seed)
	}
	f.Fuzz(func(t *testing.T, a, b string) {
		one := route.Read(ask(a))
		if one.Words < 0 || one.Han > len(a) || one.Words > len(a) || one.Questions > len(a) || one.PromptTokens < 1 {
			t.Errorf("%+v", one)
		}
		// Two parts of a turn are read as two lines are, but for signs that count once in each.
		two := route.Read(&holysheep.ChatRequest{Messages: []holysheep.Message{holysheep.User(a, holysheep.Text(b))}})
		other := route.Read(ask(b))
		if two.Han != one.Han+other.Han || two.Questions != one.Questions+other.Questions || two.Thought != one.Thought+other.Thought {
			t.Errorf("%+v and %+v are not %+v", one, other, two)
		}
		if (one.Reasoning == "" && other.Reasoning == "") != (two.Reasoning == "") || one.Code && !two.Code || one.Maths && !two.Maths {
			t.Errorf("%+v and %+v are not %+v", one, other, two)
		}
	})
}
