package kubernetes_test

import (
	"errors"
	"fmt"
	"net/http"
	"slices"
	"strings"
	"testing"

	"github.com/google/go-cmp/cmp"

	"github.com/crosscheck-dev/crosscheck/audit"
	"github.com/crosscheck-dev/crosscheck/audit/audittest"
	"github.com/crosscheck-dev/crosscheck/collectors/kubernetes"
)

func TestNarrowed(t *testing.T) {
	t.Parallel()
	audittest.Narrowed(t, collector(t, serve(t, cluster(), nil)), func(string) string { return "shop/none" })
}

// ask collects resources by the ends of their ids.
func ask(t *testing.T, c *kubernetes.Collector, resources ...string) (*audittest.Writer, audit.Collection, error) {
	t.Helper()
	req := audit.Request{Origin: "kubernetes/prod"}
	for _, r := range resources {
		req.Resources = append(req.Resources, "kubernetes/prod/"+r)
	}
	slices.Sort(req.Resources)
	w := &audittest.Writer{}
	col, err := c.Collect(t.Context(), req, w)
	return w, col, err
}

func TestCallsOfOneObject(t *testing.T) {
	t.Parallel()
	const who = "/apis/authentication.k8s.io/v1/selfsubjectreviews"
	var many []string
	for i := range 12 {
		many = append(many, fmt.Sprintf("v1/Pod/shop/pod-%03d", i))
	}
	for i := range 12 {
		many = append(many, fmt.Sprintf("v1/Pod/shop/gone-%03d", i))
	}
	tests := map[string]struct {
		asked     []string
		documents int
		absent    int
		want      map[string]int
	}{
		"pod":        {[]string{"v1/Pod/shop/pod-003"}, 1, 0, map[string]int{who: 1, "/api/v1": 1, "/api/v1/namespaces/shop/pods": 1}},
		"deployment": {[]string{"apps/v1/Deployment/shop/web-001"}, 1, 0, map[string]int{who: 1, "/apis/apps/v1": 1, "/apis/apps/v1/namespaces/shop/deployments": 1}},
		"two":        {[]string{"v1/Pod/shop/pod-003", "v1/Pod/shop/gone"}, 1, 1, map[string]int{who: 1, "/api/v1": 1, "/api/v1/namespaces/shop/pods": 2}},
		"many":       {many, 12, 12, map[string]int{who: 1, "/api/v1": 1, "/api/v1/pods": 3}},
		"not within": {[]string{"v1/Pod/pod-003"}, 0, 1, map[string]int{who: 1, "/api/v1": 1, "/api/v1/pods": 1}},
		"not served": {[]string{"v1/Gone/shop/x"}, 0, 1, map[string]int{
			who: 1, "/api/v1": 2, "/api": 1, "/apis": 1, "/apis/apps/v1": 1, "/apis/coordination.k8s.io/v1": 1, "/apis/shop.example/v1": 1, "/apis/shop.example/v1alpha1": 1,
		}},
	}
	for name, tt := range tests {
		t.Run(name, func(t *testing.T) {
			t.Parallel()
			s := serve(t, cluster(), nil)
			w, col, err := ask(t, collector(t, s), tt.asked...)
			if err != nil || len(w.Resources) != tt.documents || len(col.Absent) != tt.absent || len(col.Gaps)+len(col.Types) > 0 {
				t.Errorf("%d documents, absent %v, gaps %v, types %v, %v", len(w.Resources), col.Absent, col.Gaps, col.Types, err)
			}
			if diff := cmp.Diff(s.count, tt.want); diff != "" {
				t.Errorf("requests (-got +want):\n%s", diff)
			}
		})
	}
}

