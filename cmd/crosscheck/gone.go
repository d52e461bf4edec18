package main

import (
	"context"
	"errors"
	"fmt"
	"io"
	"maps"
	"slices"
	"strings"

	"github.com/crosscheck-dev/crosscheck/audit"
	"github.com/crosscheck-dev/crosscheck/evidence/ledger"
)

// present tells which of some resources a run's snapshots hold.
func (in *installation) present(ctx context.Context, run audit.Run, ids []string) (map[string]bool, error) {
	out := map[string]bool{}
	for _, s := range run.Snapshots {
		if !slices.ContainsFunc(ids, func(id string) bool { return strings.HasPrefix(id, s.Origin+"/") }) {
			continue
		}
		err := audit.Documents(ctx, in.vault, s.Digest, func(line []byte) error {
			h, err := audit.ParseHead(line)
			if err == nil && slices.Contains(ids, h.ID) {
				out[h.ID] = true
			}
			return err
		})
		if err != nil {
			return nil, fmt.Errorf("snapshot of %s: %w", s.Origin, err)
		}
	}
	return out, nil
}

// lost is what was to be judged again and is not among what was collected now.
type lost struct {
	decision string // empty: a resource was asked for
	control  string
	resource string
	origin   string
	gap      *audit.Gap // what may hide it
}

func (l lost) String() string {
	what := l.resource
	if l.decision != "" {
		what = short(l.decision) + "  " + l.control + "  " + l.resource
	}
	if l.gap != nil {
		return fmt.Sprintf("LAST SEEN  %s: could not be read (%s)", printable(what), printable(l.gap.Code.Reason(l.gap.Operation)))
	}
	return fmt.Sprintf("GONE  %s: no longer in %s", printable(what), printable(l.origin))
}

// lost finds what a re-audit did not find again, or could not read.
func (c *concern) lost(ctx context.Context, run audit.Run) ([]lost, error) {
	relinked, unread := map[string]bool{}, unreadOf(run)
	for _, old := range run.Relinked {
		relinked[old] = true
	}
	var out []lost
	named := map[string]bool{} // by a decision
	for _, key := range slices.Sorted(maps.Keys(c.old)) {
		control, resource, _ := strings.Cut(key, " ")
		if _, hollow := unread[resource]; hollow || !relinked[c.old[key]] {
			out = append(out, lost{decision: c.old[key], control: control, resource: resource})
		}
		named[resource] = true
	}
	for _, id := range c.resources {
		if !named[id] {
			out = append(out, lost{resource: id})
		}
	}
	ids := make([]string, len(out))
	for i, l := range out {
		ids[i] = l.resource
	}
	there, err := c.in.present(ctx, run, ids)
	if err != nil || len(ids) == 0 {
		return nil, err
	}
	before, err := c.in.present(ctx, c.last, ids)
	if err != nil {
		return nil, err
	}
	out = slices.DeleteFunc(out, func(l lost) bool {
		_, hollow := unread[l.resource]
		return there[l.resource] && !hollow
	})
	for i := range out {
		l := &out[i]
		hidden(run, l)
		if u, hollow := unread[l.resource]; hollow {
			l.gap = &audit.Gap{Origin: l.origin, Code: u.Code, Operation: u.Operation}
		}
		if l.decision == "" && !before[l.resource] {
			return nil, unseen(*l)
		}
	}
	return out, nil
}

// unreadOf lists what a re-audit asked for by id and could not read.
func unreadOf(run audit.Run) map[string]audit.Unread {
	out := map[string]audit.Unread{}
	for _, s := range run.Snapshots {
		if s.Fresh != nil {
			for _, u := range s.Fresh.Unread {
				out[u.ID] = u
			}
		}
	}
	return out
}

func unseen(l lost) error {
	if l.gap != nil {
		return fmt.Errorf("no such resource in the last complete run: %s (and not all of %s could be listed now)", printable(l.resource), printable(l.origin))
	}
	return fmt.Errorf("no such resource in the last complete run: %s", printable(l.resource))
}

// hidden finds the origin of what is lost, and the gap that may hide it there.
func hidden(run audit.Run, l *lost) {
	for _, s := range run.Snapshots {
		rest, ok := strings.CutPrefix(l.resource, s.Origin+"/")
		if !ok {
			continue
		}
		l.origin = s.Origin
		if s.Fresh != nil && slices.Contains(s.Fresh.Gone, l.resource) {
			return
		}
		for _, g := range s.Gaps {
			if g.Type == audit.AllTypes || strings.HasPrefix(rest, g.Type+"/") {
				l.gap = &g
				return
			}
		}
	}
}

// printLost says what was not found again. What may only be hidden is not evaluated.
func printLost(w io.Writer, list []lost) error {
	var errs []error
	unlisted := 0
	for _, l := range list {
		_, err := fmt.Fprintln(w, l)
		errs = append(errs, err)
		if l.gap != nil {
			unlisted++
		}
	}
	if unlisted > 0 {
		errs = append(errs, &exit{exitNotEvaluated, fmt.Errorf("%s could not be told: what they are of could not be read", plural(int64(unlisted), "decision"))})
	}
	return errors.Join(errs...)
}

// replacement is the decision that was made again in another's place.
type replacement struct {
	ID      string        `json:"id"`
	Outcome audit.Outcome `json:"outcome"`
}

// replaced finds the latest re-audit in which a decision was judged again.
func (in *installation) replaced(ctx context.Context, old string) (*replacement, error) {
	runs, err := in.ledger.Runs(ctx, ledger.Filter{Trigger: audit.Reaudit})
	if err != nil {
		return nil, err
	}
	for _, run := range runs {
		for id, was := range run.Relinked {
			if was != old || id == old {
				continue
			}
			rec, err := in.record(ctx, run)
			if err != nil {
				return nil, err
			}
			found, err := findIn(ctx, rec, id)
			if err != nil || len(found) == 0 {
				return nil, err
			}
			return &replacement{id, found[0].Outcome}, nil
		}
	}
	return nil, nil
}
