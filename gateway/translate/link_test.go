package translate

import (
	"strings"
	"testing"
)

func TestWebLinks(t *testing.T) {
	for _, good := range []string{
		"https://maps.example/?q=52.5,13.4", "http://pictures.example/a%20b.png", "HTTPS://Example.org", "https://[2001:db8::1]:8443/x#y", " https://a.example ",
	} {
		if got, ok := WebLink(good); !ok || got != strings.TrimSpace(good) {
			t.Errorf("%q is %q, %v", good, got, ok)
		}
	}
	for _, bad := range []string{
		"", "example.org", "ftp://a.example/x", "javascript:alert(1)", "file:///etc/passwd", "https://", "https:///path", "https://a.example/\r\nX: y", "https://a.example/a b",
		"https://user:secret@a.example", "https://a.example/>;purpose=impp", `https://a.example/"`, "https://bücher.example", "https://a.example/" + strings.Repeat("x", maxLink),
	} {
		if got, ok := WebLink(bad); ok {
			t.Errorf("%q is taken as %q", bad, got)
		}
	}
}

func TestParseInfoLinks(t *testing.T) {
	tests := []struct {
		name   string
		values []string
		want   string
	}{
		{"none", nil, ""},
		{"one", []string{"<https://a.example/map>;purpose=info"}, "https://a.example/map"},
		{"a portrait is no page", []string{"<https://a.example/p.png>;purpose=icon"}, ""},
		{"without a purpose", []string{"<https://a.example>"}, ""},
		{"an answering tone", []string{"<sip:a.example>;answer-after=0;purpose=info"}, ""},
		{"several, and one twice", []string{"<https://a.example/p,1>;purpose=info, <https://b.example>;PURPOSE=Card;x=y", "<https://a.example/p,1>;purpose=info"}, "https://a.example/p,1 https://b.example"},
		{"not more than there is room for", []string{strings.Repeat("<https://a.example>;purpose=icon, ", maxInfos) + "<https://b.example>;purpose=info"}, ""},
	}
	for _, tt := range tests {
		t.Run(tt.name, func(t *testing.T) {
			if got := strings.Join(ParseInfoLinks(tt.values), " "); got != tt.want {
				t.Errorf("got %q, want %q", got, tt.want)
			}
		})
	}
}
