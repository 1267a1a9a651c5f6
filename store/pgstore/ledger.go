package pgstore

import (
	"context"
	"encoding/json"
	"errors"
	"fmt"
	"strings"
	"sync/atomic"
	"time"

	"github.com/jackc/pgx/v5"
	"github.com/jackc/pgx/v5/pgconn"
	"github.com/jackc/pgx/v5/pgxpool"

	"github.com/holysheep-ai/holysheep-go"
)

// Ledger is a [holysheep.Ledger] in PostgreSQL, shared by every process that opens it in the same schema.
type Ledger struct {
	pool                      *pgxpool.Pool
	reserve, settle, sweep    string // the calls of the functions
	account, rows, set, unset string
	addRow, limit, schema     string
	checked                   atomic.Bool
	swept                     atomic.Int64 // the second in which leases were last let run out
}

// NewLedger makes the ledger in pool. Nothing is sent yet. opts may be nil.
func NewLedger(pool *pgxpool.Pool, opts *Options) *Ledger {
	schema := opts.schema()
	sql := func(query string) string { return strings.ReplaceAll(query, "{schema}", schema) }
	return &Ledger{
		pool:    pool,
		reserve: sql("SELECT refused, blocked FROM {schema}.ledger_reserve($1, $2, $3, $4, $5, $6, $7)"),
		settle:  sql("SELECT * FROM {schema}.ledger_settle($1, $2)"),
		sweep:   sql("SELECT {schema}.ledger_sweep($1)"),
		account: sql("SELECT spent, reserved, expired, lim FROM {schema}.ledger_accounts WHERE key = $1"),
		rows:    sql("SELECT switch FROM {schema}.ledger_switch_rows ORDER BY row"),
		set:     sql("INSERT INTO {schema}.ledger_switches VALUES ($1, $2) ON CONFLICT (target) DO UPDATE SET switch = $2"),
		unset:   sql("DELETE FROM {schema}.ledger_switches WHERE target = $1"),
		addRow:  sql("WITH old AS (DELETE FROM {schema}.ledger_switch_rows WHERE row <= (SELECT max(row) FROM {schema}.ledger_switch_rows) - 10000) INSERT INTO {schema}.ledger_switch_rows (switch) VALUES ($1)"),
		limit:   sql("INSERT INTO {schema}.ledger_accounts (key, lim) VALUES ($1, $2) ON CONFLICT (key) DO UPDATE SET lim = $2"),

		schema: schema,
	}
}

// Reserve implements [holysheep.Ledger].
func (l *Ledger) Reserve(ctx context.Context, r holysheep.Reservation) (refused int, err error) {
	if err := l.begin(ctx, r.Now); err != nil {
		return 0, err
	}
	n := len(r.Holds)
	keys, amounts, limits, ends := make([]string, n), make([]int64, n), make([]int64, n), make([]*time.Time, n)
	for i := range r.Holds {
		h := &r.Holds[i]
		keys[i], amounts[i], limits[i] = h.Key, int64(h.Amount), int64(h.Limit)
		if !h.Ends.IsZero() {
			ends[i] = &h.Ends
		}
	}
	var blocked []byte
	err = l.pool.QueryRow(ctx, l.reserve, r.ID, r.Now.Add(r.Lease), keys, amounts, limits, ends, r.Targets()).Scan(&refused, &blocked)
	if err != nil {
		return 0, failed(err)
	}
	if blocked != nil {
		var s holysheep.Switch
		if err := json.Unmarshal(blocked, &s); err != nil {
			return 0, failed(err)
		}
		return 0, s.Blocked()
	}
	return refused, nil
}

// Settle implements [holysheep.Ledger].
func (l *Ledger) Settle(ctx context.Context, id string, now time.Time, spent holysheep.USD) ([]holysheep.Account, error) {
	if err := l.begin(ctx, now); err != nil {
		return nil, err
	}
	rows, err := l.pool.Query(ctx, l.settle, id, int64(max(spent, 0)))
	if err != nil {
		return nil, failed(err)
	}
	accounts, err := pgx.CollectRows(rows, func(row pgx.CollectableRow) (a holysheep.Account, err error) {
		return a, row.Scan(&a.Key, &a.Spent, &a.Reserved, &a.Expired, &a.Limit)
	})
	switch {
	case err != nil:
		return nil, failed(err)
	case len(accounts) == 0:
		return nil, fmt.Errorf("pgstore: %w: %q", holysheep.ErrNoReservation, id)
	}
	return accounts, nil
}

// Account implements [holysheep.Ledger].
func (l *Ledger) Account(ctx context.Context, key string, now time.Time) (holysheep.Account, error) {
	if err := l.begin(ctx, now); err != nil {
		return holysheep.Account{}, err
	}
	a := holysheep.Account{Key: key}
	err := l.pool.QueryRow(ctx, l.account, key).Scan(&a.Spent, &a.Reserved, &a.Expired, &a.Limit)
	if err != nil && !errors.Is(err, pgx.ErrNoRows) {
		return holysheep.Account{}, failed(err)
	}
	return a, nil
}

// SetSwitch implements [holysheep.Operator].
func (l *Ledger) SetSwitch(ctx context.Context, s holysheep.Switch) error {
	if err := s.Check(); err != nil {
		return err
	}
	err := pgx.BeginFunc(ctx, l.pool, func(tx pgx.Tx) (err error) {
		account, isLimit := strings.CutPrefix(s.Target, holysheep.SwitchLimit)
		switch {
		case isLimit && s.On:
			_, err = tx.Exec(ctx, l.limit, account, int64(s.Limit))
		case isLimit:
			_, err = tx.Exec(ctx, l.limit, account, int64(0))
		case s.On:
			_, err = tx.Exec(ctx, l.set, s.Target, s)
		default:
			_, err = tx.Exec(ctx, l.unset, s.Target)
		}
		if err == nil {
			_, err = tx.Exec(ctx, l.addRow, s)
		}
		return err
	})
	if err != nil {
		return failed(err)
	}
	return nil
}

// Switches implements [holysheep.Operator].
func (l *Ledger) Switches(ctx context.Context) ([]holysheep.Switch, error) {
	rows, err := l.pool.Query(ctx, l.rows)
	if err != nil {
		return nil, failed(err)
	}
	switches, err := pgx.CollectRows(rows, pgx.RowTo[holysheep.Switch])
	if err != nil {
		return nil, failed(err)
	}
	return switches, nil
}

// begin checks the tables, once, and lets leases run out, once a second.
func (l *Ledger) begin(ctx context.Context, now time.Time) error {
	if !l.checked.Load() {
		if err := ledgerPart.check(ctx, l.pool, l.schema); err != nil {
			return failed(err)
		}
		l.checked.Store(true)
	}
	second, last := now.Unix(), l.swept.Load()
	if second == last || !l.swept.CompareAndSwap(last, second) {
		return nil
	}
	if _, err := l.pool.Exec(ctx, l.sweep, now); err != nil {
		return failed(err)
	}
	return nil
}

func failed(err error) error {
	if e, ok := errors.AsType[*pgconn.PgError](err); ok && e.Code == "42P01" { // undefined_table
		return fmt.Errorf("pgstore: %w: the tables are gone: %w", holysheep.ErrLedger, err)
	}
	return fmt.Errorf("pgstore: %w: %w", holysheep.ErrLedger, err)
}
