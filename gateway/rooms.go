package gateway

import (
	"log/slog"
	"strings"
	"sync"
	"sync/atomic"
	"time"

	"github.com/prometheus/client_golang/prometheus"

	"sipxmppgw/gateway/call"
	"sipxmppgw/gateway/room"
	"sipxmppgw/gateway/translate"
)

// The bounds of rooms.
const (
	maxRooms     = 2000                   // people in rooms of the other world
	maxUserRooms = 20                     // of one of them
	sayBurst     = 20                     // things that one may say at once in a room
	sayPace      = 200 * time.Millisecond // for each of them, over time
	keyKept      = 24 * time.Hour         // a password that an invitation had
)

// A RoomEnd carries out what a room wants in one world. It never waits.
type RoomEnd interface{ Do(room.Output) }

// A RoomPlace is who is in which room, as XMPP has them: the room's bare JID, and the full JID
// of who is in it. Ours says that the room is a conference of SIP, and else the person is.
type RoomPlace struct {
	Room, Person string
	Ours         bool
}

// RoomXMPP is the XMPP edge as the shell of rooms sees it.
type RoomXMPP interface {
	// RoomAt returns the end of a place.
	RoomAt(RoomPlace) RoomEnd
}

// RoomSIP is the SIP edge as the shell of rooms sees it.
type RoomSIP interface {
	// Visit returns the end of a conference, which [room.Dial] calls. post takes what happens
	// there; it may be called from any goroutine and never waits. An error is a [*call.Refusal].
	Visit(t Target, post func(room.Input)) (RoomEnd, error)
}

// RoomOptions are what the shell of rooms is made of. Router is needed.
type RoomOptions struct {
	Router interface {
		Route(Query) (Target, error)
	}
	Log *slog.Logger // default: [slog.Default]
	// Room says that a domain has rooms that SIP users may enter. Default: none has.
	Room func(domain string) bool
	// NewID makes the id of something that a guest says. Default: 80 random bits.
	NewID func() string
	// Registry gets the metrics. Default: none.
	Registry prometheus.Registerer
}

// Rooms is the shell around all chat rooms. Its methods may be called from any goroutine and
// never wait: a room is stepped by the holder of its lock, and a step takes microseconds.
type Rooms struct {
	opt RoomOptions

	mu     sync.Mutex
	xmpp   RoomXMPP
	sip    RoomSIP
	places map[string]*place // by room and person
	people map[string]int    // how many rooms someone is in, by bare JID
	keys   map[string]key    // of rooms that guests are invited to, by room and bare JID
	closed bool

	entered [2]atomic.Int64 // visits, and guests
}

// A place is somebody in a room.
type place struct {
	r  *Rooms
	at RoomPlace

	mu sync.Mutex
	m  interface {
		Step(room.Input) []room.Output
	}
	sip    RoomEnd
	xmpp   RoomEnd
	timers [room.Timers]*time.Timer
	over   bool
	spoken time.Time // when all that was said would have been, at the pace
}

// A key is what lets a guest into a room that has a password, because somebody has said it.
type key struct {
	password string
	sure     bool // the room itself has said it
	until    time.Time
}

// NewRooms returns a shell without edges; SetEdges gives it both before rooms are entered.
func NewRooms(o RoomOptions) *Rooms {
	if o.Log == nil {
		o.Log = slog.Default()
	}
	if o.NewID == nil {
		o.NewID = func() string { return string(newID()) }
	}
	if o.Room == nil {
		o.Room = func(string) bool { return false }
	}
	r := &Rooms{opt: o, places: map[string]*place{}, people: map[string]int{}, keys: map[string]key{}}
	if o.Registry != nil {
		r.register(o.Registry)
	}
	return r
}

func (r *Rooms) register(reg prometheus.Registerer) {
	reg.MustRegister(prometheus.NewGaugeFunc(prometheus.GaugeOpts{
		Name: "sipxmppgw_room_places", Help: "People who are in a chat room of the other world.",
	}, func() float64 { return float64(r.Active()) }))
	for i, name := range []string{"sip", "xmpp"} {
		reg.MustRegister(prometheus.NewCounterFunc(prometheus.CounterOpts{
			Name: "sipxmppgw_rooms_entered_total", Help: "Chat rooms that people of the other world have entered, or wanted to, by whose the room is (sip, xmpp).",
			ConstLabels: prometheus.Labels{"room": name},
		}, func() float64 { return float64(r.entered[i].Load()) }))
	}
}

// SetEdges gives the shell both sides.
func (r *Rooms) SetEdges(sip RoomSIP, xmpp RoomXMPP) {
	r.mu.Lock()
	defer r.mu.Unlock()
	r.sip, r.xmpp = sip, xmpp
}

