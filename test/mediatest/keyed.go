package mediatest

import (
	"bytes"
	"strings"
	"testing"
	"time"

	"github.com/pion/rtp"
	"github.com/pion/srtp/v3"

	"sipxmppgw/gateway/call"
	"sipxmppgw/gateway/media"
)

// A KeyedPhone is a phone whose SRTP keys are in its SDP (RFC 4568).
type KeyedPhone struct {
	*Phone
	RX, TX *srtp.Context // after Key
}

// NewKeyedPhone returns a phone on the loopback interface.
func NewKeyedPhone(t *testing.T) *KeyedPhone {
	t.Helper()
	return &KeyedPhone{Phone: NewPhone(t, "127.0.0.1")}
}

// KeyLine is a line with a key of n octets of one value, so that a test sees where it went.
func KeyLine(tag int, suite string, n int, octet byte) media.SDES {
	return media.NewSDES(tag, suite, bytes.Repeat([]byte{octet}, n))
}

// Keyed is a description with those keys.
func Keyed(d media.Description, profile media.Profile, keys ...media.SDES) media.Description {
	d.Streams[0].Transport.Profile, d.Streams[0].Transport.SDES = profile, keys
	return d
}

// witnesses are the SRTP of suites.
var witnesses = map[string]srtp.ProtectionProfile{
	"AEAD_AES_128_GCM":        srtp.ProtectionProfileAeadAes128Gcm,
	"AES_CM_128_HMAC_SHA1_80": srtp.ProtectionProfileAes128CmHmacSha1_80,
	"AEAD_AES_256_GCM":        srtp.ProtectionProfileAeadAes256Gcm,
	"AES_256_CM_HMAC_SHA1_80": srtp.ProtectionProfileAes256CmHmacSha1_80,
	"AES_CM_128_HMAC_SHA1_32": srtp.ProtectionProfileAes128CmHmacSha1_32,
}

// Key takes what both sides agreed on.
func (p *KeyedPhone) Key(mine, engines media.SDES) {
	p.T.Helper()
	context := func(k media.SDES) *srtp.Context {
		key, salt, ok := k.Master()
		if !ok {
			p.T.Fatalf("a key of %s is bad: %q", k.Suite, k.KeyParams)
		}
		if text := strings.TrimPrefix(k.KeyParams, "inline:"); len(text)%4 != 0 {
			p.T.Errorf("a key of %s has no padding: %q", k.Suite, text)
		}
		c, err := srtp.CreateContext(key, salt, witnesses[k.Suite])
		if err != nil {
			p.T.Fatal(err)
		}
		return c
	}
	p.TX, p.RX = context(mine), context(engines)
}

// Say implements [Peer].
func (p *KeyedPhone) Say(pt uint8, seq uint16, ts uint32, payload string) {
	p.T.Helper()
	secret, err := p.TX.EncryptRTP(nil, Packet(pt, seq, ts, p.SSRC, payload), nil)
	if err != nil {
		p.T.Fatal(err)
	}
	if _, err := p.Conn.WriteToUDPAddrPort(secret, p.To); err != nil {
		p.T.Fatal(err)
	}
}

// Hear implements [Peer].
func (p *KeyedPhone) Hear() rtp.Packet {
	p.T.Helper()
	got, ok := p.Listen(Patience)
	if !ok {
		p.T.Fatal("the phone heard nothing")
	}
	return got
}

// Listen implements [Peer].
func (p *KeyedPhone) Listen(wait time.Duration) (got rtp.Packet, ok bool) {
	p.T.Helper()
	secret, ok := p.receive(wait)
	if !ok {
		return got, false
	}
	plain, err := p.RX.DecryptRTP(nil, secret, nil)
	if err != nil {
		p.T.Fatalf("what the phone got is not SRTP of the engine's: %v", err)
	}
	if err := got.Unmarshal(plain); err != nil {
		p.T.Fatal(err)
	}
	return got, true
}

