package sqlitestore

import (
	"context"
	"database/sql"
	"encoding/json"
	"fmt"
	"iter"
	"math"
	"time"

	"github.com/holysheep-ai/holysheep-go/costs"
)

// Rows keeps the rows of attempts in a SQLite file: a [costs.Store] that processes may share, and that a person can ask
// in SQL. Close it when the clients that write to it are closed.
type Rows struct {
	file *file
}

// RowsOptions are what Rows can be told.
type RowsOptions struct {
	// Durable waits for the disk with the rows of every call, so that not even a power cut loses one. Default: false,
	// which is several times faster and safe against the death of processes.
	Durable bool
}

// rowsKind: "HoRw" in the header of the file. Amounts are picodollars, times and latencies nanoseconds.
var rowsKind = kind{applicationID: 0x486f5277, version: 1, schema: `
CREATE TABLE rows (
	row                INTEGER PRIMARY KEY,
	time               INTEGER NOT NULL, -- since 1970, UTC
	call               TEXT NOT NULL,
	parent             TEXT NOT NULL,
	attempt            INTEGER NOT NULL,
	shared             INTEGER NOT NULL, -- 0 or 1
	last               INTEGER NOT NULL, -- 0 or 1
	operation          TEXT NOT NULL,
	model              TEXT NOT NULL,
	served             TEXT NOT NULL,
	request_id         TEXT NOT NULL,
	prompt_tokens      INTEGER NOT NULL,
	completion_tokens  INTEGER NOT NULL,
	cached_tokens      INTEGER NOT NULL,
	cache_write_tokens INTEGER NOT NULL,
	reasoning_tokens   INTEGER NOT NULL,
	usd                INTEGER NOT NULL,
	at_most            INTEGER NOT NULL,
	basis              TEXT NOT NULL,
	billing            TEXT NOT NULL,
	saved              INTEGER NOT NULL,
	prices             TEXT NOT NULL,
	outcome            TEXT NOT NULL,
	latency            INTEGER NOT NULL,
	tags               TEXT NOT NULL     -- JSON
) STRICT;
CREATE INDEX rows_time ON rows (time);
CREATE TRIGGER rows_stay BEFORE DELETE ON rows BEGIN SELECT RAISE(ABORT, 'rows are only added'); END;
CREATE TRIGGER rows_are_final BEFORE UPDATE ON rows BEGIN SELECT RAISE(ABORT, 'rows are only added'); END;`}

const (
	addRow  = "INSERT INTO rows VALUES (NULL, ?, ?, ?, ?, ?, ?, ?, ?, ?, ?, ?, ?, ?, ?, ?, ?, ?, ?, ?, ?, ?, ?, ?, ?)"
	readRow = "SELECT * FROM rows WHERE time >= ? AND time < ? ORDER BY row"
)

// OpenRows opens the rows in a file, which is made if it is not there. A file that is none of ours, damaged, or of
// another version is refused. opts may be nil.
func OpenRows(path string, opts *RowsOptions) (*Rows, error) {
	synchronous := "NORMAL"
	if opts != nil && opts.Durable {
		synchronous = "FULL"
	}
	f, err := openFile(path, synchronous, rowsKind)
	if err != nil {
		return nil, fmt.Errorf("sqlitestore: %w", err)
	}
	return &Rows{file: f}, nil
}

// Close closes the file.
func (r *Rows) Close() error { return r.file.Close() }

// Append implements [costs.Store]. When it returns the rows are in the file, whatever becomes of the process.
func (r *Rows) Append(rows []costs.Row) error {
	ctx := context.Background()
	err := r.file.write(ctx, func(tx *sql.Tx) error {
		for i := range rows {
			row := &rows[i]
			tags, err := json.Marshal(row.Tags)
			if err != nil {
				return err
			}
			u := row.Usage
			if _, err := tx.ExecContext(ctx, addRow, row.Time.UnixNano(), row.Call, row.Parent, row.Attempt, row.Shared, row.Last, row.Operation,
				row.Model, row.Served, row.RequestID, u.PromptTokens, u.CompletionTokens, u.CachedTokens, u.CacheWriteTokens, u.ReasoningTokens,
				int64(row.Cost.USD), int64(row.Cost.AtMost), row.Cost.Basis.String(), row.Billing.String(), int64(row.Saved), row.Prices,
				row.Outcome, int64(row.Latency), string(tags)); err != nil {
				return err
			}
		}
		return nil
	})
	if err != nil {
		return fmt.Errorf("sqlitestore: %w", err)
	}
	return nil
}

// All gives the rows of attempts sent from one time until before another, in the order in which they were added; a zero
// time is no bound. Rows that are added meanwhile are not among them. An error ends it; that of a row that cannot be
// understood is a *costs.RowError with its number.
func (r *Rows) All(ctx context.Context, from, until time.Time) iter.Seq2[costs.Row, error] {
	return func(yield func(costs.Row, error) bool) {
		first, end := int64(math.MinInt64), int64(math.MaxInt64)
		if !from.IsZero() {
			first = from.UnixNano()
		}
		if !until.IsZero() {
			end = until.UnixNano()
		}
		found, err := r.file.db.QueryContext(ctx, readRow, first, end)
		if err != nil {
			yield(costs.Row{}, fmt.Errorf("sqlitestore: %w", err))
			return
		}
		defer func() { _ = found.Close() }()
		for found.Next() {
			row, err := scanRow(found)
			if !yield(row, err) || err != nil {
				return
			}
		}
		if err := found.Err(); err != nil {
			yield(costs.Row{}, fmt.Errorf("sqlitestore: %w", err))
		}
	}
}

func scanRow(found *sql.Rows) (row costs.Row, err error) {
	var number, sent int64
	var basis, billing, tags string
	u := &row.Usage
	err = found.Scan(&number, &sent, &row.Call, &row.Parent, &row.Attempt, &row.Shared, &row.Last, &row.Operation,
		&row.Model, &row.Served, &row.RequestID, &u.PromptTokens, &u.CompletionTokens, &u.CachedTokens, &u.CacheWriteTokens, &u.ReasoningTokens,
		&row.Cost.USD, &row.Cost.AtMost, &basis, &billing, &row.Saved, &row.Prices,
		&row.Outcome, &row.Latency, &tags)
	if err == nil {
		err = row.Cost.Basis.UnmarshalText([]byte(basis))
	}
	if err == nil {
		err = row.Billing.UnmarshalText([]byte(billing))
	}
	if err == nil {
		err = json.Unmarshal([]byte(tags), &row.Tags)
	}
	if err == nil {
		err = row.Check()
	}
	if err != nil {
		return costs.Row{}, &costs.RowError{Line: int(number), Err: err}
	}
	row.Time = time.Unix(0, sent).UTC()
	return row, nil
}
