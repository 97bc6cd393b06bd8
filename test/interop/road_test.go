//go:build interop

package interop

import (
	"fmt"
	"math/rand/v2"
	"os"
	"os/exec"
	"path/filepath"
	"strings"
	"sync/atomic"
	"syscall"
	"testing"
	"time"

	"golang.org/x/sys/unix"
)

// A road is what every UDP packet over IPv4 of a network namespace has to take, signalling and
// media alike: some are lost, some come twice, some later than those behind them. It is a TUN
// device with this process at its other end, for not every kernel has netem.
type road struct {
	tun                         *os.File
	passed, lost, doubled, held atomic.Int64
}

// What happens to packets on a bad road.
const (
	lossPercent   = 5
	doublePercent = 3
	heldPercent   = 5
	heldFor       = 30 * time.Millisecond // longer than it takes the next packet of speech to come
)

// inside says that a test runs in a namespace of its own.
const inside = "SIPXMPPGW_INTEROP_NAMESPACE"

// builtIn is where it finds the gateway, which was built outside.
const builtIn = "SIPXMPPGW_INTEROP_BUILT"

// apart has a test run again in a network namespace of its own, where it is true, and where
// there is nothing but loopback. Outside it
// waits for that, and is false. Where none can be made the test is skipped, unless CI is set.
func apart(t *testing.T) bool {
	t.Helper()
	if os.Getenv(inside) != "" {
		run(t, "ip", "link", "set", "lo", "up")
		return true
	}
	program, err := os.Executable()
	if err != nil {
		t.Fatal(err)
	}
	cmd := exec.Command(program, "-test.run=^"+t.Name()+"$", "-test.v=true", "-test.timeout=5m")
	cmd.Env = append(os.Environ(), inside+"=1", builtIn+"="+filepath.Dir(build(t)))
	cmd.SysProcAttr = &syscall.SysProcAttr{Cloneflags: syscall.CLONE_NEWNET, Pdeathsig: syscall.SIGTERM}
	out := new(strings.Builder)
	cmd.Stdout, cmd.Stderr = out, out
	if err := spawn(cmd); err != nil {
		lacks(t, "no network namespace of its own", err)
	}
	err = cmd.Wait()
	t.Logf("in a namespace of its own:\n%s", out)
	switch {
	case err != nil:
		t.Errorf("in a namespace of its own: %v", err)
	case strings.Contains(out.String(), "--- SKIP: "+t.Name()+" "):
		t.Skip("SKIPPED in a namespace of its own")
	}
	return false
}

// lacks skips a test that this machine does not allow; in CI that is a failure.
func lacks(t *testing.T, what string, err error) {
	t.Helper()
	if os.Getenv("CI") != "" {
		t.Fatalf("%s: %v", what, err)
	}
	t.Skipf("SKIPPED: %s: %v", what, err)
}

// newRoad makes the road of this namespace. It is good until it is told to be bad.
func newRoad(t *testing.T) *road {
	t.Helper()
	const name = "road"
	fd, err := unix.Open("/dev/net/tun", unix.O_RDWR|unix.O_NONBLOCK|unix.O_CLOEXEC, 0)
	if err != nil {
		lacks(t, "no TUN device", err)
	}
	request, err := unix.NewIfreq(name)
	if err != nil {
		t.Fatal(err)
	}
	request.SetUint16(unix.IFF_TUN | unix.IFF_NO_PI)
	if err := unix.IoctlIfreq(fd, unix.TUNSETIFF, request); err != nil {
		lacks(t, "no TUN device", err)
	}
	for _, line := range []string{
		"link set " + name + " up mtu 9000",
		// What is sent goes over the road; what comes from there is for this machine.
		"route add 127.0.0.0/8 dev " + name + " src 127.0.0.1 table 100",
		"rule add pref 10 iif lo ipproto udp to 127.0.0.0/8 lookup 100",
		"rule add pref 20 lookup local", "rule del pref 0",
	} {
		run(t, append([]string{"ip"}, strings.Fields(line)...)...)
	}
	for _, setting := range []string{"route_localnet=1", "accept_local=1", "rp_filter=0"} {
		what, value, _ := strings.Cut(setting, "=")
		if err := os.WriteFile("/proc/sys/net/ipv4/conf/"+name+"/"+what, []byte(value), 0); err != nil {
			t.Fatal(err)
		}
	}
	r := &road{tun: os.NewFile(uintptr(fd), name)}
	t.Cleanup(func() { r.tun.Close() })
	return r
}

// carry takes packets over the road until it is closed.
func (r *road) carry(t *testing.T, bad *atomic.Bool) {
	for {
		p := make([]byte, 9000)
		n, err := r.tun.Read(p)
		if err != nil {
			return
		}
		p = p[:n]
		roll := rand.IntN(100)
		switch {
		case !bad.Load():
		case roll < lossPercent:
			r.lost.Add(1)
			continue
		case roll < lossPercent+doublePercent:
			r.doubled.Add(1)
			r.write(p)
		case roll < lossPercent+doublePercent+heldPercent:
			r.held.Add(1)
			time.AfterFunc(heldFor, func() { r.write(p) })
			continue
		}
		r.write(p)
	}
}

func (r *road) write(p []byte) {
	if _, err := r.tun.Write(p); err == nil {
		r.passed.Add(1)
	}
}

// Calls over a bad road are set up, heard and ended, whoever calls.
func TestBadRoad(t *testing.T) {
	if !apart(t) {
		return
	}
	r := newRoad(t)
	var bad atomic.Bool
	go r.carry(t, &bad) // until the test has ended
	b := newBench(t, startProsody(t), startBrowser(t, userTone))
	bad.Store(true)
	for _, p := range []play{
		{"from baresip", func(t *testing.T, b *bench) {
			user := b.login(t)
			sid := b.up(t, user)
			talk()
			b.ends(t, user, sid)
		}},
		{"to baresip, which hangs up", func(t *testing.T, b *bench) {
			user := b.login(t)
			sid := user.proposes(t, phoneUser)
			b.phone.accepts(t)
			user.wait(t, "accepted")
			user.hears(t, sid, phoneTone)
			talk()
			b.phone.command(t, "hangup", "")
			user.ended(t, "terminate", "success")
			b.phone.heard(t, userTone)
		}},
	} {
		for i := range 3 {
			t.Run(fmt.Sprintf("%s %d", p.name, i+1), func(t *testing.T) { b.perform(t, p) })
		}
	}
	t.Logf("%d packets came, %d were lost, %d doubled, %d held up", r.passed.Load(), r.lost.Load(), r.doubled.Load(), r.held.Load())
	if r.lost.Load() < 50 || r.doubled.Load() < 30 || r.held.Load() < 50 {
		t.Error("the road was not bad")
	}
}
