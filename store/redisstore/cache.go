package redisstore

import (
	"context"
	"errors"
	"fmt"
	"strings"
	"time"

	"github.com/redis/go-redis/v9"
)

// Cache is a [github.com/holysheep-ai/holysheep-go/cache.Store] in Redis, alone or as a cluster, shared by every process
// that uses the same Redis and prefix. It answers for many keys in one round trip, one to each node of a cluster, and
// clears by prefix. Redis itself forgets what is over.
//
// A Redis that is shared with a ledger must not evict, so that what fills it is the cache, and what fails then is the
// money. Give the cache a Redis of its own, with a memory limit and the policy allkeys-lru.
type Cache struct {
	rdb    redis.UniversalClient
	prefix string
}

// CacheOptions are what a cache can be told.
type CacheOptions struct {
	// Prefix comes before every key, to tell caches in one Redis apart. Default: none, and the keys are those that the
	// caches give: "rag:emb:…".
	Prefix string
}

// NewCache makes the store in rdb, which stays the caller's to close. Nothing is sent yet. The client has to honour the
// deadlines of contexts: redis.Options.ContextTimeoutEnabled. A context that is cancelled without one ends an operation
// at its next step only, because go-redis looks at it between reads; the caches do not wait for that. A hook is added to
// rdb that keeps it dialling while Redis is down, so that its return is seen at once. opts may be nil.
func NewCache(rdb redis.UniversalClient, opts *CacheOptions) (*Cache, error) {
	if err := checkDeadlines(rdb); err != nil {
		return nil, err
	}
	c := &Cache{rdb: rdb}
	if opts != nil {
		c.prefix = opts.Prefix
	}
	dialsAgain(rdb)
	return c, nil
}

// Get implements cache.Store.
func (c *Cache) Get(ctx context.Context, key string) (value []byte, ok bool, err error) {
	value, err = c.rdb.Get(ctx, c.prefix+key).Bytes()
	switch {
	case errors.Is(err, redis.Nil):
		return nil, false, nil
	case err != nil:
		return nil, false, fmt.Errorf("redisstore: %w", err)
	}
	return value, true, nil
}

// GetMany implements cache.BatchStore.
func (c *Cache) GetMany(ctx context.Context, keys []string) ([][]byte, error) {
	if len(keys) == 0 {
		return nil, nil
	}
	gets := make([]*redis.StringCmd, len(keys))
	// A pipeline rather than MGET: a cluster takes no command with keys of several slots, and go-redis sends each node
	// its part at the same time.
	_, err := c.rdb.Pipelined(ctx, func(p redis.Pipeliner) error {
		for i, key := range keys {
			gets[i] = p.Get(ctx, c.prefix+key)
		}
		return nil
	})
	if err != nil && !errors.Is(err, redis.Nil) {
		return nil, fmt.Errorf("redisstore: %w", err)
	}
	values := make([][]byte, len(keys))
	for i, get := range gets {
		value, err := get.Bytes()
		switch {
		case errors.Is(err, redis.Nil):
		case err != nil:
			return nil, fmt.Errorf("redisstore: %w", err)
		default:
			values[i] = value
		}
	}
	return values, nil
}

// Set implements cache.Store. Redis counts milliseconds: less than one is one.
func (c *Cache) Set(ctx context.Context, key string, value []byte, ttl time.Duration) error {
	if err := c.rdb.Set(ctx, c.prefix+key, value, max(ttl, time.Millisecond)).Err(); err != nil {
		return fmt.Errorf("redisstore: %w", err)
	}
	return nil
}

// Delete implements cache.Store.
func (c *Cache) Delete(ctx context.Context, keys ...string) error {
	if len(keys) == 0 {
		return nil
	}
	_, err := c.rdb.Pipelined(ctx, func(p redis.Pipeliner) error {
		for _, key := range keys {
			p.Unlink(ctx, c.prefix+key)
		}
		return nil
	})
	if err != nil {
		return fmt.Errorf("redisstore: %w", err)
	}
	return nil
}

// Clear implements cache.Clearer. It walks through all keys of the Redis, however few of them begin with prefix, a
// thousand at a time; Redis serves others meanwhile. What is set during the walk may stay.
func (c *Cache) Clear(ctx context.Context, prefix string) error {
	if prefix == "" {
		return errors.New("redisstore: Clear: an empty prefix would clear everything")
	}
	err := eachKey(ctx, c.rdb, globs.Replace(c.prefix+prefix)+"*", func(ctx context.Context, node redis.UniversalClient, keys []string) error {
		_, err := node.Pipelined(ctx, func(p redis.Pipeliner) error {
			for _, key := range keys { // one by one, because they are of many slots
				p.Unlink(ctx, key)
			}
			return nil
		})
		return err
	})
	if err != nil {
		return fmt.Errorf("redisstore: %w", err)
	}
	return nil
}

// eachKey gives the keys of each node that match a pattern to do, some at a time. Nodes are walked through at the same
// time.
func eachKey(ctx context.Context, rdb redis.UniversalClient, pattern string, do func(context.Context, redis.UniversalClient, []string) error) error {
	walk := func(ctx context.Context, node redis.UniversalClient) error {
		for cursor := uint64(0); ; {
			keys, next, err := node.Scan(ctx, cursor, pattern, 1000).Result()
			if err != nil {
				return err
			}
			if len(keys) > 0 {
				if err := do(ctx, node, keys); err != nil {
					return err
				}
			}
			if cursor = next; cursor == 0 {
				return nil
			}
		}
	}
	onNode := func(ctx context.Context, node *redis.Client) error { return walk(ctx, node) }
	switch rdb := rdb.(type) {
	case *redis.ClusterClient:
		return rdb.ForEachMaster(ctx, onNode)
	case *redis.Ring:
		return rdb.ForEachShard(ctx, onNode)
	}
	return walk(ctx, rdb)
}

// globs keeps what is in a prefix from meaning anything else in a pattern.
var globs = strings.NewReplacer(`\`, `\\`, `*`, `\*`, `?`, `\?`, `[`, `\[`, `]`, `\]`)
