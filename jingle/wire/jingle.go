package wire

import (
	"strconv"
	"strings"
	"time"

	"gosrc.io/xmpp/stanza"

	"sipxmppgw/gateway/media"
)

// A Role is one of the two parties of a Jingle session.
type Role uint8

const (
	Initiator Role = iota
	Responder
)

// Other returns the opposite role.
func (r Role) Other() Role { return r ^ 1 }

// String returns the role as it stands in attributes.
func (r Role) String() string { return [...]string{"initiator", "responder"}[r&1] }

// An Action is what a Jingle stanza wants (XEP-0166 section 7.2).
type Action string

// The actions.
const (
	ContentAccept    Action = "content-accept"
	ContentAdd       Action = "content-add"
	ContentModify    Action = "content-modify"
	ContentReject    Action = "content-reject"
	ContentRemove    Action = "content-remove"
	DescriptionInfo  Action = "description-info"
	SecurityInfo     Action = "security-info"
	SessionAccept    Action = "session-accept"
	SessionInfo      Action = "session-info"
	SessionInitiate  Action = "session-initiate"
	SessionTerminate Action = "session-terminate"
	TransportAccept  Action = "transport-accept"
	TransportInfo    Action = "transport-info"
	TransportReject  Action = "transport-reject"
	TransportReplace Action = "transport-replace"
)

// A Jingle is one <jingle/> element.
type Jingle struct {
	Action    Action // as it came, also one that XEP-0166 does not know
	SID       string
	Initiator string // JIDs as they came; most clients leave them out
	Responder string
	Contents  []Content
	Groups    []Group
	Reason    *Reason
	Info      Info // of a session-info; of a session-initiate only a transfer
	// Hops is what is left of the call's Max-Forwards, nil if nobody counted, and Dialled whom
	// the caller dialled (XEP-0131). They are for a session without a proposal.
	Hops    *int
	Dialled string
}

// A Content is one <content/>.
type Content struct {
	Creator     Role
	Name        string
	Disposition string // empty for "session"
	App         string // namespace of the description; empty without one
	Net         string // namespace of the transport; empty without one

	// Stream is what the content says of media. Its directions are as the initiator of
	// the session sees them; [Jingle.Description] turns them for the responder.
	Stream media.Stream
}

// A Group relates contents (XEP-0338).
type Group struct {
	Semantics string
	Names     []string
}

// An InfoKind is the payload of a session-info.
type InfoKind uint8

// The payloads of XEP-0167 section 7.
const (
	InfoPing InfoKind = iota // none: is the session alive?
	InfoRinging
	InfoHold
	InfoActive // also unhold
	InfoMute
	InfoUnmute
	InfoDTMF     // XEP-0181
	InfoTransfer // XEP-0251
	InfoUnknown
)

var infoNames = [...]string{"", "ringing", "hold", "active", "mute", "unmute", "dtmf", "transfer", "unknown"}

// String returns the element's name.
func (k InfoKind) String() string { return infoNames[min(k, InfoUnknown)] }

// An Info is the payload of a session-info, with what mute and dtmf say besides.
type Info struct {
	Kind    InfoKind
	Creator Role
	Name    string // of the content; empty for all

	Key    byte          // of a dtmf: 0 to 9, *, #, A to D; 0 for a code that is none of them
	Length time.Duration // how long the key is down; 0 means that there is nothing to hear

	To, From, SID string // of a transfer: whom to call, for whom, and in place of which session
}

// What the length of a tone may be (XEP-0181 section 2). Longer ones do not fit into
// RFC 4733 at 8000 Hz.
const (
	toneLength = 100 * time.Millisecond // if nothing is said
	maxTone    = 5 * time.Second
)

// What one stanza may hold; what is more is left out, or is an error for contents.
const (
	MaxContents   = 16
	MaxPayloads   = 64
	MaxCandidates = 32 // of each component of a content
	maxSources    = 64
	maxParams     = 64
	maxHeaderExts = 32
	maxFeedback   = 32
	maxGroups     = 8
	maxName       = 256
	maxJID        = 3071 // RFC 7622 section 3.1
)

