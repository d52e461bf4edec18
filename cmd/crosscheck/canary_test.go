package main

import (
	"encoding/base64"
	"encoding/hex"
	"encoding/json"
	"fmt"
	"os"
	"path/filepath"
	"slices"
	"strings"
	"testing"

	"github.com/crosscheck-dev/crosscheck/audit"
	"github.com/crosscheck-dev/crosscheck/evidence"
)

// tokenEnd is what the recorded NetBox shows of its administrator's token.
const tokenEnd = "234567"

// TestCanaries plants a secret in every place that DESIGN.md names, in the
// credentials of the sources, and in sources that fail, audits all of it, and
// looks for each secret in every byte that is left or printed.
func TestCanaries(t *testing.T) {
	t.Parallel()
	h, c := newHome(t), canaries{}
	for _, path := range []string{"/api/dcim/devices/", "/api/virtualization/virtual-machines/"} {
		for _, place := range []string{" custom field", " custom field below", " local context", " rendered context"} {
			c.token(path + place)
		}
	}
	objects := kubernetesObjects(c)
	cluster, netbox, aws := apiServer(t, c.token("kubeconfig token"), objects), netBox(t, c, c.token("NetBox token")+tokenEnd), awsServer(t, c)
	h.write(t, "good.kubeconfig", cluster)
	h.write(t, "far.kubeconfig", kubeconfig("https://auditor:"+c.token("kubeconfig URL")+"@127.0.0.1:1", c.token("unreachable kubeconfig token"), nil))
	h.write(t, "broken.kubeconfig", "apiVersion: v1\nkind: Config\nusers: [{name: u, user: {token: ["+c.token("broken kubeconfig")+"]}}]\n")
	h.write(t, "state.tfstate", terraformState(t, c))
	h.write(t, "broken.tfstate", cutOff(terraformState(t, c), c["random_password"]))
	h.write(t, "process.sh", "#!/bin/sh\nprintf '{\"Version\": 1, \"AccessKeyId\": \"AKIA\", \"SecretAccessKey\": \"%s\"' "+c.token("output of credential_process")+"\n")
	h.write(t, ".aws/config", "[profile process]\ncredential_process = sh "+h.path("process.sh")+"\nregion = eu-central-1\n")
	h.write(t, "crosscheck.yaml", fmt.Sprintf(`
version: 1
entity: E
system: S
sources:
  kubernetes:
    - {name: good, kubeconfig: good.kubeconfig}
    - {name: far, kubeconfig: far.kubeconfig}
    - {name: broken, kubeconfig: broken.kubeconfig}
  terraform: [{name: good, files: [state.tfstate]}, {name: broken, files: [broken.tfstate]}]
  netbox:
    - {name: good, url: %q, token: {env: NETBOX_TOKEN}}
    - {name: wrong, url: %q, token: {file: netbox.token}}
  aws:
    - {account: "111122223333", regions: [eu-central-1], endpoint: %q}
    - {account: "444455556666", regions: [eu-central-1], endpoint: %q, profile: process}
log: {level: debug, format: json}
`, netbox, netbox, aws, aws))
	h.write(t, "netbox.token", c.token("wrong NetBox token"))
	env := []string{
		"NETBOX_TOKEN=" + c["NetBox token"] + tokenEnd, "AWS_ACCESS_KEY_ID=AKIAEXAMPLE", "AWS_EC2_METADATA_DISABLED=true",
		"AWS_SECRET_ACCESS_KEY=" + c.token("AWS secret key"), "AWS_SESSION_TOKEN=" + c.token("AWS session token"),
	}
	texts := h.audits(t, env)
	all := unpacked(t, merge(t, texts, tree(t, h.data()), rows(t, h.ledger()), stored(t, h)))
	c.refuse(t, all)
	shows(t, h, c, all)
}

// stored gives what the vault holds in blocks, which no other program unpacks.
func stored(t *testing.T, h home) map[string][]byte {
	t.Helper()
	v, err := evidence.NewVault(h.path("crosscheck-data", "vault"))
	if err != nil {
		t.Fatal(err)
	}
	out := map[string][]byte{}
	for _, digest := range objects(t, h) {
		b, err := read(t.Context(), v, digest)
		if err != nil {
			t.Fatal(err)
		}
		out["vault/object "+digest] = b
	}
	return out
}

