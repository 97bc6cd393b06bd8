package media

import "net/netip"

// Typed is what a stream of kind Other says of text that is seen while it is typed (RFC 4103).
// As with [Messages], the stream is rejected by whoever bridges media.
type Typed struct {
	Addr        netip.AddrPort
	Profile     Profile
	Direction   Direction
	Text        uint8 // payload type of t140
	Red         uint8 // payload type of red; equal to Text without redundancy
	Generations int   // that are repeated
	Rate        int   // characters a second that the describer takes
	SDES        []SDES
}

func (t *Typed) clone() *Typed {
	if t == nil {
		return nil
	}
	c := *t
	c.SDES = cloneSlice(t.SDES)
	return &c
}

// Type returns a description with the first stream that offers text accepted as own says; the
// payload types are those of the offer (RFC 3264 section 6.1). ok is false if none is offered.
func (d Description) Type(offer Description, own Typed) (answer Description, ok bool) {
	for i, o := range offer.Streams {
		if o.Typed == nil || i >= len(d.Streams) {
			continue
		}
		answer = d.Clone()
		own.Text, own.Red, own.Generations = o.Typed.Text, o.Typed.Red, o.Typed.Generations
		own.Profile, own.Direction = o.Typed.Profile, AnswerDirection(o.Typed.Direction, SendRecv)
		answer.Streams[i] = Stream{Name: o.Name, Kind: Other, Media: o.Media, Transport: Transport{Profile: NoRTP}, Typed: &own}
		return answer, true
	}
	return d, false
}
