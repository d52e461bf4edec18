package remediate

import (
	"context"
	"errors"
	"fmt"
	"io/fs"
	"os"
	"slices"
	"strings"
	"time"

	"github.com/crosscheck-dev/crosscheck/audit"
)

// refused says which guard keeps a repair from acting. One that only has to
// wait stays approved until its approval expires; any other is blocked.
type refused struct {
	wait   bool
	reason string
}

func (r *refused) Error() string { return r.reason }

func block(format string, args ...any) error { return &refused{reason: fmt.Sprintf(format, args...)} }

func wait(format string, args ...any) error {
	return &refused{wait: true, reason: fmt.Sprintf(format, args...)}
}

// subject is what guards look at.
type subject struct {
	repair  audit.Repair
	runbook Runbook
	use     Use
	doc     audit.Resource // as it is now
}

// guard keeps a repair from acting by an error.
type guard func(ctx context.Context, s subject) error

func (e *Engine) allGuards() []guard {
	return []guard{e.notStopped, e.sameRunbook, e.mayAct, e.inWindow, e.originAllowed, e.namespaceAllowed, e.tagsAllowed, e.breakerClosed, e.notBefore}
}

// guarded asks every guard.
func (e *Engine) guarded(ctx context.Context, s subject) error {
	for _, g := range e.guards {
		if err := g(ctx, s); err != nil {
			return err
		}
	}
	return nil
}

// notStopped looks at the kill switch, in the ledger and as a file. What cannot
// be looked at counts as stopped.
func (e *Engine) notStopped(ctx context.Context, _ subject) error {
	sw, err := e.cfg.Switches.Switch(ctx, StopSwitch)
	switch {
	case err != nil:
		return wait("the kill switch cannot be read (%v)", err)
	case sw.Value == Stopped:
		return wait("repairs were stopped by %s at %s", sw.By, audit.Stamp(sw.At))
	}
	if e.cfg.StopFile == "" {
		return nil
	}
	switch _, err := e.cfg.Stat(e.cfg.StopFile); {
	case err == nil:
		return wait("repairs are stopped: %s exists", e.cfg.StopFile)
	case !errors.Is(err, fs.ErrNotExist):
		return wait("repairs are stopped: whether %s exists cannot be told (%v)", e.cfg.StopFile, err)
	}
	return nil
}

func (e *Engine) sameRunbook(_ context.Context, s subject) error {
	if s.runbook.Digest != s.repair.Digest {
		return block("the runbook was changed since the repair was requested: request it again")
	}
	return nil
}

func (e *Engine) mayAct(_ context.Context, s subject) error {
	switch {
	case s.use.Mode == audit.ModeSuggest:
		return block("the runbook only suggests")
	case s.use.Mode == audit.ModeApprove && (s.repair.Decided == nil || s.repair.Requested == nil || samePerson(s.repair.Decided.By, s.repair.Requested.By) ||
		!slices.Contains(e.cfg.Approvers, s.repair.Decided.By)):
		return block("it has no approval by somebody who may approve it")
	case s.repair.Decided == nil:
		return block("nobody decided that it may act")
	}
	return nil
}

func (e *Engine) inWindow(_ context.Context, s subject) error {
	if len(s.use.Windows) == 0 || slices.ContainsFunc(s.use.Windows, func(w Window) bool { return w.Open(e.now()) }) {
		return nil
	}
	return wait("outside of its change windows")
}

func (e *Engine) originAllowed(_ context.Context, s subject) error {
	return s.use.Origins.allows("origin", s.repair.Origin)
}

func (e *Engine) namespaceAllowed(_ context.Context, s subject) error {
	if len(s.use.Namespaces.Allow)+len(s.use.Namespaces.Deny) == 0 || audit.SourceOf(s.repair.Origin) != audit.Kubernetes {
		return nil
	}
	ns, ok := at(s.doc.Data, "/metadata/namespace")
	name, isText := ns.(string)
	if s.repair.Type == "v1/Namespace" {
		name, isText, ok = s.repair.Name, true, true
	}
	if !ok || !isText || name == "" {
		return block("its namespace cannot be told")
	}
	return s.use.Namespaces.allows("namespace", name)
}

func (l List) allows(what, value string) error {
	match := func(p string) bool { return audit.Matches(p, value) }
	switch {
	case slices.ContainsFunc(l.Deny, match):
		return block("%s %s is denied", what, value)
	case len(l.Allow) > 0 && !slices.ContainsFunc(l.Allow, match):
		return block("%s %s is not among those allowed", what, value)
	}
	return nil
}

