//go:build interop

package interop

import (
	"errors"
	"fmt"
	"os"
	"strings"
	"sync"
	"testing"
	"time"

	"sipxmppgw/test/peer/element"
	"sipxmppgw/test/peer/xmppclient"
)

// A viewer is an XMPP user who looks at the presence it gets.
type viewer struct {
	*xmppclient.Client
	mu  sync.Mutex
	got []*element.Element
}

func newViewer(t *testing.T, s *server, user string) *viewer {
	t.Helper()
	v := &viewer{Client: s.dial(t, user, "view")}
	v.Receive(func(e *element.Element) {
		v.mu.Lock()
		defer v.mu.Unlock()
		v.got = append(v.got, e)
	})
	return v
}

// presence sends presence to someone, or to all when to is empty.
func (v *viewer) presence(t *testing.T, typ, to, show string) {
	t.Helper()
	p := element.New(nsClient, "presence")
	if typ != "" {
		p.Set("type", typ)
	}
	if to != "" {
		p.Set("to", to)
	}
	if show != "" {
		p.Add(element.New(nsClient, "show").AddText(show))
	}
	if err := v.Send(p); err != nil {
		t.Fatal(err)
	}
}

// sees waits until a presence of a contact fits, of those since it last saw what it waited for.
func (v *viewer) sees(t *testing.T, what, contact string, fits func(*element.Element) bool) {
	t.Helper()
	eventually(t, 20*time.Second, what, func() error {
		v.mu.Lock()
		defer v.mu.Unlock()
		var last *element.Element
		for _, e := range v.got {
			if e.Name != "presence" || !strings.HasPrefix(e.Attr("from"), contact) {
				continue
			}
			if last = e; fits(e) {
				return nil
			}
		}
		return fmt.Errorf("the last of %s is %v", contact, last)
	})
	v.mu.Lock()
	v.got = nil
	v.mu.Unlock()
}

func typed(typ string) func(*element.Element) bool {
	return func(e *element.Element) bool { return e.Attr("type") == typ }
}

// A phone that registers with the gateway itself watches a user, and publishes what it shows (RFC
// 3903), which the user sees.
func TestPresenceOfAPhoneOfOurs(t *testing.T) {
	t.Parallel()
	s, i := startProsody(t), newIssuer(t)
	own := i.issue(t, sipDomain)
	g := startGateway(t, s, gatewayOptions{template: "phones.yaml", values: map[string]any{
		"TLS": freePort(t), "WS": freePort(t), "OldHash": strings.Repeat("0", 32), "Certificate": own, "Key": own, "CA": i.ca,
		"Registered": []registered{{"udp", "pw-udp", ""}},
	}})
	contact := jidOf("udp")
	user := newViewer(t, s, "romeo")
	user.presence(t, "", "", "")
	before := size(g.log)
	phone := startPhone(t, phoneOptions{user: "udp", password: "pw-udp", proxy: g.sip, domain: sipDomain, watch: uriOf("romeo"), publish: true})
	g.registered(t, "udp", before)
	user.sees(t, "the user is asked", contact, typed("subscribe"))
	user.presence(t, "subscribed", contact, "")
	phone.prints(t, "<basic>open</basic>")
	phone.command(t, "presence_online", "")
	user.presence(t, "subscribe", contact, "")
	user.sees(t, "the phone is there", contact, typed(""))
	phone.command(t, "presence_offline", "")
	user.sees(t, "the phone shows itself no more", contact, typed("unavailable"))
	phone.command(t, "presence_online", "")
	user.sees(t, "the phone is there again", contact, typed(""))
	user.presence(t, "unsubscribed", contact, "")
	phone.prints(t, "Subscription-State: terminated;reason=rejected")
}

// prints waits for something that the phone prints.
func (p *baresip) prints(t *testing.T, what string) {
	t.Helper()
	eventually(t, 20*time.Second, "the phone prints "+what, func() error {
		b, err := os.ReadFile(p.log)
		if err == nil && !strings.Contains(string(b), what) {
			err = fmt.Errorf("not in %s", p.log)
		}
		return err
	})
}

// A SIP phone and an XMPP user watch each other (INTERWORKING 4): through a real server, and a
// phone that neither knows.
func TestPresenceOfAPhone(t *testing.T) {
	t.Parallel()
	const number = "+441230"
	s := startProsody(t)
	port := freePort(t)
	g := startGateway(t, s, gatewayOptions{trunks: []trunkOptions{
		{Name: "watched", Prefix: "+44", Address: local(port), Settings: `presence: "on"`},
	}})
	contact := jidOf(number)
	user := newViewer(t, s, "romeo")
	user.presence(t, "", "", "")
	phone := startPhone(t, phoneOptions{port: port, proxy: g.sip, user: number, watch: uriOf("romeo")})

	// The phone watches the user, who is asked first.
	user.sees(t, "the user is asked", contact, typed("subscribe"))
	user.presence(t, "subscribed", contact, "")
	phone.prints(t, "<basic>open</basic>") // it tells of changes alone
	user.presence(t, "", "", "dnd")
	phone.prints(t, "Busy")
	user.presence(t, "", "", "")
	phone.prints(t, "mOnline") // in colour

	// The user watches the phone.
	phone.command(t, "presence_online", "")
	user.presence(t, "subscribe", contact, "")
	user.sees(t, "the phone is there, with what it can do", contact, func(e *element.Element) bool {
		return e.Attr("type") == "" && e.Child("http://jabber.org/protocol/caps", "c") != nil
	})
	phone.command(t, "presence_offline", "")
	user.sees(t, "the phone is gone", contact, typed("unavailable"))
	phone.command(t, "presence_online", "")
	user.sees(t, "the phone is there again", contact, typed(""))
	user.presence(t, "unsubscribe", contact, "")
	eventually(t, 20*time.Second, "the subscription has ended", func() error {
		_, body, err := g.get("/metrics")
		if err == nil && !strings.Contains(body, `sipxmppgw_presence_subscriptions{direction="out",state="granted"} 0`) {
			err = errors.New("it is still there")
		}
		return err
	})
}
