package main

import (
	"context"
	"net/netip"
	"reflect"
	"testing"
	"time"

	"sipxmppgw/config"
	"sipxmppgw/gateway/store"
	"sipxmppgw/signaling"
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

// A binding is kept where the things of its phone's tenant are, and a tenant takes up its own.
func TestBindingsOfTenants(t *testing.T) {
	all := &store.Memory{}
	d := &daemon{store: all}
	phone := config.Phone{User: "desk", Password: "a"}
	for i, domain := range []string{"tel.one.example", "tel.two.example"} {
		one := config.Config{XMPP: config.XMPP{Domain: domain}, Phones: []config.Phone{phone}}
		if i > 0 {
			one = (config.Config{Tenants: []config.Tenant{{XMPP: one.XMPP, Phones: one.Phones}}}).Each()[1]
		}
		tn := &tenant{d: d, c: one, sip: &signaling.Tenant{}}
		d.tenants = append(d.tenants, tn)
		tn.store = d.part(tn)
	}
	var o signaling.Options
	d.registrar(config.Config{}, &o)
	later := time.Now().Add(time.Hour)
	o.Keep(registrar.Binding{User: "desk", URI: "sip:one@192.0.2.1", Expires: later})
	o.Keep(registrar.Binding{User: "tel.two.example/desk", URI: "sip:two@192.0.2.2", Expires: later})
	for i, want := range []string{"sip:one@192.0.2.1", "sip:two@192.0.2.2"} {
		var o signaling.Options
		if err := d.tenants[i].phones(&o); err != nil {
			t.Fatal(err)
		}
		if len(o.Restored) != 1 || o.Restored[0].URI != want || len(o.Phones) != 1 || o.Phones[0].Tenant != d.tenants[i].sip {
			t.Errorf("tenant %d has %+v", i, o)
		}
	}
	o.Drop(registrar.Binding{User: "tel.two.example/desk", URI: "sip:two@192.0.2.2"})
	if rows, err := d.tenants[1].store.Load(context.Background(), store.Bindings); err != nil || len(rows) != 0 {
		t.Errorf("%d are left, %v", len(rows), err)
	}
}
