package store

import (
	"bytes"
	"cmp"
	"context"
	"slices"
	"sync"
	"time"
)

// A Memory is a store that forgets everything when the process ends: for gateways without a
// file, and for tests. The zero value is ready to use.
type Memory struct {
	mu     sync.Mutex
	rows   map[name]entry
	last   int64
	puts   int64
	closed bool
}

type name struct {
	kind Kind
	key  string
}

type entry struct {
	row    Row
	first  int64 // when it was first put, in the order of all rows
	recent int64 // when it was last put
}

// Put implements [Store].
func (m *Memory) Put(row Row, done func(error)) { tell(done, m.put(row)) }

func (m *Memory) put(row Row) error {
	if err := Check(row); err != nil {
		return err
	}
	m.mu.Lock()
	defer m.mu.Unlock()
	if m.closed {
		return ErrClosed
	}
	if m.rows == nil {
		m.rows = map[name]entry{}
	}
	m.last++
	m.puts++
	n := name{row.Kind, row.Key}
	e, known := m.rows[n]
	if !known {
		e.first = m.last
	}
	e.row, e.recent = row, m.last
	e.row.Value = bytes.Clone(row.Value)
	m.rows[n] = e
	return nil
}

// Delete implements [Store].
func (m *Memory) Delete(kind Kind, key string, done func(error)) {
	m.mu.Lock()
	err := ErrClosed
	if !m.closed {
		delete(m.rows, name{kind, key})
		err = nil
	}
	m.mu.Unlock()
	tell(done, err)
}

// Load implements [Store].
func (m *Memory) Load(_ context.Context, kind Kind) ([]Row, error) {
	return m.find(func(r Row) bool { return r.Kind == kind }, func(a, b entry) int { return cmp.Compare(a.first, b.first) })
}

// Owned implements [Store].
func (m *Memory) Owned(_ context.Context, kind Kind, owner string, limit int) ([]Row, error) {
	rows, err := m.find(
		func(r Row) bool { return r.Kind == kind && r.Owner == owner },
		func(a, b entry) int { return cmp.Compare(b.recent, a.recent) })
	return rows[:min(limit, len(rows))], err
}

func (m *Memory) find(fits func(Row) bool, order func(a, b entry) int) ([]Row, error) {
	m.mu.Lock()
	defer m.mu.Unlock()
	if m.closed {
		return nil, ErrClosed
	}
	now := time.Now()
	var found []entry
	for n, e := range m.rows {
		switch {
		case !e.row.Expires.IsZero() && !now.Before(e.row.Expires):
			delete(m.rows, n)
		case fits(e.row):
			found = append(found, e)
		}
	}
	slices.SortFunc(found, order)
	rows := make([]Row, len(found))
	for i, e := range found {
		rows[i] = e.row
		rows[i].Value = bytes.Clone(e.row.Value)
	}
	return rows, nil
}

// State implements [Store].
func (m *Memory) State() State {
	m.mu.Lock()
	defer m.mu.Unlock()
	return State{Up: !m.closed, Written: m.puts}
}

// Close implements [Store].
func (m *Memory) Close() error {
	m.mu.Lock()
	defer m.mu.Unlock()
	m.closed = true
	return nil
}

func tell(done func(error), err error) {
	if done != nil {
		done(err)
	}
}
