package wire

// Namespaces.
const (
	NSJingle       = "urn:xmpp:jingle:1"
	NSJingleErrors = "urn:xmpp:jingle:errors:1"
	NSJMI          = "urn:xmpp:jingle-message:0"
	NSRTP          = "urn:xmpp:jingle:apps:rtp:1"
	NSRTPAudio     = "urn:xmpp:jingle:apps:rtp:audio"
	NSRTPVideo     = "urn:xmpp:jingle:apps:rtp:video"
	NSRTPInfo      = "urn:xmpp:jingle:apps:rtp:info:1"
	NSRTPErrors    = "urn:xmpp:jingle:apps:rtp:errors:1"
	NSFeedback     = "urn:xmpp:jingle:apps:rtp:rtcp-fb:0"
	NSHeaderExt    = "urn:xmpp:jingle:apps:rtp:rtp-hdrext:0"
	NSSources      = "urn:xmpp:jingle:apps:rtp:ssma:0"
	NSGroup        = "urn:xmpp:jingle:apps:grouping:0"
	NSDTLS         = "urn:xmpp:jingle:apps:dtls:0"
	NSTransfer     = "urn:xmpp:jingle:transfer:0"
	NSDTMF         = "urn:xmpp:jingle:dtmf:0"
	NSICE          = "urn:xmpp:jingle:transports:ice-udp:1"
	NSRawUDP       = "urn:xmpp:jingle:transports:raw-udp:1"
	NSICEOption    = "http://gultsch.de/xmpp/drafts/jingle/transports/ice-udp/option"

	NSDiscoInfo  = "http://jabber.org/protocol/disco#info"
	NSDiscoItems = "http://jabber.org/protocol/disco#items"
	NSCaps       = "http://jabber.org/protocol/caps"
	NSForm       = "jabber:x:data"
	NSGateway    = "jabber:iq:gateway"
	NSVersion    = "jabber:iq:version"
	NSLast       = "jabber:iq:last"
	NSTime       = "urn:xmpp:time"
	NSPing       = "urn:xmpp:ping"
	NSServices   = "urn:xmpp:extdisco:2" // XEP-0215
	NSVCard      = "vcard-temp"
	NSNick       = "http://jabber.org/protocol/nick"
	NSReceipts   = "urn:xmpp:receipts"
	NSHints      = "urn:xmpp:hints"
	NSDelay      = "urn:xmpp:delay"
	NSCarbons    = "urn:xmpp:carbons:2"
	NSClient     = "jabber:client"
	NSIdle       = "urn:xmpp:idle:1"
	nsActivity   = "http://jabber.org/protocol/activity"
	nsEvent      = "http://jabber.org/protocol/pubsub#event"
	nsOOB        = "jabber:x:oob"
	nsXML        = "http://www.w3.org/XML/1998/namespace"
	nsSHIM       = "http://jabber.org/protocol/shim"

	// What contacts and the gateway say of themselves beside the above.
	NSSourcesRFC  = "urn:ietf:rfc:5576" // XEP-0339
	NSGroupingRFC = "urn:ietf:rfc:5888" // XEP-0338
	NSEscaping    = `jid\20escaping`    // XEP-0106
)
