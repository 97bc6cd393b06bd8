package pidf

import (
	"bytes"
	"fmt"
	"slices"
	"strconv"
	"strings"
)

const nsConference = "urn:ietf:params:xml:ns:conference-info"

// ConferenceMediaType is the type of a conference-info document.
const ConferenceMediaType = "application/conference-info+xml"

const maxUsers = 1000

// A User is somebody in a conference.
type User struct {
	Entity    string // URI
	Nick      string // or what is shown of them
	Moderator bool
	Gone      bool // they are not there any more
	Booted    bool // because they were put out
}

// A Conference is who is in a conference, as it reports it (RFC 4575).
type Conference struct {
	Entity  string
	Version uint32
	Full    bool
	Subject *string
	Users   []User
}

// ParseConference reads a conference-info document. An error is an [*Error].
func ParseConference(body []byte) (Conference, error) {
	root, err := read(body)
	if err != nil {
		return Conference{}, err
	}
	if root.name.Local != "conference-info" || root.name.Space != nsConference {
		return Conference{}, &Error{"it is no conference-info"}
	}
	version, err := strconv.ParseUint(root.attribute("version"), 10, 32)
	if err != nil && root.attribute("version") != "" {
		return Conference{}, &Error{"its version is no number"}
	}
	state := root.attribute("state")
	c := Conference{Entity: root.attribute("entity"), Version: uint32(version), Full: state == "full" || state == ""}
	if state == "deleted" {
		return Conference{}, &Error{"the conference is over"}
	}
	if d := root.child(nsConference, "conference-description"); d != nil {
		if s := d.child(nsConference, "subject"); s != nil {
			text := clean(strings.TrimSpace(s.text), maxText)
			c.Subject = &text
		}
	}
	users := root.child(nsConference, "users")
	if users == nil {
		return c, nil
	}
	for _, n := range users.children {
		if n.name.Local != "user" || n.name.Space != nsConference || n.attribute("entity") == "" || len(c.Users) == maxUsers {
			continue
		}
		c.Users = append(c.Users, userOf(n))
	}
	return c, nil
}

func userOf(n *node) User {
	u := User{Entity: n.attribute("entity"), Nick: nickname(n), Gone: n.attribute("state") == "deleted"}
	if t := n.child(nsConference, "display-text"); t != nil && u.Nick == "" {
		u.Nick = clean(strings.TrimSpace(t.text), 256)
	}
	if r := n.child(nsConference, "roles"); r != nil {
		for _, e := range r.children {
			word := strings.ToLower(strings.TrimSpace(e.text))
			u.Moderator = u.Moderator || word == "moderator" || word == "administrator"
		}
	}
	some, there := false, false
	for _, e := range n.children {
		if e.name.Local != "endpoint" {
			continue
		}
		if s := e.child(nsConference, "status"); s != nil {
			some = true
			there = there || strings.TrimSpace(s.text) != "disconnected"
		}
		if m := e.child(nsConference, "disconnection-method"); m != nil {
			u.Booted = u.Booted || strings.TrimSpace(m.text) == "booted"
		}
	}
	u.Gone = u.Gone || some && !there
	return u
}

// nickname is the name that somebody has in the room (RFC 6501 section 4.6.5.9, RFC 7701).
func nickname(n *node) string {
	for _, a := range n.attr {
		if a.Name.Local == "nickname" {
			return clean(strings.TrimSpace(a.Value), 256)
		}
	}
	return ""
}

// FormatConference writes a whole document.
func FormatConference(c Conference) []byte {
	var b bytes.Buffer
	fmt.Fprintf(&b, "<?xml version=\"1.0\" encoding=\"UTF-8\"?>\n<conference-info xmlns=\"%s\" xmlns:xcon=\"urn:ietf:params:xml:ns:xcon-conference-info\" entity=\"%s\" state=\"full\" version=\"%d\">\n",
		nsConference, escape(c.Entity), c.Version)
	if c.Subject != nil {
		fmt.Fprintf(&b, "  <conference-description><subject>%s</subject></conference-description>\n", escape(*c.Subject))
	}
	fmt.Fprintf(&b, "  <conference-state><user-count>%d</user-count></conference-state>\n  <users>\n", len(c.Users))
	users := slices.SortedFunc(slices.Values(c.Users), func(a, b User) int { return strings.Compare(a.Entity, b.Entity) })
	for _, u := range users {
		role := "participant"
		if u.Moderator {
			role = "moderator"
		}
		nick := escape(clean(u.Nick, 256))
		fmt.Fprintf(&b, "    <user entity=\"%s\" state=\"full\" xcon:nickname=\"%s\"><display-text>%s</display-text><roles><entry>%s</entry></roles>"+
			"<endpoint entity=\"%[1]s\"><status>connected</status><media id=\"1\"><type>message</type></media></endpoint></user>\n",
			escape(u.Entity), nick, nick, role)
	}
	b.WriteString("  </users>\n</conference-info>\n")
	return b.Bytes()
}
