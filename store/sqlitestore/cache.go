package sqlitestore

import (
	"bytes"
	"context"
	"database/sql"
	"errors"
	"fmt"
	"strings"
	"time"
)

// Cache is a [github.com/holysheep-ai/holysheep-go/cache.Store] in a SQLite file, shared by the processes of one
// machine: what it keeps survives a restart. It answers for many keys at once, and clears by prefix. Close it when the
// caches that use it are closed.
type Cache struct{ file *file }

// cacheKind: "HoCa" in the header of the file.
var cacheKind = kind{applicationID: 0x486f4361, version: 1, schema: `
CREATE TABLE entries (
	id    INTEGER PRIMARY KEY,
	key   BLOB NOT NULL UNIQUE,
	value BLOB NOT NULL,
	until INTEGER NOT NULL -- µs
) STRICT;
CREATE INDEX entries_until ON entries (until);`}

// OpenCache opens the cache in a file, which is made if it is not there. A file that is none of ours, damaged, or of
// another version is refused.
func OpenCache(path string) (*Cache, error) {
	f, err := openFile(path, "NORMAL", cacheKind)
	if err != nil {
		return nil, fmt.Errorf("sqlitestore: %w", err)
	}
	return &Cache{f}, nil
}

// Close closes the file.
func (c *Cache) Close() error { return c.file.Close() }

// Get implements cache.Store.
func (c *Cache) Get(ctx context.Context, key string) (value []byte, ok bool, err error) {
	err = c.file.db.QueryRowContext(ctx, "SELECT value FROM entries WHERE key = ? AND until > ?", []byte(key), time.Now().UnixMicro()).Scan(&value)
	switch {
	case errors.Is(err, sql.ErrNoRows):
		return nil, false, nil
	case err != nil:
		return nil, false, fmt.Errorf("sqlitestore: %w", err)
	}
	return value, true, nil
}

// atOnce is how many keys one statement has; SQLite allows 32,766.
const atOnce = 1000

// GetMany implements cache.BatchStore.
func (c *Cache) GetMany(ctx context.Context, keys []string) ([][]byte, error) {
	values := make([][]byte, len(keys))
	places := make(map[string]int, len(keys)) // of each key, the first
	for from := 0; from < len(keys); from += atOnce {
		part := keys[from:min(from+atOnce, len(keys))]
		args := append(make([]any, 0, 1+len(part)), time.Now().UnixMicro())
		for i, key := range part {
			if _, again := places[key]; !again {
				places[key] = from + i
				args = append(args, []byte(key))
			}
		}
		if len(args) == 1 {
			continue
		}
		if err := c.find(ctx, args, func(key string, value []byte) { values[places[key]] = value }); err != nil {
			return nil, fmt.Errorf("sqlitestore: %w", err)
		}
	}
	for i, key := range keys {
		values[i] = values[places[key]]
	}
	return values, nil
}

// find gives what lies under the keys that follow the time in args.
func (c *Cache) find(ctx context.Context, args []any, found func(key string, value []byte)) error {
	query := "SELECT key, value FROM entries WHERE until > ? AND key IN (?" + strings.Repeat(",?", len(args)-2) + ")"
	rows, err := c.file.db.QueryContext(ctx, query, args...)
	if err != nil {
		return err
	}
	defer func() { _ = rows.Close() }()
	for rows.Next() {
		var key, value []byte
		if err := rows.Scan(&key, &value); err != nil {
			return err
		}
		if value == nil {
			value = []byte{} // the driver reads an empty one as nil
		}
		found(string(key), value)
	}
	return rows.Err()
}

// sweptAtOnce is how many entries whose time is over leave with each that comes: more than one, so that they never
// pile up, and few, so that none has to wait for it.
const sweptAtOnce = 4

// Set implements cache.Store.
func (c *Cache) Set(ctx context.Context, key string, value []byte, ttl time.Duration) error {
	if value == nil {
		value = []byte{} // nil would be NULL
	}
	now := time.Now()
	err := c.file.write(ctx, func(tx *sql.Tx) error {
		_, err := tx.ExecContext(ctx, `INSERT INTO entries (key, value, until) VALUES (?1, ?2, ?3)
			ON CONFLICT (key) DO UPDATE SET value = ?2, until = ?3`, []byte(key), value, now.Add(ttl).UnixMicro())
		if err == nil {
			_, err = tx.ExecContext(ctx, "DELETE FROM entries WHERE id IN (SELECT id FROM entries WHERE until <= ? ORDER BY until LIMIT ?)", now.UnixMicro(), sweptAtOnce)
		}
		return err
	})
	if err != nil {
		return fmt.Errorf("sqlitestore: %w", err)
	}
	return nil
}

// Delete implements cache.Store.
func (c *Cache) Delete(ctx context.Context, keys ...string) error {
	err := c.file.write(ctx, func(tx *sql.Tx) error {
		for _, key := range keys {
			if _, err := tx.ExecContext(ctx, "DELETE FROM entries WHERE key = ?", []byte(key)); err != nil {
				return err
			}
		}
		return nil
	})
	if err != nil {
		return fmt.Errorf("sqlitestore: %w", err)
	}
	return nil
}

// Clear implements cache.Clearer, a thousand entries a transaction, so that others can write in between.
func (c *Cache) Clear(ctx context.Context, prefix string) error {
	if prefix == "" {
		return errors.New("sqlitestore: Clear: an empty prefix would clear everything")
	}
	where, args := "key >= ?", []any{[]byte(prefix)}
	if end := after(prefix); end != nil {
		where, args = where+" AND key < ?", append(args, end)
	}
	for n := int64(1); n > 0; {
		err := c.file.write(ctx, func(tx *sql.Tx) error {
			res, err := tx.ExecContext(ctx, "DELETE FROM entries WHERE id IN (SELECT id FROM entries WHERE "+where+" LIMIT 1000)", args...)
			if err != nil {
				return err
			}
			n, err = res.RowsAffected()
			return err
		})
		if err != nil {
			return fmt.Errorf("sqlitestore: %w", err)
		}
	}
	return nil
}

// after is the first key past those that begin with prefix; nil when there is none.
func after(prefix string) []byte {
	end := bytes.TrimRight([]byte(prefix), "\xff")
	if len(end) == 0 {
		return nil
	}
	end[len(end)-1]++
	return end
}
