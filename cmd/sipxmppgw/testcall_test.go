package main

import (
	"testing"
	"time"

	"sipxmppgw/gateway/call"
	"sipxmppgw/test/peer/jinglephone"
	"sipxmppgw/test/peer/phone"
)

// A user who asks for a test call is called, and hears what she says.
func TestTestCall(t *testing.T) {
	t.Parallel()
	w := newWorld(t, setup{phones: []behind{{}}})
	client := w.client(0, "phone", conversations)
	incoming := make(chan *jinglephone.Call, 1)
	client.OnIncoming(func(c *jinglephone.Call) { incoming <- c })
	if err := w.d.tenants[0].testCall(account(0)); err != nil {
		t.Fatal(err)
	}
	if err := w.d.tenants[0].testCall(account(0)); err == nil {
		t.Error("two at once")
	}
	c := take(t, incoming)
	if err := c.Accept(); err != nil {
		t.Fatal(err)
	}
	until(t, c, phone.Active)
	said := sample(0)
	if !poll(patience, func() bool { return c.Sender() != nil }) {
		t.Fatal("there is nowhere to send to")
	}
	if err := c.Sender().Play(w.limit(), said); err != nil {
		t.Fatal(err)
	}
	if err := heard(w.limit(), c, said); err != nil {
		t.Error(err)
	}
	if err := c.HangUp(); err != nil {
		t.Fatal(err)
	}
	w.cause(0, call.Normal)
	if !poll(5*time.Second, func() bool { return w.d.tenants[0].testing.begin(account(0)) }) {
		t.Error("another is not possible any more")
	}
}
