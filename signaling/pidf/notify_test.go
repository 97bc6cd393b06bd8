package pidf

import (
	"encoding/xml"
	"strings"
	"testing"
)

// What is written of a line and of a mailbox reads back as the same.
func TestNotifiedReadsBack(t *testing.T) {
	body := FormatDialogs("sip:a&b@gw.example", 7, []Dialog{{"c1", true, "early"}, {"c2", false, "confirmed"}})
	d, err := ParseDialogInfo(body)
	if err != nil || d.Entity != "sip:a&b@gw.example" || d.Version != 7 || !d.Full || len(d.Dialogs) != 2 || d.Dialogs["c1"] != "early" || d.Dialogs["c2"] != "confirmed" {
		t.Errorf("%+v, %v of\n%s", d, err, body)
	}
	var l Line
	if l.Take(d) || !l.Busy() || !l.Ringing() {
		t.Errorf("the line is %+v", l)
	}
	for _, want := range []Summary{{}, {Waiting: true, Account: "sip:500@pbx.example", New: 2, Old: 3, Urgent: 1}} {
		if got, err := ParseSummary(FormatSummary(want)); err != nil || got != want {
			t.Errorf("got %+v, %v, want %+v", got, err, want)
		}
	}
}

// Registrations are written with what a phone wants to know, and well.
func TestFormatRegistered(t *testing.T) {
	body := FormatRegistered("sip:desk@gw.example", "desk", 2, []Registered{{
		ID: "1", URI: "sip:desk@10.0.0.2;x=<&>", Expires: 60, Q: 500, CallID: "a\"b", CSeq: 3, GRUU: "sip:desk@gw.example;gr=urn:uuid:1",
	}})
	var doc struct {
		Version      int    `xml:"version,attr"`
		State        string `xml:"state,attr"`
		Registration struct {
			AOR     string `xml:"aor,attr"`
			State   string `xml:"state,attr"`
			Contact struct {
				Q      string `xml:"q,attr"`
				CallID string `xml:"callid,attr"`
				URI    string `xml:"uri"`
				GRUU   struct {
					URI string `xml:"uri,attr"`
				} `xml:"pub-gruu"`
			} `xml:"contact"`
		} `xml:"registration"`
	}
	if err := xml.Unmarshal(body, &doc); err != nil {
		t.Fatal(err)
	}
	c := doc.Registration.Contact
	if doc.Version != 2 || doc.State != "full" || doc.Registration.AOR != "sip:desk@gw.example" || doc.Registration.State != "active" ||
		c.Q != "0.5" || c.CallID != `a"b` || c.URI != "sip:desk@10.0.0.2;x=<&>" || c.GRUU.URI != "sip:desk@gw.example;gr=urn:uuid:1" {
		t.Errorf("got %+v of\n%s", doc, body)
	}
	if empty := string(FormatRegistered("sip:desk@gw.example", "desk", 0, nil)); !strings.Contains(empty, `state="init"`) {
		t.Errorf("got\n%s", empty)
	}
}
