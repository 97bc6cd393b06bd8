//go:build interop

package interop

import (
	"errors"
	"fmt"
	"net"
	"strconv"
	"strings"
	"syscall"
	"testing"
	"time"
)

// An engine is an rtpengine without its kernel module.
type engine struct {
	*process
	port int // of the NG protocol
}

// startEngine starts one at 127.0.0.1 and at more addresses, if any.
func startEngine(t *testing.T, more ...string) *engine {
	t.Helper()
	e := &engine{port: freePort(t)}
	media := freePorts(t, 200)
	command := []string{
		"rtpengine", "--config-file=none", "--table=-1", "--foreground", "--log-stderr",
		"--log-level=5", "--interface=127.0.0.1", "--listen-ng=" + local(e.port), "--port-min=" + strconv.Itoa(media),
		"--port-max=" + strconv.Itoa(media+199), "--num-threads=2", "--delete-delay=0",
	}
	for _, address := range more {
		command = append(command, "--interface="+address)
	}
	e.process = start(t, "rtpengine", processOptions{}, command...)
	eventually(t, 10*time.Second, "rtpengine answers", e.ping)
	return e
}

func (e *engine) ping() error {
	_, err := e.ask("d7:command4:pinge")
	return err
}

// ask sends a request and returns the reply as it is on the wire.
func (e *engine) ask(request string) (string, error) {
	c, err := net.Dial("udp", local(e.port))
	if err != nil {
		return "", err
	}
	defer c.Close()
	if _, err := fmt.Fprintf(c, "test-%d %s", time.Now().UnixNano(), request); err != nil {
		return "", err
	}
	c.SetReadDeadline(time.Now().Add(200 * time.Millisecond))
	buf := make([]byte, 65536)
	n, err := c.Read(buf)
	return string(buf[:n]), err
}

// calls reports whether the engine has calls.
func (e *engine) calls(t *testing.T) bool {
	t.Helper()
	reply, err := e.ask("d7:command4:list5:limiti9ee")
	if err != nil {
		t.Fatal(err)
	}
	return !strings.Contains(reply, "5:callsle")
}

// Every call that the gateway's own relay carries is carried by an rtpengine too.
func TestCallsThroughRTPEngine(t *testing.T) {
	t.Parallel()
	s, e := startProsody(t), startEngine(t)
	g := startGateway(t, s, gatewayOptions{engines: []int{e.port}})
	b := &bench{server: s, gateway: g, browser: startBrowser(t, userTone), phone: startBaresip(t, g.phone, g.sip)}
	for _, plays := range [][]play{fromBaresip, fromSipp, toBaresip, toSipp} {
		for _, p := range plays {
			t.Run(p.name, func(t *testing.T) {
				b.perform(t, p)
				eventually(t, 5*time.Second, "rtpengine has no call", func() error {
					if e.calls(t) {
						return errors.New("it has")
					}
					return nil
				})
			})
		}
	}
}

// When one of two is killed, its call ends with the reason and the next goes to the other.
func TestRTPEngineDiesDuringACall(t *testing.T) {
	t.Parallel()
	s := startProsody(t)
	engines := []*engine{startEngine(t), startEngine(t)}
	g := startGateway(t, s, gatewayOptions{engines: []int{engines[0].port, engines[1].port}})
	b := &bench{server: s, gateway: g, browser: startBrowser(t, userTone), phone: startBaresip(t, g.phone, g.sip)}
	user := b.login(t)
	b.up(t, user)
	has := 0
	if engines[1].calls(t) {
		has = 1
	}
	if engines[1-has].calls(t) || !engines[has].calls(t) {
		t.Fatal("the call is not in one rtpengine")
	}
	before := size(g.log)
	engines[has].signal(syscall.SIGKILL)
	<-engines[has].done

	// A call meanwhile goes to the other one at once.
	other := sippOptions{target: g.sip, uri: g.encodedURIOf("romeo"), user: "+4930123451"}
	call := startSipp(t, other, "send INVITE; recv 180; recv 486; send ACK")
	e := user.rings(t)
	user.do(t, nil, "reject", e.From, e.SID, "busy")
	call.finished(t)

	user.ended(t, "terminate", "connectivity-error")
	b.phone.wait(t, "CALL_CLOSED")
	if log := since(g.log, before); !strings.Contains(log, "rtpengine "+local(engines[has].port)+": nobody listens there") {
		t.Errorf("the log does not say which rtpengine is lost:\n%s", log)
	}
	_, metrics, err := g.get("/metrics")
	for k, e := range engines {
		want := fmt.Sprintf("sipxmppgw_rtpengine_up{rtpengine=%q} %d", local(e.port), map[bool]int{true: 0, false: 1}[k == has])
		if err != nil || !strings.Contains(metrics, want) {
			t.Errorf("no %s in the metrics (%v)", want, err)
		}
	}

	again := b.login(t)
	b.phone.dial(t, uriOf("romeo"))
	again.hears(t, again.answers(t), phoneTone)
	talk()
	b.phone.command(t, "hangup", "")
	again.ended(t, "terminate", "success")
	b.phone.heard(t, userTone)
}

// What trunks, servers and transfers ask of the gateway's own relay an rtpengine does too.
func TestRTPEngineInPlaceOfTheRelay(t *testing.T) {
	t.Parallel()
	s, e, c := startProsody(t), startEngine(t), startTurn(t)
	chromium := startBrowser(t, userTone)
	protected := []protection{protections[0], protections[1], protections[7]}
	var settings []string
	for _, p := range protected {
		settings = append(settings, "srtp: "+p.trunk)
	}
	trunks, ports := moreTrunks(t, settings...)
	g := startGateway(t, s, gatewayOptions{engines: []int{e.port}, trunks: trunks, trusted: true})
	for i, p := range protected {
		t.Run(p.name, func(t *testing.T) {
			phone := startPhone(t, phoneOptions{user: numberAt(i), port: ports[i], proxy: g.sip, encryption: p.phone})
			b := &bench{server: s, gateway: g, browser: chromium, phone: phone}
			b.perform(t, play{"", func(t *testing.T, b *bench) { p.calls(t, b, i) }})
		})
	}
	b := &bench{server: s, gateway: g, browser: chromium, phone: startBaresip(t, g.phone, g.sip)}
	for _, p := range []play{transfers[0], transfers[4], {"a client behind TURN", func(t *testing.T, b *bench) {
		user := b.browser.login(t, s, clientOptions{turn: c})
		sid := b.up(t, user)
		c.owns(t, user, sid, false)
		talk()
		b.ends(t, user, sid)
	}}} {
		t.Run(p.name, func(t *testing.T) { b.perform(t, p) })
	}
}
