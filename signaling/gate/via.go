package gate

import (
	"net/netip"
	"strconv"
	"strings"
)

// A via is one value of a Via header (RFC 3261 section 20.42).
type via struct {
	transport string
	host      string // as written, in brackets when IPv6
	port      uint16 // 0 when it has none
	params    []param
	rport     bool // asks for the port it came from (RFC 3581)
}

// parseVia reads a Via. It is usable when protocol and address can be read; it may have a
// problem nevertheless.
func parseVia(s string) (v via, usable bool, problem string) {
	var part [3]string
	rest := s
	for i := range 2 {
		word, after, ok := strings.Cut(rest, "/")
		if !ok {
			return v, false, "malformed Via"
		}
		part[i], rest = strings.Trim(word, " "), strings.TrimLeft(after, " ")
	}
	word, after, ok := strings.Cut(rest, " ")
	if !ok || !isToken(word) || !strings.EqualFold(part[0], "SIP") {
		return v, false, "malformed Via"
	}
	v.transport = strings.ToUpper(word)
	by, params, some := strings.Cut(after, ";")
	by = strings.Trim(by, " ")
	if i := strings.LastIndexByte(by, ':'); i > 0 && !strings.HasSuffix(by, "]") {
		// Spaces may stand around the colon.
		by = strings.TrimRight(by[:i], " ") + ":" + strings.TrimLeft(by[i+1:], " ")
	}
	host, ok := cleanHostPort(by)
	if !ok {
		return v, false, "malformed Via"
	}
	v.host = host
	if i := strings.LastIndexByte(host, ':'); i > 0 && !strings.HasSuffix(host, "]") {
		n, _ := strconv.ParseUint(host[i+1:], 10, 16)
		v.host, v.port = host[:i], uint16(n)
	}
	if part[1] != "2.0" {
		problem = "Via of another version"
	}
	if some {
		list, wrong := parseParams(params)
		if wrong != "" {
			problem = "Via: " + wrong
		}
		for _, p := range list {
			v.add(p)
		}
	}
	for _, p := range v.params {
		if p.name == "branch" && (p.bare || p.value == "z9hG4bK" || strings.HasPrefix(p.value, `"`)) {
			problem = "malformed branch"
		}
	}
	return v, true, problem
}

// add keeps a parameter; the branch goes first, where no odd one can hide it.
func (v *via) add(p param) {
	switch p.name {
	case "branch":
		v.params = append([]param{p}, v.params...)
	case "rport":
		v.rport = true
		v.params = append(v.params, p)
	default:
		v.params = append(v.params, p)
	}
}

// receivedFrom returns v with what the receiver of a request adds (RFC 3261 section
// 18.2.1, RFC 3581 section 4), instead of what the sender may have put there.
func (v via) receivedFrom(from netip.AddrPort) via {
	out := v
	out.params = nil
	for _, p := range v.params {
		if p.name != "received" && p.name != "rport" {
			out.params = append(out.params, p)
		}
	}
	if !from.IsValid() {
		return out
	}
	host := strings.Trim(v.host, "[]")
	if a, err := netip.ParseAddr(host); v.rport || err != nil || a.Unmap() != from.Addr() {
		out.params = append(out.params, param{name: "received", value: from.Addr().String()})
	}
	if v.rport {
		out.params = append(out.params, param{name: "rport", value: strconv.Itoa(int(from.Port()))})
	}
	return out
}

// answerTo is where a response goes.
func (v via) answerTo(from netip.AddrPort, stream bool) netip.AddrPort {
	switch {
	case stream || v.rport:
		return from
	case v.port != 0:
		return netip.AddrPortFrom(from.Addr(), v.port)
	default:
		return netip.AddrPortFrom(from.Addr(), 5060)
	}
}

func (v via) String() string {
	var b strings.Builder
	b.WriteString("SIP/2.0/" + v.transport + " " + v.host)
	if v.port != 0 {
		b.WriteString(":" + strconv.Itoa(int(v.port)))
	}
	writeParams(&b, v.params)
	return b.String()
}
