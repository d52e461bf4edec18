package schedule

import (
	"context"
	"log/slog"
	"time"
)

// Agenda lets tests be the loop: they have the clock, and start what is due.
type Agenda struct{ agenda }

func NewAgenda(b Book) *Agenda {
	return &Agenda{agenda{book: b, log: slog.New(slog.DiscardHandler)}}
}

func (g *Agenda) Replace(ctx context.Context, list []Audit, now time.Time) error {
	for i := range list {
		if err := list[i].fill(); err != nil {
			return err
		}
	}
	return g.replace(ctx, list, now)
}

func (g *Agenda) Look(ctx context.Context, now time.Time) (*Due, error) { return g.look(ctx, now) }

func (g *Agenda) Ended(ctx context.Context, now time.Time, e Ended, cut bool) {
	g.ended(ctx, now, e, cut)
}

func (g *Agenda) Next() time.Time { return g.next() }

// Pending are the due times that wait in memory.
func (g *Agenda) Pending() map[string]time.Time {
	out := map[string]time.Time{}
	for _, it := range g.items {
		if it.pending != nil {
			out[it.audit.Name] = it.pending.due
		}
	}
	return out
}

// Oracle decides what a due time is by looking at every second or minute of a
// clock on the wall, without asking for the next one.
func (t Times) Oracle(from, to time.Time, step time.Duration) []time.Time {
	s := t.spec
	matches := func(w time.Time) bool {
		has := func(bits uint64, n int) bool { return bits&(1<<uint(n)) != 0 }
		day, weekday := has(s.Dom, w.Day()), has(s.Dow, int(w.Weekday()))
		either := day && weekday
		if s.Dom>>63 == 0 && s.Dow>>63 == 0 {
			either = day || weekday
		}
		return has(s.Second, w.Second()) && has(s.Minute, w.Minute()) && has(s.Hour, w.Hour()) && has(s.Month, int(w.Month())) && either
	}
	wall := func(at time.Time) time.Time {
		l := at.In(t.zone)
		return time.Date(l.Year(), l.Month(), l.Day(), l.Hour(), l.Minute(), l.Second(), 0, time.UTC)
	}
	every := true
	for h := range 24 {
		every = every && s.Hour&(1<<uint(h)) != 0
	}
	var out []time.Time
	shown := wall(from.Add(-48 * time.Hour)) // the latest that clocks showed
	for at := from.Add(-48 * time.Hour); !at.After(to); at = at.Add(step) {
		w := wall(at)
		due := matches(w) && (every || w.After(shown))
		for skipped := shown.Add(step); !every && skipped.Before(w); skipped = skipped.Add(step) {
			due = due || matches(skipped)
		}
		if w.After(shown) {
			shown = w
		}
		if due && at.After(from) {
			out = append(out, at.UTC())
		}
	}
	return out
}
