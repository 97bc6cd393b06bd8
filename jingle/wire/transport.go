package wire

import (
	"net/netip"
	"strings"

	"gosrc.io/xmpp/stanza"

	"sipxmppgw/gateway/media"
)

// parseTransport reads a <transport/>: ICE-UDP (XEP-0176) with DTLS (XEP-0320), or raw UDP
// (XEP-0177). Others leave t as it is.
func parseTransport(n *stanza.Node, t *media.Transport) {
	switch n.XMLName.Space {
	case NSICE:
		parseICE(n, t)
	case NSRawUDP:
		parseRawUDP(n, t)
	}
}

func parseICE(n *stanza.Node, t *media.Transport) {
	ice := &media.ICE{Ufrag: Attr(n, "ufrag"), Pwd: Attr(n, "pwd")}
	if len(ice.Ufrag) > maxName || len(ice.Pwd) > maxName {
		ice.Ufrag, ice.Pwd = "", "" // RFC 8839 section 5.4
	}
	t.ICE = ice
	var prints []media.Fingerprint
	setup := media.SetupNone
	per := [3]int{} // candidates by component
	for i := range n.Nodes {
		e := &n.Nodes[i]
		switch e.XMLName.Local {
		case "candidate":
			c, ok := parseCandidate(e)
			if ok && per[c.Component] < MaxCandidates {
				per[c.Component]++
				ice.Candidates = append(ice.Candidates, c)
			}
		case "fingerprint":
			// COMPAT(strophe.jingle 0.0.9): the element has no namespace of its own there.
			f, ok := parseFingerprint(e)
			if ok && len(prints) < 8 {
				prints = append(prints, f)
				setup = media.ParseSetup(Attr(e, "setup"))
			}
		case "trickle":
			ice.Trickle = true
		case "renomination":
			ice.Renomination = true
		case "gathering-complete":
			ice.Complete = true
		}
	}
	if prints != nil {
		t.DTLS = &media.DTLS{Fingerprints: prints, Setup: setup}
	}
}

// parseCandidate reads a candidate (XEP-0176 section 5.3). Those that cannot be used are
// none: names in place of addresses, port 0, and everything but UDP.
func parseCandidate(n *stanza.Node) (c media.Candidate, ok bool) {
	component, ok := number(n, "component", 2)
	if !ok || component == 0 {
		return c, false
	}
	addr, ok := parseAddr(n, "ip", "port")
	if !ok || !strings.EqualFold(Attr(n, "protocol"), "udp") {
		return c, false
	}
	priority, ok := number(n, "priority", 1<<32-1)
	if !ok {
		return c, false
	}
	generation, _ := number(n, "generation", 255)
	related, _ := parseAddr(n, "rel-addr", "rel-port")
	c = media.Candidate{
		Foundation: Attr(n, "foundation"),
		Component:  uint16(component),
		Protocol:   "udp",
		Priority:   uint32(priority),
		Addr:       addr,
		Type:       strings.ToLower(Attr(n, "type")),
		Related:    related,
		Generation: uint8(generation),
		ID:         clip(Attr(n, "id")),
	}
	if len(c.Foundation) > 32 {
		c.Foundation = c.Foundation[:32]
	}
	switch c.Type {
	case "":
		c.Type = "host"
	case "host", "srflx", "prflx", "relay":
	default:
		return c, false
	}
	return c, true
}

func parseAddr(n *stanza.Node, ip, port string) (netip.AddrPort, bool) {
	addr, err := netip.ParseAddr(strings.TrimSpace(Attr(n, ip)))
	p, ok := number(n, port, 1<<16-1)
	if err != nil || addr.Zone() != "" || !ok || p == 0 {
		return netip.AddrPort{}, false
	}
	return netip.AddrPortFrom(addr.Unmap(), uint16(p)), true
}

