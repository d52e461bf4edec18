package remediate

import (
	"bytes"
	"context"
	"encoding/json"
	"errors"
	"slices"
	"strings"

	"github.com/crosscheck-dev/crosscheck/audit"
)

// verify judges again what a runner acted on. What is not fixed, or fixed at the
// price of another control, is rolled back. Failing are the controls that failed
// before; nil where nobody looked.
func (e *Engine) verify(ctx context.Context, r audit.Repair, failing []string) (audit.Repair, error) {
	book := e.runbooks[r.Runbook]
	var after Judged
	for try := 0; ; try++ {
		if err := e.pause(ctx, book); err != nil {
			return r, err
		}
		var err error
		if after, err = e.again(ctx, r); err != nil {
			return r, err // stays acted: whoever runs next tries again
		}
		if after.Gone || after.Decision.Outcome == audit.Pass || try+1 >= book.Verify.Tries {
			break
		}
	}
	d := after.Decision
	if !after.Gone && d.Outcome != audit.Pass && d.Outcome != audit.Fail {
		e.cfg.Log.WarnContext(ctx, "a repair is not verified yet", "repair", r.ID, "outcome", d.Outcome)
		return r, nil // cannot be told now: it stays acted
	}
	now := e.now()
	r.Updated = now
	r.Verified = &audit.RepairStep{At: now, By: "re-audit", Run: after.Run.ID, Decision: d.ID, Outcome: d.Outcome}
	worse := worseThan(failing, after.Failing)
	if (after.Gone || d.Outcome == audit.Pass) && len(worse) == 0 {
		r.State = audit.RepairVerified
		return r, e.move(ctx, audit.RepairActed, r, "re-audit")
	}
	why := "the violation is still there"
	if len(worse) > 0 {
		why = "controls that did not fail before do now: " + strings.Join(worse, ", ")
	}
	if r.Reason != "" {
		why += " (" + r.Reason + ")"
	}
	r.Reason = why
	return e.rollBack(ctx, r)
}

// again judges the decision that a repair is about, as its verification.
func (e *Engine) again(ctx context.Context, r audit.Repair) (Judged, error) {
	seen, err := e.cfg.Judge.Seen(ctx, r.Decision)
	if err != nil {
		return Judged{}, err
	}
	return e.cfg.Judge.Again(ctx, seen.Decision, r.ID)
}

// worseThan are the controls that fail now and did not before.
func worseThan(before, after []string) []string {
	if before == nil {
		return nil
	}
	return slices.DeleteFunc(slices.Clone(after), func(c string) bool { return slices.Contains(before, c) })
}

// rollBack puts back what was there. Its intent too is on disk before it acts.
func (e *Engine) rollBack(ctx context.Context, r audit.Repair) (audit.Repair, error) {
	book := e.runbooks[r.Runbook]
	if !book.RollBack || e.runbooks[r.Runbook].Digest != r.Digest {
		r.State = audit.RepairFailed
		return r, e.move(ctx, audit.RepairActed, r, Itself)
	}
	memory, err := e.cfg.Ledger.Memory(ctx, r.ID)
	if err != nil {
		return r, err
	}
	r.Undone = &audit.RepairStep{At: r.Updated, By: book.Runner + " " + book.ID + " " + book.Version}
	if err := e.move(ctx, audit.RepairActed, r, Itself); err != nil { // acted, and begun to be undone
		return r, err
	}
	limited, stop := context.WithTimeout(ctx, e.cfg.Timeout)
	out, failed := e.cfg.Runners[book.Runner].Undo(limited, call(r, book, unflat(r.Parameters)), memory)
	stop()
	step := *r.Undone
	step.At, step.Output = e.now(), e.clean(out)
	r.Undone, r.Updated = &step, step.At
	return e.undone(context.WithoutCancel(ctx), r, memory, failed)
}

// undone verifies that what was there before is there again: by what the runner
// captures, byte for byte, and by a re-audit. Of a runner that captures nothing
// the re-audit alone tells: it must find the violation again. failed is what went
// wrong while it was undone, or that nobody knows. Where nobody knows and no
// re-audit can be made, it stays as it is.
func (e *Engine) undone(ctx context.Context, r audit.Repair, memory json.RawMessage, failed error) (audit.Repair, error) {
	from := r.State
	same, err := e.restored(ctx, r, memory)
	after, aerr := e.again(ctx, r)
	if aerr != nil && from == audit.RepairUnknown {
		return r, aerr
	}
	step := *r.Undone
	if aerr == nil {
		step.Run, step.Decision, step.Outcome = after.Run.ID, after.Decision.ID, after.Decision.Outcome
	}
	r.Undone, r.Updated = &step, e.now()
	if err == nil && !same {
		err = errors.New("what is there now is not what was there before")
	}
	if memory == nil && err == nil && aerr == nil && after.Decision.Outcome != audit.Fail {
		err = errors.New("a re-audit does not find again what was there before")
	}
	switch {
	case err != nil || aerr != nil || failed != nil && memory == nil:
		r.State = audit.RepairStuck
		why := errors.Join(failed, err, aerr)
		r.Reason += "; it could not be undone: " + e.clean(why.Error())
	default:
		r.State = audit.RepairRolledBack
	}
	return r, e.move(ctx, from, r, Itself)
}

