package kubernetes_test

import (
	"context"
	"encoding/json"
	"errors"
	"fmt"
	"net/http"
	"net/http/httptest"
	"os"
	"path/filepath"
	"strings"
	"testing"
	"time"

	"github.com/google/go-cmp/cmp"
	"k8s.io/client-go/rest"

	"github.com/crosscheck-dev/crosscheck/audit"
	"github.com/crosscheck-dev/crosscheck/audit/audittest"
	"github.com/crosscheck-dev/crosscheck/collectors/kubernetes"
)

func TestCollector(t *testing.T) {
	t.Parallel()
	audittest.Collector(t, collector(t, serve(t, cluster(), nil)))
}

func TestWhatIsCollected(t *testing.T) {
	t.Parallel()
	s := serve(t, cluster(), nil)
	w, col, err := collect(t, collector(t, s))
	if err != nil {
		t.Fatal(err)
	}
	types := map[string]int64{}
	for _, tc := range col.Types {
		types[tc.Type] = tc.Listed
	}
	want := map[string]int64{"v1/Pod": 12, "v1/Service": 3, "v1/Secret": 1, "apps/v1/Deployment": 7, "shop.example/v1/Till": 2}
	if diff := cmp.Diff(types, want); diff != "" {
		t.Errorf("types (-got +want):\n%s", diff)
	}
	if col.Identity != "system:serviceaccount:audit:crosscheck" || col.Endpoint != s.URL || !col.Exhaustive || len(col.Gaps) > 0 || len(col.Notices) > 0 {
		t.Errorf("identity %q, endpoint %q, exhaustive %v, gaps %v, notices %v", col.Identity, col.Endpoint, col.Exhaustive, col.Gaps, col.Notices)
	}
	i := indexCall(col.Calls, "list pods")
	wantCall := audit.Call{
		Operation: "list pods", Permission: "list pods", Parameters: map[string]string{"limit": "5", "version": "v1"}, Requests: 3, Items: 12,
	}
	if i < 0 {
		t.Fatalf("no call of list pods in %v", col.Calls)
	}
	if diff := cmp.Diff(col.Calls[i], wantCall); diff != "" {
		t.Errorf("call (-got +want):\n%s", diff)
	}
	line, err := w.Find(t, "kubernetes/prod/apps/v1/Deployment/shop/web-003").Line()
	if err != nil {
		t.Fatal(err)
	}
	wantLine := `{"data":{"apiVersion":"apps/v1","kind":"Deployment","metadata":{"name":"web-003","namespace":"shop"}},"gaps":{},` +
		`"id":"kubernetes/prod/apps/v1/Deployment/shop/web-003","name":"web-003","origin":"kubernetes/prod","redacted":[],"source":"kubernetes","tags":{},"type":"apps/v1/Deployment"}`
	if diff := cmp.Diff(string(line), wantLine); diff != "" {
		t.Errorf("document (-got +want):\n%s", diff)
	}
	for _, r := range s.seen {
		if ua := r.Header.Get("User-Agent"); ua != "crosscheck" {
			t.Errorf("%s was asked for by %q", r.URL, ua)
		}
		if rv, ok := r.URL.Query()["resourceVersion"]; ok {
			t.Errorf("%s asks for resourceVersion %q: only without is the answer what is stored", r.URL, rv)
		}
	}
}

func TestSecretsAreReadByMetadataOnly(t *testing.T) {
	t.Parallel()
	s := serve(t, cluster(), nil)
	w, _, err := collect(t, collector(t, s))
	if err != nil {
		t.Fatal(err)
	}
	r := w.Find(t, "kubernetes/prod/v1/Secret/shop/db")
	want := object{"apiVersion": "v1", "kind": "Secret", "metadata": object{"name": "db", "namespace": "shop"}}
	if diff := cmp.Diff(r.Data, any(want)); diff != "" {
		t.Errorf("secret (-got +want):\n%s", diff)
	}
	if r.Gaps["/data/data"] == "" || r.Gaps["/data/type"] == "" {
		t.Errorf("gaps %v do not say what was not read of the secret", r.Gaps)
	}
	for _, q := range s.seen {
		if strings.HasSuffix(q.URL.Path, "/secrets") && q.Header.Get("Accept") != "application/json;as=PartialObjectMetadataList;g=meta.k8s.io;v=v1" {
			t.Errorf("secrets were asked for as %q", q.Header.Get("Accept"))
		}
	}
}

