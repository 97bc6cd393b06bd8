package wire

import "gosrc.io/xmpp/stanza"

// maxServices bounds the services of one answer.
const maxServices = 32

// A Service is something beside XMPP that a server knows of, such as a STUN server (XEP-0215
// section 3).
type Service struct {
	Type      string // stun, turn, stuns, turns, …
	Transport string // udp or tcp; may be empty
	Host      string
	Port      uint16 // 0 if it does not say
}

// ParseServices reads a <services/>. What cannot be used is left out.
func ParseServices(n *stanza.Node) []Service {
	var all []Service
	for i := range n.Nodes {
		e := &n.Nodes[i]
		if e.XMLName.Space != NSServices || e.XMLName.Local != "service" || len(all) == maxServices {
			continue
		}
		port, ok := number(e, "port", 65535)
		if _, said := lookup(e, "port"); said && !ok {
			continue
		}
		s := Service{Type: Attr(e, "type"), Transport: Attr(e, "transport"), Host: Attr(e, "host"), Port: uint16(port)}
		if s.Type != "" && s.Host != "" && len(s.Host) < 256 {
			all = append(all, s)
		}
	}
	return all
}
