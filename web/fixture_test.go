package web_test

import (
	"bytes"
	"context"
	"encoding/json"
	"errors"
	"io"
	"log/slog"
	"net/http"
	"net/http/httptest"
	"strings"
	"sync"
	"testing"
	"time"

	"github.com/crosscheck-dev/crosscheck/audit"
	"github.com/crosscheck-dev/crosscheck/web"
)

// secrets of the tokens of the tests, by role.
var secrets = map[web.Role]string{
	web.Viewer: "viewer-viewer-viewer-viewer", web.Auditor: "auditor-auditor-auditor-auditor",
	web.Operator: "operator-operator-operator", web.Approver: "approver-approver-approver",
}

func tokens(t *testing.T) []web.Token {
	t.Helper()
	var out []web.Token
	for _, role := range web.Roles() {
		tok, err := web.NewToken("the-"+string(role), []web.Role{role}, secrets[role])
		if err != nil {
			t.Fatal(err)
		}
		out = append(out, tok)
	}
	return out
}

var (
	asOf  = time.Date(2026, 11, 26, 2, 0, 0, 0, time.UTC)
	runID = strings.Repeat("5", 64)
	decID = strings.Repeat("3", 64)
	packs = strings.Repeat("a", 64)
)

// hidden is what no answer may ever hold.
const hidden = "/var/lib/crosscheck/ledger.db: sesame"

var errHidden = errors.New("open " + hidden)

func exampleRun() audit.Run {
	return audit.Run{
		ID: runID, Status: audit.Complete, Trigger: audit.Schedule, Audit: "nightly", Scope: audit.Scope{Severity: "high"}, AsOf: asOf,
		Started: asOf, Ended: asOf.Add(time.Minute), Revision: "r1", Engine: "vm/1", Previous: strings.Repeat("4", 64),
		Snapshots: []audit.Snapshot{{
			Origin: "terraform/main", Digest: strings.Repeat("d", 64), Resources: 3, Identity: "me", Endpoint: "/srv/" + hidden, Started: asOf, Ended: asOf,
			Gaps: []audit.Gap{{Origin: "terraform/main", Type: "aws_s3_bucket", Code: audit.AccessDenied, Operation: "read"}},
		}},
		Counts:   []audit.Count{{Control: "STO-001", Type: "aws_s3_bucket", Origin: "terraform/main", Listed: 3, Pass: 1, Fail: 1, NotEvaluated: 1}},
		Notices:  []audit.Notice{{Code: "x", Subject: "y", Message: "z"}},
		Relinked: map[string]string{decID: strings.Repeat("2", 64)}, Evaluated: []audit.Evaluated{{Run: strings.Repeat("4", 64), Resources: 2}},
		Provenance: audit.Provenance{Host: "host-" + hidden, User: "root"},
	}
}

func exampleFound() audit.Found {
	return audit.Found{
		Decision: audit.Decision{
			ID: decID, Control: "STO-001", ControlDigest: strings.Repeat("c", 64), Outcome: audit.Fail, SliceDigest: strings.Repeat("e", 64),
			Violations: []audit.Violation{{Message: "open", Observed: json.RawMessage(`[1]`), Expected: nil, Path: "/data"}},
		},
		Run: runID, Resource: "terraform/main/aws_s3_bucket/b", Name: "b", Type: "aws_s3_bucket", Origin: "terraform/main", Owner: "web", InputDigest: strings.Repeat("1", 64),
	}
}

func exampleSpell() audit.Spell {
	at := audit.RunAt{Run: runID, AsOf: asOf}
	return audit.Spell{
		Control: "STO-001", Resource: "terraform/main/aws_s3_bucket/b", Name: "b", Type: "aws_s3_bucket", Origin: "terraform/main", Owner: "web",
		Outcome: audit.Fail, Opened: at, Failed: &at, Closed: &at, How: audit.Fixed, Repair: strings.Repeat("f", 64),
	}
}

func exampleRepair() audit.Repair {
	step := &audit.RepairStep{At: asOf, By: "jo", Output: "ok", Run: runID, Decision: decID, Outcome: audit.Pass}
	return audit.Repair{
		ID: strings.Repeat("f", 64), Runbook: "s3-block-public-access", Version: "1", Digest: strings.Repeat("9", 64), Runner: "ssm", Control: "STO-001",
		Resource: "r", Name: "n", Type: "t", Origin: "o", Owner: "web", Decision: decID, Run: runID, Parameters: map[string]string{"bucket": "b"},
		Mode: audit.ModeApprove, State: audit.RepairVerified, Reason: "because", DryRun: "would", Requested: step, Decided: step, Acted: step, Verified: step, Undone: step, Settled: step, Updated: asOf,
	}
}

