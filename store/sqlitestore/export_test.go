package sqlitestore

import "context"

// Exec changes the file behind the ledger's back.
func (l *Ledger) Exec(query string) error {
	_, err := l.db.ExecContext(context.Background(), query)
	return err
}
