package main

import (
	"bytes"
	"encoding/xml"
	"errors"
	"fmt"
	"io"
	"os"
	"os/exec"
	"path/filepath"
	"regexp"
	"slices"
	"strings"
	"testing"
	"time"

	"gopkg.in/yaml.v3"

	"sipxmppgw/config"
	"sipxmppgw/test/golden"
)

const deploy = "../../deploy"

// example is the README's configuration, on a machine whose address is known.
const example = `
xmpp: {domain: tel.example.org, secret: change-me}
sip: {external_address: 192.0.2.5}
trunks: [{name: pbx, address: 192.0.2.20}]
numbers: {"+4930123456": juliet@example.org}
routes: [{from: example.org, trunk: pbx}]
`

// examples are files of deploy, and what snippet they are.
var examples = map[string]string{
	"prosody/sipxmppgw.cfg.lua": "prosody",
	"ejabberd/sipxmppgw.yml":    "ejabberd",
	"asterisk/pjsip.conf":       "asterisk",
	"freeswitch/sipxmppgw.xml":  "freeswitch",
	"kamailio/sipxmppgw.cfg":    "kamailio",
	"3cx/sipxmppgw.txt":         "3cx",
}

// withFiles writes a configuration, with files that it may name beside it.
func withFiles(t *testing.T, text string) string {
	t.Helper()
	dir := t.TempDir()
	for name, text := range map[string]string{"config.yaml": text, "xmpp.secret": "s", "carrier.password": "p"} {
		if err := os.WriteFile(filepath.Join(dir, name), []byte(text), 0o600); err != nil {
			t.Fatal(err)
		}
	}
	return filepath.Join(dir, "config.yaml")
}

// What stands in deploy for others is what snippet writes, and they understand it.
func TestExamplesAreSnippets(t *testing.T) {
	t.Parallel()
	file := withFiles(t, example)
	for name, kind := range examples {
		golden.Compare(t, filepath.Join(deploy, name), []byte(prints(t, exitOK, "snippet", kind, "--secret", "--config", file)))
	}
	if len(examples) != len(snippetKinds()) {
		t.Errorf("%d examples of %d kinds", len(examples), len(snippetKinds()))
	}
	lua := reads(t, "prosody/sipxmppgw.cfg.lua")
	taken(t, lua, "luac", "-p", "-")
	var server struct {
		Listen []struct {
			Port   int
			Module string
			Hosts  map[string]struct{ Password string }
		}
	}
	if err := yaml.Unmarshal([]byte(reads(t, "ejabberd/sipxmppgw.yml")), &server); err != nil || len(server.Listen) != 1 || server.Listen[0].Hosts["tel.example.org"].Password != "change-me" {
		t.Errorf("ejabberd has %+v, %v", server, err)
	}
	for d := xml.NewDecoder(strings.NewReader(reads(t, "freeswitch/sipxmppgw.xml"))); ; {
		if _, err := d.Token(); errors.Is(err, io.EOF) {
			break
		} else if err != nil {
			t.Fatalf("FreeSWITCH: %v", err)
		}
	}
	if _, err := exec.LookPath("kamailio"); err == nil {
		whole := filepath.Join(t.TempDir(), "kamailio.cfg")
		text := "loadmodule \"tm.so\"\nloadmodule \"sl.so\"\nloadmodule \"rr.so\"\nloadmodule \"pv.so\"\nloadmodule \"siputils.so\"\nloadmodule \"textops.so\"\n" +
			"request_route {\n\troute(FROM_XMPP);\n\troute(TO_XMPP);\n}\n" + reads(t, "kamailio/sipxmppgw.cfg")
		if err := os.WriteFile(whole, []byte(text), 0o600); err != nil {
			t.Fatal(err)
		}
		taken(t, "", "kamailio", "-c", "-f", whole)
	}
}

func reads(t *testing.T, name string) string {
	t.Helper()
	text, err := os.ReadFile(filepath.Join(deploy, name))
	if err != nil {
		t.Fatal(err)
	}
	return string(text)
}

// Configurations for carriers are good, and each says of itself how the carrier knows us.
func TestCarriers(t *testing.T) {
	t.Parallel()
	files, err := filepath.Glob(deploy + "/carriers/*.yaml")
	if err != nil || len(files) != 3 {
		t.Fatalf("%v, %v", files, err)
	}
	for _, file := range files {
		text, err := os.ReadFile(file)
		if err != nil {
			t.Fatal(err)
		}
		at := withFiles(t, string(text))
		writeCertificate(t, filepath.Join(filepath.Dir(at), "sip.pem"), "gw.example.org", time.Now().Add(time.Hour))
		if said := prints(t, exitOK, "check-config", at); !strings.Contains(said, "good") {
			t.Errorf("%s: %s", file, said)
		}
		if said := prints(t, exitOK, "route", "030123457", "--as", "juliet@example.org", "--config", at); !strings.Contains(said, "carrier") {
			t.Errorf("%s: a call goes\n%s", file, said)
		}
	}
}

