package report_test

import (
	"context"
	"errors"
	"fmt"
	"log/slog"
	"path/filepath"
	"slices"
	"strings"
	"sync"
	"testing"
	"time"

	"github.com/crosscheck-dev/crosscheck/audit"
	"github.com/crosscheck-dev/crosscheck/audit/audittest"
	"github.com/crosscheck-dev/crosscheck/evidence/ledger"
	"github.com/crosscheck-dev/crosscheck/report"
)

// clock is a time that only the test moves.
type clock struct {
	mu sync.Mutex
	at time.Time
}

func (c *clock) now() time.Time {
	c.mu.Lock()
	defer c.mu.Unlock()
	return c.at
}

func (c *clock) add(d time.Duration) {
	c.mu.Lock()
	defer c.mu.Unlock()
	c.at = c.at.Add(d)
}

// taking is a sink that remembers what it took.
type taking struct {
	name    string
	deliver func(ctx context.Context, d audit.Delivery) error // nil: takes all
	mu      sync.Mutex
	got     []string
	tries   int
}

func (s *taking) Name() string { return s.name }

func (s *taking) Deliver(ctx context.Context, rec audit.Record, d audit.Delivery) error {
	s.mu.Lock()
	s.tries++
	s.mu.Unlock()
	if s.deliver != nil {
		if err := s.deliver(ctx, d); err != nil {
			return err
		}
	}
	s.mu.Lock()
	defer s.mu.Unlock()
	s.got = append(s.got, rec.Run.ID)
	return nil
}

// told is a sink that is told of missed audits.
type told struct {
	taking
	missed []string
}

func (s *told) Announces(kind audit.AnnouncementKind) bool { return kind == audit.OfMissed }

func (s *told) Announce(_ context.Context, a audit.Announcement, _ audit.Delivery) error {
	s.missed = append(s.missed, a.Missed.Audit)
	return nil
}

type fixture struct {
	*report.Outbox
	ledger *ledger.Ledger
	clock  *clock
	sinks  []audit.Sink
}

func outbox(t *testing.T, within time.Duration, sinks ...audit.Sink) fixture {
	t.Helper()
	l, err := ledger.Open(t.Context(), filepath.Join(t.TempDir(), "ledger.db"))
	if err != nil {
		t.Fatal(err)
	}
	t.Cleanup(func() { _ = l.Close() })
	c := &clock{at: audittest.Moment.Add(time.Hour)}
	o, err := report.New(report.Config{
		Queue: l, Sinks: sinks, Now: c.now, Log: audittest.Log(), Within: within, Poll: time.Millisecond,
		Record: func(ctx context.Context, id string) (audit.Record, error) {
			run, err := l.Run(ctx, id)
			return audit.Record{Run: run}, err
		},
	})
	if err != nil {
		t.Fatal(err)
	}
	return fixture{o, l, c, sinks}
}

// ran puts a run on record.
func (f fixture) ran(t *testing.T, name string) string {
	t.Helper()
	rec := audittest.Ran(t, name)
	rec.Run.Ended, rec.Owed = f.clock.now(), f.Sinks()
	attempt, err := f.ledger.Begin(t.Context(), rec.Run.Started)
	if err != nil {
		t.Fatal(err)
	}
	run, err := f.ledger.Complete(t.Context(), attempt, rec)
	if err != nil {
		t.Fatal(err)
	}
	return run.ID
}

func (f fixture) status(t *testing.T, sink string) (out []audit.Delivery) {
	t.Helper()
	out, err := f.ledger.Deliveries(t.Context(), ledger.DeliveryQuery{Sink: sink})
	if err != nil {
		t.Fatal(err)
	}
	return out
}

// TestDown: a sink that is down for a day gets each run of that day once it is
// back, once, without being hammered; another sink is not delayed. In which order
// they come is not promised: each waits by itself.
func TestDown(t *testing.T) {
	t.Parallel()
	var f fixture
	back := audittest.Moment.Add(25 * time.Hour)
	down := &taking{name: "down", deliver: func(context.Context, audit.Delivery) error {
		if f.clock.now().Before(back) {
			return errors.New("connection refused")
		}
		return nil
	}}
	up := &taking{name: "up"}
	f = outbox(t, 0, down, up)
	var runs []string
	for hour := range 26 {
		if hour%6 == 0 && hour < 24 {
			runs = append(runs, f.ran(t, fmt.Sprint("run ", hour)))
			err := f.Flush(t.Context())
			if err == nil || !strings.Contains(err.Error(), "sink down: connection refused") || strings.Contains(err.Error(), "sink up") {
				t.Fatalf("Flush() = %v", err)
			}
			if len(up.got) != len(runs) {
				t.Fatalf("the other sink has %d of %d runs", len(up.got), len(runs))
			}
		}
		for range 60 { // every minute
			_ = f.Flush(t.Context()) // what it says was looked at above
			f.clock.add(time.Minute)
		}
	}
	slices.Sort(down.got)
	slices.Sort(runs)
	if !slices.Equal(down.got, runs) {
		t.Errorf("delivered %s, want %s", down.got, runs)
	}
	if len(up.got) != len(runs) {
		t.Errorf("the other sink got %d deliveries of %d runs", len(up.got), len(runs))
	}
	// A day of tries at most a quarter of an hour apart, by four runs for 24, 18, 12 and 6 hours.
	if down.tries < 60*4 || down.tries > 60*8*2 {
		t.Errorf("%d tries", down.tries)
	}
	for _, d := range f.status(t, "down") {
		if d.Status != audit.Delivered || d.Detail != "" || d.Tries < 20 {
			t.Errorf("delivery %+v", d)
		}
	}
}

