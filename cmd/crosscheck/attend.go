package main

import (
	"context"
	"errors"
	"fmt"
	"log/slog"
	"runtime/debug"
	"time"

	"github.com/crosscheck-dev/crosscheck/audit"
	"github.com/crosscheck-dev/crosscheck/audit/schedule"
	"github.com/crosscheck-dev/crosscheck/evidence/ledger"
	"github.com/crosscheck-dev/crosscheck/report"
)

// lockedFor is how long the daemon waits before it asks again whether another
// process still audits with the data directory.
const lockedFor = 2 * time.Second

// scheduler makes what runs audits when they are due.
func (d *daemon) scheduler(f force) (*schedule.Scheduler, error) {
	every := 30 * time.Second
	if w := d.notify.Watchdog; w > 0 {
		every = min(every, w/3)
	}
	return schedule.New(schedule.Config{
		Book: occurrenceBook{d}, Run: d.due, Now: d.app.now, Sleep: schedule.Pause, Every: every,
		Beat: d.beat, Grace: f.in.cfg.Daemon.Grace, Log: f.in.log,
	})
}

// beat is told by the scheduler each time that it looks at the clock.
func (d *daemon) beat(next time.Time) {
	var status string
	d.set(func(s *daemonState) {
		s.Next, s.Looked = next, d.app.now().UTC()
		switch {
		case s.Running != "":
			status = "auditing: " + s.Running
		case next.IsZero():
			status = "nothing is scheduled"
		default:
			status = "the next audit begins at " + audit.Stamp(next)
		}
		if s.ConfigError != "" {
			status += "; the configuration file is wrong, the old one is in force"
		}
	})
	d.told(d.notify.alive(status))
}

// occurrenceBook keeps due times in the ledger, and announces to the sinks in force.
type occurrenceBook struct{ d *daemon }

// Occurrences implements schedule.Book.
func (b occurrenceBook) Occurrences(ctx context.Context, q audit.OccurrenceQuery) ([]audit.Occurrence, error) {
	return b.d.ledger.Occurrences(ctx, q)
}

// KeepOccurrences implements schedule.Book.
func (b occurrenceBook) KeepOccurrences(ctx context.Context, list []audit.Occurrence, tell []audit.Announcement) error {
	for i := range tell {
		missed := *tell[i].Missed
		run, _, ok, err := b.d.ledger.LastOf(ctx, missed.Audit, 0)
		if err != nil {
			return err
		}
		if ok {
			missed.LastComplete = run.Ended
		}
		tell[i].Missed = &missed
	}
	box := b.d.inForce().box
	if err := b.d.ledger.KeepOccurrences(ctx, list, tell, box.Announcers(audit.OfMissed)); err != nil {
		return err
	}
	if len(tell) > 0 {
		box.Wake()
	}
	return nil
}

// due runs a scheduled audit.
func (d *daemon) due(ctx context.Context, due schedule.Due) schedule.Ended {
	order := orderOf(due.Audit)
	run, err := d.perform(ctx, order, due.Audit.Timeout, func(ctx context.Context, attempt string) error {
		return d.ledger.KeepOccurrences(ctx, []audit.Occurrence{{
			Audit: due.Audit.Name, Due: due.At, Status: audit.DueRunning, Tries: due.Try, Attempt: attempt, At: d.app.now(),
		}}, nil, nil)
	})
	e := schedule.Ended{Run: run.ID, Err: err}
	if err == nil && run.Status != audit.Complete {
		e.Detail = "the run is " + string(run.Status) + ": see its gaps"
	}
	return e
}

// perform runs one audit with a fresh installation of the configuration in
// force. One runs at a time; while another process audits with the data directory
// it waits. within bounds the audit itself (0: it does not). began may be nil; it
// is told of the attempt before anything is collected.
func (d *daemon) perform(ctx context.Context, order audit.Order, within time.Duration, began func(ctx context.Context, attempt string) error) (run audit.Run, err error) {
	select {
	case d.slot <- struct{}{}:
	case <-ctx.Done():
		return audit.Run{}, context.Cause(ctx)
	}
	defer func() { <-d.slot }()
	return d.alone(ctx, order, within, began)
}

// alone is perform for who holds the slot.
func (d *daemon) alone(ctx context.Context, order audit.Order, within time.Duration, began func(ctx context.Context, attempt string) error) (run audit.Run, err error) {
	j := &job{d: d, order: order, within: within, began: began, f: d.inForce()}
	j.log = j.f.in.log.With("audit", j.name())
	ctx, j.cut = context.WithCancelCause(ctx)
	defer j.cut(nil)
	defer func() {
		if p := recover(); p != nil {
			j.log.ErrorContext(ctx, "audit panicked", "panic", fmt.Sprint(p), "stack", string(debug.Stack()))
			err = fmt.Errorf("internal error, please report it: %v", p)
		}
		j.end(ctx, run, err)
	}()
	run, err = j.run(ctx)
	if cause := context.Cause(ctx); err != nil && cause != nil {
		err = cause // what broke because it was cut says nothing
	}
	return run, err
}

