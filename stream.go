package holysheep

import (
	"context"
	"fmt"
	"iter"
	"sync/atomic"
)

// StreamEvent is a piece of an answer as it arrives.
type StreamEvent struct {
	Choice    int // which of several answers it belongs to
	Text      string
	Reasoning string
	Refusal   string
	ToolCalls []ToolCall // pieces: Arguments has to be joined per Index; the whole calls are in Response

	// Response is the whole answer, settled and with all its figures. The last event has it, and nothing else.
	Response *ChatResponse
}

// Stream answers req piece by piece. The request leaves when the range starts, and again if a retry is possible:
// that is, until the first piece has been yielded. The last event carries the whole response. An error comes last
// and alone; after a part of the answer it is a *StreamError that carries it. A stream that is broken off costs
// what the gateway makes of it: the meter and the observer see both ends.
//
// With iter.Pull, stop has to be called, or the connection stays open until the context ends.
func (c *Client) Stream(ctx context.Context, req *ChatRequest) iter.Seq2[StreamEvent, error] {
	var used atomic.Bool
	return func(yield func(StreamEvent, error) bool) {
		if used.Swap(true) {
			yield(StreamEvent{}, fmt.Errorf("holysheep: %w", ErrStreamUsed))
			return
		}
		if err := c.enter(); err != nil {
			yield(StreamEvent{}, err)
			return
		}
		defer c.running.Done()
		k, err := c.newChat(ctx, req, true)
		if err != nil {
			yield(StreamEvent{}, err)
			return
		}
		k.yield = yield
		defer func() { k.rest.drain() }()
		err = k.run(ctx)
		switch {
		case err == errStopped: //nolint:errorlint // ours, never wrapped
		case err != nil:
			yield(StreamEvent{}, k.withPartial(err))
		default:
			yield(StreamEvent{Response: k.rec.Response}, nil)
		}
	}
}

// Collect reads a stream to its end and gives the whole response.
func Collect(stream iter.Seq2[StreamEvent, error]) (*ChatResponse, error) {
	var last *ChatResponse
	for ev, err := range stream {
		if err != nil {
			return nil, err
		}
		if ev.Response != nil {
			last = ev.Response
		}
	}
	if last == nil {
		return nil, fmt.Errorf("holysheep: Collect: %w: the stream ended without a response", ErrTruncated)
	}
	return last, nil
}
