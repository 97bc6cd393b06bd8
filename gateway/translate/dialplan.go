package translate

import "strings"

// maxE164 is the most digits a number has (ITU-T E.164 section 6.2).
const maxE164 = 15

// A DialPlan says how numbers are meant that are dialled without a plus.
type DialPlan struct {
	Country       string   // calling code without plus, such as "49"; empty: no national numbers
	National      string   // what is dialled before a national number, such as "0"; may be empty
	International []string // what is dialled instead of the plus, such as "00" or "011"
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
	rest, ok := strings.CutPrefix(number, d.National)
	// Without a prefix nothing but the length tells a national number from a short code.
	if !ok || d.National == "" && len(number) < 7 || rest == "" {
		return "", false
	}
	return d.Country + rest, true
}
