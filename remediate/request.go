package remediate

import (
	"cmp"
	"context"
	"errors"
	"fmt"
	"slices"
	"strings"

	"github.com/crosscheck-dev/crosscheck/audit"
)

// Itself is who asks and decides where no person does: in the automatic mode,
// and for what is requested after a run.
const Itself = "crosscheck"

// Candidates are the runbooks in use that are made for a decision, by id.
func (e *Engine) Candidates(d audit.Found) []Runbook {
	var out []Runbook
	for _, r := range e.runbooks {
		if r.Repairs(d) {
			out = append(out, r)
		}
	}
	slices.SortFunc(out, func(a, b Runbook) int { return cmp.Compare(a.ID, b.ID) })
	return out
}

// Suggest tells what would be done about a decision. It records nothing and
// changes nothing; the runner is not asked.
func (e *Engine) Suggest(ctx context.Context, decision string) ([]audit.Repair, error) {
	seen, err := e.cfg.Judge.Seen(ctx, decision)
	if err != nil {
		return nil, err
	}
	var out []audit.Repair
	for _, r := range e.Candidates(seen.Decision) {
		repair, _, err := e.plan(seen, r, "")
		if err != nil {
			repair.State, repair.Reason = audit.RepairBlocked, err.Error()
		}
		out = append(out, repair)
	}
	return out, nil
}

// plan makes the row of a repair. Where its parameters do not fit, it comes with
// an error.
func (e *Engine) plan(seen Judged, r Runbook, by string) (audit.Repair, []Values, error) {
	d, now := seen.Decision, e.now()
	targets, unfit := r.values(d, seen.Document, e.cfg.Uses[r.ID].With)
	id, err := audit.DigestOf([]any{"crosscheck/repair/2", d.ID, r.ID, r.Digest, flat(targets)})
	if err != nil {
		return audit.Repair{}, nil, err
	}
	repair := audit.Repair{
		ID: id, Runbook: r.ID, Version: r.Version, Digest: r.Digest, Runner: r.Runner, Control: d.Control, Resource: d.Resource, Name: d.Name,
		Type: d.Type, Origin: d.Origin, Owner: d.Owner, Decision: d.ID, Run: d.Run, Mode: e.cfg.Uses[r.ID].Mode,
		State: audit.RepairSuggested, Updated: now, Parameters: flat(targets),
	}
	if by != "" {
		repair.State, repair.Requested = audit.RepairRequested, &audit.RepairStep{At: now, By: by}
	}
	return repair, targets, unfit
}

// Request asks for a repair of a failed decision. Without a runbook's id there
// must be one runbook for it. Asked for twice, it is one repair.
func (e *Engine) Request(ctx context.Context, decision, runbook, by string) (audit.Repair, error) {
	seen, err := e.cfg.Judge.Seen(ctx, decision)
	if err != nil {
		return audit.Repair{}, err
	}
	r, err := e.choose(seen.Decision, runbook)
	if err != nil {
		return audit.Repair{}, err
	}
	if e.cfg.Uses[r.ID].Mode == audit.ModeSuggest {
		return audit.Repair{}, fmt.Errorf("runbook %s only suggests: set its mode to approve to use it", r.ID)
	}
	repair, _, err := e.request(ctx, seen, r, by)
	return repair, err
}

func (e *Engine) choose(d audit.Found, id string) (Runbook, error) {
	list := e.Candidates(d)
	if id != "" {
		i := slices.IndexFunc(list, func(r Runbook) bool { return r.ID == id })
		if i >= 0 {
			return list[i], nil
		}
		if _, used := e.runbooks[id]; !used {
			return Runbook{}, fmt.Errorf("runbook %s is not in use: name it under remediation.use", id)
		}
		return Runbook{}, fmt.Errorf("runbook %s is not made for %s on %s with what was found", id, d.Control, d.Type)
	}
	switch len(list) {
	case 0:
		return Runbook{}, fmt.Errorf("no runbook in use is made for %s on %s with what was found", d.Control, d.Type)
	case 1:
		return list[0], nil
	}
	ids := make([]string, len(list))
	for i, r := range list {
		ids[i] = r.ID
	}
	return Runbook{}, fmt.Errorf("several runbooks are made for it (%s): choose one by --runbook", strings.Join(ids, ", "))
}

