// Package pgstore keeps what machines share in PostgreSQL 14 or later: the [Ledger] of budgets, and the [Cache] of what
// was paid for. The caller brings a pgx pool, which stays his to close. [Migrate] makes the tables.
package pgstore
