package cache

import (
	"cmp"
	"strings"
	"sync"

	"github.com/holysheep-ai/holysheep-go"
)

// transcript is what a stream has brought so far. One writes to it, any number read along, each at his own pace: who is
// behind gets what he missed in larger pieces. Safe for concurrent use.
type transcript struct {
	limit int // of what it takes, in bytes

	mu      sync.Mutex
	text    []byte // all text, of all kinds
	pieces  []piece
	size    int
	changed chan struct{} // closed with the next piece; nil when nobody waits
}

// piece is text of one kind and choice, or pieces of tool calls.
type piece struct {
	kind     pieceKind
	choice   int
	from, to int // in text
	calls    []holysheep.ToolCall
}

type pieceKind uint8

const (
	pieceText pieceKind = iota
	pieceReasoning
	pieceRefusal
	pieceCalls
)

// What a piece takes beside its text.
const perPiece = 64

// add appends an event. It reports whether there was room.
func (t *transcript) add(ev *holysheep.StreamEvent) bool {
	t.mu.Lock()
	defer t.mu.Unlock()
	t.say(pieceReasoning, ev.Choice, ev.Reasoning)
	t.say(pieceText, ev.Choice, ev.Text)
	t.say(pieceRefusal, ev.Choice, ev.Refusal)
	if len(ev.ToolCalls) > 0 {
		t.pieces = append(t.pieces, piece{kind: pieceCalls, choice: ev.Choice, calls: copyCalls(ev.ToolCalls)})
		t.size += perPiece
		for i := range ev.ToolCalls {
			c := &ev.ToolCalls[i]
			t.size += perPiece + len(c.ID) + len(c.Name) + len(c.Arguments)
			for name, raw := range c.Extra {
				t.size += perPiece + len(name) + len(raw)
			}
		}
	}
	if t.changed != nil {
		close(t.changed)
		t.changed = nil
	}
	return t.size <= t.limit
}

func (t *transcript) say(kind pieceKind, choice int, text string) {
	if text == "" {
		return
	}
	t.size += len(text)
	from := len(t.text)
	t.text = append(t.text, text...)
	if n := len(t.pieces); n > 0 && t.pieces[n-1].kind == kind && t.pieces[n-1].choice == choice {
		t.pieces[n-1].to = len(t.text)
		return
	}
	t.size += perPiece
	t.pieces = append(t.pieces, piece{kind: kind, choice: choice, from: from, to: len(t.text)})
}

// cursor is how far a reader has come.
type cursor struct{ piece, at int }

// next gives what comes after the cursor; without anything a channel that is closed when there is more.
func (t *transcript) next(c *cursor) (ev holysheep.StreamEvent, ok bool, more <-chan struct{}) {
	t.mu.Lock()
	defer t.mu.Unlock()
	for ; c.piece < len(t.pieces); c.piece++ {
		p := &t.pieces[c.piece]
		if p.kind == pieceCalls {
			c.piece++
			return holysheep.StreamEvent{Choice: p.choice, ToolCalls: copyCalls(p.calls)}, true, nil
		}
		if from := max(c.at, p.from); from < p.to {
			c.at = p.to
			ev := holysheep.StreamEvent{Choice: p.choice}
			switch text := string(t.text[from:p.to]); p.kind {
			case pieceReasoning:
				ev.Reasoning = text
			case pieceRefusal:
				ev.Refusal = text
			default:
				ev.Text = text
			}
			return ev, true, nil
		}
		if c.piece == len(t.pieces)-1 {
			break // it may still grow
		}
	}
	if t.changed == nil {
		t.changed = make(chan struct{})
	}
	return ev, false, t.changed
}

// partial is the part of an answer that a reader has seen.
func (t *transcript) partial(c cursor) *holysheep.ChatResponse {
	t.mu.Lock()
	defer t.mu.Unlock()
	p := partial{choices: map[int]*partialChoice{}}
	for i := range t.pieces[:min(c.piece+1, len(t.pieces))] {
		switch piece := &t.pieces[i]; {
		case piece.kind != pieceCalls && piece.from < c.at:
			p.of(piece.choice).texts[piece.kind].Write(t.text[piece.from:min(piece.to, c.at)])
		case piece.kind == pieceCalls && i < c.piece:
			p.of(piece.choice).add(piece.calls)
		}
	}
	return p.response()
}

// partial puts an answer together that did not come to its end.
type partial struct {
	choices map[int]*partialChoice
	order   []int
}

type partialChoice struct {
	texts [pieceCalls]strings.Builder
	calls map[int]*partialCall
	order []int
}

type partialCall struct {
	call      holysheep.ToolCall
	arguments strings.Builder
}

func (p *partial) of(choice int) *partialChoice {
	c := p.choices[choice]
	if c == nil {
		c = &partialChoice{calls: map[int]*partialCall{}}
		p.choices[choice] = c
		p.order = append(p.order, choice)
	}
	return c
}

func (c *partialChoice) add(pieces []holysheep.ToolCall) {
	for i := range pieces {
		piece := &pieces[i]
		call := c.calls[piece.Index]
		if call == nil {
			call = &partialCall{call: holysheep.ToolCall{Index: piece.Index, Extra: copyFields(piece.Extra)}}
			c.calls[piece.Index] = call
			c.order = append(c.order, piece.Index)
		}
		call.call.ID = cmp.Or(call.call.ID, piece.ID)
		call.call.Name = cmp.Or(call.call.Name, piece.Name)
		call.arguments.WriteString(piece.Arguments)
	}
}

func (p *partial) response() *holysheep.ChatResponse {
	resp := &holysheep.ChatResponse{}
	for _, index := range p.order {
		c := p.choices[index]
		m := holysheep.Message{
			Role: holysheep.RoleAssistant, Reasoning: c.texts[pieceReasoning].String(), Refusal: c.texts[pieceRefusal].String(),
		}
		if c.texts[pieceText].Len() > 0 {
			m.Content = []holysheep.Part{holysheep.Text(c.texts[pieceText].String())}
		}
		for _, at := range c.order {
			call := c.calls[at]
			call.call.Arguments = call.arguments.String()
			m.ToolCalls = append(m.ToolCalls, call.call)
		}
		resp.Choices = append(resp.Choices, holysheep.Choice{Index: index, Message: m})
	}
	return resp
}
