package configs_test

import (
	"errors"
	"strings"
	"testing"

	"github.com/crosscheck-dev/crosscheck/configs"
)

func TestScheduleErrors(t *testing.T) {
	t.Parallel()
	const s = head + "sources: {demo: true}\nschedules:\n  - "
	tests := map[string]struct{ text, want string }{
		"no name":      {s + "cron: 0 2 * * *\n", "c.yaml:6: schedules[0].name: required"},
		"no cron":      {s + "name: a\n", "c.yaml:6: schedules[0].cron: required"},
		"name":         {s + "{name: a/b, cron: x}\n", "schedules[0].name: expected a name of letters"},
		"twice":        {s + "{name: a, cron: x}\n  - {name: a, cron: x}\n", "c.yaml:7: schedules[1].name: a is the name of schedules[0] too"},
		"zone":         {s + "{name: a, cron: x, time_zone: Berlin}\n", "schedules[0].time_zone: expected a time zone such as Europe/Berlin"},
		"path as zone": {s + "{name: a, cron: x, time_zone: ../x}\n", "schedules[0].time_zone: expected a time zone"},
		"the host's":   {s + "{name: a, cron: x, time_zone: Local}\n", "schedules[0].time_zone: expected a time zone"},
		"no unit":      {s + "{name: a, cron: x, jitter: 10}\n", "schedules[0].jitter: expected a time between 0s and 24h, such as 90s"},
		"too long":     {s + "{name: a, cron: x, within: 800h}\n", "schedules[0].within: expected a time between 1m and 744h"},
		"negative":     {s + "{name: a, cron: x, timeout: -1h}\n", "schedules[0].timeout: expected a time"},
		"missed":       {s + "{name: a, cron: x, missed: later}\n", "schedules[0].missed: expected run or skip"},
		"retries":      {s + "{name: a, cron: x, retries: 1000}\n", "schedules[0].retries: expected a number between 0 and 20"},
		"no control":   {s + "{name: a, cron: x, scope: {controls: []}}\n", "schedules[0].scope.controls: expected at least one"},
		"severity":     {s + "{name: a, cron: x, scope: {severity: worst}}\n", "schedules[0].scope.severity: expected critical or high"},
		"misspelt":     {s + "{name: a, cron: x, timezone: UTC}\n", "schedules[0].timezone: unknown field, did you mean time_zone?"},
		"a mapping":    {head + "sources: {demo: true}\nschedules: {a: b}\n", "c.yaml:5: schedules: expected a list"},
		"grace":        {head + "sources: {demo: true}\ndaemon: {grace: soon}\n", "c.yaml:5: daemon.grace: expected a time"},
		"too many":     {s + strings.Repeat("{name: a, cron: x}\n  - ", 100) + "{name: a, cron: x}\n", "schedules: expected no more than 100"},
	}
	for name, tt := range tests {
		t.Run(name, func(t *testing.T) {
			t.Parallel()
			if _, err := configs.Parse([]byte(tt.text), "c.yaml"); err == nil || !strings.Contains(err.Error(), tt.want) {
				t.Errorf("Parse() = %v, want %q", err, tt.want)
			}
		})
	}
}

// TestWrong: what only others can check is said with its place too.
func TestWrong(t *testing.T) {
	t.Parallel()
	c, err := configs.Parse([]byte(head+"sources: {demo: true}\nschedules:\n  - name: a\n    cron: nonsense\n"), "c.yaml")
	if err != nil {
		t.Fatal(err)
	}
	cause := errors.New("no cron expression")
	for field, want := range map[string]string{
		"cron":  "c.yaml:7: schedules[0].cron: no cron expression",
		"scope": "c.yaml:6: schedules[0].scope: no cron expression",
	} {
		if err := c.Schedules[0].Wrong(field, cause); err.Error() != want || !errors.Is(err, cause) {
			t.Errorf("Wrong(%s) = %v, want %s", field, err, want)
		}
	}
}
