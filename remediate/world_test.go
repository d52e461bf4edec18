package remediate_test

import (
	"context"
	"encoding/json"
	"errors"
	"fmt"
	"io"
	"io/fs"
	"log/slog"
	"path/filepath"
	"sync"
	"testing"
	"time"

	"github.com/crosscheck-dev/crosscheck/audit"
	"github.com/crosscheck-dev/crosscheck/evidence/ledger"
	"github.com/crosscheck-dev/crosscheck/remediate"
)

const (
	origin  = "aws/111122223333/eu-west-1"
	bucketT = "AWS::S3::Bucket"
	manual  = "user:asker"
	boss    = "user:boss"
)

const book = `id: close-bucket
version: 1.0.0
title: Close a bucket
controls: [STO-001]
types: ["aws/AWS::S3::Bucket"]
only: /data/Block*
runner: exec
parameters:
  bucket: {from: document, pointer: /name, pattern: '^[a-z0-9.-]{3,63}$', max: 63}
act: {bucket: {param: bucket}}
dry_run: true
roll_back: true
verify: {tries: 2, wait: 1s}
`

// world is a small estate: what is open, and what happens to it. It is judge and
// runner in one; the ledger beside it is the real one.
type world struct {
	mu        sync.Mutex
	open      map[string]bool // by bucket
	known     map[string]audit.Found
	tags      map[string]string
	gaps      map[string]string
	namespace string
	alsoFails []string // controls that fail after the act
	excepted  bool
	gone      bool
	name      func(string) string // what the document calls a bucket now
	outcome   audit.Outcome       // of a re-audit, instead of what is open
	acts      map[string]int
	undos     int
	runs      int
	failed    map[string][]string // by run: the controls that failed in it
	ineffect  bool                // the act does nothing
	actErr    error
	undoErr   error
	againErr  error
	undoing   func()
	capErr    error
	dryErr    error
	noUndo    bool // undo says it worked, and did not
	forgets   bool // nothing is captured
	during    func()
	capturing func()
	now       time.Time
}

func newWorld(buckets ...string) *world {
	w := &world{open: map[string]bool{}, known: map[string]audit.Found{}, acts: map[string]int{}, failed: map[string][]string{}, now: time.Date(2026, 11, 25, 12, 0, 0, 0, time.UTC), name: func(s string) string { return s }}
	for _, b := range buckets {
		w.open[b] = true
		d := w.found(b, "night", audit.Fail)
		w.known[d.ID] = d
	}
	return w
}

func (w *world) found(bucket, run string, o audit.Outcome) audit.Found {
	d := audit.Found{
		Run: run, Resource: origin + "/" + bucketT + "/" + bucket, Name: bucket, Type: bucketT, Origin: origin,
		Decision: audit.Decision{ID: audit.Digest([]byte(run + bucket)), Control: "STO-001", Outcome: o},
	}
	if o == audit.Fail {
		d.Violations = []audit.Violation{{Message: "open", Observed: "open", Expected: "closed", Path: "/data/Block"}}
	}
	if w.excepted {
		d.Exception = "EX-1"
	}
	return d
}

func (w *world) document(bucket string) audit.Resource {
	data := map[string]any{"Block": "off"}
	if w.namespace != "" {
		data["metadata"] = map[string]any{"namespace": w.namespace}
	}
	return audit.Resource{
		ID: origin + "/" + bucketT + "/" + bucket, Name: w.name(bucket), Origin: origin, Source: audit.AWS, Type: bucketT,
		Tags: w.tags, Gaps: w.gaps, Data: data,
	}
}

func (w *world) run(id string) audit.Run {
	return audit.Run{ID: id, Counts: []audit.Count{{Control: "STO-001", Listed: 100}}}
}

// Seen implements remediate.Judge.
func (w *world) Seen(_ context.Context, id string) (remediate.Judged, error) {
	w.mu.Lock()
	defer w.mu.Unlock()
	d, ok := w.known[id]
	if !ok {
		return remediate.Judged{}, errors.New("no such decision")
	}
	return remediate.Judged{Run: w.run(d.Run), Decision: d, Document: w.document(d.Name)}, nil
}

// Again implements remediate.Judge.
func (w *world) Again(_ context.Context, d audit.Found, _ string) (remediate.Judged, error) {
	w.mu.Lock()
	defer w.mu.Unlock()
	if w.againErr != nil {
		return remediate.Judged{}, w.againErr
	}
	w.runs++
	run := fmt.Sprint("again", w.runs)
	out := remediate.Judged{Run: w.run(run), Failing: []string{}}
	if w.gone {
		out.Gone = true
		return out, nil
	}
	outcome := audit.Pass
	if w.open[d.Name] {
		outcome = audit.Fail
		out.Failing = append(out.Failing, "STO-001")
	}
	if w.outcome != "" {
		outcome = w.outcome
	}
	if w.acts[d.Name] > 0 && !w.open[d.Name] {
		out.Failing = append(out.Failing, w.alsoFails...)
	}
	out.Decision, out.Document = w.found(d.Name, run, outcome), w.document(d.Name)
	w.failed[run] = out.Failing
	return out, nil
}

