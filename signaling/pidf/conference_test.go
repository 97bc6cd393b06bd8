package pidf

import (
	"fmt"
	"strings"
	"testing"
)

func conference(attributes, inner string) string {
	return `<conference-info xmlns="` + nsConference + `" xmlns:xcon="urn:ietf:params:xml:ns:xcon-conference-info" entity="sip:ops@x" ` + attributes + `>` + inner + `</conference-info>`
}

func TestParseConference(t *testing.T) {
	tests := []struct {
		name string
		in   string
		want string // what is read, or the problem
	}{
		{"all of it", conference(`state="full" version="3"`, `<conference-description><subject>Night shift</subject></conference-description><users>`+
			`<user entity="sip:a@x" xcon:nickname="Anna"><display-text>A</display-text><roles><entry>moderator</entry></roles><endpoint entity="sip:e"><status>connected</status></endpoint></user>`+
			`<user entity="sip:b@x"><display-text>Bert</display-text></user></users>`), `3 true "Night shift" [{sip:a@x Anna true false false} {sip:b@x Bert false false false}]`},
		{"a part", conference(`state="partial" version="4"`, `<users><user entity="sip:a@x" state="deleted"/></users>`), `4 false "" [{sip:a@x  false true false}]`},
		{
			"somebody who was put out", conference(`state="partial" version="4"`, `<users><user entity="sip:a@x"><endpoint entity="sip:e"><status>disconnected</status><disconnection-method>booted</disconnection-method></endpoint></user></users>`),
			`4 false "" [{sip:a@x  false true true}]`,
		},
		{
			"somebody with one of two phones", conference(`state="partial" version="4"`, `<users><user entity="sip:a@x"><endpoint entity="sip:e"><status>disconnected</status></endpoint><endpoint entity="sip:f"><status>on-hold</status></endpoint></user></users>`),
			`4 false "" [{sip:a@x  false false false}]`,
		},
		{"nobody", conference(`state="full" version="1"`, ``), `1 true "" []`},
		{"who has no address", conference(`state="full" version="1"`, `<users><user><display-text>A</display-text></user></users>`), `1 true "" []`},
		{"a conference that is over", conference(`state="deleted" version="9"`, ``), "presence document: the conference is over"},
		{"a version that is none", conference(`state="full" version="x"`, ``), "presence document: its version is no number"},
		{"something else", `<presence xmlns="urn:ietf:params:xml:ns:pidf"/>`, "presence document: it is no conference-info"},
	}
	for _, tt := range tests {
		t.Run(tt.name, func(t *testing.T) {
			c, err := ParseConference([]byte(tt.in))
			subject := ""
			if c.Subject != nil {
				subject = *c.Subject
			}
			got := fmt.Sprintf("%d %t %q %v", c.Version, c.Full, subject, c.Users)
			if err != nil {
				got = err.Error()
			}
			if got != tt.want {
				t.Errorf("got  %s\nwant %s", got, tt.want)
			}
		})
	}
}

// What we write of a room is read again the same, whatever the names are.
func TestFormatConference(t *testing.T) {
	subject := `<&"Night`
	in := Conference{Entity: "sip:ops@x", Version: 7, Full: true, Subject: &subject, Users: []User{
		{Entity: "sip:ops@x;gr=A%20%22B%22", Nick: `A "B" <c>`, Moderator: true}, {Entity: "sip:ops@x;gr=Z", Nick: "Z"},
	}}
	out, err := ParseConference(FormatConference(in))
	if err != nil || fmt.Sprint(out.Version, out.Full, *out.Subject, out.Users) != fmt.Sprint(in.Version, in.Full, *in.Subject, in.Users) {
		t.Errorf("it is %+v, %v", out, err)
	}
}

func TestConferenceIsBounded(t *testing.T) {
	users := strings.Repeat(`<user entity="sip:a@x"/>`, maxUsers+100)
	c, err := ParseConference([]byte(conference(`state="full" version="1"`, "<users>"+users+"</users>")))
	if err != nil || len(c.Users) != maxUsers {
		t.Errorf("%d users, %v", len(c.Users), err)
	}
	long := strings.Repeat("n", 5000)
	c, err = ParseConference([]byte(conference(`state="full" version="1"`, `<users><user entity="sip:a@x" xcon:nickname="`+long+`"/></users>`)))
	if err != nil || len(c.Users) != 1 || len(c.Users[0].Nick) > 256 {
		t.Errorf("%v, %v", len(c.Users), err)
	}
}

func FuzzParseConference(f *testing.F) {
	f.Add([]byte(conference(`state="full" version="3"`, `<users><user entity="sip:a@x" xcon:nickname="Anna"><roles><entry>moderator</entry></roles></user></users>`)))
	f.Fuzz(func(t *testing.T, in []byte) {
		c, err := ParseConference(in)
		if err != nil {
			return
		}
		if len(c.Users) > maxUsers {
			t.Fatalf("%d users", len(c.Users))
		}
		if _, err := ParseConference(FormatConference(c)); err != nil && len(c.Users) < 100 {
			t.Fatalf("what we wrote cannot be read: %v", err)
		}
	})
}
