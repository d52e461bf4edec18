package audit

import (
	"cmp"
	"context"
	"errors"
	"fmt"
	"log/slog"
	"os"
	"slices"
	"time"
)

// Auditor runs audits: scheduled, manual, re-audits and gates are the same
// pipeline with another scope, other collectors and other sinks.
type Auditor struct {
	Collectors []Collector
	Decider    Decider
	Vault      Vault
	Ledger     Ledger // nil: nothing is recorded, as in a gate
	Outbox     Outbox // nil: the run is owed to nobody
	Sinks      []Sink // shown to whoever asked for the run, once; nothing of it is kept
	Exceptions []Exception
	Entity     string
	System     string
	Config     string // digest of the configuration that bears on decisions
	Library    string // vault digest of the library's tar
	Engine     string // names what decides: runs of the same name decide alike; empty: nothing is taken over
	Excepted   string // vault digest of exceptions.yaml
	Kept       string // file for Judgement.Kept; empty: none
	Provenance Provenance
	Parallel   int               // origins collected at once, default 4
	TempDir    string            // where snapshots spill, default the system's
	Now        func() time.Time  // required
	Log        *slog.Logger      // required
	Progress   func(event Event) // may be nil; called from many goroutines
	Observer   Observer          // may be nil
}

// Event is a step of a run, for a person watching.
type Event struct {
	Stage     string // collecting, collected, deciding, recorded, delivered
	Origin    string // collecting, collected
	Sink      string // delivered
	Done      int64  // resources
	Total     int64  // resources, 0 if not known
	Gaps      int    // collected: population gaps
	Err       error  // collected, delivered
	Violation int64  // deciding: failed decisions so far
}

// Ledger is the durable record of runs.
type Ledger interface {
	// Begin notes that an audit has started and returns its attempt. One that
	// never completes is marked interrupted when the next begins.
	Begin(ctx context.Context, started time.Time) (attempt string, err error)
	// Complete records a run with what is owed to its sinks, all of it or nothing,
	// and ends the attempt. Where a run of the same ID is on record that one is
	// returned and stays as it is, and nothing more is owed.
	Complete(ctx context.Context, attempt string, rec Record) (Run, error)
	// LastComplete returns the latest complete, unscoped, not simulated run that is not a gate's.
	LastComplete(ctx context.Context) (run Run, ok bool, err error)
}

// Outbox delivers what the ledger owes to sinks.
type Outbox interface {
	// Sinks names those that every run is owed to.
	Sinks() []string
	// Deliver sees to it that a run on record is delivered, now or later. Its
	// error says which sinks a run did not reach yet.
	Deliver(ctx context.Context, rec Record) error
}

// SourceError says with which code and at which call a source could not be read.
type SourceError struct {
	Code      GapCode
	Operation string
	Err       error // must not hold a secret: it is logged
}

func (e *SourceError) Error() string { return fmt.Sprintf("%s: %v", e.Operation, e.Err) }

// Unwrap gives the cause.
func (e *SourceError) Unwrap() error { return e.Err }

// Order asks for one run.
type Order struct {
	Trigger Trigger
	Scope   Scope
	At      time.Time         // the moment to judge by; zero: now for live sources, the collection for recorded ones
	Overlay bool              // re-audit: collect Needs only, and lay them over the last complete run's snapshots
	Needs   []Need            // re-audit: what is read afresh, of each origin once
	Full    bool              // evaluate everything, take nothing over from the last complete run
	Relink  map[string]string // re-audit: "control resource" → id of the decision that is judged again
	Audit   string            // the scheduled audit that this is a run of
	Repair  string            // the repair that this re-audit verifies
}

// run is Run without its observer.
func (a *Auditor) run(ctx context.Context, o Order) (Run, error) {
	if _, err := a.Decider.Catalog().Select(o.Scope); err != nil {
		return Run{}, err
	}
	if err := a.knownOrigins(o); err != nil {
		return Run{}, err
	}
	o.Scope.Resources = slices.Compact(slices.Sorted(slices.Values(o.Scope.Resources)))
	run := Run{
		Entity: a.Entity, System: a.System, Revision: a.Decider.Catalog().Revision, Library: a.Library,
		Engine: a.Engine, ConfigDigest: a.Config, Trigger: o.Trigger, Audit: o.Audit, Repair: o.Repair, Scope: o.Scope, Started: a.Now().UTC().Truncate(time.Second),
		Exceptions: a.Excepted, Provenance: a.Provenance, Notices: []Notice{},
	}
	var attempt string
	var last Run
	if a.Ledger != nil {
		var err error
		if attempt, err = a.Ledger.Begin(ctx, run.Started); err != nil {
			return Run{}, fmt.Errorf("ledger: %w", err)
		}
		if last, _, err = a.Ledger.LastComplete(ctx); err != nil {
			return Run{}, fmt.Errorf("ledger: %w", err)
		}
	}
	if err := a.collect(ctx, &run, last, o); err != nil {
		return run, err
	}
	a.judgeBy(&run, o)
	if err := a.observed(o, "decide", "", func() error { return a.decide(ctx, &run, last, o) }); err != nil {
		return run, err
	}
	return a.record(ctx, attempt, run, o)
}

