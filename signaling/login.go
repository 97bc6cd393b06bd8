package signaling

import "sipxmppgw/signaling/registration"

// A login is who we are to a trunk. That of a trunk of the options may change.
type login struct{ user, password string }

// credentials are the user name and password for a trunk's challenges.
func (t *Trunk) credentials() (user, password string) {
	if t.login != nil {
		if l := t.login.Load(); l != nil {
			return l.user, l.password
		}
	}
	return t.Username, t.Password
}

// SetCredentials changes who we are to a trunk of the options, and asks its registrar again if
// that has refused us. It is false if nothing has changed, or there is no such trunk.
func (e *Edge) SetCredentials(trunk, user, password string) bool {
	t := e.trunks().named(trunk)
	return t != nil && e.setCredentials(t, user, password)
}

func (e *Edge) setCredentials(t *Trunk, user, password string) bool {
	if was, word := t.credentials(); was == user && word == password {
		return false
	}
	t.login.Store(&login{user, password})
	t.purse.empty()
	if b := e.bindings.named(t.Name); b != nil && b.refused() {
		b.step(registration.Fired{Timer: registration.Next})
	}
	return true
}

// refused reports whether the registrar did not believe who we are, and stops waiting to ask
// it again.
func (b *binding) refused() bool {
	b.mu.Lock()
	defer b.mu.Unlock()
	if why := b.standing.Reason; why != registration.Credentials && why != registration.Refused {
		return false
	}
	b.stop(registration.Next)
	return true
}
