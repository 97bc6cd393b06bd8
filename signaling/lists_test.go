package signaling

import (
	"fmt"
	"slices"
	"strings"
	"testing"
	"testing/synctest"
	"time"

	"sipxmppgw/gateway"
	"sipxmppgw/gateway/presence"
	"sipxmppgw/signaling/pidf"
)

// listing plays with an edge whose trunk pbx keeps a list for all.
func listing(t *testing.T, mode gateway.PresenceMode, f func(t *testing.T, w *world, l *listener, peer *peer, sub string)) {
	play(t, func(t *testing.T, w *world) {
		l := &listener{}
		p := gateway.NewPresences(gateway.PresenceOptions{
			Router: l, Trunks: map[string]gateway.PresenceMode{"pbx": mode},
			Lists: map[string]gateway.PresenceList{"pbx": {URI: "sip:all@voip.example", Owner: gateway.Party{URI: "sip:gw@jabber.example"}}},
		})
		p.SetEdges(w.edge, l)
		w.edge.own.Presence = p
		defer p.Close()
		peer := w.peer(peers)
		p.FromUser(gateway.Presentation{Pair: gateway.Pair{User: "mira@jabber.example", Contact: "otto@gw.jabber.example"}, Type: "subscribe"})
		sub := peer.wants("SUBSCRIBE sip:all@voip.example SIP/2.0")
		f(t, w, l, peer, sub)
	})
}

// subscribes answers a SUBSCRIBE to a list.
func (p *peer) subscribes() {
	p.answer("200 OK", "n5", "Expires: 3600\nRequire: eventlist\nContact: <sip:rls@198.51.100.9:5060>", "")
	synctest.Wait()
}

// renews answers a SUBSCRIBE in the subscription to a list, which may overtake the answer to the
// NOTIFY that it is sent for.
func (p *peer) renews() {
	p.w.t.Helper()
	first := p.wants("S")
	second := p.wants("S")
	for _, m := range []string{first, second} {
		if strings.HasPrefix(m, "SUBSCRIBE sip:rls@198.51.100.9:5060 SIP/2.0") {
			p.answerTo(m, "200 OK", "", "Expires: "+rawHeader([]byte(m), "expires", "expires")+"\nContact: <sip:rls@198.51.100.9:5060>", "")
			synctest.Wait()
			return
		}
	}
	p.w.t.Fatalf("got\n%s\nand\n%s", first, second)
}

// lists sends a NOTIFY of a list.
func (p *peer) lists(sub string, cseq int, more, kind string, body []byte) {
	p.w.t.Helper()
	f := func(name string) string { return rawHeader([]byte(sub), name, name) }
	head := fmt.Sprintf("NOTIFY %s SIP/2.0\nVia: SIP/2.0/UDP 198.51.100.9:5060;branch=z9hG4bKl%d\nMax-Forwards: 70\nFrom: %s;tag=n5\nTo: %s\n"+
		"Call-ID: %s\nCSeq: %d NOTIFY\nContact: <sip:rls@198.51.100.9:5060>\nEvent: %s\nSubscription-State: active;expires=3600\n%s",
		address(f("contact")).URI, cseq, f("to"), f("from"), f("call-id"), cseq, f("event"), more)
	p.raw(strings.ReplaceAll(head+fmt.Sprintf("Content-Type: %s\nContent-Length: %d\n\n", kind, len(body)), "\n", "\r\n") + string(body))
}

// listDoc is a list with otto in it, whose document has that kind.
func listDoc(version uint32, full bool, state, kind, doc string) (string, []byte) {
	in := pidf.Instance{ID: "1", State: state}
	if kind != "" {
		in.Kind, in.Body = kind, []byte(doc)
	}
	return pidf.FormatList(pidf.List{URI: "sip:all@voip.example", Version: version, Full: full, Resources: []pidf.Resource{
		{URI: "sip:nobody@voip.example"}, {URI: "sip:otto@198.51.100.9", Instances: []pidf.Instance{in}},
	}}, "b0und", "198.51.100.9")
}

