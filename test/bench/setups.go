//go:build linux

package main

import (
	_ "embed"
	"fmt"
	"os"
	"os/exec"
	"path/filepath"
	"strings"
)

//go:embed c/handshake.c
var handshakeSource []byte

// openSSL returns how many DTLS handshakes OpenSSL itself does in a CPU-second, of one
// end: a mark for our set-ups, which are ICE and DTLS.
func openSSL() (rate string, err error) {
	dir, err := compile(handshakeSource, "handshake")
	if err != nil {
		return "", err
	}
	defer os.RemoveAll(dir)
	cmd := exec.Command(filepath.Join(dir, "handshake"))
	cmd.Stderr = os.Stderr
	out, err := cmd.Output()
	return strings.TrimSpace(string(out)), err
}

// setups returns the line about set-ups.
func setups(ours float64) string {
	theirs, err := openSSL()
	if err != nil {
		theirs = "? (" + err.Error() + ")"
	}
	return fmt.Sprintf("set-ups a CPU-second: ICE and DTLS, ours %.0f; DTLS alone, OpenSSL %s", ours, theirs)
}
