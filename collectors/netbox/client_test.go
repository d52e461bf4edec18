package netbox_test

import (
	"context"
	"encoding/pem"
	"errors"
	"fmt"
	"io"
	"log"
	"net/http"
	"net/http/httptest"
	"os"
	"path/filepath"
	"slices"
	"strings"
	"sync/atomic"
	"testing"
	"time"

	"github.com/google/go-cmp/cmp"

	"github.com/crosscheck-dev/crosscheck/audit"
	"github.com/crosscheck-dev/crosscheck/audit/audittest"
	"github.com/crosscheck-dev/crosscheck/collectors/netbox/netboxtest"
)

// TestRedirect: a redirect is not followed, and no other host learns the token.
func TestRedirect(t *testing.T) {
	t.Parallel()
	var visits atomic.Int32
	thief := serve(t, http.HandlerFunc(func(http.ResponseWriter, *http.Request) { visits.Add(1) }))
	for _, status := range []int{301, 302, 303, 307, 308} {
		s := serve(t, http.HandlerFunc(func(w http.ResponseWriter, r *http.Request) {
			http.Redirect(w, r, thief+r.URL.Path+"?steal=1", status)
		}))
		_, _, err := collect(t, config(s))
		var se *audit.SourceError
		if !errors.As(err, &se) || se.Code != audit.Failed || !strings.Contains(err.Error(), fmt.Sprintf("%q", thief)) || strings.Contains(err.Error(), "steal") {
			t.Errorf("%d: %v, want where it leads, and that url be corrected", status, err)
		}
	}
	if n := visits.Load(); n > 0 {
		t.Errorf("the other host had %d visits", n)
	}
}

// TestLinksAreNotFollowed: next may name any host that a proxy says.
func TestLinksAreNotFollowed(t *testing.T) {
	t.Parallel()
	var visits atomic.Int32
	thief := serve(t, http.HandlerFunc(func(http.ResponseWriter, *http.Request) { visits.Add(1) }))
	s := as(t, "")
	cfg := config(serve(t, http.HandlerFunc(func(w http.ResponseWriter, r *http.Request) {
		r.Header.Set("X-Forwarded-Host", strings.TrimPrefix(thief, "http://"))
		q, excluded := r.URL.Query(), strings.HasSuffix(r.URL.Path, "/devices/") || strings.HasSuffix(r.URL.Path, "-machines/")
		if r.URL.Path != "/api/status/" && !q.Has("is_superuser") && (q.Get("ordering") != "id" || q.Get("limit") != "20" || !q.Has("id__gt") || q.Has("offset")) ||
			(q.Get("exclude") == "config_context") != excluded {
			t.Errorf("asked %s", r.URL)
		}
		s.ServeHTTP(w, r)
	})))
	cfg.Page = 20
	w, col, err := collect(t, cfg)
	if err != nil || len(col.Gaps) > 0 || len(w.Resources) != 361 || visits.Load() > 0 {
		t.Errorf("Collect() = %v, gaps %v, %d documents, %d visits elsewhere", err, gaps(col), len(w.Resources), visits.Load())
	}
}

func TestAuthorizationHeader(t *testing.T) {
	t.Parallel()
	for token, want := range map[string]string{
		netboxtest.AdminToken: "Token " + netboxtest.AdminToken,
		"nbt_abcdefghijkl.00112233445566778899aabbccddeeff00112233": "Bearer nbt_abcdefghijkl.00112233445566778899aabbccddeeff00112233",
	} {
		cfg := config("https://netbox.example/dc1/")
		cfg.Token = token
		cfg.HTTPClient = &http.Client{Transport: roundTrip(func(r *http.Request) (*http.Response, error) {
			if got := r.Header.Get("Authorization"); got != want {
				t.Errorf("Authorization: %q, want %q", got, want)
			}
			if r.URL.Host != "netbox.example" || !strings.HasPrefix(r.URL.Path, "/dc1/api/") || r.URL.Scheme != "https" {
				t.Errorf("asked %s", r.URL)
			}
			if strings.Contains(r.URL.String(), token) {
				t.Error("the token is in a URL")
			}
			return answer(r, http.StatusOK, "application/json", `{"netbox-version":"4.3.2","count":0,"results":[]}`), nil
		})}
		if _, col, err := collect(t, cfg); err != nil || len(col.Types) != len(estate) {
			t.Errorf("Collect() = %v, types %v", err, col.Types)
		}
	}
}

