package ledger_test

import (
	"path/filepath"
	"strings"
	"testing"
	"time"

	"github.com/google/go-cmp/cmp"

	"github.com/crosscheck-dev/crosscheck/audit"
	"github.com/crosscheck-dev/crosscheck/audit/audittest"
	"github.com/crosscheck-dev/crosscheck/evidence/ledger"
)

func occurrences(t *testing.T, l *ledger.Ledger, q audit.OccurrenceQuery) []audit.Occurrence {
	t.Helper()
	list, err := l.Occurrences(t.Context(), q)
	if err != nil {
		t.Fatal(err)
	}
	return list
}

func keep(t *testing.T, l *ledger.Ledger, list ...audit.Occurrence) {
	t.Helper()
	if err := l.KeepOccurrences(t.Context(), list, nil, nil); err != nil {
		t.Fatal(err)
	}
}

// TestOccurrences: a due time has one row, which changes until it is settled,
// and announcements are owed with it or not at all.
func TestOccurrences(t *testing.T) {
	t.Parallel()
	l := open(t, filepath.Join(t.TempDir(), "ledger.db"))
	at := audittest.Moment
	row := func(name string, after time.Duration, status audit.DueStatus) audit.Occurrence {
		return audit.Occurrence{Audit: name, Due: at.Add(after), Status: status, Tries: 1, At: at}
	}
	keep(t, l, row("a", 0, audit.DueRunning), row("b", time.Hour, audit.DueMissed), row("a", 2*time.Hour, audit.DueWaiting))
	keep(t, l, row("a", 0, audit.DueFailed))
	keep(t, l, row("a", 0, audit.DueDone)) // too late
	want := []audit.Occurrence{row("a", 2*time.Hour, audit.DueWaiting), row("b", time.Hour, audit.DueMissed), row("a", 0, audit.DueFailed)}
	for name, tt := range map[string]struct {
		q    audit.OccurrenceQuery
		want []audit.Occurrence
	}{
		"all":         {audit.OccurrenceQuery{}, want},
		"of one":      {audit.OccurrenceQuery{Audit: "b"}, want[1:2]},
		"by status":   {audit.OccurrenceQuery{Statuses: []audit.DueStatus{audit.DueMissed, audit.DueWaiting}}, want[:2]},
		"between":     {audit.OccurrenceQuery{Since: at, Until: at.Add(time.Hour)}, want[1:]},
		"the latest":  {audit.OccurrenceQuery{Limit: 1}, want[:1]},
		"of nobody":   {audit.OccurrenceQuery{Audit: "c"}, nil},
		"no statuses": {audit.OccurrenceQuery{Statuses: []audit.DueStatus{"x"}}, nil},
	} {
		if diff := cmp.Diff(occurrences(t, l, tt.q), tt.want); diff != "" {
			t.Errorf("%s (-got +want):\n%s", name, diff)
		}
	}
	told := audit.Announcement{Kind: audit.OfMissed, Key: "b", At: at, Missed: &audit.Missed{Audit: "b", Due: at}}
	unknown := row("b", 0, audit.DueDone)
	unknown.Run = "no run"
	if err := l.KeepOccurrences(t.Context(), []audit.Occurrence{unknown}, []audit.Announcement{told}, []string{"slack"}); err == nil {
		t.Error("an occurrence came to a run that is not on record")
	}
	if list := due(t, l, "slack", at); len(list) != 0 {
		t.Error("what is not on record is announced")
	}
	if err := l.KeepOccurrences(t.Context(), []audit.Occurrence{row("b", 0, audit.DueMissed)}, []audit.Announcement{told}, []string{"slack"}); err != nil {
		t.Fatal(err)
	}
	if list := due(t, l, "slack", at); len(list) != 1 || list[0].Announcement.Missed.Audit != "b" {
		t.Errorf("owed: %+v", list)
	}
}

// TestOccurrenceOfAttempt: one whose process ended after the run was recorded
// is told from one whose run never was.
func TestOccurrenceOfAttempt(t *testing.T) {
	t.Parallel()
	l := open(t, filepath.Join(t.TempDir(), "ledger.db"))
	rec := audittest.Ran(t, "run")
	attempt, err := l.Begin(t.Context(), rec.Run.Started)
	if err != nil {
		t.Fatal(err)
	}
	o := audit.Occurrence{Audit: "a", Due: audittest.Moment, Status: audit.DueRunning, Tries: 1, Attempt: attempt, At: audittest.Moment}
	keep(t, l, o)
	running := audit.OccurrenceQuery{Statuses: []audit.DueStatus{audit.DueRunning}}
	if got := occurrences(t, l, running); len(got) != 1 || got[0].Run != "" || got[0].Attempt != attempt {
		t.Fatalf("Occurrences() = %+v", got)
	}
	run, err := l.Complete(t.Context(), attempt, rec)
	if err != nil {
		t.Fatal(err)
	}
	if got := occurrences(t, l, running); len(got) != 1 || got[0].Run != run.ID {
		t.Fatalf("Occurrences() = %+v, want run %s", got, run.ID)
	}
	o.Status, o.Run = audit.DueDone, run.ID
	keep(t, l, o)
	if got := occurrences(t, l, audit.OccurrenceQuery{Statuses: []audit.DueStatus{audit.DueDone}}); len(got) != 1 || got[0].Run != run.ID {
		t.Errorf("Occurrences() = %+v, want run %s", got, run.ID)
	}
}

func TestAttending(t *testing.T) {
	t.Parallel()
	path := filepath.Join(t.TempDir(), "ledger.db")
	l, other := open(t, path), open(t, path)
	release, err := l.Attending()
	if err != nil {
		t.Fatal(err)
	}
	if _, err := other.Attending(); err == nil || !strings.Contains(err.Error(), "another daemon is running: process ") {
		t.Errorf("Attending() = %v", err)
	}
	if err := release(); err != nil {
		t.Fatal(err)
	}
	if _, err := other.Attending(); err != nil {
		t.Error(err)
	}
}
