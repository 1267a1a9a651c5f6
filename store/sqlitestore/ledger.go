package sqlitestore

import (
	"context"
	"database/sql"
	"encoding/json"
	"errors"
	"fmt"
	"math"
	"time"

	"modernc.org/sqlite"

	"github.com/holysheep-ai/holysheep-go"
)

// Ledger is a [holysheep.Ledger] in a SQLite file. Close it when the clients that use it are closed.
type Ledger struct {
	file  *file
	swept time.Time // under its writing
}

// LedgerOptions are what a ledger can be told.
type LedgerOptions struct {
	// Durable waits for the disk with every step, so that not even a power cut loses one. Default: false, which is
	// several times faster and safe against the death of processes.
	Durable bool
}

// ledgerKind: "HoLg" in the header of the file.
var ledgerKind = kind{applicationID: 0x486f4c67, version: 1, schema: `
CREATE TABLE accounts (
	key      TEXT PRIMARY KEY,
	spent    INTEGER NOT NULL,
	reserved INTEGER NOT NULL,
	expired  INTEGER NOT NULL,
	ends     INTEGER NOT NULL -- ms; 0 never
) STRICT, WITHOUT ROWID;
CREATE TABLE reservations (
	id      TEXT PRIMARY KEY,
	until   INTEGER NOT NULL, -- ms; of the lease
	expired INTEGER NOT NULL, -- 0 or 1
	holds   TEXT NOT NULL     -- JSON: [{"k": key, "a": amount}]
) STRICT, WITHOUT ROWID;
CREATE TABLE switches (
	target TEXT PRIMARY KEY,
	switch TEXT NOT NULL,    -- JSON
	lim    INTEGER NOT NULL  -- of an account; 0 for other targets
) STRICT, WITHOUT ROWID;
CREATE TABLE switch_rows (
	row    INTEGER PRIMARY KEY,
	switch TEXT NOT NULL
) STRICT;
CREATE INDEX reservations_until ON reservations (expired, until);`}

// keepFor is how long a settle may come after the lease, or an account is kept after its period.
const keepFor = 24 * time.Hour

// OpenLedger opens the ledger in a file, which is made if it is not there. A file that is none of ours, damaged, or of
// another version is refused. opts may be nil.
func OpenLedger(path string, opts *LedgerOptions) (*Ledger, error) {
	var o LedgerOptions
	if opts != nil {
		o = *opts
	}
	synchronous := "NORMAL"
	if o.Durable {
		synchronous = "FULL"
	}
	f, err := openFile(path, synchronous, ledgerKind)
	if err != nil {
		return nil, fmt.Errorf("sqlitestore: %w: %w", holysheep.ErrLedger, err)
	}
	return &Ledger{file: f}, nil
}

// Close closes the file.
func (l *Ledger) Close() error { return l.file.Close() }

// write runs one transaction.
func (l *Ledger) write(ctx context.Context, do func(*sql.Tx) error) error {
	err := l.file.write(ctx, do)
	if _, ok := errors.AsType[*sqlite.Error](err); ok {
		return fmt.Errorf("%w: %w", holysheep.ErrLedger, err)
	}
	return err
}

// held is a hold as the file has it.
type held struct {
	Key    string        `json:"k"`
	Amount holysheep.USD `json:"a"`
}

var errRefused = errors.New("refused")

// Reserve implements [holysheep.Ledger].
func (l *Ledger) Reserve(ctx context.Context, r holysheep.Reservation) (refused int, err error) {
	refused = -1
	err = l.write(ctx, func(tx *sql.Tx) error {
		if err := l.sweep(ctx, tx, r.Now); err != nil {
			return err
		}
		if err := blocked(ctx, tx, &r); err != nil {
			return err
		}
		holds := make([]held, len(r.Holds))
		for i, h := range r.Holds {
			holds[i] = held{h.Key, h.Amount}
		}
		packed, err := json.Marshal(holds)
		if err != nil {
			return err
		}
		res, err := tx.ExecContext(ctx, "INSERT INTO reservations VALUES (?, ?, 0, ?) ON CONFLICT DO NOTHING", r.ID, r.Now.Add(r.Lease).UnixMilli(), string(packed))
		if err != nil {
			return err
		}
		if n, err := res.RowsAffected(); err != nil || n == 0 {
			return err // granted before
		}
		for i, h := range r.Holds {
			a, err := account(ctx, tx, h.Key)
			if err != nil {
				return err
			}
			if a.Limit > 0 {
				h.Limit = a.Limit
			}
			if used := a.Spent.Plus(a.Reserved); h.Amount < 0 || h.Amount > h.Limit || used > h.Limit-h.Amount {
				refused = i
				return errRefused
			}
			a.Reserved += h.Amount
			ends := int64(0)
			if !h.Ends.IsZero() {
				ends = h.Ends.UnixMilli()
			}
			if err := save(ctx, tx, a, ends); err != nil {
				return err
			}
		}
		return nil
	})
	if err == errRefused { //nolint:errorlint // ours, bare
		err = nil
	}
	return refused, err
}

