//go:build interop

package interop

import (
	"bytes"
	"context"
	"crypto/sha1"
	"encoding/hex"
	"encoding/json"
	"encoding/xml"
	"errors"
	"fmt"
	"net"
	"net/http"
	"os"
	"path/filepath"
	"testing"
	"text/template"
	"time"

	"sipxmppgw/test/peer/xmppclient"
)

const (
	userDomain    = "example.test"
	gatewayDomain = "tel.example.test"
	secondDomain  = "tel2.example.test" // Prosody has two components
	thirdDomain   = "tel3.example.test" // of an ejabberd beside it
	secret        = "correct horse"
	password      = "pw"

	nsClient = "jabber:client"
)

// users that a server knows.
var users = []string{"romeo", "juliet"}

// A server is an XMPP server: users, and one component.
type server struct {
	*process
	name      string
	gateway   string // domain of the component
	restart   func() // starts it again with the same data, after stop or kill
	dir       string
	client    int // ports of 127.0.0.1
	component int
	http      int // WebSocket at /xmpp-websocket
	stun      int // that Prosody names as a STUN server's (XEP-0215)
}

// servers that every call is tried with.
var servers = []struct {
	name  string
	start func(*testing.T) *server
}{
	{"Prosody", startProsody},
	{"ejabberd", startEjabberd},
}

func (s *server) websocket() string {
	return "ws://" + local(s.http) + "/xmpp-websocket"
}

// dial logs a user in, without a browser.
func (s *server) dial(t *testing.T, user, resource string) *xmppclient.Client {
	t.Helper()
	ctx, cancel := context.WithTimeout(t.Context(), 20*time.Second)
	defer cancel()
	c, err := xmppclient.Dial(ctx, xmppclient.Options{
		Addr: local(s.client), User: user, Domain: userDomain, Resource: resource, Password: password,
	})
	if err != nil {
		t.Fatal(err)
	}
	t.Cleanup(func() { _ = c.Close() })
	return c
}

func newServer(t *testing.T, name string) *server {
	t.Helper()
	return &server{name: name, gateway: gatewayDomain, dir: t.TempDir(), client: freePort(t), component: freePort(t), http: freePort(t), stun: freePort(t)}
}

// write fills in a template of testdata.
func (s *server) write(t *testing.T, name string, node int) string {
	t.Helper()
	file := filepath.Join(s.dir, name)
	writeTemplate(t, name, file, map[string]any{
		"Dir": s.dir, "Client": s.client, "Component": s.component, "HTTP": s.http, "STUN": s.stun, "Node": node,
		"Domain": userDomain, "Gateway": s.gateway, "Second": secondDomain, "Secret": secret,
	})
	return file
}

func writeTemplate(t *testing.T, name, file string, values any) {
	t.Helper()
	var text bytes.Buffer
	tmpl := template.Must(template.ParseFiles(filepath.Join("testdata", name))).Option("missingkey=error")
	if err := tmpl.Execute(&text, values); err != nil {
		t.Fatal(err)
	}
	if err := os.WriteFile(file, text.Bytes(), 0o644); err != nil {
		t.Fatal(err)
	}
}

// startProsody starts Prosody with its users and waits until it is ready.
func startProsody(t *testing.T) *server {
	t.Helper()
	s := newServer(t, "Prosody")
	config := s.write(t, "prosody.cfg.lua", 0)
	for _, user := range users {
		run(t, "prosodyctl", "--config", config, "register", user, userDomain, password)
	}
	s.restart = func() {
		t.Helper()
		s.process = start(t, "prosody", processOptions{dir: s.dir}, "prosody", "-F", "--config", config)
		s.listens(t, s.component)
		s.listens(t, s.http)
	}
	s.restart()
	return s
}

// startEjabberd starts a node of ejabberd with its users and waits until it is ready.
func startEjabberd(t *testing.T) *server {
	t.Helper()
	return startEjabberdFor(t, gatewayDomain)
}

// startEjabberdFor is that for a component of another domain.
func startEjabberdFor(t *testing.T, domain string) *server {
	t.Helper()
	s := newServer(t, "ejabberd")
	s.gateway = domain
	node := freePort(t)
	config, ctl := s.write(t, "ejabberd.yml", node), s.write(t, "ejabberdctl.cfg", node)
	for _, d := range []string{"spool", "log"} {
		if err := os.Mkdir(filepath.Join(s.dir, d), 0o755); err != nil {
			t.Fatal(err)
		}
	}
	o := processOptions{dir: s.dir, env: []string{"HOME=" + s.dir}}
	if os.Geteuid() == 0 { // ejabberdctl runs as the user ejabberd only, who must own its places
		run(t, "chown", "-R", "ejabberd:", s.dir)
		if err := os.Chmod(filepath.Dir(s.dir), 0o755); err != nil {
			t.Fatal(err)
		}
		o.user = "ejabberd"
	}
	s.restart = func() {
		t.Helper()
		s.process = start(t, "ejabberd", o,
			"ejabberdctl", "--ctl-config", ctl, "--config-dir", s.dir, "--config", config,
			"--spool", filepath.Join(s.dir, "spool"), "--logs", filepath.Join(s.dir, "log"),
			"--node", fmt.Sprintf("interop%d@localhost", node), "foreground")
		s.listens(t, s.component)
		s.listens(t, s.http)
	}
	s.restart()
	for _, user := range users {
		s.register(t, user)
	}
	return s
}

