package jingle

import (
	"errors"
	"fmt"
	"regexp"
	"testing"
	"testing/synctest"
	"time"

	"sipxmppgw/gateway/call"
	"sipxmppgw/jingle/component"
)

// Ids of sessions are UUIDs, which Monal requires, and no two are the same.
func TestNewID(t *testing.T) {
	form := regexp.MustCompile(`^[0-9a-f]{8}-[0-9a-f]{4}-4[0-9a-f]{3}-[89ab][0-9a-f]{3}-[0-9a-f]{12}$`)
	a, b := newID(), newID()
	if !form.MatchString(a) || a == b {
		t.Errorf("got %q and %q", a, b)
	}
}

// Without a stream nothing is sent, and who asks is told so.
func TestWithoutStream(t *testing.T) {
	e := New(Options{Domain: domain})
	if e.send(component.Stanza{Kind: component.Presence}) {
		t.Error("a stanza was sent to nowhere")
	}
	var got error
	e.request(component.Stanza{Kind: component.IQ}, func(_ component.Stanza, err error) { got = err })
	if !errors.Is(got, component.ErrDown) {
		t.Errorf("got %v, want %v", got, component.ErrDown)
	}
}

// Who proposed something long ago takes no room.
func TestUsersAreForgotten(t *testing.T) {
	synctest.Test(t, func(t *testing.T) {
		e := New(Options{Domain: domain})
		for i := range maxUsers {
			if !e.mayCall(fmt.Sprintf("%d@example.org", i)) {
				t.Fatalf("user %d may not call", i)
			}
		}
		if e.mayCall("late@example.org") {
			t.Error("there is no end to users")
		}
		time.Sleep(time.Minute) // in the bubble's time
		if !e.mayCall("late@example.org") {
			t.Error("after a minute there is still no room")
		}
		if n := len(e.users); n != 1 {
			t.Errorf("%d users are remembered, want 1", n)
		}
	})
}

// An error that is no refusal has a cause all the same.
func TestRefusalOf(t *testing.T) {
	busy := &call.Refusal{Cause: call.Busy}
	if got := refusalOf(fmt.Errorf("dial: %w", busy)); got != busy {
		t.Errorf("got %v, want %v", got, busy)
	}
	if got := refusalOf(errors.New("no")); got.Cause != call.Failed || got.Detail.Text != "no" {
		t.Errorf("got %+v", got)
	}
}