func TestWholeSecretsAreRefused(t *testing.T) {
	t.Parallel()
	s := serve(t, cluster(), func(w http.ResponseWriter, r *http.Request, _ int) bool {
		if strings.HasSuffix(r.URL.Path, "/secrets") {
			r.Header.Del("Accept") // a server that knows nothing of metadata
		}
		return false
	})
	w, col, err := collect(t, collector(t, s))
	if err != nil {
		t.Fatal(err)
	}
	if !hasGap(col, "v1/Secret", audit.Failed, "list secrets") {
		t.Errorf("gaps %v, want that secrets could not be listed", col.Gaps)
	}
	for _, line := range w.Lines {
		if strings.Contains(string(line), "Y2FuYXJ5") {
			t.Errorf("a secret was kept: %s", line)
		}
	}
}

func TestObjectsAreKeptAsAnswered(t *testing.T) {
	t.Parallel()
	s := serve(t, []served{{gv: "v1", plural: "pods", kind: "Pod"}}, func(w http.ResponseWriter, r *http.Request, _ int) bool {
		if r.URL.Path != "/api/v1/pods" {
			return false
		}
		fmt.Fprint(w, `{"kind":"PodList","items":[{"metadata":{"name":"a","labels":{"app":"web","owner":"shop","n":7},"managedFields":[{"manager":"kubectl"}]},
			"spec":{"ratio":1.50,"big":12345678901234567890,"none":null}}],"metadata":{"resourceVersion":"1"}}`)
		return true
	})
	w, _, err := collect(t, collector(t, s))
	if err != nil {
		t.Fatal(err)
	}
	r := w.Find(t, "kubernetes/prod/v1/Pod/a")
	want := object{
		"apiVersion": "v1", "kind": "Pod", "metadata": object{"name": "a", "labels": object{"app": "web", "owner": "shop", "n": json.Number("7")}},
		"spec": object{"ratio": json.Number("1.50"), "big": json.Number("12345678901234567890"), "none": nil},
	}
	if diff := cmp.Diff(r.Data, any(want)); diff != "" {
		t.Errorf("data (-got +want):\n%s", diff)
	}
	if diff := cmp.Diff(r.Tags, map[string]string{"app": "web", "owner": "shop"}); diff != "" {
		t.Errorf("tags (-got +want):\n%s", diff)
	}
}

func TestVersions(t *testing.T) {
	t.Parallel()
	tests := map[string]struct {
		preferred string
		wanted    []string
		want      string
		gap       string
	}{
		"the first":                  {"", nil, "shop.example/v1/Till", ""},
		"the preferred":              {"v1alpha1", nil, "shop.example/v1alpha1/Till", ""},
		"the wanted":                 {"v1alpha1", []string{"shop.example/v1/Till"}, "shop.example/v1/Till", ""},
		"wanted, but not served":     {"", []string{"shop.example/v2/Till"}, "shop.example/v1/Till", "shop.example/v2/Till"},
		"wanted, but not known":      {"", []string{"shop.example/v1/Door", "other/v1/Till", "nonsense"}, "shop.example/v1/Till", ""},
		"wanted, but never read":     {"", []string{"v1/Event"}, "shop.example/v1/Till", "v1/Event"},
		"wanted in several versions": {"", []string{"shop.example/v1alpha1/Till", "v1/Pod"}, "shop.example/v1alpha1/Till", ""},
	}
	for name, tt := range tests {
		t.Run(name, func(t *testing.T) {
			t.Parallel()
			s := serve(t, cluster(), nil)
			s.preferred["shop.example"] = tt.preferred
			_, col, err := collect(t, collector(t, s, func(cfg *kubernetes.Config) { cfg.Types = tt.wanted }))
			if err != nil {
				t.Fatal(err)
			}
			var got, gap string
			for _, tc := range col.Types {
				if strings.HasSuffix(tc.Type, "/Till") {
					got += tc.Type
				}
			}
			for _, g := range col.Gaps {
				gap += g.Type
			}
			if got != tt.want || gap != tt.gap {
				t.Errorf("read as %q with gap %q, want %q and %q", got, gap, tt.want, tt.gap)
			}
		})
	}
}

