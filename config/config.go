// Package config is the gateway's one YAML file: its settings, their defaults, and every
// check of them. It knows no other package and hands out plain values.
//
// A file is read strictly: an unknown key, a wrong type and a value out of range are all
// problems, and all of them are reported at once, each with its line.
package config

import (
	"math"
	"net/netip"
	"time"
)

// Config is the whole file.
type Config struct {
	XMPP  XMPP  `yaml:"xmpp"`
	SIP   SIP   `yaml:"sip"`
	Media Media `yaml:"media"`
	Calls Calls `yaml:"calls"`
	HTTP  HTTP  `yaml:"http"`
	Log   Log   `yaml:"log"`
	// Trace is what is kept in memory of the last calls, for the commands ladder, why and pcap.
	Trace Trace `yaml:"trace"`
	// Control is how commands reach the running gateway.
	Control Control `yaml:"control"`
	// Console is a web page for the operator.
	Console Console `yaml:"console"`
	// Feed tells web applications of chosen users what happens to them.
	Feed Feed `yaml:"feed"`
	// Records are call detail records: a line for every call that has ended.
	Records Records `yaml:"records"`
	// HEP tells a collector, such as Homer, of every message of calls.
	HEP HEP `yaml:"hep"`
	// OTLP tells a collector of OpenTelemetry of every call that has ended.
	OTLP OTLP `yaml:"otlp"`
	// Presence is how much of it there may be.
	Presence Presence `yaml:"presence"`
	// Messages are what becomes of instant messages.
	Messages Messages `yaml:"messages"`
	// Persons are people with an address in both worlds.
	Persons Persons `yaml:"persons"`
	// MSRP is where message sessions are (RFC 4975).
	MSRP MSRP `yaml:"msrp"`
	// Store is what outlives the process.
	Store Store `yaml:"store"`
	// Accounts let users add SIP accounts of their own.
	Accounts Accounts `yaml:"accounts"`
	// Contacts are files with names of numbers and SIP addresses: vCard, or CSV with the
	// columns number and name. Default none.
	Contacts []string `yaml:"contacts"`
	Trunks   []Trunk  `yaml:"trunks"`
	// Phones are SIP phones that register with the gateway itself (RFC 3261 section 10), and
	// Registrar is how.
	Phones    []Phone   `yaml:"phones"`
	Registrar Registrar `yaml:"registrar"`
	Routes    []Route   `yaml:"routes"`
	// Users are telephone numbers or SIP addresses, and whose they are, by bare JID. A number
	// that ends in * stands for all that begin so; a * in the JID, for the rest of it.
	Users map[string]string `yaml:"numbers"`
	// Groups are numbers that several ring at. Default none.
	Groups []Group `yaml:"groups"`
	// Lists are what phones may watch as one. Default none.
	Lists []List `yaml:"lists"`
	// Builtin are services of the gateway's own.
	Builtin Builtin `yaml:"builtin"`
	// Tenants are further components in the same process.
	Tenants []Tenant `yaml:"tenants"`

	beside bool // as one of Tenants sees it
}

// XMPP is the component connection (XEP-0114).
type XMPP struct {
	// Domain is the component's domain, under which numbers and SIP addresses appear.
	// Required.
	Domain string `yaml:"domain"`
	// Server is where the XMPP server listens for components. Default 127.0.0.1:5347.
	Server string `yaml:"server"`
	// Secret is shared with the XMPP server. Better: SecretFile, the environment variable
	// SIPXMPPGW_XMPP_SECRET, or a systemd credential named xmpp_secret. One is required.
	Secret Secret `yaml:"secret"`
	// SecretFile is a file that holds the secret; a line end after it does not count. A systemd
	// credential, if there is one, goes before it.
	SecretFile string `yaml:"secret_file"`
	// Name is what service discovery shows. Default "Telephone gateway".
	Name string `yaml:"name"`
	// Admins are addresses for abuse and support (XEP-0157), such as
	// "xmpp:noc@example.org" or "mailto:abuse@example.org". Default none.
	Admins []string `yaml:"contact_addresses"`
	// Administrators are bare JIDs of those who may order by chat with Domain, and by ad-hoc
	// commands (XEP-0050) there, what the commands of Control do. Who is named for a tenant sees
	// that alone, and orders nothing for the whole. Default none.
	Administrators []string `yaml:"admins"`
	// AnnounceDiversion tells a user of a call that was for someone else before, in a message
	// ahead of it. Who that was is what the trunk says. Default false.
	AnnounceDiversion bool `yaml:"announce_diversion"`
	// SignalledTones lets digits come from clients, and go to them, by signalling (XEP-0181) where
	// the media have no form for them. Default true.
	SignalledTones bool `yaml:"signalled_tones"`
	// DTLS says how clients' media is protected: required (DTLS-SRTP and nothing else),
	// preferred (the same, but a client that is known not to speak it is called without, and
	// one that calls without is taken, unless it is known to speak it), or off (it is not
	// offered, but taken from a client that offers it). Default preferred.
	DTLS string `yaml:"dtls"`
	// Language is what users are told things in whose clients do not say theirs: en, de, fr
	// or es. Default en.
	Language string `yaml:"language"`
	// LocationDomains are XMPP domains whose users may let contacts know where they are
	// (XEP-0080), each by the command location of Accounts, as far as the contact's trunk has
	// Location. Default none.
	LocationDomains []string `yaml:"location_domains"`
	// Rooms are the domains of chat rooms (XEP-0045), such as rooms.example.org, that SIP peers
	// may enter by message sessions, whoever may call users. Default none.
	Rooms []string `yaml:"rooms"`
}

