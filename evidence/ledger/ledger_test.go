package ledger_test

import (
	"database/sql"
	"encoding/json"
	"errors"
	"fmt"
	"os"
	"path/filepath"
	"strconv"
	"strings"
	"testing"

	"github.com/google/go-cmp/cmp"

	"github.com/crosscheck-dev/crosscheck/audit"
	"github.com/crosscheck-dev/crosscheck/audit/audittest"
	"github.com/crosscheck-dev/crosscheck/evidence/ledger"
)

func open(t testing.TB, path string) *ledger.Ledger {
	t.Helper()
	l, err := ledger.Open(t.Context(), path)
	if err != nil {
		t.Fatal(err)
	}
	t.Cleanup(func() { _ = l.Close() })
	return l
}

func record(t testing.TB, l *ledger.Ledger, rec audit.Record) audit.Run {
	t.Helper()
	attempt, err := l.Begin(t.Context(), rec.Run.Started)
	if err != nil {
		t.Fatal(err)
	}
	run, err := l.Complete(t.Context(), attempt, rec)
	if err != nil {
		t.Fatal(err)
	}
	return run
}

func decision(control, resource string, outcome audit.Outcome) audit.Decision {
	d := audit.Decision{ID: audit.Digest([]byte(control + resource)), Control: control, ControlDigest: audit.Digest([]byte(control)), Outcome: outcome}
	switch outcome {
	case audit.Fail:
		d.Violations = []audit.Violation{{Message: "open", Observed: map[string]any{"port": json.Number("22")}, Expected: []any{}, Path: "/data/x"}}
	case audit.NotEvaluated, audit.Excluded:
		d.Reasons = []audit.Reason{{Code: "gap", Where: "/data/y", Detail: "AccessDenied s3:GetY"}}
	case audit.Pass:
		d.SliceDigest = audit.Digest([]byte("slice"))
	}
	return d
}

func verdict(resource string, decisions ...audit.Decision) audit.Verdict {
	return audit.Verdict{
		Resource: resource, Name: "n", Type: "T", Origin: "aws/1/x", Owner: "payments", InputDigest: audit.Digest([]byte(resource)), Decisions: decisions,
	}
}

func TestSuite(t *testing.T) {
	t.Parallel()
	audittest.LedgerSuite(t, func() audit.Ledger { return open(t, filepath.Join(t.TempDir(), "ledger.db")) })
	audittest.HistorySuite(t, func() audittest.Historian { return open(t, filepath.Join(t.TempDir(), "ledger.db")) })
}

func TestReopen(t *testing.T) {
	t.Parallel()
	path := filepath.Join(t.TempDir(), "data dir?100%", "ledger.db")
	l := open(t, path)
	want := record(t, l, audittest.Ran(t, "first"))
	if err := l.Close(); err != nil {
		t.Fatal(err)
	}
	for name, mode := range map[string]os.FileMode{path: 0o600, filepath.Dir(path): os.ModeDir | 0o700} {
		if info, err := os.Stat(name); err != nil || info.Mode() != mode {
			t.Errorf("%s: %v, %v, want %v", name, info.Mode(), err, mode)
		}
	}
	got, ok, err := open(t, path).LastComplete(t.Context())
	if err != nil || !ok {
		t.Fatal(ok, err)
	}
	if diff := cmp.Diff(got, want); diff != "" {
		t.Errorf("after reopening (-got +want):\n%s", diff)
	}
}

func TestOneAuditAtATime(t *testing.T) {
	t.Parallel()
	path := filepath.Join(t.TempDir(), "ledger.db")
	first, second := open(t, path), open(t, path)
	if _, err := first.Begin(t.Context(), audittest.Moment); err != nil {
		t.Fatal(err)
	}
	_, err := second.Begin(t.Context(), audittest.Moment)
	var locked *ledger.LockedError
	if !errors.As(err, &locked) || !strings.Contains(err.Error(), "process "+strconv.Itoa(os.Getpid())) {
		t.Errorf("a second audit: %v, want an error that names the first one's process", err)
	}
	if _, err := second.Runs(t.Context(), ledger.Filter{}); err != nil {
		t.Errorf("reading during an audit: %v", err)
	}
	if err := first.Close(); err != nil {
		t.Fatal(err)
	}
	if _, err := second.Begin(t.Context(), audittest.Moment); err != nil {
		t.Errorf("after the first ended: %v", err)
	}
	attempts, err := second.Attempts(t.Context(), 10)
	if err != nil || len(attempts) != 2 || attempts[0].Status != audit.Running || attempts[1].Status != audit.Interrupted {
		t.Errorf("attempts: %+v, %v; want the first interrupted", attempts, err)
	}
}

