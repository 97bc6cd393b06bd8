package signaling

import (
	"net/url"
	"strings"
	"sync"
	"time"

	"sipxmppgw/gateway"
	"sipxmppgw/gateway/call"
	"sipxmppgw/gateway/media"
	"sipxmppgw/gateway/message"
	"sipxmppgw/gateway/room"
	"sipxmppgw/gateway/translate"
	"sipxmppgw/signaling/chat"
	"sipxmppgw/signaling/cpim"
	"sipxmppgw/signaling/msrp"
	"sipxmppgw/signaling/pidf"
	"sipxmppgw/signaling/stack"
)

var _ gateway.RoomSIP = (*Edge)(nil)

// notifyPace is how often a guest is told who is in its room, at most.
const notifyPace = time.Second

// A roomLine is the SIP side of somebody in a room: of a user of ours in a conference, or of a
// guest in a room of XMPP. But for what is said otherwise its goroutine is its line's.
type roomLine struct {
	e     *Edge
	trunk *Trunk
	line  *chatLine
	post  func(room.Input)
	visit bool
	uri   string        // of the room
	own   string        // of the user, or of the guest
	from  gateway.Party // the user

	sub     *usage // who is in the room
	timer   *time.Timer
	told    time.Time        // when the guest heard last who is there
	news    *pidf.Conference // that it has not heard
	version uint32
	names   map[string]string    // of what is on its way: Message-ID to ours
	answers map[string]func(int) // what the guest waits for, by token
	taken   bool                 // the guest's call was taken
	claim   translate.Claim      // of the guest
	brings  string               // what we have the conference call somebody for
}

var _ speaker = (*roomLine)(nil)

// A guestKey is the URIs of a room and of a guest.
type guestKey struct{ room, guest string }

// guests are those in rooms of XMPP, by room and guest.
type guests struct {
	mu  sync.Mutex
	all map[guestKey]*roomLine
}

// What is posted to the line of a room.
type (
	doing   struct{ o room.Output }
	telling struct{} // the time for news has come
	renew   struct{} // the subscription
)

// roomTalk is what we take, and can, in rooms (RFC 7701 section 8).
func roomTalk() media.Messages {
	return media.Messages{
		Accept: []string{cpim.Type}, Wrapped: []string{"text/plain", "text/html", cpim.TypeComposing}, Room: true, Nicknames: true, Private: true,
	}
}

// Visit implements [gateway.RoomSIP].
func (e *Edge) Visit(t gateway.Target, post func(room.Input)) (gateway.RoomEnd, error) {
	r := &roomLine{e: e, trunk: e.trunk(t.Trunk), post: post, visit: true, uri: t.To.URI, own: t.From.URI, from: t.From, names: map[string]string{}}
	l, err := e.dialLine(t, r, roomTalk())
	if err != nil {
		return nil, err
	}
	r.line = l
	e.lines.Go(l.run) // until the line is over
	return r, nil
}

// Do implements [gateway.RoomEnd]. It may be called from any goroutine.
func (r *roomLine) Do(o room.Output) { r.line.tell(doing{o}) }

// entersRoom takes an INVITE for a room of XMPP.
func (e *Edge) entersRoom(tx *stack.ServerTx, g *leg, offer body, target gateway.Target) {
	rooms := e.of(g.trunk).Rooms
	if rooms == nil {
		e.refuse(tx, g.trunk, 404, "there are no rooms here")
		return
	}
	r := &roomLine{
		e: e, trunk: g.trunk, claim: claim(tx.Request(), g.trunk.Trusted), uri: aor(tx.Request().Recipient.String()), own: aor(target.From.URI), names: map[string]string{}, answers: map[string]func(int){},
	}
	nick := target.From.Name
	if nick == "" {
		u, _ := translate.ParseURI(target.From.URI)
		nick = u.User
	}
	g.contact += ";isfocus" // RFC 4579 section 5.1
	l, status := e.takeLine(tx, g, offer, r, roomTalk())
	if l == nil {
		e.refuse(tx, g.trunk, status, "no message session can be had")
		return
	}
	r.line = l
	if r.post = rooms.Called(target, nick, r); r.post == nil {
		r.post = func(room.Input) {}
		l.post(toLine{chat.Close{Cause: call.Busy, Detail: call.Detail{Status: 486, Text: "no place in the room"}}})
	} else {
		e.guests.mu.Lock()
		e.guests.all[guestKey{r.uri, r.own}] = r
		e.guests.mu.Unlock()
	}
	e.lines.Go(l.run) // until the line is over
}

