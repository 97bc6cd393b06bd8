package gateway

import (
	"cmp"
	"encoding/json"
	"time"

	"sipxmppgw/gateway/call"
	"sipxmppgw/gateway/media"
	"sipxmppgw/gateway/translate"
)

// LineVersion is that of [Line]. It changes when a field changes its meaning or goes.
const LineVersion = 1

// A Line is a record as it is written: one object of JSON, or one row of a table. Times are
// RFC 3339 in UTC, in milliseconds.
type Line struct {
	Version   int        `json:"v"`
	Call      string     `json:"call"`
	State     string     `json:"state,omitempty"` // while it lives
	Direction string     `json:"direction"`       // "sip_to_xmpp" and so on, by the legs that it had last
	XMPPUser  string     `json:"xmpp_user"`       // bare JID of the user
	XMPPPeer  string     `json:"xmpp_peer"`       // JID of whoever is at the other end
	SIPFrom   string     `json:"sip_from"`
	SIPTo     string     `json:"sip_to"`
	Trunk     string     `json:"trunk"`
	Rule      string     `json:"rule"`
	Attempt   time.Time  `json:"attempt"`
	Ringing   *time.Time `json:"ringing,omitempty"`
	Answer    *time.Time `json:"answer,omitempty"`
	End       *time.Time `json:"end,omitempty"`
	PDD       int64      `json:"pdd_ms"`      // from the attempt to ringing, or to the answer; -1 for neither
	Duration  int64      `json:"duration_ms"` // from the answer to the end, or until now

	Outcome string `json:"outcome"` // the cause
	EndedBy string `json:"ended_by,omitempty"`
	Status  int    `json:"sip_code,omitempty"`
	Q850    int    `json:"q850,omitempty"`
	Reason  string `json:"jingle_reason,omitempty"`
	Explain string `json:"explain,omitempty"`
	Advice  string `json:"advice,omitempty"`

	XMPP     *LegLine       `json:"xmpp,omitempty"`
	SIP      *LegLine       `json:"sip,omitempty"`
	Caller   *LegLine       `json:"caller,omitempty"` // of two legs on one edge, instead
	Callee   *LegLine       `json:"callee,omitempty"`
	Transfer []TransferLine `json:"transfers,omitempty"`

	// Text says that there was text which was seen while it was typed (RFC 4103), and in how many
	// packets it came from the SIP peer and went to it, and how many were lost with what was in them.
	Text     bool   `json:"text,omitempty"`
	TextRx   uint64 `json:"text_rx_packets,omitempty"`
	TextTx   uint64 `json:"text_tx_packets,omitempty"`
	TextLost uint64 `json:"text_lost,omitempty"`
}

// A LegLine is how the media of a leg was, and what the leg was called in its protocol: the
// Call-ID of a dialog, or the id of a session, and the Session-ID (RFC 7989) of a dialog.
type LegLine struct {
	ID         string  `json:"id,omitempty"`
	Session    string  `json:"session,omitempty"`
	Codec      string  `json:"codec,omitempty"` // of what the peer sent
	Protection string  `json:"srtp,omitempty"`
	Local      string  `json:"local,omitempty"` // of the ICE pair, or of the sockets
	Remote     string  `json:"remote,omitempty"`
	RxPackets  int64   `json:"rx_packets"`
	RxOctets   int64   `json:"rx_bytes"`
	TxPackets  int64   `json:"tx_packets"`
	TxOctets   int64   `json:"tx_bytes"`
	Lost       int64   `json:"lost"`
	Jitter     float64 `json:"jitter_ms"`
	RoundTrip  float64 `json:"rtt_ms"`
	MOSIn      float64 `json:"mos_rx,omitempty"`
	MOSOut     float64 `json:"mos_tx,omitempty"`
	FirstAfter int64   `json:"first_packet_ms,omitempty"` // after the attempt
	OneWay     bool    `json:"one_way,omitempty"`         // it never sent a packet
}

// A TransferLine is an attempt to replace a leg.
type TransferLine struct {
	Time time.Time `json:"time"`
	By   string    `json:"by"`
	To   string    `json:"to"`
	Done bool      `json:"done"`
	Why  string    `json:"cause,omitempty"`
}

