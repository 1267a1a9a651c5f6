package pgstore

import (
	"context"
	_ "embed"
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

//go:embed ledger.sql
var ledgerSQL string

const ledgerVersion = 1

// Ledger is a [holysheep.Ledger] in PostgreSQL, shared by every process that opens it in the same schema.
type Ledger struct {
	pool                       *pgxpool.Pool
	reserve, settle, sweep     string // the calls of the functions
	account, rows, set, unset  string
	addRow, limit, checkSchema string
	checked                    atomic.Bool
	swept                      atomic.Int64 // the second in which leases were last let run out
}

// Options are what the package can be told.
type Options struct {
	// Schema that has the tables; it has to exist. Default: "public".
	Schema string
}

func (o *Options) schema() string {
	if o == nil || o.Schema == "" {
		return "public"
	}
	return o.Schema
}

// Migrate makes the tables and functions, unless they are there. It may run in several places at once. opts may be nil.
func Migrate(ctx context.Context, pool *pgxpool.Pool, opts *Options) error {
	schema := pgx.Identifier{opts.schema()}.Sanitize()
	err := pgx.BeginFunc(ctx, pool, func(tx pgx.Tx) error {
		if _, err := tx.Exec(ctx, "SELECT pg_advisory_xact_lock(hashtext('holysheep ledger ' || $1))", opts.schema()); err != nil {
			return err
		}
		version, err := versionOf(ctx, tx, schema)
		if err != nil || version == ledgerVersion {
			return err
		}
		if version != 0 {
			return wrongVersion(version)
		}
		_, err = tx.Exec(ctx, strings.ReplaceAll(ledgerSQL, "{schema}", schema))
		return err
	})
	if err != nil {
		return fmt.Errorf("pgstore: Migrate: %w", err)
	}
	return nil
}

type querier interface {
	QueryRow(ctx context.Context, sql string, args ...any) pgx.Row
}

// versionOf is that of the tables, 0 when there are none.
func versionOf(ctx context.Context, q querier, schema string) (version int, err error) {
	var there bool
	if err := q.QueryRow(ctx, "SELECT to_regclass($1) IS NOT NULL", schema+".ledger_version").Scan(&there); err != nil || !there {
		return 0, err
	}
	err = q.QueryRow(ctx, "SELECT version FROM "+schema+".ledger_version").Scan(&version)
	return version, err
}

func wrongVersion(version int) error {
	return fmt.Errorf("%w: the tables have version %d, this program knows %d: use the release that made them", holysheep.ErrLedger, version, ledgerVersion)
}

// NewLedger makes the ledger in pool. Nothing is sent yet. opts may be nil.
func NewLedger(pool *pgxpool.Pool, opts *Options) *Ledger {
	schema := pgx.Identifier{opts.schema()}.Sanitize()
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

		checkSchema: schema,
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
		version, err := versionOf(ctx, l.pool, l.checkSchema)
		switch {
		case err != nil:
			return failed(err)
		case version == 0:
			return fmt.Errorf("pgstore: %w: there are no tables: call Migrate", holysheep.ErrLedger)
		case version != ledgerVersion:
			return fmt.Errorf("pgstore: %w", wrongVersion(version))
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