// audits runs every command that prints or writes something, and gives what they printed.
func (h home) audits(t *testing.T, env []string) map[string][]byte {
	t.Helper()
	texts := map[string][]byte{}
	run := func(codes []int, args ...string) {
		out := h.exits(t, codes, env, args...)
		texts["stdout of "+strings.Join(args, " ")], texts["stderr of "+strings.Join(args, " ")] = out.stdout, out.stderr
	}
	run([]int{exitNotEvaluated}, "audit", "--control", "WRK-001,CMP-001,CMP-002,INV-001,NET-002,STO-001")
	run([]int{exitOK}, "decisions", "list", "--outcome", "all", "--limit", "100000", "-o", "json")
	id := firstDecision(t, texts["stdout of decisions list --outcome all --limit 100000 -o json"])
	run([]int{exitOK}, "decisions", "show", id)
	run([]int{exitOK}, "decisions", "show", id, "-o", "json")
	run([]int{exitOK}, "evidence", "export", "--out", h.path("crosscheck-data", "pack.zip"))
	return texts
}

// shows makes sure that the search could have found something: each secret was
// read and stands as a token, and what is no secret is found everywhere.
func shows(t *testing.T, h home, c canaries, all map[string][]byte) {
	t.Helper()
	key, err := hex.DecodeString(strings.TrimSpace(string(tree(t, h.path(".config"))[filepath.Join("crosscheck", "redaction.key")])))
	if err != nil {
		t.Fatal(err)
	}
	snapshots := map[string][]byte{}
	for name, b := range all {
		if strings.HasPrefix(name, "packs") && strings.Contains(name, "snapshots/") {
			snapshots[name] = b
		}
	}
	places := map[string]string{"vault": "vault/", "ledger": "ledger table", "raw ledger": "ledger.db", "pack": "packs/", "exported pack": "pack.zip!", "report": ".pdf!", "terminal": "stdout of audit", "decisions": "stdout of decisions show"}
	found := holding(all, marker)
	for what, part := range places {
		if !slices.ContainsFunc(found, func(name string) bool { return strings.Contains(name, part) }) {
			t.Errorf("the marker, which is no secret, was not found in the %s: the search finds nothing there", what)
		}
	}
	redactor, tokens := audit.NewRedactor(key), 0
	for place, core := range c {
		secret := c.plant(place)
		read := slices.ContainsFunc([]string{secret, core, base64.StdEncoding.EncodeToString([]byte(secret)), lastApplied(secret)}, func(s string) bool {
			return len(holding(snapshots, redactor.Token(s))) > 0
		})
		if read {
			tokens++
		}
		if want := !slices.ContainsFunc(neverRead(), func(s string) bool { return strings.HasSuffix(place, s) }); read != want {
			t.Errorf("the secret of %q was read and replaced: %t, want %t", place, read, want)
		}
	}
	t.Logf("%d secrets, %d of them read and replaced; %d texts", len(c), tokens, len(all))
}

// neverRead are the places, by the end of their names, of secrets that no
// document has room for: credentials, and what is not asked for or left out.
func neverRead() []string {
	return []string{
		"token", "kubeconfig", "kubeconfig URL", "AWS secret key", "output of credential_process",
		"Secret data", "Secret stringData", "rendered context", "terraform private", "terraform output",
	}
}

// TestCanariesInGates looks for the secrets of what a gate is given in what it prints.
func TestCanariesInGates(t *testing.T) {
	t.Parallel()
	h, c := newHome(t), canaries{}
	manifests := manifestsOf(t, kubernetesObjects(c))
	h.write(t, "in/manifests.yaml", manifests)
	h.write(t, "in/plan.json", terraformPlan(t, c))
	h.write(t, "in/state.tfstate", terraformState(t, c))
	h.write(t, "cut.yaml", cutOff(manifests, c["Pod container"]))
	h.write(t, "cut.json", cutOff(terraformPlan(t, c), c["plan user_data"]))
	h.write(t, "tab.yaml", "apiVersion: v1\nkind: Secret\nmetadata: {name: x}\nstringData:\n\tk: "+c.token("after a tab")+"\n")
	h.write(t, "twice.yaml", "apiVersion: v1\nkind: Secret\nmetadata: {name: x}\nstringData: {k: "+c.token("a key twice")+", k: "+c.token("a key twice")+"}\n")
	h.write(t, "alias.yaml", "apiVersion: v1\nkind: Secret\nmetadata: {name: x}\nstringData: *"+c.token("an alias")+"\n")
	h.write(t, "tag.yaml", "apiVersion: v1\nkind: Secret\nmetadata: {name: x}\nstringData: {k: !!int "+c.token("a wrong tag")+"}\n")
	h.write(t, "kind.yaml", "apiVersion: v1\nkind: Secret\nmetadata: "+c.token("no metadata")+"\nstringData: {k: v}\n")
	h.write(t, "scalar.yaml", "apiVersion: v1\nkind: Secret\n"+c.token("no mapping")+"\n")
	texts := map[string][]byte{}
	broken := []string{"cut.yaml", "cut.json", "tab.yaml", "twice.yaml", "alias.yaml", "tag.yaml", "kind.yaml", "scalar.yaml"}
	for _, args := range [][]string{{"in"}, {"-o", "json", "in"}, broken} {
		out := h.exits(t, []int{exitError, exitViolations}, nil, append([]string{"gate"}, args...)...)
		texts["stdout of gate "+strings.Join(args, " ")], texts["stderr of gate "+strings.Join(args, " ")] = out.stdout, out.stderr
		if want := map[bool]int{true: exitViolations, false: exitError}[args[len(args)-1] == "in"]; out.code != want {
			t.Errorf("gate %v: exit code %d, want %d\n%s%s", args, out.code, want, out.stdout, out.stderr)
		}
	}
	for _, name := range broken {
		if stderr := texts["stderr of gate "+strings.Join(broken, " ")]; !strings.Contains(string(stderr), name+": ") {
			t.Errorf("%s is not named as broken: %s", name, stderr)
		}
	}
	c.refuse(t, texts)
	if got := holding(texts, marker); len(got) < 2 {
		t.Errorf("the marker, which is no secret, was found in %q only", got)
	}
}

