package trace

import (
	"bytes"
	"crypto/sha256"
	"encoding/hex"
	"strings"
)

// leftOut stands for what was secret and can be told from nothing else.
const leftOut = "(left out)"

// stand returns what stands for a key: the same for the same one, so that it can be seen
// whether it changed. Keys are random and long; nothing can be guessed from it.
func stand(key string) string {
	sum := sha256.Sum256([]byte(key))
	return "left-out-" + hex.EncodeToString(sum[:6])
}

// Redact returns a message without its secrets: answers to challenges, from which a password
// can be guessed elsewhere and at leisure; keys in SDP and Jingle (RFC 4568, XEP-0167
// section 7); passwords of ICE; and digits, which are PINs as often as not. The lane says
// how it is written.
func Redact(lane, raw string) string {
	if lane == "sip" {
		return redactSIP(raw)
	}
	return redactXML(raw)
}

func redactSIP(raw string) string {
	var b strings.Builder
	b.Grow(len(raw))
	proof := false // a header that is left out goes on in folded lines
	for len(raw) > 0 {
		line, end := raw, ""
		if i := strings.IndexByte(raw, '\n'); i >= 0 {
			line, end = raw[:i], "\n"
			if strings.HasSuffix(line, "\r") {
				line, end = line[:len(line)-1], "\r\n"
			}
		}
		raw = raw[len(line)+len(end):]
		if proof && line != "" && (line[0] == ' ' || line[0] == '\t') {
			continue
		}
		line, proof = redactLine(line)
		b.WriteString(line)
		b.WriteString(end)
	}
	return b.String()
}

// redactLine returns a line of a SIP message without its secrets; proof says that it is a
// header that was left out.
func redactLine(line string) (_ string, proof bool) {
	if rest, ok := strings.CutPrefix(line, "a=ice-pwd:"); ok {
		return "a=ice-pwd:" + stand(rest), false
	}
	if strings.HasPrefix(line, "a=crypto:") {
		return inline(line), false
	}
	if len(line) == 0 || !strings.ContainsRune("AaPpSs", rune(line[0])) {
		return line, false
	}
	if name, value, ok := cutAny(line, "=:"); ok && strings.EqualFold(strings.TrimSpace(name), "signal") && len(strings.TrimSpace(value)) == 1 {
		return line[:len(name)+1] + "0", false // application/dtmf-relay
	}
	name, _, ok := strings.Cut(line, ":")
	bare := strings.TrimSpace(name)
	if ok && (strings.EqualFold(bare, "Authorization") || strings.EqualFold(bare, "Proxy-Authorization")) {
		return name + ": " + leftOut, true
	}
	return line, false
}

func cutAny(s, seps string) (before, after string, ok bool) {
	i := strings.IndexAny(s, seps)
	if i < 0 {
		return s, "", false
	}
	return s[:i], s[i+1:], true
}

// inline replaces the keys of a crypto attribute: what stands behind "inline:" (RFC 4568
// section 6.1).
func inline(s string) string {
	var b strings.Builder
	for {
		before, after, ok := strings.Cut(s, "inline:")
		b.WriteString(before)
		if !ok {
			return b.String()
		}
		end := strings.IndexAny(after, "|; \t")
		if end < 0 {
			end = len(after)
		}
		b.WriteString("inline:" + stand(after[:end]))
		s = after[end:]
	}
}

// keys is inline for key parameters that should be of that form alone.
func keys(s string) string {
	if !strings.Contains(s, "inline:") {
		return stand(s)
	}
	return inline(s)
}

// attributes are those of stanzas that hold secrets, and what stands for them.
var attributes = []struct {
	name  string
	where string // the element it belongs to; empty for any
	with  func(string) string
}{
	{"pwd", "", stand},
	{"key-params", "", keys},
	{"code", "<dtmf", func(string) string { return "0" }}, // XEP-0181
}

func redactXML(raw string) string {
	for _, a := range attributes {
		if a.where != "" && !strings.Contains(raw, a.where) {
			continue
		}
		raw = attribute(raw, a.name, a.where, a.with)
	}
	return raw
}

// attribute replaces the values of an attribute, however it is quoted and spaced.
func attribute(raw, name, where string, with func(string) string) string {
	var b strings.Builder
	done := 0
	for at := 0; ; {
		i := strings.Index(raw[at:], name)
		if i < 0 {
			break
		}
		i += at
		at = i + len(name)
		if i == 0 || !strings.ContainsRune(" \t\r\n", rune(raw[i-1])) {
			continue
		}
		if where != "" && !strings.HasPrefix(raw[max(strings.LastIndexByte(raw[:i], '<'), 0):], where) {
			continue
		}
		rest := strings.TrimLeft(raw[at:], " \t\r\n")
		if !strings.HasPrefix(rest, "=") {
			continue
		}
		rest = strings.TrimLeft(rest[1:], " \t\r\n")
		if rest == "" || rest[0] != '\'' && rest[0] != '"' {
			continue
		}
		begin := len(raw) - len(rest) + 1
		end := strings.IndexByte(raw[begin:], rest[0])
		if end < 0 {
			end = len(raw) - begin // it was cut off
		}
		b.WriteString(raw[done:begin])
		b.WriteString(with(raw[begin : begin+end]))
		done = begin + end
		at = done
	}
	if done == 0 {
		return raw
	}
	b.WriteString(raw[done:])
	return b.String()
}

// redactJSON returns an event as package call writes it without its secrets.
func redactJSON(raw []byte) []byte {
	if len(raw) == 0 {
		return nil
	}
	for _, f := range []struct {
		name string
		with func(string) string
	}{{`"Pwd":"`, stand}, {`"KeyParams":"`, keys}} {
		var b []byte
		rest := raw
		for {
			before, after, ok := bytes.Cut(rest, []byte(f.name))
			b = append(b, before...)
			if !ok {
				break
			}
			end := quoted(after)
			b = append(append(b, f.name...), f.with(string(after[:end]))...)
			rest = after[end:]
		}
		raw = b
	}
	if i := bytes.Index(raw, []byte(`"Key":`)); i >= 0 {
		i += len(`"Key":`)
		end := i
		for end < len(raw) && '0' <= raw[end] && raw[end] <= '9' {
			end++
		}
		raw = append(append(raw[:i:i], "48"...), raw[end:]...)
	}
	return raw
}

// quoted returns where the string ends that s begins in.
func quoted(s []byte) int {
	for i := 0; i < len(s); i++ {
		switch s[i] {
		case '\\':
			i++
		case '"':
			return i
		}
	}
	return len(s)
}