// record puts the run into the ledger and only then hands it to the sinks.
func (a *Auditor) record(ctx context.Context, attempt string, run Run, o Order) (Run, error) {
	run.Ended = a.Now().UTC().Truncate(time.Second)
	rec := Record{Run: run, Catalog: a.Decider.Catalog(), Vault: a.Vault}
	if a.Ledger != nil {
		rec.History, _ = a.Ledger.(History)
		if a.Outbox != nil {
			rec.Owed = a.Outbox.Sinks()
		}
		err := a.observed(o, "record", "", func() (err error) {
			rec.Run, err = a.Ledger.Complete(ctx, attempt, rec)
			return err
		})
		if err != nil {
			return run, fmt.Errorf("ledger: recording run %s: %w", run.ID, err)
		}
	}
	a.tell(Event{Stage: "recorded"})
	var failed []error
	if a.Outbox != nil && a.Ledger != nil {
		failed = append(failed, a.Outbox.Deliver(ctx, rec))
	}
	for _, s := range a.Sinks {
		err := s.Deliver(ctx, rec, Delivery{Sink: s.Name(), Kind: OfRun, Subject: rec.Run.ID})
		a.tell(Event{Stage: "delivered", Sink: s.Name(), Err: err})
		if err != nil {
			failed = append(failed, fmt.Errorf("sink %s: %w", s.Name(), err))
		}
	}
	if err := errors.Join(failed...); err != nil {
		return rec.Run, &DeliveryError{Run: run.ID, Err: err}
	}
	return rec.Run, nil
}

// DeliveryError says that a run is recorded, but did not reach every sink.
type DeliveryError struct {
	Run string
	Err error
}

func (e *DeliveryError) Error() string {
	return fmt.Sprintf("run %s is recorded, but not delivered everywhere: %v", e.Run, e.Err)
}

// Unwrap gives the sinks' errors.
func (e *DeliveryError) Unwrap() error { return e.Err }

func (a *Auditor) knownOrigins(o Order) error {
	var known []string
	for _, c := range a.Collectors {
		known = append(known, c.Origins()...)
	}
	wanted := o.Scope.Origins
	for _, n := range o.Needs {
		wanted = append(slices.Clip(wanted), n.Origin)
	}
	for _, origin := range wanted {
		if !slices.Contains(known, origin) {
			return UnknownError{Kind: "origin", Name: origin}
		}
	}
	if o.Overlay && o.Scope.Whole() {
		return errors.New("a re-audit is of something: only a run that reads everything is of everything")
	}
	slices.Sort(known)
	for i := 1; i < len(known); i++ {
		if known[i] == known[i-1] {
			return fmt.Errorf("origin %s is configured twice", known[i])
		}
	}
	return nested(known)
}

// nested refuses an origin within another: ids begin with their origin, and could be
// of either. origins are sorted.
func nested(origins []string) error {
	for _, inner := range origins {
		for i := range len(inner) {
			if inner[i] != '/' {
				continue
			}
			if _, within := slices.BinarySearch(origins, inner[:i]); within {
				return fmt.Errorf("origin %s is within origin %s: rename one of them", inner, inner[:i])
			}
		}
	}
	return nil
}

// judgeBy settles as_of, and whether the run is simulated.
func (a *Auditor) judgeBy(run *Run, o Order) {
	live, latest := false, time.Time{}
	for _, s := range run.Snapshots {
		live = live || !s.Recorded
		if at := s.Latest(); at.After(latest) {
			latest = at
		}
	}
	run.AsOf = run.Started
	if !live && !latest.IsZero() {
		run.AsOf = latest
	}
	if !o.At.IsZero() {
		at := o.At.UTC().Truncate(time.Second)
		run.Simulated = at.Before(latest) || at.Sub(run.AsOf).Abs() > time.Hour
		run.AsOf = at
	}
	if run.Simulated {
		run.Notices = append(run.Notices, Notice{
			Code: "simulated", Subject: "run",
			Message: "judged as of " + Stamp(run.AsOf) + ", not when the data was collected: it is no evidence of any period",
		})
	}
}

// runID identifies a run by what it was given.
func runID(r Run) (string, error) {
	type snap struct {
		Origin, Digest string
		Gaps           []Gap
		Answers        []string
		Fresh          any `json:",omitempty"`
	}
	var snaps []snap
	for _, s := range r.Snapshots {
		snaps = append(snaps, snap{s.Origin, s.Digest, s.Gaps, s.Answers, s.Fresh.given()})
	}
	return DigestOf([]any{"crosscheck/run/1", r.ConfigDigest, r.Revision, snaps, Stamp(r.AsOf), r.Scope, r.Trigger, r.Exceptions})
}

func (a *Auditor) tell(e Event) {
	if a.Progress != nil {
		a.Progress(e)
	}
}

func (a *Auditor) tempDir() (string, error) {
	return os.MkdirTemp(cmp.Or(a.TempDir, os.TempDir()), "crosscheck-snapshot-")
}
