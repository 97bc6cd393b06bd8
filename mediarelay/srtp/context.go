package srtp

import (
	"encoding/binary"
)

// A Receiver takes the protection off the RTP of a peer.
type Receiver struct {
	streams
	transform
}

// NewReceiver returns a receiver for a peer's master key and salt.
func NewReceiver(p Profile, key, salt []byte) (*Receiver, error) {
	t, err := newTransform(p, key, salt, false)
	if err != nil {
		return nil, err
	}
	return &Receiver{transform: t}, nil
}

// Unprotect makes an SRTP packet RTP and returns its length. After an error, which is
// ErrShort, ErrReplayed or ErrForged, the octets of p mean nothing.
func (r *Receiver) Unprotect(p []byte) (n int, err error) {
	header, ok := headerOf(p)
	if !ok || len(p) < header+r.overhead(false) {
		return 0, ErrShort
	}
	ssrc := binary.BigEndian.Uint32(p[8:])
	if r.now.ssrc != ssrc || !r.now.started {
		return r.unprotectOther(p, header, ssrc)
	}
	s := &r.now
	index := s.guess(binary.BigEndian.Uint16(p[2:]))
	if !s.fresh(index) {
		return 0, ErrReplayed
	}
	if n, ok = r.open(p, header, ssrc, index); !ok {
		return 0, ErrForged
	}
	s.note(index)
	return n, nil
}

// unprotectOther is Unprotect for another source than that of the last packet.
func (r *Receiver) unprotectOther(p []byte, header int, ssrc uint32) (n int, err error) {
	s := r.find(ssrc)
	index := s.guess(binary.BigEndian.Uint16(p[2:]))
	if !s.fresh(index) {
		return 0, ErrReplayed
	}
	n, ok := r.open(p, header, ssrc, index)
	if !ok {
		return 0, ErrForged
	}
	s.note(index)
	r.keep(s)
	return n, nil
}

// A Sender protects the RTP of ours.
type Sender struct {
	streams
	transform
}

// NewSender returns a sender for a master key and salt of ours.
func NewSender(p Profile, key, salt []byte) (*Sender, error) {
	t, err := newTransform(p, key, salt, false)
	if err != nil {
		return nil, err
	}
	return &Sender{transform: t}, nil
}

// Protect makes an RTP packet SRTP. The slice must have room for MaxOverhead octets more;
// what is returned is p, longer. A sequence number is used once: two packets under one
// would give away what they say and, with GCM, the key that shows they are ours (RFC 3711
// section 9.1, RFC 7714 section 8.4). An error is ErrShort, ErrReplayed or ErrWornOut.
func (s *Sender) Protect(p []byte) ([]byte, error) {
	header, ok := headerOf(p)
	if !ok || cap(p)-len(p) < MaxOverhead {
		return nil, ErrShort
	}
	ssrc := binary.BigEndian.Uint32(p[8:])
	if s.now.ssrc != ssrc {
		is := s.find(ssrc)
		if !is.started && len(s.past) == streamsMax-1 {
			return nil, ErrWornOut // none may be forgotten here
		}
		s.keep(is)
	}
	index := s.now.guess(binary.BigEndian.Uint16(p[2:]))
	switch {
	case index > lastIndex:
		return nil, ErrWornOut
	case !s.now.fresh(index):
		return nil, ErrReplayed
	}
	s.now.note(index)
	n := s.seal(p[:cap(p)], len(p), header, ssrc, index)
	return p[:n], nil
}

// Touch reads what the next packet will need, for the cache's sake. What it returns means
// nothing.
func (s *Sender) Touch() uint32 { return s.now.ssrc + s.touch() }

// Touch reads what the next packet will need, for the cache's sake. What it returns means
// nothing.
func (r *Receiver) Touch() uint32 { return r.now.ssrc + r.touch() }

// A ReportReceiver takes the protection off the RTCP of a peer.
type ReportReceiver struct {
	streams
	transform
}

// NewReportReceiver returns a receiver for a peer's master key and salt.
func NewReportReceiver(p Profile, key, salt []byte) (*ReportReceiver, error) {
	t, err := newTransform(p, key, salt, true)
	if err != nil {
		return nil, err
	}
	return &ReportReceiver{transform: t}, nil
}

// Unprotect makes an SRTCP packet RTCP and returns its length. After an error, which is
// ErrShort, ErrReplayed or ErrForged, the octets of p mean nothing.
func (r *ReportReceiver) Unprotect(p []byte) (n int, err error) {
	if len(p) < reportHeader+r.overhead(true) || p[0]>>6 != 2 {
		return 0, ErrShort
	}
	ssrc := binary.BigEndian.Uint32(p[4:])
	word := binary.BigEndian.Uint32(p[r.wordAt(len(p)):])
	index := uint64(word &^ encrypted)
	s := r.find(ssrc)
	if !s.fresh(index) {
		return 0, ErrReplayed
	}
	n, ok := r.openReport(p, ssrc, word)
	if !ok {
		return 0, ErrForged
	}
	s.note(index)
	r.keep(s)
	return n, nil
}

// A ReportSender protects the RTCP of ours.
type ReportSender struct {
	transform
	index uint32 // of the last report, whatever its source
}

// NewReportSender returns a sender for a master key and salt of ours.
func NewReportSender(p Profile, key, salt []byte) (*ReportSender, error) {
	t, err := newTransform(p, key, salt, true)
	if err != nil {
		return nil, err
	}
	return &ReportSender{transform: t}, nil
}

// Protect returns an RTCP packet as SRTCP, in the octets of p if it has room for MaxOverhead
// more. An error is ErrShort or ErrWornOut.
func (s *ReportSender) Protect(p []byte) ([]byte, error) {
	if len(p) < reportHeader {
		return nil, ErrShort
	}
	if s.index == encrypted-1 {
		return nil, ErrWornOut
	}
	s.index++
	n := len(p)
	if cap(p)-n < MaxOverhead {
		p = append(make([]byte, 0, n+MaxOverhead), p...)
	}
	p = p[:cap(p)]
	return p[:s.sealReport(p, n, binary.BigEndian.Uint32(p[4:]), s.index|encrypted)], nil
}

// headerOf returns how long the header of an RTP packet is, with its contributing sources
// and its extension (RFC 3550 section 5.1).
func headerOf(p []byte) (n int, ok bool) {
	if len(p) < headerLen {
		return 0, false
	}
	n = headerLen + 4*int(p[0]&0x0f)
	if p[0]&0x10 != 0 {
		if len(p) < n+4 {
			return 0, false
		}
		n += 4 + 4*int(binary.BigEndian.Uint16(p[n+2:]))
	}
	return n, n <= len(p)
}
