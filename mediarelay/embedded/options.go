package embedded

import (
	"crypto/rand"
	"io"
	"log/slog"
	"net/netip"
	"runtime"
	"slices"
	"time"

	"sipxmppgw/mediarelay/sound"
)

// Options are what a relay is made from. The zero value of a field means its default.
type Options struct {
	// Addresses, External, PortMin, PortMax and Unmarked are those of a [Network], if there is but
	// one. Addresses have a default: 127.0.0.1, which needs AllowLoopback.
	Addresses        []netip.Addr
	External         []netip.Addr
	PortMin, PortMax uint16
	Unmarked         bool
	// Networks are in place of these where there are several. No two have an address in common. A
	// leg without ICE is in the first that its policy names, or in the first of all; one with ICE
	// is offered those that its policy names, or all.
	Networks []Network
	// TURN is a server that relays to peers with ICE what cannot come directly. Default: none.
	TURN TURN
	// Engine is what keeps the sockets. Default: the best one for this machine.
	Engine Engine
	// Workers is how many threads EngineAuto has. Default: one for each core, 4 at most.
	Workers int
	// OwnPorts gives every transport with ICE a port of its own; else those of a worker
	// share one, and a transport has its own only where peers cannot be told apart.
	OwnPorts bool
	// Rest is how long a released port is left alone, so that packets still on their way
	// reach nobody else. Default: 30 s; negative for none.
	Rest time.Duration
	// Times are the times the relay waits.
	Times Times
	// Hold is what a peer hears while the other side holds and sends nothing: quiet
	// noise by default, as comfort noise (RFC 3389) if that was agreed. Default:
	// sound.HoldComfort.
	Hold sound.Hold
	// Music is what sound.HoldMusic plays, over and over: samples of 16 bits, one channel, 8000
	// a second. Default: a melody of 13 s.
	Music []int16
	// Ringback is what a caller hears that was answered before the callee, while the
	// callee rings. Default: 425 Hz, 1 s on and 4 s off, as in most of Europe.
	Ringback sound.Tone
	// InbandDTMF says that digits for a peer that speaks G.711 and has no telephone-event
	// are played as tones (ITU-T Q.23) in place of speech, if its policy wants them; else
	// signalling carries them.
	InbandDTMF bool
	// Transcodes is how many calls may be transcoded at a time, where policies say that
	// they may. Default: none.
	Transcodes int
	// AllowLoopback says that candidates of peers may be loopback and link-local
	// addresses; for tests and for peers on the same machine.
	AllowLoopback bool
	// Log gets the faults of peers and of the relay. Default: none.
	Log *slog.Logger
	// Rand is where credentials, SSRCs and names come from; it is read by several
	// goroutines. Keys are made by crypto/rand always. Default: crypto/rand.
	Rand io.Reader
}

// Times are the times a bridge waits. The zero value of a field means its default.
type Times struct {
	Connect time.Duration // for ICE to find a pair; 20 s
	Secure  time.Duration // for the DTLS handshake, once there is a pair; 10 s
	Hello   time.Duration // for the ClientHello of a peer that named no role; 3 s
	Consent time.Duration // without an answer to ICE checks (RFC 7675); 30 s
	First   time.Duration // for the first packet of an end without ICE; 30 s
	Early   time.Duration // the same while the callee may still ring; 180 s
	Silence time.Duration // without packets on an end without ICE; 60 s
	Held    time.Duration // the same, on hold; RTCP counts there; 30 min
	Absent  time.Duration // for the first packet of a peer until it counts as never come; 5 s
	Gap     time.Duration // without packets until a peer that nobody holds counts as silent; 10 s
	Report  time.Duration // between RTCP reports; 5 s
	Tick    time.Duration // between looks at all of these; 1 s
}

func (t *Times) defaults() {
	for _, d := range []struct {
		at *time.Duration
		is time.Duration
	}{
		{&t.Connect, 20 * time.Second},
		{&t.Secure, 10 * time.Second},
		{&t.Hello, 3 * time.Second},
		{&t.Consent, 30 * time.Second},
		{&t.First, 30 * time.Second},
		{&t.Early, 180 * time.Second},
		{&t.Silence, 60 * time.Second},
		{&t.Held, 30 * time.Minute},
		{&t.Absent, 5 * time.Second},
		{&t.Gap, 10 * time.Second},
		{&t.Report, 5 * time.Second},
		{&t.Tick, time.Second},
	} {
		if *d.at == 0 {
			*d.at = d.is
		}
	}
}

func (o *Options) defaults() error {
	if len(o.Networks) == 0 {
		if len(o.Addresses) == 0 && o.AllowLoopback {
			o.Addresses = []netip.Addr{netip.MustParseAddr("127.0.0.1")}
		}
		o.Networks = []Network{{Addresses: o.Addresses, External: o.External, PortMin: o.PortMin, PortMax: o.PortMax, Unmarked: o.Unmarked}}
	}
	o.Networks = slices.Clone(o.Networks)
	for i := range o.Networks {
		if err := o.Networks[i].defaults(); err != nil {
			return err
		}
	}
	switch {
	case o.Rest == 0:
		o.Rest = 30 * time.Second
	case o.Rest < 0:
		o.Rest = 0
	}
	if o.Workers <= 0 {
		o.Workers = min(runtime.NumCPU(), 4)
	}
	if o.Log == nil {
		o.Log = slog.New(slog.DiscardHandler)
	}
	if o.Rand == nil {
		o.Rand = rand.Reader
	}
	if len(o.Ringback.Cadence) == 0 {
		o.Ringback, _ = sound.RingbackOf("de")
	}
	o.Times.defaults()
	return nil
}
