package elastic_test

import (
	"context"
	"encoding/base64"
	"errors"
	"io"
	"net/http"
	"net/http/httptest"
	"strings"
	"sync/atomic"
	"testing"
	"time"

	"github.com/crosscheck-dev/crosscheck/report"
	"github.com/crosscheck-dev/crosscheck/report/elastic"
)

// TestFaults: what no retry cures is told from what one does, and a later try ends what the first began.
func TestFaults(t *testing.T) {
	t.Parallel()
	const documents, total = 40, 42
	whole := func(status int, header, typ string) func(f *fake) {
		return func(f *fake) {
			f.any = func(w http.ResponseWriter, r *http.Request) bool {
				if !strings.HasSuffix(r.URL.Path, "/_bulk") {
					return false
				}
				w.Header().Set("Retry-After", header)
				answer(w, status, failure(typ, "so it is"))
				return true
			}
		}
	}
	raw := func(body string) func(f *fake) {
		return func(f *fake) {
			f.any = func(w http.ResponseWriter, r *http.Request) bool {
				if strings.HasSuffix(r.URL.Path, "/_bulk") {
					_, _ = io.WriteString(w, body)
				}
				return strings.HasSuffix(r.URL.Path, "/_bulk")
			}
		}
	}
	items := func(status int, typ, reason string, when func(n int) bool) func(f *fake) {
		return func(f *fake) {
			f.item = func(n int, id string) (int, string, string) {
				if when(n) && id[0] < '8' { // about half of them
					return status, typ, reason
				}
				return 0, "", ""
			}
		}
	}
	always, first := func(int) bool { return true }, func(n int) bool { return n == 1 }
	tests := map[string]struct {
		fault     func(f *fake)
		says      string // empty: it is delivered all the same
		permanent bool
		rejected  bool // half of the documents, at least one
	}{
		"half accepted, the rest too much": {fault: items(429, "es_rejected_execution_exception", "queue is full", always), says: "are not accepted yet: POST /logs-crosscheck.findings-default/_bulk: Elasticsearch answered 429 es_rejected_execution_exception"},
		"half accepted, the rest later":    {fault: items(429, "es_rejected_execution_exception", "queue is full", first)},
		"shard is not there at first":      {fault: items(503, "unavailable_shards_exception", "primary shard is not active", first)},
		"half refused by the mapping":      {fault: items(400, "document_parsing_exception", "failed to parse field", always), rejected: true},
		"half too large":                   {fault: items(413, "x", "too large", always), rejected: true},
		"pipeline is gone":                 {fault: items(400, "illegal_argument_exception", "pipeline with id [crosscheck@ingested] does not exist", always), says: "pipeline with id"},
		"no privilege to write":            {fault: items(403, "security_exception", "action is unauthorized", always), says: "lack a privilege", permanent: true},
		"written to a blocked index":       {fault: items(403, "cluster_block_exception", "index [.ds-1] blocked by: [FORBIDDEN/8/index write (api)];", always), says: "remove the block"},
		"nonsense":                         {fault: raw("<html>oops"), says: "makes no sense"},
		"an empty object":                  {fault: raw("{}"), says: "the answer is about 0"},
		"of other documents":               {fault: raw(`{"items":[{"create":{"status":201}}]}`), says: "the answer is about 1"},
		"of another action":                {fault: raw(`{"items":[` + strings.Repeat(`{"delete":{"status":200}},`, total-1) + `{"delete":{"status":200}}]}`), says: "does not tell what became"},
		"busy":                             {fault: whole(429, "7", "circuit_breaking_exception"), says: "answered 429 circuit_breaking_exception: so it is"},
		"not there":                        {fault: whole(503, "", ""), says: "answered 503"},
		"gateway":                          {fault: whole(502, "", ""), says: "answered 502"},
		"unauthorised":                     {fault: whole(401, "", "security_exception"), says: "the credentials are refused", permanent: true},
		"forbidden":                        {fault: whole(403, "", "security_exception"), says: "docs/operators.md", permanent: true},
		"moved":                            {fault: whole(302, "", ""), says: "answered 302"},
	}
	for name, tt := range tests {
		t.Run(name, func(t *testing.T) {
			t.Parallel()
			f, d := newFake(t), newDesk(t)
			tt.fault(f)
			rec := d.record(t, wide(t, "faults", documents))
			cfg := elastic.Config{URLs: []string{f.URL}}
			err := d.deliver(t, cfg, rec)
			if tt.says == "" && err != nil || tt.says != "" && (err == nil || !strings.Contains(err.Error(), tt.says) || report.IsPermanent(err) != tt.permanent) {
				t.Fatalf("Deliver() = %v (permanent: %v); want %q", err, report.IsPermanent(err), tt.says)
			}
			rejected := d.owed(t, rec.Run.ID).Rejected
			if tt.rejected != (rejected > 0) {
				t.Errorf("%d documents are rejected", rejected)
			}
			if tt.rejected && int(rejected)+len(f.docs) != total {
				t.Errorf("%d documents are there and %d rejected, of %d", len(f.docs), rejected, total)
			}
			if tt.rejected {
				return
			}
			f.any, f.item = nil, nil
			if err := d.deliver(t, cfg, rec); err != nil || len(f.docs) != total {
				t.Errorf("afterwards: %v, %d documents of %d", err, len(f.docs), total)
			}
		})
	}
}

