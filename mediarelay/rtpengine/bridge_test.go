package rtpengine

import (
	"fmt"
	"net/netip"
	"reflect"
	"slices"
	"strings"
	"testing"
	"time"

	"sipxmppgw/gateway/call"
	"sipxmppgw/gateway/media"
	"sipxmppgw/test/golden"
)

type policy = media.Policy

func sipPolicy() policy {
	p := policy{}
	for _, c := range media.DefaultCodecs() {
		if c.Name != "G722" && !c.Noise() {
			p.Codecs = append(p.Codecs, c)
		}
	}
	return p
}

func jinglePolicy() policy {
	return policy{ICE: true, DTLS: true, Bundle: true, RTCPMux: true, G711: true, Codecs: media.DefaultCodecs()}
}

// plainPolicy is that for a client without DTLS.
func plainPolicy() policy {
	return policy{ICE: true, G711: true, SDES: true, Clear: true, Codecs: media.DefaultCodecs()}
}

// at is a policy for a peer on a network.
func at(network string, six bool, p policy) policy {
	p.Networks, p.IPv6 = []string{network}, six
	return p
}

func codecs(names ...string) (list []media.Codec) {
	for _, n := range names {
		for _, c := range media.DefaultCodecs() {
			if c.Name == n && (!c.Event() || c.ClockRate == 8000) {
				list = append(list, c)
			}
		}
	}
	return list
}

func phone(names ...string) media.Description {
	return media.Description{Streams: []media.Stream{{
		Kind: media.Audio, Codecs: codecs(names...), Transport: media.Transport{Addr: netip.MustParseAddrPort("198.51.100.5:4000")},
	}}}
}

func client(setup media.Setup, names ...string) media.Description {
	return media.Description{Streams: []media.Stream{{
		Name: "0", Kind: media.Audio, Codecs: codecs(names...),
		Transport: media.Transport{
			Profile: media.TLSSAVPF, RTCPMux: true,
			ICE: &media.ICE{Ufrag: "clnt", Pwd: "clientclientclientclient"},
			DTLS: &media.DTLS{Setup: setup, Fingerprints: []media.Fingerprint{
				{Hash: "sha-256", Value: strings.TrimSuffix(strings.Repeat("CD:", 32), ":")},
			}},
		},
	}}}
}

// plain is what a client without DTLS describes, with ICE for RTP and RTCP apart.
func plain(names ...string) media.Description {
	d := client(media.ActPass, names...)
	tr := &d.Streams[0].Transport
	tr.Profile, tr.RTCPMux, tr.DTLS = media.AVP, false, nil
	return d
}

func trickled(ufrag string, port uint16) media.Description {
	return media.Description{Streams: []media.Stream{{Name: "0", Transport: media.Transport{ICE: &media.ICE{
		Ufrag: ufrag, Pwd: ufrag + "clientclientclientcl", Candidates: []media.Candidate{{
			Foundation: "1", Component: 1, Protocol: "udp", Priority: 1, Type: "host", Addr: netip.AddrPortFrom(netip.MustParseAddr("203.0.113.9"), port),
		}},
	}}}}}
}

