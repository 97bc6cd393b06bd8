package store

import (
	"context"
	"slices"
)

// sealed is a store some of whose rows are sealed as a whole.
type sealed struct {
	Store
	sealer *Sealer
	kinds  []Kind
}

// Sealed returns a store whose values of these kinds are sealed before they are put, and opened
// as they are read. A value that was put before there was a key is read as it is; one that
// does not open stays as it is too, and means nothing to its keeper.
func Sealed(s Store, by *Sealer, kinds ...Kind) Store { return sealed{s, by, kinds} }

// name is what a value is sealed for.
func (s sealed) name(r Row) string { return string(r.Kind) + " " + r.Key }

// Put implements [Store].
func (s sealed) Put(row Row, done func(error)) {
	if slices.Contains(s.kinds, row.Kind) {
		row.Value = s.sealer.Seal(s.name(row), row.Value)
	}
	s.Store.Put(row, done)
}

// Load implements [Store].
func (s sealed) Load(ctx context.Context, kind Kind) ([]Row, error) {
	rows, err := s.Store.Load(ctx, kind)
	return s.open(rows), err
}

// Owned implements [Store].
func (s sealed) Owned(ctx context.Context, kind Kind, owner string, limit int) ([]Row, error) {
	rows, err := s.Store.Owned(ctx, kind, owner, limit)
	return s.open(rows), err
}

func (s sealed) open(rows []Row) []Row {
	for i, r := range rows {
		if !slices.Contains(s.kinds, r.Kind) {
			continue
		}
		if value, err := s.sealer.Open(s.name(r), r.Value); err == nil {
			rows[i].Value = value
		}
	}
	return rows
}