// job is one audit of the daemon.
type job struct {
	d      *daemon
	f      force
	log    *slog.Logger
	order  audit.Order
	within time.Duration
	began  func(ctx context.Context, attempt string) error
	cut    context.CancelCauseFunc
	timer  *time.Timer
	since  time.Time
}

func (j *job) name() string {
	if j.order.Audit != "" {
		return j.order.Audit
	}
	return string(j.order.Trigger)
}

func (j *job) run(ctx context.Context) (run audit.Run, err error) {
	in, err := j.d.app.prepareAs(j.f.in.cfg)
	if err != nil {
		return audit.Run{}, err
	}
	defer func() {
		if in.ledger != nil {
			err = errors.Join(err, in.close())
		}
	}()
	auditor, err := j.d.app.auditor(ctx, in)
	if err != nil {
		return audit.Run{}, err
	}
	auditor.Outbox, auditor.Ledger = owing{j.d}, beginning{in.ledger, j}
	for said := false; ; said = true {
		run, err = auditor.Run(ctx, j.order)
		locked := (*ledger.LockedError)(nil)
		if !errors.As(err, &locked) {
			return run, naming(in.library.Catalog, err)
		}
		if !said {
			j.log.WarnContext(ctx, "waiting for another process that audits", "pid", locked.PID)
		}
		if schedule.Pause(ctx, lockedFor); ctx.Err() != nil {
			return audit.Run{}, context.Cause(ctx)
		}
	}
}

// begin is told that the lock is ours.
func (j *job) begin(ctx context.Context, attempt string) error {
	if j.began != nil {
		if err := j.began(ctx, attempt); err != nil {
			return err
		}
	}
	j.since = j.d.app.now()
	if j.within > 0 {
		j.timer = time.AfterFunc(j.within, func() {
			j.cut(fmt.Errorf("the audit took longer than %s: nothing of it is recorded", j.within))
		})
	}
	j.d.set(func(s *daemonState) { s.Running, s.Since = j.name(), j.since.UTC() })
	j.d.told(j.d.notify.alive("auditing: " + j.name())) // a short audit may be over at the next beat
	j.log.InfoContext(ctx, "audit begins", "trigger", string(j.order.Trigger), "attempt", attempt)
	return nil
}

// end logs what an audit came to.
func (j *job) end(ctx context.Context, run audit.Run, err error) {
	if j.timer != nil {
		j.timer.Stop()
	}
	j.d.set(func(s *daemonState) { s.Running, s.Since = "", time.Time{} })
	took := time.Duration(0)
	if !j.since.IsZero() {
		took = j.d.app.now().Sub(j.since)
	}
	j.d.tendSoon()
	if j.d.ran != nil {
		j.d.ran(j.name(), run, took, err)
	}
	if err != nil {
		j.log.ErrorContext(ctx, "audit failed", "took", took.Round(time.Millisecond).String(), "error", err.Error())
		return
	}
	var sum audit.Count
	for _, c := range run.Counts {
		sum.Pass += c.Pass
		sum.Fail += c.Fail
		sum.Excepted += c.Excepted
		sum.NotEvaluated += c.NotEvaluated
		sum.Excluded += c.Excluded
	}
	j.log.InfoContext(ctx, "audit ended", "run", run.ID, "status", string(run.Status), "pass", sum.Pass, "fail", sum.Fail, "excepted", sum.Excepted,
		"not_evaluated", sum.NotEvaluated, "excluded", sum.Excluded, "gaps", len(run.Gaps()), "took", took.Round(time.Millisecond).String())
}

// beginning is a ledger that tells a job when its audit begins.
type beginning struct {
	*ledger.Ledger
	job *job
}

// Begin implements audit.Ledger.
func (b beginning) Begin(ctx context.Context, started time.Time) (string, error) {
	attempt, err := b.Ledger.Begin(ctx, started)
	if err != nil {
		return "", err
	}
	return attempt, b.job.begin(ctx, attempt)
}

// owing leaves delivering to the daemon's outbox, which is always at it.
type owing struct{ d *daemon }

func (o owing) box() *report.Outbox { return o.d.inForce().box }

// Sinks implements audit.Outbox.
func (o owing) Sinks() []string { return o.box().Sinks() }

// Deliver implements audit.Outbox.
func (o owing) Deliver(context.Context, audit.Record) error {
	o.box().Wake()
	return nil
}
