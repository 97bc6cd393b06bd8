package registrar

import (
	"fmt"
	"net/netip"
	"slices"
	"strings"
	"testing"
	"time"
)

var start = time.Date(2026, 11, 27, 12, 0, 0, 0, time.UTC)

const (
	deskURI  = "sip:desk@192.0.2.30:5060"
	sofaURI  = "sip:desk@192.0.2.31:5060;transport=tcp"
	instance = "<urn:uuid:11111111-2222-3333-4444-555555555555>"
)

func flowAt(port uint16) Flow {
	return Flow{"UDP", netip.MustParseAddrPort("192.0.2.10:5060"), netip.AddrPortFrom(netip.MustParseAddr("192.0.2.30"), port)}
}

// register is a REGISTER with contacts, as most are.
func register(cseq uint32, contacts ...Contact) Request {
	return Request{User: "desk", Contacts: contacts, Expires: -1, CallID: "a", CSeq: cseq, Flow: flowAt(5060), Direct: true, Outbound: true}
}

func contact(uri string, expires int) Contact { return Contact{URI: uri, Expires: expires, Q: 1000} }

// shown is what is bound, in one line: contacts with how long they last.
func shown(all []Binding, now time.Time) string {
	var words []string
	for _, b := range all {
		words = append(words, fmt.Sprintf("%s %v", b.URI, b.Expires.Sub(now)))
	}
	return strings.Join(words, ", ")
}

// TestVerdicts has what the registrar says to a REGISTER after others, a second apart.
func TestVerdicts(t *testing.T) {
	flow := Contact{URI: deskURI, Expires: -1, Q: 1000, Instance: instance, RegID: 1}
	moved := flow
	moved.URI = sofaURI
	second := moved
	second.RegID = 2
	all := Request{User: "desk", All: true, CallID: "a", CSeq: 9}
	tests := []struct {
		name   string
		before []Request
		in     Request
		status int
		want   string // bindings
		gone   int
	}{
		{name: "asks what there is", before: []Request{register(1, contact(deskURI, 600))}, in: register(2), status: 200, want: deskURI + " 9m59s"},
		{name: "asks what there is when there is nothing", in: register(1), status: 200},
		{name: "says nothing of the time", in: register(1, contact(deskURI, -1)), status: 200, want: deskURI + " 1h0m0s"},
		{name: "says it in the header", in: func() Request { r := register(1, contact(deskURI, -1)); r.Expires = 120; return r }(), status: 200, want: deskURI + " 2m0s"},
		{name: "says it in both: the contact counts", in: func() Request { r := register(1, contact(deskURI, 300)); r.Expires = 120; return r }(), status: 200, want: deskURI + " 5m0s"},
		{name: "wants a day", in: register(1, contact(deskURI, 86400)), status: 200, want: deskURI + " 1h0m0s"},
		{name: "wants a second", in: register(1, contact(deskURI, 1)), status: 423},
		{name: "wants a second less than may be, beside a good one", in: register(1, contact(sofaURI, 600), contact(deskURI, 59)), status: 423},
		{name: "leaves", before: []Request{register(1, contact(deskURI, 600), contact(sofaURI, 600))}, in: register(2, contact(deskURI, 0)), status: 200, want: sofaURI + " 9m59s", gone: 1},
		{name: "leaves what it never had", in: register(1, contact(deskURI, 0)), status: 200},
		{name: "refreshes", before: []Request{register(1, contact(deskURI, 600))}, in: register(2, contact("sip:desk@192.0.2.30:5060;line=2", 700)), status: 200, want: "sip:desk@192.0.2.30:5060;line=2 11m40s"},
		{name: "refreshes out of order", before: []Request{register(2, contact(deskURI, 600))}, in: register(2, contact(deskURI, 700)), status: 500},
		{
			name: "starts anew with a lower CSeq", before: []Request{register(7, contact(deskURI, 600))},
			in: func() Request { r := register(1, contact(deskURI, 700)); r.CallID = "b"; return r }(), status: 200, want: deskURI + " 11m40s",
		},
		{name: "clears all", before: []Request{register(1, contact(deskURI, 600), contact(sofaURI, 600))}, in: all, status: 200, gone: 2},
		{name: "clears all, out of order", before: []Request{register(9, contact(deskURI, 600))}, in: all, status: 500},
		{name: "clears all, with a time", in: func() Request { r := all; r.Expires = 60; return r }(), status: 400},
		{name: "clears all, without a time", in: func() Request { r := all; r.Expires = -1; return r }(), status: 400},
		{name: "clears all, and adds one", in: func() Request { r := all; r.Contacts = []Contact{contact(deskURI, 60)}; return r }(), status: 400},
		{name: "contact of another scheme", in: register(1, contact("tel:+4930", 600)), status: 400},
		{name: "contact with headers", in: register(1, contact("sip:desk@b?Subject=x", 600)), status: 400},
		{name: "contact without a host", in: register(1, contact("sip:desk@;lr", 600)), status: 400},
		{name: "contact of a thousand octets", in: register(1, contact("sip:"+strings.Repeat("a", 1000)+"@b", 600)), status: 400},
		{name: "flow", in: register(1, flow), status: 200, want: deskURI + " 1h0m0s"},
		{name: "flow moves", before: []Request{register(1, flow)}, in: register(2, moved), status: 200, want: sofaURI + " 1h0m0s"},
		{name: "second flow", before: []Request{register(1, flow)}, in: register(2, second), status: 200, want: sofaURI + " 1h0m0s, " + deskURI + " 59m59s"},
		{name: "two flows at once", in: register(1, flow, second), status: 400},
		{name: "flow through someone who does not know them", in: func() Request { r := register(1, flow); r.Direct = false; return r }(), status: 439},
		{
			name: "flow through someone who does", status: 200, want: deskURI + " 1h0m0s",
			in: func() Request {
				r := register(1, flow)
				r.Direct, r.Path = false, []string{"<sip:edge.example;lr;ob>"}
				return r
			}(),
		},
		{
			name: "a number of a flow, from who does not know them", before: []Request{func() Request { r := register(1, flow); r.Outbound = false; return r }()},
			in: func() Request { r := register(2, moved); r.Outbound = false; return r }(), status: 200, want: sofaURI + " 1h0m0s, " + deskURI + " 59m59s",
		},
		{name: "a long path", in: func() Request { r := register(1, contact(deskURI, 600)); r.Path = make([]string, 9); return r }(), status: 400},
	}
	for _, tt := range tests {
		t.Run(tt.name, func(t *testing.T) {
			r := New(Options{})
			now := start
			for _, req := range tt.before {
				if out := r.Register(req, now); out.Status != 200 {
					t.Fatalf("before: %+v", out)
				}
				now = now.Add(time.Second)
			}
			was := shown(r.Bindings("desk", now), now)
			out := r.Register(tt.in, now)
			if out.Status != tt.status || len(out.Gone) != tt.gone {
				t.Errorf("got %d, %s, %d gone; want %d, %d gone", out.Status, out.Problem, len(out.Gone), tt.status, tt.gone)
			}
			if out.Status == 423 && out.Least != time.Minute {
				t.Errorf("at least %v, want a minute", out.Least)
			}
			if got := shown(out.Bindings, now); got != tt.want {
				t.Errorf("it is told %q, want %q", got, tt.want)
			}
			is := shown(r.Bindings("desk", now), now)
			if out.Status == 200 && is != tt.want || out.Status != 200 && is != was {
				t.Errorf("afterwards there is %q", is)
			}
		})
	}
}

