package gateway

import (
	"fmt"
	"strings"
	"testing"
	"testing/synctest"
	"time"

	"sipxmppgw/gateway/call"
	"sipxmppgw/gateway/room"
)

// roomEnds are both ends of all places, and keep what they are told.
type roomEnds struct {
	told   []string
	post   func(room.Input)
	refuse error
}

func (r *roomEnds) Do(o room.Output) {
	word := strings.TrimPrefix(fmt.Sprintf("%T", o), "room.")
	switch o := o.(type) {
	case room.Bounce:
		word += " " + o.Problem.Condition
	case room.Refuse:
		word += " " + o.Problem.Condition
	case room.Reply:
		word += fmt.Sprintf(" %s %d", o.Token, o.Status)
	}
	r.told = append(r.told, word)
}

func (r *roomEnds) RoomAt(RoomPlace) RoomEnd { return r }

func (r *roomEnds) Visit(_ Target, post func(room.Input)) (RoomEnd, error) {
	r.post = post
	return r, r.refuse
}

// Route implements [Router] for rooms.
func (r *roomEnds) Route(q Query) (Target, error) {
	if strings.HasPrefix(q.To, "no") {
		return Target{}, &call.Refusal{Cause: call.Forbidden}
	}
	return Target{Edge: SIP, From: Party{URI: "sip:juliet@x", JID: q.From.JID}, To: Party{URI: "sip:ops@y"}}, nil
}

func (r *roomEnds) take() string {
	all := strings.Join(r.told, ", ")
	r.told = nil
	return all
}

func newTestRooms() (*Rooms, *roomEnds) {
	ends := &roomEnds{}
	r := NewRooms(RoomOptions{Router: ends})
	r.SetEdges(ends, ends)
	return r, ends
}

func TestRoomsEnterAndLeave(t *testing.T) {
	synctest.Test(t, func(t *testing.T) {
		r, ends := newTestRooms()
		enter := func(to, user string) {
			r.Enter(Query{Edge: XMPP, From: Party{JID: user}, To: to}, room.Enter{Nick: "Mira"})
		}
		const user = "juliet@x/desk"
		enter("no@gw", user)
		if got := ends.take(); got != "Refuse forbidden" || r.Active() != 0 {
			t.Errorf("no route: %s, %d places", got, r.Active())
		}
		ends.refuse = &call.Refusal{Cause: call.Unreachable}
		enter("ops@gw", user)
		if got := ends.take(); !strings.HasPrefix(got, "Refuse ") || r.Active() != 0 {
			t.Errorf("no way: %s, %d places", got, r.Active())
		}
		ends.refuse = nil
		enter("ops@gw", user)
		if got := ends.take(); got != "Dial" || r.Active() != 1 {
			t.Errorf("entering: %s, %d places", got, r.Active())
		}
		for i := range 2 * maxUserRooms {
			enter(fmt.Sprintf("ops%d@gw", i), user)
		}
		if r.Active() != maxUserRooms || !strings.Contains(ends.take(), "Refuse resource-constraint") {
			t.Errorf("%d places of one user", r.Active())
		}
		if r.Tell("ops@gw", "romeo@x/desk", room.Leave{}) {
			t.Error("somebody else is in the room")
		}
		r.Close()
		if r.Active() != 0 {
			t.Errorf("%d places are left", r.Active())
		}
	})
}

// Who floods a room is told so, and may go on when time has passed.
func TestRoomsFlood(t *testing.T) {
	synctest.Test(t, func(t *testing.T) {
		r, ends := newTestRooms()
		post := r.Called(Target{From: Party{JID: "otto@gw"}, To: Party{JID: "ops@rooms"}}, "Otto", ends)
		r.Tell("ops@rooms", "otto@gw/sip", room.Present{Person: room.Person{Nick: "Otto"}, Self: true})
		ends.take()
		for i := range 100 {
			post(room.Say{ID: fmt.Sprint(i), To: "Otto", Body: "psst", Token: "t"})
		}
		if n := strings.Count(ends.take(), "Speak"); n < sayBurst || n > sayBurst+1 {
			t.Errorf("%d of 100 went", n)
		}
		time.Sleep(time.Second)
		post(room.Say{ID: "later", To: "Otto", Body: "psst", Token: "t"})
		if got := ends.take(); got != "Speak, Reply t 200" {
			t.Errorf("a second later: %s", got)
		}
		if r.Called(Target{From: Party{JID: "otto@gw"}, To: Party{JID: "ops@rooms"}}, "Otto", ends) != nil {
			t.Error("he has two places in one room")
		}
		r.Close()
	})
}
