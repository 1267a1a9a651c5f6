// Package sqlitestore keeps what must survive a restart in SQLite files, shared by the processes of one machine: the
// [Ledger] of budgets, the [Rows] of attempts and the [Cache] of what was paid for, each in a file of its own. The driver
// is pure Go, so nothing has to be installed.
//
// A process that is killed at any point loses nothing that it was told is done. When the machine loses power, the last
// moments may be gone unless Durable is set in their options.
package sqlitestore
