package translate

import (
	"strings"
	"testing"
	"unicode/utf8"

	"sipxmppgw/gateway/message"
)

func TestChatStates(t *testing.T) {
	for chat, want := range map[string]bool{"composing": true, "paused": false, "active": false, "inactive": false, "gone": false} {
		if got, ok := ComposingOf(chat); !ok || got != want {
			t.Errorf("%s: got %v, %v", chat, got, ok)
		}
	}
	if _, ok := ComposingOf("unheard-of"); ok {
		t.Error("an unknown state was taken")
	}
	check(t, "composing", ChatStateOf(true), "composing")
	check(t, "idle", ChatStateOf(false), "paused")
}

// RFC 5438 sections 6.2 and 11.
func TestNoticesHaveARowForEachState(t *testing.T) {
	for s, want := range map[message.State]NoticeRow{
		message.Delivered: {message.Delivered, "positive-delivery", "delivery-notification", "delivered"},
		message.Displayed: {message.Displayed, "display", "display-notification", "displayed"},
		message.Failed:    {message.Failed, "negative-delivery", "delivery-notification", "failed"},
	} {
		row := NoticeOf(s)
		if row != want {
			t.Errorf("state %d has the row %+v", s, row)
		}
		if back, ok := NoticeOfStatus(row.Kind, row.Status); !ok || back != row {
			t.Errorf("%s comes back as %+v", row.Status, back)
		}
	}
	for _, nobody := range []string{"processed", "stored", "forbidden", "error"} {
		if row, ok := NoticeOfStatus("processing-notification", nobody); ok {
			t.Errorf("%s is %+v", nobody, row)
		}
	}
}

// The nasty strings of RELIABILITY 6.
var nastyTexts = []string{
	"\x00", "\x01\x1b[31m", "a\r\nb", "a\n b", "\u2028\u2029\u0085", `"\`, "<>&'", "]]>", "<!--", "%00%0d%0a", ";?,=@://[::1]",
	`\40 \5c40`, "\xED\xA0\x80", "\xC0\xAF", "\uFEFF", "\uFFFE\uFFFF", "😀\u200D😀", "\u202Egpj", strings.Repeat("e\u0301", 500), "İß", "${jndi:}", "=cmd|", "%n%s",
}

func TestTextsAreFit(t *testing.T) {
	for _, in := range nastyTexts {
		got, ok := FitText(in, MaxText)
		if !ok || !utf8.ValidString(got) || strings.ContainsFunc(got, func(r rune) bool {
			return r < ' ' && r != '\t' && r != '\n' || r == 0x7F || r == 0xFFFE || r == 0xFFFF
		}) {
			t.Errorf("%q became %q, %v", in, got, ok)
		}
		if again, _ := FitText(got, MaxText); again != got {
			t.Errorf("%q is changed again, to %q", got, again)
		}
	}
	if _, ok := FitText(strings.Repeat("a", MaxText+1), MaxText); ok {
		t.Error("a long text was taken")
	}
	got, _ := FitText("Grüße 😀\r\nzwei", MaxText)
	check(t, "text", got, "Grüße 😀\nzwei")
}
