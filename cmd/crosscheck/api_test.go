package main

import (
	"bytes"
	"context"
	"crypto/sha256"
	"encoding/base64"
	"encoding/json"
	"errors"
	"io"
	"net/http"
	"os"
	"path/filepath"
	"regexp"
	"strings"
	"testing"
	"time"

	"github.com/crosscheck-dev/crosscheck/audit"
	"github.com/crosscheck-dev/crosscheck/web"
)

// apiSite is an installation that answers over HTTP, as the daemon puts it together.
type apiSite struct {
	t      *testing.T
	url    string
	in     *installation
	dir    string
	tokens map[web.Role]string
}

// newAPI audits a small estate once, and serves it.
func newAPI(t *testing.T) *apiSite {
	t.Helper()
	dir := t.TempDir()
	s := &apiSite{t: t, dir: dir, tokens: map[web.Role]string{}}
	var tokens strings.Builder
	for _, role := range web.Roles() {
		s.tokens[role] = strings.Repeat(string(role)+"-", 4)
		tokens.WriteString("    - {name: the-" + string(role) + ", roles: [" + string(role) + "], token: {file: " + string(role) + ".token}}\n")
		write(t, filepath.Join(dir, string(role)+".token"), s.tokens[role]+"\n")
	}
	write(t, filepath.Join(dir, "state.tfstate"), apiState)
	write(t, filepath.Join(dir, "crosscheck.yaml"), "version: 1\nentity: E\nsystem: S\nsources:\n  terraform: [{name: main, files: [state.tfstate]}]\napi:\n  listen: 127.0.0.1:0\n  tokens:\n"+tokens.String())
	a := &app{out: io.Discard, err: io.Discard, now: time.Now, config: filepath.Join(dir, "crosscheck.yaml"), engine: "vm"}
	now := &current{}
	if err := a.measure(now, func() []string { return nil }, nil); err != nil {
		t.Fatal(err)
	}
	in, err := a.prepare()
	if err != nil {
		t.Fatal(err)
	}
	s.in = in
	now.Store(in)
	perform := func(ctx context.Context, in *installation, o audit.Order) (audit.Run, error) {
		return a.perform(ctx, in, o, show{quiet: true})
	}
	if _, err := perform(t.Context(), in, audit.Order{Trigger: audit.Manual}); err != nil {
		t.Fatal(err)
	}
	t.Cleanup(func() {
		if err := in.close(); err != nil {
			t.Error(err)
		}
	})
	jobs, err := web.NewJobs(web.JobsConfig{Runner: apiRunner{turn: &turn{}, current: now, perform: perform}, Now: a.now, Log: in.log})
	if err != nil {
		t.Fatal(err)
	}
	ctx, stop := context.WithCancel(context.Background())
	done := make(chan error)
	go func() { done <- jobs.Run(ctx) }()
	cfg, err := a.apiConfig(in, nil)
	if err != nil {
		t.Fatal(err)
	}
	cfg.Jobs, cfg.Metrics, cfg.Observe = jobs, a.measured.Handler(), a.measured.Requested
	handler, err := web.New(cfg)
	if err != nil {
		t.Fatal(err)
	}
	serving := apiServe(in)
	serving.Handler = handler
	server, err := web.Listen(t.Context(), serving)
	if err != nil {
		t.Fatal(err)
	}
	go func() { done <- server.Serve(ctx) }()
	t.Cleanup(func() {
		stop()
		if err := errors.Join(<-done, <-done); err != nil {
			t.Error(err)
		}
	})
	s.url = "http://" + server.Addr().String()
	return s
}

func write(t *testing.T, path, text string) {
	t.Helper()
	if err := os.WriteFile(path, []byte(text), 0o600); err != nil {
		t.Fatal(err)
	}
}

const apiState = `{"version":4,"terraform_version":"1.9.0","serial":1,"lineage":"l","outputs":{},"resources":[
{"mode":"managed","type":"aws_ebs_volume","name":"a","provider":"provider[\"registry.terraform.io/hashicorp/aws\"]","instances":[{"schema_version":0,"attributes":{"arn":"arn:aws:ec2:eu-west-1:111122223333:volume/vol-a","availability_zone":"eu-west-1a","encrypted":false,"id":"vol-a","size":8,"tags":{"owner":"web"}}}]},
{"mode":"managed","type":"aws_ebs_volume","name":"b","provider":"provider[\"registry.terraform.io/hashicorp/aws\"]","instances":[{"schema_version":0,"attributes":{"arn":"arn:aws:ec2:eu-west-1:111122223333:volume/vol-b","availability_zone":"eu-west-1a","encrypted":true,"id":"vol-b","size":8,"tags":{"owner":"web"}}}]}],"check_results":null}
`

