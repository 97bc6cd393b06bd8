//go:build interop

package interop

import (
	"encoding/binary"
	"errors"
	"fmt"
	"net"
	"net/netip"
	"slices"
	"strconv"
	"strings"
	"testing"
	"time"
)

// TestSIP plays what SIP asks of a call beyond the usual (INTERWORKING 2.3 to 2.12), with SIPp
// as the peer and the exact messages in its scripts.
func TestSIP(t *testing.T) {
	playAll(t, slices.Concat(silent, timers, reliable, phones, proxied, answers, changes, retries, infos))
}

// Phones that say nothing: after 30 s without a first packet, and again, they are asked whether
// they are there (INTERWORKING 2.5 row 23).
var silent = []scene{
	{"a callee that says nothing is asked, and goes on as long as it answers", "username: gateway, password: secret", false, func(t *testing.T, s *stage) {
		call := s.sippWaits(t, `
			recv INVITE
			send 180
			send 200 | sdp deaf
			recv ACK
			recv OPTIONS | within 35000 | Accept: application/sdp | no body v=0
			send 401 | WWW-Authenticate: Digest realm="sipp",nonce="one",qop="auth",algorithm=MD5
			recv OPTIONS | proves gateway:secret
			send 200
			recv OPTIONS | within 35000
			send 486
			recv BYE | proves gateway:secret
			send 200`)
		user := s.login(t)
		sid := user.proposes(t, s.number)
		user.wait(t, "accepted")
		call.waitFor(t, 75*time.Second, "OPTIONS ", "CSeq: 4 OPTIONS")
		user.do(t, nil, "end", sid, "success")
		call.finished(t)
	}, "normal by xmpp"},
	{"a caller that says nothing and has lost the call is hung up", "", false, func(t *testing.T, s *stage) {
		user := s.login(t)
		call := s.sippCalls(t, `
			send INVITE | sdp deaf
			recv 200
			send ACK
			recv OPTIONS | within 35000
			send 481
			recv BYE | Reason: Q.850;cause=41
			send 200`)
		user.answers(t)
		user.waitFor(t, 40*time.Second, "terminate")
		call.finished(t)
	}, "media_lost by sip"},
	// What is heard of a device goes before its presence (INTERWORKING 2.5 row 21).
	{"a user who loses the connection to the server goes on talking", "", false, func(t *testing.T, s *stage) {
		call := s.sippWaits(t, `
			recv INVITE
			send 180
			send 200
			recv ACK
			pause 25000
			send BYE
			recv 200`)
		user, sid := s.talks(t)
		user.do(t, nil, "appear", jidOf(s.number))
		user.do(t, nil, "disconnect")
		eventually(t, 20*time.Second, "the gateway takes the device for gone", func() error {
			if !strings.Contains(strings.Join(s.lines(), "\n"), "device has left") {
				return errors.New("it does not")
			}
			return nil
		})
		user.hears(t, sid, userTone)
		call.finished(t)
	}, "normal by sip"},
}

