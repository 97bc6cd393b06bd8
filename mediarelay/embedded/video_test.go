package embedded

import (
	"errors"
	"log/slog"
	"os"
	"strings"
	"testing"
	"time"

	"github.com/pion/rtcp"
	"github.com/pion/rtp"

	"sipxmppgw/gateway/call"
	"sipxmppgw/gateway/media"
	"sipxmppgw/test/mediatest"
)

func vp8(pt uint8) media.Codec {
	return media.Codec{PT: pt, Name: "VP8", ClockRate: 90000, Channels: 1}
}

func videoPolicy() media.Policy {
	p := sipPolicy()
	p.Video, p.RTCPMux = true, true
	return p
}

// A watcher is a phone with a screen, whose pictures have a port of their own.
type watcher struct {
	*phone
	screen *phone
}

func newWatcher(t *testing.T) *watcher {
	t.Helper()
	return &watcher{mediatest.NewPhone(t, "127.0.0.1"), mediatest.NewPhone(t, "127.0.0.1")}
}

func (w *watcher) Describe(feedback []media.Feedback, pictures ...media.Codec) media.Description {
	d := w.phone.Describe(pcmu())
	v := w.screen.Describe(pictures...).Streams[0]
	v.Kind, v.Feedback = media.Video, feedback
	d.Streams = append(d.Streams, v)
	for i := range d.Streams {
		d.Streams[i].Transport.RTCPMux = true
	}
	return d
}

func (w *watcher) Call(d media.Description) {
	w.T.Helper()
	w.phone.Call(d)
	i := d.Live(media.Video)
	if i < 0 {
		w.T.Fatalf("no pictures in %+v", d)
	}
	w.screen.To = d.Streams[i].Transport.Addr
}

// watch waits for what arrives at the screen: pictures, or feedback on its own.
func (w *watcher) watch(patience time.Duration) (picture *rtp.Packet, asked rtcp.Packet) {
	w.T.Helper()
	buf := make([]byte, 2000)
	w.screen.Conn.SetReadDeadline(time.Now().Add(patience))
	for {
		n, err := w.screen.Conn.Read(buf)
		if errors.Is(err, os.ErrDeadlineExceeded) {
			return nil, nil
		}
		if err != nil {
			w.T.Fatal(err)
		}
		if buf[1] < 192 || buf[1] > 223 {
			picture = new(rtp.Packet)
			if err := picture.Unmarshal(append([]byte{}, buf[:n]...)); err != nil {
				w.T.Fatal(err)
			}
			return picture, nil
		}
		all, err := rtcp.Unmarshal(buf[:n])
		if err != nil {
			w.T.Fatal(err)
		}
		for _, p := range all {
			switch p.(type) {
			case *rtcp.SenderReport, *rtcp.ReceiverReport, *rtcp.SourceDescription:
			default:
				return nil, p
			}
		}
	}
}

// picture waits for the next picture.
func (w *watcher) picture() *rtp.Packet {
	w.T.Helper()
	for {
		p, asked := w.watch(mediatest.Patience)
		if p == nil && asked == nil {
			w.T.Fatal("no picture came")
		}
		if p != nil {
			return p
		}
	}
}

func (w *watcher) ask(packets ...rtcp.Packet) {
	w.T.Helper()
	p, err := rtcp.Marshal(packets)
	if err != nil {
		w.T.Fatal(err)
	}
	if _, err := w.screen.Conn.WriteToUDPAddrPort(p, w.screen.To); err != nil {
		w.T.Fatal(err)
	}
}

// watchers connects two phones with pictures; each has shown one.
func watchers(t *testing.T, feedback ...media.Feedback) (g *rig, a, b *watcher, ssrc uint32) {
	t.Helper()
	g = newRig(t, videoPolicy(), videoPolicy(), nil)
	a, b = newWatcher(t), newWatcher(t)
	b.Call(g.Offered(1, call.B, a.Describe(feedback, vp8(97))))
	a.Call(g.Answered(2, call.A, b.Describe(feedback, vp8(99))))
	b.screen.Say(99, 1, 1, "picture")
	a.picture()
	a.screen.Say(97, 500, 9000, "picture")
	return g, a, b, b.picture().SSRC
}