// ParseJingle reads a <jingle/>. An error is a [*ParseError].
func ParseJingle(n *stanza.Node) (Jingle, error) {
	j := Jingle{
		Action:    Action(Attr(n, "action")),
		SID:       Attr(n, "sid"),
		Initiator: Attr(n, "initiator"),
		Responder: Attr(n, "responder"),
	}
	switch {
	case j.Action == "":
		return j, bad("jingle", "has no action")
	case j.SID == "":
		return j, bad("jingle", "has no sid")
	case len(j.SID) > maxName:
		return j, bad("jingle", "the sid is too long")
	}
	payloads := 0
	for i := range n.Nodes {
		c := &n.Nodes[i]
		switch c.XMLName.Space + " " + c.XMLName.Local {
		case NSJingle + " content":
			if len(j.Contents) == MaxContents {
				return j, &ParseError{
					Path:      "jingle",
					Problem:   "has more than " + strconv.Itoa(MaxContents) + " contents",
					Condition: "policy-violation",
				}
			}
			content, err := parseContent("jingle/content["+strconv.Itoa(len(j.Contents))+"]", c)
			if err != nil {
				return j, err
			}
			j.Contents = append(j.Contents, content)
		case NSJingle + " reason":
			r := ParseReason(c)
			j.Reason = &r
		case NSGroup + " group":
			if len(j.Groups) < maxGroups {
				j.Groups = append(j.Groups, parseGroup(c))
			}
		case nsSHIM + " headers":
			if hops := hopsOf(c); hops >= 0 {
				j.Hops = &hops
			}
		default:
			if payloads++; payloads == 1 {
				j.Info = parseInfo(c)
			}
		}
	}
	if twice := duplicate(j.Contents); twice != "" {
		return j, bad("jingle", "content "+strconv.Quote(clip(twice))+" is there twice")
	}
	return j, nil
}

func duplicate(contents []Content) string {
	for i, c := range contents {
		for _, o := range contents[:i] {
			if o.Name == c.Name && o.Creator == c.Creator {
				return c.Name
			}
		}
	}
	return ""
}

func parseContent(path string, n *stanza.Node) (Content, error) {
	c := Content{Name: Attr(n, "name"), Disposition: Attr(n, "disposition")}
	switch {
	case c.Name == "":
		return c, bad(path, "has no name")
	case len(c.Name) > maxName:
		return c, bad(path, "the name is too long")
	}
	// Clients leave the creator out, or misspell it; the initiator's it is then.
	if Attr(n, "creator") == "responder" {
		c.Creator = Responder
	}
	if c.Disposition == "session" {
		c.Disposition = ""
	}
	c.Stream = media.Stream{Name: c.Name, Direction: directionOf(Attr(n, "senders"))}
	for i := range n.Nodes {
		e := &n.Nodes[i]
		switch e.XMLName.Local {
		case "description":
			if c.App != "" {
				return c, bad(path, "has two descriptions")
			}
			c.App = e.XMLName.Space
			parseDescription(e, &c.Stream)
		case "transport":
			if c.Net != "" {
				return c, bad(path, "has two transports")
			}
			c.Net = e.XMLName.Space
			parseTransport(e, &c.Stream.Transport)
		}
	}
	c.Stream.Transport.Profile = profileOf(c)
	return c, nil
}

// profileOf returns the profile that SDP would name (INTERWORKING.md section 3.2).
func profileOf(c Content) media.Profile {
	t := c.Stream.Transport
	feedback := len(c.Stream.Feedback) > 0
	for _, codec := range c.Stream.Codecs {
		feedback = feedback || len(codec.Feedback) > 0
	}
	switch {
	case c.App != "" && c.App != NSRTP, c.Net != "" && c.Net != NSICE && c.Net != NSRawUDP:
		return media.NoRTP
	case t.DTLS != nil:
		return media.TLSSAVPF
	case t.SDES != nil && feedback:
		return media.SAVPF
	case t.SDES != nil:
		return media.SAVP
	case feedback:
		return media.AVPF
	default:
		return media.AVP
	}
}

// directionOf returns what senders means to the initiator (INTERWORKING.md section 3.4).
func directionOf(senders string) media.Direction {
	switch senders {
	case "initiator":
		return media.SendOnly
	case "responder":
		return media.RecvOnly
	case "none":
		return media.Inactive
	default:
		return media.SendRecv
	}
}