// SIP is the SIP side as a whole.
type SIP struct {
	// Listen are the sockets, as transport:address:port; transports are udp, tcp, tls, ws and
	// wss (WebSocket, RFC 7118), and sctp where the kernel has it. Default
	// udp:0.0.0.0:5060 and tcp:0.0.0.0:5060.
	Listen []string `yaml:"listen"`
	// ExternalAddress is what others reach us by, in Via, Contact and SDP, when that is not
	// the address of the socket: one of IPv4, one of IPv6, or both; or auto for what a
	// STUN server sees. Default: the address that leads to the first trunk.
	ExternalAddress []string `yaml:"external_address"`
	// Unmarked leaves what is sent without a DSCP, where it is CS3, but over SCTP. Default
	// false.
	Unmarked bool `yaml:"unmarked"`
	// STUNServer is asked, when we start, at which address it sees us, as host or host:port
	// (3478). Default: the one that the XMPP server above the component names (XEP-0215).
	STUNServer string `yaml:"stun_server"`
	// TLS is what sockets of tls and wss, and trunks over them, stand on.
	TLS TLS `yaml:"tls"`
	// WebSocketOrigins are the web pages, such as https://phone.example.org, that may open a
	// WebSocket; "*" is for all. Programs that are no browser need none. Default none.
	WebSocketOrigins []string `yaml:"websocket_origins"`
	// Realm is the one of phones and trunks that prove to us who they are (RFC 7616). Hashes of
	// passwords are made with it. Default: Domain or, without one, the external address.
	Realm string `yaml:"realm"`
	// DigestMD5 lets them do so by MD5, beside SHA-256, which is offered first (RFC 8760): most
	// phones know nothing better. Default true.
	DigestMD5 bool `yaml:"digest_md5"`
	// MaxFailures is how many wrong answers in a row shut an address out: for a minute, then
	// for two, to an hour at most. From 1 to 1000. Default 10.
	MaxFailures int `yaml:"max_failures"`
	Addressing  `yaml:",inline"`
}

// Addressing is how addresses and numbers are meant.
type Addressing struct {
	// Domain is the host in addresses of XMPP users on the SIP side. Default: the external
	// address.
	Domain string `yaml:"domain"`
	// DefaultDomain is the SIP domain that is left out of JIDs, and that numbers belong to.
	// Default: the host of the first trunk.
	DefaultDomain string `yaml:"default_domain"`
	// DirectDomains are XMPP domains whose users have the same address on the SIP side
	// (RFC 7247 section 6). Default none.
	DirectDomains []string `yaml:"direct_domains"`
	// DefaultContext completes local numbers without a phone-context (RFC 3966). Default
	// none: they are refused.
	DefaultContext string `yaml:"phone_context"`
	// Country is the calling code, such as "49", that numbers without a plus belong to.
	// Default none: a number without a plus is the PBX's business.
	Country string `yaml:"country"`
	// NationalPrefix is what is dialled before a national number, such as "0". Default none.
	NationalPrefix string `yaml:"national_prefix"`
	// InternationalPrefixes are what is dialled instead of the plus. Default 00 if there is
	// a country.
	InternationalPrefixes []string `yaml:"international_prefixes"`
	// Region is the country (ISO 3166, such as "DE") by whose numbering plan numbers are
	// completed; Country and its neighbours, where they are set, go before what it says.
	// Default none.
	Region string `yaml:"region"`
	// Regions are those of XMPP domains whose users dial in another way. Default none.
	Regions map[string]string `yaml:"regions"`
	// TimeZone is where the hours of routes are, such as "Europe/Berlin". Default: that of
	// this machine.
	TimeZone string `yaml:"time_zone"`
	// AllowSIPS lets sips: addresses call XMPP users, although protection cannot be
	// promised to the end (RFC 7247 section 8). Default false.
	AllowSIPS bool `yaml:"allow_sips"`
}

// TLS is our certificate, and whose we believe. The files are read again when they have changed.
type TLS struct {
	// Certificate and Key are files in PEM; what stands between the certificate and its
	// authority follows in the same file. It is shown to those who call and, if they ask, to
	// trunks. Required for sockets of tls and wss. Default none.
	Certificate string `yaml:"certificate"`
	Key         string `yaml:"key"`
	// Further certificates are shown, in place of that, to who asks for a name of theirs, such
	// as the domain of a tenant. Default none.
	Further []KeyPair `yaml:"further"`
	// CA is a file in PEM of the authorities that certificates of trunks may be from, or of
	// such certificates themselves. Default: those that this machine trusts.
	CA string `yaml:"ca"`
	// MinVersion is the least version: 1.2 or 1.3. Default 1.2.
	MinVersion string `yaml:"min_version"`
	// Wildcards lets the certificate of a trunk that we call name *.example.org for
	// sip.example.org, which RFC 5922 section 7.2 forbids. Default false.
	Wildcards bool `yaml:"wildcards"`
}

// KeyPair is a certificate and its key, as files in PEM. Both are required.
type KeyPair struct {
	Certificate string `yaml:"certificate"`
	Key         string `yaml:"key"`
}

// Media is who carries the media, and how.
type Media struct {
	Carrier `yaml:",inline"`
	// Addresses are where media sockets are bound and, unless there is an external
	// address, what is offered: at most one of IPv4 and one of IPv6. Default: the address
	// that leads to the first trunk or, if that is loopback, the one that leads out.
	Addresses []netip.Addr `yaml:"addresses"`
	// ExternalAddress replaces the first address in what is offered, behind a NAT that maps
	// ports one to one; auto is for what a STUN server sees. Default none.
	ExternalAddress string `yaml:"external_address"`
	// PortMin and PortMax are the UDP ports. Default 10000 to 19999.
	PortMin int `yaml:"port_min"`
	PortMax int `yaml:"port_max"`
	// Networks are in place of Addresses and ExternalAddress where there are several of a family.
	// A trunk is in the one of its media_network or, if it has none and its address is no name, in
	// the one whose address leads to it; else it is in the first, and so are phones and accounts.
	// Default none.
	Networks []MediaNetwork `yaml:"networks"`
	// XMPPNetworks are those that XMPP clients, and trunks and phones with ICE, are offered
	// addresses of, the best first. Default: all.
	XMPPNetworks []string `yaml:"xmpp_networks"`
	// TURN is a server that relays media between us and XMPP clients that do not reach us
	// otherwise: clients are offered an address there as the last of ours. Default none.
	TURN TURN `yaml:"turn"`
	// AllowLoopback lets media flow to 127.0.0.1 and ::1, for tests. Default false.
	AllowLoopback bool `yaml:"allow_loopback"`
	// OwnPorts gives each XMPP leg a UDP port of its own. Else all of a worker share one of
	// the ports above. Default false.
	OwnPorts bool `yaml:"own_ports"`
	// Workers is how many threads relay packets. Default 0: one for each core, 4 at most.
	Workers int `yaml:"workers"`
	// Portable leaves the media sockets to the Go runtime, where there could be threads of
	// their own for them (Linux). Default false.
	Portable bool `yaml:"portable"`
	// Unmarked leaves media packets without a DSCP, where speech is EF and video AF41
	// (RFC 8837 section 5). Default false.
	Unmarked bool `yaml:"unmarked"`
	// OnHold is what someone on hold hears: noise, music or nothing. Default noise.
	OnHold string `yaml:"on_hold"`
	// MusicFile is a WAV file (16 bits, one channel, 8000 samples a second) for music on
	// hold; with rtpengine, one that each rtpengine has there and can read. Default: a melody
	// of our own.
	MusicFile string `yaml:"music_file"`
	// Ringback is the country whose ringing tone is heard by a caller that was answered
	// before the callee, see early_media: two letters (ISO 3166). Default de.
	Ringback string `yaml:"ringback"`
	// InbandDTMF plays digits as tones to SIP peers that speak G.711 and know no
	// telephone-event; else INFO carries them. Default false.
	InbandDTMF bool `yaml:"inband_dtmf"`
	// Silence is how long a leg without ICE may say nothing, off hold, before its peer is asked
	// whether it is there; the call ends if it is not. Default 1m, from 10s to 1h.
	Silence time.Duration `yaml:"silence"`
}

