package text

import (
	"encoding/binary"
	"os"
	"os/exec"
	"path/filepath"
	"slices"
	"strings"
	"testing"
)

// capture is a file of UDP packets (pcap, raw IPv4).
func capture(packets [][]byte) []byte {
	b := binary.LittleEndian.AppendUint32(nil, 0xa1b2c3d4)
	b = append(b, 2, 0, 4, 0, 0, 0, 0, 0, 0, 0, 0, 0)
	b = binary.LittleEndian.AppendUint32(b, 65535)
	b = binary.LittleEndian.AppendUint32(b, 228)
	for i, p := range packets {
		size := 28 + len(p)
		b = binary.LittleEndian.AppendUint32(b, uint32(i))
		b = append(b, 0, 0, 0, 0)
		b = binary.LittleEndian.AppendUint32(b, uint32(size))
		b = binary.LittleEndian.AppendUint32(b, uint32(size))
		b = append(b, 0x45, 0, byte(size>>8), byte(size), 0, 0, 0, 0, 64, 17, 0, 0, 192, 0, 2, 1, 192, 0, 2, 2)
		b = append(b, 0x13, 0x8c, 0x13, 0x8c, byte((size-20)>>8), byte(size-20), 0, 0)
		b = append(b, p...)
	}
	return b
}

// Wireshark finds the same blocks in our packets as we put there. It knows RFC 2198, and no T.140.
func TestWiresharkReadsPackets(t *testing.T) {
	program, err := exec.LookPath("tshark")
	if err != nil {
		if os.Getenv("CI") != "" {
			t.Fatal("no tshark here to read it")
		}
		t.Skip("SKIPPED: no tshark here to read it; make deps installs it")
	}
	name := filepath.Join(t.TempDir(), "text.pcap")
	all := packets("aé", 1, SenderOptions{Text: t140, Red: red, Seq: 65535, Time: 5, SSRC: 9})
	if err := os.WriteFile(name, capture(all), 0o600); err != nil {
		t.Fatal(err)
	}
	cmd := exec.Command(program, "-n", "-r", name, "-d", "udp.port==5004,rtp", "-d", "rtp.pt==100,rtp_rfc2198", "-T", "fields", "-E", "separator=|",
		"-e", "rtp.marker", "-e", "rtp.p_type", "-e", "rtp.seq", "-e", "rtp.timestamp", "-e", "rtp.follow", "-e", "rtp.timestamp-offset", "-e", "rtp.block-length", "-e", "_ws.malformed")
	cmd.Env = append(os.Environ(), "HOME="+t.TempDir())
	out, err := cmd.Output()
	if err != nil {
		t.Fatalf("tshark: %v", err)
	}
	want := []string{
		"1|100,98|65535|5|0|||",
		"0|100,98,98|0|305|1,0|300|1|",
		"0|100,98,98,98|1|605|1,1,0|600,300|1,2|",
		"0|100,98,98,98|2|905|1,1,0|600,300|2,0|",
	}
	if got := strings.Split(strings.TrimSuffix(string(out), "\n"), "\n"); !slices.Equal(got, want) {
		t.Errorf("got\n%s\nwant\n%s", strings.Join(got, "\n"), strings.Join(want, "\n"))
	}
}
