//go:build interop

package interop

import (
	"fmt"
	"slices"
	"strconv"
	"strings"
	"sync"
	"testing"
	"time"
)

// lanes is how many plays of a lab are on at once. They wait most of their time.
const lanes = 5

// A lab is one gateway beside a Prosody, and a browser, for many plays at once: each has a
// user and a trunk of its own.
type lab struct {
	server  *server
	gateway *gateway
	browser *browser
}

// A stage is where one play of a lab is played: a user, and a trunk at an address of
// 127.0.0.0/8 to which a number leads.
type stage struct {
	*lab
	user   string // who plays the XMPP side
	trunk  string
	host   string // of the trunk
	port   int
	number string
	log    int64 // length of the gateway's log before
}

// A scene is one play of a lab.
type scene struct {
	name  string
	trunk string // settings of its trunk
	local bool   // the trunk is at 127.0.0.1 too, for programs that know no other address
	run   func(*testing.T, *stage)
	ends  string // of its calls, as the gateway has them: "cause by whom, …"
}

// playAll plays scenes, those first that stand first.
func playAll(t *testing.T, scenes []scene) {
	l := &lab{server: startProsody(t), browser: startBrowser(t, userTone)}
	stages := make([]stage, len(scenes))
	var trunks []trunkOptions
	for i, s := range scenes {
		st := stage{
			lab: l, trunk: fmt.Sprintf("stage%02d", i), port: freePort(t),
			host: fmt.Sprintf("127.0.1.%d", i+1), number: fmt.Sprintf("+3725%02d1234", i),
		}
		if s.local {
			st.host = "127.0.0.1"
		}
		trunks = append(trunks, trunkOptions{
			Name: st.trunk, Prefix: st.number[:7], Address: st.address(st.port), Settings: s.trunk,
		})
		stages[i] = st
	}
	// Nobody in these plays waits in vain, but some wait for long.
	l.gateway = startGateway(t, l.server, gatewayOptions{noAnswer: 2 * time.Minute, trunks: trunks})
	queue := make(chan int)
	var all sync.WaitGroup
	for lane := range lanes {
		user := fmt.Sprintf("user%d", lane)
		run(t, "prosodyctl", "--config", l.server.dir+"/prosody.cfg.lua", "register", user, userDomain, password)
		all.Go(func() {
			for i := range queue {
				stages[i].user = user
				t.Run(scenes[i].name, func(t *testing.T) { stages[i].play(t, scenes[i]) })
			}
		})
	}
	for i := range scenes {
		queue <- i
	}
	close(queue)
	all.Wait()
	if err := within(10*time.Second, l.gateway.idle); err != nil {
		t.Error("afterwards:", err)
	}
}

// play plays one scene; then the gateway must have no call left, and the same idea of those
// there were.
func (s *stage) play(t *testing.T, sc scene) {
	s.log = size(s.gateway.log)
	t.Cleanup(func() {
		if t.Failed() {
			t.Logf("the gateway printed:\n%s", strings.Join(s.lines(), "\n"))
		}
	})
	sc.run(t, s)
	var ends []string
	err := within(10*time.Second, func() error {
		var begun int
		begun, ends = s.calls()
		if begun > len(ends) {
			return fmt.Errorf("%d calls of %d have ended", len(ends), begun)
		}
		return nil
	})
	if err != nil {
		t.Error("afterwards:", err)
	}
	if got := strings.Join(ends, ", "); got != sc.ends {
		t.Errorf("for the gateway the calls ended %q, want %q", got, sc.ends)
	}
}

// lines are what the gateway printed of the calls of this stage.
func (s *stage) lines() []string {
	var lines, ids []string
	for line := range strings.Lines(since(s.gateway.log, s.log)) {
		id := field(line, "call")
		if field(line, "trunk") == s.trunk && id != "" && !slices.Contains(ids, id) {
			ids = append(ids, id)
		}
		if field(line, "trunk") == s.trunk || slices.Contains(ids, id) {
			lines = append(lines, strings.TrimSpace(line))
		}
	}
	return lines
}

// calls returns how many calls were begun, and how the gateway says that they ended.
func (s *stage) calls() (begun int, ends []string) {
	for _, line := range s.lines() {
		switch {
		case strings.Contains(line, `msg="call begins"`):
			begun++
		case strings.Contains(line, `msg="call ended"`):
			ends = append(ends, field(line, "cause")+" by "+field(line, "by"))
		}
	}
	return begun, ends
}

// field returns the value of a key in a line of the log; empty if it is not there.
func field(line, key string) string {
	_, rest, found := strings.Cut(line, " "+key+"=")
	if !found {
		return ""
	}
	if rest[0] == '"' {
		value, err := strconv.QuotedPrefix(rest)
		if err == nil {
			value, err = strconv.Unquote(value)
		}
		if err == nil {
			return value
		}
	}
	value, _, _ := strings.Cut(strings.TrimSpace(rest), " ")
	return value
}

func (s *stage) address(port int) string { return s.host + ":" + strconv.Itoa(port) }

func (s *stage) login(t *testing.T) *client {
	t.Helper()
	return s.browser.login(t, s.server, clientOptions{user: s.user})
}

// sippCalls starts a call from SIPp, at the trunk's address, to the user.
func (s *stage) sippCalls(t *testing.T, script string) *sipp {
	t.Helper()
	return startSipp(t, sippOptions{
		host: s.host, target: s.gateway.sip, uri: s.gateway.encodedURIOf(s.user),
	}, script)
}

// sippWaits starts SIPp as the trunk.
func (s *stage) sippWaits(t *testing.T, script string) *sipp {
	t.Helper()
	return startSipp(t, sippOptions{host: s.host, port: s.port, user: s.number}, script)
}

// talks has the user call the trunk, SIPp, and returns when that has answered and sends back
// what it hears.
func (s *stage) talks(t *testing.T) (user *client, sid string) {
	t.Helper()
	user = s.login(t)
	sid = user.proposes(t, s.number)
	user.wait(t, "accepted")
	user.hears(t, sid, userTone)
	return user, sid
}

// told waits until the user is told something by session-info.
func (c *client) told(t *testing.T, name string) {
	t.Helper()
	for c.wait(t, "info").Name != name {
	}
}

func TestPeerFieldsOfALogLine(t *testing.T) {
	line := `time=2026 level=INFO msg="call ended" call=c1 cause="no answer" by=sip` + "\n"
	for key, want := range map[string]string{"msg": "call ended", "call": "c1", "cause": "no answer", "by": "sip", "trunk": ""} {
		if got := field(line, key); got != want {
			t.Errorf("field %s is %q, want %q", key, got, want)
		}
	}
}
