package cache

import (
	"context"
	"encoding/binary"
	"encoding/json"
	"fmt"
	"math"
	"strings"
	"time"

	"github.com/holysheep-ai/holysheep-go"
)

// Receipt is what a hit is about, in Step.Detail.
type Receipt struct {
	Key    string        // the first digits of the entry's hash, which is the last part of its key in the store
	Age    time.Duration // of the answer; 0 for one that was still under way
	Stale  bool          // it was past its TTL; but for Only, it is being fetched anew
	Shared bool          // it came with an equal call that was under way
}

// stored is an answer out of the store.
type stored struct {
	resp  *holysheep.ChatResponse
	age   time.Duration
	stale bool
}

// look asks the store. An answer that is too old for the call is none.
func (c *ExactCache) look(ctx context.Context, a *asked, now time.Time) (stored, bool) {
	raw, ok := c.shelf.get(ctx, a.key)
	if !ok {
		return stored{}, false
	}
	kept, n := binary.Uvarint(raw)
	if n <= 0 || kept > math.MaxInt64 {
		c.shelf.spoiled()
		return stored{}, false
	}
	resp, at, err := decodeAnswer(raw[n:])
	if err != nil {
		c.shelf.spoiled()
		return stored{}, false
	}
	e := stored{resp: resp, age: max(now.Sub(at), 0)} // another machine's clock may be ahead
	fresh := min(a.ttl, time.Duration(kept))
	if e.stale = e.age >= fresh; e.stale && e.age-fresh >= c.opts.Stale {
		return stored{}, false
	}
	return e, true
}

// serve makes a hit of it.
func (e *stored) serve(a *asked, call *holysheep.Call) *holysheep.ChatResponse {
	receipt := &Receipt{Key: a.receipt(), Age: e.age, Stale: e.stale}
	reason := "answered " + ago(e.age)
	switch {
	case e.stale && a.only:
		reason += ", past its time"
	case e.stale:
		reason += ", and being fetched anew"
	}
	return hit(e.resp, call, e.resp.Cost.USD, holysheep.Step{Kind: "cache", Reason: reason, Detail: receipt})
}

// hit writes into an answer, and into its call, that nothing was spent on it and what was saved.
func hit(resp *holysheep.ChatResponse, call *holysheep.Call, saved holysheep.USD, step holysheep.Step) *holysheep.ChatResponse {
	step.Saved = saved
	steps := []holysheep.Step{step}
	resp.Cached, resp.Saved, resp.Cost, resp.Steps = true, saved, holysheep.Cost{}, steps
	resp.Attempts, resp.RequestID, resp.Raw = 0, "", nil
	resp.Latency = time.Since(call.Start)
	resp.FirstToken = resp.Latency
	call.Served, call.Response, call.FirstToken = resp.Model, resp, resp.FirstToken
	call.Saved, call.Steps = saved, steps
	return resp
}

// ago writes an age for a person.
func ago(d time.Duration) string {
	if d < time.Second {
		return "just now"
	}
	return d.Truncate(time.Second).String() + " ago"
}

// inPieces yields a whole answer as a stream.
func inPieces(resp *holysheep.ChatResponse, yield func(holysheep.StreamEvent, error) bool) {
	for i := range resp.Choices {
		choice := &resp.Choices[i]
		m := &choice.Message
		ev := holysheep.StreamEvent{
			Choice: choice.Index, Text: m.Text(), Reasoning: m.Reasoning, Refusal: m.Refusal, ToolCalls: copyCalls(m.ToolCalls),
		}
		if (ev.Text != "" || ev.Reasoning != "" || ev.Refusal != "" || len(ev.ToolCalls) > 0) && !yield(ev, nil) {
			return
		}
	}
	yield(holysheep.StreamEvent{Response: resp}, nil)
}

// encode is the form an answer is stored in: how long it may be served, then the answer.
func (a *asked) encode(resp *holysheep.ChatResponse) ([]byte, error) {
	answer, err := encodeAnswer(resp, time.Now())
	if err != nil {
		return nil, err
	}
	b := make([]byte, 0, binary.MaxVarintLen64+len(answer))
	return append(binary.AppendUvarint(b, uint64(a.ttl)), answer...), nil
}

// unfit says why an answer is not kept; "" when it is.
func (c *ExactCache) unfit(a *asked, resp *holysheep.ChatResponse) string {
	wanted := 1
	if a.resolved.N != nil {
		wanted = *a.resolved.N
	}
	return unfit(resp, wanted, c.opts.ToolCalls)
}

// unfit says why an answer with so many choices is not kept; "" when it is.
func unfit(resp *holysheep.ChatResponse, wanted int, toolCalls bool) string {
	switch {
	case resp.Cached:
		return "it came from a cache"
	case len(resp.Choices) != wanted:
		return fmt.Sprintf("%d of %d answers came", len(resp.Choices), wanted)
	}
	for i := range resp.Choices {
		choice := &resp.Choices[i]
		m := &choice.Message
		calls := len(m.ToolCalls) > 0
		switch {
		case m.Refusal != "":
			return "the model refused"
		case calls && !toolCalls:
			return "it is a tool call"
		case calls && !wholeCalls(m.ToolCalls):
			return "the arguments of a tool call are no JSON"
		case choice.FinishReason != "stop" && (!calls || choice.FinishReason != "tool_calls"):
			return fmt.Sprintf("it ended with %.20q", choice.FinishReason)
		case !calls && isBlank(m):
			return "it is empty"
		}
	}
	return ""
}

func wholeCalls(calls []holysheep.ToolCall) bool {
	for i := range calls {
		if a := calls[i].Arguments; a != "" && !json.Valid([]byte(a)) {
			return false
		}
	}
	return true
}

func isBlank(m *holysheep.Message) bool {
	for _, p := range m.Content {
		if t, ok := p.(holysheep.Text); !ok || strings.TrimSpace(string(t)) != "" {
			return false
		}
	}
	return true
}
