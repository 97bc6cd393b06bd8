//go:build interop

package interop

import (
	"net"
	"path/filepath"
	"testing"
	"time"
)

// kamailioOptions are a proxy and what is behind it.
type kamailioOptions struct {
	SIP      int      // its port of 127.0.0.1
	Gateway  int      // that of the gateway
	Phones   []string // SIP URIs at which a number rings
	Serial   bool     // one after the other, not at once
	Patience int      // milliseconds that one may ring; 0 for half a minute
	TCP      bool     // it listens on TCP too, and all calls are for the phones
}

// Next numbers the failure routes of the configuration.
func (kamailioOptions) Next(i int) int { return i + 1 }

// startKamailio starts Kamailio with a configuration of testdata, at a port of 127.0.0.1.
func startKamailio(t *testing.T, name string, port int, values any) *process {
	t.Helper()
	dir := t.TempDir()
	config := filepath.Join(dir, name)
	writeTemplate(t, name, config, values)
	p := start(t, "kamailio", processOptions{dir: dir},
		"kamailio", "-DD", "-E", "-f", config, "-m", "32", "-M", "4", "-Y", dir, "-P", filepath.Join(dir, "pid"))
	eventually(t, 20*time.Second, "kamailio has its port", func() error {
		if p.ended() {
			t.Fatalf("kamailio ended: %v\n%s", p.err, tail(p.log, 20))
		}
		return answersOptions(port)
	})
	return p
}

// answersOptions asks whether a SIP server is there.
func answersOptions(port int) error {
	c, err := net.Dial("udp", local(port))
	if err != nil {
		return err
	}
	defer c.Close()
	_, err = c.Write([]byte("OPTIONS sip:x@" + local(port) + " SIP/2.0\r\nVia: SIP/2.0/UDP " + c.LocalAddr().String() +
		";branch=z9hG4bKx;rport\r\nFrom: <sip:y@127.0.0.1>;tag=1\r\nTo: <sip:x@127.0.0.1>\r\nCall-ID: ready\r\nCSeq: 1 OPTIONS\r\nMax-Forwards: 70\r\nContent-Length: 0\r\n\r\n"))
	if err != nil {
		return err
	}
	if err := c.SetReadDeadline(time.Now().Add(200 * time.Millisecond)); err != nil {
		return err
	}
	_, err = c.Read(make([]byte, 2048))
	return err
}

// behind starts Kamailio as the trunk, a stateful proxy, and SIPp behind it, one for each script.
func (s *stage) behind(t *testing.T, o kamailioOptions, scripts ...string) []*sipp {
	t.Helper()
	var phones []*sipp
	for _, script := range scripts {
		p := startSipp(t, sippOptions{user: "phone"}, script)
		phones = append(phones, p)
		o.Phones = append(o.Phones, "sip:phone@"+local(p.port))
	}
	o.SIP, o.Gateway = s.port, s.gateway.sip
	if o.Patience == 0 {
		o.Patience = 30000
	}
	startKamailio(t, "kamailio.cfg", o.SIP, o)
	return phones
}

func finishedAll(t *testing.T, phones []*sipp) {
	t.Helper()
	for _, p := range phones {
		p.finished(t)
	}
}