// Settle implements [holysheep.Ledger].
func (l *Ledger) Settle(ctx context.Context, id string, now time.Time, spent holysheep.USD) ([]holysheep.Account, error) {
	var accounts []holysheep.Account
	err := l.write(ctx, func(tx *sql.Tx) error {
		if err := l.sweep(ctx, tx, now); err != nil {
			return err
		}
		var packed string
		var expired bool
		err := tx.QueryRowContext(ctx, "DELETE FROM reservations WHERE id = ? RETURNING holds, expired", id).Scan(&packed, &expired)
		if errors.Is(err, sql.ErrNoRows) {
			return fmt.Errorf("sqlitestore: %w: %q", holysheep.ErrNoReservation, id)
		}
		if err != nil {
			return err
		}
		holds, err := unpack(packed)
		if err != nil {
			return err
		}
		for _, h := range holds {
			a, err := account(ctx, tx, h.Key)
			if err != nil {
				return err
			}
			if expired {
				a.Expired -= h.Amount
				a.Spent -= h.Amount
			} else {
				a.Reserved -= h.Amount
			}
			a.Spent = a.Spent.Plus(max(spent, 0))
			if err := save(ctx, tx, a, keepEnds); err != nil {
				return err
			}
			accounts = append(accounts, a)
		}
		return nil
	})
	if err != nil {
		return nil, err
	}
	return accounts, nil
}

// Account implements [holysheep.Ledger].
func (l *Ledger) Account(ctx context.Context, key string, now time.Time) (holysheep.Account, error) {
	var a holysheep.Account
	err := l.write(ctx, func(tx *sql.Tx) (err error) {
		if err := l.sweep(ctx, tx, now); err != nil {
			return err
		}
		a, err = account(ctx, tx, key)
		return err
	})
	return a, err
}

// blocked looks for a switch against r.
func blocked(ctx context.Context, tx *sql.Tx, r *holysheep.Reservation) error {
	var some bool
	if err := tx.QueryRowContext(ctx, "SELECT EXISTS (SELECT 1 FROM switches WHERE lim = 0)").Scan(&some); err != nil || !some {
		return err
	}
	for _, target := range r.Targets() {
		var row string
		err := tx.QueryRowContext(ctx, "SELECT switch FROM switches WHERE target = ?", target).Scan(&row)
		if errors.Is(err, sql.ErrNoRows) {
			continue
		}
		if err != nil {
			return err
		}
		var s holysheep.Switch
		if err := json.Unmarshal([]byte(row), &s); err != nil {
			return fmt.Errorf("%w: a switch that cannot be read: %w", holysheep.ErrLedger, err)
		}
		return s.Blocked()
	}
	return nil
}

// SetSwitch implements [holysheep.Operator].
func (l *Ledger) SetSwitch(ctx context.Context, s holysheep.Switch) error {
	if err := s.Check(); err != nil {
		return err
	}
	row, err := json.Marshal(s)
	if err != nil {
		return err
	}
	return l.write(ctx, func(tx *sql.Tx) error {
		_, err := tx.ExecContext(ctx, "DELETE FROM switches WHERE target = ?", s.Target)
		if err == nil && s.On {
			_, err = tx.ExecContext(ctx, "INSERT INTO switches VALUES (?, ?, ?)", s.Target, string(row), int64(s.Limit))
		}
		if err == nil {
			_, err = tx.ExecContext(ctx, "INSERT INTO switch_rows (switch) VALUES (?)", string(row))
		}
		if err == nil {
			_, err = tx.ExecContext(ctx, "DELETE FROM switch_rows WHERE row <= (SELECT max(row) FROM switch_rows) - 10000")
		}
		return err
	})
}

