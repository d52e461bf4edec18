package schedule

import (
	"crypto/sha256"
	"encoding/binary"
	"errors"
	"fmt"
	"time"

	"github.com/crosscheck-dev/crosscheck/audit"
)

// Audit is one audit that is run by itself.
type Audit struct {
	Name    string
	Times   Times
	Scope   audit.Scope
	Full    bool          // evaluate everything, take nothing over
	Jitter  time.Duration // begin up to this much later than due, each due time by its own
	CatchUp bool          // run once what was missed; else it is skipped
	Within  time.Duration // how late a due time may still be run, default 6 hours
	Timeout time.Duration // of one try, default 12 hours; whoever runs it sees to it
	Retries int           // tries after the first one
	Backoff time.Duration // before the first retry, twice as long before each other one; default 5 minutes
}

// longestBackoff bounds the wait between tries.
const longestBackoff = time.Hour

// onTime is how late a due time may be noticed without having been missed.
const onTime = time.Minute

func (a *Audit) fill() error {
	switch {
	case a.Name == "":
		return errors.New("schedule: an audit needs a name")
	case a.Times.spec == nil:
		return fmt.Errorf("schedule %s: Times are required", a.Name)
	case a.Jitter < 0 || a.Within < 0 || a.Timeout < 0 || a.Retries < 0 || a.Backoff < 0:
		return fmt.Errorf("schedule %s: nothing can be negative", a.Name)
	}
	if a.Within == 0 {
		a.Within = 6 * time.Hour
	}
	if a.Timeout == 0 {
		a.Timeout = 12 * time.Hour
	}
	if a.Backoff == 0 {
		a.Backoff = 5 * time.Minute
	}
	return nil
}

// Begin is when what is due at a time begins: the same for each process that
// asks, later than due by less than the jitter, and before the next due time.
func (a Audit) Begin(due time.Time) time.Time {
	bound := a.Jitter
	if next := a.Times.Next(due); !next.IsZero() {
		bound = min(bound, next.Sub(due))
	}
	if bound = bound.Truncate(time.Second); bound <= 0 {
		return due
	}
	sum := sha256.Sum256([]byte(a.Name + "\n" + audit.Stamp(due)))
	return due.Add(time.Duration(binary.BigEndian.Uint64(sum[:])%uint64(bound/time.Second)) * time.Second)
}

// listed is how many due times that passed at once are kept by themselves. An
// audit that is due each second and was not run for a year has 31 million.
const listed = 100

// passed are the due times after a moment of which the beginning has come, the
// earliest first. Where there are more than are listed the earliest of them are
// left out, and more tells so.
func (a Audit) passed(since, now time.Time) (list []time.Time, more bool) {
	for at := now; ; {
		due := a.Times.Last(at, since)
		switch {
		case due.IsZero():
			return list, false
		case len(list) == listed:
			return list, true
		case !a.Begin(due).After(now):
			list = append([]time.Time{due}, list...)
		}
		at = due.Add(-time.Second)
	}
}

// wait is how long an audit waits after so many tries.
func (a Audit) wait(tries int) time.Duration {
	d := max(longestBackoff, a.Backoff)
	if tries < 16 {
		d = min(d, a.Backoff<<max(tries-1, 0))
	}
	return d
}