func keyedPolicy(clear bool) media.Policy {
	p := sipPolicy()
	p.SDES, p.Clear = true, clear
	return p
}

// octets is how long a key of a suite is, with its salt.
func octets(s media.Suite) int { return s.Key + s.Salt }

// onlyKey returns the one key of an answer.
func onlyKey(t *testing.T, d media.Description, tag int, suite string) media.SDES {
	t.Helper()
	keys := d.Streams[0].Transport.SDES
	if len(keys) != 1 || keys[0].Tag != tag || keys[0].Suite != suite {
		t.Fatalf("answered with the keys %v, want tag %d of %s", keys, tag, suite)
	}
	return keys[0]
}

// A phone offers keys, in a profile that demands them or in one that does not (RFC 8643).
func phoneOffersKeys(t *testing.T, e Engine) {
	for i, s := range media.Suites {
		for _, profile := range []media.Profile{media.SAVP, media.AVP} {
			t.Run(s.Name+" in "+profile.String(), func(t *testing.T) {
				g := newRig(t, e, keyedPolicy(i%2 == 0), sipPolicy())
				a, b := NewKeyedPhone(t), NewPhone(t, "127.0.0.1")
				mine := KeyLine(7, s.Name, octets(s), 'k')
				b.Call(g.Offered(1, call.B, Keyed(a.Describe(pcmu()), profile, KeyLine(3, "F8_128_HMAC_SHA1_80", 30, 'f'), mine)))
				answer := g.Answered(2, call.A, b.Describe(pcmu()))
				if tr := answer.Streams[0].Transport; tr.Profile != profile || tr.DTLS != nil {
					t.Errorf("answered with the transport %+v", tr)
				}
				engines := onlyKey(t, answer, 7, s.Name)
				if engines.KeyParams == mine.KeyParams {
					t.Error("the answer has the offer's key")
				}
				a.Key(mine, engines)
				a.Call(answer)
				talk(t, a, 0, b, 0, 1000)
				eventually(t, "the figures name the protection", func() bool { return g.Stats()[call.A].Protection != "none" })
				// The same key in a second offer goes on, and so does its numbering.
				again := g.Joined(3, call.A, Keyed(a.Describe(pcmu()), profile, mine))
				if k := onlyKey(t, again, 7, s.Name); k.KeyParams != engines.KeyParams {
					t.Error("the key has changed though the peer's has not")
				}
				talk(t, a, 0, b, 0, 1005)
				mine = KeyLine(7, s.Name, octets(s), 'n')
				again = g.Joined(4, call.A, Keyed(a.Describe(pcmu()), profile, mine))
				a.Key(mine, onlyKey(t, again, 7, s.Name))
				talk(t, a, 0, b, 0, 1010)
			})
		}
	}
}

// A phone is offered keys, and may have to take one.
func phoneIsOfferedKeys(t *testing.T, e Engine) {
	for _, clear := range []bool{false, true} {
		for i, s := range media.Suites {
			g := newRig(t, e, sipPolicy(), keyedPolicy(clear))
			a, b := NewPhone(t, "127.0.0.1"), NewKeyedPhone(t)
			offer := g.Offered(1, call.B, a.Describe(pcmu()))
			tr := offer.Streams[0].Transport
			if want := map[bool]media.Profile{false: media.SAVP, true: media.AVP}[clear]; tr.Profile != want || len(tr.SDES) != len(media.Suites) || tr.DTLS != nil {
				t.Fatalf("offered %v with %v, want %v", tr.Profile, tr.SDES, want)
			}
			if tr.SDES[i].Suite != s.Name {
				t.Errorf("number %d is %s, want %s", i, tr.SDES[i].Suite, s.Name)
			}
			mine := KeyLine(tr.SDES[i].Tag, s.Name, octets(s), 'k')
			a.Call(g.Answered(2, call.A, Keyed(b.Describe(pcmu()), tr.Profile, mine)))
			b.Key(mine, tr.SDES[i])
			b.Call(offer)
			talk(t, a, 0, b, 0, 1000)
			// A second offer of ours has the key in use and no other.
			again := g.Offered(3, call.B, a.Describe(pcmu()))
			if len(again.Streams[0].Transport.SDES) != 1 || again.Streams[0].Transport.SDES[0].KeyParams != tr.SDES[i].KeyParams {
				t.Errorf("the second offer has the keys %v", again.Streams[0].Transport.SDES)
			}
			if again.Streams[0].Transport.Profile != tr.Profile {
				t.Errorf("the profile became %v", again.Streams[0].Transport.Profile)
			}
			mine.Tag = again.Streams[0].Transport.SDES[0].Tag
			g.Answered(4, call.A, Keyed(b.Describe(pcmu()), tr.Profile, mine))
			talk(t, a, 0, b, 0, 1005)
		}
	}
}