// TestRequests shows, for each way that a call goes, what rtpengine is asked.
func TestRequests(t *testing.T) {
	plays := []struct {
		name string
		a, b policy
		play func(g *rig)
		last string // request, before the call ends
	}{
		{"phone calls client, hold, digit", sipPolicy(), jinglePolicy(), func(g *rig) {
			g.Offer(1, call.B, phone("PCMA", "telephone-event"))
			want[call.MediaOffered](g)
			g.Candidates(call.B, trickled("clnt", 5000))
			g.Answer(2, call.A, client(media.Active, "PCMA", "telephone-event"))
			want[call.MediaAnswered](g)
			held := phone("PCMA", "telephone-event")
			held.Streams[0].Direction = media.SendOnly
			g.Join(3, call.A, held)
			want[call.MediaAnswered](g)
			g.Digit(call.B, call.Digit{Key: '7', Length: time.Millisecond})
		}, "play DTMF"},
		{"client calls phone, candidates later, restart", jinglePolicy(), sipPolicy(), func(g *rig) {
			g.Offer(1, call.B, client(media.ActPass, "opus", "PCMU"))
			want[call.MediaOffered](g)
			g.Answer(2, call.A, phone("PCMU"))
			want[call.MediaAnswered](g)
			g.Candidates(call.A, trickled("again", 5000))
			want[call.MediaCandidates](g)
		}, "answer"},
		{"phone calls client, which begins ICE anew", sipPolicy(), jinglePolicy(), func(g *rig) {
			g.Offer(1, call.B, phone("PCMU"))
			want[call.MediaOffered](g)
			g.Answer(2, call.A, client(media.Active, "PCMU"))
			want[call.MediaAnswered](g)
			g.Candidates(call.B, trickled("again", 5000))
			news := want[call.MediaCandidates](g)
			if role := news.Media.Streams[0].Transport.DTLS.Setup; role != media.Passive {
				g.t.Errorf("the client, which began DTLS, is told %v", role)
			}
		}, "answer"},
		{"client announces, phone answers, client offers", jinglePolicy(), sipPolicy(), func(g *rig) {
			g.Offer(1, call.B, media.Description{})
			want[call.MediaOffered](g)
			g.Answer(2, call.A, phone("PCMU"))
			want[call.MediaAnswered](g)
			g.Join(3, call.A, client(media.ActPass, "opus", "PCMU"))
			want[call.MediaAnswered](g)
		}, "answer"},
		{"phone on another network and IPv6 calls a client without DTLS", at("in", true, sipPolicy()), at("out", false, plainPolicy()), func(g *rig) {
			own := phone("PCMA")
			own.Streams[0].Transport.Addr = netip.MustParseAddrPort("[2001:db8::5]:4000")
			g.Offer(1, call.B, own)
			want[call.MediaOffered](g)
			g.Answer(2, call.A, plain("PCMA"))
			want[call.MediaAnswered](g)
		}, "answer"},
		{"client without DTLS calls phone, which holds", func() policy { p := plainPolicy(); p.RTCPMux = true; return p }(), sipPolicy(), func(g *rig) {
			g.Offer(1, call.B, plain("PCMA"))
			want[call.MediaOffered](g)
			g.Answer(2, call.A, phone("PCMA"))
			want[call.MediaAnswered](g)
			held := phone("PCMA")
			held.Streams[0].Direction = media.SendOnly
			g.Offer(3, call.A, held)
			want[call.MediaOffered](g)
		}, "offer"},
		{"another phone takes the place of a phone, a third is given up", sipPolicy(), jinglePolicy(), func(g *rig) {
			g.Offer(1, call.B, phone("PCMA"))
			want[call.MediaOffered](g)
			g.Answer(2, call.A, client(media.Active, "PCMA"))
			want[call.MediaAnswered](g)
			g.Try(3, call.A, sipPolicy(), media.Description{})
			want[call.MediaOffered](g)
			g.Take(4, call.A, phone("PCMA"))
			want[call.MediaAnswered](g)
			g.Try(5, call.A, sipPolicy(), phone("PCMA"))
			want[call.MediaAnswered](g)
			g.Drop(call.A)
		}, "delete"},
		{"client is answered before phone is called, and hears ringing", jinglePolicy(), sipPolicy(), func(g *rig) {
			own := client(media.ActPass, "PCMU", "telephone-event")
			g.Join(1, call.A, own)
			want[call.MediaAnswered](g)
			g.Ring(call.A, true)
			g.Offer(2, call.B, own)
			want[call.MediaOffered](g)
			g.Ring(call.A, false)
			g.Answer(3, call.A, phone("PCMU"))
			want[call.MediaAnswered](g)
		}, "answer"},
	}
	var out strings.Builder
	for _, p := range plays {
		f := newFake(t, rewrites)
		e := newEngine(t, nil, f)
		g := e.rig(t, p.a, p.b)
		p.play(g)
		eventually(t, p.last, func() bool { r := f.requests(); return len(r) > 0 && r[len(r)-1].text("command") == p.last })
		g.Release()
		e.Close()
		fmt.Fprintf(&out, "# %s\n", p.name)
		for _, r := range f.requests() {
			write(&out, r)
		}
		out.WriteString("\n")
	}
	golden.Compare(t, "testdata/requests.golden", []byte(out.String()))
}

