package slack

import (
	"cmp"
	"fmt"
	"maps"
	"slices"
	"strings"
	"time"

	"github.com/crosscheck-dev/crosscheck/audit"
)

// part is one list of a run's message.
type part struct {
	heading string
	items   *worst
	command string // lists what is left out
	line    func(item) line
}

// parts are the lists of a run, what is urgent first.
func (s *Sink) parts(t *tally) []part {
	open := s.command("violations list --outcome fail")
	since := s.command("violations list --closed --since " + t.rec.Run.AsOf.UTC().Format("2006-01-02"))
	failing, unsure := "Still open", s.command("violations list --outcome not_evaluated")
	if !t.history {
		failing, open = "Failing", s.command("decisions list --outcome fail --run "+short(t.rec.Run.ID))
		unsure = s.command("decisions list --outcome not_evaluated --run " + short(t.rec.Run.ID))
	}
	return []part{
		{"New", &t.fresh, open, newOf},
		{"Fixed", &t.fixed, since, endOf},
		{"Ended otherwise", &t.ended, since, endOf},
		{failing, &t.open, open, lineOf},
		{"Not evaluated", &t.unsure, unsure, lineOf},
	}
}

// title is what a run's message is called.
func (t *tally) title() string {
	run := t.rec.Run
	name := cmp.Or(run.System, run.Entity, "audit")
	if run.Audit != "" {
		name += " " + run.Audit
	}
	return name
}

// full makes the message of a run, and those in its thread. Without a thread,
// as much as fits is in the message itself.
func (s *Sink) full(t *tally, key string, threaded bool) (message, []message) {
	var m message
	what := fmt.Sprintf("%s new, %s fixed, %s still open", number(t.fresh.n), number(t.fixed.n), number(t.open.n))
	if !t.history {
		what = number(t.open.n) + " fail"
	}
	if !t.rec.Run.Scope.Whole() {
		what = partOnly + ": " + what
	}
	if t.rec.Run.Simulated {
		what = "SIMULATED: " + what
	}
	if t.rec.Run.Status != audit.Complete {
		what = strings.ToUpper(string(t.rec.Run.Status)) + ": " + what
	}
	m.fallback = "crosscheck: " + what
	m.header(what + " · " + t.title())
	for _, w := range t.warnings() {
		m.section(w)
	}
	m.section(t.outcomes())
	if line := t.moves(); line != "" {
		m.section(line)
	}
	if line := s.addressed(t); line != "" {
		m.section(line)
	}
	foot := t.foot(s, key)
	m.held = cost(foot) + 200 + 5*600
	inMain := 5 * s.cfg.Details // all that there is room for
	parts := s.parts(t)
	if threaded {
		inMain = 10
		parts = slices.DeleteFunc(slices.Clone(parts), func(p part) bool { return p.items == &t.fixed || p.items == &t.ended })
	}
	s.write(&m, parts, inMain, threaded)
	m.context(foot)
	if !threaded {
		return m, nil
	}
	return m, s.thread(t, key)
}

// write adds as many lines of parts as are wanted and fit, and says what is left out.
func (s *Sink) write(m *message, parts []part, wanted int, threaded bool) {
	for _, p := range parts {
		if p.items.n == 0 {
			continue
		}
		lines := make([]line, 0, min(wanted, len(p.items.items)))
		for _, i := range p.items.items[:cap(lines)] {
			lines = append(lines, p.line(i))
		}
		n := m.list(fmt.Sprintf("*%s (%s)*", p.heading, number(p.items.n)), lines)
		wanted -= n
		rest := p.items.n - int64(n)
		where := typed(p.command)
		if threaded {
			where = "in the thread"
		}
		switch {
		case rest == 0:
		case n == 0:
			m.section(fmt.Sprintf("*%s (%s)*: %s", p.heading, number(p.items.n), where))
		default:
			m.more(fmt.Sprintf("and %s more: %s", number(rest), where))
		}
	}
}

// thread makes the messages below that of a run: all lists, the worst first.
func (s *Sink) thread(t *tally, key string) (out []message) {
	var m message
	flush := func() {
		if len(m.blocks) > 0 {
			m.fallback = "crosscheck: details"
			m.context(fmt.Sprintf("part %d  ·  key %s", len(out)+1, code(short(key))))
			out = append(out, m)
		}
		m = message{}
	}
	for _, p := range s.parts(t) {
		lines := make([]line, len(p.items.items))
		for i, x := range p.items.items {
			lines[i] = p.line(x)
		}
		heading := fmt.Sprintf("*%s (%s)*", p.heading, number(p.items.n))
		for len(lines) > 0 {
			m.held = 1200
			n := m.list(heading, lines)
			if lines = lines[n:]; len(lines) > 0 {
				flush()
			}
			if n > 0 {
				heading = fmt.Sprintf("*%s, continued*", p.heading)
			}
		}
		if left := p.items.n - int64(len(p.items.items)); left > 0 {
			m.more(fmt.Sprintf("and %s more: %s", number(left), typed(p.command)))
		}
	}
	flush()
	return out
}