// A phone with keys calls a client, and is called by it.
func keysBesideDTLS(t *testing.T, e Engine) {
	s := media.Suites[1]
	g := newRig(t, e, keyedPolicy(false), jinglePolicy())
	a, b := NewKeyedPhone(t), NewClient(t)
	mine := KeyLine(1, s.Name, octets(s), 'k')
	offer := g.Offered(1, call.B, Keyed(a.Describe(pcmu()), media.SAVP, mine))
	if tr := offer.Streams[0].Transport; tr.SDES != nil || tr.DTLS == nil {
		t.Errorf("B is offered the transport %+v", tr)
	}
	answer := g.Answered(2, call.A, b.Describe(media.Active, taken(t, offer, "PCMU")...))
	a.Key(mine, onlyKey(t, answer, 1, s.Name))
	a.Call(answer)
	connect(t, b, offer, false, true)
	g.Connected(call.B)
	talk(t, a, 0, b, 0, 1000)

	g = newRig(t, e, jinglePolicy(), keyedPolicy(false))
	c, d := NewClient(t), NewKeyedPhone(t)
	offer = g.Offered(1, call.B, c.Describe(media.ActPass, pcmu()))
	theirs := offer.Streams[0].Transport.SDES[1]
	mine = KeyLine(theirs.Tag, s.Name, octets(s), 'm')
	answer = g.Answered(2, call.A, Keyed(d.Describe(pcmu()), media.SAVP, mine))
	if tr := answer.Streams[0].Transport; tr.SDES != nil {
		t.Errorf("the client is answered the keys %v", tr.SDES)
	}
	d.Key(mine, theirs)
	d.Call(offer)
	connect(t, c, answer, true, answer.Streams[0].Transport.DTLS.Setup == media.Passive)
	g.Connected(call.A)
	talk(t, c, 0, d, 0, 1000)
}

// A phone with DTLS-SRTP and no ICE is called, and calls.
func phoneShakesHands(t *testing.T, e Engine) {
	policy := sipPolicy()
	policy.DTLS = true
	g := newRig(t, e, policy, policy)
	a, b := NewPhone(t, "127.0.0.1"), NewPhone(t, "127.0.0.1")
	own := a.Describe(pcmu())
	own.Streams[0].Transport.Profile = media.TLSSAVPF
	own.Streams[0].Transport.DTLS = NewClient(t).Describe(media.ActPass).Streams[0].Transport.DTLS
	offer := g.Offered(1, call.B, own)
	if tr := offer.Streams[0].Transport; tr.DTLS == nil || tr.ICE != nil || tr.Profile != media.TLSSAVPF || tr.DTLS.Setup != media.ActPass {
		t.Errorf("B is offered the transport %+v", tr)
	}
	g.Answer(2, call.A, b.Describe(taken(t, offer, "PCMU")...))
	g.failed(2, call.Insecure)
}

