//go:build interop

package interop

import (
	"fmt"
	"net"
	"strconv"
	"testing"
	"time"
)

// A turn is a coturn, whose relayed addresses are of 127.0.0.1.
type turn struct {
	*process
	port   int // of UDP
	relays int // the first of its ports
}

// relayed is how many ports a turn has.
const relayed = 100

func startTurn(t *testing.T) *turn {
	t.Helper()
	c := &turn{port: freePort(t), relays: freePorts(t, relayed)}
	dir := t.TempDir()
	c.process = start(t, "turnserver", processOptions{dir: dir},
		"turnserver", "-n", "--log-file=stdout", "--pidfile="+dir+"/pid", "--userdb="+dir+"/users",
		"--listening-ip=127.0.0.1", "--listening-port="+strconv.Itoa(c.port), "--no-tcp", "--no-tls", "--no-dtls", "--no-cli",
		"--relay-ip=127.0.0.1", "--min-port="+strconv.Itoa(c.relays), "--max-port="+strconv.Itoa(c.relays+relayed-1),
		"--allow-loopback-peers", "--fingerprint", "--lt-cred-mech", "--realm="+userDomain, "--user="+users[0]+":"+password)
	eventually(t, 10*time.Second, "coturn answers", c.ping)
	return c
}

// ping asks with a Binding request of STUN.
func (c *turn) ping() error {
	conn, err := net.Dial("udp", local(c.port))
	if err != nil {
		return err
	}
	defer conn.Close()
	request := []byte{0, 1, 0, 0, 0x21, 0x12, 0xa4, 0x42, 1, 2, 3, 4, 5, 6, 7, 8, 9, 10, 11, 12}
	if _, err := conn.Write(request); err != nil {
		return err
	}
	conn.SetReadDeadline(time.Now().Add(200 * time.Millisecond))
	_, err = conn.Read(make([]byte, 2000))
	return err
}

// owns checks that a session's media is relayed by it.
func (c *turn) owns(t *testing.T, user *client, sid string) {
	t.Helper()
	r := user.reception(t, sid)
	var ours, theirs string
	fmt.Sscan(r.Pair, &ours, &theirs)
	_, text, err := net.SplitHostPort(ours)
	port, _ := strconv.Atoi(text)
	if err != nil || r.Way != "relay" || port < c.relays || port >= c.relays+relayed {
		t.Errorf("the pair is %q, by %q; want the client's of coturn's ports from %d", r.Pair, r.Way, c.relays)
	}
}

// A client that reaches us through its TURN server alone calls and is called.
func TestClientBehindTURN(t *testing.T) {
	s, c := startProsody(t), startTurn(t)
	b := newBench(t, s, startBrowser(t, userTone))
	login := func(t *testing.T) *client {
		return b.browser.login(t, s, clientOptions{turn: c})
	}
	for _, p := range []play{
		{"from baresip", func(t *testing.T, b *bench) {
			user := login(t)
			sid := b.up(t, user)
			c.owns(t, user, sid)
			talk()
			b.ends(t, user, sid)
		}},
		{"to baresip, with a proposal", func(t *testing.T, b *bench) {
			user := login(t)
			sid := user.proposes(t, phoneUser)
			b.phone.accepts(t)
			user.wait(t, "accepted")
			user.hears(t, sid, phoneTone)
			c.owns(t, user, sid)
			talk()
			b.ends(t, user, sid)
		}},
		{"to baresip, with session-initiate", func(t *testing.T, b *bench) {
			user := login(t)
			sid := user.initiates(t, phoneUser)
			b.phone.accepts(t)
			user.wait(t, "accepted")
			user.hears(t, sid, phoneTone)
			c.owns(t, user, sid)
			talk()
			b.ends(t, user, sid)
		}},
	} {
		t.Run(p.name, func(t *testing.T) { b.perform(t, p) })
	}
}
