package evidence

import (
	"cmp"
	"fmt"
	"slices"
	"strings"

	"github.com/crosscheck-dev/crosscheck/audit"
)

// scope says in words what the run was to judge: a digest of the configuration does not.
func (r *report) scope() {
	run := r.a.rec.Run
	tests, all := int64(len(r.a.tested)), len(r.a.rec.Catalog.Controls)
	var origins, sources []string
	for _, s := range run.Snapshots {
		origins = append(origins, s.Origin)
	}
	for _, s := range sourcesOf(run) {
		sources = append(sources, fmt.Sprintf("%s %d", s, len(typesOf(run, s))))
	}
	r.heading("Scope")
	r.facts([][2]string{
		{"Origins", fmt.Sprintf("%d: %s", len(origins), orNone(origins))},
		{"Types listed, by source", orNone(sources)},
		{"Automated tests", fmt.Sprintf("%d of the %d in the library: %s", tests, all, orNone(testIDs(r.a.tested)))},
		{"Tests without a source", uncollected(r.a.tested, run)},
		{"Out of scope", outOfScope(r.a.rec)},
	})
	r.note("This is all that the configuration with digest " + run.ConfigDigest + " names. What it does not name is not known to this pack: it cannot be told from what does not exist.")
	r.heading("How it was decided")
	r.facts(methodText(run))
}

// mostRuns are named from which outcomes were taken over; all are in the run's file.
const mostRuns = 12

// methodText says in words what decided, what was decided twice, and what was
// decided in an earlier run.
func methodText(run audit.Run) [][2]string {
	again := "none in this run"
	if run.Refereed > 0 {
		again = fmt.Sprintf("%d %s that OPA's own evaluator made too, from the rules as they are written, and alike. A difference would have ended the run",
			run.Refereed, plural(run.Refereed, "decision"))
	}
	taken := "nothing: every decision was made in this run"
	if len(run.Evaluated) > 0 {
		total, from := int64(0), []string{}
		for i, e := range run.Evaluated {
			if total += e.Resources; i < mostRuns {
				from = append(from, fmt.Sprintf("%d in run %s", e.Resources, e.Run))
			}
		}
		if more := len(run.Evaluated) - mostRuns; more > 0 {
			from = append(from, fmt.Sprintf("the others in %d more, all named in %s", more, runFile))
		}
		taken = fmt.Sprintf("the outcomes of %d %s, which were decided in earlier runs: %s. Their documents, the rules, what these look up and what decides have not changed since, to the byte. "+
			"A part of what can be taken over is decided again all the same, and has to come out alike. Verifying this pack makes all of it again from the snapshots",
			total, plural(total, "resource"), strings.Join(from, "; "))
	}
	return [][2]string{
		{"Decided by", oneLine(cmp.Or(run.Engine, "not recorded"))},
		{"Decided twice", again},
		{"Taken over", taken},
	}
}

func orNone(list []string) string {
	if len(list) == 0 {
		return "none"
	}
	return strings.Join(list, ", ")
}

func testIDs(list []*tested) []string {
	var out []string
	for _, t := range list {
		out = append(out, t.control.ID)
	}
	return out
}

// sourcesOf are the sources that were collected, sorted.
func sourcesOf(run audit.Run) []string {
	var out []string
	for _, s := range run.Snapshots {
		out = append(out, audit.SourceOf(s.Origin))
	}
	slices.Sort(out)
	return slices.Compact(out)
}

// typesOf are the types that were looked for in a source, sorted.
func typesOf(run audit.Run, source string) []string {
	var out []string
	for _, s := range run.Snapshots {
		if audit.SourceOf(s.Origin) == source {
			for _, t := range s.Types {
				out = append(out, t.Type)
			}
		}
	}
	slices.Sort(out)
	return slices.Compact(out)
}

// uncollected names the tests that apply to sources which nothing was collected of.
func uncollected(list []*tested, run audit.Run) string {
	have := sourcesOf(run)
	var out []string
	for _, t := range list {
		var missing []string
		for _, a := range t.control.AppliesTo {
			if s := audit.SourceOf(a); !slices.Contains(have, s) && !slices.Contains(missing, s) {
				missing = append(missing, s)
			}
		}
		if len(missing) > 0 {
			out = append(out, t.control.ID+" ("+strings.Join(missing, ", ")+")")
		}
	}
	if len(out) == 0 {
		return "none: every source that a test applies to was collected"
	}
	return "not collected, and so not tested there: " + strings.Join(out, ", ")
}

// outOfScope names what the run's own scope leaves out.
func outOfScope(rec audit.Record) string {
	s := rec.Run.Scope
	if s.Whole() {
		return "none"
	}
	out := []string{"all but " + scopeText(s)}
	in, err := rec.Catalog.Select(s)
	if err == nil && len(in) < len(rec.Catalog.Controls) {
		var left []string
		for _, c := range rec.Catalog.Controls {
			if !slices.ContainsFunc(in, func(i audit.Control) bool { return i.ID == c.ID }) {
				left = append(left, c.ID)
			}
		}
		out = append(out, "automated tests left out: "+strings.Join(left, ", "))
	}
	var left []string
	for _, snap := range rec.Run.Snapshots {
		if len(s.Origins) > 0 && !slices.Contains(s.Origins, snap.Origin) {
			left = append(left, snap.Origin)
		}
	}
	if len(left) > 0 {
		out = append(out, "origins read for look-ups alone: "+strings.Join(left, ", "))
	}
	return strings.Join(out, "; ")
}