// parseFingerprint reads a <fingerprint/> (XEP-0320): octets in hexadecimal with colons, in
// any case and with space around them.
func parseFingerprint(n *stanza.Node) (f media.Fingerprint, ok bool) {
	f.Hash = strings.ToLower(strings.TrimSpace(Attr(n, "hash")))
	f.Value = strings.ToUpper(text(n))
	if f.Hash == "" && len(f.Value) == 32*3-1 {
		f.Hash = "sha-256"
	}
	if f.Hash == "" || len(f.Hash) > 16 || len(f.Value) > 64*3-1 || len(f.Value)%3 != 2 {
		return f, false
	}
	for i := range len(f.Value) {
		if c := f.Value[i]; i%3 == 2 && c != ':' || i%3 != 2 && !strings.ContainsRune("0123456789ABCDEF", rune(c)) {
			return f, false
		}
	}
	return f, true
}

// parseRawUDP takes the first address of each component.
func parseRawUDP(n *stanza.Node, t *media.Transport) {
	for i := range n.Nodes {
		e := &n.Nodes[i]
		component, _ := number(e, "component", 2)
		addr, ok := parseAddr(e, "ip", "port")
		switch {
		case e.XMLName.Local != "candidate" || !ok:
		case component == 1 && !t.Addr.IsValid():
			t.Addr = addr
		case component == 2 && !t.RTCP.IsValid():
			t.RTCP = addr
		}
	}
}

func transportElement(space string, t media.Transport) stanza.Node {
	if space == NSRawUDP {
		return rawUDPElement(t)
	}
	n := Element(NSICE, "transport", "ufrag", t.ICE.Ufrag, "pwd", t.ICE.Pwd)
	if t.DTLS != nil {
		for _, f := range t.DTLS.Fingerprints {
			n.Nodes = append(n.Nodes, Text(
				NSDTLS, "fingerprint", f.Value,
				"hash", f.Hash, "setup", t.DTLS.Setup.String(),
			))
		}
	}
	if t.ICE.Trickle {
		n.Nodes = append(n.Nodes, Element(NSICEOption, "trickle"))
	}
	if t.ICE.Renomination {
		n.Nodes = append(n.Nodes, Element(NSICEOption, "renomination"))
	}
	for i, c := range t.ICE.Candidates {
		if c.Protocol != "udp" || !c.Addr.IsValid() {
			continue // XEP-0176 knows UDP alone
		}
		n.Nodes = append(n.Nodes, candidateElement(c, i))
	}
	if t.ICE.Complete {
		n.Nodes = append(n.Nodes, Element(NSICE, "gathering-complete"))
	}
	return n
}

func candidateElement(c media.Candidate, place int) stanza.Node {
	id := c.ID
	if id == "" {
		id = "c" + decimal(place+1) + "g" + decimal(c.Generation)
	}
	var relAddr, relPort string
	if c.Related.IsValid() {
		relAddr, relPort = c.Related.Addr().String(), decimal(c.Related.Port())
	}
	return Element(
		NSICE, "candidate",
		"component", decimal(c.Component), "foundation", c.Foundation, "generation", decimal(c.Generation),
		"id", id, "ip", c.Addr.Addr().String(), "network", "0", "port", decimal(c.Addr.Port()),
		"priority", decimal(c.Priority), "protocol", "udp", "rel-addr", relAddr, "rel-port", relPort,
		"type", c.Type,
	)
}

func rawUDPElement(t media.Transport) stanza.Node {
	n := Element(NSRawUDP, "transport")
	for i, addr := range []netip.AddrPort{t.Addr, t.RTCP} {
		if !addr.IsValid() {
			continue
		}
		n.Nodes = append(n.Nodes, Element(
			NSRawUDP, "candidate",
			"component", decimal(i+1), "generation", "0", "id", "r"+decimal(i+1),
			"ip", addr.Addr().String(), "port", decimal(addr.Port()),
		))
	}
	return n
}
