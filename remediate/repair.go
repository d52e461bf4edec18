package remediate

import (
	"context"
	"encoding/json"
	"errors"
	"fmt"
	"maps"
	"slices"
	"time"

	"github.com/crosscheck-dev/crosscheck/audit"
)

// Run takes every repair as far as it goes now: what another process left
// unsettled is settled by a re-audit, what is approved is done, what is overdue
// expires. It gives the repairs that it moved. One process at a time runs; in
// another one the error is audit.ErrElsewhere.
func (e *Engine) Run(ctx context.Context) (moved []audit.Repair, err error) {
	release, err := e.cfg.Claim()
	if err != nil {
		return nil, err
	}
	defer func() { err = errors.Join(err, release()) }()
	for _, step := range []struct {
		states []audit.RepairState
		do     func(context.Context, audit.Repair) (audit.Repair, error)
		asks   bool // a re-audit, and with patience
	}{
		{[]audit.RepairState{audit.RepairActing, audit.RepairActed}, e.lost, false},
		{[]audit.RepairState{audit.RepairUnknown}, e.settle, true},
		{[]audit.RepairState{audit.RepairActed}, e.resume, true},
		{[]audit.RepairState{audit.RepairSettling}, e.settled, true},
		{[]audit.RepairState{audit.RepairRequested}, e.overdue, false},
		{[]audit.RepairState{audit.RepairApproved}, e.repair, false},
	} {
		list, err := e.cfg.Ledger.Repairs(ctx, audit.RepairQuery{States: step.states, Limit: 10_000})
		if err != nil {
			return moved, err
		}
		slices.Reverse(list) // the oldest first
		for _, r := range list {
			if step.asks && e.cfg.Patience.waits(r.ID, e.now()) {
				continue
			}
			after, err := step.do(ctx, r)
			if ctx.Err() != nil {
				return moved, ctx.Err()
			}
			if step.asks {
				e.cfg.Patience.note(r.ID, e.now(), err == nil && after.State != r.State)
			}
			if err != nil {
				e.cfg.Log.WarnContext(ctx, "a repair could not be taken further", "repair", r.ID, "state", r.State, "error", e.clean(err.Error()))
				continue
			}
			if after.State != r.State {
				moved = append(moved, after)
			}
		}
	}
	return moved, nil
}

// lost marks a repair that is acting, or being undone, though nobody is at it: we
// hold the claim.
func (e *Engine) lost(ctx context.Context, r audit.Repair) (audit.Repair, error) {
	from, why := r.State, "whoever began it is gone; it is not done again: a re-audit will tell"
	if from == audit.RepairActed {
		if r.Undone == nil {
			return r, nil // it ended, and is verified by resume
		}
		why = r.Reason + "; whoever undid it is gone, and it is not undone again: what is there now will tell"
	}
	r.State, r.Updated, r.Reason = audit.RepairUnknown, e.now(), why
	return r, e.move(ctx, from, r, Itself)
}

// overdue expires a request that nobody decided on.
func (e *Engine) overdue(ctx context.Context, r audit.Repair) (audit.Repair, error) {
	if r.Requested != nil && !e.over(r.Requested.At, e.cfg.RequestTTL) {
		return r, nil
	}
	return e.expired(ctx, r, "nobody decided on it in "+e.cfg.RequestTTL.String()+", or it is of a time to come")
}

func (e *Engine) expire(ctx context.Context, r audit.Repair) error {
	_, err := e.expired(ctx, r, "nobody decided on it in "+e.cfg.RequestTTL.String()+", or it is of a time to come")
	return err
}

func (e *Engine) expired(ctx context.Context, r audit.Repair, why string) (audit.Repair, error) {
	from := r.State
	r.State, r.Updated, r.Reason = audit.RepairExpired, e.now(), why
	return r, e.move(ctx, from, r, Itself)
}

// repair does what is approved, if every guard lets it.
func (e *Engine) repair(ctx context.Context, r audit.Repair) (audit.Repair, error) {
	if r.Decided == nil || e.over(r.Decided.At, e.cfg.ApprovalTTL) {
		return e.expired(ctx, r, "the approval was not used in "+e.cfg.ApprovalTTL.String()+", or is of a time to come")
	}
	p, err := e.ready(ctx, r)
	var no *refused
	switch {
	case errors.As(err, &no) && no.wait:
		return r, nil // stays approved; the reason is asked for by `repairs show`
	case errors.As(err, &no):
		r.State, r.Updated, r.Reason = audit.RepairBlocked, e.now(), e.clean(no.reason)
		return r, e.move(ctx, audit.RepairApproved, r, Itself)
	case err != nil:
		return r, err
	}
	return e.act(ctx, r, p)
}

// prepared is a repair that may act now.
type prepared struct {
	runbook Runbook
	before  Judged
	targets []Values
	memory  json.RawMessage
	atMost  int
}

// Why tells what keeps an approved repair from acting now, empty if nothing
// does that can be told without fresh data.
func (e *Engine) Why(ctx context.Context, r audit.Repair) string {
	book, use, ok := e.Used(r.Runbook)
	if !ok {
		return "its runbook is not in use any more"
	}
	seen, err := e.cfg.Judge.Seen(ctx, r.Decision)
	if err == nil {
		err = e.guarded(ctx, subject{r, book, use, seen.Document})
	}
	if err != nil {
		return e.clean(err.Error())
	}
	return ""
}

