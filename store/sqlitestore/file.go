package sqlitestore

import (
	"context"
	"database/sql"
	"errors"
	"fmt"
	"net/url"
	"os"
	"path/filepath"
	"sync"

	"modernc.org/sqlite"
	sqlite3 "modernc.org/sqlite/lib"
)

// file is an open database of one kind.
type file struct {
	db      *sql.DB
	path    string
	info    os.FileInfo
	writing sync.Mutex // SQLite has one writer; waiting for it here is cheaper than in the file
}

// kind is what a file holds; the file says it, and in which version.
type kind struct {
	applicationID, version int
	schema                 string
}

// openFile opens a file, which is made if it is not there. One that is of another kind, damaged, or of another version
// is refused.
func openFile(path, synchronous string, k kind) (*file, error) {
	path, err := filepath.Abs(path)
	if err != nil {
		return nil, err
	}
	if info, err := os.Stat(path); err == nil && info.IsDir() {
		return nil, fmt.Errorf("%s is a directory", path)
	}
	u := url.URL{Scheme: "file", Path: filepath.ToSlash(path), RawQuery: url.Values{
		"_pragma": {"busy_timeout(5000)", "journal_mode(WAL)", "synchronous(" + synchronous + ")"},
		"_txlock": {"immediate"},
	}.Encode()}
	db, err := sql.Open("sqlite", u.String())
	if err != nil {
		return nil, err
	}
	f := &file{db: db, path: path}
	err = f.prepare(k)
	if err == nil {
		f.info, err = os.Stat(path)
	}
	if err != nil {
		_ = db.Close()
		return nil, fmt.Errorf("%s: %w", path, err)
	}
	return f, nil
}

// there reports whether the file is still the one that was opened. One that was removed lives on for the processes that
// have it open, while others begin anew.
func (f *file) there() error {
	info, err := os.Stat(f.path)
	if err == nil && os.SameFile(info, f.info) {
		return nil
	}
	return fmt.Errorf("%s was removed or replaced since it was opened: put it back, or restart all processes to begin anew", f.path)
}

// prepare makes the tables of a new file, and checks those of an old one.
func (f *file) prepare(k kind) error {
	ctx := context.Background()
	return f.write(ctx, func(tx *sql.Tx) error {
		var id, v, tables int
		if err := tx.QueryRowContext(ctx, "SELECT (SELECT application_id FROM pragma_application_id), (SELECT user_version FROM pragma_user_version), (SELECT count(*) FROM sqlite_schema)").Scan(&id, &v, &tables); err != nil {
			return err
		}
		switch {
		case tables == 0 && id == 0:
			_, err := tx.ExecContext(ctx, fmt.Sprintf("%s; PRAGMA application_id = %d; PRAGMA user_version = %d", k.schema, k.applicationID, k.version))
			return err
		case id != k.applicationID:
			return errors.New("it is a database of something else; choose another file")
		case v != k.version:
			return fmt.Errorf("it has version %d of the tables, this program knows %d: use the release that wrote it", v, k.version)
		}
		return nil
	})
}

// Close closes the file.
func (f *file) Close() error { return f.db.Close() }

// write runs one transaction.
func (f *file) write(ctx context.Context, do func(*sql.Tx) error) error {
	f.writing.Lock()
	defer f.writing.Unlock()
	tx, err := f.db.BeginTx(ctx, nil)
	if err == nil {
		if err = do(tx); err == nil {
			err = tx.Commit()
		} else {
			_ = tx.Rollback()
		}
	}
	if e, ok := errors.AsType[*sqlite.Error](err); ok {
		switch e.Code() & 0xff {
		case sqlite3.SQLITE_CORRUPT, sqlite3.SQLITE_NOTADB:
			return fmt.Errorf("the file is damaged or no database; restore it, or begin another: %w", err)
		}
	}
	return err
}
