package jinglephone

import (
	"net/netip"
	"strconv"
	"strings"

	"github.com/pion/ice/v4"

	"sipxmppgw/test/peer/audio"
	"sipxmppgw/test/peer/element"
)

// The namespaces of calls.
const (
	nsClient   = "jabber:client"
	nsStanzas  = "urn:ietf:params:xml:ns:xmpp-stanzas"
	nsJingle   = "urn:xmpp:jingle:1"
	nsErrors   = "urn:xmpp:jingle:errors:1"
	nsRTP      = "urn:xmpp:jingle:apps:rtp:1"
	nsInfo     = "urn:xmpp:jingle:apps:rtp:info:1"
	nsAudio    = "urn:xmpp:jingle:apps:rtp:audio"
	nsVideo    = "urn:xmpp:jingle:apps:rtp:video"
	nsICE      = "urn:xmpp:jingle:transports:ice-udp:1"
	nsDTLS     = "urn:xmpp:jingle:apps:dtls:0"
	nsGrouping = "urn:xmpp:jingle:apps:grouping:0"
	nsJMI      = "urn:xmpp:jingle-message:0"
	nsReceipts = "urn:xmpp:receipts"
	nsHints    = "urn:xmpp:hints"
	nsTrickle  = "http://gultsch.de/xmpp/drafts/jingle/transports/ice-udp/option"
)

// A description is one content of a session-initiate or session-accept.
type description struct {
	name, creator, senders string
	media                  string
	codecs                 []audio.Codec
	mux                    bool
	ufrag, pwd             string
	fingerprints           []fingerprint
	candidates             []candidate
	tricklable             bool // has the trickle option
	encryption             bool // offers SDES keys
}

type fingerprint struct{ hash, setup, value string }

// A candidate is a candidate as it is written.
type candidate struct {
	component, foundation, generation, id, ip, network, port, priority, protocol, kind, relAddr, relPort, tcpType string
}

// content writes a description.
func (d *description) content() *element.Element {
	rtp := element.New(nsRTP, "description", "media", d.media)
	for _, c := range d.codecs {
		p := element.New(nsRTP, "payload-type", "id", strconv.Itoa(int(c.PayloadType)), "name", c.Name, "clockrate", strconv.Itoa(c.ClockRate))
		if c.Channels > 1 {
			p.Set("channels", strconv.Itoa(c.Channels))
		}
		for _, f := range c.Parameters {
			p.Add(element.New(nsRTP, "parameter", "name", f.Name, "value", f.Value))
		}
		rtp.Add(p)
	}
	if d.mux {
		rtp.Add(element.New(nsRTP, "rtcp-mux"))
	}
	e := element.New(nsJingle, "content", "creator", d.creator, "name", d.name)
	if d.senders != "" {
		e.Set("senders", d.senders)
	}
	return e.Add(rtp, d.transport(d.candidates))
}

// transport writes the transport of a description with some candidates.
func (d *description) transport(candidates []candidate) *element.Element {
	t := element.New(nsICE, "transport", "ufrag", d.ufrag, "pwd", d.pwd)
	for _, f := range d.fingerprints {
		t.Add(element.New(nsDTLS, "fingerprint", "hash", f.hash, "setup", f.setup).AddText(f.value))
	}
	if d.tricklable {
		t.Add(element.New(nsTrickle, "trickle"))
	}
	for _, c := range candidates {
		t.Add(c.element())
	}
	return t
}

func (c candidate) element() *element.Element {
	return element.New(nsICE, "candidate", "component", c.component, "foundation", c.foundation, "generation", c.generation,
		"id", c.id, "ip", c.ip, "network", c.network, "port", c.port, "priority", c.priority, "protocol", c.protocol,
		"type", c.kind, "rel-addr", c.relAddr, "rel-port", c.relPort, "tcptype", c.tcpType)
}

// parseContent reads a content as leniently as clients do; what is wrong is for the rules to find.
func parseContent(e *element.Element) description {
	d := description{name: e.Attr("name"), creator: e.Attr("creator"), senders: e.Attr("senders")}
	rtp := e.Child(nsRTP, "description")
	d.media = rtp.Attr("media")
	d.mux = rtp.Child(nsRTP, "rtcp-mux") != nil
	d.encryption = rtp.Child(nsRTP, "encryption") != nil
	for _, p := range rtp.Children(nsRTP, "payload-type") {
		id, err := strconv.ParseUint(p.Attr("id"), 10, 7)
		if err != nil {
			continue
		}
		c := audio.Codec{PayloadType: uint8(id), Name: p.Attr("name")}
		c.ClockRate, _ = strconv.Atoi(p.Attr("clockrate"))
		c.Channels, _ = strconv.Atoi(p.Attr("channels"))
		for _, static := range []audio.Codec{audio.PCMU, audio.PCMA, audio.G722, audio.CN} {
			if static.PayloadType == c.PayloadType && c.Name == "" {
				c.Name, c.ClockRate = static.Name, static.ClockRate
			}
		}
		for _, f := range p.Children(nsRTP, "parameter") {
			c.Parameters = append(c.Parameters, audio.Parameter{Name: f.Attr("name"), Value: f.Attr("value")})
		}
		d.codecs = append(d.codecs, c)
	}
	d.readTransport(e.Child(nsICE, "transport"))
	return d
}