func TestCredentials(t *testing.T) {
	t.Parallel()
	s := serve(t, cluster(), nil)
	tls := httptest.NewTLSServer(s)
	t.Cleanup(tls.Close)
	path := filepath.Join(t.TempDir(), "config")
	kubeconfig := fmt.Sprintf(`{apiVersion: v1, kind: Config, current-context: other,
clusters: [{name: c, cluster: {server: %q, insecure-skip-tls-verify: true}}, {name: o, cluster: {server: "http://127.0.0.1:1"}}],
users: [{name: u, user: {token: canary-token}}],
contexts: [{name: ours, context: {cluster: c, user: u}}, {name: other, context: {cluster: o, user: u}}]}`, tls.URL)
	if err := os.WriteFile(path, []byte(kubeconfig), 0o600); err != nil {
		t.Fatal(err)
	}
	configured := func(kubeconfig, kcontext string) func(*kubernetes.Config) {
		return func(cfg *kubernetes.Config) { cfg.REST, cfg.Kubeconfig, cfg.Context = nil, kubeconfig, kcontext }
	}
	if _, col, err := collect(t, collector(t, s, configured(path, "ours"))); err != nil || col.Endpoint != tls.URL {
		t.Errorf("Collect() = %v from %q, want no error from %q", err, col.Endpoint, tls.URL)
	}
	for _, r := range s.seen {
		if r.Header.Get("Authorization") != "Bearer canary-token" {
			t.Errorf("%s was asked for with %q", r.URL, r.Header.Get("Authorization"))
		}
	}
	tests := map[string]struct {
		kubeconfig, context string
		want                audit.GapCode
	}{
		"no such file":    {path + "x", "", audit.Unauthenticated},
		"no such context": {path, "nobody", audit.Unauthenticated},
		"no such server":  {path, "", audit.Unreachable},
	}
	for name, tt := range tests {
		t.Run(name, func(t *testing.T) {
			t.Parallel()
			_, col, err := collect(t, collector(t, s, configured(tt.kubeconfig, tt.context)))
			var se *audit.SourceError
			if !errors.As(err, &se) || se.Code != tt.want || strings.Contains(err.Error(), "canary") || col.Identity == "" {
				t.Errorf("Collect() = %v as %q, want code %s and no token", err, col.Identity, tt.want)
			}
		})
	}
}

func TestEndpointShowsNoCredentials(t *testing.T) {
	t.Parallel()
	s := serve(t, cluster(), nil)
	host := strings.Replace(s.URL, "http://", "http://reader:canary-password@", 1) + "/k8s/?token=canary"
	_, col, err := collect(t, collector(t, s, func(cfg *kubernetes.Config) { cfg.REST = &rest.Config{Host: host} }))
	if strings.Contains(col.Endpoint, "canary") || strings.Contains(fmt.Sprint(err), "canary") || col.Endpoint != s.URL+"/k8s" {
		t.Errorf("endpoint %q and error %v, want %q without credentials", col.Endpoint, err, s.URL+"/k8s")
	}
}

func TestNewRefuses(t *testing.T) {
	t.Parallel()
	tests := map[string]func(*kubernetes.Config){
		"no name":           func(c *kubernetes.Config) { c.Name = "" },
		"name with slash":   func(c *kubernetes.Config) { c.Name = "a/b" },
		"unprintable name":  func(c *kubernetes.Config) { c.Name = "a\nb" },
		"no redactor":       func(c *kubernetes.Config) { c.Redactor = nil },
		"no log":            func(c *kubernetes.Config) { c.Log = nil },
		"two credentials":   func(c *kubernetes.Config) { c.InCluster, c.Context = true, "x" },
		"negative page":     func(c *kubernetes.Config) { c.Page = -1 },
		"negative timeout":  func(c *kubernetes.Config) { c.Timeout = -time.Second },
		"negative parallel": func(c *kubernetes.Config) { c.Parallel = -1 },
	}
	for name, change := range tests {
		t.Run(name, func(t *testing.T) {
			t.Parallel()
			cfg := kubernetes.Config{Name: "prod", Redactor: audit.NewRedactor(make([]byte, 16)), Log: audittest.Log()}
			change(&cfg)
			if _, err := kubernetes.New(cfg); err == nil {
				t.Error("New() succeeded")
			}
		})
	}
}

func TestCancelled(t *testing.T) {
	t.Parallel()
	ctx, cancel := context.WithCancel(t.Context())
	s := serve(t, cluster(), func(_ http.ResponseWriter, r *http.Request, _ int) bool {
		if r.URL.Path == "/api/v1/pods" {
			cancel()
		}
		return false
	})
	if _, err := collector(t, s).Collect(ctx, audit.Request{Origin: "kubernetes/prod"}, &audittest.Writer{}); !errors.Is(err, context.Canceled) {
		t.Errorf("Collect() = %v, want %v", err, context.Canceled)
	}
}

func indexCall(calls []audit.Call, operation string) int {
	for i, c := range calls {
		if c.Operation == operation {
			return i
		}
	}
	return -1
}

func hasGap(col audit.Collection, typ string, code audit.GapCode, operation string) bool {
	for _, g := range col.Gaps {
		if g == (audit.Gap{Origin: "kubernetes/prod", Type: typ, Code: code, Operation: operation}) {
			return true
		}
	}
	return false
}
