// Package pgstore keeps what machines share in PostgreSQL 14 or later: the [Ledger] of budgets. The caller brings a
// pgx pool, which stays his to close. [Migrate] makes the tables.
package pgstore
