package ledger_test

import (
	"fmt"
	"path/filepath"
	"testing"
	"time"

	"github.com/google/go-cmp/cmp"

	"github.com/crosscheck-dev/crosscheck/audit"
	"github.com/crosscheck-dev/crosscheck/audit/audittest"
	"github.com/crosscheck-dev/crosscheck/evidence/ledger"
)

// ran records a run that was changed.
func ran(t *testing.T, l *ledger.Ledger, name string, change func(*audit.Run), owed ...string) audit.Run {
	t.Helper()
	rec := audittest.Ran(t, name)
	change(&rec.Run)
	rec.Owed = owed
	return record(t, l, rec)
}

// TestLastOf finds the last complete run of each audit, and takes nothing else for it.
func TestLastOf(t *testing.T) {
	t.Parallel()
	l := open(t, filepath.Join(t.TempDir(), "ledger.db"))
	if seq, err := l.Newest(t.Context()); seq != 0 || err != nil {
		t.Errorf("Newest() = %d, %v of an empty ledger", seq, err)
	}
	last := func(audit string, after int64) string {
		t.Helper()
		run, seq, ok, err := l.LastOf(t.Context(), audit, after)
		if err != nil {
			t.Fatal(err)
		}
		if !ok {
			return "none"
		}
		return fmt.Sprint(run.ID[:4], " ", seq)
	}
	if got := last("nightly", 0); got != "none" {
		t.Errorf("of an empty ledger: %s", got)
	}
	nightly := func(r *audit.Run) { r.Audit, r.Trigger = "nightly", audit.Schedule }
	one := ran(t, l, "1", nightly)
	ran(t, l, "2", func(r *audit.Run) { nightly(r); r.Status = audit.Incomplete })
	ran(t, l, "3", func(r *audit.Run) { nightly(r); r.Simulated = true })
	part := ran(t, l, "4", func(r *audit.Run) {
		r.Audit, r.Trigger, r.Scope = "weekly", audit.Manual, audit.Scope{Severity: "high"}
	})
	ran(t, l, "5", func(r *audit.Run) { r.Scope = audit.Scope{Severity: "high"} }) // by hand, of a part
	ran(t, l, "6", func(r *audit.Run) { r.Trigger = audit.Reaudit })
	hand := ran(t, l, "7", func(*audit.Run) {})
	for name, want := range map[string]string{"nightly": one.ID[:4] + " 1", "weekly": part.ID[:4] + " 4", "": hand.ID[:4] + " 7", "never": "none"} {
		if got := last(name, 0); got != want {
			t.Errorf("last of %q: %s, want %s", name, got, want)
		}
	}
	if got := last("nightly", 1); got != "none" {
		t.Errorf("nothing came after the first: %s", got)
	}
	if seq, err := l.Newest(t.Context()); seq != 7 || err != nil {
		t.Errorf("Newest() = %d, %v", seq, err)
	}
	got, err := l.RunTally(t.Context())
	want := []audit.RunTally{
		{Trigger: audit.Manual, Status: audit.Complete, N: 3},
		{Trigger: audit.Reaudit, Status: audit.Complete, N: 1},
		{Trigger: audit.Schedule, Status: audit.Complete, N: 2},
		{Trigger: audit.Schedule, Status: audit.Incomplete, N: 1},
	}
	if diff := cmp.Diff(got, want); diff != "" || err != nil {
		t.Errorf("RunTally(): %v (-got +want):\n%s", err, diff)
	}
	runs, err := l.Runs(t.Context(), ledger.Filter{Audit: "nightly", Before: part.ID, Limit: 2})
	if err != nil || len(runs) != 2 || !runs[0].Simulated {
		t.Errorf("Runs() before a run: %+v, %v", runs, err)
	}
}

func TestQueueTally(t *testing.T) {
	t.Parallel()
	l := open(t, filepath.Join(t.TempDir(), "ledger.db"))
	first := ran(t, l, "1", func(*audit.Run) {}, "slack", "files")
	ran(t, l, "2", func(r *audit.Run) { r.Ended = r.Ended.Add(time.Hour) }, "slack")
	d := due(t, l, "files", first.Ended)[0]
	d.Status, d.Last = audit.Delivered, first.Ended
	if err := l.Tried(t.Context(), d); err != nil {
		t.Fatal(err)
	}
	got, err := l.QueueTally(t.Context())
	want := []audit.QueueTally{{Sink: "files", Status: audit.Delivered, N: 1, Oldest: first.Ended}, {Sink: "slack", Status: audit.Waiting, N: 2, Oldest: first.Ended}}
	if diff := cmp.Diff(got, want); diff != "" || err != nil {
		t.Errorf("QueueTally(): %v (-got +want):\n%s", err, diff)
	}
}

func TestOpenTally(t *testing.T) {
	t.Parallel()
	l := open(t, filepath.Join(t.TempDir(), "ledger.db"))
	verdict := func(name string, ds ...audit.Decision) audit.Verdict {
		return audit.Verdict{Resource: "aws/1/eu/T/" + name, Name: name, Type: "T", Origin: "aws/1/eu", InputDigest: audit.Digest([]byte(name)), Decisions: ds}
	}
	excepted := decision("C-001", "b", audit.Fail)
	excepted.Exception = "E"
	rec := audittest.Ran(t, "1", verdict("a", decision("C-001", "a", audit.Fail), decision("C-002", "a", audit.NotEvaluated)), verdict("b", excepted), verdict("c", decision("C-001", "c", audit.Fail)))
	record(t, l, rec)
	got, err := l.OpenTally(t.Context())
	want := []audit.OpenTally{{Control: "C-001", Outcome: audit.Fail, N: 2}, {Control: "C-001", Outcome: audit.Fail, Excepted: true, N: 1}, {Control: "C-002", Outcome: audit.NotEvaluated, N: 1}}
	if diff := cmp.Diff(got, want); diff != "" || err != nil {
		t.Errorf("OpenTally(): %v (-got +want):\n%s", err, diff)
	}
}