// write writes a request for reading.
func write(out *strings.Builder, r dict) {
	fmt.Fprintf(out, "%s", r.text("command"))
	var keys []string
	for k := range r {
		if k != "command" && k != "call-id" && k != "sdp" {
			keys = append(keys, k)
		}
	}
	slices.Sort(keys)
	for _, k := range keys {
		v := r[k]
		if k == "blob" {
			v = fmt.Sprintf("%d octets", len(r.text(k)))
		}
		fmt.Fprintf(out, " %s=%v", k, v)
	}
	out.WriteString("\n")
	for line := range strings.SplitSeq(strings.TrimSpace(r.text("sdp")), "\r\n") {
		if line != "" && !strings.HasPrefix(line, "o=") {
			fmt.Fprintf(out, "    %s\n", line)
		}
	}
}

func TestNewCallGoesToTheNextInstance(t *testing.T) {
	tests := []struct {
		name  string
		first func(dict) dict
	}{
		{"one is full", func(dict) dict { return dict{"result": "load limit"} }},
		{"one says nothing", func(dict) dict { return nil }},
	}
	for _, tt := range tests {
		t.Run(tt.name, func(t *testing.T) {
			bad, good := newFake(t, tt.first), newFake(t, rewrites)
			e := newEngine(t, func(o *Options) {
				o.Timeout = 100 * time.Millisecond
				o.Instances[0].Weight = 1_000_000 // it is asked first
				o.Ping = time.Hour
			}, bad, good)
			g := e.rig(t, sipPolicy(), jinglePolicy())
			g.Offer(1, call.B, phone("PCMA"))
			want[call.MediaOffered](g)
			g.Answer(2, call.A, client(media.Active, "PCMA"))
			want[call.MediaAnswered](g)
			if n := len(good.requests()); n != 2 {
				t.Errorf("the second was asked %d times", n)
			}
			if n := len(bad.requests()); n != 1 {
				t.Errorf("the first was asked %d times", n)
			}
		})
	}
}

func TestNobodyTakesTheCall(t *testing.T) {
	full := newFake(t, func(dict) dict { return dict{"result": "error", "error-reason": "Ran out of ports"} })
	g := newEngine(t, nil, full).rig(t, sipPolicy(), jinglePolicy())
	g.Offer(1, call.B, phone("PCMA"))
	got := want[call.MediaFailed](g)
	if got.Op != 1 || got.Cause != call.Overloaded || !strings.Contains(got.Detail.Text, "Ran out of ports") || !strings.Contains(got.Detail.Text, full.address()) {
		t.Errorf("got %+v", got)
	}
}

// up sets up a call between a phone and another.
func up(t *testing.T, e *Engine) *rig {
	t.Helper()
	g := e.rig(t, sipPolicy(), sipPolicy())
	g.Offer(1, call.B, phone("PCMA"))
	want[call.MediaOffered](g)
	g.Answer(2, call.A, phone("PCMA"))
	want[call.MediaAnswered](g)
	return g
}