func sendersOf(d media.Direction) string {
	return [...]string{"both", "initiator", "responder", "none"}[d&3]
}

func parseGroup(n *stanza.Node) Group {
	g := Group{Semantics: Attr(n, "semantics")}
	for i := range n.Nodes {
		c := &n.Nodes[i]
		if c.XMLName.Local != "content" || len(g.Names) == MaxContents {
			continue
		}
		if name := Attr(c, "name"); name != "" && len(name) <= maxName {
			g.Names = append(g.Names, name)
		}
	}
	return g
}

func parseInfo(n *stanza.Node) Info {
	i := Info{Kind: InfoUnknown, Name: Attr(n, "name")}
	if Attr(n, "creator") == "responder" {
		i.Creator = Responder
	}
	if n.XMLName.Space == NSDTMF && n.XMLName.Local == "dtmf" {
		i.Kind = InfoDTMF
		i.Key = keyOf(Attr(n, "code"))
		i.Length = lengthOf(n)
	}
	if n.XMLName.Space == NSTransfer && n.XMLName.Local == "transfer" {
		i.Kind = InfoTransfer
		i.To, i.From, i.SID = Attr(n, "to"), Attr(n, "from"), Attr(n, "sid")
		if len(i.To) > maxJID || len(i.From) > maxJID || len(i.SID) > maxName {
			i.Kind = InfoUnknown
		}
	}
	if n.XMLName.Space != NSRTPInfo {
		return i
	}
	if n.XMLName.Local == "unhold" {
		i.Kind = InfoActive
	}
	for k := InfoRinging; k <= InfoUnmute; k++ {
		if n.XMLName.Local == k.String() {
			i.Kind = k
		}
	}
	return i
}

// codeOf returns the code of a key, nothing for none.
func codeOf(key byte) string {
	if key == 0 {
		return ""
	}
	return string(rune(key))
}

// keyOf returns the key of a code, 0 if there is none such.
func keyOf(code string) byte {
	code = strings.ToUpper(code)
	if len(code) != 1 || !strings.Contains("0123456789*#ABCD", code) {
		return 0
	}
	return code[0]
}

// lengthOf reads how many milliseconds a tone is long.
func lengthOf(n *stanza.Node) time.Duration {
	ms, ok := number(n, "duration", 1<<32-1)
	if !ok {
		return toneLength
	}
	return min(time.Duration(ms)*time.Millisecond, maxTone)
}

// Description returns what the contents say, as their describer means it: the party in
// that role sent them.
func (j Jingle) Description(describer Role) media.Description {
	var d media.Description
	for _, c := range j.Contents {
		s := c.Stream
		s.HeaderExts = append([]media.HeaderExt(nil), s.HeaderExts...)
		if describer == Responder {
			turn(&s)
		}
		d.Streams = append(d.Streams, s)
	}
	for _, g := range j.Groups {
		if g.Semantics == "BUNDLE" && d.Bundle == nil {
			d.Bundle = present(g.Names, d)
		}
	}
	return d
}

// turn reverses the directions of a stream.
func turn(s *media.Stream) {
	s.Direction = s.Direction.Reverse()
	for i := range s.HeaderExts {
		s.HeaderExts[i].Direction = s.HeaderExts[i].Direction.Reverse()
	}
}

// present returns the names, each once, that streams of the description have.
func present(names []string, d media.Description) []string {
	var have []string
	for _, name := range names {
		if s := d.Stream(name); s == nil || s.Rejected || contains(have, name) {
			continue
		}
		have = append(have, name)
	}
	return have
}

func contains(list []string, s string) bool {
	for _, l := range list {
		if l == s {
			return true
		}
	}
	return false
}

// ContentsOf returns the contents and groups that say what the description does, sent by
// its describer. Streams that are rejected, or that are neither audio nor video, are left
// out. The creator of all is the initiator; a stream without a name has its place as name.
func ContentsOf(d media.Description, describer Role) ([]Content, []Group) {
	var contents []Content
	for i, s := range d.Streams {
		if s.Rejected || s.Kind == media.Other {
			continue
		}
		contents = append(contents, described(s, i, describer))
	}
	var groups []Group
	if names := present(d.Bundle, d); len(names) > 0 {
		groups = []Group{{Semantics: "BUNDLE", Names: names}}
	}
	return contents, groups
}

