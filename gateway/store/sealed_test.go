package store

import (
	"bytes"
	"context"
	"testing"
)

// Rows of the kinds that are sealed can be read by nobody without the key, and by us as before;
// those that were put before there was a key too.
func TestSealedRows(t *testing.T) {
	sealer, err := NewSealer(NewKey())
	if err != nil {
		t.Fatal(err)
	}
	file := &Memory{}
	early := Row{Kind: Messages, Key: "m0", Owner: "juliet", Value: []byte("from before")}
	file.Put(early, nil)
	s := Sealed(file, sealer, Messages)
	s.Put(Row{Kind: Messages, Key: "m1", Owner: "juliet", Value: []byte("at the balcony")}, nil)
	s.Put(Row{Kind: Records, Key: "r1", Owner: "juliet", Value: []byte("a call")}, nil)

	raw, _ := file.Load(context.Background(), Messages)
	if len(raw) != 2 || bytes.Contains(raw[1].Value, []byte("balcony")) {
		t.Errorf("the file has %q", raw)
	}
	if plain, _ := file.Load(context.Background(), Records); string(plain[0].Value) != "a call" {
		t.Errorf("other kinds are stored as %q", plain[0].Value)
	}
	rows, err := s.Load(context.Background(), Messages)
	if err != nil || len(rows) != 2 || string(rows[0].Value) != "from before" || string(rows[1].Value) != "at the balcony" {
		t.Errorf("Load: %q, %v", rows, err)
	}
	if rows, _ = s.Owned(context.Background(), Messages, "juliet", 1); len(rows) != 1 || string(rows[0].Value) != "at the balcony" {
		t.Errorf("Owned: %q", rows)
	}

	// Under another key, or another's, it means nothing.
	moved := raw[1]
	moved.Key = "m2"
	file.Put(moved, nil)
	rows, _ = s.Load(context.Background(), Messages)
	if len(rows) != 3 || bytes.Contains(rows[2].Value, []byte("balcony")) {
		t.Errorf("a value of another row was opened: %q", rows)
	}
}
