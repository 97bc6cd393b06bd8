package main

import (
	"context"
	"errors"
	"fmt"
	"net"
	"net/netip"
	"path/filepath"
	"strings"
	"testing"
	"time"

	"sipxmppgw/config"
	"sipxmppgw/gateway/control"
	"sipxmppgw/gateway/store"
	"sipxmppgw/gateway/store/sqlite"
	"sipxmppgw/jingle/component"
	"sipxmppgw/test/peer/sipphone"
	"sipxmppgw/test/peer/xmppserver"
)

// findingLines are findings, a line each.
func findingLines(all []control.Finding) string {
	var lines []string
	for _, f := range all {
		lines = append(lines, f.State+" "+f.Check+" "+f.Text+" "+f.Advice)
	}
	return strings.Join(lines, "\n")
}

// What the machine says of its clock, its buffers and its names is judged.
func TestWhatTheMachineSays(t *testing.T) {
	t.Parallel()
	found := func(context.Context, string) ([]string, error) { return []string{"192.0.2.1"}, nil }
	none := func(context.Context, string) ([]string, error) { return nil, errors.New("no such host") }
	noService := func(context.Context, string, string, string) (string, []*net.SRV, error) {
		return "", nil, errors.New("no such host")
	}
	service := func(_ context.Context, service, proto, name string) (string, []*net.SRV, error) {
		if service != "xmpp-server" || proto != "tcp" || name != "tel.example.org" {
			return "", nil, errors.New("that was not asked for")
		}
		return "", []*net.SRV{{Target: "xmpp.example.org.", Port: 5269}}, nil
	}
	own := config.Config{XMPP: config.XMPP{Domain: "tel.example.org", Server: "xmpp.example.org:5347"}, Routes: []config.Route{{From: "example.org"}}}
	open := own
	open.Routes = []config.Route{{From: "*", Deny: true}, {From: "romeo@example.net"}}
	tests := []struct {
		name   string
		around surroundings
		look   func(*doctor)
		want   string
	}{
		{"a clock that is set", surroundings{synced: func() (bool, bool) { return true, true }}, (*doctor).clock, "ok clock it follows a reference"},
		{"one that is not", surroundings{synced: func() (bool, bool) { return false, true }}, (*doctor).clock, "warn clock nothing sets it"},
		{"one of which nothing is known", surroundings{synced: func() (bool, bool) { return false, false }}, (*doctor).clock, ""},
		{"room for packets", surroundings{buffer: func() (int, bool) { return goodBuffer, true }}, (*doctor).limits, "ok limits sockets may hold 4194304"},
		{"little room", surroundings{buffer: func() (int, bool) { return 212992, true }}, (*doctor).limits, "warn limits sockets may hold 212992 octets (net.core.rmem_max) sysctl net.core.rmem_max=4194304"},
		{"a server that has an address", surroundings{address: found}, func(d *doctor) { d.names(own) }, "ok dns xmpp.example.org has an address"},
		{"one that has none", surroundings{address: none}, func(d *doctor) { d.names(own) }, "fail dns xmpp.example.org: no such host"},
		{"a component that others find", surroundings{address: found, service: service}, func(d *doctor) { d.names(open) }, "ok dns other servers find tel.example.org at xmpp.example.org:5269"},
		{"one that they find by its address", surroundings{address: found, service: noService}, func(d *doctor) { d.names(open) }, "ok dns other servers find tel.example.org by its address"},
		{"one that they do not find", surroundings{address: none, service: noService}, func(d *doctor) { d.names(open) }, "warn dns other servers do not find tel.example.org"},
	}
	for _, tt := range tests {
		t.Run(tt.name, func(t *testing.T) {
			d := &doctor{ctx: context.Background(), around: tt.around}
			tt.look(d)
			if got := findingLines(d.all); tt.want == "" && got != "" || !strings.Contains(got, tt.want) {
				t.Errorf("got %q, want %q", got, tt.want)
			}
		})
	}
}

// Each network's ports are looked at, at each of its addresses.
func TestThePortsOfEachNetwork(t *testing.T) {
	t.Parallel()
	taken, err := net.ListenPacket("udp", "127.0.9.2:0") // as long as it is, nobody gets the port at all addresses
	if err != nil {
		t.Fatal(err)
	}
	defer taken.Close()
	port := taken.LocalAddr().(*net.UDPAddr).Port
	d := &doctor{ctx: context.Background()}
	for i, a := range []string{"127.0.9.1", "127.0.9.2"} {
		d.c.Media.Networks = append(d.c.Media.Networks, config.MediaNetwork{Name: fmt.Sprint("n", i), Addresses: []netip.Addr{netip.MustParseAddr(a)}, PortMin: port, PortMax: port})
	}
	d.mediaPorts()
	got := findingLines(d.all)
	for _, want := range []string{
		fmt.Sprintf("ok ports media ports %d to %d of 127.0.9.1: 1 of 1 are free", port, port),
		fmt.Sprintf("fail ports media ports %d to %d of 127.0.9.2: none can be had", port, port),
	} {
		if !strings.Contains(got, want) {
			t.Errorf("no %q in\n%s", want, got)
		}
	}
	if len(d.all) != 2 {
		t.Errorf("%d findings:\n%s", len(d.all), got)
	}
}

