package schedule_test

import (
	"context"
	"fmt"
	"math/rand/v2"
	"slices"
	"testing"
	"time"

	"github.com/google/go-cmp/cmp"

	"github.com/crosscheck-dev/crosscheck/audit"
	"github.com/crosscheck-dev/crosscheck/audit/schedule"
)

// TestExactlyOnce drives agendas through months of many years with failures, kills, stops,
// other configurations and jumps of the clock. Whatever happens, each due time
// is on record exactly once, and comes to a run at most once.
func TestExactlyOnce(t *testing.T) {
	t.Parallel()
	zones := []string{"UTC", "Europe/Berlin", "America/New_York", "Australia/Lord_Howe", "Africa/Cairo", "Pacific/Apia"}
	crons := []string{"30 2 * * *", "0 */6 * * *", "45 1-3 * * *", "0 0 * * 1-5", "15 * * * *"}
	for seed := range 20 {
		t.Run(fmt.Sprint(seed), func(t *testing.T) {
			t.Parallel()
			rng := rand.New(rand.NewPCG(uint64(seed), 5))
			pick := func(list []string) string { return list[rng.IntN(len(list))] }
			s := &stage{t: t, book: newBook()}
			for i := range 1 + rng.IntN(3) {
				s.list = append(s.list, schedule.Audit{
					Name: fmt.Sprint("audit", i), Times: times(t, pick(crons), pick(zones)), CatchUp: rng.IntN(3) > 0,
					Within: time.Duration(1+rng.IntN(30)) * time.Hour, Retries: rng.IntN(3), Jitter: time.Duration(rng.IntN(90)) * time.Minute,
				})
			}
			begin := time.Date(2008+rng.IntN(20), time.Month(1+rng.IntN(12)), 1+rng.IntN(28), rng.IntN(24), 0, 0, 0, time.UTC)
			newLife(s, rng, begin).live(begin.AddDate(0, 2, 0))
		})
	}
}

// life is a random one.
type life struct {
	*stage
	rng             *rand.Rand
	begin, now, max time.Time
	done            map[string]int
}

func newLife(s *stage, rng *rand.Rand, begin time.Time) *life {
	s.start(begin)
	return &life{stage: s, rng: rng, begin: begin, now: begin, max: begin, done: map[string]int{}}
}

func (l *life) pass(d time.Duration) {
	l.now = l.now.Add(d)
	l.max = later(l.max, l.now)
}

func later(a, b time.Time) time.Time {
	if a.After(b) {
		return a
	}
	return b
}

// upTo is a random duration.
func (l *life) upTo(d time.Duration) time.Duration { return time.Duration(l.rng.Int64N(int64(d))) }

func (l *life) live(end time.Time) {
	l.t.Helper()
	for l.now.Before(end) {
		switch l.rng.IntN(60) {
		case 0: // killed, and back after a while
			l.pass(l.upTo(80 * time.Hour))
			l.start(l.now)
		case 1:
			l.pass(l.upTo(50 * time.Hour))
		case 2:
			l.pass(-l.upTo(10 * time.Hour))
		}
		if d := l.look(l.now); d != nil {
			l.run(d)
			continue
		}
		if next := l.a.Next(); next.After(l.now) && l.rng.IntN(8) > 0 {
			l.pass(next.Sub(l.now))
		} else {
			l.pass(l.upTo(time.Hour) + time.Second)
		}
	}
	for l.now.Before(l.max) || l.look(l.now) != nil { // what is begun ends, and clocks are right
		l.a.Ended(l.t.Context(), l.now, schedule.Ended{Run: "last"}, false)
		l.now = l.max
	}
	l.check()
}

// run has something take time, while the loop looks, and end somehow.
func (l *life) run(d *schedule.Due) {
	for range l.rng.IntN(4) {
		l.pass(l.upTo(2 * time.Hour))
		if other := l.look(l.now); other != nil {
			l.t.Fatalf("%s begins beside %s", other.Audit.Name, d.Audit.Name)
		}
	}
	key := d.Audit.Name + " " + audit.Stamp(d.At)
	switch l.rng.IntN(10) {
	case 0: // killed
		l.pass(l.upTo(5 * time.Hour))
		l.start(l.now)
	case 1: // stopped
		l.a.Ended(l.t.Context(), l.now, schedule.Ended{Err: context.Canceled}, true)
		l.pass(l.upTo(5 * time.Hour))
		l.start(l.now)
	case 2, 3:
		l.a.Ended(l.t.Context(), l.now, schedule.Ended{Err: errDown}, false)
	default:
		l.done[key]++
		l.a.Ended(l.t.Context(), l.now, schedule.Ended{Run: "r"}, false)
	}
}

func (l *life) check() {
	l.t.Helper()
	for _, a := range l.list {
		var got []time.Time
		pending := l.a.Pending()
		list, _ := l.book.Occurrences(l.t.Context(), audit.OccurrenceQuery{Audit: a.Name, Limit: 1 << 20})
		slices.Reverse(list)
		for _, o := range list {
			if o.Status.Mark() {
				continue
			}
			got = append(got, o.Due)
			if !o.Status.Settled() && !pending[a.Name].Equal(o.Due) {
				l.t.Errorf("%s, due at %s, is %s for ever", a.Name, o.Due, o.Status)
			}
			if n := l.done[a.Name+" "+audit.Stamp(o.Due)]; n > 1 || (o.Status == audit.DueDone) != (n == 1) && o.Run != "last" {
				l.t.Errorf("%s, due at %s, is %s and came to %d runs", a.Name, o.Due, o.Status, n)
			}
		}
		if due, ok := pending[a.Name]; ok && !slices.ContainsFunc(got, due.Equal) {
			got = append(got, due)
		}
		slices.SortFunc(got, time.Time.Compare)
		want := slices.DeleteFunc(a.Times.Oracle(l.begin, l.max, 5*time.Minute), func(due time.Time) bool { return a.Begin(due).After(l.max) })
		if diff := cmp.Diff(got, want); diff != "" || len(want) == 0 {
			l.t.Errorf("%s at %s (-record +due):\n%s", a.Name, a.Times, diff)
		}
	}
}