// Session timers (RFC 4028, INTERWORKING 2.8). 90 seconds is the least that the RFC allows,
// so these take their time, beside the others.
var timers = []scene{
	{"a caller that does not refresh is hung up", "", false, func(t *testing.T, s *stage) {
		user := s.login(t)
		call := s.sippCalls(t, `
			send INVITE | Supported: timer | Session-Expires: 30 | Min-SE: 30
			recv 422 | Min-SE: 90
			send ACK
			send INVITE | Supported: timer | Session-Expires: 90;refresher=uac
			recv 200 | Session-Expires: 90;refresher=uac | Require: timer
			send ACK
			recv BYE | within 70000
			send 200`)
		sid := user.answers(t)
		begun := time.Now()
		user.hears(t, sid, userTone)
		user.waitFor(t, 70*time.Second, "terminate")
		if took := time.Since(begun); took < 55*time.Second || took > 65*time.Second {
			t.Errorf("it took %v, want 60 s", took)
		}
		call.finished(t)
		if bye := call.received(t, "BYE"); !strings.Contains(bye, "Reason: SIP;cause=408") {
			t.Errorf("no reason 408 in\n%s", bye)
		}
	}, "timeout by sip"},
	{"a callee that has the gateway refresh is asked by UPDATE", "", false, func(t *testing.T, s *stage) {
		call := s.sippWaits(t, `
			recv INVITE | Supported: .*timer | Session-Expires: 1800 | Min-SE: 90
			send 180
			send 200 | Supported: timer | Session-Expires: 90;refresher=uac | Allow: INVITE, ACK, BYE, CANCEL, UPDATE
			recv ACK
			recv UPDATE | within 50000 | Session-Expires: 90;refresher=uac | no body v=0
			send 500 | Retry-After: 5
			recv UPDATE | Session-Expires: 90;refresher=uac
			send 200 | Session-Expires: 90;refresher=uac
			recv BYE
			send 200`)
		user, sid := s.talks(t)
		call.waitFor(t, 65*time.Second, "UPDATE ", "CSeq: 3 UPDATE")
		user.do(t, nil, "end", sid, "success")
		call.finished(t)
	}, "normal by xmpp"},
	{"a caller that has the gateway refresh is asked by re-INVITE", "", false, func(t *testing.T, s *stage) {
		user := s.login(t)
		call := s.sippCalls(t, `
			send INVITE | Supported: timer | Session-Expires: 90;refresher=uas | Allow: INVITE, ACK, BYE, CANCEL
			recv 200 | Session-Expires: 90;refresher=uas
			send ACK
			recv INVITE | within 50000 | Session-Expires: 90;refresher=uac | body m=audio
			send 200 | Session-Expires: 90;refresher=uac
			recv ACK
			recv BYE
			send 200`)
		sid := user.answers(t)
		user.hears(t, sid, userTone)
		call.waitFor(t, 55*time.Second, "ACK sip:+", "CSeq: 1 ACK")
		user.hears(t, sid, userTone)
		user.do(t, nil, "end", sid, "success")
		call.finished(t)
		call.sameOrigin(t)
	}, "normal by xmpp"},
	{"a caller that has lost the call answers the refresh with 481", "", false, func(t *testing.T, s *stage) {
		user := s.login(t)
		call := s.sippCalls(t, `
			send INVITE | Supported: timer | Session-Expires: 90;refresher=uas | Allow: INVITE, ACK, BYE, CANCEL, UPDATE
			recv 200 | Session-Expires: 90;refresher=uas
			send ACK
			recv UPDATE | within 50000
			send 481
			recv BYE
			send 481`)
		sid := user.answers(t)
		user.hears(t, sid, userTone)
		user.waitFor(t, 55*time.Second, "terminate")
		call.finished(t)
	}, "out_of_sequence by sip"},
	{"a callee with a longer least interval gets it", "", false, func(t *testing.T, s *stage) {
		call := s.sippWaits(t, `
			recv INVITE | Session-Expires: 1800
			send 422 | Min-SE: 3600
			recv ACK
			recv INVITE | Session-Expires: 3600 | Min-SE: 3600
			send 180
			send 200 | Supported: timer | Session-Expires: 3600;refresher=uas
			recv ACK
			recv BYE
			send 200`)
		user, sid := s.talks(t)
		user.do(t, nil, "end", sid, "success")
		call.finished(t)
	}, "normal by xmpp"},
	{"a caller refreshes by UPDATE and by re-INVITE", "", false, func(t *testing.T, s *stage) {
		user := s.login(t)
		call := s.sippCalls(t, `
			send INVITE | Supported: timer | Session-Expires: 120
			recv 200 | Session-Expires: 120;refresher=uac | Require: timer
			send ACK
			send UPDATE | Supported: timer | Session-Expires: 60
			recv 422 | Min-SE: 90
			send UPDATE | Supported: timer | Session-Expires: 120;refresher=uac
			recv 200 | Session-Expires: 120;refresher=uac | no body v=0
			send INVITE | Supported: timer | Session-Expires: 120;refresher=uac
			recv 200 | Session-Expires: 120;refresher=uac | body m=audio
			send ACK
			recv BYE
			send 200`)
		sid := user.answers(t)
		user.hears(t, sid, userTone)
		user.do(t, nil, "end", sid, "success")
		call.finished(t)
		call.sameOrigin(t)
	}, "normal by xmpp"},
}

