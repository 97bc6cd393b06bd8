package gateway

import (
	"context"
	"slices"
	"sync"
	"testing"
	"time"

	"sipxmppgw/gateway/account"
	"sipxmppgw/gateway/media"
	"sipxmppgw/gateway/route"
	"sipxmppgw/gateway/store"
	"sipxmppgw/gateway/translate"
)

// Pages are what users publish.
type pages struct {
	mu    sync.Mutex
	says  map[string][]string
	asked []Pair
	whole bool
}

func (p *pages) Browse(pair Pair, done func([]string, bool)) {
	p.mu.Lock()
	p.asked = append(p.asked, pair)
	says, whole := p.says[pair.User], p.whole
	p.mu.Unlock()
	done(says, whole)
}

func (p *pages) take() []Pair {
	p.mu.Lock()
	defer p.mu.Unlock()
	asked := p.asked
	p.asked = nil
	return asked
}

func jid(t *testing.T, text string) translate.JID {
	t.Helper()
	j, err := translate.ParseJID(text)
	check(t, err)
	return j
}

func personMapping(t *testing.T) *translate.Mapping {
	t.Helper()
	m, err := translate.Mapping{
		Gateway: "gw.example", SIPHost: "x.gw.example", DefaultDomain: "pbx.example", TelDomains: []string{"pbx.example"}, DialPlan: translate.DialPlan{Country: "49", National: "0"},
	}.Prepare()
	check(t, err)
	return &m
}

// TestPersonsAreLearned: what SIP says is held against what is published, in whatever form a
// number is written there; it is kept, also over a restart, until one side takes it back.
func TestPersonsAreLearned(t *testing.T) {
	kept := &store.Memory{}
	now := time.Now() // by which the store forgets
	xmpp := &pages{says: map[string][]string{"mira@x.example": {"sip:mira@voip.example", "089 123456", "nonsense of a number"}}, whole: true}
	open := func() *Persons {
		p := NewPersons(PersonsOptions{Mapping: personMapping(t), Store: kept, Now: func() time.Time { return now }})
		check(t, p.Start(context.Background()))
		p.SetEdge(xmpp)
		return p
	}
	p := open()
	mira := jid(t, "mira@x.example/tablet")
	for _, contact := range []string{"", "mira@x.example", "otto@other.example/sip"} {
		p.Named(contact, mira, "")
	}
	p.Named("+4989123456@gw.example", jid(t, "eve@gw.example"), "")
	if asked := xmpp.take(); asked != nil {
		t.Errorf("asked for %v though nobody of ours was named, or as one of ours", asked)
	}
	p.Named("+4989123456@gw.example/sip", mira, "juliet@x.example/balcony")
	if asked := xmpp.take(); !slices.Equal(asked, []Pair{{"mira@x.example", "+4989123456@gw.example"}}) {
		t.Errorf("asked for %v", asked)
	}
	if got := p.ContactsOf("mira@x.example"); !slices.Equal(got, []string{"+4989123456@gw.example"}) {
		t.Errorf("she is %v", got)
	}
	for who, want := range map[string]string{"juliet@x.example": "mira@x.example", "mira@x.example": "mira@x.example", "romeo@x.example": ""} {
		if got := p.Shown(who, "+4989123456@gw.example"); got != want {
			t.Errorf("%s is shown %q, want %q", who, got, want)
		}
	}

	p = open() // after a restart
	if got := p.Known("juliet@x.example"); !slices.Equal(got, []account.Person{{User: "mira@x.example", Contact: "+4989123456"}}) {
		t.Errorf("Juliet knows %v", got)
	}
	for _, address := range []string{"089 123456", "tel:+4989123456", "xmpp:mira@x.example", "mira@x.example", "+4989123456@gw.example"} {
		if _, ok := p.WhoIs("juliet@x.example", address); !ok {
			t.Errorf("who is %s? Nobody", address)
		}
		if who, ok := p.WhoIs("romeo@x.example", address); ok {
			t.Errorf("Romeo, who has not met her, is told that %s is %v", address, who)
		}
	}

	// A day later, nobody answers for her: she is not believed, and not forgotten.
	now = now.Add(25 * time.Hour)
	xmpp.says, xmpp.whole = nil, false
	if got := p.ContactsOf("mira@x.example"); got != nil || len(xmpp.take()) != 1 {
		t.Errorf("after a day she is %v", got)
	}
	xmpp.says, xmpp.whole = map[string][]string{"mira@x.example": {"+4989123456"}}, true
	now = now.Add(time.Hour)
	_ = p.ContactsOf("mira@x.example") // asks
	if got := p.ContactsOf("mira@x.example"); len(got) != 1 {
		t.Errorf("when she says so again she is %v", got)
	}
	// She publishes it no more.
	p.Published("mira@x.example/tablet", nil, true)
	rows, err := kept.Load(context.Background(), store.Links)
	if got := p.ContactsOf("mira@x.example"); got != nil || err != nil || len(rows) != 0 {
		t.Errorf("she is %v, the store has %v, %v", got, rows, err)
	}
}