// A MediaNetwork is addresses for media, and the ports there.
type MediaNetwork struct {
	// Name is what trunks and xmpp_networks call it: up to 32 letters, digits, - and _. Required.
	Name string `yaml:"name"`
	// Addresses are where its sockets are bound: at most one of IPv4 and one of IPv6, in no
	// other network. Required.
	Addresses []netip.Addr `yaml:"addresses"`
	// ExternalAddress replaces the first of them in what is offered; it is never auto. Default
	// none.
	ExternalAddress string `yaml:"external_address"`
	// PortMin and PortMax are its UDP ports. Default: those of media.
	PortMin int `yaml:"port_min"`
	PortMax int `yaml:"port_max"`
	// Unmarked leaves its packets without a DSCP. Default: as media.unmarked says.
	Unmarked bool `yaml:"unmarked"`
}

// Carrier is who carries the media.
type Carrier struct {
	// Engine is embedded, the relay in this process, or rtpengine, one or several elsewhere,
	// which have their own addresses and ports. Default embedded.
	Engine string `yaml:"engine"`
	// RTPEngine are the rtpengines. Required if they are the engine.
	RTPEngine []RTPEngine `yaml:"rtpengine"`
	// RTPEngineTimeout is how long an rtpengine may take to reply; then a new call goes to
	// another. Default 2s, from 200ms to 10s.
	RTPEngineTimeout time.Duration `yaml:"rtpengine_timeout"`
	// RTPEngineTranscode offers every leg all its codecs and has rtpengine translate.
	// Default false: the legs of a call agree on one codec.
	RTPEngineTranscode bool `yaml:"rtpengine_transcode"`
	// RTPEngineRecord has rtpengine record every call, as its own configuration says.
	// Default false.
	RTPEngineRecord bool `yaml:"rtpengine_record"`
	// RTPEngineInterfaces are where the peers of an rtpengine with several networks are.
	RTPEngineInterfaces Interfaces `yaml:"rtpengine_interfaces"`
	// Transcoding turns the speech of one leg into that of the other, in the relay.
	Transcoding Transcoding `yaml:"transcoding"`
}

// TURN is a TURN server that is spoken to over UDP (RFC 8656).
type TURN struct {
	// Server is where it is, as host or host:port; the port is 3478 if none is given. Default
	// none.
	Server string `yaml:"server"`
	// User and Password are who we are there. Required with a server; but see SharedSecret.
	User     string `yaml:"user"`
	Password Secret `yaml:"password"`
	// SharedSecret says that the password is the secret that the server shares with those
	// who may use it (use-auth-secret of coturn): user and password are made from it for
	// each call, and User, which may be empty, is a part of the one. Default false.
	SharedSecret bool `yaml:"shared_secret"`
}

// Transcoding is for calls whose legs have no codec in common; all others pass as they are.
type Transcoding struct {
	// Off refuses such calls. Default false.
	Off bool `yaml:"off"`
	// Max is how many there may be at once, up to 10000; more are refused. Default 0,
	// which is 30 for each core.
	Max int `yaml:"max"`
}

// An RTPEngine is one rtpengine of several.
type RTPEngine struct {
	// Address is where it listens for the NG protocol, as host:port. A name is looked up
	// once. Required.
	Address string `yaml:"address"`
	// Weight is its share of new calls. Default 1, to 1000.
	Weight int `yaml:"weight"`
}

// Interfaces are names of interfaces that every rtpengine has: "in" of its interface=in/192.0.2.7.
type Interfaces struct {
	// SIP is for trunks and phones, XMPP for clients. Either needs the other. Default none:
	// the first that an rtpengine has.
	SIP  string `yaml:"sip"`
	XMPP string `yaml:"xmpp"`
}

