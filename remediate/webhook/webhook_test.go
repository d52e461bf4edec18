package webhook_test

import (
	"encoding/json"
	"errors"
	"io"
	"net/http"
	"net/http/httptest"
	"strconv"
	"strings"
	"sync"
	"testing"
	"time"

	"github.com/google/go-cmp/cmp"

	"github.com/crosscheck-dev/crosscheck/remediate"
	"github.com/crosscheck-dev/crosscheck/remediate/webhook"
)

const secret = "FAKE-shared-secret-of-tests"

var at = time.Date(2026, 11, 25, 12, 0, 0, 0, time.UTC)

// receiver is a system that is asked: it checks what receivers are told to check.
type receiver struct {
	mu     sync.Mutex
	bodies []map[string]any
	heads  []http.Header
	seen   map[string]bool
	answer func(w http.ResponseWriter, action string)
}

func (v *receiver) ServeHTTP(w http.ResponseWriter, req *http.Request) {
	v.mu.Lock()
	defer v.mu.Unlock()
	b, err := io.ReadAll(req.Body)
	stamp := req.Header.Get(webhook.TimestampHeader)
	n, perr := strconv.ParseInt(stamp, 10, 64)
	if err != nil || perr != nil || time.Unix(n, 0).Sub(at).Abs() > 5*time.Minute || req.Header.Get(webhook.SignatureHeader) != webhook.Sign(secret, stamp, b) {
		w.WriteHeader(http.StatusUnauthorized)
		return
	}
	var body map[string]any
	if err := json.Unmarshal(b, &body); err != nil {
		w.WriteHeader(http.StatusBadRequest)
		return
	}
	if key := req.Header.Get(webhook.KeyHeader); key != "" {
		if v.seen[key] {
			w.WriteHeader(http.StatusConflict)
			return
		}
		v.seen[key] = true
	}
	v.bodies, v.heads = append(v.bodies, body), append(v.heads, req.Header.Clone())
	action, _ := body["action"].(string)
	v.answer(w, action)
}

func setup(t *testing.T, key string) (*receiver, *webhook.Runner) {
	t.Helper()
	v := &receiver{seen: map[string]bool{}, answer: func(w http.ResponseWriter, _ string) { _, _ = io.WriteString(w, `{"b":2,"a":1}`) }}
	srv := httptest.NewServer(v)
	t.Cleanup(srv.Close)
	r, err := webhook.New(webhook.Config{Endpoints: map[string]webhook.Endpoint{"fixer": {URL: srv.URL + "/hook", Secret: key}}, Now: func() time.Time { return at }})
	if err != nil {
		t.Fatal(err)
	}
	return v, r
}

func call(t *testing.T, name string) remediate.Call {
	t.Helper()
	b, err := remediate.Parse([]byte(`id: ask
version: 1.0.0
title: Ask
controls: [STO-001]
types: ["aws/AWS::S3::Bucket"]
runner: webhook
parameters:
  name: {from: document, pointer: /name, pattern: '^.*$', max: 4096}
act: {webhook: fixer, undo: true, dry_run: true, with: {name: {param: name}, list: [{param: name}]}}
`))
	if err != nil {
		t.Fatal(err)
	}
	return remediate.Call{Repair: strings.Repeat("ab", 32), Runbook: b, Resource: "aws/1/r/T/" + name, Origin: "aws/1/r", Type: "T", Targets: []remediate.Values{{"name": name}}}
}

func TestHostileNamesAreValues(t *testing.T) {
	t.Parallel()
	v, r := setup(t, secret)
	for _, name := range []string{
		`x","action":"undo","y":"`, "x\r\nX-Evil: 1", "{{.Secret}}", "</script>", "$(id)", `\u0022`, "x\x00y", "a?b=c#d", "../../admin",
	} {
		c := call(t, name)
		c.Repair = strings.Repeat("c", 64) + strconv.Itoa(len(v.bodies))
		if _, err := r.Act(t.Context(), c); err != nil {
			t.Errorf("%q: %v", name, err)
			continue
		}
		got := v.bodies[len(v.bodies)-1]
		if diff := cmp.Diff([]any{map[string]any{"name": name, "list": []any{name}}}, got["targets"]); diff != "" || got["action"] != "act" {
			t.Errorf("%q: action %v, %s", name, got["action"], diff)
		}
		if h := v.heads[len(v.heads)-1]; h.Get("X-Evil") != "" {
			t.Errorf("%q made a header", name)
		}
	}
}