// ask sends a request. No answer may tell where things are on this machine.
func (s *apiSite) ask(role web.Role, method, path, body string) (int, http.Header, []byte) {
	s.t.Helper()
	r, err := http.NewRequestWithContext(s.t.Context(), method, s.url+path, strings.NewReader(body))
	if err != nil {
		s.t.Fatal(err)
	}
	if role != "" {
		r.Header.Set("Authorization", "Bearer "+s.tokens[role])
	}
	if body != "" {
		r.Header.Set("Content-Type", "application/json")
	}
	resp, err := http.DefaultClient.Do(r)
	if err != nil {
		s.t.Fatal(err)
	}
	b, err := io.ReadAll(resp.Body)
	if err != nil {
		s.t.Fatal(err)
	}
	_ = resp.Body.Close()
	if bytes.Contains(b, []byte(s.dir)) {
		s.t.Errorf("%s %s leaks a path: %s", method, path, b)
	}
	return resp.StatusCode, resp.Header, b
}

func (s *apiSite) get(role web.Role, path string, into any) {
	s.t.Helper()
	code, _, b := s.ask(role, "GET", path, "")
	if err := json.Unmarshal(b, into); err != nil || code != http.StatusOK {
		s.t.Fatalf("GET %s: %d %s %v", path, code, b, err)
	}
}

// job polls what was started until it is over.
func (s *apiSite) job(path, body string) web.Job {
	s.t.Helper()
	for {
		code, h, b := s.ask(web.Operator, "POST", path, body)
		if code == http.StatusConflict || code == http.StatusServiceUnavailable {
			continue // the job before gives its turn back just after it is over
		}
		if code != http.StatusAccepted {
			s.t.Fatalf("POST %s: %d %s", path, code, b)
		}
		for {
			var job web.Job
			if s.get(web.Viewer, h.Get("Location"), &job); !job.Ended.IsZero() {
				return job
			}
		}
	}
}

type apiPage struct {
	Run       string
	Decisions []audit.Found
	Next      string
}

// TestAPI asks a real installation: what it tells is what is on record.
func TestAPI(t *testing.T) {
	t.Parallel()
	s := newAPI(t)
	var runs struct{ Runs []web.RunSummary }
	s.get(web.Viewer, "/api/v1/runs", &runs)
	if len(runs.Runs) != 1 || runs.Runs[0].Resources != 2 || runs.Runs[0].Status != audit.Complete {
		t.Fatalf("runs %+v", runs)
	}
	run := runs.Runs[0].ID
	var detail web.RunDetail
	if s.get(web.Viewer, "/api/v1/runs/"+run[:8], &detail); detail.Summary.ID != run || len(detail.Counts) == 0 {
		t.Errorf("run %+v", detail)
	}
	var failed, all apiPage
	s.get(web.Viewer, "/api/v1/decisions?control=CMP-001", &failed)
	if len(failed.Decisions) != 1 || failed.Run != run || !strings.HasSuffix(failed.Decisions[0].Resource, "aws_ebs_volume.a") {
		t.Fatalf("failed %+v", failed)
	}
	for after, n := "", 0; n < 100; n++ { // a page of one after the other
		var p apiPage
		s.get(web.Viewer, "/api/v1/decisions?outcome=all&limit=1&after="+strings.ReplaceAll(after, " ", "%20"), &p)
		all.Decisions = append(all.Decisions, p.Decisions...)
		if after = p.Next; after == "" {
			break
		}
	}
	if int64(len(all.Decisions)) != runs.Runs[0].Listed {
		t.Errorf("%d decisions in pages, %d listed", len(all.Decisions), runs.Runs[0].Listed)
	}
	for _, d := range []string{failed.Decisions[0].ID, all.Decisions[len(all.Decisions)-1].ID[:10]} { // a pass too
		var shown web.Decision
		if s.get(web.Viewer, "/api/v1/decisions/"+d, &shown); !strings.HasPrefix(shown.Decision.ID, d) || len(shown.Document) == 0 || shown.Pack == "" {
			t.Errorf("decision %+v", shown)
		}
	}
	var open struct{ Violations []audit.Spell }
	s.get(web.Viewer, "/api/v1/violations?control=CMP-001&owner=web", &open)
	if len(open.Violations) != 1 || open.Violations[0].Opened.Run != run {
		t.Errorf("violations %+v", open)
	}
	var controls struct{ Controls []audit.Control }
	if s.get(web.Viewer, "/api/v1/controls?severity=critical", &controls); len(controls.Controls) == 0 {
		t.Error("no controls")
	}
	var owed struct{ Deliveries []audit.Delivery }
	if s.get(web.Operator, "/api/v1/deliveries?status=delivered", &owed); len(owed.Deliveries) != 2 {
		t.Errorf("deliveries %+v", owed)
	}
	var retried struct{ Retried int64 }
	code, _, b := s.ask(web.Operator, "POST", "/api/v1/deliveries/retry", `{"sink":"files","subject":"`+owed.Deliveries[0].Subject+`","again":true}`)
	if err := json.Unmarshal(b, &retried); err != nil || code != 200 || retried.Retried != 1 {
		t.Errorf("retried: %d %s", code, b)
	}
}

