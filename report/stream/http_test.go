package stream_test

import (
	"bufio"
	"bytes"
	"compress/gzip"
	"encoding/json"
	"fmt"
	"io"
	"net/http"
	"net/http/httptest"
	"slices"
	"strings"
	"sync"
	"testing"

	"github.com/crosscheck-dev/crosscheck/configs"
	"github.com/crosscheck-dev/crosscheck/report"
	"github.com/crosscheck-dev/crosscheck/report/stream"
)

// logServer takes decision logs as OPA's service API has them.
type logServer struct {
	mu     sync.Mutex
	status func(events int) (int, http.Header) // nil: 200
	ids    []string
	keys   []string
	bad    []string
}

func (s *logServer) ServeHTTP(w http.ResponseWriter, r *http.Request) {
	s.mu.Lock()
	defer s.mu.Unlock()
	if r.Method != http.MethodPost || r.Header.Get("Content-Encoding") != "gzip" || r.Header.Get("Content-Type") != "application/json" || r.Header.Get("Authorization") != "Bearer s3cret" {
		s.bad = append(s.bad, fmt.Sprint(r.Method, r.Header))
	}
	z, err := gzip.NewReader(bufio.NewReader(r.Body))
	if err != nil {
		s.bad = append(s.bad, err.Error())
		return
	}
	var list []struct {
		DecisionID string `json:"decision_id"`
	}
	b, err := io.ReadAll(z)
	if err == nil {
		err = json.NewDecoder(bytes.NewReader(b)).Decode(&list)
	}
	if err != nil {
		s.bad = append(s.bad, err.Error())
		return
	}
	if s.status != nil {
		code, header := s.status(len(list))
		for k, v := range header {
			w.Header()[k] = v
		}
		if code != http.StatusOK {
			w.WriteHeader(code)
			_, _ = io.WriteString(w, "<html>s3cret</html>")
			return
		}
	}
	s.keys = append(s.keys, r.Header.Get("Idempotency-Key"))
	for _, e := range list {
		s.ids = append(s.ids, e.DecisionID)
	}
}

func httpSink(t *testing.T, s *logServer) *stream.Sink {
	t.Helper()
	srv := httptest.NewServer(s)
	t.Cleanup(srv.Close)
	t.Setenv("STREAM_TOKEN", "s3cret")
	cfg, err := configs.Parse([]byte(`{version: 1, entity: e, system: s, sources: {demo: true}, sinks: {streams: [{name: h, http: {url: "`+srv.URL+`", token: {env: STREAM_TOKEN}}}]}}`), "c.yaml")
	if err != nil {
		t.Fatal(err)
	}
	h := cfg.Sinks.Streams[0].HTTP
	sink, err := stream.New(stream.Config{Name: "h", Now: now, Batch: 4000, HTTP: &stream.HTTP{URL: h.URL + "/hook/s3cret", Token: h.Token}})
	if err != nil {
		t.Fatal(err)
	}
	return sink
}

// TestHTTP: gzip batches, each with a key; a try that failed goes on where it came to.
func TestHTTP(t *testing.T) {
	srv := &logServer{}
	batches := 0
	srv.status = func(int) (int, http.Header) {
		if batches++; batches == 3 {
			return http.StatusServiceUnavailable, http.Header{"Retry-After": {"7"}}
		}
		return http.StatusOK, nil
	}
	sink, k, rec := httpSink(t, srv), &keeper{}, record(t, 20)
	err := sink.Deliver(t.Context(), rec, k.delivery())
	if err == nil || report.IsPermanent(err) || strings.Contains(err.Error(), "s3cret") || !strings.Contains(err.Error(), "answered 503") {
		t.Fatalf("Deliver() = %v", err)
	}
	before := len(srv.ids)
	if before == 0 || before == 60 {
		t.Fatalf("%d events before the failure", before)
	}
	if err := sink.Deliver(t.Context(), rec, k.delivery()); err != nil {
		t.Fatal(err)
	}
	ids := slices.Clone(srv.ids)
	slices.Sort(ids)
	if len(ids) != 60 || len(slices.Compact(ids)) != 60 || len(srv.bad) > 0 {
		t.Errorf("%d events: %v", len(srv.ids), srv.bad)
	}
	keys := slices.Clone(srv.keys)
	slices.Sort(keys)
	if len(slices.Compact(keys)) != len(srv.keys) {
		t.Errorf("two batches have one key: %v", srv.keys)
	}
}

// TestHTTPTooLarge: batches are halved, and what is too large by itself is kept as rejected.
func TestHTTPTooLarge(t *testing.T) {
	srv := &logServer{status: func(events int) (int, http.Header) {
		if events > 2 {
			return http.StatusRequestEntityTooLarge, nil
		}
		return http.StatusOK, nil
	}}
	k := &keeper{}
	if err := httpSink(t, srv).Deliver(t.Context(), record(t, 10), k.delivery()); err != nil || len(srv.ids) != 30 || len(k.rejected) != 0 {
		t.Errorf("Deliver() = %v, %d events, %d rejected", err, len(srv.ids), len(k.rejected))
	}
	none := &logServer{status: func(int) (int, http.Header) { return http.StatusRequestEntityTooLarge, nil }}
	k = &keeper{}
	if err := httpSink(t, none).Deliver(t.Context(), record(t, 2), k.delivery()); err != nil || len(k.rejected) != 6 {
		t.Errorf("Deliver() = %v, %d rejected, want all 6", err, len(k.rejected))
	}
}

func TestHTTPRefused(t *testing.T) {
	for code, permanent := range map[int]bool{401: true, 403: true, 400: true, 404: true, 302: true, 408: false, 429: false, 500: false, 502: false} {
		srv := &logServer{status: func(int) (int, http.Header) { return code, nil }}
		err := httpSink(t, srv).Deliver(t.Context(), record(t, 1), (&keeper{}).delivery())
		if err == nil || report.IsPermanent(err) != permanent || strings.Contains(err.Error(), "s3cret") {
			t.Errorf("%d: %v", code, err)
		}
	}
	sink, err := stream.New(stream.Config{Name: "h", Now: now, HTTP: &stream.HTTP{URL: "http://127.0.0.1:1/s3cret"}})
	if err != nil {
		t.Fatal(err)
	}
	err = sink.Deliver(t.Context(), record(t, 1), (&keeper{}).delivery())
	if err == nil || report.IsPermanent(err) || strings.Contains(err.Error(), "s3cret") {
		t.Errorf("nobody listens: %v", err)
	}
}
