package wire

import (
	"strings"
	"testing"
	"time"

	"sipxmppgw/jingle/component"
)

func chatOf(t *testing.T, inner string) Chat {
	t.Helper()
	st, err := component.Parse([]byte("<message xml:lang='en' from='a@b/c' to='d@e'>" + inner + "</message>"))
	if err != nil {
		t.Fatal(err)
	}
	return ParseChat(st.Nodes, "en")
}

func TestParseChat(t *testing.T) {
	c := chatOf(t, `<subject>Lunch</subject><body>Noon?</body><thread>b0</thread><active xmlns='http://jabber.org/protocol/chatstates'/>
		<request xmlns='urn:xmpp:receipts'/><markable xmlns='urn:xmpp:chat-markers:0'/><replace xmlns='urn:xmpp:message-correct:0' id='m0'/>
		<reply xmlns='urn:xmpp:reply:0' id='m9'/><delay xmlns='urn:xmpp:delay' stamp='2026-03-02T11:30:00Z'/>
		<headers xmlns='http://jabber.org/protocol/shim'><header name='Max-Forwards'>7</header><header name='Gateway-Hops'>2</header></headers>`)
	switch {
	case c.Subject != "Lunch" || c.Body != "Noon?" || !c.HasBody || c.Lang != "en" || c.Thread != "b0" || c.State != "active":
		t.Errorf("the words are %+v", c)
	case !c.Asks || !c.Markable || c.Replaces != "m0" || c.Answers != "m9" || c.Left != 7 || c.Hops != 2:
		t.Errorf("beside the words is %+v", c)
	case !c.Stamp.Equal(time.Date(2026, 3, 2, 11, 30, 0, 0, time.UTC)):
		t.Errorf("it was sent at %v", c.Stamp)
	}
}

func TestParseChatChoosesTheLanguage(t *testing.T) {
	for _, inner := range []string{
		"<body xml:lang='de'>Mittag?</body><body xml:lang='en'>Noon?</body>",
		"<body xml:lang='en'>Noon?</body><body xml:lang='de'>Mittag?</body>",
		"<body xml:lang='de'>Mittag?</body><body>Noon?</body>",
	} {
		if c := chatOf(t, inner); c.Body != "Noon?" || c.Lang != "en" {
			t.Errorf("%s: %q in %q", inner, c.Body, c.Lang)
		}
	}
	if c := chatOf(t, "<body xml:lang='de'>Mittag?</body>"); c.Body != "Mittag?" || c.Lang != "de" {
		t.Errorf("another language alone: %q in %q", c.Body, c.Lang)
	}
}

// What stands inside of a copy is not what the sender says.
func TestCopiesAreNotWords(t *testing.T) {
	inside := "<forwarded xmlns='urn:xmpp:forward:0'><message xmlns='jabber:client'><body>copy</body><received xmlns='urn:xmpp:receipts' id='x'/></message></forwarded>"
	for _, inner := range []string{
		"<sent xmlns='urn:xmpp:carbons:2'>" + inside + "</sent>",
		"<received xmlns='urn:xmpp:carbons:2'>" + inside + "</received>",
		"<result xmlns='urn:xmpp:mam:2'>" + inside + "</result>",
		inside,
	} {
		if c := chatOf(t, inner); !c.Copy || c.HasBody || c.Received != "" {
			t.Errorf("%s is %+v", inner, c)
		}
	}
	if c := chatOf(t, "<x xmlns='urn:other'><body>nested</body></x>"); c.HasBody {
		t.Errorf("a nested body is %+v", c)
	}
}

func TestLinksAreBounded(t *testing.T) {
	c := chatOf(t, strings.Repeat("<x xmlns='jabber:x:oob'><url>https://e/"+strings.Repeat("a", 3000)+"</url></x>", 20))
	if len(c.Links) != MaxLinks || len(c.Links[0]) > 2048 {
		t.Errorf("%d links of %d", len(c.Links), len(c.Links[0]))
	}
}