// Calls are limits and times of calls.
type Calls struct {
	// Max is how many calls there may be at once. Default 500.
	Max int `yaml:"max"`
	// MaxUnanswered is how many of them may be unanswered. Default 200.
	MaxUnanswered int `yaml:"max_unanswered"`
	// PerSecond is how many calls may begin in a second, over time; ten times as many may
	// begin at once. Default 20.
	PerSecond int `yaml:"per_second"`
	// MaxCPU is at what load of this machine's processors by the gateway, in percent, new calls
	// are refused, until it is less; 100 is for never. Default 85, from 10.
	MaxCPU int `yaml:"max_cpu"`
	// PerUser is how many calls one XMPP user may have at once. Default 4.
	PerUser int `yaml:"per_user"`
	// AttemptsPerUser is how many calls one XMPP user may begin in a minute. Default 20.
	AttemptsPerUser int `yaml:"attempts_per_user"`
	// UserMinutes is how many minutes one XMPP user may talk over trunks in a day, from
	// midnight of sip.time_zone on; then what is up ends. What was talked is forgotten at a
	// restart. Default 0: as many as they like; to 100000.
	UserMinutes int `yaml:"user_minutes_per_day"`
	// MaxDuration is how long a call may last after the answer. Default 12h, from 1m to
	// 168h.
	MaxDuration time.Duration `yaml:"max_duration"`
	// NoAnswer is how long a callee may ring. Default 3m, about what a proxy gives it
	// (Timer C, RFC 3261 section 16.6); from 1s to 10m.
	NoAnswer time.Duration `yaml:"no_answer"`
	// PlainReject is the status for a phone whose call an XMPP device rejects without saying
	// why: 480, 486 or 603. Default 480.
	PlainReject int `yaml:"plain_reject"`
	// Decline is the status for a phone whose call a person declines: 603, which ends the ringing
	// of every other phone too, or 480 or 486. Default 603.
	Decline int `yaml:"decline"`
	// SecondCall is what becomes of a second call between the same two while there is one, on
	// the XMPP side: parallel, migrate (it takes the first one's place) or busy. Default
	// parallel, and migrate when the device of the first is gone (XEP-0353).
	SecondCall string `yaml:"second_call"`
	// MissedMessage leaves a user a message from whoever called and was not answered. Default
	// false: clients that know calls note it themselves.
	MissedMessage bool `yaml:"missed_message"`
	// HideBusy keeps from those who watch someone that they are in a call. Default false: they
	// are shown as on the phone, without with whom, as far as their trunk has Presence.
	HideBusy bool `yaml:"hide_busy"`
	// Drain is how long calls may go on after the order to stop. Default 5m, to 24h.
	Drain time.Duration `yaml:"drain"`
}

// Presence is who sees whom, of XMPP users, phones and SIP contacts.
type Presence struct {
	// MaxPairs is how many pairs of an XMPP user and a SIP contact there may be of which one
	// watches the other, whether they are there or not: about 1 KiB of memory each. Further wishes
	// are refused. Default 20000, from 100 to 1000000.
	MaxPairs int `yaml:"max_pairs"`
	// PerUser is how many contacts one user may watch. Default 200, to 10000.
	PerUser int `yaml:"per_user"`
}

// Messages are instant messages between XMPP users and SIP peers. Who may call somebody may
// write to them.
type Messages struct {
	// Keep is how long a message waits for a trunk or an XMPP server that is away; then its
	// sender is told. It waits in Store; without one, what waits when we stop is given up, and
	// its sender told. Default 5m, from 10s to 168h.
	Keep time.Duration `yaml:"keep"`
	// PerUser is how many messages one sender may send in a second, over time; four times as
	// many may come at once. Default 5, to 1000.
	PerUser int `yaml:"per_user"`
}

// Persons are people with a SIP address and an XMPP address of their own (RFC 7081). They are
// learned where both say so: a trusted trunk in a Call-Info with the purpose impp (RFC 6993), and
// the user in their published addresses (XEP-0152) or vCard.
type Persons struct {
	// Learn has them learned. Default true.
	Learn bool `yaml:"learn"`
	// Ring is what rings when such a user is called, who has not said otherwise: called, the XMPP
	// user alone; together; xmpp_first or sip_first, the other after Lead. The SIP address is
	// called as the user's own call, where a route allows it. Default called.
	Ring string `yaml:"ring"`
	// Lead is how long the first rings alone. Default 10s, from 1s to 5m.
	Lead time.Duration `yaml:"lead"`
}

// MSRP carries message sessions and chat rooms of SIP (RFC 4975, RFC 7701), for all.
type MSRP struct {
	// Listen are the sockets, as transport:address:port, with tcp or tls. Peers connect there,
	// at the address that they have SIP from. TLS shows the certificate of sip.tls or, without
	// one, one that is made at the start, which SDP vouches for. Default none: there are no
	// message sessions and no rooms.
	Listen []string `yaml:"listen"`
	// MaxSessions is how many sessions there may be at once, to 100000. Default 2000.
	MaxSessions int `yaml:"max_sessions"`
}

// HTTP is the operator's listener: /metrics, /livez, /readyz.
type HTTP struct {
	// Listen is its address. Default 127.0.0.1:9187; empty turns it off.
	Listen string `yaml:"listen"`
}

// Log is what is written to standard error.
type Log struct {
	// Level is debug, info, warn or error. Default info.
	Level string `yaml:"level"`
	// Areas are levels of parts of the gateway: sip, xmpp, media, call, presence, message and
	// store. Default: Level for all of them.
	Areas map[string]string `yaml:"areas"`
	// Format is text or json. Default text.
	Format string `yaml:"format"`
}

// LogAreas are those that have a level of their own.
var LogAreas = []string{"sip", "xmpp", "media", "call", "presence", "message", "store"}

// Control is for the commands that ask a running gateway: calls, why, ladder and others.
type Control struct {
	// Socket is a unix socket, which the gateway's user and group can open, and with it see and
	// end calls. Commands look at /run/sipxmppgw/control.sock unless they are told another.
	// Default none.
	Socket string `yaml:"socket"`
}

// Console is a web page: how component and trunks fare, live calls, why calls ended, and the
// figures of the last day.
type Console struct {
	// Listen is its address, such as 127.0.0.1:8087. Everywhere but on loopback it wants a
	// token. Default none.
	Listen string `yaml:"listen"`
	// TokenFile holds what whoever opens the page has to know, 16 characters or more; a line end
	// after it does not count. Instead, the environment variable SIPXMPPGW_CONSOLE_TOKEN, or a
	// systemd credential named console_token. Default none: the page can be looked at by all
	// who are on this machine, and takes no orders.
	TokenFile string `yaml:"token_file"`
	// Token is the same in this file.
	Token Secret `yaml:"token"`
	// Hosts are names that the page is reached by, beside localhost and addresses, such as that
	// of a proxy before it. Default none.
	Hosts []string `yaml:"hosts"`
	// TLS has it speak https, with the certificate of sip.tls. Default false.
	TLS bool `yaml:"tls"`
}