// TestV2Token: from 4.5 on a token is known by its key.
func TestV2Token(t *testing.T) {
	t.Parallel()
	cfg := config("https://netbox.example")
	cfg.Token = "nbt_abcdefghijkl.00112233445566778899aabbccddeeff00112233"
	cfg.HTTPClient = answers(map[string]string{
		"/api/users/tokens/": `{"count":2,"results":[
			{"id":1,"display":"x","key":"mnopqrstuvwx","user":{"id":8,"username":"other"},"write_enabled":true},
			{"id":2,"display":"y","key":"abcdefghijkl","user":{"id":9,"username":"reader"},"write_enabled":false}]}`,
	})
	_, col, err := collect(t, cfg)
	if err != nil || col.Identity != "reader (user 9, token 2)" || len(col.Notices) > 0 {
		t.Errorf("Collect() = %v, identity %q, notices %v", err, col.Identity, col.Notices)
	}
}

// TestAmbiguousToken: two users' tokens that end alike tell nothing.
func TestAmbiguousToken(t *testing.T) {
	t.Parallel()
	const mask = "**********************************234567"
	cfg := config("https://netbox.example")
	cfg.HTTPClient = answers(map[string]string{
		"/api/users/tokens/": `{"count":2,"results":[
			{"id":1,"display":"` + mask + `","user":{"id":8,"username":"a"},"write_enabled":true},
			{"id":2,"display":"` + mask + `","user":{"id":9,"username":"b"},"write_enabled":false}]}`,
	})
	_, col, err := collect(t, cfg)
	if err != nil || !strings.HasPrefix(col.Identity, "an unknown user of") || len(col.Notices) > 0 {
		t.Errorf("Collect() = %v, identity %q, notices %v", err, col.Identity, col.Notices)
	}
}

// TestAnswers goes through answers that no NetBox gives, but what stands before it may.
func TestAnswers(t *testing.T) {
	t.Parallel()
	const js, html = "application/json", "text/html; charset=utf-8"
	tests := map[string]struct {
		status            int
		contentType, body string
		code              audit.GapCode
		says              string
	}{
		"403 of a proxy":        {403, html, "<html>CANARY</html>", audit.AccessDenied, "a proxy before it"},
		"401":                   {401, js, `{"detail":"Token expired"}`, audit.Unauthenticated, "expired"},
		"403 of a later NetBox": {403, js, `{"detail":"Invalid v2 token"}`, audit.Unauthenticated, "does not know the token"},
		"403 for other reasons": {403, js, `{"detail":"CANARY"}`, audit.AccessDenied, "NetBox denied access"},
		"no permission":         {403, js, `{"detail":"You do not have permission to perform this action."}`, audit.AccessDenied, "no permission to view"},
		"redirect to nowhere":   {302, html, "", audit.Failed, "a redirect, which is not followed"},
		"not found":             {404, html, "<html>CANARY</html>", audit.Failed, "is url the address of NetBox 4"},
		"log-in page":           {200, html, "<html>CANARY</html>", audit.Failed, "a log-in page before it"},
		"no type":               {200, "", `{}`, audit.Failed, "is no JSON"},
		"bad request":           {400, js, `{"CANARY":["no"]}`, audit.Failed, "answered 400"},
		"teapot":                {418, html, "", audit.Failed, "answered 418"},
		"created":               {201, js, `{}`, audit.Failed, "answered 201"},
		"error with a class":    {500, js, `{"exception":"KeyError","error":"CANARY"}`, audit.Failed, "answered 500 (KeyError)"},
		"error of a stranger":   {500, js, `{"exception":"CANARY \u001b[2J"}`, audit.Failed, "answered 500: look"},
	}
	for name, tt := range tests {
		t.Run(name, func(t *testing.T) {
			t.Parallel()
			cfg := config("https://netbox.example")
			lines := logged(&cfg)
			cfg.HTTPClient = &http.Client{Transport: roundTrip(func(r *http.Request) (*http.Response, error) {
				return answer(r, tt.status, tt.contentType, tt.body), nil
			})}
			_, _, err := collect(t, cfg)
			var se *audit.SourceError
			if !errors.As(err, &se) || se.Code != tt.code || !strings.Contains(err.Error(), tt.says) {
				t.Errorf("Collect() = %v, want %s, %q", err, tt.code, tt.says)
			}
			if strings.Contains(fmt.Sprint(err)+lines.String(), "CANARY") {
				t.Errorf("the server's own text is in %v or %s", err, lines)
			}
		})
	}
}