// TestOrder: the preferred is first, and of equals the newest.
func TestOrder(t *testing.T) {
	r := New(Options{})
	a, b, c := contact("sip:a@b", 600), contact("sip:b@b", 600), contact("sip:c@b", 600)
	a.Q, b.Q, c.Q = 500, 900, 500
	for i, x := range []Contact{a, b, c} {
		r.Register(register(uint32(i+1), x), start)
	}
	var got []string
	for _, x := range r.Bindings("desk", start) {
		got = append(got, x.URI)
	}
	if want := []string{"sip:b@b", "sip:c@b", "sip:a@b"}; !slices.Equal(got, want) {
		t.Errorf("got %q, want %q", got, want)
	}
}

// TestBounds: a phone that has a new contact each time takes its own places.
func TestBounds(t *testing.T) {
	r := New(Options{Contacts: 3})
	for i := range 20 {
		req := register(1, contact(fmt.Sprintf("sip:desk@192.0.2.30:%d", 1000+i), 600))
		req.CallID = fmt.Sprint(i)
		out := r.Register(req, start.Add(time.Duration(i)*time.Second))
		if out.Status != 200 || len(out.Bindings) > 3 || len(out.Gone) != map[bool]int{false: 0, true: 1}[i >= 3] {
			t.Fatalf("%d: %+v", i, out)
		}
	}
	many := register(2, contact("sip:a@b", 600), contact("sip:b@b", 600), contact("sip:c@b", 600), contact("sip:d@b", 600))
	if out := r.Register(many, start); out.Status != 403 {
		t.Errorf("four at once: %d", out.Status)
	}
	if r.Len() != 3 {
		t.Errorf("%d bindings, want 3", r.Len())
	}
}

// TestTime: what is over is gone, whoever asks first.
func TestTime(t *testing.T) {
	r := New(Options{})
	r.Register(register(1, contact(deskURI, 60), contact(sofaURI, 600)), start)
	later := start.Add(time.Minute)
	if got := shown(r.Bindings("desk", later), later); got != sofaURI+" 9m0s" {
		t.Errorf("there is %q", got)
	}
	if gone := r.Lapse(later); len(gone) != 1 || gone[0].URI != deskURI || r.Len() != 1 {
		t.Errorf("%v are gone, %d are left", gone, r.Len())
	}
	left := r.Bindings("desk", later)[0]
	old := left
	old.CSeq = 0
	if r.Fail(old) || !r.Fail(left) || r.Fail(left) || r.Len() != 0 || len(r.users) != 0 {
		t.Errorf("%d bindings after the last flow broke", r.Len())
	}
	if r.Restore(left, start.Add(time.Hour)) || !r.Restore(left, later) || r.Len() != 1 {
		t.Errorf("%d bindings after one was restored", r.Len())
	}
}

func TestNames(t *testing.T) {
	b := Binding{Instance: instance}
	if !b.Names("urn:uuid:11111111-2222-3333-4444-555555555555") || b.Names("urn:uuid:other") || (Binding{}).Names("") {
		t.Error("a GRUU names the instance it was made of, and no other")
	}
}
