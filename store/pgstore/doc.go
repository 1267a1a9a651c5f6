// Package pgstore keeps what machines share in PostgreSQL 14 or later: the [Ledger] of budgets, the [Cache] of what was
// paid for, and, with pgvector, the [Neighbours] of similar questions. The caller brings a pgx pool, which stays his to
// close. [Migrate] makes the tables, [MigrateNeighbours] those of neighbours.
package pgstore