// TestHang: a sink that hangs is cut off, and delays no other one meanwhile.
func TestHang(t *testing.T) {
	t.Parallel()
	free := make(chan struct{})
	other := &taking{name: "other", deliver: func(context.Context, audit.Delivery) error { close(free); return nil }}
	hangs := &taking{name: "hangs", deliver: func(ctx context.Context, _ audit.Delivery) error {
		<-free // the other sink is delivered to while this one hangs
		<-ctx.Done()
		return ctx.Err()
	}}
	f := outbox(t, 50*time.Millisecond, hangs, other)
	f.ran(t, "run")
	err := f.Flush(t.Context())
	if err == nil || !strings.Contains(err.Error(), "not done within 50ms") {
		t.Errorf("Flush() = %v", err)
	}
	if d := f.status(t, "hangs")[0]; d.Status != audit.Waiting || d.Tries != 1 || !d.Next.After(f.clock.now()) {
		t.Errorf("delivery %+v", d)
	}
}

// TestStopped: a try that we cut off ourselves does not count, and comes first the next time.
func TestStopped(t *testing.T) {
	t.Parallel()
	ctx, stop := context.WithCancel(t.Context())
	s := &taking{name: "sink", deliver: func(ctx context.Context, _ audit.Delivery) error {
		stop()
		<-ctx.Done()
		return ctx.Err()
	}}
	f := outbox(t, 0, s)
	f.ran(t, "run")
	if err := f.Run(ctx); err != nil {
		t.Errorf("Run() = %v", err)
	}
	if d := f.status(t, "sink")[0]; d.Status != audit.Waiting || d.Tries != 0 || d.Detail != "" {
		t.Errorf("delivery %+v", d)
	}
}

// TestRun: what is queued while it runs is delivered without being asked for.
func TestRun(t *testing.T) {
	t.Parallel()
	ctx, stop := context.WithCancel(t.Context())
	n := 0
	s := &taking{name: "sink", deliver: func(context.Context, audit.Delivery) error {
		if n++; n == 2 {
			stop()
		}
		return nil
	}}
	f := outbox(t, 0, s)
	f.ran(t, "before")
	done := make(chan error)
	go func() { done <- f.Run(ctx) }()
	f.ran(t, "meanwhile")
	if err := <-done; err != nil || len(s.got) != 2 {
		t.Errorf("Run() = %v, delivered %v", err, s.got)
	}
}

// TestCannotBeNoted: while the ledger takes no note of what was delivered, that is
// said, and the sink is not told the same again and again.
func TestCannotBeNoted(t *testing.T) {
	t.Parallel()
	s := &taking{name: "sink"}
	f := outbox(t, 0, s)
	f.ran(t, "run")
	var said strings.Builder
	o, err := report.New(report.Config{
		Queue: forgetting{f.ledger}, Sinks: []audit.Sink{s}, Now: f.clock.now, Log: slog.New(slog.NewTextHandler(&said, nil)), Poll: time.Millisecond,
		Record: func(context.Context, string) (audit.Record, error) { return audit.Record{}, nil },
	})
	if err != nil {
		t.Fatal(err)
	}
	ctx, stop := context.WithTimeout(t.Context(), time.Second)
	defer stop()
	if err := o.Run(ctx); err != nil {
		t.Fatal(err)
	}
	if s.tries != 1 || strings.Count(said.String(), "disk full") != 1 {
		t.Errorf("delivered %d times, want once; said: %s", s.tries, said.String())
	}
}

// forgetting is a queue that cannot be written to.
type forgetting struct{ report.Queue }

func (forgetting) Tried(context.Context, audit.Delivery) error { return errors.New("disk full") }

// TestAnnouncements go to sinks that take them, once.
func TestAnnouncements(t *testing.T) {
	t.Parallel()
	plain, loud := &taking{name: "plain"}, &told{taking: taking{name: "loud"}}
	f := outbox(t, 0, plain, loud)
	to := f.Announcers(audit.OfMissed)
	if len(to) != 1 || to[0] != "loud" || len(f.Announcers(audit.OfNudge)) != 0 {
		t.Fatalf("Announcers() = %v, %v", to, f.Announcers(audit.OfNudge))
	}
	for range 2 {
		err := f.ledger.Announce(t.Context(), audit.Announcement{
			Kind: audit.OfMissed, Key: "nightly", At: f.clock.now(), Missed: &audit.Missed{Audit: "nightly"},
		}, to)
		if err := errors.Join(err, f.Flush(t.Context())); err != nil {
			t.Fatal(err)
		}
	}
	if len(loud.missed) != 1 || len(plain.got)+len(loud.got) != 0 {
		t.Errorf("told %v", loud.missed)
	}
}

// TestElsewhere: what another process delivers is left to it, and is no failure.
func TestElsewhere(t *testing.T) {
	t.Parallel()
	s := &taking{name: "sink"}
	f := outbox(t, 0, s)
	f.ran(t, "run")
	release, err := f.ledger.Claim("sink")
	if err != nil {
		t.Fatal(err)
	}
	if err := f.Flush(t.Context()); err != nil || s.tries != 0 {
		t.Errorf("Flush() = %v after %d tries", err, s.tries)
	}
	if err := errors.Join(release(), f.Flush(t.Context())); err != nil || len(s.got) != 1 {
		t.Errorf("Flush() = %v, delivered %v", err, s.got)
	}
}
