package sqlitestore

import "context"

// Exec changes the file behind the ledger's back.
func (l *Ledger) Exec(query string) error {
	_, err := l.file.db.ExecContext(context.Background(), query)
	return err
}

// Exec changes the file behind the rows' back.
func (r *Rows) Exec(query string) error {
	_, err := r.file.db.ExecContext(context.Background(), query)
	return err
}

// QueryRow asks the file behind the cache's back.
func (c *Cache) QueryRow(query string, into ...any) error {
	return c.file.db.QueryRowContext(context.Background(), query).Scan(into...)
}
