-- Prosody: the gateway as a component. This goes to the end of prosody.cfg.lua or, with
-- Debian, into /etc/prosody/conf.d; then Prosody has to be restarted.
-- component_secret is that of xmpp.secret.
--
-- kick_old lets a gateway that was restarted, or moved to another host, take its place
-- at once; by default Prosody holds on to a connection that is only half dead.

Component "tel.example.org"
	component_secret = "change-me"
	component_conflict_resolve = "kick_old"
