package embedded

import (
	"encoding/base64"
	"strings"
	"testing"
	"time"

	"github.com/pion/rtcp"
	"github.com/pion/rtp"
	"github.com/pion/srtp/v3"

	"sipxmppgw/gateway/call"
	"sipxmppgw/gateway/media"
	"sipxmppgw/test/mediatest"
)

// A keyedPhone is a phone whose SRTP keys are in its SDP. Its key is made of one octet, so
// that a test sees where it went.
type keyedPhone struct {
	*phone
	rx, tx *srtp.Context
}

func newKeyedPhone(t *testing.T) *keyedPhone {
	return &keyedPhone{phone: mediatest.NewPhone(t, "127.0.0.1")}
}

// keyLine is a line with a key of n octets of one value.
func keyLine(tag int, suite string, n int, octet byte) media.SDES {
	return media.SDES{Tag: tag, Suite: suite, KeyParams: inline + base64.StdEncoding.EncodeToString([]byte(strings.Repeat(string(rune(octet)), n)))}
}

// describe is an offer or an answer with those keys.
func (p *keyedPhone) Describe(profile media.Profile, keys []media.SDES, codecs ...media.Codec) media.Description {
	d := p.phone.Describe(codecs...)
	d.Streams[0].Transport.Profile, d.Streams[0].Transport.SDES = profile, keys
	return d
}

// key takes what both sides agreed on.
func (p *keyedPhone) key(mine, relays media.SDES) {
	p.T.Helper()
	profile := srtp.ProtectionProfile(suiteOf(mine).profile)
	var err error
	k, ok := readKey(relays)
	if !ok {
		p.T.Fatalf("the relay's key is bad: %q", relays.KeyParams)
	}
	if p.rx, err = srtp.CreateContext(k.key, k.salt, profile); err != nil {
		p.T.Fatal(err)
	}
	k, _ = readKey(mine)
	if p.tx, err = srtp.CreateContext(k.key, k.salt, profile); err != nil {
		p.T.Fatal(err)
	}
}

func (p *keyedPhone) Say(pt uint8, seq uint16, ts uint32, payload string) {
	p.T.Helper()
	secret, err := p.tx.EncryptRTP(nil, mediatest.Packet(pt, seq, ts, p.SSRC, payload), nil)
	if err != nil {
		p.T.Fatal(err)
	}
	if _, err := p.Conn.WriteToUDPAddrPort(secret, p.To); err != nil {
		p.T.Fatal(err)
	}
}

func (p *keyedPhone) Hear() (got rtp.Packet) {
	p.T.Helper()
	buf := make([]byte, 2000)
	p.Conn.SetReadDeadline(time.Now().Add(mediatest.Patience))
	n, err := p.Conn.Read(buf)
	if err != nil {
		p.T.Fatal(err)
	}
	plain, err := p.rx.DecryptRTP(nil, buf[:n], nil)
	if err != nil {
		p.T.Fatalf("what the phone got is not SRTP of the relay's: %v", err)
	}
	if err := got.Unmarshal(plain); err != nil {
		p.T.Fatal(err)
	}
	return got
}

func keyedPolicy(clear bool) media.Policy {
	p := sipPolicy()
	p.SDES, p.Clear = true, clear
	return p
}

// onlyKey returns the one key of an answer.
func onlyKey(t *testing.T, d media.Description, tag int, suite string) media.SDES {
	t.Helper()
	keys := d.Streams[0].Transport.SDES
	if len(keys) != 1 || keys[0].Tag != tag || keys[0].Suite != suite {
		t.Fatalf("answered with the keys %v, want tag %d of %s", keys, tag, suite)
	}
	return keys[0]
}

