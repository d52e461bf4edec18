package audit

import (
	"context"
	"errors"
	"time"
)

// Observer measures runs. It is told from many goroutines, and must not block.
type Observer interface {
	Observe(o Observation)
}

// Observation is a step of a run that ended.
type Observation struct {
	Stage   string // collect, decide, record; or run, which is all of them and the delivery
	Origin  string // collect
	Audit   string
	Trigger Trigger
	Status  Status // run: as it was recorded; empty where nothing was
	Took    time.Duration
	Err     error
}

// observed does one step, and tells how long it took and how it ended.
func (a *Auditor) observed(o Order, stage, origin string, do func() error) error {
	if a.Observer == nil {
		return do()
	}
	started := a.Now()
	err := do()
	a.Observer.Observe(Observation{Stage: stage, Origin: origin, Audit: o.Audit, Trigger: o.Trigger, Took: a.Now().Sub(started), Err: err})
	return err
}

// Run audits once: collect, decide, record, deliver. The run is returned also
// when a sink failed; then the error is a *DeliveryError.
func (a *Auditor) Run(ctx context.Context, o Order) (Run, error) {
	if a.Observer == nil {
		return a.run(ctx, o)
	}
	started := a.Now()
	run, err := a.run(ctx, o)
	seen := Observation{Stage: "run", Audit: o.Audit, Trigger: o.Trigger, Took: a.Now().Sub(started), Err: err}
	if err == nil || errors.As(err, new(*DeliveryError)) {
		seen.Status = run.Status
	}
	a.Observer.Observe(seen)
	return run, err
}

// OpenTally counts the violations of one control that are open.
type OpenTally struct {
	Control  string
	Outcome  Outcome
	Excepted bool
	N        int64
}

// QueueTally counts the deliveries of one sink that have a status.
type QueueTally struct {
	Sink   string
	Status DeliveryStatus
	N      int64
	Oldest time.Time // when the first of them was queued
}

// RunTally counts the runs on record that have a trigger and a status.
type RunTally struct {
	Trigger Trigger
	Status  Status
	N       int64
}
