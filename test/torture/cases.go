package torture

// The cases, in the order of the RFCs. Where an RFC leaves a choice, What says which.
var cases = []Case{
	// RFC 4475 section 3.1.1: valid.
	{Name: "wsinv", Section: "RFC 4475 3.1.1.1", What: "space and folds wherever they may be; of a dialog that nobody has", In: true, Want: 481},
	{Name: "intmeth", Section: "RFC 4475 3.1.1.2", What: "every character that a method, a user, a tag may have", Want: 501},
	{Name: "esc01", Section: "RFC 4475 3.1.1.3", What: "escapes in URIs, which are not to be undone too soon", In: true, Want: Call},
	{Name: "escnull", Section: "RFC 4475 3.1.1.4", What: "an escaped zero in the user; a REGISTER", Want: 405},
	{Name: "esc02", Section: "RFC 4475 3.1.1.5", What: "percent signs where they escape nothing: no REGISTER", Want: 501},
	{Name: "lwsdisp", Section: "RFC 4475 3.1.1.6", What: "no space between a name and its bracket", In: true, Want: 200},
	{Name: "longreq", Section: "RFC 4475 3.1.1.7", What: "long values and 34 Vias", In: true, Want: Call},
	{Name: "dblreq", Section: "RFC 4475 3.1.1.8", What: "a REGISTER, and in its datagram a second request, which is none; on a connection it is one", Want: 405, Then: Call},
	{Name: "semiuri", Section: "RFC 4475 3.1.1.9", What: "a semicolon in the user", In: true, Want: 200},
	{Name: "transports", Section: "RFC 4475 3.1.1.10", What: "Vias of all transports and of an unknown one", In: true, Want: 200},
	{Name: "mpart01", Section: "RFC 4475 3.1.1.11", What: "a MESSAGE of two parts, one of them binary", In: true, Want: Text},
	{Name: "unreason", Section: "RFC 4475 3.1.1.12", What: "a response with an odd phrase; to nothing", In: true, Want: Silence},
	{Name: "noreason", Section: "RFC 4475 3.1.1.13", What: "a response with an empty phrase; to nothing", In: true, Want: Silence},

	// Section 3.1.2: invalid. Those that may be read liberally are refused.
	{Name: "badinv01", Section: "RFC 4475 3.1.2.1", What: "semicolons and commas with nothing between them", Want: 400},
	{Name: "clerr", Section: "RFC 4475 3.1.2.2", What: "Content-Length above the body; on a connection the rest is waited for", Want: 400, Stream: Silence, Ends: true},
	{Name: "ncl", Section: "RFC 4475 3.1.2.3", What: "Content-Length below zero", Want: 400, Ends: true},
	{Name: "scalar02", Section: "RFC 4475 3.1.2.4", What: "numbers out of range", Want: 400},
	{Name: "scalarlg", Section: "RFC 4475 3.1.2.5", What: "a response with numbers out of range", Want: Silence},
	{Name: "quotbal", Section: "RFC 4475 3.1.2.6", What: "a quote without end", Want: 400},
	{Name: "ltgtruri", Section: "RFC 4475 3.1.2.7", What: "Request-URI in angle brackets; may be read", Want: 400},
	{Name: "lwsruri", Section: "RFC 4475 3.1.2.8", What: "space in the Request-URI; may be read", Want: 400},
	{Name: "lwsstart", Section: "RFC 4475 3.1.2.9", What: "several spaces in the request line; may be read", Want: 400},
	{Name: "trws", Section: "RFC 4475 3.1.2.10", What: "space after the request line; may be read", Want: 400},
	{Name: "escruri", Section: "RFC 4475 3.1.2.11", What: "headers in the Request-URI; may be left out", Want: 400},
	{Name: "baddate", Section: "RFC 4475 3.1.2.12", What: "a Date that is not in GMT, which nobody here reads", In: true, Want: Call},
	{Name: "regbadct", Section: "RFC 4475 3.1.2.13", What: "a Contact with a question mark and no brackets", Want: 400},
	{Name: "badaspec", Section: "RFC 4475 3.1.2.14", What: "space between brackets and URI; may be read", Want: 400},
	{Name: "baddn", Section: "RFC 4475 3.1.2.15", What: "a comma in a name without quotes; may be read", Want: 400},
	{Name: "badvers", Section: "RFC 4475 3.1.2.16", What: "an unknown version", Want: 505},
	{Name: "mismatch01", Section: "RFC 4475 3.1.2.17", What: "two methods", Want: 400},
	{Name: "mismatch02", Section: "RFC 4475 3.1.2.18", What: "two methods, one of them unknown; 400 would do too", Want: 501},
	{Name: "bigcode", Section: "RFC 4475 3.1.2.19", What: "a response with a status of more than 32 bits", Want: Silence},

	// Section 3.2: of the transaction layer.
	{Name: "badbranch", Section: "RFC 4475 3.2.1", What: "a branch that is the cookie alone", Want: 400},

	// Section 3.3: of the application layer.
	{Name: "insuf", Section: "RFC 4475 3.3.1", What: "no Call-ID, no From, no To", Want: 400},
	{Name: "unkscm", Section: "RFC 4475 3.3.2", What: "Request-URI of an unknown scheme", Want: 416},
	{Name: "novelsc", Section: "RFC 4475 3.3.3", What: "Request-URI of a known scheme that is none for SIP", Want: 416},
	{Name: "unksm2", Section: "RFC 4475 3.3.4", What: "To, From and Contact of unknown schemes", Want: 400},
	{Name: "bext01", Section: "RFC 4475 3.3.5", What: "unknown extensions that are required", Want: 420},
	{Name: "invut", Section: "RFC 4475 3.3.6", What: "a body that is no session description", Want: 415},
	{Name: "regaut01", Section: "RFC 4475 3.3.7", What: "credentials of an unknown scheme; no credentials would do", Want: 403},
	{Name: "multi01", Section: "RFC 4475 3.3.8", What: "two of what there must be one of", Want: 400},
	{Name: "mcl01", Section: "RFC 4475 3.3.9", What: "two lengths that differ", Want: 400, Ends: true},
	{Name: "bcast", Section: "RFC 4475 3.3.10", What: "a response that was to go to everybody", Want: Silence},
	{Name: "zeromf", Section: "RFC 4475 3.3.11", What: "Max-Forwards 0 in an OPTIONS, which has arrived", In: true, Want: 200},
	{Name: "cparam01", Section: "RFC 4475 3.3.12", What: "a Contact with an unknown parameter of its own; a REGISTER", Want: 405},
	{Name: "cparam02", Section: "RFC 4475 3.3.13", What: "a Contact with an unknown parameter of its URI; a REGISTER", Want: 405},
	{Name: "regescrt", Section: "RFC 4475 3.3.14", What: "a Contact with a header in its URI; a REGISTER", Want: 405},
	{Name: "sdp01", Section: "RFC 4475 3.3.15", What: "only an unknown kind of body is acceptable", Want: 406},

	// Section 3.4: of older peers. Over a connection a message must have a length.
	{Name: "inv2543", Section: "RFC 4475 3.4.1", What: "an INVITE of RFC 2543: no tag, no branch, no length", In: true, Want: Call, Stream: 400, Ends: true},

	{Name: "ipv6-good", Section: "RFC 5118 4.1", What: "an address in brackets; a REGISTER", Want: 405},
	{Name: "ipv6-bad", Section: "RFC 5118 4.2", What: "an address without brackets", Want: 400},
	{Name: "port-ambiguous", Section: "RFC 5118 4.3", What: "a port within the brackets, which is part of the address; a REGISTER", Want: 405},
	{Name: "port-unambiguous", Section: "RFC 5118 4.4", What: "a port behind the brackets; a REGISTER", Want: 405},
	{Name: "via-received-param-with-delim", Section: "RFC 5118 4.5", What: "received with brackets; of a dialog that nobody has", In: true, Want: 481},
	{Name: "via-received-param-no-delim", Section: "RFC 5118 4.5", What: "received without brackets", In: true, Want: 200},
	{Name: "ipv6-in-sdp", Section: "RFC 5118 4.6", What: "an address in the session description", In: true, Want: Call},
	{Name: "mult-ip-in-header", Section: "RFC 5118 4.7", What: "Vias of both families; of a dialog that nobody has", In: true, Want: 481},
	{Name: "mult-ip-in-sdp", Section: "RFC 5118 4.8", What: "media of both families", In: true, Want: Call},
	{Name: "ipv4-mapped-ipv6", Section: "RFC 5118 4.9", What: "addresses of IPv4 written as ones of IPv6", In: true, Want: Call},
	{Name: "ipv6-bug-abnf-3-colons", Section: "RFC 5118 4.10", What: "the third colon that the first grammar allowed", In: true, Want: 200},
	{Name: "ipv6-correct-abnf-2-colons", Section: "RFC 5118 4.10", What: "the same address with two", In: true, Want: 200},
}
