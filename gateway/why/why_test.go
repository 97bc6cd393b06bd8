package why

import (
	"regexp"
	"slices"
	"strings"
	"testing"
	"time"

	"sipxmppgw/gateway/call"
	"sipxmppgw/gateway/media"
	"sipxmppgw/gateway/translate"
)

// out is a call from a client to a phone, as it stands when the phone refuses.
func out(c call.Cause, d call.Detail, by string) Facts {
	return Facts{
		Cause: c, Detail: d, By: by,
		Legs: [2]Leg{
			{Edge: "xmpp", Offers: []string{"opus", "PCMU"}, Allowed: []string{"opus", "PCMA", "PCMU"}},
			{Edge: "sip", Trunk: "office", Offered: []string{"opus", "PCMU"}, Allowed: []string{"opus", "PCMU"}},
		},
	}
}

// in is a call from a phone to a client.
func in(c call.Cause, d call.Detail, by string) Facts {
	f := out(c, d, by)
	f.Legs[0], f.Legs[1] = f.Legs[1], f.Legs[0]
	f.Legs[0].Offered, f.Legs[0].Offers = nil, []string{"PCMU"}
	f.Legs[1].Offers = nil
	return f
}

func refused(f Facts, rules string) Facts {
	f.Refused, f.Rules = true, rules
	for i := range f.Legs { // of which nothing is known yet
		f.Legs[i] = Leg{Edge: f.Legs[i].Edge}
	}
	return f
}

func talked(f Facts, change func(*Facts)) Facts {
	f.Talked = time.Minute
	change(&f)
	return f
}

