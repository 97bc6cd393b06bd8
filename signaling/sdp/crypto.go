package sdp

import (
	"strconv"
	"strings"

	"sipxmppgw/gateway/media"
)

// parseFingerprint reads a certificate's hash (RFC 8122 section 5).
func parseFingerprint(value string) (media.Fingerprint, bool) {
	f := strings.Fields(value)
	if len(f) != 2 || !token(f[0]) || !hexadecimal(f[1]) {
		return media.Fingerprint{}, false
	}
	return media.Fingerprint{Hash: strings.ToLower(f[0]), Value: strings.ToUpper(f[1])}, true
}

// hexadecimal reports whether s is pairs of digits with colons between them.
func hexadecimal(s string) bool {
	if len(s)%3 != 2 || len(s) > 3*64-1 {
		return false
	}
	for i := range len(s) {
		if i%3 == 2 {
			if s[i] != ':' {
				return false
			}
			continue
		}
		if !strings.ContainsRune("0123456789abcdefABCDEF", rune(s[i])) {
			return false
		}
	}
	return true
}

// parseCrypto reads a key (RFC 4568 section 9.1).
func parseCrypto(value string) (k media.SDES, ok bool) {
	f := strings.Fields(value)
	if len(f) < 3 || !token(f[1]) {
		return k, false
	}
	tag, err := strconv.ParseUint(f[0], 10, 30)
	if err != nil {
		return k, false
	}
	return media.SDES{
		Tag: int(tag), Suite: f[1], KeyParams: f[2], SessionParams: strings.Join(f[3:], " "),
	}, true
}

func (w *writer) dtls(d *media.DTLS) {
	if d == nil {
		return
	}
	for _, f := range d.Fingerprints {
		if token(f.Hash) && hexadecimal(f.Value) {
			w.line("a=fingerprint:", strings.ToLower(f.Hash), " ", strings.ToUpper(f.Value))
		}
	}
	if d.Setup != media.SetupNone {
		w.line("a=setup:", d.Setup.String())
	}
}

func (w *writer) crypto(keys []media.SDES) {
	for _, k := range keys {
		if k.Tag < 0 || !token(k.Suite) || !iceText(k.KeyParams) {
			continue
		}
		parts := []string{"a=crypto:", number(k.Tag), " ", k.Suite, " ", k.KeyParams}
		if k.SessionParams != "" && text(k.SessionParams) {
			parts = append(parts, " ", k.SessionParams)
		}
		w.line(parts...)
	}
}
