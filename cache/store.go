package cache

import (
	"context"
	"time"
)

// A Store keeps bytes under keys for a time. Package cachetest has the tests that every implementation has to pass.
// All methods are safe for concurrent use and honour the context.
type Store interface {
	// Get gives the value of key, which nobody changes from then on: not the caller, and not the store when the key
	// gets another value. ok is false when there is none, or its time is over. An error means that the store could not
	// be asked.
	Get(ctx context.Context, key string) (value []byte, ok bool, err error)

	// Set keeps value under key for ttl, which is above zero, in place of what was there. The store keeps the bytes
	// or a copy of them: the caller does not change them afterwards.
	Set(ctx context.Context, key string, value []byte, ttl time.Duration) error

	// Delete forgets the keys. Those that are not there are no error.
	Delete(ctx context.Context, keys ...string) error
}

// A BatchStore is a [Store] that answers for many keys in one round trip.
type BatchStore interface {
	Store

	// GetMany gives the value of each key, in order; nil where there is none.
	GetMany(ctx context.Context, keys []string) ([][]byte, error)
}

// A Clearer is a [Store] that can forget everything whose key begins with a prefix.
type Clearer interface {
	Store

	// Clear forgets the keys that begin with prefix, which is not empty.
	Clear(ctx context.Context, prefix string) error
}
