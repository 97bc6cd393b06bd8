// Package stack carries SIP messages between sockets and the users of
// transactions (RFC 3261 sections 17 and 18), in order.
//
// It stands on sipgo's messages, parser, transports and transaction machines,
// and replaces what sipgo does between them: sipgo handles each message in a
// goroutine of its own, so that a CANCEL can overtake its INVITE. Here every
// message is put, by its Call-ID, on one of a fixed number of queues, and each
// queue has one worker. All callbacks that concern one Call-ID run on the worker
// of its queue, one at a time and in the order in which the messages arrived.
// A callback must not block: it posts what it has been given and returns.
//
// The way in is socket, guard (who may talk, how much), [gate.Rules.Check], sipgo's
// parser, queue, transaction, callback. The way out is transaction, sipgo's
// serializer, [gate.CheckOut], trace, socket.
//
// A target that is a name can have several places (signaling/resolve). A request outside of
// a dialog is sent to one after the other until one takes it, each time in a transaction of
// its own; see [Stack.Request].
//
// Over TLS and secure WebSockets a certificate proves SIP domains (RFC 5922). A connection is
// found by transport, address and the domain that it is for; one that a peer opened is ready
// when its handshakes are over, which have the time of one message. sipgo serves them all as if
// they were TCP: what it reads is one clean message after the other.
//
// Messages cross the border as sipgo's [sip.Request] and [sip.Response]. Of one that
// was received, From, To, Via, Route and Record-Route are kept as the text that
// the peer wrote: req.From() and its like read them, but changing what they return
// does not change the message.
package stack
