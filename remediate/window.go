package remediate

import (
	"fmt"
	"slices"
	"strings"
	"time"
)

// Window is a time of the week in which a runbook may act, by the clock on the
// wall of its zone. One that ends before it begins goes on into the next day.
type Window struct {
	Days []string // mon … sun, on which it begins; empty: every day
	From string   // 22:00
	To   string   // 05:00; 24:00 is the end of the day
	Zone *time.Location
}

var days = []string{"sun", "mon", "tue", "wed", "thu", "fri", "sat"}

func (w Window) check() error {
	from, err := clock(w.From)
	if err != nil {
		return err
	}
	to, err := clock(w.To)
	if err != nil {
		return err
	}
	if from == to {
		return fmt.Errorf("window from %s to %s: expected two different times", w.From, w.To)
	}
	if w.Zone == nil {
		return fmt.Errorf("window from %s to %s: a time zone is required", w.From, w.To)
	}
	for _, d := range w.Days {
		if !slices.Contains(days, d) {
			return fmt.Errorf("day %q: expected one of %s", d, strings.Join(days, ", "))
		}
	}
	return nil
}

// clock reads hours and minutes into minutes of a day.
func clock(s string) (int, error) {
	if s == "24:00" {
		return 24 * 60, nil
	}
	t, err := time.Parse("15:04", s)
	if err != nil {
		return 0, fmt.Errorf("time %q: expected one such as 22:00", s)
	}
	return t.Hour()*60 + t.Minute(), nil
}

// Open tells whether a moment is in the window.
func (w Window) Open(at time.Time) bool {
	if w.check() != nil {
		return false
	}
	from, _ := clock(w.From)
	to, _ := clock(w.To)
	local := at.In(w.Zone)
	now := local.Hour()*60 + local.Minute()
	today, yesterday := w.begins(local.Weekday()), w.begins((local.Weekday()+6)%7)
	if from < to {
		return today && from <= now && now < to
	}
	return today && from <= now || yesterday && now < to
}

func (w Window) begins(d time.Weekday) bool {
	return len(w.Days) == 0 || slices.Contains(w.Days, days[d])
}
