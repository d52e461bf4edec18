package evidence

import (
	"fmt"
	"maps"
	"slices"
	"strings"

	"github.com/crosscheck-dev/crosscheck/audit"
)

// The four things a report says of a requirement. It never says that one is met.
const (
	noDeviations   = "no deviations noted"
	deviations     = "deviations noted"
	notFullyTested = "not fully tested"
	notTestable    = "not testable here"
)

// result is what the run shows of one requirement.
type result struct {
	requirement audit.Requirement
	word        string
	details     []string // what stands behind the word
	tests       []testOf
}

// testOf is one automated test of a requirement.
type testOf struct {
	evidence audit.Evidence
	tested   *tested // nil: the run's scope leaves it out
}

// resultsOf gives the results of a framework, in its own order.
func resultsOf(f audit.Framework, list []*tested) []result {
	byID := map[string]*tested{}
	for _, t := range list {
		byID[t.control.ID] = t
	}
	out := make([]result, 0, len(f.Requirements))
	for _, req := range f.Requirements {
		r := result{requirement: req}
		for _, e := range req.Evidence {
			r.tests = append(r.tests, testOf{e, byID[e.Control]})
		}
		r.judge()
		r.count()
		out = append(out, r)
	}
	return out
}

// judge finds the word. A gap comes before a deviation: what was not tested may
// hold more of them; the deviations that were noted are told beside.
func (r *result) judge() {
	if len(r.tests) == 0 {
		r.word = notTestable
		return
	}
	var gaps []string
	var failed int64
	for _, t := range r.tests {
		gaps = append(gaps, t.gaps()...)
		if t.tested != nil {
			failed += t.tested.total.Fail
		}
	}
	switch {
	case len(gaps) > 0:
		r.word, r.details = notFullyTested, gaps
	case failed > 0:
		r.word = deviations
	default:
		r.word = noDeviations
	}
}

// count adds how much deviates: decisions, and resources, of which several tests may speak.
func (r *result) count() {
	resources := sums{}
	var failed, accepted int64
	for _, t := range r.tests {
		if t.tested == nil {
			continue
		}
		failed += t.tested.total.Fail
		accepted += t.tested.total.Excepted
		maps.Copy(resources, t.tested.failed)
	}
	if failed == 0 {
		return
	}
	n := int64(len(resources))
	said := fmt.Sprintf("%d failed %s on %d distinct %s", failed, plural(failed, "decision"), n, plural(n, "resource"))
	if accepted > 0 {
		said += fmt.Sprintf(", %d of them accepted risks", accepted)
	}
	if failed > 1 && r.recordedTwice() {
		said += "; one object may appear both in a live source and in Terraform"
	}
	if r.word == notFullyTested {
		said = "deviations noted in what was tested: " + said
	}
	r.details = append([]string{said + "."}, r.details...)
}

// recordedTwice tells whether deviations come both from Terraform and from elsewhere.
func (r *result) recordedTwice() bool {
	var terraform, live bool
	for _, t := range r.tests {
		if t.tested == nil {
			continue
		}
		for _, c := range t.tested.counts {
			terraform = terraform || c.Fail > 0 && audit.SourceOf(c.Origin) == audit.Terraform
			live = live || c.Fail > 0 && audit.SourceOf(c.Origin) != audit.Terraform
		}
	}
	return terraform && live
}

// gaps says why the automated test did not test all that there is.
func (t testOf) gaps() []string {
	id := t.evidence.Control
	if t.tested == nil {
		return []string{id + ": outside the scope of this run"}
	}
	var out []string
	n := t.tested.total
	switch {
	case len(n.Gaps) > 0:
		out = append(out, id+": the population may be incomplete")
	case n.Listed == 0:
		out = append(out, id+": no resource to test was listed")
	case n.Listed == n.Excluded:
		out = append(out, id+": every resource was excluded")
	}
	if n.NotEvaluated > 0 {
		out = append(out, fmt.Sprintf("%s: %d of %d %s not evaluated", id, n.NotEvaluated, n.Listed, plural(n.Listed, "resource")))
	}
	return out
}

// word is what an automated test alone came to, in the words of its requirement.
func (t *tested) word() string {
	r := result{tests: []testOf{{audit.Evidence{Control: t.control.ID}, t}}}
	r.judge()
	return r.word
}

