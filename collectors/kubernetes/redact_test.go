package kubernetes_test

import (
	"encoding/base64"
	"encoding/json"
	"fmt"
	"net/url"
	"slices"
	"strings"
	"testing"

	"github.com/google/go-cmp/cmp"

	"github.com/crosscheck-dev/crosscheck/audit"
	"github.com/crosscheck-dev/crosscheck/collectors/kubernetes"
)

// podSpec holds a canary in each kind of container, and things that stay.
func podSpec() object {
	env := func(n string) []any {
		return []any{
			object{"name": "PASSWORD", "value": "canary-" + n},
			object{"name": "FROM", "valueFrom": object{"secretKeyRef": object{"name": "db", "key": "stays"}}},
		}
	}
	return object{
		"containers":          []any{object{"name": "app", "image": "stays", "env": env("a\"</")}},
		"initContainers":      []any{object{"name": "init", "env": env("b")}},
		"ephemeralContainers": []any{object{"name": "debug", "env": env("c")}},
	}
}

func annotated(name string) object {
	return object{"name": name, "namespace": "shop", "annotations": object{
		"kubectl.kubernetes.io/last-applied-configuration": `{"data":{"x":"canary-applied"}}`, "note": "stays",
	}}
}

func template() object { return object{"metadata": object{"name": "t"}, "spec": podSpec()} }

// withSecrets are objects in which each place of a secret holds a canary.
func withSecrets() []served {
	workload := func(gv, plural, kind string, spec object) served {
		return served{gv: gv, plural: plural, kind: kind, items: []object{{"metadata": annotated("x"), "spec": spec}}}
	}
	return []served{
		workload("v1", "pods", "Pod", podSpec()),
		workload("v1", "replicationcontrollers", "ReplicationController", object{"template": template()}),
		workload("apps/v1", "deployments", "Deployment", object{"template": template()}),
		workload("apps/v1", "daemonsets", "DaemonSet", object{"template": template()}),
		workload("batch/v1", "cronjobs", "CronJob", object{"jobTemplate": object{"spec": object{"template": template()}}}),
		workload("shop.example/v1", "tills", "Till", object{"parts": []any{object{"deep": object{"podTemplate": template()}}}, "script": object{"env": podSpec()["containers"].([]any)[0].(object)["env"]}}),
		{gv: "apps/v1", plural: "controllerrevisions", kind: "ControllerRevision", items: []object{{"metadata": annotated("x"), "data": object{"spec": object{"template": template()}}}}},
		{gv: "v1", plural: "configmaps", kind: "ConfigMap", items: []object{{
			"metadata": annotated("x"), "data": object{"a/b~c": "canary-config"}, "binaryData": object{"f": "canary-binary"},
		}}},
		{gv: "v1", plural: "secrets", kind: "Secret", items: []object{{
			"metadata": annotated("x"), "data": object{"k": "canary-data"}, "stringData": object{"k": "canary-string"},
		}}},
	}
}

func TestSecretsNeverLeave(t *testing.T) {
	t.Parallel()
	w, _, err := collect(t, collector(t, serve(t, withSecrets(), nil)))
	if err != nil {
		t.Fatal(err)
	}
	noCanary(t, w.Lines)
	var file strings.Builder
	for _, s := range withSecrets() {
		for _, o := range s.items {
			b, err := json.Marshal(with(o, object{"apiVersion": s.gv, "kind": s.kind}))
			if err != nil {
				t.Fatal(err)
			}
			file.Write(append(b, '\n'))
		}
	}
	m, _, err := collect(t, manifests(t, file.String()))
	if err != nil {
		t.Fatal(err)
	}
	noCanary(t, m.Lines)
	want := map[string][]string{
		"v1/Pod": {
			"/data/metadata/annotations/kubectl.kubernetes.io~1last-applied-configuration",
			"/data/spec/containers/0/env/0/value", "/data/spec/ephemeralContainers/0/env/0/value", "/data/spec/initContainers/0/env/0/value",
		},
		"v1/ConfigMap": {"/data/binaryData/f", "/data/data/a~1b~0c", "/data/metadata/annotations/kubectl.kubernetes.io~1last-applied-configuration"},
		"v1/Secret":    {"/data/data/k", "/data/metadata/annotations/kubectl.kubernetes.io~1last-applied-configuration", "/data/stringData/k"},
	}
	for typ, pointers := range want {
		i := slices.IndexFunc(m.Resources, func(r audit.Resource) bool { return r.Type == typ })
		if diff := cmp.Diff(m.Resources[i].Redacted, pointers); diff != "" {
			t.Errorf("%s: redacted (-got +want):\n%s", typ, diff)
		}
	}
}