// A composition is what matters here of a compose file.
type composition struct {
	Services map[string]struct {
		Image           string
		Build           yaml.Node
		Environment     map[string]string
		Volumes         []string
		DependsOn       []string `yaml:"depends_on"`
		NetworkMode     string   `yaml:"network_mode"`
		ReadOnly        bool     `yaml:"read_only"`
		CapDrop         []string `yaml:"cap_drop"`
		StopGracePeriod string   `yaml:"stop_grace_period"`
		Tmpfs           []string
	}
	Volumes map[string]any
}

// The compose file names what there is, and the three in it agree with each other.
func TestCompose(t *testing.T) {
	t.Parallel()
	var c composition
	if err := yaml.Unmarshal([]byte(reads(t, "compose/compose.yaml")), &c); err != nil {
		t.Fatal(err)
	}
	for name, s := range c.Services {
		if s.Image == "" && s.Build.IsZero() {
			t.Errorf("%s has neither an image nor how to build one", name)
		}
		if s.NetworkMode != "host" {
			t.Errorf("%s is in network %q", name, s.NetworkMode)
		}
		for _, v := range s.Volumes {
			from, _, _ := strings.Cut(v, ":")
			_, named := c.Volumes[from]
			if _, err := os.Stat(filepath.Join(deploy, "compose", from)); err != nil && !named {
				t.Errorf("%s: %v", name, err)
			}
		}
		for _, other := range s.DependsOn {
			if _, there := c.Services[other]; !there {
				t.Errorf("%s depends on %s, which there is not", name, other)
			}
		}
	}
	gateway := c.Services["gateway"]
	if context := gateway.Build.Value; context == "" {
		t.Error("the gateway is not built")
	} else if _, err := os.Stat(filepath.Join(deploy, "compose", context, "Dockerfile")); err != nil {
		t.Error(err)
	}
	secret := gateway.Environment["SIPXMPPGW_XMPP_SECRET"]
	if secret == "" || secret != c.Services["prosody"].Environment["XMPP_SECRET"] {
		t.Errorf("the gateway's secret is %q, and Prosody's %q", secret, c.Services["prosody"].Environment["XMPP_SECRET"])
	}
	grace, err := time.ParseDuration(gateway.StopGracePeriod)
	if !gateway.ReadOnly || !slices.Equal(gateway.CapDrop, []string{"ALL"}) || len(gateway.Tmpfs) == 0 || err != nil {
		t.Errorf("the gateway is run as %+v, %v", gateway, err)
	}
	settings, err := config.Parse("sipxmppgw.yaml", strings.NewReader(reads(t, "compose/sipxmppgw.yaml")), config.Env{
		Getenv: func(name string) string { return gateway.Environment[name] },
	})
	if err != nil {
		t.Fatal(err)
	}
	if grace < settings.Calls.Drain {
		t.Errorf("the gateway is killed after %v; calls may take %v", grace, settings.Calls.Drain)
	}
	for _, want := range []string{`Component "` + settings.XMPP.Domain + `"`, "component_secret = ENV_XMPP_SECRET", `VirtualHost "` + settings.Routes[0].From + `"`} {
		if !strings.Contains(reads(t, "compose/prosody.cfg.lua"), want) {
			t.Errorf("Prosody has no %s", want)
		}
	}
	taken(t, reads(t, "compose/prosody.cfg.lua"), "luac", "-p", "-")

	// The Asterisk has the snippet's part.
	n, err := neighbourOf(settings, "", snippets["asterisk"])
	if err != nil {
		t.Fatal(err)
	}
	var snippet bytes.Buffer
	if err := writeSnippet(&snippet, "asterisk", n); err != nil {
		t.Fatal(err)
	}
	pjsip := reads(t, "compose/pjsip.conf")
	if _, part, _ := strings.Cut(snippet.String(), "\n\n"); !strings.HasSuffix(pjsip, part) {
		t.Errorf("pjsip.conf does not end with\n%s", part)
	}
	if _, port, _ := strings.Cut(settings.Trunks[0].Address, ":"); !strings.Contains(pjsip, "bind=0.0.0.0:"+port+"\n") {
		t.Errorf("Asterisk is not at port %s", port)
	}
	dialplan := reads(t, "compose/extensions.conf")
	for number := range settings.Users {
		if !strings.Contains(dialplan, "exten => "+number+",1,Dial(PJSIP/${EXTEN}@sipxmppgw)") {
			t.Errorf("Asterisk does not send %s", number)
		}
	}
}

// A resource is what matters here of a Kubernetes manifest.
type resource struct {
	Kind       string
	Metadata   struct{ Name string }
	Data       map[string]string
	StringData map[string]string `yaml:"stringData"`
	Spec       struct {
		Replicas       int
		Strategy       struct{ Type string }
		MaxUnavailable *int `yaml:"maxUnavailable"`
		Selector       struct {
			MatchLabels map[string]string `yaml:"matchLabels"`
		}
		Template struct {
			Metadata struct{ Labels map[string]string }
			Spec     pod
		}
	}
}

