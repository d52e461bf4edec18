package ledger_test

import (
	"errors"
	"path/filepath"
	"testing"
	"time"

	"github.com/google/go-cmp/cmp"
	"github.com/google/go-cmp/cmp/cmpopts"

	"github.com/crosscheck-dev/crosscheck/audit"
	"github.com/crosscheck-dev/crosscheck/audit/audittest"
	"github.com/crosscheck-dev/crosscheck/evidence/ledger"
)

func due(t *testing.T, l *ledger.Ledger, sink string, at time.Time) []audit.Delivery {
	t.Helper()
	list, err := l.Due(t.Context(), sink, at, 10)
	if err != nil {
		t.Fatal(err)
	}
	return list
}

// TestOutbox: what is owed is on disk with the run, each sink's by itself, until
// it is delivered; it is owed once, and what is noted outlives the process.
func TestOutbox(t *testing.T) {
	t.Parallel()
	path := filepath.Join(t.TempDir(), "ledger.db")
	l := open(t, path)
	rec := audittest.Ran(t, "run")
	rec.Owed = []string{"slack", "elasticsearch"}
	run := record(t, l, rec)
	record(t, l, rec) // the same run again is owed to nobody
	at := run.Ended
	list := due(t, l, "slack", at)
	want := []audit.Delivery{{Seq: 1, Sink: "slack", Kind: audit.OfRun, Subject: run.ID, Status: audit.Waiting, Queued: at, Next: at}}
	if diff := cmp.Diff(list, want, cmpopts.IgnoreFields(audit.Delivery{}, "Keeper")); diff != "" {
		t.Fatalf("Due() (-got +want):\n%s", diff)
	}
	d := list[0]
	if err := d.Keep(t.Context(), "half"); err != nil {
		t.Fatal(err)
	}
	rejected := []audit.Rejection{{ID: "b", Reason: "mapping", At: at}, {ID: "a", Reason: "size", At: at}}
	for range 2 {
		if err := d.Reject(t.Context(), rejected); err != nil {
			t.Fatal(err)
		}
	}
	d.Tries, d.Last, d.Next, d.Detail = 1, at, at.Add(time.Minute), "down"
	if err := l.Tried(t.Context(), d); err != nil {
		t.Fatal(err)
	}
	if err := l.Close(); err != nil {
		t.Fatal(err)
	}
	l = open(t, path)
	if list := due(t, l, "slack", at); len(list) != 0 {
		t.Errorf("it may be tried a minute too early: %+v", list)
	}
	if list := due(t, l, "elasticsearch", at); len(list) != 1 {
		t.Errorf("another sink's delivery is gone: %+v", list)
	}
	list = due(t, l, "slack", at.Add(time.Minute))
	if len(list) != 1 || list[0].Note != "half" || list[0].Rejected != 2 || list[0].Tries != 1 || list[0].Detail != "down" {
		t.Fatalf("Due() = %+v", list)
	}
	kept, err := l.Rejections(t.Context(), list[0].Seq, 10)
	if diff := cmp.Diff(kept, []audit.Rejection{rejected[1], rejected[0]}); diff != "" || err != nil {
		t.Errorf("Rejections(): %v (-got +want):\n%s", err, diff)
	}
	d = list[0]
	d.Status = audit.Refused
	if err := l.Tried(t.Context(), d); err != nil {
		t.Fatal(err)
	}
	if list := due(t, l, "slack", at.Add(time.Hour)); len(list) != 0 {
		t.Errorf("what was refused is tried again: %+v", list)
	}
	if n, err := l.Retry(t.Context(), ledger.DeliveryQuery{Sink: "slack"}, at, false); n != 1 || err != nil {
		t.Errorf("Retry() = %d, %v", n, err)
	}
	if list := due(t, l, "slack", at); len(list) != 1 {
		t.Errorf("what is to be retried is not: %+v", list)
	}
}

// TestAnnounce: an announcement is owed once, however often it is made.
func TestAnnounce(t *testing.T) {
	t.Parallel()
	l := open(t, filepath.Join(t.TempDir(), "ledger.db"))
	a := audit.Announcement{Kind: audit.OfMissed, Key: "nightly 1", At: audittest.Moment, Missed: &audit.Missed{Audit: "nightly", Due: audittest.Moment, Reason: "r"}}
	for range 2 {
		if err := l.Announce(t.Context(), a, []string{"slack"}); err != nil {
			t.Fatal(err)
		}
	}
	list := due(t, l, "slack", audittest.Moment)
	if len(list) != 1 {
		t.Fatalf("%d deliveries, want 1", len(list))
	}
	if diff := cmp.Diff(list[0].Announcement, a); diff != "" {
		t.Errorf("announcement (-got +want):\n%s", diff)
	}
}

// TestClaim: one process, or one part of it, delivers to a sink at a time.
func TestClaim(t *testing.T) {
	t.Parallel()
	l := open(t, filepath.Join(t.TempDir(), "ledger.db"))
	release, err := l.Claim("slack")
	if err != nil {
		t.Fatal(err)
	}
	if _, err := l.Claim("slack"); !errors.Is(err, audit.ErrElsewhere) {
		t.Errorf("Claim() = %v", err)
	}
	other, err := l.Claim("files")
	if err != nil {
		t.Errorf("another sink cannot be claimed: %v", err)
	}
	for _, f := range []func() error{release, other} {
		if err := f(); err != nil {
			t.Fatal(err)
		}
	}
	if _, err := l.Claim("slack"); err != nil {
		t.Errorf("Claim() after release: %v", err)
	}
	if _, err := l.Claim("../x"); err == nil {
		t.Error("a name that leaves the folder is taken")
	}
}
