package embedded

import (
	"net"
	"net/netip"
	"testing"
	"time"

	"github.com/pion/turn/v5"

	"sipxmppgw/gateway/call"
	"sipxmppgw/gateway/media"
	"sipxmppgw/test/mediatest"
)

// newTURN starts a TURN server whose relayed addresses are of 127.0.0.1.
func newTURN(t *testing.T) TURN {
	t.Helper()
	conn := mediatest.ListenOn(t, "127.0.0.1")
	s, err := turn.NewServer(turn.ServerConfig{
		Realm:         "example.org",
		AuthHandler:   turn.LongTermTURNRESTAuthHandler("shared", quiet().NewLogger("")),
		LoggerFactory: quiet(),
		PacketConnConfigs: []turn.PacketConnConfig{{
			PacketConn:            conn,
			RelayAddressGenerator: &turn.RelayAddressGeneratorStatic{RelayAddress: net.IPv4(127, 0, 0, 1), Address: "127.0.0.1"},
		}},
	})
	if err != nil {
		t.Fatal(err)
	}
	t.Cleanup(func() { s.Close() })
	return TURN{Server: conn.LocalAddr().String(), User: "gateway", Secret: "shared"}
}

// relayed waits for the news of our address at the TURN server, and returns it.
func relayed(t *testing.T, g *rig, side call.Side) media.Candidate {
	t.Helper()
	news := mediatest.Next[call.MediaCandidates](g.Rig)
	ice := news.Media.Streams[0].Transport.ICE
	if news.Side != side || len(ice.Candidates) != 1 || ice.Candidates[0].Type != "relay" || !ice.Complete || !ice.Candidates[0].Related.IsValid() {
		t.Fatalf("the news are %+v", news)
	}
	return ice.Candidates[0]
}

// A client that can reach nothing of ours but our address at a TURN server, and that nothing of
// ours can reach, is connected by it, whoever calls.
func TestDetour(t *testing.T) {
	for _, caller := range []bool{false, true} {
		side, policies := call.B, [2]media.Policy{sipPolicy(), jinglePolicy()}
		if caller {
			side, policies = call.A, [2]media.Policy{jinglePolicy(), sipPolicy()}
		}
		at := newTURN(t)
		r := newRelay(t, func(o *Options) { o.TURN = at })
		g := r.rig(t, policies[call.A], policies[call.B])
		a, b := mediatest.NewClient(t), mediatest.NewPhone(t, "127.0.0.1")
		nowhere := func(d media.Description) media.Description {
			for i := range d.Streams[0].Transport.ICE.Candidates { // of a host that we know, but cannot get through to
				c := &d.Streams[0].Transport.ICE.Candidates[i]
				c.Addr = netip.AddrPortFrom(c.Addr.Addr(), 9)
			}
			return d
		}
		alone := func(d media.Description, c media.Candidate) media.Description {
			d = d.Clone()
			d.Streams[0].Transport.ICE.Candidates = []media.Candidate{c}
			return d
		}
		if caller {
			offer := g.Offered(1, call.B, nowhere(a.Describe(media.Active, pcmu())))
			b.Call(offer)
			answer := g.Answered(2, call.A, b.Describe(pcmu()))
			if err := connect(a, alone(answer, relayed(t, g, side)), true); err != nil {
				t.Fatal(err)
			}
		} else {
			offer := g.Offered(1, call.B, b.Describe(pcmu()))
			if offer.Streams[0].Transport.ICE.Complete {
				t.Error("the candidates are complete before there is one of the TURN server")
			}
			found := relayed(t, g, side)
			b.Call(g.Answered(2, call.A, nowhere(a.Describe(media.Active, pcmu()))))
			offer.Streams[0].Transport.DTLS.Setup = media.Passive
			if err := connect(a, alone(offer, found), false); err != nil {
				t.Fatal(err)
			}
		}
		g.Connected(side)
		talk(t, b, 0, a, 0)
	}
}

// Without an answer of the TURN server the call goes on without it, and says that no candidate
// will come any more.
func TestDetourInVain(t *testing.T) {
	at := newTURN(t)
	at.Secret = "guessed"
	r := newRelay(t, func(o *Options) { o.TURN = at })
	g, a, b := r.rig(t, sipPolicy(), jinglePolicy()), mediatest.NewPhone(t, "127.0.0.1"), mediatest.NewClient(t)
	offer := g.Offered(1, call.B, a.Describe(pcmu()))
	ice := mediatest.Next[call.MediaCandidates](g.Rig).Media.Streams[0].Transport.ICE
	if len(ice.Candidates) > 0 || !ice.Complete {
		t.Errorf("the news are %+v", ice)
	}
	a.Call(g.Answered(2, call.A, b.Describe(media.Active, pcmu())))
	offer.Streams[0].Transport.DTLS.Setup = media.Passive
	if err := connect(b, offer, false); err != nil {
		t.Fatal(err)
	}
	g.Connected(call.B)
	talk(t, a, 0, b, 0)
}

// The credentials are those of "A REST API For Access To TURN Services", section 2.2.
func TestTURNCredentials(t *testing.T) {
	now := time.Unix(1433891619, 0)
	for _, tt := range []struct {
		name           string
		turn           TURN
		user, password string
	}{
		{"as configured", TURN{User: "gw", Password: "pw"}, "gw", "pw"},
		{"of a secret", TURN{Secret: "supersecretkey"}, "1433978019", "KIjGiACC/4ngI4e67HhheiK0wZo="},
		{"of a secret, with a name", TURN{User: "gw", Secret: "supersecretkey"}, "1433978019:gw", "bHUDBLV0W0n1ReJXKEqt63hprkA="},
	} {
		user, password := tt.turn.credentials(now)
		if user != tt.user || password != tt.password {
			t.Errorf("%s: got %q %q", tt.name, user, password)
		}
	}
}