var (
	nack = media.Feedback{Type: "nack"}
	pli  = media.Feedback{Type: "nack", Subtype: "pli"}
	fir  = media.Feedback{Type: "ccm", Subtype: "fir"}
)

// A picture that was lost on the way from us is sent again, a few times at most.
func TestPicturesAreSentAgain(t *testing.T) {
	t.Parallel()
	_, a, b, ssrc := watchers(t, nack)
	a.screen.Say(97, 501, 9000, "the lost one")
	first := b.picture()
	request := &rtcp.TransportLayerNack{SenderSSRC: 1, MediaSSRC: ssrc, Nacks: []rtcp.NackPair{{PacketID: first.SequenceNumber}}}
	for range repairTimes {
		b.ask(request)
		again := b.picture()
		if again.SequenceNumber != first.SequenceNumber || again.Timestamp != first.Timestamp || string(again.Payload) != "the lost one" {
			t.Fatalf("got %+v %q, was %+v", again.Header, again.Payload, first.Header)
		}
	}
	b.ask(request)
	b.ask(&rtcp.TransportLayerNack{SenderSSRC: 1, MediaSSRC: ssrc + 1, Nacks: request.Nacks}) // of nobody
	a.screen.Say(97, 502, 12000, "the next")
	if p := b.picture(); string(p.Payload) != "the next" {
		t.Errorf("got %q once more", p.Payload)
	}
}

// A picture that was lost on the way to us is asked for where it came from.
func TestPicturesThatNeverCame(t *testing.T) {
	t.Parallel()
	_, a, b, ssrc := watchers(t, nack)
	a.screen.Say(97, 503, 9000, "after a gap")
	last := b.picture().SequenceNumber
	b.ask(&rtcp.TransportLayerNack{
		SenderSSRC: 1, MediaSSRC: ssrc,
		Nacks: rtcp.NackPairsFromSequenceNumbers([]uint16{last - 2, last - 1, last + 1, last - 200}),
	})
	for {
		_, asked := a.watch(mediatest.Patience)
		if asked == nil {
			t.Fatal("A was asked for nothing")
		}
		n, ok := asked.(*rtcp.TransportLayerNack)
		if !ok {
			continue
		}
		if n.MediaSSRC != a.screen.SSRC || len(n.Nacks) != 1 || n.Nacks[0].PacketID != 501 || n.Nacks[0].LostPackets != 1 {
			t.Fatalf("A was asked for %+v", n)
		}
		break
	}
	a.screen.Say(97, 501, 9000, "late")
	if p := b.picture(); p.SequenceNumber != last-2 || string(p.Payload) != "late" {
		t.Errorf("got %+v %q", p.Header, p.Payload)
	}
}

// Who has not agreed to feedback is not bothered with it.
func TestPicturesWithoutRepair(t *testing.T) {
	t.Parallel()
	_, a, b, ssrc := watchers(t, pli)
	a.screen.Say(97, 502, 9000, "after a gap")
	last := b.picture().SequenceNumber
	b.ask(&rtcp.TransportLayerNack{SenderSSRC: 1, MediaSSRC: ssrc, Nacks: []rtcp.NackPair{{PacketID: last - 1, LostPackets: 1}}})
	for end := time.Now().Add(100 * time.Millisecond); time.Now().Before(end); {
		if _, asked := a.watch(20 * time.Millisecond); asked != nil {
			if n, ok := asked.(*rtcp.TransportLayerNack); ok {
				t.Errorf("A was asked for %+v", n)
			}
		}
	}
	if p, _ := b.watch(10 * time.Millisecond); p != nil {
		t.Errorf("B got %+v again", p.Header)
	}
}