// request records one, unless it is on record: moved tells which.
func (e *Engine) request(ctx context.Context, seen Judged, r Runbook, by string) (repair audit.Repair, moved bool, err error) {
	if seen.Decision.Excepted() {
		return audit.Repair{}, false, errors.New("what the decision found is accepted: let the exception expire first")
	}
	repair, targets, err := e.plan(seen, r, by)
	if err != nil {
		return repair, false, err
	}
	from := audit.RepairState("")
	old, ok, err := e.one(ctx, repair.ID)
	switch {
	case err != nil:
		return repair, false, err
	case ok && (old.State.Began() || old.State == audit.RepairDenied || !old.State.Settled() || by == Itself):
		return old, false, nil // one repair, however often it is asked for; what was stopped, only a person asks for again
	case ok:
		from = old.State
	}
	if r.DryRun {
		said, err := e.dry(ctx, repair, r, targets)
		if repair.DryRun = said; err != nil {
			return repair, false, fmt.Errorf("the dry run: %w", err)
		}
	}
	if e.cfg.Uses[r.ID].Mode == audit.ModeAuto && by == Itself {
		repair.State, repair.Decided = audit.RepairApproved, &audit.RepairStep{At: repair.Updated, By: Itself}
	}
	return repair, true, e.move(ctx, from, repair, by)
}

// dry asks the runner what it would do.
func (e *Engine) dry(ctx context.Context, repair audit.Repair, r Runbook, targets []Values) (string, error) {
	c := call(repair, r, targets)
	c.DryRun = true
	ctx, stop := context.WithTimeout(ctx, e.cfg.Timeout)
	defer stop()
	out, err := e.cfg.Runners[r.Runner].Act(ctx, c)
	if err != nil {
		err = errors.New(e.clean(err.Error()))
	}
	return e.clean(out), err
}

func (e *Engine) clean(s string) string { return Clean(s, e.cfg.Secrets...) }

func call(repair audit.Repair, r Runbook, targets []Values) Call {
	return Call{Repair: repair.ID, Runbook: r, Resource: repair.Resource, Origin: repair.Origin, Type: repair.Type, Targets: targets}
}

// one finds a repair by its whole id.
func (e *Engine) one(ctx context.Context, id string) (audit.Repair, bool, error) {
	list, err := e.cfg.Ledger.Repairs(ctx, audit.RepairQuery{ID: id, Limit: 2})
	if err != nil || len(list) == 0 {
		return audit.Repair{}, false, err
	}
	return list[0], true, nil
}

// last is the repair of a resource by a runbook that moved last.
func (e *Engine) last(ctx context.Context, runbook, resource string) (audit.Repair, bool, error) {
	list, err := e.cfg.Ledger.Repairs(ctx, audit.RepairQuery{Runbook: runbook, Resource: resource, Limit: 1})
	if err != nil || len(list) == 0 {
		return audit.Repair{}, false, err
	}
	return list[0], true, nil
}

// move records a repair's next state.
func (e *Engine) move(ctx context.Context, from audit.RepairState, to audit.Repair, by string) error {
	return e.cfg.Ledger.Move(ctx, audit.RepairMove{From: from, To: to, By: by, Sinks: e.cfg.Sinks})
}

// Find gives the one repair whose id begins with prefix.
func (e *Engine) Find(ctx context.Context, prefix string) (audit.Repair, error) {
	list, err := e.cfg.Ledger.Repairs(ctx, audit.RepairQuery{ID: prefix, Limit: 2})
	switch {
	case err != nil:
		return audit.Repair{}, err
	case len(list) == 0 || prefix == "":
		return audit.Repair{}, fmt.Errorf("no repair %q is on record: `crosscheck repairs list` shows them", clip(prefix, 80))
	case len(list) > 1:
		return audit.Repair{}, fmt.Errorf("%q is the beginning of several repairs' ids: give more of it", prefix)
	}
	return list[0], nil
}

// Approve lets a requested repair act. by must be among those who may approve,
// and another than who requested it.
func (e *Engine) Approve(ctx context.Context, id, by string) (audit.Repair, error) {
	r, err := e.decidable(ctx, id, by)
	if err != nil {
		return r, err
	}
	if r.State == audit.RepairApproved && r.Decided != nil {
		return r, fmt.Errorf("repair %s is approved already, by %s", r.ID[:12], r.Decided.By)
	}
	if r.Requested == nil || samePerson(r.Requested.By, by) {
		return r, fmt.Errorf("%s requested it: somebody else must approve it", by)
	}
	now := e.now()
	if e.over(r.Requested.At, e.cfg.RequestTTL) {
		return r, errors.Join(fmt.Errorf("the request is older than %s, or of a time to come: request it again", e.cfg.RequestTTL), e.expire(ctx, r))
	}
	r.State, r.Reason, r.Updated, r.Decided = audit.RepairApproved, "", now, &audit.RepairStep{At: now, By: by}
	return r, e.move(ctx, audit.RepairRequested, r, by)
}

// samePerson tells whether two names are of one person: the same name, whether
// as a user of the machine, of the API or of Slack.
func samePerson(a, b string) bool {
	_, x, _ := strings.Cut(a, ":")
	_, y, _ := strings.Cut(b, ":")
	return a == b || x != "" && strings.EqualFold(x, y)
}