func exampleCatalog() audit.Catalog {
	return audit.Catalog{
		Revision: "r1", Controls: []audit.Control{{
			ID: "STO-001", Title: "t", Description: "d", Severity: "critical", AppliesTo: []string{"terraform/aws_s3_bucket"}, Why: "w", Fix: map[string]string{"terraform": "x"},
			Runbook: "s3", Excludes: "e", Parameters: map[string]audit.Parameter{"n": {Type: "number", Description: "d", Default: 1, Value: 2}}, ComparesTokens: []string{"a"},
			NeedsAll: true, Package: "controls.x", File: "controls/x.rego", Rego: "package controls.x", Digest: strings.Repeat("c", 64),
		}},
		Frameworks: []audit.Framework{{ID: "soc2-2017", Requirements: []audit.Requirement{{ID: "CC6.1", Evidence: []audit.Evidence{{Control: "STO-001"}}}}}},
	}
}

// fake answers for all that web serves. Fields that are nil give an example.
type fake struct {
	fail    error // what everything fails with
	retried web.DeliveryQuery
	asked   web.RepairRequest
	answer  web.RepairAnswer
	note    web.RepairNote
	stop    web.KillSwitch
	exports int
	zip     []byte
	query   web.DecisionQuery
	spells  audit.SpellQuery
	runs    int // on record
}

type (
	fakeRuns       struct{ *fake }
	fakeDecisions  struct{ *fake }
	fakeViolations struct{ *fake }
	fakePacks      struct{ *fake }
	fakeDeliveries struct{ *fake }
	fakeRepairs    struct{ *fake }
)

func (f fakeRuns) Each(_ context.Context, q web.RunQuery, yield func(audit.Run) error) error {
	for range min(f.runs, q.Limit) {
		if err := yield(exampleRun()); err != nil {
			return err
		}
	}
	return f.fail
}

func (f fakeRuns) Run(_ context.Context, id string) (audit.Run, error) {
	if !strings.HasPrefix(runID, id) && f.fail == nil {
		return audit.Run{}, &web.NotFound{Message: "no run " + id + " on record"}
	}
	return exampleRun(), f.fail
}

func (f fakeDecisions) List(_ context.Context, q web.DecisionQuery) (audit.Run, audit.Page, error) {
	f.query = q
	return exampleRun(), audit.Page{Decisions: []audit.Found{exampleFound()}, Next: "STO-001 x"}, f.fail
}

func (f fakeDecisions) Decision(context.Context, string) (web.Decision, error) {
	return web.Decision{
		Decision: exampleFound(), Control: exampleCatalog().Controls[0], Document: json.RawMessage(`{"id":"x"}`), Slice: &audit.Slice{}, Exception: &audit.Exception{ID: "e"},
		Replaces: decID, ReplacedBy: decID, Pack: packs, Run: web.DecisionRun{ID: runID, AsOf: audit.Stamp(asOf), Collected: audit.Stamp(asOf), Identity: "me", Evaluated: runID},
	}, f.fail
}

func (f fakeViolations) Violations(_ context.Context, q audit.SpellQuery) (audit.SpellPage, error) {
	f.spells = q
	return audit.SpellPage{Spells: []audit.Spell{exampleSpell()}, Next: "n"}, f.fail
}

func (f fakeViolations) History(context.Context, string, string) ([]audit.Spell, error) {
	return []audit.Spell{exampleSpell()}, f.fail
}

func (f fakePacks) List(context.Context, int) ([]web.Pack, error) {
	return []web.Pack{{ID: packs, Run: runID, AsOf: audit.Stamp(asOf)}}, f.fail
}

func (f fakePacks) Pack(_ context.Context, run string) (web.Pack, error) {
	if !strings.HasPrefix(runID, run) && f.fail == nil {
		return web.Pack{}, &web.NotFound{Message: "run " + run + " has no pack"}
	}
	return web.Pack{ID: packs, Run: runID, AsOf: audit.Stamp(asOf)}, f.fail
}

func (f fakePacks) Export(_ context.Context, _ web.Pack, w io.Writer) error {
	f.exports++
	_, err := w.Write(f.zip)
	return err
}

func (f fakeDeliveries) List(context.Context, web.DeliveryQuery) ([]audit.Delivery, error) {
	return []audit.Delivery{{Seq: 1, Sink: "slack", Kind: audit.OfRun, Subject: runID, Status: audit.Refused, Queued: asOf, Last: asOf, Tries: 2, Detail: "no", Rejected: 1}}, f.fail
}

func (f fakeDeliveries) Retry(_ context.Context, q web.DeliveryQuery, _ bool) (int64, error) {
	f.retried = q
	return 3, f.fail
}

func (f fakeRepairs) List(_ context.Context, q web.RepairQuery) ([]audit.Repair, error) {
	out := make([]audit.Repair, min(2, q.Limit))
	for i := range out {
		out[i] = exampleRepair()
	}
	return out, f.fail
}