func (e *Engine) tagsAllowed(_ context.Context, s subject) error {
	l := s.use.Tags
	if len(l.Allow)+len(l.Deny) == 0 {
		return nil
	}
	for pointer := range s.doc.Gaps {
		if pointer == "/tags" || strings.HasPrefix(pointer, "/tags/") {
			return block("its tags could not be read")
		}
	}
	match := func(p string) bool {
		key, want, valued := strings.Cut(p, "=")
		for k, v := range s.doc.Tags {
			if audit.Matches(key, k) && (!valued || audit.Matches(want, v)) {
				return true
			}
		}
		return false
	}
	for _, p := range l.Deny {
		if match(p) {
			return block("its tag %s is denied", p)
		}
	}
	if len(l.Allow) > 0 && !slices.ContainsFunc(l.Allow, match) {
		return block("it has none of the tags that are allowed")
	}
	return nil
}

// breakerClosed counts the failures of the runbook, one after the other, since
// a person let it try again.
func (e *Engine) breakerClosed(ctx context.Context, s subject) error {
	reset, err := e.cfg.Switches.Switch(ctx, Breaker(s.runbook.ID))
	if err != nil {
		return err
	}
	if reset.At.After(e.now().Add(ahead)) {
		reset.At = time.Time{} // the clock was ahead then: it would hide all failures until that time
	}
	list, err := e.cfg.Ledger.Repairs(ctx, audit.RepairQuery{
		Runbook: s.runbook.ID, Since: reset.At, Limit: 1000,
		States: slices.Concat([]audit.RepairState{audit.RepairVerified, audit.RepairUnknown}, unsuccessful),
	})
	if err != nil {
		return err
	}
	list = slices.DeleteFunc(list, func(r audit.Repair) bool { return ended(r).Before(reset.At) })
	slices.SortStableFunc(list, func(a, b audit.Repair) int { return ended(b).Compare(ended(a)) })
	failed := 0
	for _, r := range list {
		if r.State == audit.RepairVerified {
			break
		}
		failed++
	}
	if failed >= e.cfg.Failures {
		return wait("the circuit breaker is open: the runbook failed %d times in a row; look why, then run `crosscheck repairs resume %s`", failed, s.runbook.ID)
	}
	return nil
}

// unsuccessful are the states of repairs that did not work, whatever a person did since.
var unsuccessful = []audit.RepairState{
	audit.RepairFailed, audit.RepairRolledBack, audit.RepairStuck, audit.RepairSettling, audit.RepairSettled,
}

// ended is when a repair came to its end by itself: what a person did later does not move it.
func ended(r audit.Repair) time.Time {
	if r.Settled != nil && r.Undone != nil {
		return r.Undone.At
	}
	return r.Updated
}

// notBefore keeps the automatic mode from trying on a resource again what did
// not work there, or what somebody denied: a person has to ask for it.
func (e *Engine) notBefore(ctx context.Context, s subject) error {
	list, err := e.cfg.Ledger.Repairs(ctx, audit.RepairQuery{Resource: s.repair.Resource, Limit: 1000})
	if err != nil {
		return err
	}
	for _, r := range list {
		switch {
		case r.ID == s.repair.ID:
		case r.State == audit.RepairUnknown || r.State == audit.RepairActed || r.State == audit.RepairActing:
			return wait("repair %s of the same resource is not settled", r.ID[:min(12, len(r.ID))])
		case byItself(s.repair) && r.Runbook == s.runbook.ID && slices.Contains(unsuccessful, r.State):
			return block("repair %s did not work on the same resource: request it by hand", r.ID[:min(12, len(r.ID))])
		case byItself(s.repair) && r.Runbook == s.runbook.ID && r.State == audit.RepairDenied:
			return block("repair %s of the same resource was denied: request it by hand", r.ID[:min(12, len(r.ID))])
		}
	}
	return nil
}

// byItself tells whether no person asked for a repair, and none approved it.
func byItself(r audit.Repair) bool {
	return r.Requested != nil && r.Requested.By == Itself && r.Decided != nil && r.Decided.By == Itself
}

// atMost is how many repairs of a runbook one run may have: N, or P percent of
// the control's population if that is less, but one at least.
func atMost(r Runbook, u Use, run audit.Run, control string) int {
	targets, percent := u.limits(r)
	var population int64
	for _, c := range run.Counts {
		if c.Control == control {
			population += c.Listed
		}
	}
	return max(1, min(targets, int(population*int64(percent)/100)))
}

func stat(name string) (fs.FileInfo, error) { return os.Lstat(name) }

func sleep(ctx context.Context, d time.Duration) error {
	t := time.NewTimer(d)
	defer t.Stop()
	select {
	case <-ctx.Done():
		return ctx.Err()
	case <-t.C:
		return nil
	}
}