// Requests for whole pictures go on in the form that is heeded, once a second at most and
// none forgotten; estimates of bandwidth go no further.
func TestFeedbackThatIsPassedOn(t *testing.T) {
	t.Parallel()
	g, a, b, ssrc := watchers(t, fir)
	var asked rtcp.Packet
	for ok := false; !ok; _, ok = asked.(*rtcp.FullIntraRequest) { // as it joins
		if _, asked = a.watch(mediatest.Patience); asked == nil {
			t.Fatal("A was not asked for a whole picture")
		}
	}
	began := time.Now()
	for range 5 {
		b.ask(
			&rtcp.PictureLossIndication{SenderSSRC: 1, MediaSSRC: ssrc},
			&rtcp.ReceiverEstimatedMaximumBitrate{SenderSSRC: 1, Bitrate: 1e6, SSRCs: []uint32{ssrc}},
		)
	}
	_, asked = a.watch(mediatest.Patience)
	f, ok := asked.(*rtcp.FullIntraRequest)
	if !ok || len(f.FIR) != 1 || f.FIR[0].SSRC != a.screen.SSRC || f.FIR[0].SequenceNumber != 2 {
		t.Fatalf("A was asked for %+v", asked)
	}
	if d := time.Since(began); d < keyEvery/2 {
		t.Errorf("it was asked again after %v", d)
	}
	if _, asked = a.watch(keyEvery / 2); asked != nil {
		t.Errorf("A was asked for %+v too", asked)
	}
	g.Keyframe(call.B)
	if _, asked = a.watch(mediatest.Patience); asked == nil {
		t.Error("A was asked for nothing on behalf of signalling")
	}
}

// A phone that knows no feedback is asked for whole pictures by signalling, once a second at
// most; one that knows some is not.
func TestFeedbackBySignalling(t *testing.T) {
	t.Parallel()
	g := newRig(t, videoPolicy(), videoPolicy(), nil)
	a, b := newWatcher(t), newWatcher(t)
	b.Call(g.Offered(1, call.B, a.Describe(nil, vp8(97))))
	a.Call(g.Answered(2, call.A, b.Describe([]media.Feedback{pli}, vp8(99))))
	b.screen.Say(99, 1, 1, "picture")
	a.picture()
	a.screen.Say(97, 500, 9000, "picture")
	ssrc := b.picture().SSRC
	if got := mediatest.Next[call.MediaPicture](g.Rig); got.Side != call.A { // as it joins
		t.Fatalf("a whole picture is wanted of %v", got.Side)
	}
	began := time.Now()
	for range 5 {
		b.ask(&rtcp.PictureLossIndication{SenderSSRC: 1, MediaSSRC: ssrc})
	}
	if got := mediatest.Next[call.MediaPicture](g.Rig); got.Side != call.A {
		t.Errorf("a whole picture is wanted of %v", got.Side)
	}
	if d := time.Since(began); d < keyEvery/2 {
		t.Errorf("it is wanted again after %v", d)
	}
	for end := time.After(keyEvery / 2); ; {
		select {
		case e := <-g.Events:
			if p, ok := e.(call.MediaPicture); ok {
				t.Errorf("a whole picture is wanted of %v too", p.Side)
			}
			continue
		case <-end:
		}
		return
	}
}

// A camera that is on again begins with a whole picture.
func TestPicturesResume(t *testing.T) {
	t.Parallel()
	g, a, b, _ := watchers(t, nack, pli)
	off := b.Describe([]media.Feedback{nack, pli}, vp8(99))
	off.Streams[1].Direction = media.Inactive
	g.Joined(3, call.B, off)
	for {
		if p, asked := a.watch(3 * keyEvery / 2); p == nil && asked == nil {
			break // the request of the beginning is over
		}
	}
	g.Joined(4, call.B, b.Describe([]media.Feedback{nack, pli}, vp8(99)))
	if _, asked := a.watch(mediatest.Patience); asked == nil {
		t.Error("A was not asked for a whole picture")
	} else if p, ok := asked.(*rtcp.PictureLossIndication); !ok || p.MediaSSRC != a.screen.SSRC {
		t.Errorf("A was asked for %+v", asked)
	}
}

