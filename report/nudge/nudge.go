// Package nudge tells owners, once, that the same control keeps failing on what they own.
package nudge

import (
	"cmp"
	"context"
	"errors"
	"fmt"
	"slices"
	"time"

	"github.com/crosscheck-dev/crosscheck/audit"
)

// Ledger knows who met which control, and who was told.
type Ledger interface {
	// Met gives who met which control in a run, so many times at least in all,
	// but for those whom Nudge would not tell. Of the control only the id is set.
	Met(ctx context.Context, run audit.Run, times int, within time.Duration) ([]audit.Nudge, error)
	// MetBefore is an owner's history of a control up to a run, the latest first.
	MetBefore(ctx context.Context, run audit.Run, owner, control string) ([]audit.Spell, error)
	// Nudge owes a nudge to sinks and notes it. It does nothing where the owner
	// was ever nudged about the control, or about anything within a time before.
	Nudge(ctx context.Context, a audit.Announcement, within time.Duration, sinks []string) (queued bool, err error)
}

// Config says when owners are told.
type Config struct {
	Ledger Ledger
	Sinks  []string      // that take announcements of audit.OfNudge; at least one
	Times  int           // how often an owner meets a control until they are told, default 3
	Every  time.Duration // an owner is told once within that time at most, default a week
}

// Sink looks at each run for owners who met a control again. It delivers
// nothing itself: what it finds is owed to the sinks that tell. As a sink it is
// owed each run, so that none is passed over when a process is killed.
type Sink struct{ cfg Config }

// New checks the configuration.
func New(cfg Config) (*Sink, error) {
	switch {
	case cfg.Ledger == nil || len(cfg.Sinks) == 0:
		return nil, errors.New("a ledger, and a sink that tells nudges, are required")
	case cfg.Times < 0 || cfg.Times == 1 || cfg.Every < 0:
		return nil, errors.New("owners can be told from the second time on, and at most once in a time")
	}
	cfg.Times = cmp.Or(cfg.Times, 3)
	cfg.Every = cmp.Or(cfg.Every, 7*24*time.Hour)
	return &Sink{cfg}, nil
}

// Name implements audit.Sink.
func (s *Sink) Name() string { return "nudges" }

// Deliver implements audit.Sink. Called again for the same run it changes nothing.
func (s *Sink) Deliver(ctx context.Context, rec audit.Record, _ audit.Delivery) error {
	return s.After(ctx, rec)
}

// After owes what owners are to be told after a run, the worst first. Only a
// complete run of everything, or a re-audit, tells.
func (s *Sink) After(ctx context.Context, rec audit.Record) error {
	run := rec.Run
	if run.Status != audit.Complete || run.Simulated || !run.Scope.Whole() && run.Trigger != audit.Reaudit {
		return nil
	}
	met, err := s.cfg.Ledger.Met(ctx, run, s.cfg.Times, s.cfg.Every)
	if err != nil {
		return err
	}
	known := met[:0]
	for _, n := range met {
		if c, ok := rec.Catalog.Control(n.Control.ID); ok {
			n.Control = c
			known = append(known, n)
		}
	}
	// Of several that an owner could be told, the first is, and the others another time.
	slices.SortStableFunc(known, func(a, b audit.Nudge) int {
		return cmp.Or(cmp.Compare(a.Control.Severity.Rank(), b.Control.Severity.Rank()), cmp.Compare(b.Times, a.Times))
	})
	owners := map[string]bool{}
	for _, n := range known {
		if owners[n.Owner] {
			continue
		}
		owners[n.Owner] = true
		if n.Spells, err = s.cfg.Ledger.MetBefore(ctx, run, n.Owner, n.Control.ID); err != nil {
			return err
		}
		n.Control = told(n.Control)
		a := audit.Announcement{Kind: audit.OfNudge, Key: audit.Digest([]byte("nudge\n" + n.Owner + "\n" + n.Control.ID)), At: run.Ended, Nudge: &n}
		if _, err := s.cfg.Ledger.Nudge(ctx, a, s.cfg.Every, s.cfg.Sinks); err != nil {
			return fmt.Errorf("%s of %s: %w", n.Control.ID, n.Owner, err)
		}
	}
	return nil
}

// told is what of a control is told: the queue need not hold its program.
func told(c audit.Control) audit.Control {
	return audit.Control{ID: c.ID, Title: c.Title, Severity: c.Severity, Description: c.Description, Why: c.Why, Fix: c.Fix, Runbook: c.Runbook}
}
