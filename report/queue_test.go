package report_test

import (
	"context"
	"errors"
	"log/slog"
	"strings"
	"testing"
	"time"

	"github.com/crosscheck-dev/crosscheck/audit"
	"github.com/crosscheck-dev/crosscheck/report"
)

// TestNotToldAnyMore: what a sink was owed by a configuration that is no longer in
// force is refused with the reason, and never called delivered.
func TestNotToldAnyMore(t *testing.T) {
	t.Parallel()
	f := outbox(t, 0, &taking{name: "plain"})
	err := f.ledger.Announce(t.Context(), audit.Announcement{
		Kind: audit.OfMissed, Key: "nightly", At: f.clock.now(), Missed: &audit.Missed{Audit: "nightly"},
	}, []string{"plain"})
	if err != nil {
		t.Fatal(err)
	}
	if err := f.Flush(t.Context()); err == nil || !strings.Contains(err.Error(), "not told of a missed any more") {
		t.Errorf("Flush() = %v", err)
	}
	if d := f.status(t, "plain")[0]; d.Status != audit.Refused {
		t.Errorf("delivery %+v", d)
	}
}

// deaf is a queue that cannot be read.
type deaf struct{ report.Queue }

func (deaf) Due(context.Context, string, time.Time, int) ([]audit.Delivery, error) {
	return nil, errors.New("disk I/O error")
}

// TestDeafQueue: that nothing can be delivered is logged, once while it lasts.
func TestDeafQueue(t *testing.T) {
	t.Parallel()
	f := outbox(t, 0)
	ctx, stop := context.WithCancel(t.Context())
	var log strings.Builder
	looked := 0
	o, err := report.New(report.Config{
		Queue: deaf{f.ledger}, Sinks: []audit.Sink{&taking{name: "sink"}}, Log: slog.New(slog.NewTextHandler(&log, nil)), Poll: time.Millisecond,
		Now: func() time.Time {
			if looked++; looked == 5 {
				stop()
			}
			return f.clock.now()
		},
		Record: func(context.Context, string) (audit.Record, error) { return audit.Record{}, nil },
	})
	if err != nil {
		t.Fatal(err)
	}
	if err := o.Run(ctx); err != nil {
		t.Fatal(err)
	}
	if n := strings.Count(log.String(), "disk I/O error"); n != 1 {
		t.Errorf("it is logged %d times:\n%s", n, log.String())
	}
}
