package evidence

import (
	"cmp"
	"context"
	"fmt"
	"io"
	"slices"
	"strconv"
	"strings"

	"github.com/crosscheck-dev/crosscheck/audit"
)

// report is one framework's PDF.
type report struct {
	*layout
	a         *assembly
	framework audit.Framework
	results   []result
	tests     []*tested // those that the framework uses
}

// reports writes a PDF for each framework in scope.
func (a *assembly) reports(ctx context.Context) error {
	only := a.rec.Run.Scope.Frameworks
	for _, f := range a.rec.Catalog.Frameworks {
		if err := ctx.Err(); err != nil {
			return err
		}
		if len(only) > 0 && !slices.Contains(only, f.ID) && !slices.Contains(only, f.Report) {
			continue
		}
		path := "report/" + fileName(f.Report) + ".pdf"
		_, err := a.out.copy(path, pdfType, func(w io.Writer) error { return a.report(f, w) })
		if err != nil {
			return err
		}
	}
	return nil
}

// report lays the PDF out twice: only then the contents know the pages.
func (a *assembly) report(f audit.Framework, w io.Writer) error {
	total, before := 0, map[string]int{}
	for {
		l, err := newLayout(a.rec.Run.AsOf)
		if err != nil {
			return err
		}
		l.total, l.before = total, before
		r := &report{layout: l, a: a, framework: f, results: resultsOf(f, a.tested)}
		r.tests = r.used()
		r.describe()
		r.write()
		if err := l.pdf.Error(); err != nil {
			return err
		}
		if total == l.pdf.PageNo() {
			return l.pdf.Output(w)
		}
		total, before = l.pdf.PageNo(), l.marks
	}
}

// used are the tests of the framework, in order of id.
func (r *report) used() []*tested {
	in := map[string]bool{}
	for _, res := range r.results {
		for _, t := range res.tests {
			in[t.evidence.Control] = true
		}
	}
	var out []*tested
	for _, t := range r.a.tested {
		if in[t.control.ID] {
			out = append(out, t)
		}
	}
	return out
}

// describe fills what every page repeats.
func (r *report) describe() {
	run := r.a.rec.Run
	r.left = oneLine(run.Entity) + "  ·  " + oneLine(run.System)
	r.right = r.framework.Title + "  ·  as of " + audit.Stamp(run.AsOf)
	r.foot = [2]string{"pack " + r.a.id, "decisions sha256 " + r.a.decisions[:16] + "  run " + run.ID[:16]}
	switch {
	case run.Simulated:
		r.strip = "SIMULATED: judged as of " + audit.Stamp(run.AsOf) + ". Evidence of no period."
	case run.Status != audit.Complete:
		r.strip = "INCOMPLETE RUN: part of what is in scope could not be read."
	}
	by := r.fonts.legible("crosscheck "+r.a.cfg.ToolVersion, plain)
	r.pdf.SetTitle(r.fonts.legible(r.framework.Title+": results of automated tests", plain), true)
	r.pdf.SetAuthor(by, true)
	r.pdf.SetCreator(by, true)
	r.pdf.SetSubject(r.fonts.legible(oneLine(run.Entity)+", "+oneLine(run.System), plain), true)
	r.pdf.SetKeywords("pack "+r.a.id, true)
}

func (r *report) write() {
	r.cover()
	r.contents()
	r.completeness()
	r.matrix()
	r.newPage()
	r.section("4  Automated tests", 0)
	r.paragraph("One section for each automated test that this framework uses. Tables repeat at most " + strconv.Itoa(shown) +
		" resources of a kind and say so; every decision is a row of the test's population file. Of decision ids the first 16 digits are given; " + decisionsFile + " has them whole.")
	for _, t := range r.tests {
		r.room(95)
		r.test(t)
	}
	r.newPage()
	r.exceptions()
	r.limits()
	r.verification()
	r.annex()
}

func (r *report) cover() {
	run := r.a.rec.Run
	r.newPage()
	r.fill(margin, r.y, bodyWidth, 1.2, navy)
	r.y += 7
	r.lines("Results of automated tests", bold, 22, navy, bodyWidth)
	r.y += 1
	r.lines(edition(r.framework), plain, 12.5, ink, bodyWidth)
	r.y += 4
	if w := r.a.warnings(); len(w) > 0 {
		r.box("Read this first", w)
	}
	binary := cmp.Or(run.Provenance.BinarySHA256, "not recorded")
	r.facts([][2]string{
		{"Entity", oneLine(run.Entity)},
		{"System", oneLine(run.System)},
		{"Time", strings.Join(timeOf(run).sentences(), " ") + " A run is one point in time; it is not a period. Times are UTC."},
		{"Scope", scopeText(run.Scope) + fmt.Sprintf(": %d origins, %d automated tests; out of scope: ", len(run.Snapshots), len(r.a.tested)) + outOfScope(r.a.rec)},
		{"Origins", originsText(run)},
		{"Run", run.ID + ", " + string(run.Trigger) + ", " + string(run.Status)},
		{"Pack", r.a.id},
		{"Previous pack", cmp.Or(r.a.previous, "none")},
		{"Tests (library)", "revision " + run.Revision},
		{"Configuration", "digest " + run.ConfigDigest + "; in words in section 2"},
		{"Run by", cmp.Or(run.Provenance.User, "unknown user") + " on " + cmp.Or(run.Provenance.Host, "unknown host") +
			" with crosscheck " + cmp.Or(run.Provenance.Version, "unknown") + ", binary sha256 " + binary},
		{"Signed by", "Ed25519 key with fingerprint " + r.a.signer},
	})
	r.summary()
	r.signOff()
}