// Reliable provisional responses, early dialogs and forks (RFC 3262, RFC 6228, INTERWORKING
// 2.7 and 2.10).
var reliable = []scene{
	{"a caller that never sends PRACK is refused", "", false, func(t *testing.T, s *stage) {
		user := s.login(t)
		call := s.sippCalls(t, `
			send INVITE | Require: 100rel
			recv 180 | Require: 100rel | reliable
			recv 504 | within 40000
			send ACK`)
		user.rings(t)
		user.waitFor(t, 40*time.Second, "retract")
		call.finished(t)
		if n := call.count(t, "SIP/2.0 180"); n != 7 { // at 0, 0.5, 1.5, 3.5, 7.5, 15.5, 31.5 s
			t.Errorf("the 180 came %d times, want 7", n)
		}
	}, "timeout by sip"},
	{"a caller that requires 100rel", "", false, func(t *testing.T, s *stage) {
		user := s.login(t)
		call := s.sippCalls(t, `
			send INVITE | Require: 100rel
			recv 180 | Require: 100rel | Contact: sip: | reliable
			send PRACK | RAck: 1 1 INVITE
			recv 481
			send PRACK
			recv 200
			send UPDATE | sdp sendonly
			recv 500 | Retry-After: [0-9]+
			recv 200 | no RSeq | body m=audio
			send ACK
			recv BYE
			send 200`)
		e := user.rings(t)
		call.waitFor(t, 10*time.Second, "SIP/2.0 500", "")
		user.do(t, nil, "proceed", e.From, e.SID)
		user.wait(t, "initiate")
		user.connected(t)
		user.hears(t, e.SID, userTone)
		user.do(t, nil, "end", e.SID, "success")
		call.finished(t)
	}, "normal by xmpp"},
	{"a caller that only supports 100rel hears of ringing as always", "", false, func(t *testing.T, s *stage) {
		user := s.login(t)
		call := s.sippCalls(t, `
			send INVITE | Supported: 100rel
			recv 180 | no RSeq
			recv 486
			send ACK`)
		e := user.rings(t)
		call.waitFor(t, 10*time.Second, "SIP/2.0 180", "")
		user.do(t, nil, "reject", e.From, e.SID, "busy")
		call.finished(t)
	}, "busy by xmpp"},
	{"a caller that cancels before its PRACK", "", false, func(t *testing.T, s *stage) {
		user := s.login(t)
		call := s.sippCalls(t, `
			send INVITE | Require: 100rel
			recv 180 | reliable
			send CANCEL
			recv 200
			recv 487
			send ACK`)
		user.rings(t)
		user.ended(t, "retract", "cancel")
		call.finished(t)
	}, "cancelled by sip"},
	{"the answer is in a reliable 183, and more of them out of order", "", false, func(t *testing.T, s *stage) {
		call := s.sippWaits(t, `
			recv INVITE | Supported: .*100rel | no Require
			send 183 | Require: 100rel | RSeq: 7 | sdp
			recv PRACK | RAck: 7 [0-9]+ INVITE
			send 200
			send 183 | Require: 100rel | RSeq: 7 | sdp
			send 180 | Require: 100rel | RSeq: 9
			send 180 | Require: 100rel | RSeq: 8
			recv PRACK | RAck: 8 [0-9]+ INVITE
			send 200
			send 200 | bare
			recv ACK
			recv BYE
			send 200`)
		user, sid := s.talks(t)
		user.do(t, nil, "end", sid, "success")
		call.finished(t)
	}, "normal by xmpp"},
	{"a PRACK that is lost is sent again", "", false, func(t *testing.T, s *stage) {
		call := s.sippWaits(t, `
			recv INVITE
			send 183 | Require: 100rel | RSeq: 1 | sdp
			recv PRACK | RAck: 1 [0-9]+ INVITE
			pause 1700
			send 200
			send 200 | bare
			recv ACK
			recv BYE
			send 200`)
		user := s.login(t)
		var sid string
		user.do(t, &sid, "propose", jidOf(s.number))
		user.wait(t, "accepted")
		user.do(t, nil, "end", sid, "success")
		call.finished(t)
		if n := call.count(t, "PRACK"); n != 3 { // at 0, 0.5 and 1.5 s
			t.Errorf("the PRACK came %d times, want 3", n)
		}
	}, "normal by xmpp"},
	{"announcements before the answer are heard", "early_media: true, codecs: [PCMA]", false, func(t *testing.T, s *stage) {
		call := s.sippWaits(t, `
			recv INVITE
			send 183 | Require: 100rel | RSeq: 1 | sdp
			recv PRACK
			send 200
			pause 5000
			send 200
			recv ACK
			recv BYE
			send 200`)
		user, sid := s.talks(t)
		if call.count(t, "ACK sip") > 0 {
			t.Error("heard only after the answer")
		}
		call.waitFor(t, 10*time.Second, "ACK sip", "")
		user.hears(t, sid, userTone)
		user.do(t, nil, "end", sid, "success")
		call.finished(t)
	}, "normal by xmpp"},
	{"announcements in an unreliable 183 are heard", "early_media: true, codecs: [PCMA]", false, func(t *testing.T, s *stage) {
		call := s.sippWaits(t, `
			recv INVITE
			send 183 | sdp
			pause 4000
			send 486
			recv ACK`)
		user, _ := s.talks(t)
		user.ended(t, "terminate", "busy")
		call.finished(t)
	}, "busy by sip"},
	{"an early dialog ends with 199, another answers", "", false, func(t *testing.T, s *stage) {
		call := s.sippWaits(t, `
			recv INVITE
			send 180 | tag a
			send 183 | tag b | sdp PCMU
			send 199 | tag b
			send 199 | tag a
			send 180 | tag c
			send 200 | tag c
			recv ACK | To: t1c
			recv BYE | To: t1c
			send 200`)
		user, sid := s.talks(t)
		user.do(t, nil, "end", sid, "success")
		call.finished(t)
	}, "normal by xmpp"},
	{"two forks answer, the second is hung up", "", false, func(t *testing.T, s *stage) {
		call := s.sippWaits(t, `
			recv INVITE
			send 180 | tag a
			send 180 | tag b
			send 200 | tag a
			recv ACK | To: t1a
			send 200 | tag b | sdp PCMU
			recv ACK | To: t1b
			recv BYE | To: t1b
			send 200
			recv BYE | To: t1a
			send 200`)
		user, sid := s.talks(t)
		user.do(t, nil, "end", sid, "success")
		call.finished(t)
	}, "normal by xmpp"},
	{"the answer crosses our CANCEL", "", false, func(t *testing.T, s *stage) {
		call := s.sippWaits(t, `
			recv INVITE
			send 180
			recv CANCEL
			send 200
			send 200
			recv ACK
			recv BYE
			send 200`)
		user := s.login(t)
		sid := user.proposes(t, s.number)
		user.do(t, nil, "retract", jidOf(s.number), sid)
		call.finished(t)
	}, "cancelled by xmpp"},
	{"our answer crosses the caller's CANCEL", "", false, func(t *testing.T, s *stage) {
		user := s.login(t)
		call := s.sippCalls(t, `
			send INVITE
			recv 200
			send CANCEL
			recv 200
			send ACK
			recv BYE
			send 200`)
		sid := user.answers(t)
		user.hears(t, sid, userTone)
		user.do(t, nil, "end", sid, "success")
		call.finished(t)
	}, "normal by xmpp"},
	{"a caller hangs up before the answer with BYE", "", false, func(t *testing.T, s *stage) {
		user := s.login(t)
		call := s.sippCalls(t, `
			send INVITE | Require: 100rel
			recv 180 | reliable
			send PRACK
			recv 200
			send BYE
			recv 200
			recv 487
			send ACK`)
		user.rings(t)
		user.ended(t, "retract", "cancel")
		call.finished(t)
	}, "cancelled by sip"},
}

