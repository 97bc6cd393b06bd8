-- Prosody: the gateway as a component. Put this at the end of prosody.cfg.lua, after the
-- VirtualHost of your users, and the same secret into the gateway's configuration.
--
-- kick_old lets a gateway that was restarted, or moved to another host, take its place
-- at once; by default Prosody holds on to a connection that is only half dead.

Component "tel.example.org"
	component_secret = "change-me"
	component_conflict_resolve = "kick_old"
