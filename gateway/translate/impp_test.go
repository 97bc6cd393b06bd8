package translate

import "testing"

func TestXMPPURIs(t *testing.T) {
	for _, tt := range []struct{ jid, uri string }{
		{"mira@jabber.example", "xmpp:mira@jabber.example"},
		{"a+b#c%d@jabber.example", "xmpp:a%2Bb%23c%25d@jabber.example"},
		{`o\27hara@jabber.example`, "xmpp:o%5C27hara@jabber.example"},
		{"jörg@bücher.example", "xmpp:j%C3%B6rg@b%C3%BCcher.example"},
	} {
		j, err := ParseJID(tt.jid)
		if err != nil {
			t.Fatal(err)
		}
		if got := XMPPURI(j); got != tt.uri {
			t.Errorf("%s is %s, want %s", tt.jid, got, tt.uri)
		}
		if back, ok := ParseXMPPURI(tt.uri); !ok || back != j {
			t.Errorf("%s is %v, %v", tt.uri, back, ok)
		}
	}
}

func TestParseIMPP(t *testing.T) {
	tests := []struct {
		name   string
		values []string
		want   string
	}{
		{"none", nil, ""},
		{"one", []string{"<xmpp:mira@jabber.example>;purpose=impp"}, "mira@jabber.example"},
		{"with spaces and case", []string{"< xmpp:mira@jabber.example > ; PURPOSE = IMPP"}, "mira@jabber.example"},
		{"among others", []string{"<https://a.example/p,1.png>;purpose=icon, <xmpp:mira@jabber.example>;purpose=impp;x=y"}, "mira@jabber.example"},
		{"in another header", []string{"<https://a.example>;purpose=info", "<xmpp:mira@jabber.example>;purpose=impp"}, "mira@jabber.example"},
		{"with a resource and a query", []string{"<xmpp:mira@jabber.example/tablet?message>;purpose=impp"}, "mira@jabber.example"},
		{"for another purpose", []string{"<xmpp:mira@jabber.example>;purpose=info"}, ""},
		{"of another scheme", []string{"<sip:mira@jabber.example>;purpose=impp"}, ""},
		{"with an authority", []string{"<xmpp://guest@example.com/mira@jabber.example>;purpose=impp"}, ""},
		{"of no user", []string{"<xmpp:jabber.example>;purpose=impp"}, ""},
		{"that is none", []string{"xmpp:mira@jabber.example;purpose=impp", "<xmpp:%zz@x>;purpose=impp", "<", ">;purpose=impp"}, ""},
	}
	for _, tt := range tests {
		t.Run(tt.name, func(t *testing.T) {
			got := ""
			if j, ok := ParseIMPP(tt.values); ok {
				got = j.String()
			}
			if got != tt.want {
				t.Errorf("got %q, want %q", got, tt.want)
			}
		})
	}
}
