package embedded

import (
	"fmt"

	"github.com/pion/srtp/v3"
)

// keys are the SRTP state of a transport.
type keys struct {
	profile srtp.ProtectionProfile
	rx      *srtp.Context    // of the goroutines that read the transport's sockets
	control *srtp.Context    // of those that read sockets of RTCP alone
	tx      *srtp.Context    // for our RTCP; of the bridge's goroutine
	flows   [2]*srtp.Context // by kind of media; of the goroutine that reads the other end's
}

// newKeys makes the contexts of both directions: two to receive, one for our RTCP, and
// one for each flow we send, so that each belongs to one goroutine.
func newKeys(c srtp.Config) (*keys, error) {
	k := &keys{profile: c.Profile}
	var err error
	for _, from := range []**srtp.Context{&k.rx, &k.control} {
		*from, err = srtp.CreateContext(
			c.Keys.RemoteMasterKey, c.Keys.RemoteMasterSalt, c.Profile,
			srtp.SRTPReplayProtection(replayWindow), srtp.SRTCPReplayProtection(replayWindow),
		)
		if err != nil {
			return nil, fmt.Errorf("make a receiving SRTP context: %w", err)
		}
	}
	for _, to := range []**srtp.Context{&k.tx, &k.flows[0], &k.flows[1]} {
		*to, err = srtp.CreateContext(c.Keys.LocalMasterKey, c.Keys.LocalMasterSalt, c.Profile)
		if err != nil {
			return nil, fmt.Errorf("make a sending SRTP context: %w", err)
		}
	}
	return k, nil
}
