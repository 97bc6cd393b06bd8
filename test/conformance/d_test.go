package main

import (
	"encoding/xml"
	"fmt"
	"net/netip"
	"slices"
	"strconv"
	"strings"
	"testing"

	"gosrc.io/xmpp/stanza"

	"sipxmppgw/gateway/call"
	"sipxmppgw/gateway/media"
	jingle "sipxmppgw/jingle/session"
	"sipxmppgw/jingle/wire"
	"sipxmppgw/signaling/sdp"
	"sipxmppgw/test/peer/element"
)

// sdpChecks are those of group D.
var sdpChecks = map[string]func(*testing.T){
	"D-01": checkStaticTypes,
	"D-02": checkParameters,
	"D-03": checkEvents,
	"D-04": checkPacketTime,
	"D-05": checkReferences,
	"D-06": checkFeedback,
	"D-07": checkDirections,
	"D-08": checkNoDirection,
	"D-09": checkStrangeNames,
	"D-10": checkSlotStays,
	"D-11": checkRefusedContent,
	"D-12": checkBundle,
	"D-13": checkSecured,
	"D-14": checkFingerprint,
	"D-15": checkSDES,
	"D-16": checkChosenKey,
	"D-17": checkReflexive,
	"D-18": checkFoundation,
	"D-19": checkTrickle,
	"D-20": checkRestart,
	"D-21": checkSources,
	"D-22": checkSeparateRTCP,
	"D-23": checkUnknownLines,
	"D-24": checkPayloadTypes,
	"D-25": checkVersion,
	"D-26": checkOldHold,
	"D-27": checkNoCodec,
	"D-28": checkG711,
}

const sdpHead = "v=0\no=- 7 1 IN IP4 198.51.100.9\ns=-\nc=IN IP4 198.51.100.9\nt=0 0\n"

func origin() sdp.Origin {
	return sdp.Origin{User: "gw", ID: 1, Addr: netip.MustParseAddr("192.0.2.10")}
}

// described is what an SDP says; written is the SDP that says it.
func described(t *testing.T, text string) media.Description {
	t.Helper()
	d, err := sdp.Parse([]byte(text))
	if err != nil {
		t.Fatalf("%v in\n%s", err, text)
	}
	return d
}

func written(d media.Description) string {
	return strings.ReplaceAll(string(sdp.NewSession(origin()).Format(d)), "\r\n", "\n")
}

// jingleOf is the session-initiate of a description, as another reader of XML sees it.
func jingleOf(t *testing.T, d media.Description, describer wire.Role) *element.Element {
	t.Helper()
	j := wire.Jingle{Action: wire.SessionInitiate, SID: "s"}
	j.Contents, j.Groups = wire.ContentsOf(d, describer)
	raw, err := xml.Marshal(j.Element())
	if err != nil {
		t.Fatal(err)
	}
	e, err := element.Parse(string(raw), "jabber:client")
	if err != nil {
		t.Fatal(err)
	}
	return e
}

// ofJingle is what its describer means by a <jingle/>.
func ofJingle(t *testing.T, text string, describer wire.Role) media.Description {
	t.Helper()
	var n stanza.Node
	if err := xml.Unmarshal([]byte(text), &n); err != nil {
		t.Fatal(err)
	}
	j, err := wire.ParseJingle(&n)
	if err != nil {
		t.Fatal(err)
	}
	return j.Description(describer)
}

// session wraps contents into a session-initiate, and content a description into one.
func session(contents string) string {
	return "<jingle xmlns='urn:xmpp:jingle:1' action='session-initiate' sid='s'>" + contents + "</jingle>"
}

func content(attrs, description, transport string) string {
	return "<content creator='initiator'" + attrs + "><description xmlns='urn:xmpp:jingle:apps:rtp:1' media='audio'>" + description +
		"</description><transport xmlns='urn:xmpp:jingle:transports:ice-udp:1' ufrag='abcd' pwd='0123456789abcdef012345'>" + transport + "</transport></content>"
}

// find returns every element of that name below e, whatever its namespace.
func find(e *element.Element, name string) []*element.Element {
	var found []*element.Element
	for c := range e.Elements() {
		if c.Name == name {
			found = append(found, c)
		}
		found = append(found, find(c, name)...)
	}
	return found
}

