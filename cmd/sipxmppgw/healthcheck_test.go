package main

import (
	"context"
	"log/slog"
	"net"
	"net/http"
	"os"
	"path/filepath"
	"strings"
	"testing"

	"github.com/prometheus/client_golang/prometheus"
)

func TestHealthcheck(t *testing.T) {
	t.Parallel()
	var unready []string
	server := newAdmin(prometheus.NewRegistry(), func() []string { return unready }, func() []string { return []string{"trunk office"} }, slog.New(slog.DiscardHandler))
	l, err := net.Listen("tcp4", "127.0.0.1:0")
	if err != nil {
		t.Fatal(err)
	}
	served := make(chan error, 1)
	go func() { served <- server.Serve(l) }()
	file := filepath.Join(t.TempDir(), "gw.yaml")
	listening := func(address string) {
		t.Helper()
		if err := os.WriteFile(file, []byte(neighbours+"http: {listen: '"+address+"'}\n"), 0o600); err != nil {
			t.Fatal(err)
		}
	}
	_, port, _ := net.SplitHostPort(l.Addr().String())

	listening("0.0.0.0:" + port)
	if got := prints(t, exitOK, "healthcheck", "--config", file); got != "ok\n" {
		t.Errorf("it said %q", got)
	}
	if got := prints(t, exitOK, "healthcheck", "--ready", "--config", file); got != "ok\ndegraded: trunk office\n" {
		t.Errorf("it said %q", got)
	}
	unready = []string{"xmpp: not-authorized"}
	prints(t, exitOK, "healthcheck", "--config", file)
	if got := prints(t, exitProblem, "healthcheck", "--ready", "--config", file); got != "xmpp: not-authorized\n" {
		t.Errorf("it said %q", got)
	}
	listening("")
	if got := prints(t, exitUsage, "healthcheck", "--config", file); !strings.Contains(got, "http.listen") {
		t.Errorf("it said %q", got)
	}
	listening("0.0.0.0:" + port)
	if err := server.Shutdown(context.Background()); err != nil {
		t.Fatal(err)
	}
	if err := <-served; err != http.ErrServerClosed {
		t.Error(err)
	}
	prints(t, exitUnreachable, "healthcheck", "--config", file)
}

func TestReachable(t *testing.T) {
	for listen, want := range map[string]string{
		":9187": "127.0.0.1:9187", "0.0.0.0:9187": "127.0.0.1:9187", "[::]:9187": "[::1]:9187",
		"192.0.2.1:9187": "192.0.2.1:9187", "gw.example:9187": "gw.example:9187",
	} {
		if got := reachable(listen); got != want {
			t.Errorf("%s is asked at %s, want %s", listen, got, want)
		}
	}
}