// summary counts requirements and decisions.
func (r *report) summary() {
	r.heading("Requirements of " + r.framework.Title)
	count := map[string]int64{}
	for _, res := range r.results {
		count[res.word]++
	}
	var rows [][]cell
	for _, w := range []struct{ word, meaning string }{
		{deviations, "All in the population was tested; at least one resource deviates."},
		{notFullyTested, "Something that the tests need could not be read, was not listed or was out of scope."},
		{noDeviations, "All in the population was tested; no deviation was found."},
		{notTestable, "No automated test gives evidence here. See the manual evidence needed."},
	} {
		rows = append(rows, []cell{strong(w.word, colourOf(w.word)), number(count[w.word]), words(w.meaning)})
	}
	r.table([]column{{title: "Result", width: 42}, {title: "Requirements", width: 24, right: true}, {title: "Meaning", width: bodyWidth - 66}}, rows, "this report")
}

// signOff leaves room for people.
func (r *report) signOff() {
	r.room(46)
	r.lines("Review", bold, 9.5, ink, bodyWidth)
	r.y += 1.5
	const name, role, mark, date = 50.0, 44.0, 54.0, 30.0
	r.tableHeader([]column{{title: "Name", width: name}, {title: "Role", width: role}, {title: "Signature", width: mark}, {title: "Date", width: date}})
	for _, who := range []string{"Prepared by", "Reviewed by"} {
		r.at(margin+cellPad, r.y+1.2, who, plain, 6.5, muted)
		r.y += 11.5
		r.rule(margin, r.y, name+role+mark+date, muted)
	}
	r.y += 2
}

func originsText(run audit.Run) string {
	var out []string
	for _, s := range run.Snapshots {
		out = append(out, s.Origin)
	}
	if len(out) > 8 {
		return fmt.Sprintf("%s and %d more, all in section 2", strings.Join(out[:8], ", "), len(out)-8)
	}
	return cmp.Or(strings.Join(out, ", "), "none")
}

// contents lists the sections with their pages.
func (r *report) contents() {
	r.newPage()
	r.section("1  Contents and how to read this report", 0)
	entries := []string{"2  Population and completeness", "3  Requirements", "4  Automated tests"}
	for _, t := range r.tests {
		entries = append(entries, testTitle(t))
	}
	entries = append(entries, "5  Accepted risks and notices", "6  What this report does not show", "7  How to verify this report", annexTitle)
	for _, e := range entries {
		r.room(6)
		indent := 0.0
		if !strings.Contains(e[:3], "  ") {
			indent = 6
		}
		lines := r.fonts.wrap(r.fonts.legible(e, plain), plain, 9, bodyWidth-20-indent)
		if p := r.before[e]; p > 0 {
			r.atRight(pageWidth-margin, r.y, strconv.Itoa(p), plain, 9, ink)
		}
		r.block(margin+indent, lines, plain, 9, ink)
		r.y += 0.6
	}
	r.y += 3
	r.heading("Words")
	r.facts([][2]string{
		{"Automated test", "One rule, run by a program on every resource of its population. Nothing is sampled."},
		{"Deviation", "A resource that does not meet the rule of an automated test."},
		{"Accepted risk", "A deviation that named people accepted until a date. It stays a deviation."},
		{"Not evaluated", "Something that the test reads of this resource could not be read. It counts neither as tested nor as a deviation."},
		{"Excluded", "A resource to which the test says that it does not apply; the reason is on record."},
		{"Population gap", "Resources may exist that the source did not list. The requirement is not fully tested."},
		{"Strength", "How far the test goes: direct (it tests the requirement itself), partial (a part of it), supporting (it corroborates)."},
	})
}

// edition names the framework as its publisher does: a version that only
// completes what the title says is put into it.
func edition(f audit.Framework) string {
	title, version := oneLine(f.Title), strings.TrimSpace(f.Version)
	year, rest, _ := strings.Cut(version, " ")
	if head, tail, ok := strings.Cut(title, ":"+year); ok && year != "" {
		rest = strings.NewReplacer("with Amendment", "incl. Amd").Replace(rest)
		return strings.TrimSpace(head + ":" + year + " " + rest + strings.Replace(tail, " ", ", ", 1))
	}
	return strings.TrimSuffix(title+", edition "+version, ", edition ")
}

func testTitle(t *tested) string { return t.control.ID + "  " + oneLine(t.control.Title) }
