package main

import (
	"cmp"
	"flag"
	"fmt"
	"io"
	"maps"
	"net"
	"net/netip"
	"slices"
	"strconv"
	"strings"
	"text/template"

	"sipxmppgw/config"
)

// A neighbour is what the other side's configuration is made of.
type neighbour struct {
	Domain   string // of the component
	Address  string // where the XMPP server listens for it
	Port     string
	Secret   string // where it is; it is never printed
	Trunk    config.Trunk
	Us       string // our address on the SIP side, with its port
	Host     string // without it
	SIPPort  string
	Way      string // how it is reached, such as ;transport=tls; empty over UDP
	Tel      string // how the other side's SIP domain is called
	User     string // that we register as, or answer challenges as
	Register bool
	Codecs   []string // as the other side calls them
}

// snippets are what the other side needs, by its kind.
var snippets = map[string]struct {
	text   string
	codecs map[string]string // how it calls ours
}{
	"prosody": {text: `-- These two lines go to the top of prosody.cfg.lua, before any VirtualHost.
component_ports = { {{.Port}} }
component_interfaces = { "{{.Address}}" }

-- This goes to its end. component_secret is {{.Secret}}.
Component "{{.Domain}}"
	component_secret = "..."
	component_conflict_resolve = "kick_old"
`},
	"ejabberd": {text: `# Add this to the listen section of ejabberd.yml. password is {{.Secret}}.
listen:
  - port: {{.Port}}
    ip: "{{.Address}}"
    module: ejabberd_service
    hosts:
      {{.Domain}}:
        password: "..."
`},
	"asterisk": {codecs: map[string]string{"opus": "opus", "G722": "g722", "PCMA": "alaw", "PCMU": "ulaw"}, text: `; Add this to pjsip.conf, and send numbers of XMPP users to PJSIP/NUMBER@sipxmppgw.
[sipxmppgw]
type=endpoint
context=from-xmpp
disallow=all
allow={{join .Codecs ","}}
aors=sipxmppgw
dtmf_mode=rfc4733
trust_id_inbound={{if .Trunk.Trusted}}yes{{else}}no{{end}}
trust_id_outbound={{if .Trunk.Trusted}}yes{{else}}no{{end}}
direct_media=no
{{- if eq .Trunk.SRTP "required" "preferred"}}
media_encryption=sdes
{{- if eq .Trunk.SRTP "preferred"}}
media_encryption_optimistic=yes
{{- end}}
{{- else if eq .Trunk.SRTP "dtls"}}
media_encryption=dtls
dtls_auto_generate_cert=yes
{{- end}}
{{- if .User}}
auth=sipxmppgw

[sipxmppgw]
type=auth
auth_type=userpass
username={{.User}}
; the password of trunk {{.Trunk.Name}}
password=...
{{- end}}

[sipxmppgw]
type=aor
{{- if .Register}}
max_contacts=1
remove_existing=yes
{{- else}}
contact=sip:{{.Us}}{{.Way}}
qualify_frequency=60
{{- end}}

[sipxmppgw]
type=identify
endpoint=sipxmppgw
match={{.Host}}
`},
	"freeswitch": {codecs: map[string]string{"opus": "OPUS", "G722": "G722", "PCMA": "PCMA", "PCMU": "PCMU"}, text: `<!-- Put this in sip_profiles/external/sipxmppgw.xml, and send numbers of XMPP users to
     sofia/gateway/sipxmppgw/NUMBER. Its calls come from {{.Host}}: let acl.conf.xml have it. -->
<include>
  <gateway name="sipxmppgw">
    <param name="proxy" value="{{.Us}}{{.Way}}"/>
    <param name="realm" value="{{.Host}}"/>
    <param name="register" value="false"/>
    <param name="caller-id-in-from" value="true"/>
    <param name="ping" value="60"/>
    <param name="extension-in-contact" value="true"/>
  </gateway>
</include>
<!-- In the profile: codecs that both sides have. -->
<!-- <param name="inbound-codec-prefs" value="{{join .Codecs ","}}"/> -->
<!-- <param name="outbound-codec-prefs" value="{{join .Codecs ","}}"/> -->
`},
	"kamailio": {text: `# Add this to kamailio.cfg; it sends what is for XMPP users to the gateway.
# In request_route, for calls that the gateway may have:
if (is_method("INVITE") && $rd == "{{.Tel}}") {
	record_route();
	$du = "sip:{{.Us}}{{.Way}}";
	t_relay();
	exit;
}
# And to know its calls, which need no password:
if ($si == "{{.Host}}" && $sp == {{.SIPPort}}) setflag(20);
`},
}

