package kubernetes_test

import (
	"encoding/json"
	"fmt"
	"io"
	"net/http"
	"net/http/httptest"
	"strconv"
	"strings"
	"sync"
	"testing"

	"k8s.io/client-go/rest"

	"github.com/crosscheck-dev/crosscheck/audit"
	"github.com/crosscheck-dev/crosscheck/audit/audittest"
	"github.com/crosscheck-dev/crosscheck/collectors/kubernetes"
)

// object is any JSON object.
type object = map[string]any

// served is one listable resource of the API server.
type served struct {
	gv, plural, kind string
	items            []object
	crd              bool // items carry apiVersion and kind, as those of custom resources do
}

// apiServer speaks as much of the Kubernetes API as a reader needs: discovery,
// lists with limit and continue, metadata only, and who the reader is.
type apiServer struct {
	*httptest.Server
	resources []served
	preferred map[string]string // group → version
	// fault may answer a request itself; n counts the requests of a path from 1.
	fault func(w http.ResponseWriter, r *http.Request, n int) bool

	mu    sync.Mutex
	count map[string]int
	seen  []*http.Request
}

func serve(t testing.TB, resources []served, fault func(http.ResponseWriter, *http.Request, int) bool) *apiServer {
	t.Helper()
	s := &apiServer{resources: resources, preferred: map[string]string{}, fault: fault, count: map[string]int{}}
	s.Server = httptest.NewServer(s)
	t.Cleanup(s.Close)
	return s
}

func (s *apiServer) ServeHTTP(w http.ResponseWriter, r *http.Request) {
	s.mu.Lock()
	s.count[r.URL.Path]++
	n := s.count[r.URL.Path]
	s.seen = append(s.seen, r)
	s.mu.Unlock()
	w.Header().Set("Warning", `299 - "this kind is deprecated"`)
	if s.fault != nil && s.fault(w, r, n) {
		return
	}
	path := strings.Trim(r.URL.Path, "/")
	switch {
	case path == "api":
		reply(w, 200, object{"kind": "APIVersions", "versions": []string{"v1"}})
	case path == "apis":
		reply(w, 200, s.groups())
	case path == "apis/authentication.k8s.io/v1/selfsubjectreviews" && r.Method == http.MethodPost:
		reply(w, 201, object{"kind": "SelfSubjectReview", "status": object{"userInfo": object{"username": "system:serviceaccount:audit:crosscheck"}}})
	case r.Method != http.MethodGet:
		refuse(w, 405, "MethodNotAllowed")
	case strings.Count(path, "/") == 2 && strings.HasPrefix(path, "apis/") || path == "api/v1":
		reply(w, 200, s.kinds(strings.TrimPrefix(strings.TrimPrefix(path, "apis/"), "api/")))
	default:
		s.list(w, r, strings.TrimPrefix(strings.TrimPrefix(path, "apis/"), "api/"))
	}
}

func (s *apiServer) groups() object {
	versions := map[string][]object{}
	var names []string
	for _, r := range s.resources {
		group, version, ok := strings.Cut(r.gv, "/")
		if !ok {
			continue
		}
		if versions[group] == nil {
			names = append(names, group)
		}
		v := object{"groupVersion": r.gv, "version": version}
		if !strings.Contains(fmt.Sprint(versions[group]), r.gv) {
			versions[group] = append(versions[group], v)
		}
	}
	groups := []object{}
	for _, name := range names {
		preferred := versions[name][0]
		if v := s.preferred[name]; v != "" {
			preferred = object{"groupVersion": name + "/" + v, "version": v}
		}
		groups = append(groups, object{"name": name, "versions": versions[name], "preferredVersion": preferred})
	}
	return object{"kind": "APIGroupList", "apiVersion": "v1", "groups": groups}
}

func (s *apiServer) kinds(gv string) object {
	list := []object{}
	for _, r := range s.resources {
		if r.gv != gv {
			continue
		}
		list = append(list,
			object{"name": r.plural, "kind": r.kind, "namespaced": true, "verbs": []string{"get", "list", "watch"}},
			object{"name": r.plural + "/status", "kind": r.kind, "namespaced": true, "verbs": []string{"get", "list"}},
			object{"name": r.plural + "reviews", "kind": r.kind + "Review", "namespaced": true, "verbs": []string{"create"}})
	}
	return object{"kind": "APIResourceList", "apiVersion": "v1", "groupVersion": gv, "resources": list}
}

