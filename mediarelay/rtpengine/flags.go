package rtpengine

import (
	"sipxmppgw/gateway/media"
)

// The names of our lines, in the order in which rtpengine gets them: it knows streams by
// their place.
var lineNames = [2]string{media.Audio: "a", media.Video: "v"}

// The octet in which packets carry their DSCP (RFC 8837 section 5).
const (
	expedited = 46 << 2 // EF, for speech
	assured   = 34 << 2 // AF41, where there are pictures
)

// offerFlags returns an offer of what from's peer says, to be made to the peer of to.
func (b *Bridge) offerFlags(from, to *end, text string) dict {
	p := to.policy
	d := b.command("offer", from, to)
	b.describe(d, from, text)
	if p.ICE {
		d["ICE"] = "force" // rtpengine is the only candidate, as the relay is
	} else {
		d["ICE"] = "remove"
	}
	switch {
	case p.DTLS:
		d["transport-protocol"] = media.TLSSAVPF.String()
		d["SDES"] = []string{"off"} // a second kind of key beside the fingerprint confuses clients
	case to.dtls():
		d["transport-protocol"] = to.profile.String() // what its peer asked for before
		d["SDES"] = []string{"off"}
	case to.profile == media.SAVPF && to.keys() != nil:
		d["transport-protocol"], d["DTLS"] = media.SAVPF.String(), "off"
	case to.profile == media.SAVP && to.keys() != nil, p.SDES && !p.Clear:
		d["transport-protocol"], d["DTLS"] = media.SAVP.String(), "off"
	default:
		d["transport-protocol"] = to.clear().String()
		if p.SDES && (!p.ICE || to.keys() != nil) { // a client with ICE is asked for DTLS, or for none
			d["OSRTP"], d["DTLS"] = []string{"offer"}, "off"
		}
	}
	d["address-family"] = "IP4"
	if to.six() {
		d["address-family"] = "IP6"
	}
	if there, here := from.policy.Networks, p.Networks; len(there) > 0 && len(here) > 0 {
		d["direction"] = []string{there[0], here[0]}
	}
	if to.muxes() {
		d["rtcp-mux"] = []string{"offer", "require", "accept"} // one port, as clients of today want
	} else {
		d["rtcp-mux"] = []string{"demux"} // the other leg's mux is not this one's business
	}
	if from.dtls() && from.setupOfOurs() != media.Active {
		// The client begins as soon as its ICE is done. If rtpengine began it would speak
		// before the client can hear, and lose a second to its own repetition.
		d["DTLS-reverse"] = "passive"
	}
	if !b.engine.options.Unmarked {
		d["TOS"] = expedited
		if b.lines > 1 {
			d["TOS"] = assured // rtpengine has one for all sockets of a call
		}
	}
	if b.engine.options.Record {
		d["record-call"] = "yes"
	}
	if b.engine.options.Transcode {
		var names []string
		for _, c := range p.Codecs {
			names = append(names, c.Name)
		}
		d["codec"] = dict{"transcode": names}
	}
	return d
}

// answerFlags returns what from's peer answers, to be passed to the peer of to, who offered.
func (b *Bridge) answerFlags(from, to *end, text string) dict {
	d := b.command("answer", to, from) // tags stay those of the offer
	b.describe(d, from, text)
	if to.keys() != nil && !to.peer.Streams[to.peer.Live(media.Audio)].Transport.Guarded() {
		// Of clear media and keys beside it (RFC 8643) rtpengine makes a profile that has no name.
		d["OSRTP"] = []string{"accept"}
	} else {
		d["transport-protocol"] = to.profile.String()
	}
	if to.ice {
		d["ICE"] = "force"
	} else {
		d["ICE"] = "remove"
	}
	return d
}

// describe puts what a peer says into a request, and how rtpengine is to take it.
func (b *Bridge) describe(d dict, from *end, text string) {
	d["sdp"] = text
	// An address of zeros comes from us: of a peer that has not spoken yet, or one whose
	// candidates say where. It must not be passed on as an old way to hold.
	d["replace"] = []string{"zero-address"}
	flags := []string{
		"trust-address", // it stands in the SDP; there is no SIP message to look at
		"port-latching", // our ports for one peer are not others because the other is elsewhere
	}
	if b.inject {
		flags = append(flags, "inject-DTMF")
	}
	if b.decode {
		flags = append(flags, "always-transcode")
	}
	if !from.dtls() {
		// Nobody is heard but the peer (RTP Bleed): who is at the address that it said or,
		// if it may be behind a NAT, where it is found to send from in the first 3 s. DTLS
		// needs none of this, for what is not authentic is dropped.
		learning := "endpoint-learning-off"
		if from.policy.Behind {
			learning = "endpoint-learning-heuristic" // the signalled address wins over one that came first
		}
		flags = append(flags, "strict-source", learning)
	}
	d["flags"] = flags
}

// command returns a request about the call. An offer of a call that rtpengine does not know
// yet names one side only.
func (b *Bridge) command(name string, from, to *end) dict {
	d := dict{"command": name, "call-id": string(b.id), "from-tag": from.tag}
	if to != nil {
		d["to-tag"] = to.tag
	}
	return d
}
