//go:build interop

package interop

import (
	"context"
	"errors"
	"fmt"
	"net/http"
	"strings"
	"testing"
	"time"

	"sipxmppgw/test/peer/audio"
	"sipxmppgw/test/peer/jinglephone"
	"sipxmppgw/test/peer/phone"
	"sipxmppgw/test/peer/sipphone"
)

// A house is one tenant of the gateway: a phone behind its trunk, and the user whose number
// it calls.
type house struct {
	domain string // of the component
	name   string // of the user
	number string // of the user
	desk   string // of the phone
	media  string // section of media; empty for none
	phone  *sipphone.Phone
	calls  chan *sipphone.Call
	user   *resident
}

func newHouse(t *testing.T, i int, domain, name string) *house {
	t.Helper()
	h := &house{domain: domain, name: name, number: fmt.Sprintf("+4930%d00", i), desk: fmt.Sprintf("+4940%d00", i), calls: make(chan *sipphone.Call, 4)}
	var err error
	if h.phone, err = sipphone.Listen(sipphone.Options{User: h.desk, Addr: fmt.Sprintf("127.0.3.%d:0", i)}); err != nil {
		t.Fatal(err)
	}
	t.Cleanup(h.phone.Close)
	h.phone.OnIncoming(func(c *sipphone.Call) { h.calls <- c })
	return h
}

// section is what the house has of its own in the configuration.
func (h *house) section(server *server, indent string) string {
	lines := []string{
		fmt.Sprintf("xmpp: {domain: %s, server: %q, secret: %s}", h.domain, local(server.component), secret),
		"calls: {max: 5}",
		fmt.Sprintf("trunks: [{name: %s, address: %q}]", strings.Split(h.domain, ".")[0], h.phone.Addr()),
		fmt.Sprintf("numbers: {%q: %s@%s}", h.number, h.name, userDomain),
		fmt.Sprintf(`routes: [{from: %s, to: "+49", trunk: %s}]`, userDomain, strings.Split(h.domain, ".")[0]),
	}
	if h.media != "" {
		lines = append(lines, h.media)
	}
	return strings.Join(lines, "\n"+indent)
}

// in has the phone call the user, out the reverse; both return a call that is up.
func (h *house) in(t *testing.T, g *gateway) (a, b phone.Call) {
	t.Helper()
	c, err := h.phone.Dial("sip:" + h.number + "@" + local(g.sip))
	if err != nil {
		t.Fatal(err)
	}
	callee := h.user.awaits(t)
	return up(t, c, callee)
}

func (h *house) out(t *testing.T) (a, b phone.Call) {
	t.Helper()
	c, err := h.user.phone.Dial(h.desk + "@" + h.domain)
	if err != nil {
		t.Fatal(err)
	}
	select {
	case callee := <-h.calls:
		return up(t, c, callee)
	case <-time.After(20 * time.Second):
		t.Fatalf("the phone of %s is not called; the call is %v %+v", h.domain, c.State(), c.End())
		return nil, nil
	}
}

func up(t *testing.T, a, b phone.Call) (phone.Call, phone.Call) {
	t.Helper()
	if err := b.Accept(); err != nil {
		t.Fatal(err)
	}
	ctx, cancel := context.WithTimeout(t.Context(), 20*time.Second)
	defer cancel()
	for _, c := range []phone.Call{a, b} {
		if err := c.WaitState(ctx, phone.Active); err != nil {
			t.Fatal(err)
		}
	}
	return a, b
}

// speaks proves that both sides of a call hear each other.
func speaks(t *testing.T, a, b phone.Call) {
	t.Helper()
	ctx, cancel := context.WithTimeout(t.Context(), 30*time.Second)
	defer cancel()
	errs := make(chan error, 2)
	go func() { errs <- reaches(ctx, a, b, audio.Low) }() // until it is heard, or ctx is over
	go func() { errs <- reaches(ctx, b, a, audio.High) }()
	for range 2 {
		if err := <-errs; err != nil {
			t.Fatal(err)
		}
	}
}

// reaches has one side speak until the other has heard it.
func reaches(ctx context.Context, from, to phone.Call, voice audio.Voice) error {
	if err := to.Heard().Wait(ctx, func(s audio.Statistics) bool { return s.Packets > 0 }); err != nil {
		return fmt.Errorf("nothing comes from %s: %w", to.Peer(), err)
	}
	said := audio.Speech(voice)[:12000]
	for {
		if err := from.Play(ctx, said); err != nil {
			return err
		}
		n := to.Heard().Statistics().Packets
		err := to.Heard().Wait(ctx, func(s audio.Statistics) bool { return s.Packets >= n+20 })
		all := to.Heard().Recording()
		best := audio.Correlate(said, all[max(0, len(all)-5*audio.Rate):]).Score
		switch {
		case best >= 0.95:
			return nil
		case err != nil:
			return fmt.Errorf("only %.2f of the speech came from %s: %w", best, to.Peer(), err)
		}
	}
}

func ends(t *testing.T, a, b phone.Call) {
	t.Helper()
	if err := a.HangUp(); err != nil {
		t.Fatal(err)
	}
	ctx, cancel := context.WithTimeout(t.Context(), 20*time.Second)
	defer cancel()
	if err := b.WaitState(ctx, phone.Ended); err != nil {
		t.Fatal(err)
	}
}

