package schedule_test

import (
	"context"
	"errors"
	"fmt"
	"math/rand/v2"
	"slices"
	"strings"
	"sync"
	"testing"
	"time"

	"github.com/google/go-cmp/cmp"

	"github.com/crosscheck-dev/crosscheck/audit"
	"github.com/crosscheck-dev/crosscheck/audit/schedule"
)

// book is a record in memory. The ledger's has its own tests.
type book struct {
	mu     sync.Mutex
	rows   map[string]audit.Occurrence // by audit and due time
	told   map[string]audit.Announcement
	broken error
}

func newBook() *book {
	return &book{rows: map[string]audit.Occurrence{}, told: map[string]audit.Announcement{}}
}

func (b *book) KeepOccurrences(_ context.Context, list []audit.Occurrence, tell []audit.Announcement) error {
	b.mu.Lock()
	defer b.mu.Unlock()
	if b.broken != nil {
		return b.broken
	}
	for _, o := range list {
		key := o.Audit + audit.Stamp(o.Due)
		if old, ok := b.rows[key]; !ok || !old.Status.Settled() {
			b.rows[key] = o
		}
	}
	for _, a := range tell {
		if _, ok := b.told[a.Key]; !ok {
			b.told[a.Key] = a
		}
	}
	return nil
}

func (b *book) Occurrences(_ context.Context, q audit.OccurrenceQuery) ([]audit.Occurrence, error) {
	b.mu.Lock()
	defer b.mu.Unlock()
	var out []audit.Occurrence
	for _, o := range b.rows {
		if (q.Audit == "" || o.Audit == q.Audit) && (len(q.Statuses) == 0 || slices.Contains(q.Statuses, o.Status)) &&
			(q.Since.IsZero() || !o.Due.Before(q.Since.Truncate(time.Second))) && (q.Until.IsZero() || !o.Due.After(q.Until)) {
			out = append(out, o)
		}
	}
	slices.SortFunc(out, func(a, b audit.Occurrence) int { return b.Due.Compare(a.Due) })
	return out[:min(len(out), q.Limit)], b.broken
}

// lines are the due times on record, the earliest first, marks left out.
func (b *book) lines() []string {
	list, _ := b.Occurrences(context.Background(), audit.OccurrenceQuery{Limit: 1 << 20})
	slices.Reverse(list)
	var out []string
	for _, o := range list {
		if !o.Status.Mark() {
			out = append(out, fmt.Sprintf("%s %s %s", o.Audit, o.Due.Format("02T15:04:05"), o.Status))
		}
	}
	return out
}

func (b *book) reasons() []string {
	var out []string
	for _, a := range b.told {
		out = append(out, a.Key+": "+a.Missed.Reason)
	}
	slices.Sort(out)
	return out
}

// stage is an agenda with a clock that a test turns.
type stage struct {
	t    *testing.T
	book *book
	list []schedule.Audit
	a    *schedule.Agenda
	runs []string
}

func (s *stage) start(now time.Time) *stage {
	s.t.Helper()
	s.a = schedule.NewAgenda(s.book)
	if err := s.a.Replace(s.t.Context(), slices.Clone(s.list), now); err != nil {
		s.t.Fatal(err)
	}
	return s
}

// look gives what is begun at a moment.
func (s *stage) look(now time.Time) *schedule.Due {
	s.t.Helper()
	d, err := s.a.Look(s.t.Context(), now)
	if err != nil {
		s.t.Fatal(err)
	}
	if d != nil {
		s.runs = append(s.runs, fmt.Sprintf("%s %s try %d", d.Audit.Name, d.At.Format("02T15:04:05"), d.Try))
	}
	return d
}

// work runs all that is to be begun at a moment, one after the other.
func (s *stage) work(now time.Time) {
	s.t.Helper()
	for s.look(now) != nil {
		s.a.Ended(s.t.Context(), now, schedule.Ended{}, false)
	}
}

func nightly(t *testing.T) schedule.Audit {
	return schedule.Audit{Name: "nightly", Times: times(t, "0 2 * * *", "UTC"), CatchUp: true, Within: 6 * time.Hour, Backoff: 10 * time.Minute}
}

var errDown = errors.New("source is down")

