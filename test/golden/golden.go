// Package golden compares what a test got with a file that was read and found right.
// With -update the file is written instead, and its diff is what there is to read.
package golden

import (
	"bytes"
	"flag"
	"os"
	"testing"
)

var update = flag.Bool("update", false, "write what was got into testdata")

// Update reports whether the files are to be written.
func Update() bool { return *update }

// Compare fails t if what was got is not what stands in the file, or writes it there.
func Compare(t testing.TB, file string, got []byte) {
	t.Helper()
	if *update {
		if err := os.WriteFile(file, got, 0o644); err != nil {
			t.Fatal(err)
		}
		return
	}
	want, err := os.ReadFile(file)
	if err != nil {
		t.Fatal(err)
	}
	if !bytes.Equal(got, want) {
		t.Errorf("%s differs (-update writes it); got:\n%s", file, got)
	}
}