// TestCanariesInConfiguration: no mistake in a configuration makes the program say a secret.
func TestCanariesInConfiguration(t *testing.T) {
	t.Parallel()
	c := canaries{}
	for name, source := range map[string]string{
		"inline":          "netbox: [{name: n, url: 'http://127.0.0.1:1', token: %s}]",
		"a list":          "netbox: [{name: n, url: 'http://127.0.0.1:1', token: [%s]}]",
		"a wrong field":   "netbox: [{name: n, url: 'http://127.0.0.1:1', token: {value: %s}}]",
		"a misspelt one":  "netbox: [{name: n, url: 'http://127.0.0.1:1', tokn: %s}]",
		"in the URL":      "netbox: [{name: n, url: 'http://u:%s@127.0.0.1:1', token: {env: T}}]",
		"in the query":    "netbox: [{name: n, url: 'http://127.0.0.1:1?token=%s', token: {env: T}}]",
		"in a broken URL": "netbox: [{name: n, url: 'http://u:%s@127.0.0.1:x', token: {env: T}}]",
		"in the endpoint": "aws: [{account: '111122223333', regions: [eu-central-1], endpoint: 'http://u:%s@127.0.0.1:1'}]",
		"an alias":        "netbox: [{name: n, url: 'http://127.0.0.1:1', token: *%s}]",
		"not YAML":        "netbox: [{name: n, token: '%s, url: x}]",
	} {
		t.Run(name, func(t *testing.T) {
			secret := c.token(name)
			h := newHome(t)
			h.write(t, "crosscheck.yaml", "version: 1\nentity: E\nsystem: S\nsources:\n  "+fmt.Sprintf(source, secret)+"\n")
			texts := map[string][]byte{}
			args := []string{"config", "check"}
			if name == "inline" { // which is allowed
				args = []string{"audit", "--quiet", "--control", "INV-001"}
			}
			out := h.exits(t, []int{exitError, exitNotEvaluated}, nil, args...)
			texts["stdout"], texts["stderr"] = out.stdout, out.stderr
			if name != "inline" && !strings.Contains(string(texts["stderr"]), "crosscheck.yaml:") {
				t.Errorf("the mistake is not named: %s", texts["stderr"])
			}
			canaries{name: secret}.refuse(t, unpacked(t, merge(t, texts, h.left(t))))
		})
	}
}

// left is what the data directory holds, if there is one.
func (h home) left(t *testing.T) map[string][]byte {
	t.Helper()
	if _, err := os.Stat(h.data()); err != nil {
		return nil
	}
	return tree(t, h.data())
}

// firstDecision is the id of the first decision in a list that is on something marked.
func firstDecision(t *testing.T, list []byte) string {
	t.Helper()
	var page struct {
		Decisions []struct{ ID, Resource string }
	}
	if err := json.Unmarshal(list, &page); err != nil {
		t.Fatal(err)
	}
	for _, d := range page.Decisions {
		if strings.Contains(d.Resource, marker) {
			return d.ID
		}
	}
	t.Fatalf("no decision on %s in %s", marker, list)
	return ""
}

// cutOff ends a text right behind the first secret in it.
func cutOff(text, secret string) string {
	return text[:strings.Index(text, secret)+len(secret)]
}

func merge(t *testing.T, maps ...map[string][]byte) map[string][]byte {
	t.Helper()
	out := map[string][]byte{}
	for _, m := range maps {
		for name, b := range m {
			if _, ok := out[name]; ok {
				t.Fatalf("two texts are called %s", name)
			}
			out[name] = b
		}
	}
	return out
}
