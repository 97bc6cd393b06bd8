//go:build torture

package gate

import (
	"os"
	"path/filepath"
	"regexp"
	"strconv"
	"strings"
	"testing"

	"sipxmppgw/test/torture"
)

// TestTortureOfTheRFCs has the same verdicts on the messages of the RFCs themselves, which are
// not ours to give: their files are in directories below that of $SIPXMPPGW_TORTURE, named as
// the cases are. go test -tags torture ./signaling/gate
func TestTortureOfTheRFCs(t *testing.T) {
	dir := os.Getenv("SIPXMPPGW_TORTURE")
	for _, c := range torture.Cases() {
		if !strings.HasPrefix(c.Section, "RFC 4475 ") && !strings.HasPrefix(c.Section, "RFC 5118 ") {
			continue
		}
		t.Run(c.Name, func(t *testing.T) {
			files, err := filepath.Glob(filepath.Join(dir, "*", c.Name) + "*")
			if err != nil || len(files) != 1 {
				t.Fatal(files, err)
			}
			raw, err := os.ReadFile(files[0])
			if err != nil {
				t.Fatal(err)
			}
			tortured(t, c, original(c, raw))
		})
	}
}

// original mends what is lost when the RFCs are made files: line ends, the empty line behind
// the headers, and the length that is then of another text.
func original(c torture.Case, raw []byte) []byte {
	text := string(raw)
	if !strings.Contains(text, "\r\n") {
		text = strings.ReplaceAll(text, "\n", "\r\n")
	}
	if !strings.Contains(text, "\r\n\r\n") {
		text = strings.TrimSuffix(text, "\r\n") + "\r\n\r\n"
	}
	if c.Name == "ipv6-in-sdp" {
		_, body, _ := strings.Cut(text, "\r\n\r\n")
		text = regexp.MustCompile(`(?m)^Content-Length: \d+`).ReplaceAllString(text, "Content-Length: "+strconv.Itoa(len(body)))
	}
	return []byte(text)
}
