// Package msrp carries message sessions (RFC 4975): the text of its requests and responses,
// their chunks put together and taken apart, and the connections that sessions share.
//
// A [Reader] and [Message.Format] are the wire, and an assembly is the one message that many
// chunks make; these are pure. An [Endpoint] has the sockets: a goroutine reads each
// connection, another writes it, and a peer that is slow or floods loses its own connection
// and nobody else's. There is no relay of ours (RFC 4976): a peer may have some in its path.
// What a NICKNAME is comes from RFC 7701, and who connects from RFC 6135.
package msrp
