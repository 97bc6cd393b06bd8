package room

import (
	"slices"
	"strconv"
)

type visitState uint8

const (
	outside  visitState = iota
	knocking            // the conference is called
	naming              // it knows us, but not by what name
	looking             // it has not said who is there
	inside
	gone
)

// A Visit is an XMPP user in a conference of SIP. It has one owner.
type Visit struct {
	state   visitState
	own     string // the user's URI
	nick    string // that the conference has agreed to, or that is asked for
	wanted  string // another that is asked for; empty for none
	private bool
	watches bool // who is there will be told
	people  []Person
	first   *People // who was there when we were not yet in
	subject string
	said    []said
	out     []Output
}

// said is something that has gone to the conference.
type said struct {
	Say
	told bool // to the user, because the conference has said it
}

// NewVisit returns the visit of a user, whom SIP knows by a URI.
func NewVisit(own string) *Visit { return &Visit{own: own} }

// Nick is the user's name in the room.
func (v *Visit) Nick() string { return v.nick }

func (v *Visit) do(o ...Output) { v.out = append(v.out, o...) }

// Step takes an input and returns what is to be done.
func (v *Visit) Step(in Input) []Output {
	v.out = nil
	if v.state == gone {
		return nil
	}
	switch in := in.(type) {
	case Enter:
		v.enter(in)
	case Leave:
		v.leave(nil)
	case Say:
		v.say(in)
	case Bring:
		if v.state != inside {
			v.do(Bounce{in.ID, "", Problem{Condition: "not-acceptable", Type: "modify", Text: "you are not in the room"}})
			break
		}
		v.do(Refer(in))
	case Referred:
		if in.Status >= 300 {
			v.do(Bounce{in.ID, "", Problem{Condition: "not-allowed", Type: "cancel", Text: "the conference does not call whom you invite"}})
		}
	case Topic:
		v.do(Bounce{in.ID, "", Problem{Condition: "not-allowed", Type: "cancel", Text: "the subject is the conference's"}})
	case Up:
		v.up(in)
	case Over:
		v.over(in)
	case NickAnswered:
		v.answered(in.Status)
	case People:
		v.roster(in)
	case Unwatched:
		v.watches = false
		v.complete()
	case Fired:
		if in.Timer == TimerRoster { // it may come yet, but the user has waited long enough
			v.watches = false
			v.complete()
		}
	case Sent:
		v.sent(in)
	case Heard:
		v.heard(in)
	}
	return v.out
}

func (v *Visit) enter(in Enter) {
	switch {
	case in.Nick == "":
		v.do(Refuse{in.Nick, Problem{Condition: "jid-malformed", Type: "modify", Text: "a name is needed"}})
		if v.state == outside {
			v.finish()
		}
	case v.state == outside:
		v.state, v.nick = knocking, in.Nick
		v.do(Dial{})
	case v.state == inside && in.Nick != v.nick:
		v.wanted = in.Nick
		v.do(AskNick{in.Nick})
	case v.state == inside: // the client has lost sight of the room
		for _, p := range v.others() {
			v.do(Show{Person: p})
		}
		v.self()
	}
}

func (v *Visit) up(in Up) {
	if v.state != knocking {
		return
	}
	if !in.Room {
		v.do(Refuse{v.nick, Problem{Condition: "not-acceptable", Type: "modify", Text: "this is no chat room"}}, Hang{})
		v.finish()
		return
	}
	v.private = in.Private
	v.watches = true
	v.state = looking
	if in.Nicknames {
		v.state = naming
		v.do(AskNick{v.nick})
	}
	v.do(Watch{}, Start{TimerRoster, Rostered})
}

