//go:build e2e

package main

import (
	"bytes"
	"context"
	"encoding/json"
	"fmt"
	"net/http"
	"net/http/httptest"
	"net/http/httputil"
	"net/url"
	"os"
	"strings"
	"sync/atomic"
	"testing"
	"time"
)

// TestElasticKilled kills an audit with SIGKILL when Elasticsearch, a real one,
// has taken its documents and before the audit hears of it, and lets the data
// stream roll over then. The next one delivers what the first owed: each once.
func TestElasticKilled(t *testing.T) {
	t.Parallel()
	base := os.Getenv("CROSSCHECK_ELASTICSEARCH")
	if base == "" {
		t.Fatal("CROSSCHECK_ELASTICSEARCH must be the URL of an Elasticsearch for tests: make e2e sets it")
	}
	ns := fmt.Sprintf("kill%d", time.Now().UnixNano())
	stream := "logs-crosscheck.findings-" + ns
	t.Cleanup(func() { askElastic(t, base, http.MethodDelete, "/_data_stream/"+stream, "") })
	u, err := url.Parse(base)
	if err != nil {
		t.Fatal(err)
	}
	ctx, kill := context.WithCancel(t.Context()) // of the first process: exec kills it
	defer kill()
	var bulks atomic.Int64
	elastic := httputil.NewSingleHostReverseProxy(u)
	between := httptest.NewServer(http.HandlerFunc(func(w http.ResponseWriter, r *http.Request) {
		if !strings.HasSuffix(r.URL.Path, "/_bulk") || bulks.Add(1) > 1 {
			elastic.ServeHTTP(w, r)
			return
		}
		elastic.ServeHTTP(httptest.NewRecorder(), r)
		askElastic(t, base, http.MethodPost, "/"+stream+"/_rollover", "")
		kill()
		<-r.Context().Done()
	}))
	defer between.Close()
	h := newHome(t)
	h.write(t, "crosscheck.yaml", "version: 1\nentity: E\nsystem: S\nsources: {demo: true}\nsinks:\n  elasticsearch: {url: \""+between.URL+"\", namespace: "+ns+"}\n")
	if out, err := h.command(ctx, nil, "audit").CombinedOutput(); err == nil || ctx.Err() == nil {
		t.Fatalf("the audit was not killed: %v\n%s", err, out)
	}
	h.exits(t, []int{exitOK}, nil, "audit")
	askElastic(t, base, http.MethodPost, "/"+stream+"/_refresh", "")
	got := askElastic(t, base, http.MethodPost, "/"+stream+"/_search", `{"size": 0, "track_total_hits": true, "aggs": {
		"ids": {"cardinality": {"field": "event.id", "precision_threshold": 40000}}, "index": {"terms": {"field": "_index"}},
		"runs": {"filter": {"term": {"crosscheck.kind": "run"}}}, "failed": {"filter": {"term": {"result.evaluation": "failed"}}}}}`)
	var answer struct {
		Hits         struct{ Total struct{ Value int } }
		Aggregations struct {
			IDs          struct{ Value int }
			Index        struct{ Buckets []struct{ Key string } }
			Runs, Failed struct {
				Count int `json:"doc_count"`
			}
		}
	}
	if err := json.Unmarshal(got, &answer); err != nil {
		t.Fatal(err)
	}
	a := answer.Aggregations
	if answer.Hits.Total.Value != a.IDs.Value || len(a.Index.Buckets) != 1 || a.Runs.Count != 1 || a.Failed.Count != 86 || bulks.Load() < 2 {
		t.Errorf("after %d bulk requests %d documents with %d ids are in %v: %d runs, %d failures; want one run with the demo's 86 in one index",
			bulks.Load(), answer.Hits.Total.Value, a.IDs.Value, a.Index.Buckets, a.Runs.Count, a.Failed.Count)
	}
}

// askElastic asks a server, without regard to the status.
func askElastic(t *testing.T, base, method, path, body string) []byte {
	t.Helper()
	req, err := http.NewRequestWithContext(context.WithoutCancel(t.Context()), method, base+path, strings.NewReader(body))
	if err != nil {
		t.Error(err)
		return nil
	}
	req.Header.Set("Content-Type", "application/json")
	resp, err := http.DefaultClient.Do(req)
	if err != nil {
		t.Error(err)
		return nil
	}
	defer func() { _ = resp.Body.Close() }()
	var buf bytes.Buffer
	if _, err := buf.ReadFrom(resp.Body); err != nil {
		t.Error(err)
	}
	return buf.Bytes()
}