func (r *Rooms) edges() (sip RoomSIP, xmpp RoomXMPP) {
	r.mu.Lock()
	defer r.mu.Unlock()
	return r.sip, r.xmpp
}

// Active returns how many people are in rooms.
func (r *Rooms) Active() int {
	r.mu.Lock()
	defer r.mu.Unlock()
	return len(r.places)
}

func keyOf(room, person string) string { return room + "\x00" + person }

// add gives somebody a place; nil if there is none, or they have it already.
func (r *Rooms) add(at RoomPlace, m interface {
	Step(room.Input) []room.Output
},
) *place {
	r.mu.Lock()
	defer r.mu.Unlock()
	who := bareJID(at.Person)
	if r.closed || r.xmpp == nil || len(r.places) >= maxRooms || r.people[who] >= maxUserRooms || r.places[keyOf(at.Room, at.Person)] != nil {
		return nil
	}
	p := &place{r: r, at: at, m: m, xmpp: r.xmpp.RoomAt(at)}
	r.places[keyOf(at.Room, at.Person)] = p
	r.people[who]++
	return p
}

func (r *Rooms) remove(p *place) {
	r.mu.Lock()
	defer r.mu.Unlock()
	delete(r.places, keyOf(p.at.Room, p.at.Person))
	who := bareJID(p.at.Person)
	if r.people[who]--; r.people[who] <= 0 {
		delete(r.people, who)
	}
}

func (r *Rooms) place(room, person string) *place {
	r.mu.Lock()
	defer r.mu.Unlock()
	return r.places[keyOf(room, person)]
}

// Tell takes what somebody who is in a room says, or what the room says to them. False says
// that nobody is in that room.
func (r *Rooms) Tell(roomJID, person string, in room.Input) bool {
	p := r.place(roomJID, person)
	if p == nil {
		return false
	}
	p.post(in)
	return true
}

// Invited takes an invitation of a SIP user to a room, with the room's password if it has one:
// the guest's telephone has no way to say it. Sure says that it is the room's own, which the word
// of a user does not replace. False says that SIP users may not enter there.
func (r *Rooms) Invited(roomJID, guest, password string, sure bool) bool {
	_, domain, _ := strings.Cut(roomJID, "@")
	if !r.opt.Room(domain) {
		return false
	}
	if password == "" {
		return true
	}
	r.mu.Lock()
	defer r.mu.Unlock()
	now := time.Now()
	for k, old := range r.keys {
		if len(r.keys) >= maxRooms || now.After(old.until) {
			delete(r.keys, k)
		}
	}
	if k := keyOf(roomJID, bareJID(guest)); sure || !r.keys[k].sure {
		r.keys[k] = key{password, sure, now.Add(keyKept)}
	}
	return true
}

// keyTo returns the password that a guest may enter a room with; empty if none is known.
func (r *Rooms) keyTo(roomJID, guest string) string {
	r.mu.Lock()
	defer r.mu.Unlock()
	if k := r.keys[keyOf(roomJID, bareJID(guest))]; time.Now().Before(k.until) {
		return k.password
	}
	return ""
}

// Enter has an XMPP user enter a conference of SIP. What becomes of it is said there.
func (r *Rooms) Enter(q Query, in room.Enter) {
	at := RoomPlace{Room: bareJID(q.To), Person: q.From.JID, Ours: true}
	if r.Tell(at.Room, at.Person, in) {
		return
	}
	sip, xmpp := r.edges()
	refuse := func(p room.Problem) { xmpp.RoomAt(at).Do(room.Refuse{Nick: in.Nick, Problem: p}) }
	t, err := r.opt.Router.Route(q)
	if err != nil {
		refuse(problemOf(err))
		return
	}
	own := t.From.URI
	if u, err := translate.ParseURI(own); err == nil {
		own = u.AOR().String() // as conferences name who is in them
	}
	p := r.add(at, room.NewVisit(own))
	if p == nil {
		refuse(room.Problem{Condition: "resource-constraint", Type: "wait", Text: "too many rooms"})
		return
	}
	r.entered[0].Add(1)
	t.From.Name = in.Nick
	p.mu.Lock()
	p.sip, err = sip.Visit(t, p.post)
	p.mu.Unlock()
	if err != nil {
		refuse(problemOf(err))
		p.end()
		return
	}
	p.post(in)
}

// problemOf is what a refusal is to XMPP.
func problemOf(err error) room.Problem {
	ref := refusal(err).(*call.Refusal)
	status, _ := translate.StatusOf(ref.Cause, ref.Detail)
	return RoomProblem(status, ref.Detail.Text)
}

