package call

import (
	"reflect"
	"testing"
	"time"

	"sipxmppgw/gateway/media"
)

// Every kind of event comes back as it was.
func TestEventsComeBack(t *testing.T) {
	d := media.Description{Streams: []media.Stream{{
		Name: "0", Codecs: []media.Codec{{PT: 8, Name: "PCMA", ClockRate: 8000, Params: []media.Param{{Name: "a", Value: "b"}}}},
		Transport: media.Transport{ICE: &media.ICE{Ufrag: "u"}, DTLS: &media.DTLS{Setup: media.ActPass}},
	}}, Bundle: []string{"0"}}
	det := Detail{Status: 486, Q850: 17, Text: "Besetzt ☎", Elsewhere: "sip:a@b"}
	events := []Event{
		LegRinging{B},
		LegProgress{B, d},
		LegAnswered{B, d},
		LegOffered{A, d},
		LegUpdated{A, d},
		LegRefused{A, Busy},
		LegConfirmed{A, media.Description{}},
		LegCandidates{A, d},
		LegDigit{A, Digit{'#', time.Second}},
		LegPicture{C},
		LegAway{B},
		LegTransfer{A, Destination{Address: "x", Call: "c", Seat: 2}},
		LegReferred{A, true, Normal, det},
		LegEnded{B, Busy, det},
		MediaOffered{3, d},
		MediaAnswered{3, d},
		MediaCandidates{A, d},
		MediaDigit{B, Digit{'1', 0}},
		MediaPicture{B},
		MediaConnected{B},
		MediaSilent{A},
		MediaFailed{3, B, Incompatible, det},
		Taken{B, d},
		TimerFired{TimerLinger},
		Aborted{Normal, det},
	}
	if len(events) != int(kinds) {
		t.Fatalf("%d events of %d kinds", len(events), kinds)
	}
	for k, e := range events {
		if e.kind() != kind(k) {
			t.Errorf("%T stands at the place of %s", e, kind(k))
		}
		raw, err := MarshalEvent(e)
		if err != nil {
			t.Fatal(err)
		}
		again, err := UnmarshalEvent(raw)
		if err != nil || !reflect.DeepEqual(again, e) {
			t.Errorf("%T came back as %+v, %v", e, again, err)
		}
		if Tell(e) == "" {
			t.Errorf("%T cannot be told", e)
		}
	}
}