func (r *roomLine) lineUp() {
	m := r.line.theirs
	r.post(room.Up{Room: m.Room, Nicknames: m.Nicknames, Private: m.Private})
}

func (r *roomLine) lineOver(o chat.Over) {
	r.e.guests.mu.Lock()
	if k := (guestKey{r.uri, r.own}); r.e.guests.all[k] == r {
		delete(r.e.guests.all, k)
	}
	r.e.guests.mu.Unlock()
	status, _ := translate.StatusOf(o.Cause, o.Detail)
	r.unwatch()
	for _, answer := range r.answers {
		answer(481)
	}
	clear(r.answers)
	r.post(room.Over{By: o.By, Began: o.Began, Problem: gateway.RoomProblem(status, o.Detail.Text)})
}

// lineAsked takes a guest's wish that somebody else enters (RFC 4579 section 5.5).
func (r *roomLine) lineAsked(to call.Destination) {
	if r.visit || to.Replaces != "" {
		r.line.leg.RefuseTransfer(call.Incompatible, call.Detail{})
		return
	}
	t, err := r.e.of(r.trunk).Calls.Route(gateway.Query{Edge: gateway.SIP, Trunk: r.trunk.Name, To: to.Address, Claim: r.claim})
	if err != nil || t.Edge != gateway.XMPP || t.Room {
		r.line.leg.RefuseTransfer(call.NotFound, call.Detail{})
		return
	}
	r.post(room.Bring{Who: t.To.JID})
	r.line.leg.RefuseTransfer(call.Normal, call.Detail{})
}

// lineReferred takes what came of having somebody invited.
func (r *roomLine) lineReferred(ev call.LegReferred) {
	id := r.brings
	r.brings = ""
	status := 200
	if !ev.Done {
		status, _ = translate.StatusOf(ev.Cause, ev.Detail)
	}
	r.post(room.Referred{ID: id, Status: status})
}

// lineTold takes what was posted.
func (r *roomLine) lineTold(in any) {
	switch in := in.(type) {
	case doing:
		r.do(in.o)
	case telling:
		r.tell()
	case renew:
		r.resubscribe()
	case attending:
		if r.sub != nil && r.sub != in.u { // the guest has forgotten the other
			r.unwatch()
		}
		r.sub = in.u
		r.told = time.Time{}
		r.post(room.Watched{})
	}
}

// do carries out what the room wants.
func (r *roomLine) do(o room.Output) {
	switch o := o.(type) {
	case room.Dial:
		r.line.post(toLine{chat.Call{}})
	case room.Accept:
		r.taken = true
		r.line.post(toLine{chat.Accept{}})
	case room.Hang:
		c := chat.Close{Cause: call.Normal, Detail: call.Detail{Status: o.Problem.Status, Text: o.Problem.Text}}
		if !r.visit && !r.taken {
			c.Cause = translate.CauseOfStatus(o.Problem.Status, 0)
		}
		r.line.post(toLine{c})
	case room.AskNick:
		r.line.ms.Rename(o.Nick)
	case room.Watch:
		r.watch()
	case room.Refer:
		if r.brings != "" { // one after the other
			r.post(room.Referred{ID: o.ID, Status: 491})
			return
		}
		r.brings = o.ID
		r.line.leg.Refer(call.Destination{Address: o.Who + ";method=INVITE", By: r.own})
	case room.Utter:
		r.utter(o)
	case room.Hear:
		from := nameAddr(o.Nick, occupant(r.uri, o.Nick))
		to := r.uri
		if o.Alone {
			to = r.own
		}
		r.send("", from, to, o.Body)
	case room.Reply:
		if answer := r.answers[o.Token]; answer != nil {
			delete(r.answers, o.Token)
			answer(o.Status)
		}
	case room.Notify:
		c := pidf.Conference{Entity: r.uri, Full: true, Subject: &o.Subject}
		for _, p := range o.People {
			c.Users = append(c.Users, pidf.User{Entity: occupant(r.uri, p.Nick), Nick: p.Nick, Moderator: p.Moderator})
		}
		r.news = &c
		if wait := notifyPace - time.Since(r.told); wait > 0 {
			if r.timer == nil {
				r.timer = time.AfterFunc(wait, func() { r.line.tell(telling{}) })
			}
			return
		}
		r.tell()
	}
}