// H.264 passes only to the same profile and packetization.
func TestPicturesOfTheSameProfile(t *testing.T) {
	t.Parallel()
	h264 := func(pt uint8, profile, mode string) media.Codec {
		return media.Codec{PT: pt, Name: "H264", ClockRate: 90000, Channels: 1, Params: []media.Param{
			{Name: "profile-level-id", Value: profile}, {Name: "packetization-mode", Value: mode},
		}}
	}
	rtx := media.Codec{PT: 121, Name: "rtx", ClockRate: 90000, Channels: 1, Params: []media.Param{{Name: "apt", Value: "97"}}}
	g := newRig(t, videoPolicy(), videoPolicy(), nil)
	a, b := newWatcher(t), newWatcher(t)
	offer := g.Offered(1, call.B, a.Describe(nil, h264(97, "42e01f", "1"), rtx, h264(98, "42e01f", "0"), h264(99, "640c1f", "1"), vp8(100)))
	if got := names(offer.Streams[1].Codecs); got != "97 H264/90000, 98 H264/90000, 99 H264/90000, 100 VP8/90000" {
		t.Errorf("B is offered %s", got)
	}
	b.Call(offer)
	answer := g.Answered(2, call.A, b.Describe(nil, h264(110, "42e015", "0"), h264(111, "640c2a", "1")))
	if got := names(answer.Streams[1].Codecs); got != "98 H264/90000, 99 H264/90000" {
		t.Fatalf("A is answered %s", got)
	}
	a.Call(answer)
	for pt, want := range map[uint8]uint8{98: 110, 99: 111} {
		a.screen.Say(pt, 1, 1, "picture")
		a.screen.Say(pt, 2, 1, "picture")
		if p := b.picture(); p.PayloadType != want {
			t.Errorf("type %d came as %d", pt, p.PayloadType)
		}
		b.picture()
	}
}

// only is a description of the stream of one kind, as if it were the only one, for a
// client that does nothing else.
func only(d media.Description, k media.Kind) media.Description {
	s := d.Streams[d.Live(k)]
	s.Kind = media.Audio
	return media.Description{Streams: []media.Stream{s}}
}

// pictured adds pictures to the description of a client's sound.
func pictured(sound, pictures media.Description, name string) media.Description {
	v := pictures.Streams[0]
	v.Name, v.Kind = name, media.Video
	sound.Streams = append(sound.Streams, v)
	return sound
}

func clientPolicy(bundle bool) media.Policy {
	p := jinglePolicy()
	p.Video, p.Bundle = true, bundle
	return p
}

// passive is what a client takes an offer of ours for that it answers actively.
func passive(d media.Description) media.Description {
	d = d.Clone()
	for i := range d.Streams {
		d.Streams[i].Transport.DTLS.Setup = media.Passive
	}
	return d
}

// Sound and pictures on one transport are told apart by their types.
func TestBundledStreams(t *testing.T) {
	t.Parallel()
	g := newRig(t, videoPolicy(), clientPolicy(true), nil)
	a, b := newWatcher(t), mediatest.NewClient(t)
	offer := g.Offered(1, call.B, a.Describe(nil, vp8(97)))
	pictures := b.Describe(media.Active, offer.Streams[1].Codecs...)
	answer := pictured(b.Describe(media.Active, pcmu()), pictures, offer.Streams[1].Name)
	answer.Bundle = offer.Bundle
	a.Call(g.Answered(2, call.A, answer))
	if err := connect(b, passive(offer), false); err != nil {
		t.Fatal(err)
	}
	g.Connected(call.B)
	for n := range uint16(5) {
		b.SSRC = 0x2222
		b.Say(0, 100+n, 160*uint32(n), "sound")
		b.SSRC = 0x3333
		b.Say(offer.Streams[1].Codecs[0].PT, 900+n, 3000*uint32(n), "picture")
		if p := a.Hear(); string(p.Payload) != "sound" || p.PayloadType != 0 {
			t.Fatalf("A heard %q of type %d", p.Payload, p.PayloadType)
		}
		if p := a.picture(); string(p.Payload) != "picture" || p.PayloadType != 97 {
			t.Fatalf("A saw %q of type %d", p.Payload, p.PayloadType)
		}
	}
	a.Say(0, 1, 160, "sound")
	sound := b.Hear()
	a.screen.Say(97, 1, 3000, "picture")
	picture := b.Hear()
	if string(sound.Payload) != "sound" || string(picture.Payload) != "picture" || sound.SSRC == picture.SSRC || sound.PayloadType == picture.PayloadType {
		t.Errorf("B got %q, %+v and %q, %+v", sound.Payload, sound.Header, picture.Payload, picture.Header)
	}
}