// A peer that wants no protection gets none where it may, and the session may gain and lose
// it later.
func keysComeAndGo(t *testing.T, e Engine) {
	s := media.Suites[1]
	g := newRig(t, e, sipPolicy(), keyedPolicy(true))
	a, b := NewPhone(t, "127.0.0.1"), NewPhone(t, "127.0.0.1")
	b.Call(g.Offered(1, call.B, a.Describe(pcmu())))
	a.Call(g.Answered(2, call.A, b.Describe(pcmu())))
	talk(t, a, 0, b, 0, 1000)
	k := &KeyedPhone{Phone: b}
	mine := KeyLine(1, s.Name, octets(s), 'k')
	k.Key(mine, onlyKey(t, g.Joined(3, call.B, Keyed(k.Describe(pcmu()), media.SAVP, mine)), 1, s.Name))
	talk(t, a, 0, k, 0, 1005)
	if keys := g.Joined(4, call.B, b.Describe(pcmu())).Streams[0].Transport.SDES; keys != nil {
		t.Errorf("answered keys %v to a clear offer", keys)
	}
	talk(t, a, 0, b, 0, 1010)
}

func keysAndRefusals(t *testing.T, e Engine) {
	is := media.Suites[1].Name
	good := KeyLine(1, is, 30, 'k')
	changed := func(change func(*media.SDES)) []media.SDES {
		k := good
		change(&k)
		return []media.SDES{k}
	}
	for _, tt := range []struct {
		name    string
		policy  media.Policy
		profile media.Profile
		keys    []media.SDES
		refused bool
		clear   bool // the answer has no key
	}{
		{name: "required, and there", policy: keyedPolicy(false), profile: media.SAVP, keys: []media.SDES{good}},
		{name: "required, with RTP/AVP", policy: keyedPolicy(false), keys: []media.SDES{good}},
		{name: "required, not there", policy: keyedPolicy(false), refused: true},
		{name: "may be clear, not there", policy: keyedPolicy(true), clear: true},
		{name: "not wanted, optional", policy: sipPolicy(), keys: []media.SDES{good}, clear: true},
		{name: "not wanted, mandatory", policy: sipPolicy(), profile: media.SAVP, keys: []media.SDES{good}, refused: true},
		{name: "no suite of ours", policy: keyedPolicy(true), profile: media.SAVP, keys: changed(func(k *media.SDES) { k.Suite = "F8_128_HMAC_SHA1_80" }), refused: true},
		{name: "a short key", policy: keyedPolicy(true), profile: media.SAVP, keys: []media.SDES{KeyLine(1, is, 29, 'k')}, refused: true},
		{name: "not base64", policy: keyedPolicy(true), profile: media.SAVP, keys: changed(func(k *media.SDES) { k.KeyParams = "inline:!" }), refused: true},
		{name: "no method we know", policy: keyedPolicy(true), profile: media.SAVP, keys: changed(func(k *media.SDES) { k.KeyParams = "uri:x" }), refused: true},
		{name: "without protection of RTP", policy: keyedPolicy(true), profile: media.SAVP, keys: changed(func(k *media.SDES) { k.SessionParams = "UNENCRYPTED_SRTP" }), refused: true},
		{name: "without protection of RTCP", policy: keyedPolicy(true), profile: media.SAVP, keys: changed(func(k *media.SDES) { k.SessionParams = "UNENCRYPTED_SRTCP" }), refused: true},
		{name: "without authentication", policy: keyedPolicy(true), profile: media.SAVP, keys: changed(func(k *media.SDES) { k.SessionParams = "WSH=64 UNAUTHENTICATED_SRTP" }), refused: true},
		{name: "a window and what may be unknown", policy: keyedPolicy(true), profile: media.SAVP, keys: changed(func(k *media.SDES) { k.SessionParams = "WSH=64 -later=1" })},
		{name: "with a lifetime", policy: keyedPolicy(true), profile: media.SAVP, keys: changed(func(k *media.SDES) { k.KeyParams += "|2^31" })},
		{name: "a lifetime of seconds", policy: keyedPolicy(true), profile: media.SAVP, keys: changed(func(k *media.SDES) { k.KeyParams += "|2^8" }), refused: true},
		{name: "a key identifier", policy: keyedPolicy(true), profile: media.SAVP, keys: changed(func(k *media.SDES) { k.KeyParams += "|2^31|1:4" }), refused: true},
		{name: "DTLS is required", policy: jinglePolicy(), profile: media.SAVP, keys: []media.SDES{good}, refused: true},
	} {
		t.Run(tt.name, func(t *testing.T) {
			g := newRig(t, e, tt.policy, sipPolicy())
			a, b := NewPhone(t, "127.0.0.1"), NewPhone(t, "127.0.0.1")
			own := Keyed(a.Describe(pcmu()), tt.profile, tt.keys...)
			if tt.refused {
				g.Offer(1, call.B, own)
				g.failed(1, call.Insecure)
				return
			}
			b.Call(g.Offered(1, call.B, own))
			if keys := g.Answered(2, call.A, b.Describe(pcmu())).Streams[0].Transport.SDES; (keys == nil) != tt.clear {
				t.Errorf("answered with the keys %v", keys)
			}
		})
	}
}