// answered takes what became of a name (INTERWORKING 5.7).
func (v *Visit) answered(status int) {
	name := v.nick
	if v.wanted != "" {
		name = v.wanted
	}
	p := Problem{Condition: "not-acceptable", Type: "modify"}
	switch status {
	case 200:
		if v.wanted != "" {
			old := v.nick
			v.nick, v.wanted = v.wanted, ""
			v.do(Show{Person: Person{Nick: old, URI: v.own}, Self: true, Gone: true, Renamed: v.nick, Codes: []int{303, 110}})
			v.self()
			return
		}
		v.named()
		return
	case 424:
		p.Text = "the conference does not take this name"
	case 425:
		p = Problem{Condition: "conflict", Type: "cancel", Text: "the name is taken"}
	case 403:
		p = Problem{Condition: "forbidden", Type: "auth"}
	default: // it has no names; one is known by one's address
		if v.wanted == "" {
			v.named()
			return
		}
		p = Problem{Condition: "not-acceptable", Type: "modify", Text: "the conference has no names"}
	}
	v.wanted = ""
	if v.state == naming {
		v.do(Refuse{name, p}, Hang{})
		v.finish()
		return
	}
	if v.state == inside {
		v.do(Refuse{name, p})
	}
}

func (v *Visit) named() {
	if v.state != naming {
		return
	}
	v.state = looking
	if v.first != nil || !v.watches {
		v.complete()
	}
}

// complete shows who is there, the user last (XEP-0045 section 7.2.2).
func (v *Visit) complete() {
	if v.state != looking {
		return
	}
	v.state = inside
	v.do(Stop{TimerRoster})
	for _, p := range v.others() {
		v.do(Show{Person: p})
	}
	v.self()
	v.do(Subject{v.subject})
}

func (v *Visit) self() {
	v.do(Show{Person: Person{Nick: v.nick, URI: v.own}, Self: true, Codes: []int{110}})
}

func (v *Visit) others() []Person {
	return slices.DeleteFunc(slices.Clone(v.people), func(p Person) bool { return p.URI == v.own })
}

// roster takes who is in the conference.
func (v *Visit) roster(in People) {
	if v.state == outside {
		return
	}
	before := v.others()
	if in.Full {
		v.people = nil
	}
	for _, p := range in.Users {
		p.Nick = v.unique(p)
		if i := slices.IndexFunc(v.people, func(o Person) bool { return o.URI == p.URI }); i >= 0 {
			v.people[i] = p
		} else if len(v.people) < maxPeople {
			v.people = append(v.people, p)
		}
	}
	v.people = slices.DeleteFunc(v.people, func(p Person) bool { return slices.Contains(in.Gone, p.URI) })
	changed := in.Subject != nil && *in.Subject != v.subject
	if in.Subject != nil {
		v.subject = *in.Subject
	}
	if v.state != inside {
		v.first = &in
		v.complete()
		return
	}
	v.changes(before, in.Kicked)
	if changed {
		v.do(Subject{v.subject})
	}
}

// unique is a person's name that nobody else in the room has.
func (v *Visit) unique(p Person) string {
	taken := func(name string) bool {
		return name == v.nick && p.URI != v.own ||
			slices.ContainsFunc(v.people, func(o Person) bool { return o.URI != p.URI && o.Nick == name })
	}
	name := p.Nick
	for n := 2; taken(name); n++ {
		name = p.Nick + " " + strconv.Itoa(n)
	}
	return name
}

// changes shows who has come, gone, or has another name.
func (v *Visit) changes(before []Person, kicked []string) {
	now := v.others()
	find := func(all []Person, uri string) *Person {
		for i := range all {
			if all[i].URI == uri {
				return &all[i]
			}
		}
		return nil
	}
	for _, old := range before {
		switch is := find(now, old.URI); {
		case is == nil && slices.Contains(kicked, old.URI):
			v.do(Show{Person: old, Gone: true, Codes: []int{307}})
		case is == nil:
			v.do(Show{Person: old, Gone: true})
		case is.Nick != old.Nick:
			v.do(Show{Person: old, Gone: true, Renamed: is.Nick, Codes: []int{303}})
		}
	}
	for _, p := range now {
		if old := find(before, p.URI); old == nil || *old != p {
			v.do(Show{Person: p})
		}
	}
}