// Feed is a stream, over HTTP, of what chosen users and their contacts show of themselves and of
// the calls that they are in, for web applications of theirs.
type Feed struct {
	// Listen is its address, such as 127.0.0.1:8088. Default none.
	Listen string `yaml:"listen"`
	// Hosts are names that it is reached by, beside localhost and addresses, such as that of a
	// proxy before it. Default none.
	Hosts []string `yaml:"hosts"`
	// Origins are web sites whose pages may read it, such as https://app.example.org. Default
	// none but its own.
	Origins []string `yaml:"origins"`
	// TLS has it speak https, with the certificate of sip.tls. Default false.
	TLS bool `yaml:"tls"`
	// Users are those who are followed. Default nobody.
	Users []FeedUser `yaml:"users"`
}

// FeedUser is one who is followed.
type FeedUser struct {
	// JID is their bare JID. Required.
	JID string `yaml:"jid"`
	// TokenFile holds what whoever reads has to know, 16 characters or more; a line end after it
	// does not count. Required, unless Token is there.
	TokenFile string `yaml:"token_file"`
	// Token is the same in this file.
	Token Secret `yaml:"token"`
}

// Records are written when calls have ended. No call waits for it.
type Records struct {
	// File is where. It is made if it does not exist, in a folder that must. Default none:
	// nothing is written.
	File string `yaml:"file"`
	// Format is json, an object a line, or csv. Default json.
	Format string `yaml:"format"`
	// MaxSize is how large the file may be, in mebibytes, before it is put aside as File.1, that
	// as File.2, and so on; 0 is without limit. Default 100, to 100000.
	MaxSize int `yaml:"max_size"`
	// Keep is how many files put aside are kept. Default 10, to 1000.
	Keep int `yaml:"keep"`
}

// HEP is a collector of HEP version 3. It is told of SIP messages and stanzas as they are but
// for passwords and keys, unprotected: the way to it must be.
type HEP struct {
	// Server is where it listens, as host:port, over UDP. Default none.
	Server string `yaml:"server"`
	// CaptureID tells us from other senders. Default 1, to 4294967295.
	CaptureID int `yaml:"capture_id"`
	// Key is what the collector wants of senders. Default none.
	Key Secret `yaml:"key"`
}

// OTLP is a collector of OpenTelemetry, told by OTLP over HTTP, as a trace, of each call that has
// ended: its routing, the signalling of both legs, its media and how it ended, without numbers,
// addresses and names.
type OTLP struct {
	// URL is where the collector is, such as http://127.0.0.1:4318; without a path, traces go to
	// /v1/traces there. Default none.
	URL string `yaml:"url"`
	// Header is what each request has besides, as "Name: value", such as a key. Default none.
	Header Secret `yaml:"header"`
	// Service is what we are called there. Default sipxmppgw.
	Service string `yaml:"service"`
}

// Trace is what is kept of calls, in memory alone, without passwords and keys.
type Trace struct {
	// Calls is how many calls are kept, those that live first. Default 500, from 1 to 100000.
	Calls int `yaml:"calls"`
	// Memory is what all of them may take, in mebibytes. Default 32, from 1 to 4096.
	Memory int `yaml:"memory"`
}

// Store is where things are kept.
type Store struct {
	// File is a SQLite file. It is made if it does not exist. Default none: nothing is kept.
	File string `yaml:"file"`
	// KeyFile holds the key that passwords, and messages that wait, are stored under. It is made
	// if it does not exist, readable by its owner alone; without it these are lost. Required for
	// accounts; without it messages are stored as they are.
	KeyFile string `yaml:"key_file"`
}

// Accounts are SIP accounts that users add themselves, by a form of their client, a command,
// or by writing to the gateway.
type Accounts struct {
	// Allow are who may: domains, bare JIDs, or "*" for everyone. Default nobody.
	Allow []string `yaml:"allow"`
	// Servers are the domains that accounts may be at, with those below them. Default any.
	Servers []string `yaml:"servers"`
	// PrivateServers lets accounts be at servers whose addresses are not public, such as
	// those of this machine's networks. If another tenant's may not, names of servers lead to
	// public addresses alone, for all. Default false.
	PrivateServers bool `yaml:"private_servers"`
	// PerUser is how many accounts one user may have. Default 1, to 100.
	PerUser int `yaml:"per_user"`
	// Max is how many accounts there may be. Default 1000, to 10000.
	Max int `yaml:"max"`
	// MaxCalls is how many calls over one account there may be at once. Default 4.
	MaxCalls int `yaml:"max_calls"`
	// NumberFormat is how their servers want numbers, as in a trunk. Default plus.
	NumberFormat string `yaml:"number_format"`
	// Video says that video is bridged where both sides have a codec in common. Default false.
	Video bool `yaml:"video"`
	// SRTP says how the media of their calls is protected: off, preferred or required, as with a
	// trunk; or auto, which is preferred for those that their users want over TLS, and off for
	// others. A user may say otherwise for an account. Default auto.
	SRTP string `yaml:"srtp"`
	// Voicemail asks their servers about mailboxes (RFC 3842), and leaves users a message when
	// something has changed there. Default true.
	Voicemail bool `yaml:"voicemail"`
	// KeepCalls is how long a user's last calls are remembered; 0 for not at all. Default
	// 720h, to 8760h.
	KeepCalls time.Duration `yaml:"keep_calls"`
	// Language is that of users whose clients do not say theirs: en, de, fr or es. Default en.
	Language string `yaml:"language"`
}