// Failing implements remediate.Judge.
func (w *world) Failing(_ context.Context, run, _ string) ([]string, error) {
	w.mu.Lock()
	defer w.mu.Unlock()
	list, ok := w.failed[run]
	if !ok {
		return nil, errors.New("no such run")
	}
	return list, nil
}

// Capture implements remediate.Runner.
func (w *world) Capture(_ context.Context, c remediate.Call) (json.RawMessage, error) {
	w.mu.Lock()
	defer w.mu.Unlock()
	if w.capturing != nil {
		w.capturing()
	}
	if w.forgets {
		return nil, w.capErr
	}
	b, err := json.Marshal(w.open[c.Targets[0]["bucket"]])
	return b, errors.Join(err, w.capErr)
}

// Act implements remediate.Runner.
func (w *world) Act(ctx context.Context, c remediate.Call) (string, error) {
	w.mu.Lock()
	defer w.mu.Unlock()
	if c.DryRun {
		return "would close", w.dryErr
	}
	bucket := c.Targets[0]["bucket"]
	w.acts[bucket]++
	if !w.ineffect {
		w.open[bucket] = false
	}
	if w.during != nil {
		w.during()
	}
	return "closed with password=hunter2", errors.Join(w.actErr, ctx.Err())
}

// Undo implements remediate.Runner.
func (w *world) Undo(_ context.Context, c remediate.Call, before json.RawMessage) (string, error) {
	w.mu.Lock()
	defer w.mu.Unlock()
	w.undos++
	if w.undoing != nil {
		w.undoing()
	}
	if !w.noUndo && w.undoErr == nil {
		w.open[c.Targets[0]["bucket"]] = w.forgets || string(before) == "true"
	}
	return "opened", w.undoErr
}

func (w *world) count() (n int) {
	w.mu.Lock()
	defer w.mu.Unlock()
	for _, a := range w.acts {
		n += a
	}
	return n
}

func openLedger(t *testing.T, path string) *ledger.Ledger {
	t.Helper()
	l, err := ledger.Open(t.Context(), path)
	if err != nil {
		t.Fatal(err)
	}
	t.Cleanup(func() { _ = l.Close() })
	return l
}

func parsed(t *testing.T, text string) remediate.Runbook {
	t.Helper()
	r, err := remediate.Parse([]byte(text))
	if err != nil {
		t.Fatal(err)
	}
	return r
}

// setup is an engine on a world with a real ledger.
func setup(t *testing.T, w *world, change ...func(*remediate.Config)) (*remediate.Engine, *ledger.Ledger) {
	t.Helper()
	return setupAt(t, w, filepath.Join(t.TempDir(), "ledger.db"), change...)
}

func setupAt(t *testing.T, w *world, path string, change ...func(*remediate.Config)) (*remediate.Engine, *ledger.Ledger) {
	t.Helper()
	l := openLedger(t, path)
	cfg := remediate.Config{
		Runbooks: []remediate.Runbook{parsed(t, book)}, Uses: map[string]remediate.Use{"close-bucket": {Mode: audit.ModeApprove}},
		Runners: map[string]remediate.Runner{"exec": w}, Ledger: l, Switches: l, Judge: w, Claim: func() (func() error, error) { return l.Claim("repairs") },
		Approvers: []string{boss}, Sinks: []string{"slack"}, Now: func() time.Time { return w.now },
		Sleep: func(context.Context, time.Duration) error { return nil },
		Stat:  func(string) (fs.FileInfo, error) { return nil, fs.ErrNotExist }, StopFile: "/stop", Log: slog.New(slog.NewTextHandler(io.Discard, nil)),
	}
	for _, c := range change {
		c(&cfg)
	}
	e, err := remediate.New(cfg)
	if err != nil {
		t.Fatal(err)
	}
	return e, l
}

func using(u remediate.Use) func(*remediate.Config) {
	return func(c *remediate.Config) { c.Uses = map[string]remediate.Use{"close-bucket": u} }
}

func decisionOf(w *world, bucket string) string { return w.found(bucket, "night", audit.Fail).ID }

// approved requests and approves a repair of a bucket.
func approved(t *testing.T, e *remediate.Engine, w *world, bucket string) audit.Repair {
	t.Helper()
	r, err := e.Request(t.Context(), decisionOf(w, bucket), "", manual)
	if err != nil {
		t.Fatal(err)
	}
	if r, err = e.Approve(t.Context(), r.ID, boss); err != nil {
		t.Fatal(err)
	}
	return r
}

// ran runs, and gives how the repair stands.
func ran(t *testing.T, e *remediate.Engine, id string) audit.Repair {
	t.Helper()
	if _, err := e.Run(t.Context()); err != nil {
		t.Fatal(err)
	}
	r, err := e.Find(t.Context(), id)
	if err != nil {
		t.Fatal(err)
	}
	return r
}