func TestPhoneOffersKeys(t *testing.T) {
	for i, s := range suites {
		t.Run(s.name, func(t *testing.T) {
			g := newRig(t, keyedPolicy(i%2 == 0), sipPolicy(), nil)
			a, b := newKeyedPhone(t), mediatest.NewPhone(t, "127.0.0.1")
			profile := media.SAVP
			if i%2 == 0 {
				profile = media.AVP // RFC 8643
			}
			mine := keyLine(7, s.name, s.octets(), 'k')
			b.Call(g.Offered(1, call.B, a.Describe(profile, []media.SDES{keyLine(3, "F8_128_HMAC_SHA1_80", 30, 'f'), mine}, pcmu())))
			answer := g.Answered(2, call.A, b.Describe(pcmu()))
			if tr := answer.Streams[0].Transport; tr.Profile != profile || tr.DTLS != nil {
				t.Errorf("answered with the transport %+v", tr)
			}
			relays := onlyKey(t, answer, 7, s.name)
			if relays.KeyParams == mine.KeyParams {
				t.Error("the answer has the offer's key")
			}
			a.key(mine, relays)
			a.Call(answer)
			talk(t, a, 0, b, 0)
			if p := g.Stats()[call.A].Protection; p != s.profile.String() {
				t.Errorf("protection is %s", p)
			}
			// The same key in a second offer goes on, and so does its numbering.
			mine.Tag = 1
			again := g.Joined(3, call.A, a.Describe(profile, []media.SDES{mine}, pcmu()))
			if k := onlyKey(t, again, 1, s.name); k.KeyParams != relays.KeyParams {
				t.Error("the key has changed though the peer's has not")
			}
			say(t, a, 0, b, 0, 1005)
			// Another key of the peer gets another of ours.
			mine = keyLine(1, s.name, s.octets(), 'n')
			again = g.Joined(4, call.A, a.Describe(profile, []media.SDES{mine}, pcmu()))
			if k := onlyKey(t, again, 1, s.name); k.KeyParams == relays.KeyParams {
				t.Error("the key goes on though the peer's has changed")
			}
			a.key(mine, again.Streams[0].Transport.SDES[0])
			say(t, a, 0, b, 0, 1010)
		})
	}
}

func TestPhoneIsOfferedKeys(t *testing.T) {
	for _, clear := range []bool{false, true} {
		for i, s := range suites {
			g := newRig(t, sipPolicy(), keyedPolicy(clear), nil)
			a, b := mediatest.NewPhone(t, "127.0.0.1"), newKeyedPhone(t)
			offer := g.Offered(1, call.B, a.Describe(pcmu()))
			tr := offer.Streams[0].Transport
			if want := map[bool]media.Profile{false: media.SAVP, true: media.AVP}[clear]; tr.Profile != want || len(tr.SDES) != len(suites) {
				t.Fatalf("offered %v with %v, want %v", tr.Profile, tr.SDES, want)
			}
			mine := keyLine(tr.SDES[i].Tag, s.name, s.octets(), 'k')
			a.Call(g.Answered(2, call.A, b.Describe(tr.Profile, []media.SDES{mine}, pcmu())))
			b.key(mine, tr.SDES[i])
			b.Call(offer)
			talk(t, a, 0, b, 0)
			// A second offer of ours has the key in use and no other.
			again := g.Offered(3, call.B, a.Describe(pcmu()))
			if k := onlyKey(t, again, tr.SDES[i].Tag, s.name); k.KeyParams != tr.SDES[i].KeyParams {
				t.Error("the key has changed in our second offer")
			}
			if again.Streams[0].Transport.Profile != tr.Profile {
				t.Errorf("the profile became %v", again.Streams[0].Transport.Profile)
			}
		}
	}
}

// A peer that wants no protection gets none where it may, and the session may gain and lose
// it later.
func TestKeysThatAreNotTaken(t *testing.T) {
	g := newRig(t, sipPolicy(), keyedPolicy(true), nil)
	a, b := mediatest.NewPhone(t, "127.0.0.1"), mediatest.NewPhone(t, "127.0.0.1")
	b.Call(g.Offered(1, call.B, a.Describe(pcmu())))
	a.Call(g.Answered(2, call.A, b.Describe(pcmu())))
	talk(t, a, 0, b, 0)
	k := &keyedPhone{phone: b}
	mine := keyLine(1, suites[1].name, 30, 'k')
	k.key(mine, onlyKey(t, g.Joined(3, call.B, k.Describe(media.SAVP, []media.SDES{mine}, pcmu())), 1, suites[1].name))
	say(t, a, 0, k, 0, 1005)
	if keys := g.Joined(4, call.B, b.Describe(pcmu())).Streams[0].Transport.SDES; keys != nil {
		t.Errorf("answered keys %v to a clear offer", keys)
	}
	say(t, a, 0, b, 0, 1010)
}