// TestImpatient: a pause before a retry ends with the context.
func TestImpatient(t *testing.T) {
	t.Parallel()
	ctx, cancel := context.WithTimeout(t.Context(), 50*time.Millisecond)
	defer cancel()
	cfg := config("https://netbox.example")
	cfg.Wait = nil
	cfg.HTTPClient = &http.Client{Transport: roundTrip(func(r *http.Request) (*http.Response, error) {
		return answer(r, http.StatusServiceUnavailable, "text/plain", ""), nil
	})}
	_, err := collector(t, cfg).Collect(ctx, audit.Request{Origin: origin}, &audittest.Writer{})
	if !errors.Is(err, context.DeadlineExceeded) {
		t.Errorf("Collect() = %v, want the context's end", err)
	}
}

func TestRetries(t *testing.T) {
	t.Parallel()
	tests := map[string]struct {
		status int
		after  string
		times  int32 // it fails
		code   audit.GapCode
		waits  []time.Duration
	}{
		"gateway, once":      {502, "", 1, "", []time.Duration{time.Second}},
		"unavailable, twice": {503, "3", 2, "", []time.Duration{3 * time.Second, 3 * time.Second}},
		"throttled for good": {429, "86400", 9, audit.Throttled, []time.Duration{30 * time.Second, 30 * time.Second}},
		"gateway for good":   {504, "soon", 9, audit.Failed, []time.Duration{time.Second, 2 * time.Second}},
		"error":              {500, "", 9, audit.Failed, nil},
		"not found":          {404, "", 9, audit.Failed, nil},
		"no connection":      {0, "", 1, "", []time.Duration{time.Second}},
		"never a connection": {0, "", 9, audit.Unreachable, []time.Duration{time.Second, 2 * time.Second}},
	}
	for name, tt := range tests {
		t.Run(name, func(t *testing.T) {
			t.Parallel()
			var asked atomic.Int32
			var waits []time.Duration
			cfg := config("https://netbox.example")
			cfg.Wait = func(_ context.Context, d time.Duration) error {
				waits = append(waits, d)
				return nil
			}
			cfg.HTTPClient = &http.Client{Transport: roundTrip(func(r *http.Request) (*http.Response, error) {
				switch {
				case r.URL.Path != "/api/status/" || asked.Add(1) > tt.times:
					return answer(r, http.StatusOK, "application/json", `{"netbox-version":"4.3.7","count":0,"results":[]}`), nil
				case tt.status == 0:
					return nil, errors.New("connection refused")
				}
				a := answer(r, tt.status, "text/plain", "no")
				a.Header.Set("Retry-After", tt.after)
				return a, nil
			})}
			_, _, err := collect(t, cfg)
			var se *audit.SourceError
			errors.As(err, &se)
			if (se == nil) != (tt.code == "") || se != nil && se.Code != tt.code || !slices.Equal(waits, tt.waits) {
				t.Errorf("Collect() = %v after %v, want %q after %v", err, waits, tt.code, tt.waits)
			}
		})
	}
}

// TestTimed has each attempt timed by itself, without the pause before the next.
func TestTimed(t *testing.T) {
	t.Parallel()
	cfg := config("https://netbox.example")
	cfg.Wait = func(context.Context, time.Duration) error { return nil }
	var asked atomic.Int32
	cfg.HTTPClient = &http.Client{Transport: roundTrip(func(r *http.Request) (*http.Response, error) {
		if r.URL.Path == "/api/status/" && asked.Add(1) == 1 {
			return answer(r, http.StatusBadGateway, "text/plain", "no"), nil
		}
		return answer(r, http.StatusOK, "application/json", `{"netbox-version":"4.3.7","count":0,"results":[]}`), nil
	})}
	_, w, err := audittest.Timed(t, collector(t, cfg), audit.Request{Origin: origin}, &audittest.Writer{})
	if err != nil {
		t.Fatal(err)
	}
	answered, failed := w.Told()
	if diff := cmp.Diff(failed, map[string]int{"GET /api/status/": 1}); diff != "" {
		t.Errorf("failed (-got +want):\n%s", diff)
	}
	if answered["GET /api/status/"] != 1 || answered["GET /api/dcim/devices/"] == 0 {
		t.Errorf("answered: %v", answered)
	}
}

