package sqlite

import (
	"database/sql"
	"fmt"
	"os"
	"time"
)

// migrations make a file of each version from the one before; the first, from an empty file.
// A version that has been released is never changed.
var migrations = []string{
	`CREATE TABLE rows (
		kind TEXT NOT NULL,
		key TEXT NOT NULL,
		owner TEXT NOT NULL,
		value BLOB NOT NULL,
		expires INTEGER NOT NULL, -- in milliseconds since 1970; 0 for never
		first INTEGER NOT NULL,   -- when it was first put, in the order of all rows
		recent INTEGER NOT NULL,  -- when it was last put
		PRIMARY KEY (kind, key)
	) WITHOUT ROWID;
	CREATE INDEX rows_owner ON rows (kind, owner, recent);
	CREATE INDEX rows_recent ON rows (recent);
	CREATE INDEX rows_expires ON rows (expires) WHERE expires <> 0;`,
}

// migrate brings a file to the newest version, step by step. Before the first step it is
// copied, beside itself, with its version in the name.
func migrate(db *sql.DB, path string) error {
	var version int
	if err := db.QueryRow("PRAGMA user_version").Scan(&version); err != nil {
		return fmt.Errorf("is not a store: %w", err)
	}
	if version > len(migrations) {
		return fmt.Errorf("has version %d; this program knows %d", version, len(migrations))
	}
	if version > 0 && version < len(migrations) {
		if err := backUp(db, fmt.Sprintf("%s.version-%d", path, version)); err != nil {
			return err
		}
	}
	for ; version < len(migrations); version++ {
		if err := step(db, version); err != nil {
			return fmt.Errorf("migrate to version %d: %w", version+1, err)
		}
	}
	return nil
}

func backUp(db *sql.DB, to string) error {
	if err := os.Remove(to); err != nil && !os.IsNotExist(err) {
		return fmt.Errorf("back up: %w", err)
	}
	if _, err := db.Exec("VACUUM INTO ?", to); err != nil {
		return fmt.Errorf("back up: %w", err)
	}
	if err := os.Chmod(to, 0o600); err != nil {
		return fmt.Errorf("back up: %w", err)
	}
	return nil
}

func step(db *sql.DB, version int) error {
	tx, err := db.Begin()
	if err != nil {
		return err
	}
	defer tx.Rollback() // nothing after a commit
	if _, err := tx.Exec(migrations[version]); err != nil {
		return err
	}
	if _, err := tx.Exec(fmt.Sprintf("PRAGMA user_version = %d", version+1)); err != nil {
		return err
	}
	return tx.Commit()
}

// Newest is the version of the files that this program makes.
func Newest() int { return len(migrations) }

// Version returns the version of a file without changing anything. An error says why it cannot be
// read; that of a file that is not there is [os.ErrNotExist].
func Version(path string) (version int, err error) {
	if _, err := os.Stat(path); err != nil {
		return 0, err
	}
	db, err := connect(Options{Path: path, Busy: time.Second}, "mode=ro", "_pragma=query_only(1)")
	if err != nil {
		return 0, err
	}
	defer db.Close()
	if err := db.QueryRow("PRAGMA user_version").Scan(&version); err != nil {
		return 0, fmt.Errorf("is not a store: %w", err)
	}
	return version, nil
}