// A Trunk is a SIP peer: a PBX or a carrier.
type Trunk struct {
	// Name is how routes, logs and metrics call it: letters, digits, - and _. Required.
	Name string `yaml:"name"`
	// Address is where calls to it go: an address or a name, with a port if DNS is not to
	// say it. A name with neither a port nor a Transport is looked up by NAPTR and SRV
	// records, one with a Transport by the SRV records of that, and one with a port by its
	// addresses alone (RFC 3263). Of several places the next is tried when one fails.
	// The port of an address is the transport's own if there is none: 5060, for tls 5061, for
	// ws 80, for wss 443. Required, but for a trunk that connects to us over tls, ws or wss:
	// calls to it then go over the connection it has opened last.
	Address string `yaml:"address"`
	// Transport is udp, tcp, tls, ws, wss or sctp. Default: what DNS says, or else udp.
	Transport string `yaml:"transport"`
	// TLSIdentity is the domain that its certificate must be for, when it calls and when it
	// is called (RFC 5922). Its calls are then known by the certificate, and come from
	// anywhere unless there are Sources. Default: calls from it are known by Sources, and the
	// certificate of what we call is for the host of Address or, if that is an address, for
	// Domain.
	TLSIdentity string `yaml:"tls_identity"`
	// Keepalive is how often something is sent to keep the way to it open: STUN over udp,
	// empty lines over a connection (RFC 5626 section 4.4). From 5s to 10m. Default: nothing
	// over udp, every 95s over connections that we opened.
	Keepalive time.Duration `yaml:"keepalive"`
	// Domain is the host in the Request-URI of calls to it. Default: the host of Address.
	Domain string `yaml:"domain"`
	// Sources are the addresses or networks that its calls come from. Default: Address; if
	// that is a name, the addresses that DNS says it has.
	Sources []string `yaml:"sources"`
	// NumberFormat is how it wants and sends numbers: plus (+4930123), digits (4930123),
	// international (004930123), national (030123 in the country of SIP.Region or
	// SIP.Country), or as_dialled. Default plus.
	NumberFormat string `yaml:"number_format"`
	// Trusted says that it may tell us who calls, by P-Asserted-Identity, and that we tell
	// it (RFC 3325), and that its users may transfer their calls with XMPP users (REFER):
	// within the trunk as far as the XMPP user may call there, and to XMPP users. Default
	// false.
	Trusted bool `yaml:"trusted"`
	// ReferTowardSIP asks the trunk, by REFER, to carry out itself a transfer that an XMPP
	// user wants of a call with it to an address at it. Default false: the gateway does.
	ReferTowardSIP bool `yaml:"refer_toward_sip"`
	// Username and Password answer the trunk's challenges (RFC 3261 section 22.2), and no one
	// else's. Better than Password: PasswordFile, or the environment variable
	// SIPXMPPGW_PASSWORD_ and the trunk's name in capitals, with _ for -. Default none.
	Username     string `yaml:"username"`
	Password     Secret `yaml:"password"`
	PasswordFile string `yaml:"password_file"`
	// Inbound is who it proves to be when it calls: its calls are then known by that, and come
	// from anywhere unless there are Sources. Default: they are known by Sources.
	Inbound Inbound `yaml:"inbound"`
	// OutboundProxy is where all that is sent to it goes first, as an address or a name like
	// Address, which then is but the host of Request-URIs (RFC 3261 section 8.1.2). Default none.
	OutboundProxy string `yaml:"outbound_proxy"`
	// Register holds a registration with it, so that its calls come to us (RFC 3261 section
	// 10). Default none.
	Register Register `yaml:"register"`
	// MaxCalls is how many calls over it there may be at once, so that it cannot take the
	// place of others. Default: calls.max.
	MaxCalls int `yaml:"max_calls"`
	// MinutesPerDay is how long calls over it, either way, may last in a day, all together, as
	// calls.user_minutes_per_day is for a user. Default 0: as long as they like; to 10000000.
	MinutesPerDay int `yaml:"minutes_per_day"`
	// EarlyMedia answers XMPP callers before the trunk has, so that they hear its
	// announcements (eager mode). Default false.
	EarlyMedia bool `yaml:"early_media"`
	// Messages says whether it is sent messages, and takes them: on; cpim, if all its phones
	// know CPIM and say what became of messages (RFC 5438); or off. Default on: what a trunk
	// does not want it refuses, and that is what the sender is told.
	Messages string `yaml:"messages"`
	// MessagesInCall has what two who are in a call write to each other go inside the dialog of
	// the call, to a phone that allows MESSAGE there, and shows the user links that requests of the
	// call want looked at (Call-Info, info and card). Default false: by itself, and it names the
	// call (Session-ID, In-Reply-To).
	MessagesInCall bool `yaml:"messages_in_call"`
	// Text says what becomes of text that is seen while it is typed, in calls with sound (RFC 4103,
	// XEP-0301): accept, where the trunk offers it; offer, to the trunk too if the user's client
	// shows it; or off. It wants media.engine embedded, and no ICE or DTLS of the trunk. Default
	// accept.
	Text string `yaml:"text"`
	// EmitIMPP has it told at which XMPP address the users who call over it, or are called, read
	// messages: Call-Info with the purpose impp (RFC 6993). Not of users who hide their number.
	// Default false.
	EmitIMPP bool `yaml:"emit_impp"`
	// Sessions says when messages go in sessions, where MSRP listens: auto, when the trunk's side
	// begins one, when a message is too long for a datagram, and when three of one user
	// follow each other within a minute; always; or off, which also keeps users out of
	// conferences there. Who refuses a session gets single messages. Default auto.
	Sessions string `yaml:"sessions"`
	// Codecs are those offered, in order: opus, G722, PCMA, PCMU. Default all, in this
	// order.
	Codecs []string `yaml:"codecs"`
	// PTime is the packet time that it is asked for: 10ms to 60ms, in tens. Default 20ms.
	PTime time.Duration `yaml:"ptime"`
	// DTMF is how digits reach it: rfc4733 (telephone-event where it knows that, or else INFO);
	// info (INFO alone); inband (tones where it speaks G.711, or else INFO); or auto, which is
	// rfc4733 and, with media.inband_dtmf, tones before INFO. Digits that it sends are taken in
	// each form but tones. Default auto.
	DTMF string `yaml:"dtmf"`
	// Video says that video is bridged where both sides have a codec in common. Default
	// false.
	Video bool `yaml:"video"`
	// SRTP says how its media is protected: off (in the clear, unless it offers DTLS-SRTP),
	// preferred (keys in SDP, RFC 4568, are offered and taken, and clear media is too,
	// RFC 8643), required (as preferred, but never clear) or dtls (DTLS-SRTP and nothing
	// else). Keys in SDP are as safe as the way SIP goes. Default off.
	SRTP string `yaml:"srtp"`
	// ICE says that it speaks ICE (RFC 8839). It is offered its media bundled and RTCP at the port
	// of RTP, as browsers want it, with SRTP dtls beside it, or RTCP at a port of its own. With SRTP
	// preferred keys are taken then, and not offered. Default false.
	ICE bool `yaml:"ice"`
	// Presence is on to ask it for the presence of its contacts, and let it ask for that of
	// users (RFC 3856, RFC 8048); dialog to ask only whether its contacts are in a call (RFC
	// 4235); or off. Default off: all of its contacts are shown as there.
	Presence string `yaml:"presence"`
	// PresenceList is a list of contacts that it keeps (RFC 4662): one SUBSCRIBE to it brings what
	// would else need one for each contact. {user} in it stands for the user part of the address
	// that a user has there, and each has a list, such as sip:{user}-friends@pbx.example.org. Without
	// it one list is for all users, and whoever may watch a contact sees what it shows to the
	// gateway. Contacts that are not in the list are asked for one by one, and all are if it is
	// none. It is of no use while Presence is off. Default none.
	PresenceList string `yaml:"presence_list"`
	// Publish has it know the presence of those users of Numbers who have the gateway itself
	// among their contacts (RFC 3903). Default false.
	Publish bool `yaml:"publish"`
	// Location lets it know where users are who have agreed to that, see xmpp.location_domains,
	// and users where its contacts are whose documents say that it may be passed on (RFC 4119
	// section 2.2.2): in presence, with messages, and with calls (RFC 6442). Default false.
	Location bool `yaml:"location"`
	// Voicemail asks it about the mailboxes of the users of Numbers, and leaves them a message
	// when something changes (RFC 3842). Default false.
	Voicemail bool `yaml:"voicemail"`
	// MediaNetwork is the network of media.networks that its media is in or, with rtpengine, the
	// interface in place of media.rtpengine_interfaces.sip. Default: see there.
	MediaNetwork string `yaml:"media_network"`
	// MediaExternalAddress is what it is offered in place of the address that media is bound to,
	// such as that of a NAT between us and it alone. Not with rtpengine. Default: as all others.
	MediaExternalAddress string `yaml:"media_external_address"`
	// NAT says that its media may come from another address than it says. Default false.
	NAT bool `yaml:"nat"`
	// Probe is how often it is asked, by OPTIONS, whether it is there, from 5s to 10m, or off. One
	// that has answered before and then not three times is down: calls go to the others of
	// their route at once, or are refused. It is up when it answers again. Default: 15s if a
	// route names another trunk beside it, or else off.
	Probe string `yaml:"probe"`
}

