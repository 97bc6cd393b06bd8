// Package signaling is the SIP edge: it joins [gateway.Calls] to SIP peers over
// signaling/stack.
//
// A peer is a trunk, known by the address it sends from. What anyone else sends is
// dropped by the stack's guard. A new INVITE becomes a leg A, unless it is refused here;
// Dial makes a leg B. Each leg has a dialog machine (signaling/dialog), which decides, and
// turns the machine's outputs into messages and what arrives into its inputs. What arrives
// is posted to the leg's Inbox, so that the machine runs on the call's goroutine; after the
// leg has reported its end, what is left of the dialog, such as the ACK and BYE for a late
// answer, is done where the message arrives.
package signaling
