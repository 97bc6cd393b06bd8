package callflow

import (
	"path/filepath"
	"strings"
	"testing"

	"sipxmppgw/test/golden"
)

func TestFlows(t *testing.T) {
	files, err := filepath.Glob("testdata/*.flow")
	if err != nil || len(files) == 0 {
		t.Fatalf("no plays: %v", err)
	}
	for _, f := range files {
		t.Run(strings.TrimSuffix(filepath.Base(f), ".flow"), func(t *testing.T) {
			PlayFile(t, f, golden.Update())
		})
	}
}
