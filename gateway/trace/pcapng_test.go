package trace

import (
	"os"
	"os/exec"
	"path/filepath"
	"strings"
	"testing"
)

// tshark reads a file and returns the fields of each packet, a line each.
func tshark(t *testing.T, file []byte, args ...string) []string {
	t.Helper()
	program, err := exec.LookPath("tshark")
	if err != nil {
		if os.Getenv("CI") != "" {
			t.Fatal("no tshark here to read it")
		}
		t.Skip("SKIPPED: no tshark here to read it; make deps installs it")
	}
	name := filepath.Join(t.TempDir(), "call.pcapng")
	if err := os.WriteFile(name, file, 0o600); err != nil {
		t.Fatal(err)
	}
	cmd := exec.Command(program, append([]string{"-n", "-r", name}, args...)...)
	cmd.Env = append(os.Environ(), "HOME="+t.TempDir())
	out, err := cmd.Output()
	if err != nil {
		t.Fatalf("tshark: %v", err)
	}
	return strings.Split(strings.TrimSuffix(string(out), "\n"), "\n")
}

func TestWiresharkReadsACall(t *testing.T) {
	r := sample()
	r.Messages[0].Raw = measured(r.Messages[0].Raw)
	r.Messages = append(r.Messages,
		Message{
			Lane: "xmpp", Peer: "romeo@capulet.lit", Title: "result", Time: at(5),
			Raw: `<iq from='romeo@capulet.lit/Balkon' to='+49301234567@tel.capulet.lit/gw' id='i1' type='result'/>`,
		},
		Message{
			Lane: "sip", Sent: true, Peer: "[2001:db8::1]:5061", Local: "[2001:db8::2]:33333", Transport: "TLS", Title: "100 Trying", Time: at(6),
			Raw: "SIP/2.0 100 Trying\r\nCall-ID: x\r\nCSeq: 100 INVITE\r\nContent-Length: 0\r\n\r\n",
		})
	r.Marks[0].Time = at(5)
	got := tshark(t, Pcapng(r), "-T", "fields", "-E", "separator=|", "-E", "occurrence=f", "-o", "ip.check_checksum:TRUE", "-o", "udp.check_checksum:TRUE", "-o", "tcp.check_checksum:TRUE",
		"-e", "ip.src", "-e", "ip.dst", "-e", "ipv6.src", "-e", "ipv6.dst", "-e", "udp.dstport", "-e", "sip.Method", "-e", "sip.Status-Code", "-e", "sdp.media",
		"-e", "tcp.srcport", "-e", "xmpp.id", "-e", "xml.tag", "-e", "frame.comment", "-e", "frame.time_delta",
		"-e", "ip.checksum.status", "-e", "udp.checksum.status", "-e", "tcp.checksum.status", "-e", "_ws.malformed")
	const romeo = "stanza of romeo@capulet.lit; its addresses stand for the JID"
	want := []string{
		"93.184.216.34|192.0.2.77|||5060|INVITE||audio 4000 RTP/AVP 0|||||0.000000000|1|1||",
		"192.0.2.77|192.0.2.1|||||||45222||<message from='+49301234567@tel.capulet.lit/gw' to='romeo@capulet.lit/Balkon'>|" + romeo + "|0.001000000|1||1|",
		"192.0.2.1|192.0.2.77|||||||5222|i1|<iq from='romeo@capulet.lit/Balkon' to='+49301234567@tel.capulet.lit/gw' id='i1' type='result'/>|" + romeo + "|0.004000000|1||1|",
		"||2001:db8::2|2001:db8::1|5061||100|||||before: media up: host 192.0.2.77:1 to host 93.184.216.34:2|0.001000000||1||",
	}
	if len(got) != len(want) {
		t.Fatalf("%d packets:\n%s", len(got), strings.Join(got, "\n"))
	}
	for i := range want {
		if got[i] != want[i] {
			t.Errorf("packet %d:\n%s\nwant\n%s", i+1, got[i], want[i])
		}
	}
}
