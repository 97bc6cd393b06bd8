package main

import (
	"errors"
	"slices"
	"sync"

	"github.com/prometheus/client_golang/prometheus"

	"sipxmppgw/config"
	"sipxmppgw/gateway"
	"sipxmppgw/gateway/call"
	"sipxmppgw/gateway/media"
	"sipxmppgw/gateway/typed"
	"sipxmppgw/mediarelay/typing"
	"sipxmppgw/signaling"
)

// textModes are what trunks[].text may say.
var textModes = map[string]signaling.TextMode{"accept": signaling.TakeText, "offer": signaling.OfferText, "off": signaling.NoText}

// texts are the calls of one tenant that have text which is seen while it is typed.
type texts struct {
	gateway.Texts
	packets *prometheus.CounterVec
}

func newTexts(r prometheus.Registerer) *texts {
	t := &texts{packets: prometheus.NewCounterVec(prometheus.CounterOpts{
		Name: "sipxmppgw_text_packets_total",
		Help: "Packets of text that is seen while it is typed (RFC 4103), of calls that have ended: sent, received, refused (not the peer's, or not understood), lost, or repaired by what came with a later one.",
	}, []string{"result"})}
	lines := prometheus.NewGaugeFunc(prometheus.GaugeOpts{
		Name: "sipxmppgw_text_calls", Help: "Calls that have text which is seen while it is typed, now.",
	}, func() float64 { return float64(t.Len()) })
	r.MustRegister(t.packets, lines)
	for _, result := range []string{"sent", "received", "refused", "lost", "repaired"} {
		t.packets.WithLabelValues(result)
	}
	return t
}

// withTexts are those calls, for the XMPP side; nil if no call can have text.
func (t *tenant) withTexts() *gateway.Texts {
	some := len(t.c.Phones) > 0 || slices.ContainsFunc(t.c.Trunks, func(own config.Trunk) bool { return own.Text != "off" && typing.Allowed(trunkPolicy(t.c, own)) })
	if t.remote != nil || !some {
		return nil
	}
	return &t.texts.Texts
}

// A textLine is one that its tenant knows.
type textLine struct {
	*typing.Line
	over func()
}

// Close implements [signaling.TextLine].
func (l textLine) Close() {
	l.Line.Close()
	l.over()
}

// openText opens the text of a call over a leg with a policy. An error says why it has none.
func (t *tenant) openText(policy media.Policy, id call.ID) (signaling.TextLine, error) {
	switch {
	case t.remote != nil:
		return nil, errors.New("rtpengine carries the media, and knows no text")
	case !typing.Allowed(policy):
		return nil, errors.New("the trunk's media is protected by DTLS or found by ICE, which is not done for text")
	}
	conn, at, err := t.d.relay.Packets(policy)
	if err != nil {
		return nil, err
	}
	line := typing.New(typing.Options{
		Conn: conn, Told: at, Policy: policy, Log: areaOf(t.log, "media"),
		Say: func(said []typed.Said, last bool) { t.xmpp.Type(id, said, last) },
	})
	closed := t.texts.Open(id, line)
	return textLine{line, sync.OnceFunc(func() {
		closed()
		f := line.Figures()
		t.texts.Note(id, gateway.TextFigures{Sent: f.Sent, Received: f.Received, Lost: f.Lost})
		for result, n := range map[string]uint64{"sent": f.Sent, "received": f.Received, "refused": f.Refused, "lost": f.Lost, "repaired": f.Repaired} {
			t.texts.packets.WithLabelValues(result).Add(float64(n))
		}
	})}, nil
}
