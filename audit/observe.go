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
	Stage     string // request, collect, decide, record; or run, which is all of them and the delivery
	Origin    string // request, collect
	Operation string // request: one of the few words that a collector has for what it asks
	Audit     string // but request
	Trigger   Trigger
	Status    Status // run: as it was recorded; empty where nothing was
	Took      time.Duration
	Err       error
}

// Stopwatch times the requests of one reading of one origin, each as Call.Requests
// counts it. A nil one times nothing. It is used from many goroutines.
type Stopwatch struct {
	Observer Observer
	Origin   string
	Now      func() time.Time
}

// Start is called before a request, and what it returns once it is answered, with
// the error if it is not. operation is one of a closed list: no name out of an
// answer is part of it.
func (s *Stopwatch) Start(operation string) (stop func(err error)) {
	if s == nil {
		return func(error) {}
	}
	started := s.Now()
	return func(err error) {
		s.Observer.Observe(Observation{Stage: "request", Origin: s.Origin, Operation: operation, Took: s.Now().Sub(started), Err: err})
	}
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
