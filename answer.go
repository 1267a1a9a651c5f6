package holysheep

import (
	"encoding/json"
	"slices"
	"strconv"

	"github.com/holysheep-ai/holysheep-go/internal/wire"
)

// answer puts the pieces of one attempt's answer together: the chunks of a stream, or a plain answer as its one
// piece.
type answer struct {
	id, model string
	choices   []choice
	only      [1]choice // room for the usual number of choices
	extra     map[string]string
	usage     wire.Usage
	reported  bool // a usage came
	size      int  // bytes of content
	raw       json.RawMessage
}

type choice struct {
	index                    int
	role                     string
	text, reasoning, refusal pieces
	parts                    []Part
	calls                    []pendingCall
	finish                   string
	logprobs                 []string
	extra                    map[string]string
}

type pendingCall struct {
	index    int // as the server counts
	id, name string
	args     pieces
	extra    map[string]string
}

// pieces joins strings; a single one is kept as it is. (A strings.Builder must not be copied, which the slices
// around this do when they grow.)
type pieces struct {
	one  string
	many []byte
}

func (p *pieces) add(s string) {
	switch {
	case s == "":
	case p.many != nil:
		p.many = append(p.many, s...)
	case p.one == "":
		p.one = s
	default:
		p.many = append(append(make([]byte, 0, 4*(len(p.one)+len(s))), p.one...), s...)
	}
}

func (p *pieces) String() string {
	if p.many != nil {
		return string(p.many)
	}
	return p.one
}

// add takes in one piece.
func (a *answer) add(p *wire.Answer) {
	if a.id == "" {
		a.id = p.ID
	}
	if p.Model != "" {
		a.model = p.Model
	}
	if p.HasUsage {
		a.usage = maxUsage(a.usage, p.Usage)
		a.reported = true
	}
	keep(&a.extra, p.Extra)
	for i := range p.Choices {
		a.size += a.choice(p.Choices[i].Index).add(&p.Choices[i])
	}
}

// maxUsage merges usages that come bit by bit: some servers repeat a growing count, some send prompt and
// completion apart.
func maxUsage(a, b wire.Usage) wire.Usage {
	a.Prompt, a.Completion = max(a.Prompt, b.Prompt), max(a.Completion, b.Completion)
	a.Cached, a.CacheWrite = max(a.Cached, b.Cached), max(a.CacheWrite, b.CacheWrite)
	a.Reasoning = max(a.Reasoning, b.Reasoning)
	return a
}

// keep collects fields as strings: one that comes with every chunk is overwritten without an allocation.
func keep(extra *map[string]string, fields []wire.Field) {
	for _, f := range fields {
		if *extra == nil {
			*extra = map[string]string{}
		}
		(*extra)[f.Key] = f.Raw
	}
}

func rawFields(extra map[string]string) map[string]json.RawMessage {
	if extra == nil {
		return nil
	}
	fields := make(map[string]json.RawMessage, len(extra))
	for key, raw := range extra {
		fields[key] = json.RawMessage(raw)
	}
	return fields
}

func (a *answer) choice(index int) *choice {
	for i := range a.choices {
		if a.choices[i].index == index {
			return &a.choices[i]
		}
	}
	if a.choices == nil {
		a.choices = a.only[:0]
	}
	a.choices = append(a.choices, choice{index: index})
	return &a.choices[len(a.choices)-1]
}

// add takes in a choice's piece and gives the size of its content.
func (c *choice) add(p *wire.Choice) int {
	if p.Role != "" {
		c.role = p.Role
	}
	c.text.add(p.Text)
	c.reasoning.add(p.Reasoning)
	c.refusal.add(p.Refusal)
	size := len(p.Text) + len(p.Reasoning) + len(p.Refusal)
	for _, raw := range p.Parts {
		c.parts = append(c.parts, RawPart(raw))
		size += len(raw)
	}
	for i := range p.ToolCalls {
		size += c.addCall(&p.ToolCalls[i])
	}
	// Two reasons may come, tool_calls and then stop: the first says more.
	if p.FinishReason != "" && (c.finish == "" || p.FinishReason == "tool_calls") {
		c.finish = p.FinishReason
	}
	if p.Logprobs != "" {
		c.logprobs = append(c.logprobs, p.Logprobs)
		size += len(p.Logprobs)
	}
	keep(&c.extra, p.Extra)
	return size
}

