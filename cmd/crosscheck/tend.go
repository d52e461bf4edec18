package main

import (
	"context"
	"errors"
	"time"

	"github.com/crosscheck-dev/crosscheck/audit"
)

// tending is how often the daemon looks whether a repair can go further: an
// approval may be given by another process, and change windows open.
const tending = 30 * time.Second

// tend takes repairs further until ctx ends: after each run, when somebody
// decides on one, and now and then.
func (d *daemon) tend(ctx context.Context) {
	considered := ""
	for {
		timer := time.NewTimer(tending)
		select {
		case <-ctx.Done():
			timer.Stop()
			return
		case <-d.repairs:
		case <-timer.C:
		}
		timer.Stop()
		last, err := d.takeFurther(ctx, considered)
		if err != nil && ctx.Err() == nil && !errors.Is(err, audit.ErrElsewhere) {
			d.log().WarnContext(ctx, "repairs could not be taken further", "error", err.Error())
			continue
		}
		considered = last
	}
}

// tendSoon has repairs looked at at once.
func (d *daemon) tendSoon() {
	select {
	case d.repairs <- struct{}{}:
	default:
	}
}

// takeFurther does what there is to do about repairs, in the slot that audits
// have: it judges again. considered is the run whose violations were looked at.
func (d *daemon) takeFurther(ctx context.Context, considered string) (last string, err error) {
	f := d.inForce()
	if f.in.cfg.Remediation == nil {
		return considered, nil
	}
	run, _, err := d.ledger.LastComplete(ctx)
	if err != nil {
		return considered, err
	}
	open, err := d.ledger.Repairs(ctx, audit.RepairQuery{Limit: 1, States: []audit.RepairState{
		audit.RepairRequested, audit.RepairApproved, audit.RepairActing, audit.RepairUnknown, audit.RepairActed, audit.RepairSettling,
	}})
	if err != nil || len(open) == 0 && run.ID == considered {
		return considered, err
	}
	select {
	case d.slot <- struct{}{}:
	case <-ctx.Done():
		return considered, context.Cause(ctx)
	}
	defer func() { <-d.slot }()
	in, err := d.app.prepareAs(f.in.cfg)
	if err != nil {
		return considered, err
	}
	if err := in.openLedger(ctx); err != nil {
		return considered, err
	}
	defer func() { err = errors.Join(err, in.close()) }()
	moved, err := d.app.takeFurther(ctx, in)
	for _, r := range moved {
		f.in.log.InfoContext(ctx, "repair", "repair", r.ID, "runbook", r.Runbook, "resource", r.Resource, "state", string(r.State), "reason", r.Reason)
	}
	f.box.Wake()
	return run.ID, err
}