func pidfOf(basic string) string {
	return `<presence xmlns="urn:ietf:params:xml:ns:pidf" entity="sip:otto@198.51.100.9"><tuple id="t"><status><basic>` + basic + `</basic></status></tuple></presence>`
}

// A list brings the presence of who is in it; what is missing of it is asked for (RFC 4662 section
// 5.2).
func TestNotifyOfAList(t *testing.T) {
	listing(t, gateway.PresenceOn, func(t *testing.T, w *world, l *listener, peer *peer, sub string) {
		for _, want := range []string{"Event: presence", "Supported: eventlist", "Accept: application/pidf+xml, application/rlmi+xml, multipart/related", "From: <sip:gw@jabber.example>;tag="} {
			if !strings.Contains(sub, want) {
				t.Errorf("no %s in\n%s", want, sub)
			}
		}
		peer.subscribes()
		sends := func(cseq int, version uint32, full bool, basic string) {
			t.Helper()
			kind, body := listDoc(version, full, "active", pidf.MediaType, pidfOf(basic))
			peer.lists(sub, cseq, "Require: eventlist\n", kind, body)
		}
		says := func(cseq int, version uint32, full bool, basic string) {
			t.Helper()
			sends(cseq, version, full, basic)
			peer.wants("SIP/2.0 200 ")
		}
		pause := func() {
			time.Sleep(2 * time.Second)
			synctest.Wait()
		}
		says(1, 0, true, "open")
		pause()
		says(2, 1, false, "closed")
		pause()
		says(3, 1, false, "open") // it was said before
		pause()
		sends(4, 3, false, "open") // one is missing
		peer.renews()
		pause()
		says(5, 5, false, "closed") // the whole was asked for just now
		pause()
		if got := strings.Join(l.told, ", "); got != "allow, ask, tell true, tell false, tell true, tell false" {
			t.Errorf("the user was told %q", got)
		}
		time.Sleep(listPace)
		sends(6, 7, false, "open")
		peer.renews()
		says(7, 8, true, "open")
		says(8, 9, false, "open")
		peer.silent()
	})
}

// What is no list, or broken, has an answer, and does no harm.
func TestNotifyOfNoList(t *testing.T) {
	single := "SUBSCRIBE sip:otto@voip.example SIP/2.0"
	tests := []struct {
		name, kind, body, status string
		then                     string // what follows
	}{
		{"one of presence", pidf.MediaType, pidfOf("open"), "200", single},
		{"of another kind", "text/plain", "hello", "415", ""},
		{"without a boundary", "multipart/related", "hello", "400", ""},
		{"without parts", "multipart/related;boundary=x", "hello", "400", ""},
		{"empty", "multipart/related;boundary=x", "", "200", single},
	}
	for _, tt := range tests {
		t.Run(tt.name, func(t *testing.T) {
			listing(t, gateway.PresenceOn, func(t *testing.T, w *world, l *listener, peer *peer, sub string) {
				peer.subscribes()
				peer.lists(sub, 1, "", tt.kind, []byte(tt.body))
				if tt.then == "" {
					peer.wants("SIP/2.0 " + tt.status + " ")
				} else {
					peer.renews() // Expires: 0
					time.Sleep(time.Second)
					peer.wants(tt.then)
				}
				synctest.Wait()
				if len(l.told) > 0 {
					t.Errorf("the user was told %q", l.told)
				}
			})
		})
	}
}

// A peer that knows no lists is asked for each contact.
func TestNoListThere(t *testing.T) {
	for _, status := range []string{"420 Bad Extension", "489 Bad Event", "404 Not Found", "403 Forbidden"} {
		t.Run(status, func(t *testing.T) {
			for _, mode := range []gateway.PresenceMode{gateway.PresenceOn, gateway.PresenceDialog} {
				listing(t, mode, func(t *testing.T, w *world, l *listener, peer *peer, sub string) {
					peer.answer(status, "n1", "", "")
					if strings.HasPrefix(status, "4") {
						time.Sleep(time.Second)
					}
					got := peer.wants("SUBSCRIBE sip:otto@voip.example SIP/2.0")
					if strings.Contains(got, "eventlist") || !strings.Contains(got, "From: <sip:mira@jabber.example>") {
						t.Errorf("got\n%s", got)
					}
				})
			}
		})
	}
}

