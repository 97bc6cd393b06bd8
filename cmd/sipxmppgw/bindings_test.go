package main

import (
	"net/netip"
	"reflect"
	"testing"
	"time"

	"sipxmppgw/gateway/store"
	"sipxmppgw/signaling/registrar"
)

// TestBindingsAreKept: what is written is what is read.
func TestBindingsAreKept(t *testing.T) {
	at := time.Date(2026, 11, 27, 12, 0, 0, 0, time.UTC)
	for _, b := range []registrar.Binding{
		{
			User: "desk", URI: "sip:desk@10.0.0.2:5060", Q: 1000, CallID: "a", CSeq: 7, Expires: at,
			Flow: registrar.Flow{Transport: "UDP", Local: netip.MustParseAddrPort("[::]:5060"), Remote: netip.MustParseAddrPort("203.0.113.30:5060")},
		},
		{
			User: "+4930", URI: "sip:x@y.invalid;transport=ws", Instance: "<urn:uuid:1>", RegID: 2, Q: 500, Path: []string{"<sip:a;lr>", "<sip:b;lr>"},
			CallID: "b", CSeq: 1 << 31, Expires: at, Seed: "secret",
			Flow: registrar.Flow{Transport: "WS", Remote: netip.MustParseAddrPort("[2001:db8::1]:40000")},
		},
	} {
		row := rowOf(b)
		if err := store.Check(row); err != nil || row.Kind != store.Bindings || !row.Expires.Equal(at) {
			t.Errorf("row %+v, %v", row, err)
		}
		if got, ok := bindingOf(row); !ok || !reflect.DeepEqual(got, b) {
			t.Errorf("got\n%+v\nwant\n%+v", got, b)
		}
	}
	if _, ok := bindingOf(store.Row{Value: []byte("{")}); ok {
		t.Error("what cannot be read is a binding")
	}
}