func (d *description) readTransport(t *element.Element) {
	d.ufrag, d.pwd = t.Attr("ufrag"), t.Attr("pwd")
	for _, f := range t.Children(nsDTLS, "fingerprint") {
		d.fingerprints = append(d.fingerprints, fingerprint{f.Attr("hash"), f.Attr("setup"), strings.TrimSpace(f.Text())})
	}
	for _, c := range t.Children(nsICE, "candidate") {
		d.candidates = append(d.candidates, candidate{
			component: c.Attr("component"), foundation: c.Attr("foundation"), generation: c.Attr("generation"), id: c.Attr("id"),
			ip: c.Attr("ip"), network: c.Attr("network"), port: c.Attr("port"), priority: c.Attr("priority"),
			protocol: c.Attr("protocol"), kind: c.Attr("type"), relAddr: c.Attr("rel-addr"), relPort: c.Attr("rel-port"), tcpType: c.Attr("tcptype"),
		})
	}
}

// setup returns the role in the first fingerprint.
func (d *description) setup() string {
	if len(d.fingerprints) == 0 {
		return ""
	}
	return d.fingerprints[0].setup
}

// voice returns the codec to send with, which is the first that carries sound, and the
// event that goes with it; zero if there is none.
func (d *description) voice() (codec, event audio.Codec) {
	for _, c := range d.codecs {
		if c.Voice() && codec.Name == "" {
			codec = c
		}
	}
	for _, c := range d.codecs {
		if c.Event() && (event.Name == "" || c.ClockRate == codec.ClockRate) {
			event = c
		}
	}
	return codec, event
}

// common returns what of the offer this side knows, with the offer's payload types and order.
func common(offer, known []audio.Codec) []audio.Codec {
	var out []audio.Codec
	for _, c := range offer {
		for _, k := range known {
			if c.Same(k) {
				out = append(out, c)
				break
			}
		}
	}
	return out
}

// use turns a candidate into one that ICE can use: UDP, with an address and a port.
func (c candidate) use() (component int, out ice.Candidate, ok bool) {
	component, err := strconv.Atoi(c.component)
	ip, ipErr := netip.ParseAddr(c.ip)
	port, portErr := strconv.ParseUint(c.port, 10, 16)
	priority, priorityErr := strconv.ParseUint(c.priority, 10, 32)
	if err != nil || ipErr != nil || portErr != nil || priorityErr != nil || port == 0 || !strings.EqualFold(c.protocol, "udp") {
		return 0, nil, false
	}
	foundation := c.foundation
	if foundation == "" || strings.ContainsAny(foundation, " \t") {
		return 0, nil, false
	}
	text := strings.Join([]string{foundation, c.component, "udp", strconv.FormatUint(priority, 10), ip.String(), c.port, "typ", c.kind}, " ")
	if c.kind != "host" {
		related, relPort := c.relAddr, c.relPort
		if _, err := netip.ParseAddr(related); err != nil {
			related, relPort = "0.0.0.0", "9"
		}
		if _, err := strconv.ParseUint(relPort, 10, 16); err != nil {
			relPort = "9"
		}
		text += " raddr " + related + " rport " + relPort
	}
	out, err = ice.UnmarshalCandidate(text)
	return component, out, err == nil
}

// write turns a gathered candidate into a written one.
func write(component, generation int, c ice.Candidate) candidate {
	return candidate{
		component: strconv.Itoa(component), foundation: c.Foundation(), generation: strconv.Itoa(generation),
		id: token(12), ip: c.Address(), network: "0", port: strconv.Itoa(c.Port()),
		priority: strconv.FormatUint(uint64(c.Priority()), 10), protocol: "udp", kind: c.Type().String(),
	}
}

// jingle returns a jingle element.
func jingle(action, sid string) *element.Element {
	return element.New(nsJingle, "jingle", "action", action, "sid", sid)
}

// reasonElement returns a reason element; empty for no name.
func reasonElement(name, text string) *element.Element {
	if name == "" {
		return nil
	}
	e := element.New(nsJingle, "reason").Add(element.New(nsJingle, name))
	if text != "" {
		e.Add(element.New(nsJingle, "text").AddText(text))
	}
	return e
}

// parseReason returns the name and text of a reason inside e; both are empty if there is none.
func parseReason(e *element.Element) (name, text string) {
	r := e.Child(nsJingle, "reason")
	for c := range r.Elements() {
		if c.Space != nsJingle {
			continue
		}
		if c.Name == "text" {
			text = c.Text()
		} else if name == "" {
			name = c.Name
		}
	}
	return name, text
}
