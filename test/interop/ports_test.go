//go:build interop

package interop

import (
	"fmt"
	"net"
	"os"
	"runtime"
	"slices"
	"strings"
	"sync"
	"testing"
)

// Ports come from below the range that the kernel gives to outgoing connections, and below that
// of the rtpengine in ../mediatest. One belongs to a test until it ends, so that a peer which
// starts later finds its port still free; those that were given back come last.
const portsEnd = 30000

var ports = struct {
	sync.Mutex
	next  int
	taken map[int]bool
}{next: 12000 + os.Getpid()%100*80, taken: map[int]bool{}}

// freePort returns a port of 127.0.0.1 that is free for TCP and UDP.
func freePort(t *testing.T) int {
	t.Helper()
	return freePorts(t, 1)
}

// freePorts returns the first of n free ports in a row; it is even.
func freePorts(t *testing.T, n int) int {
	t.Helper()
	ports.Lock()
	defer ports.Unlock()
	for range 2000 {
		if ports.next+n > portsEnd {
			ports.next = 12000
		}
		first := ports.next
		ports.next += n + n%2
		if slices.ContainsFunc(row(first, n), func(p int) bool { return ports.taken[p] }) || !allFree(first, n) {
			continue
		}
		for _, p := range row(first, n) {
			ports.taken[p] = true
		}
		t.Cleanup(func() {
			ports.Lock()
			defer ports.Unlock()
			for _, p := range row(first, n) {
				delete(ports.taken, p)
			}
		})
		return first
	}
	t.Fatal("no free ports")
	return 0
}

// row returns n ports.
func row(first, n int) []int {
	all := make([]int, n)
	for i := range all {
		all[i] = first + i
	}
	return all
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

// Who ends gives back what it had, and meanwhile nobody else has it.
func TestPeerPortsComeBack(t *testing.T) {
	had := map[int]bool{}
	for range 60 { // more than there are, were they not given back
		t.Run("", func(t *testing.T) {
			mine, other := freePorts(t, 400), freePorts(t, 400)
			if other < mine+400 && mine < other+400 {
				t.Errorf("both have ports: %d and %d", mine, other)
			}
			had[mine] = true
		})
	}
	if len(had) < 10 {
		t.Errorf("the same %d are given again and again", len(had))
	}
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