// noCanary fails if a canary is in a document in any form, or if too much was taken.
func noCanary(t *testing.T, lines [][]byte) {
	t.Helper()
	for _, line := range lines {
		for _, secret := range []string{"canary", base64.StdEncoding.EncodeToString([]byte("canary-")), url.QueryEscape("canary-a\"</")} {
			if strings.Contains(string(line), secret[:6]) {
				t.Errorf("a secret is in %s", line)
			}
		}
		if !strings.Contains(string(line), "stays") {
			t.Errorf("what is no secret was taken from %s", line)
		}
	}
}

func TestEqualSecretsStayEqual(t *testing.T) {
	t.Parallel()
	w, _, err := collect(t, manifests(t, `{"apiVersion":"v1","kind":"ConfigMap","metadata":{"name":"a"},"data":{"x":"one","y":"one","z":"two","env":"one","annotations":"two"}}`))
	if err != nil {
		t.Fatal(err)
	}
	data := w.Resources[0].Data.(object)["data"].(object)
	for key, v := range data {
		if s, ok := v.(string); !ok || !strings.HasPrefix(s, audit.TokenPrefix) {
			t.Errorf("%s is %v, want a token", key, v)
		}
	}
	if data["x"] != data["y"] || data["x"] == data["z"] || data["x"] != data["env"] {
		t.Errorf("tokens %v: equal ones are not those of equal secrets", data)
	}
}

func TestTokensAreMadeOnce(t *testing.T) {
	t.Parallel()
	redactor := audit.NewRedactor([]byte("0123456789abcdef"))
	w, _, err := collect(t, manifests(t, `{"apiVersion":"v1","kind":"Secret","metadata":{"name":"a"},"data":{"env":[{"name":"x","value":"one"}],"n":7,"deep":{"annotations":{"x/last-applied":"two"}}}}`))
	if err != nil {
		t.Fatal(err)
	}
	want := object{"env": []any{object{"name": redactor.Token("x"), "value": redactor.Token("one")}}, "n": json.Number("7"), "deep": object{"annotations": object{"x/last-applied": redactor.Token("two")}}}
	if diff := cmp.Diff(w.Resources[0].Data.(object)["data"], any(want)); diff != "" {
		t.Errorf("data (-got +want):\n%s", diff)
	}
}

func TestWideObjectsAreRedactedInTime(t *testing.T) {
	t.Parallel()
	var b strings.Builder
	b.WriteString(`{"apiVersion":"v1","kind":"Pod","metadata":{"name":"a"},"spec":{"containers":[{"env":[`)
	for i := range 50_000 {
		fmt.Fprintf(&b, `{"name":"x","value":"%d"},`, i)
	}
	b.WriteString(`{"name":"x","value":"last"}]}]}}`)
	w, _, err := collect(t, manifests(t, b.String()))
	if err != nil || len(w.Resources[0].Redacted) != 50_001 {
		t.Errorf("Collect() = %v with %d documents", err, len(w.Resources))
	}
}

func manifests(t testing.TB, text string) *kubernetes.Manifests {
	t.Helper()
	m, err := kubernetes.NewManifests(kubernetes.ManifestConfig{Files: []kubernetes.Manifest{{Path: "deploy/app.yaml", Open: opener(text)}}, Redactor: audit.NewRedactor([]byte("0123456789abcdef"))})
	if err != nil {
		t.Fatal(err)
	}
	return m
}
