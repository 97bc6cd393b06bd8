package sipphone

import (
	"errors"
	"fmt"
	"net/netip"
	"strconv"
	"strings"
	"time"

	"sipxmppgw/test/peer/audio"
)

// A description is the audio of a session description (RFC 8866).
type description struct {
	addr      netip.AddrPort // of RTP
	rtcp      netip.AddrPort
	codecs    []audio.Codec
	ptime     time.Duration
	direction string
	profile   string   // such as RTP/AVP
	others    []string // kinds of media other than the first audio
	text      []string // lines of the first about text, without line ends; nil for none
}

// format writes a description; version is that of the o= line.
func (d *description) format(user string, version int) string {
	var b strings.Builder
	family := "IP4"
	if d.addr.Addr().Is6() {
		family = "IP6"
	}
	fmt.Fprintf(&b, "v=0\r\no=%s 1 %d IN %s %s\r\ns=-\r\nc=IN %s %s\r\nt=0 0\r\n", user, version, family, d.addr.Addr(), family, d.addr.Addr())
	fmt.Fprintf(&b, "m=audio %d RTP/AVP", d.addr.Port())
	for _, c := range d.codecs {
		fmt.Fprintf(&b, " %d", c.PayloadType)
	}
	b.WriteString("\r\n")
	for _, c := range d.codecs {
		fmt.Fprintf(&b, "a=rtpmap:%d %s/%d", c.PayloadType, c.Name, c.ClockRate)
		if c.Channels > 1 {
			fmt.Fprintf(&b, "/%d", c.Channels)
		}
		b.WriteString("\r\n")
		if text := parameters(c); text != "" {
			fmt.Fprintf(&b, "a=fmtp:%d %s\r\n", c.PayloadType, text)
		}
	}
	fmt.Fprintf(&b, "a=ptime:%d\r\na=%s\r\n", d.ptime.Milliseconds(), d.direction)
	text := d.text
	for _, kind := range d.others { // the answer has as many lines as the offer
		if kind == "text" && text != nil {
			b.WriteString(strings.Join(text, "\r\n") + "\r\n")
			text = nil
			continue
		}
		fmt.Fprintf(&b, "m=%s 0 RTP/AVP 96\r\n", kind) // refused
	}
	return b.String()
}

func parameters(c audio.Codec) string {
	var parts []string
	for _, p := range c.Parameters {
		if p.Name == "" {
			parts = append(parts, p.Value)
		} else {
			parts = append(parts, p.Name+"="+p.Value)
		}
	}
	return strings.Join(parts, ";")
}

// static are the payload types that need no rtpmap (RFC 3551).
func static(payloadType uint8) (audio.Codec, bool) {
	for _, c := range []audio.Codec{audio.PCMU, audio.PCMA, audio.G722, audio.CN} {
		if c.PayloadType == payloadType {
			return c, true
		}
	}
	return audio.Codec{}, false
}

// parse reads the first audio of a session description.
func parse(text string) (*description, error) {
	d := &description{direction: "sendrecv"}
	var (
		session, host netip.Addr
		port, rtcp    uint64
		formats       []string
		names         = map[string]audio.Codec{}
		in            = "session"
	)
	for line := range strings.Lines(text) {
		line = strings.TrimRight(line, "\r\n")
		kind, value, ok := strings.Cut(line, "=")
		if !ok {
			continue
		}
		switch kind {
		case "m":
			fields := strings.Fields(value)
			if len(fields) < 4 {
				return nil, fmt.Errorf("line %q is too short", line)
			}
			if fields[0] != "audio" || formats != nil {
				in = "other"
				d.others = append(d.others, fields[0])
				if fields[0] == "text" && d.text == nil {
					in, d.text = "text", []string{line}
				}
				continue
			}
			in = "audio"
			var err error
			if port, err = strconv.ParseUint(fields[1], 10, 16); err != nil {
				return nil, fmt.Errorf("line %q: %w", line, err)
			}
			d.profile, formats = fields[2], fields[3:]
		case "c":
			fields := strings.Fields(value)
			if len(fields) < 3 {
				return nil, fmt.Errorf("line %q is too short", line)
			}
			addr, err := netip.ParseAddr(fields[2])
			if err != nil {
				return nil, fmt.Errorf("line %q: %w", line, err)
			}
			if in == "session" {
				session = addr
			} else if in == "audio" {
				host = addr
			}
		case "a":
			if in == "text" {
				d.text = append(d.text, line)
			}
			if in == "other" || in == "text" {
				continue
			}
			name, rest, _ := strings.Cut(value, ":")
			switch name {
			case "sendrecv", "sendonly", "recvonly", "inactive":
				d.direction = name
			case "rtcp":
				text, _, _ := strings.Cut(rest, " ")
				rtcp, _ = strconv.ParseUint(text, 10, 16)
			case "ptime":
				if ms, err := strconv.Atoi(strings.TrimSpace(rest)); err == nil {
					d.ptime = time.Duration(ms) * time.Millisecond
				}
			case "rtpmap":
				format, text, _ := strings.Cut(rest, " ")
				parts := strings.Split(strings.TrimSpace(text), "/")
				c := names[format]
				c.Name = parts[0]
				if len(parts) > 1 {
					c.ClockRate, _ = strconv.Atoi(parts[1])
				}
				if len(parts) > 2 {
					c.Channels, _ = strconv.Atoi(parts[2])
				}
				names[format] = c
			case "fmtp":
				format, text, _ := strings.Cut(rest, " ")
				c := names[format]
				c.Parameters = append(c.Parameters, audio.Parameter{Value: text})
				names[format] = c
			}
		}
	}
	if formats == nil {
		return nil, errors.New("there is no audio")
	}
	if !host.IsValid() {
		host = session
	}
	if !host.IsValid() {
		return nil, errors.New("there is no c= line")
	}
	d.addr = netip.AddrPortFrom(host, uint16(port))
	if rtcp == 0 {
		rtcp = port + 1
	}
	d.rtcp = netip.AddrPortFrom(host, uint16(rtcp))
	for _, f := range formats {
		id, err := strconv.ParseUint(f, 10, 7)
		if err != nil {
			return nil, fmt.Errorf("format %q is not a payload type", f)
		}
		c, named := names[f]
		if !named || c.Name == "" {
			known, ok := static(uint8(id))
			if !ok {
				continue
			}
			known.Parameters = c.Parameters
			c = known
		}
		c.PayloadType = uint8(id)
		d.codecs = append(d.codecs, c)
	}
	return d, nil
}

// voice returns the codec to send with and the event that goes with it; zero if there is none.
func voice(codecs []audio.Codec) (codec, event audio.Codec) {
	for _, c := range codecs {
		if c.Voice() && codec.Name == "" {
			codec = c
		}
	}
	for _, c := range codecs {
		if c.Event() && (event.Name == "" || c.ClockRate == codec.ClockRate) {
			event = c
		}
	}
	return codec, event
}

// common returns what of the offer the phone knows, with the offer's payload types and order.
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

// one leaves the first codec for sound and the event that goes with it.
func one(codecs []audio.Codec) []audio.Codec {
	codec, event := voice(codecs)
	out := []audio.Codec{codec}
	if event.Name != "" {
		out = append(out, event)
	}
	return out
}

// mirror returns the direction that answers one (RFC 3264 section 6.1).
func mirror(direction string) string {
	switch direction {
	case "sendonly":
		return "recvonly"
	case "recvonly":
		return "sendonly"
	}
	return direction
}
