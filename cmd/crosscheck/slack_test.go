package main

import (
	"context"
	"fmt"
	"io"
	"net/http"
	"net/http/httptest"
	"os"
	"path/filepath"
	"strings"
	"sync"
	"testing"
	"time"

	"github.com/crosscheck-dev/crosscheck/configs"
	"github.com/crosscheck-dev/crosscheck/report/slack"
)

// slackHook takes what the program posts. It is no real Slack, which cannot run here.
type slackHook struct {
	*httptest.Server
	mu     sync.Mutex
	bodies []string
	status int
}

func newWebhook(t *testing.T) *slackHook {
	t.Helper()
	w := &slackHook{status: http.StatusOK}
	w.Server = httptest.NewServer(http.HandlerFunc(func(rw http.ResponseWriter, r *http.Request) {
		b, err := io.ReadAll(r.Body)
		if err != nil || r.URL.Path != "/services/T0/B0/canarysecret" {
			t.Errorf("%s: %v", r.URL.Path, err)
		}
		w.mu.Lock()
		defer w.mu.Unlock()
		rw.WriteHeader(w.status)
		if w.status == http.StatusOK {
			w.bodies = append(w.bodies, string(b))
		}
	}))
	t.Cleanup(w.Close)
	return w
}

// take gives what was posted since it was last asked.
func (w *slackHook) take() []string {
	w.mu.Lock()
	defer w.mu.Unlock()
	out := w.bodies
	w.bodies = nil
	return out
}

func (w *slackHook) answer(status int) {
	w.mu.Lock()
	defer w.mu.Unlock()
	w.status = status
}

func volume(encrypted bool, serial int) string {
	return fmt.Sprintf(`{"version": 4, "terraform_version": "1.9.0", "serial": %d, "lineage": "8f1d2a6e-0000-4000-8000-000000000000", "outputs": {}, "resources": [
  {"mode": "managed", "type": "aws_ebs_volume", "name": "a", "provider": "provider[\"registry.terraform.io/hashicorp/aws\"]", "instances": [
    {"schema_version": 0, "attributes": {"id": "vol-a", "encrypted": %t, "size": 8, "tags": {"owner": "web"}}, "sensitive_attributes": []}]}]}`, serial, encrypted)
}

// TestSlackNights: the program tells each night's changes, keeps what Slack did
// not take, says a secret nowhere, and nudges who met a control for the third time.
func TestSlackNights(t *testing.T) {
	t.Parallel()
	h, w := newHome(t), newWebhook(t)
	library, err := filepath.Abs(filepath.Join("..", "..", "policies"))
	if err != nil {
		t.Fatal(err)
	}
	for _, dir := range []string{"lib", "controls/compute"} {
		if err := os.CopyFS(h.path("policies", dir), os.DirFS(filepath.Join(library, dir))); err != nil {
			t.Fatal(err)
		}
	}
	h.write(t, "crosscheck.yaml", `version: 1
entity: E
system: Freight
library: ./policies
sources: {terraform: [{name: main, files: [state.tfstate]}]}
sinks:
  console: {}
  slack: {webhook: {env: HOOK}, owners: {web: U0123456789}}
`)
	h.write(t, "state.tfstate", volume(true, 0))
	if out := h.exits(t, []int{1}, nil, "config", "check"); !strings.Contains(string(out.stderr), "sinks.slack.webhook: environment variable HOOK is not set") {
		t.Errorf("config check says %s", out.stderr)
	}
	env := []string{"HOOK=" + w.URL + "/services/T0/B0/canarysecret"}
	h.exits(t, []int{0}, env, "config", "check")
	night := func(encrypted bool, serial, code int) []string {
		t.Helper()
		for at := time.Now().Unix(); time.Now().Unix() == at; { // two nights within a second would be one run
			if err := pause(t.Context(), 20*time.Millisecond); err != nil {
				t.Fatal(err)
			}
		}
		h.write(t, "state.tfstate", volume(encrypted, serial))
		out := h.exits(t, []int{code}, env, "audit")
		if text := string(out.stdout) + string(out.stderr); strings.Contains(text, "canarysecret") {
			t.Errorf("it says the secret:\n%s", text)
		}
		return w.take()
	}
	one := func(list []string, want ...string) {
		t.Helper()
		if len(list) != 1 {
			t.Fatalf("%d messages:\n%s", len(list), strings.Join(list, "\n"))
		}
		for _, text := range want {
			if !strings.Contains(list[0], text) {
				t.Errorf("the message does not say %q:\n%s", text, list[0])
			}
		}
	}
	one(night(false, 1, 0), "1 new, 0 fixed, 0 still open", `\u003c@U0123456789\u003e 1`, "CMP-001", "crosscheck decisions show ID")
	one(night(true, 2, 0), "0 new, 1 fixed, 0 still open", "(−1)")
	w.answer(http.StatusServiceUnavailable)
	if list := night(false, 3, 1); len(list) != 0 {
		t.Errorf("%d messages while it is down", len(list))
	}
	w.answer(http.StatusOK)
	night(true, 4, 0)
	list := night(false, 5, 0)
	var nudged string
	for _, m := range list {
		if strings.Contains(m, "came back") {
			nudged = m
		}
	}
	for _, want := range []string{"3rd time", "CMP-001", "The fix in terraform", "Your history", "violations list --all --control CMP-001 --owner web"} {
		if !strings.Contains(nudged, want) {
			t.Errorf("the nudge does not say %q: %s\nof %d messages", want, nudged, len(list))
		}
	}
	for name, b := range tree(t, h.data()) {
		if strings.Contains(string(b), "canarysecret") {
			t.Errorf("%s holds the secret", name)
		}
	}
}

// TestSlackPeople: who may press a button is who the configuration says.
func TestSlackPeople(t *testing.T) {
	t.Parallel()
	decide := func(context.Context, string, bool, slack.Person) (string, error) { return "", nil }
	text := "version: 1\nentity: E\nsystem: S\nsources: {demo: true}\nsinks: {slack: {webhook: {env: W}%s}}\n"
	for more, want := range map[string]bool{"": false, ", signing_secret: {env: S}, people: {U0123456789: {name: jo, roles: [approver]}}": true} {
		cfg, err := configs.Parse(fmt.Appendf(nil, text, more), "c.yaml")
		if err != nil {
			t.Fatal(err)
		}
		a := &app{now: time.Now}
		in := &installation{cfg: cfg, log: a.logger(cfg.Log)}
		x, err := a.interactions(in, decide)
		if (x != nil) != want || err != nil {
			t.Errorf("%q: a handler: %t, %v", more, x != nil, err)
		}
	}
}
