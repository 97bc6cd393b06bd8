package contacts

import (
	"errors"
	"fmt"
	"strings"
	"testing"

	"sipxmppgw/gateway/translate"
)

func TestRead(t *testing.T) {
	plan, ok := translate.PlanOf("DE")
	if !ok {
		t.Fatal("no plan")
	}
	tests := []struct {
		name string
		in   string
		want map[string]string // by URI
	}{
		{
			name: "number and name",
			in:   "+49 30 123-456,Otto\n030/777,\"Miller, Ann\"\n\nno number,Nobody\n",
			want: map[string]string{"tel:+4930123456": "Otto", "sip:+4930777@pbx.example": "Miller, Ann"},
		},
		{
			name: "headings, semicolons and a mark in front",
			in:   "\ufeffName;Telefon;Mobile\nOtto;030 1234567;0171 2345678\n",
			want: map[string]string{"tel:+49301234567": "Otto", "tel:+491712345678": "Otto"},
		},
		{
			name: "an address",
			in:   "sip:Otto@VoIP.example,Otto\n",
			want: map[string]string{"sip:otto@voip.example": "Otto", "sip:otto@other.example": ""},
		},
		{
			name: "vCard 4 and 3, folded and grouped",
			in: "BEGIN:VCARD\r\nVERSION:4.0\r\nFN:Otto\\, the\r\n  elder\r\nTEL;VALUE=uri;TYPE=\"voice,home\":tel:+49-30-123;ext=5\r\nIMPP:xmpp:otto@example.org\r\nEND:VCARD\r\n" +
				"BEGIN:VCARD\r\nVERSION:3.0\r\nN:Capulet;Juliet;;;\r\nitem1.TEL;TYPE=CELL:0171 5555555\r\nEND:VCARD\r\n",
			want: map[string]string{"tel:+4930123": "Otto, the elder", "tel:+491715555555": "Juliet Capulet", "sip:otto@example.org": ""},
		},
		{
			name: "vCard 2.1",
			in:   "BEGIN:VCARD\nVERSION:2.1\nFN;CHARSET=UTF-8;ENCODING=QUOTED-PRINTABLE:J=C3=BCrgen=\n M=C3=BCller\nTEL;CELL:+4917112\nEND:VCARD\n",
			want: map[string]string{"tel:+4917112": "Jürgen Müller"},
		},
		{name: "nothing", in: "", want: map[string]string{"tel:+491": ""}},
	}
	for _, test := range tests {
		t.Run(test.name, func(t *testing.T) {
			b := New(plan)
			if err := b.Read(strings.NewReader(test.in)); err != nil {
				t.Fatal(err)
			}
			for uri, want := range test.want {
				u, err := translate.ParseURI(uri)
				if err != nil {
					t.Fatal(err)
				}
				if got := b.Name(u); strings.ReplaceAll(got, "  ", " ") != want {
					t.Errorf("%s is called %q, want %q", uri, got, want)
				}
			}
		})
	}
}

func TestBookIsBounded(t *testing.T) {
	b := New(translate.DialPlan{})
	card := "BEGIN:VCARD\nFN:Otto\n"
	for i := range 100 {
		card += fmt.Sprintf("TEL:+49%d\n", 1000+i)
	}
	if err := b.Read(strings.NewReader(card + "END:VCARD\n")); err != nil || b.Len() != 64 {
		t.Errorf("%d numbers of one card, %v", b.Len(), err)
	}
	if err := b.Read(strings.NewReader("+491000,Mira\n")); err != nil || b.names["+491000"] != "Otto" {
		t.Errorf("the second name is taken: %q, %v", b.names["+491000"], err)
	}
	var many strings.Builder
	for i := range maxEntries {
		fmt.Fprintf(&many, "+31%d,x\n", 1000000+i)
	}
	if err := b.Read(strings.NewReader(many.String())); !errors.Is(err, ErrFull) || b.Len() != maxEntries {
		t.Errorf("there are %d, %v", b.Len(), err)
	}
}

func FuzzRead(f *testing.F) {
	f.Add("BEGIN:VCARD\nFN:a\nTEL:1\nEND:VCARD")
	f.Add("1,a\n")
	f.Fuzz(func(t *testing.T, s string) {
		b := New(translate.DialPlan{})
		_ = b.Read(strings.NewReader(s)) // anything but a panic
	})
}
