package translate

import "strings"

// This file holds the tables of INTERWORKING.md section 6, for what is no call: messages,
// subscriptions, queries. Calls have tables A and C in cause.go.

// stanzaRow says with which status a SIP request is refused that a stanza error answered.
type stanzaRow struct {
	condition string
	full      int // a full JID was asked
	bare      int // a bare JID or a domain was asked
	contact   int // instead, when the error names another address that can be mapped
	invite    int // instead, for INVITE
	message   int // instead, for MESSAGE
	presence  int // instead, for SUBSCRIBE
	wait      int // instead, when the error's type is wait
	sure      int // instead, when the answer is authoritative for the bare JID's domain
	retry     int // Retry-After in seconds; of wait only, if there is a wait
}

// retryAfter is how long a peer is asked to wait, in seconds.
const retryAfter = 30

// Table 6.1 (RFC 7247 section 7.1). There is no 503, which would make the peer avoid the
// whole gateway; and no 401 or 407, since we cannot challenge for XMPP. What has no row, such
// as internal-server-error, is 500.
var stanzaRows = [...]stanzaRow{
	{condition: "bad-request", full: 400, bare: 400},
	{condition: "conflict", full: 400, bare: 400, invite: 491},
	{condition: "feature-not-implemented", full: 405, bare: 501},
	{condition: "forbidden", full: 403, bare: 603},
	{condition: "gone", full: 410, bare: 410, contact: 301},
	{condition: "item-not-found", full: 404, bare: 404, sure: 604},
	{condition: "jid-malformed", full: 400, bare: 400},
	{condition: "not-acceptable", full: 406, bare: 606},
	{condition: "not-allowed", full: 403, bare: 403},
	{condition: "not-authorized", full: 403, bare: 403},
	{condition: "policy-violation", full: 403, bare: 403, wait: 480, retry: retryAfter},
	{condition: "recipient-unavailable", full: 480, bare: 480},
	{condition: "redirect", full: 480, bare: 480, contact: 302},
	{condition: "registration-required", full: 403, bare: 403},
	{condition: "remote-server-not-found", full: 404, bare: 404},
	{condition: "remote-server-timeout", full: 408, bare: 408},
	{condition: "resource-constraint", full: 500, bare: 500, retry: retryAfter},
	{condition: "service-unavailable", full: 405, bare: 403, message: 480},
	{condition: "subscription-required", full: 400, bare: 400, presence: 403},
	{condition: "undefined-condition", full: 400, bare: 400},
	{condition: "unexpected-request", full: 400, bare: 400, invite: 491},
}

// Asked says what a stanza error answered, as far as the status depends on it.
type Asked struct {
	Method  string // of the SIP request, such as "MESSAGE"
	Full    bool   // a full JID was asked, else a bare one or a domain
	Type    string // of the error, such as "wait"
	Contact bool   // the error names another address, and the edge has a Contact for it
	Sure    bool   // the answer is authoritative for the domain
}

// StatusOfCondition returns the final response to a SIP request that a stanza error
// answered (table 6.1), and its Retry-After in seconds, 0 for none. A condition that is not
// known, or is missing, gives 500.
func StatusOfCondition(condition string, asked Asked) (status, retryAfter int) {
	for _, row := range stanzaRows {
		if row.condition != condition {
			continue
		}
		status, retryAfter = row.bare, row.retry
		if asked.Full {
			status = row.full
		}
		if row.wait != 0 && asked.Type != "wait" {
			retryAfter = 0
		}
		for _, instead := range []struct {
			when   bool
			status int
		}{
			{asked.Sure && !asked.Full, row.sure},
			{asked.Method == "INVITE", row.invite},
			{asked.Method == "MESSAGE", row.message},
			{asked.Method == "SUBSCRIBE", row.presence},
			{asked.Type == "wait", row.wait},
			{asked.Contact, row.contact},
		} {
			if instead.when && instead.status != 0 {
				status = instead.status
			}
		}
		return status, retryAfter
	}
	return 500, 0
}

