package costs

import (
	"context"
	"errors"
	"fmt"
	"strings"
	"sync/atomic"
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
	Shared    bool              `json:"shared,omitempty"`  // a part of a request that the row of another call counts
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
	Outcome   string            `json:"outcome"`          // OK, Left, or the kind of the error
	Latency   time.Duration     `json:"latency"`          // nanoseconds
	Tags      holysheep.Tags    `json:"tags,omitempty"`
}

// Wasted reports whether what the attempt cost brought no answer.
func (r *Row) Wasted() bool { return r.Outcome != OK }

// Check says why a row that was read cannot be one.
func (r *Row) Check() error {
	if r.Cost.USD < 0 || r.Cost.AtMost < r.Cost.USD || r.Saved < 0 || r.Outcome == "" || r.Call == "" {
		return errors.New("no row of this package, or one with amounts that cannot be")
	}
	return nil
}

// Outcomes of attempts that did not fail; the others are words for what went wrong.
const (
	OK   = "ok"                 // it brought a whole answer
	Left = "left by its reader" // the loop over its stream ended before it did
)

// A Store keeps rows, one after the other and for ever: [Lines] in any io.Writer, sqlitestore.OpenRows in a SQLite file.
type Store interface {
	// Append adds the rows of one call, in their order: all of them, or none and an error. It is called by the
	// goroutine of the call when that has ended, and safe for concurrent use.
	Append(rows []Row) error
}

// Rows is an observer that keeps a row for each attempt. Give it to a client as Options.Observer. Safe for concurrent
// use; it has nothing to close.
type Rows struct {
	store  Store
	next   holysheep.Observer
	failed func(error)
	lost   atomic.Int64
}

// RowOptions are what Rows can be told.
type RowOptions struct {
	// Next is an observer that sees every call as well. Default: none.
	Next holysheep.Observer

	// OnError is told when the rows of a call could not be kept; the call is not affected. It must be safe for
	// concurrent use. Default: nil, and Lost counts them.
	OnError func(error)
}

// NewRows keeps rows in store. opts may be nil.
func NewRows(store Store, opts *RowOptions) *Rows {
	var o RowOptions
	if opts != nil {
		o = *opts
	}
	return &Rows{store: store, next: o.Next, failed: o.OnError}
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
	rows := rowsOf(call)
	if err := r.store.Append(rows); err != nil {
		r.lost.Add(int64(len(rows)))
		if r.failed != nil {
			r.failed(fmt.Errorf("costs: %d rows of call %s are not kept: %w", len(rows), call.ID, err))
		}
	}
	if r.next != nil {
		r.next.End(ctx, call)
	}
}

// Lost is how many rows could not be kept.
func (r *Rows) Lost() int64 { return r.lost.Load() }

// rowsOf makes the rows of a call.
func rowsOf(call *holysheep.Call) []Row {
	common := Row{
		Time: call.Start.UTC(), Call: call.ID, Operation: call.Operation, Model: clip(call.Model), Prices: call.Prices,
		Tags: call.Tags(),
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
		row.Time, row.Attempt, row.Shared, row.RequestID = at.Start.UTC(), at.Number, at.Shared, at.RequestID
		row.Usage, row.Cost, row.Billing, row.Latency = at.Usage, at.Cost, at.Billing, at.Latency
		row.Outcome = outcome(at.Err)
		if i == len(rows)-1 {
			row.Last, row.Saved, row.Served = true, call.Saved, clip(call.Served)
			switch {
			case at.Err != nil && call.Err == nil:
				row.Outcome = Left
			case at.Err == nil && call.Err != nil: // others had use of the request
				row.Outcome = outcome(call.Err)
			}
		}
		rows[i] = row
	}
	return rows
}

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

// clip bounds what a caller or a gateway chose the length of.
func clip(name string) string {
	const most = 200
	if len(name) > most {
		name = strings.ToValidUTF8(name[:most], "")
	}
	return name
}
