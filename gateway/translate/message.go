package translate

import (
	"strings"
	"unicode/utf8"

	"sipxmppgw/gateway/message"
)

// MaxText is how long the text of a message may be, in characters (RELIABILITY 4, row 28).
const MaxText = 10000

// Again stands before a text that may have arrived before.
const Again = "[sent again] "

// chatRow is a chat state (XEP-0085), and whether it is active or idle in isComposing (RFC
// 3994).
type chatRow struct {
	chat      string
	composing bool
}

// INTERWORKING 5.3. Of several rows, the first is the way back: an idle peer has paused,
// whatever RFC 7573 says.
var chatRows = [...]chatRow{
	{"composing", true},
	{"paused", false},
	{"active", false},
	{"inactive", false},
	{"gone", false},
}

// ComposingOf says whether somebody in a chat state composes; ok is false if it is none.
func ComposingOf(chat string) (composing, ok bool) {
	for _, row := range chatRows {
		if row.chat == chat {
			return row.composing, true
		}
	}
	return false, false
}

// ChatStateOf is the chat state of somebody who composes, or does not any more.
func ChatStateOf(composing bool) string {
	for _, row := range chatRows {
		if row.composing == composing {
			return row.chat
		}
	}
	return ""
}

// A NoticeRow is what can become of a message, as SIP says it (INTERWORKING 5.4).
type NoticeRow struct {
	State  message.State
	Ask    string // the word in Disposition-Notification
	Kind   string // the element of the notification
	Status string // and of its status
}

var noticeRows = [...]NoticeRow{
	{message.Delivered, "positive-delivery", "delivery-notification", "delivered"},
	{message.Displayed, "display", "display-notification", "displayed"},
	{message.Failed, "negative-delivery", "delivery-notification", "failed"},
}

// Notices are all of them.
func Notices() []NoticeRow { return noticeRows[:] }

// NoticeOf is the row of a state.
func NoticeOf(s message.State) NoticeRow { return noticeRows[int(s)%len(noticeRows)] }

// NoticeOfStatus is the row of a status in a notification (RFC 5438 section 11); ok is false
// for what no one on XMPP is told, such as that it is stored.
func NoticeOfStatus(kind, status string) (NoticeRow, bool) {
	for _, row := range noticeRows {
		if row.Kind == kind && row.Status == status {
			return row, true
		}
	}
	return NoticeRow{}, false
}

// FitText makes a person's text fit for both worlds: UTF-8, without control characters but
// tab and line end. ok is false if it is longer than limit, in characters.
func FitText(s string, limit int) (fit string, ok bool) {
	s = strings.Map(func(r rune) rune {
		switch {
		case r == '\t' || r == '\n':
			return r
		case r < ' ' || r == 0x7F:
			return -1
		case r == 0xFFFE || r == 0xFFFF:
			return utf8.RuneError
		}
		return r
	}, strings.ReplaceAll(strings.ToValidUTF8(s, "\uFFFD"), "\r\n", "\n"))
	return s, utf8.RuneCountInString(s) <= limit
}
