package mediatest

import (
	"context"
	"net/netip"
	"strings"
	"testing"

	"github.com/pion/ice/v4"

	"sipxmppgw/gateway/call"
	"sipxmppgw/gateway/media"
)

// NewClientAt returns a client that has no address but this one.
func NewClientAt(t *testing.T, ip string) *Client {
	t.Helper()
	family := ice.NetworkTypeUDP4
	if netip.MustParseAddr(ip).Is6() {
		family = ice.NetworkTypeUDP6
	}
	// With a socket of ours, for pion gathers no candidate on ::1 by itself.
	socket := ice.NewUDPMuxDefault(ice.UDPMuxParams{UDPConn: ListenOn(t, ip), Logger: quiet().NewLogger("")})
	t.Cleanup(func() { socket.Close() })
	return NewClient(t, ice.WithNetworkTypes([]ice.NetworkType{family}), ice.WithUDPMux(socket))
}

// addressOf is the loopback address of a family.
var addressOf = map[bool]string{false: "127.0.0.1", true: "::1"}

// RunFamilies has an engine that has an address of each family do what it must: each leg may know
// one alone, and the other leg the other.
func RunFamilies(t *testing.T, engine func(t *testing.T) Engine) {
	names := map[bool]string{false: "IPv4", true: "IPv6"}
	for _, a6 := range []bool{false, true} {
		for _, b6 := range []bool{false, true} {
			t.Run("phone on "+names[a6]+" calls client on "+names[b6], func(t *testing.T) { across(t, engine(t), a6, b6, false) })
			t.Run("client on "+names[b6]+" calls phone on "+names[a6], func(t *testing.T) { across(t, engine(t), a6, b6, true) })
			t.Run("phone on "+names[a6]+" calls phone on "+names[b6], func(t *testing.T) { acrossPhones(t, engine(t), a6, b6) })
		}
	}
	for _, to := range []string{"127.0.0.2", "::1"} {
		t.Run("client moves to "+to, func(t *testing.T) { clientMoves(t, engine(t), to) })
	}
}

// A phone is told the address of its family, a client both, and media goes across.
func across(t *testing.T, e Engine, phone6, client6, clientCalls bool) {
	t.Helper()
	sip := sipPolicy()
	sip.IPv6 = phone6
	p, c := NewPhone(t, addressOf[phone6]), NewClientAt(t, addressOf[client6])
	if len(c.Found) != 1 || c.Found[0].Addr.Addr().String() != addressOf[client6] {
		t.Fatalf("the client has %+v", c.Found)
	}
	var told, shown media.Description
	var g *Rig
	phone, client := call.A, call.B
	if clientCalls {
		phone, client = call.B, call.A
		g = newRig(t, e, jinglePolicy(), sip)
		told = g.Offered(1, call.B, c.Describe(media.ActPass, pcmu()))
		p.Call(told)
		shown = g.Answered(2, call.A, p.Describe(pcmu()))
	} else {
		g = newRig(t, e, sip, jinglePolicy())
		shown = g.Offered(1, call.B, p.Describe(pcmu()))
		told = g.Answered(2, call.A, c.Describe(media.Active, pcmu()))
		p.Call(told)
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
	connect(t, c, shown, clientCalls, shown.Streams[0].Transport.DTLS.Setup == media.Passive)
	g.Connected(client)
	talk(t, p, 0, c, 0, 1000)
	eventually(t, "the figures name the family of each leg", func() bool {
		s := g.Stats()
		return isSix(s[phone].Local) == phone6 && isSix(s[client].Remote) == client6
	})
}

func acrossPhones(t *testing.T, e Engine, a6, b6 bool) {
	t.Helper()
	var policies [2]media.Policy
	for i, six := range []bool{a6, b6} {
		policies[i] = sipPolicy()
		policies[i].IPv6 = six
	}
	a, b := NewPhone(t, addressOf[a6]), NewPhone(t, addressOf[b6])
	g := newRig(t, e, policies[0], policies[1])
	offer := g.Offered(1, call.B, a.Describe(pcmu()))
	answer := g.Answered(2, call.A, b.Describe(pcmu()))
	for _, told := range []struct {
		d   media.Description
		six bool
	}{{answer, a6}, {offer, b6}} {
		if at := told.d.Streams[0].Transport.Addr; at.Addr().Is6() != told.six {
			t.Errorf("a phone is told %v", at)
		}
	}
	a.Call(answer)
	b.Call(offer)
	g.Connected(call.A)
	talk(t, a, 0, b, 0, 1000)
}

// isSix reports whether an address of the figures is one of IPv6; an interface may stand before it.
func isSix(at string) bool {
	words := strings.Fields(at)
	if len(words) == 0 {
		return false
	}
	a, err := netip.ParseAddrPort(words[len(words)-1])
	return err == nil && a.Addr().Is6()
}

// A client changes networks in the middle of a call: its address is gone, and it begins a
// new ICE session from another, of another family even. Media goes on both ways under the
// keys there are, in the same streams (RFC 8445 section 2.4, RFC 8842 section 4).
func clientMoves(t *testing.T, e Engine, to string) {
	t.Helper()
	g := newRig(t, e, jinglePolicy(), sipPolicy())
	b, a := NewClientAt(t, "127.0.0.1"), NewPhone(t, "127.0.0.1")
	a.Call(g.Offered(1, call.B, b.Describe(media.ActPass, pcmu())))
	answer := g.Answered(2, call.A, a.Describe(pcmu()))
	connect(t, b, answer, true, answer.Streams[0].Transport.DTLS.Setup == media.Passive)
	g.Connected(call.A)
	talk(t, a, 0, b, 0, 1000)
	if err := b.Agent.GracefulClose(); err != nil {
		t.Fatal(err)
	}
	c := NewClientAt(t, to)
	c.RX, c.TX, c.SSRC = b.RX, b.TX, b.SSRC
	g.Candidates(call.A, c.Trickled())
	ours := Next[call.MediaCandidates](g).Media.Streams[0].Transport.ICE
	c.Reach(ours)
	ctx, cancel := context.WithTimeout(t.Context(), Patience)
	defer cancel()
	var err error
	if c.Conn, err = c.Agent.Dial(ctx, ours.Ufrag, ours.Pwd); err != nil {
		t.Fatal(err)
	}
	go c.Read() // until HangUp
	say(t, c, 0, a, 0, 1005)
	eventually(t, "following", func() bool { return strings.HasSuffix(g.Stats()[call.A].Remote, c.Found[0].Addr.String()) })
	say(t, a, 0, c, 0, 1005)
}