// Deny keeps a requested or approved repair from acting, for good.
func (e *Engine) Deny(ctx context.Context, id, by, reason string) (audit.Repair, error) {
	r, err := e.decidable(ctx, id, by)
	if err != nil {
		return r, err
	}
	from, now := r.State, e.now()
	r.State, r.Reason, r.Updated, r.Decided = audit.RepairDenied, e.clean(reason), now, &audit.RepairStep{At: now, By: by}
	return r, e.move(ctx, from, r, by)
}

// mostNote bounds what a person says to have done, in bytes.
const mostNote = 4 << 10

// Settle notes what a person did about a repair that is stuck. Whoever runs next
// has a re-audit tell how the resource stands.
func (e *Engine) Settle(ctx context.Context, id, by, note string) (audit.Repair, error) {
	r, err := e.Find(ctx, id)
	switch {
	case err != nil:
		return r, err
	case by == "" || by == Itself:
		return r, errors.New("only a person can say what was done")
	case strings.TrimSpace(note) == "" || len(note) > mostNote:
		return r, fmt.Errorf("the note must say what was done, in %d bytes at most", mostNote)
	case r.State != audit.RepairStuck:
		return r, fmt.Errorf("repair %s is %s: only one that is stuck waits for somebody to settle it", r.ID[:12], r.State)
	}
	now := e.now()
	r.State, r.Updated, r.Settled = audit.RepairSettling, now, &audit.RepairStep{At: now, By: by, Output: e.clean(note)}
	return r, e.move(ctx, audit.RepairStuck, r, by)
}

func (e *Engine) decidable(ctx context.Context, id, by string) (audit.Repair, error) {
	r, err := e.Find(ctx, id)
	switch {
	case err != nil:
		return r, err
	case by == "" || by == Itself || !slices.Contains(e.cfg.Approvers, by):
		return r, fmt.Errorf("%s may not decide on repairs: remediation.approvers names who may", by)
	case r.State != audit.RepairRequested && r.State != audit.RepairApproved:
		return r, fmt.Errorf("repair %s is %s: nothing is to be decided", r.ID[:12], r.State)
	}
	return r, nil
}

// Consider asks for repairs of what a run found, as far as the modes go: where a
// runbook is to be approved it is requested, where it is automatic it is
// approved too. Of each runbook it takes no more than one run may have, those
// that wait since an earlier run included. It gives those that it asked for now.
func (e *Engine) Consider(ctx context.Context, rec audit.Record) ([]audit.Repair, error) {
	if rec.Run.Simulated || rec.Run.Trigger == audit.Gate {
		return nil, nil
	}
	taken := map[string]int{}
	var wanted []audit.Found
	err := rec.Stored(ctx, func(v audit.Verdict) error {
		for _, d := range v.Decisions {
			f := rec.Found(v, d)
			if d.Excepted() {
				continue
			}
			list := e.Candidates(f)
			if len(list) == 0 {
				continue
			}
			r := list[0]
			if use := e.cfg.Uses[r.ID]; use.Mode == audit.ModeSuggest || taken[r.ID] >= atMost(r, use, rec.Run, f.Control) {
				continue
			}
			last, ok, err := e.last(ctx, r.ID, f.Resource)
			switch {
			case err != nil:
				return err
			case ok && last.State == audit.RepairDenied:
				continue // only a person asks again
			case ok && e.cfg.Uses[r.ID].Mode == audit.ModeAuto && slices.Contains(unsuccessful, last.State):
				continue // as well: it would be blocked every night
			case !ok || last.State.Settled():
				wanted = append(wanted, f)
			}
			taken[r.ID]++
		}
		return nil
	})
	if err != nil {
		return nil, err
	}
	var out []audit.Repair
	for _, f := range wanted {
		seen, err := e.cfg.Judge.Seen(ctx, f.ID)
		if err != nil {
			return out, err
		}
		r, moved, err := e.request(ctx, seen, e.Candidates(f)[0], Itself)
		if err != nil {
			if ctx.Err() != nil {
				return out, ctx.Err()
			}
			e.cfg.Log.WarnContext(ctx, "a repair could not be requested", "runbook", e.Candidates(f)[0].ID, "decision", f.ID, "error", e.clean(err.Error()))
			continue
		}
		if moved {
			out = append(out, r)
		}
	}
	return out, nil
}

// MayResume tells whether somebody may turn a switch back: who may approve.
func (e *Engine) MayResume(by, name string) error {
	if !slices.Contains(e.cfg.Approvers, by) {
		return fmt.Errorf("%s may not resume repairs: remediation.approvers names who may", by)
	}
	if id, ok := strings.CutPrefix(name, Breaker("")); ok {
		if _, used := e.runbooks[id]; !used {
			return fmt.Errorf("runbook %s is not in use", clip(id, 80))
		}
	}
	return nil
}
