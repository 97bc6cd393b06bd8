package jingle

import (
	"fmt"
	"testing"

	"sipxmppgw/jingle/wire"
)

func caller(features ...string) wire.Disco {
	return wire.Disco{
		Identities: []wire.Identity{{Category: "client", Type: "pc"}},
		Features:   append([]string{wire.NSJingle, wire.NSRTP, wire.NSICE}, features...),
	}
}

func capsOf(d wire.Disco) wire.Caps { return wire.Caps{Node: "n", Ver: d.Ver(), Hash: "sha-1"} }

func here(d wire.Disco, priority int) wire.Presence {
	return wire.Presence{Priority: priority, Caps: capsOf(d), HasCaps: true}
}

func TestDirect(t *testing.T) {
	direct, jmi, chat := caller(), caller(wire.NSJMI), wire.Disco{Features: []string{"chat"}}
	type device struct {
		name     string
		is       wire.Disco
		priority int
		silent   bool // has not said what it can do
	}
	tests := []struct {
		name    string
		devices []device
		want    string
		rings   bool // a device that takes proposals is there
	}{
		{"nobody is known", nil, "", false},
		{"one that takes calls and no proposals", []device{{"a", direct, 0, false}}, "a", false},
		{"one that takes proposals", []device{{"a", jmi, 0, false}}, "", true},
		{"one of two takes proposals", []device{{"a", direct, 5, false}, {"b", jmi, 0, false}}, "", true},
		{"one has not said", []device{{"a", direct, 0, false}, {"b", jmi, 0, true}}, "", false},
		{"one cannot call at all", []device{{"a", chat, 9, false}, {"b", direct, 0, false}}, "b", false},
		{"nobody can call at all", []device{{"a", chat, 0, false}}, "", false},
		{"the higher priority", []device{{"a", direct, 5, false}, {"b", direct, 1, false}}, "a", false},
		{"the newest of equals", []device{{"a", direct, 1, false}, {"b", direct, 1, false}}, "b", false},
		{"one that wants nothing", []device{{"a", direct, -1, false}}, "", false},
		{"one that wants nothing does not decide", []device{{"a", jmi, -1, false}, {"b", direct, 0, false}}, "b", false},
	}
	for _, tt := range tests {
		t.Run(tt.name, func(t *testing.T) {
			p := newPeople(10)
			for _, d := range tt.devices {
				full := "u@x/" + d.name
				p.came(full, "u@x", here(d.is, d.priority))
				if !d.silent {
					p.learn(full, "u@x", capsOf(d.is), d.is)
				}
			}
			want := tt.want
			if want != "" {
				want = "u@x/" + want
			}
			if got := p.direct("u@x"); got != want {
				t.Errorf("got %q, want %q", got, want)
			}
			if got := p.proposable("u@x"); got != tt.rings {
				t.Errorf("a proposal rings: %v", got)
			}
		})
	}
}

// Who claims the capabilities of another, and lies about them, is believed of itself alone.
func TestCapsAreNotPoisoned(t *testing.T) {
	p := newPeople(10)
	honest, lie := caller(wire.NSJMI), caller()
	if _, ask := p.came("eve@x/1", "eve@x", here(honest, 0)); !ask {
		t.Fatal("unknown caps are not asked for")
	}
	p.learn("eve@x/1", "eve@x", capsOf(honest), lie)
	if got := p.direct("eve@x"); got != "eve@x/1" {
		t.Errorf("of itself it is not believed: %q", got)
	}
	if _, ask := p.came("mira@x/1", "mira@x", here(honest, 0)); !ask {
		t.Error("the lie is believed of another")
	}
	p.learn("mira@x/1", "mira@x", capsOf(honest), honest)
	if _, ask := p.came("otto@x/1", "otto@x", here(honest, 0)); ask {
		t.Error("what is verified is asked again")
	}
}

func TestPeopleAreBounded(t *testing.T) {
	p := newPeople(3)
	for i := range 100 {
		p.came(fmt.Sprintf("u@x/%d", i), "u@x", wire.Presence{})
		p.came(fmt.Sprintf("%d@x/1", i), fmt.Sprintf("%d@x", i), wire.Presence{})
		if i%2 == 0 {
			p.came("u@x/0", "u@x", wire.Presence{})
		}
	}
	if n := len(p.known.at); n != 3 {
		t.Errorf("%d people are known, want 3", n)
	}
	if u, _ := p.known.get("u@x"); u == nil || len(u.resources) > maxResources {
		t.Errorf("got %v", u)
	}
	p.left("u@x", "u@x")
	if _, ok := p.known.get("u@x"); ok {
		t.Error("an account that is gone has devices")
	}
	p.left("nobody@x/1", "nobody@x")
}

func TestRecent(t *testing.T) {
	r := newRecent[string, int](2)
	r.put("a", 1)
	r.put("b", 2)
	r.put("a", 3)
	r.put("c", 4)
	if _, ok := r.get("b"); ok {
		t.Error("the oldest is still there")
	}
	if v, ok := r.get("a"); !ok || v != 3 {
		t.Errorf("got %d, %v, want 3", v, ok)
	}
	r.drop("a")
	r.drop("a")
	if len(r.at) != 1 || r.order.Len() != 1 {
		t.Errorf("%d and %d entries, want 1", len(r.at), r.order.Len())
	}
}
