package main

import (
	"fmt"
	"net"
	"path/filepath"
	"strings"
	"syscall"
	"testing"
	"time"
)

// A manager hears when the gateway is ready, that it lives, that it reads its configuration again
// and how it stops.
func TestServiceManagerIsTold(t *testing.T) {
	dir := shortDir(t)
	path := filepath.Join(dir, "n.sock")
	socket, err := net.ListenUnixgram("unixgram", &net.UnixAddr{Name: path, Net: "unixgram"})
	if err != nil {
		t.Fatal(err)
	}
	defer socket.Close()
	t.Setenv("NOTIFY_SOCKET", path)
	t.Setenv("WATCHDOG_USEC", "200000")
	hears := func(want string) string {
		t.Helper()
		var all []string
		buf := make([]byte, 4096)
		_ = socket.SetReadDeadline(time.Now().Add(patience))
		for {
			n, err := socket.Read(buf)
			if err != nil {
				t.Fatalf("it never says %s, but\n%s", want, strings.Join(all, "\n--\n"))
			}
			all = append(all, string(buf[:n]))
			if strings.Contains("\n"+string(buf[:n])+"\n", "\n"+want) {
				return string(buf[:n])
			}
		}
	}
	w := startWhole(t, fmt.Sprintf("control: {socket: %q}", filepath.Join(dir, "c.sock")))
	if text := hears("READY=1\n"); !strings.Contains(text, "STATUS=up; calls: 0") {
		t.Errorf("when it is ready it says %q", text)
	}
	hears("WATCHDOG=1\n")
	c, callee := w.talking()
	hears("STATUS=up; calls: 1")
	if err := w.cmd.Process.Signal(syscall.SIGHUP); err != nil {
		t.Fatal(err)
	}
	if text := hears("RELOADING=1\n"); !strings.Contains(text, "MONOTONIC_USEC=") || strings.HasSuffix(text, "=0") {
		t.Errorf("at a reload it says %q", text)
	}
	hears("READY=1\n")
	w.signal()
	hears("STOPPING=1\n")
	if text := hears("STATUS=draining; calls: 1"); !strings.Contains(text, "EXTEND_TIMEOUT_USEC=") || !strings.Contains(text, "WATCHDOG=1") {
		t.Errorf("while calls are up it says %q", text)
	}
	hangUp(t, c, callee)
	w.ends(exitOK, patience)
}

func TestWatchdogIsForOneProcess(t *testing.T) {
	tests := []struct {
		usec, pid string
		want      time.Duration
	}{
		{"", "", 0},
		{"30000000", "", 30 * time.Second},
		{"30000000", "1", 0},
		{"soon", "", 0},
	}
	for _, tt := range tests {
		got := watchdog(func(name string) string {
			return map[string]string{"WATCHDOG_USEC": tt.usec, "WATCHDOG_PID": tt.pid}[name]
		})
		if got != tt.want {
			t.Errorf("%+v: it is %v", tt, got)
		}
	}
}
