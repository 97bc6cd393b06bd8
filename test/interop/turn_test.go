//go:build interop

package interop

import (
	"crypto/hmac"
	"crypto/sha1"
	"encoding/base64"
	"net"
	"slices"
	"strconv"
	"strings"
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
		"--allow-loopback-peers", "--fingerprint", "--realm="+userDomain, "--use-auth-secret", "--static-auth-secret="+secret)
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

// credentials are a user and a password for the next hour, made from the secret as servers
// that name a coturn to their users do (XEP-0215).
func (c *turn) credentials() (user, password string) {
	user = strconv.FormatInt(time.Now().Add(time.Hour).Unix(), 10)
	digest := hmac.New(sha1.New, []byte(secret))
	digest.Write([]byte(user))
	return user, base64.StdEncoding.EncodeToString(digest.Sum(nil))
}

// owns checks that one of the addresses of a session is of the server: the client's, or ours.
func (c *turn) owns(t *testing.T, user *client, sid string, ours bool) {
	t.Helper()
	r := user.reception(t, sid)
	addresses, way := strings.Fields(r.Pair), r.Way
	if ours {
		slices.Reverse(addresses)
		way = r.Far
	}
	_, text, err := net.SplitHostPort(append(addresses, "")[0])
	port, _ := strconv.Atoi(text)
	if err != nil || way != "relay" || port < c.relays || port >= c.relays+relayed {
		t.Errorf("the pair is %q, by %q and %q; want one of coturn's ports from %d, of ours: %v", r.Pair, r.Way, r.Far, c.relays, ours)
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
			c.owns(t, user, sid, false)
			talk()
			b.ends(t, user, sid)
		}},
		{"to baresip, with a proposal", func(t *testing.T, b *bench) {
			user := login(t)
			sid := user.proposes(t, phoneUser)
			b.phone.accepts(t)
			user.wait(t, "accepted")
			user.hears(t, sid, phoneTone)
			c.owns(t, user, sid, false)
			talk()
			b.ends(t, user, sid)
		}},
		{"to baresip, with session-initiate", func(t *testing.T, b *bench) {
			user := login(t)
			sid := user.initiates(t, phoneUser)
			b.phone.accepts(t)
			user.wait(t, "accepted")
			user.hears(t, sid, phoneTone)
			c.owns(t, user, sid, false)
			talk()
			b.ends(t, user, sid)
		}},
	} {
		t.Run(p.name, func(t *testing.T) { b.perform(t, p) })
	}
}

// We are reached through a TURN server alone, and calls go both ways.
func TestGatewayBehindTURN(t *testing.T) {
	if !apart(t) { // elsewhere a client has addresses that we do check
		return
	}
	s, c := startProsody(t), startTurn(t)
	g := startGateway(t, s, gatewayOptions{template: "gateway-turn.yaml", values: map[string]any{"TURN": c.port}})
	b := &bench{server: s, gateway: g, browser: startBrowser(t, userTone)}
	for _, p := range []play{
		{"from SIPp", func(t *testing.T, b *bench) {
			user := b.login(t)
			call := b.sippCalls(t, "romeo", "send INVITE; recv 180; recv 200; send ACK; recv BYE; send 200")
			sid := user.answers(t)
			user.hears(t, sid, userTone) // its own, through the gateway twice
			c.owns(t, user, sid, true)
			user.do(t, nil, "end", sid, "success")
			call.finished(t)
		}},
		{"to SIPp", func(t *testing.T, b *bench) {
			user := b.login(t)
			call := b.sippWaits(t, "recv INVITE; send 180; send 200; recv ACK; recv BYE; send 200")
			sid := user.proposes(t, sippNumber)
			user.wait(t, "accepted")
			user.hears(t, sid, userTone)
			c.owns(t, user, sid, true)
			user.do(t, nil, "end", sid, "success")
			call.finished(t)
		}},
	} {
		t.Run(p.name, func(t *testing.T) { b.perform(t, p) })
	}
}
