// Package cache keeps what was paid for once: answers and vectors, in a [Store] that goroutines, processes or machines
// share.
//
// # Stores
//
// A [Store] is bytes with a time to live. [Memory] is one in this process; store/sqlitestore has one in a file,
// store/redisstore one in Redis or a Redis Cluster, store/pgstore one in PostgreSQL. Package cachetest has the tests
// that all of them pass, and that one of your own has to pass.
//
// Nothing that goes wrong in a store fails a call. What cannot be read is a miss: every value has a version and a
// checksum over itself and its key, and what is damaged, foreign or in the wrong place is counted ([Stats].Corrupt).
// An operation has 100 ms, more when it is for much. A store that fails or is silent three times in a row, or in a fifth
// of its operations, is left alone: calls pass it by, and one of their operations at a time goes on in the background to
// see whether it is back, which takes less than a second. Each failure and the return are rows for the Observer, as
// the operation "cache.exact.store" or the like.
//
// Values from 8 KiB on are compressed where that saves an eighth. A [Sealer] encrypts all that is stored; a sealed value
// opens under the key it was stored under, and under no other.
//
// # Answers
//
// [Exact] answers requests that are equal in everything that can change the answer, and lets equal ones at the same time
// share one call. [Semantic], behind it, answers questions that are similar, by a threshold or within a bound on the share
// of hits that may be wrong; package guard keeps apart what an encoder cannot. [Bypass], [Refresh] and [WithTTL] are for
// single calls.
//
// # Vectors
//
// [Embedder] remembers vectors by model and text, and sends only texts that it does not know.
package cache
