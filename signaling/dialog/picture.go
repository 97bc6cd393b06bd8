package dialog

import (
	"encoding/xml"
	"errors"
	"io"
	"strings"

	"sipxmppgw/gateway/call"
)

// typeControl is how one asks a peer without RTCP feedback for a whole picture, in the words
// of fastUpdate (RFC 5168 sections 5 and 7).
const (
	typeControl = "application/media_control+xml"
	fastUpdate  = `<?xml version="1.0" encoding="utf-8"?>` + "\r\n" +
		"<media_control><vc_primitive><to_encoder><picture_fast_update/></to_encoder></vc_primitive></media_control>\r\n"
)

// A picture is how the peer is asked for whole ones.
type picture struct {
	id   int  // of the INFO under way; 0 if none
	mute bool // the peer knows nothing of the kind
}

// askPicture asks for a whole picture, unless the peer has been asked just now. The media
// plane keeps the pace.
func (d *Dialog) askPicture() {
	if d.end != nil || d.state != unconfirmed && d.state != confirmed || d.picture.mute || d.picture.id != 0 {
		return
	}
	s := d.next("INFO")
	s.Type, s.Text = typeControl, fastUpdate
	d.picture.id = s.ID
	d.emit(s)
}

// pictureResponse takes the answer. A peer that does not know the method or the type is not
// asked again; what is wrong for once is nothing to a call.
func (d *Dialog) pictureResponse(r Response) {
	if r.Status < 200 {
		return
	}
	d.picture.id = 0
	switch r.Status {
	case 405, 415, 501:
		d.picture.mute = true
	case 481:
		if d.state == confirmed && d.end == nil {
			d.fail(ending{r.Cause, r.Detail}) // the peer has lost the call (RFC 3261 section 12.2.1.2)
		}
	}
}

// control takes a media_control document (RFC 5168). All that is in it but a request for a
// whole picture is passed over.
func (d *Dialog) control(r Request) {
	x := xml.NewDecoder(strings.NewReader(r.Text))
	wanted := false
	for {
		t, err := x.Token()
		if errors.Is(err, io.EOF) {
			break
		}
		if err != nil {
			d.reply(r, 400)
			return
		}
		e, begins := t.(xml.StartElement)
		wanted = wanted || begins && e.Name.Local == "picture_fast_update"
	}
	d.reply(r, 200)
	if wanted {
		d.event(call.LegPicture{Side: d.side})
	}
}