// INVITE without SDP (INTERWORKING 2.5 row 2).
var answers = []scene{
	{"a user takes back a call that is up, by message", "", false, func(t *testing.T, s *stage) {
		call := s.sippWaits(t, `
			recv INVITE
			send 180
			send 200
			recv ACK
			recv BYE | Reason: Q.850;cause=16
			send 200`)
		user, sid := s.talks(t)
		user.do(t, nil, "retract", jidOf(s.number), sid)
		user.ended(t, "terminate", "cancel")
		call.finished(t)
	}, "normal by xmpp"},
	{"an INVITE without SDP is answered with our offer", "codecs: [PCMA]", false, func(t *testing.T, s *stage) {
		user := s.login(t)
		call := s.sippCalls(t, `
			send INVITE | bare
			recv 200 | body m=audio
			send ACK | sdp
			recv BYE
			send 200`)
		sid := user.answers(t)
		user.hears(t, sid, userTone)
		user.do(t, nil, "end", sid, "success")
		call.finished(t)
	}, "normal by xmpp"},
	{"an INVITE without SDP that requires 100rel has our offer in the first reliable message", "codecs: [PCMA]", false, func(t *testing.T, s *stage) {
		user := s.login(t)
		call := s.sippCalls(t, `
			send INVITE | bare | Require: 100rel
			recv 200 | body m=audio
			send ACK | sdp
			recv BYE
			send 200`)
		sid := user.answers(t)
		user.hears(t, sid, userTone)
		user.do(t, nil, "end", sid, "success")
		call.finished(t)
	}, "normal by xmpp"},
	{"an ACK without the answer to our offer ends the call", "", false, func(t *testing.T, s *stage) {
		user := s.login(t)
		call := s.sippCalls(t, `
			send INVITE | bare
			recv 200 | body m=audio
			send ACK
			recv BYE
			send 200`)
		e := user.rings(t)
		user.do(t, nil, "proceed", e.From, e.SID)
		user.wait(t, "terminate")
		call.finished(t)
	}, "incompatible by sip"},
	{"a re-INVITE without SDP gets our offer again", "", false, func(t *testing.T, s *stage) {
		user := s.login(t)
		call := s.sippCalls(t, `
			send INVITE
			recv 200
			send ACK
			send INVITE | bare
			recv 200 | body m=audio
			send ACK | sdp
			pause 1500
			send INVITE | bare
			recv 200 | body m=audio
			send ACK | sdp sendonly
			pause 1500
			send INVITE | bare
			recv 200 | body m=audio
			send ACK | sdp
			recv BYE
			send 200`)
		sid := user.answers(t)
		user.told(t, "hold")
		user.told(t, "active")
		user.hears(t, sid, userTone)
		user.do(t, nil, "end", sid, "success")
		call.finished(t)
	}, "normal by xmpp"},
	{"a callee gets a re-INVITE without SDP answered", "", false, func(t *testing.T, s *stage) {
		call := s.sippWaits(t, `
			recv INVITE
			send 180
			send 200
			recv ACK
			pause 2000
			send INVITE | bare
			recv 200 | body m=audio
			send ACK | sdp
			recv BYE
			send 200`)
		user := s.login(t)
		sid := user.proposes(t, s.number)
		user.wait(t, "accepted")
		call.waitFor(t, 10*time.Second, "SIP/2.0 200", "CSeq: 1 INVITE")
		user.hears(t, sid, userTone)
		user.do(t, nil, "end", sid, "success")
		call.finished(t)
	}, "normal by xmpp"},
}