func TestRuns(t *testing.T) {
	t.Parallel()
	l := open(t, filepath.Join(t.TempDir(), "ledger.db"))
	var ids []string
	for i := range 3 {
		rec := audittest.Ran(t, fmt.Sprint("run ", i))
		if i == 1 {
			rec.Run.Trigger = audit.Reaudit
		}
		ids = append(ids, record(t, l, rec).ID)
	}
	runs, err := l.Runs(t.Context(), ledger.Filter{})
	if err != nil || len(runs) != 3 || runs[0].ID != ids[2] {
		t.Errorf("Runs() = %d runs, %v; want 3, latest first", len(runs), err)
	}
	if runs, err := l.Runs(t.Context(), ledger.Filter{Trigger: audit.Reaudit}); err != nil || len(runs) != 1 || runs[0].ID != ids[1] {
		t.Errorf("Runs(reaudit) = %d runs, %v", len(runs), err)
	}
	if run, err := l.Run(t.Context(), ids[0][:10]); err != nil || run.ID != ids[0] {
		t.Errorf("Run(prefix) = %s, %v", run.ID, err)
	}
	for prefix, want := range map[string]string{"": "is no run id", "xyz": "is no run id", strings.Repeat("f", 64): "no run"} {
		if _, err := l.Run(t.Context(), prefix); err == nil || !strings.Contains(err.Error(), want) {
			t.Errorf("Run(%q): %v, want %q", prefix, err, want)
		}
	}
}

func TestPacks(t *testing.T) {
	t.Parallel()
	l := open(t, filepath.Join(t.TempDir(), "ledger.db"))
	run := record(t, l, audittest.Ran(t, "run")).ID
	if _, ok, err := l.Pack(t.Context(), run); ok || err != nil {
		t.Errorf("a pack before there is one: %v, %v", ok, err)
	}
	for _, pack := range []ledger.Pack{{Run: run, ID: "p1", Path: "a"}, {Run: run, ID: "p2", Path: "b"}} {
		if err := l.SetPack(t.Context(), pack); err != nil {
			t.Fatal(err)
		}
		if got, ok, err := l.Pack(t.Context(), run); err != nil || !ok || got != pack {
			t.Errorf("Pack() = %+v, %v, %v, want %+v", got, ok, err, pack)
		}
		if got, err := l.Packs(t.Context(), 10); err != nil || len(got) != 1 || got[0] != pack {
			t.Errorf("Packs() = %+v, %v, want %+v", got, err, pack)
		}
	}
}

func TestOpenRefuses(t *testing.T) {
	t.Parallel()
	dir := t.TempDir()
	other := filepath.Join(dir, "notes.txt")
	if err := os.WriteFile(other, []byte(strings.Repeat("not a database\n", 100)), 0o600); err != nil {
		t.Fatal(err)
	}
	newer := filepath.Join(dir, "newer.db")
	if err := open(t, newer).Close(); err != nil {
		t.Fatal(err)
	}
	db, err := sql.Open("sqlite", newer)
	if err != nil {
		t.Fatal(err)
	}
	if _, err := db.Exec(`INSERT INTO migrations (version) VALUES (999)`); err != nil {
		t.Fatal(err)
	}
	if err := db.Close(); err != nil {
		t.Fatal(err)
	}
	for path, want := range map[string]string{other: "not a database", newer: "use a newer one", dir: dir, filepath.Join(other, "ledger.db"): "ledger"} {
		l, err := ledger.Open(t.Context(), path)
		if err == nil {
			_ = l.Close()
		}
		if err == nil || !strings.Contains(err.Error(), want) {
			t.Errorf("Open(%s): %v, want %q", path, err, want)
		}
	}
}

func TestOpenRefusesAFolderOfAnybody(t *testing.T) {
	t.Parallel()
	dir := filepath.Join(t.TempDir(), "data")
	if err := os.Mkdir(dir, 0o700); err != nil {
		t.Fatal(err)
	}
	if err := os.Chmod(dir, 0o777); err != nil {
		t.Fatal(err)
	}
	if _, err := ledger.Open(t.Context(), filepath.Join(dir, "ledger.db")); err == nil || !strings.Contains(err.Error(), "chmod 700") {
		t.Errorf("Open() = %v, want a refusal that says what to do", err)
	}
}
