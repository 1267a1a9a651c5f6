// Package sse reads server-sent events in bounded time and memory: go-sse's parser behind a framing reader.
package sse

import (
	"errors"
	"io"
	"iter"

	gosse "github.com/tmaxmax/go-sse"
)

var (
	// ErrTooLarge is an event, or a line, over the limit.
	ErrTooLarge = errors.New("sse: event too large")

	// ErrIncomplete comes with the last event of a stream that ended without the blank line that ends an event.
	// The event is what there was of it, which may be all.
	ErrIncomplete = errors.New("sse: the stream ended inside an event")
)

// NotEventsError comes first and alone when the stream begins like JSON or a page. Prefix is what was read of it.
type NotEventsError struct{ Prefix []byte }

func (*NotEventsError) Error() string { return "sse: not an event stream" }

// Read yields the events of r, which it does not close. An event of more than limit bytes ends it with ErrTooLarge,
// an error of r with that error. A clean end inside an event yields that event with ErrIncomplete.
//
// A line "error: …" is no field of the standard, but some gateways send it: it comes as an event of that type.
func Read(r io.Reader, limit int) iter.Seq2[gosse.Event, error] {
	return func(yield func(gosse.Event, error) bool) {
		f := newFramer(r, limit)
		// The parser counts the line that makes an event of an error line as well.
		config := gosse.ReadConfig{MaxEventSize: limit + len(errorEvent) + 1024}
		for ev, err := range gosse.Read(f, &config) {
			if err == nil && f.incomplete {
				err = ErrIncomplete
			}
			if !yield(ev, err) || err != nil {
				break
			}
		}
		f.release()
	}
}