func TestKeysAndRefusals(t *testing.T) {
	good := keyLine(1, suites[1].name, 30, 'k')
	changed := func(change func(*media.SDES)) []media.SDES {
		k := good
		change(&k)
		return []media.SDES{k}
	}
	tests := []struct {
		name    string
		policy  media.Policy
		profile media.Profile
		keys    []media.SDES
		refused string // empty: it is answered
		clear   bool   // the answer has no key
	}{
		{name: "required, and there", policy: keyedPolicy(false), profile: media.SAVP, keys: []media.SDES{good}},
		{name: "required, with RTP/AVP", policy: keyedPolicy(false), keys: []media.SDES{good}},
		{name: "required, not there", policy: keyedPolicy(false), refused: "must be protected"},
		{name: "may be clear, not there", policy: keyedPolicy(true), clear: true},
		{name: "not wanted, optional", policy: sipPolicy(), keys: []media.SDES{good}, clear: true},
		{name: "not wanted, mandatory", policy: sipPolicy(), profile: media.SAVP, keys: []media.SDES{good}, refused: "not supported"},
		{name: "no suite of ours", policy: keyedPolicy(true), profile: media.SAVP, keys: changed(func(k *media.SDES) { k.Suite = "F8_128_HMAC_SHA1_80" }), refused: "none of the keys"},
		{name: "a short key", policy: keyedPolicy(true), profile: media.SAVP, keys: []media.SDES{keyLine(1, suites[1].name, 29, 'k')}, refused: "none of the keys"},
		{name: "not base64", policy: keyedPolicy(true), profile: media.SAVP, keys: changed(func(k *media.SDES) { k.KeyParams = "inline:!" }), refused: "none of the keys"},
		{name: "no method we know", policy: keyedPolicy(true), profile: media.SAVP, keys: changed(func(k *media.SDES) { k.KeyParams = "uri:x" }), refused: "none of the keys"},
		{name: "without protection of RTP", policy: keyedPolicy(true), profile: media.SAVP, keys: changed(func(k *media.SDES) { k.SessionParams = "UNENCRYPTED_SRTP" }), refused: "none of the keys"},
		{name: "without protection of RTCP", policy: keyedPolicy(true), profile: media.SAVP, keys: changed(func(k *media.SDES) { k.SessionParams = "UNENCRYPTED_SRTCP" }), refused: "none of the keys"},
		{name: "without authentication", policy: keyedPolicy(true), profile: media.SAVP, keys: changed(func(k *media.SDES) { k.SessionParams = "WSH=64 UNAUTHENTICATED_SRTP" }), refused: "none of the keys"},
		{name: "a window and what may be unknown", policy: keyedPolicy(true), profile: media.SAVP, keys: changed(func(k *media.SDES) { k.SessionParams = "WSH=64 -later=1" })},
		{name: "with a lifetime", policy: keyedPolicy(true), profile: media.SAVP, keys: changed(func(k *media.SDES) { k.KeyParams += "|2^31" })},
		{name: "a lifetime of seconds", policy: keyedPolicy(true), profile: media.SAVP, keys: changed(func(k *media.SDES) { k.KeyParams += "|2^8" }), refused: "none of the keys"},
		{name: "a key identifier", policy: keyedPolicy(true), profile: media.SAVP, keys: changed(func(k *media.SDES) { k.KeyParams += "|2^31|1:4" }), refused: "none of the keys"},
		{name: "DTLS is required", policy: jinglePolicy(), profile: media.SAVP, keys: []media.SDES{good}, refused: "by DTLS"},
	}
	for _, tt := range tests {
		t.Run(tt.name, func(t *testing.T) {
			g := newRig(t, tt.policy, sipPolicy(), nil)
			a, b := newKeyedPhone(t), mediatest.NewPhone(t, "127.0.0.1")
			g.Offer(1, call.B, a.Describe(tt.profile, tt.keys, pcmu()))
			if tt.refused != "" {
				f := waitFailure(g)
				if f.Cause != call.Insecure || !strings.Contains(f.Detail.Text, tt.refused) {
					t.Errorf("refused with %v %q, want %q", f.Cause, f.Detail.Text, tt.refused)
				}
				return
			}
			b.Call(mediatest.Next[call.MediaOffered](g.Rig).Media)
			if keys := g.Answered(2, call.A, b.Describe(pcmu())).Streams[0].Transport.SDES; (keys == nil) != tt.clear {
				t.Errorf("answered with the keys %v", keys)
			}
		})
	}
}

