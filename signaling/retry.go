package signaling

import (
	"cmp"
	"net/netip"
	"slices"
	"strconv"
	"strings"

	"github.com/emiago/sipgo/sip"

	"sipxmppgw/gateway/media"
	"sipxmppgw/gateway/translate"
	"sipxmppgw/signaling/dialog"
)

// maxRedirects bounds the places that a call is sent on to (RFC 3261 section 8.1.3.4, C-26).
const maxRedirects = 5

// asked is a request of ours that has no final response.
type asked struct {
	uri   string
	first bool // it is our INVITE that begins it all
	media media.Description
	given given
}

// retries are what we know of the requests of ours that were refused, and of how to do better.
type retries struct {
	proof     proof
	visited   []string // Request-URIs of our INVITEs
	redirects int
	targets   []place               // where redirections lead, the best first
	diverted  []translate.Diversion // how the last INVITE came to be sent where it is, the last first
	history   bool                  // the peer knows History-Info (RFC 7044)
	reduced   bool                  // the offer
	plain     bool                  // no extension is named
	required  []string              // extensions that the peer wants required
}

// A place is where a redirection leads.
type place struct {
	uri      string
	q        float64
	diverted []translate.Diversion // on the way to there
}

// again says whether, and how, a request is sent once more that was refused, and how the
// dialog is to go on.
func (l *leg) again(id int, res *sip.Response) (dialog.Again, bool) {
	a := l.asked[id]
	again := dialog.Again{Response: l.response(id, res)}
	if res.StatusCode == 403 {
		l.trunk.purse.empty() // it may be for what we have said without being asked
	}
	switch status := res.StatusCode; {
	case status == 401 || status == 407:
		return again, l.retries.proof.challenged(l.trunk, a.given, res)
	case l.trunk.station != nil && status/100 == 3:
		return again, false // where a phone's calls go is its owner's to say
	case !a.first:
		return again, false
	case l.withoutPlace(status):
		return again, true
	case status == 420:
		return again, l.simplify(res)
	case status == 421:
		return again, l.require(res)
	case status == 488 || status == 606 || status == 415:
		// Whoever does not like a codec may also say that it does not like the body.
		if !l.retries.reduced {
			l.retries.reduced = true
			var ok bool
			if again.Media, ok = reduce(a.media); ok {
				return again, true
			}
		}
	case status >= 300 && status <= 302:
		l.redirect(a.uri, res)
	case status == 422 || status == 491:
		return again, false // the dialog knows
	}
	if res.StatusCode >= 600 || len(l.retries.targets) == 0 || l.retries.redirects == maxRedirects {
		return again, false
	}
	again.Target, l.retries.diverted = l.retries.targets[0].uri, l.retries.targets[0].diverted
	l.retries.targets = l.retries.targets[1:]
	l.retries.redirects++
	return again, true
}

// is reports whether a host is the trunk itself, as the config has it: where requests go, by
// DNS if that is a name, or a single address that they come from. Of a network of sources not
// each machine is.
func (t *Trunk) is(host string) bool {
	if host != "" && strings.EqualFold(host, t.Next.Host) {
		return true
	}
	a, ok := literal(host)
	return ok && (t.places.holds(a) || slices.ContainsFunc(t.Sources, func(p netip.Prefix) bool { return p.IsSingleIP() && p.Contains(a) }))
}

// simplify leaves out our extensions for a peer that does not bear their names.
func (l *leg) simplify(res *sip.Response) bool {
	if l.retries.plain {
		return false
	}
	for _, tag := range strings.Split(extensions, ", ") {
		l.retries.plain = l.retries.plain || lists(res, "Unsupported", tag)
	}
	return l.retries.plain
}

