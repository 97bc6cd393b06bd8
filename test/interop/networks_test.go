//go:build interop

package interop

import (
	"fmt"
	"os"
	"strings"
	"testing"
	"time"
)

// Addresses of a gateway with two networks, of a phone in one and of a client that goes about in
// the other.
const (
	phonesNetwork, clientsNetwork = "10.20.1.1", "10.20.2.1"
	phoneAddress                  = "10.20.1.9"
	homeAddress, streetAddress    = "10.20.2.9", "10.20.3.9"
)

// A client's address changes in the middle of a call (RFC 8445 section 2.4); phones have their media
// by ICE, protected by DTLS or keys in SDP, in another network of the gateway's. All of it is in a
// network namespace.
func TestNetworks(t *testing.T) {
	t.Parallel()
	if !apart(t) {
		return
	}
	os.Setenv("NETWORKS", "yes") // of a process of its own
	ip(t, "link add home type veth peer name street", "link set home up", "link set street up",
		"addr add "+phonesNetwork+"/32 dev lo", "addr add "+clientsNetwork+"/32 dev lo", "addr add "+homeAddress+"/24 dev home")
	s := startProsody(t)
	trunks, ports := moreTrunks(t,
		"ice: true, srtp: dtls, media_network: phones", "ice: true, srtp: dtls, media_network: phones", "ice: true, srtp: required, media_network: phones")
	g := startGateway(t, s, gatewayOptions{trunks: trunks, media: "xmpp_networks: [clients]", values: map[string]any{
		"Networks": fmt.Sprintf("{name: clients, addresses: [%s]}, {name: phones, addresses: [%s]}, {name: here, addresses: [127.0.0.1]}", clientsNetwork, phonesNetwork),
	}})
	b := &bench{server: s, gateway: g, browser: startBrowser(t, userTone), phone: startBaresip(t, g.phone, g.sip)}
	t.Run("a client that moves", func(t *testing.T) {
		b.perform(t, play{"", func(t *testing.T, b *bench) {
			user := b.login(t)
			sid := b.up(t, user)
			user.moves(t, sid)
			talk()
			b.ends(t, user, sid)
		}})
	})
	ip(t, "link add phones type veth peer name others", "link set phones up", "link set others up", "addr add "+phoneAddress+"/24 dev phones")
	with := func(trunk int, encryption string, mux bool) *bench {
		own := *b
		own.phone = startPhone(t, phoneOptions{user: numberAt(trunk), port: ports[trunk], media: "phones", proxy: g.sip, encryption: encryption, ice: true, mux: mux})
		return &own
	}
	for i, p := range []struct {
		name       string
		encryption string
		mux        bool
		called     bool
		said       string
	}{
		{"a phone with ICE and DTLS", "dtls_srtp", true, true, "DTLS-SRTP complete (audio/RTP)"},
		{"a phone with ICE and DTLS, for RTCP too", "dtls_srtp", false, true, "DTLS-SRTP complete (audio/RTCP)"},
		{"a phone with ICE and keys in SDP", "srtp-mand", true, false, "SRTP is Enabled"},
	} {
		t.Run(p.name, func(t *testing.T) {
			with(i, p.encryption, p.mux).perform(t, play{"", func(t *testing.T, b *bench) {
				user := b.login(t)
				sid := b.up(t, user)
				talk()
				b.ends(t, user, sid)
				b.phone.reached(t, 0, p.said)
				if !p.called {
					return
				}
				before := size(b.phone.log)
				user.do(t, &sid, "propose", jidOf(numberAt(i)))
				b.phone.accepts(t)
				user.wait(t, "accepted")
				user.hears(t, sid, phoneTone)
				talk()
				b.ends(t, user, sid)
				b.phone.reached(t, before, p.said)
			}})
		})
	}
}

// ip changes the network of this namespace.
func ip(t *testing.T, lines ...string) {
	t.Helper()
	for _, line := range lines {
		run(t, append([]string{"ip"}, strings.Fields(line)...)...)
	}
}

// reached checks that the phone's media was protected, and went between what ICE found.
func (b *baresip) reached(t *testing.T, from int64, protected string) {
	t.Helper()
	for _, want := range []string{protected, "a=candidate:", " " + phoneAddress + " ", " " + phonesNetwork + " "} {
		if err := b.printed(from, want); err != nil {
			t.Error(err)
		}
	}
}

// moves has the client's address go and another come, and the client tell its peer of it.
func (c *client) moves(t *testing.T, sid string) {
	t.Helper()
	c.between(t, sid, homeAddress)
	ip(t, "addr del "+homeAddress+"/24 dev home", "addr add "+streetAddress+"/24 dev street")
	for c.wait(t, "connection").State != "disconnected" {
	}
	c.do(t, nil, "move", sid)
	c.connected(t)
	before := c.reception(t, sid).Received
	if err := within(10*time.Second, func() error {
		if n := c.reception(t, sid).Received - before; n < 50 {
			return fmt.Errorf("%d packets since the move", n)
		}
		return nil
	}); err != nil {
		t.Error(err)
	}
	c.hears(t, sid, phoneTone)
	c.between(t, sid, streetAddress)
}

// between checks where the client and the gateway have their media.
func (c *client) between(t *testing.T, sid, at string) {
	t.Helper()
	if r := c.reception(t, sid); !strings.HasPrefix(r.Pair, at+":") || !strings.Contains(r.Pair, " "+clientsNetwork+":") {
		t.Errorf("%s: the media is between %s; want %s and %s", c.page, r.Pair, at, clientsNetwork)
	}
}