// TestAPIErrors has what is asked wrongly told as such, not as a fault of ours.
func TestAPIErrors(t *testing.T) {
	t.Parallel()
	s := newAPI(t)
	none := strings.Repeat("0", 64)
	for path, want := range map[string]int{
		"/api/v1/runs/" + none: 404, "/api/v1/decisions/" + none: 404, "/api/v1/decisions?run=" + none: 404, "/api/v1/runs?before=" + none: 404,
		"/api/v1/decisions?after=x": 422, "/api/v1/decisions?outcome=all&after=x%20y": 422, "/api/v1/violations?after=x": 422, "/api/v1/decisions?control=STO-999": 422,
		"/api/v1/controls?framework=x": 422, "/api/v1/repairs": 404,
	} {
		if code, _, b := s.ask(web.Viewer, "GET", path, ""); code != want {
			t.Errorf("%s: %d, want %d: %s", path, code, want, b)
		}
	}
	if code, _, _ := s.ask(web.Auditor, "GET", "/api/v1/packs/"+none, ""); code != 404 {
		t.Errorf("a pack of no run: %d", code)
	}
	for body, want := range map[string]int{
		`{"controls":["STO-999"]}`: 422, `{"audit":"weekly"}`: 422, `{"frameworks":["x"]}`: 422, `{"severity":"high","full":true}`: 202,
	} {
		if code, _, b := s.ask(web.Operator, "POST", "/api/v1/runs", body); code != want {
			t.Errorf("%s: %d, want %d: %s", body, code, want, b)
		}
	}
	for body, want := range map[string]int{
		`{"of":["` + none + `"]}`: 404, `{"requirements":["soc2-2017/CC0.0"]}`: 422, `{"owners":["nobody"]}`: 422,
	} {
		if code, _, b := s.ask(web.Operator, "POST", "/api/v1/reaudits", body); code != want {
			t.Errorf("%s: %d, want %d: %s", body, code, want, b)
		}
	}
	// Nothing is to be told of where a pack was, either.
	if err := os.RemoveAll(filepath.Join(s.dir, "crosscheck-data", "packs")); err != nil {
		t.Fatal(err)
	}
	var runs struct{ Runs []web.RunSummary }
	s.get(web.Viewer, "/api/v1/runs", &runs)
	if code, _, b := s.ask(web.Auditor, "GET", "/api/v1/packs/"+runs.Runs[len(runs.Runs)-1].ID, ""); code != 404 || !bytes.Contains(b, []byte("moved away")) {
		t.Errorf("%d %s", code, b)
	}
}

// TestAPIClosesTheLoop finds a violation, has it mended, and judged again, over HTTP alone.
func TestAPIClosesTheLoop(t *testing.T) {
	t.Parallel()
	s := newAPI(t)
	var failed apiPage
	s.get(web.Viewer, "/api/v1/decisions?control=CMP-001", &failed)
	write(t, filepath.Join(s.dir, "state.tfstate"), strings.Replace(apiState, `"encrypted":false`, `"encrypted":true`, 1))
	job := s.job("/api/v1/reaudits", `{"of":["`+failed.Decisions[0].ID[:12]+`"]}`)
	if job.Status != web.JobDone || job.RunStatus != audit.Complete || job.By != "the-operator" {
		t.Fatalf("job %+v", job)
	}
	var detail web.RunDetail
	s.get(web.Viewer, "/api/v1/runs/"+job.Run, &detail)
	if len(detail.Relinked) != 1 || detail.Summary.Trigger != audit.Reaudit {
		t.Errorf("re-audit %+v", detail)
	}
	var shown web.Decision
	if s.get(web.Viewer, "/api/v1/decisions/"+failed.Decisions[0].ID, &shown); shown.ReplacedBy == "" {
		t.Error("the decision is not said to be replaced")
	}
	var history struct{ Violations []audit.Spell }
	s.get(web.Viewer, "/api/v1/violations/history?control=CMP-001&resource="+failed.Decisions[0].Resource, &history)
	if len(history.Violations) != 1 || history.Violations[0].How != audit.Fixed || history.Violations[0].Closed.Run != job.Run {
		t.Errorf("history %+v", history)
	}
	if job = s.job("/api/v1/runs", `{}`); job.Status != web.JobDone {
		t.Errorf("job %+v", job)
	}
	if job = s.job("/api/v1/reaudits", `{"requirements":["soc2-2017/CC6.1"]}`); job.Status != web.JobDone {
		t.Errorf("job %+v", job)
	}
}

