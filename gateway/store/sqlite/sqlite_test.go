package sqlite

import (
	"bytes"
	"context"
	"database/sql"
	"errors"
	"fmt"
	"io"
	"log/slog"
	"os"
	"path/filepath"
	"strings"
	"sync"
	"testing"
	"time"

	"sipxmppgw/gateway/store"
)

func open(t *testing.T, path string, log io.Writer) *Store {
	t.Helper()
	s, err := Open(Options{Path: path, Busy: 50 * time.Millisecond, Log: slog.New(slog.NewTextHandler(log, nil))})
	if err != nil {
		t.Fatal(err)
	}
	t.Cleanup(func() { s.Close() })
	return s
}

// patience is for what waits to be written; a row that never can be would hold it for ever.
const patience = 20 * time.Second

func load(t *testing.T, s *Store, kind store.Kind) []store.Row {
	t.Helper()
	ctx, cancel := context.WithTimeout(t.Context(), patience)
	defer cancel()
	rows, err := s.Load(ctx, kind)
	if err != nil {
		t.Fatal(err)
	}
	return rows
}

func keys(rows []store.Row) string {
	var all []string
	for _, r := range rows {
		all = append(all, r.Key)
	}
	return strings.Join(all, " ")
}

// put waits until the row is kept, or not.
func put(s *Store, r store.Row) error {
	result := make(chan error, 1)
	s.Put(r, func(err error) { result <- err })
	return <-result
}

func TestRowsOutliveTheProcess(t *testing.T) {
	path := filepath.Join(t.TempDir(), "a store ?#%.db")
	s := open(t, path, io.Discard)
	expires := time.Now().Add(time.Hour).Truncate(time.Millisecond)
	for _, key := range []string{"b", "a", "c"} {
		s.Put(store.Row{Kind: store.Accounts, Key: key, Owner: "juliet", Value: []byte("of " + key)}, nil)
	}
	s.Put(store.Row{Kind: store.Records, Key: "b", Owner: "juliet"}, nil)
	s.Put(store.Row{Kind: store.Accounts, Key: "b", Owner: "juliet", Value: []byte("new"), Expires: expires}, nil)
	s.Put(store.Row{Kind: store.Accounts, Key: "past", Expires: time.Now().Add(-time.Second)}, nil)
	s.Delete(store.Accounts, "a", nil)
	if got := keys(load(t, s, store.Accounts)); got != "b c" {
		t.Errorf("a read does not see what was put before it: %q", got)
	}
	// No Close: this is a process that is killed.
	s = open(t, path, io.Discard)
	rows := load(t, s, store.Accounts)
	if keys(rows) != "b c" || string(rows[0].Value) != "new" || !rows[0].Expires.Equal(expires) || rows[0].Owner != "juliet" {
		t.Errorf("read back %+v", rows)
	}
	newest, err := s.Owned(t.Context(), store.Accounts, "juliet", 1)
	if err != nil || keys(newest) != "b" {
		t.Errorf("the newest is %q, %v", keys(newest), err)
	}
	if info, err := os.Stat(path); err != nil || info.Mode().Perm() != 0o600 {
		t.Errorf("others can read it: %v, %v", info.Mode(), err)
	}
}

func TestCloseWritesWhatWaits(t *testing.T) {
	path := filepath.Join(t.TempDir(), "store.db")
	s := open(t, path, io.Discard)
	for i := range 3 * maxBatch {
		s.Put(store.Row{Kind: store.Records, Key: fmt.Sprint(i)}, nil)
	}
	if err := s.Close(); err != nil {
		t.Fatal(err)
	}
	if err := put(s, store.Row{Kind: store.Records, Key: "late"}); !errors.Is(err, store.ErrClosed) {
		t.Errorf("after the end: %v", err)
	}
	if got := len(load(t, open(t, path, io.Discard), store.Records)); got != 3*maxBatch {
		t.Errorf("%d rows, want %d", got, 3*maxBatch)
	}
}

