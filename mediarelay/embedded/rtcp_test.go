package embedded

import (
	"fmt"
	"math"
	"net"
	"testing"
	"time"

	"github.com/pion/rtcp"

	"sipxmppgw/gateway/call"
	"sipxmppgw/gateway/media"
	"sipxmppgw/test/mediatest"
)

// hearReports waits for RTCP on a socket.
func hearReports(t *testing.T, c *net.UDPConn) []rtcp.Packet {
	t.Helper()
	buf := make([]byte, 2000)
	c.SetReadDeadline(time.Now().Add(mediatest.Patience))
	for {
		n, err := c.Read(buf)
		if err != nil {
			t.Fatal(err)
		}
		if buf[1] < 192 {
			continue
		}
		packets, err := rtcp.Unmarshal(buf[:n])
		if err != nil {
			t.Fatal(err)
		}
		return packets
	}
}

func TestReports(t *testing.T) {
	for _, mux := range []bool{false, true} { // D-22
		name := "on ports of their own"
		if mux {
			name = "on the media's port"
		}
		t.Run(name, func(t *testing.T) {
			g := newRig(t, sipPolicy(), sipPolicy(), func(o *Options) {
				o.Times = Times{Report: 20 * time.Millisecond, Tick: 10 * time.Millisecond}
			})
			a, b := mediatest.NewPhone(t, "127.0.0.1"), mediatest.NewPhone(t, "127.0.0.1")
			control := a.Conn
			own := a.Describe(pcmu())
			if mux {
				own.Streams[0].Transport.RTCPMux = true
			} else {
				control = mediatest.ListenOn(t, "127.0.0.1")
				own.Streams[0].Transport.RTCP = mediatest.LocalOf(control)
			}
			b.Call(g.Offered(1, call.B, own))
			answer := g.Answered(2, call.A, b.Describe(pcmu()))
			if answer.Streams[0].Transport.RTCPMux != mux {
				t.Fatalf("A is answered %+v", answer.Streams[0].Transport)
			}
			a.Call(answer)
			for _, seq := range []uint16{100, 101, 104, 103} { // 102 is lost
				a.Say(0, seq, 160*uint32(seq), "payload")
				b.Hear()
			}
			b.Say(0, 1, 1, "payload")
			for {
				sr, ok := hearReports(t, control)[0].(*rtcp.SenderReport)
				if !ok || len(sr.Reports) == 0 {
					continue // of before the packets
				}
				if r := sr.Reports[0]; r.SSRC != a.SSRC || r.TotalLost != 1 || r.LastSequenceNumber != 104 {
					t.Errorf("A is told %+v", r)
				}
				if sr.PacketCount != 1 || sr.OctetCount != 7 {
					t.Errorf("A is told of %d packets and %d octets", sr.PacketCount, sr.OctetCount)
				}
				// Nothing is sent since; the reports tell when they are sent all the same.
				later := sr
				for later.NTPTime < sr.NTPTime+1<<30 {
					if next, ok := hearReports(t, control)[0].(*rtcp.SenderReport); ok {
						later = next
					}
				}
				passed := float64(later.NTPTime-sr.NTPTime) / (1 << 32) // seconds
				if ticks := float64(later.RTPTime - sr.RTPTime); math.Abs(ticks-8000*passed) > 400 {
					t.Errorf("%.3f s later the timestamp is %v further", passed, ticks)
				}
				sr = later
				// A answers at once: the round trip is short but not nothing.
				rr, err := rtcp.Marshal([]rtcp.Packet{&rtcp.ReceiverReport{SSRC: a.SSRC, Reports: []rtcp.ReceptionReport{{
					SSRC: sr.SSRC, LastSenderReport: uint32(sr.NTPTime >> 16),
				}}}})
				if err != nil {
					t.Fatal(err)
				}
				to := a.To
				if !mux {
					to = netipNext(to)
				}
				if _, err := control.WriteToUDPAddrPort(rr, to); err != nil {
					t.Fatal(err)
				}
				break
			}
			eventually(t, "round trip", func() bool { return g.Stats()[call.A].RoundTrip > 0 })
			if s := g.Stats()[call.A]; s.Lost != 1 || s.Received.Packets != 4 {
				t.Errorf("stats are %+v", s)
			}
		})
	}
}