// TestAPIPack downloads a pack in two parts, and verifies what comes of it.
func TestAPIPack(t *testing.T) {
	t.Parallel()
	s := newAPI(t)
	var list struct{ Packs []web.Pack }
	s.get(web.Auditor, "/api/v1/packs", &list)
	if len(list.Packs) != 1 {
		t.Fatalf("packs %+v", list)
	}
	var whole bytes.Buffer
	var digest string
	for _, span := range []string{"bytes=0-9999", "bytes=10000-"} {
		r, err := http.NewRequestWithContext(t.Context(), http.MethodGet, s.url+"/api/v1/packs/"+list.Packs[0].Run[:12], nil)
		if err != nil {
			t.Fatal(err)
		}
		r.Header.Set("Authorization", "Bearer "+s.tokens[web.Auditor])
		r.Header.Set("Range", span)
		resp, err := http.DefaultClient.Do(r)
		if err != nil {
			t.Fatal(err)
		}
		if _, err := io.Copy(&whole, resp.Body); err != nil || resp.StatusCode != http.StatusPartialContent {
			t.Fatalf("%s: %d %v", span, resp.StatusCode, err)
		}
		_ = resp.Body.Close()
		digest = resp.Header.Get("Repr-Digest")
	}
	sum := sha256.Sum256(whole.Bytes())
	if want := "sha-256=:" + base64.StdEncoding.EncodeToString(sum[:]) + ":"; digest != want {
		t.Errorf("digest %s, of what came %s", digest, want)
	}
	path := filepath.Join(s.dir, "downloaded.zip")
	write(t, path, whole.String())
	r, err := verifyPack(t.Context(), path, "")
	if err != nil || !r.Intact || r.Redecided == 0 || r.Pack != list.Packs[0].ID {
		t.Errorf("%+v, %v", r, err)
	}
}

// TestAPIMetrics scrapes a real installation, before and after more has happened.
func TestAPIMetrics(t *testing.T) {
	t.Parallel()
	s := newAPI(t)
	s.job("/api/v1/reaudits", `{"of":["CMP-001"]}`)
	code, _, b := s.ask(web.Viewer, "GET", "/metrics", "")
	if code != 200 {
		t.Fatalf("%d %s", code, b)
	}
	for _, want := range []string{
		`^crosscheck_decisions\{audit="",control="CMP-001",outcome="fail"\} 1$`, `^crosscheck_decisions\{audit="",control="CMP-001",outcome="pass"\} 1$`,
		`^crosscheck_violations_open\{excepted="no",outcome="fail",severity="high"\} [1-9]`, `^crosscheck_runs_total\{status="complete",trigger="reaudit"\} 1$`,
		`^crosscheck_deliveries\{sink="pack",status="delivered"\} 2$`, `^crosscheck_stage_duration_seconds_count\{result="ok",source="terraform",stage="collect"\} 2$`,
		`^crosscheck_source_call_duration_seconds_count\{operation="read",result="ok",source="terraform"\} 2$`,
		`^crosscheck_run_duration_seconds_count\{outcome="complete",trigger="manual"\} 1$`, `^crosscheck_decision_duration_seconds_count [1-9]`,
		`^crosscheck_delivery_try_duration_seconds_count\{result="delivered",sink="files"\} 2$`, `^crosscheck_last_complete_run_timestamp_seconds\{audit=""\} [1-9]`,
		`^crosscheck_ledger_readable 1$`, `^crosscheck_http_requests_total\{route="GET /api/v1/jobs/\{id\}",status="2xx"\} [1-9]`, `^crosscheck_repairs\{state="stuck"\} 0$`,
	} {
		if !regexp.MustCompile(`(?m)` + want).Match(b) {
			t.Errorf("no %s", want)
		}
	}
	if t.Failed() {
		t.Logf("%s", b)
	}
}

// TestTurn has one audit at a time, whoever asks.
func TestTurn(t *testing.T) {
	t.Parallel()
	turns := &turn{}
	release, err := turns.Claim(web.Underway{What: "scheduled audit nightly"})
	if err != nil {
		t.Fatal(err)
	}
	if _, err := turns.Claim(web.Underway{What: "audit"}); err == nil || !strings.Contains(err.Error(), "scheduled audit nightly") {
		t.Errorf("%v", err)
	}
	release()
	release2, err := turns.Claim(web.Underway{What: "audit"})
	if err != nil {
		t.Fatal(err)
	}
	release() // again: it is not theirs any more
	if _, err := turns.Claim(web.Underway{What: "third"}); err == nil {
		t.Error("two at a time")
	}
	release2()
}
