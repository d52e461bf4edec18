package configs

import (
	"fmt"
	"slices"
	"strings"
	"time"

	"go.yaml.in/yaml/v3"
)

// Schedule is one audit that the daemon runs by itself. Of fields that are zero
// the default is that of whoever schedules.
type Schedule struct {
	Name       string
	Cron       string
	TimeZone   string // IANA name; default UTC
	Controls   []string
	Frameworks []string
	Severity   string
	Origins    []string
	Jitter     time.Duration
	Skip       bool // what was missed is not run
	Within     time.Duration
	Timeout    time.Duration
	Retries    int
	Backoff    time.Duration
	Full       bool

	places places
}

// Daemon says how the daemon behaves.
type Daemon struct {
	Grace time.Duration // what a run gets to end when the daemon is stopped, default 5 minutes
}

// places are the lines of fields, for what only others can check.
type places struct {
	file, field string
	lines       map[string]int
}

// Wrong says of a field of the schedule what is wrong with it.
func (s Schedule) Wrong(field string, cause error) error {
	if s.places.file == "" {
		return fmt.Errorf("schedule %s: %s: %w", s.Name, field, cause)
	}
	line, ok := s.places.lines[field]
	if !ok {
		line = s.places.lines[""]
	}
	return &Error{File: s.places.file, Line: line, Field: join(s.places.field, field), Message: cause.Error(), cause: cause}
}

// The bounds of schedules.
const (
	maxSchedules = 100
	maxRetries   = 20
	longest      = 31 * 24 * time.Hour
)

func (d *decoder) schedules(into *[]Schedule) read {
	return func(n *yaml.Node, field string) {
		d.list(func(n *yaml.Node, f string) { *into = append(*into, d.schedule(n, f)) })(n, field)
		if len(*into) > maxSchedules {
			d.fail(n, field, "expected no more than %d", maxSchedules)
			return
		}
		for i, s := range *into {
			if first := slices.IndexFunc((*into)[:i], func(o Schedule) bool { return o.Name == s.Name }); first >= 0 && s.Name != "" {
				d.fail(n.Content[i], fmt.Sprintf("%s[%d].name", field, i), "%s is the name of %s[%d] too", s.Name, field, first)
			}
		}
	}
}

func (d *decoder) schedule(n *yaml.Node, field string) (s Schedule) {
	s.Retries = 2
	var missed string
	d.object(n, field, map[string]read{
		"name": d.name(&s.Name), "cron": d.text(&s.Cron), "time_zone": d.zone(&s.TimeZone), "scope": d.scope(&s),
		"jitter": d.duration(&s.Jitter, 0, 24*time.Hour), "missed": d.oneOf(&missed, "run", "skip"),
		"within": d.duration(&s.Within, time.Minute, longest), "timeout": d.duration(&s.Timeout, time.Second, longest),
		"retries": d.count(&s.Retries, maxRetries), "backoff": d.duration(&s.Backoff, time.Second, 24*time.Hour), "full": d.flag(&s.Full),
	})
	for _, required := range []string{"name", "cron"} {
		if n.Kind == yaml.MappingNode && !slices.ContainsFunc(n.Content, func(c *yaml.Node) bool { return c.Value == required }) {
			d.fail(n, join(field, required), "required")
		}
	}
	s.Skip = missed == "skip"
	s.places = places{d.file, field, map[string]int{"": max(n.Line, 1)}}
	for i := 0; n.Kind == yaml.MappingNode && i+1 < len(n.Content); i += 2 {
		s.places.lines[n.Content[i].Value] = n.Content[i].Line
	}
	return s
}

func (d *decoder) scope(s *Schedule) read {
	words := func(into *[]string) read {
		return d.list(func(n *yaml.Node, f string) {
			var w string
			d.text(&w)(n, f)
			*into = append(*into, w)
		})
	}
	return func(n *yaml.Node, field string) {
		d.object(n, field, map[string]read{
			"controls": words(&s.Controls), "frameworks": words(&s.Frameworks), "origins": words(&s.Origins),
			"severity": d.oneOf(&s.Severity, "critical", "high", "medium", "low"),
		})
		for _, key := range []string{"controls", "frameworks", "origins"} {
			d.some(n, field, key)
		}
		for _, list := range []*[]string{&s.Controls, &s.Frameworks, &s.Origins} {
			slices.Sort(*list)
			*list = slices.Compact(*list)
		}
	}
}

func (d *decoder) zone(into *string) read {
	return func(n *yaml.Node, field string) {
		_, err := time.LoadLocation(n.Value)
		if n.Kind != yaml.ScalarNode || n.Value == "" || n.Value == "Local" || err != nil {
			d.fail(n, field, "expected a time zone such as Europe/Berlin")
			return
		}
		*into = n.Value
	}
}

// duration reads a length of time within bounds.
func (d *decoder) duration(into *time.Duration, least, most time.Duration) read {
	return func(n *yaml.Node, field string) {
		got, err := time.ParseDuration(n.Value)
		if n.Kind != yaml.ScalarNode || err != nil || got < least || got > most {
			d.fail(n, field, "expected a time between %s and %s, such as 90s, 15m or 6h", brief(least), brief(most))
			return
		}
		*into = got
	}
}

// brief leaves the zeros out at the end of a duration.
func brief(d time.Duration) string {
	s := d.String()
	if strings.HasSuffix(s, "m0s") {
		s = strings.TrimSuffix(s, "0s")
	}
	if strings.HasSuffix(s, "h0m") {
		s = strings.TrimSuffix(s, "0m")
	}
	return s
}

func (d *decoder) count(into *int, most int) read {
	return func(n *yaml.Node, field string) {
		var got int
		if n.Kind != yaml.ScalarNode || n.ShortTag() != "!!int" || n.Decode(&got) != nil || got < 0 || got > most {
			d.fail(n, field, "expected a number between 0 and %d", most)
			return
		}
		*into = got
	}
}

func (d *decoder) daemon(into *Daemon) read {
	return func(n *yaml.Node, field string) {
		d.object(n, field, map[string]read{"grace": d.duration(&into.Grace, 0, 24*time.Hour)})
	}
}
