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

	"github.com/crosscheck-dev/crosscheck/audit"
	"github.com/crosscheck-dev/crosscheck/audit/audittest"
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

// TestDeliver: the first delivery sets everything up, a run is there once, and
// again delivering it changes nothing.
func TestDeliver(t *testing.T) {
	t.Parallel()
	base, ns, d := server(t), namespace(t), newDesk(t)
	rec := d.record(t, wide(t, "deliver", 500))
	for range 3 {
		if err := d.deliver(t, elastic.Config{URLs: []string{base}, Namespace: ns}, rec); err != nil {
			t.Fatal(err)
		}
		byIndex, ids := places(t, base, stream(ns))
		if len(byIndex) != 1 || byIndex[indices(t, base, stream(ns))[0]] != 502 || ids != 502 { // a count and the run
			t.Fatalf("documents are in %v, with %d ids; want 502 in one index", byIndex, ids)
		}
	}
	got := search(t, base, stream(ns), term("crosscheck.kind", "run"))
	if len(got) != 1 || field(got[0], "crosscheck.total.fail") != "500" || field(got[0], "crosscheck.moved.opened") != "500" || field(got[0], "event.ingested") == "" {
		t.Errorf("the run's document: %v", got)
	}
	steps, err := sink(t, elastic.Config{URLs: []string{base}, Namespace: ns}).SetUp(t.Context(), false)
	if err != nil {
		t.Fatal(err)
	}
	for _, s := range steps {
		if s.State != elastic.Kept && s.State != elastic.Changed { // TestSetUpByHand changes one meanwhile
			t.Errorf("setup again: %s %s is %s", s.Kind, s.Name, s.State)
		}
	}
	simulated := call(t, base, "POST", "/_index_template/_simulate_index/"+stream(ns), nil)["template"].(object)
	if got := field(simulated, "settings.index.lifecycle.name"); got != "crosscheck" {
		t.Errorf("the data stream's ILM policy is %q", got)
	}
	policy := call(t, base, "GET", "/_ilm/policy/crosscheck", nil)
	if got := field(policy, "crosscheck.policy.phases.delete.min_age"); got != "400d" {
		t.Errorf("history is deleted after %s", got)
	}
}

// TestRolloverInTheMiddle: all of a run is in the index it began on, once, whatever
// a rollover let into the next, and whatever answer was lost with it.
func TestRolloverInTheMiddle(t *testing.T) {
	t.Parallel()
	const documents, total = 300, 302
	type fate struct {
		before, after func(t *testing.T, n int, roll func()) string
		tries         int
	}
	tests := map[string]fate{
		"between requests": {tries: 1, before: func(_ *testing.T, n int, roll func()) string {
			if n == 4 {
				roll()
			}
			return ""
		}},
		"answer lost, then a crash": {
			tries: 2,
			before: func(_ *testing.T, n int, roll func()) string {
				if n == 4 {
					roll()
				}
				return ""
			},
			after: func(_ *testing.T, n int, _ func()) string {
				if n == 4 { // what it created in the next index, nobody heard of
					return "lose"
				}
				return ""
			},
		},
		"twice": {
			tries: 3,
			before: func(_ *testing.T, n int, roll func()) string {
				if n == 3 || n == 9 {
					roll()
				}
				return ""
			},
			after: func(_ *testing.T, n int, _ func()) string {
				if n == 3 || n == 9 {
					return "lose"
				}
				return ""
			},
		},
		"after a crash": {
			tries: 2,
			after: func(_ *testing.T, n int, roll func()) string {
				if n == 5 {
					roll()
					return "lose"
				}
				return ""
			},
		},
	}
	for name, tt := range tests {
		t.Run(name, func(t *testing.T) {
			t.Parallel()
			base, ns, d := server(t), namespace(t), newDesk(t)
			rec := d.record(t, wide(t, name, documents))
			p := newBetween(t, base)
			roll := func() { call(t, base, "POST", "/"+stream(ns)+"/_rollover", nil) }
			if tt.before != nil {
				p.before = func(n int) string { return tt.before(t, n, roll) }
			}
			if tt.after != nil {
				p.after = func(n int) string { return tt.after(t, n, roll) }
			}
			for i := range tt.tries {
				err := d.deliver(t, small(p.URL, ns), rec)
				if last := i == tt.tries-1; last != (err == nil) {
					t.Fatalf("try %d: %v", i+1, err)
				}
			}
			list := indices(t, base, stream(ns))
			if byIndex, ids := places(t, base, stream(ns)); len(list) < 2 || len(byIndex) != 1 || byIndex[list[0]] != total || ids != total {
				t.Errorf("of %v, documents are in %v with %d ids; want %d in the first", list, byIndex, ids, total)
			}
			ingested := search(t, base, stream(ns), all(object{"exists": object{"field": "event.ingested"}}))
			if len(ingested) != total {
				t.Errorf("%d documents say when they arrived, want %d: the transform goes by it", len(ingested), total)
			}
		})
	}
}