func TestAFileThatCannotBeWrittenIsALoudFaultAndLosesNothing(t *testing.T) {
	tests := []struct {
		name    string
		breaks  func(t *testing.T, s *Store) (mend func())
		problem string
	}{
		{"locked by another process", func(t *testing.T, s *Store) func() {
			other, err := sql.Open("sqlite", s.opt.Path)
			if err != nil {
				t.Fatal(err)
			}
			conn, err := other.Conn(t.Context())
			if err != nil {
				t.Fatal(err)
			}
			if _, err := conn.ExecContext(t.Context(), "BEGIN IMMEDIATE"); err != nil {
				t.Fatal(err)
			}
			return func() {
				_, err := conn.ExecContext(context.Background(), "ROLLBACK")
				if err := errors.Join(err, conn.Close(), other.Close()); err != nil {
					t.Error(err)
				}
			}
		}, "locked"},
		{"on a full disk", func(t *testing.T, s *Store) func() {
			limit := func(pages int) {
				if _, err := s.write.Exec(fmt.Sprintf("PRAGMA max_page_count = %d", pages)); err != nil {
					t.Error(err)
				}
			}
			limit(1)
			return func() { limit(1 << 20) }
		}, "full"},
	}
	for _, test := range tests {
		t.Run(test.name, func(t *testing.T) {
			var log lockedBuffer
			s := open(t, filepath.Join(t.TempDir(), "store.db"), &log)
			if err := put(s, store.Row{Kind: store.Records, Key: "before"}); err != nil {
				t.Fatal(err)
			}
			mend := test.breaks(t, s)
			value := bytes.Repeat([]byte("x"), 8<<10)
			s.Put(store.Row{Kind: store.Records, Key: "nobody asked", Value: value}, nil) // fails with the next one
			if err := put(s, store.Row{Kind: store.Accounts, Key: "asked for", Value: value}); err == nil || !strings.Contains(err.Error(), test.problem) {
				t.Errorf("who asked is told %v", err)
			}
			if state := s.State(); state.Up || state.Problem == nil || state.Lost != 1 {
				t.Errorf("state %+v", state)
			}
			ctx, cancel := context.WithTimeout(t.Context(), 10*time.Millisecond)
			defer cancel()
			if _, err := s.Load(ctx, store.Records); !errors.Is(err, context.DeadlineExceeded) {
				t.Errorf("reading gives %v", err)
			}
			mend()
			if got := keys(load(t, s, store.Records)); got != "before nobody asked" {
				t.Errorf("afterwards %q", got)
			}
			if got := load(t, s, store.Accounts); len(got) != 0 {
				t.Errorf("what was refused was kept all the same: %v", got)
			}
			if state := s.State(); !state.Up || state.Problem != nil || state.Waiting != 0 {
				t.Errorf("state %+v", state)
			}
			if text := log.String(); strings.Count(text, "store cannot be written") != 1 || strings.Count(text, "store is written again") != 1 {
				t.Errorf("the log says:\n%s", text)
			}
		})
	}
}

func TestTooMuchIsRefused(t *testing.T) {
	s := open(t, filepath.Join(t.TempDir(), "store.db"), io.Discard)
	if err := put(s, store.Row{Kind: store.Records, Key: "long", Value: make([]byte, store.MaxValue+1)}); !errors.Is(err, store.ErrTooLong) {
		t.Errorf("a long row: %v", err)
	}
	q := newQueue() // without a writer
	for range maxWaiting {
		q.put(change{})
	}
	var got error
	q.put(change{done: func(err error) { got = err }})
	if !errors.Is(got, store.ErrFull) || q.state().Lost != 1 {
		t.Errorf("one more: %v, %+v", got, q.state())
	}
}

