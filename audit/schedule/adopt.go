package schedule

import (
	"context"
	"fmt"
	"slices"
	"strings"
	"time"

	"github.com/crosscheck-dev/crosscheck/audit"
)

// replace has other audits be on the agenda. What fails is done again by the
// next call; what was done stays.
func (g *agenda) replace(ctx context.Context, list []Audit, now time.Time) error {
	items := make([]*item, 0, len(list))
	for _, a := range list {
		it := g.item(a.Name)
		if it == nil || it.audit.Times.String() != a.Times.String() {
			changed, err := g.adopt(ctx, a, now)
			if err != nil {
				return err
			}
			if it != nil {
				changed.pending = it.pending
			}
			it = changed
		}
		it.audit = a
		items = append(items, it)
	}
	slices.SortFunc(items, func(a, b *item) int { return strings.Compare(a.audit.Name, b.audit.Name) })
	if err := g.withdraw(ctx, items, now); err != nil {
		return err
	}
	g.items = items
	if g.resumed {
		return nil
	}
	if err := g.resume(ctx, now); err != nil {
		return err
	}
	g.resumed = true
	return nil
}

// adopt takes up an audit where its record ends. From when it is first seen with
// its due times on, they are owed; those before are nobody's.
func (g *agenda) adopt(ctx context.Context, a Audit, now time.Time) (*item, error) {
	it := &item{audit: a}
	marks, err := g.book.Occurrences(ctx, audit.OccurrenceQuery{Audit: a.Name, Statuses: []audit.DueStatus{audit.Scheduled, audit.Withdrawn}, Limit: 1})
	if err != nil {
		return nil, fmt.Errorf("due times on record: %w", err)
	}
	was := audit.Occurrence{Status: audit.Withdrawn}
	if len(marks) > 0 {
		was = marks[0]
	}
	if was.Status == audit.Scheduled && was.Detail == a.Times.String() {
		return it, g.rewind(ctx, it, now)
	}
	if was.Status == audit.Scheduled { // what it was due at until now, while nothing ran
		if err := g.passUnder(ctx, a, was.Detail, now); err != nil {
			return nil, err
		}
	}
	it.since = now.UTC().Truncate(time.Second)
	return it, g.mark(ctx, audit.Occurrence{Audit: a.Name, Status: audit.Scheduled, Detail: a.Times.String()}, now)
}

// passUnder puts on record what passed by the schedule that an audit had before.
func (g *agenda) passUnder(ctx context.Context, a Audit, before string, now time.Time) error {
	cut := strings.LastIndex(before, " ")
	if cut < 0 {
		return nil
	}
	times, err := ParseTimes(before[:cut], before[cut+1:])
	if err != nil {
		g.log.WarnContext(ctx, "schedule on record", "audit", a.Name, "error", err.Error())
		return nil // another version of crosscheck wrote it
	}
	a.Times, a.CatchUp, a.Jitter = times, true, 0
	old := &item{audit: a}
	if it := g.item(a.Name); it != nil {
		old.since, old.pending = it.since, it.pending
	} else if err := g.rewind(ctx, old, now); err != nil {
		return err
	}
	list, _ := a.passed(old.since, now)
	if len(list) > 0 {
		if list, err = g.fresh(ctx, old, list); err != nil {
			return err
		}
	}
	if len(list) == 0 {
		return nil
	}
	var r record
	const reason = "nothing ran then, and the schedule is another one now"
	for _, due := range list {
		r.add(audit.Occurrence{Audit: a.Name, Due: due, Status: audit.DueMissed, Detail: reason}, now)
	}
	r.announce(a.Name, list[len(list)-1], now, "", counted(list)+" passed: "+reason)
	return g.keep(ctx, r)
}

// mark puts a mark on record, behind every other entry: marks are found by their
// order, also where the clock was put back.
func (g *agenda) mark(ctx context.Context, o audit.Occurrence, now time.Time) error {
	o.Due = now.UTC().Truncate(time.Second)
	latest, err := g.book.Occurrences(ctx, audit.OccurrenceQuery{Audit: o.Audit, Since: o.Due, Limit: 1})
	if err != nil {
		return fmt.Errorf("due times on record: %w", err)
	}
	if len(latest) > 0 {
		o.Due = latest[0].Due.Add(time.Second)
	}
	var r record
	r.add(o, now)
	return g.keep(ctx, r)
}

// withdraw marks the audits on record that are not scheduled any more.
func (g *agenda) withdraw(ctx context.Context, items []*item, now time.Time) error {
	marks, err := g.book.Occurrences(ctx, audit.OccurrenceQuery{Statuses: []audit.DueStatus{audit.Scheduled, audit.Withdrawn}, Limit: 100000})
	if err != nil {
		return fmt.Errorf("due times on record: %w", err)
	}
	seen := map[string]bool{}
	for _, it := range items {
		seen[it.audit.Name] = true
	}
	for _, m := range marks {
		if seen[m.Audit] {
			continue
		}
		seen[m.Audit] = true
		if m.Status == audit.Withdrawn {
			continue
		}
		if it := g.item(m.Audit); it != nil && it.pending != nil {
			var r record
			r.add(audit.Occurrence{Audit: m.Audit, Due: it.pending.due, Status: audit.DueSkipped, Tries: it.pending.tries, Detail: "the audit is not scheduled any more"}, now)
			if err := g.keep(ctx, r); err != nil {
				return err
			}
			it.pending = nil
		}
		if err := g.mark(ctx, audit.Occurrence{Audit: m.Audit, Status: audit.Withdrawn}, now); err != nil {
			return err
		}
	}
	return nil
}

// resume takes up what another process left that ended in the middle of it.
func (g *agenda) resume(ctx context.Context, now time.Time) error {
	left, err := g.book.Occurrences(ctx, audit.OccurrenceQuery{Statuses: []audit.DueStatus{audit.DueRunning, audit.DueWaiting}, Limit: 100000})
	if err != nil {
		return fmt.Errorf("due times on record: %w", err)
	}
	var r record
	for _, o := range left { // the latest first
		it := g.item(o.Audit)
		switch {
		case o.Run != "": // it was recorded, and only this was not
			o.Status, o.Detail = audit.DueDone, ""
		case it != nil && it.pending == nil && now.Sub(o.Due) <= it.audit.Within && (o.Status == audit.DueWaiting || o.Tries <= it.audit.Retries):
			if o.Status == audit.DueRunning {
				o.Status, o.Detail = audit.DueWaiting, "the daemon ended in the middle of it"
				r.announce(o.Audit, o.Due, now, "", o.Detail+"; it is tried again at once")
			}
			it.pending = &pending{due: o.Due, tries: o.Tries, from: later(o.Due, now)}
		default:
			reason := "it could not be tried again in time"
			if o.Status == audit.DueRunning {
				reason = "the daemon ended in the middle of it"
			}
			o.Status, o.Detail = audit.DueFailed, reason
			r.announce(o.Audit, o.Due, now, "given up", reason+"; it is not tried again")
		}
		r.add(o, now)
	}
	return g.keep(ctx, r)
}
