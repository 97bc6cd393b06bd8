package sqlite

import (
	"context"
	"database/sql"
	"fmt"
	"time"
)

const (
	maxBatch  = 500 // rows of one transaction
	gather    = 5 * time.Millisecond
	firstWait = 100 * time.Millisecond // after a write that failed; doubled each time
	maxWait   = 5 * time.Second
	sweep     = time.Minute // between removals of what has expired
	farewell  = time.Second // for what waits at the end
)

// run is the writer. It ends when the queue is closed and empty, or a second after.
func (s *Store) run() {
	defer close(s.done)
	swept := time.NewTicker(sweep)
	defer swept.Stop()
	var closed bool
	var over <-chan time.Time
	wait := firstWait
	for {
		batch, ending := s.queue.take(maxBatch)
		if ending && !closed {
			closed = true
			over = time.After(farewell)
		}
		if len(batch) == 0 {
			if closed {
				return
			}
			select {
			case <-s.queue.wake:
				time.Sleep(gather) // for more to come, so that they share a transaction
			case <-swept.C:
				s.forget()
			}
			continue
		}
		err := s.commit(batch)
		before := s.queue.state()
		if err == nil && !before.Up { // before anybody sees it
			s.opt.Log.Info("store is written again", "waiting", before.Waiting-len(batch))
		}
		s.queue.settle(batch, err)
		if err == nil {
			wait = firstWait
			continue
		}
		if before.Up {
			s.opt.Log.Error("store cannot be written", "error", err, "waiting", s.queue.state().Waiting)
		}
		select {
		case <-time.After(wait):
		case <-over:
			return
		}
		wait = min(2*wait, maxWait)
	}
}

const (
	upsert = `INSERT INTO rows (kind, key, owner, value, expires, first, recent)
VALUES (?1, ?2, ?3, ?4, ?5, ?6, ?6)
ON CONFLICT (kind, key) DO UPDATE SET owner = excluded.owner, value = excluded.value, expires = excluded.expires, recent = excluded.recent`
	latest = `SELECT IFNULL(MAX(recent), 0) FROM rows`
	remove = `DELETE FROM rows WHERE kind = ?1 AND key = ?2`
)

// commit writes a batch, whole or not at all.
func (s *Store) commit(batch []change) error {
	tx, err := s.write.BeginTx(context.Background(), nil)
	if err != nil {
		return fmt.Errorf("begin: %w", err)
	}
	defer tx.Rollback() // nothing after a commit
	if err := s.apply(tx, batch); err != nil {
		return err
	}
	if err := tx.Commit(); err != nil {
		return fmt.Errorf("commit: %w", err)
	}
	return nil
}

// prepare has SQLite read once what the writer says to it again and again.
func (s *Store) prepare() (err error) {
	if s.put, err = s.write.Prepare(upsert); err != nil {
		return fmt.Errorf("prepare: %w", err)
	}
	if s.last, err = s.write.Prepare(latest); err != nil {
		return fmt.Errorf("prepare: %w", err)
	}
	if s.drop, err = s.write.Prepare(remove); err != nil {
		return fmt.Errorf("prepare: %w", err)
	}
	return nil
}

func (s *Store) apply(tx *sql.Tx, batch []change) error {
	put, drop := tx.Stmt(s.put), tx.Stmt(s.drop)
	var n int64
	if err := tx.Stmt(s.last).QueryRow().Scan(&n); err != nil {
		return fmt.Errorf("read: %w", err)
	}
	for i := range batch {
		r := &batch[i].row
		if batch[i].remove {
			if _, err := drop.Exec(r.Kind, r.Key); err != nil {
				return fmt.Errorf("remove: %w", err)
			}
			continue
		}
		var expires int64
		if !r.Expires.IsZero() {
			expires = max(r.Expires.UnixMilli(), 1)
		}
		if _, err := put.Exec(r.Kind, r.Key, r.Owner, r.Value, expires, n+int64(i)+1); err != nil {
			return fmt.Errorf("write: %w", err)
		}
	}
	return nil
}

// forget removes what has expired. An error is met again by the next write.
func (s *Store) forget() {
	_, _ = s.write.Exec("DELETE FROM rows WHERE expires <> 0 AND expires <= ?", time.Now().UnixMilli())
}