// Changes of a session, and those that cross (INTERWORKING 2.6, 2.10 and 2.12).
var changes = []scene{
	{"a caller holds and resumes by UPDATE", "", false, func(t *testing.T, s *stage) {
		user := s.login(t)
		call := s.sippCalls(t, `
			send INVITE
			recv 200 | Allow: .*UPDATE
			send ACK
			pause 1500
			send UPDATE | sdp sendonly
			recv 200 | body recvonly | Contact: sip:
			pause 1500
			send UPDATE
			recv 200 | no body v=0
			send UPDATE | sdp sendrecv
			recv 200 | body m=audio | no body recvonly
			recv BYE
			send 200`)
		sid := user.answers(t)
		if e := user.wait(t, "modify"); e.Name != "initiator" {
			t.Errorf("senders is %q, want initiator", e.Name)
		}
		user.told(t, "hold")
		if e := user.wait(t, "modify"); e.Name != "both" {
			t.Errorf("senders is %q, want both", e.Name)
		}
		user.told(t, "active")
		user.hears(t, sid, userTone)
		user.do(t, nil, "end", sid, "success")
		call.finished(t)
	}, "normal by xmpp"},
	{"a callee holds and resumes by re-INVITE", "", false, func(t *testing.T, s *stage) {
		call := s.sippWaits(t, `
			recv INVITE
			send 180
			send 200
			recv ACK
			pause 2000
			send INVITE | sdp sendonly
			recv 200 | body recvonly
			send ACK
			pause 1000
			send INVITE | sdp inactive
			recv 200 | body inactive
			send ACK
			pause 1000
			send INVITE | sdp sendrecv
			recv 200 | no body inactive
			send ACK
			recv BYE
			send 200`)
		user := s.login(t)
		sid := user.proposes(t, s.number)
		user.wait(t, "accepted")
		user.told(t, "hold")
		user.told(t, "active")
		user.hears(t, sid, userTone)
		user.do(t, nil, "end", sid, "success")
		call.finished(t)
	}, "normal by xmpp"},
	{"the user holds and resumes", "", false, func(t *testing.T, s *stage) {
		call := s.sippWaits(t, `
			recv INVITE
			send 180
			send 200
			recv ACK
			recv INVITE | body sendonly
			send 200 | sdp recvonly
			recv ACK
			recv INVITE | no body sendonly
			send 200
			recv ACK
			recv BYE
			send 200`)
		user, sid := s.talks(t)
		user.do(t, nil, "hold", sid)
		call.waitFor(t, 10*time.Second, "ACK sip", "CSeq: 2 ACK")
		user.do(t, nil, "resume", sid)
		call.waitFor(t, 10*time.Second, "ACK sip", "CSeq: 3 ACK")
		user.hears(t, sid, userTone)
		user.do(t, nil, "end", sid, "success")
		call.finished(t)
	}, "normal by xmpp"},
	{"changes cross, we called", "", false, func(t *testing.T, s *stage) {
		call := s.sippWaits(t, `
			recv INVITE
			send 180
			send 200
			recv ACK
			recv INVITE | body sendonly
			send INVITE | once
			recv 491
			send ACK
			send UPDATE | sdp | once
			recv 491
			send 491
			recv ACK
			recv INVITE | body sendonly
			send 200 | sdp recvonly
			recv ACK
			recv BYE
			send 200`)
		user, sid := s.talks(t)
		user.do(t, nil, "hold", sid)
		call.waitFor(t, 10*time.Second, "ACK sip", "CSeq: 3 ACK")
		user.do(t, nil, "end", sid, "success")
		call.finished(t)
		// RFC 3261 section 14.1: who owns the Call-ID waits from 2.1 to 4 s.
		call.between(t, 2, 3, 2100*time.Millisecond, 4*time.Second)
	}, "normal by xmpp"},
	{"changes cross, we were called", "", false, func(t *testing.T, s *stage) {
		user := s.login(t)
		call := s.sippCalls(t, `
			send INVITE
			recv 200
			send ACK
			recv INVITE | body sendonly
			send INVITE | once
			recv 491
			send ACK
			send 491
			recv ACK
			recv INVITE | body sendonly
			send 200 | sdp recvonly
			recv ACK
			recv BYE
			send 200`)
		sid := user.answers(t)
		user.hears(t, sid, userTone)
		user.do(t, nil, "hold", sid)
		call.waitFor(t, 10*time.Second, "ACK sip", "CSeq: 2 ACK")
		user.do(t, nil, "end", sid, "success")
		call.finished(t)
		call.between(t, 1, 2, 0, 2*time.Second)
	}, "normal by xmpp"},
	{"a change that we refuse leaves the session as it was", "", false, func(t *testing.T, s *stage) {
		user := s.login(t)
		call := s.sippCalls(t, `
			send INVITE
			recv 200
			send ACK
			send INVITE | body application/sdp v=0\no=- 1 2 IN IP4 127.0.0.1\ns=-\nc=IN IP4 127.0.0.1\nt=0 0\nm=audio 9 RTP/AVP 99\na=rtpmap:99 unheard/8000\n
			recv 488
			send ACK
			send INVITE | body text/plain hello
			recv 415 | Accept: application/sdp
			send ACK
			send UPDATE | body application/sdp v=0\no=- 1 3 IN IP4 127.0.0.1\ns=-\nc=IN IP4 127.0.0.1\nt=0 0\nm=audio 9 RTP/AVP 99\na=rtpmap:99 unheard/8000\n
			recv 488
			recv BYE
			send 200`)
		sid := user.answers(t)
		call.waitFor(t, 10*time.Second, "SIP/2.0 488", "UPDATE")
		user.hears(t, sid, userTone)
		user.do(t, nil, "end", sid, "success")
		call.finished(t)
	}, "normal by xmpp"},
	{"a callee that refuses our change stays", "", false, func(t *testing.T, s *stage) {
		call := s.sippWaits(t, `
			recv INVITE
			send 180
			send 200
			recv ACK
			recv INVITE | body sendonly
			send 488
			recv ACK
			recv BYE
			send 200`)
		user, sid := s.talks(t)
		user.do(t, nil, "hold", sid)
		call.waitFor(t, 10*time.Second, "ACK sip", "CSeq: 2 ACK")
		user.do(t, nil, "end", sid, "success")
		call.finished(t)
	}, "normal by xmpp"},
}

