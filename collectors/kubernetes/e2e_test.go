//go:build e2e

package kubernetes_test

import (
	"encoding/json"
	"fmt"
	"net/http"
	"os"
	"strings"
	"testing"

	"k8s.io/client-go/discovery"
	"k8s.io/client-go/rest"
	"k8s.io/client-go/tools/clientcmd"

	"github.com/crosscheck-dev/crosscheck/audit"
	"github.com/crosscheck-dev/crosscheck/audit/audittest"
	"github.com/crosscheck-dev/crosscheck/collectors/kubernetes"
)

// admin is an administrator of a cluster that tests may write to.
func admin(t *testing.T) (path string, cfg *rest.Config) {
	t.Helper()
	path = os.Getenv("CROSSCHECK_KUBECONFIG")
	if path == "" {
		t.Fatal("CROSSCHECK_KUBECONFIG is not set: start etcd and kube-apiserver (`make e2e` does) and give the path of an administrator's kubeconfig")
	}
	cfg, err := clientcmd.BuildConfigFromFlags("", path)
	if err != nil {
		t.Fatal(err)
	}
	return path, cfg
}

// apply creates objects; those that are there already stay as they are.
func apply(t *testing.T, cfg *rest.Config, path string, objects ...object) {
	t.Helper()
	client, err := discovery.NewDiscoveryClientForConfig(cfg)
	if err != nil {
		t.Fatal(err)
	}
	for _, o := range objects {
		b, err := json.Marshal(o)
		if err != nil {
			t.Fatal(err)
		}
		var code int
		err = client.RESTClient().Post().AbsPath(path).SetHeader("Content-Type", "application/json").Body(b).Do(t.Context()).StatusCode(&code).Error()
		if err != nil && code != http.StatusConflict {
			t.Fatalf("creating %s in %s: %v", b, path, err)
		}
	}
}

func populate(t *testing.T, cfg *rest.Config) {
	t.Helper()
	const ns = "crosscheck-e2e"
	apply(t, cfg, "/api/v1/namespaces", object{"metadata": object{"name": ns}})
	var maps []object
	for i := range 23 {
		maps = append(maps, object{"metadata": object{"name": fmt.Sprintf("map-%02d", i)}, "data": object{"k": "canary-config"}})
	}
	apply(t, cfg, "/api/v1/namespaces/"+ns+"/configmaps", maps...)
	apply(t, cfg, "/api/v1/namespaces/"+ns+"/secrets", object{
		"metadata": object{"name": "db", "annotations": object{"kubectl.kubernetes.io/last-applied-configuration": "canary-applied"}}, "stringData": object{"password": "canary-secret"},
	})
	pod := object{"labels": object{"app": "web"}}
	spec := object{"containers": []any{object{"name": "web", "image": "web", "env": []any{object{"name": "P", "value": "canary-env"}}}}}
	apply(t, cfg, "/apis/apps/v1/namespaces/"+ns+"/deployments", object{
		"metadata": object{"name": "web", "labels": object{"owner": "shop"}},
		"spec":     object{"selector": object{"matchLabels": object{"app": "web"}}, "template": object{"metadata": pod, "spec": spec}},
	})
	apply(t, cfg, "/apis/rbac.authorization.k8s.io/v1/clusterroles", object{
		"metadata": object{"name": "crosscheck-e2e"}, "rules": []any{object{"apiGroups": []string{"apps"}, "resources": []string{"deployments"}, "verbs": []string{"list"}}},
	})
	apply(t, cfg, "/apis/rbac.authorization.k8s.io/v1/clusterrolebindings", object{
		"metadata": object{"name": "crosscheck-e2e"},
		"roleRef":  object{"apiGroup": "rbac.authorization.k8s.io", "kind": "ClusterRole", "name": "crosscheck-e2e"},
		"subjects": []any{object{"apiGroup": "rbac.authorization.k8s.io", "kind": "User", "name": "narrow"}},
	})
}

func TestRealCluster(t *testing.T) {
	t.Parallel()
	path, cfg := admin(t)
	populate(t, cfg)
	c, err := kubernetes.New(kubernetes.Config{Name: "prod", Kubeconfig: path, Page: 7, Redactor: audit.NewRedactor(make([]byte, 16)), Log: audittest.Log()})
	if err != nil {
		t.Fatal(err)
	}
	w, col, err := collect(t, c)
	if err != nil {
		t.Fatal(err)
	}
	if len(col.Gaps) > 0 || !col.Exhaustive || col.Identity == "unknown" || !strings.HasPrefix(col.Endpoint, "https://") {
		t.Errorf("gaps %v, exhaustive %v, identity %q, endpoint %q", col.Gaps, col.Exhaustive, col.Identity, col.Endpoint)
	}
	if i := indexCall(col.Calls, "list configmaps"); i < 0 || col.Calls[i].Requests < 4 || col.Calls[i].Items < 23 {
		t.Errorf("calls %v, want at least 4 pages of ConfigMaps", col.Calls)
	}
	for _, line := range w.Lines {
		if strings.Contains(string(line), "canary") || strings.Contains(string(line), "Y2FuYXJ5") || strings.Contains(string(line), "managedFields") {
			t.Errorf("kept: %s", line)
		}
	}
	if r := w.Find(t, "kubernetes/prod/apps/v1/Deployment/crosscheck-e2e/web"); r.Tags["owner"] != "shop" || len(r.Redacted) != 1 {
		t.Errorf("tags %v, redacted %v", r.Tags, r.Redacted)
	}
	w.Find(t, "kubernetes/prod/v1/Secret/crosscheck-e2e/db")
	w.Find(t, "kubernetes/prod/rbac.authorization.k8s.io/v1/ClusterRole/cluster-admin")
}

func TestNarrowUserOfARealCluster(t *testing.T) {
	t.Parallel()
	_, cfg := admin(t)
	populate(t, cfg)
	cfg.Impersonate = rest.ImpersonationConfig{UserName: "narrow", Groups: []string{"system:authenticated"}}
	c, err := kubernetes.New(kubernetes.Config{Name: "prod", REST: cfg, Redactor: audit.NewRedactor(make([]byte, 16)), Log: audittest.Log()})
	if err != nil {
		t.Fatal(err)
	}
	w, col, err := collect(t, c)
	if err != nil {
		t.Fatal(err)
	}
	if col.Identity != "narrow" || !hasGap(col, "v1/Pod", audit.AccessDenied, "list pods") || !hasGap(col, "batch/v1/CronJob", audit.AccessDenied, "list cronjobs.batch") {
		t.Errorf("identity %q, gaps %v", col.Identity, col.Gaps)
	}
	for _, g := range col.Gaps {
		if g.Code != audit.AccessDenied || g.Type == "apps/v1/Deployment" {
			t.Errorf("gap %v", g)
		}
	}
	w.Find(t, "kubernetes/prod/apps/v1/Deployment/crosscheck-e2e/web")
}
