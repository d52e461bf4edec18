package report_test

import (
	"context"
	"errors"
	"fmt"
	"strings"
	"testing"
	"time"

	"github.com/crosscheck-dev/crosscheck/audit"
	"github.com/crosscheck-dev/crosscheck/evidence/ledger"
	"github.com/crosscheck-dev/crosscheck/report"
)

// TestTries holds what each kind of failure comes to.
func TestTries(t *testing.T) {
	t.Parallel()
	tests := map[string]struct {
		fails  error
		panics bool
		status audit.DeliveryStatus
		detail string
		least  time.Duration // until it is tried again
	}{
		"transient":           {fails: errors.New("503"), status: audit.Waiting, detail: "503", least: 2 * time.Second},
		"asked to wait":       {fails: report.RetryAfter(errors.New("429"), time.Hour), status: audit.Waiting, detail: "429", least: time.Hour - time.Second},
		"permanent":           {fails: fmt.Errorf("slack: %w", report.Permanent(errors.New("invalid_auth"))), status: audit.Refused, detail: "slack: invalid_auth"},
		"permanent and not":   {fails: errors.Join(report.Permanent(errors.New("400")), errors.New("503")), status: audit.Waiting, detail: "400 503", least: 2 * time.Second},
		"all of it permanent": {fails: errors.Join(report.Permanent(errors.New("a")), report.Permanent(errors.New("b"))), status: audit.Refused, detail: "a b"},
		"its own fault":       {panics: true, status: audit.Waiting, detail: "internal error, please report it: oops", least: 2 * time.Second},
		"a page of text":      {fails: errors.New("<html>\n\n" + strings.Repeat("é", 5000)), status: audit.Waiting, detail: "<html> " + strings.Repeat("é", 493) + "…", least: 2 * time.Second},
	}
	for name, tt := range tests {
		t.Run(name, func(t *testing.T) {
			t.Parallel()
			s := &taking{name: "sink", deliver: func(context.Context, audit.Delivery) error {
				if tt.panics {
					panic("oops")
				}
				return tt.fails
			}}
			f := outbox(t, 0, s)
			f.ran(t, "run")
			if err := f.Flush(t.Context()); err == nil {
				t.Error("Flush() says nothing")
			}
			d := f.status(t, "sink")[0]
			if d.Status != tt.status || d.Detail != tt.detail || d.Tries != 1 {
				t.Errorf("delivery %+v", d)
			}
			if tt.status == audit.Waiting && d.Next.Sub(f.clock.now()) < tt.least {
				t.Errorf("tried again after %s, want %s at least", d.Next.Sub(f.clock.now()), tt.least)
			}
			f.clock.add(48 * time.Hour)
			_ = f.Flush(t.Context())
			if want := map[audit.DeliveryStatus]int{audit.Waiting: 2, audit.Refused: 1}[tt.status]; s.tries != want {
				t.Errorf("%d tries two days later, want %d", s.tries, want)
			}
		})
	}
}

// TestGivesUp: after a week it waits for a person, and a person can have it tried again.
func TestGivesUp(t *testing.T) {
	t.Parallel()
	fails := true
	s := &taking{name: "sink", deliver: func(context.Context, audit.Delivery) error {
		if fails {
			return errors.New("503")
		}
		return nil
	}}
	f := outbox(t, 0, s)
	run := f.ran(t, "run")
	for range 8 * 24 * 4 {
		_ = f.Flush(t.Context())
		f.clock.add(15 * time.Minute)
	}
	d := f.status(t, "sink")[0]
	if d.Status != audit.Refused || !strings.HasPrefix(d.Detail, "given up after ") {
		t.Fatalf("delivery %+v", d)
	}
	fails = false
	if n, err := f.ledger.Retry(t.Context(), ledger.DeliveryQuery{Subject: run}, f.clock.now(), false); n != 1 || err != nil {
		t.Fatalf("Retry() = %d, %v", n, err)
	}
	if err := f.Flush(t.Context()); err != nil || len(s.got) != 1 {
		t.Errorf("Flush() = %v, %d delivered", err, len(s.got))
	}
}

// TestGivesUpOnlyWhatWasTried: a week in which nothing ran, or by which a clock
// jumped, is no week in which a sink failed.
func TestGivesUpOnlyWhatWasTried(t *testing.T) {
	t.Parallel()
	s := &taking{name: "sink", deliver: func(context.Context, audit.Delivery) error { return errors.New("503") }}
	f := outbox(t, 0, s)
	f.ran(t, "run")
	f.clock.add(8 * 24 * time.Hour)
	_ = f.Flush(t.Context())
	if d := f.status(t, "sink")[0]; d.Status != audit.Waiting || d.Tries != 1 {
		t.Errorf("after one try it is %s: %s", d.Status, d.Detail)
	}
}

// TestClockPutBack: what was queued, or tried, while the clock was ahead does not
// wait until that time comes.
func TestClockPutBack(t *testing.T) {
	t.Parallel()
	for name, tries := range map[string]int{"queued": 0, "tried": 1} {
		t.Run(name, func(t *testing.T) {
			t.Parallel()
			fails := tries > 0
			s := &taking{name: "sink", deliver: func(context.Context, audit.Delivery) error {
				if fails {
					return errors.New("503")
				}
				return nil
			}}
			f := outbox(t, 0, s)
			f.clock.add(30 * 24 * time.Hour)
			f.ran(t, "run")
			if tries > 0 {
				_ = f.Flush(t.Context())
			}
			fails = false
			f.clock.add(-30 * 24 * time.Hour)
			if err := f.Flush(t.Context()); err != nil || len(s.got) != 1 {
				t.Errorf("Flush() = %v, %d delivered; the delivery is %+v", err, len(s.got), f.status(t, "sink")[0])
			}
		})
	}
}
