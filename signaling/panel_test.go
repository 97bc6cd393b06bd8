package signaling

import (
	"fmt"
	"strings"
	"testing"
	"testing/synctest"
	"time"

	"sipxmppgw/gateway"
	"sipxmppgw/gateway/presence"
	"sipxmppgw/signaling/pidf"
)

// inOffice is atHome, where phones may watch the list office: of sofa, of mira, and of who is not
// there.
func inOffice(t *testing.T, f func(t *testing.T, h *household)) {
	atHome(t, func(t *testing.T, h *household) {
		h.edge.own.List = func(name string) (List, bool) {
			return List{Name: name, Members: []string{"sip:sofa@gw.jabber.example", "sip:mira@gw.jabber.example", "sip:nobody@gw.jabber.example"}}, name == "office"
		}
		h.desk.patience = 20 * time.Minute
		f(t, h)
	})
}

// watchesOffice subscribes to the list, and returns what comes first.
func (h *household) watchesOffice(pkg string) pidf.List {
	h.t.Helper()
	res := h.asks("SUBSCRIBE", "office", "Event: "+pkg+"\nExpires: 600\nSupported: eventlist\nContact: <sip:desk@10.0.0.2>", "", "200")
	if !strings.Contains(res, "Require: eventlist") {
		h.t.Errorf("got\n%s", res)
	}
	return h.toldOf("Subscription-State: active;expires=600")
}

// toldOf is the next NOTIFY of a list.
func (h *household) toldOf(parts ...string) pidf.List {
	h.t.Helper()
	got := h.told(append(parts, "Require: eventlist")...)
	_, body, _ := strings.Cut(got, "\r\n\r\n")
	l, err := pidf.ParseList(rawHeader([]byte(got), "content-type", "c"), []byte(body))
	if err != nil {
		h.t.Fatalf("%v:\n%s", err, got)
	}
	return l
}

// taken is how many subscriptions there are for lists, and lines how many lines are watched.
func (h *household) taken() int {
	h.edge.house.mu.Lock()
	defer h.edge.house.mu.Unlock()
	return len(h.edge.house.seats)
}

func (h *household) lines() int {
	h.edge.house.mu.Lock()
	defer h.edge.house.mu.Unlock()
	return len(h.edge.house.all)
}

// seats are what a list says, in short.
func seats(l pidf.List) string {
	words := []string{fmt.Sprintf("%d full=%t", l.Version, l.Full)}
	for _, r := range l.Resources {
		word := strings.TrimSuffix(strings.TrimPrefix(r.URI, "sip:"), "@gw.jabber.example")
		for _, in := range r.Instances {
			word += " " + in.State
			if in.Reason != "" {
				word += " " + in.Reason
			}
			switch in.Kind {
			case pidf.MediaType:
				_, doc, _ := pidf.Parse(in.Body)
				word += fmt.Sprintf(" open=%t", doc.Open())
			case pidf.DialogMediaType:
				d, _ := pidf.ParseDialogInfo(in.Body)
				word += fmt.Sprintf(" v%d calls=%d", d.Version, len(d.Dialogs))
			}
		}
		words = append(words, word)
	}
	return strings.Join(words, ", ")
}

func (h *household) wantsSeats(want string) {
	h.t.Helper()
	if got := seats(h.toldOf()); got != want {
		h.t.Errorf("got %s, want %s", got, want)
	}
	synctest.Wait() // what was told orders nothing that a test looks at
}

