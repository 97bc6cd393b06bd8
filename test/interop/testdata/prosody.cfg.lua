-- Prosody for the interop tests: one host, two components, no TLS, no s2s, nothing stored.
run_as_root = true
pidfile = "{{.Dir}}/prosody.pid"
data_path = "{{.Dir}}/data"
certificates = "{{.Dir}}"
interfaces = { "127.0.0.1" }
c2s_ports = { {{.Client}} }
c2s_direct_tls_ports = { }
s2s_ports = { }
component_ports = { {{.Component}} }
component_interfaces = { "127.0.0.1" }
http_ports = { {{.HTTP}} }
http_interfaces = { "127.0.0.1" }
https_ports = { }
http_default_host = "{{.Domain}}"
modules_disabled = { "s2s", "tls", "offline" }
modules_enabled = {
	"roster", "saslauth", "disco", "posix", "ping", "carbons", "pep", "websocket", "external_services", "version", "time",
}
external_services = { { type = "stun", transport = "udp", host = "127.0.0.1", port = {{.STUN}} } }
external_service_access = { "{{.Domain}}", "{{.Gateway}}" }
authentication = "internal_plain"
storage = "internal"
c2s_require_encryption = false
allow_unencrypted_plain_auth = true
consider_websocket_secure = true
log = { { levels = { min = "info" }, to = "file", filename = "{{.Dir}}/server.log" } }

VirtualHost "{{.Domain}}"

Component "{{.Gateway}}"
	component_secret = "{{.Secret}}"
	-- The default, kick_new, locks a gateway out whose old connection looks alive.
	component_conflict_resolve = "kick_old"

Component "{{.Second}}"
	component_secret = "{{.Secret}}"
	component_conflict_resolve = "kick_old"

Component "rooms.{{.Domain}}" "muc"
	restrict_room_creation = false
	muc_room_default_change_subject = true