// TestTooLarge: a request that a proxy finds too large is sent in parts, down to
// one document, which is rejected.
func TestTooLarge(t *testing.T) {
	t.Parallel()
	f, d := newFake(t), newDesk(t)
	f.any = func(w http.ResponseWriter, r *http.Request) bool {
		if strings.HasSuffix(r.URL.Path, "/_bulk") && r.ContentLength > 9000 {
			http.Error(w, "too large", http.StatusRequestEntityTooLarge)
			return true
		}
		return false
	}
	rec := wide(t, "large", 40)
	rec.Run.Notices = append(rec.Run.Notices, notices(200)...)
	rec = d.record(t, rec)
	if err := d.deliver(t, elastic.Config{URLs: []string{f.URL}}, rec); err != nil {
		t.Fatal(err)
	}
	if rejected := d.owed(t, rec.Run.ID).Rejected; len(f.docs) != 41 || rejected != 1 {
		t.Errorf("%d documents are there, %d rejected; want 41 and the run's own", len(f.docs), rejected)
	}
}

// TestHang: a server that never answers is given up, without its name in the way of the reason.
func TestHang(t *testing.T) {
	t.Parallel()
	f, d := newFake(t), newDesk(t)
	f.any = func(_ http.ResponseWriter, r *http.Request) bool {
		_, _ = io.Copy(io.Discard, r.Body) // the client's going is noticed only then
		<-r.Context().Done()
		return true
	}
	rec := d.record(t, wide(t, "hang", 4))
	err := d.deliver(t, elastic.Config{URLs: []string{f.URL}, Timeout: time.Millisecond}, rec)
	if err == nil || !strings.Contains(err.Error(), "no answer within 1ms") || report.IsPermanent(err) {
		t.Errorf("Deliver() = %v, want no answer", err)
	}
}

// TestStopped: who waits for a busy server is stopped at once.
func TestStopped(t *testing.T) {
	t.Parallel()
	f, d := newFake(t), newDesk(t)
	f.item = func(int, string) (int, string, string) { return 429, "busy", "busy" }
	rec := d.record(t, wide(t, "stopped", 4))
	ctx, stop := context.WithCancel(t.Context())
	s := sink(t, elastic.Config{URLs: []string{f.URL}, Wait: func(ctx context.Context, _ time.Duration) error {
		stop()
		return ctx.Err()
	}})
	if err := s.Deliver(ctx, rec, d.owed(t, rec.Run.ID)); !errors.Is(err, context.Canceled) {
		t.Errorf("Deliver() = %v, want that it was stopped", err)
	}
}

func TestOtherProduct(t *testing.T) {
	t.Parallel()
	srv := httptest.NewServer(http.HandlerFunc(func(w http.ResponseWriter, _ *http.Request) {
		answer(w, 200, map[string]any{"version": map[string]any{"distribution": "opensearch", "number": "2.11.0"}})
	}))
	t.Cleanup(srv.Close)
	d := newDesk(t)
	rec := d.record(t, wide(t, "other", 4))
	err := d.deliver(t, elastic.Config{URLs: []string{srv.URL}}, rec)
	if err == nil || !report.IsPermanent(err) || !strings.Contains(err.Error(), "is not Elasticsearch") {
		t.Errorf("Deliver() to OpenSearch = %v", err)
	}
}

