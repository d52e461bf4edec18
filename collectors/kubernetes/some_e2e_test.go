//go:build e2e

package kubernetes_test

import (
	"testing"

	"k8s.io/client-go/discovery"
	"k8s.io/client-go/rest"

	"github.com/crosscheck-dev/crosscheck/audit"
	"github.com/crosscheck-dev/crosscheck/audit/audittest"
	"github.com/crosscheck-dev/crosscheck/collectors/kubernetes"
)

// TestRealClusterNarrowed asks kube-apiserver for some of what it has. A user
// who may only list needs no right to get.
func TestRealClusterNarrowed(t *testing.T) {
	path, cfg := admin(t)
	populate(t, cfg)
	c, err := kubernetes.New(kubernetes.Config{Name: "prod", Kubeconfig: path, Page: 7, Redactor: audit.NewRedactor(make([]byte, 16)), Log: audittest.Log()})
	if err != nil {
		t.Fatal(err)
	}
	audittest.Narrowed(t, c, func(string) string { return "crosscheck-none" })

	apply(t, cfg, "/api/v1/namespaces/crosscheck-e2e/pods", object{
		"metadata": object{"name": "one", "labels": object{"owner": "shop"}}, "spec": object{"containers": []any{object{"name": "c", "image": "web"}}},
	})
	_, col, err := ask(t, c, "v1/Pod/crosscheck-e2e/one")
	if n := requests(col); err != nil || n > 3 {
		t.Errorf("one pod took %d calls: %v, %v", n, col.Calls, err)
	}
	client, err := discovery.NewDiscoveryClientForConfig(cfg)
	if err != nil {
		t.Fatal(err)
	}
	if err := client.RESTClient().Delete().AbsPath("/api/v1/namespaces/crosscheck-e2e/pods/one").Param("gracePeriodSeconds", "0").Do(t.Context()).Error(); err != nil {
		t.Fatal(err)
	}
	if w, col, err := ask(t, c, "v1/Pod/crosscheck-e2e/one"); err != nil || len(col.Absent) != 1 || len(w.Resources) > 0 {
		t.Errorf("absent %v, gaps %v, %d documents of a pod that was deleted, %v", col.Absent, col.Gaps, len(w.Resources), err)
	}

	cfg.Impersonate = rest.ImpersonationConfig{UserName: "narrow", Groups: []string{"system:authenticated"}}
	narrow, err := kubernetes.New(kubernetes.Config{Name: "prod", REST: cfg, Redactor: audit.NewRedactor(make([]byte, 16)), Log: audittest.Log()})
	if err != nil {
		t.Fatal(err)
	}
	w, col, err := ask(t, narrow, "apps/v1/Deployment/crosscheck-e2e/web", "apps/v1/Deployment/crosscheck-e2e/none", "v1/Pod/crosscheck-e2e/one")
	if err != nil || len(w.Resources) != 1 || len(col.Absent) != 1 || !hasGap(col, "v1/Pod", audit.AccessDenied, "list pods") {
		t.Errorf("%d documents, absent %v, gaps %v, %v", len(w.Resources), col.Absent, col.Gaps, err)
	}
}

func requests(col audit.Collection) (n int64) {
	for _, c := range col.Calls {
		n += c.Requests
	}
	return n
}
