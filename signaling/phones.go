package signaling

import (
	"cmp"
	"context"
	"crypto/rand"
	"net/netip"
	"slices"
	"strconv"
	"strings"
	"sync"
	"sync/atomic"
	"time"

	"github.com/emiago/sipgo/sip"

	"sipxmppgw/gateway/presence"
	"sipxmppgw/gateway/translate"
	"sipxmppgw/signaling/registrar"
	"sipxmppgw/signaling/stack"
)

// phones are those that register with us.
type phones struct {
	byName atomic.Pointer[map[string]*Trunk] // as they are bound; replaced whole
	flows  *flows
	o      Options

	mu sync.Mutex
	r  *registrar.Registrar
	// composed is what phones have published, and moved has others told of what has changed.
	composed map[*Trunk]*presence.Compositor
	moved    func(*Trunk)
}

// newPhones returns the phones of the options, where they were before.
func newPhones(o Options, fs *flows) *phones {
	p := &phones{flows: fs, o: o, r: registrar.New(o.Bindings), composed: map[*Trunk]*presence.Compositor{}, moved: func(*Trunk) {}}
	all := map[string]*Trunk{}
	for i := range o.Phones {
		all[o.Phones[i].bound()] = p.newPhone(o.Phones[i])
	}
	p.byName.Store(&all)
	for _, b := range o.Restored {
		if t := p.at(b.User); t != nil && p.r.Restore(b, time.Now()) {
			fs.hold(t, wayOf(b))
		}
	}
	return p
}

func (p *phones) newPhone(phone Phone) *Trunk {
	return &Trunk{
		Name: PhonePrefix + phone.bound(), Policy: phone.Policy, Tenant: phone.Tenant, flows: p.flows, station: &phone, Sessions: AutoSessions, Text: TakeText,
	}
}

// at returns the trunk of a phone by the name that it is bound as, or nil.
func (p *phones) at(bound string) *Trunk { return (*p.byName.Load())[bound] }

// all are the trunks of all phones, by that name.
func (p *phones) all() map[string]*Trunk { return *p.byName.Load() }

// none says whether there are none now.
func (p *phones) none() bool { return len(p.all()) == 0 }

// bound is the name that its bindings have.
func (p *Phone) bound() string { return boundAs(p.Space, p.User) }

func wayOf(b registrar.Binding) flow {
	return flow{stack.Transport(b.Flow.Transport), plain(b.Flow.Remote)}
}

// named returns the trunk of a phone, or nil.
func (p *phones) named(trunk string) *Trunk {
	user, ok := strings.CutPrefix(trunk, PhonePrefix)
	if !ok {
		return nil
	}
	return p.at(user)
}

func (p *phones) len() int {
	p.mu.Lock()
	defer p.mu.Unlock()
	return p.r.Len()
}

// changed keeps what has changed, and lets in what comes from there. It is for the holder of
// the lock.
func (p *phones) changed(before, kept, gone []registrar.Binding) {
	for _, b := range kept {
		p.flows.hold(p.at(b.User), wayOf(b))
		if p.o.Keep != nil {
			p.o.Keep(b)
		}
	}
	for _, b := range kept {
		for _, old := range before {
			if old.Key() == b.Key() {
				p.flows.release(p.at(b.User), wayOf(old))
			}
		}
	}
	for _, b := range append(slices.Clone(kept), gone...) {
		p.moved(p.at(b.User))
	}
	for _, b := range gone {
		p.flows.release(p.at(b.User), wayOf(b))
		if p.o.Drop != nil {
			p.o.Drop(b)
		}
	}
}

// register takes a REGISTER. It is news if the phone is at more places, or fewer, than before.
func (p *phones) register(in registrar.Request) (out registrar.Result, news bool) {
	p.mu.Lock()
	defer p.mu.Unlock()
	now := time.Now()
	p.changed(nil, nil, p.r.Lapse(now))
	before := p.r.Bindings(in.User, now)
	out = p.r.Register(in, now)
	p.changed(before, out.Kept, out.Gone)
	return out, out.Status == 200 && len(out.Bindings) != len(before)
}

// broken takes out a binding whose flow is not there any more, if the phone listens nowhere
// else (RFC 5626 section 5.3).
func (p *phones) broken(b registrar.Binding) {
	p.mu.Lock()
	defer p.mu.Unlock()
	if p.r.Fail(b) {
		p.changed(nil, nil, []registrar.Binding{b})
	}
}

// lapse takes out what is over, until ctx is done.
func (p *phones) lapse(ctx context.Context) {
	tick := time.NewTicker(time.Minute)
	defer tick.Stop()
	for {
		select {
		case <-ctx.Done():
			return
		case <-tick.C:
			p.mu.Lock()
			p.changed(nil, nil, p.r.Lapse(time.Now()))
			for t, c := range p.composed {
				if !c.Lapse(time.Now()) {
					continue
				}
				if p.moved(t); c.Len() == 0 {
					delete(p.composed, t)
				}
			}
			p.mu.Unlock()
		}
	}
}

