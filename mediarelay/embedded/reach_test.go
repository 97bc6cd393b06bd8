package embedded

import (
	"context"
	"net/netip"
	"strings"
	"testing"

	"sipxmppgw/gateway/call"
	"sipxmppgw/test/mediatest"
)

// dual gives a relay an address of each family.
func dual(o *Options) {
	o.Addresses = []netip.Addr{netip.MustParseAddr("127.0.0.1"), netip.MustParseAddr("::1")}
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
				c := mediatest.NewClientAt(t, to)
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