// TestEverywhere: a call to a person rings at both addresses in the order that is set or wished
// for, but not where the user may not call, not at the caller, and not at an address of ours.
func TestEverywhere(t *testing.T) {
	m := personMapping(t)
	m.Provision(jid(t, "mira@x.example"), translate.URI{Scheme: "tel", User: "+4930100"})
	m.Provision(jid(t, "otto@x.example"), translate.URI{Scheme: "tel", User: "+4930101"})
	table, err := route.New([]route.Rule{{From: "*", To: "+4989", Trunks: route.Via("pbx")}, {From: "*", To: "+4930", Trunks: route.Via("pbx")}}, route.Plan{Domains: []string{"pbx.example"}})
	check(t, err)
	xmpp := &pages{says: map[string][]string{"mira@x.example": {"+4989123456", "+4970123456", "+4930101"}}, whole: true}
	p := NewPersons(PersonsOptions{Mapping: m})
	p.SetEdge(xmpp)
	for _, contact := range []string{"+4989123456@gw.example", "+4970123456@gw.example", "+4930101@gw.example"} {
		p.Named(contact, jid(t, "mira@x.example"), "")
	}
	if n := len(p.ContactsOf("mira@x.example")); n != 3 {
		t.Fatalf("she has %d addresses", n)
	}
	policy := media.Policy{PTime: 30 * time.Millisecond}
	r := &Routes{Mapping: m, Table: table, Trunks: []TrunkRoute{{Name: "pbx", Policy: policy}}, Persons: p, RingLead: 7 * time.Second}
	tests := []struct {
		ring, from string
		calls      bool
		want       string
	}{
		{"called", "sip:+4940999@pbx.example", true, "mira@x.example 0"},
		{"together", "sip:+4940999@pbx.example", true, "mira@x.example 0, sip:+4989123456@pbx.example;user=phone 0"},
		{"xmpp_first", "sip:+4940999@pbx.example", true, "mira@x.example 0, sip:+4989123456@pbx.example;user=phone 1"},
		{"sip_first", "sip:+4940999@pbx.example", true, "sip:+4989123456@pbx.example;user=phone 0, mira@x.example 1"},
		{"together", "sip:+4989123456@pbx.example", true, "mira@x.example 0"},
		{"together", "sip:+4940999@pbx.example", false, "mira@x.example 0"},
	}
	for _, tt := range tests {
		r.RingPersons = tt.ring
		target, err := r.Route(Query{
			Edge: SIP, Trunk: "pbx", To: "sip:+4930100@x.gw.example", Calls: tt.calls,
			Claim: translate.Claim{From: translate.NameAddr{URI: tt.from}},
		})
		check(t, err)
		got := ""
		for i, one := range append([]Target{target}, target.Others...) {
			if i > 0 {
				got += ", "
			}
			where := one.To.JID
			if one.Edge == SIP {
				where = one.To.URI
				if one.Trunk != "pbx" || one.Policy.PTime != policy.PTime || one.From.JID != target.From.JID {
					t.Errorf("%s: %+v", tt.ring, one)
				}
			}
			if len(target.Others) > 0 && (one.Person != "mira@x.example" || one.Lead != 7*time.Second) {
				t.Errorf("%s: person %q, lead %v", tt.ring, one.Person, one.Lead)
			}
			got += where + " " + string(rune('0'+one.Round))
		}
		if got != tt.want {
			t.Errorf("%s from %s: %s, want %s", tt.ring, tt.from, got, tt.want)
		}
		if !target.Single() {
			t.Errorf("%s: somebody else may answer", tt.ring)
		}
	}

	// A call that comes back again and again rings elsewhere a few times in a minute.
	r.RingPersons = "together"
	elsewhere := 0
	for range 20 {
		target, err := r.Route(Query{Edge: SIP, Trunk: "pbx", To: "sip:+4930100@x.gw.example", Calls: true, Claim: translate.Claim{From: translate.NameAddr{URI: "sip:+4950500@pbx.example"}}})
		check(t, err)
		elsewhere += len(target.Others)
	}
	if elsewhere != maxRounds {
		t.Errorf("a call that comes back rang elsewhere %d times, want %d", elsewhere, maxRounds)
	}
}