func answersToKeys(t *testing.T, e Engine) {
	is := media.Suites[1].Name
	for _, tt := range []struct {
		name    string
		clear   bool
		profile media.Profile
		answer  func(offered []media.SDES) []media.SDES
	}{
		{name: "no key", profile: media.SAVP, answer: func([]media.SDES) []media.SDES { return nil }},
		{name: "clear", answer: func([]media.SDES) []media.SDES { return nil }},
		{name: "another tag", clear: true, answer: func([]media.SDES) []media.SDES { return []media.SDES{KeyLine(99, is, 30, 'k')} }},
		{name: "another suite", clear: true, answer: func(o []media.SDES) []media.SDES { return []media.SDES{KeyLine(o[0].Tag, is, 30, 'k')} }},
		{name: "two keys", clear: true, answer: func(o []media.SDES) []media.SDES { return o[:2] }},
	} {
		t.Run(tt.name, func(t *testing.T) {
			g := newRig(t, e, sipPolicy(), keyedPolicy(tt.clear))
			a, b := NewPhone(t, "127.0.0.1"), NewPhone(t, "127.0.0.1")
			offer := g.Offered(1, call.B, a.Describe(pcmu()))
			g.Answer(2, call.A, Keyed(b.Describe(pcmu()), tt.profile, tt.answer(offer.Streams[0].Transport.SDES)...))
			g.failed(2, call.Insecure)
		})
	}
}

// A caller announces its call; the phone takes keys, and the caller describes its media after, and
// its candidates after that.
func keysBeforeTheOffer(t *testing.T, e Engine) {
	for i, s := range media.Suites {
		t.Run(s.Name, func(t *testing.T) {
			g := newRig(t, e, jinglePolicy(), keyedPolicy(i%2 == 0))
			a, b := NewClient(t), NewKeyedPhone(t)
			offer := g.Offered(1, call.B, media.Description{})
			tr := offer.Streams[0].Transport
			mine := KeyLine(tr.SDES[i].Tag, s.Name, octets(s), 'k')
			b.Key(mine, tr.SDES[i])
			b.Call(offer)
			g.Answered(2, call.A, Keyed(b.Describe(taken(t, offer, "PCMA")...), tr.Profile, mine))
			own := a.Describe(media.ActPass, pcma(), pcmu())
			own.Streams[0].Transport.ICE.Candidates = nil
			answer := g.Joined(3, call.A, own)
			g.Candidates(call.A, a.Trickled())
			connect(t, a, answer, true, answer.Streams[0].Transport.DTLS.Setup == media.Passive)
			g.Connected(call.A)
			talk(t, a, 8, b, 8, 1000)
		})
	}
}
