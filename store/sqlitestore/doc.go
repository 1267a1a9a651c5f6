// Package sqlitestore keeps what must survive a restart in SQLite files: the [Ledger] of budgets and the [Rows] of
// attempts, each in a file of its own, shared by the processes of one machine. The driver is pure Go, so nothing has to be installed.
//
// A process that is killed at any point loses nothing that it was told is done. When the machine loses power, the last
// moments may be gone unless Durable is set in their options.
package sqlitestore
