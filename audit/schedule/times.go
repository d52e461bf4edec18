// Package schedule runs audits when they are due: by cron expressions in time
// zones, one at a time, and each due time exactly once on record.
package schedule

import (
	"errors"
	"fmt"
	"strings"
	"time"

	"github.com/robfig/cron/v3"
)

// Times are the times that a cron expression names in a time zone. A time that
// does not exist there, because clocks are put forward over it, is due when
// they are; one that exists twice is due the first time. An expression that
// names every hour goes by the hours that pass, whatever they are called.
// The zero value is never due.
type Times struct {
	cron string
	spec *cron.SpecSchedule
	zone *time.Location
}

// everyHour has the bit of each hour.
const everyHour = 1<<24 - 1

// ParseTimes reads an expression of five fields (minute, hour, day of month,
// month, day of week), six with seconds in front, or a word such as @daily. An
// empty zone is UTC.
func ParseTimes(expression, zone string) (Times, error) {
	expression = strings.Join(strings.Fields(expression), " ")
	switch {
	case len(expression) > 200:
		return Times{}, errors.New("cron expression: longer than 200 letters")
	case strings.Contains(expression, "="):
		return Times{}, errors.New("cron expression: the zone is not part of it")
	case strings.HasPrefix(expression, "@every"):
		return Times{}, errors.New("cron expression: @every depends on when it was first seen; write */5 * * * * and the like")
	case zone == "Local": // differs from host to host
		return Times{}, errors.New("time zone: expected a name such as Europe/Berlin")
	}
	s, err := cron.NewParser(cron.SecondOptional | cron.Minute | cron.Hour | cron.Dom | cron.Month | cron.Dow | cron.Descriptor).Parse(expression)
	if err != nil {
		return Times{}, fmt.Errorf("cron expression %q: %w", expression, err)
	}
	spec, ok := s.(*cron.SpecSchedule)
	if !ok {
		return Times{}, fmt.Errorf("cron expression %q is not supported", expression)
	}
	loc, err := time.LoadLocation(zone)
	if err != nil {
		return Times{}, fmt.Errorf("time zone: %w", err)
	}
	spec.Location = time.UTC // it is asked about what clocks show, as if they were in UTC
	t := Times{cron: expression, spec: spec, zone: loc}
	if t.Next(time.Date(2000, 1, 1, 0, 0, 0, 0, time.UTC)).IsZero() {
		return Times{}, fmt.Errorf("cron expression %q: is never due", expression)
	}
	return t, nil
}

// String is the expression with its zone: equal ones are due at the same times.
func (t Times) String() string {
	if t.spec == nil {
		return "never"
	}
	return t.cron + " " + t.zone.String()
}

// Zone is where the clocks hang.
func (t Times) Zone() *time.Location {
	if t.zone == nil {
		return time.UTC
	}
	return t.zone
}

// Next is the first due time after a moment, in UTC; zero if there is none in
// the five years to come.
func (t Times) Next(after time.Time) time.Time {
	if t.spec == nil {
		return time.Time{}
	}
	at := after.UTC().Truncate(time.Second)
	for range 100 { // changes of the zone's offset
		from, to := at.In(t.zone).ZoneBounds()
		_, offset := at.In(t.zone).Zone()
		shown := shift(at, offset)
		if !from.IsZero() && !t.hourly() { // what clocks showed before they were put back is over
			if before := shift(from, offsetBefore(from)).Add(-time.Second); before.After(shown) {
				shown = before
			}
		}
		next := t.spec.Next(shown)
		if next.IsZero() {
			return time.Time{}
		}
		due := shift(next, -offset)
		if to.IsZero() || due.Before(to) {
			return due
		}
		if t.names(to) {
			return to.UTC()
		}
		at = to.UTC()
	}
	return time.Time{}
}

func (t Times) hourly() bool { return t.spec.Hour&everyHour == everyHour }

// names tells whether a change of the zone's offset is a due time: where clocks
// show one then, or are put forward over one.
func (t Times) names(change time.Time) bool {
	_, after := change.In(t.zone).Zone()
	to := shift(change, after)
	from := to
	if before := shift(change, offsetBefore(change.In(t.zone))); !t.hourly() {
		if from = before; from.After(to) { // put back: what they show was shown before
			return false
		}
	}
	next := t.spec.Next(from.Add(-time.Second))
	return !next.IsZero() && !next.After(to)
}

// offsetBefore is the zone's offset in the second before a moment.
func offsetBefore(at time.Time) int {
	_, offset := at.Add(-time.Second).Zone()
	return offset
}

// shift moves a moment by seconds, so that UTC shows what clocks show.
func shift(at time.Time, seconds int) time.Time {
	return at.UTC().Add(time.Duration(seconds) * time.Second)
}

// Last is the last due time at a moment or before it, in UTC; zero if there is
// none after the one named. It takes no longer where many lie between.
func (t Times) Last(at, after time.Time) time.Time {
	at = at.UTC().Truncate(time.Second)
	for span := time.Second; ; span *= 2 {
		from := at.Add(-span)
		if !from.After(after) {
			from = after
		}
		if due := t.Next(from); !due.IsZero() && !due.After(at) {
			for {
				next := t.Next(due)
				if next.IsZero() || next.After(at) {
					return due
				}
				due = next
			}
		}
		if !from.After(after) || span > 10*366*24*time.Hour {
			return time.Time{}
		}
	}
}
