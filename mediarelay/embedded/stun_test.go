package embedded

import (
	"bytes"
	"encoding/binary"
	"encoding/hex"
	"hash/crc32"
	"net/netip"
	"strings"
	"testing"
)

// The samples of RFC 5769 section 2, under the password of that section.
const (
	samplePassword = "VOkJxbRl1RmTxUk/WvJxBt"
	sampleRequest  = `00010058 2112a442 b7e7a701 bc34d686 fa87dfae
		80220010 5354554e 20746573 7420636c 69656e74
		00240004 6e0001ff
		80290008 932ff9b1 51263b36
		00060009 6576746a 3a683676 59202020
		00080014 9aeaa70c bfd8cb56 781ef2b5 b2d3f249 c1b571a2
		80280004 e57a3bcf`
	sampleAnswer4 = `0101003c 2112a442 b7e7a701 bc34d686 fa87dfae
		8022000b 74657374 20766563 746f7220
		00200008 0001a147 e112a643
		00080014 2b91f599 fd9e90c3 8c7489f9 2af9ba53 f06be7d7
		80280004 c07d4c96`
	sampleAnswer6 = `01010048 2112a442 b7e7a701 bc34d686 fa87dfae
		8022000b 74657374 20766563 746f7220
		00200014 0002a147 0113a9fa a5d3f179 bc25f4b5 bed2b9d9
		00080014 a382954e 4be67bf1 1784c97c 8292c275 bfe3ed41
		80280004 c8fb0b4c`
)

func octets(t *testing.T, text string) []byte {
	t.Helper()
	p, err := hex.DecodeString(strings.Join(strings.Fields(text), ""))
	if err != nil {
		t.Fatal(err)
	}
	return p
}

func TestSamples(t *testing.T) {
	request := octets(t, sampleRequest)
	for _, sample := range []string{sampleRequest, sampleAnswer4, sampleAnswer6} {
		p := octets(t, sample)
		if !genuine(p, samplePassword) {
			t.Errorf("%x is not genuine", p)
		}
		if genuine(p, samplePassword+"x") {
			t.Errorf("%x is genuine under another password", p)
		}
		// Sealed by us, what comes before is followed by the same.
		_, at := attribute(p, stunIntegrity)
		if got := message(bytes.Clone(p[:at])).seal(samplePassword); !bytes.Equal(got, p) {
			t.Errorf("sealed is\n%x, want\n%x", got, p)
		}
		p[25] ^= 1
		if genuine(p, samplePassword) {
			t.Errorf("changed, %x is genuine", p)
		}
	}
	if got := string(username(request)); got != "evtj:h6vY" {
		t.Errorf("the user is %q", got)
	}
	priority, _ := number(request, stunPriority)
	tie, controlled := number(request, stunControlled)
	if priority != 0x6e0001ff || tie != 0x932ff9b151263b36 || !controlled || has(request, stunControlling) {
		t.Errorf("priority %x, tie %x, controlled %v", priority, tie, controlled)
	}
	for sample, from := range map[string]string{sampleAnswer4: "192.0.2.1:32853", sampleAnswer6: "[2001:db8:1234:5678:11:2233:4455:6677]:32853"} {
		p := octets(t, sample)
		want, at := attribute(p, stunMapped)
		m := newMessage(bindingSuccess, transaction(p[8:stunHeader])).mapped(netip.MustParseAddrPort(from))
		if got, _ := attribute(m, stunMapped); !bytes.Equal(got, want) || at == 0 {
			t.Errorf("%s is %x, want %x", from, got, want)
		}
	}
}

// What follows the digest is nobody's word.
func TestSigned(t *testing.T) {
	m := newMessage(bindingRequest, transaction{1}).add(stunUsername, []byte("a:b")).seal("secret")
	m = m.add(stunUseCandidate, nil)
	if !genuine(m, "secret") || !has(m, stunUseCandidate) {
		t.Fatal("the message is not what it is for")
	}
	if p := signed(m); has(p, stunUseCandidate) || !has(p, stunUsername) || has(p, stunFingerprint) {
		t.Errorf("signed is %x", p)
	}
	if f, _ := number(m[:len(m)-4], stunFingerprint); uint32(f) != crc32.ChecksumIEEE(append(binary.BigEndian.AppendUint16(bytes.Clone(m[:2]), uint16(len(m)-4-stunHeader)), m[4:len(m)-12]...))^fingerprintMask {
		t.Errorf("the fingerprint is %x", f)
	}
}
