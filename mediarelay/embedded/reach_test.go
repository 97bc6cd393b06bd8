package embedded

import (
	"context"
	"net/netip"
	"strings"
	"testing"

	"github.com/pion/ice/v4"

	"sipxmppgw/gateway/call"
	"sipxmppgw/gateway/media"
	"sipxmppgw/test/mediatest"
)

// dual gives a relay an address of each family.
func dual(o *Options) {
	o.Addresses = []netip.Addr{netip.MustParseAddr("127.0.0.1"), netip.MustParseAddr("::1")}
}

// newClientAt returns a client that has no address but this one.
func newClientAt(t *testing.T, ip string) *client {
	t.Helper()
	family := ice.NetworkTypeUDP4
	if netip.MustParseAddr(ip).Is6() {
		family = ice.NetworkTypeUDP6
	}
	// With a socket of ours, for pion gathers no candidate on ::1 by itself.
	socket := ice.NewUDPMuxDefault(ice.UDPMuxParams{UDPConn: mediatest.ListenOn(t, ip), Logger: quiet().NewLogger("")})
	t.Cleanup(func() { socket.Close() })
	return mediatest.NewClient(t, ice.WithNetworkTypes([]ice.NetworkType{family}), ice.WithUDPMux(socket))
}

// Each leg may know one family alone, and the other leg the other: a phone is told the
// address of its family, a client both, and media goes across.
func TestFamilies(t *testing.T) {
	names := map[bool]string{false: "IPv4", true: "IPv6"}
	for _, own := range []bool{false, true} {
		for _, phone6 := range []bool{false, true} {
			for _, client6 := range []bool{false, true} {
				for _, calls := range []string{"phone", "client"} {
					t.Run("phone on "+names[phone6]+" client on "+names[client6]+" the "+calls+" calls", func(t *testing.T) {
						r := newRelay(t, func(o *Options) { dual(o); o.OwnPorts = own })
						across(t, r, phone6, client6, calls == "client")
					})
				}
			}
		}
	}
}

func across(t *testing.T, r *Relay, phone6, client6, clientCalls bool) {
	t.Helper()
	at := map[bool]string{false: "127.0.0.1", true: "::1"}
	sip := sipPolicy()
	sip.IPv6 = phone6
	p, c := mediatest.NewPhone(t, at[phone6]), newClientAt(t, at[client6])
	if len(c.Found) != 1 || c.Found[0].Addr.Addr().String() != at[client6] {
		t.Fatalf("the client has %+v", c.Found)
	}
	var told, shown media.Description
	var g *rig
	phone, client := call.A, call.B
	if clientCalls {
		phone, client = call.B, call.A
		g = r.rig(t, jinglePolicy(), sip)
		told = g.Offered(1, call.B, c.Describe(media.ActPass, pcmu()))
		shown = g.Answered(2, call.A, p.Describe(pcmu()))
	} else {
		g = r.rig(t, sip, jinglePolicy())
		shown = g.Offered(1, call.B, p.Describe(pcmu()))
		told = g.Answered(2, call.A, c.Describe(media.Active, pcmu()))
		shown.Streams[0].Transport.DTLS.Setup = media.Passive
	}
	if is := told.Streams[0].Transport.Addr.Addr().Is6(); is != phone6 {
		t.Errorf("the phone is told %v", told.Streams[0].Transport.Addr)
	}
	families := map[bool]int{}
	for _, k := range shown.Streams[0].Transport.ICE.Candidates {
		families[k.Addr.Addr().Is6()]++
	}
	if families[false] != 1 || families[true] != 1 {
		t.Errorf("the client is told %+v", shown.Streams[0].Transport.ICE.Candidates)
	}
	p.Call(told)
	if err := connect(c, shown, clientCalls); err != nil {
		t.Fatal(err)
	}
	g.Connected(client)
	talk(t, p, 0, c, 0)
	for side, six := range map[call.Side]bool{phone: phone6, client: client6} {
		local := strings.Fields(g.ends[side].facts.Load().local)
		if got := netip.MustParseAddrPort(local[len(local)-1]).Addr(); got.Is6() != six {
			t.Errorf("leg %v is sent to from %v", side, got)
		}
	}
}

// A client changes networks in the middle of a call: its address is gone, and it begins a
// new ICE session from another, of another family even. Media goes on both ways under the
// keys there are, in the same streams (RFC 8445 section 2.4, RFC 8842 section 4).
func TestClientMoves(t *testing.T) {
	for _, own := range []bool{false, true} {
		for _, to := range []string{"127.0.0.2", "::1"} {
			t.Run("to "+to, func(t *testing.T) {
				g, a, b, _ := pair(t, func(o *Options) { dual(o); o.OwnPorts = own }, pcmu())
				talk(t, a, 0, b, 0)
				if err := b.Agent.GracefulClose(); err != nil {
					t.Fatal(err)
				}
				c := newClientAt(t, to)
				c.RX, c.TX, c.SSRC = b.RX, b.TX, b.SSRC
				g.Candidates(call.B, c.Trickled())
				ours := mediatest.Next[call.MediaCandidates](g.Rig).Media.Streams[0].Transport.ICE
				c.Reach(ours)
				ctx, cancel := context.WithTimeout(t.Context(), mediatest.Patience)
				defer cancel()
				var err error
				if c.Conn, err = c.Agent.Accept(ctx, ours.Ufrag, ours.Pwd); err != nil {
					t.Fatal(err)
				}
				go c.Read() // until HangUp
				say(t, c, 0, a, 0, 1005)
				eventually(t, "following", func() bool {
					return strings.HasSuffix(g.ends[call.B].facts.Load().remote, " "+c.Found[0].Addr.String())
				})
				say(t, a, 0, c, 0, 1005)
			})
		}
	}
}