// A list may be of calls (RFC 4235), of which it passes on parts.
func TestListOfLamps(t *testing.T) {
	doc := func(version int, state, dialog string) string {
		return fmt.Sprintf(`<dialog-info xmlns="urn:ietf:params:xml:ns:dialog-info" version="%d" state="%s" entity="sip:otto@voip.example">%s</dialog-info>`, version, state, dialog)
	}
	listing(t, gateway.PresenceDialog, func(t *testing.T, w *world, l *listener, peer *peer, sub string) {
		var shown []string
		l.shown = func(s presence.State) { shown = append(shown, s.Show.String()) }
		peer.subscribes()
		for i, d := range []string{
			doc(0, "full", ""), doc(1, "partial", `<dialog id="a"><state>confirmed</state></dialog>`), doc(2, "partial", `<dialog id="a"><state>terminated</state></dialog>`),
		} {
			kind, body := listDoc(uint32(i), i == 0, "active", pidf.DialogMediaType, d)
			peer.lists(sub, i+1, "Require: eventlist\n", kind, body)
			peer.wants("SIP/2.0 200 ")
			time.Sleep(2 * time.Second)
		}
		synctest.Wait()
		if !slices.Equal(shown, []string{"", "dnd", ""}) {
			t.Errorf("the user saw %q", shown)
		}
		kind, body := listDoc(3, false, "active", pidf.DialogMediaType, doc(5, "partial", ""))
		peer.lists(sub, 4, "Require: eventlist\n", kind, body)
		peer.renews()
	})
}

// What a list says of one who is in it several times.
func TestInstances(t *testing.T) {
	u := &usage{pkg: gateway.PackagePresence, trunk: &Trunk{}, list: newListLine(true)}
	in := func(all ...string) pidf.Resource {
		r := pidf.Resource{URI: "sip:Otto@Voip.example"}
		for _, a := range all {
			state, reason, _ := strings.Cut(a, " ")
			i := pidf.Instance{State: state, Reason: reason}
			if state == "active" {
				i.Kind, i.Body = pidf.MediaType, []byte(strings.Replace(pidfOf("open"), `id="t"`, `id="t`+reason+`"`, 1))
				i.Body = []byte(strings.Replace(string(i.Body), "</status>", "</status><contact>sip:otto@voip.example;gr="+reason+"</contact>", 1))
			}
			r.Instances = append(r.Instances, i)
		}
		return r
	}
	tests := []struct {
		name string
		in   pidf.Resource
		want string
	}{
		{"none", in(), "Otto@voip.example   0"},
		{"one", in("active a"), "Otto@voip.example active  1"},
		{"two devices", in("active a", "active b"), "Otto@voip.example active  2"},
		{"one refuses", in("terminated rejected", "active b"), "Otto@voip.example active  1"},
		{"one may be", in("pending", "terminated rejected"), "Otto@voip.example pending  0"},
		{"all refuse", in("terminated rejected", "terminated Rejected"), "Otto@voip.example terminated rejected 0"},
		{"not of one mind", in("terminated rejected", "terminated timeout"), "Otto@voip.example terminated  0"},
	}
	for _, tt := range tests {
		t.Run(tt.name, func(t *testing.T) {
			it, _ := (*Edge)(nil).itemOf(u, tt.in)
			if got := fmt.Sprint(it.Address, " ", it.State, " ", it.Reason, " ", len(it.Now)); got != tt.want {
				t.Errorf("got %q, want %q", got, tt.want)
			}
		})
	}
}
