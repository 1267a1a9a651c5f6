// Package sqlitestore keeps what must survive a restart in one SQLite file: the [Ledger] of budgets, shared by the
// processes of one machine. The driver is pure Go, so nothing has to be installed.
//
// A process that is killed at any point loses nothing that it was told is done. When the machine loses power, the last
// moments may be gone unless LedgerOptions.Durable is set.
package sqlitestore