// COMPAT(Dino): a client without BUNDLE has a transport for each content.
func TestStreamsOfTheirOwn(t *testing.T) {
	t.Parallel()
	g := newRig(t, videoPolicy(), clientPolicy(false), nil)
	a, sound, sight := newWatcher(t), mediatest.NewClient(t), mediatest.NewClient(t)
	offer := g.Offered(1, call.B, a.Describe(nil, vp8(97)))
	if len(offer.Bundle) != 0 || offer.Streams[0].Transport.ICE.Ufrag == offer.Streams[1].Transport.ICE.Ufrag {
		t.Fatalf("B is offered %+v", offer)
	}
	answer := pictured(sound.Describe(media.Active, pcmu()), sight.Describe(media.Active, offer.Streams[1].Codecs...), offer.Streams[1].Name)
	a.Call(g.Answered(2, call.A, answer))
	if err := connect(sound, only(passive(offer), media.Audio), false); err != nil {
		t.Fatal(err)
	}
	if err := connect(sight, only(passive(offer), media.Video), false); err != nil {
		t.Fatal(err)
	}
	g.Connected(call.B)
	a.converse(sound, sight, offer.Streams[1].Codecs[0].PT)
}

// converse has sound and pictures flow between the phone and a client with a transport for each,
// which numbers its pictures so.
func (w *watcher) converse(sound, sight *mediatest.Client, pt uint8) {
	t := w.phone.T
	t.Helper()
	talk(t, w.phone, 0, sound, 0)
	var n uint16
	eventually(t, "a picture at the phone", func() bool { // the handshake ends here before it does there
		n++
		sight.Say(pt, n, 1, "picture")
		p, _ := w.watch(10 * time.Millisecond)
		return p != nil && string(p.Payload) == "picture"
	})
	w.screen.Say(97, 1, 1, "picture")
	if p := sight.Hear(); string(p.Payload) != "picture" {
		t.Errorf("the client saw %q", p.Payload)
	}
}

// COMPAT(Dino): the same client is offered a bundle, with the same credentials for all, and
// answers with a transport for each: their checks tell them apart, whenever they come.
func TestABundleThatIsDivided(t *testing.T) {
	t.Parallel()
	for _, early := range []bool{false, true} {
		name := "the answer comes first"
		if early {
			name = "the checks come first"
		}
		t.Run(name, func(t *testing.T) {
			t.Parallel()
			g := newRig(t, videoPolicy(), clientPolicy(true), nil)
			a, sound, sight := newWatcher(t), mediatest.NewClient(t), mediatest.NewClient(t)
			offer := g.Offered(1, call.B, a.Describe(nil, vp8(97)))
			if len(offer.Bundle) != 2 || offer.Streams[0].Transport.ICE.Ufrag != offer.Streams[1].Transport.ICE.Ufrag {
				t.Fatalf("B is offered %+v", offer)
			}
			connected := make(chan error, 2)
			begin := func() {
				go func() { connected <- connect(sight, only(passive(offer), media.Video), false) }()
				go func() { connected <- connect(sound, only(passive(offer), media.Audio), false) }()
			}
			answer := pictured(sound.Describe(media.Active, pcmu()), sight.Describe(media.Active, offer.Streams[1].Codecs...), offer.Streams[1].Name)
			if early {
				begin()
				for _, c := range []*mediatest.Client{sight, sound} { // until it has been heard
					eventually(t, "a check", func() bool { return g.claimed(call.B, c) })
				}
			}
			a.Call(g.Answered(2, call.A, answer))
			if !early {
				begin()
			}
			for range 2 {
				if err := <-connected; err != nil {
					t.Fatal(err)
				}
			}
			g.Connected(call.B)
			a.converse(sound, sight, offer.Streams[1].Codecs[0].PT)
			if !g.ends[call.B].transports[1].shared() {
				t.Error("the pictures have a port of their own")
			}
			again := g.Offered(3, call.B, a.Describe(nil, vp8(97)))
			if len(again.Bundle) != 0 || again.Streams[0].Transport.ICE.Ufrag != again.Streams[1].Transport.ICE.Ufrag {
				t.Errorf("B is offered again %+v", again)
			}
		})
	}
}

// claimed reports whether an address of a client is somebody's.
func (g *rig) claimed(side call.Side, c *mediatest.Client) bool {
	for _, s := range g.ends[side].transports[0].sockets {
		h, ok := s.wire.(*share)
		for _, k := range c.Found {
			if ok && h.line.owner(k.Addr) != nil {
				return true
			}
		}
	}
	return false
}

