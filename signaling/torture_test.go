package signaling

import (
	"os"
	"path/filepath"
	"strings"
	"testing"
	"testing/synctest"
)

// passed are the messages of RFC 4475 and RFC 5118 that the gate lets in, and what becomes of
// them. What it refuses or drops is its own to test; it begins no call.
var passed = map[string]string{
	"wsinv":   "481 Call/Transaction Does Not Exist", // its To has a tag
	"inv2543": "call", "longreq": "call", "esc01": "call", "baddate": "call",
	"lwsdisp": "200 OK", "semiuri": "200 OK", "transports": "200 OK", "zeromf": "200 OK",
	"mpart01":  "405 Method Not Allowed",
	"dblreq":   "405 Method Not Allowed", // the second message in the datagram is none
	"unreason": "", "noreason": "",       // responses to nothing of ours

	"via-received-param-no-delim":   "200 OK",
	"via-received-param-with-delim": "481 Call/Transaction Does Not Exist",
	"mult-ip-in-header":             "481 Call/Transaction Does Not Exist",
	"mult-ip-in-sdp":                "call", "ipv4-mapped-ipv6": "call",
	"ipv6-bug-abnf-3-colons": "200 OK", "ipv6-correct-abnf-2-colons": "200 OK",
}

// TestTorture sends the torture messages as a trunk would, and then asks whether we are still
// there.
func TestTorture(t *testing.T) {
	files, err := filepath.Glob("gate/testdata/torture/*.dat")
	if err != nil || len(files) == 0 {
		t.Fatal("no messages", err)
	}
	for _, file := range files {
		name := strings.TrimSuffix(filepath.Base(file), ".dat")
		t.Run(name, func(t *testing.T) {
			raw, err := os.ReadFile(file)
			if err != nil {
				t.Fatal(err)
			}
			play(t, func(t *testing.T, w *world) {
				p := w.peer(peers)
				p.raw(string(raw))
				synctest.Wait()
				got := outcome(w)
				if want, ok := passed[name]; ok && got != want {
					t.Errorf("got %q, want %q", got, want)
				} else if !ok && got == "call" {
					t.Error("a call")
				}
				for p.pending() {
				}
				p.send("OPTIONS sip:gw.jabber.example SIP/2.0\nVia: SIP/2.0/UDP 198.51.100.9:5060;branch=z9hG4bKafter\nMax-Forwards: 70\nFrom: <sip:otto@voip.example>;tag=1\nTo: <sip:gw.jabber.example>\nCall-ID: after\nCSeq: 1 OPTIONS", "")
				p.wants("SIP/2.0 200 OK")
			})
		})
	}
}

// outcome is the final answer we gave to the only request, or "call".
func outcome(w *world) string {
	if w.calls.last() != nil {
		return "call"
	}
	w.edge.trace.mu.Lock()
	defer w.edge.trace.mu.Unlock()
	var titles []string
	for _, s := range w.edge.trace.early {
		if s.msg.Sent {
			titles = append(titles, s.msg.Title)
		}
	}
	return strings.Join(titles, ", ")
}