func TestSignedAndKeyed(t *testing.T) {
	t.Parallel()
	v, r := setup(t, secret)
	c := call(t, "logs")
	if out, err := r.Act(t.Context(), c); err != nil || out != `{"b":2,"a":1}` {
		t.Fatalf("%q, %v", out, err)
	}
	if _, err := r.Act(t.Context(), c); err == nil || !strings.Contains(err.Error(), "409") {
		t.Errorf("the same key is new: %v", err)
	}
	c.DryRun = true
	for range 2 {
		if _, err := r.Act(t.Context(), c); err != nil {
			t.Errorf("a dry run: %v", err)
		}
	}
	before, err := r.Capture(t.Context(), c)
	if err != nil || string(before) != `{"a":1,"b":2}` {
		t.Errorf("captured %s, %v", before, err)
	}
	if _, err := r.Undo(t.Context(), c, before); err != nil {
		t.Fatal(err)
	}
	last := v.bodies[len(v.bodies)-1]
	if diff := cmp.Diff(map[string]any{"a": 1.0, "b": 2.0}, last["before"]); diff != "" || last["action"] != "undo" {
		t.Error(diff)
	}
	_, stranger := setup(t, "FAKE-another-secret")
	if _, err := stranger.Act(t.Context(), c); err == nil || !strings.Contains(err.Error(), "401") {
		t.Errorf("another secret: %v", err)
	}
}

func TestWhatIsAnswered(t *testing.T) {
	t.Parallel()
	tests := map[string]struct {
		answer func(http.ResponseWriter)
		want   string
	}{
		"refused": {func(w http.ResponseWriter) { w.WriteHeader(http.StatusForbidden) }, "answered 403"},
		"broken":  {func(w http.ResponseWriter) { w.WriteHeader(http.StatusInternalServerError) }, "answered 500"},
		"redirect": {func(w http.ResponseWriter) {
			w.Header().Set("Location", "http://169.254.169.254/")
			w.WriteHeader(http.StatusFound)
		}, "answered 302"},
		"without end": {func(w http.ResponseWriter) { _, _ = io.WriteString(w, strings.Repeat("x", 2<<20)) }, "larger than"},
	}
	for name, tt := range tests {
		t.Run(name, func(t *testing.T) {
			t.Parallel()
			v, r := setup(t, secret)
			v.answer = func(w http.ResponseWriter, _ string) { tt.answer(w) }
			_, err := r.Act(t.Context(), call(t, "logs"))
			if err == nil || !strings.Contains(err.Error(), tt.want) || strings.Contains(err.Error(), "/hook") {
				t.Errorf("%v, want %q", err, tt.want)
			}
			if len(v.bodies) != 1 {
				t.Errorf("it was asked %d times", len(v.bodies))
			}
		})
	}
}

// TestWhatMayGoOn: a system that did not answer, or whose gateway gave up on it,
// may be at work; one that answered is not.
func TestWhatMayGoOn(t *testing.T) {
	t.Parallel()
	for name, tt := range map[string]struct {
		answer func(w http.ResponseWriter, _ string)
		atWork bool
	}{
		"cut":     {func(http.ResponseWriter, string) { panic(http.ErrAbortHandler) }, true},
		"502":     {func(w http.ResponseWriter, _ string) { w.WriteHeader(http.StatusBadGateway) }, true},
		"504":     {func(w http.ResponseWriter, _ string) { w.WriteHeader(http.StatusGatewayTimeout) }, true},
		"refused": {func(w http.ResponseWriter, _ string) { w.WriteHeader(http.StatusForbidden) }, false},
		"failed":  {func(w http.ResponseWriter, _ string) { w.WriteHeader(http.StatusInternalServerError) }, false},
	} {
		t.Run(name, func(t *testing.T) {
			t.Parallel()
			v, r := setup(t, secret)
			v.answer = tt.answer
			if _, err := r.Act(t.Context(), call(t, "logs")); err == nil || errors.Is(err, remediate.ErrAtWork) != tt.atWork {
				t.Errorf("Act() = %v, want at work: %v", err, tt.atWork)
			}
		})
	}
}

func TestConfigAndRunbook(t *testing.T) {
	t.Parallel()
	for name, e := range map[string]webhook.Endpoint{
		"short secret": {URL: "https://x.example", Secret: "short"}, "no host": {URL: "https://", Secret: secret},
		"user": {URL: "https://a:b@x.example", Secret: secret}, "file": {URL: "file:///etc/passwd", Secret: secret},
	} {
		if _, err := webhook.New(webhook.Config{Endpoints: map[string]webhook.Endpoint{"x": e}, Now: time.Now}); err == nil {
			t.Errorf("%s is taken", name)
		}
	}
	_, r := setup(t, secret)
	b := call(t, "x").Runbook
	if err := r.Check(b); err != nil {
		t.Error(err)
	}
	b.Act = map[string]any{"webhook": "other"}
	if err := r.Check(b); err == nil {
		t.Error("an unknown webhook is taken")
	}
	b.Act, b.RollBack = map[string]any{"webhook": "fixer"}, true
	if err := r.Check(b); err == nil {
		t.Error("roll back without undo is taken")
	}
}
