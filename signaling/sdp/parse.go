package sdp

import (
	"net/netip"
	"slices"
	"strconv"
	"strings"
	"time"

	"sipxmppgw/gateway/media"
)

// A slot is what an m= line says that a Description does not hold.
type slot struct {
	media, proto, formats string
}

// Parse reads a session description. An error is an [*Error].
func Parse(text []byte) (media.Description, error) {
	d, _, err := parse(string(text))
	return d, err
}

func parse(text string) (media.Description, []slot, error) {
	if len(text) > MaxSize {
		return media.Description{}, nil, &Error{Problem: "larger than 16 KiB", Unfit: true}
	}
	if strings.IndexByte(text, 0) >= 0 {
		return media.Description{}, nil, &Error{Problem: "has a NUL"}
	}
	p := parser{session: section{direction: media.SendRecv}}
	for i, line := range strings.Split(text, "\n") {
		if err := p.line(strings.TrimSuffix(line, "\r")); err != nil {
			err.Line = i + 1
			return media.Description{}, nil, err
		}
	}
	if !p.begun {
		return media.Description{}, nil, &Error{Problem: "is empty"}
	}
	d, err := p.description()
	if err != nil {
		return media.Description{}, nil, err
	}
	return d, p.slots, nil
}

// A section is the session level or one stream: what is said there, before the one is
// applied to the other.
type section struct {
	addr      netip.Addr // of c=
	direction media.Direction
	directed  bool // direction was said here
	bandwidth []media.Bandwidth
	mixed     bool
	metrics   bool // VoIP metrics are wanted (RFC 3611 section 5)
	ice       iceLines
	dtls      media.DTLS
	crypto    []media.SDES
}

type stream struct {
	section
	media.Stream
	port    uint16
	formats []string
	codecs  map[uint8]*media.Codec // what rtpmap, fmtp and rtcp-fb say
	rtcp    netip.AddrPort
	msid    string
	only    bool // bundle-only: port 0 does not reject (RFC 8843 section 6)
}

type parser struct {
	begun      bool
	session    section
	bundle     []string
	streams    []*stream
	slots      []slot
	formats    int
	attributes int
}

func (p *parser) line(line string) *Error {
	if len(line) < 2 || line[1] != '=' {
		return nil
	}
	kind, value := line[0], strings.TrimSpace(line[2:])
	if !p.begun {
		if kind != 'v' || value != "0" {
			return &Error{Problem: "does not begin with v=0"}
		}
		p.begun = true
		return nil
	}
	if !clean(strings.ReplaceAll(line, "\t", " ")) {
		if kind == 'm' || kind == 'c' {
			return &Error{Problem: "has a control character"}
		}
		return nil
	}
	switch kind {
	case 'm':
		return p.media(value)
	case 'c':
		return p.connection(value)
	case 'b':
		p.bandwidth(value)
	case 'a':
		return p.attribute(value)
	}
	return nil
}

// here is the level that a line belongs to.
func (p *parser) here() *section {
	if len(p.streams) == 0 {
		return &p.session
	}
	return &p.streams[len(p.streams)-1].section
}

func (p *parser) media(value string) *Error {
	f := strings.Fields(value)
	if len(f) < 4 {
		return &Error{Problem: "m= has less than four fields"}
	}
	if len(p.streams) == maxStreams {
		return &Error{Problem: "more than 8 streams", Unfit: true}
	}
	if p.formats += len(f) - 3; p.formats > maxFormats {
		return &Error{Problem: "more than 64 payload types", Unfit: true}
	}
	number, _, _ := strings.Cut(f[1], "/")
	port, err := strconv.ParseUint(number, 10, 16)
	if err != nil {
		return &Error{Problem: "m= has no port"}
	}
	s := &stream{port: uint16(port), formats: f[3:], codecs: map[uint8]*media.Codec{}}
	switch strings.ToLower(f[0]) {
	case "audio":
		s.Kind = media.Audio
	case "video":
		s.Kind = media.Video
	default:
		s.Kind = media.Other
		s.Media = f[0]
		s.Messages = session(f[0], f[2])
	}
	s.Transport.Profile, _ = media.ParseProfile(f[2])
	p.streams = append(p.streams, s)
	p.slots = append(p.slots, slot{f[0], f[2], strings.Join(f[3:], " ")})
	return nil
}

