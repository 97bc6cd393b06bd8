package main

import (
	"fmt"
	"net"
	"strings"
	"testing"
	"time"

	"sipxmppgw/test/peer/jinglephone"
	"sipxmppgw/test/peer/sipphone"
	"sipxmppgw/test/peer/xmppserver"
	"sipxmppgw/test/torture"
)

// A storm of messages that chance has changed, over UDP, TCP and TLS, for a user who is there:
// a call goes on, another trunk is answered in two seconds all the time, the stream to the
// XMPP server is not begun anew, what comes out of it is whole, and nothing is left of it.
func TestStorm(t *testing.T) {
	t.Parallel()
	cert, key, err := torture.Certificate(t.TempDir())
	if err != nil {
		t.Fatal(err)
	}
	a := &attacked{stanzas: &lines{}, sip: &lines{}}
	quiet := behind{phone: sipphone.Options{Codecs: speech}}
	a.world = newWorld(t, setup{
		users:  2,
		phones: []behind{quiet, quiet, quiet, quiet},
		sip:    fmt.Sprintf(`listen: ["udp:127.0.0.1:0", "tcp:127.0.0.1:0", "tls:127.0.0.1:0"], tls: {certificate: %q, key: %q}`, cert, key),
		trunks: "  - {name: away, address: 127.0.1.9, transport: tls}\n",
		trace: func(s xmppserver.Stanza) {
			if s.Received && s.Peer == testGW {
				fmt.Fprintf(a.stanzas, "%s\n", s.XML)
			}
		},
	})
	a.client(1, "phone", jinglephone.Options{Incoming: func(c *jinglephone.Call) { _ = c.Busy() }})
	a.c, a.callee = a.dial(0, a.client(0, "phone", conversations), 0)
	answered(t, a.c, a.callee)
	speak(t, a.c, a.callee)

	before := a.d.sip.Stats().Stack
	attack := func(transport, from string, seed uint64, n int) {
		t.Helper()
		server := ""
		for _, at := range a.d.sipUp {
			if address, ok := strings.CutPrefix(at, strings.ToLower(transport)+":"); ok {
				server = address
			}
		}
		storm := torture.NewStorm(seed, number(1))
		for sent := 0; sent < n; {
			p, err := torture.Dial(transport, from, server, fmt.Sprintf("storm%d-%d", seed, sent))
			if err != nil {
				t.Fatal(err)
			}
			for range 20 {
				sent++
				if p.Send(storm.Next(p.From())) != nil {
					break // it has been closed, as it should
				}
			}
			a.inTwoSeconds(t)
			p.Close()
		}
	}
	attack("UDP", "127.0.1.2", 1, stormOf)
	attack("UDP", "127.0.1.3", 2, stormOf)
	attack("TCP", "127.0.1.4", 3, stormOf)
	attack("TLS", "127.0.1.9", 4, stormOf/2)
	speak(t, a.c, a.callee)
	a.onlyTheCall(t)
	if !poll(40*time.Second+patience, func() bool { s := a.d.sip.Stats().Stack; return s.ServerTxs+s.ClientTxs+s.Conns == 0 }) {
		t.Errorf("left: %+v", a.d.sip.Stats().Stack)
	}
	s := a.d.sip.Stats().Stack
	t.Logf("%+v", s)
	if s.Received-before.Received < stormOf*2 || s.Throttled > 0 || s.Rejected < stormOf/4 || s.Unparsed > 0 || s.Refused > 0 {
		t.Errorf("this was no storm, or one too many: %+v", s)
	}
	a.unhurt(t)
	a.over(t)
}

// inTwoSeconds has the phone's trunk ask whether the gateway is there.
func (a *attacked) inTwoSeconds(t *testing.T) {
	t.Helper()
	conn, err := net.ListenUDP("udp", &net.UDPAddr{IP: net.IPv4(127, 0, 1, 1)})
	if err != nil {
		t.Fatal(err)
	}
	defer conn.Close()
	server, err := net.ResolveUDPAddr("udp", strings.TrimPrefix(a.d.sipUp[0], "udp:"))
	if err != nil {
		t.Fatal(err)
	}
	port := conn.LocalAddr().(*net.UDPAddr).Port
	ask := strings.ReplaceAll(fmt.Sprintf("OPTIONS sip:%[1]s SIP/2.0\nVia: SIP/2.0/UDP 127.0.1.1:%[2]d;branch=z9hG4bK%[2]d-%[3]d\nMax-Forwards: 70\n"+
		"From: <sip:x@127.0.1.1>;tag=1\nTo: <sip:%[1]s>\nCall-ID: there-%[2]d-%[3]d\nCSeq: 1 OPTIONS\nContent-Length: 0\n\n", server, port, time.Now().UnixNano()), "\n", "\r\n")
	buf := make([]byte, 65536)
	for over := machine.now() + 2*time.Second; machine.now() < over; {
		// The storm may have filled the buffer of the socket, where it is lost.
		if _, err := conn.WriteToUDP([]byte(ask), server); err != nil {
			t.Fatal(err)
		}
		conn.SetReadDeadline(time.Now().Add(500 * time.Millisecond))
		if n, _, err := conn.ReadFromUDP(buf); err == nil && statusOf(string(buf[:n])) == 200 {
			return
		}
	}
	t.Fatalf("not answered in two seconds: %+v", a.d.sip.Stats().Stack)
}
