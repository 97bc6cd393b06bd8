package main

import (
	"slices"
	"strings"
	"testing"

	"sipxmppgw/gateway"
	"sipxmppgw/test/peer/audio"
	"sipxmppgw/test/peer/jinglephone"
	"sipxmppgw/test/peer/phone"
	"sipxmppgw/test/peer/sipphone"
)

// Both legs are rated in both directions: by what comes, and by what the phones report.
func TestQualityIsKept(t *testing.T) {
	t.Parallel()
	w := newWorld(t, setup{phones: []behind{{phone: sipphone.Options{Codecs: []audio.Codec{audio.PCMA}}}}})
	client := w.client(0, "phone", jinglephone.Options{Codecs: jinglephone.WebRTC(), Behaviour: jinglephone.Conversations()})
	sip, xmpp := w.dial(0, client, 0)
	answered(t, sip, xmpp)
	for _, c := range []phone.Call{sip, xmpp} {
		if err := c.Heard().Wait(limit(t), func(s audio.Statistics) bool { return s.Packets >= 200 }); err != nil {
			t.Fatal(err)
		}
	}
	hangUp(t, sip, xmpp)
	r := w.record(0)
	for _, e := range []gateway.Edge{gateway.SIP, gateway.XMPP} {
		s := r.Leg(e)
		if s.In.Expected < 200 || s.In.MOS < 1 || s.In.MOS > 4.42 {
			t.Errorf("from %v: %+v", e, s.In)
		}
		if s.Out.Expected < 100 || s.Out.MOS < 1 || s.Out.MOS > 4.42 {
			t.Errorf("to %v: %+v", e, s.Out)
		}
	}
	if said := r.Unheard(); len(said) > 0 {
		t.Errorf("not heard: %q", said)
	}
}

// A phone that sends nothing is named in the record and in the log.
func TestOneWay(t *testing.T) {
	t.Parallel()
	w := newWorld(t, setup{phones: []behind{{phone: sipphone.Options{Codecs: []audio.Codec{audio.PCMA}, Behaviour: sipphone.Behaviour{Mute: true}}}}})
	client := w.client(0, "phone", jinglephone.Options{Codecs: jinglephone.WebRTC(), Behaviour: jinglephone.Conversations()})
	sip, xmpp := w.dial(0, client, 0)
	if err := xmpp.Accept(); err != nil {
		t.Fatal(err)
	}
	until(t, sip, phone.Active)
	if !poll(patience, func() bool { return w.log.count("nothing is heard") > 0 }) {
		t.Fatal("nobody noticed")
	}
	hangUp(t, sip, xmpp)
	r := w.record(0)
	if got, want := r.Unheard(), []string{"no packet ever came from the SIP side"}; !slices.Equal(got, want) {
		t.Errorf("not heard: %q, want %q", got, want)
	}
	if !strings.Contains(w.log.String(), `unheard="no packet ever came from the SIP side"`) {
		t.Error("the log does not say it")
	}
}
