package schedule

import (
	"cmp"
	"context"
	"fmt"
	"log/slog"
	"slices"
	"strings"
	"time"

	"github.com/crosscheck-dev/crosscheck/audit"
)

// agenda is what is to be run. It has no clock, starts nothing, and is used by
// one goroutine. A due time is settled, or on record as one that runs or waits,
// before a later one of its audit is on record: so what lies behind the latest
// one on record was never looked at.
type agenda struct {
	book    Book
	log     *slog.Logger
	items   []*item // by name
	running *Due
	latest  time.Time // the last moment seen
	resumed bool
	unkept  []record // what could not be put on record yet
}

// item is one audit.
type item struct {
	audit   Audit
	since   time.Time // due times until then are on record or pending
	pending *pending
}

// pending is a due time that waits for its turn.
type pending struct {
	due   time.Time
	tries int
	from  time.Time
}

// record is what is put on record at once.
type record struct {
	list []audit.Occurrence
	tell []audit.Announcement
}

func (r *record) add(o audit.Occurrence, now time.Time) {
	o.At = now
	r.list = append(r.list, o)
}

// announce has people be told that nothing came of a due time. One key is told once, ever.
func (r *record) announce(name string, due, now time.Time, key, reason string) {
	r.tell = append(r.tell, audit.Announcement{
		Kind: audit.OfMissed, Key: strings.TrimSpace(name + " " + audit.Stamp(due) + " " + key), At: now,
		Missed: &audit.Missed{Audit: name, Due: due, Reason: reason},
	})
}

func (g *agenda) keep(ctx context.Context, r record) error {
	if len(r.list) == 0 {
		return nil
	}
	for _, o := range r.list {
		if o.Status == audit.DueMissed || o.Status == audit.DueSkipped || o.Status == audit.DueFailed {
			g.log.WarnContext(ctx, "audit did not run", "audit", o.Audit, "due", audit.Stamp(o.Due), "status", string(o.Status), "reason", o.Detail)
		}
	}
	if err := g.book.KeepOccurrences(ctx, r.list, r.tell); err != nil {
		return fmt.Errorf("putting due times on record: %w", err)
	}
	return nil
}

func (g *agenda) item(name string) *item {
	for _, it := range g.items {
		if it.audit.Name == name {
			return it
		}
	}
	return nil
}

// look settles what has passed, and gives what is to be begun now: it is on
// record as running then.
func (g *agenda) look(ctx context.Context, now time.Time) (*Due, error) {
	for len(g.unkept) > 0 {
		if err := g.keep(ctx, g.unkept[0]); err != nil {
			return nil, err
		}
		g.unkept = g.unkept[1:]
	}
	if now.Before(g.latest.Add(-time.Second)) {
		g.log.WarnContext(ctx, "the clock was put back", "from", audit.Stamp(g.latest), "to", audit.Stamp(now))
		for _, it := range g.items {
			if err := g.rewind(ctx, it, now); err != nil {
				return nil, err
			}
		}
	}
	g.latest = now
	var first *item
	for _, it := range g.items {
		if err := g.settle(ctx, it, now); err != nil {
			return nil, err
		}
		if p := it.pending; p != nil && !p.from.After(now) && (first == nil || p.due.Before(first.pending.due)) {
			first = it
		}
	}
	if first == nil || g.running != nil {
		return nil, nil
	}
	p := first.pending
	var r record
	r.add(audit.Occurrence{Audit: first.audit.Name, Due: p.due, Status: audit.DueRunning, Tries: p.tries + 1}, now)
	if err := g.keep(ctx, r); err != nil {
		return nil, err
	}
	first.pending = nil
	g.running = &Due{Audit: first.audit, At: p.due, Try: p.tries + 1}
	return g.running, nil
}