// require requires what the peer wants required, if we have all of it.
func (l *leg) require(res *sip.Response) bool {
	missing := unsupported(res)
	if l.retries.required != nil || missing != "" {
		return false
	}
	for _, tag := range strings.Split(extensions, ", ") {
		if lists(res, "Require", tag) {
			l.retries.required = append(l.retries.required, tag)
		}
	}
	return l.retries.required != nil
}

// reduce leaves out of an offer what a peer most likely did not like: video and Opus. It is
// false if nothing is left out, or nothing left. Each stream keeps its place.
func reduce(d media.Description) (media.Description, bool) {
	d = d.Clone()
	less := false
	audio := d.Live(media.Audio) >= 0
	for i := range d.Streams {
		s := &d.Streams[i]
		switch {
		case s.Rejected:
		case s.Kind != media.Audio && audio:
			*s = media.Refuse(*s)
			d.Bundle = slices.DeleteFunc(d.Bundle, func(name string) bool { return name == s.Name })
			less = true
		case s.Kind == media.Audio:
			rest := slices.DeleteFunc(slices.Clone(s.Codecs), func(c media.Codec) bool { return strings.EqualFold(c.Name, "opus") })
			if len(rest) < len(s.Codecs) && len(media.Speech(rest)) > 0 {
				s.Codecs, less = rest, true
			}
		}
	}
	return d, less
}

// redirect takes the places that a redirection of the request to that URI names, by their q,
// as far as they are the trunk's and were not tried yet: no peer can send a call anywhere
// else.
func (l *leg) redirect(from string, res *sip.Response) {
	r := &l.retries
	r.history = r.history || lists(res, "Supported", "histinfo") || value(res, "History-Info") != ""
	why := translate.Diversion{For: translate.NameAddr{URI: from}}
	said := translate.ParseDiversions(values(res, "Diversion"))
	var places []place
	for _, v := range values(res, "Contact") {
		uri := address(v).URI
		known := slices.ContainsFunc(r.targets, func(p place) bool { return p.uri == uri })
		if len(places) == maxRedirects || known || !l.reachable(uri) || slices.Contains(r.visited, uri) {
			continue
		}
		switch why.Reason = translate.ReasonOfTarget(uri); {
		case why.Reason != "":
		case len(said) > 0:
			why = said[0]
		case res.StatusCode == 302:
			why.Reason = translate.ReasonOfCause(302)
		default:
			why.Reason = translate.ReasonOfCause(0)
		}
		on := append([]translate.Diversion{why}, r.diverted...)
		places = append(places, place{uri, quality(v), on})
	}
	slices.SortStableFunc(places, func(a, b place) int { return cmp.Compare(b.q, a.q) })
	r.targets = append(places, r.targets...)
}

// diversions say for whom a call was before it was sent on to that target (RFC 5806, RFC 7044).
func (l *leg) diversions(target string) []sip.Header {
	var hs []sip.Header
	switch all := l.retries.diverted; {
	case len(all) == 0:
	case l.retries.history:
		for _, v := range translate.History(all, target) {
			hs = append(hs, header("History-Info", v))
		}
	default:
		for _, d := range all {
			hs = append(hs, header("Diversion", d.String()))
		}
	}
	return hs
}

// quality is the q of a Contact, 1 without one.
func quality(contact string) float64 {
	v, ok := parameter(contact, "q")
	if !ok {
		return 1
	}
	q, _ := strconv.ParseFloat(v, 64) // 0 if it is none
	return q
}

// reachable reports whether a redirection may lead there: to an address of the trunk, or
// within the domain that was called.
func (l *leg) reachable(uri string) bool {
	u, ok := requestURI(uri)
	if !ok || !strings.EqualFold(u.Scheme, "sip") || len(u.Headers) > 0 {
		return false
	}
	if a, ok := literal(u.Host); ok {
		return l.trunk.holds(a)
	}
	called, ok := requestURI(address(l.peer).URI)
	return ok && strings.EqualFold(u.Host, called.Host) || strings.EqualFold(u.Host, l.trunk.Next.Host)
}