// What is tried again, and how (INTERWORKING 2.4 rows 12 to 15).
var retries = []scene{
	{"sent on to other places", "", false, func(t *testing.T, s *stage) {
		first, second := freePort(t), freePort(t)
		o := sippOptions{host: s.host, port: first, user: s.number}
		busy := startSipp(t, o, "recv INVITE; send 404; recv ACK")
		o.port = second
		call := startSipp(t, o, "recv INVITE; send 180; send 200; recv ACK; recv BYE; send 200")
		redirect := s.sippWaits(t, "recv INVITE; send 302 | Contact: <sip:two@"+s.address(second)+">;q=0.1, <sip:one@"+s.address(first)+">;q=0.7, <sip:elsewhere@192.0.2.1>; recv ACK")
		user, sid := s.talks(t)
		user.do(t, nil, "end", sid, "success")
		redirect.finished(t)
		busy.finished(t)
		call.finished(t)
	}, "normal by xmpp"},
	{"challenged at every request", "username: gateway, password: secret", false, func(t *testing.T, s *stage) {
		call := s.sippWaits(t, `
			recv INVITE | no Authorization
			send 401 | WWW-Authenticate: Digest realm="sipp",nonce="one",qop="auth",algorithm=MD5
			recv ACK
			recv INVITE | proves gateway:secret
			send 180
			send 200
			recv ACK
			recv INVITE | body sendonly
			send 401 | WWW-Authenticate: Digest realm="sipp",nonce="two",qop="auth",algorithm=MD5,stale=TRUE
			recv ACK
			recv INVITE | body sendonly | proves gateway:secret
			send 200 | sdp recvonly
			recv ACK
			recv BYE
			send 401 | WWW-Authenticate: Digest realm="sipp",nonce="three",qop="auth",algorithm=MD5,stale=TRUE
			recv BYE | proves gateway:secret
			send 200`)
		user, sid := s.talks(t)
		user.do(t, nil, "hold", sid)
		call.waitFor(t, 10*time.Second, "ACK sip", "CSeq: 4 ACK")
		user.do(t, nil, "end", sid, "success")
		call.finished(t)
	}, "normal by xmpp"},
	{"challenged by the proxy, then by the phone behind it", "username: gateway, password: secret", false, func(t *testing.T, s *stage) {
		call := s.sippWaits(t, `
			recv INVITE
			send 407 | Proxy-Authenticate: Digest realm="proxy",nonce="p",algorithm=MD5
			recv ACK
			recv INVITE | Proxy-Authorization: realm="proxy".*response="[0-9a-f]{32}"
			send 401 | WWW-Authenticate: Digest realm="phone",nonce="q",qop="auth",algorithm=MD5
			recv ACK
			recv INVITE | proves gateway:secret | Proxy-Authorization: realm="proxy"
			send 180
			send 200
			recv ACK
			recv BYE
			send 200`)
		user := s.login(t)
		sid := user.proposes(t, s.number)
		user.wait(t, "accepted")
		user.do(t, nil, "end", sid, "success")
		call.finished(t)
	}, "normal by xmpp"},
	{"a password that is not wanted is shown once", "username: gateway, password: wrong", false, func(t *testing.T, s *stage) {
		call := s.sippWaits(t, `
			recv INVITE
			send 401 | WWW-Authenticate: Digest realm="sipp",nonce="one",qop="auth",algorithm=MD5
			recv ACK
			recv INVITE | Authorization: username="gateway"
			send 401 | WWW-Authenticate: Digest realm="sipp",nonce="two",qop="auth",algorithm=MD5
			recv ACK`)
		user := s.login(t)
		user.do(t, nil, "propose", jidOf(s.number))
		user.wait(t, "reject")
		call.finished(t)
	}, "unauthorized by sip"},
	{"an offer that is refused is made smaller", "", false, func(t *testing.T, s *stage) {
		call := s.sippWaits(t, `
			recv INVITE | body opus
			send 488
			recv ACK
			recv INVITE | no body opus | body PCMA
			send 180
			send 200
			recv ACK
			recv BYE
			send 200`)
		user, sid := s.talks(t)
		user.do(t, nil, "end", sid, "success")
		call.finished(t)
	}, "normal by xmpp"},
	{"an offer of an unknown kind is made smaller", "", false, func(t *testing.T, s *stage) {
		call := s.sippWaits(t, `
			recv INVITE | body opus
			send 415 | Accept: application/sdp
			recv ACK
			recv INVITE | no body opus
			send 486
			recv ACK`)
		user := s.login(t)
		user.do(t, nil, "propose", jidOf(s.number))
		user.ended(t, "reject", "busy")
		call.finished(t)
	}, "busy by sip"},
	{"extensions that are refused are left out", "", false, func(t *testing.T, s *stage) {
		call := s.sippWaits(t, `
			recv INVITE | Supported: timer
			send 420 | Unsupported: timer
			recv ACK
			recv INVITE | no Supported | no Session-Expires
			send 180
			send 200
			recv ACK
			recv BYE
			send 200`)
		user := s.login(t)
		sid := user.proposes(t, s.number)
		user.wait(t, "accepted")
		user.do(t, nil, "end", sid, "success")
		call.finished(t)
	}, "normal by xmpp"},
	{"an extension that is wanted is required", "", false, func(t *testing.T, s *stage) {
		call := s.sippWaits(t, `
			recv INVITE | no Require
			send 421 | Require: 100rel
			recv ACK
			recv INVITE | Require: 100rel
			send 180 | Require: 100rel | RSeq: 1
			recv PRACK
			send 200
			send 200
			recv ACK
			recv BYE
			send 200`)
		user := s.login(t)
		sid := user.proposes(t, s.number)
		user.wait(t, "accepted")
		user.do(t, nil, "end", sid, "success")
		call.finished(t)
	}, "normal by xmpp"},
	{"an extension that we have not got is refused", "", false, func(t *testing.T, s *stage) {
		s.sippCalls(t, "send INVITE | Require: 100rel, precondition; recv 420 | Unsupported: precondition; send ACK").finished(t)
	}, ""},
	{"a call that is pending at the other end is tried again", "", false, func(t *testing.T, s *stage) {
		call := s.sippWaits(t, `
			recv INVITE
			send 491
			recv ACK
			recv INVITE
			send 486
			recv ACK`)
		user := s.login(t)
		user.do(t, nil, "propose", jidOf(s.number))
		user.ended(t, "reject", "busy")
		call.finished(t)
	}, "busy by sip"},
}