func only(t *testing.T, e *element.Element, name string) *element.Element {
	t.Helper()
	found := find(e, name)
	if len(found) != 1 {
		t.Fatalf("%d elements %s, want one, in %s", len(found), name, e)
	}
	return found[0]
}

// payload returns the payload-type of that number.
func payload(t *testing.T, e *element.Element, id string) *element.Element {
	t.Helper()
	for _, p := range find(e, "payload-type") {
		if p.Attr("id") == id {
			return p
		}
	}
	t.Fatalf("no payload type %s in %s", id, e)
	return nil
}

// has wants lines to stand in an SDP; lacks wants none that begins so.
func has(t *testing.T, text string, lines ...string) {
	t.Helper()
	for _, l := range lines {
		if !strings.Contains("\n"+text, "\n"+l+"\n") {
			t.Errorf("no %s in\n%s", l, text)
		}
	}
}

func lacks(t *testing.T, text string, beginnings ...string) {
	t.Helper()
	for _, l := range beginnings {
		if strings.Contains("\n"+text, "\n"+l) {
			t.Errorf("%s… is in\n%s", l, text)
		}
	}
}

func checkStaticTypes(t *testing.T) {
	d := described(t, sdpHead+"m=audio 4000 RTP/AVP 0 8 9\n")
	j := jingleOf(t, d, wire.Initiator)
	for _, want := range []struct{ id, name string }{{"0", "PCMU"}, {"8", "PCMA"}, {"9", "G722"}} {
		p := payload(t, j, want.id)
		equal(t, "name of "+want.id, p.Attr("name"), want.name)
		equal(t, "clockrate of "+want.id, p.Attr("clockrate"), "8000")
	}
	has(t, written(d), "m=audio 4000 RTP/AVP 0 8 9", "a=rtpmap:0 PCMU/8000", "a=rtpmap:8 PCMA/8000", "a=rtpmap:9 G722/8000")
	bare := ofJingle(t, session(content(" name='0'", "<payload-type id='0'/><payload-type id='8'/><payload-type id='9'/>", "")), wire.Initiator)
	has(t, written(bare), "a=rtpmap:0 PCMU/8000", "a=rtpmap:8 PCMA/8000", "a=rtpmap:9 G722/8000")
}

func checkParameters(t *testing.T) {
	d := described(t, sdpHead+"m=audio 4000 RTP/AVP 97 63\na=rtpmap:97 iLBC/8000\na=fmtp:97 mode=20; x = 1;odd\na=rtpmap:63 red/48000/2\na=fmtp:63 97/97\n")
	j := jingleOf(t, d, wire.Initiator)
	want := [][2]string{{"mode", "20"}, {"x", "1"}, {"", "odd"}}
	got := payload(t, j, "97").Children("urn:xmpp:jingle:apps:rtp:1", "parameter")
	if len(got) != len(want) {
		t.Fatalf("%d parameters in %s", len(got), j)
	}
	for i, p := range got {
		equal(t, "name of parameter", p.Attr("name"), want[i][0])
		equal(t, "value of parameter", p.Attr("value"), want[i][1])
	}
	equal(t, "the one parameter of red", only(t, payload(t, j, "63"), "parameter").Attr("value"), "97/97")
	has(t, written(ofJingle(t, j.Format(""), wire.Initiator)), "a=fmtp:97 mode=20;x=1;odd", "a=fmtp:63 97/97")
}

func checkEvents(t *testing.T) {
	d := described(t, sdpHead+"m=audio 4000 RTP/AVP 0 101\na=rtpmap:101 telephone-event/8000\n")
	p := only(t, payload(t, jingleOf(t, d, wire.Initiator), "101"), "parameter")
	equal(t, "name", p.Attr("name"), "events")
	equal(t, "value", p.Attr("value"), "0-15")
	bare := ofJingle(t, session(content(" name='0'", "<payload-type id='101' name='telephone-event' clockrate='8000'/>", "")), wire.Initiator)
	has(t, written(bare), "a=fmtp:101 0-15")
}