// addCall adds a piece of a tool call to the call it belongs to. Servers count from 0 or 1, give every call the
// index 0, or leave index or id out; an id that is new always starts a call.
func (c *choice) addCall(p *wire.ToolCall) int {
	call := c.findCall(p)
	if call == nil {
		c.calls = append(c.calls, pendingCall{index: p.Index})
		call = &c.calls[len(c.calls)-1]
	}
	if p.ID != "" {
		call.id = p.ID
	}
	if p.Name != "" {
		call.name = p.Name
	}
	call.args.add(p.Arguments)
	keep(&call.extra, p.Extra)
	return len(p.Name) + len(p.Arguments)
}

func (c *choice) findCall(p *wire.ToolCall) *pendingCall {
	last := len(c.calls) - 1
	if p.ID != "" {
		for i := last; i >= 0; i-- {
			if c.calls[i].id == p.ID {
				return &c.calls[i]
			}
		}
	}
	if !p.HasIndex {
		// Without index and id: a name starts a call, arguments go on with the last one.
		if last < 0 || p.ID != "" || p.Name != "" && c.calls[last].name != "" {
			return nil
		}
		return &c.calls[last]
	}
	for i := last; i >= 0; i-- {
		if c.calls[i].index == p.Index {
			if p.ID != "" && c.calls[i].id != "" {
				return nil // another call under an index that is taken
			}
			return &c.calls[i]
		}
	}
	return nil
}

// any reports whether anything came that a caller could use.
func (a *answer) any() bool {
	if a.size > 0 {
		return true
	}
	for i := range a.choices {
		if len(a.choices[i].calls) > 0 {
			return true
		}
	}
	return false
}

// finishedChoices counts the choices with a finish_reason; whole reports whether that is all of them.
func (a *answer) finishedChoices() (n int, whole bool) {
	for i := range a.choices {
		if a.choices[i].finish != "" {
			n++
		}
	}
	return n, n > 0 && n == len(a.choices)
}

// response builds the public form of what came so far.
func (a *answer) response() *ChatResponse {
	r := &ChatResponse{ID: a.id, Model: a.model, Extra: rawFields(a.extra), Raw: a.raw, Choices: make([]Choice, len(a.choices))}
	for i := range a.choices {
		r.Choices[i] = a.choices[i].public()
	}
	slices.SortStableFunc(r.Choices, func(a, b Choice) int { return a.Index - b.Index })
	return r
}

func (c *choice) public() Choice {
	m := Message{
		Role: c.role, Reasoning: c.reasoning.String(), Refusal: c.refusal.String(), Extra: rawFields(c.extra), Content: c.parts,
	}
	if m.Role == "" {
		m.Role = RoleAssistant
	}
	if text := c.text.String(); text != "" {
		m.Content = append([]Part{Text(text)}, c.parts...)
	}
	for i := range c.calls {
		call := &c.calls[i]
		id := call.id
		if id == "" {
			// The answer to a call has to name it; the server sees the name we make up in both places.
			id = "call_" + strconv.Itoa(i)
		}
		m.ToolCalls = append(m.ToolCalls, ToolCall{
			Index: i, ID: id, Name: call.name, Arguments: call.args.String(), Extra: rawFields(call.extra),
		})
	}
	return Choice{Index: c.index, Message: m, FinishReason: c.finish, Logprobs: joinLogprobs(c.logprobs)}
}

// joinLogprobs puts the token lists of a stream's pieces together.
func joinLogprobs(raws []string) json.RawMessage {
	if len(raws) <= 1 {
		if len(raws) == 0 {
			return nil
		}
		return json.RawMessage(raws[0])
	}
	joined := map[string][]json.RawMessage{}
	for _, raw := range raws {
		var lists map[string]json.RawMessage
		if json.Unmarshal([]byte(raw), &lists) != nil {
			return json.RawMessage(raws[len(raws)-1])
		}
		for key, value := range lists {
			var list []json.RawMessage
			if json.Unmarshal(value, &list) == nil {
				joined[key] = append(joined[key], list...)
			}
		}
	}
	out, err := json.Marshal(joined)
	if err != nil {
		return json.RawMessage(raws[len(raws)-1])
	}
	return out
}

// completionTokens estimates the delivered tokens of an answer.
func (a *answer) completionTokens() int64 {
	var n int64
	for i := range a.choices {
		c := &a.choices[i]
		n += estimateTokens(c.text.String()) + estimateTokens(c.reasoning.String()) + estimateTokens(c.refusal.String())
		for j := range c.calls {
			n += estimateTokens(c.calls[j].name) + estimateTokens(c.calls[j].args.String())
		}
	}
	return n
}
