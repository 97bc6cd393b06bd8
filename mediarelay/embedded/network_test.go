package embedded

import (
	"net/netip"
	"os"
	"runtime"
	"slices"
	"testing"

	"sipxmppgw/gateway/call"
	"sipxmppgw/gateway/media"
	"sipxmppgw/test/mediatest"
)

// several gives a relay two networks, the second behind a NAT and of both families.
func several(o *Options) {
	o.Networks = []Network{
		{Name: "inside", Addresses: addresses("127.0.0.1"), PortMin: 20000, PortMax: 24999},
		{Name: "outside", Addresses: addresses("127.0.0.3", "::1"), External: addresses("203.0.113.5"), PortMin: 25000, PortMax: 29999, Unmarked: true},
	}
}

func addresses(all ...string) (list []netip.Addr) {
	for _, a := range all {
		list = append(list, netip.MustParseAddr(a))
	}
	return list
}

// ownAddress is one of this machine where no other process of these tests has ports. Linux has all
// of 127.0.0.0/8; elsewhere it is the usual one.
func ownAddress() netip.Addr {
	if runtime.GOOS != "linux" {
		return netip.MustParseAddr("127.0.0.1")
	}
	pid := os.Getpid()
	return netip.AddrFrom4([4]byte{127, byte(1 + pid>>16), byte(pid >> 8), byte(pid)})
}

// A leg without ICE is in the network that its policy names, or in the first, and is told the
// address that is meant for it.
func TestNetworkOfALeg(t *testing.T) {
	for _, tt := range []struct {
		name   string
		policy media.Policy
		want   string
		first  uint16 // of the network's ports
	}{
		{"none named", media.Policy{}, "127.0.0.1", 20000},
		{"the first", media.Policy{Networks: []string{"inside"}}, "127.0.0.1", 20000},
		{"behind a NAT", media.Policy{Networks: []string{"outside"}}, "203.0.113.5", 25000},
		{"of IPv6", media.Policy{Networks: []string{"outside"}, IPv6: true}, "::1", 25000},
		{"with an address of its own", media.Policy{Networks: []string{"outside"}, External: addresses("198.51.100.7")}, "198.51.100.7", 25000},
		{"of several", media.Policy{Networks: []string{"outside", "inside"}}, "203.0.113.5", 25000},
	} {
		t.Run(tt.name, func(t *testing.T) {
			tt.policy.Codecs = sipPolicy().Codecs
			g := newRig(t, tt.policy, jinglePolicy(), several)
			from := "127.0.0.1"
			if tt.policy.IPv6 {
				from = "::1"
			}
			a, b := mediatest.NewPhone(t, from), mediatest.NewClient(t)
			g.Offered(1, call.B, a.Describe(pcmu()))
			at := g.Answered(2, call.A, b.Describe(media.Active, pcmu())).Streams[0].Transport.Addr
			if at.Addr().String() != tt.want || at.Port() < tt.first || at.Port() > tt.first+4999 {
				t.Errorf("the leg is told %v, want %s and a port from %d", at, tt.want, tt.first)
			}
		})
	}
}

