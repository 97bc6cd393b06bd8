// Package store is what must outlive the process, behind one small interface: rows of a few
// kinds, each with a key, an owner and an end. Whoever keeps a kind of row encodes its
// values, holds them in memory while it needs them, and writes every change through.
//
// Writing never waits: a Put is queued, and whoever must know that it is on disk is told.
// So a full disk or a locked file is a loud fault of the store and stops no call.
package store

import (
	"context"
	"errors"
	"time"
)

// A Kind is one sort of row. Keys are unique within a kind.
type Kind string

const (
	Accounts      Kind = "account"      // SIP accounts that users set up, by user and name
	Settings      Kind = "setting"      // what users chose for themselves
	Bindings      Kind = "binding"      // where phones are registered
	Subscriptions Kind = "subscription" // who watches whose presence
	Messages      Kind = "message"      // that wait for their receiver
	Records       Kind = "record"       // of calls that have ended
	Links         Kind = "link"         // SIP addresses that are an XMPP user's
)

// The bounds of a row, in octets. A longer one is refused with [ErrTooLong].
const (
	MaxKey   = 4 << 10
	MaxValue = 256 << 10
)

// A Row is one thing that is kept.
type Row struct {
	Kind    Kind
	Key     string
	Owner   string    // a bare JID or another name by which rows are found together; may be empty
	Value   []byte    // whatever the kind's keeper makes of it
	Expires time.Time // after which the row is as good as deleted; zero for never
}

var (
	// ErrFull says that too much waits to be written already.
	ErrFull = errors.New("store: too much waits to be written")
	// ErrTooLong says that a row is longer than rows may be.
	ErrTooLong = errors.New("store: the row is too long")
	// ErrClosed says that the store was closed before.
	ErrClosed = errors.New("store: closed")
)

// A Store keeps rows. Its methods may be called from any goroutine.
type Store interface {
	// Put writes a row in place of any with its kind and key. It never waits. done, if not
	// nil, is told once when the row is kept, or with an error that it is not and will not
	// be; it is called on a goroutine of the store and must not block. Without done the
	// row is tried until it is kept, as long as there is room.
	Put(row Row, done func(error))
	// Delete removes the row of that kind and key, if there is one. done is as with Put.
	Delete(kind Kind, key string, done func(error))
	// Load returns the rows of a kind in the order in which they were first put, and sees
	// all that was put before it was called. An error is ctx's, or the store's.
	Load(ctx context.Context, kind Kind) ([]Row, error)
	// Owned returns the newest rows of a kind that belong to owner, newest first, at most
	// limit of them. An error is as with Load.
	Owned(ctx context.Context, kind Kind, owner string, limit int) ([]Row, error)
	// State returns how the store fares.
	State() State
	// Close writes what waits, for a second at most, and gives everything back.
	Close() error
}

// A State is how a store fares.
type State struct {
	Up      bool  // the last write went well
	Problem error // of the last write; nil when Up
	Waiting int   // rows that wait to be written
	Written int64 // rows since the start
	Lost    int64 // rows that could not be kept since the start
}

// Check returns [ErrTooLong] for a row beyond its bounds.
func Check(r Row) error {
	if len(r.Key) > MaxKey || len(r.Owner) > MaxKey || len(r.Value) > MaxValue {
		return ErrTooLong
	}
	return nil
}
