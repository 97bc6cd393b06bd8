package embedded

import (
	"errors"

	"sipxmppgw/gateway/media"
	"sipxmppgw/mediarelay/srtp"
)

// A master is the key and the salt of one direction that all others are made of.
type master struct{ key, salt []byte }

// keys are the SRTP state of a transport. Each context belongs to one goroutine; those that
// not every call needs are made when they are asked for, by the bridge's.
type keys struct {
	profile srtp.Profile
	ours    master
	theirs  master

	rx      *srtp.Receiver       // of the goroutines that read the transport's sockets
	reports *srtp.ReportReceiver // of the same
	control *srtp.ReportReceiver // of those that read sockets of RTCP alone; nil before
	tx      *srtp.ReportSender   // of the bridge's goroutine
	flows   [2]*srtp.Sender      // by kind of media; of the goroutine that reads the other end's; nil before
}

func newKeys(p srtp.Profile, ours, theirs master) (*keys, error) {
	k := &keys{profile: p, ours: ours, theirs: theirs}
	var errs [4]error
	k.rx, errs[0] = srtp.NewReceiver(p, theirs.key, theirs.salt)
	k.reports, errs[1] = srtp.NewReportReceiver(p, theirs.key, theirs.salt)
	k.tx, errs[2] = srtp.NewReportSender(p, ours.key, ours.salt)
	k.flows[media.Audio], errs[3] = srtp.NewSender(p, ours.key, ours.salt)
	if err := errors.Join(errs[:]...); err != nil {
		return nil, err
	}
	return k, nil
}

// flow returns what protects a kind of media that we send.
func (k *keys) flow(kind media.Kind) *srtp.Sender {
	if k.flows[kind] == nil {
		k.flows[kind], _ = srtp.NewSender(k.profile, k.ours.key, k.ours.salt) // it worked before
	}
	return k.flows[kind]
}

// apart returns what takes RTCP that comes by itself.
func (k *keys) apart() *srtp.ReportReceiver {
	if k.control == nil {
		k.control, _ = srtp.NewReportReceiver(k.profile, k.theirs.key, k.theirs.salt) // it worked before
	}
	return k.control
}