// A bell is a contact of a phone, and the way there.
type bell struct {
	uri     string
	path    []string
	next    stack.Target
	binding registrar.Binding
}

// bells are where a phone is now, the preferred first, and those with the same q together;
// of a GRUU, those of its instance alone. There is at most one of each contact and instance:
// two flows of one phone are two ways to the same bell (RFC 5626 section 5.3).
func (p *phones) bells(e *Edge, t *Trunk, gr string) [][]bell {
	p.mu.Lock()
	all := p.r.Bindings(t.station.bound(), time.Now())
	p.mu.Unlock()
	var groups [][]bell
	seen := map[string]bool{}
	last := 0
	for _, b := range all {
		next := wayTo(b)
		gone := next.Over.IsValid() && !e.stack.Connected(next.Transport, next.Over)
		if gone && next.Host == "" {
			p.broken(b)
			continue
		}
		if gr != "" && !b.Names(gr) || b.RegID != 0 && seen[b.Instance] {
			continue
		}
		seen[b.Instance] = true
		br := bell{b.URI, b.Path, next, b}
		if len(groups) == 0 || b.Q != last {
			groups = append(groups, nil)
		}
		groups[len(groups)-1] = append(groups[len(groups)-1], br)
		last = b.Q
	}
	return groups
}

// wayTo is the way to a binding: back to where its REGISTER came from. Over a connection that
// is gone it is the phone's own address, if that is where it says it is, and if the flow was
// not all it has.
func wayTo(b registrar.Binding) stack.Target {
	to := stack.Target{Transport: stack.Transport(b.Flow.Transport)}
	if to.Transport == stack.UDP {
		to.Host, to.Port, to.Local = b.Flow.Remote.Addr().String(), b.Flow.Remote.Port(), b.Flow.Local
		return to
	}
	to.Over = b.Flow.Remote
	u, ok := requestURI(b.URI)
	a, literally := literal(u.Host)
	if ok && literally && a == b.Flow.Remote.Addr().Unmap() && b.RegID == 0 && len(b.Path) == 0 && u.Port > 0 && u.Port < 65536 && (to.Transport == stack.TCP || to.Transport == stack.TLS) {
		to.Host, to.Port = a.String(), uint16(u.Port)
	}
	return to
}

// keepRegistered is what a registrar of ours says it can.
const keepRegistered = "path, outbound, gruu"

// flowTimer is how often, in seconds, a phone is to send something over its flow (RFC 5626
// section 4.4).
const flowTimer = 120

// registering takes a REGISTER (RFC 3261 section 10.3).
func (e *Edge) registering(tx *stack.ServerTx) {
	req := tx.Request()
	m, ok := e.prove(tx)
	if !ok {
		return
	}
	aor, fine := requestURI(address(value(req, "To")).URI)
	switch missing := missingOf(req, keepRegistered); {
	case m.trunk.station == nil:
		e.reply(tx, 403) // a trunk does not register
		return
	case missing != "":
		e.reply(tx, 420, header("Unsupported", missing))
		return
	case !fine || !e.of(m.trunk).means(aor.Host) || !e.of(m.trunk).means(req.Recipient.Host):
		e.reply(tx, 404)
		return
	case aor.User != m.trunk.station.User:
		e.reply(tx, 403) // somebody else's address
		return
	case e.isClosing():
		e.reply(tx, 503, header("Retry-After", "10"))
		return
	}
	in := registerOf(tx, m.trunk.station.bound())
	out, news := e.phones.register(in)
	switch {
	case out.Status == 423:
		_ = tx.Reply(423, "", header("Min-Expires", digits(int(out.Least/time.Second))))
		return
	case out.Status != 200:
		_ = tx.Reply(out.Status, "", header("Warning", translate.Warning(e.of(m.trunk).Host, out.Problem)))
		return
	}
	if news {
		e.o.Log.Info("phone registered", "phone", in.User, "contacts", len(out.Bindings), "transport", string(tx.Transport()))
	}
	e.o.Log.Debug("phone registers", "phone", in.User, "remote", tx.Source().String(), "contacts", len(out.Bindings))
	_ = tx.Reply(200, "", e.boundOf(in, out, supportsTag(req, "gruu"), m.trunk)...)
}

// registerOf reads a REGISTER.
func registerOf(tx *stack.ServerTx, user string) registrar.Request {
	req := tx.Request()
	back := tx.Back()
	in := registrar.Request{
		User: user, Expires: -1, CallID: req.CallID().Value(), CSeq: req.CSeq().SeqNo, Path: values(req, "Path"),
		Flow:     registrar.Flow{Transport: string(back.Transport), Local: back.Local, Remote: plain(tx.Source())},
		Outbound: supportsTag(req, "outbound"), Direct: len(req.GetHeaders("Via")) == 1, Seed: rand.Text(),
	}
	if v := value(req, "Expires"); v != "" {
		in.Expires = seconds(v)
	}
	for _, v := range values(req, "Contact") {
		if strings.TrimSpace(v) == "*" {
			in.All = true
			continue
		}
		c := registrar.Contact{URI: address(v).URI, Expires: -1, Q: 1000}
		if q, ok := parameter(v, "q"); ok {
			f, _ := strconv.ParseFloat(q, 64) // 0 if it is none
			c.Q = int(f * 1000)
		}
		if x, ok := parameter(v, "expires"); ok {
			if n, err := strconv.ParseUint(strings.Trim(x, `"`), 10, 31); err == nil {
				c.Expires = int(n)
			}
		}
		if x, ok := parameter(v, "+sip.instance"); ok {
			c.Instance = strings.Trim(x, `"`)
		}
		if x, ok := parameter(v, "reg-id"); ok {
			c.RegID = seconds(x)
		}
		in.Contacts = append(in.Contacts, c)
	}
	return in
}

