// Package typewriter is a telephone's text that is seen while it is typed (RFC 4103), for tests: a
// socket on loopback that sends and receives T.140, by itself or with what went before. It shares
// no code with the gateway.
package typewriter

import (
	"encoding/binary"
	"errors"
	"fmt"
	"net"
	"strings"
	"sync"
	"time"

	"github.com/pion/rtp"
	"github.com/pion/srtp/v3"
)

const (
	text = 98
	red  = 100
)

// A Typewriter is one end of such text.
type Typewriter struct {
	conn *net.UDPConn

	mu      sync.Mutex
	out, in *srtp.Context // nil in the clear
	seq     uint16
	began   time.Time
	past    [2]string // what was sent before, the older first
	at      [2]uint32 // and when
	read    strings.Builder
	packets int
}

// New opens one on loopback.
func New() (*Typewriter, error) {
	conn, err := net.ListenUDP("udp", &net.UDPAddr{IP: net.IPv4(127, 0, 0, 1)})
	if err != nil {
		return nil, err
	}
	t := &Typewriter{conn: conn, began: time.Now()}
	go t.listen() // ends with Close
	return t, nil
}

// Close closes it.
func (t *Typewriter) Close() { _ = t.conn.Close() }

// Lines describe it in SDP; more are further attributes.
func (t *Typewriter) Lines(profile string, more ...string) []string {
	return append([]string{
		fmt.Sprintf("m=text %d %s %d %d", t.conn.LocalAddr().(*net.UDPAddr).Port, profile, red, text),
		"c=IN IP4 127.0.0.1", fmt.Sprintf("a=rtpmap:%d red/1000", red), fmt.Sprintf("a=fmtp:%d %d/%d/%d", red, text, text, text), fmt.Sprintf("a=rtpmap:%d t140/1000", text),
	}, more...)
}

// Protect has it speak AES_CM_128_HMAC_SHA1_80 with these master keys and salts, of 30 octets, from now on:
// what was said and read before is forgotten.
func (t *Typewriter) Protect(ours, theirs []byte) error {
	out, err := srtp.CreateContext(ours[:16], ours[16:], srtp.ProtectionProfileAes128CmHmacSha1_80)
	if err != nil {
		return err
	}
	in, err := srtp.CreateContext(theirs[:16], theirs[16:], srtp.ProtectionProfileAes128CmHmacSha1_80)
	t.mu.Lock()
	defer t.mu.Unlock()
	t.out, t.in, t.past = out, in, [2]string{}
	t.read.Reset()
	return err
}

// Type sends characters to a port of loopback, with what went before them; lost ones are not sent
// at all, and come with the next.
func (t *Typewriter) Type(port int, s string, lost bool) error {
	t.mu.Lock()
	defer t.mu.Unlock()
	now := uint32(time.Since(t.began) / time.Millisecond)
	var p []byte
	for i, old := range t.past {
		var h [4]byte
		binary.BigEndian.PutUint32(h[:], 0x80000000|text<<24|(now-t.at[i])&0x3fff<<10|uint32(len(old)))
		p = append(p, h[:]...)
	}
	p = append(p, text)
	p = append(p, t.past[0]...)
	p = append(p, t.past[1]...)
	p = append(p, s...)
	packet := rtp.Packet{Header: rtp.Header{Version: 2, PayloadType: red, SequenceNumber: t.seq, Timestamp: now, SSRC: 4103, Marker: t.seq == 0}, Payload: p}
	t.seq++
	t.past, t.at = [2]string{t.past[1], s}, [2]uint32{t.at[1], now}
	raw, err := packet.Marshal()
	if err != nil || lost {
		return err
	}
	if t.out != nil {
		if raw, err = t.out.EncryptRTP(nil, raw, nil); err != nil {
			return err
		}
	}
	_, err = t.conn.WriteTo(raw, &net.UDPAddr{IP: net.IPv4(127, 0, 0, 1), Port: port})
	return err
}

// Read returns all that came, and in how many packets.
func (t *Typewriter) Read() (string, int) {
	t.mu.Lock()
	defer t.mu.Unlock()
	return t.read.String(), t.packets
}

func (t *Typewriter) listen() {
	b := make([]byte, 1<<16)
	for {
		n, _, err := t.conn.ReadFrom(b)
		if errors.Is(err, net.ErrClosed) {
			return
		}
		if err == nil {
			t.take(b[:n])
		}
	}
}

// take reads the newest block of a packet, which has everything as nothing is lost on loopback.
func (t *Typewriter) take(raw []byte) {
	t.mu.Lock()
	defer t.mu.Unlock()
	if t.in != nil {
		var err error
		if raw, err = t.in.DecryptRTP(nil, raw, nil); err != nil {
			return
		}
	}
	var p rtp.Packet
	if p.Unmarshal(raw) != nil {
		return
	}
	payload, skip := p.Payload, 0
	if p.PayloadType == red {
		for len(payload) >= 4 && payload[0]&0x80 != 0 {
			skip += int(binary.BigEndian.Uint32(payload) & 0x3ff)
			payload = payload[4:]
		}
		if len(payload) < 1+skip {
			return
		}
		payload = payload[1+skip:]
	}
	t.packets++
	t.read.Write(payload)
}
