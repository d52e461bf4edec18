package main

import (
	"encoding/json"
	"fmt"
	"io"
	"net/http"
	"regexp"
	"strings"
	"syscall"
	"testing"

	"github.com/crosscheck-dev/crosscheck/audit"
)

var answeringAt = regexp.MustCompile(`"msg":"answering","address":"([^"]+)"`)

// asking is a daemon process that is asked over HTTP.
type asking struct {
	t    *testing.T
	home home
	url  string
}

func (a asking) ask(token, method, path, body string) (int, string) {
	a.t.Helper()
	r, err := http.NewRequestWithContext(a.t.Context(), method, a.url+path, strings.NewReader(body))
	if err != nil {
		a.t.Fatal(err)
	}
	if token != "" {
		r.Header.Set("Authorization", "Bearer "+token)
	}
	if body != "" {
		r.Header.Set("Content-Type", "application/json")
	}
	resp, err := http.DefaultClient.Do(r)
	if err != nil {
		a.t.Fatal(err)
	}
	b, err := io.ReadAll(resp.Body)
	if cerr := resp.Body.Close(); err != nil || cerr != nil {
		a.t.Fatal(err, cerr)
	}
	return resp.StatusCode, string(b)
}

// askable starts a daemon with the tokens of an operator and of a viewer.
func askable(t *testing.T, more string) (asking, func(syscall.Signal), func()) {
	t.Helper()
	h := seldom(t, "0 0 1 1 *")
	h.write(t, "operator.token", strings.Repeat("o", 48)+"\n")
	h.write(t, "viewer.token", strings.Repeat("v", 48)+"\n")
	h.write(t, "crosscheck.yaml", askableConfig(more))
	cmd, stderr := startDaemon(t, h)
	var address []string
	await(t, "an address", func() bool { address = answeringAt.FindStringSubmatch(stderr.String()); return address != nil })
	signal := func(s syscall.Signal) {
		if err := cmd.Process.Signal(s); err != nil {
			t.Fatal(err)
		}
	}
	return asking{t, h, "http://" + address[1]}, signal, func() { stopDaemon(t, cmd, stderr) }
}

func askableConfig(more string) string {
	return strings.Replace(seldomConfig("0 0 1 1 *"), "api: {listen: '127.0.0.1:0'}\n",
		"api:\n  listen: '127.0.0.1:0'\n  tokens:\n    - {name: jo, roles: [operator], token: {file: operator.token}}\n"+
			"    - {name: vi, roles: [viewer], token: {file: viewer.token}}\n"+more, 1)
}

// TestDaemonAnswers: a daemon is asked for an audit and runs it in its one slot,
// counts it, and says so when the configuration file is wrong.
func TestDaemonAnswers(t *testing.T) {
	t.Parallel()
	a, signal, stop := askable(t, "")
	operator, viewer := strings.Repeat("o", 48), strings.Repeat("v", 48)
	if code, body := a.ask("", http.MethodGet, "/readyz", ""); code != http.StatusOK {
		t.Errorf("ready: %d %s", code, body)
	}
	for token, want := range map[string]int{"": http.StatusUnauthorized, viewer: http.StatusForbidden} {
		if code, body := a.ask(token, http.MethodPost, "/api/v1/runs", `{"audit":"a"}`); code != want {
			t.Errorf("start with %q: %d %s", token, code, body)
		}
	}
	code, body := a.ask(operator, http.MethodPost, "/api/v1/runs", `{"audit":"a"}`)
	var job struct{ ID string }
	if err := json.Unmarshal([]byte(body), &job); err != nil || code != http.StatusAccepted || job.ID == "" {
		t.Fatalf("start: %d %s", code, body)
	}
	var done struct{ Status, Run string }
	await(t, "the job", func() bool {
		_, body := a.ask(viewer, http.MethodGet, "/api/v1/jobs/"+job.ID, "")
		if err := json.Unmarshal([]byte(body), &done); err != nil {
			t.Fatal(err)
		}
		return done.Status == "done" || done.Status == "failed"
	})
	if done.Status != "done" {
		t.Fatalf("the job: %+v", done)
	}
	l := openLedger(t, a.home)
	run, err := l.Run(t.Context(), done.Run)
	if err != nil || run.Audit != "a" || run.Trigger != audit.Manual || run.Status != audit.Complete {
		t.Errorf("run %s of %q: %s, %s, %v", run.ID, run.Audit, run.Trigger, run.Status, err)
	}
	await(t, "the delivery to be counted", func() bool {
		_, body := a.ask(viewer, http.MethodGet, "/metrics", "")
		return strings.Contains(body, `crosscheck_deliveries{sink="files",status="delivered"} 1`)
	})
	reloaded := func(token string, want int) {
		t.Helper()
		_, body := a.ask(token, http.MethodGet, "/metrics", "")
		if !strings.Contains(body, fmt.Sprintf("\ncrosscheck_config_reload_success %d\n", want)) || strings.Contains(body, "\ncrosscheck_config_reload_timestamp_seconds 0\n") {
			t.Errorf("the metrics do not say %d of a configuration that was read", want)
		}
	}
	reloaded(viewer, 1)
	a.home.write(t, "crosscheck.yaml", "version: [")
	signal(syscall.SIGHUP)
	await(t, "unreadiness", func() bool {
		code, _ := a.ask("", http.MethodGet, "/readyz", "")
		return code == http.StatusServiceUnavailable
	})
	reloaded(viewer, 0)
	// Another token, without a restart: the old one is refused.
	a.home.write(t, "viewer.token", strings.Repeat("w", 48)+"\n")
	a.home.write(t, "crosscheck.yaml", askableConfig(""))
	signal(syscall.SIGHUP)
	await(t, "readiness", func() bool { code, _ := a.ask("", http.MethodGet, "/readyz", ""); return code == http.StatusOK })
	if code, _ := a.ask(viewer, http.MethodGet, "/api/v1/runs", ""); code != http.StatusUnauthorized {
		t.Errorf("the old token: %d", code)
	}
	if code, _ := a.ask(strings.Repeat("w", 48), http.MethodGet, "/api/v1/runs", ""); code != http.StatusOK {
		t.Errorf("the new token: %d", code)
	}
	reloaded(strings.Repeat("w", 48), 1)
	stop()
	if _, err := http.Get(a.url + "/healthz"); err == nil { //nolint:noctx // nobody is to answer
		t.Error("it still answers")
	}
}
