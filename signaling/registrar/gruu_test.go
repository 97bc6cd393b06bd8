package registrar

import (
	"strings"
	"testing"
	"time"
)

// at is a contact of an instance, perhaps over a flow.
func at(uri, instance string, flow int) Contact {
	return Contact{URI: uri, Expires: 600, Q: 1000, Instance: instance, RegID: flow}
}

// A desk registers, and keeps the last temporary GRUU that it had.
type desk struct {
	t    *testing.T
	r    *Registrar
	now  time.Time
	sent uint32
}

// register returns a temporary GRUU of the first contact's instance.
func (d *desk) register(callID string, contacts ...Contact) string {
	d.t.Helper()
	d.sent++
	d.now = d.now.Add(time.Second)
	req := register(d.sent, contacts...)
	req.CallID, req.Seed = callID, "seed"+string(rune('a'+d.sent))
	out := d.r.Register(req, d.now)
	if out.Status != 200 {
		d.t.Fatalf("%d %s", out.Status, out.Problem)
	}
	for _, b := range out.Bindings {
		if b.URI == contacts[0].URI {
			return b.Temporary([nonceLength]byte{byte(d.sent)})
		}
	}
	return ""
}

// leads says to which contact a GRUU leads; empty for none.
func (d *desk) leads(gruu string) string {
	b, _ := d.r.Resolve(gruu, d.now)
	return b.Instance
}

// Every REGISTER gives another temporary GRUU, and those before hold on, until the phone has
// begun anew or is gone (RFC 5627 sections 3.1.2 and 5.1).
func TestTemporary(t *testing.T) {
	const other = "<urn:uuid:2>"
	fresh := func(t *testing.T) *desk { return &desk{t: t, r: New(Options{}), now: start} }
	t.Run("refreshed", func(t *testing.T) {
		d := fresh(t)
		first := d.register("a", at(deskURI, instance, 0))
		second := d.register("a", at(deskURI, instance, 0))
		if first == second || !IsTemporary(first) || len(first) > 64 || strings.Trim(first, "abcdefghijklmnopqrstuvwxyz234567.") != "" {
			t.Errorf("got %q and %q", first, second)
		}
		if d.leads(first) != instance || d.leads(second) != instance {
			t.Errorf("they lead to %q and %q", d.leads(first), d.leads(second))
		}
	})
	t.Run("begun anew", func(t *testing.T) {
		d := fresh(t)
		old := d.register("a", at(deskURI, instance, 0))
		mine := d.register("x", at(sofaURI, other, 0))
		again := d.register("b", at("sip:desk@192.0.2.30:6060", instance, 0))
		if d.leads(old) != "" || d.leads(again) != instance || d.leads(mine) != other {
			t.Errorf("they lead to %q, %q and %q", d.leads(old), d.leads(again), d.leads(mine))
		}
		// What is left of the time before does not end it once more.
		d.register("b", at("sip:desk@192.0.2.30:6060", instance, 0))
		if d.leads(again) != instance {
			t.Error("it does not hold any more after a refresh")
		}
	})
	t.Run("another flow", func(t *testing.T) {
		d := fresh(t)
		first := d.register("a", at(deskURI, instance, 1))
		second := d.register("b", at(sofaURI, instance, 2))
		if d.leads(first) != instance || d.leads(second) != instance {
			t.Errorf("they lead to %q and %q", d.leads(first), d.leads(second))
		}
		third := d.register("c", at(deskURI, instance, 1))
		if d.leads(first) != "" || d.leads(second) != "" || d.leads(third) != instance {
			t.Errorf("they lead to %q, %q and %q", d.leads(first), d.leads(second), d.leads(third))
		}
	})
	t.Run("gone", func(t *testing.T) {
		d := fresh(t)
		left := d.register("a", at(deskURI, instance, 0))
		over := d.register("b", at(sofaURI, other, 0))
		gone := at(deskURI, instance, 0)
		gone.Expires = 0
		d.register("a", gone)
		if d.leads(left) != "" || d.leads(over) != other {
			t.Errorf("they lead to %q and %q", d.leads(left), d.leads(over))
		}
		if d.now = d.now.Add(time.Hour); d.leads(over) != "" {
			t.Error("it holds though its binding does not")
		}
	})
	t.Run("restored", func(t *testing.T) {
		d := fresh(t)
		gruu := d.register("a", at(deskURI, instance, 0))
		b := d.r.Bindings("desk", d.now)[0]
		d.r = New(Options{})
		if !d.r.Restore(b, d.now) || d.leads(gruu) != instance {
			t.Errorf("it leads to %q", d.leads(gruu))
		}
	})
	t.Run("no instance", func(t *testing.T) {
		d := fresh(t)
		if got := d.register("a", contact(deskURI, 600)); got != "" {
			t.Errorf("got %q", got)
		}
	})
	t.Run("made up", func(t *testing.T) {
		d := fresh(t)
		good := d.register("a", at(deskURI, instance, 0))
		for _, bad := range []string{"", "tgruu.", "desk", good[6:], good + "a", good[:len(good)-1] + "7", strings.ToUpper(good), "tgruu." + strings.Repeat("a", 500)} {
			if bad != good && d.leads(bad) != "" {
				t.Errorf("%q leads somewhere", bad)
			}
		}
	})
}