// Three components of two servers are one gateway; the media of the third is an rtpengine's. Each
// has calls both ways, all at once; a number of one is nobody's over the trunk of another; the server of two is killed, and the
// third has a call that goes on and a new one; then the two come back by themselves, and so,
// later, does the third.
func TestTenants(t *testing.T) {
	t.Parallel()
	prosody, ejabberd := startProsody(t), startEjabberdFor(t, thirdDomain)
	houses := []*house{newHouse(t, 1, gatewayDomain, "romeo"), newHouse(t, 2, secondDomain, "juliet"), newHouse(t, 3, thirdDomain, "romeo")}
	at := []*server{prosody, prosody, ejabberd}
	engine := startEngine(t)
	houses[2].media = fmt.Sprintf("media: {engine: rtpengine, rtpengine: [{address: %q}]}", local(engine.port))
	values := map[string]any{
		"First": houses[0].section(prosody, ""), "Second": houses[1].section(prosody, "    "), "Third": houses[2].section(ejabberd, "    "),
	}
	g := startGateway(t, prosody, gatewayOptions{template: "tenants.yaml", values: values})
	whole := func() error {
		status, body, err := g.get("/readyz")
		if err == nil && (status != http.StatusOK || body != "ok\n") {
			err = fmt.Errorf("%d %s", status, body)
		}
		return err
	}
	eventually(t, 20*time.Second, "all components are up", whole)
	login := func(i int) {
		h := houses[i]
		h.user = &resident{Client: at[i].dial(t, h.name, "phone"), called: make(chan *jinglephone.Call, 4)}
		h.user.phone = jinglephone.New(h.user, jinglephone.Options{})
		h.user.phone.OnIncoming(func(c *jinglephone.Call) { h.user.called <- c })
		t.Cleanup(h.user.phone.Close)
	}
	for i := range houses {
		login(i)
	}

	var calls [][2]phone.Call
	for _, h := range houses {
		a, b := h.out(t)
		calls = append(calls, [2]phone.Call{a, b})
	}
	for _, c := range calls {
		speaks(t, c[0], c[1])
	}
	if !engine.calls(t) {
		t.Error("the third has a call, and rtpengine has none")
	}
	for i, h := range houses {
		for j, other := range houses {
			if i == j {
				continue
			}
			c, err := h.phone.Dial("sip:" + other.number + "@" + local(g.sip))
			if err != nil {
				t.Fatal(err)
			}
			eventually(t, 10*time.Second, "the call is refused", func() error {
				if c.State() != phone.Ended || c.End().Status != 404 {
					return fmt.Errorf("%v %+v", c.State(), c.End())
				}
				return nil
			})
		}
	}
	for _, c := range calls[:2] {
		ends(t, c[0], c[1])
	}
	first, second := houses[0].in(t, g)
	prosody.kill(t)
	eventually(t, 10*time.Second, "the gateway says which components are down, and is ready", func() error {
		status, body, err := g.get("/readyz")
		if err != nil || status != http.StatusOK || !strings.Contains(body, "degraded: "+gatewayDomain+": xmpp: ") ||
			!strings.Contains(body, "degraded: "+secondDomain+": xmpp: ") || strings.Contains(body, thirdDomain) {
			return fmt.Errorf("%d %s %w", status, body, err)
		}
		return nil
	})
	speaks(t, calls[2][0], calls[2][1])
	speaks(t, first, second) // only signalling is away
	ends(t, calls[2][0], calls[2][1])
	a, b := houses[2].in(t, g)
	speaks(t, a, b)
	if err := first.HangUp(); err != nil {
		t.Fatal(err)
	}

	prosody.restart()
	eventually(t, 20*time.Second, "the components are back", whole)
	if n := connects(t, g, thirdDomain); n != "1" {
		t.Errorf("the third component has connected %s times", n)
	}
	login(0)
	login(1)
	for _, h := range houses[:2] {
		c, d := h.out(t)
		speaks(t, c, d)
		ends(t, c, d)
	}
	speaks(t, a, b)
	ejabberd.kill(t)
	eventually(t, 10*time.Second, "the gateway says that the third is down, and is ready", func() error {
		status, body, err := g.get("/readyz")
		if err != nil || status != http.StatusOK || !strings.Contains(body, "degraded: "+thirdDomain+": xmpp: ") || strings.Count(body, "\n") != 2 {
			return fmt.Errorf("%d %s %w", status, body, err)
		}
		return nil
	})
	c, d := houses[1].out(t)
	speaks(t, c, d)
	ends(t, c, d)
	if err := a.HangUp(); err != nil {
		t.Fatal(err)
	}
}

// connects is how often a component has connected.
func connects(t *testing.T, g *gateway, domain string) string {
	t.Helper()
	_, body, err := g.get("/metrics")
	if err != nil {
		t.Fatal(err)
	}
	for line := range strings.Lines(body) {
		if n, ok := strings.CutPrefix(line, "sipxmppgw_xmpp_connects_total{domain=\""+domain+"\"} "); ok {
			return strings.TrimSpace(n)
		}
	}
	t.Error(errors.New("no metric"))
	return ""
}
