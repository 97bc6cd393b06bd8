package sdp

import (
	"os"
	"path/filepath"
	"testing"
)

// FuzzParse reads anything, and holds that what we write of it is stable: written, read
// and written again it is the same.
func FuzzParse(f *testing.F) {
	files, err := filepath.Glob("testdata/*.sdp")
	if err != nil {
		f.Fatal(err)
	}
	for _, file := range files {
		text, err := os.ReadFile(file)
		if err != nil {
			f.Fatal(err)
		}
		f.Add(text)
	}
	f.Fuzz(func(t *testing.T, text []byte) {
		s := NewSession(testOrigin())
		d, err := s.Parse(text)
		if err != nil {
			return
		}
		first := s.Format(d)
		d, err = s.Parse(first)
		if err != nil {
			if e, ok := err.(*Error); ok && e.Unfit {
				return // what is copied down from the session may pass the limits
			}
			t.Fatalf("what we wrote cannot be read: %v\n%s", err, first)
		}
		if second := s.Format(d); string(second) != string(first) {
			t.Fatalf("first\n%s\nsecond\n%s", first, second)
		}
	})
}
