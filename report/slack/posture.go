package slack

import (
	"fmt"
	"strings"

	"github.com/crosscheck-dev/crosscheck/audit"
)

var bySeverity = []audit.Severity{"critical", "high", "medium", "low"}

// posture is how the decisions of a run came out.
type posture struct {
	pass, fail, accepted, unsure, excluded int64
	by                                     [5]int64 // failed, by severity's rank; the last are of none that we know
	partial                                map[string]bool
}

func (t *tally) posture(run audit.Run) posture {
	p := posture{partial: map[string]bool{}}
	for _, c := range run.Counts {
		p.pass += c.Pass
		p.fail += c.Fail - c.Excepted
		p.accepted += c.Excepted
		p.unsure += c.NotEvaluated
		p.excluded += c.Excluded
		p.by[t.controls[c.Control].Severity.Rank()] += c.Fail - c.Excepted
		if len(c.Gaps) > 0 {
			p.partial[c.Control] = true
		}
	}
	return p
}

// permille is the share that passes of what the controls apply to: what could
// not be evaluated does not pass. It is rounded down, so that all is said of all alone.
func (p posture) permille() (int64, bool) {
	of := p.pass + p.fail + p.accepted + p.unsure
	if of == 0 {
		return 0, false
	}
	return 1000 * p.pass / of, true
}

// outcomes is the posture in two lines.
func (t *tally) outcomes() string {
	now := t.posture(t.rec.Run)
	share, ok := now.permille()
	if !ok {
		return "*Nothing was judged*: no resource that a control applies to."
	}
	var was posture
	if t.before != nil {
		was = t.posture(*t.before)
	}
	change := func(now, was int64) string {
		if t.before == nil || now == was {
			return ""
		}
		return " (" + signed(now-was) + ")"
	}
	points := ""
	if old, ok := was.permille(); ok && old != share {
		points = fmt.Sprintf(" (%s points)", tenths(share-old, true))
	}
	list := []string{number(now.pass) + " pass" + change(now.pass, was.pass), number(now.fail) + " fail" + change(now.fail, was.fail)}
	if now.accepted+was.accepted > 0 {
		list = append(list, number(now.accepted)+" accepted by exception"+change(now.accepted, was.accepted))
	}
	list = append(list, number(now.unsure)+" not evaluated"+change(now.unsure, was.unsure))
	if now.excluded > 0 {
		list = append(list, number(now.excluded)+" do not apply")
	}
	lines := []string{fmt.Sprintf("*%s %% pass*%s", tenths(share, false), points) + "  ·  " + strings.Join(list, "  ·  ")}
	var failing []string
	for i, s := range append(bySeverity[:len(bySeverity):len(bySeverity)], "of no known severity") {
		if now.by[i]+was.by[i] > 0 {
			failing = append(failing, fmt.Sprintf("%s %s%s", number(now.by[i]), s, change(now.by[i], was.by[i])))
		}
	}
	if len(failing) > 0 {
		lines = append(lines, "Failing: "+strings.Join(failing, ", "))
	}
	if n := len(now.partial); n > 0 {
		lines = append(lines, fmt.Sprintf("Of %s not everything could be listed: what is missing was not judged.", count(int64(n), "control", "controls")))
	}
	return strings.Join(lines, "\n") + t.compared()
}

// compared says with what the posture is compared.
func (t *tally) compared() string {
	switch {
	case t.before == nil && t.rec.Run.Previous == "" && t.history:
		return "\nNo complete run is on record before this one."
	case t.before == nil:
		return ""
	}
	text := "\nChanges are since run " + code(short(t.before.ID)) + " as of " + audit.Stamp(t.before.AsOf)
	if t.before.Revision != t.rec.Run.Revision {
		text += ", which was judged by another revision of the library"
	}
	return text + "."
}

// moves is what changed, in one line.
func (t *tally) moves() string {
	if !t.history {
		return ""
	}
	list := []string{"*" + number(t.fresh.n) + " new*", "*" + number(t.fixed.n) + " fixed*"}
	if t.ended.n > 0 {
		list = append(list, number(t.ended.n)+" ended otherwise")
	}
	list = append(list, number(t.open.n)+" still open", number(t.unsure.n)+" not evaluated")
	if t.doubtful > 0 {
		list[len(list)-1] += " (" + number(t.doubtful) + " of them new)"
	}
	if t.lost > 0 {
		list = append(list, number(t.lost)+" open, and could not be seen")
	}
	return strings.Join(list, "  ·  ")
}

// warnings say first what must not be overlooked.
func (t *tally) warnings() []string {
	run := t.rec.Run
	var out []string
	if run.Status != audit.Complete {
		unread := map[string]bool{}
		var names []string
		for _, g := range run.Gaps() {
			if g.Type == audit.AllTypes && g.Code != audit.Stale && !unread[g.Origin] {
				unread[g.Origin] = true
				names = append(names, code(clip(g.Origin, 40))+" ("+plain(string(g.Code))+")")
			}
		}
		text := fmt.Sprintf(":warning: *%s*: %d of %s could not be read. What they hold was not judged: that nothing fails there says nothing.",
			plain(strings.ToUpper(string(run.Status))), len(unread), count(int64(len(run.Snapshots)), "origin", "origins"))
		rest := 0
		if len(names) > 6 {
			names, rest = names[:6], len(names)-6
		}
		if len(names) > 0 {
			text += "\n" + strings.Join(names, ", ")
		}
		if rest > 0 {
			text += fmt.Sprintf(" and %d more", rest)
		}
		out = append(out, text)
	}
	if run.Simulated {
		out = append(out, ":test_tube: *SIMULATED*: judged as of "+audit.Stamp(run.AsOf)+", which is not when the data was collected. It is no evidence of any period.")
	}
	if !run.Scope.Whole() {
		out = append(out, "*"+partOnly+"* was judged. "+notCounted)
	}
	return out
}

func signed(n int64) string {
	if n > 0 {
		return "+" + number(n)
	}
	return number(n)
}

// tenths renders thousandths as a percentage.
func tenths(n int64, sign bool) string {
	prefix := ""
	switch {
	case n < 0:
		prefix, n = "−", -n
	case sign:
		prefix = "+"
	}
	return fmt.Sprintf("%s%d.%d", prefix, n/10, n%10)
}
