package room

import (
	"slices"
	"strconv"
)

type guestState uint8

const (
	atDoor   guestState = iota
	entering            // the room has not let the guest in
	seated              // it has, and the line is agreed on
	left
)

// maxTries is how many names are tried that others have already.
const maxTries = 3

// A Guest is a SIP user in a room of XMPP. It has one owner.
type Guest struct {
	state   guestState
	nick    string
	base    string // the first that was tried
	tries   int
	secret  string   // the room's password
	people  []Person // with the guest
	subject string
	waits   []Say  // what the room has not said yet
	wish    Rename // a name that is asked for
	ready   bool   // messages can go
	early   []Hear // that came before they could
	watched bool
	out     []Output
}

// NewGuest returns a guest.
func NewGuest() *Guest { return &Guest{} }

// Nick is the guest's name in the room.
func (g *Guest) Nick() string { return g.nick }

func (g *Guest) do(o ...Output) { g.out = append(g.out, o...) }

// Step takes an input and returns what is to be done.
func (g *Guest) Step(in Input) []Output {
	g.out = nil
	if g.state == left {
		return nil
	}
	switch in := in.(type) {
	case Enter:
		if g.state == atDoor {
			g.state, g.nick, g.base, g.secret = entering, in.Nick, in.Nick, in.Password
			g.do(Join{Nick: in.Nick, Password: in.Password}, Start{TimerJoin, Joining})
		}
	case Present:
		g.present(in)
	case Barred:
		g.barred(in)
	case Spoken:
		g.spoken(in)
	case Named:
		if g.subject != in.Subject {
			g.subject = in.Subject
			g.notify()
		}
	case Say:
		g.say(in)
	case Bring:
		if g.state == seated {
			g.do(Invite{in.Who})
		}
	case Failed:
		g.failed(in)
	case Late:
		g.failed(Failed{in.ID, 408})
	case Rename:
		g.rename(in)
	case Watched:
		g.watched = true
		g.notify()
	case Up:
		g.ready = true
		for _, h := range g.early {
			g.do(h)
		}
		g.early = nil
	case Over:
		g.do(Stop{TimerJoin}, Exit{})
		g.finish()
	case Fired:
		if in.Timer == TimerJoin && g.state == entering {
			g.do(Exit{}, Hang{Problem{Status: 408}})
			g.finish()
		}
	}
	return g.out
}

// present takes who is in the room.
func (g *Guest) present(in Present) {
	i := slices.IndexFunc(g.people, func(p Person) bool { return p.Nick == in.Nick })
	switch {
	case in.Self && in.Gone && in.Renamed == "":
		g.putOut(in)
		return
	case in.Gone && in.Renamed != "" && i >= 0:
		g.people[i].Nick = in.Renamed
		if in.Self {
			g.nick = in.Renamed
		}
	case in.Gone && i >= 0:
		g.people = slices.Delete(g.people, i, i+1)
	case in.Gone:
		return
	case i >= 0:
		g.people[i] = in.Person
	case len(g.people) < maxPeople:
		g.people = append(g.people, in.Person)
	}
	if in.Self && !in.Gone {
		g.nick = in.Nick
		if g.state == entering {
			g.state = seated
			g.do(Stop{TimerJoin}, Accept{})
		}
		if g.wish.Token != "" {
			g.do(Reply{g.wish.Token, 200})
			g.wish = Rename{}
		}
	}
	g.notify()
}

// putOut ends the visit because the room does (INTERWORKING 5.7).
func (g *Guest) putOut(in Present) {
	text := "you are not in the room any more"
	for _, c := range in.Codes {
		switch c {
		case 307:
			text = "you were put out of the room"
		case 301:
			text = "you were banned from the room"
		case 321, 322:
			text = "the room is for its members"
		case 332:
			text = "the room is shut"
		case 333:
			text = "the room has failed"
		}
	}
	if in.Reason != "" {
		text += ": " + in.Reason
	}
	g.do(Stop{TimerJoin}, Hang{Problem{Status: 480, Text: text}})
	g.finish()
}

// barred takes an error of the room: at the door it ends the visit, unless another name helps.
func (g *Guest) barred(in Barred) {
	if g.state == seated {
		if g.wish.Token != "" {
			status := 424
			if in.Condition == "conflict" {
				status = 425
			}
			g.do(Reply{g.wish.Token, status})
			g.wish = Rename{}
		}
		return
	}
	if in.Condition == "conflict" && g.tries < maxTries {
		g.tries++
		g.nick = g.base + "_" + strconv.Itoa(g.tries+1)
		g.do(Join{Nick: g.nick, Password: g.secret})
		return
	}
	status := map[string]int{
		"not-authorized": 403, "forbidden": 403, "item-not-found": 404, "not-allowed": 403, "not-acceptable": 406,
		"registration-required": 403, "conflict": 486, "service-unavailable": 480, "remote-server-timeout": 504, "remote-server-not-found": 404,
	}[in.Condition]
	if status == 0 {
		status = 480
	}
	g.do(Stop{TimerJoin}, Hang{Problem{Status: status, Text: in.Text}})
	g.finish()
}

// spoken takes what is said in the room. What the guest has said is answered by it.
func (g *Guest) spoken(in Spoken) {
	if in.Nick == g.nick && !in.Alone {
		if i := g.waiting(in.ID); i >= 0 {
			g.do(Reply{g.waits[i].Token, 200})
			g.waits = slices.Delete(g.waits, i, i+1)
		}
		return
	}
	h := Hear{in.Nick, in.Body, in.Alone}
	switch {
	case g.ready:
		g.do(h)
	case len(g.early) < maxSaid:
		g.early = append(g.early, h)
	}
}

func (g *Guest) waiting(id string) int {
	return slices.IndexFunc(g.waits, func(s Say) bool { return s.ID == id })
}

func (g *Guest) say(in Say) {
	known := in.To == "" || slices.ContainsFunc(g.people, func(p Person) bool { return p.Nick == in.To })
	switch {
	case g.state != seated || len(g.waits) >= maxSaid:
		g.do(Reply{in.Token, 403})
	case !known:
		g.do(Reply{in.Token, 404})
	case in.To != "":
		g.do(Speak{in.ID, in.To, in.Body}, Reply{in.Token, 200})
	default:
		g.waits = append(g.waits, in)
		g.do(Speak{in.ID, "", in.Body}, Wait{in.ID})
	}
}

func (g *Guest) failed(in Failed) {
	if i := g.waiting(in.ID); i >= 0 {
		g.do(Reply{g.waits[i].Token, in.Status})
		g.waits = slices.Delete(g.waits, i, i+1)
	}
}

func (g *Guest) rename(in Rename) {
	switch {
	case g.state != seated || g.wish.Token != "":
		g.do(Reply{in.Token, 403})
	case in.Nick == "" || len(in.Nick) > 256:
		g.do(Reply{in.Token, 424})
	case in.Nick == g.nick:
		g.do(Reply{in.Token, 200})
	default:
		g.wish = in
		g.do(Join{Nick: in.Nick, Inside: true})
	}
}

func (g *Guest) notify() {
	if g.watched && g.state == seated {
		g.do(Notify{slices.Clone(g.people), g.subject})
	}
}

func (g *Guest) finish() {
	for _, s := range g.waits {
		g.do(Reply{s.Token, 408})
	}
	if g.wish.Token != "" {
		g.do(Reply{g.wish.Token, 408})
	}
	g.state = left
	g.do(Done{})
}
