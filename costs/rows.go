package costs

import (
	"bufio"
	"bytes"
	"context"
	"encoding/json"
	"errors"
	"fmt"
	"io"
	"iter"
	"sync"
	"time"

	"github.com/holysheep-ai/holysheep-go"
)

// Row is what is known of one attempt: one request to the gateway. A call that sent none has one row without an
// attempt, so that what it saved, or why it was refused, is not lost. Rows hold neither keys nor prompts nor answers.
type Row struct {
	Time      time.Time         `json:"time"` // when the attempt was sent
	Call      string            `json:"call"`
	Parent    string            `json:"parent,omitempty"`  // the call above it
	Attempt   int               `json:"attempt,omitempty"` // from 1; 0 for a call that sent nothing
	Last      bool              `json:"last,omitempty"`    // the call ended with it
	Operation string            `json:"operation"`
	Model     string            `json:"model"`            // asked for
	Served    string            `json:"served,omitempty"` // that answered, as the gateway names it
	RequestID string            `json:"request_id,omitempty"`
	Usage     holysheep.Usage   `json:"usage"`
	Cost      holysheep.Cost    `json:"cost"`
	Billing   holysheep.Billing `json:"billing"`
	Saved     holysheep.USD     `json:"saved,omitempty"`
	Prices    string            `json:"prices,omitempty"` // the date of the price table
	Outcome   string            `json:"outcome"`          // "ok", or the kind of the error
	Latency   time.Duration     `json:"latency"`          // nanoseconds
	Tags      holysheep.Tags    `json:"tags,omitempty"`
}

// Wasted reports whether what the attempt cost brought no answer.
func (r *Row) Wasted() bool { return r.Outcome != OK }

// OK is the outcome of an attempt that brought a whole answer.
const OK = "ok"

// Rows is an observer that writes a row for each attempt. Give it to a client as Options.Observer. Safe for concurrent
// use.
type Rows struct {
	next   holysheep.Observer
	prices string
	failed func(error)

	mu   sync.Mutex
	out  *bufio.Writer
	err  error // the first
	lost int64
}

// RowOptions are what Rows can be told.
type RowOptions struct {
	// Next is an observer that sees every call as well. Default: none.
	Next holysheep.Observer

	// Prices is the table that the client prices with; its date is written to each row. Default: ListPrices().
	Prices *holysheep.PriceTable

	// OnError is told when a row could not be written; the call is not affected. It must be safe for concurrent use.
	// Default: nil. Flush returns the first error, and Lost counts the rows.
	OnError func(error)
}

// NewRows writes rows to w, which stays the caller's to close, as lines of JSON. They are buffered: Flush when the
// client has been closed, and as often as losing some would matter. opts may be nil.
func NewRows(w io.Writer, opts *RowOptions) *Rows {
	var o RowOptions
	if opts != nil {
		o = *opts
	}
	if o.Prices == nil {
		o.Prices = holysheep.ListPrices()
	}
	return &Rows{next: o.Next, prices: o.Prices.Date(), failed: o.OnError, out: bufio.NewWriterSize(w, 64<<10)}
}

// Begin implements [holysheep.Observer].
func (r *Rows) Begin(ctx context.Context, call *holysheep.Call) context.Context {
	if r.next != nil {
		return r.next.Begin(ctx, call)
	}
	return ctx
}

// Wait implements [holysheep.Observer].
func (r *Rows) Wait(ctx context.Context, call *holysheep.Call, w holysheep.Wait) {
	if r.next != nil {
		r.next.Wait(ctx, call, w)
	}
}

// End implements [holysheep.Observer].
func (r *Rows) End(ctx context.Context, call *holysheep.Call) {
	for _, row := range r.of(call) {
		r.write(&row)
	}
	if r.next != nil {
		r.next.End(ctx, call)
	}
}

