//go:build e2e

package elastic_test

import (
	"bytes"
	"context"
	"encoding/json"
	"fmt"
	"io"
	"net/http"
	"net/http/httptest"
	"net/http/httputil"
	"net/url"
	"os"
	"strings"
	"sync"
	"sync/atomic"
	"testing"
	"time"

	"github.com/crosscheck-dev/crosscheck/report/elastic"
)

// What Elasticsearch says here is a real one's, 8.19, but for what Shim.java of
// testdata/servers/elasticsearch stands in for: the routes of data streams (what
// is below them, backing indices and rollover, is real), ILM policies, which are
// parsed for real and never carried out, and the transform, which is reckoned by
// the shim. Field types constant_keyword are keyword there.

// server is the real Elasticsearch.
func server(t testing.TB) string {
	t.Helper()
	u := os.Getenv("CROSSCHECK_ELASTICSEARCH")
	if u == "" {
		t.Fatal("CROSSCHECK_ELASTICSEARCH must be the URL of an Elasticsearch for tests: make e2e sets it")
	}
	return u
}

var names atomic.Int64

// namespace is one that no other test writes to. What is written there is deleted in the end.
func namespace(t testing.TB) string {
	t.Helper()
	ns := fmt.Sprintf("t%d_%d", time.Now().UnixNano(), names.Add(1))
	t.Cleanup(func() { try(t, server(t), "DELETE", "/_data_stream/"+stream(ns), nil) })
	return ns
}

// call asks a server and fails the test where it does not succeed.
func call(t testing.TB, base, method, path string, body any) map[string]any {
	t.Helper()
	out, status := try(t, base, method, path, body)
	if status > 299 {
		t.Fatalf("%s %s: %d %v", method, path, status, out)
	}
	return out
}

func try(t testing.TB, base, method, path string, body any) (map[string]any, int) {
	t.Helper()
	var r io.Reader
	if body != nil {
		b, err := json.Marshal(body)
		if err != nil {
			t.Fatal(err)
		}
		r = bytes.NewReader(b)
	}
	req, err := http.NewRequestWithContext(context.WithoutCancel(t.Context()), method, base+path, r)
	if err != nil {
		t.Fatal(err)
	}
	req.Header.Set("Content-Type", "application/json")
	resp, err := http.DefaultClient.Do(req)
	if err != nil {
		t.Fatal(err)
	}
	defer func() { _ = resp.Body.Close() }()
	var out map[string]any
	if err := json.NewDecoder(resp.Body).Decode(&out); err != nil && err != io.EOF {
		t.Fatalf("%s %s: %v", method, path, err)
	}
	return out, resp.StatusCode
}

type object = map[string]any

func term(field string, value any) object { return object{"term": object{field: value}} }

func all(filters ...object) object { return object{"bool": object{"filter": filters}} }

// search gives the sources that a query finds, by time.
func search(t testing.TB, base, index string, query object) []object {
	t.Helper()
	call(t, base, "POST", "/"+index+"/_refresh", nil)
	answer := call(t, base, "POST", "/"+index+"/_search", object{"size": 1000, "query": query, "sort": []any{"@timestamp", "event.id"}})
	var out []object
	for _, h := range answer["hits"].(object)["hits"].([]any) {
		out = append(out, h.(object)["_source"].(object))
	}
	return out
}

// field reads a field by its path, as a search shows it.
func field(o object, path string) string {
	var v any = o
	for _, p := range strings.Split(path, ".") {
		if list, ok := v.([]any); ok && len(list) > 0 {
			v = list[0]
		}
		m, ok := v.(object)
		if !ok {
			return ""
		}
		v = m[p]
	}
	if v == nil {
		return ""
	}
	return fmt.Sprint(v)
}

// places tells in which indices of the stream how many documents are, and how many ids there are.
func places(t testing.TB, base, stream string) (byIndex map[string]int, ids int) {
	t.Helper()
	call(t, base, "POST", "/"+stream+"/_refresh", nil)
	answer := call(t, base, "POST", "/"+stream+"/_search", object{"size": 0, "track_total_hits": true, "aggs": object{
		"index": object{"terms": object{"field": "_index", "size": 100}}, "ids": object{"cardinality": object{"field": "event.id", "precision_threshold": 40000}},
	}})
	byIndex = map[string]int{}
	aggs := answer["aggregations"].(object)
	for _, b := range aggs["index"].(object)["buckets"].([]any) {
		byIndex[b.(object)["key"].(string)] = int(b.(object)["doc_count"].(float64))
	}
	return byIndex, int(aggs["ids"].(object)["value"].(float64))
}

// indices of a data stream, the write index last.
func indices(t testing.TB, base, stream string) []string {
	t.Helper()
	var out []string
	for _, i := range call(t, base, "GET", "/_data_stream/"+stream, nil)["data_streams"].([]any)[0].(object)["indices"].([]any) {
		out = append(out, i.(object)["index_name"].(string))
	}
	return out
}

// between stands between the sink and the real server, and meddles with bulk requests.
type between struct {
	*httptest.Server
	mu   sync.Mutex
	bulk int
	// before is told the number of each bulk request, from 1. What it says is done instead, unless empty.
	before func(n int) string
	after  func(n int) string // once the server has answered: "lose" loses the answer
}

func newBetween(t testing.TB, base string) *between {
	t.Helper()
	u, err := url.Parse(base)
	if err != nil {
		t.Fatal(err)
	}
	b := &between{}
	proxy := httputil.NewSingleHostReverseProxy(u)
	proxy.ErrorHandler = func(http.ResponseWriter, *http.Request, error) { panic(http.ErrAbortHandler) }
	b.Server = httptest.NewServer(http.HandlerFunc(func(w http.ResponseWriter, r *http.Request) {
		if !strings.HasSuffix(r.URL.Path, "/_bulk") {
			proxy.ServeHTTP(w, r)
			return
		}
		b.mu.Lock()
		b.bulk++
		n := b.bulk
		what := ""
		if b.before != nil {
			what = b.before(n)
		}
		b.mu.Unlock()
		if what == "refuse" {
			panic(http.ErrAbortHandler)
		}
		rec := httptest.NewRecorder()
		proxy.ServeHTTP(rec, r)
		if b.after != nil && b.after(n) == "lose" {
			panic(http.ErrAbortHandler)
		}
		for k, v := range rec.Header() {
			w.Header()[k] = v
		}
		w.WriteHeader(rec.Code)
		_, _ = w.Write(rec.Body.Bytes())
	}))
	t.Cleanup(b.Close)
	return b
}

// small is a configuration by which a run takes many requests, one after the other.
func small(base, ns string) elastic.Config {
	return elastic.Config{URLs: []string{base}, Namespace: ns, Bytes: 20_000, Workers: 1}
}

func stream(ns string) string { return "logs-crosscheck.findings-" + ns }
