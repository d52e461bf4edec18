package schedule_test

import (
	"strings"
	"testing"
	"time"
	_ "time/tzdata"

	"github.com/google/go-cmp/cmp"

	"github.com/crosscheck-dev/crosscheck/audit/schedule"
)

func times(t *testing.T, cron, zone string) schedule.Times {
	t.Helper()
	out, err := schedule.ParseTimes(cron, zone)
	if err != nil {
		t.Fatal(err)
	}
	return out
}

func at(t *testing.T, text string) time.Time {
	t.Helper()
	out, err := time.Parse(time.RFC3339, text)
	if err != nil {
		t.Fatal(err)
	}
	return out
}

func TestNext(t *testing.T) {
	t.Parallel()
	tests := map[string]struct {
		cron, zone, after string
		want              []string // in the zone
	}{
		"nightly":            {"30 2 * * *", "Europe/Berlin", "2026-11-20T00:00:00Z", []string{"2026-11-20T02:30:00+01:00", "2026-11-21T02:30:00+01:00"}},
		"02:30 is not there": {"30 2 * * *", "Europe/Berlin", "2026-03-28T00:00:00Z", []string{"2026-03-28T02:30:00+01:00", "2026-03-29T03:00:00+02:00", "2026-03-30T02:30:00+02:00"}},
		"02:30 is twice":     {"30 2 * * *", "Europe/Berlin", "2026-10-24T00:00:00Z", []string{"2026-10-24T02:30:00+02:00", "2026-10-25T02:30:00+02:00", "2026-10-26T02:30:00+01:00"}},
		"02:00 is twice":     {"0 2 * * *", "Europe/Berlin", "2026-10-24T12:00:00Z", []string{"2026-10-25T02:00:00+02:00", "2026-10-26T02:00:00+01:00"}},
		"03:00, after both":  {"0 3 * * *", "Europe/Berlin", "2026-10-24T12:00:00Z", []string{"2026-10-25T03:00:00+01:00", "2026-10-26T03:00:00+01:00"}},
		"two into one":       {"0,30 2,3 * * *", "Europe/Berlin", "2026-03-29T00:00:00Z", []string{"2026-03-29T03:00:00+02:00", "2026-03-29T03:30:00+02:00", "2026-03-30T02:00:00+02:00"}},
		"hourly, forward":    {"30 * * * *", "Europe/Berlin", "2026-03-29T00:00:00Z", []string{"2026-03-29T01:30:00+01:00", "2026-03-29T03:30:00+02:00"}},
		"hourly, back":       {"30 * * * *", "Europe/Berlin", "2026-10-25T00:00:00Z", []string{"2026-10-25T02:30:00+02:00", "2026-10-25T02:30:00+01:00", "2026-10-25T03:30:00+01:00"}},
		"asked in the fold":  {"45 2 * * *", "Europe/Berlin", "2026-10-25T01:10:00Z", []string{"2026-10-26T02:45:00+01:00"}},
		"no midnight":        {"0 0 * * *", "Africa/Cairo", "2026-04-23T12:00:00Z", []string{"2026-04-24T01:00:00+03:00", "2026-04-25T00:00:00+03:00"}},
		"midnight twice":     {"0 0 * * *", "America/Havana", "2026-10-31T12:00:00Z", []string{"2026-11-01T00:00:00-04:00", "2026-11-02T00:00:00-05:00"}},
		"half an hour":       {"15 2 * * *", "Australia/Lord_Howe", "2026-10-03T00:00:00Z", []string{"2026-10-04T02:30:00+11:00", "2026-10-05T02:15:00+11:00"}},
		"a day that is not":  {"0 12 30 12 *", "Pacific/Apia", "2011-12-01T00:00:00Z", []string{"2011-12-31T00:00:00+14:00", "2012-12-30T12:00:00+14:00"}},
		"seconds":            {"*/20 * * * * *", "", "2026-01-01T00:00:05Z", []string{"2026-01-01T00:00:20Z", "2026-01-01T00:00:40Z", "2026-01-01T00:01:00Z"}},
		"a word":             {"@weekly", "UTC", "2026-01-01T00:00:00Z", []string{"2026-01-04T00:00:00Z"}},
		"leap day":           {"0 0 29 2 *", "UTC", "2026-01-01T00:00:00Z", []string{"2028-02-29T00:00:00Z"}},
	}
	for name, tt := range tests {
		t.Run(name, func(t *testing.T) {
			t.Parallel()
			s := times(t, tt.cron, tt.zone)
			var got []string
			moment := at(t, tt.after)
			for range tt.want {
				moment = s.Next(moment)
				got = append(got, moment.In(s.Zone()).Format(time.RFC3339))
			}
			if diff := cmp.Diff(got, tt.want); diff != "" {
				t.Errorf("(-got +want):\n%s", diff)
			}
		})
	}
}

