package presence

// An Activity is what a person does, in the words of RPID (RFC 4480 section 3.2); empty if
// nothing is known.
type Activity string

// The activity that the gateway itself knows of.
const OnThePhone Activity = "on-the-phone"

// A General and a Specific are the words of XEP-0108.
type (
	General  string
	Specific string
)

// activities say what the activities of RPID are in XEP-0108, and what they show where nothing
// else does (INTERWORKING 4.6).
var activities = []struct {
	rpid     Activity
	general  General
	specific Specific
	show     Show
}{
	{OnThePhone, "talking", "on_the_phone", DoNotDisturb},
	{"meeting", "working", "in_a_meeting", DoNotDisturb},
	{"appointment", "having_appointment", "", DoNotDisturb},
	{"working", "working", "", Available},
	{"presentation", "working", "", DoNotDisturb},
	{"performance", "working", "", DoNotDisturb},
	{"busy", "", "", DoNotDisturb},
	{"meal", "eating", "", Away},
	{"breakfast", "eating", "having_breakfast", Away},
	{"lunch", "eating", "having_lunch", Away},
	{"dinner", "eating", "having_dinner", Away},
	{"shopping", "relaxing", "shopping", Available},
	{"playing", "relaxing", "gaming", Available},
	{"tv", "relaxing", "watching_tv", Available},
	{"away", "inactive", "", Away},
	{"permanent-absence", "inactive", "", ExtendedAway},
	{"sleeping", "inactive", "sleeping", ExtendedAway},
	{"vacation", "inactive", "on_vacation", ExtendedAway},
	{"holiday", "inactive", "scheduled_holiday", ExtendedAway},
	{"in-transit", "traveling", "", Away},
	{"steering", "traveling", "driving", Away},
	{"travel", "traveling", "on_a_trip", Away},
	{"other", "undefined", "other", Available},
	{"unknown", "undefined", "other", Available},
}

// XMPP returns the activity in the words of XEP-0108; ok is false if it has none.
func (a Activity) XMPP() (g General, s Specific, ok bool) {
	for _, row := range activities {
		if row.rpid == a && row.general != "" {
			return row.general, row.specific, true
		}
	}
	return "", "", false
}

// Show returns what an activity means for how ready its person is for talk.
func (a Activity) Show() Show {
	for _, row := range activities {
		if row.rpid == a {
			return row.show
		}
	}
	return Available
}

// Known reports whether RPID has such an activity that XMPP can know of.
func (a Activity) Known() bool {
	for _, row := range activities {
		if row.rpid == a {
			return true
		}
	}
	return false
}