func TestReportsOfAClient(t *testing.T) {
	g, a, b, _ := pair(t, func(o *Options) {
		o.Times = Times{Report: 20 * time.Millisecond, Tick: 10 * time.Millisecond}
	}, pcmu())
	a.Say(0, 1, 1, "payload")
	timeout := time.After(mediatest.Patience)
	for {
		select {
		case p := <-b.Media:
			if p[1] < 192 || p[1] > 223 {
				continue
			}
			plain, err := b.RX.DecryptRTCP(nil, p, nil)
			if err != nil {
				t.Fatal(err)
			}
			packets, err := rtcp.Unmarshal(plain)
			if err != nil {
				t.Fatal(err)
			}
			if sr, ok := packets[0].(*rtcp.SenderReport); !ok || sr.SSRC != g.ends[call.B].lanes[media.Audio].out.ssrc {
				continue
			}
			if name := packets[1].(*rtcp.SourceDescription).Chunks[0].Items[0].Text; name != g.ends[call.B].cname {
				t.Errorf("the name is %q", name)
			}
			return
		case <-timeout:
			t.Fatal("no report came")
		}
	}
}

func TestPictures(t *testing.T) {
	sip, jingle := sipPolicy(), sipPolicy()
	sip.Video, jingle.Video = true, true
	g := newRig(t, sip, jingle, nil)
	vp8 := media.Codec{PT: 97, Name: "VP8", ClockRate: 90000, Channels: 1}
	a, b := mediatest.NewPhone(t, "127.0.0.1"), mediatest.NewPhone(t, "127.0.0.1")
	seen, shown := mediatest.NewPhone(t, "127.0.0.1"), mediatest.NewPhone(t, "127.0.0.1")
	withPictures := func(p, picture *phone, pt uint8) media.Description {
		d := p.Describe(pcmu())
		v := picture.Describe(vp8).Streams[0]
		v.Kind, v.Transport.RTCPMux = media.Video, true
		v.Codecs[0].PT = pt
		v.Feedback = []media.Feedback{{Type: "nack", Subtype: "pli"}}
		d.Streams = append(d.Streams, v)
		return d
	}
	offer := g.Offered(1, call.B, withPictures(a, seen, 97))
	if len(offer.Streams) != 2 || names(offer.Streams[1].Codecs) != "97 VP8/90000" || len(offer.Streams[1].Codecs[0].Feedback) != 3 {
		t.Fatalf("B is offered %+v", offer)
	}
	answer := g.Answered(2, call.A, withPictures(b, shown, 99))
	if len(answer.Streams) != 2 || answer.Streams[1].Rejected || len(answer.Streams[1].Codecs[0].Feedback) != 1 {
		t.Fatalf("A is answered %+v", answer)
	}
	seen.To, shown.To = answer.Streams[1].Transport.Addr, offer.Streams[1].Transport.Addr
	seen.Say(97, 7, 9000, "picture")
	got := shown.Hear()
	if got.PayloadType != 99 || string(got.Payload) != "picture" || got.Marker {
		t.Errorf("B saw %q of type %d, marker %v", got.Payload, got.PayloadType, got.Marker)
	}
	pli, err := rtcp.Marshal([]rtcp.Packet{&rtcp.PictureLossIndication{SenderSSRC: 1, MediaSSRC: got.SSRC}})
	if err != nil {
		t.Fatal(err)
	}
	shown.Say(99, 1, 1, "picture")
	seen.Hear()
	if _, err := shown.Conn.WriteToUDPAddrPort(pli, netipNext(shown.To)); err != nil {
		t.Fatal(err)
	}
	for {
		packets := hearReports(t, seen.Conn)
		if p, ok := packets[len(packets)-1].(*rtcp.PictureLossIndication); ok {
			if p.MediaSSRC != seen.SSRC {
				t.Errorf("A is asked for source %x, want %x", p.MediaSSRC, seen.SSRC)
			}
			return
		}
	}
}

// Pictures that come in a running session: one side is answered at once, the other is
// asked, and what it takes is given back, in the same slot (RFC 3264 section 8.1). They share the
// transport of the speech with a peer that has taken the group of the offer; another has one of
// its own for them (RFC 8843 section 7.3).
func TestPicturesAreAdded(t *testing.T) {
	for _, group := range [][]string{{"0"}, nil} {
		t.Run(fmt.Sprint("group ", group), func(t *testing.T) { picturesAreAdded(t, group) })
	}
}