func TestVersions(t *testing.T) {
	t.Run("an older one is copied and migrated", func(t *testing.T) {
		path := filepath.Join(t.TempDir(), "store.db")
		s := open(t, path, io.Discard)
		if err := put(s, store.Row{Kind: store.Accounts, Key: "a"}); err != nil {
			t.Fatal(err)
		}
		s.Close()
		released := migrations
		t.Cleanup(func() { migrations = released })
		migrations = append(migrations[:len(migrations):len(migrations)], "ALTER TABLE rows ADD COLUMN note TEXT")
		s = open(t, path, io.Discard)
		if got := keys(load(t, s, store.Accounts)); got != "a" {
			t.Errorf("rows %q", got)
		}
		var note *string
		if err := s.read.QueryRow("SELECT note FROM rows").Scan(&note); err != nil {
			t.Error(err)
		}
		migrations = released
		old := open(t, fmt.Sprintf("%s.version-%d", path, len(released)), io.Discard)
		if got := keys(load(t, old, store.Accounts)); got != "a" {
			t.Errorf("the copy has %q", got)
		}
		s.Close()
		if _, err := Open(Options{Path: path}); err == nil || !strings.Contains(err.Error(), "this program knows") {
			t.Errorf("a newer one: %v", err)
		}
	})
	t.Run("a step that fails leaves the file as it was", func(t *testing.T) {
		path := filepath.Join(t.TempDir(), "store.db")
		open(t, path, io.Discard).Close()
		released := migrations
		t.Cleanup(func() { migrations = released })
		migrations = append(migrations[:len(migrations):len(migrations)], "DROP TABLE rows; nonsense")
		if _, err := Open(Options{Path: path}); err == nil {
			t.Fatal("no error")
		}
		migrations = released
		load(t, open(t, path, io.Discard), store.Accounts)
	})
	t.Run("another file is left alone", func(t *testing.T) {
		path := filepath.Join(t.TempDir(), "letter.txt")
		text := bytes.Repeat([]byte("Dear Romeo, "), 100)
		if err := os.WriteFile(path, text, 0o600); err != nil {
			t.Fatal(err)
		}
		if _, err := Open(Options{Path: path}); err == nil {
			t.Error("no error")
		}
		if got, _ := os.ReadFile(path); !bytes.Equal(got, text) {
			t.Error("it was changed")
		}
	})
	if _, err := Open(Options{Path: filepath.Join(t.TempDir(), "no folder", "store.db")}); err == nil {
		t.Error("a folder that is not there: no error")
	}
}

func TestExpiredRowsAreRemoved(t *testing.T) {
	s := open(t, filepath.Join(t.TempDir(), "store.db"), io.Discard)
	for _, r := range []store.Row{
		{Kind: store.Bindings, Key: "past", Expires: time.Now().Add(-time.Minute)},
		{Kind: store.Bindings, Key: "later", Expires: time.Now().Add(time.Minute)},
		{Kind: store.Bindings, Key: "ever"},
	} {
		if err := put(s, r); err != nil {
			t.Fatal(err)
		}
	}
	s.forget()
	var left int
	if err := s.read.QueryRow("SELECT COUNT(*) FROM rows").Scan(&left); err != nil || left != 2 {
		t.Errorf("%d rows left, %v", left, err)
	}
}

func BenchmarkPut(b *testing.B) {
	s, err := Open(Options{Path: filepath.Join(b.TempDir(), "store.db")})
	if err != nil {
		b.Fatal(err)
	}
	defer s.Close()
	value := make([]byte, 600)
	var all sync.WaitGroup
	for i := range b.N {
		all.Add(1)
		s.Put(store.Row{Kind: store.Records, Key: fmt.Sprint(i), Owner: "juliet", Value: value}, func(error) { all.Done() })
		if i%maxBatch == 0 {
			all.Wait()
		}
	}
	all.Wait()
}

// A lockedBuffer is written by the writer and read by the test.
type lockedBuffer struct {
	mu sync.Mutex
	b  bytes.Buffer
}

func (l *lockedBuffer) Write(p []byte) (int, error) {
	l.mu.Lock()
	defer l.mu.Unlock()
	return l.b.Write(p)
}

func (l *lockedBuffer) String() string {
	l.mu.Lock()
	defer l.mu.Unlock()
	return l.b.String()
}
