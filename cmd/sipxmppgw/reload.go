package main

import "sipxmppgw/config"

// reload reads the secrets of components and the passwords of trunks again. All else that a
// file says counts at the next start; one that is wrong changes nothing.
func (d *daemon) reload(file string) {
	c, err := config.Load(file)
	if err != nil {
		d.log.Error("secrets not read again", "error", err)
		return
	}
	changed := 0
	for _, own := range c.Each() {
		for _, t := range d.tenants {
			if t.c.XMPP.Domain == own.XMPP.Domain {
				changed += t.secrets(own)
			}
		}
	}
	d.log.Info("secrets read again", "changed", changed)
}

// secrets takes those of a configuration, and says how many are others than before.
func (t *tenant) secrets(c config.Config) (changed int) {
	if t.stream.SetSecret(string(c.XMPP.Secret)) {
		changed++
	}
	for _, own := range c.Trunks {
		if t.has(own.Name) && t.d.sip.SetCredentials(own.Name, own.Username, string(own.Password)) {
			changed++
		}
	}
	return changed
}

// has says whether a trunk is the tenant's own.
func (t *tenant) has(trunk string) bool {
	for _, own := range t.c.Trunks {
		if own.Name == trunk {
			return true
		}
	}
	return false
}