// sums tells in one line how a population came out.
func (t *tested) sums() string {
	n := t.total
	return fmt.Sprintf("population %d = %d no deviation + %d %s (%d accepted) + %d not evaluated + %d excluded",
		n.Listed, n.Pass, n.Fail, plural(n.Fail, "deviation"), n.Excepted, n.NotEvaluated, n.Excluded)
}

func colourOf(word string) colour {
	switch word {
	case deviations:
		return red
	case notFullyTested:
		return amber
	case noDeviations:
		return green
	}
	return muted
}

// warnings are what a reader must know before anything else.
func (a *assembly) warnings() []string {
	run := a.rec.Run
	var out []string
	if run.Simulated {
		out = append(out, "SIMULATED: judged as of "+audit.Stamp(run.AsOf)+", which is not when the data was collected. This is evidence of no period.")
	}
	if run.Status != audit.Complete {
		out = append(out, "INCOMPLETE RUN: at least one origin could not be read at all. What it holds was not tested.")
	}
	if !run.Scope.Whole() {
		out = append(out, "NARROWED SCOPE: this run judged "+scopeText(run.Scope)+" alone.")
	}
	if gaps := populationGapsOf(run); len(gaps) > 0 {
		s := fmt.Sprintf("POPULATION GAPS: %d. ", len(gaps))
		for i, g := range gaps[:min(len(gaps), 4)] {
			if i > 0 {
				s += "; "
			}
			s += gapText(g)
		}
		if len(gaps) > 4 {
			s += fmt.Sprintf("; and %d more, all in %s", len(gaps)-4, gapsFile)
		}
		out = append(out, s+". Requirements that rest on these populations are not fully tested.")
	}
	for _, s := range run.Snapshots {
		for _, t := range s.Types {
			if t.Completeness == audit.Asserted {
				out = append(out, fmt.Sprintf("ASSERTED COMPLETENESS: that all of %s in %s were listed is asserted, not shown, by: %s.", t.Type, s.Origin, strings.TrimRight(t.Basis, ".")))
			}
		}
	}
	return append(out, recordedWarning(run)...)
}

// recordedWarning says how much of the data is a recording.
func recordedWarning(run audit.Run) []string {
	recorded, all := recordedOrigins(run), len(run.Snapshots)
	switch {
	case len(recorded) == 0:
		return nil
	case len(recorded) == all:
		return []string{fmt.Sprintf("RECORDED DATA: all %d of %d origins are recordings, played back and not read live. This is a demonstration and no evidence about a running system.", all, all)}
	}
	names := strings.Join(recorded[:min(len(recorded), 4)], ", ")
	if more := len(recorded) - 4; more > 0 {
		names += fmt.Sprintf(" and %d more, which section 2 names", more)
	}
	return []string{fmt.Sprintf("RECORDED DATA: %d of %d origins are recordings, played back and not read live: %s.", len(recorded), all, names)}
}

func recordedOrigins(run audit.Run) []string {
	var out []string
	for _, s := range run.Snapshots {
		if s.Recorded {
			out = append(out, s.Origin)
		}
	}
	return out
}

// populationGapsOf are the gaps of all populations, those that no collector read included.
func populationGapsOf(run audit.Run) []audit.Gap {
	all := run.Gaps()
	for _, c := range run.Counts {
		all = append(all, c.Gaps...)
	}
	slices.SortFunc(all, compareGaps)
	return slices.Compact(all)
}

func gapText(g audit.Gap) string {
	typ := g.Type
	if typ == audit.AllTypes {
		typ = "all types"
	}
	return fmt.Sprintf("%s in %s (%s)", typ, g.Origin, g.Code.Reason(g.Operation))
}

func scopeText(s audit.Scope) string {
	if s.Whole() {
		return "everything in scope of the configuration"
	}
	var out []string
	for _, p := range []struct {
		name string
		list []string
	}{{"automated tests", s.Controls}, {"frameworks", s.Frameworks}, {"origins", s.Origins}, {"resources", s.Resources}} {
		switch {
		case len(p.list) > 6:
			out = append(out, fmt.Sprintf("%d %s", len(p.list), p.name))
		case len(p.list) > 0:
			out = append(out, p.name+" "+strings.Join(p.list, ", "))
		}
	}
	if s.Severity != "" {
		out = append(out, "severity "+string(s.Severity)+" and worse")
	}
	return strings.Join(out, "; ")
}

func plural(n int64, word string) string {
	if n == 1 {
		return word
	}
	return word + "s"
}
