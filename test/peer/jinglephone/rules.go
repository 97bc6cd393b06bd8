package jinglephone

import (
	"fmt"
	"slices"
	"strconv"
	"strings"

	"sipxmppgw/test/peer/audio"
	"sipxmppgw/test/peer/element"
)

// A breach is a rule that a session-initiate or session-accept breaks; reason is what a
// strict client ends the call with, empty if it does not mind.
type breach struct{ reason, text string }

// checkSession holds the contents of a session-initiate or session-accept against the
// rules that Conversations enforces, whoever sent them.
func checkSession(j *element.Element, contents []description, plain bool) []breach {
	var out []breach
	say := func(reason, format string, args ...any) {
		out = append(out, breach{reason, fmt.Sprintf(format, args...)})
	}
	elements := j.Children(nsJingle, "content")
	if len(elements) == 0 {
		say("failed-application", "there is no content")
	}
	for i, d := range contents {
		e := elements[i]
		rtp, transport := e.Child(nsRTP, "description"), e.Child(nsICE, "transport")
		switch {
		case d.name == "" || len(d.name) > 16 || strings.ContainsAny(d.name, " \t\n"):
			say("failed-application", "content name %q is empty, has spaces or more than 16 characters", d.name)
		case d.creator != "initiator" && d.creator != "responder":
			say("failed-application", "content %s has creator %q", d.name, d.creator)
		}
		if rtp == nil || transport == nil {
			say("failed-application", "content %s lacks a description or a transport", d.name)
			continue
		}
		for _, p := range rtp.Children(nsRTP, "payload-type") {
			if id, err := strconv.Atoi(p.Attr("id")); err != nil || id < 0 || id > 127 {
				say("failed-application", "payload type %q is not a number up to 127", p.Attr("id"))
			}
		}
		if codec, _ := d.voice(); d.media == "audio" && codec.Name == "" {
			say("failed-application", "content %s has no codec for sound", d.name)
		}
		if d.ufrag == "" || d.pwd == "" {
			say("failed-application", "content %s has no ufrag or no pwd", d.name)
		}
		for _, c := range d.candidates {
			out = append(out, checkCandidate(c)...)
		}
		if plain {
			continue
		}
		if len(d.fingerprints) == 0 {
			say("security-error", "Use of DTLS-SRTP is required")
		}
		for _, f := range d.fingerprints {
			if f.hash == "" || f.setup == "" || !wellFormed(f) {
				say("security-error", "fingerprint %q of hash %q with setup %q", f.value, f.hash, f.setup)
			}
			if f.setup != contents[0].setup() {
				say("security-error", "contents have setup %s and %s", contents[0].setup(), f.setup)
			}
		}
		if d.encryption {
			say("security-error", "SDES keys beside DTLS")
		}
	}
	return out
}

// wellFormed reports whether a fingerprint is upper-case hexadecimal with colons (RFC 8122).
func wellFormed(f fingerprint) bool {
	sizes := map[string]int{"sha-1": 20, "sha-256": 32, "sha-384": 48, "sha-512": 64}
	parts := strings.Split(f.value, ":")
	if len(parts) != sizes[strings.ToLower(f.hash)] {
		return false
	}
	for _, p := range parts {
		if len(p) != 2 || strings.Trim(p, "0123456789ABCDEF") != "" {
			return false
		}
	}
	return true
}

// checkCandidate finds what clients refuse or trip over in a candidate of ICE-UDP.
func checkCandidate(c candidate) []breach {
	var out []breach
	for _, a := range []struct{ name, value, reason string }{
		{"component", c.component, "failed-transport"},
		{"foundation", c.foundation, "failed-transport"},
		{"priority", c.priority, "failed-transport"},
		{"ip", c.ip, "failed-transport"},
		{"port", c.port, "failed-transport"},
		{"id", c.id, ""}, // the schema of XEP-0176 has them, and no client asks for them
		{"generation", c.generation, ""},
	} {
		if a.value == "" {
			out = append(out, breach{a.reason, "a candidate has no " + a.name})
		}
	}
	if !strings.EqualFold(c.protocol, "udp") {
		out = append(out, breach{"failed-transport", "a candidate has protocol " + c.protocol})
	}
	if _, _, ok := c.use(); !ok && len(out) == 0 {
		out = append(out, breach{"failed-transport", "a candidate with ip " + c.ip + " and port " + c.port + " cannot be used"})
	}
	return out
}

// checkInitiate holds a session-initiate against what was proposed.
func checkInitiate(j *element.Element, contents []description, proposed []string, b Behaviour) []breach {
	out := checkSession(j, contents, b.Plain)
	var media []string
	for _, d := range contents {
		media = append(media, d.media)
	}
	if proposed != nil && !sameSet(media, proposed) {
		out = append(out, breach{"security-error", fmt.Sprintf("proposed was %v, initiated %v", proposed, media)})
	}
	for _, d := range contents {
		if len(d.fingerprints) > 0 && d.setup() != "actpass" {
			out = append(out, breach{"security-error", "an offer has setup " + d.setup()})
		}
	}
	return append(out, checkGroup(j, contents)...)
}

// checkAccept holds a session-accept against this side's session-initiate.
func checkAccept(j *element.Element, contents, offered []description, b Behaviour) []breach {
	out := checkSession(j, contents, b.Plain)
	var got, want []string
	for _, d := range contents {
		got = append(got, d.name+" "+d.media)
		if len(d.fingerprints) > 0 && d.setup() != "active" && d.setup() != "passive" {
			out = append(out, breach{"security-error", "an answer has setup " + d.setup()})
		}
	}
	for _, d := range offered {
		want = append(want, d.name+" "+d.media)
	}
	if !sameSet(got, want) {
		out = append(out, breach{"security-error", fmt.Sprintf("offered were contents %v, accepted %v", want, got)})
	}
	for _, d := range contents {
		for _, o := range offered {
			if o.name != d.name {
				continue
			}
			for _, c := range d.codecs {
				if !slices.ContainsFunc(o.codecs, func(k audio.Codec) bool { return k.PayloadType == c.PayloadType && k.Same(c) }) {
					out = append(out, breach{"failed-application", fmt.Sprintf("payload type %d %s was not offered", c.PayloadType, c.Name)})
				}
			}
			if d.mux && !o.mux {
				out = append(out, breach{"failed-application", "rtcp-mux was not offered"})
			}
			if o.mux && !d.mux && j.Child(nsGrouping, "group") != nil {
				out = append(out, breach{"failed-application", "a bundled content without rtcp-mux"})
			}
		}
	}
	if b.NoGroup && j.Child(nsGrouping, "group") != nil {
		out = append(out, breach{"failed-application", "a group was answered that was not offered"})
	}
	return append(out, checkGroup(j, contents)...)
}

// checkGroup holds the BUNDLE group against the contents.
func checkGroup(j *element.Element, contents []description) []breach {
	group := j.Child(nsGrouping, "group")
	if group == nil {
		return nil
	}
	var out []breach
	if group.Attr("semantics") != "BUNDLE" {
		out = append(out, breach{"failed-application", "a group with semantics " + group.Attr("semantics")})
	}
	for _, g := range group.Children(nsGrouping, "content") {
		if !slices.ContainsFunc(contents, func(d description) bool { return d.name == g.Attr("name") }) {
			out = append(out, breach{"failed-application", "a group with content " + g.Attr("name") + ", which there is not"})
		}
	}
	return out
}

func sameSet(a, b []string) bool {
	a, b = slices.Sorted(slices.Values(a)), slices.Sorted(slices.Values(b))
	return slices.Equal(a, b)
}