// Requests in the dialog, and digits in INFO (INTERWORKING 2.6 and 2.12).
var infos = []scene{
	{"requests in the dialog", "", false, func(t *testing.T, s *stage) {
		user := s.login(t)
		call := s.sippCalls(t, `
			send INVITE
			recv 200
			send ACK
			send OPTIONS
			recv 200 | Allow: .*UPDATE
			send INFO
			recv 200
			send INFO | Info-Package: unheard-of | body text/plain hello
			recv 469 | Recv-Info:
			send INFO | body text/plain hello
			recv 415 | Accept: application/dtmf-relay
			send MESSAGE | body text/plain hello
			recv 202
			send PRACK | RAck: 1 1 INVITE
			recv 481
			send SUBSCRIBE | Event: unheard-of
			recv 489 | Allow-Events:
			send BYE
			recv 200`)
		e := user.rings(t)
		user.do(t, nil, "proceed", e.From, e.SID)
		user.ended(t, "terminate", "success")
		call.finished(t)
	}, "normal by sip"},
	{"a caller presses digits in INFO", "", false, func(t *testing.T, s *stage) {
		user := s.login(t)
		call := s.sippCalls(t, `
			send INVITE
			recv 200
			send ACK
			pause 2000
			send INFO | body application/dtmf-relay Signal=5\nDuration=160\n
			recv 200
			pause 400
			send INFO | body application/dtmf #
			recv 200
			pause 400
			send INFO | body application/dtmf-relay Signal=Z\nDuration=160\n
			recv 400
			recv BYE
			send 200`)
		sid := user.answers(t)
		user.do(t, nil, "mute", sid, true) // what SIPp sends back would hide them
		user.do(t, nil, "watchTones", sid)
		user.hearsDigits(t, sid, "5#")
		call.waitFor(t, 10*time.Second, "SIP/2.0 400", "")
		user.do(t, nil, "end", sid, "success")
		call.finished(t)
	}, "normal by xmpp"},
	{"the user's digits become INFO for a callee without telephone-event", "", false, func(t *testing.T, s *stage) {
		call := s.sippWaits(t, `
			recv INVITE
			send 180
			send 200 | sdp toneless
			recv ACK
			recv INFO | Content-Type: application/dtmf-relay | body Signal=1
			send 200
			recv INFO | body Signal=#
			send 415 | Accept: application/dtmf
			recv INFO | Content-Type: application/dtmf$ | body #
			send 200
			recv INFO | Content-Type: application/dtmf$ | body 7
			send 200
			recv BYE
			send 200`)
		user, sid := s.talks(t)
		user.do(t, nil, "press", sid, "1#7", 120)
		call.waitFor(t, 10*time.Second, "INFO ", "CSeq: 5 INFO")
		user.do(t, nil, "end", sid, "success")
		call.finished(t)
	}, "normal by xmpp"},
	{"the user wants whole pictures of a callee without feedback", "video: true", false, func(t *testing.T, s *stage) {
		film := s.films(t)
		call := s.sippWaits(t, `
			recv INVITE | body m=video
			send 180
			send 200 | sdp vp8:`+strconv.Itoa(film.port)+`
			recv ACK
			recv INFO | Content-Type: application/media_control.xml$ | body picture_fast_update
			send 200
			recv INFO | body picture_fast_update
			send 200
			recv INFO | body picture_fast_update
			send 415 | Accept: application/dtmf
			recv BYE
			send 200`)
		user := s.login(t)
		var sid string
		user.do(t, &sid, "initiate", jidOf(s.number)+"/sip", "whole-pictures", true)
		user.wait(t, "accepted")
		film.roll(t, call.received(t, "INVITE"))
		call.waitFor(t, 15*time.Second, "INFO ", "CSeq: 4 INFO")
		user.asks(t, sid, 10) // in vain: SIPp would end at one more INFO
		infos := call.all(t, "INFO ")
		for i, m := range infos[1:] {
			if d := m.at.Sub(infos[i].at); d < 800*time.Millisecond { // a second apart; SIPp may read one later than it came
				t.Errorf("asked again after %v", d)
			}
		}
		user.do(t, nil, "end", sid, "success")
		call.finished(t)
	}, "normal by xmpp"},
}