func TestAgenda(t *testing.T) {
	t.Parallel()
	day := func(d int, clock string) time.Time { return at(t, fmt.Sprintf("2026-11-%02dT%sZ", d, clock)) }
	tests := map[string]struct {
		edit    func(a *schedule.Audit)
		do      func(s *stage)
		runs    []string
		record  []string
		reasons []string
	}{
		"on time, twice": {
			do:     func(s *stage) { s.work(day(1, "01:59:59")); s.work(day(1, "02:00:00")); s.work(day(2, "02:00:00")) },
			runs:   []string{"nightly 01T02:00:00 try 1", "nightly 02T02:00:00 try 1"},
			record: []string{"nightly 01T02:00:00 done", "nightly 02T02:00:00 done"},
		},
		"what was due before it was scheduled is nobody's": {do: func(s *stage) { s.start(day(1, "01:30:00")).work(day(1, "01:30:00")) }},
		"down for three nights, back in time": {
			do:      func(s *stage) { s.start(day(3, "05:00:00")).work(day(3, "05:00:00")) },
			runs:    []string{"nightly 03T02:00:00 try 1"},
			record:  []string{"nightly 01T02:00:00 missed", "nightly 02T02:00:00 missed", "nightly 03T02:00:00 done"},
			reasons: []string{"nightly 2026-11-02T02:00:00Z: 2 due times from 2026-11-01T02:00:00Z on passed and nothing ran; made up for by the run due at 2026-11-03T02:00:00Z"},
		},
		"down, back too late": {
			do:      func(s *stage) { s.start(day(1, "09:00:00")).work(day(1, "09:00:00")) },
			record:  []string{"nightly 01T02:00:00 missed"},
			reasons: []string{"nightly 2026-11-01T02:00:00Z: its due time passed and nothing ran; it is not made up for: that is done within 6h0m0s"},
		},
		"down, to be skipped": {
			edit:    func(a *schedule.Audit) { a.CatchUp = false },
			do:      func(s *stage) { s.start(day(1, "03:00:00")).work(day(1, "03:00:00")) },
			record:  []string{"nightly 01T02:00:00 skipped"},
			reasons: []string{"nightly 2026-11-01T02:00:00Z: its due time passed and nothing ran; it is not made up for, as configured"},
		},
		"the clock jumps on by forty days": {
			do:      func(s *stage) { s.work(day(1, "02:00:00")); s.work(at(t, "2026-12-11T02:30:00Z")) },
			runs:    []string{"nightly 01T02:00:00 try 1", "nightly 11T02:00:00 try 1"},
			reasons: []string{"nightly 2026-12-10T02:00:00Z: 39 due times from 2026-11-02T02:00:00Z on passed and nothing ran; made up for by the run due at 2026-12-11T02:00:00Z"},
		},
		"the clock jumps back": {
			do: func(s *stage) {
				s.work(day(1, "02:00:00"))
				s.work(day(2, "02:00:00"))
				s.work(day(1, "01:00:00"))
				s.start(day(1, "01:30:00")) // also for another process
				s.work(day(1, "02:00:00"))
				s.work(day(2, "02:00:00"))
				s.work(day(3, "02:00:00"))
			},
			runs:   []string{"nightly 01T02:00:00 try 1", "nightly 02T02:00:00 try 1", "nightly 03T02:00:00 try 1"},
			record: []string{"nightly 01T02:00:00 done", "nightly 02T02:00:00 done", "nightly 03T02:00:00 done"},
		},
		"the clock was far ahead, and is right again": {
			do: func(s *stage) {
				s.work(at(t, "2099-01-01T03:00:00Z"))
				s.work(day(1, "00:00:00"))
				s.work(day(1, "02:00:00"))
			},
			runs: []string{"nightly 01T02:00:00 try 1", "nightly 01T02:00:00 try 1"}, // of 2099, and of 2026
		},
		"tried again, twice": {
			edit: func(a *schedule.Audit) { a.Retries = 2 },
			do: func(s *stage) {
				for _, clock := range []string{"02:00:00", "02:05:00", "02:10:00", "02:29:00", "02:30:00", "06:00:00"} {
					if s.look(day(1, clock)) != nil {
						s.a.Ended(t.Context(), day(1, clock), schedule.Ended{Err: errDown}, false)
					}
				}
			},
			runs:   []string{"nightly 01T02:00:00 try 1", "nightly 01T02:00:00 try 2", "nightly 01T02:00:00 try 3"},
			record: []string{"nightly 01T02:00:00 failed"},
			reasons: []string{
				"nightly 2026-11-01T02:00:00Z given up: source is down; given up after 3 tries",
				"nightly 2026-11-01T02:00:00Z: source is down; it is tried again at 2026-11-01T02:10:00Z",
			},
		},
		"not tried again over the next due time": {
			edit: func(a *schedule.Audit) { a.Retries, a.Times = 5, times(t, "*/5 * * * *", "UTC") },
			do: func(s *stage) {
				s.look(day(1, "00:05:00"))
				s.a.Ended(t.Context(), day(1, "00:05:30"), schedule.Ended{Err: errDown}, false)
			},
			runs:    []string{"nightly 01T00:05:00 try 1"},
			record:  []string{"nightly 01T00:05:00 failed"},
			reasons: []string{"nightly 2026-11-01T00:05:00Z: source is down; it is not tried again: it is due again at 2026-11-01T00:10:00Z"},
		},
		"killed in the middle, and tried again": {
			edit:    func(a *schedule.Audit) { a.Retries = 1 },
			do:      func(s *stage) { s.look(day(1, "02:00:00")); s.start(day(1, "02:10:00")).work(day(1, "02:10:00")) },
			runs:    []string{"nightly 01T02:00:00 try 1", "nightly 01T02:00:00 try 2"},
			record:  []string{"nightly 01T02:00:00 done"},
			reasons: []string{"nightly 2026-11-01T02:00:00Z: the daemon ended in the middle of it; it is tried again at once"},
		},
		"killed by what it runs, each time": {
			edit: func(a *schedule.Audit) { a.Retries = 1 },
			do: func(s *stage) {
				for _, clock := range []string{"02:00:00", "02:01:00", "02:02:00", "02:03:00"} {
					s.start(day(1, clock)).look(day(1, clock))
				}
			},
			runs:   []string{"nightly 01T02:00:00 try 1", "nightly 01T02:00:00 try 2"},
			record: []string{"nightly 01T02:00:00 failed"},
			reasons: []string{
				"nightly 2026-11-01T02:00:00Z given up: the daemon ended in the middle of it; it is not tried again",
				"nightly 2026-11-01T02:00:00Z: the daemon ended in the middle of it; it is tried again at once",
			},
		},
		"stopped in the middle, and tried again, which does not count": {
			do: func(s *stage) {
				s.look(day(1, "02:00:00"))
				s.a.Ended(t.Context(), day(1, "02:10:00"), schedule.Ended{Err: context.Canceled}, true)
				s.start(day(1, "03:10:00")).work(day(1, "03:10:00"))
			},
			runs:   []string{"nightly 01T02:00:00 try 1", "nightly 01T02:00:00 try 1"},
			record: []string{"nightly 01T02:00:00 done"},
		},
		"withdrawn, and back": {
			do: func(s *stage) {
				list := s.list
				s.list = nil
				s.start(day(1, "01:00:00"))
				s.list = list
				s.start(day(3, "01:00:00")).work(day(3, "02:00:00"))
			},
			runs:   []string{"nightly 03T02:00:00 try 1"},
			record: []string{"nightly 03T02:00:00 done"},
		},
		"another schedule, while nothing ran": {
			do: func(s *stage) {
				s.list[0].Times = times(t, "0 4 * * *", "UTC")
				s.start(day(2, "10:00:00")).work(day(3, "04:00:00"))
			},
			runs:    []string{"nightly 03T04:00:00 try 1"},
			record:  []string{"nightly 01T02:00:00 missed", "nightly 02T02:00:00 missed", "nightly 03T04:00:00 done"},
			reasons: []string{"nightly 2026-11-02T02:00:00Z: 2 due times from 2026-11-01T02:00:00Z on passed: nothing ran then, and the schedule is another one now"},
		},
		"nothing can be put on record": {
			do: func(s *stage) {
				s.book.broken = errors.New("disk full")
				if d, err := s.a.Look(t.Context(), day(1, "02:00:00")); d != nil || err == nil {
					t.Errorf("Look() = %v, %v: it would be run without a record", d, err)
				}
				s.book.broken = nil
				s.look(day(1, "02:00:10"))
				s.book.broken = errors.New("disk full")
				s.a.Ended(t.Context(), day(1, "02:10:00"), schedule.Ended{Run: "r"}, false)
				s.book.broken = nil
				s.work(day(1, "02:11:00"))
			},
			runs:   []string{"nightly 01T02:00:00 try 1"},
			record: []string{"nightly 01T02:00:00 done"},
		},
	}
	for name, tt := range tests {
		t.Run(name, func(t *testing.T) {
			t.Parallel()
			a := nightly(t)
			if tt.edit != nil {
				tt.edit(&a)
			}
			s := &stage{t: t, book: newBook(), list: []schedule.Audit{a}}
			s.start(day(1, "00:00:00"))
			tt.do(s)
			if diff := cmp.Diff(s.runs, tt.runs); diff != "" {
				t.Errorf("runs (-got +want):\n%s", diff)
			}
			if diff := cmp.Diff(s.book.lines(), tt.record); tt.record != nil && diff != "" {
				t.Errorf("record (-got +want):\n%s", diff)
			}
			if diff := cmp.Diff(s.book.reasons(), tt.reasons); !strings.Contains(name, "far ahead") && diff != "" {
				t.Errorf("announcements (-got +want):\n%s", diff)
			}
		})
	}
}