// A client is offered the addresses of all networks, or of those of its policy, and is heard at
// each, whether the port is its own or shared.
func TestNetworksOfAClient(t *testing.T) {
	for _, own := range []bool{false, true} {
		for _, tt := range []struct {
			name  string
			named []string
			by    int // the candidate that the client has heard of
			want  []string
		}{
			{"all, over the first", nil, 0, []string{"127.0.0.1", "127.0.0.3", "::1"}},
			{"all, over the second", nil, 1, []string{"127.0.0.1", "127.0.0.3", "::1"}},
			{"all, over the third", nil, 2, []string{"127.0.0.1", "127.0.0.3", "::1"}},
			{"one", []string{"outside"}, 0, []string{"127.0.0.3", "::1"}},
			{"the second before the first", []string{"outside", "inside"}, 2, []string{"127.0.0.3", "::1", "127.0.0.1"}},
		} {
			t.Run(tt.name, func(t *testing.T) {
				jingle := jinglePolicy()
				jingle.Networks = tt.named
				g := newRig(t, sipPolicy(), jingle, func(o *Options) {
					several(o)
					o.Networks[1].External, o.OwnPorts = nil, own
				})
				at := "127.0.0.2"
				if tt.want[tt.by] == "::1" {
					at = "::1"
				}
				a, b := mediatest.NewPhone(t, "127.0.0.1"), mediatest.NewClientAt(t, at)
				offer := g.Offered(1, call.B, a.Describe(pcmu()))
				ice := offer.Streams[0].Transport.ICE
				var told []string
				for _, c := range ice.Candidates {
					told = append(told, c.Addr.Addr().String())
				}
				if !slices.Equal(told, tt.want) {
					t.Fatalf("the client is offered %v, want %v", told, tt.want)
				}
				if !slices.IsSortedFunc(ice.Candidates, func(a, b media.Candidate) int { return int(b.Priority>>8) - int(a.Priority>>8) }) {
					t.Errorf("they are not offered in the order of their priority: %+v", ice.Candidates)
				}
				ice.Candidates = ice.Candidates[tt.by : tt.by+1]
				answer := b.Describe(media.Active, pcmu())
				answer.Streams[0].Transport.ICE.Candidates = nil // lest we check from elsewhere
				a.Call(g.Answered(2, call.A, answer))
				offer.Streams[0].Transport.DTLS.Setup = media.Passive
				if err := connect(b, offer, false); err != nil {
					t.Fatal(err)
				}
				g.Connected(call.B)
				talk(t, a, 0, b, 0)
				if local := g.ends[call.B].facts.Load().local; local != "host "+ice.Candidates[0].Addr.String() {
					t.Errorf("the client is spoken to from %s, want %v", local, ice.Candidates[0].Addr)
				}
			})
		}
	}
}

// A client with ICE goes without a network whose ports are all taken; a phone in that one is
// refused.
func TestNetworkWithoutPorts(t *testing.T) {
	r := newRelay(t, func(o *Options) {
		several(o)
		o.Networks[0].PortMax, o.OwnPorts = 20003, true
	})
	for range 4 {
		if _, ok := r.networks[0].pool.take(false); !ok {
			t.Fatal("there are not four ports")
		}
	}
	open := func(network string) *Bridge {
		sip := sipPolicy()
		sip.Networks = []string{network}
		b, err := r.Open("1", [2]media.Policy{sip, jinglePolicy()}, func(call.Event) {})
		if err != nil {
			return nil
		}
		t.Cleanup(b.Release)
		return b
	}
	if open("inside") != nil {
		t.Error("a phone has a port where there is none")
	}
	b := open("outside")
	if b == nil {
		t.Fatal("a call is refused that has ports where it needs them")
	}
	var local []string
	for _, s := range b.ends[call.B].transports[0].sockets {
		local = append(local, s.local.Addr().String())
	}
	if want := []string{"127.0.0.3", "::1"}; !slices.Equal(local, want) {
		t.Errorf("the client is heard at %v, want %v", local, want)
	}
}

// A port for packets of others is in the network of its peer, too.
func TestPacketsInANetwork(t *testing.T) {
	r := newRelay(t, several)
	for _, tt := range []struct {
		policy media.Policy
		want   string // that the peer is told
		bound  string
	}{
		{media.Policy{}, "127.0.0.1", "127.0.0.1"},
		{media.Policy{Networks: []string{"outside"}}, "203.0.113.5", "127.0.0.3"},
		{media.Policy{Networks: []string{"outside"}, IPv6: true}, "::1", "::1"},
		{media.Policy{External: addresses("198.51.100.7")}, "198.51.100.7", "127.0.0.1"},
	} {
		conn, told, err := r.Packets(tt.policy)
		if err != nil {
			t.Fatal(err)
		}
		bound := netip.MustParseAddrPort(conn.LocalAddr().String())
		if told.Addr().String() != tt.want || bound.Addr().String() != tt.bound || told.Port() != bound.Port() {
			t.Errorf("%v: told %v and bound to %v, want %s and %s", tt.policy.Networks, told, bound, tt.want, tt.bound)
		}
		if err := conn.Close(); err != nil {
			t.Error(err)
		}
	}
}