// lines takes the lines of a log that tell of media that failed.
type lines chan string

func (l lines) Write(p []byte) (int, error) {
	if strings.Contains(string(p), "media failed") {
		select {
		case l <- string(p):
		default:
		}
	}
	return len(p), nil
}

// Pictures that come to nothing do not end a call.
func TestPicturesThatFail(t *testing.T) {
	t.Parallel()
	tests := []struct {
		name    string
		change  func(*media.Stream) // of the answer
		refused bool
	}{
		{"nobody answers checks", func(*media.Stream) {}, false},
		{"no fingerprint", func(s *media.Stream) { s.Transport.DTLS = nil }, true},
		{"another codec", func(s *media.Stream) { s.Codecs[0].Name = "H264" }, true},
		{"credentials that cannot be", func(s *media.Stream) { s.Transport.ICE = &media.ICE{Ufrag: "x", Pwd: "y"} }, false},
	}
	for _, tt := range tests {
		t.Run(tt.name, func(t *testing.T) {
			t.Parallel()
			failed := make(lines, 1)
			g := newRig(t, videoPolicy(), clientPolicy(false), func(o *Options) {
				o.Times.Connect = 1500 * time.Millisecond
				o.Log = slog.New(slog.NewTextHandler(failed, nil))
			})
			a, sound, sight := newWatcher(t), mediatest.NewClient(t), mediatest.NewClient(t)
			offer := g.Offered(1, call.B, a.Describe(nil, vp8(97)))
			answer := pictured(sound.Describe(media.Active, pcmu()), sight.Describe(media.Active, vp8(97)), offer.Streams[1].Name)
			tt.change(&answer.Streams[1])
			got := g.Answered(2, call.A, answer)
			a.phone.Call(got)
			if got.Streams[1].Rejected != tt.refused {
				t.Errorf("A is answered %+v", got.Streams[1])
			}
			if err := connect(sound, only(passive(offer), media.Audio), false); err != nil {
				t.Fatal(err)
			}
			g.Connected(call.B)
			if !tt.refused {
				select {
				case <-failed:
				case <-time.After(mediatest.Patience):
					t.Error("the pictures have not failed")
				}
			}
			talk(t, a.phone, 0, sound, 0)
			select {
			case e := <-g.Events:
				if f, ok := e.(call.MediaFailed); ok {
					t.Errorf("got %+v", f)
				}
			default:
			}
		})
	}
}

// A peer that offers to bundle, where we do not, is answered with a transport for each.
func TestBundleThatIsNotTaken(t *testing.T) {
	t.Parallel()
	g := newRig(t, clientPolicy(false), videoPolicy(), nil)
	a, b := mediatest.NewClient(t), newWatcher(t)
	own := pictured(a.Describe(media.ActPass, pcmu()), a.Describe(media.ActPass, vp8(97)), "1")
	own.Bundle = []string{"0", "1"}
	g.Offered(1, call.B, own)
	answer := g.Answered(2, call.A, b.Describe(nil, vp8(99)))
	if len(answer.Bundle) != 0 || answer.Streams[1].Rejected || answer.Streams[0].Transport.ICE.Ufrag == answer.Streams[1].Transport.ICE.Ufrag {
		t.Errorf("A is answered %+v", answer)
	}
}

// A camera that begins anew as another source is asked for a whole picture once more: who
// watches may have missed its first.
func TestPicturesOfAnotherSource(t *testing.T) {
	t.Parallel()
	_, a, _, _ := watchers(t, nack, pli)
	asks := func() uint32 {
		for {
			p, asked := a.watch(mediatest.Patience)
			if ask, ok := asked.(*rtcp.PictureLossIndication); ok {
				return ask.MediaSSRC
			}
			if p == nil && asked == nil {
				t.Fatal("A was not asked for a whole picture")
			}
		}
	}
	if first := asks(); first != a.screen.SSRC {
		t.Fatalf("asked %x, want %x", first, a.screen.SSRC)
	}
	a.screen.SSRC++
	a.screen.Say(97, 900, 9000, "picture")
	a.screen.Say(97, 901, 9000, "picture") // two in sequence are believed
	if again := asks(); again != a.screen.SSRC {
		t.Errorf("asked %x, want %x", again, a.screen.SSRC)
	}
}