func TestInstanceIsLost(t *testing.T) {
	f, other := newFake(t, rewrites), newFake(t, rewrites)
	e := newEngine(t, func(o *Options) {
		o.Instances[0].Weight = 1_000_000
		o.Times.Lost = 50 * time.Millisecond
		o.Ping = 10 * time.Millisecond
	}, f, other)
	g := up(t, e)
	f.die()
	got := want[call.MediaFailed](g)
	if got.Op != 0 || got.Cause != call.MediaLost || !strings.Contains(got.Detail.Text, f.address()) {
		t.Errorf("got %+v", got)
	}
	eventually(t, "the instance is down", func() bool { return !e.Counters().Instances[0].Up })
	up(t, e) // the other takes it
}

func TestCallIsForgotten(t *testing.T) {
	f := newFake(t, rewrites)
	g := up(t, newEngine(t, nil, f))
	f.set(func(dict) dict { return dict{"result": "error", "error-reason": unknownCall} })
	if got := want[call.MediaFailed](g); got.Op != 0 || got.Cause != call.MediaLost || !strings.Contains(got.Detail.Text, "no such call") {
		t.Errorf("got %+v", got)
	}
}

// What the configuration wants of every call stands in its first request.
func TestRecordAndTranscode(t *testing.T) {
	f := newFake(t, rewrites)
	g := newEngine(t, func(o *Options) { o.Record, o.Transcode = true, true }, f).rig(t, sipPolicy(), jinglePolicy())
	g.Offer(1, call.B, phone("PCMA"))
	want[call.MediaOffered](g)
	r := f.requests()[0]
	var all []any
	for _, c := range jinglePolicy().Codecs {
		all = append(all, c.Name)
	}
	if r.text("record-call") != "yes" || !reflect.DeepEqual(r.dict("codec").list("transcode"), all) {
		t.Errorf("the request is %v", r)
	}
}

// A reply that leaves out what the leg needs makes no call without protection.
func TestReplyWithoutProtection(t *testing.T) {
	for name, spoil := range map[string]func(string) string{
		"no fingerprint":      func(s string) string { return strings.ReplaceAll(s, "a=fingerprint:", "a=x:") },
		"no SDP":              func(string) string { return "nonsense" },
		"the stream is gone":  func(s string) string { return strings.ReplaceAll(s, "m=audio 30010", "m=audio 0") },
		"an address of zeros": func(s string) string { return strings.ReplaceAll(s, "192.0.2.7", "0.0.0.0") },
	} {
		f := newFake(t, func(r dict) dict {
			reply := rewrites(r)
			if s := reply.text("sdp"); s != "" {
				reply["sdp"] = spoil(s)
			}
			return reply
		})
		g := newEngine(t, nil, f).rig(t, sipPolicy(), jinglePolicy())
		g.Offer(1, call.B, phone("PCMA"))
		if got, ok := g.next().(call.MediaFailed); !ok || got.Op != 1 || got.Cause != call.TransportFailed {
			t.Errorf("%s: got %+v", name, got)
		}
	}
}

// A call that asks for ever while nobody answers is ended.
func TestMailboxIsBounded(t *testing.T) {
	f := newFake(t, rewrites)
	e := newEngine(t, nil, f)
	g := up(t, e)
	release := make(chan struct{})
	f.set(func(r dict) dict { <-release; return rewrites(r) })
	for n := range 3 * maxInputs {
		g.Candidates(call.A, trickled(fmt.Sprint("u", n), 5000))
		g.Join(call.Op(n), call.A, phone("PCMA"))
	}
	g.mu.Lock()
	waiting := len(g.inputs)
	g.mu.Unlock()
	if waiting > maxInputs {
		t.Errorf("%d requests wait", waiting)
	}
	close(release)
	for {
		if f := want[call.MediaFailed](g); f.Op == 0 {
			if f.Cause != call.Overloaded {
				t.Errorf("got %+v", f)
			}
			return
		}
	}
}

