package store

import (
	"context"
	"strings"
)

// A part is the rows of one name in a store: their keys and owners begin with it.
type part struct {
	Store
	mark string // such as "@tel.example.net "; empty for the rows without a name
}

// Part returns the part of a store that has a name, such as the domain of a component: who
// holds it sees the rows of no other part, and nobody else sees theirs. The part without a
// name has the rows that were put when there were no parts. Closing a part does nothing.
func Part(s Store, name string) Store {
	if name == "" {
		return part{s, ""}
	}
	return part{s, "@" + name + " "}
}

// Put implements [Store].
func (p part) Put(row Row, done func(error)) {
	row.Key = p.mark + row.Key
	if row.Owner != "" {
		row.Owner = p.mark + row.Owner
	}
	p.Store.Put(row, done)
}

// Delete implements [Store].
func (p part) Delete(kind Kind, key string, done func(error)) { p.Store.Delete(kind, p.mark+key, done) }

// Load implements [Store].
func (p part) Load(ctx context.Context, kind Kind) ([]Row, error) {
	rows, err := p.Store.Load(ctx, kind)
	return p.own(rows), err
}

// Owned implements [Store].
func (p part) Owned(ctx context.Context, kind Kind, owner string, limit int) ([]Row, error) {
	rows, err := p.Store.Owned(ctx, kind, p.mark+owner, limit)
	return p.own(rows), err
}

// Close implements [Store].
func (p part) Close() error { return nil }

// own are the rows of the part, under the keys they were put with. No key of the part without
// a name begins as a mark does: those are addresses, tokens, or begin with a word.
func (p part) own(rows []Row) []Row {
	var own []Row
	for _, r := range rows {
		if p.mark == "" && strings.HasPrefix(r.Key, "@") || !strings.HasPrefix(r.Key, p.mark) {
			continue
		}
		r.Key, r.Owner = strings.TrimPrefix(r.Key, p.mark), strings.TrimPrefix(r.Owner, p.mark)
		own = append(own, r)
	}
	return own
}
