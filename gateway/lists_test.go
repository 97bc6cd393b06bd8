package gateway

import (
	"fmt"
	"slices"
	"strings"
	"testing"
	"testing/synctest"
	"time"

	"sipxmppgw/gateway/presence"
)

// resources are what a list says, such as "otto active open".
func resources(full bool, all ...string) presence.Listed {
	l := presence.Listed{State: "active", Expires: presence.Hour, Holds: true, Full: full}
	for _, a := range all {
		f := strings.Fields(a)
		it := presence.Item{Address: f[0] + "@pbx.example", State: f[1]}
		if len(f) > 2 {
			it.Holds, it.Now = true, presence.Document{open("desk", presence.Available)}
		}
		l.Items = append(l.Items, it)
	}
	return l
}

// One SUBSCRIBE to a user's list stands for those to all who are in it; who is not has one of its
// own. Without a list there is one each.
func TestListOfAUser(t *testing.T) {
	synctest.Test(t, func(t *testing.T) {
		j := &journal{}
		p := presences(j, func(o *PresenceOptions) {
			o.Lists = map[string]PresenceList{"trunk": {URI: "sip:{user}-friends@pbx.example"}}
		})
		defer p.Close()
		wants := func(what ...string) {
			t.Helper()
			synctest.Wait()
			got := slices.DeleteFunc(j.take(), func(l string) bool { return strings.HasPrefix(l, "ask") || strings.HasPrefix(l, "look") })
			slices.Sort(got) // what is of the list and what is of one pair are not in order
			if slices.Sort(what); !slices.Equal(got, what) {
				t.Errorf("got\n%s\nwant\n%s", strings.Join(got, "\n"), strings.Join(what, "\n"))
			}
		}
		list := Pair{User: "juliet@x.example", Contact: "/list/trunk"}
		p.opt.Router = named{}
		for _, contact := range []string{"otto@gw", "emma@gw", "hans@gw"} {
			p.FromUser(from("juliet@x.example", contact, "subscribe"))
			synctest.Wait()
		}
		wants("subscribe presence sip:juliet-friends@pbx.example new=true 1h0m0s juliet@x.example")
		p.Watched(list, presence.Accepted{Expires: presence.Hour})
		p.Listed(list, resources(true, "otto active open", "emma pending"))
		time.Sleep(presence.Settling + 2*time.Second) // those who ask for themselves are asked about at a pace
		wants("allow juliet@x.example otto@gw", "tell juliet@x.example otto@gw desk:open", "subscribe presence sip:hans@pbx.example new=true 1h0m0s juliet@x.example")
		p.Listed(list, resources(false, "emma active open"))
		wants("allow juliet@x.example emma@gw", "tell juliet@x.example emma@gw desk:open")
		p.FromUser(from("juliet@x.example", "otto@gw", "unsubscribe"))
		wants("disallow juliet@x.example otto@gw", "tell juliet@x.example otto@gw desk:closed")
		p.FromUser(from("juliet@x.example", "emma@gw", "unsubscribe"))
		wants("disallow juliet@x.example emma@gw", "tell juliet@x.example emma@gw desk:closed", "subscribe presence sip:juliet-friends@pbx.example new=false 0s juliet@x.example")
	})
}

// named is a router whose trunk knows users by name.
type named struct{ pbx }

func (n named) Route(q Query) (Target, error) {
	t, err := n.pbx.Route(q)
	if q.Edge == XMPP {
		user, _, _ := strings.Cut(q.From.JID, "@")
		t.From.URI = "sip:" + user + "@jabber.example"
	}
	return t, err
}

// A list that is for all is subscribed to once, however many watch who is in it.
func TestListForAll(t *testing.T) {
	synctest.Test(t, func(t *testing.T) {
		j := &journal{}
		p := presences(j, func(o *PresenceOptions) {
			o.Lists = map[string]PresenceList{"trunk": {URI: "sip:all@pbx.example", Owner: Party{URI: "sip:gateway@jabber.example"}}}
		})
		defer p.Close()
		list := Pair{Contact: "/list/trunk"}
		for i := range 100 {
			p.FromUser(from(fmt.Sprintf("user%d@x.example", i), "otto@gw", "subscribe"))
		}
		synctest.Wait()
		if got := j.take("subscribe"); !slices.Equal(got, []string{"subscribe presence sip:all@pbx.example new=true 1h0m0s "}) {
			t.Errorf("got %q", got)
		}
		p.Watched(list, presence.Accepted{Expires: presence.Hour})
		p.Listed(list, resources(true, "otto active open"))
		synctest.Wait()
		if got := j.take("tell"); len(got) != 100 {
			t.Errorf("%d users were told", len(got))
		}
		if n, m := p.count.lists.Load(), p.count.listed.Load(); n != 1 || m != 100 {
			t.Errorf("%d lists serve %d", n, m)
		}
		// They are gone, and nobody asks for them.
		j.on = func(s Subscription) { p.Watched(s.Pair, presence.Accepted{Expires: s.Expires}) }
		for i := range 100 {
			p.FromUser(from(fmt.Sprintf("user%d@x.example", i), "otto@gw", "unavailable"))
		}
		time.Sleep(3 * time.Hour)
		synctest.Wait()
		got := j.take("subscribe")
		if len(got) == 0 || got[len(got)-1] != "subscribe presence sip:all@pbx.example new=false 0s " {
			t.Errorf("got %q", got)
		}
		if n, m := p.count.lists.Load(), p.count.listed.Load(); n != 0 || m != 0 {
			t.Errorf("%d lists serve %d", n, m)
		}
	})
}

// A trunk that says that it has lists, and has none, is asked for each contact.
func TestNoListAfterAll(t *testing.T) {
	synctest.Test(t, func(t *testing.T) {
		j := &journal{}
		p := presences(j, func(o *PresenceOptions) { o.Lists = map[string]PresenceList{"trunk": {URI: "sip:all@pbx.example"}} })
		defer p.Close()
		for _, contact := range []string{"otto@gw", "emma@gw"} {
			p.FromUser(from("juliet@x.example", contact, "subscribe"))
		}
		synctest.Wait()
		p.Watched(Pair{Contact: "/list/trunk"}, presence.Refused{Status: 420})
		time.Sleep(2 * time.Second)
		synctest.Wait()
		got := j.take("subscribe")
		slices.Sort(got)
		want := []string{
			"subscribe presence sip:all@pbx.example new=true 1h0m0s ",
			"subscribe presence sip:emma@pbx.example new=true 1h0m0s juliet@x.example",
			"subscribe presence sip:otto@pbx.example new=true 1h0m0s juliet@x.example",
		}
		if !slices.Equal(got, want) {
			t.Errorf("got %q", got)
		}
		// A wish that is taken back while the list is asked is not sent after it.
		p.FromUser(from("juliet@x.example", "hans@gw", "subscribe"))
		p.FromUser(from("juliet@x.example", "hans@gw", "unsubscribe"))
		time.Sleep(2 * time.Second)
		synctest.Wait()
		if got := j.take("hans"); !slices.Equal(got, []string{"disallow juliet@x.example hans@gw"}) {
			t.Errorf("got %q", got)
		}
	})
}