// RoomProblem is what a status of SIP is to who wants to enter a conference (INTERWORKING 5.7).
func RoomProblem(status int, text string) room.Problem {
	p := room.Problem{Status: status, Text: text, Condition: "internal-server-error", Type: "cancel"}
	switch {
	case status == 404 || status == 604 || status == 410:
		p.Condition = "item-not-found"
	case status == 401 || status == 407:
		p.Condition, p.Type = "not-authorized", "auth"
	case status == 403 || status == 603:
		p.Condition, p.Type = "forbidden", "auth"
	case status == 486 || status == 480 || status == 600:
		p.Condition, p.Type = "service-unavailable", "wait"
	case status == 488 || status == 606 || status == 415:
		p.Condition, p.Type = "not-acceptable", "modify"
	case status == 408 || status == 504:
		p.Condition, p.Type = "remote-server-timeout", "wait"
	}
	return p
}

// Callee is where a call of an XMPP user to a contact goes; empty if she may not call there, and
// so may not have a conference call there.
func (r *Rooms) Callee(user, contact string) string {
	t, err := r.opt.Router.Route(Query{Edge: XMPP, From: Party{JID: user}, To: contact})
	if err != nil || t.Edge != SIP {
		return ""
	}
	return t.To.URI
}

// Called has a SIP user enter a room of XMPP, under a name. It returns what takes what happens on
// the SIP side; nil if there is no place.
func (r *Rooms) Called(t Target, nick string, end RoomEnd) func(room.Input) {
	person := t.From.JID
	if !strings.Contains(person, "/") {
		person += "/" + translate.VirtualResource
	}
	p := r.add(RoomPlace{Room: bareJID(t.To.JID), Person: person}, room.NewGuest())
	if p == nil {
		return nil
	}
	r.entered[1].Add(1)
	p.mu.Lock()
	p.sip = end
	p.mu.Unlock()
	p.post(room.Enter{Nick: nick, Password: r.keyTo(p.at.Room, person)})
	return p.post
}

// Close ends all.
func (r *Rooms) Close() {
	r.mu.Lock()
	r.closed = true
	all := make([]*place, 0, len(r.places))
	for _, p := range r.places {
		all = append(all, p)
	}
	r.mu.Unlock()
	for _, p := range all {
		if p.at.Ours {
			p.post(room.Leave{})
		} else {
			p.post(room.Over{})
			p.sip.Do(room.Hang{Problem: room.Problem{Status: 480, Text: "the gateway is going down"}})
		}
	}
}

// post steps a place.
func (p *place) post(in room.Input) {
	p.mu.Lock()
	defer p.mu.Unlock()
	if p.over {
		return
	}
	if s, ok := in.(room.Say); ok {
		if s.ID == "" {
			s.ID = p.r.opt.NewID()
			in = s
		}
		if p.floods(time.Now()) {
			p.do(room.TooMuch(s))
			return
		}
	}
	for _, o := range p.m.Step(in) {
		p.do(o)
	}
}

// floods counts something that is said, and reports whether it is too much.
func (p *place) floods(now time.Time) bool {
	if now.After(p.spoken) {
		p.spoken = now
	}
	if p.spoken.Sub(now) > sayBurst*sayPace {
		return true
	}
	p.spoken = p.spoken.Add(sayPace)
	return false
}

// do carries out an output. It is for the holder of the lock.
func (p *place) do(o room.Output) {
	switch o := o.(type) {
	case room.Start:
		p.stop(o.Timer)
		timer := o.Timer
		p.timers[timer] = time.AfterFunc(o.After, func() { p.post(room.Fired{Timer: timer}) })
	case room.Stop:
		p.stop(o.Timer)
	case room.Wait:
		time.AfterFunc(room.Reflected, func() { p.post(room.Late(o)) })
	case room.Done:
		p.over = true
		for i := range p.timers {
			p.stop(room.Timer(i))
		}
		p.r.remove(p)
	case room.Dial, room.Accept, room.Hang, room.AskNick, room.Watch, room.Refer, room.Utter, room.Hear, room.Reply, room.Notify:
		p.sip.Do(o)
	default:
		p.xmpp.Do(o)
	}
}

func (p *place) stop(t room.Timer) {
	if p.timers[t] != nil {
		p.timers[t].Stop()
	}
}

// end forgets a place that nothing has come of.
func (p *place) end() {
	p.mu.Lock()
	defer p.mu.Unlock()
	p.over = true
	p.r.remove(p)
}