func TestExplain(t *testing.T) {
	answered := func(status int, text string) call.Detail { return call.Detail{Status: status, Text: text} }
	tests := []struct {
		name     string
		f        Facts
		sentence string
		advice   string // begins so
	}{
		{"hung up", talked(out(call.Normal, call.Detail{}, "xmpp"), func(*Facts) {}), "The call was hung up.", "Nothing needs"},
		{"ended by the operator", talked(out(call.Normal, call.Detail{Text: "the operator ended the call"}, "gateway"), func(*Facts) {}), "The gateway ended the call (the operator ended the call).", "Someone"},
		{"given up", out(call.Cancelled, call.Detail{}, "xmpp"), "The caller hung up before the call was answered.", "Nothing"},
		{"busy", out(call.Busy, answered(486, "Busy Here"), "sip"), "Trunk office answered 486 Busy Here: The other party is in another call.", "Nothing"},
		{"busy at the client", in(call.Busy, call.Detail{}, "xmpp"), "The other party is in another call.", "Nothing"},
		{"declined", out(call.Declined, answered(603, ""), "sip"), "Trunk office answered 603 Decline: The other party declined the call.", "Nothing"},
		{"rejected", in(call.Rejected, call.Detail{}, "xmpp"), "The other party did not take the call.", "Nothing"},
		{"no answer", in(call.NoAnswer, call.Detail{}, "gateway"), "Nobody answered.", "If it should ring longer"},
		{"elsewhere", in(call.Elsewhere, call.Detail{}, "sip"), "The call was answered on another device.", "Nothing"},
		{"transferred", talked(out(call.Transferred, call.Detail{}, "sip"), func(*Facts) {}), "Transferred", "Nothing"},
		{"unknown at the PBX", out(call.NotFound, answered(404, "Not Found"), "sip"), "Trunk office answered 404 Not Found: There is no such user or number.", "See how the number was sent (ladder); if the PBX knows it in another form, set number_format of trunk office."},
		{"not begun", refused(in(call.NotFound, call.Detail{}, "gateway"), "sip: no user has +4930"), "The gateway did not begin the call. There is no such user or number.", "See whether the address exists on its server, and whether numbers: gives the number to the right user. What decided: sip: no user has +4930"},
		{"not begun for its offer", refused(in(call.Incompatible, call.Detail{Status: 488, Text: "it offers no sound"}, "gateway"), ""), "The gateway did not begin the call. The two sides have no codec in common. Reason: it offers no sound.", "Compare the codecs"},
		{"unknown here", in(call.NotFound, call.Detail{}, "xmpp"), "There is no such user or number.", "See whether the address exists"},
		{"gone", out(call.Gone, answered(410, ""), "sip"), "Trunk office answered 410 Gone: This address is no longer in use.", "Take the address"},
		{"moved", out(call.Moved, answered(302, ""), "sip"), "Trunk office answered 302 Moved Temporarily: The other party is to be reached at another address.", "Call the new"},
		{"incomplete", out(call.Incomplete, answered(484, ""), "sip"), "Trunk office answered 484 Address Incomplete: The number is incomplete or ambiguous.", "Dial the whole"},
		{"away", out(call.Unavailable, answered(480, ""), "sip"), "Trunk office answered 480 Temporarily Unavailable: The other party cannot be reached now.", "See whether the callee's phone"},
		{"forbidden there", out(call.Forbidden, answered(403, "Go away"), "sip"), "Trunk office answered 403 Go away: This call is not allowed.", "The other side forbids it"},
		{"forbidden here", out(call.Forbidden, call.Detail{}, "gateway"), "This call is not allowed.", "No route allows it"},
		{"credentials", out(call.Unauthorized, answered(401, ""), "sip"), "Trunk office answered 401 Unauthorized: The gateway's credentials were not accepted.", "Set username and password of trunk office as"},
		{"codecs of the PBX", out(call.Incompatible, answered(488, "Not Acceptable Here"), "sip"), "Trunk office answered 488 Not Acceptable Here: Trunk office takes none of what it was offered: opus, PCMU.", "Allow one of opus, PCMU there"},
		{"codecs of a PBX that calls", func() Facts {
			f := in(call.Incompatible, call.Detail{}, "gateway")
			f.Legs[0].Offers = []string{"G729"}
			return f
		}(), "Trunk office offers only G729, and opus, PCMU are allowed for it here.", "Allow one of opus, PCMU on the other end of trunk office"},
		{"codecs in some other way", in(call.Incompatible, call.Detail{}, "gateway"), "The two sides have no codec in common.", "Compare the codecs"},
		{"unsupported", out(call.Unsupported, answered(415, ""), "sip"), "Trunk office answered 415 Unsupported Media Type: The other party's device cannot take such a call.", "See what the device"},
		{"clear", in(call.Insecure, call.Detail{}, "xmpp"), "The call could not be protected as it must be.", "Make both ends agree"},
		{"silent server", out(call.Timeout, call.Detail{}, "gateway"), "The other side's server did not answer in time.", "See whether trunk office is up"},
		{"nobody there", out(call.Unreachable, call.Detail{}, "sip"), "The other side's server could not be reached.", "See whether trunk office is up"},
		{"media lost", talked(out(call.MediaLost, call.Detail{}, "gateway"), func(f *Facts) { f.Legs[1].Media.Local = "192.0.2.1:5" }), "The sound could not get through.", "Open the UDP ports of media (media.port_min to media.port_max) in every firewall, and see whether media.external_address is right. Local way: 192.0.2.1:5"},
		{"no transport", out(call.TransportFailed, answered(580, ""), "sip"), "Trunk office answered 580 Precondition Failure: The sound could not be set up.", "Open the UDP"},
		{"program", in(call.AppFailed, call.Detail{}, "xmpp"), "The other party's application failed.", "The fault is in the other party's program"},
		{"too many there", out(call.Overloaded, answered(503, ""), "sip"), "Trunk office answered 503 Service Unavailable: There are too many calls now; try again later.", "Trunk office has too many calls"},
		{"too many here", in(call.Overloaded, call.Detail{Text: "too many calls"}, "gateway"), "There are too many calls now; try again later.", "A limit of ours was reached (too many calls)"},
		{"loop", out(call.Loop, answered(482, ""), "sip"), "Trunk office answered 482 Loop Detected: The call went round in a loop.", "The PBX sends back"},
		{"nonsense", out(call.BadRequest, answered(400, ""), "sip"), "Trunk office answered 400 Bad Request: The other side sent something that makes no sense.", "Look at"},
		{"both at once", out(call.Conflict, answered(491, ""), "sip"), "Trunk office answered 491 Request Pending: Both sides changed the call at the same moment.", "Look at"},
		{"order", out(call.OutOfSequence, call.Detail{}, "xmpp"), "The other side broke the order of the protocol.", "Look at"},
		{"a fault there", out(call.Failed, answered(500, "Oops {advice}"), "sip"), "Trunk office answered 500 Oops {advice}: The call failed.", "The fault is on the other end: see the log of trunk office"},
		{"anything", out(call.Failed, call.Detail{}, "gateway"), "The call failed.", "Look at"},

		{"one way over a relay", talked(out(call.Normal, call.Detail{}, "xmpp"), func(f *Facts) {
			f.Legs[0].Unheard, f.Legs[0].Media = true, media.Stats{Local: "host 192.0.2.1:10000", Remote: "relay 203.0.113.9:3478"}
		}), "No packet ever came from the XMPP side; its ICE pair is host 192.0.2.1:10000 to relay 203.0.113.9:3478, over a relay.", "UDP is blocked"},
		{"one way over a good pair", talked(out(call.Normal, call.Detail{}, "xmpp"), func(f *Facts) {
			f.Legs[0].Unheard, f.Legs[0].Media = true, media.Stats{Local: "host 192.0.2.1:10000", Remote: "host 203.0.113.9:3478"}
		}), "No packet ever came from the XMPP side, though its ICE pair host 192.0.2.1:10000 to host 203.0.113.9:3478 works.", "The client sends nothing"},
		{"no pair", talked(out(call.MediaLost, call.Detail{}, "gateway"), func(f *Facts) { f.Legs[0].Unheard = true }), "No packet ever came from the XMPP side, and no ICE pair was found for it.", "Open the UDP"},
		{"one way from the PBX", talked(out(call.Normal, call.Detail{}, "sip"), func(f *Facts) { f.Legs[1].Unheard = true }), "The call was answered, but no packet ever came from trunk office.", "Open the UDP"},
		{"packets from elsewhere", talked(out(call.Normal, call.Detail{}, "sip"), func(f *Facts) {
			f.Legs[1].Unheard, f.Legs[1].Media.Dropped.WrongSource = true, 7
		}), "Packets came from another address than trunk office had said, so none was taken (7 were dropped).", "If the phones"},
		{"other keys", talked(out(call.Normal, call.Detail{}, "sip"), func(f *Facts) {
			f.Legs[1].Unheard, f.Legs[1].Media.Dropped.BadAuth = true, 9
		}), "Packets came from trunk office, but none fitted the keys that were agreed (9 were dropped).", "Something between"},
	}
	seen := map[call.Cause]bool{}
	for _, tt := range tests {
		seen[tt.f.Cause] = true
		e := Explain(tt.f)
		if got := e.Sentence(translate.EN); got != tt.sentence {
			t.Errorf("%s: %q, want %q", tt.name, got, tt.sentence)
		}
		if got := e.Advice(translate.EN); !strings.HasPrefix(got, tt.advice) {
			t.Errorf("%s: advice %q, want %q", tt.name, got, tt.advice)
		}
		for l := range translate.Languages {
			text := strings.ReplaceAll(e.Sentence(translate.Lang(l))+e.Advice(translate.Lang(l)), "{advice}", "")
			if strings.ContainsAny(text, "{}") {
				t.Errorf("%s: a hole in %q", tt.name, text)
			}
		}
	}
	for _, c := range call.Causes() {
		if !seen[c] {
			t.Errorf("no test shows %s", c)
		}
	}
}