func checkPacketTime(t *testing.T) {
	d := described(t, sdpHead+"m=audio 4000 RTP/AVP 0 8 101\na=rtpmap:101 telephone-event/8000\na=ptime:30\na=maxptime:60\n")
	j := jingleOf(t, d, wire.Initiator)
	for _, id := range []string{"0", "8"} {
		equal(t, "ptime", payload(t, j, id).Attr("ptime"), "30")
		equal(t, "maxptime", payload(t, j, id).Attr("maxptime"), "60")
	}
	equal(t, "ptime of events", payload(t, j, "101").Attr("ptime"), "")
	back := ofJingle(t, session(content(" name='0'",
		"<payload-type id='0' ptime='40' maxptime='80'/><payload-type id='8' ptime='30' maxptime='60'/><payload-type id='9' ptime='4000'/>", "")), wire.Initiator)
	has(t, written(back), "a=ptime:30", "a=maxptime:60")
}

func checkReferences(t *testing.T) {
	r := play(t, `
	sip INVITE sip:juliet%40example.org@x.gw.example sdp=redundant
	juliet@example.org/balcony: proceed
	juliet@example.org/balcony: session-accept jingle=accept
	sip ACK
	sip BYE
	`)
	for _, l := range []string{"session-initiate", "sip 200"} {
		for _, found := range r.Find(l) {
			for _, gone := range []string{"red", "rtx", "apt"} {
				if strings.Contains(found.Raw, gone+"/") || strings.Contains(found.Raw, "'"+gone+"'") || strings.Contains(found.Raw, gone+"=") {
					t.Errorf("%s is in %s", gone, found.Raw)
				}
			}
		}
	}
	r.one("session-initiate", "PCMA")
}

func checkFeedback(t *testing.T) {
	d := described(t, sdpHead+"m=audio 4000 RTP/AVPF 0 8\na=rtcp-fb:* nack pli\na=rtcp-fb:8 ccm fir\n")
	j := jingleOf(t, d, wire.Initiator)
	all := only(t, j, "description").Children("urn:xmpp:jingle:apps:rtp:rtcp-fb:0", "rtcp-fb")
	if len(all) != 1 || all[0].Attr("type") != "nack" || all[0].Attr("subtype") != "pli" {
		t.Errorf("feedback for all is %v in %s", all, j)
	}
	equal(t, "feedback of 8", only(t, payload(t, j, "8"), "rtcp-fb").Attr("type"), "ccm")
	has(t, written(ofJingle(t, j.Format(""), wire.Initiator)), "a=rtcp-fb:* nack pli", "a=rtcp-fb:8 ccm fir")
}

func checkDirections(t *testing.T) {
	tests := []struct{ direction, initiator, responder string }{
		{"sendrecv", "both", "both"},
		{"sendonly", "initiator", "responder"},
		{"recvonly", "responder", "initiator"},
		{"inactive", "none", "none"},
	}
	for _, tt := range tests {
		d := described(t, sdpHead+"m=audio 4000 RTP/AVP 8\na="+tt.direction+"\n")
		for role, want := range map[wire.Role]string{wire.Initiator: tt.initiator, wire.Responder: tt.responder} {
			j := jingleOf(t, d, role)
			got := only(t, j, "content").Attr("senders")
			if got == "" {
				got = "both"
			}
			equal(t, fmt.Sprintf("senders of a %s who is %s", role, tt.direction), got, want)
			has(t, written(ofJingle(t, j.Format(""), role)), "a="+tt.direction)
		}
	}
}

func checkNoDirection(t *testing.T) {
	d := described(t, sdpHead+"m=audio 4000 RTP/AVP 8\n")
	if s := only(t, jingleOf(t, d, wire.Initiator), "content").Attr("senders"); s != "" && s != "both" {
		t.Errorf("senders is %s", s)
	}
	j := ofJingle(t, session(content(" name='0'", "<payload-type id='8'/>", "")), wire.Responder)
	equal(t, "direction without senders", j.Streams[0].Direction.String(), "sendrecv")
}