// ready asks the guards, judges the violation again on fresh data, and captures
// what roll back would restore. Nothing is changed.
func (e *Engine) ready(ctx context.Context, r audit.Repair) (prepared, error) {
	book, use, ok := e.Used(r.Runbook)
	if !ok {
		return prepared{}, block("its runbook is not in use any more")
	}
	seen, err := e.cfg.Judge.Seen(ctx, r.Decision)
	if err != nil {
		return prepared{}, err
	}
	if err := e.guarded(ctx, subject{r, book, use, seen.Document}); err != nil {
		return prepared{}, err
	}
	fresh, err := e.cfg.Judge.Again(ctx, seen.Decision, "")
	if err != nil {
		return prepared{}, err
	}
	p := prepared{runbook: book, before: fresh, atMost: atMost(book, use, seen.Run, r.Control)}
	if err := stillViolated(book, fresh); err != nil {
		return p, err
	}
	if p.targets, err = book.values(fresh.Decision, fresh.Document, use.With); err != nil {
		return p, block("%v", err)
	}
	if !maps.Equal(flat(p.targets), r.Parameters) {
		return p, block("what would be done now is not what was asked for: request it again")
	}
	if err := e.guarded(ctx, subject{r, book, use, fresh.Document}); err != nil {
		return p, err
	}
	c, stop := context.WithTimeout(ctx, e.cfg.Timeout)
	defer stop()
	if p.memory, err = e.cfg.Runners[book.Runner].Capture(c, call(r, book, p.targets)); err != nil {
		return p, block("what is there now could not be captured: %s", e.clean(err.Error()))
	}
	if book.DryRun {
		if _, err := e.dry(ctx, r, book, p.targets); err != nil {
			return p, block("the dry run: %v", err)
		}
	}
	return p, e.notStopped(ctx, subject{})
}

// stillViolated blocks what fresh data does not ask for.
func stillViolated(book Runbook, fresh Judged) error {
	d := fresh.Decision
	switch {
	case fresh.Gone:
		return block("the resource is gone")
	case d.Outcome != audit.Fail:
		return block("it is not violated any more: decision %s came to %s", d.ID, d.Outcome)
	case d.Excepted():
		return block("what was found is accepted by now")
	case !book.Repairs(d):
		return block("what is violated now is not what the runbook is made for")
	}
	return nil
}

// act does it: the intent is on disk before the runner is called.
func (e *Engine) act(ctx context.Context, r audit.Repair, p prepared) (audit.Repair, error) {
	now := e.now()
	r.State, r.Updated, r.Reason = audit.RepairActing, now, ""
	r.Acted = &audit.RepairStep{At: now, By: p.runbook.Runner + " " + p.runbook.ID + " " + p.runbook.Version, Decision: p.before.Decision.ID, Run: p.before.Run.ID, Outcome: audit.Fail}
	err := e.cfg.Ledger.Move(ctx, audit.RepairMove{
		From: audit.RepairApproved, To: r, By: Itself, Before: p.memory, AtMost: p.atMost, Sinks: e.cfg.Sinks,
	})
	switch {
	case errors.Is(err, audit.ErrEnough):
		r.State, r.Acted, r.Reason = audit.RepairBlocked, nil, fmt.Sprintf("the run had %d repairs of the runbook already, which is as many as it may", p.atMost)
		return r, e.move(ctx, audit.RepairApproved, r, Itself)
	case errors.Is(err, audit.ErrBusy), errors.Is(err, audit.ErrMoved):
		r.State, r.Acted = audit.RepairApproved, nil
		return r, nil // it is somebody else's now, or waits
	case err != nil:
		return r, err
	}
	limited, stop := context.WithTimeout(ctx, e.cfg.Timeout)
	out, failed := e.cfg.Runners[p.runbook.Runner].Act(limited, call(r, p.runbook, p.targets))
	stop()
	keep := context.WithoutCancel(ctx) // what happened is recorded also when we are told to end
	r.Updated, r.State = e.now(), audit.RepairActed
	step := *r.Acted
	step.At, step.Output = r.Updated, e.clean(out)
	r.Acted = &step
	if failed != nil {
		r.Reason = "the runner: " + e.clean(failed.Error())
	}
	if failed != nil && (ctx.Err() != nil || errors.Is(failed, ErrAtWork)) {
		r.State = audit.RepairUnknown
	}
	if err := e.move(keep, audit.RepairActing, r, p.runbook.Runner); err != nil {
		return r, err
	}
	if r.State == audit.RepairUnknown || ctx.Err() != nil {
		return r, ctx.Err() // whoever runs next settles it, or verifies what acted
	}
	return e.verify(ctx, r, p.before.Failing)
}

// pause waits as the runbook says.
func (e *Engine) pause(ctx context.Context, book Runbook) error {
	if book.Verify.Wait == 0 {
		return ctx.Err()
	}
	return e.cfg.Sleep(ctx, time.Duration(book.Verify.Wait))
}

// ahead is how far a clock may have been ahead and be believed.
const ahead = 5 * time.Minute

// over tells whether what holds for a time does not hold any more. What begins
// in a time to come was written while the clock was ahead, and does not hold.
func (e *Engine) over(since time.Time, ttl time.Duration) bool {
	age := e.now().Sub(since)
	return age > ttl || age < -ahead
}

// now is the time in whole seconds, as everything on record has it.
func (e *Engine) now() time.Time { return e.cfg.Now().UTC().Truncate(time.Second) }