// TestOneAtATime: what is due while another run goes on waits for it, and what
// is due twice meanwhile is run once.
func TestOneAtATime(t *testing.T) {
	t.Parallel()
	clock := func(c string) time.Time { return at(t, "2026-11-01T"+c+"Z") }
	s := &stage{t: t, book: newBook(), list: []schedule.Audit{
		{Name: "long", Times: times(t, "0 2 * * *", "UTC")},
		{Name: "often", Times: times(t, "30 * * * *", "UTC")},
	}}
	s.start(clock("01:45:00"))
	s.look(clock("02:00:00"))
	for _, c := range []string{"02:30:00", "03:30:00", "04:00:00"} {
		if d := s.look(clock(c)); d != nil {
			t.Errorf("%s begins beside another", d.Audit.Name)
		}
	}
	s.a.Ended(t.Context(), clock("04:10:00"), schedule.Ended{Run: "r"}, false)
	s.work(clock("04:10:00"))
	want := []string{"long 01T02:00:00 try 1", "often 01T03:30:00 try 1"}
	if diff := cmp.Diff(s.runs, want); diff != "" {
		t.Errorf("runs (-got +want):\n%s", diff)
	}
	want = []string{"long 01T02:00:00 done", "often 01T02:30:00 skipped", "often 01T03:30:00 done"}
	if diff := cmp.Diff(s.book.lines(), want); diff != "" {
		t.Errorf("record (-got +want):\n%s", diff)
	}
	if len(s.book.told) > 0 {
		t.Errorf("announced: %v", s.book.reasons())
	}
}

