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