func checkStrangeNames(t *testing.T) {
	const name = "my voice ♥"
	d := ofJingle(t, session(content(" name='"+name+"'", "<payload-type id='8'/>", "")), wire.Initiator)
	s := sdp.NewSession(origin())
	out := string(s.Format(d))
	_, mid, ok := strings.Cut(out, "a=mid:")
	mid, _, _ = strings.Cut(mid, "\r\n")
	if !ok || mid == "" || strings.ContainsAny(mid, " ♥") {
		t.Fatalf("mid is %q in\n%s", mid, out)
	}
	answer, err := s.Parse([]byte(sdpHead + "m=audio 4000 RTP/AVP 8\na=mid:" + mid + "\n"))
	if err != nil {
		t.Fatal(err)
	}
	equal(t, "the name of the answer", answer.Streams[0].Name, name)
	r := play(t, `
	romeo@example.org/orchard: session-initiate id=s1 to=+4989987654@sip.gw.example/sip jingle=audio-strange-name
	sip 200 sdp=g711
	romeo@example.org/orchard: session-terminate success
	sip 200 for BYE
	`)
	equal(t, "the name in the session-accept", only(t, stanzaOf(t, r.one("session-accept").Raw), "content").Attr("name"), name)
}

func stanzaOf(t *testing.T, raw string) *element.Element {
	t.Helper()
	e, err := element.Parse(raw, "jabber:component:accept")
	if err != nil {
		t.Fatal(err)
	}
	return e
}

func checkRefusedContent(t *testing.T) {
	r := play(t, `
	romeo@example.org/orchard: session-initiate id=s1 to=+4989987654@sip.gw.example/sip jingle=audio-and-video
	sip 200 sdp=g711
	romeo@example.org/orchard: session-terminate success
	sip 200 for BYE
	`)
	// Bundled, it is answered as one that neither side sends (gateway/DECISIONS.md).
	accept := stanzaOf(t, r.one("session-accept").Raw)
	pictures := ""
	for _, content := range find(accept, "content") {
		if d := find(content, "description"); len(d) == 1 && d[0].Attr("media") == "video" {
			pictures += content.Attr("senders")
		}
	}
	equal(t, "who sends pictures", pictures, "none")
	equal(t, "the contents in the group", fmt.Sprint(len(find(only(t, accept, "group"), "content"))), "2")

	apart := jingle.NewResponder(jingle.Options{SID: "s", Peer: "romeo@example.org/orchard", Mode: jingle.Direct, Video: true})
	offered := described(t, apartSDP)
	j := wire.Jingle{Action: wire.SessionInitiate, SID: "s"}
	j.Contents, j.Groups = wire.ContentsOf(offered, wire.Initiator)
	apart.Step(jingle.Request{From: "romeo@example.org/orchard", ID: "1", Jingle: j})
	answer := offered.Clone()
	answer.Streams[1] = media.Refuse(answer.Streams[1])
	outputs, _ := apart.Step(jingle.Answer{Media: answer})
	for _, o := range outputs {
		if r, ok := o.(jingle.SendRequest); ok && r.Jingle.Action == wire.SessionAccept {
			equal(t, "contents without a bundle", fmt.Sprint(len(r.Jingle.Contents)), "1")
			return
		}
	}
	t.Error("there is no session-accept")
}

const apartSDP = sdpHead + "m=audio 4000 RTP/AVP 8\na=mid:0\na=ice-ufrag:abcd\na=ice-pwd:0123456789abcdef012345\n" +
	"m=video 4002 RTP/AVP 96\na=rtpmap:96 VP8/90000\na=mid:1\na=ice-ufrag:efgh\na=ice-pwd:0123456789abcdef012345\n"

func checkBundle(t *testing.T) {
	d := described(t, sdpHead+`a=group:BUNDLE 0 1
m=audio 4000 UDP/TLS/RTP/SAVPF 8
a=mid:0
a=ice-ufrag:abcd
a=ice-pwd:0123456789abcdef012345
a=fingerprint:sha-256 `+fingerprint+`
a=setup:actpass
m=video 4000 UDP/TLS/RTP/SAVPF 96
a=rtpmap:96 VP8/90000
a=mid:1
a=ice-ufrag:abcd
a=ice-pwd:0123456789abcdef012345
a=fingerprint:sha-256 `+fingerprint+`
a=setup:actpass
`)
	j := jingleOf(t, d, wire.Initiator)
	for _, transport := range find(j, "transport") {
		equal(t, "ufrag", transport.Attr("ufrag"), "abcd")
	}
	if n := len(find(j, "transport")); n != 2 {
		t.Errorf("%d transports", n)
	}
	checkGroup(t, j)
	checkGroup(t, stanzaOf(t, play(t, plainCall).one("session-initiate").Raw))
}