// TestSecondly: what passed without end is bounded on record, and is said.
func TestSecondly(t *testing.T) {
	t.Parallel()
	s := &stage{t: t, book: newBook(), list: []schedule.Audit{{Name: "often", Times: times(t, "* * * * * *", "UTC"), CatchUp: true}}}
	s.start(at(t, "2026-01-01T00:00:00Z")).work(at(t, "2036-01-01T00:00:00Z"))
	if n := len(s.book.lines()); n != 100 || len(s.runs) != 1 {
		t.Errorf("%d due times on record and %d runs", n, len(s.runs))
	}
	first := s.book.rows["often2035-12-31T23:58:21Z"]
	if !strings.HasPrefix(first.Detail, "with all others after 2026-01-01T00:00:00Z: nothing ran then") {
		t.Errorf("the earliest one says %q", first.Detail)
	}
}

// TestJitter: each due time has its own, the same for everybody, within bounds.
func TestJitter(t *testing.T) {
	t.Parallel()
	a := schedule.Audit{Name: "a", Times: times(t, "0 * * * *", "UTC"), Jitter: 30 * time.Minute}
	b, long := a, a
	b.Name, long.Jitter = "b", 48*time.Hour
	seen, alike := map[time.Duration]bool{}, 0
	for due := at(t, "2026-01-01T00:00:00Z"); due.Year() < 2027; due = a.Times.Next(due) {
		d := a.Begin(due).Sub(due)
		if d < 0 || d >= a.Jitter || d != a.Begin(due).Sub(due) {
			t.Fatalf("%s later", d)
		}
		if !long.Begin(due).Before(a.Times.Next(due)) {
			t.Fatalf("what is due at %s begins when it is due again", due)
		}
		seen[d] = true
		if d == b.Begin(due).Sub(due) {
			alike++
		}
	}
	if len(seen) < 1500 || alike > 50 {
		t.Errorf("%d of 1,800 seconds, and %d times the same for two audits", len(seen), alike)
	}
	s := &stage{t: t, book: newBook(), list: []schedule.Audit{a}}
	begin := a.Begin(at(t, "2026-11-01T02:00:00Z"))
	s.start(at(t, "2026-11-01T01:45:00Z")).work(begin.Add(-time.Second))
	if len(s.runs) != 0 || !s.a.Next().Equal(begin) {
		t.Errorf("%v ran, and next is %s, want %s", s.runs, s.a.Next(), begin)
	}
	s.start(begin.Add(-time.Second)) // nothing is lost of it, and nothing is twice
	s.work(begin)
	s.work(begin.Add(time.Second))
	if len(s.runs) != 1 {
		t.Errorf("%v ran", s.runs)
	}
}

// TestExactlyOnce drives agendas through years with failures, kills, stops,
// other configurations and jumps of the clock. Whatever happens, each due time
// is on record exactly once, and comes to a run at most once.
func TestExactlyOnce(t *testing.T) {
	t.Parallel()
	zones := []string{"UTC", "Europe/Berlin", "America/New_York", "Australia/Lord_Howe", "Africa/Cairo", "Pacific/Apia"}
	crons := []string{"30 2 * * *", "0 */6 * * *", "45 1-3 * * *", "0 0 * * 1-5", "15 * * * *"}
	for seed := range 30 {
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
			newLife(s, rng, begin).live(begin.AddDate(0, 4, 0))
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