// TestPhoneWatchesLamps of a list: all of them at first, and then those that change.
func TestPhoneWatchesLamps(t *testing.T) {
	inOffice(t, func(t *testing.T, h *household) {
		if got, want := seats(h.watchesOffice("dialog")), "0 full=true, sofa active v0 calls=0, mira pending, nobody terminated noresource"; got != want {
			t.Errorf("got %s, want %s", got, want)
		}
		time.Sleep(2 * time.Second)
		h.edge.Lit(&h.edge.own, "phone/sofa")
		h.wantsSeats("1 full=false, sofa active v1 calls=0")
		h.edge.Lit(&h.edge.own, "phone/desk") // is not in it
		h.desk.silent()
		// The user allows it, and does not any more.
		pair := gateway.Pair{User: "mira@jabber.example", Contact: "desk@gw.jabber.example"}
		h.watches("presence", "mira", "200")
		h.told("Subscription-State: pending")
		for i, typ := range []string{"subscribed", "unsubscribed"} {
			h.p.FromUser(gateway.Presentation{Pair: pair, Type: typ})
			synctest.Wait()
			h.told("Event: presence")
			time.Sleep(2 * time.Second)
			h.edge.Lit(&h.edge.own, "mira@jabber.example")
			h.wantsSeats([]string{"2 full=false, mira active v0 calls=0", "3 full=false, mira pending"}[i])
		}
		time.Sleep(10 * time.Minute)
		if got := h.told("terminated;reason=timeout", "Require: eventlist"); strings.Contains(got, "rlmi") {
			t.Errorf("got\n%s", got)
		}
		synctest.Wait()
		if h.edge.Stats().Served != 0 || h.lines() != 0 {
			t.Errorf("%d are left", h.edge.Stats().Served)
		}
	})
}

// TestPhoneWatchesAList of presence: users are asked, and each has a say of its own.
func TestPhoneWatchesAList(t *testing.T) {
	inOffice(t, func(t *testing.T, h *household) {
		if got, want := seats(h.watchesOffice("presence")), "0 full=true, sofa, mira, nobody terminated noresource"; got != want {
			t.Errorf("got %s, want %s", got, want)
		}
		h.wantsSeats("1 full=false, sofa active open=true, mira pending")
		pair := gateway.Pair{User: "mira@jabber.example", Contact: "desk@gw.jabber.example"}
		says := func(typ string, st presence.State, want string) {
			t.Helper()
			h.p.FromUser(gateway.Presentation{Pair: pair, Type: typ, State: st})
			h.wantsSeats(want)
		}
		says("subscribed", presence.State{}, "2 full=false, mira active")
		says("", presence.State{Device: "a", Open: true}, "3 full=false, mira active open=true")
		says("unsubscribed", presence.State{}, "4 full=false, mira terminated rejected")
		if n := h.taken(); n != 1 {
			t.Errorf("%d subscriptions for the list, want that to sofa", n)
		}
		// It goes, and what was subscribed to for it goes with it.
		h.told("terminated;reason=timeout")
		synctest.Wait()
		if h.taken() != 0 || h.edge.Stats().Served != 0 {
			t.Errorf("%d and %d are left", h.taken(), h.edge.Stats().Served)
		}
		if len(h.l.told) == 0 || h.l.told[0] != "ask" {
			t.Errorf("the user was told %q", h.l.told)
		}
	})
}

// TestListIsRefreshed: then the phone is told all of it again, and what was refused is tried again.
func TestListIsRefreshed(t *testing.T) {
	inOffice(t, func(t *testing.T, h *household) {
		res := h.asks("SUBSCRIBE", "office", "Event: presence\nExpires: 600\nRequire: eventlist\nContact: <sip:desk@10.0.0.2>", "", "200")
		h.toldOf()
		h.wantsSeats("1 full=false, sofa active open=true, mira pending")
		time.Sleep(5 * time.Minute)
		pkg := "presence"
		refresh := func(expires int, want string) {
			t.Helper()
			h.n++
			h.desk.send(say{
				method: "SUBSCRIBE", uri: address(rawHeader([]byte(res), "contact", "m")).URI, from: "sip:desk@gw.jabber.example", to: "sip:office@gw.jabber.example",
				branch: fmt.Sprint("h", h.n), callID: rawHeader([]byte(res), "call-id", "i"), cseq: h.n + 100, tag: tagOf(res),
				more: fmt.Sprintf("Event: "+pkg+"\nExpires: %d\nRequire: eventlist\nSupported: eventlist\nContact: <sip:desk@10.0.0.2>", expires),
			}.text("UDP "+deskAddr), "")
			h.desk.wants("SIP/2.0 " + want)
		}
		refresh(600, "200")
		h.wantsSeats("2 full=true, sofa active open=true, mira pending, nobody terminated noresource")
		time.Sleep(6 * time.Minute) // the first ten are over
		h.desk.silent()
		refresh(0, "200")
		h.told("terminated;reason=timeout")
		synctest.Wait()
		if h.taken() != 0 {
			t.Errorf("%d are left", h.taken())
		}
		// Of a list that is not what it was the phone has to ask anew.
		pkg = "dialog"
		res = h.asks("SUBSCRIBE", "office", "Event: dialog\nExpires: 600\nRequire: eventlist\nContact: <sip:desk@10.0.0.2>", "", "200")
		h.toldOf()
		h.edge.own.List = func(string) (List, bool) { return List{Name: "office"}, true }
		refresh(600, "481")
		synctest.Wait()
		if h.edge.Stats().Served != 0 {
			t.Error("it is still served")
		}
	})
}