// Inbound are the user name and password that a trunk answers our challenges with.
type Inbound struct {
	Username string `yaml:"username"`
	// Password is better in PasswordFile, or the environment variable
	// SIPXMPPGW_INBOUND_PASSWORD_ and the trunk's name, as with the trunk's own.
	Password     Secret `yaml:"password"`
	PasswordFile string `yaml:"password_file"`
	// HA1 are hashes instead of the password, as with a phone.
	HA1 []Secret `yaml:"ha1"`
}

// A Phone is one that registers with the gateway.
type Phone struct {
	// User is its name: it registers as sip:User at sip.domain. Required.
	User string `yaml:"user"`
	// Password is what it proves to know. Better: PasswordFile, or HA1.
	Password     Secret `yaml:"password"`
	PasswordFile string `yaml:"password_file"`
	// HA1 are hashes instead of the password, of user:realm:password in hexadecimal digits: 64
	// of SHA-256, 32 of MD5. With one alone that algorithm is the only one that is asked for.
	HA1 []Secret `yaml:"ha1"`
	// JID is the bare JID of whose phone it is: it calls as that user, with that user's number
	// and permissions. Required.
	JID string `yaml:"jid"`
	// Number is one that calls reach it by, beside its name. Default none.
	Number string `yaml:"number"`
	// Codecs, Video, SRTP and ICE are as with a trunk. A browser wants SRTP dtls and ICE.
	Codecs []string `yaml:"codecs"`
	Video  bool     `yaml:"video"`
	SRTP   string   `yaml:"srtp"`
	ICE    bool     `yaml:"ice"`
	// Presence is "publish": the phone may watch (SUBSCRIBE to presence, and to the event packages
	// dialog, message-summary and reg), is watched, and what it publishes of itself (PUBLISH,
	// RFC 3903) is what others see; "on", without the latter: they see whether it is registered;
	// or "off". Default publish.
	Presence string `yaml:"presence"`
}

// Registrar says how phones are bound to where they are. With store.file they are there again
// after a restart.
type Registrar struct {
	// MinExpires and MaxExpires are how long a binding lasts: a phone that asks for less is told
	// to ask again (423), and for more gets less. Default 1m and 1h, from 10s to 24h.
	MinExpires time.Duration `yaml:"min_expires"`
	MaxExpires time.Duration `yaml:"max_expires"`
	// MaxContacts is how many places one phone may be at; all of them ring. Default 10, to 16.
	MaxContacts int `yaml:"max_contacts"`
}

// A Register is an address of ours at a registrar.
type Register struct {
	// User is what stands before the @ of the address that is registered. Required to
	// register.
	User string `yaml:"user"`
	// Domain is what stands behind it. Default: Domain of the trunk.
	Domain string `yaml:"domain"`
	// Expires is how long a binding we ask for; the registrar decides. Default 1h, from 1m
	// to 24h.
	Expires time.Duration `yaml:"expires"`
}

// A Route lets someone on the XMPP side call somewhere. What no route allows is refused.
type Route struct {
	// From is a bare JID, a domain, or "*" for everyone. Required.
	From string `yaml:"from"`
	// To is the beginning of a number, such as "+49"; a SIP domain; a regular expression
	// between slashes that fits a whole number, such as "/[+]49(30[0-9]+)/"; or "*" for
	// anything but, if the country is known, numbers of other countries: those want their
	// beginning, or "+" for the whole world. Default "*".
	To string `yaml:"to"`
	// Hours are when the route holds, such as "Mo-Fr 08:00-18:00". Default always.
	Hours []string `yaml:"hours"`
	// Dial is what is dialled instead of the number: $0 stands for it, $1 to $9 for the
	// groups of a regular expression. Default: the number.
	Dial string `yaml:"dial"`
	// Trunk is where it goes: the name of a trunk, or a list of up to 8. Of several the next is
	// tried, within the call, when one cannot be reached, is silent for 4s, or has trouble of its
	// own (503, 408, 5xx), for 12s in all and not once it rings. Names alone are tried in their
	// order. Required unless Phone or Deny.
	Trunk []Way `yaml:"trunk"`
	// Phone is the user of the phone that rings instead.
	Phone string `yaml:"phone"`
	// Premium lets calls to numbers through that cost more: premium rates, satellites.
	// Default false.
	Premium bool `yaml:"premium"`
	// Deny refuses instead. Default false.
	Deny bool `yaml:"deny"`
	// Hide keeps who calls from whom they call: From is anonymous, and a trusted trunk, which is
	// told all the same, is asked not to pass it on (Privacy: id, RFC 3323). Default false.
	Hide bool `yaml:"hide_caller"`
}