func (v *Visit) say(in Say) {
	bounce := func(condition, typ, text string) {
		v.do(Bounce{in.ID, in.To, Problem{Condition: condition, Type: typ, Text: text}})
	}
	switch {
	case v.state != inside:
		bounce("not-acceptable", "modify", "you are not in the room")
	case len(v.said) >= maxSaid:
		bounce("resource-constraint", "wait", "too much waits already")
	case in.To == "":
		v.said = append(v.said, said{Say: in})
		v.do(Utter{ID: in.ID, Body: in.Body})
	case !v.private:
		bounce("feature-not-implemented", "cancel", "the conference has no private messages")
	default:
		i := slices.IndexFunc(v.people, func(p Person) bool { return p.Nick == in.To })
		if i < 0 {
			bounce("item-not-found", "cancel", "")
			return
		}
		v.said = append(v.said, said{Say: in})
		v.do(Utter{ID: in.ID, To: v.people[i].URI, Body: in.Body})
	}
}

// sent takes what became of it. The user sees it once: when the conference says it, or else
// when it has it.
func (v *Visit) sent(in Sent) {
	i := slices.IndexFunc(v.said, func(s said) bool { return s.ID == in.ID })
	if i < 0 {
		return
	}
	s := v.said[i]
	if in.Status == 200 {
		if !s.told && s.To == "" {
			v.said[i].told = true
			v.do(Tell{ID: s.ID, Nick: v.nick, Body: s.Body})
		}
		if s.To != "" {
			v.said = slices.Delete(v.said, i, i+1)
		}
		v.trim()
		return
	}
	v.said = slices.Delete(v.said, i, i+1)
	if s.told {
		return
	}
	p := Problem{Condition: "recipient-unavailable", Type: "wait"}
	switch in.Status {
	case 428:
		p = Problem{Condition: "feature-not-implemented", Type: "cancel"}
	case 404:
		p = Problem{Condition: "item-not-found", Type: "cancel"}
	case 403:
		p = Problem{Condition: "forbidden", Type: "auth"}
	case 413:
		p = Problem{Condition: "policy-violation", Type: "modify"}
	}
	v.do(Bounce{s.ID, s.To, p})
}

// trim forgets what the conference has had for long: it says nothing of it to us any more.
func (v *Visit) trim() {
	for len(v.said) > maxSaid/2 && v.said[0].told {
		v.said = v.said[1:]
	}
}

func (v *Visit) heard(in Heard) {
	if v.state != inside {
		return
	}
	if in.URI == v.own && !in.Alone {
		i := slices.IndexFunc(v.said, func(s said) bool { return s.To == "" && s.Body == in.Body })
		if i >= 0 { // it says what we have said
			s := v.said[i]
			if s.told {
				v.said = slices.Delete(v.said, i, i+1)
				return
			}
			v.said[i].told = true
			v.do(Tell{ID: s.ID, Nick: v.nick, Body: s.Body})
			return
		}
	}
	nick := in.Name
	for _, p := range v.people {
		if p.URI == in.URI {
			nick = p.Nick
		}
	}
	v.do(Tell{ID: in.ID, Nick: nick, Body: in.Body, Alone: in.Alone})
}

// leave ends the visit, for the user or the conference; codes are those of the last presence.
func (v *Visit) leave(codes []int) {
	if v.state == outside {
		v.finish()
		return
	}
	shown := v.state == inside || codes == nil
	v.do(Stop{TimerRoster}, Hang{})
	if shown {
		v.do(Show{Person: Person{Nick: v.nick, URI: v.own}, Self: true, Gone: true, Codes: append([]int{110}, codes...)})
	}
	v.finish()
}

// over takes the end of the conference's line.
func (v *Visit) over(in Over) {
	switch {
	case v.state == inside:
		v.leave([]int{332})
	default:
		v.do(Stop{TimerRoster}, Refuse{v.nick, in.Problem})
		v.finish()
	}
}

func (v *Visit) finish() {
	for _, s := range v.said {
		if !s.told {
			v.do(Bounce{s.ID, s.To, Problem{Condition: "recipient-unavailable", Type: "wait"}})
		}
	}
	v.state = gone
	v.do(Done{})
}
