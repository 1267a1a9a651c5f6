package sse

import (
	"bytes"
	"io"
)

// framer hands over whole events. The parser behind it looks at an event again with each read that brings a piece
// of it, which for 4 MiB in packets of 1,400 bytes takes 8.4 s, and 35 ms with whole events. Comments are left
// out, so that keep-alives do not add up.
type framer struct {
	src   io.Reader
	limit int // bytes of one event

	buf        []byte // for reading
	line       []byte // a line whose end has not come
	out        []byte // whole events, then the lines of the one that has not ended
	whole      int    // out[:whole] are whole events
	handed     int    // out[:handed] has been handed over
	started    bool   // something other than white space has come
	afterCR    bool   // the last byte was a CR: an LF after it belongs to it
	incomplete bool   // the last event handed over had no end
	err        error  // of src
}

const (
	firstBuffer   = 4 << 10
	largestBuffer = 16 << 10          // read at once
	keptBuffer    = 4 * largestBuffer // after an event that was larger the memory is given back

	// Reads that bring nothing, after which a reader is taken for broken.
	emptyReads = 100
)

var (
	bom        = []byte("\ufeff")
	blanks     = "\ufeff \t\r\n" // what may come before anything else
	eventEnd   = []byte("\n\n")
	errorField = []byte("error:")
	errorEvent = []byte("event: error\ndata:")
)

// Read implements io.Reader.
func (f *framer) Read(p []byte) (int, error) {
	if f.handed == f.whole {
		if err := f.fill(); err != nil {
			return 0, err
		}
	}
	n := copy(p, f.out[f.handed:f.whole])
	f.handed += n
	return n, nil
}

// fill reads until there is a whole event to hand over.
func (f *framer) fill() error {
	f.drop()
	for empty := 0; f.err == nil && f.whole == 0; {
		if f.buf == nil {
			f.buf = make([]byte, firstBuffer)
		}
		var n int
		n, f.err = f.src.Read(f.buf)
		if empty++; empty > emptyReads {
			return io.ErrNoProgress
		}
		if n == 0 {
			continue
		}
		empty = 0
		if err := f.take(f.buf[:n]); err != nil {
			return err
		}
		if n == len(f.buf) && n < largestBuffer {
			f.buf = make([]byte, 4*n)
		}
	}
	switch {
	case f.whole > 0:
		return nil
	case f.err != io.EOF: //nolint:errorlint // readers return it bare
		return f.err
	}
	return f.end()
}

// drop forgets what has been handed over.
func (f *framer) drop() {
	rest := f.out[f.whole:]
	if cap(f.out) > keptBuffer && len(rest) <= firstBuffer {
		f.out = append(make([]byte, 0, firstBuffer), rest...)
	} else {
		f.out = f.out[:copy(f.out, rest)]
	}
	f.whole, f.handed = 0, 0
}

// end completes the event in which src ended.
func (f *framer) end() error {
	if len(f.line) > 0 {
		if err := f.takeLine(nil); err != nil {
			return err
		}
	}
	if len(f.out) == 0 {
		return io.EOF
	}
	f.out = append(f.out, '\n')
	f.whole = len(f.out)
	f.incomplete = true
	return nil
}

// take cuts what was read into lines.
func (f *framer) take(b []byte) error {
	if !f.started {
		var err error
		if b, err = f.start(b); err != nil {
			return err
		}
	}
	b = f.takeEvents(b)
	if f.afterCR && len(b) > 0 {
		f.afterCR = false
		if b[0] == '\n' {
			b = b[1:]
		}
	}
	for len(b) > 0 {
		i := bytes.IndexByte(b, '\n')
		next := i + 1
		if i < 0 {
			i = len(b)
		}
		if cr := bytes.IndexByte(b[:i], '\r'); cr >= 0 {
			i, next = cr, cr+1
			switch {
			case next == len(b):
				f.afterCR = true
			case b[next] == '\n':
				next++
			}
		}
		if i == len(b) {
			f.line = append(f.line, b...)
			if len(f.line) > f.limit {
				return ErrTooLarge
			}
			return nil
		}
		if err := f.takeLine(b[:i]); err != nil {
			return err
		}
		b = b[next:]
	}
	return nil
}

// takeEvents takes over what is whole events in their plainest form, all at once, and gives the rest: line by line it
// would cost a tenth more for each event. Blank lines between events are not plain: the parser counts them as a part
// of the next event.
func (f *framer) takeEvents(b []byte) []byte {
	end := bytes.LastIndex(b, eventEnd) + len(eventEnd)
	if end < len(eventEnd) || end > f.limit || len(f.line) > 0 || len(f.out) > f.whole || f.afterCR {
		return b
	}
	events := b[:end]
	if bytes.IndexByte(events, '\r') >= 0 {
		return b
	}
	blank := true // the line before
	for rest := events; len(rest) > 0; {
		i := bytes.IndexByte(rest, '\n')
		if i == 0 && blank || special(rest[0]) {
			return b
		}
		blank = i == 0
		rest = rest[i+1:]
	}
	f.out = append(f.out, events...)
	f.whole = len(f.out)
	return b[end:]
}

// special reports whether a line that begins like this may be a comment or an error line.
func special(first byte) bool { return first == ':' || first == 'e' }

// start looks at the beginning of the stream, and passes over white space and byte order marks.
func (f *framer) start(b []byte) ([]byte, error) {
	if len(f.line) > 0 {
		b = append(f.line, b...)
		f.line = nil
	}
	b = bytes.TrimLeft(b, blanks)
	if bytes.HasPrefix(bom, b) { // nothing, or a part of a mark
		f.line = bytes.Clone(b)
		return nil, nil
	}
	f.started = true
	switch b[0] {
	case '{', '[', '<':
		return nil, &NotEventsError{Prefix: bytes.Clone(b)}
	}
	return b, nil
}

// takeLine adds a line, of which f.line is the beginning, to the event.
func (f *framer) takeLine(line []byte) error {
	if len(f.line) > 0 {
		f.line = append(f.line, line...)
		line = f.line
		defer f.dropLine()
	}
	switch {
	case len(line) == 0:
		if len(f.out) > f.whole {
			f.out = append(f.out, '\n')
			f.whole = len(f.out)
		}
	case len(line)+len(f.out)-f.whole > f.limit:
		return ErrTooLarge
	case line[0] == ':':
	case bytes.HasPrefix(line, errorField):
		f.out = append(f.out, errorEvent...)
		f.out = append(append(f.out, line[len(errorField):]...), '\n')
	default:
		f.out = append(append(f.out, line...), '\n')
	}
	return nil
}

func (f *framer) dropLine() {
	if cap(f.line) > keptBuffer {
		f.line = nil
		return
	}
	f.line = f.line[:0]
}
