package memnet

import (
	"context"
	"errors"
	"io"
	"net"
	"net/netip"
	"os"
	"strings"
	"syscall"
	"testing"
	"testing/synctest"
	"time"
)

func TestDatagrams(t *testing.T) {
	synctest.Test(t, func(t *testing.T) {
		n := New()
		a, err := n.ListenPacket("192.0.2.1:5060")
		if err != nil {
			t.Fatal(err)
		}
		defer a.Close()
		b, err := n.ListenPacket("[2001:db8::1]:0")
		if err != nil {
			t.Fatal(err)
		}
		defer b.Close()
		if _, err := n.ListenPacket("192.0.2.1:5060"); !errors.Is(err, syscall.EADDRINUSE) {
			t.Errorf("second socket: got %v, want address in use", err)
		}
		n.Lose(func(_, _ netip.AddrPort, d []byte) bool { return string(d) == "lost" })
		for _, d := range []string{"one", "lost", "two"} {
			if _, err := b.WriteTo([]byte(d), a.LocalAddr()); err != nil {
				t.Fatal(err)
			}
		}
		for _, want := range []string{"one", "two"} {
			buf := make([]byte, 10)
			k, from, err := a.ReadFrom(buf)
			if err != nil || string(buf[:k]) != want || from.String() != b.LocalAddr().String() {
				t.Errorf("got %q from %v, %v; want %q", buf[:k], from, err, want)
			}
		}
		a.SetReadDeadline(time.Now().Add(time.Second))
		start := time.Now()
		if _, _, err := a.ReadFrom(nil); !errors.Is(err, os.ErrDeadlineExceeded) || time.Since(start) != time.Second {
			t.Errorf("got %v after %v, want a deadline after 1s", err, time.Since(start))
		}
		time.AfterFunc(time.Second, func() { a.Close() })
		a.SetReadDeadline(time.Time{})
		if _, _, err := a.ReadFrom(nil); !errors.Is(err, net.ErrClosed) {
			t.Errorf("got %v, want closed", err)
		}
	})
}

func TestConnections(t *testing.T) {
	synctest.Test(t, func(t *testing.T) {
		n := New()
		to := netip.MustParseAddrPort("192.0.2.1:5060")
		if _, err := n.Dial(context.Background(), to.Addr(), to); !errors.Is(err, syscall.ECONNREFUSED) {
			t.Errorf("nobody listens: got %v, want refused", err)
		}
		l, err := n.Listen(to.String())
		if err != nil {
			t.Fatal(err)
		}
		defer l.Close()
		c, err := n.Dial(context.Background(), netip.MustParseAddr("192.0.2.2"), to)
		if err != nil {
			t.Fatal(err)
		}
		s, err := l.Accept()
		if err != nil || s.RemoteAddr().String() != c.LocalAddr().String() {
			t.Fatalf("got %v, %v", s, err)
		}
		long := strings.Repeat("x", 3*buffered)
		go func() {
			c.Write([]byte(long))
			c.Close()
		}()
		got, err := io.ReadAll(s)
		if err != nil || string(got) != long {
			t.Errorf("got %d bytes, %v; want %d", len(got), err, len(long))
		}
		if _, err := s.Write([]byte("x")); !errors.Is(err, syscall.EPIPE) {
			t.Errorf("write to who is gone: got %v, want a broken pipe", err)
		}
		s.Close()
		if _, err := s.Read(nil); !errors.Is(err, net.ErrClosed) {
			t.Errorf("got %v, want closed", err)
		}
		l.Fail(syscall.EMFILE)
		if _, err := l.Accept(); !errors.Is(err, syscall.EMFILE) {
			t.Errorf("got %v, want the error that was set", err)
		}
	})
}

func TestBlockedWriteHasDeadline(t *testing.T) {
	synctest.Test(t, func(t *testing.T) {
		n := New()
		l, err := n.Listen("192.0.2.1:0")
		if err != nil {
			t.Fatal(err)
		}
		defer l.Close()
		c, err := n.Dial(context.Background(), netip.MustParseAddr("192.0.2.2"), l.addr)
		if err != nil {
			t.Fatal(err)
		}
		defer c.Close()
		c.SetWriteDeadline(time.Now().Add(time.Minute))
		k, err := c.Write(make([]byte, buffered+1))
		if k != buffered || !errors.Is(err, os.ErrDeadlineExceeded) {
			t.Errorf("got %d, %v; want %d and a deadline", k, err, buffered)
		}
	})
}