// rewind goes back to the latest due time on record that is not to come.
func (g *agenda) rewind(ctx context.Context, it *item, now time.Time) error {
	list, err := g.book.Occurrences(ctx, audit.OccurrenceQuery{Audit: it.audit.Name, Until: now, Limit: 1})
	if err != nil {
		return fmt.Errorf("due times on record: %w", err)
	}
	it.since = now
	if len(list) > 0 {
		it.since = list[0].Due
	}
	return nil
}

// settle sees to the due times of an audit that have passed: the last one is
// run, if it is not too late, and the others are not.
func (g *agenda) settle(ctx context.Context, it *item, now time.Time) error {
	list, more := it.audit.passed(it.since, now)
	if len(list) == 0 {
		return nil
	}
	first, last := list[0], list[len(list)-1]
	fresh, err := g.fresh(ctx, it, list)
	if err != nil {
		return err
	}
	var r record
	var next *pending
	if len(fresh) > 0 {
		if more && fresh[0].Equal(first) {
			g.log.WarnContext(ctx, "too many due times passed to list them", "audit", it.audit.Name, "since", audit.Stamp(it.since))
			next = it.pass(&r, fresh, now, "with all others after "+audit.Stamp(it.since)+": ")
		} else {
			next = it.pass(&r, fresh, now, "")
		}
	}
	if err := g.keep(ctx, r); err != nil {
		return err
	}
	it.since = last
	if next != nil {
		it.pending = next
	}
	return nil
}

// fresh leaves out the due times that are on record or were begun.
func (g *agenda) fresh(ctx context.Context, it *item, list []time.Time) ([]time.Time, error) {
	known, err := g.book.Occurrences(ctx, audit.OccurrenceQuery{Audit: it.audit.Name, Since: list[0], Until: list[len(list)-1], Limit: 100000})
	if err != nil {
		return nil, fmt.Errorf("due times on record: %w", err)
	}
	return slices.DeleteFunc(list, func(due time.Time) bool {
		return it.pending != nil && it.pending.due.Equal(due) ||
			slices.ContainsFunc(known, func(o audit.Occurrence) bool { return o.Due.Equal(due) })
	}), nil
}

// pass says what becomes of due times that passed, and gives the one that is to be run.
func (it *item) pass(r *record, list []time.Time, now time.Time, others string) *pending {
	a, last := it.audit, list[len(list)-1]
	prompt := func(due time.Time) bool { return now.Sub(a.Begin(due)) <= onTime }
	put := func(due time.Time, status audit.DueStatus, detail string) {
		if due.Equal(list[0]) {
			detail = others + detail
		}
		r.add(audit.Occurrence{Audit: a.Name, Due: due, Status: status, Detail: detail}, now)
	}
	if prompt(last) || a.CatchUp && now.Sub(last) <= a.Within {
		it.supersede(r, last, now)
		var missed []time.Time
		for _, due := range list[:len(list)-1] {
			if prompt(due) {
				put(due, audit.DueSkipped, "due again at "+audit.Stamp(last)+" before it could begin")
				continue
			}
			missed = append(missed, due)
			put(due, audit.DueMissed, "nothing ran then; made up for by the run due at "+audit.Stamp(last))
		}
		if n := len(missed); n > 0 {
			r.announce(a.Name, missed[n-1], now, "", counted(missed)+" passed and nothing ran; made up for by the run due at "+audit.Stamp(last))
		}
		return &pending{due: last, from: now}
	}
	status, reason := audit.DueSkipped, "it is not made up for, as configured"
	if a.CatchUp {
		status, reason = audit.DueMissed, fmt.Sprintf("it is not made up for: that is done within %s", a.Within)
	}
	for _, due := range list {
		put(due, status, "nothing ran then; "+reason)
	}
	if p := it.pending; p != nil && p.tries == 0 { // it is not the latest on record any more: it must be there by itself
		r.add(audit.Occurrence{Audit: a.Name, Due: p.due, Status: audit.DueWaiting, Detail: "waits for its turn"}, now)
	}
	r.announce(a.Name, last, now, "", counted(list)+" passed and nothing ran; "+reason)
	return nil
}