func checkGroup(t *testing.T, e *element.Element) {
	t.Helper()
	group := only(t, e, "group")
	equal(t, "semantics", group.Attr("semantics"), "BUNDLE")
	var names, grouped []string
	ufrags := map[string]bool{}
	for _, c := range find(e, "content") {
		if c.Space == "urn:xmpp:jingle:1" {
			names = append(names, c.Attr("name"))
			ufrags[only(t, c, "transport").Attr("ufrag")] = true
		}
	}
	for _, c := range find(group, "content") {
		grouped = append(grouped, c.Attr("name"))
	}
	if !slices.Equal(names, grouped) || len(ufrags) != 1 {
		t.Errorf("contents %q, group %q, ufrags %v", names, grouped, ufrags)
	}
}

const fingerprint = "7A:1C:02:5E:9B:44:D0:33:6F:88:E1:0A:B7:C5:29:F6:13:90:4D:7E:22:5B:AC:01:68:DF:93:3A:0C:E7:B4:59"

// plainCall is a call from S to X that is answered and hung up by S.
const plainCall = `
	sip INVITE sip:juliet%40example.org@x.gw.example sdp=g711
	juliet@example.org/balcony: ringing
	juliet@example.org/balcony: proceed
	juliet@example.org/balcony: session-accept jingle=accept
	sip ACK
	sip BYE
	`

// directCall is a call from X to S, without a proposal, that X hangs up.
const directCall = `
	romeo@example.org/orchard: session-initiate id=s1 to=+4989987654@sip.gw.example/sip jingle=audio
	sip 180
	sip 200 sdp=g711
	romeo@example.org/orchard: session-terminate success
	sip 200 for BYE
	`

func checkSecured(t *testing.T) {
	offer := play(t, plainCall).one("session-initiate")
	accept := play(t, directCall).one("session-accept")
	for _, tt := range []struct{ action, raw, setup string }{
		{"session-initiate", offer.Raw, "actpass"}, {"session-accept", accept.Raw, "active"},
	} {
		f := only(t, stanzaOf(t, tt.raw), "fingerprint")
		equal(t, "hash in "+tt.action, f.Attr("hash"), "sha-256")
		equal(t, "setup in "+tt.action, f.Attr("setup"), tt.setup)
		if len(f.Text()) != len(fingerprint) {
			t.Errorf("the fingerprint is %q", f.Text())
		}
	}
	t.Run("a client without DTLS is refused", func(t *testing.T) {
		r := play(t, `
		romeo@example.org/orchard: session-initiate id=s1 to=+4989987654@sip.gw.example/sip jingle=audio-plain
		`)
		r.one("session-terminate", "<security-error")
		r.none("sip INVITE")
	})
}

func checkSDES(t *testing.T) {
	r := play(t, `
	sip INVITE sip:juliet%40example.org@x.gw.example sdp=sdes
	juliet@example.org/balcony: proceed
	juliet@example.org/balcony: session-accept jingle=accept
	sip ACK
	sip BYE
	`)
	r.one("session-initiate")
	for _, l := range r.Lines {
		if l.Lane == "xmpp" && (strings.Contains(l.Raw, "inline:") || strings.Contains(l.Raw, "<crypto")) {
			t.Errorf("keys are in %s", l.Raw)
		}
	}
}

// The answer to keys, by the relay and as SDP.
func checkChosenKey(t *testing.T) {
	keyed := clear()
	keyed.SDES = true
	g := openBridge(t, keyed, clear())
	_, there := socket(t)
	key := "inline:" + strings.Repeat("A", 40)
	offered := described(t, strings.ReplaceAll(sdpHead, "198.51.100.9", "127.0.0.1")+"m=audio 4000 RTP/SAVP 8\n"+
		"a=crypto:3 F8_128_HMAC_SHA1_80 "+key+"\na=crypto:7 AES_CM_128_HMAC_SHA1_32 "+key+"\na=crypto:9 AES_CM_128_HMAC_SHA1_80 "+key+"\n")
	g.offer(call.B, offered)
	answer := g.answer(call.A, plain(there, pcma()))
	lines := linesOf(written(answer), "a=crypto:")
	if len(lines) != 1 || !strings.HasPrefix(lines[0], "a=crypto:7 AES_CM_128_HMAC_SHA1_32 inline:") || strings.Contains(lines[0], key) {
		t.Errorf("the answer has %q", lines)
	}
	if !strings.Contains(written(answer), " RTP/SAVP 8\n") {
		t.Errorf("the answer has another profile:\n%s", written(answer))
	}
}

