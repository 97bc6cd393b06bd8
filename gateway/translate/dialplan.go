package translate

import (
	"strconv"
	"strings"

	"github.com/nyaruka/phonenumbers"
)

// maxE164 is the most digits a number has (ITU-T E.164 section 6.2).
const maxE164 = 15

// A DialPlan says how numbers are meant that are dialled without a plus.
type DialPlan struct {
	Country       string   // calling code without plus, such as "49"; empty: no national numbers
	National      string   // what is dialled before a national number, such as "0"; may be empty
	International []string // what is dialled instead of the plus, such as "00" or "011"
	// Region is the country (ISO 3166, such as "DE") whose numbering plan tells national
	// numbers from short codes, and may know more ways to dial them; may be empty.
	Region string
	// Domains are the plans of XMPP domains whose users dial in another way.
	Domains map[string]DialPlan
}

// prefixes are those that somewhere in the world stand for the plus.
var prefixes = []string{"00", "011", "0011", "010", "009", "000", "001", "119", "810", "990"}

// PlanOf returns the plan of a region (ISO 3166); ok is false if there is no such region.
func PlanOf(region string) (plan DialPlan, ok bool) {
	if !phonenumbers.GetSupportedRegions()[region] {
		return DialPlan{}, false
	}
	d := DialPlan{
		Country:  strconv.Itoa(phonenumbers.GetCountryCodeForRegion(region)),
		National: phonenumbers.GetNddPrefixForRegion(region, true),
		Region:   region,
	}
	for _, prefix := range prefixes {
		p, err := phonenumbers.ParseAndKeepRawInput(prefix+"442079460123", region)
		if err == nil && p.GetCountryCodeSource() == phonenumbers.PhoneNumber_FROM_NUMBER_WITH_IDD && p.GetCountryCode() == 44 {
			d.International = append(d.International, prefix)
		}
	}
	return d, true
}

// For returns the plan of the users of an XMPP domain.
func (d DialPlan) For(domain string) DialPlan {
	if plan, ok := d.Domains[domain]; ok {
		return plan
	}
	return d
}

// A NumberForm is how a trunk wants E.164 numbers.
type NumberForm string

const (
	PlusForm          NumberForm = "plus"          // +4930123
	DigitsForm        NumberForm = "digits"        // 4930123
	InternationalForm NumberForm = "international" // 004930123, by the plan's prefix
	NationalForm      NumberForm = "national"      // 030123 if it is of the plan's country, else international
)

// Format writes an E.164 number in a form; ok is false if the plan lacks what it takes.
func (d DialPlan) Format(e164 string, form NumberForm) (dialled string, ok bool) {
	digits, is := strings.CutPrefix(e164, "+")
	if !is {
		return "", false
	}
	country, national, prefix := d.Country, d.National, ""
	if len(d.International) > 0 {
		prefix = d.International[0]
	}
	switch form {
	case PlusForm:
		return e164, true
	case DigitsForm:
		return digits, true
	case InternationalForm:
		if prefix != "" {
			return prefix + digits, true
		}
	case NationalForm:
		if rest, own := strings.CutPrefix(digits, country); own && country != "" {
			return national + rest, true
		}
		return d.Format(e164, InternationalForm)
	}
	return "", false
}

// E164 returns the number as + and digits; ok is false if the plan does not say how, or
// the result cannot be a number: a short code, an extension, too many digits.
func (d DialPlan) E164(number string) (e164 string, ok bool) {
	digits, ok := strings.CutPrefix(number, "+")
	if !ok {
		digits, ok = d.digits(number)
	}
	if !ok || !within(digits, "0123456789") || digits[0] == '0' || len(digits) > maxE164 {
		return "", false
	}
	return "+" + digits, true
}

// digits returns what follows the plus of a number that was dialled without.
func (d DialPlan) digits(number string) (string, bool) {
	for _, prefix := range d.International {
		if rest, ok := strings.CutPrefix(number, prefix); ok && prefix != "" {
			return rest, true
		}
	}
	if d.Country == "" {
		return "", false
	}
	if d.Region != "" {
		return d.regional(number)
	}
	rest, ok := strings.CutPrefix(number, d.National)
	// Without a prefix nothing but the length tells a national number from a short code.
	if !ok || d.National == "" && len(number) < 7 || rest == "" {
		return "", false
	}
	return d.Country + rest, true
}

// regional returns what follows the plus of a national number of the region.
func (d DialPlan) regional(number string) (string, bool) {
	if !within(number, "0123456789") {
		return "", false
	}
	p, err := phonenumbers.Parse(number, d.Region)
	prefixed := d.National != "" && strings.HasPrefix(number, d.National)
	if err != nil || !phonenumbers.IsValidNumber(p) && (!prefixed || !phonenumbers.IsPossibleNumber(p)) {
		return "", false // a short code, an extension
	}
	return strings.CutPrefix(phonenumbers.Format(p, phonenumbers.E164), "+")
}

// special are country codes of satellite and other networks that no country has; a call to
// them costs as much as one to a premium number.
var special = []string{"870", "878", "881", "882", "883", "888", "979"}

// Premium reports whether a call to an E.164 number may cost far more than one to its
// country: premium rate by the country's numbering plan, satellites, networks of their own.
func Premium(e164 string) bool {
	digits, ok := strings.CutPrefix(e164, "+")
	if !ok {
		return false
	}
	for _, code := range special {
		if strings.HasPrefix(digits, code) {
			return true
		}
	}
	// A switch may dial a number that has some digits too many or too few.
	for _, digits := range []string{"", "0", "00", "000"} {
		if premium(e164 + digits) {
			return true
		}
	}
	for cut := 1; cut <= 4 && cut < len(e164); cut++ {
		if premium(e164[:len(e164)-cut]) {
			return true
		}
	}
	return false
}

func premium(e164 string) bool {
	p, err := phonenumbers.Parse(e164, "ZZ")
	return err == nil && phonenumbers.GetNumberType(p) == phonenumbers.PREMIUM_RATE
}

// Foreign reports whether an E.164 number is of another country than the plan's own.
func (d DialPlan) Foreign(e164 string) bool {
	digits, ok := strings.CutPrefix(e164, "+")
	return ok && d.Country != "" && !strings.HasPrefix(digits, d.Country)
}