func picturesAreAdded(t *testing.T, group []string) {
	sip, jingle := sipPolicy(), jinglePolicy()
	sip.Video, jingle.Video = true, true
	g := newRig(t, sip, jingle, nil)
	a, b, sight := mediatest.NewPhone(t, "127.0.0.1"), mediatest.NewClient(t), mediatest.NewClient(t)
	if offer := g.Offered(1, call.B, a.Describe(pcmu())); len(offer.Bundle) != 1 {
		t.Errorf("B is offered the group %v", offer.Bundle)
	}
	first := b.Describe(media.Active, pcmu())
	first.Bundle = group
	g.Answered(2, call.A, first)
	more := a.Describe(pcmu())
	v := more.Streams[0]
	v.Kind, v.Codecs = media.Video, []media.Codec{{PT: 97, Name: "VP8", ClockRate: 90000, Channels: 1}}
	more.Streams = append(more.Streams, v)
	if got := g.Joined(3, call.A, more); len(got.Streams) != 2 || !got.Streams[1].Rejected {
		t.Fatalf("A is answered %+v", got)
	}
	offer := g.Offered(4, call.B, more)
	if len(offer.Streams) != 2 || offer.Streams[1].Name != "1" || len(offer.Bundle) != 2*len(group) ||
		(offer.Streams[0].Transport.ICE.Ufrag == offer.Streams[1].Transport.ICE.Ufrag) != (group != nil) {
		t.Fatalf("B is offered %+v", offer)
	}
	answer := b.Describe(media.Active, pcmu())
	w := answer.Streams[0]
	if group == nil {
		w = sight.Describe(media.Active, pcmu()).Streams[0]
	}
	w.Name, w.Kind, w.Codecs = "1", media.Video, offer.Streams[1].Codecs
	answer.Streams = append(answer.Streams, w) // and no word of a bundle
	g.Answered(5, call.A, answer)
	back := g.Offered(6, call.A, answer)
	if len(back.Streams) != 2 || back.Streams[1].Rejected || back.Streams[1].Kind != media.Video {
		t.Errorf("A is offered %+v", back)
	}
}

func TestBundledPictures(t *testing.T) {
	sip, jingle := sipPolicy(), jinglePolicy()
	sip.Video, jingle.Video = true, true
	vp8 := media.Codec{PT: 0, Name: "VP8", ClockRate: 90000, Channels: 1}
	own := &media.ICE{Ufrag: "other", Pwd: "otherotherotherotherother"}
	tests := []struct {
		name   string
		change func(*media.Description, *media.Transport) // of the pictures
		taken  bool
	}{
		{"bundled", func(d *media.Description, _ *media.Transport) { d.Bundle = []string{"0", "1"} }, true},
		{"on a transport of their own", func(_ *media.Description, tr *media.Transport) { tr.ICE = own }, true},
		{"with RTCP apart", func(_ *media.Description, tr *media.Transport) { tr.ICE, tr.RTCPMux = own, false }, false},
		{"without a fingerprint", func(_ *media.Description, tr *media.Transport) { tr.ICE, tr.DTLS = own, nil }, false},
		{"without ICE", func(_ *media.Description, tr *media.Transport) { tr.ICE = nil }, false},
	}
	for _, tt := range tests {
		g := newRig(t, sip, jingle, nil)
		a := mediatest.NewPhone(t, "127.0.0.1")
		offered := a.Describe(pcmu(), opus(111))
		v := offered.Streams[0]
		vp8.PT = 96
		v.Kind, v.Codecs = media.Video, []media.Codec{vp8}
		offered.Streams = append(offered.Streams, v)
		offer := g.Offered(1, call.B, offered)
		if len(offer.Bundle) != 2 || offer.Streams[0].Transport.ICE.Ufrag != offer.Streams[1].Transport.ICE.Ufrag { // D-12
			t.Fatalf("B is offered %+v", offer)
		}
		b := mediatest.NewClient(t)
		answer := b.Describe(media.Active, pcmu())
		v = answer.Streams[0]
		v.Name, v.Kind, v.Codecs = offer.Streams[1].Name, media.Video, offer.Streams[1].Codecs
		answer.Streams = append(answer.Streams, v)
		tt.change(&answer, &answer.Streams[1].Transport)
		got := g.Answered(2, call.A, answer)
		if rejected := got.Streams[1].Rejected; rejected == tt.taken {
			t.Errorf("%s: pictures to A rejected %v", tt.name, rejected)
		}
	}
}
