package gateway

import (
	"errors"
	"fmt"
	"slices"
	"strings"
	"testing"
	"time"

	"sipxmppgw/gateway/call"
	"sipxmppgw/gateway/route"
	"sipxmppgw/gateway/translate"
)

func memberAt(t *testing.T, s string) Member {
	t.Helper()
	if user, ok := strings.CutPrefix(s, "phone:"); ok {
		return Member{Trunk: "phone/" + user}
	}
	if strings.HasPrefix(s, "sip:") {
		u, err := translate.ParseURI(s)
		if err != nil {
			t.Fatal(err)
		}
		return Member{URI: u, Trunk: "carrier"}
	}
	j, err := translate.ParseJID(s)
	if err != nil {
		t.Fatal(err)
	}
	return Member{JID: j}
}

func membersAt(t *testing.T, all ...string) []Member {
	t.Helper()
	var list []Member
	for _, s := range all {
		list = append(list, memberAt(t, s))
	}
	return list
}

// rings shows where a call goes: who, in which round, as whose telephone.
func rings(target Target) string {
	var words []string
	for _, t := range append([]Target{target}, target.Others...) {
		who := t.To.JID
		if t.Edge == SIP {
			who = t.Trunk + " " + t.To.URI
		}
		words = append(words, fmt.Sprintf("%s/%d/%s", who, t.Round, t.Person))
	}
	return strings.Join(words, ", ")
}

func TestGroups(t *testing.T) {
	r := routes(t)
	r.Groups = []Group{
		{
			Address: translate.URI{Scheme: "tel", User: "+49301"}, Members: membersAt(t, "juliet@example.org", "sip:101@pbx.example"),
			Order: XMPPFirst, Lead: 7 * time.Second, NoAnswer: 25 * time.Second, Fallback: membersAt(t, "nurse@example.org"),
		},
		{
			Address: translate.URI{Scheme: "sip", User: "help", Host: "pbx.example"}, OnePerson: true,
			Members: membersAt(t, "juliet@example.org", "sip:101@other.example"),
		},
		{
			Address: translate.URI{Scheme: "tel", User: "+49302"}, Members: membersAt(t, "phone:desk", "juliet@example.org"),
			OnePerson: true, Order: SIPFirst, Lead: 5 * time.Second,
		},
	}
	r.Phones = []PhoneRoute{{User: "desk", Owner: "juliet@example.org", Trunk: TrunkRoute{Name: "phone/desk"}}}
	tests := []struct {
		name, to string
		want     string
		then     string // when nobody answers
		after    time.Duration
	}{
		{
			"by a number", "sip:+49301@x.gw.example",
			"juliet@example.org/0/juliet@example.org, carrier sip:101@carrier.example/1/sip:101@carrier.example", "nurse@example.org/0/nurse@example.org", 25 * time.Second,
		},
		{
			"by a number at an address of ours", "sip:+49301@192.0.2.10:5060",
			"juliet@example.org/0/juliet@example.org, carrier sip:101@carrier.example/1/sip:101@carrier.example", "nurse@example.org/0/nurse@example.org", 25 * time.Second,
		},
		{"by a short name", "sip:help@x.gw.example", "juliet@example.org/0/help, carrier sip:101@other.example/0/help", "", 0},
		{"by a short name at the default domain", "sip:help@pbx.example", "juliet@example.org/0/help, carrier sip:101@other.example/0/help", "", 0},
		{
			"a user and her phone", "sip:+49302@x.gw.example",
			"phone/desk sip:desk@x.gw.example/0/+49302, juliet@example.org/1/+49302", "", 0,
		},
		{"not by one of its own", "sip:+4930123@x.gw.example", "juliet@example.org/0/", "", 0},
	}
	for _, tt := range tests {
		got, err := r.Route(Query{Edge: SIP, Trunk: "office", To: tt.to, Calls: true, Claim: translate.Claim{From: translate.NameAddr{Name: "Otto", URI: "sip:+33142@pbx.example"}}})
		if err != nil {
			t.Errorf("%s: %v", tt.name, err)
			continue
		}
		if s := rings(got); s != tt.want {
			t.Errorf("%s: %s, want %s", tt.name, s, tt.want)
		}
		then, after, ok := got.Unanswered()
		if ok != (tt.then != "") || ok && (rings(then) != tt.then || after != tt.after) {
			t.Errorf("%s: unanswered %v after %v, want %s", tt.name, rings(then), after, tt.then)
		}
		for _, o := range got.Others {
			if o.From.URI != "sip:+33142@pbx.example" || o.From.Name != "Otto" {
				t.Errorf("%s: %s is called by %+v", tt.name, o.Trunk, o.From)
			}
		}
	}
}

