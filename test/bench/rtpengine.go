//go:build linux

package main

import (
	"bytes"
	"encoding/base64"
	"errors"
	"fmt"
	"net"
	"net/netip"
	"os/exec"
	"regexp"
	"strconv"
	"strings"
	"time"

	"github.com/pion/srtp/v3"
)

const ngPatience = 5 * time.Second

// An rtpengine is told by its NG protocol what to relay, in user space.
type rtpengine struct {
	child
	ng net.Conn
	n  int
}

func startRTPEngine(at place) (relay, error) {
	path, err := exec.LookPath("rtpengine")
	if err != nil {
		return nil, errors.New("rtpengine-daemon is not installed")
	}
	var free [2]string // for commands, and for a second interface that nobody uses
	for i := range free {
		probe, err := net.ListenPacket("udp4", at.host+":0")
		if err != nil {
			return nil, err
		}
		free[i] = probe.LocalAddr().String()
		probe.Close()
	}
	c, err := spawn(exec.Command(path, "--foreground", "--table=-1", "--interface="+at.host, "--listen-ng="+free[0], "--listen-cli="+free[1], "--config-file=none",
		"--port-min="+strconv.Itoa(int(at.first)), "--port-max="+strconv.Itoa(int(at.end-1)), "--log-level=1", "--timeout=3600", "--silent-timeout=3600"))
	if err != nil {
		return nil, err
	}
	r := &rtpengine{child: c}
	if r.ng, err = net.Dial("udp4", free[0]); err != nil {
		c.stop()
		return nil, err
	}
	for until := time.Now().Add(ngPatience); ; {
		if _, err = r.ask(100*time.Millisecond, "command", "ping"); err == nil {
			return r, nil
		}
		if time.Now().After(until) {
			c.stop()
			return nil, fmt.Errorf("rtpengine does not answer: %w", err)
		}
		time.Sleep(20 * time.Millisecond)
	}
}

// ask sends a command, as a dictionary of strings or lists of strings.
func (r *rtpengine) ask(patience time.Duration, pairs ...any) (string, error) {
	r.n++
	cookie := fmt.Sprintf("c%d ", r.n)
	var b bytes.Buffer
	b.WriteString(cookie + "d")
	for _, v := range pairs {
		switch v := v.(type) {
		case string:
			fmt.Fprintf(&b, "%d:%s", len(v), v)
		case []string:
			b.WriteByte('l')
			for _, s := range v {
				fmt.Fprintf(&b, "%d:%s", len(s), s)
			}
			b.WriteByte('e')
		}
	}
	b.WriteByte('e')
	if _, err := r.ng.Write(b.Bytes()); err != nil {
		return "", err
	}
	buf := make([]byte, 65536)
	r.ng.SetReadDeadline(time.Now().Add(patience))
	for {
		n, err := r.ng.Read(buf)
		if err != nil {
			return "", err
		}
		if answer, ours := strings.CutPrefix(string(buf[:n]), cookie); ours {
			if strings.Contains(answer, "6:result5:error") {
				return "", errors.New(answer)
			}
			return answer, nil
		}
	}
}

var (
	mediaLine  = regexp.MustCompile(`m=audio (\d+) `)
	opusLine   = regexp.MustCompile(`a=rtpmap:(\d+) opus/48000`)
	cryptoLine = regexp.MustCompile(`a=crypto:(\d+) (\S+) inline:([^\s|]+)`)
)

// open sets up the calls; those with SRTP by SDES, so that keys are in signalling.
func (r *rtpengine) open(l *load, k kind) error {
	host, _, _ := net.SplitHostPort(r.ng.RemoteAddr().String())
	ip := netip.MustParseAddr(host)
	for i, t := range l.calls {
		id := fmt.Sprintf("call%d", i)
		profile := "RTP/AVP"
		if k.secure != "" {
			profile = "RTP/SAVP"
		}
		flags := []string{}
		if k.speech {
			flags = []string{"codec-strip-PCMU", "codec-transcode-opus"}
		}
		answer, err := r.ask(ngPatience, "command", "offer", "call-id", id, "from-tag", "a",
			"sdp", sdpOf(t.phone, "RTP/AVP", pcmuMap), "ICE", "remove", "transport-protocol", profile,
			"replace", []string{"origin"}, "DTLS", "off", "flags", flags)
		if err != nil {
			return err
		}
		m := mediaLine.FindStringSubmatch(answer)
		if m == nil {
			return fmt.Errorf("no media in %q", answer)
		}
		port, _ := strconv.Atoi(m[1])
		t.client.aim(netip.AddrPortFrom(ip, uint16(port)))
		more := pcmuMap
		if k.speech {
			m := opusLine.FindStringSubmatch(answer)
			if m == nil {
				return fmt.Errorf("no opus in %q", answer)
			}
			pt, _ := strconv.Atoi(m[1])
			more = fmt.Sprintf("%d\r\na=rtpmap:%d opus/48000/2\r\n", pt, pt)
			t.client.speak(opusSpeech(), uint8(pt), 960)
		}
		if k.secure != "" {
			crypto, err := t.client.sdes(answer, k)
			if err != nil {
				return err
			}
			more += crypto
		}
		if answer, err = r.ask(ngPatience, "command", "answer", "call-id", id, "from-tag", "a", "to-tag", "b",
			"sdp", sdpOf(t.client, profile, more), "ICE", "remove", "transport-protocol", "RTP/AVP"); err != nil {
			return err
		}
		if m = mediaLine.FindStringSubmatch(answer); m == nil {
			return fmt.Errorf("no media in %q", answer)
		}
		port, _ = strconv.Atoi(m[1])
		t.phone.aim(netip.AddrPortFrom(ip, uint16(port)))
	}
	return nil
}

// sdes takes the offered key of a kind, and returns the line with the leg's own.
func (g *leg) sdes(offer string, k kind) (line string, err error) {
	for _, m := range cryptoLine.FindAllStringSubmatch(offer, -1) {
		if m[2] != k.secure {
			continue
		}
		theirs, err := base64.StdEncoding.DecodeString(m[3] + strings.Repeat("=", (4-len(m[3])%4)%4))
		if err != nil || len(theirs) != k.key+k.salt {
			return "", fmt.Errorf("a key of %d octets: %w", len(theirs), err)
		}
		own := keyOf(k, g.ssrc)
		c := srtp.Config{Profile: profileOf(k)}
		c.Keys.LocalMasterKey, c.Keys.LocalMasterSalt = own[:k.key], own[k.key:]
		c.Keys.RemoteMasterKey, c.Keys.RemoteMasterSalt = theirs[:k.key], theirs[k.key:]
		return fmt.Sprintf("a=crypto:%s %s inline:%s\r\n", m[1], k.secure, base64.StdEncoding.EncodeToString(own)), g.keys(c)
	}
	return "", fmt.Errorf("%s is not offered", k.secure)
}

// keyOf makes up a master key and salt.
func keyOf(k kind, n uint32) []byte {
	p := make([]byte, k.key+k.salt)
	for i := range p {
		p[i] = byte(n>>(8*(i%4))) ^ byte(37*i)
	}
	return p
}

// pcmuMap is a media line's payload type and what belongs to it.
const pcmuMap = "0\r\na=rtpmap:0 PCMU/8000\r\n"

func sdpOf(g *leg, profile, types string) string {
	return fmt.Sprintf("v=0\r\no=- 1 1 IN IP4 %[1]s\r\ns=-\r\nc=IN IP4 %[1]s\r\nt=0 0\r\nm=audio %[2]d %[3]s %[4]s",
		g.addr.Addr(), g.addr.Port(), profile, types)
}