// TestDueTimes compares all due times of years with those that somebody sees who
// looks at the clock every five minutes.
func TestDueTimes(t *testing.T) {
	t.Parallel()
	zones := []string{"UTC", "Europe/Berlin", "America/New_York", "Australia/Lord_Howe", "Africa/Cairo", "Pacific/Apia", "America/Havana", "Asia/Kathmandu", "Africa/Casablanca", "Antarctica/Troll"}
	crons := []string{"30 2 * * *", "0 0 * * *", "*/15 * * * *", "10 1-3 * * 0", "0 */2 1,15 * *", "55 23 31 12 5", "0 3 30 12 *"}
	for _, zone := range zones {
		t.Run(zone, func(t *testing.T) {
			t.Parallel()
			for _, year := range []int{2011, 2026} {
				from := time.Date(year, 1, 1, 0, 0, 0, 0, time.UTC)
				to := from.AddDate(1, 0, 7)
				for _, cron := range crons {
					s := times(t, cron, zone)
					want := s.Oracle(from, to, 5*time.Minute)
					var got []time.Time
					for due := s.Next(from); !due.After(to); due = s.Next(due) {
						got = append(got, due)
					}
					if diff := cmp.Diff(got, want); diff != "" || len(want) == 0 {
						t.Fatalf("%s in %d (-got +want):\n%s", cron, year, diff)
					}
					for i, due := range want {
						if i > 0 && i%7 == 0 && (!s.Last(due, from).Equal(due) || !s.Last(due.Add(-time.Second), from).Equal(want[i-1])) {
							t.Errorf("%s: Last(%s) = %s, and a second before %s", cron, due, s.Last(due, from), s.Last(due.Add(-time.Second), from))
						}
					}
					if !s.Last(want[0].Add(-time.Second), from).IsZero() {
						t.Errorf("%s: there is a due time before the first", cron)
					}
				}
			}
		})
	}
}

func TestParseTimesErrors(t *testing.T) {
	t.Parallel()
	for name, tt := range map[string]struct{ cron, zone, want string }{
		"nothing":      {"", "", "empty"},
		"words":        {"every night", "", "expected 5 to 6 fields"},
		"range":        {"61 2 * * *", "", "above maximum"},
		"never":        {"0 0 30 2 *", "", "is never due"},
		"every":        {"@every 5m", "", "@every depends"},
		"zone within":  {"TZ=UTC", "", "the zone is not part of it"},
		"zone":         {"0 0 * * *", "Mars/Olympus", "unknown time zone"},
		"path":         {"0 0 * * *", "../../etc/passwd", "time zone"},
		"of the host":  {"0 0 * * *", "Local", "expected a name"},
		"endless text": {strings.Repeat("1,", 200) + " * * * *", "", "longer than"},
	} {
		t.Run(name, func(t *testing.T) {
			t.Parallel()
			if _, err := schedule.ParseTimes(tt.cron, tt.zone); err == nil || !strings.Contains(err.Error(), tt.want) {
				t.Errorf("ParseTimes() = %v, want %q", err, tt.want)
			}
		})
	}
}

// FuzzParseTimes: whatever is configured gives an error or due times that go on.
func FuzzParseTimes(f *testing.F) {
	for _, s := range []string{"0 2 * * *", "*/5 * * * * *", "@daily", "0 0 29 2 *", "TZ=", "1-5/2 * ? JAN-mar sun", "@every 1s", "*/0 * * * *"} {
		f.Add(s, "Europe/Berlin")
	}
	f.Fuzz(func(t *testing.T, cron, zone string) {
		s, err := schedule.ParseTimes(cron, zone)
		if err != nil {
			return
		}
		from := time.Date(2026, 1, 1, 0, 0, 0, 0, time.UTC)
		due := s.Next(from)
		if due.IsZero() {
			return
		}
		if !due.After(from) || !s.Last(due, from).Equal(due) || !s.Last(due.Add(-time.Second), from).IsZero() {
			t.Errorf("%q in %q: after %s comes %s, and the last then is %s", cron, zone, from, due, s.Last(due, from))
		}
		if again, err := schedule.ParseTimes(strings.TrimSuffix(s.String(), " "+s.Zone().String()), s.Zone().String()); err != nil || again.String() != s.String() {
			t.Errorf("%q is not read back: %v", s, err)
		}
	})
}
