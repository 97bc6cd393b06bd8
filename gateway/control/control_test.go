package control

import (
	"errors"
	"net"
	"os"
	"path/filepath"
	"testing"
	"time"
)

// Whoever opens connections and says nothing has the few there are, and no more of the gateway.
func TestConnectionsAreFew(t *testing.T) {
	dir, err := os.MkdirTemp("", "gw") // short: it holds a socket
	if err != nil {
		t.Fatal(err)
	}
	t.Cleanup(func() { os.RemoveAll(dir) })
	path := filepath.Join(dir, "c.sock")
	l, err := Listen(path)
	if err != nil {
		t.Fatal(err)
	}
	accepted := make(chan net.Conn, 2*maxClients)
	ended := make(chan error, 1)
	go func() { // ends with l
		for {
			c, err := l.Accept()
			if err != nil {
				ended <- err
				return
			}
			accepted <- c
		}
	}()
	var taken []net.Conn
	for range maxClients + 1 {
		c, err := net.Dial("unix", path)
		if err != nil {
			t.Fatal(err)
		}
		defer c.Close()
	}
	next := func() net.Conn {
		select {
		case c := <-accepted:
			return c
		case <-time.After(10 * time.Second):
			t.Fatal("no connection is taken")
			return nil
		}
	}
	for range maxClients {
		taken = append(taken, next())
	}
	if n := len(accepted); n != 0 {
		t.Errorf("%d connections more than may be", n)
	}
	taken[0].Close()
	taken[0].Close() // once more does not make room twice
	taken = append(taken, next())
	l.Close()
	select {
	case err := <-ended:
		if !errors.Is(err, net.ErrClosed) {
			t.Errorf("it ends with %v", err)
		}
	case <-time.After(10 * time.Second):
		t.Error("a full listener does not close")
	}
	for _, c := range taken {
		c.Close()
	}
}