// A film is pictures that are never whole, in VP8: each is told as a change of the one before.
type film struct {
	conn *net.UDPConn
	port int
}

// films opens a port for pictures at the trunk's address.
func (s *stage) films(t *testing.T) *film {
	t.Helper()
	conn, err := net.ListenUDP("udp", &net.UDPAddr{IP: net.ParseIP(s.host)})
	if err != nil {
		t.Fatal(err)
	}
	t.Cleanup(func() { conn.Close() })
	return &film{conn, conn.LocalAddr().(*net.UDPAddr).Port}
}

// roll sends ten pictures a second, until the test ends, to where an offer has pictures.
func (f *film) roll(t *testing.T, offer string) {
	t.Helper()
	_, rest, _ := strings.Cut(offer, "m=video ")
	port, _, _ := strings.Cut(rest, " ")
	to, err := netip.ParseAddrPort("127.0.0.1:" + port)
	if err != nil || !strings.Contains(rest, "a=rtpmap:96 VP8/90000") {
		t.Fatalf("no port for VP8 as 96 (%v) in\n%s", err, offer)
	}
	go func() { // until the port is closed
		p := make([]byte, 12+60)
		copy(p, []byte{0x80, 0x80 | 96, 0, 0, 0, 0, 0, 0, 7, 7, 7, 7, 0x10, 0x31}) // S, then P (RFC 7741)
		for tick := time.NewTicker(100 * time.Millisecond); ; <-tick.C {
			binary.BigEndian.PutUint16(p[2:], binary.BigEndian.Uint16(p[2:])+1)
			binary.BigEndian.PutUint32(p[4:], binary.BigEndian.Uint32(p[4:])+9000)
			if _, err := f.conn.WriteToUDPAddrPort(p, to); err != nil {
				return
			}
		}
	}()
}

// asks waits until the page has asked so many times more for a whole picture.
func (c *client) asks(t *testing.T, sid string, times int) {
	t.Helper()
	var first, now pictures
	c.do(t, &first, "sees", sid)
	err := within(15*time.Second, func() error {
		c.do(t, &now, "sees", sid)
		if now.Asked < first.Asked+times {
			return fmt.Errorf("asked %d times, want %d", now.Asked-first.Asked, times)
		}
		return nil
	})
	if err != nil {
		t.Errorf("%s: %v (%+v)", c.page, err, now)
	}
}

// hearsDigits waits until exactly these digits have been heard as tones, in a session that is
// watched for them.
func (c *client) hearsDigits(t *testing.T, sid, digits string) {
	t.Helper()
	err := within(15*time.Second, func() error {
		var heard string
		c.do(t, &heard, "toned", sid)
		if heard != digits {
			return fmt.Errorf("heard %q, want %q", heard, digits)
		}
		return nil
	})
	if err != nil {
		t.Error(err)
	}
}