func TestAnswersToKeys(t *testing.T) {
	tests := []struct {
		name    string
		clear   bool
		profile media.Profile
		answer  func(offered []media.SDES) []media.SDES
		refused string
	}{
		{name: "no key", profile: media.SAVP, answer: func([]media.SDES) []media.SDES { return nil }, refused: "none of those"},
		{name: "clear", answer: func([]media.SDES) []media.SDES { return nil }, refused: "no key"},
		{name: "another tag", clear: true, answer: func([]media.SDES) []media.SDES { return []media.SDES{keyLine(99, suites[1].name, 30, 'k')} }, refused: "none of those"},
		{name: "another suite", clear: true, answer: func(o []media.SDES) []media.SDES { return []media.SDES{keyLine(o[0].Tag, suites[1].name, 30, 'k')} }, refused: "none of those"},
		{name: "two keys", clear: true, answer: func(o []media.SDES) []media.SDES { return o[:2] }, refused: "none of those"},
	}
	for _, tt := range tests {
		t.Run(tt.name, func(t *testing.T) {
			g := newRig(t, sipPolicy(), keyedPolicy(tt.clear), nil)
			a, b := mediatest.NewPhone(t, "127.0.0.1"), newKeyedPhone(t)
			offer := g.Offered(1, call.B, a.Describe(pcmu()))
			g.Answer(2, call.A, b.Describe(tt.profile, tt.answer(offer.Streams[0].Transport.SDES), pcmu()))
			if f := waitFailure(g); f.Cause != call.Insecure || !strings.Contains(f.Detail.Text, tt.refused) {
				t.Errorf("refused with %v %q, want %q", f.Cause, f.Detail.Text, tt.refused)
			}
		})
	}
}

// waitFailure returns the next failure.
func waitFailure(g *rig) call.MediaFailed {
	g.T.Helper()
	timeout := time.After(mediatest.Patience)
	for {
		select {
		case e := <-g.Events:
			if f, ok := e.(call.MediaFailed); ok {
				return f
			}
			if _, ok := e.(call.MediaAnswered); ok {
				g.T.Fatal("it was answered")
			}
		case <-timeout:
			g.T.Fatal("nothing failed")
		}
	}
}

// RTCP is protected too, on a port of its own: what is in the clear there is not heeded.
func TestReportsAreKeyed(t *testing.T) {
	g := newRig(t, keyedPolicy(false), sipPolicy(), quickReports)
	a, b := newKeyedPhone(t), mediatest.NewPhone(t, "127.0.0.1")
	control := mediatest.ListenOn(t, "127.0.0.1")
	mine := keyLine(1, suites[4].name, 30, 'k')
	offer := a.Describe(media.SAVP, []media.SDES{mine}, pcmu())
	offer.Streams[0].Transport.RTCP = mediatest.LocalOf(control)
	b.Call(g.Offered(1, call.B, offer))
	answer := g.Answered(2, call.A, b.Describe(pcmu()))
	a.key(mine, answer.Streams[0].Transport.SDES[0])
	a.Call(answer)
	talk(t, a, 0, b, 0)
	buf := make([]byte, 2000)
	var report *rtcp.SenderReport
	for report == nil {
		control.SetReadDeadline(time.Now().Add(mediatest.Patience))
		n, err := control.Read(buf)
		if err != nil {
			t.Fatal(err)
		}
		plain, err := a.rx.DecryptRTCP(nil, buf[:n], nil)
		if err != nil {
			t.Fatalf("a report is not SRTCP of the relay's: %v", err)
		}
		packets, err := rtcp.Unmarshal(plain)
		if err != nil {
			t.Fatal(err)
		}
		report, _ = packets[0].(*rtcp.SenderReport)
	}
	about, err := rtcp.Marshal([]rtcp.Packet{&rtcp.ReceiverReport{SSRC: a.SSRC, Reports: []rtcp.ReceptionReport{
		{SSRC: report.SSRC, LastSenderReport: uint32(report.NTPTime >> 16)},
	}}})
	if err != nil {
		t.Fatal(err)
	}
	to := netipNext(a.To)
	if _, err := control.WriteToUDPAddrPort(about, to); err != nil {
		t.Fatal(err)
	}
	eventually(t, "a clear report is dropped", func() bool {
		s := g.Stats()[call.A]
		return s.Dropped.BadAuth+s.Dropped.Malformed+s.Dropped.Replayed > 0
	})
	if g.Stats()[call.A].RoundTrip != 0 {
		t.Error("a clear report was heeded")
	}
	eventually(t, "a report is heeded", func() bool {
		secret, err := a.tx.EncryptRTCP(nil, about, nil)
		if err != nil {
			t.Fatal(err)
		}
		control.WriteToUDPAddrPort(secret, to)
		return g.Stats()[call.A].RoundTrip != 0
	})
}