func (p *parser) connection(value string) *Error {
	f := strings.Fields(value)
	if len(f) < 3 || !strings.EqualFold(f[0], "IN") {
		return &Error{Problem: "c= is not an Internet address"}
	}
	host, _, _ := strings.Cut(f[2], "/")
	addr, err := netip.ParseAddr(host)
	switch {
	case err != nil:
		return &Error{Problem: "c= has a name instead of an address", Unfit: true}
	case addr.Unmap().IsMulticast() || addr.Unmap() == netip.AddrFrom4([4]byte{255, 255, 255, 255}):
		return &Error{Problem: "c= is multicast", Unfit: true}
	case addr.Zone() != "":
		return &Error{Problem: "c= has a zone"}
	}
	p.here().addr = addr.Unmap()
	return nil
}

func (p *parser) bandwidth(value string) {
	kind, number, ok := strings.Cut(value, ":")
	n, err := strconv.ParseUint(strings.TrimSpace(number), 10, 63)
	if ok && err == nil && token(kind) {
		h := p.here()
		h.bandwidth = append(h.bandwidth, media.Bandwidth{Type: kind, Value: n})
	}
}

func (p *parser) attribute(value string) *Error {
	if p.attributes++; p.attributes > maxAttributes {
		return &Error{Problem: "more than 256 attributes", Unfit: true}
	}
	name, value, _ := strings.Cut(value, ":")
	value = strings.TrimSpace(value)
	if p.here().attribute(name, value) {
		return nil
	}
	if len(p.streams) > 0 {
		p.streams[len(p.streams)-1].attribute(name, value)
		return nil
	}
	if f := strings.Fields(value); name == "group" && len(f) > 1 && f[0] == "BUNDLE" && p.bundle == nil {
		p.bundle = f[1:]
	}
	return nil
}

// attribute takes what may stand at both levels.
func (s *section) attribute(name, value string) bool {
	switch name {
	case "sendrecv", "sendonly", "recvonly", "inactive":
		s.directed = true
		for d := media.SendRecv; d <= media.Inactive; d++ {
			if d.String() == name {
				s.direction = d
			}
		}
	case "extmap-allow-mixed":
		s.mixed = true
	case "rtcp-xr":
		s.metrics = s.metrics || slices.Contains(strings.Fields(value), voipMetrics)
	case "ice-ufrag", "ice-pwd", "ice-options", "ice-lite", "candidate", "end-of-candidates":
		s.ice.attribute(name, value)
	case "fingerprint":
		if f, ok := parseFingerprint(value); ok {
			s.dtls.Fingerprints = append(s.dtls.Fingerprints, f)
		}
	case "setup":
		s.dtls.Setup = media.ParseSetup(value)
	case "crypto":
		if k, ok := parseCrypto(value); ok {
			s.crypto = append(s.crypto, k)
		}
	default:
		return false
	}
	return true
}

// description applies the session level to the streams.
func (p *parser) description() (media.Description, error) {
	d := media.Description{Streams: make([]media.Stream, len(p.streams))}
	live := map[string]bool{}
	names := map[string]bool{}
	for _, s := range p.streams {
		if names[s.Name] {
			return d, &Error{Problem: "two streams have the same mid"}
		}
		if err := s.finish(&p.session); err != nil {
			return d, err
		}
		if s.Name != "" {
			names[s.Name] = true
			live[s.Name] = !s.Rejected
		}
	}
	for _, name := range p.bundle {
		if live[name] && !slices.Contains(d.Bundle, name) {
			d.Bundle = append(d.Bundle, name)
		}
	}
	for i, s := range p.streams {
		follows := slices.Index(d.Bundle, s.Name) > 0
		if s.port == 0 && !follows {
			s.Rejected = true
			d.Bundle = slices.DeleteFunc(d.Bundle, func(name string) bool { return name == s.Name })
		}
		s.finishTransport(&p.session, follows)
		d.Streams[i] = s.Stream
	}
	return d, nil
}