func (f fakeRepairs) Repair(context.Context, string) (audit.Repair, error) {
	return exampleRepair(), f.fail
}

func (f fakeRepairs) Request(_ context.Context, r web.RepairRequest) (audit.Repair, error) {
	f.asked = r
	return exampleRepair(), f.fail
}

func (f fakeRepairs) Answer(_ context.Context, a web.RepairAnswer) (audit.Repair, error) {
	f.answer = a
	return exampleRepair(), f.fail
}

func (f fakeRepairs) Settle(_ context.Context, n web.RepairNote) (audit.Repair, error) {
	f.note = n
	return exampleRepair(), f.fail
}

func (f fakeRepairs) Stopped(context.Context) (web.KillSwitch, error) {
	return web.KillSwitch{On: true, By: "jo", Reason: "r", At: asOf}, f.fail
}

func (f fakeRepairs) Stop(_ context.Context, k web.KillSwitch) (web.KillSwitch, error) {
	f.stop = k
	return k, f.fail
}

// site is a handler under test, with all that it told.
type site struct {
	t       *testing.T
	fake    *fake
	handler http.Handler
	log     *safeBuffer

	mu    sync.Mutex
	route string // of the last answer
}

type safeBuffer struct {
	mu sync.Mutex
	b  bytes.Buffer
}

func (s *safeBuffer) Write(p []byte) (int, error) {
	s.mu.Lock()
	defer s.mu.Unlock()
	return s.b.Write(p)
}

func (s *safeBuffer) String() string {
	s.mu.Lock()
	defer s.mu.Unlock()
	return s.b.String()
}

// config serves what a fake gives.
func config(t *testing.T, f *fake) web.Config {
	t.Helper()
	return web.Config{
		Tokens: tokens(t), Runs: fakeRuns{f}, Decisions: fakeDecisions{f}, Violations: fakeViolations{f}, Packs: fakePacks{f}, Deliveries: fakeDeliveries{f}, Repairs: fakeRepairs{f},
		Catalog: exampleCatalog, Ledger: func(context.Context) error { return f.fail }, TempDir: t.TempDir(),
		Metrics: http.HandlerFunc(func(w http.ResponseWriter, _ *http.Request) {
			w.Header().Set("Content-Type", "text/plain; version=0.0.4")
			_, _ = io.WriteString(w, "crosscheck_build_info 1\n")
		}),
		Slack: http.HandlerFunc(func(w http.ResponseWriter, _ *http.Request) { w.WriteHeader(http.StatusOK) }),
		Now:   func() time.Time { return asOf }, Log: slog.New(slog.DiscardHandler),
	}
}

func newSite(t *testing.T, change func(*web.Config)) *site {
	t.Helper()
	s := &site{t: t, fake: &fake{zip: bytes.Repeat([]byte("0123456789"), 1000), runs: 3}, log: &safeBuffer{}}
	cfg := config(t, s.fake)
	cfg.Log = slog.New(slog.NewTextHandler(s.log, nil))
	cfg.Observe = func(route string, _ int, _ time.Duration) {
		s.mu.Lock()
		defer s.mu.Unlock()
		s.route = route
	}
	if change != nil {
		change(&cfg)
	}
	var err error
	if s.handler, err = web.New(cfg); err != nil {
		t.Fatal(err)
	}
	return s
}

// ask sends a request, and holds the answer against the OpenAPI document.
func (s *site) ask(r *http.Request) *httptest.ResponseRecorder {
	s.t.Helper()
	w := httptest.NewRecorder()
	s.handler.ServeHTTP(w, r)
	s.mu.Lock()
	route := s.route
	s.mu.Unlock()
	conforms(s.t, route, r, w)
	if strings.Contains(w.Body.String(), "sesame") {
		s.t.Errorf("%s %s leaks: %s", r.Method, r.URL, w.Body)
	}
	return w
}

func (s *site) as(role web.Role, method, target, body string) *httptest.ResponseRecorder {
	s.t.Helper()
	return s.ask(request(method, target, body, secrets[role]))
}

func request(method, target, body, secret string) *http.Request {
	r := httptest.NewRequest(method, target, strings.NewReader(body))
	if body != "" {
		r.Header.Set("Content-Type", "application/json")
	}
	if secret != "" {
		r.Header.Set("Authorization", "Bearer "+secret)
	}
	return r
}

// decode reads an answer.
func decode[T any](t *testing.T, w *httptest.ResponseRecorder) (v T) {
	t.Helper()
	if err := json.Unmarshal(w.Body.Bytes(), &v); err != nil {
		t.Fatalf("%s: %v", w.Body, err)
	}
	return v
}