// A store that writes is fine, one that does not is not, and one that has lost something is worth a
// word.
func TestTheStoreIsWrittenTo(t *testing.T) {
	t.Parallel()
	kept, err := sqlite.Open(sqlite.Options{Path: filepath.Join(t.TempDir(), "s.sqlite")})
	if err != nil {
		t.Fatal(err)
	}
	look := func(of store.Store) string {
		d := &doctor{ctx: context.Background()}
		d.writes(of)
		return findingLines(d.all)
	}
	if got := look(kept); !strings.HasPrefix(got, "ok store it writes within ") {
		t.Errorf("got %q", got)
	}
	if rows, err := kept.Load(context.Background(), checked); err != nil || len(rows) != 0 {
		t.Errorf("%d rows are left, %v", len(rows), err)
	}
	if got := look(lossy{kept}); !strings.HasPrefix(got, "warn store ") {
		t.Errorf("got %q", got)
	}
	if err := kept.Close(); err != nil {
		t.Fatal(err)
	}
	if got := look(kept); !strings.HasPrefix(got, "fail store it does not write") {
		t.Errorf("got %q", got)
	}
}

// A lossy store has lost a row.
type lossy struct{ store.Store }

func (lossy) State() store.State { return store.State{Lost: 1} }

// A gateway that runs looks at its server, its trunks and its store, over its own connections.
func TestAGatewayLooksAtItself(t *testing.T) {
	t.Parallel()
	w := newWorld(t, setup{phones: []behind{{}, {phone: sipphone.Options{Addr: "127.0.0.1:0"}}}})
	w.sip[1].Close()
	got := findingLines(w.d.desk.Doctor(context.Background()))
	for _, want := range []string{
		"ok routes 2 say ", "ok address SIP peers are told 127.0.0.1, because ", "ok ports the gateway has them", "ok xmpp " + testGW + " is connected to ", "ok xmpp all that is sent to " + testGW + " comes here",
		"ok server " + testDomain + " is xmppserver", "ok clock it agrees with that of " + testDomain, "ok trunk t0 ", " answers OPTIONS with 200 after ", "fail trunk t1 ", "does not answer OPTIONS",
	} {
		if !strings.Contains("\n"+got, want) {
			t.Errorf("no %q in\n%s", want, got)
		}
	}
	if n := w.d.tenants[0].stream.Stats().Connects; n != 1 {
		t.Errorf("the component has connected %d times", n)
	}
	if err := w.server.InjectRaw(testGW, "<iq type='get' id='other' from='"+testGW+"' to='"+testGW+"'><ping xmlns='urn:xmpp:ping'/></iq>"); err != nil {
		t.Fatal(err)
	}
	if !poll(patience, func() bool {
		got = findingLines(w.d.desk.Doctor(context.Background()))
		return strings.Contains(got, "fail xmpp of 20 pings to ourselves 20 came back, and 1 of another gateway")
	}) {
		t.Errorf("a second gateway is not seen:\n%s", got)
	}
}

// A clock that is another than the server's is seen, and the server's settings are named.
func TestAServerOfAnotherTime(t *testing.T) {
	t.Parallel()
	server, err := xmppserver.Listen(xmppserver.Options{Domain: testDomain, Components: map[string]string{testGW: "secret"}, Program: "Prosody", Ahead: -time.Hour})
	if err != nil {
		t.Fatal(err)
	}
	t.Cleanup(func() { server.Close() })
	p := &patient{t: t, dir: t.TempDir(), secret: "secret", server: server.Addr(), domain: testGW, trunk: closedPort(t), sip: "udp:127.0.0.1:0", ports: [2]int{18100, 18199}, calls: 10}
	d := p.runs()
	got := findingLines(d.desk.Doctor(context.Background()))
	for _, want := range []string{"warn clock it is 1h0m", "ok server " + testDomain + " is Prosody Two settings of it matter: component_conflict_resolve"} {
		if !strings.Contains(got, want) {
			t.Errorf("no %q in\n%s", want, got)
		}
	}
}

// A second gateway is not thrown out by a doctor who looks at a first: the server says conflict.
func TestADoctorThrowsNobodyOut(t *testing.T) {
	t.Parallel()
	p, server := newPatient(t)
	up := make(chan struct{}, 8)
	first, err := component.New(component.Options{Domain: testGW, Secret: "right", Addrs: []string{server.Addr()}, State: func(s component.State) {
		if s.Up {
			up <- struct{}{}
		}
	}})
	if err != nil {
		t.Fatal(err)
	}
	ctx, stop := context.WithCancel(context.Background())
	ended := make(chan error, 1)
	go func() { ended <- first.Run(ctx) }() // ends with stop
	defer func() {
		stop()
		<-ended
	}()
	take(t, up)
	got := p.findings(exitProblem)
	if !strings.Contains(got, "fail xmpp ") || !strings.Contains(got, "is a second gateway running somewhere?") {
		t.Errorf("it said\n%s", got)
	}
	if s := first.Stats(); s.Connects != 1 || !first.State().Up {
		t.Errorf("the first has connected %d times, and is up: %v", s.Connects, first.State().Up)
	}
}