func described(s media.Stream, place int, describer Role) Content {
	s.HeaderExts = append([]media.HeaderExt(nil), s.HeaderExts...)
	if describer == Responder {
		turn(&s)
	}
	return Content{Name: NameOf(s, place), App: NSRTP, Net: netOf(s.Transport), Stream: s}
}

// NameOf returns the content name of a stream in that place.
func NameOf(s media.Stream, place int) string {
	if s.Name == "" {
		return strconv.Itoa(place)
	}
	return s.Name
}

// TransportsOf returns contents with nothing but the transports of a description.
func TransportsOf(d media.Description) []Content {
	var contents []Content
	for i, s := range d.Streams {
		net := netOf(s.Transport)
		if net == "" || s.Rejected {
			continue
		}
		contents = append(contents, Content{
			Name: NameOf(s, i), Net: net, Stream: media.Stream{Transport: s.Transport},
		})
	}
	return contents
}

func netOf(t media.Transport) string {
	switch {
	case t.ICE != nil:
		return NSICE
	case t.Addr.IsValid():
		return NSRawUDP
	default:
		return ""
	}
}

// Element returns the <jingle/>.
func (j Jingle) Element() stanza.Node {
	n := Element(
		NSJingle, "jingle",
		"action", string(j.Action), "initiator", j.Initiator, "responder", j.Responder, "sid", j.SID,
	)
	for _, g := range j.Groups {
		group := Element(NSGroup, "group", "semantics", g.Semantics)
		for _, name := range g.Names {
			group.Nodes = append(group.Nodes, Element(NSGroup, "content", "name", name))
		}
		n.Nodes = append(n.Nodes, group)
	}
	for _, c := range j.Contents {
		n.Nodes = append(n.Nodes, c.element(j.Action))
	}
	if j.Reason != nil {
		n.Nodes = append(n.Nodes, j.Reason.Element())
	}
	if j.Action == SessionInfo || j.Info.Kind == InfoTransfer {
		n.Nodes = append(n.Nodes, j.Info.elements()...)
	}
	if j.Hops != nil || j.Dialled != "" {
		left := 0
		if j.Hops != nil {
			left = *j.Hops
		}
		n.Nodes = append(n.Nodes, Headers(left, j.Dialled))
	}
	return n
}

func (c Content) element(a Action) stanza.Node {
	n := Element(
		NSJingle, "content",
		"creator", c.Creator.String(), "name", c.Name, "disposition", c.Disposition,
	)
	if c.App != "" || a == ContentModify {
		n.Attrs = append(n.Attrs, Element("", "", "senders", sendersOf(c.Stream.Direction)).Attrs...)
	}
	if c.App == NSRTP {
		n.Nodes = append(n.Nodes, descriptionElement(c.Stream))
	}
	if c.Net == NSICE || c.Net == NSRawUDP {
		n.Nodes = append(n.Nodes, transportElement(c.Net, c.Stream.Transport))
	}
	return n
}

func (i Info) elements() []stanza.Node {
	switch i.Kind {
	case InfoPing, InfoUnknown:
		return nil
	case InfoTransfer:
		return []stanza.Node{Element(NSTransfer, "transfer", "from", i.From, "sid", i.SID, "to", i.To)}
	case InfoDTMF:
		return []stanza.Node{Element(NSDTMF, "dtmf", "code", codeOf(i.Key), "duration", decimal(i.Length.Milliseconds()))}
	}
	creator := ""
	if i.Name != "" {
		creator = i.Creator.String()
	}
	return []stanza.Node{Element(NSRTPInfo, i.Kind.String(), "creator", creator, "name", i.Name)}
}

// Title returns the action in one line, with what a reader of a trace looks for first.
func (j Jingle) Title() string {
	words := []string{string(j.Action)}
	if j.Action == SessionInfo && j.Info.Kind != InfoPing {
		words = append(words, j.Info.Kind.String())
	}
	if j.Reason != nil && j.Reason.Name != "" {
		words = append(words, j.Reason.Name)
	}
	return clip(strings.Join(words, " "))
}
