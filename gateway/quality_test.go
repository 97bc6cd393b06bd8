package gateway

import (
	"slices"
	"strings"
	"testing"
	"testing/synctest"
	"time"

	"sipxmppgw/gateway/call"
	"sipxmppgw/gateway/media"
)

func TestUnheard(t *testing.T) {
	never := media.Stats{Silence: media.Silence{Never: true, Longest: 7 * time.Second}}
	gaps := media.Stats{Silence: media.Silence{Gaps: 2, Longest: 14 * time.Second}}
	tests := []struct {
		name  string
		edges [2]Edge
		media [2]media.Stats
		talk  time.Duration // 0: never answered
		want  []string
	}{
		{"all was well", [2]Edge{SIP, XMPP}, [2]media.Stats{}, time.Minute, nil},
		{"one way", [2]Edge{SIP, XMPP}, [2]media.Stats{{}, never}, time.Minute, []string{"no packet ever came from the XMPP side"}},
		{"neither way", [2]Edge{XMPP, SIP}, [2]media.Stats{never, never}, time.Minute, []string{
			"no packet ever came from the XMPP side", "no packet ever came from the SIP side",
		}},
		{"silences", [2]Edge{SIP, XMPP}, [2]media.Stats{gaps, {}}, time.Minute, []string{
			"the SIP side fell silent 2 times, for 14s at most",
		}},
		{"both sides on one edge", [2]Edge{SIP, SIP}, [2]media.Stats{gaps, never}, time.Minute, []string{
			"the caller fell silent 2 times, for 14s at most", "no packet ever came from the callee",
		}},
		{"not answered", [2]Edge{SIP, XMPP}, [2]media.Stats{gaps, never}, 0, nil},
		{"hung up at once", [2]Edge{SIP, XMPP}, [2]media.Stats{{}, never}, time.Second, nil},
	}
	for _, tt := range tests {
		t.Run(tt.name, func(t *testing.T) {
			r := Record{Ended: time.Unix(1000, 0), Media: tt.media, edges: tt.edges}
			if tt.talk != 0 {
				r.Answered = r.Ended.Add(-tt.talk)
			}
			if got := r.Unheard(); !slices.Equal(got, tt.want) {
				t.Errorf("got %q, want %q", got, tt.want)
			}
		})
	}
}

func TestQualityIsCountedWhenACallEnds(t *testing.T) {
	synctest.Test(t, func(t *testing.T) {
		h := newHouse(nil)
		for _, want := range []string{
			`sipxmppgw_media_mos_count{direction="sent",leg="xmpp"} 0`,
			`sipxmppgw_media_round_trip_seconds_count{leg="sip"} 0`,
			`sipxmppgw_media_one_way_total{leg="xmpp"} 0`,
		} {
			if !strings.Contains(h.scrape(t), want) {
				t.Errorf("at the start there is no %s", want)
			}
		}
		in := h.accept(t)
		h.bridge.quality = [2]media.Stats{
			{
				In:        media.Quality{Expected: 1000, Lost: 15, Jitter: 3 * time.Millisecond, MOS: 4.2},
				Out:       media.Quality{Expected: 1000, Jitter: time.Millisecond}, // no figures for the codec
				RoundTrip: 30 * time.Millisecond,
				Silence:   media.Silence{Gaps: 2},
			},
			{Silence: media.Silence{Never: true}},
		}
		post(h.b.in, call.LegAnswered{Side: call.B, Media: some})
		post(in, call.LegConfirmed{Side: call.A})
		time.Sleep(time.Minute)
		post(in, call.LegEnded{Side: call.A, Cause: call.Normal})
		got := h.scrape(t)
		for _, want := range []string{
			`sipxmppgw_media_mos_bucket{direction="received",leg="sip",le="4.03"} 0`,
			`sipxmppgw_media_mos_bucket{direction="received",leg="sip",le="4.34"} 1`,
			`sipxmppgw_media_mos_count{direction="sent",leg="sip"} 0`,
			`sipxmppgw_media_mos_count{direction="received",leg="xmpp"} 0`,
			`sipxmppgw_media_loss_ratio_bucket{direction="received",leg="sip",le="0.01"} 0`,
			`sipxmppgw_media_loss_ratio_bucket{direction="received",leg="sip",le="0.02"} 1`,
			`sipxmppgw_media_loss_ratio_bucket{direction="sent",leg="sip",le="0"} 1`,
			`sipxmppgw_media_jitter_seconds_sum{direction="received",leg="sip"} 0.003`,
			`sipxmppgw_media_round_trip_seconds_sum{leg="sip"} 0.03`,
			`sipxmppgw_media_one_way_total{leg="sip"} 0`,
			`sipxmppgw_media_one_way_total{leg="xmpp"} 1`,
			`sipxmppgw_media_silences_total{leg="sip"} 2`,
			`sipxmppgw_media_silences_total{leg="xmpp"} 0`,
		} {
			if !strings.Contains(got, want+"\n") {
				t.Errorf("after the call there is no %s", want)
			}
		}
		if r := h.ended[0]; r.Leg(SIP).In.MOS != 4.2 || len(r.Unheard()) != 2 {
			t.Errorf("the record says %+v, %q", r.Leg(SIP), r.Unheard())
		}
	})
}
