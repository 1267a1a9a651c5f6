package costs

import (
	"bufio"
	"bytes"
	"encoding/json"
	"errors"
	"fmt"
	"io"
	"iter"
	"sync"
)

// Lines is a [Store] that writes rows to w as lines of JSON, which [Read] reads back. Each call is one Write, so that a
// file that was opened to append may be shared by processes, and a process that is killed loses no row of a call that
// had ended. w stays the caller's to close; it needs no lock of its own.
func Lines(w io.Writer) Store { return &lines{out: w} }

type lines struct {
	mu   sync.Mutex
	out  io.Writer
	torn bool // the last write ended in the middle of a line
}

func (l *lines) Append(rows []Row) error {
	var b bytes.Buffer
	for i := range rows {
		line, err := json.Marshal(&rows[i])
		if err != nil {
			return err
		}
		b.Write(line)
		b.WriteByte('\n')
	}
	l.mu.Lock()
	defer l.mu.Unlock()
	text := b.Bytes()
	if l.torn { // by a full disk, say: what follows is not to be lost with it
		text = append([]byte{'\n'}, text...)
	}
	n, err := l.out.Write(text)
	if err == nil && n < len(text) {
		err = io.ErrShortWrite
	}
	switch {
	case err == nil:
		l.torn = false
	case n > 0:
		l.torn = text[min(n, len(text))-1] != '\n'
	}
	return err
}

// RowError is a line of rows or of an export that cannot be read.
type RowError struct {
	Line int  // from 1
	Cut  bool // it is the last, and has no end: a process may have died while it wrote
	Err  error
}

func (e *RowError) Error() string {
	if e.Cut {
		return fmt.Sprintf("costs: line %d has no end: %v", e.Line, e.Err)
	}
	return fmt.Sprintf("costs: line %d: %v", e.Line, e.Err)
}

func (e *RowError) Unwrap() error { return e.Err }

// maxLine bounds a row: names, tags and ids are all bounded far below.
const maxLine = 1 << 20

// Read reads rows back. The first line that is none ends it with a *RowError, and so does an error of r.
func Read(r io.Reader) iter.Seq2[Row, error] {
	return func(yield func(Row, error) bool) {
		err := eachLine(r, func(_ int, line []byte) error {
			var row Row
			if err := json.Unmarshal(line, &row); err != nil {
				return err
			}
			if err := row.Check(); err != nil {
				return err
			}
			if !yield(row, nil) {
				return errDone
			}
			return nil
		})
		if err != nil && err != errDone { //nolint:errorlint // ours, bare
			yield(Row{}, err)
		}
	}
}

var errDone = errors.New("done")

// eachLine gives the lines of r that are not empty, with their numbers.
func eachLine(r io.Reader, do func(n int, line []byte) error) error {
	in := bufio.NewReaderSize(r, 64<<10)
	for n := 1; ; n++ {
		var line []byte
		for {
			piece, err := in.ReadSlice('\n')
			line = append(line, piece...)
			if len(line) > maxLine {
				return &RowError{Line: n, Err: fmt.Errorf("longer than %d bytes", maxLine)}
			}
			if errors.Is(err, bufio.ErrBufferFull) {
				continue
			}
			if err != nil && !errors.Is(err, io.EOF) {
				return &RowError{Line: n, Err: err}
			}
			break
		}
		if len(line) == 0 {
			return nil
		}
		whole := line[len(line)-1] == '\n'
		if len(bytes.TrimSpace(line)) == 0 {
			if !whole {
				return nil
			}
			continue
		}
		if err := do(n, line); err != nil {
			if err == errDone { //nolint:errorlint // ours, bare
				return err
			}
			return &RowError{Line: n, Cut: !whole, Err: err}
		}
		if !whole {
			return nil
		}
	}
}
