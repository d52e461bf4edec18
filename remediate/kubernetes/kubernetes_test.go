package kubernetes_test

import (
	"encoding/json"
	"io"
	"net/http"
	"net/http/httptest"
	"strings"
	"sync"
	"testing"

	"github.com/google/go-cmp/cmp"
	"k8s.io/client-go/rest"

	"github.com/crosscheck-dev/crosscheck/remediate"
	"github.com/crosscheck-dev/crosscheck/remediate/kubernetes"
)

// server answers as far as a repair of a Deployment goes, and keeps what it was
// asked. The real API server is asked in the tests of cmd/crosscheck (e2e); this
// one takes names that a real one refuses.
type server struct {
	mu    sync.Mutex
	asked []string
	body  map[string]any
}

func (s *server) ServeHTTP(w http.ResponseWriter, req *http.Request) {
	s.mu.Lock()
	defer s.mu.Unlock()
	w.Header().Set("Content-Type", "application/json")
	if req.URL.Path == "/apis/apps/v1" {
		_, _ = io.WriteString(w, `{"kind":"APIResourceList","groupVersion":"apps/v1","resources":[{"name":"deployments","namespaced":true,"kind":"Deployment","verbs":["get","patch"]},{"name":"deployments/status","namespaced":true,"kind":"Deployment","verbs":["get"]}]}`)
		return
	}
	s.asked = append(s.asked, req.Method+" "+req.URL.EscapedPath()+"?"+req.URL.RawQuery)
	o := map[string]any{"apiVersion": "apps/v1", "kind": "Deployment", "metadata": map[string]any{"name": "x"}, "spec": map[string]any{}}
	if req.Method == http.MethodPatch {
		if err := json.NewDecoder(req.Body).Decode(&s.body); err != nil {
			w.WriteHeader(http.StatusBadRequest)
			return
		}
		o = s.body
	}
	_ = json.NewEncoder(w).Encode(o)
}

func setup(t *testing.T) (*server, *kubernetes.Runner) {
	t.Helper()
	s := &server{}
	srv := httptest.NewServer(s)
	t.Cleanup(srv.Close)
	r, err := kubernetes.New(kubernetes.Config{Clusters: []kubernetes.Cluster{{Name: "prod", REST: &rest.Config{Host: srv.URL}}}})
	if err != nil {
		t.Fatal(err)
	}
	return s, r
}

func runbook(t *testing.T, act string) remediate.Runbook {
	t.Helper()
	b, err := remediate.Parse([]byte(`id: patch
version: 1.0.0
title: Patch
controls: [WRK-001]
types: [kubernetes/apps/v1/Deployment]
runner: kubernetes
parameters:
  name: {from: document, pointer: /name, pattern: '^.*$', max: 4096}
act: ` + act + "\n"))
	if err != nil {
		t.Fatal(err)
	}
	return b
}

const patch = `{patch: {apiVersion: apps/v1, kind: Deployment, metadata: {name: web, namespace: n}, spec: {label: {param: name}, containers: [{name: {param: name}, x: 1}]}}}`

func call(b remediate.Runbook, name string) remediate.Call {
	return remediate.Call{Repair: strings.Repeat("ab", 32), Runbook: b, Origin: "kubernetes/prod", Targets: []remediate.Values{{"name": name}}}
}

func TestHostileNamesAreValues(t *testing.T) {
	t.Parallel()
	s, r := setup(t)
	for _, name := range []string{`x"},"privileged":true,"y":{"`, "$(id)", "{{.Values.x}}", "x\r\nX-Evil: 1", "../../secrets", "null", "{param: other}"} {
		if _, err := r.Act(t.Context(), call(runbook(t, patch), name)); err != nil {
			t.Errorf("%q: %v", name, err)
			continue
		}
		want := map[string]any{
			"apiVersion": "apps/v1", "kind": "Deployment", "metadata": map[string]any{
				"name": "web", "namespace": "n", "annotations": map[string]any{"crosscheck.dev/repair": strings.Repeat("ab", 32)},
			},
			"spec": map[string]any{"label": name, "containers": []any{map[string]any{"name": name, "x": 1.0}}},
		}
		if diff := cmp.Diff(want, s.body); diff != "" {
			t.Errorf("%q: %s", name, diff)
		}
	}
	for _, a := range s.asked {
		if !strings.HasPrefix(a, "GET /apis/apps/v1/namespaces/n/deployments/web?") && !strings.HasPrefix(a, "PATCH /apis/apps/v1/namespaces/n/deployments/web?") {
			t.Errorf("the server was asked %s", a)
		}
	}
}

// TestHostileNamesInPaths: a name that is a way to somewhere else is asked for nowhere.
func TestHostileNamesInPaths(t *testing.T) {
	t.Parallel()
	for _, act := range []string{
		`{patch: {apiVersion: apps/v1, kind: Deployment, metadata: {name: {param: name}, namespace: n}, spec: {x: 1}}}`,
		`{patch: {apiVersion: apps/v1, kind: Deployment, metadata: {name: web, namespace: {param: name}}, spec: {x: 1}}}`,
	} {
		for _, name := range []string{"../../../api/v1/secrets/x", "a/b", "..", ".", "a%2Fb", ""} {
			s, r := setup(t)
			if _, err := r.Act(t.Context(), call(runbook(t, act), name)); err == nil {
				t.Errorf("%q was taken: %v", name, s.asked)
			}
			for _, a := range s.asked {
				if strings.HasPrefix(a, "PATCH") {
					t.Errorf("%q: the server was asked %s", name, a)
				}
			}
		}
	}
}

func TestDryRunOnly(t *testing.T) {
	t.Parallel()
	s, r := setup(t)
	c := call(runbook(t, patch), "x")
	c.DryRun = true
	if _, err := r.Act(t.Context(), c); err != nil {
		t.Fatal(err)
	}
	if last := s.asked[len(s.asked)-1]; !strings.HasPrefix(last, "PATCH") || !strings.Contains(last, "dryRun=All") || !strings.Contains(last, "fieldManager=crosscheck-abababababab") {
		t.Errorf("the server was asked %v", s.asked)
	}
	c.Origin = "kubernetes/other"
	if _, err := r.Act(t.Context(), c); err == nil {
		t.Error("it acts in a cluster that is not configured")
	}
}

func TestCheck(t *testing.T) {
	t.Parallel()
	_, r := setup(t)
	if err := r.Check(runbook(t, patch)); err != nil {
		t.Error(err)
	}
	for name, act := range map[string]string{
		"no name":       `{patch: {apiVersion: v1, kind: X, metadata: {}}}`,
		"status":        `{patch: {apiVersion: v1, kind: X, metadata: {name: x}, status: {a: 1}}}`,
		"owners":        `{patch: {apiVersion: v1, kind: X, metadata: {name: x, ownerReferences: []}}}`,
		"unknown field": `{patch: {apiVersion: v1, kind: X, metadata: {name: x}}, delete: true}`,
	} {
		if err := r.Check(runbook(t, act)); err == nil {
			t.Errorf("%s is taken", name)
		}
	}
}
