//go:build interop

package mediatest

import (
	"fmt"
	"net"
	"os"
	"os/exec"
	"path/filepath"
	"syscall"
	"testing"
	"time"

	"sipxmppgw/mediarelay/rtpengine"
)

func TestRTPEngine(t *testing.T) {
	at := daemon(t)
	Run(t, func(t *testing.T) Engine {
		e := engineOf(t, rtpengine.Options{Instances: []rtpengine.Instance{{Address: at}}})
		return Engine{Plane: plane[*rtpengine.Bridge](e.Open), Left: func() int { return e.Counters().Bridges }}
	})
}

func engineOf(t *testing.T, o rtpengine.Options) *rtpengine.Engine {
	t.Helper()
	o.Times.Setup, o.Times.Poll = 20*time.Millisecond, 50*time.Millisecond
	e, err := rtpengine.New(o)
	if err != nil {
		t.Fatal(err)
	}
	t.Cleanup(e.Close)
	return e
}

// daemon runs an rtpengine without its kernel module and returns where it listens.
func daemon(t *testing.T) string {
	t.Helper()
	free, err := net.ListenUDP("udp4", &net.UDPAddr{IP: net.IPv4(127, 0, 0, 1)})
	if err != nil {
		t.Fatal(err)
	}
	at := free.LocalAddr().String()
	free.Close()
	name := filepath.Join(t.TempDir(), "rtpengine.log")
	log, err := os.Create(name)
	if err != nil {
		t.Fatal(err)
	}
	defer log.Close()
	cmd := exec.Command("rtpengine", "--config-file=none", "--table=-1", "--foreground", "--log-stderr", "--log-level=7",
		"--interface=127.0.0.1", "--listen-ng="+at, "--port-min=50000", "--port-max=51999", "--delete-delay=0", "--num-threads=2")
	cmd.Stderr = log

	if err := cmd.Start(); err != nil {
		t.Fatalf("start rtpengine: %v (make deps installs it)", err)
	}
	t.Cleanup(func() {
		cmd.Process.Signal(syscall.SIGTERM)
		cmd.Wait()
		if text, err := os.ReadFile(name); t.Failed() && err == nil {
			t.Logf("rtpengine printed last:\n%s", text[max(0, len(text)-20000):])
		}
	})
	c, err := net.Dial("udp", at)
	if err != nil {
		t.Fatal(err)
	}
	defer c.Close()
	for deadline := time.Now().Add(patience); ; {
		fmt.Fprint(c, "1 d7:command4:pinge")
		c.SetReadDeadline(time.Now().Add(100 * time.Millisecond))
		if _, err := c.Read(make([]byte, 100)); err == nil {
			return at
		}
		if time.Now().After(deadline) {
			t.Fatal("rtpengine does not answer")
		}
		time.Sleep(20 * time.Millisecond)
	}
}
