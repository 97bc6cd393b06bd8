package store

import (
	"context"
	"testing"
)

// What one part holds no other finds, by key or owner, and the part without a name has what
// was there before.
func TestParts(t *testing.T) {
	var m Memory
	ctx := context.Background()
	m.Put(Row{Kind: Accounts, Key: "old", Owner: "juliet"}, nil)
	alone, one, other := Part(&m, ""), Part(&m, "one.example"), Part(&m, "one.example.net")
	parts := []Store{alone, one, other}
	for i, p := range parts {
		p.Put(Row{Kind: Accounts, Key: "a", Owner: "juliet", Value: []byte{byte(i)}}, nil)
		p.Put(Row{Kind: Accounts, Key: "b", Value: []byte{byte(i)}}, nil)
	}
	for i, p := range parts {
		rows, err := p.Load(ctx, Accounts)
		want, owned := "a b", "a"
		if i == 0 {
			want, owned = "old a b", "a old"
		}
		if got := keys(t, rows, err); got != want {
			t.Errorf("part %d has %q, want %q", i, got, want)
		}
		for _, r := range rows {
			if r.Key != "old" && r.Value[0] != byte(i) {
				t.Errorf("part %d has %s of part %d", i, r.Key, r.Value[0])
			}
		}
		rows, err = p.Owned(ctx, Accounts, "juliet", 10)
		if got := keys(t, rows, err); got != owned {
			t.Errorf("in part %d juliet has %q, want %q", i, got, owned)
		}
		for _, r := range rows {
			if r.Owner != "juliet" {
				t.Errorf("in part %d the owner is %q", i, r.Owner)
			}
		}
	}
	one.Delete(Accounts, "a", nil)
	for i, want := range []string{"old a b", "b", "a b"} {
		rows, err := parts[i].Load(ctx, Accounts)
		if got := keys(t, rows, err); got != want {
			t.Errorf("after part 1 deleted a, part %d has %q, want %q", i, got, want)
		}
	}
	if err := one.Close(); err != nil {
		t.Fatal(err)
	}
	other.Put(Row{Kind: Accounts, Key: "c"}, func(err error) {
		if err != nil {
			t.Errorf("after another part was closed: %v", err)
		}
	})
}
