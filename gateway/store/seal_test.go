package store

import (
	"bytes"
	"errors"
	"testing"
)

func TestSealedSecretsOpenForTheirRowAlone(t *testing.T) {
	s, err := NewSealer(NewKey())
	if err != nil {
		t.Fatal(err)
	}
	other, err := NewSealer(NewKey())
	if err != nil {
		t.Fatal(err)
	}
	secret := []byte("correct horse")
	sealed := s.Seal("juliet/work", secret)
	if bytes.Contains(sealed, secret) {
		t.Error("the secret can be read")
	}
	if bytes.Equal(sealed, s.Seal("juliet/work", secret)) {
		t.Error("the same secret is sealed the same way twice")
	}
	if got, err := s.Open("juliet/work", sealed); err != nil || !bytes.Equal(got, secret) {
		t.Errorf("got %q, %v", got, err)
	}
	changed := bytes.Clone(sealed)
	changed[len(changed)/2] ^= 1
	tests := []struct {
		name   string
		sealer *Sealer
		row    string
		sealed []byte
	}{
		{"another row", s, "romeo/work", sealed},
		{"another key", other, "juliet/work", sealed},
		{"changed", s, "juliet/work", changed},
		{"cut short", s, "juliet/work", sealed[:5]},
		{"nothing", s, "juliet/work", nil},
	}
	for _, test := range tests {
		t.Run(test.name, func(t *testing.T) {
			if got, err := test.sealer.Open(test.row, test.sealed); !errors.Is(err, ErrSealed) {
				t.Errorf("got %q, %v; want %v", got, err, ErrSealed)
			}
		})
	}
	if _, err := NewSealer([]byte("short")); err == nil {
		t.Error("a short key was taken")
	}
}
