// Package sqlite is the store in one file, by the SQLite that is built into the process. One
// goroutine writes, many rows in a transaction; reading goes beside it.
package sqlite

import (
	"context"
	"database/sql"
	"errors"
	"fmt"
	"log/slog"
	"net/url"
	"os"
	"time"

	_ "modernc.org/sqlite" // the driver

	"sipxmppgw/gateway/store"
)

// Options are what a store is made of.
type Options struct {
	// Path is the file. It is made, readable by its owner alone, if it does not exist.
	Path string
	// Busy is how long a write waits for another process that holds the file. Default 2s.
	Busy time.Duration
	// Log is told when writing fails, and when it goes well again. Default [slog.Default].
	Log *slog.Logger
}

// A Store is a [store.Store] in a file.
type Store struct {
	opt   Options
	write *sql.DB // of the writer alone, with what it says to it
	last  *sql.Stmt
	put   *sql.Stmt
	drop  *sql.Stmt
	read  *sql.DB
	queue *queue
	done  chan struct{} // closed when the writer has ended
}

// Open opens the file, makes or migrates what is in it, and starts the writer. An error says
// what is wrong with the file; a file of a newer version than this is left alone.
func Open(o Options) (*Store, error) {
	if o.Busy == 0 {
		o.Busy = 2 * time.Second
	}
	if o.Log == nil {
		o.Log = slog.Default()
	}
	f, err := os.OpenFile(o.Path, os.O_CREATE|os.O_RDWR, 0o600)
	if err != nil {
		return nil, fmt.Errorf("open the store: %w", err)
	}
	f.Close()
	s := &Store{opt: o, queue: newQueue(), done: make(chan struct{})}
	if s.write, err = connect(o, "_pragma=journal_mode(WAL)", "_pragma=synchronous(NORMAL)", "_txlock=immediate"); err != nil {
		return nil, err
	}
	s.write.SetMaxOpenConns(1)
	if err := migrate(s.write, o.Path); err != nil {
		s.write.Close()
		return nil, fmt.Errorf("store %s: %w", o.Path, err)
	}
	if err := s.prepare(); err != nil {
		s.write.Close()
		return nil, fmt.Errorf("store %s: %w", o.Path, err)
	}
	if s.read, err = connect(o, "_pragma=query_only(1)"); err != nil {
		s.write.Close()
		return nil, err
	}
	s.read.SetMaxOpenConns(4)
	go s.run() // until Close
	return s, nil
}

func connect(o Options, options ...string) (*sql.DB, error) {
	dsn := "file:" + (&url.URL{Path: o.Path}).EscapedPath() + fmt.Sprintf("?_pragma=busy_timeout(%d)", o.Busy.Milliseconds())
	for _, option := range options {
		dsn += "&" + option
	}
	db, err := sql.Open("sqlite", dsn)
	if err != nil {
		return nil, fmt.Errorf("open the store: %w", err)
	}
	return db, nil
}

// Put implements [store.Store].
func (s *Store) Put(row store.Row, done func(error)) {
	if err := store.Check(row); err != nil {
		s.queue.refuse(done, err)
		return
	}
	s.queue.put(change{row: row, done: done})
}

// Delete implements [store.Store].
func (s *Store) Delete(kind store.Kind, key string, done func(error)) {
	s.queue.put(change{row: store.Row{Kind: kind, Key: key}, remove: true, done: done})
}

// Load implements [store.Store].
func (s *Store) Load(ctx context.Context, kind store.Kind) ([]store.Row, error) {
	return s.query(ctx, "kind = ? ORDER BY first", kind)
}

// Owned implements [store.Store].
func (s *Store) Owned(ctx context.Context, kind store.Kind, owner string, limit int) ([]store.Row, error) {
	return s.query(ctx, "kind = ? AND owner = ? ORDER BY recent DESC LIMIT ?", kind, owner, limit)
}

// query reads rows, after all that was put before has been written.
func (s *Store) query(ctx context.Context, where string, args ...any) ([]store.Row, error) {
	if err := s.queue.settled(ctx); err != nil {
		return nil, err
	}
	args = append([]any{time.Now().UnixMilli()}, args...)
	found, err := s.read.QueryContext(ctx, "SELECT kind, key, owner, value, expires FROM rows WHERE (expires = 0 OR expires > ?) AND "+where, args...)
	if err != nil {
		return nil, fmt.Errorf("read the store: %w", err)
	}
	defer found.Close()
	var rows []store.Row
	for found.Next() {
		var r store.Row
		var expires int64
		if err := found.Scan(&r.Kind, &r.Key, &r.Owner, &r.Value, &expires); err != nil {
			return nil, fmt.Errorf("read the store: %w", err)
		}
		if expires != 0 {
			r.Expires = time.UnixMilli(expires)
		}
		rows = append(rows, r)
	}
	if err := found.Err(); err != nil {
		return nil, fmt.Errorf("read the store: %w", err)
	}
	return rows, nil
}

// State implements [store.Store].
func (s *Store) State() store.State { return s.queue.state() }

// Close implements [store.Store].
func (s *Store) Close() error {
	if !s.queue.close() {
		return store.ErrClosed
	}
	<-s.done
	return errors.Join(s.read.Close(), s.write.Close())
}
