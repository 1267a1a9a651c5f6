package pgstore

import (
	"context"
	_ "embed"
	"errors"
	"fmt"
	"strings"

	"github.com/jackc/pgx/v5"
	"github.com/jackc/pgx/v5/pgxpool"
)

// Options are what the package can be told.
type Options struct {
	// Schema that has the tables; it has to exist. Default: "public".
	Schema string
}

// schema is the name as SQL takes it.
func (o *Options) schema() string {
	name := "public"
	if o != nil && o.Schema != "" {
		name = o.Schema
	}
	return pgx.Identifier{name}.Sanitize()
}

// part is a group of tables with a version of its own.
type part struct {
	name    string
	version int
	sql     string
	made    string // the function that makes them
}

//go:embed ledger.sql
var ledgerSQL string

//go:embed cache.sql
var cacheSQL string

//go:embed neighbours.sql
var neighboursSQL string

var (
	ledgerPart     = part{"ledger", 1, ledgerSQL, "Migrate"}
	cachePart      = part{"cache", 1, cacheSQL, "Migrate"}
	neighboursPart = part{"neighbours", 1, neighboursSQL, "MigrateNeighbours"}
)

// ErrNoVector is a database without the extension vector, pgvector, in which it could not be made either.
var ErrNoVector = errors.New("no extension vector (pgvector) in the database")

// Migrate makes the tables and functions of ledger and cache, unless they are there. It may run in several places at
// once. opts may be nil.
func Migrate(ctx context.Context, pool *pgxpool.Pool, opts *Options) error {
	schema := opts.schema()
	err := pgx.BeginFunc(ctx, pool, func(tx pgx.Tx) error {
		if err := lock(ctx, tx, schema); err != nil {
			return err
		}
		for _, p := range []part{ledgerPart, cachePart} {
			if err := p.make(ctx, tx, schema, p.sql); err != nil {
				return err
			}
		}
		return nil
	})
	if err != nil {
		return fmt.Errorf("pgstore: Migrate: %w", err)
	}
	return nil
}

// MigrateNeighbours makes those of [Neighbours], unless they are there, and the extension vector that they need, where
// it is installed on the server and the user may: the owner of a database may. Where it is neither there nor can be
// made, the error is an [ErrNoVector] with what the server says. It may run in several places at once. opts may be nil.
func MigrateNeighbours(ctx context.Context, pool *pgxpool.Pool, opts *Options) error {
	schema := opts.schema()
	err := pgx.BeginFunc(ctx, pool, func(tx pgx.Tx) error {
		if err := lock(ctx, tx, "vector"); err != nil { // of all schemas
			return err
		}
		home, err := vectorSchema(ctx, tx)
		if err != nil {
			return err
		}
		return neighboursPart.make(ctx, tx, schema, strings.ReplaceAll(neighboursPart.sql, "{vector}", home))
	})
	if err != nil {
		return fmt.Errorf("pgstore: MigrateNeighbours: %w", err)
	}
	return nil
}

// lock lets one migration through at a time, until the transaction ends.
func lock(ctx context.Context, tx pgx.Tx, what string) error {
	_, err := tx.Exec(ctx, "SELECT pg_advisory_xact_lock(hashtext('holysheep ' || $1))", what)
	return err
}

// vectorSchema gives the schema of the extension, and makes it if it is not there.
func vectorSchema(ctx context.Context, tx pgx.Tx) (schema string, err error) {
	const find = "SELECT nspname FROM pg_extension JOIN pg_namespace n ON n.oid = extnamespace WHERE extname = 'vector'"
	err = tx.QueryRow(ctx, find).Scan(&schema)
	if errors.Is(err, pgx.ErrNoRows) {
		if _, err := tx.Exec(ctx, "CREATE EXTENSION vector"); err != nil {
			return "", fmt.Errorf("%w, and it cannot be made: %w", ErrNoVector, err)
		}
		err = tx.QueryRow(ctx, find).Scan(&schema)
	}
	return pgx.Identifier{schema}.Sanitize(), err
}

// make makes the part, unless it is there.
func (p part) make(ctx context.Context, tx pgx.Tx, schema, sql string) error {
	version, err := p.versionIn(ctx, tx, schema)
	switch {
	case err != nil:
		return err
	case version == p.version:
		return nil
	case version != 0:
		return p.wrongVersion(version)
	}
	_, err = tx.Exec(ctx, strings.ReplaceAll(sql, "{schema}", schema))
	return err
}

type querier interface {
	QueryRow(ctx context.Context, sql string, args ...any) pgx.Row
}

// versionIn is that of the tables, 0 when there are none.
func (p part) versionIn(ctx context.Context, q querier, schema string) (version int, err error) {
	table := schema + "." + p.name + "_version"
	var there bool
	if err := q.QueryRow(ctx, "SELECT to_regclass($1) IS NOT NULL", table).Scan(&there); err != nil || !there {
		return 0, err
	}
	err = q.QueryRow(ctx, "SELECT version FROM "+table).Scan(&version)
	return version, err
}

func (p part) wrongVersion(version int) error {
	return fmt.Errorf("the tables of the %s have version %d, this program knows %d: use the release that made them", p.name, version, p.version)
}

// check says what is wrong with the tables.
func (p part) check(ctx context.Context, q querier, schema string) error {
	version, err := p.versionIn(ctx, q, schema)
	switch {
	case err != nil:
		return err
	case version == 0:
		return fmt.Errorf("there are no tables of the %s: call %s", p.name, p.made)
	case version != p.version:
		return p.wrongVersion(version)
	}
	return nil
}