func TestPicturesHaveTheirLine(t *testing.T) {
	f := newFake(t, rewrites)
	a, b := sipPolicy(), jinglePolicy()
	a.Video, b.Video = true, true
	g := newEngine(t, nil, f).rig(t, a, b)
	offer := phone("PCMA")
	vp8 := media.Codec{PT: 97, Name: "VP8", ClockRate: 90000, Channels: 1}
	offer.Streams = append(offer.Streams, media.Stream{Kind: media.Video, Codecs: []media.Codec{vp8}, Transport: offer.Streams[0].Transport})
	g.Offer(1, call.B, offer)
	d := want[call.MediaOffered](g).Media
	if len(d.Streams) != 2 || d.Streams[1].Kind != media.Video || d.Streams[1].Codecs[0].PT != 97 || d.Bundle != nil ||
		d.Streams[1].Transport.DTLS == nil || d.Streams[1].Name == d.Streams[0].Name {
		t.Fatalf("B is offered %+v", d)
	}
	answer := client(media.Active, "PCMA")
	answer.Streams[0].Name = d.Streams[0].Name
	answer.Streams = append(answer.Streams, media.Refuse(d.Streams[1])) // it takes no pictures
	g.Answer(2, call.A, answer)
	got := want[call.MediaAnswered](g).Media
	if len(got.Streams) != 2 || got.Streams[0].Rejected || !got.Streams[1].Rejected {
		t.Errorf("A is answered %+v", got)
	}
}

func TestNumbersPassAsTheyAre(t *testing.T) {
	renumbered := func(pt uint8, c media.Codec) media.Codec { c.PT = pt; return c }
	opus, te := codecs("opus")[0], codecs("telephone-event")[0]
	offered := []media.Codec{renumbered(97, opus), codecs("PCMU")[0], renumbered(126, te)}
	if got := alike([]media.Codec{opus, codecs("PCMA")[0], te}, offered); got[0].PT != 97 || got[1].PT != 8 || got[2].PT != 126 {
		t.Errorf("the other leg is offered %+v", got)
	}
	if got := alike([]media.Codec{te}, nil); got[0].PT != 126 {
		t.Errorf("without word of the other leg events are %d", got[0].PT)
	}
	far := []media.Codec{opus, codecs("PCMU")[0], te} // settled under 111, 0, 101
	answer := numbered(offered, offered, far, false)
	if len(answer) != 2 || answer[0].Name != "PCMU" || answer[1].PT != 101 {
		t.Errorf("a late offer is answered %+v", answer)
	}
	answer = numbered(offered, offered, far, true)
	if len(answer) != 3 || answer[0].PT != 111 {
		t.Errorf("an offer that was passed on is answered %+v", answer)
	}
}

func TestMergeCandidates(t *testing.T) {
	e := newEnd(&Bridge{engine: &Engine{}, lines: 1}, call.A, jinglePolicy())
	e.hear(client(media.ActPass, "PCMU"))
	news := func(ufrag, pwd string, ports ...uint16) media.Stream {
		s := media.Stream{Name: "0", Transport: media.Transport{ICE: &media.ICE{Ufrag: ufrag, Pwd: pwd}}}
		for _, p := range ports {
			s.Transport.ICE.Candidates = append(s.Transport.ICE.Candidates, media.Candidate{
				Component: 1, Type: "host", Addr: netip.AddrPortFrom(netip.MustParseAddr("203.0.113.9"), p),
			})
		}
		return s
	}
	const pwd = "clientclientclientclient"
	many := make([]uint16, 3*maxCandidates)
	for i := range many {
		many[i] = uint16(7000 + i)
	}
	tests := []struct {
		name       string
		news       media.Stream
		candidates int
		restart    bool
	}{
		{"two", news("clnt", pwd, 1, 2), 2, false},
		{"one of them again, and another", news("clnt", pwd, 2, 3), 3, false},
		{"without credentials", news("", "", 4), 4, false},
		{"of an earlier session", news("old", "", 5), 4, false},
		{"of a new session", news("new", "another password of it", 6), 1, true},
		{"too many", news("new", "another password of it", many...), maxCandidates, true},
	}
	for _, tt := range tests {
		if !e.merge(tt.news) {
			t.Errorf("%s: there was no place", tt.name)
		}
		if got := len(e.peer.Streams[0].Transport.ICE.Candidates); got != tt.candidates || e.restart != tt.restart {
			t.Errorf("%s: there are %d candidates, restart %v", tt.name, got, e.restart)
		}
	}
	other := news("clnt", pwd, 1)
	other.Name = "1"
	if e.merge(other) {
		t.Error("there was a place for a stream that is not")
	}
}

