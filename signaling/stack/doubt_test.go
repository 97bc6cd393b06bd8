package stack

import (
	"context"
	"errors"
	"net"
	"net/netip"
	"testing"
	"testing/synctest"

	"github.com/emiago/sipgo/sip"
)

// TestDoubt: a request that ends without an answer may have arrived, unless nobody was reached.
func TestDoubt(t *testing.T) {
	tests := []struct {
		name string
		over Transport
		dial func() (net.Conn, error)
		want bool
	}{
		{"answers are lost", UDP, nil, true},
		{"no connection", TCP, func() (net.Conn, error) { return nil, errors.New("refused") }, false},
		{"the connection is lost", TCP, func() (net.Conn, error) {
			near, far := net.Pipe()
			go func() { // ends with the request
				_, _ = far.Read(make([]byte, 65536))
				far.Close()
			}()
			return near, nil
		}, true},
	}
	for _, tt := range tests {
		t.Run(tt.name, func(t *testing.T) {
			synctest.Test(t, func(t *testing.T) {
				b := newBed(t, Options{Dial: func(context.Context, Transport, netip.AddrPort) (net.Conn, error) { return tt.dial() }})
				done := make(chan Event, 1)
				b.stack.Request(build(sip.MESSAGE, "a"), Target{Transport: tt.over, Host: "192.0.2.2", Port: 5060}, func(e Event) { done <- e })
				if e := <-done; e.Err == nil || e.Doubt != tt.want {
					t.Errorf("got %+v, want doubt %v", e, tt.want)
				}
			})
		})
	}
}
