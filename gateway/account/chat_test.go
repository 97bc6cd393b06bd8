package account

import (
	"fmt"
	"strings"
	"testing"
	"time"

	"sipxmppgw/gateway/translate"
)

// A conversation is what is written and what comes back, and at its end the order.
func TestChat(t *testing.T) {
	tests := []struct {
		name  string
		lang  Lang
		lines []string // written, then what the answer begins with
		order string
	}{
		{"step by step", translate.EN, []string{
			"Add", "SIP user name or address?",
			"mira@voip.example", "SIP password? Your client may keep it",
			"", "An answer is missing.\nSIP password?",
			"se cret", "SIP server, if it is not in the address (–: -)?",
			"-", "Your name, as others shall see it (–: -)?",
			"Mira Miller", "Telephone number of the account (–: -)?",
			"-", "Encryption of calls (SRTP) (automatic, off, preferred, required) (–: -)?",
			"always", "This is none of the choices.\nEncryption",
			"Required", "One moment …",
		}, "add-account map[name:Mira Miller password:se cret srtp:required username:mira@voip.example]"},
		{"at once", translate.DE, []string{"neu mira@voip.example geheim", "Einen Moment …"}, "add-account map[password:geheim username:mira@voip.example]"},
		{"begun", translate.DE, []string{"neu mira@voip.example", "SIP-Kennwort?", "abbrechen", "Es wurde nichts geändert."}, ""},
		{"a choice", translate.EN, []string{"dnd", "Do not disturb (on, off)?", "maybe", "This is none of the choices.", "ON", ""}, "dnd map[dnd:on]"},
		{"a forward", translate.DE, []string{"weiterleiten +4930777 besetzt", ""}, "forward map[to:+4930777 when:busy]"},
		{"a forward always", translate.EN, []string{"forward +4930777", ""}, "forward map[to:+4930777]"},
		{"words in another language", translate.EN, []string{"nummern", ""}, "numbers map[]"},
		{"help", translate.DE, []string{"hilfe", "Ich kenne diese Worte:\nneu – SIP-Konto anlegen"}, ""},
		{"nonsense", translate.EN, []string{"sudo", "I do not know that."}, ""},
		{"remove", translate.EN, []string{"remove", ""}, "remove-account map[]"},
		{"too much", translate.EN, []string{strings.Repeat("x", 2000), "This is too long."}, ""},
	}
	for _, test := range tests {
		t.Run(test.name, func(t *testing.T) {
			var c Chat
			order := ""
			now := time.Unix(0, 0)
			for i := 0; i < len(test.lines); i += 2 {
				back, do, ask := c.Say(commands, "juliet@example.org", test.lines[i], test.lang, now)
				if !strings.HasPrefix(back, test.lines[i+1]) || back == "" != (test.lines[i+1] == "") {
					t.Errorf("%q: got %q, want %q", test.lines[i], back, test.lines[i+1])
				}
				if do != nil {
					order = fmt.Sprint(do.Node, " ", ask.Values)
				}
			}
			if order != test.order {
				t.Errorf("ordered %q, want %q", order, test.order)
			}
			if len(c.talks) != 0 {
				t.Error("the conversation is not over")
			}
		})
	}
}

func TestChatsAreBounded(t *testing.T) {
	var c Chat
	now := time.Unix(0, 0)
	for i := range maxTalks + 10 {
		now = now.Add(time.Millisecond)
		c.Say(commands, fmt.Sprintf("u%d@example.org", i), "dnd", translate.EN, now)
	}
	if len(c.talks) != maxTalks || c.talks["u0@example.org"] != nil {
		t.Errorf("there are %d", len(c.talks))
	}
	// Nobody waits for ever: what comes late is an order of its own.
	if back, _, _ := c.Say(commands, "u500@example.org", "on", translate.EN, now.Add(talkFor+time.Second)); back != unknown.In(translate.EN) {
		t.Errorf("got %q", back)
	}
}