// rtpengine keeps what a peer reports by the source of that peer, and where it transcodes what it
// lacks of it in the same place.
func TestReadFigures(t *testing.T) {
	stream := func(source, packets, port int64, more ...any) dict {
		return dict{
			"flags": append([]any{"RTP"}, more...), "SSRC": source, "local address": "192.0.2.7", "local port": port,
			"endpoint": dict{"address": "198.51.100.5", "port": int64(4000)}, "crypto suite": "AEAD_AES_128_GCM", "last packet": int64(1700000000),
			"stats": dict{"packets": packets, "bytes": 172 * packets, "errors": int64(2)},
		}
	}
	reply := func(flags ...any) dict {
		return dict{
			"SSRC": dict{
				"7": dict{"cumulative loss": int64(3), "average MOS": dict{"jitter": int64(12), "round-trip time leg": int64(45000), "packet loss": int64(1)}},
				"8": dict{"cumulative loss": int64(20), "average MOS": dict{"jitter": int64(30), "round-trip time leg": int64(9000), "packet loss": int64(10)}},
			},
			"tags": dict{
				"A": dict{"medias": []any{dict{"codec": "PCMA/8000", "flags": flags, "streams": []any{
					stream(7, 180, 30000, "DTLS fingerprint verified"), dict{"flags": []any{"RTCP"}, "stats": dict{"packets": int64(4)}},
				}}}},
				"B": dict{"medias": []any{dict{"codec": "opus/48000/2", "flags": flags, "streams": []any{stream(8, 200, 30002)}}}},
				"C": "nonsense",
			},
		}
	}
	wanted := figures{all: 184, verified: true, Stats: media.Stats{
		Received: media.Flow{Packets: 180, Octets: 180 * 160}, RoundTrip: 45 * time.Millisecond,
		Dropped: media.Drops{Malformed: 2}, Codec: "PCMA", Last: time.Unix(1700000000, 0),
		Local: "192.0.2.7:30000", Remote: "198.51.100.5:4000", Protection: "AEAD_AES_128_GCM",
	}}
	for _, tt := range []struct {
		name    string
		reply   dict
		in, out media.Quality
		out2    string // the codec that A is sent
	}{
		{
			"passed on", reply(),
			media.Quality{Expected: 200, Lost: 20, Jitter: 30 * time.Millisecond},
			media.Quality{Expected: 203, Lost: 3, Jitter: 12 * time.Millisecond},
			"opus",
		},
		{
			"transcoded", reply("transcoding"),
			media.Quality{Expected: 183, Lost: 3},
			media.Quality{Expected: 200, Lost: 2, Jitter: 12 * time.Millisecond},
			"PCMA",
		},
	} {
		want := wanted
		want.In, want.Out, want.Lost, want.Jitter = tt.in, tt.out, tt.in.Lost, tt.in.Jitter
		want.In.Rate("PCMA", want.RoundTrip)
		want.Out.Rate(tt.out2, want.RoundTrip)
		if got := readFigures(tt.reply, "A", "B"); !reflect.DeepEqual(got, want) || got.In.MOS < 1 || got.Out.MOS < 1 {
			t.Errorf("%s: got %+v, want %+v", tt.name, got, want)
		}
	}
	silent := reply()
	silent["SSRC"] = dict{}
	if got := readFigures(silent, "A", "B"); got.In != (media.Quality{}) || got.Out != (media.Quality{}) || got.Received != wanted.Received {
		t.Errorf("of peers that report nothing it says %+v", got)
	}
	if got := readFigures(silent, "C", "A"); got.Local != "" {
		t.Errorf("of nonsense it says %+v", got)
	}
}