// A Way is one of the trunks of a route. It may be written as its name alone.
type Way struct {
	// Name is that of the trunk. Required.
	Name string `yaml:"name"`
	// Priority is when it is tried: lower numbers before higher. Default 0, to 1000.
	Priority int `yaml:"priority"`
	// Weight is its share of the calls among those of its priority. Default 1, to 1000.
	Weight int `yaml:"weight"`
}

// inOrder is the priority of a way that is written as a name alone.
const inOrder = math.MinInt

// name implements named.
func (w *Way) name(s string) { *w = Way{Name: s, Priority: inOrder} }

// A Group is a telephone number, or SIP address, that several ring at. Who answers first has the
// call; the others are told that it was answered elsewhere.
type Group struct {
	// Number is what is called: a number in full, or a SIP address of ours. Required.
	Number string `yaml:"number"`
	// Members are up to 10 bare JIDs, SIP addresses such as sip:101@pbx.example.org, or phones of
	// ours such as phone:desk. Required.
	Members []string `yaml:"members"`
	// Trunk is where SIP addresses among them are. Required if there are any.
	Trunk string `yaml:"trunk"`
	// Order is who rings when: together; xmpp_first or sip_first, the others after Lead;
	// in_turn, each after another Lead. Those before go on ringing. Default together.
	Order string `yaml:"order"`
	// Lead is how long those who are first ring alone. Default 10s, from 1s to 5m.
	Lead time.Duration `yaml:"lead"`
	// NoAnswer is how long they ring before Fallback does. Default calls.no_answer, from 5s to
	// 10m.
	NoAnswer time.Duration `yaml:"no_answer"`
	// Fallback are those who ring when nobody of the members has answered, or all are busy.
	// Default nobody.
	Fallback []string `yaml:"fallback"`
	// OnePerson says that the members are one person's: who declines on one of them has declined.
	// Default false.
	OnePerson bool `yaml:"one_person"`
}

// A List is what phones may watch as one (RFC 4662), such as the lamps of an office.
type List struct {
	// Name is what phones subscribe to, as Name@sip.domain. Required.
	Name string `yaml:"name"`
	// Members are up to 200 bare JIDs, and phones of ours such as phone:desk. Users are seen by
	// who has their leave. Required.
	Members []string `yaml:"members"`
}

// A Secret is a value that is never printed.
type Secret string

// String hides the value.
func (s Secret) String() string {
	if s == "" {
		return ""
	}
	return "[redacted]"
}

// GoString hides the value.
func (s Secret) GoString() string { return s.String() }

// defaults returns a configuration in which everything that has a fixed default has it.
func defaults() Config {
	return Config{
		XMPP: XMPP{Server: "127.0.0.1:5347", Name: "Telephone gateway", DTLS: "preferred", Language: "en", SignalledTones: true},
		SIP: SIP{
			Listen: []string{"udp:0.0.0.0:5060", "tcp:0.0.0.0:5060"}, TLS: TLS{MinVersion: "1.2"},
			DigestMD5: true, MaxFailures: 10,
		},
		Registrar: Registrar{MinExpires: time.Minute, MaxExpires: time.Hour, MaxContacts: 10},
		Media: Media{
			Carrier:  Carrier{Engine: "embedded", RTPEngineTimeout: 2 * time.Second},
			PortMin:  10000,
			PortMax:  19999,
			OnHold:   "noise",
			Silence:  time.Minute,
			Ringback: "de",
		},
		Calls: Calls{
			Max:             500,
			MaxUnanswered:   200,
			PerSecond:       20,
			MaxCPU:          85,
			PerUser:         4,
			AttemptsPerUser: 20,
			MaxDuration:     12 * time.Hour,
			NoAnswer:        3 * time.Minute,
			PlainReject:     480,
			Decline:         603,
			SecondCall:      "parallel",
			Drain:           5 * time.Minute,
		},
		Presence: Presence{MaxPairs: 20000, PerUser: 200},
		Messages: Messages{Keep: 5 * time.Minute, PerUser: 5},
		Builtin:  Builtin{MaxCalls: 10, MaxDuration: 5 * time.Minute},
		Persons:  Persons{Learn: true, Ring: "called", Lead: 10 * time.Second},
		MSRP:     MSRP{MaxSessions: 2000},
		HTTP:     HTTP{Listen: "127.0.0.1:9187"},
		Log:      Log{Level: "info", Format: "text"},
		Trace:    Trace{Calls: 500, Memory: 32},
		HEP:      HEP{CaptureID: 1},
		OTLP:     OTLP{Service: "sipxmppgw"},
		Records:  Records{Format: "json", MaxSize: 100, Keep: 10},
		Accounts: Accounts{
			PerUser: 1, Max: 1000, MaxCalls: 4, NumberFormat: "plus", KeepCalls: 720 * time.Hour, Language: "en",
		},
	}
}

// Countries are those whose ringing tone is known.
var Countries = []string{
	"at", "au", "be", "br", "ca", "ch", "cn", "cz", "de", "dk", "es", "fi", "fr", "gb",
	"ie", "in", "it", "jp", "nl", "no", "nz", "pl", "pt", "ru", "se", "us", "za",
}

// Codecs are the codecs a trunk may name, in the order of the default.
var codecs = []string{"opus", "G722", "PCMA", "PCMU"}

// languages are those that users can be spoken to in.
var languages = []string{"en", "de", "fr", "es"}