// TestListWithoutSupport has an answer that says what is wrong (RFC 4662 section 4.4).
func TestListWithoutSupport(t *testing.T) {
	for _, tt := range []struct{ name, more, status, header string }{
		{"no lists", "Event: dialog", "421", "Require: eventlist"},
		{"another document", "Event: dialog\nSupported: eventlist\nAccept: application/pidf+xml", "406", "Accept: application/dialog-info+xml"},
		{"another extension", "Event: dialog\nSupported: eventlist\nRequire: tdialog", "420", "Unsupported: tdialog"},
		{"another package", "Event: reg\nSupported: eventlist", "403", ""},
		{"too brief", "Event: presence\nSupported: eventlist\nExpires: 10", "423", "Min-Expires: 60"},
	} {
		t.Run(tt.name, func(t *testing.T) {
			inOffice(t, func(t *testing.T, h *household) {
				if got := h.asks("SUBSCRIBE", "office", tt.more+"\nContact: <sip:desk@10.0.0.2>", "", tt.status); !strings.Contains(got, tt.header) {
					t.Errorf("no %s in\n%s", tt.header, got)
				}
				synctest.Wait()
				if h.taken() != 0 || len(h.edge.usages.dialog) != 0 || h.edge.Stats().Served != 0 {
					t.Error("something is left")
				}
			})
		})
	}
}

// TestPollOfALamps is told once, and nothing is left.
func TestPollOfLamps(t *testing.T) {
	inOffice(t, func(t *testing.T, h *household) {
		h.asks("SUBSCRIBE", "office", "Event: dialog\nExpires: 0\nSupported: eventlist\nContact: <sip:desk@10.0.0.2>", "", "200")
		if got, want := seats(h.toldOf("terminated;reason=timeout")), "0 full=true, sofa active v0 calls=0, mira pending, nobody terminated noresource"; got != want {
			t.Errorf("got %s, want %s", got, want)
		}
	})
}

// TestLongList is told in several parts: at first who is in it, and what they show as it has room.
func TestLongList(t *testing.T) {
	inOffice(t, func(t *testing.T, h *household) {
		h.edge.own.List = func(name string) (List, bool) {
			l := List{Name: name}
			for range 200 {
				l.Members = append(l.Members, "sip:sofa@gw.jabber.example")
			}
			return l, true
		}
		known := 0
		for l := h.watchesOffice("dialog"); ; l = h.toldOf() {
			if l.Full != (l.Version == 0) || l.Full && len(l.Resources) != 200 {
				t.Fatalf("list %d, full %t, has %d", l.Version, l.Full, len(l.Resources))
			}
			for _, r := range l.Resources {
				known += len(r.Instances)
			}
			if known >= 200 {
				break
			}
			time.Sleep(time.Second)
			synctest.Wait()
		}
		time.Sleep(5 * time.Second)
		synctest.Wait()
		h.desk.silent()
		if known != 200 {
			t.Errorf("%d were told", known)
		}
	})
}

// tagOf is that of the To of a message.
func tagOf(msg string) string {
	_, tag, _ := strings.Cut(rawHeader([]byte(msg), "to", "t"), ";tag=")
	return tag
}
