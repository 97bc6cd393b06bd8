package store

import (
	"context"
	"errors"
	"strings"
	"testing"
	"testing/synctest"
	"time"
)

func keys(t *testing.T, rows []Row, err error) string {
	t.Helper()
	if err != nil {
		t.Fatal(err)
	}
	var all []string
	for _, r := range rows {
		all = append(all, r.Key)
	}
	return strings.Join(all, " ")
}

func TestMemory(t *testing.T) {
	synctest.Test(t, func(t *testing.T) {
		var m Memory
		ctx := context.Background()
		for _, key := range []string{"b", "a", "c"} {
			m.Put(Row{Kind: Accounts, Key: key, Owner: "juliet"}, nil)
		}
		m.Put(Row{Kind: Records, Key: "b", Owner: "juliet"}, nil)
		m.Put(Row{Kind: Accounts, Key: "b", Owner: "juliet", Value: []byte("new")}, nil)
		m.Put(Row{Kind: Accounts, Key: "soon", Owner: "juliet", Expires: time.Now().Add(time.Second)}, nil)
		rows, err := m.Load(ctx, Accounts)
		if got := keys(t, rows, err); got != "b a c soon" {
			t.Errorf("in the order in which they were first put: %q", got)
		}
		if string(rows[0].Value) != "new" {
			t.Errorf("the value is %q", rows[0].Value)
		}
		rows, err = m.Owned(ctx, Accounts, "juliet", 2)
		if got := keys(t, rows, err); got != "soon b" {
			t.Errorf("the newest are %q", got)
		}
		time.Sleep(time.Second)
		m.Delete(Accounts, "a", nil)
		rows, err = m.Load(ctx, Accounts)
		if got := keys(t, rows, err); got != "b c" {
			t.Errorf("after one expired and one was deleted: %q", got)
		}
		m.Put(Row{Kind: Accounts, Key: strings.Repeat("x", MaxKey+1)}, func(err error) {
			if !errors.Is(err, ErrTooLong) {
				t.Errorf("a long key: %v", err)
			}
		})
		if err := m.Close(); err != nil {
			t.Fatal(err)
		}
		m.Put(Row{Kind: Accounts, Key: "d"}, func(err error) {
			if !errors.Is(err, ErrClosed) {
				t.Errorf("after the end: %v", err)
			}
		})
		if _, err := m.Load(ctx, Accounts); !errors.Is(err, ErrClosed) {
			t.Errorf("after the end: %v", err)
		}
	})
}
