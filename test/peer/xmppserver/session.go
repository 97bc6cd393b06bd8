package xmppserver

import (
	"context"
	"errors"
	"fmt"
	"maps"
	"slices"
	"sync"

	"sipxmppgw/test/peer/element"
)

// A user is an account of the server's domain.
type user struct {
	jid      string // bare
	sessions map[string]*Session
	roster   map[string]*contact // by bare JID
	offline  []*element.Element
}

// ordered returns the sessions in the order of their resources, so that tests see the same every time.
func (u *user) ordered() []*Session {
	var out []*Session
	for _, name := range slices.Sorted(maps.Keys(u.sessions)) {
		out = append(out, u.sessions[name])
	}
	return out
}

func (u *user) contacts() []string { return slices.Sorted(maps.Keys(u.roster)) }

// session returns the session with that full JID, or nil.
func (u *user) session(full string) *Session {
	j, _ := address(full)
	return u.sessions[j.Resourcepart()]
}

// A Session is one resource of a user that is logged in.
type Session struct {
	server *Server
	user   *user
	jid    string // full
	inbox  *queue[*element.Element]
	once   sync.Once

	// These are guarded by the server's lock.
	presence   *element.Element // last broadcast; nil before the first and after unavailable
	priority   int
	interested bool // in roster pushes
	carbons    bool
	directed   map[string]bool // who has had directed presence
}

const maxInbox = 20000 // stanzas that a session has not taken

// AddUser makes an account; Login does so too.
func (s *Server) AddUser(bareJID string) error {
	j, ok := address(bareJID)
	if !ok || j.Localpart() == "" || j.Domain().String() != s.options.Domain {
		return fmt.Errorf("user %s: is not of %s", bareJID, s.options.Domain)
	}
	s.mu.Lock()
	defer s.mu.Unlock()
	s.account(j.Bare().String())
	return nil
}

func (s *Server) account(jid string) *user {
	u := s.users[jid]
	if u == nil {
		u = &user{jid: jid, sessions: map[string]*Session{}, roster: map[string]*contact{}}
		s.users[jid] = u
	}
	return u
}

// Login opens a session for a full JID of the server's domain. It is not available before
// it sends presence. A session with the same resource is ended.
func (s *Server) Login(full string) (*Session, error) {
	j, ok := address(full)
	if !ok || j.Localpart() == "" || j.Resourcepart() == "" || j.Domain().String() != s.options.Domain {
		return nil, fmt.Errorf("log in %s: is not a full JID of %s", full, s.options.Domain)
	}
	s.mu.Lock()
	defer s.mu.Unlock()
	if s.closed {
		return nil, errors.New("the server is closed")
	}
	u := s.account(j.Bare().String())
	if old := u.sessions[j.Resourcepart()]; old != nil {
		s.logout(old)
	}
	session := &Session{
		server: s, user: u, jid: j.String(),
		inbox:    newQueue[*element.Element](maxInbox),
		directed: map[string]bool{},
	}
	u.sessions[j.Resourcepart()] = session
	return session, nil
}

// JID returns the session's full JID.
func (x *Session) JID() string { return x.jid }

// available reports whether presence was sent. The server is locked.
func (x *Session) available() bool { return x.presence != nil }

// Receive calls f with each stanza for the session, in order and one at a time, from now
// on and until the session ends. It is called once, and not together with Next.
func (x *Session) Receive(f func(*element.Element)) {
	x.once.Do(func() {
		x.server.tasks.Go(func() { // until the inbox is closed
			for {
				e, err := x.inbox.take(context.Background())
				if err != nil {
					return
				}
				f(e)
			}
		})
	})
}

// Next returns the next stanza for the session; an error is ctx's or says that it ended.
func (x *Session) Next(ctx context.Context) (*element.Element, error) {
	return x.inbox.take(ctx)
}

// SendRaw parses text as one stanza and sends it.
func (x *Session) SendRaw(text string) error {
	e, err := element.Parse(text, nsClient)
	if err != nil {
		return err
	}
	return x.Send(e)
}

// Send sends a stanza as this session; its from is set by the server. It does not wait.
func (x *Session) Send(e *element.Element) error {
	s := x.server
	s.mu.Lock()
	defer s.mu.Unlock()
	if s.closed || x.user.session(x.jid) != x {
		return fmt.Errorf("send as %s: %w", x.jid, errClosed)
	}
	if e.Space != nsClient {
		return fmt.Errorf("send %s: is not in %s", e.Name, nsClient)
	}
	e = e.Rename("", nsClient)
	s.trace(x.jid, true, e.String())
	e.Set("from", x.jid)
	switch e.Name {
	case "presence":
		s.sendPresence(x, e)
	case "message":
		if e.Attr("to") == "" {
			e.Set("to", x.user.jid)
		}
		s.carbon(x.user, e, "sent", x)
		s.route(e)
	case "iq":
		if problem := wrongIQ(e); problem != "" {
			return fmt.Errorf("send iq: %s", problem)
		}
		if e.Attr("to") == "" {
			e.Set("to", x.user.jid)
		}
		s.route(e)
	default:
		return fmt.Errorf("send %s: is not a stanza", e.Name)
	}
	return nil
}

// Close logs out: the user's contacts see the session become unavailable.
func (x *Session) Close() {
	x.server.mu.Lock()
	defer x.server.mu.Unlock()
	if x.user.session(x.jid) == x {
		x.server.logout(x)
	}
}

func (s *Server) logout(x *Session) {
	if x.available() || len(x.directed) > 0 {
		s.sendPresence(x, element.New(nsClient, "presence", "type", "unavailable", "from", x.jid))
	}
	j, _ := address(x.jid)
	delete(x.user.sessions, j.Resourcepart())
	x.inbox.close()
}