// The user's language is the operator's too.
func TestExplainInGerman(t *testing.T) {
	e := Explain(out(call.Incompatible, call.Detail{Status: 488, Text: "Not Acceptable Here"}, "sip"))
	if got, want := e.Sentence(translate.DE), "Der Trunk office antwortete 488 Not Acceptable Here: Der Trunk office nimmt nichts von dem, was angeboten war: opus, PCMU."; got != want {
		t.Errorf("%q, want %q", got, want)
	}
}

// Every text says the same things in all languages, and every cause has one that always fits.
func TestRulesAreComplete(t *testing.T) {
	hole := regexp.MustCompile(`\{[a-z]+\}`)
	same := func(what string, texts text) {
		var want []string
		for l, s := range texts {
			got := hole.FindAllString(s, -1)
			slices.Sort(got)
			got = slices.Compact(got)
			if l == 0 {
				want = got
			} else if !slices.Equal(got, want) {
				t.Errorf("%s speaks of %v in %s, of %v in %s: %s", what, want, translate.EN, got, translate.Lang(l), s)
			}
			if s == "" && texts[0] != "" {
				t.Errorf("%s has no text in %s", what, translate.Lang(l))
			}
		}
	}
	always := map[call.Cause]bool{}
	for i, r := range rules {
		if always[r.cause] && !r.any {
			t.Errorf("rule %d of %s is never tried", i, r.cause)
		}
		same(r.cause.String()+" sentence", r.sentence)
		same(r.cause.String()+" advice", r.advice)
		if r.advice[0] == "" {
			t.Errorf("rule %d of %s has no advice", i, r.cause)
		}
		if r.when == nil && !r.any {
			always[r.cause] = true
		}
	}
	for _, c := range call.Causes() {
		if !always[c] {
			t.Errorf("no rule of %s fits always", c)
		}
	}
}