// TestIndexLost: the index that a run began on takes no more documents.
func TestIndexLost(t *testing.T) {
	t.Parallel()
	const documents, total = 300, 302
	begin := func(t *testing.T) (base, ns string, d *desk, rec audit.Record, p *between, first string) {
		t.Helper()
		base, ns, d = server(t), namespace(t), newDesk(t)
		rec = d.record(t, wide(t, t.Name(), documents))
		p = newBetween(t, base)
		p.after = func(n int) string {
			if n == 5 {
				return "lose"
			}
			return ""
		}
		if err := d.deliver(t, small(p.URL, ns), rec); err == nil {
			t.Fatal("the answer was lost, and nobody said so")
		}
		first = indices(t, base, stream(ns))[0]
		call(t, base, "POST", "/"+stream(ns)+"/_rollover", nil)
		return base, ns, d, rec, p, first
	}
	t.Run("read-only after the rollover", func(t *testing.T) {
		t.Parallel()
		base, ns, d, rec, p, first := begin(t)
		call(t, base, "PUT", "/"+first+"/_block/write", nil)
		for range 2 {
			if err := d.deliver(t, small(p.URL, ns), rec); err != nil {
				t.Fatal(err)
			}
			if byIndex, ids := places(t, base, stream(ns)); len(byIndex) != 2 || byIndex[first]+byIndex[indices(t, base, stream(ns))[1]] != total || ids != total {
				t.Fatalf("documents are in %v with %d ids, want %d once each", byIndex, ids, total)
			}
		}
	})
	t.Run("read-only and no other", func(t *testing.T) {
		t.Parallel()
		base, ns, d, rec, p, _ := begin(t)
		for _, i := range indices(t, base, stream(ns)) {
			call(t, base, "PUT", "/"+i+"/_settings", object{"index.blocks.write": true})
		}
		if err := d.deliver(t, small(p.URL, ns), rec); err == nil || !strings.Contains(err.Error(), "remove the block") {
			t.Errorf("Deliver() = %v, want that the block be removed", err)
		}
		for _, i := range indices(t, base, stream(ns)) {
			call(t, base, "PUT", "/"+i+"/_settings", object{"index.blocks.write": nil})
		}
		if err := d.deliver(t, small(p.URL, ns), rec); err != nil {
			t.Fatal(err)
		}
		if byIndex, ids := places(t, base, stream(ns)); byIndex[indices(t, base, stream(ns))[0]]+byIndex[indices(t, base, stream(ns))[1]] != total || ids != total {
			t.Errorf("documents are in %v with %d ids, want %d once each", byIndex, ids, total)
		}
	})
	t.Run("deleted", func(t *testing.T) {
		t.Parallel()
		base, ns, d, rec, p, first := begin(t)
		call(t, base, "DELETE", "/"+first, nil)
		if err := d.deliver(t, small(p.URL, ns), rec); err != nil {
			t.Fatal(err)
		}
		if byIndex, ids := places(t, base, stream(ns)); len(byIndex) != 1 || ids != total {
			t.Errorf("documents are in %v with %d ids, want %d in one", byIndex, ids, total)
		}
	})
	t.Run("deleted while it is written to", func(t *testing.T) {
		t.Parallel()
		base, ns, d, rec, p, first := begin(t)
		p.before = func(n int) string {
			if n == 9 {
				call(t, base, "DELETE", "/"+first, nil)
			}
			return ""
		}
		if err := d.deliver(t, small(p.URL, ns), rec); err == nil || !strings.Contains(err.Error(), "was deleted while") {
			t.Fatalf("Deliver() = %v, want that the index was deleted", err)
		}
		if _, status := try(t, base, "GET", "/"+first, nil); status != http.StatusNotFound {
			t.Errorf("an index of the deleted one's name is left: GET answers %d", status)
		}
		if err := d.deliver(t, small(p.URL, ns), rec); err != nil {
			t.Fatal(err)
		}
		if byIndex, ids := places(t, base, stream(ns)); len(byIndex) != 1 || ids != total {
			t.Errorf("documents are in %v with %d ids, want %d in one", byIndex, ids, total)
		}
	})
}

// TestRejected: what the mapping refuses is kept with the reason, and the rest is delivered.
func TestRejected(t *testing.T) {
	t.Parallel()
	base, ns, d := server(t), namespace(t), newDesk(t)
	cfg := elastic.Config{URLs: []string{base}, Namespace: ns}
	if _, err := sink(t, cfg).SetUp(t.Context(), false); err != nil {
		t.Fatal(err)
	}
	call(t, base, "DELETE", "/_data_stream/"+stream(ns), nil)
	call(t, base, "PUT", "/_index_template/odd-"+ns, object{
		"index_patterns": []string{stream(ns)}, "priority": 900, "data_stream": object{}, "composed_of": []string{"crosscheck@mappings", "crosscheck@settings"},
		"template": object{"mappings": object{"properties": object{"crosscheck": object{"properties": object{"owner": object{"type": "long"}}}}}},
	})
	t.Cleanup(func() {
		try(t, base, "DELETE", "/_data_stream/"+stream(ns), nil)
		call(t, base, "DELETE", "/_index_template/odd-"+ns, nil)
	})
	rec := d.night(t, 0, audittest.Night{Listed: "ab", Owner: "payments", Not: map[string]audit.Outcome{"STO a": audit.Fail, "NET b": audit.NotEvaluated}})
	for range 2 {
		if err := d.deliver(t, cfg, rec); err != nil {
			t.Fatal(err)
		}
	}
	owed := d.owed(t, rec.Run.ID)
	list, err := d.ledger.Rejections(t.Context(), owed.Seq, 10)
	if err != nil {
		t.Fatal(err)
	}
	if owed.Rejected != 2 || len(list) != 2 || !strings.Contains(list[0].Reason, "failed to parse field [crosscheck.owner] of type [long]") {
		t.Errorf("%d documents are rejected: %v", owed.Rejected, list)
	}
	if got := search(t, base, stream(ns), object{"match_all": object{}}); len(got) != 1 || field(got[0], "crosscheck.kind") != "run" {
		t.Errorf("the rest is not there: %v", got)
	}
}
