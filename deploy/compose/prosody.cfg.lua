-- Prosody of compose.yaml: one host, and the gateway as its component.
modules_enabled = {
	"roster", "saslauth", "tls", "disco", "carbons", "pep", "vcard4", "vcard_legacy", "blocklist",
	"ping", "smacks", "csi_simple", "posix",
}
-- Until there is a certificate for example.org in certificates, clients come in the clear.
c2s_require_encryption = false
certificates = "/etc/prosody/certs"
authentication = "internal_hashed"
component_interfaces = { "127.0.0.1" }
s2s_ports = { } -- without a name in DNS there are no other servers
log = { info = "*console" }

VirtualHost "example.org"

Component "tel.example.org"
	component_secret = ENV_XMPP_SECRET
	component_conflict_resolve = "kick_old"
