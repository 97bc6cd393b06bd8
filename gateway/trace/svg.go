package trace

import (
	"fmt"
	"strings"
	"unicode/utf8"
)

// The sizes of a drawing, in pixels.
const (
	svgWidth  = 980
	svgRow    = 26
	svgTop    = 50
	svgSIP    = 190 // the posts
	svgMiddle = 540
	svgXMPP   = 890
)

// SVG draws a call as [Ladder] does, as a picture. A message whole stands in its arrow's
// tooltip. Classes let a page that shows it have other colours.
func SVG(r Recording) string {
	all := rungs(r)
	height := svgTop + svgRow*(len(all)+1)
	var b strings.Builder
	fmt.Fprintf(&b, `<svg xmlns="http://www.w3.org/2000/svg" width="%d" height="%d" viewBox="0 0 %d %d" font-family="sans-serif" font-size="12">`+"\n",
		svgWidth, height, svgWidth, height)
	fmt.Fprintf(&b, `<title>%s</title>`+"\n", escape("Call "+r.Call))
	b.WriteString(`<defs><marker id="tip" viewBox="0 0 8 8" refX="8" refY="4" markerWidth="8" markerHeight="8" orient="auto"><path d="M0 0L8 4L0 8z"/></marker></defs>` + "\n")
	b.WriteString(`<rect class="ground" width="100%" height="100%" fill="#fff"/>` + "\n")
	for _, post := range []struct {
		x    int
		name string
	}{{svgSIP, "SIP"}, {svgMiddle, "gateway"}, {svgXMPP, "XMPP"}} {
		fmt.Fprintf(&b, `<text x="%d" y="24" text-anchor="middle" font-weight="bold">%s</text><path class="post" d="M%d 32V%d" stroke="#999"/>`+"\n", post.x, post.name, post.x, height-8)
	}
	b.WriteString(`<text class="time" x="8" y="24" fill="#666">ms</text>` + "\n")
	for i, g := range all {
		y := svgTop + svgRow*(i+1) - 8
		fmt.Fprintf(&b, `<text class="time" x="8" y="%d" fill="#666">%.1f</text><text class="time" x="80" y="%d" fill="#999">+%.1f</text>`+"\n", y, milliseconds(g.since), y, milliseconds(g.after))
		if g.msg == nil {
			drawMark(&b, g.mark, y)
			continue
		}
		drawMessage(&b, g.msg, y)
	}
	b.WriteString("</svg>\n")
	return b.String()
}

func drawMessage(b *strings.Builder, m *Message, y int) {
	from, to, colour, lane := svgSIP, svgMiddle, "#05c", "sip"
	if m.Lane != "sip" {
		from, to, colour, lane = svgXMPP, svgMiddle, "#070", "xmpp"
	}
	if m.Sent {
		from, to = to, from
	}
	title := m.Title
	if r := []rune(title); len(r) > 48 {
		title = string(r[:47]) + "…"
	}
	fmt.Fprintf(b, `<g class="%s"><title>%s</title><path d="M%d %dH%d" stroke="%s" stroke-width="1.5" marker-end="url(#tip)"/><text x="%d" y="%d" text-anchor="middle">%s</text></g>`+"\n",
		lane, escape(m.Peer+"\n\n"+m.Raw), from, y+4, to, colour, (from+to)/2, y-1, escape(title))
}

func drawMark(b *strings.Builder, m Mark, y int) {
	x := svgMiddle
	switch m.Lane {
	case "sip":
		x = (svgSIP + svgMiddle) / 2
	case "xmpp":
		x = (svgXMPP + svgMiddle) / 2
	}
	text := m.Text
	if r := []rune(text); len(r) > 60 {
		text = string(r[:59]) + "…"
	}
	fmt.Fprintf(b, `<g class="mark"><title>%s</title><text x="%d" y="%d" text-anchor="middle" font-style="italic" fill="#850" stroke="#fff" stroke-width="4" paint-order="stroke">%s</text></g>`+"\n", escape(m.say()), x, y, escape(text))
}

// escape makes a peer's text safe in XML, and well-formed: what XML 1.0 section 2.2 does not
// allow is a question mark.
func escape(s string) string {
	var b strings.Builder
	for i, r := range s {
		switch {
		case r == '&':
			b.WriteString("&amp;")
		case r == '<':
			b.WriteString("&lt;")
		case r == '>':
			b.WriteString("&gt;")
		case r == '"':
			b.WriteString("&quot;")
		case r == '\r':
		case r < ' ' && r != '\t' && r != '\n', r == 0xfffe, r == 0xffff:
			b.WriteByte('?')
		case r == utf8.RuneError && !strings.HasPrefix(s[i:], "\ufffd"):
			b.WriteByte('?')
		default:
			b.WriteRune(r)
		}
	}
	return b.String()
}