// restored tells whether what was captured is there.
func (e *Engine) restored(ctx context.Context, r audit.Repair, memory json.RawMessage) (bool, error) {
	book, ok := e.runbooks[r.Runbook]
	if !ok || book.Digest != r.Digest {
		return false, errors.New("its runbook is not what it was, and cannot tell what is there")
	}
	ctx, stop := context.WithTimeout(ctx, e.cfg.Timeout)
	defer stop()
	now, err := e.cfg.Runners[book.Runner].Capture(ctx, call(r, book, unflat(r.Parameters)))
	if c, ok := e.cfg.Runners[book.Runner].(Comparer); ok && err == nil {
		return c.Same(memory, now), nil
	}
	return bytes.Equal(now, memory), err
}

// resume goes on with a repair that acted and was not verified: it is not acted
// again.
func (e *Engine) resume(ctx context.Context, r audit.Repair) (audit.Repair, error) {
	if book, ok := e.runbooks[r.Runbook]; !ok || book.Digest != r.Digest {
		return e.settleAs(ctx, r, audit.RepairActed)
	}
	failing, err := e.failingBefore(ctx, r)
	if err != nil {
		return r, err
	}
	return e.verify(ctx, r, failing)
}

// failingBefore are the controls that failed on the resource just before it was
// acted on; nil where nobody looked.
func (e *Engine) failingBefore(ctx context.Context, r audit.Repair) ([]string, error) {
	if r.Acted == nil || r.Acted.Run == "" {
		return nil, nil
	}
	return e.cfg.Judge.Failing(ctx, r.Acted.Run, r.Resource)
}

// settle tells by a re-audit how a repair ended of which nobody knows, and where
// it was being undone, by what is there too.
func (e *Engine) settle(ctx context.Context, r audit.Repair) (audit.Repair, error) {
	if r.Undone == nil {
		return e.settleAs(ctx, r, audit.RepairUnknown)
	}
	memory, err := e.cfg.Ledger.Memory(ctx, r.ID)
	if err != nil {
		return r, err
	}
	return e.undone(ctx, r, memory, errors.New("nobody saw the undoing end"))
}

func (e *Engine) settleAs(ctx context.Context, r audit.Repair, from audit.RepairState) (audit.Repair, error) {
	failing, err := e.failingBefore(ctx, r)
	if err != nil {
		return r, err
	}
	after, err := e.again(ctx, r)
	if err != nil {
		return r, err
	}
	d := after.Decision
	worse := worseThan(failing, after.Failing)
	r.Updated = e.now()
	r.Verified = &audit.RepairStep{At: r.Updated, By: "re-audit", Run: after.Run.ID, Decision: d.ID, Outcome: d.Outcome}
	switch {
	case d.Outcome == audit.Pass && len(worse) > 0:
		r.State, r.Reason = audit.RepairFailed, "nobody saw it end, and controls that did not fail before do now: "+strings.Join(worse, ", ")+"; it is not undone by itself"
	case after.Gone || d.Outcome == audit.Pass:
		r.State, r.Reason = audit.RepairVerified, "nobody saw it end; a re-audit found it done"
	case d.Outcome == audit.Fail:
		r.State, r.Reason = audit.RepairFailed, "nobody saw it end, and the violation is still there; it is not done again by itself"
	default:
		r.Verified = nil
		return r, nil // cannot be told now
	}
	return r, e.move(ctx, from, r, "re-audit")
}

// settled tells by a re-audit how a resource stands that a person settled. Whether
// it passes or not, the repair is over: what is violated can be repaired anew.
func (e *Engine) settled(ctx context.Context, r audit.Repair) (audit.Repair, error) {
	after, err := e.again(ctx, r)
	if err != nil {
		return r, err
	}
	d := after.Decision
	step := *r.Settled
	step.Run, step.Decision, step.Outcome = after.Run.ID, d.ID, d.Outcome
	switch {
	case after.Gone:
		r.Reason += "; settled by hand, and the resource is gone"
	case d.Outcome == audit.Pass:
		r.Reason += "; settled by hand, and the violation is gone"
	case d.Outcome == audit.Fail:
		r.Reason += "; settled by hand, and the violation is still there"
	default:
		return r, nil // cannot be told now
	}
	r.State, r.Updated, r.Settled = audit.RepairSettled, e.now(), &step
	return r, e.move(ctx, audit.RepairSettling, r, "re-audit")
}

// unflat gives back the targets that flat rendered.
func unflat(parameters map[string]string) []Values {
	out := []Values{{}}
	for name, value := range parameters {
		name, n := target(name)
		for len(out) < n {
			out = append(out, Values{})
		}
		out[n-1][name] = value
	}
	return out
}
