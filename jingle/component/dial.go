package component

import (
	"context"
	"errors"
	"math/rand/v2"
	"net"
	"syscall"
	"time"
)

const (
	dialTime = 5 * time.Second
	userTime = 20 * time.Second // for written bytes to be acknowledged (RFC 5482)
)

// dialer returns a dial function that tries each address in order.
func dialer(addrs []string) func(context.Context) (net.Conn, error) {
	d := net.Dialer{Timeout: dialTime, Control: control}
	return func(ctx context.Context) (net.Conn, error) {
		var all []error
		for _, addr := range addrs {
			conn, err := d.DialContext(ctx, "tcp", addr)
			if err == nil {
				return conn, nil
			}
			all = append(all, err)
			if ctx.Err() != nil {
				break
			}
		}
		return nil, errors.Join(all...)
	}
}

// A backoff says how long to wait for the next attempt.
type backoff struct {
	cause Cause
	wait  time.Duration
}

// next returns the wait after a failure. A cause that needs a person, or another server's
// consent, has longer waits than a server that is starting.
func (b *backoff) next(cause Cause, err error) time.Duration {
	first, most := 250*time.Millisecond, 5*time.Second
	switch cause {
	case NotAuthorized, HostUnknown:
		first, most = 5*time.Second, time.Minute
	case Conflict: // a server may take half an hour to see that the old one is gone
		first, most = 5*time.Second, 5*time.Second
	case Replaced: // two gateways would take it from each other for ever
		first, most = time.Minute, time.Minute
	case Unreachable:
		if refused(err) { // costs nothing, and we promise to be there within a second
			most = 750 * time.Millisecond
		}
	}
	if b.cause != cause {
		b.cause, b.wait = cause, 0
	}
	b.wait = max(first, min(2*b.wait, most))
	if cause == Replaced {
		return b.wait + rand.N(b.wait/5)
	}
	return b.wait - rand.N(b.wait/5)
}

// refused reports whether the host said at once that nothing listens there.
func refused(err error) bool {
	for _, no := range []error{syscall.ECONNREFUSED, syscall.ECONNRESET, syscall.EHOSTUNREACH, syscall.ENETUNREACH, syscall.ENOENT} {
		if errors.Is(err, no) {
			return true
		}
	}
	return false
}
