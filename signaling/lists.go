package signaling

import (
	"strings"
	"time"

	"github.com/emiago/sipgo/sip"

	"sipxmppgw/gateway"
	"sipxmppgw/gateway/presence"
	"sipxmppgw/gateway/translate"
	"sipxmppgw/signaling/pidf"
	"sipxmppgw/signaling/stack"
)

// eventList is the option tag of lists (RFC 4662 section 8.2).
const eventList = "eventlist"

// A listLine is what is known of a list that we subscribe to, from one document after the other.
type listLine struct {
	known   bool
	version uint32
	lines   map[string]*pidf.Line // of those in it, by URI, whose calls are watched
	anew    time.Time             // when the whole was last asked for
}

// The bounds of a list.
const (
	maxListLines   = 1024 // whose calls are watched
	maxListDevices = 64   // of one in it
)

// listPace is how often the whole of a list is asked for when something of it is missing: what
// comes may have the same fault.
const listPace = 30 * time.Second

func newListLine(list bool) *listLine {
	if !list {
		return nil
	}
	return &listLine{lines: map[string]*pidf.Line{}}
}

// take takes a document; gap says that one before it is missing, so that the whole is to be asked
// for anew (RFC 4662 section 5.2), and old that it is older than what is known.
func (l *listLine) take(d pidf.List) (gap, old bool) {
	switch {
	case d.Full && (!l.known || d.Version >= l.version || d.Version == 0):
	case l.known && d.Version <= l.version:
		return false, true
	default:
		gap = !l.known || d.Version != l.version+1
	}
	l.known, l.version = d.Full || l.known, d.Version
	return gap, false
}

// accepts are the media types that a subscription of ours takes.
func (u *usage) accepts() string {
	if u.list == nil {
		return documents[u.pkg]
	}
	return documents[u.pkg] + ", " + pidf.ListMediaType + ", " + pidf.RelatedMediaType
}

// listed takes a NOTIFY in a subscription of ours to a list. It is for the holder of the dialog's
// lock.
func (e *Edge) listed(tx *stack.ServerTx, u *usage, n presence.Notified) {
	req := tx.Request()
	t := e.of(u.trunk)
	in := presence.Listed{State: n.State, Reason: n.Reason, Later: n.Later, Expires: n.Expires}
	gap := false
	if len(req.Body()) == 0 && n.State == "active" && !tagged(req, eventList, "Require") { // RFC 4662 section 4.5
		e.reply(tx, 200)
		t.Presence.Listed(u.pair, presence.ListRefused{Status: 420})
		return
	}
	if body := req.Body(); len(body) > 0 {
		kind := value(req, "Content-Type")
		switch mediaType(kind) {
		case pidf.RelatedMediaType:
		case documents[u.pkg]: // it takes no notice of lists: what is there is no list
			e.reply(tx, 200)
			t.Presence.Listed(u.pair, presence.ListRefused{Status: 420})
			return
		default:
			e.reply(tx, 415, header("Accept", u.accepts()))
			return
		}
		d, err := pidf.ParseList(kind, body)
		if err != nil {
			e.reply(tx, 400, header("Warning", translate.Warning(t.Host, "the list cannot be read")))
			return
		}
		var old bool
		if gap, old = u.list.take(d); !old {
			in.Holds, in.Full = true, d.Full
			for _, r := range d.Resources {
				it, lost := e.itemOf(u, r)
				gap = gap || lost
				in.Items = append(in.Items, it)
			}
		}
	}
	e.reply(tx, 200)
	if n.State == "terminated" {
		u.ended = true
		e.usages.remove(u)
	} else if gap && !u.asked && time.Since(u.list.anew) >= listPace {
		u.list.anew = time.Now()
		e.resubscribe(u, u.expires)
	}
	t.Presence.Listed(u.pair, in)
}

// itemOf is what a list says of one who is in it. Of several subscriptions to them, those that are
// active say what there is. gap says that something is missing.
func (e *Edge) itemOf(u *usage, r pidf.Resource) (it presence.Item, gap bool) {
	it.Address = u.listAddress(r.URI)
	for _, in := range r.Instances {
		state := strings.ToLower(in.State)
		switch {
		case state == "active" && it.State != "active", state == "pending" && it.State != "active", it.State == "":
			it.State, it.Reason = state, ""
			if state == "terminated" {
				it.Reason = strings.ToLower(in.Reason)
			}
		case it.State == "terminated" && state == "terminated" && !strings.EqualFold(in.Reason, it.Reason):
			it.Reason = "" // it is not all of one mind
		}
		if state != "active" || len(in.Body) == 0 || in.Kind != documents[u.pkg] {
			continue
		}
		switch u.pkg {
		case gateway.PackagePresence:
			_, doc, err := pidf.Parse(in.Body)
			if err != nil {
				continue
			}
			it.Holds = true
			for _, s := range doc {
				if len(it.Now) < maxListDevices {
					it.Now = it.Now.Put(s)
				}
			}
			if u.trunk.Location && it.Place == nil && u.pair.User != "" {
				it.Place, _ = pidf.Whereabouts(in.Body, time.Now()) // it was read before
			}
		case gateway.PackageDialog:
			d, err := pidf.ParseDialogInfo(in.Body)
			if err != nil {
				continue
			}
			line := u.list.lines[r.URI]
			if line == nil {
				if len(u.list.lines) == maxListLines {
					clear(u.list.lines)
				}
				line = &pidf.Line{}
				u.list.lines[r.URI] = line
			}
			if line.Take(d) {
				gap = true
				continue
			}
			it.Holds, it.Now = true, lineState(line)
		}
	}
	return it, gap
}

// tagged reports whether an option tag is in one of the headers of a message.
func tagged(m sip.Message, tag string, headers ...string) bool {
	for _, h := range headers {
		for _, v := range values(m, h) {
			for t := range strings.SplitSeq(v, ",") {
				if strings.EqualFold(strings.TrimSpace(t), tag) {
					return true
				}
			}
		}
	}
	return false
}

// listAddress is whom a list means by a URI: what has the trunk's own address is at whatever domain
// it is asked for.
func (u *usage) listAddress(uri string) string {
	_, rest, ok := strings.Cut(uri, ":")
	of, err := translate.ParseURI("sip:" + rest)
	if !ok || err != nil {
		return uri
	}
	a, numeric := literal(of.Host)
	return gateway.ListAddress(of, strings.EqualFold(of.Host, u.trunk.Next.Host) || numeric && u.trunk.holds(a))
}