// What a run of a part says first, so that nobody takes its counts for the whole.
const (
	partOnly   = "A PART ONLY"
	notCounted = "What else is open is not counted."
)

// calm is the short message of a run that changed nothing.
func (s *Sink) calm(t *tally, key string) message {
	var m message
	p := t.posture(t.rec.Run)
	share, _ := p.permille()
	var open []string
	for i, sev := range bySeverity {
		if p.by[i] > 0 {
			open = append(open, number(p.by[i])+" "+string(sev))
		}
	}
	what, of, note := "nothing new", ":white_check_mark: "+plain(t.title()), ""
	if !t.rec.Run.Scope.Whole() {
		what, of, note = partOnly+": "+what, partOnly+" of "+plain(t.title()), " "+notCounted
	}
	text := fmt.Sprintf("%s: nothing new, nothing fixed. %s %% pass, %s still open", of, tenths(share, false), number(t.open.n))
	if len(open) > 0 {
		text += " (" + strings.Join(open, ", ") + ")"
	}
	if t.unsure.n > 0 {
		text += ", " + number(t.unsure.n) + " not evaluated"
	}
	if t.lost > 0 {
		text += ", " + number(t.lost) + " open that still cannot be seen"
	}
	m.fallback = fmt.Sprintf("crosscheck: %s, %s still open", what, number(t.open.n))
	m.section(text + "." + note)
	m.context(t.foot(s, key))
	return m
}

// foot is the small print: what the message is of, and how to look further.
func (t *tally) foot(s *Sink, key string) string {
	run := t.rec.Run
	list := []string{"run " + code(short(run.ID)), "as of " + audit.Stamp(run.AsOf), plain(string(run.Trigger))}
	if run.Repair != "" {
		list = append(list, "verifies repair "+code(short(run.Repair)))
	}
	return strings.Join(append(list, typed(s.command("decisions show ID")), "key "+code(short(key))), "  ·  ")
}

// addressed names the owners of what is new.
func (s *Sink) addressed(t *tally) string {
	var list []string
	owners := slices.SortedFunc(maps.Keys(t.owners), func(a, b string) int {
		return cmp.Or(cmp.Compare(t.owners[b], t.owners[a]), cmp.Compare(a, b))
	})
	var rest int64
	for i, o := range owners {
		if i >= 20 {
			rest += t.owners[o]
			continue
		}
		list = append(list, fmt.Sprintf("%s %s", mention(s.cfg.Owners[o]), number(t.owners[o])))
	}
	if len(list) == 0 {
		return ""
	}
	if rest += t.unowned; rest > 0 {
		list = append(list, number(rest)+" of others")
	}
	return "New for " + strings.Join(list, ", ")
}

// maxLine bounds a line of a list, so that a few always fit into a section.
const maxLine = 1200

// lineOf is one failed or not evaluated decision.
func lineOf(i item) line {
	return line{groupOf(i), narrowed(func(width int) string {
		text := head(i, width)
		if i.decision != "" {
			text += " · " + code(short(i.decision))
		}
		if i.detail != "" {
			text += "\n        " + plain(clip(tidy(i.detail), 2*width))
		}
		if i.others > 0 {
			text += fmt.Sprintf(" (and %d more in the decision)", i.others)
		}
		return text
	})}
}

// newOf is one that failed in this run: it goes without saying since when.
func newOf(i item) line {
	i.since = time.Time{}
	return lineOf(i)
}

// endOf is one violation that ended.
func endOf(i item) line {
	return line{groupOf(i), narrowed(func(width int) string {
		text := head(i, width)
		if i.how != audit.Fixed {
			text += " · " + plain(strings.ReplaceAll(string(i.how), "_", " "))
		}
		return text
	})}
}

// groupOf is the control that lines are below.
func groupOf(i item) string {
	return fmt.Sprintf("*%s* · *%s* %s", plain(clip(cmp.Or(string(i.severity), "unrated"), 20)), plain(clip(i.control, 20)), plain(clip(tidy(i.title), 80)))
}

// narrowed shortens what is in a line until it is short enough: markup in names
// makes them longer than they look.
func narrowed(line func(width int) string) string {
	for _, width := range []int{maxName, 60, 30} {
		if text := line(width); size(text) <= maxLine {
			return text
		}
	}
	return line(12)
}

func head(i item, width int) string {
	cut := func(s string) string { return clip(tidy(s), width) }
	text := fmt.Sprintf("• %s %s in %s", code(cut(cmp.Or(i.name, i.resource))), plain(cut(i.typ)), code(cut(i.origin)))
	if i.owner != "" {
		text += " · " + code(cut(i.owner))
	}
	if !i.since.IsZero() {
		text += " · since " + i.since.UTC().Format("2006-01-02")
	}
	return text
}