func (s *server) register(t *testing.T, user string) {
	t.Helper()
	body, err := json.Marshal(map[string]string{"user": user, "host": userDomain, "password": password})
	if err != nil {
		t.Fatal(err)
	}
	r, err := http.Post("http://"+local(s.http)+"/api/register", "application/json", bytes.NewReader(body))
	if err != nil {
		t.Fatal(err)
	}
	defer r.Body.Close()
	if r.StatusCode != http.StatusOK {
		t.Fatalf("register %s: %s", user, r.Status)
	}
}

// A component is the least that speaks XEP-0114: it proves the servers, not the gateway.
type component struct {
	conn net.Conn
	in   *xml.Decoder
}

// connectComponent does the handshake. An error says what the server answered.
func connectComponent(s *server, secret string) (*component, error) {
	conn, err := net.DialTimeout("tcp", local(s.component), time.Second)
	if err != nil {
		return nil, err
	}
	c := &component{conn, xml.NewDecoder(conn)}
	if err := c.handshake(secret); err != nil {
		conn.Close()
		return nil, err
	}
	return c, nil
}

func (c *component) handshake(secret string) error {
	if err := c.conn.SetDeadline(time.Now().Add(20 * time.Second)); err != nil {
		return err
	}
	fmt.Fprintf(c.conn, "<stream:stream xmlns='jabber:component:accept' xmlns:stream='http://etherx.jabber.org/streams' to='%s'>", gatewayDomain)
	stream, err := c.next()
	if err != nil {
		return err
	}
	var id string
	for _, a := range stream.Attr {
		if a.Name.Local == "id" {
			id = a.Value
		}
	}
	digest := sha1.Sum([]byte(id + secret))
	fmt.Fprintf(c.conn, "<handshake>%s</handshake>", hex.EncodeToString(digest[:]))
	answer, err := c.next()
	if err != nil {
		return err
	}
	if answer.Name.Local == "handshake" {
		return nil
	}
	condition, err := c.next()
	if err != nil {
		return err
	}
	return errors.New(condition.Name.Local)
}

// next returns the next start tag.
func (c *component) next() (xml.StartElement, error) {
	for {
		token, err := c.in.Token()
		if err != nil {
			return xml.StartElement{}, err
		}
		if e, ok := token.(xml.StartElement); ok {
			return e.Copy(), nil
		}
	}
}

// find reads until a start tag with a name.
func (c *component) find(name string) error {
	for {
		e, err := c.next()
		if err != nil {
			return err
		}
		if e.Name.Local == name {
			return nil
		}
	}
}

func TestPeerServers(t *testing.T) {
	for _, kind := range servers {
		t.Run(kind.name, func(t *testing.T) {
			s := kind.start(t)
			t.Run("takes the component", func(t *testing.T) {
				c, err := connectComponent(s, secret)
				if err != nil {
					t.Fatal(err)
				}
				defer c.conn.Close()
				fmt.Fprintf(c.conn, "<iq type='get' id='1' from='%s' to='%s'><ping xmlns='urn:xmpp:ping'/></iq>", gatewayDomain, userDomain)
				if err := c.find("iq"); err != nil {
					t.Error("no answer to a ping:", err)
				}
			})
			t.Run("refuses a wrong secret", func(t *testing.T) {
				if _, err := connectComponent(s, "wrong"); err == nil || err.Error() != "not-authorized" {
					t.Errorf("got %v, want not-authorized", err)
				}
			})
			t.Run("bounces a message to a user it does not know", func(t *testing.T) {
				c, err := connectComponent(s, secret)
				if err != nil {
					t.Fatal(err)
				}
				defer c.conn.Close()
				fmt.Fprintf(c.conn, "<message type='chat' id='1' from='%s' to='nobody@%s'><body>?</body></message>", gatewayDomain, userDomain)
				if err := c.find("service-unavailable"); err != nil {
					t.Error("no error came back:", err)
				}
			})
			t.Run("comes back after a kill", func(t *testing.T) {
				s.kill(t)
				if dialable(s.component) == nil {
					t.Fatal("the component port is still open")
				}
				s.restart()
				c, err := connectComponent(s, secret)
				if err != nil {
					t.Fatal(err)
				}
				c.conn.Close()
			})
		})
	}
}

func TestPeerProsodyDropsTheOldConnection(t *testing.T) {
	s := startProsody(t)
	old, err := connectComponent(s, secret)
	if err != nil {
		t.Fatal(err)
	}
	defer old.conn.Close()
	young, err := connectComponent(s, secret)
	if err != nil {
		t.Fatal("second connection:", err)
	}
	defer young.conn.Close()
	if err := old.find("conflict"); err != nil {
		t.Error("the old connection was not told of the conflict:", err)
	}
}
