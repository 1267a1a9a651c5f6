// Package redisstore keeps what processes and machines share in Redis: the [Ledger] of budgets, the [Cache] of what was
// paid for, the [Neighbours] of similar questions, and the [Pace] that a gateway allows them together. It works on Redis
// 7.2 and later, neighbours on Redis 8, alone or as a cluster.
//
// Money needs a Redis that does not forget: noeviction as the memory policy (the ledger refuses to work otherwise), and
// an append-only file. With appendfsync everysec a killed Redis loses nothing, unless its disk is so slow that it puts a
// write off, which it says in its log, and a machine that loses power up to a second; appendfsync always loses nothing
// in any of these cases. Accounts that are lost are noticed, all of them or one, and nothing is granted any more.
package redisstore