func (s *apiServer) list(w http.ResponseWriter, r *http.Request, path string) {
	namespace := ""
	if before, rest, ok := strings.Cut(path, "/namespaces/"); ok {
		ns, plural, _ := strings.Cut(rest, "/")
		namespace, path = ns, before+"/"+plural
	}
	for _, res := range s.resources {
		if path != res.gv+"/"+res.plural {
			continue
		}
		res.items = selected(res.items, namespace, r.URL.Query().Get("fieldSelector"))
		from, _ := strconv.Atoi(r.URL.Query().Get("continue"))
		limit, _ := strconv.Atoi(r.URL.Query().Get("limit"))
		to := min(from+limit, len(res.items))
		meta := object{"resourceVersion": "777"}
		if to < len(res.items) {
			meta["continue"], meta["remainingItemCount"] = strconv.Itoa(to), len(res.items)-to
		}
		items := []any{}
		partial := strings.Contains(r.Header.Get("Accept"), "as=PartialObjectMetadataList")
		for _, o := range res.items[from:to] {
			switch {
			case partial:
				o = object{"kind": "PartialObjectMetadata", "apiVersion": "meta.k8s.io/v1", "metadata": o["metadata"]}
			case res.crd:
				o = with(o, object{"apiVersion": res.gv, "kind": res.kind})
			}
			items = append(items, o)
		}
		reply(w, 200, object{"kind": res.kind + "List", "apiVersion": res.gv, "metadata": meta, "items": items})
		return
	}
	refuse(w, 404, "NotFound")
}

// selected are the objects of a namespace with the one name that a selector names.
func selected(items []object, namespace, selector string) (out []object) {
	name, named := strings.CutPrefix(selector, "metadata.name=")
	for _, o := range items {
		meta, _ := o["metadata"].(object)
		if (namespace == "" || meta["namespace"] == namespace) && (!named || meta["name"] == name) {
			out = append(out, o)
		}
	}
	return out
}

func with(o, more object) object {
	out := object{}
	for _, m := range []object{o, more} {
		for k, v := range m {
			out[k] = v
		}
	}
	return out
}

func reply(w http.ResponseWriter, status int, v any) {
	w.Header().Set("Content-Type", "application/json")
	w.WriteHeader(status)
	_ = json.NewEncoder(w).Encode(v)
}

func refuse(w http.ResponseWriter, code int, reason string) {
	reply(w, code, object{"kind": "Status", "apiVersion": "v1", "status": "Failure", "reason": reason, "code": code, "message": "no: " + reason})
}

// cutOff sends half an answer and hangs up.
func cutOff(w http.ResponseWriter, half string) {
	w.Header().Set("Content-Type", "application/json")
	w.Header().Set("Content-Length", "100000")
	_, _ = io.WriteString(w, half)
	if f, ok := w.(http.Flusher); ok {
		f.Flush()
	}
	panic(http.ErrAbortHandler) // net/http's own way to hang up
}

// named makes n objects of a kind.
func named(n int, prefix string) []object {
	out := make([]object, n)
	for i := range out {
		out[i] = object{"metadata": object{"name": fmt.Sprintf("%s-%03d", prefix, i), "namespace": "shop"}}
	}
	return out
}

// cluster has a bit of everything.
func cluster() []served {
	return []served{
		{gv: "v1", plural: "pods", kind: "Pod", items: named(12, "pod")},
		{gv: "v1", plural: "services", kind: "Service", items: named(3, "svc")},
		{gv: "v1", plural: "events", kind: "Event", items: named(5, "event")},
		{gv: "v1", plural: "secrets", kind: "Secret", items: []object{{
			"metadata": object{"name": "db", "namespace": "shop"}, "type": "Opaque", "data": object{"password": "Y2FuYXJ5LXNlY3JldA=="},
		}}},
		{gv: "apps/v1", plural: "deployments", kind: "Deployment", items: named(7, "web")},
		{gv: "coordination.k8s.io/v1", plural: "leases", kind: "Lease", items: named(2, "lease")},
		{gv: "shop.example/v1", plural: "tills", kind: "Till", items: named(2, "till"), crd: true},
		{gv: "shop.example/v1alpha1", plural: "tills", kind: "Till", items: named(2, "till"), crd: true},
	}
}

func collector(t testing.TB, s *apiServer, change ...func(*kubernetes.Config)) *kubernetes.Collector {
	t.Helper()
	cfg := kubernetes.Config{
		Name: "prod", REST: &rest.Config{BearerToken: "canary-token"}, Redactor: audit.NewRedactor([]byte("0123456789abcdef")),
		Log: audittest.Log(), Page: 5,
	}
	if s.Server != nil {
		cfg.REST.Host = s.URL
	}
	for _, f := range change {
		f(&cfg)
	}
	c, err := kubernetes.New(cfg)
	if err != nil {
		t.Fatal(err)
	}
	return c
}

func collect(t testing.TB, c audit.Collector) (*audittest.Writer, audit.Collection, error) {
	t.Helper()
	w := &audittest.Writer{}
	col, _, err := audittest.Timed(t, c, audit.Request{Origin: c.Origins()[0]}, w)
	w.Sort()
	return w, col, err
}