// Switches implements [holysheep.Operator].
func (l *Ledger) Switches(ctx context.Context) (switches []holysheep.Switch, err error) {
	err = l.write(ctx, func(tx *sql.Tx) error {
		rows, err := tx.QueryContext(ctx, "SELECT switch FROM switch_rows ORDER BY row")
		if err != nil {
			return err
		}
		defer func() { _ = rows.Close() }()
		for rows.Next() {
			var row string
			if err := rows.Scan(&row); err != nil {
				return err
			}
			var s holysheep.Switch
			if err := json.Unmarshal([]byte(row), &s); err != nil {
				return err
			}
			switches = append(switches, s)
		}
		return rows.Err()
	})
	return switches, err
}

func unpack(packed string) (holds []held, err error) {
	if err := json.Unmarshal([]byte(packed), &holds); err != nil {
		return nil, fmt.Errorf("%w: a reservation that cannot be read: %w", holysheep.ErrLedger, err)
	}
	return holds, nil
}

func account(ctx context.Context, tx *sql.Tx, key string) (holysheep.Account, error) {
	a := holysheep.Account{Key: key}
	err := tx.QueryRowContext(ctx, `SELECT coalesce(spent, 0), coalesce(reserved, 0), coalesce(expired, 0), coalesce(lim, 0)
		FROM (SELECT ?1 AS k) LEFT JOIN accounts ON key = k LEFT JOIN switches ON target = '`+holysheep.SwitchLimit+`' || k`,
		key).Scan(&a.Spent, &a.Reserved, &a.Expired, &a.Limit)
	return a, err
}

// keepEnds leaves the end of an account's period as it is.
const keepEnds = math.MinInt64

// save writes an account. Sums are made in Go: SQLite's become floats when they overflow.
func save(ctx context.Context, tx *sql.Tx, a holysheep.Account, ends int64) error {
	_, err := tx.ExecContext(ctx, `INSERT INTO accounts VALUES (?1, ?2, ?3, ?4, max(?5, 0))
		ON CONFLICT (key) DO UPDATE SET spent = ?2, reserved = ?3, expired = ?4, ends = CASE WHEN ?5 < 0 THEN ends ELSE ?5 END`,
		a.Key, int64(a.Spent), int64(a.Reserved), int64(a.Expired), ends)
	return err
}

// sweep looks once a second whether the file is still there, lets leases run out, and forgets what has been over for long.
func (l *Ledger) sweep(ctx context.Context, tx *sql.Tx, now time.Time) error {
	if gone := now.Sub(l.swept); gone >= 0 && gone < time.Second {
		return nil
	}
	if err := l.file.there(); err != nil {
		return fmt.Errorf("%w: %w", holysheep.ErrLedger, err)
	}
	l.swept = now
	rows, err := tx.QueryContext(ctx, "SELECT id, holds FROM reservations WHERE expired = 0 AND until <= ?", now.UnixMilli())
	if err != nil {
		return err
	}
	defer func() { _ = rows.Close() }()
	over := map[string]string{}
	for rows.Next() {
		var id, packed string
		if err := rows.Scan(&id, &packed); err != nil {
			return err
		}
		over[id] = packed
	}
	if err := rows.Err(); err != nil {
		return err
	}
	for id, packed := range over {
		holds, err := unpack(packed)
		if err != nil {
			return err
		}
		for _, h := range holds {
			a, err := account(ctx, tx, h.Key)
			if err != nil {
				return err
			}
			a.Reserved -= h.Amount
			a.Spent += h.Amount
			a.Expired += h.Amount
			if err := save(ctx, tx, a, keepEnds); err != nil {
				return err
			}
		}
		if _, err := tx.ExecContext(ctx, "UPDATE reservations SET expired = 1 WHERE id = ?", id); err != nil {
			return err
		}
	}
	forget := now.Add(-keepFor).UnixMilli()
	if _, err := tx.ExecContext(ctx, "DELETE FROM reservations WHERE expired = 1 AND until < ?", forget); err != nil {
		return err
	}
	_, err = tx.ExecContext(ctx, "DELETE FROM accounts WHERE ends > 0 AND ends < ? AND reserved = 0", forget)
	return err
}
