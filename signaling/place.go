package signaling

import (
	"bytes"
	"io"
	"mime"
	"mime/multipart"
	"strings"
	"time"

	"github.com/emiago/sipgo/sip"

	"sipxmppgw/gateway"
	"sipxmppgw/gateway/message"
	"sipxmppgw/gateway/presence"
	"sipxmppgw/gateway/translate"
	"sipxmppgw/signaling/pidf"
)

// The bounds of a body of several parts.
const (
	maxParts = 16
	maxPart  = 64 << 10 // octets
)

// A part is one of a body of several (RFC 2046 section 5.1).
type part struct{ kind, id, text string }

// mixed is a body of several parts, and its type. The boundary must not occur in any.
func mixed(boundary string, parts ...part) (kind, body string) {
	var b strings.Builder
	for _, p := range parts {
		b.WriteString("--" + boundary + "\r\nContent-Type: " + p.kind + "\r\n")
		if p.id != "" {
			b.WriteString("Content-ID: <" + p.id + ">\r\n")
		}
		b.WriteString("\r\n" + p.text + "\r\n")
	}
	b.WriteString("--" + boundary + "--\r\n")
	return "multipart/mixed;boundary=" + boundary, b.String()
}

// partsOf are the parts of the body of a message, which may be but one.
func partsOf(m sip.Message) []part {
	kind, body := value(m, "Content-Type"), m.Body()
	id := func(v string) string { return strings.Trim(strings.TrimSpace(v), "<>") }
	name, params, err := mime.ParseMediaType(kind)
	if err != nil || !strings.HasPrefix(name, "multipart/") || params["boundary"] == "" {
		return []part{{kind, id(value(m, "Content-ID")), string(body)}}
	}
	var all []part
	r := multipart.NewReader(bytes.NewReader(body), params["boundary"])
	for range maxParts {
		p, err := r.NextRawPart()
		if err != nil {
			break
		}
		text, err := io.ReadAll(io.LimitReader(p, maxPart))
		if err != nil {
			break
		}
		all = append(all, part{p.Header.Get("Content-Type"), id(p.Header.Get("Content-ID")), string(text)})
	}
	return all
}

// locating are the headers and the part that say where someone is (RFC 6442 section 4.1): nobody
// is to be routed by it.
func (e *Edge) locating(host, entity string, place *presence.Place) ([]sip.Header, part) {
	id := e.o.NewID() + "@" + host
	return []sip.Header{header("Geolocation", "<cid:"+id+">"), header("Geolocation-Routing", "no")},
		part{pidf.MediaType, id, string(pidf.FormatWhereabouts(entity, place))}
}

// entityOf is a person in a document.
func entityOf(who translate.Sender) string {
	return "pres:" + strings.TrimPrefix(who.From.String(), "sip:")
}

// whereabouts is where the sender of a request is, if it says so in its own body and that may be
// told to someone else; nil for nowhere. What it says elsewhere is not fetched.
func whereabouts(m sip.Message, now time.Time) *presence.Place {
	var parts []part
	for _, v := range values(m, "Geolocation") {
		for loc := range strings.SplitSeq(v, ",") {
			loc, _, _ = strings.Cut(strings.TrimSpace(loc), ">")
			id, ok := strings.CutPrefix(strings.TrimPrefix(loc, "<"), "cid:")
			if !ok {
				continue
			}
			if parts == nil {
				parts = partsOf(m)
			}
			for _, p := range parts {
				if p.id != id || mediaType(p.kind) != pidf.MediaType {
					continue
				}
				if place, err := pidf.Whereabouts([]byte(p.text), now); err == nil && place != nil {
					return place
				}
			}
		}
	}
	return nil
}

// besidePlace is what a message says beside a place, which may be nothing if the place counts; ok
// is false if it is not of that form. A message with parts of another kind is none: whoever
// wrote it meant all of them to arrive.
func besidePlace(m sip.Message, counts bool) (rest part, ok bool) {
	if kind := mediaType(value(m, "Content-Type")); kind != "multipart/mixed" && kind != pidf.MediaType {
		return rest, false
	}
	found := 0
	for _, p := range partsOf(m) {
		if mediaType(p.kind) != pidf.MediaType {
			rest = p
			found++
		}
	}
	return rest, found == 1 || found == 0 && counts
}

// locateCaller notes where the caller is, as far as whom it calls may know.
func (l *leg) locateCaller(target gateway.Target) {
	p := l.e.of(l.trunk).Presence
	if p == nil || !l.trunk.Location || target.From.Anonymous {
		return
	}
	l.place = p.Place(gateway.Pair{User: bare(target.From.JID), Contact: bare(target.To.JID)})
	l.entity = entityOf(sender(target.From, l.trunk.Trusted))
}

// locate adds where the caller is to our INVITE, if it has a description to stand beside.
func (l *leg) locate(req *sip.Request) {
	if l.place == nil || len(req.Body()) == 0 {
		return
	}
	hs, where := l.e.locating(l.e.of(l.trunk).Host, l.entity, l.place)
	for _, h := range hs {
		req.AppendHeader(h)
	}
	kind, body := mixed(l.e.o.NewID(), part{value(req, "Content-Type"), "", string(req.Body())}, where)
	for req.RemoveHeader("Content-Type") {
	}
	req.AppendHeader(header("Content-Type", kind))
	req.SetBody([]byte(body))
}

// withoutPlace reports whether an INVITE that was refused is to be sent again without where the
// caller is: the peer does not like bodies of several parts, or the place (RFC 6442 section 4.3).
func (l *leg) withoutPlace(status int) bool {
	switch status {
	case 400, 413, 415, 424, 488, 513, 606:
		had := l.place != nil
		l.place = nil
		return had
	}
	return false
}

// tellPlace writes to the user who is called where the caller is.
func (e *Edge) tellPlace(req *sip.Request, trunk *Trunk, in gateway.Inbox) {
	messages := e.of(trunk).Messages
	if messages == nil || !trunk.Location {
		return
	}
	place := whereabouts(req, time.Now())
	if place == nil {
		return
	}
	err := messages.Send(gateway.Query{
		Edge: gateway.SIP, Trunk: trunk.Name, To: req.Recipient.String(), Hops: hopsLeft(req), Claim: claim(req, trunk.Trusted),
	}, message.Message{
		ID: e.o.NewID(), Kind: message.Words, Type: "chat", Body: place.Words(), Place: place, Call: string(in.Call()), Report: true,
	})
	if err != nil {
		e.o.Log.Debug("where a caller is was not told", "err", err)
	}
}