// boundOf is what a 200 to a REGISTER says.
func (e *Edge) boundOf(in registrar.Request, out registrar.Result, gruu bool, t *Trunk) []sip.Header {
	host := e.of(t).Host
	hs := []sip.Header{header("Date", time.Now().UTC().Format("Mon, 02 Jan 2006 15:04:05 GMT")), header("Supported", keepRegistered)}
	for _, b := range out.Bindings {
		v := "<" + b.URI + ">"
		if b.Instance != "" {
			v += `;+sip.instance="` + b.Instance + `"`
		}
		if b.RegID != 0 {
			v += ";reg-id=" + digits(b.RegID)
		}
		if b.Q != 1000 {
			v += ";q=" + strconv.FormatFloat(float64(b.Q)/1000, 'f', -1, 64)
		}
		if gr := strings.Trim(b.Instance, "<>"); gruu && gr != "" {
			// The address of this one phone, wherever it is (RFC 5627 section 5.4).
			v += `;pub-gruu="sip:` + t.station.User + "@" + host + ";gr=" + gr + `"`
			if user := b.Temporary(nonce()); user != "" {
				v += `;temp-gruu="sip:` + user + "@" + host + `;gr"`
			}
		}
		left := time.Until(b.Expires)
		hs = append(hs, header("Contact", v+";expires="+digits(int((left+time.Second-1)/time.Second))))
	}
	for _, p := range in.Path {
		hs = append(hs, header("Path", p))
	}
	if out.Flowed {
		hs = append(hs, header("Require", "outbound"), header("Flow-Timer", digits(flowTimer)))
	}
	return hs
}

// nonce tells a temporary GRUU from others.
func nonce() (n [10]byte) {
	rand.Read(n[:]) // it never fails
	return n
}

// unmasked gives a request for a temporary GRUU the Request-URI that it stands for: the public
// one of the same instance. False says that it stands for nothing that the trunk may know of
// (RFC 5627 section 5.3).
func (e *Edge) unmasked(req *sip.Request, trunk *Trunk) bool {
	uri, ok := e.unmask(req.Recipient, trunk)
	if !ok {
		return false
	}
	req.Recipient = uri
	return true
}

// unmask returns what a temporary GRUU stands for, and any other URI as it is; ok is false for
// one that stands for nothing any more, or for a phone of another tenant than the trunk.
func (e *Edge) unmask(uri sip.Uri, trunk *Trunk) (_ sip.Uri, ok bool) {
	p := e.phones
	gr, has := uri.UriParams.Get("gr")
	if p.none() || !has || gr != "" || !registrar.IsTemporary(uri.User) {
		return uri, true
	}
	p.mu.Lock()
	b, ok := p.r.Resolve(uri.User, time.Now())
	p.mu.Unlock()
	if !ok || e.of(p.at(b.User)) != e.of(trunk) {
		return uri, false
	}
	t := p.at(b.User)
	return sip.Uri{
		Scheme: "sip", User: t.station.User, Host: e.of(t).Host,
		UriParams: sip.HeaderParams{{K: "gr", V: strings.Trim(b.Instance, "<>")}},
	}, true
}

// missingOf are the option tags that a request requires and that are not among some.
func missingOf(req sip.Message, some string) string {
	var missing []string
	for _, v := range values(req, "Require") {
		for t := range strings.SplitSeq(v, ",") {
			if t = strings.TrimSpace(t); t != "" && !slices.Contains(strings.Split(some, ", "), strings.ToLower(t)) && len(missing) < 16 {
				missing = append(missing, t)
			}
		}
	}
	return strings.Join(missing, ", ")
}

// supportsTag reports whether a message names an extension as one that it bears.
func supportsTag(m sip.Message, tag string) bool {
	return lists(m, "Supported", tag) || lists(m, "Require", tag)
}

// contactTo is the value of our Contact for a branch.
func (e *Edge) contactTo(token string, to stack.Target) (string, bool) {
	local, ok := e.stack.At(to)
	if !ok {
		return "", false
	}
	return e.contact(token, cmp.Or(to.Transport, stack.UDP), local), true
}

// remoteOf is where a target is, as it is seen in what comes from there.
func remoteOf(to stack.Target) flow {
	at := to.Over
	if !at.IsValid() {
		a, _ := literal(to.Host)
		at = netip.AddrPortFrom(a, to.Port)
	}
	return flow{to.Transport, plain(at)}
}
