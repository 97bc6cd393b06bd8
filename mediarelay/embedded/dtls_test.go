package embedded

import (
	"net/netip"
	"testing"
	"time"
)

// A peer that controls may name several pairs, and shake hands over another than the one we
// took first (seen with Chromium: one call in fifty found no keys).
func TestHandshakeOverAnyPairOfThePeer(t *testing.T) {
	taken, other, stranger := netip.MustParseAddrPort("192.0.2.1:1000"), netip.MustParseAddrPort("192.0.2.2:2000"), netip.MustParseAddrPort("192.0.2.3:3000")
	tr := &transport{mux: newMux([]*socket{nil})}
	tr.mux.remotes[way{nil, taken}], tr.mux.remotes[way{nil, other}] = time.Now(), time.Now()
	tr.expectPeer()
	a := tr.assoc.Load()
	for _, chosen := range []bool{false, true} {
		if chosen {
			a.follow(nil, taken)
		}
		for _, from := range []netip.AddrPort{taken, other, stranger} {
			before := tr.drops.wrongSource.Load()
			a.deliver([]byte{22}, from)
			dropped := tr.drops.wrongSource.Load() > before
			if dropped != (from == stranger) {
				t.Errorf("from %v with a pair chosen %v: dropped %v", from, chosen, dropped)
			}
		}
	}
	r := newRecords(a)
	if err := r.SetReadDeadline(time.Now().Add(time.Second)); err != nil {
		t.Fatal(err)
	}
	for i := range 4 { // and all are read
		if _, _, err := r.ReadFrom(make([]byte, 1)); err != nil {
			t.Fatalf("record %d of 4: %v", i, err)
		}
	}
	plain := &transport{mux: newMux(nil)} // of a phone with DTLS and without ICE
	plain.expectPeer()
	plain.assoc.Load().follow(nil, taken)
	plain.assoc.Load().deliver([]byte{22}, stranger)
	if plain.drops.wrongSource.Load() != 1 {
		t.Error("a stranger shakes hands with a phone's leg")
	}
}
