package elastic_test

import (
	"bufio"
	"encoding/json"
	"net/http"
	"net/http/httptest"
	"net/url"
	"slices"
	"strings"
	"sync"
	"testing"
)

// fake answers as Elasticsearch does where all goes well, and otherwise as it is
// told. What Elasticsearch itself makes of what it is sent is tested on a real
// one (e2e_test.go); here are faults that a real one does not make to order.
type fake struct {
	*httptest.Server
	mu    sync.Mutex
	docs  map[string]bool // ids that were created
	put   map[string]map[string]any
	asked []string // method and path of what is no bulk request
	bulks int

	// any may answer any request instead, and says whether it did.
	any func(w http.ResponseWriter, r *http.Request) bool
	// item gives another status for a document of the nth bulk request than 201 or 409, and the error.
	item func(n int, id string) (status int, typ, reason string)
}

func newFake(t *testing.T) *fake {
	t.Helper()
	f := &fake{docs: map[string]bool{}, put: map[string]map[string]any{}}
	f.Server = httptest.NewServer(http.HandlerFunc(f.serve))
	t.Cleanup(f.Close)
	return f
}

func (f *fake) serve(w http.ResponseWriter, r *http.Request) {
	w.Header().Set("X-Elastic-Product", "Elasticsearch")
	if f.any != nil && f.any(w, r) {
		return
	}
	f.mu.Lock()
	defer f.mu.Unlock()
	path, _ := url.PathUnescape(r.URL.Path)
	if strings.HasSuffix(path, "/_bulk") {
		f.bulks++
		f.bulk(w, r, f.bulks)
		return
	}
	f.asked = append(f.asked, r.Method+" "+path)
	name := path[strings.LastIndex(path, "/")+1:]
	switch {
	case r.Method == http.MethodPut:
		body := map[string]any{}
		_ = json.NewDecoder(r.Body).Decode(&body)
		f.put[path] = body
		answer(w, 200, map[string]any{"acknowledged": true})
	case r.Method == http.MethodPost:
		answer(w, 200, map[string]any{"acknowledged": true})
	case strings.HasSuffix(path, "/_stats"):
		answer(w, 200, map[string]any{"transforms": []any{map[string]any{"state": "stopped"}}})
	case f.put[path] == nil:
		answer(w, 404, failure("resource_not_found_exception", "no such thing"))
	case strings.HasPrefix(path, "/_data_stream/"):
		answer(w, 200, map[string]any{"data_streams": []any{map[string]any{"name": name, "indices": []any{map[string]any{"index_name": ".ds-1"}}}}})
	case strings.HasPrefix(path, "/_component_template/"):
		answer(w, 200, map[string]any{"component_templates": []any{map[string]any{"name": name, "component_template": f.put[path]}}})
	case strings.HasPrefix(path, "/_index_template/"):
		answer(w, 200, map[string]any{"index_templates": []any{map[string]any{"name": name, "index_template": f.put[path]}}})
	case strings.HasPrefix(path, "/_transform/"):
		answer(w, 200, map[string]any{"count": 1, "transforms": []any{f.put[path]}})
	default:
		answer(w, 200, map[string]any{name: f.put[path]})
	}
}

func (f *fake) bulk(w http.ResponseWriter, r *http.Request, n int) {
	var items []any
	sc := bufio.NewScanner(r.Body)
	sc.Buffer(nil, 64<<20)
	for sc.Scan() {
		var action map[string]struct {
			ID string `json:"_id"`
		}
		_ = json.Unmarshal(sc.Bytes(), &action)
		sc.Scan()
		id, status, typ, reason := action["create"].ID, 201, "", ""
		if f.item != nil {
			if s, a, b := f.item(n, id); s != 0 {
				status, typ, reason = s, a, b
			}
		}
		switch {
		case status == 201 && f.docs[id]:
			status, typ, reason = 409, "version_conflict_engine_exception", "document already exists"
		case status == 201:
			f.docs[id] = true
		}
		item := map[string]any{"_index": ".ds-1", "status": status}
		if typ != "" {
			item["error"] = map[string]any{"type": typ, "reason": reason}
		}
		items = append(items, map[string]any{"create": item})
	}
	answer(w, 200, map[string]any{"items": items})
}

func answer(w http.ResponseWriter, status int, body any) {
	w.Header().Set("Content-Type", "application/json")
	w.WriteHeader(status)
	_ = json.NewEncoder(w).Encode(body)
}

func failure(typ, reason string) map[string]any {
	return map[string]any{"error": map[string]any{"type": typ, "reason": reason}}
}

// did tells whether something was asked.
func (f *fake) did(what string) bool {
	f.mu.Lock()
	defer f.mu.Unlock()
	return slices.Contains(f.asked, what)
}
