//go:build interop

package interop

import (
	"fmt"
	"net"
	"os"
	"runtime"
	"strings"
	"sync/atomic"
	"testing"
)

// Ports come from below the range that the kernel gives to outgoing connections, and each
// once, so that a peer which starts later finds its port still free.
var nextPort = func() *atomic.Int32 {
	var n atomic.Int32
	n.Store(int32(12000 + os.Getpid()%100*80))
	return &n
}()

// freePort returns a port of 127.0.0.1 that is free for TCP and UDP.
func freePort(t *testing.T) int {
	t.Helper()
	return freePorts(t, 1)
}

// freePorts returns the first of n free ports in a row; it is even.
func freePorts(t *testing.T, n int) int {
	t.Helper()
	step := int32(n + n%2)
	for range 1000 {
		first := int(nextPort.Add(step)-step) &^ 1
		if first+n >= 32768 {
			break
		}
		if allFree(first, n) {
			return first
		}
	}
	t.Fatal("no free ports")
	return 0
}

func allFree(first, n int) bool {
	for port := first; port < first+n; port++ {
		l, err := net.Listen("tcp", local(port))
		if err != nil {
			return false
		}
		l.Close()
		u, err := net.ListenPacket("udp", local(port))
		if err != nil {
			return false
		}
		u.Close()
	}
	return true
}

// bound reports whether a UDP socket has a port of an address. It looks without taking the
// port, which whoever is about to bind it would find in use.
func bound(host string, port int) bool {
	file, a := "/proc/net/udp6", net.ParseIP(host)
	if four := a.To4(); four != nil {
		file, a = "/proc/net/udp", four
	}
	text := " "
	for ; len(a) > 0; a = a[4:] {
		text += fmt.Sprintf("%02X%02X%02X%02X", a[3], a[2], a[1], a[0])
	}
	table, err := os.ReadFile(file)
	return err == nil && strings.Contains(string(table), fmt.Sprintf("%s:%04X ", text, port))
}

func local(port int) string {
	return fmt.Sprintf("127.0.0.1:%d", port)
}

func newSpawner() chan<- func() {
	jobs := make(chan func())
	go func() { // lives as long as the test binary
		runtime.LockOSThread()
		for job := range jobs {
			job()
		}
	}()
	return jobs
}

func TestPeerFreePortsAreFreeAndEven(t *testing.T) {
	first := freePorts(t, 4)
	if first%2 != 0 {
		t.Errorf("first port %d is odd", first)
	}
	l, err := net.Listen("tcp", local(first+2))
	if err != nil {
		t.Fatal(err)
	}
	defer l.Close()
	if bound("127.0.0.1", first+1) {
		t.Error("a free port counts as bound")
	}
	u, err := net.ListenPacket("udp", local(first+1))
	if err != nil {
		t.Fatal(err)
	}
	defer u.Close()
	if !bound("127.0.0.1", first+1) {
		t.Error("a bound port counts as free")
	}
	if allFree(first, 4) {
		t.Error("a port in use counts as free")
	}
}
