package stack

import (
	"strings"

	"github.com/emiago/sipgo/sip"
)

// rescheme puts a From and a To in place that sipgo does not read because of the scheme in it,
// which may have digits and signs, such as h323 (RFC 3986 section 3.1): it knows letters only.
// The gate has written both, so that there is nothing else to stumble over.
func rescheme(msg sip.Message) {
	m, ok := msg.(interface{ ReplaceHeader(sip.Header) }) // a request and a response are
	if !ok {
		return
	}
	if h := msg.GetHeaders("From"); msg.From() == nil && len(h) > 0 {
		if name, uri, params, ok := strange(h[0].Value()); ok {
			m.ReplaceHeader(&sip.FromHeader{DisplayName: name, Address: uri, Params: params})
		}
	}
	if h := msg.GetHeaders("To"); msg.To() == nil && len(h) > 0 {
		if name, uri, params, ok := strange(h[0].Value()); ok {
			m.ReplaceHeader(&sip.ToHeader{DisplayName: name, Address: uri, Params: params})
		}
	}
}

// strange reads an address with a scheme that sipgo does not know how to read.
func strange(value string) (name string, uri sip.Uri, params sip.HeaderParams, ok bool) {
	start := strings.LastIndexByte(value, '<') + 1 // the gate lets none into a URI or a parameter
	scheme, rest, found := strings.Cut(value[start:], ":")
	if start == 0 || !found {
		return "", uri, nil, false
	}
	params = sip.NewParams()
	name, err := sip.ParseAddressValue(value[:start]+"x:"+rest, &uri, &params)
	uri.Scheme = strings.ToLower(scheme)
	return name, uri, params, err == nil
}