// occupant is the URI of a name in a room (RFC 7702 section 5.1).
func occupant(uri, nick string) string { return uri + ";gr=" + url.PathEscape(nick) }

// nickOf is the name in such a URI; empty if it is the room's own.
func nickOf(uri string) string {
	_, params, _ := strings.Cut(uri, ";")
	for name, value := range parameters(params) {
		if name == "gr" {
			if nick, err := url.PathUnescape(value); err == nil {
				return nick
			}
		}
	}
	return ""
}

// utter says something in a conference.
func (r *roomLine) utter(o room.Utter) {
	to := o.To
	if to == "" {
		to = r.uri
	}
	who := sender(r.from, r.trunk.Trusted)
	r.send(o.ID, nameAddr(r.from.Name, who.From.String()), to, o.Body)
}

// send sends what somebody says. id is what Sent names; empty for nobody.
func (r *roomLine) send(id, from, to, text string) {
	name := msrp.IdentOf(id, "mid-"+r.e.o.NewID())
	w := cpim.Wrapper{
		From: from, To: "<" + to + ">", Time: time.Now().UTC().Format(time.RFC3339), Type: "text/plain;charset=UTF-8", Content: text,
	}
	body := []byte(w.Format())
	if theirs := r.line.theirs; theirs != nil && theirs.MaxSize > 0 && len(body) > theirs.MaxSize {
		r.post(room.Sent{ID: id, Status: 413})
		return
	}
	if id != "" {
		r.names[name] = id
	}
	if !r.line.ms.Send(msrp.Outgoing{ID: name, Type: cpim.Type, Body: body}) && id != "" {
		delete(r.names, name)
		r.post(room.Sent{ID: id, Status: 408})
	}
}

// lineHeard takes what comes over the connection.
func (r *roomLine) lineHeard(ev msrp.Event) {
	switch ev := ev.(type) {
	case msrp.Sent:
		if id, ok := r.names[ev.ID]; ok {
			delete(r.names, ev.ID)
			r.post(room.Sent{ID: id, Status: ev.Status})
		}
	case msrp.Renamed:
		r.post(room.NickAnswered{Status: ev.Status})
	case msrp.Renaming:
		if r.visit {
			ev.Answer(403)
			return
		}
		r.post(room.Rename{Nick: translate.CleanName(ev.Name), Token: r.wait(ev.Answer)})
	case msrp.Received:
		r.heard(ev)
	}
}

// wait keeps what answers something of the guest, under a token.
func (r *roomLine) wait(answer func(int)) string {
	token := r.e.o.NewID()
	r.answers[token] = answer
	return token
}

func (r *roomLine) heard(ev msrp.Received) {
	r.e.count.messages.Add(1)
	w := cpim.Wrapper{Type: ev.Type, Content: string(ev.Body)}
	if mediaType(ev.Type) == cpim.Type {
		var err error
		if w, err = cpim.Parse(string(ev.Body)); err != nil {
			ev.Answer(400)
			return
		}
	}
	var m message.Message
	switch status := fill(&m, w.Type, w.Content, false); {
	case mediaType(w.Type) == cpim.TypeComposing, status == 200:
		ev.Answer(200)
		return
	case status == 513:
		ev.Answer(413)
		return
	case status != 0:
		ev.Answer(status)
		return
	}
	from, to := address(w.From), address(w.To)
	if !r.visit {
		r.post(room.Say{To: nickOf(to.URI), Body: m.Body, Token: r.wait(ev.Answer)})
		return
	}
	ev.Answer(200)
	name := translate.CleanName(strings.Trim(from.Name, `"`))
	if name == "" {
		u, _ := translate.ParseURI(from.URI)
		name = u.User
	}
	r.post(room.Heard{
		ID: ev.ID, URI: person(from.URI), Name: name, Body: m.Body, Alone: to.URI != "" && person(to.URI) != person(r.uri),
	})
}

// person is a URI as those in a room are told apart.
func person(uri string) string {
	if nickOf(uri) != "" {
		return uri
	}
	return aor(uri)
}