// Line returns the record as it is written. Now is for calls that live.
func (r *Record) Line(now time.Time) Line {
	l := Line{
		Version: LineVersion, Call: string(r.Call), Direction: r.edges[call.A].String() + "_to_" + r.edges[call.B].String(),
		Trunk: r.Trunk, Rule: r.Rule, Attempt: stamp(r.Attempt), Ringing: moment(r.Rang), Answer: moment(r.Answered), End: moment(r.Ended),
		PDD: -1, Outcome: r.Cause.String(), EndedBy: r.EndedBy, Status: r.Detail.Status, Q850: r.Detail.Q850,
	}
	user, peer := r.Caller.JID, r.Callee.JID
	if r.From == SIP {
		user, peer = peer, user
	}
	l.XMPPUser, l.XMPPPeer = bareJID(user), peer
	l.SIPFrom, l.SIPTo = r.Caller.URI, r.Callee.URI
	for _, t := range []time.Time{r.Answered, r.Rang} {
		if !t.IsZero() {
			l.PDD = t.Sub(r.Attempt).Milliseconds()
		}
	}
	if r.Ended.IsZero() {
		l.State, l.Outcome = r.State.String(), ""
	} else {
		now = r.Ended
		e := r.Why()
		l.Explain, l.Advice = e.Sentence(translate.EN), e.Advice(translate.EN)
		l.Reason = translate.ReasonOf(r.Cause, r.Detail)
	}
	if !r.Answered.IsZero() {
		l.Duration = now.Sub(r.Answered).Milliseconds()
	}
	if t := r.Text; t != nil {
		l.Text, l.TextRx, l.TextTx, l.TextLost = true, t.Received, t.Sent, t.Lost
	}
	for side := range r.Media {
		leg := r.legLine(call.Side(side))
		switch {
		case r.edges[call.A] == r.edges[call.B] && side == int(call.A):
			l.Caller = leg
		case r.edges[call.A] == r.edges[call.B]:
			l.Callee = leg
		case r.edges[side] == XMPP:
			l.XMPP = leg
		default:
			l.SIP = leg
		}
	}
	for _, t := range r.Transfers {
		line := TransferLine{Time: stamp(t.Time), By: t.By.String(), To: cmp.Or(t.To.URI, t.To.JID), Done: t.Done}
		if !t.Done {
			line.Why = t.Cause.String()
		}
		l.Transfer = append(l.Transfer, line)
	}
	return l
}

func (r *Record) legLine(side call.Side) *LegLine {
	s := r.Media[side]
	l := &LegLine{
		ID: r.ids[side].id, Session: r.ids[side].session,
		Codec: s.Codec, Protection: s.Protection, Local: s.Local, Remote: s.Remote,
		RxPackets: s.Received.Packets, RxOctets: s.Received.Octets, TxPackets: s.Sent.Packets, TxOctets: s.Sent.Octets,
		Lost: s.Lost, Jitter: inMilliseconds(s.Jitter), RoundTrip: inMilliseconds(s.RoundTrip),
		MOSIn: tenths(s.In), MOSOut: tenths(s.Out), OneWay: !r.Ended.IsZero() && r.OneWay(side),
	}
	if !s.First.IsZero() {
		l.FirstAfter = max(s.First.Sub(r.Attempt).Milliseconds(), 0)
	}
	return l
}

// JSON returns the line as one object.
func (l Line) JSON() []byte {
	b, _ := json.Marshal(l) // plain values
	return b
}

func tenths(q media.Quality) float64 { return float64(int(q.MOS*10+0.5)) / 10 }

func inMilliseconds(d time.Duration) float64 {
	return float64(d.Round(10*time.Microsecond)) / float64(time.Millisecond)
}

func stamp(t time.Time) time.Time { return t.UTC().Truncate(time.Millisecond) }

func moment(t time.Time) *time.Time {
	if t.IsZero() {
		return nil
	}
	t = stamp(t)
	return &t
}
