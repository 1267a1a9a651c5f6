// Package redisstore keeps what processes and machines share in Redis: the [Ledger] of budgets, and the [Cache] of what
// was paid for. It works on Redis 7.2 and later, alone or as a cluster.
//
// Money needs a Redis that does not forget: noeviction as the memory policy (the ledger refuses to work otherwise), and
// an append-only file. With appendfsync everysec a killed Redis loses nothing, and a machine that loses power up to a
// second; appendfsync always loses nothing then either.
package redisstore
