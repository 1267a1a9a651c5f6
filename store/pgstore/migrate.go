package pgstore

import (
	"context"
	_ "embed"
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
}

//go:embed ledger.sql
var ledgerSQL string

//go:embed cache.sql
var cacheSQL string

var (
	ledgerPart = part{"ledger", 1, ledgerSQL}
	cachePart  = part{"cache", 1, cacheSQL}
)

// Migrate makes the tables and functions, unless they are there. It may run in several places at once. opts may be nil.
func Migrate(ctx context.Context, pool *pgxpool.Pool, opts *Options) error {
	schema := opts.schema()
	err := pgx.BeginFunc(ctx, pool, func(tx pgx.Tx) error {
		if _, err := tx.Exec(ctx, "SELECT pg_advisory_xact_lock(hashtext('holysheep ' || $1))", schema); err != nil {
			return err
		}
		for _, p := range []part{ledgerPart, cachePart} {
			version, err := p.versionIn(ctx, tx, schema)
			switch {
			case err != nil:
				return err
			case version == p.version:
			case version != 0:
				return p.wrongVersion(version)
			default:
				if _, err := tx.Exec(ctx, strings.ReplaceAll(p.sql, "{schema}", schema)); err != nil {
					return err
				}
			}
		}
		return nil
	})
	if err != nil {
		return fmt.Errorf("pgstore: Migrate: %w", err)
	}
	return nil
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
		return fmt.Errorf("there are no tables of the %s: call Migrate", p.name)
	case version != p.version:
		return p.wrongVersion(version)
	}
	return nil
}
