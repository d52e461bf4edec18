package schedule

import (
	"context"
	"errors"
	"fmt"
	"runtime/debug"
	"sync"
	"time"

	"github.com/crosscheck-dev/crosscheck/audit"
)

// ErrStopped is the cause by which a try is cancelled that did not end within
// the grace that it was given.
var ErrStopped = errors.New("the daemon was stopped")

// result is what a try came to.
type result struct {
	ended Ended
	cut   bool
}

// Run runs audits until ctx ends, and then what is being run until it ends, for
// the grace at most. What cannot be put on record is not run: it is logged and
// tried again, and does not end the scheduler.
func (s *Scheduler) Run(ctx context.Context) {
	g := &agenda{book: s.cfg.Book, log: s.cfg.Log}
	// A try does not end with ctx, and neither does what is put on record of it.
	lasting, cut := context.WithCancelCause(context.WithoutCancel(ctx))
	defer cut(nil)
	var tries sync.WaitGroup
	for ctx.Err() == nil {
		nap, wake := context.WithCancel(ctx)
		s.wakeBy(wake)
		due, err := s.look(lasting, g)
		if err != nil {
			s.cfg.Log.ErrorContext(ctx, "schedules", "error", err.Error())
		}
		if due != nil {
			tries.Go(func() { s.try(lasting, *due) })
		}
		s.sleep(nap, g, err != nil)
		wake()
	}
	if g.running != nil {
		grace, over := context.WithCancel(context.WithoutCancel(ctx))
		var waiting sync.WaitGroup
		waiting.Go(func() {
			s.cfg.Sleep(grace, s.cfg.Grace)
			cut(ErrStopped)
		})
		tries.Wait()
		over()
		waiting.Wait()
	}
	s.take(context.WithoutCancel(ctx), g)
}

func (s *Scheduler) wakeBy(wake func()) {
	s.mu.Lock()
	defer s.mu.Unlock()
	s.wake = wake
}

// look brings the agenda up to date and gives what is to be begun.
func (s *Scheduler) look(ctx context.Context, g *agenda) (*Due, error) {
	s.take(ctx, g)
	now := s.cfg.Now().UTC()
	s.mu.Lock()
	list, news := s.list, s.news
	s.news = false
	s.mu.Unlock()
	if news {
		if err := g.replace(ctx, list, now); err != nil {
			s.mu.Lock()
			s.news = true
			s.mu.Unlock()
			return nil, err
		}
	}
	return g.look(ctx, now)
}

// take puts on record what the try came to that has ended, if one has.
func (s *Scheduler) take(ctx context.Context, g *agenda) {
	s.mu.Lock()
	r := s.result
	s.result = nil
	s.mu.Unlock()
	if r != nil {
		g.ended(ctx, s.cfg.Now().UTC(), r.ended, r.cut)
	}
}

// sleep waits until something is to be begun, and not for long at once: the
// clock may jump meanwhile.
func (s *Scheduler) sleep(ctx context.Context, g *agenda, failed bool) {
	next := g.next()
	if s.cfg.Beat != nil {
		s.cfg.Beat(next)
	}
	d := s.cfg.Every
	if !next.IsZero() && !failed {
		d = max(0, min(d, next.Sub(s.cfg.Now())))
	}
	s.cfg.Sleep(ctx, d)
}

// try runs one audit, and has the loop take what it came to.
func (s *Scheduler) try(ctx context.Context, d Due) {
	var r result
	defer func() {
		if p := recover(); p != nil {
			r.ended = Ended{Err: fmt.Errorf("internal error, please report it: %v", p)}
			s.cfg.Log.ErrorContext(ctx, "audit panicked", "audit", d.Audit.Name, "due", audit.Stamp(d.At), "panic", fmt.Sprint(p), "stack", string(debug.Stack()))
		}
		s.mu.Lock()
		defer s.mu.Unlock()
		s.result = &r
		s.wake()
	}()
	r.ended = s.cfg.Run(ctx, d)
	r.cut = r.ended.Err != nil && errors.Is(context.Cause(ctx), ErrStopped)
}

// Pause is a Config.Sleep by the process's own clock.
func Pause(ctx context.Context, d time.Duration) {
	t := time.NewTimer(d)
	defer t.Stop()
	select {
	case <-ctx.Done():
	case <-t.C:
	}
}