func TestVersions(t *testing.T) {
	t.Parallel()
	tests := map[string]struct {
		status string
		notice bool
		err    string
	}{
		"supported":      {`{"netbox-version":"4.3.0"}`, false, ""},
		"of Docker":      {`{"netbox-version":"4.3.7-Docker-3.3.0"}`, false, ""},
		"older minor":    {`{"netbox-version":"4.1.11"}`, true, ""},
		"newer minor":    {`{"netbox-version":"4.30.1"}`, true, ""},
		"older major":    {`{"netbox-version":"3.7.8"}`, false, "only NetBox 4"},
		"newer major":    {`{"netbox-version":"5.0.0"}`, false, "only NetBox 4"},
		"none":           {`{}`, true, ""},
		"hostile":        {`{"netbox-version":"4.3.7\u001b[2J"}`, true, ""},
		"not an object":  {`[]`, false, "not that of a NetBox"},
		"not JSON":       {`hello`, false, "not that of a NetBox"},
		"another's JSON": {`{"netbox-version":7}`, false, "not that of a NetBox"},
	}
	for name, tt := range tests {
		t.Run(name, func(t *testing.T) {
			t.Parallel()
			cfg := config("https://netbox.example")
			cfg.HTTPClient = answers(map[string]string{"/api/status/": tt.status})
			_, col, err := collect(t, cfg)
			if (err != nil) != (tt.err != "") || err != nil && !strings.Contains(err.Error(), tt.err) {
				t.Fatalf("Collect() = %v, want %q", err, tt.err)
			}
			if slices.Contains(notices(col), "netbox_version") != tt.notice {
				t.Errorf("notices %v", col.Notices)
			}
		})
	}
}

func TestPlaintextNotice(t *testing.T) {
	t.Parallel()
	for url, want := range map[string]bool{
		"http://netbox.example": true, "http://10.0.0.8:8000": true, "https://netbox.example": false,
		"http://localhost:8000": false, "http://127.0.0.1": false, "http://[::1]:8000": false,
	} {
		cfg := config(url)
		cfg.HTTPClient = answers(nil)
		if _, col, err := collect(t, cfg); err != nil || slices.Contains(notices(col), "netbox_plaintext") != want {
			t.Errorf("%s: %v, notices %v, want one: %v", url, err, notices(col), want)
		}
	}
}

func TestCertificates(t *testing.T) {
	t.Parallel()
	s := httptest.NewUnstartedServer(as(t, ""))
	s.Config.ErrorLog = log.New(io.Discard, "", 0) // it logs each refusal of its certificate
	s.StartTLS()
	t.Cleanup(s.Close)
	dir := t.TempDir()
	ca := pem.EncodeToMemory(&pem.Block{Type: "CERTIFICATE", Bytes: s.Certificate().Raw})
	for name, content := range map[string][]byte{"ca.pem": ca, "empty.pem": nil} {
		if err := os.WriteFile(filepath.Join(dir, name), content, 0o600); err != nil {
			t.Fatal(err)
		}
	}
	for file, want := range map[string]string{
		"ca.pem": "", "": "name the CA that signed it in ca_file", "empty.pem": "no PEM certificate", "none.pem": "reading certificates",
	} {
		cfg := config(s.URL)
		if file != "" {
			cfg.CAFile = filepath.Join(dir, file)
		}
		_, _, err := collect(t, cfg)
		if (err != nil) != (want != "") || err != nil && !strings.Contains(err.Error(), want) {
			t.Errorf("%q: %v, want %q", file, err, want)
		}
	}
}

func TestTimeout(t *testing.T) {
	t.Parallel()
	done := make(chan struct{})
	s := httptest.NewServer(http.HandlerFunc(func(http.ResponseWriter, *http.Request) { <-done }))
	t.Cleanup(s.Close)
	t.Cleanup(func() { close(done) })
	cfg := config(s.URL)
	cfg.Timeout = 50 * time.Millisecond
	_, _, err := collect(t, cfg)
	var se *audit.SourceError
	if !errors.As(err, &se) || se.Code != audit.Unreachable {
		t.Errorf("Collect() = %v, want Unreachable", err)
	}
}

func TestCancelled(t *testing.T) {
	t.Parallel()
	ctx, cancel := context.WithCancel(t.Context())
	s := as(t, "")
	cfg := config(serve(t, http.HandlerFunc(func(w http.ResponseWriter, r *http.Request) {
		if r.URL.Path == "/api/dcim/devices/" {
			cancel()
		}
		s.ServeHTTP(w, r)
	})))
	_, err := collector(t, cfg).Collect(ctx, audit.Request{Origin: origin}, &audittest.Writer{})
	if !errors.Is(err, context.Canceled) {
		t.Errorf("Collect() = %v, want that it was cancelled", err)
	}
}