// linesOf returns the lines that begin so.
func linesOf(text, prefix string) (lines []string) {
	for line := range strings.Lines(text) {
		if strings.HasPrefix(line, prefix) {
			lines = append(lines, strings.TrimSpace(line))
		}
	}
	return lines
}

func checkReflexive(t *testing.T) {
	d := ofJingle(t, session(content(" name='0'", "<payload-type id='8'/>",
		"<candidate component='1' foundation='1' generation='0' id='c' ip='198.51.100.9' network='0' port='4000' priority='1' protocol='udp' type='srflx'/>")), wire.Initiator)
	has(t, written(d), "a=candidate:1 1 udp 1 198.51.100.9 4000 typ srflx raddr 0.0.0.0 rport 9")
}

func checkSources(t *testing.T) {
	d := described(t, sdpHead+"m=audio 4000 RTP/AVP 8\na=ssrc:5 cname:x y\na=ssrc:5 flag\n")
	j := jingleOf(t, d, wire.Initiator)
	source := only(t, j, "source")
	equal(t, "ssrc", source.Attr("ssrc"), "5")
	params := find(source, "parameter")
	if len(params) != 2 || params[0].Attr("name") != "cname" || params[0].Attr("value") != "x y" || params[1].Attr("name") != "flag" {
		t.Fatalf("the source is %s", source)
	}
	if strings.Contains(params[1].String(), "value") {
		t.Errorf("the parameter without a value is %s", params[1])
	}
	has(t, written(ofJingle(t, j.Format(""), wire.Initiator)), "a=ssrc:5 cname:x y", "a=ssrc:5 flag")
}

func checkOldHold(t *testing.T) {
	equal(t, "direction", described(t, strings.Replace(sdpHead, "c=IN IP4 198.51.100.9", "c=IN IP4 0.0.0.0", 1)+"m=audio 4000 RTP/AVP 8\n").Streams[0].Flow().String(), "sendonly")
	r := play(t, answered+"sip INVITE sdp=g711-held-old\nsip ACK\nsip BYE")
	if l := r.one("sip 200", "Cseq: 2 INVITE"); !strings.Contains(l.Raw, "\na=recvonly") {
		t.Errorf("the answer to hold is\n%s", l.Raw)
	}
}

func checkFoundation(t *testing.T) {
	d := ofJingle(t, session(content(" name='0'", "<payload-type id='8'/>",
		"<candidate component='1' foundation='a+B/9' generation='0' id='c' ip='198.51.100.9' network='0' port='4000' priority='1' protocol='udp' type='host'/>")), wire.Initiator)
	equal(t, "foundation in", d.Streams[0].Transport.ICE.Candidates[0].Foundation, "a+B/9")
	equal(t, "foundation out", only(t, jingleOf(t, d, wire.Initiator), "candidate").Attr("foundation"), "a+B/9")
	if text := written(d); !strings.Contains(text, "a=candidate:a+B/9 1 ") {
		t.Errorf("no such candidate in\n%s", text)
	}
}

func checkTrickle(t *testing.T) {
	r := play(t, `
	romeo@example.org/orchard: session-initiate id=s1 to=+4989987654@sip.gw.example/sip jingle=audio-without-candidates
	romeo@example.org/orchard: transport-info jingle=trickled
	sip 180
	sip 200 sdp=g711
	romeo@example.org/orchard: transport-info jingle=trickled
	romeo@example.org/orchard: session-terminate success
	sip 200 for BYE
	`)
	r.one("session-accept")
	r.none("xmpp iq error")
	r.count(2, "media candidate 198.51.100.77:50077 of leg A")
	r = play(t, `
	sip INVITE sip:juliet%40example.org@x.gw.example sdp=opus
	juliet@example.org/balcony: proceed
	juliet@example.org/balcony: transport-info jingle=trickled
	juliet@example.org/balcony: session-accept jingle=accept-opus
	sip ACK
	sip BYE
	`)
	r.one("media candidate 198.51.100.77:50077 of leg B")
}