type pod struct {
	HostNetwork bool `yaml:"hostNetwork"`
	Grace       int  `yaml:"terminationGracePeriodSeconds"`
	Security    struct {
		RunAsNonRoot bool                  `yaml:"runAsNonRoot"`
		Seccomp      struct{ Type string } `yaml:"seccompProfile"`
	} `yaml:"securityContext"`
	Containers []struct {
		Args     []string
		Security struct {
			Escalation   *bool `yaml:"allowPrivilegeEscalation"`
			ReadOnlyRoot bool  `yaml:"readOnlyRootFilesystem"`
			Capabilities struct{ Drop []string }
		} `yaml:"securityContext"`
		Liveness     probe `yaml:"livenessProbe"`
		Readiness    probe `yaml:"readinessProbe"`
		Resources    struct{ Requests, Limits map[string]string }
		VolumeMounts []struct {
			Name      string
			MountPath string `yaml:"mountPath"`
		} `yaml:"volumeMounts"`
	}
	Volumes []struct {
		Name      string
		ConfigMap struct{ Name string } `yaml:"configMap"`
		Secret    struct {
			SecretName string `yaml:"secretName"`
		}
		EmptyDir map[string]string `yaml:"emptyDir"`
	}
}

type probe struct {
	Exec struct{ Command []string }
}

// The Kubernetes manifest is strict about what the pod may, and its configuration is good where
// its secret is mounted.
func TestKubernetes(t *testing.T) {
	t.Parallel()
	found := map[string]resource{}
	d := yaml.NewDecoder(strings.NewReader(reads(t, "kubernetes/sipxmppgw.yaml")))
	for {
		var r resource
		if err := d.Decode(&r); errors.Is(err, io.EOF) {
			break
		} else if err != nil {
			t.Fatal(err)
		}
		found[r.Kind] = r
	}
	deployment := found["Deployment"]
	spec := deployment.Spec.Template.Spec
	if len(spec.Containers) != 1 {
		t.Fatalf("%d containers", len(spec.Containers))
	}
	c := spec.Containers[0]
	for what, ok := range map[string]bool{
		"one pod at a time":     deployment.Spec.Replicas == 1 && deployment.Spec.Strategy.Type == "Recreate",
		"its own labels":        fmt.Sprint(deployment.Spec.Selector.MatchLabels) == fmt.Sprint(deployment.Spec.Template.Metadata.Labels),
		"the node's network":    spec.HostNetwork,
		"not root":              spec.Security.RunAsNonRoot,
		"seccomp":               spec.Security.Seccomp.Type == "RuntimeDefault",
		"a read-only root":      c.Security.ReadOnlyRoot,
		"no more privileges":    c.Security.Escalation != nil && !*c.Security.Escalation,
		"no capabilities":       slices.Equal(c.Security.Capabilities.Drop, []string{"ALL"}),
		"resources":             len(c.Resources.Requests) == 2 && c.Resources.Limits["memory"] != "",
		"no voluntary eviction": found["PodDisruptionBudget"].Spec.MaxUnavailable != nil && *found["PodDisruptionBudget"].Spec.MaxUnavailable == 0,
	} {
		if !ok {
			t.Errorf("it has not %s", what)
		}
	}
	// Where the volumes put files.
	files := map[string]string{}
	for _, v := range spec.Volumes {
		for _, m := range c.VolumeMounts {
			if m.Name != v.Name {
				continue
			}
			content := found["ConfigMap"].Data
			if v.Secret.SecretName != "" {
				content = found["Secret"].StringData
			}
			if name := v.ConfigMap.Name + v.Secret.SecretName; name != "" && name != found["ConfigMap"].Metadata.Name {
				t.Errorf("volume %s is of %s, which there is not", v.Name, name)
			}
			if v.EmptyDir != nil {
				content = nil
			}
			for name, text := range content {
				files[filepath.Join(m.MountPath, name)] = text
			}
		}
	}
	for _, command := range [][]string{append([]string{"/sipxmppgw"}, c.Args...), c.Liveness.Exec.Command, c.Readiness.Exec.Command} {
		if len(command) < 4 || files[command[len(command)-1]] == "" {
			t.Errorf("%q reads no configuration of %d files", command, len(files))
		}
	}
	at := c.Args[len(c.Args)-1]
	settings, err := config.Parse(at, strings.NewReader(files[at]), config.Env{ReadFile: func(name string) ([]byte, error) {
		text, there := files[name]
		if !there {
			return nil, os.ErrNotExist
		}
		return []byte(text), nil
	}})
	if err != nil {
		t.Fatal(err)
	}
	if _, err := routesOf(settings, nobody, nil); err != nil {
		t.Error(err)
	}
	if spec.Grace <= int(settings.Calls.Drain.Seconds()) {
		t.Errorf("it is killed after %d s; calls may take %v", spec.Grace, settings.Calls.Drain)
	}
	if !regexp.MustCompile(`--ready`).MatchString(strings.Join(c.Readiness.Exec.Command, " ")) {
		t.Error("it is ready while no call could come")
	}
}