// TestCredentials: they are sent as Elasticsearch takes them, and are in no error.
func TestCredentials(t *testing.T) {
	t.Parallel()
	basic := "Basic " + base64.StdEncoding.EncodeToString([]byte("jo:hunter2"))
	tests := map[string]struct {
		cfg  elastic.Config
		want string
	}{
		"none":       {elastic.Config{}, ""},
		"key":        {elastic.Config{APIKey: "aWQ6a2V5"}, "APIKey aWQ6a2V5"},
		"id and key": {elastic.Config{APIKey: "id:key"}, "APIKey aWQ6a2V5"},
		"name":       {elastic.Config{Username: "jo", Password: "hunter2"}, basic},
	}
	for name, tt := range tests {
		t.Run(name, func(t *testing.T) {
			t.Parallel()
			f, d := newFake(t), newDesk(t)
			var got atomic.Value
			f.any = func(w http.ResponseWriter, r *http.Request) bool {
				got.Store(r.Header.Get("Authorization"))
				answer(w, 401, failure("security_exception", "no"))
				return true
			}
			rec := d.record(t, wide(t, "credentials", 1))
			tt.cfg.URLs = []string{f.URL}
			err := d.deliver(t, tt.cfg, rec)
			if got.Load() != tt.want {
				t.Errorf("Authorization is %q, want %q", got.Load(), tt.want)
			}
			if err == nil || strings.Contains(err.Error(), "hunter2") || strings.Contains(err.Error(), "aWQ6") {
				t.Errorf("Deliver() = %v", err)
			}
		})
	}
}

// TestProxy: what is asked goes through the proxy that is configured.
func TestProxy(t *testing.T) {
	t.Parallel()
	f, d := newFake(t), newDesk(t)
	rec := d.record(t, wide(t, "proxy", 4))
	// The fake is the proxy: it is asked for whole URLs of another host, and answers itself.
	if err := d.deliver(t, elastic.Config{URLs: []string{"http://elastic.invalid:9200"}, Proxy: f.URL}, rec); err != nil {
		t.Fatal(err)
	}
	if len(f.docs) != 6 {
		t.Errorf("%d documents came through the proxy, want 6", len(f.docs))
	}
}

// TestAuthority: a certificate is trusted by its authority's file.
func TestAuthority(t *testing.T) {
	t.Parallel()
	f, d := newFake(t), newDesk(t)
	srv := httptest.NewTLSServer(f.Config.Handler)
	srv.Config.ErrorLog = quiet()
	t.Cleanup(srv.Close)
	rec := d.record(t, wide(t, "authority", 4))
	if err := d.deliver(t, elastic.Config{URLs: []string{srv.URL}}, rec); err == nil || !strings.Contains(err.Error(), "certificate") {
		t.Errorf("an unknown authority: %v", err)
	}
	if err := d.deliver(t, elastic.Config{URLs: []string{srv.URL}, CAFile: certificate(t, srv)}, rec); err != nil {
		t.Error(err)
	}
	if err := d.deliver(t, elastic.Config{URLs: []string{srv.URL}, CAFile: "missing.pem"}, rec); err == nil || !strings.Contains(err.Error(), "ca_file: open missing.pem") {
		t.Errorf("a file that is not there: %v", err)
	}
}

// TestNodes: of several nodes one that is down is passed over.
func TestNodes(t *testing.T) {
	t.Parallel()
	f, d := newFake(t), newDesk(t)
	down := httptest.NewServer(http.NotFoundHandler())
	down.Close()
	rec := d.record(t, wide(t, "nodes", 4))
	if err := d.deliver(t, elastic.Config{URLs: []string{down.URL, f.URL}}, rec); err != nil || len(f.docs) != 6 {
		t.Errorf("%v, %d documents", err, len(f.docs))
	}
}

