package schedule_test

import (
	"context"
	"errors"
	"fmt"
	"log/slog"
	"sync"
	"testing"
	"testing/synctest"
	"time"

	"github.com/google/go-cmp/cmp"

	"github.com/crosscheck-dev/crosscheck/audit/schedule"
)

// attended runs a scheduler in a bubble, where time passes only when all sleep.
// It is midnight of 2000-01-01 there.
func attended(t *testing.T, b *book, run func(ctx context.Context, d schedule.Due) schedule.Ended, list ...schedule.Audit) (s *schedule.Scheduler, stop func()) {
	t.Helper()
	s, err := schedule.New(schedule.Config{
		Book: b, Run: run, Now: time.Now, Sleep: schedule.Pause, Grace: 10 * time.Minute, Log: slog.New(slog.DiscardHandler),
	})
	if err != nil {
		t.Fatal(err)
	}
	if err := s.Replace(list); err != nil {
		t.Fatal(err)
	}
	ctx, cancel := context.WithCancel(t.Context())
	var wg sync.WaitGroup
	wg.Go(func() { s.Run(ctx) })
	return s, func() { cancel(); wg.Wait() }
}

func TestRun(t *testing.T) {
	t.Parallel()
	synctest.Test(t, func(t *testing.T) {
		b := newBook()
		var begun []string // by the try, one at a time
		s, stop := attended(t, b, func(ctx context.Context, d schedule.Due) schedule.Ended {
			begun = append(begun, fmt.Sprintf("%s %s", d.Audit.Name, time.Now().UTC().Format("15:04:05")))
			if d.Audit.Name == "faulty" {
				panic("a fault of one audit")
			}
			schedule.Pause(ctx, 90*time.Minute)
			return schedule.Ended{Run: "r", Err: ctx.Err()}
		},
			schedule.Audit{Name: "faulty", Times: times(t, "0 2 * * *", "UTC"), Retries: 1},
			schedule.Audit{Name: "good", Times: times(t, "0 2 * * *", "UTC")})
		time.Sleep(8 * time.Hour)
		want := []string{"faulty 02:00:00", "good 02:00:00", "faulty 03:30:00"}
		if diff := cmp.Diff(begun, want); diff != "" {
			t.Errorf("begun (-got +want):\n%s", diff)
		}
		if err := s.Replace([]schedule.Audit{{Name: "good", Times: times(t, "0 9 * * *", "UTC")}}); err != nil {
			t.Fatal(err)
		}
		time.Sleep(90 * time.Minute) // half an hour into the run
		before := time.Now()
		stop()
		if took := time.Since(before); took != 10*time.Minute {
			t.Errorf("the run was given %s to end, want 10m", took)
		}
		want = []string{"faulty 01T02:00:00 failed", "good 01T02:00:00 done", "good 01T09:00:00 waiting"}
		got := b.lines()
		if len(got) > 1 && got[0] > got[1] {
			got[0], got[1] = got[1], got[0]
		}
		if diff := cmp.Diff(got, want); diff != "" {
			t.Errorf("record (-got +want):\n%s", diff)
		}
	})
}

// TestStopInTime: a run that ends within the grace is on record as done, and the
// scheduler does not wait any longer.
func TestStopInTime(t *testing.T) {
	t.Parallel()
	synctest.Test(t, func(t *testing.T) {
		b := newBook()
		_, stop := attended(t, b, func(ctx context.Context, _ schedule.Due) schedule.Ended {
			schedule.Pause(ctx, 8*time.Minute)
			return schedule.Ended{Run: "r", Err: ctx.Err()}
		}, schedule.Audit{Name: "good", Times: times(t, "0 2 * * *", "UTC")})
		time.Sleep(2*time.Hour + 5*time.Minute)
		before := time.Now()
		stop()
		if took := time.Since(before); took != 3*time.Minute {
			t.Errorf("it waited %s, want 3m", took)
		}
		if diff := cmp.Diff(b.lines(), []string{"good 01T02:00:00 done"}); diff != "" {
			t.Errorf("record (-got +want):\n%s", diff)
		}
	})
}

// TestBrokenBook: what cannot be put on record is not run, and is once it can.
func TestBrokenBook(t *testing.T) {
	t.Parallel()
	synctest.Test(t, func(t *testing.T) {
		b := newBook()
		b.broken = errors.New("disk full")
		runs := 0
		_, stop := attended(t, b, func(context.Context, schedule.Due) schedule.Ended { runs++; return schedule.Ended{} },
			schedule.Audit{Name: "good", Times: times(t, "0 2 * * *", "UTC")})
		time.Sleep(time.Hour)
		heal := func(err error) { b.mu.Lock(); defer b.mu.Unlock(); b.broken = err }
		heal(nil)
		time.Sleep(time.Minute)
		heal(errors.New("disk full"))
		time.Sleep(time.Hour)
		if runs != 0 {
			t.Error("it ran without a record")
		}
		heal(nil)
		time.Sleep(time.Minute)
		stop()
		if diff := cmp.Diff(b.lines(), []string{"good 01T02:00:00 done"}); diff != "" || runs != 1 {
			t.Errorf("%d runs, record (-got +want):\n%s", runs, diff)
		}
	})
}

func TestNewErrors(t *testing.T) {
	t.Parallel()
	if _, err := schedule.New(schedule.Config{}); err == nil {
		t.Error("New() without a book succeeds")
	}
	s := &schedule.Scheduler{}
	a := nightly(t)
	for name, list := range map[string][]schedule.Audit{
		"two of a name": {a, a}, "no name": {{Times: a.Times}}, "no times": {{Name: "a"}}, "negative": {{Name: "a", Times: a.Times, Jitter: -1}},
	} {
		if err := s.Replace(list); err == nil {
			t.Errorf("%s: Replace() succeeds", name)
		}
	}
}