func (s *stream) finish(session *section) *Error {
	s.Rejected = s.port == 0 && !s.only
	if s.Kind == media.Other || s.Transport.Profile == media.NoRTP {
		s.Stream = media.Stream{
			Name: s.Name, Kind: s.Kind, Media: s.Media, Rejected: true,
			Transport: media.Transport{Profile: media.NoRTP}, Messages: s.finishMessages(session), Typed: s.finishTyped(session),
		}
		return nil
	}
	if !s.addr.IsValid() {
		s.addr = session.addr
	}
	if !s.addr.IsValid() && !s.Rejected {
		return &Error{Problem: "a stream has no c="}
	}
	s.Direction = s.direction
	if !s.directed {
		s.Direction = session.direction
	}
	s.Bandwidth = s.bandwidth
	if s.Bandwidth == nil {
		s.Bandwidth = slices.Clone(session.bandwidth)
	}
	s.AllowMixed = s.mixed || session.mixed
	s.Metrics = s.Kind == media.Audio && (s.metrics || session.metrics)
	s.finishCodecs()
	if s.msid != "" {
		for i := range s.Sources {
			s.Sources[i].Params = appendNew(s.Sources[i].Params, media.Param{Name: "msid", Value: s.msid})
		}
	}
	return nil
}

// finishTransport puts together how the packets travel; a stream that follows another in
// a BUNDLE group has no address of its own.
func (s *stream) finishTransport(session *section, follows bool) {
	if s.Transport.Profile == media.NoRTP {
		return
	}
	t := &s.Transport
	t.ICE = s.ice.under(session.ice)
	dtls := s.dtls
	if dtls.Fingerprints == nil {
		dtls.Fingerprints = slices.Clone(session.dtls.Fingerprints)
	}
	if dtls.Setup == media.SetupNone {
		dtls.Setup = session.dtls.Setup
	}
	if dtls.Fingerprints != nil {
		t.DTLS = &dtls
	}
	if t.SDES = s.crypto; t.SDES == nil {
		t.SDES = slices.Clone(session.crypto)
	}
	switch {
	case t.ICE != nil && s.port == 9: // only candidates say where
	case s.addr.IsValid() && !s.addr.IsUnspecified() && s.port != 0:
		t.Addr = netip.AddrPortFrom(s.addr, s.port)
	case s.addr.IsUnspecified() && t.ICE == nil && !s.Rejected && !follows:
		// The hold of RFC 2543: nothing is to be sent there (RFC 3264 section 8.4). The zeros
		// stay: media without any address is media that cannot be.
		s.Direction = s.Direction.And(media.SendOnly)
		if s.port != 0 {
			t.Addr = netip.AddrPortFrom(s.addr, s.port)
		}
	}
	s.finishRTCP()
}

// finishRTCP keeps the address of RTCP only where it is not the usual one (RFC 3605).
func (s *stream) finishRTCP() {
	t := &s.Transport
	addr := s.rtcp.Addr()
	if !addr.IsValid() || addr.IsUnspecified() {
		addr = t.Addr.Addr()
	}
	rtcp := netip.AddrPortFrom(addr, s.rtcp.Port())
	next := netip.AddrPortFrom(t.Addr.Addr(), t.Addr.Port()+1)
	if t.RTCPMux || !t.Addr.IsValid() || s.rtcp.Port() == 0 || rtcp == next || rtcp == t.Addr || (t.ICE != nil && s.rtcp.Port() == 9) {
		return
	}
	t.RTCP = rtcp
}

// packetTime reads ptime and maxptime; what cannot be meant is passed over.
func packetTime(value string) time.Duration {
	whole, _, _ := strings.Cut(value, ".")
	ms, err := strconv.Atoi(whole)
	if err != nil || ms <= 0 || ms > 400 {
		return 0
	}
	return time.Duration(ms) * time.Millisecond
}

func appendNew(params []media.Param, p media.Param) []media.Param {
	for _, q := range params {
		if q.Name == p.Name {
			return params
		}
	}
	return append(params, p)
}