func TestNew(t *testing.T) {
	t.Parallel()
	ok := []string{"https://elastic.example.com"}
	tests := map[string]struct {
		cfg  elastic.Config
		want string
	}{
		"nowhere":         {elastic.Config{}, "url or cloud_id is required"},
		"twice":           {elastic.Config{URLs: ok, CloudID: "x:eA=="}, "exclude each other"},
		"no url":          {elastic.Config{URLs: []string{"elastic"}}, "expected one such as"},
		"secret in url":   {elastic.Config{URLs: []string{"https://jo:hunter2@elastic"}}, "without user"},
		"two credentials": {elastic.Config{URLs: ok, APIKey: "k", Username: "u", Password: "p"}, "exclude each other"},
		"no password":     {elastic.Config{URLs: ok, Username: "u"}, "expected both"},
		"namespace":       {elastic.Config{URLs: ok, Namespace: "a-b"}, "namespace"},
		"short":           {elastic.Config{URLs: ok, Retention: 180}, "at least 400"},
		"short view":      {elastic.Config{URLs: ok, View: 1}, "at least 30"},
		"proxy":           {elastic.Config{URLs: ok, Proxy: "ftp://x"}, "proxy"},
		"cloud":           {elastic.Config{CloudID: "prod:" + base64.StdEncoding.EncodeToString([]byte("eu.example.com$abc$def"))}, ""},
		"bad cloud":       {elastic.Config{CloudID: "prod"}, "cloud_id"},
	}
	for name, tt := range tests {
		t.Run(name, func(t *testing.T) {
			t.Parallel()
			tt.cfg.Log, tt.cfg.Now = discard(), time.Now
			_, err := elastic.New(tt.cfg)
			if tt.want == "" && err != nil || tt.want != "" && (err == nil || !strings.Contains(err.Error(), tt.want)) || err != nil && strings.Contains(err.Error(), "hunter2") {
				t.Errorf("New() = %v, want %q", err, tt.want)
			}
		})
	}
}

func TestCloudID(t *testing.T) {
	t.Parallel()
	enc := func(s string) string { return "name:" + base64.StdEncoding.EncodeToString([]byte(s)) }
	for in, want := range map[string]string{
		enc("eu-central-1.aws.cloud.es.io$abc$def"):      "https://abc.eu-central-1.aws.cloud.es.io",
		enc("eu-central-1.aws.cloud.es.io:9243$abc$def"): "https://abc.eu-central-1.aws.cloud.es.io:9243",
		enc("es.io$abc"):             "https://abc.es.io",
		enc("es.io"):                 "",
		enc("es.io/$abc/../$x"):      "",
		enc("evil@es.io$abc$x"):      "",
		enc("es.io$a b$x"):           "",
		enc("es.io:port$abc$x"):      "",
		"nobase64:%%%":               "",
		enc("es.io$abc?x=1#$kibana"): "",
	} {
		if got, err := elastic.AddressOf(in); got != want || (err == nil) != (want != "") {
			t.Errorf("AddressOf(%q) = %q, %v; want %q", in, got, err, want)
		}
	}
}

func FuzzCloudID(f *testing.F) {
	f.Add("name:" + base64.StdEncoding.EncodeToString([]byte("es.io:9243$abc$def")))
	f.Fuzz(func(t *testing.T, id string) {
		address, err := elastic.AddressOf(id)
		if err != nil {
			return
		}
		if !strings.HasPrefix(address, "https://") || strings.ContainsAny(address[8:], "/?#@ \\%") {
			t.Errorf("%q is the address %q", id, address)
		}
	})
}

// FuzzAnswer: whatever answers a bulk request, a document that is not said to be
// there is not taken for delivered.
func FuzzAnswer(f *testing.F) {
	f.Add([]byte(`{"items":[{"create":{"_index":".ds-1","status":201}},{"create":{"_index":".ds-1","status":409}}]}`))
	f.Add([]byte(`{"items":[{"create":{"status":400,"error":{"type":"x","reason":"y","caused_by":{"reason":"z"}}}}]}`))
	f.Add([]byte(`{"items":[null,{}]}`))
	f.Fuzz(func(t *testing.T, body []byte) {
		srv := newFake(t)
		srv.any = func(w http.ResponseWriter, r *http.Request) bool {
			if strings.HasSuffix(r.URL.Path, "/_bulk") {
				_, _ = w.Write(body)
			}
			return strings.HasSuffix(r.URL.Path, "/_bulk")
		}
		d := newDesk(t)
		rec := d.record(t, wide(t, "fuzz", 0)) // two documents
		err := d.deliver(t, elastic.Config{URLs: []string{srv.URL}}, rec)
		if err == nil && d.owed(t, rec.Run.ID).Rejected == 0 && strings.Count(string(body), "status") < 2 {
			t.Errorf("%q passes for two documents delivered", body)
		}
	})
}