// supersede gives up what waits, because its audit is due again.
func (it *item) supersede(r *record, by, now time.Time) {
	p := it.pending
	if p == nil {
		return
	}
	o := audit.Occurrence{Audit: it.audit.Name, Due: p.due, Status: audit.DueSkipped, Tries: p.tries, Detail: "due again at " + audit.Stamp(by) + " before it could begin"}
	if p.tries > 0 {
		o.Status, o.Detail = audit.DueFailed, "due again at "+audit.Stamp(by)+" before it could be tried again"
	}
	r.add(o, now)
	it.pending = nil
}

func counted(list []time.Time) string {
	if len(list) == 1 {
		return "its due time"
	}
	return fmt.Sprintf("%d due times from %s on", len(list), audit.Stamp(list[0]))
}

// ended says what became of the one that ran. cut tells that it was cancelled
// because the scheduler stops.
func (g *agenda) ended(ctx context.Context, now time.Time, e Ended, cut bool) {
	d := *g.running
	g.running = nil
	it := g.item(d.Audit.Name)
	o := audit.Occurrence{Audit: d.Audit.Name, Due: d.At, Status: audit.DueDone, Tries: d.Try, Run: e.Run, Detail: e.Detail}
	var r record
	switch {
	case e.Err == nil:
	case cut: // that says nothing of the audit, and the try does not count
		o.Status, o.Tries, o.Run, o.Detail = audit.DueWaiting, d.Try-1, "", "stopped with the daemon"
		if it != nil && it.pending == nil {
			it.pending = &pending{due: d.At, tries: d.Try - 1, from: now}
		}
	default:
		o.Run = ""
		g.failed(&r, it, &o, now, oneLine(e.Err))
	}
	r.add(o, now)
	if err := g.keep(ctx, r); err != nil {
		g.log.ErrorContext(ctx, "due times", "error", err.Error())
		g.unkept = append(g.unkept, r)
	}
}

// failed has a failed try be made again, or gives it up.
func (g *agenda) failed(r *record, it *item, o *audit.Occurrence, now time.Time, reason string) {
	o.Status, o.Detail = audit.DueFailed, reason
	key, fate := "", "it is not tried again"
	if o.Tries > 1 {
		key, fate = "given up", fmt.Sprintf("given up after %d tries", o.Tries)
	}
	if it != nil && it.pending == nil && o.Tries <= it.audit.Retries {
		from := now.Add(it.audit.wait(o.Tries))
		next := it.audit.Times.Next(later(o.Due, now))
		if !next.IsZero() && !from.Before(next) {
			fate += ": it is due again at " + audit.Stamp(next)
		} else {
			o.Status, fate = audit.DueWaiting, "it is tried again at "+audit.Stamp(from)
			it.pending = &pending{due: o.Due, tries: o.Tries, from: from}
		}
	}
	if o.Status == audit.DueFailed || o.Tries == 1 {
		r.announce(o.Audit, o.Due, now, key, reason+"; "+fate)
	}
}

// next is when something is to be begun next, zero if nothing is.
func (g *agenda) next() (at time.Time) {
	soonest := func(t time.Time) {
		if !t.IsZero() && (at.IsZero() || t.Before(at)) {
			at = t
		}
	}
	for _, it := range g.items {
		if it.pending != nil && g.running == nil {
			soonest(it.pending.from)
		}
		if due := it.audit.Times.Next(it.since); !due.IsZero() {
			soonest(it.audit.Begin(due))
		}
	}
	return at
}

func later(a, b time.Time) time.Time {
	if a.After(b) {
		return a
	}
	return b
}

// oneLine renders an error for a column.
func oneLine(err error) string {
	text := strings.Join(strings.Fields(err.Error()), " ")
	if r := []rune(text); len(r) > 500 {
		text = string(r[:500]) + "…"
	}
	return cmp.Or(text, "no reason given")
}