// A user calls a group: who may call rings its members, but not itself; to other users the caller is
// who stands for it among SIP addresses.
func TestGroupsCalledByUsers(t *testing.T) {
	r := routes(t)
	r.Groups = []Group{{Address: translate.URI{Scheme: "tel", User: "+49302"}, Members: membersAt(t, "juliet@example.org", "phone:desk", "romeo@example.org"), Order: Together}}
	r.Phones = []PhoneRoute{{User: "desk", Owner: "juliet@example.org", Trunk: TrunkRoute{Name: "phone/desk"}}}
	q := Query{Edge: XMPP, From: Party{JID: "romeo@example.org/x", Name: "Romeo"}, To: "+49302@sip.gw.example", Calls: true}
	got, err := r.Route(q)
	if err != nil {
		t.Fatal(err)
	}
	if s, want := rings(got), "juliet@example.org/0/juliet@example.org, phone/desk sip:desk@x.gw.example/0/sip:desk@x.gw.example"; s != want {
		t.Errorf("%s, want %s", s, want)
	}
	for _, o := range append([]Target{got}, got.Others...) {
		if o.Caller != "romeo@example.org/x" || !strings.HasSuffix(bareJID(o.From.JID), "@sip.gw.example") || o.From.URI != "sip:romeo%40example.org@x.gw.example" || o.From.Name != "Romeo" {
			t.Errorf("%s is called by %+v", o.Trunk, o.From)
		}
	}
	if in := (Incoming{Edge: XMPP, Target: got}); owner(in) != "romeo@example.org" {
		t.Errorf("it is the call of %s", owner(in))
	}
	var refused *call.Refusal
	q.From.JID = "eve@example.com/x"
	if _, err := r.Route(q); !errors.As(err, &refused) || refused.Cause != call.Forbidden {
		t.Errorf("whom no route lets call: %v", err)
	}
}

// A route with several trunks: by their order, those that are down last, and none if all are.
// What is no call stays with the first.
func TestSeveralTrunks(t *testing.T) {
	r := routes(t)
	var err error
	r.Table, err = route.New([]route.Rule{{From: "*", To: "*", Trunks: route.Via("office", "carrier", "spare")}}, route.Plan{Domains: []string{"pbx.example"}})
	if err != nil {
		t.Fatal(err)
	}
	r.Trunks = append(r.Trunks, TrunkRoute{Name: "spare", Numbers: translate.DigitsForm})
	for _, tt := range []struct {
		down  []string
		calls bool
		want  string // empty if it is refused
	}{
		{nil, true, "office sip:+4989@pbx.example;user=phone/0/, carrier sip:+4989@carrier.example;user=phone/1/, spare sip:4989@pbx.example;user=phone/2/"},
		{[]string{"office"}, true, "carrier sip:+4989@carrier.example;user=phone/0/, spare sip:4989@pbx.example;user=phone/1/, office sip:+4989@pbx.example;user=phone/2/"},
		{[]string{"office", "carrier", "spare"}, true, ""},
		{[]string{"office", "carrier", "spare"}, false, "office sip:+4989@pbx.example;user=phone/0/"},
	} {
		r.Down = func(trunk string) bool { return slices.Contains(tt.down, trunk) }
		got, err := r.Route(Query{Edge: XMPP, From: Party{JID: "romeo@example.org/x"}, To: "+4989@sip.gw.example", Calls: tt.calls})
		var refused *call.Refusal
		switch {
		case tt.want == "" && (!errors.As(err, &refused) || refused.Cause != call.Unreachable || !strings.Contains(refused.Log, "office, carrier, spare")):
			t.Errorf("down %v: %v", tt.down, err)
		case tt.want != "" && (err != nil || rings(got) != tt.want):
			t.Errorf("down %v: %s, %v", tt.down, rings(got), err)
		}
	}
}