// of makes the rows of a call.
func (r *Rows) of(call *holysheep.Call) []Row {
	common := Row{
		Time: call.Start, Call: call.ID, Operation: call.Operation, Model: call.Model, Prices: r.prices, Tags: call.Tags(),
	}
	if call.Parent != nil {
		common.Parent = call.Parent.ID
	}
	if len(call.Attempts) == 0 {
		row := common
		row.Last, row.Saved, row.Outcome, row.Latency = true, call.Saved, outcome(call.Err), call.Latency
		return []Row{row}
	}
	rows := make([]Row, len(call.Attempts))
	for i := range call.Attempts {
		at := &call.Attempts[i]
		row := common
		row.Time, row.Attempt, row.RequestID = at.Start, at.Number, at.RequestID
		row.Usage, row.Cost, row.Billing, row.Latency = at.Usage, at.Cost, at.Billing, at.Latency
		row.Outcome = outcome(at.Err)
		if i == len(rows)-1 {
			row.Last, row.Saved, row.Served = true, call.Saved, call.Served
			if at.Err != nil && call.Err == nil {
				row.Outcome = outcome(errLeft)
			}
		}
		rows[i] = row
	}
	return rows
}

var errLeft = errors.New("the reader left")

// kinds are the words for errors, the more special ones first.
var kinds = []struct {
	err  error
	word string
}{
	{context.Canceled, "canceled"},
	{context.DeadlineExceeded, "deadline"},
	{holysheep.ErrBudgetExceeded, "budget exceeded"},
	{holysheep.ErrBlocked, "blocked"},
	{holysheep.ErrLedger, "ledger not usable"},
	{holysheep.ErrUnknownPrice, "no price"},
	{holysheep.ErrRateLimited, "rate limited"},
	{holysheep.ErrOverloaded, "overloaded"},
	{holysheep.ErrServer, "server error"},
	{holysheep.ErrTruncated, "cut short"},
	{holysheep.ErrStalled, "stalled"},
	{holysheep.ErrTimeout, "timed out"},
	{holysheep.ErrNoAnswer, "no answer"},
	{holysheep.ErrConnect, "no connection"},
	{holysheep.ErrEmpty, "empty"},
	{holysheep.ErrMalformed, "not understood"},
	{holysheep.ErrTooLarge, "too large"},
	{holysheep.ErrInsufficientBalance, "balance spent"},
	{holysheep.ErrUnauthorized, "key refused"},
	{holysheep.ErrForbidden, "not allowed"},
	{holysheep.ErrModelNotFound, "no such model"},
	{holysheep.ErrContextLength, "context too long"},
	{holysheep.ErrContentFiltered, "content refused"},
	{holysheep.ErrBadRequest, "bad request"},
	{errLeft, "left by its reader"},
}

// outcome is the word for how an attempt ended. Messages of errors stay out of the rows: a server may quote the prompt.
func outcome(err error) string {
	if err == nil {
		return OK
	}
	for _, k := range kinds {
		if errors.Is(err, k.err) {
			return k.word
		}
	}
	return "failed"
}

func (r *Rows) write(row *Row) {
	line, err := json.Marshal(row)
	r.mu.Lock()
	if err == nil {
		err = r.err
	}
	if err == nil {
		_, err = r.out.Write(append(line, '\n'))
	}
	if err != nil {
		r.fail(err)
		r.lost++
	}
	r.mu.Unlock()
	if err != nil && r.failed != nil {
		r.failed(fmt.Errorf("costs: a row was not written: %w", err))
	}
}

func (r *Rows) fail(err error) {
	if r.err == nil {
		r.err = err
	}
}

// Flush writes what is buffered. It returns the first error there ever was.
func (r *Rows) Flush() error {
	r.mu.Lock()
	defer r.mu.Unlock()
	if err := r.out.Flush(); err != nil {
		r.fail(err)
	}
	if r.err != nil {
		return fmt.Errorf("costs: rows: %w", r.err)
	}
	return nil
}

// Lost is how many rows could not be written. Rows that were buffered when a write failed are not in it.
func (r *Rows) Lost() int64 {
	r.mu.Lock()
	defer r.mu.Unlock()
	return r.lost
}

// RowError is a line that is no row.
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
			if row.Cost.USD < 0 || row.Cost.AtMost < row.Cost.USD || row.Saved < 0 || row.Outcome == "" || row.Call == "" {
				return errors.New("no row of this package, or one with amounts that cannot be")
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