// A StanzaError is a condition of RFC 6120 section 8.3.3 and its type.
type StanzaError struct {
	Condition string
	Type      string
}

// errorRow says with which stanza error a stanza is answered that became a SIP request.
type errorRow struct {
	status    int
	condition string
	typ       string
}

// Table 6.2 (RFC 7247 section 7.2). The first rows, below 100, are for statuses of that
// class that have no row, such as 503, which is wait with a Retry-After.
var errorRows = [...]errorRow{
	{3, "redirect", "modify"},
	{4, "bad-request", "modify"},
	{5, "internal-server-error", "cancel"},
	{6, "recipient-unavailable", "wait"},

	{NoResponse, "remote-server-timeout", "wait"},
	{NoRoute, "remote-server-not-found", "cancel"},
	{301, "gone", "cancel"},
	{380, "not-acceptable", "modify"},
	{401, "not-authorized", "auth"},
	{403, "forbidden", "auth"},
	{404, "item-not-found", "cancel"},
	{405, "feature-not-implemented", "cancel"},
	{406, "not-acceptable", "modify"},
	{407, "registration-required", "auth"},
	{408, "remote-server-timeout", "wait"},
	{410, "gone", "cancel"},
	{413, "policy-violation", "modify"},
	{414, "policy-violation", "modify"},
	{415, "not-acceptable", "modify"},
	{416, "not-acceptable", "modify"},
	{420, "feature-not-implemented", "cancel"},
	{421, "not-acceptable", "modify"},
	{423, "resource-constraint", "wait"},
	{430, "recipient-unavailable", "wait"},
	{439, "feature-not-implemented", "cancel"},
	{440, "policy-violation", "modify"},
	{480, "recipient-unavailable", "wait"},
	{481, "item-not-found", "cancel"},
	{482, "not-acceptable", "modify"},
	{483, "not-acceptable", "modify"},
	{484, "item-not-found", "cancel"},
	{485, "item-not-found", "cancel"},
	{486, "recipient-unavailable", "wait"},
	{487, "recipient-unavailable", "wait"},
	{488, "not-acceptable", "modify"},
	{489, "policy-violation", "modify"},
	{491, "unexpected-request", "wait"},
	{501, "feature-not-implemented", "cancel"},
	{502, "remote-server-not-found", "cancel"},
	{504, "remote-server-timeout", "wait"},
	{505, "not-acceptable", "modify"},
	{513, "policy-violation", "modify"},
	{604, "item-not-found", "cancel"},
	{606, "not-acceptable", "modify"},
}

// NoRoute stands for the status of a request that could not be sent: no such name in the
// DNS, or the connection was refused.
const NoRoute = -1

// StanzaErrorOf returns the error that answers a stanza whose SIP request got that final
// response (table 6.2), [NoResponse] and [NoRoute] among them. later says that the response
// had a Retry-After. ok is false if the status is no failure.
func StanzaErrorOf(status int, later bool) (e StanzaError, ok bool) {
	if status != NoResponse && status != NoRoute && (status < 300 || status > 699) {
		return StanzaError{}, false
	}
	row := errorRows[4]
	if status >= 300 {
		row = errorRows[status/100-3]
	}
	for _, r := range errorRows {
		if r.status == status {
			row = r
		}
	}
	if status == 503 && later {
		row.typ = "wait"
	}
	return StanzaError{Condition: row.condition, Type: row.typ}, true
}

// StanzaErrorText returns the text of such an error: the reason phrase and the status.
func StanzaErrorText(status int, phrase string) string {
	if phrase = cleanText(phrase, maxText); phrase == "" {
		phrase = PhraseOf(status)
	}
	if status < 100 {
		return phrase
	}
	return strings.TrimSpace(phrase + " (" + itoa(status) + ")")
}