// TestAbsentIsAnAnswer shows that only an empty list says that there is none.
func TestAbsentIsAnAnswer(t *testing.T) {
	t.Parallel()
	forbid := func(path string) func(http.ResponseWriter, *http.Request, int) bool {
		return func(w http.ResponseWriter, r *http.Request, _ int) bool {
			if r.URL.Path == path {
				refuse(w, 403, "Forbidden")
			}
			return r.URL.Path == path
		}
	}
	notFound := func(w http.ResponseWriter, r *http.Request, _ int) bool {
		if strings.HasSuffix(r.URL.Path, "/pods") {
			http.Error(w, "no such page", http.StatusNotFound) // as a proxy says it
			return true
		}
		return false
	}
	tests := map[string]struct {
		fault func(http.ResponseWriter, *http.Request, int) bool
		asked string
		gaps  string
	}{
		"denied":                 {forbid("/api/v1/namespaces/shop/pods"), "v1/Pod/shop/pod-001", "v1/Pod AccessDenied list pods"},
		"not found by a proxy":   {notFound, "v1/Pod/shop/pod-001", "v1/Pod Failed list pods"},
		"a path is no name":      {nil, "v1/Pod/../../secrets", ""},
		"a query is no name":     {nil, "v1/Pod/shop/a%2fb", ""},
		"without a name":         {nil, "v1/Pod/shop/", ""},
		"what happens is no one": {nil, "v1/Event/shop/event-001", ""},
	}
	for name, tt := range tests {
		t.Run(name, func(t *testing.T) {
			t.Parallel()
			w, col, err := ask(t, collector(t, serve(t, cluster(), tt.fault)), tt.asked)
			if err != nil || len(w.Resources) > 0 {
				t.Fatalf("%d documents, %v", len(w.Resources), err)
			}
			absent := strings.HasPrefix(tt.asked, "v1/Event/") // as a reading of everything says: none is read
			if got := len(col.Absent) > 0; got != absent {
				t.Errorf("absent: %v", col.Absent)
			}
			var gaps []string
			for _, g := range col.Gaps {
				gaps = append(gaps, g.Type+" "+g.Code.Reason(g.Operation))
			}
			if got := strings.Join(gaps, "; "); got != tt.gaps {
				t.Errorf("gaps %q, want %q", got, tt.gaps)
			}
		})
	}
}

// TestDiscoveryFails: where nothing of a cluster can be discovered it could not
// be read at all; where one group cannot, its types could not.
func TestDiscoveryFails(t *testing.T) {
	t.Parallel()
	forbid := func(w http.ResponseWriter, r *http.Request, _ int) bool {
		if r.URL.Path == "/apis/apps/v1" {
			refuse(w, 403, "Forbidden")
		}
		return r.URL.Path == "/apis/apps/v1"
	}
	c := collector(t, serve(t, cluster(), forbid))
	w, col, err := ask(t, c, "apps/v1/Deployment/shop/web-001", "v1/Pod/shop/pod-001")
	if err != nil || len(w.Resources) != 1 || len(col.Absent) > 0 || len(col.Gaps) != 1 || !hasGap(col, "apps/v1/Deployment", audit.AccessDenied, "discover apps/v1") {
		t.Errorf("%d documents, absent %v, gaps %v, %v", len(w.Resources), col.Absent, col.Gaps, err)
	}
	_, col, err = ask(t, c, "apps/v1/Deployment/shop/web-001")
	var se *audit.SourceError
	if !errors.As(err, &se) || se.Code != audit.AccessDenied || len(col.Absent) > 0 {
		t.Errorf("absent %v, %v", col.Absent, err)
	}
}

// FuzzAsked asks for what anybody may type: nothing is asked of a path that is
// no list, and nothing is read that was not asked for.
func FuzzAsked(f *testing.F) {
	for _, seed := range []string{"v1/Pod/shop/pod-001", "apps/v1/Deployment/../x", "v1/Secret/a/../../pods", "//", "v1/Pod/\"a\\u0000\"", "a/b/c/d", "../x/Kind/n", "apis/../v1/x", "v1/Pod/shop/a,metadata.namespace=x"} {
		f.Add(seed)
	}
	f.Fuzz(func(t *testing.T, id string) {
		s := serve(t, cluster(), nil)
		w, col, err := ask(t, collector(t, s), id)
		if err != nil {
			return // nothing is served under such a version
		}
		for _, r := range s.seen {
			if slices.Contains(strings.Split(r.URL.Path, "/"), "..") || strings.Contains(strings.ToLower(r.URL.EscapedPath()), "%2f") {
				t.Errorf("asked for %s", r.URL.EscapedPath())
			}
		}
		if len(w.Resources)+len(col.Absent) > 1 || len(w.Resources) == 1 && w.Resources[0].ID != "kubernetes/prod/"+id {
			t.Errorf("%d documents, absent %v", len(w.Resources), col.Absent)
		}
	})
}

// TestSecretByName is read by its metadata only, as all are.
func TestSecretByName(t *testing.T) {
	t.Parallel()
	s := serve(t, cluster(), nil)
	w, _, err := ask(t, collector(t, s), "v1/Secret/shop/db")
	if err != nil || len(w.Lines) != 1 || strings.Contains(string(w.Lines[0]), "Y2FuYXJ5") {
		t.Errorf("%s, %v", w.Lines, err)
	}
}
