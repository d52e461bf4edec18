package evidence

import (
	"cmp"
	"crypto/sha256"
	"fmt"
	"slices"
	"strings"

	"github.com/crosscheck-dev/crosscheck/audit"
)

// shown is how many decisions of one kind a pack repeats for a control outside
// decisions.ndjson and its population, where all are. Reports say so.
const shown = 200

// excerpt is the first decisions of one kind, and how many there are.
type excerpt struct {
	Total int64  `json:"total"`
	Lines []Line `json:"lines"` // at most shown
}

func (e *excerpt) add(l Line) {
	if e.Total++; len(e.Lines) < shown {
		e.Lines = append(e.Lines, l)
	}
}

// tested is what the run shows of one control.
type tested struct {
	control      audit.Control
	requirements []string
	counts       []audit.Count // of this control, by type and origin
	total        audit.Count
	deviations   excerpt // failed, not or not wholly accepted
	accepted     excerpt // failed, with an exception on the whole or a part
	notEvaluated excerpt
	excluded     excerpt
	reasons      map[string]*group // of exclusions
	failed       sums              // digests of the resources that failed
	imports      []module          // what the rule imports of the library
}

// newTested prepares the controls of a run, in order of id.
func newTested(run audit.Run, catalog audit.Catalog) ([]*tested, error) {
	controls, err := catalog.Select(run.Scope)
	if err != nil {
		return nil, err
	}
	out := make([]*tested, 0, len(controls))
	for _, c := range controls {
		t := &tested{control: c, requirements: catalog.Requirements(c.ID), total: audit.Count{Control: c.ID}, reasons: map[string]*group{}, failed: sums{}}
		for _, n := range run.Counts {
			if n.Control != c.ID {
				continue
			}
			t.counts = append(t.counts, n)
			t.total.Listed += n.Listed
			t.total.Pass += n.Pass
			t.total.Fail += n.Fail
			t.total.NotEvaluated += n.NotEvaluated
			t.total.Excluded += n.Excluded
			t.total.Excepted += n.Excepted
			t.total.Gaps = append(t.total.Gaps, n.Gaps...)
		}
		out = append(out, t)
	}
	slices.SortFunc(out, func(x, y *tested) int { return cmp.Compare(x.control.ID, y.control.ID) })
	return out, nil
}

// add takes note of a decision.
func (t *tested) add(l Line) {
	switch l.Outcome {
	case audit.Fail:
		t.failed[sha256.Sum256([]byte(l.Resource))] = struct{}{}
		if len(l.exceptions()) > 0 {
			t.accepted.add(l)
		}
		if !l.excepted() {
			t.deviations.add(l)
		}
	case audit.NotEvaluated:
		t.notEvaluated.add(l)
	case audit.Excluded:
		t.excluded.add(l)
		t.exclude(l)
	}
}

// group is the resources that are excluded for one reason.
type group struct {
	total int64
	lines []Line // at most named
}

// named is how many resources of a group a report names.
const named = 30

// maxReasons keeps a control that makes up reasons from filling a report.
const maxReasons = 40

// exclude groups the exclusions by their reason: each is told once.
func (t *tested) exclude(l Line) {
	var why []string
	for _, r := range l.Reasons {
		why = append(why, r.sentence())
	}
	key := strings.Join(why, "; ")
	g := t.reasons[key]
	switch {
	case g == nil && len(t.reasons) >= maxReasons:
		key = "Other reasons, each with its resource in the population's file"
		if g = t.reasons[key]; g == nil {
			g = &group{}
		}
	case g == nil:
		g = &group{}
	}
	t.reasons[key] = g
	if g.total++; g.total <= named {
		g.lines = append(g.lines, l)
	}
}

// populationFile names the control's population.
func (t *tested) populationFile() string { return "populations/" + fileName(t.control.ID) + ".csv" }

// documentFile names the control's page for programs.
func (t *tested) documentFile() string { return "controls/" + fileName(t.control.ID) + ".json" }

// document is controls/<id>.json.
func (t *tested) document(exceptions []audit.Exception, repairs []audit.Repair) map[string]any {
	counts := t.counts
	if counts == nil {
		counts = []audit.Count{}
	}
	covering := []audit.Exception{}
	for _, e := range exceptions {
		if e.Control == t.control.ID {
			covering = append(covering, e)
		}
	}
	return map[string]any{
		"control": t.control, "rego": t.control.Rego, "procedure": t.procedure(), "requirements": nonNil(t.requirements),
		"population": map[string]any{"counts": counts, "total": t.total, "file": t.populationFile()},
		"failures":   t.deviations.document(), "accepted": t.accepted.document(),
		"not_evaluated": t.notEvaluated.document(), "excluded": t.excluded.document(),
		"exceptions": covering, "repairs": repairs,
	}
}

func (e excerpt) document() map[string]any {
	lines := e.Lines
	if lines == nil {
		lines = []Line{}
	}
	return map[string]any{"total": e.Total, "shown": len(lines), "lines": lines, "all": decisionsFile}
}

// procedure tells in plain English what the automated test did.
func (t *tested) procedure() []string {
	c := t.control
	var types []string
	for _, a := range c.AppliesTo {
		source, typ, _ := strings.Cut(a, "/")
		if typ == "*" {
			typ = "resource of any type"
		}
		types = append(types, typ+" ("+source+")")
	}
	out := []string{
		"Every " + strings.Join(types, ", every ") + " that the sources in scope list was taken as the population; nothing was sampled.",
		"For each, the configuration that the source itself returned was tested: " + sentence(c.Description),
	}
	for _, name := range sortedKeys(c.Parameters) {
		p := c.Parameters[name]
		value, err := audit.Canonical(p.Value)
		if err != nil {
			continue
		}
		out = append(out, fmt.Sprintf("Parameter %s = %s. %s", name, value, sentence(p.Description)))
	}
	if c.Excludes != "" {
		out = append(out, "Left out, each with its reason on record: "+sentence(c.Excludes))
	}
	return append(out,
		"What does not meet the test is a deviation. Where something the test reads could not be read, the resource is not evaluated; it never counts as tested.",
		"The rule as run stands in "+libraryFile+" as "+c.File+t.importing()+"; its text, without its metadata, is printed in annex A. Every result is a row of "+t.populationFile()+".")
}

// importing names what the rule takes from the library.
func (t *tested) importing() string {
	if len(t.imports) == 0 {
		return ", and imports nothing"
	}
	var out []string
	for _, m := range t.imports {
		out = append(out, m.path)
	}
	return " and imports " + strings.Join(out, ", ")
}

// sentence ends a text with a full stop.
func sentence(s string) string {
	s = strings.Join(strings.Fields(s), " ")
	if s == "" || strings.ContainsAny(s[len(s)-1:], ".!?") {
		return s
	}
	return s + "."
}

func nonNil(s []string) []string {
	if s == nil {
		return []string{}
	}
	return s
}

func sortedKeys[V any](m map[string]V) []string {
	keys := make([]string, 0, len(m))
	for k := range m {
		keys = append(keys, k)
	}
	slices.Sort(keys)
	return keys
}
