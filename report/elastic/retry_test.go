package elastic_test

import (
	"context"
	"net/http"
	"strings"
	"testing"
	"time"

	"github.com/crosscheck-dev/crosscheck/audit"
	"github.com/crosscheck-dev/crosscheck/audit/audittest"
	"github.com/crosscheck-dev/crosscheck/report"
	"github.com/crosscheck-dev/crosscheck/report/elastic"
)

// TestDayDown: Elasticsearch is down for a simulated day, then back: the outbox
// delivers what it was owed, once, and leaves a busy server alone for as long as it asks.
func TestDayDown(t *testing.T) {
	t.Parallel()
	f, d := newFake(t), newDesk(t)
	rec := d.record(t, wide(t, "day", 20))
	now := rec.Run.Ended
	clock := func() time.Time { return now }
	box, err := report.New(report.Config{
		Queue: d.ledger, Sinks: []audit.Sink{sink(t, elastic.Config{URLs: []string{f.URL}, Now: clock})}, Now: clock, Log: audittest.Log(),
		Record: func(context.Context, string) (audit.Record, error) { return rec, nil },
	})
	if err != nil {
		t.Fatal(err)
	}
	back := now.Add(24 * time.Hour)
	f.any = func(w http.ResponseWriter, r *http.Request) bool {
		if !strings.HasSuffix(r.URL.Path, "/_bulk") || !now.Before(back) {
			return false
		}
		w.Header().Set("Retry-After", "3600")
		answer(w, http.StatusServiceUnavailable, failure("", ""))
		return true
	}
	tries := 0
	for now.Before(back.Add(2 * time.Hour)) {
		_ = box.Flush(t.Context()) // that it failed is in the ledger
		owed := d.owed(t, rec.Run.ID)
		if tries = owed.Tries; owed.Status == audit.Delivered {
			break
		}
		if owed.Status != audit.Waiting || owed.Next.Sub(now) < time.Hour {
			t.Fatalf("after %d tries it is %s, and tried again after %s", owed.Tries, owed.Status, owed.Next.Sub(now))
		}
		now = owed.Next
	}
	if len(f.docs) != 22 || tries < 20 || tries > 26 {
		t.Errorf("after %d tries %d documents are there, want 22", tries, len(f.docs))
	}
}
