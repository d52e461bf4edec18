package schedule

import (
	"context"
	"errors"
	"fmt"
	"log/slog"
	"slices"
	"sync"
	"time"

	"github.com/crosscheck-dev/crosscheck/audit"
)

// Book keeps what becomes of due times.
type Book interface {
	// Occurrences are those on record, the latest first.
	Occurrences(ctx context.Context, q audit.OccurrenceQuery) ([]audit.Occurrence, error)
	// KeepOccurrences puts occurrences on record and announces, all of it or
	// nothing. What is settled stays as it is.
	KeepOccurrences(ctx context.Context, list []audit.Occurrence, tell []audit.Announcement) error
}

// Due is one due time that is run.
type Due struct {
	Audit Audit
	At    time.Time
	Try   int // from 1
}

// Ended is what a try came to.
type Ended struct {
	Run    string // id of the run on record, empty if there is none
	Detail string // what there is to say of it
	Err    error
}

// Config of a scheduler.
type Config struct {
	Book  Book
	Run   func(ctx context.Context, d Due) Ended     // one at a time; a panic is taken for an error
	Now   func() time.Time                           // may jump
	Sleep func(ctx context.Context, d time.Duration) // returns early when ctx ends
	Every time.Duration                              // how often the clock is looked at, at least; default 30 seconds
	Beat  func(next time.Time)                       // may be nil; told each time, with when something is to be begun next (zero: nothing)
	Grace time.Duration                              // what a try that goes on gets to end when the scheduler is stopped
	Log   *slog.Logger
}

// Scheduler runs audits when they are due.
type Scheduler struct {
	cfg Config

	mu     sync.Mutex
	list   []Audit // as it is to be
	news   bool    // list was replaced, and the loop has not seen it
	result *result // of the try that has ended, and the loop has not taken
	wake   func()  // ends the loop's sleep
}

// New checks the configuration. No audit is scheduled before Replace.
func New(cfg Config) (*Scheduler, error) {
	switch {
	case cfg.Book == nil || cfg.Run == nil || cfg.Now == nil || cfg.Sleep == nil || cfg.Log == nil:
		return nil, errors.New("schedule: Book, Run, Now, Sleep and Log are required")
	case cfg.Every < 0 || cfg.Grace < 0:
		return nil, errors.New("schedule: Every and Grace cannot be negative")
	}
	if cfg.Every == 0 {
		cfg.Every = 30 * time.Second
	}
	return &Scheduler{cfg: cfg}, nil
}

// Replace has other audits be scheduled from now on. One that is being run ends
// as it began; what waits of one that is not listed any more is not run.
func (s *Scheduler) Replace(list []Audit) error {
	list = slices.Clone(list)
	for i := range list {
		if err := list[i].fill(); err != nil {
			return err
		}
		if slices.ContainsFunc(list[:i], func(a Audit) bool { return a.Name == list[i].Name }) {
			return fmt.Errorf("schedule: two audits are called %s", list[i].Name)
		}
	}
	s.mu.Lock()
	defer s.mu.Unlock()
	s.list, s.news = list, true
	if s.wake != nil {
		s.wake()
	}
	return nil
}