// proxied are calls through a proxy that forks (INTERWORKING 2.10).
var proxied = []scene{
	{"a proxy forks to three: one is busy, one answers, one only rings", "", true, func(t *testing.T, s *stage) {
		phones := s.behind(t, kamailioOptions{},
			"recv INVITE; send 180; recv CANCEL; send 200; send 487; recv ACK",
			"recv INVITE; send 180; send 486; recv ACK",
			"recv INVITE; send 180; pause 700; send 200; recv ACK; recv BYE; send 200")
		user, sid := s.talks(t)
		user.do(t, nil, "end", sid, "success")
		finishedAll(t, phones)
	}, "normal by xmpp"},
	{"a proxy forks, and a second phone answers as it is cancelled", "", true, func(t *testing.T, s *stage) {
		phones := s.behind(t, kamailioOptions{},
			"recv INVITE; send 180; pause 700; send 200; recv ACK; recv BYE; send 200",
			"recv INVITE; send 180; recv CANCEL; send 200; send 200; recv ACK; recv BYE; send 200")
		user, sid := s.talks(t)
		user.do(t, nil, "end", sid, "success")
		finishedAll(t, phones)
		phones[0].reason(t, "BYE", 16)
	}, "normal by xmpp"},
	{"a proxy forks, and all decline or are busy", "", true, func(t *testing.T, s *stage) {
		phones := s.behind(t, kamailioOptions{},
			"recv INVITE; send 180; send 486; recv ACK",
			"recv INVITE; send 180; pause 500; send 603; recv ACK")
		user := s.login(t)
		user.do(t, nil, "propose", jidOf(s.number))
		user.ended(t, "reject", "decline")
		finishedAll(t, phones)
	}, "declined by sip"},
	{"a proxy forks, the user gives up", "", true, func(t *testing.T, s *stage) {
		ringing := "recv INVITE; send 180; recv CANCEL; send 200; send 487; recv ACK"
		phones := s.behind(t, kamailioOptions{}, ringing, ringing, ringing)
		user := s.login(t)
		sid := user.proposes(t, s.number)
		user.do(t, nil, "retract", jidOf(s.number), sid)
		finishedAll(t, phones)
	}, "cancelled by xmpp"},
	{"a proxy tries one after the other, with early media of each", "early_media: true, codecs: [PCMA]", true, func(t *testing.T, s *stage) {
		phones := s.behind(t, kamailioOptions{Serial: true},
			"recv INVITE; send 183 | Require: 100rel | RSeq: 1 | sdp; recv PRACK; send 200; pause 2500; send 486; recv ACK",
			"recv INVITE; send 183 | Require: 100rel | RSeq: 1 | sdp; recv PRACK; send 200; pause 2500; send 200 | bare; recv ACK; recv BYE; send 200")
		user, sid := s.talks(t)
		phones[0].waitFor(t, 10*time.Second, "ACK ", "")
		phones[1].waitFor(t, 10*time.Second, "ACK ", "")
		user.hears(t, sid, userTone)
		user.do(t, nil, "end", sid, "success")
		finishedAll(t, phones)
	}, "normal by xmpp"},
	{"a proxy gives up a phone that rings, then one that is not there", "", true, func(t *testing.T, s *stage) {
		o := kamailioOptions{Serial: true, Patience: 2000}
		gone := "sip:phone@" + local(freePort(t))
		last := startSipp(t, sippOptions{user: "phone"}, "recv INVITE; send 180; send 200; recv ACK; recv BYE; send 200")
		rings := startSipp(t, sippOptions{user: "phone"}, "recv INVITE; send 180; recv CANCEL; send 200; send 487; recv ACK")
		o.Phones = []string{"sip:phone@" + local(rings.port), gone, "sip:phone@" + local(last.port)}
		s.behind(t, o)
		user, sid := s.talks(t)
		user.do(t, nil, "end", sid, "success")
		rings.finished(t)
		last.finished(t)
	}, "normal by xmpp"},
	{"a call through a proxy is held, resumed and hung up along its route", "", true, func(t *testing.T, s *stage) {
		phones := s.behind(t, kamailioOptions{}, `
			recv INVITE
			send 180
			send 200
			recv ACK
			recv INVITE | body sendonly | Via: SIP/2.0/UDP 127.0.0.1
			send 200 | sdp recvonly
			recv ACK
			pause 500
			send INVITE | sdp inactive
			recv 200 | body inactive
			send ACK
			send BYE
			recv 200`)
		user, sid := s.talks(t)
		user.do(t, nil, "hold", sid)
		user.ended(t, "terminate", "success")
		finishedAll(t, phones)
	}, "normal by sip"},
	{"a call from a phone behind a proxy", "", true, func(t *testing.T, s *stage) {
		user := s.login(t)
		s.behind(t, kamailioOptions{Phones: []string{"sip:nobody@127.0.0.1"}})
		call := startSipp(t, sippOptions{target: s.port, uri: s.gateway.encodedURIOf(s.user)},
			"send INVITE; recv 180; recv 200 | Record-Route: lr; send ACK; recv BYE; send 200")
		sid := user.answers(t)
		user.hears(t, sid, userTone)
		user.do(t, nil, "end", sid, "success")
		call.finished(t)
	}, "normal by xmpp"},
	{"two real phones behind a proxy, one answers", "", true, func(t *testing.T, s *stage) {
		a, b := startPhone(t, phoneOptions{user: "a"}), startPhone(t, phoneOptions{user: "b"})
		s.behind(t, kamailioOptions{Phones: []string{a.uri(), b.uri()}})
		user := s.login(t)
		sid := user.proposes(t, s.number)
		a.wait(t, "CALL_INCOMING")
		b.accepts(t)
		a.wait(t, "CALL_CLOSED")
		user.wait(t, "accepted")
		user.hears(t, sid, phoneTone)
		b.hears(t, userTone)
		user.do(t, nil, "end", sid, "success")
		b.wait(t, "CALL_CLOSED")
	}, "normal by xmpp"},
}