// Whom nobody hears is noticed while both sides are connected and nobody holds or rings.
func TestAttend(t *testing.T) {
	start := time.Unix(1_000_000, 0)
	at := func(s int) time.Time { return start.Add(time.Duration(s) * time.Second) }
	spoke := watching{connected: true, packets: 5, speech: 5, spoke: at(2), moved: at(8)}
	tests := []struct {
		name    string
		watch   watching
		far     watching
		codec   string
		quiet   bool  // looked at in the midst of silence
		after   []int // seconds, of the looks
		silence media.Silence
	}{
		{"never", watching{connected: true}, watching{connected: true}, "PCMA", true, []int{0, 4, 6, 8}, media.Silence{Never: true, Longest: 8 * time.Second}},
		{"not yet", watching{connected: true}, watching{connected: true}, "PCMA", false, []int{0, 4}, media.Silence{}},
		{"no more", spoke, watching{connected: true}, "PCMA", true, []int{0, 11, 13, 15}, media.Silence{Gaps: 1, Longest: 13 * time.Second}},
		{"for a moment", spoke, watching{connected: true}, "PCMA", false, []int{0, 11}, media.Silence{}},
		{"who leaves out silence", spoke, watching{connected: true}, "CN", false, []int{0, 11, 15}, media.Silence{}},
		{"while it may ring", watching{connected: true, early: true}, watching{connected: true}, "PCMA", false, []int{0, 60}, media.Silence{}},
		{"while the other connects", watching{connected: true}, watching{}, "PCMA", false, []int{0, 60}, media.Silence{}},
		{"on hold", watching{connected: true, held: true}, watching{connected: true}, "PCMA", false, []int{0, 60}, media.Silence{}},
	}
	for _, tt := range tests {
		b := judged(Times{}, media.SendRecv, tt.watch, start)
		b.ends[call.A].lanes[media.Audio].agreed = codecs("PCMA", tt.codec)
		b.ends[call.B].watch = tt.far
		for _, s := range tt.after {
			b.attend(b.ends[call.A], at(s))
		}
		if got := b.Stats()[call.A].Silence; got != tt.silence || b.ends[call.A].watch.gone != tt.quiet {
			t.Errorf("%s: got %+v, %v", tt.name, got, b.ends[call.A].watch.gone)
		}
	}
}

// judged is a bridge whose side A is watched since then, and side B has that direction.
func judged(times Times, flow media.Direction, w watching, since time.Time) *Bridge {
	e := &Engine{}
	e.options.Times = times
	e.options.defaults()
	b := &Bridge{engine: e, lines: 1}
	for i := range b.ends {
		b.ends[i] = newEnd(b, call.Side(i), sipPolicy())
		b.ends[i].lanes[media.Audio].agreed = codecs("PCMA")
	}
	b.ends[call.B].lanes[media.Audio].flow = flow
	w.since, w.quiet = since, since
	b.ends[call.A].watch = w
	return b
}

// Who was quiet on hold has its time anew when the hold ends.
func TestJudgeAfterHold(t *testing.T) {
	start, end := time.Unix(1_000_000, 0), time.Unix(1_001_000, 0)
	b := judged(Times{Silence: time.Minute, Held: time.Hour}, media.SendRecv, watching{connected: true, packets: 5, held: true}, start)
	for _, now := range []time.Time{end, end.Add(time.Minute)} {
		if b.judge(b.ends[call.A], now); len(b.results) > 0 {
			t.Fatalf("%v after the hold: %+v", now.Sub(end), b.results)
		}
	}
	if b.judge(b.ends[call.A], end.Add(time.Minute+time.Second)); len(b.results) == 0 {
		t.Error("its silence is not noticed any more")
	}
}

