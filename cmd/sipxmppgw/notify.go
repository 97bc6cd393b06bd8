package main

import (
	"context"
	"fmt"
	"net"
	"os"
	"strconv"
	"strings"
	"time"
)

const (
	// readyWithin is when the service counts as started though a component is not connected:
	// what it waits for may need us.
	readyWithin = 10 * time.Second
	// saidEvery is how often the service manager is told how we are, if it does not say how often.
	saidEvery = 10 * time.Second
)

// A notifier tells the service manager how we are (sd_notify(3)): a datagram to the socket that
// it names. Nil tells nobody.
type notifier struct{ conn net.Conn }

// newNotifier returns that of the environment; nil if there is none.
func newNotifier(getenv func(string) string) *notifier {
	path := getenv("NOTIFY_SOCKET")
	if path == "" || path[0] != '/' && path[0] != '@' {
		return nil
	}
	conn, err := net.DialUnix("unixgram", nil, &net.UnixAddr{Name: path, Net: "unixgram"})
	if err != nil {
		return nil // it is gone; that is no reason not to work
	}
	return &notifier{conn}
}

// say tells it some variables, such as READY=1.
func (n *notifier) say(variables ...string) {
	if n == nil {
		return
	}
	_ = n.conn.SetWriteDeadline(time.Now().Add(time.Second))
	_, _ = n.conn.Write([]byte(strings.Join(variables, "\n"))) // there is nobody else to tell
}

func (n *notifier) close() {
	if n != nil {
		_ = n.conn.Close()
	}
}

// reloading says that the configuration is read again, until READY is said.
func (n *notifier) reloading() {
	if n != nil {
		n.say("RELOADING=1", "MONOTONIC_USEC="+strconv.FormatInt(monotonic().Microseconds(), 10))
	}
}

// watchdog is how often the manager wants to hear that we live; 0 for not at all.
func watchdog(getenv func(string) string) time.Duration {
	if pid := getenv("WATCHDOG_PID"); pid != "" && pid != strconv.Itoa(os.Getpid()) {
		return 0
	}
	usec, err := strconv.ParseInt(getenv("WATCHDOG_USEC"), 10, 64)
	if err != nil || usec <= 0 {
		return 0
	}
	return time.Duration(usec) * time.Microsecond
}

// report tells the service manager how the gateway is, until ctx is done: that it is ready, what
// is the matter, and, as often as it wants to know, that it lives. That is said only if all that
// every call needs has answered.
func (d *daemon) report(ctx context.Context, n *notifier, every time.Duration) {
	if n == nil {
		return
	}
	d.awaitUp(ctx)
	n.say("READY=1", "STATUS="+d.inWords())
	pause := saidEvery
	if every > 0 {
		pause = min(pause, every/2)
	}
	tick := time.NewTicker(pause)
	defer tick.Stop()
	for {
		select {
		case <-ctx.Done():
			return
		case <-tick.C:
		}
		says := []string{"STATUS=" + d.inWords()}
		if d.isGoing() {
			says = append(says, "EXTEND_TIMEOUT_USEC="+strconv.FormatInt((3*saidEvery).Microseconds(), 10))
		}
		if every > 0 && d.answers(ctx, pause) {
			says = append(says, "WATCHDOG=1")
		}
		n.say(says...)
	}
}

// awaitUp waits for all components to be connected, but not for long.
func (d *daemon) awaitUp(ctx context.Context) {
	ctx, cancel := context.WithTimeout(ctx, readyWithin)
	defer cancel()
	for _, t := range d.tenants {
		select {
		case <-t.up:
		case <-ctx.Done():
			return
		}
	}
}

// answers reports whether the connections to XMPP servers, the registry of calls and the shards
// of presence get on, within a time. One call that does not is no reason to end all.
func (d *daemon) answers(ctx context.Context, within time.Duration) bool {
	ctx, cancel := context.WithTimeout(ctx, within)
	defer cancel()
	for _, t := range d.tenants {
		t.g.Active() // it needs the lock that every call does; without it we say no more
		if !t.stream.Answers(ctx) || !t.pres.Answers(ctx) {
			d.log.Error("a part of the gateway does not get on; its service manager is not told that it lives", "domain", t.c.XMPP.Domain)
			return false
		}
	}
	return true
}

func (d *daemon) isGoing() bool {
	d.mu.Lock()
	defer d.mu.Unlock()
	return d.going
}

// inWords is how the gateway is, in a line.
func (d *daemon) inWords() string {
	calls := d.active()
	if d.isGoing() {
		return fmt.Sprintf("draining; calls: %d", calls)
	}
	word, causes := "up", d.degraded()
	if down := d.unready(); len(down) > 0 {
		word, causes = "not ready", down
	} else if len(causes) > 0 {
		word = "degraded"
	}
	text := fmt.Sprintf("%s; calls: %d", word, calls)
	if len(causes) > 0 {
		text += "; " + strings.Join(causes, "; ")
	}
	return strings.ReplaceAll(text, "\n", " ")
}