func snippetKinds() []string { return slices.Sorted(maps.Keys(snippets)) }

// snippet writes what the other side needs, from our configuration.
func snippet(args []string, out, errs io.Writer) int {
	flags := flag.NewFlagSet("snippet", flag.ContinueOnError)
	flags.SetOutput(errs)
	file := flags.String("config", configDefault, "the configuration `FILE`")
	trunk := flags.String("trunk", "", "the `NAME` of the SIP peer it is for. Default: the first")
	var kind string
	for len(args) > 0 { // flags may stand behind the kind
		if err := flags.Parse(args); err != nil {
			return exitUsage
		}
		if args = flags.Args(); len(args) > 0 {
			if kind != "" {
				kind = " "
				break
			}
			kind, args = args[0], args[1:]
		}
	}
	s, ok := snippets[kind]
	if !ok {
		fmt.Fprintf(errs, "usage: sipxmppgw snippet %s [--trunk NAME] [--config FILE]\n", strings.Join(snippetKinds(), "|"))
		return exitUsage
	}
	c, err := config.Load(*file)
	if err != nil {
		fmt.Fprintln(errs, err)
		return exitUsage
	}
	n, err := neighbourOf(c, *trunk, s.codecs)
	if err != nil {
		fmt.Fprintln(errs, "sipxmppgw:", err)
		return exitUsage
	}
	t := template.Must(template.New(kind).Funcs(template.FuncMap{"join": strings.Join}).Parse(s.text)) // a test parses all
	if err := t.Execute(out, n); err != nil {
		fmt.Fprintln(errs, "sipxmppgw:", err)
		return exitProblem
	}
	return exitOK
}

func neighbourOf(c config.Config, trunk string, codecs map[string]string) (neighbour, error) {
	i := 0
	if trunk != "" {
		i = slices.IndexFunc(c.Trunks, func(t config.Trunk) bool { return t.Name == trunk })
	}
	if i < 0 {
		return neighbour{}, fmt.Errorf("there is no trunk %s", trunk)
	}
	n := neighbour{Domain: c.XMPP.Domain, Trunk: c.Trunks[i], Secret: "that of xmpp.secret", Tel: cmp.Or(c.SIP.Domain, c.XMPP.Domain)}
	if c.XMPP.SecretFile != "" {
		n.Secret = "what is in " + c.XMPP.SecretFile
	}
	n.Address, n.Port, _ = net.SplitHostPort(c.XMPP.Server) // checked with the configuration
	n.User, n.Register = n.Trunk.Username, n.Trunk.Register.User != ""
	for _, codec := range n.Trunk.Codecs {
		if name := codecs[codec]; name != "" {
			n.Codecs = append(n.Codecs, name)
		}
	}
	at, err := leadsTo(outsideOf(true))
	if host, _, errAddr := config.SplitAddress(n.Trunk.Address); errAddr == nil && host != "" {
		if ip, errIP := netip.ParseAddr(strings.Trim(host, "[]")); errIP == nil {
			at, err = leadsTo(netip.AddrPortFrom(ip, 9))
		}
	}
	n.Host = "GATEWAY"
	if err == nil {
		n.Host = at.String()
	}
	if external, auto, errExternal := config.ParseExternal(c.SIP.ExternalAddress...); errExternal == nil && !auto && len(external) > 0 {
		n.Host = external[0].String()
	}
	port := 5060
	for _, l := range c.SIP.Listen {
		if transport, addr, err := config.ParseListen(l); err == nil && transport == cmp.Or(n.Trunk.Transport, "udp") {
			port = int(addr.Port())
			break
		}
	}
	n.SIPPort = strconv.Itoa(port)
	n.Us = net.JoinHostPort(n.Host, n.SIPPort)
	if n.Trunk.Transport != "" && n.Trunk.Transport != "udp" {
		n.Way = ";transport=" + n.Trunk.Transport
	}
	return n, nil
}