func TestJudge(t *testing.T) {
	start := time.Unix(1_000_000, 0)
	times := Times{Connect: 20 * time.Second, First: 30 * time.Second, Early: 180 * time.Second, Silence: 60 * time.Second, Held: 30 * time.Minute}
	tests := []struct {
		name   string
		watch  watching
		flow   media.Direction // of the other side
		after  time.Duration   // it is noticed, and a second before it is not
		reason string          // why it is lost; silence without ICE is only told
	}{
		{"no handshake", watching{}, media.SendRecv, times.Connect, "not done in time"},
		{"no first packet", watching{connected: true}, media.SendRecv, times.First, "no media for 31s"},
		{"none while it may ring", watching{connected: true, early: true}, media.SendRecv, times.Early, "no media for 3m1s"},
		{"silence", watching{connected: true, packets: 5}, media.SendRecv, times.Silence, "no media for 1m1s"},
		{"silence on hold", watching{connected: true, packets: 5, held: true}, media.SendOnly, times.Held, "no media for 30m1s"},
	}
	for _, tt := range tests {
		for after, lost := range map[time.Duration]bool{tt.after - time.Second: false, tt.after + time.Second: true} {
			b := judged(times, tt.flow, tt.watch, start)
			b.ends[call.A].ice = true
			b.judge(b.ends[call.A], start.Add(after))
			if b.over != lost || lost && !strings.Contains(b.results[0].(call.MediaFailed).Detail.Text, tt.reason) {
				t.Errorf("%s: after %v got %+v", tt.name, after, b.results)
			}
			if !tt.watch.connected {
				continue
			}
			b = judged(times, tt.flow, tt.watch, start)
			for range 2 { // it is told once, and then a new time begins
				b.judge(b.ends[call.A], start.Add(after))
			}
			if said := len(b.results) == 1; b.over || said != lost || said && b.results[0] != (call.MediaSilent{Side: call.A}) {
				t.Errorf("%s, without ICE: after %v got %+v", tt.name, after, b.results)
			}
		}
	}
}

// Who was silent and is heard again is said to be there, once.
func TestHeardAgain(t *testing.T) {
	b := judged(Times{}, media.SendRecv, watching{connected: true, packets: 5, silent: true}, time.Unix(1_000_000, 0))
	for _, packets := range []int64{5, 6, 7} {
		b.learn(dict{"tags": dict{"A": dict{"medias": []any{dict{"streams": []any{dict{
			"flags": []any{"RTP"}, "local address": "192.0.2.1", "local port": int64(4000), "stats": dict{"packets": packets},
		}}}}}}}, b.ends[:]...)
		if want := min(packets-5, 1); int64(len(b.results)) != want {
			t.Fatalf("after %d packets got %+v", packets, b.results)
		}
	}
	if b.results[0] != (call.MediaConnected{Side: call.A}) {
		t.Errorf("got %+v", b.results)
	}
}

// Of an end that someone doubts it is said if nothing was heard of late, but not on hold.
func TestMissing(t *testing.T) {
	start := time.Unix(1_000_000, 0)
	for _, tt := range []struct {
		name   string
		watch  watching
		after  time.Duration
		silent bool
	}{
		{"never heard", watching{connected: true}, 0, true},
		{"heard just now", watching{connected: true, packets: 5}, gap, false},
		{"not heard of late", watching{connected: true, packets: 5}, gap + time.Second, true},
		{"known to be silent", watching{connected: true, packets: 5, silent: true}, 0, true},
		{"on hold", watching{connected: true, packets: 5, held: true}, time.Hour, false},
	} {
		b := judged(Times{}, media.SendRecv, tt.watch, start)
		b.missing(b.ends[call.A], start.Add(tt.after))
		if silent := len(b.results) == 1 && b.results[0] == (call.MediaSilent{Side: call.A}); silent != tt.silent || len(b.results) > 1 {
			t.Errorf("%s: got %+v", tt.name, b.results)
		}
	}
}