func checkRestart(t *testing.T) {
	r := play(t, `
	romeo@example.org/orchard: session-initiate id=s1 to=+4989987654@sip.gw.example/sip jingle=audio
	sip 200 sdp=g711
	romeo@example.org/orchard: transport-info jingle=restart
	romeo@example.org/orchard: session-terminate success
	sip 200 for BYE
	`)
	first := only(t, stanzaOf(t, r.one("session-accept").Raw), "transport").Attr("ufrag")
	again := only(t, stanzaOf(t, r.one("transport-info").Raw), "transport")
	if again.Attr("ufrag") == first || again.Attr("ufrag") == "" || again.Attr("pwd") == "" {
		t.Errorf("the ufrag is %q after %q", again.Attr("ufrag"), first)
	}
}

func checkUnknownLines(t *testing.T) {
	d := described(t, "v=0\no=- 7 1 IN IP4 198.51.100.9\ns=-\ni=info\nu=http://example.org\ne=a@example.org\np=+49\nc=IN IP4 198.51.100.9\nb=X-Y:3\nt=0 0\nr=1 2 3\nz=0 1h\nk=clear:x\na=tool:x\ny=7\n"+
		"m=audio 4000 RTP/AVP 8\ni=more\nk=prompt\na=unheard-of:x\na=rtcp-xr:y\na=label:9\n")
	text := written(d)
	has(t, text, "a=rtpmap:8 PCMA/8000")
	lacks(t, text, "i=", "k=", "y=", "a=unheard-of", "a=tool", "a=label")
}

func checkVersion(t *testing.T) {
	s := sdp.NewSession(origin())
	d := described(t, sdpHead+"m=audio 4000 RTP/AVP 8\n")
	held := d.Clone()
	held.Streams[0].Direction = media.SendOnly
	version := func(d media.Description) int {
		fields := strings.Fields(strings.Split(string(s.Format(d)), "\r\n")[1])
		v, err := strconv.Atoi(fields[2])
		if err != nil {
			t.Fatal(err)
		}
		return v
	}
	first := version(d)
	for i, tt := range []struct {
		d    media.Description
		want int
	}{{d, first}, {held, first + 1}, {held, first + 1}, {d, first + 2}} {
		if got := version(tt.d); got != tt.want {
			t.Errorf("version %d after %d more descriptions, want %d", got, i+1, tt.want)
		}
	}
}

func checkNoCodec(t *testing.T) {
	t.Run("of the SIP caller", func(t *testing.T) {
		r := play(t, `
		sip INVITE sip:juliet%40example.org@x.gw.example sdp=g729
		`)
		r.one("sip 488")
		r.none("session-initiate")
	})
	t.Run("of the XMPP caller", func(t *testing.T) {
		r := play(t, `
		romeo@example.org/orchard: session-initiate id=s1 to=+4989987654@sip.gw.example/sip jingle=audio-speex
		`)
		r.one("session-terminate", "<incompatible-parameters")
		r.none("sip INVITE")
	})
	t.Run("of the SIP callee", func(t *testing.T) {
		r := play(t, `
		romeo@example.org/orchard: session-initiate id=s1 to=+4989987654@sip.gw.example/sip jingle=audio
		sip 488
		sip 488
		`)
		r.one("session-terminate", "<incompatible-parameters")
	})
}

func checkG711(t *testing.T) {
	for _, body := range []string{"g711", "opus-only", "g722"} {
		r := play(t, "sip INVITE sip:juliet%40example.org@x.gw.example sdp="+body+"\njuliet@example.org/balcony: proceed\njuliet@example.org/balcony: session-terminate busy")
		offer := r.one("session-initiate").Raw
		if !strings.Contains(offer, "'PCMU'") && !strings.Contains(offer, "'PCMA'") {
			t.Errorf("neither is in the offer for %s: %s", body, offer)
		}
	}
	accept := play(t, strings.Replace(directCall, "sdp=g711", "sdp=opus", 1)).one("session-accept").Raw
	if !strings.Contains(accept, "'PCMU'") && !strings.Contains(accept, "'PCMA'") {
		t.Errorf("neither is in the answer: %s", accept)
	}
}
