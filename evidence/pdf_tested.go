package evidence

import (
	"fmt"
	"strings"
)

// test is the section of one automated test.
func (r *report) test(t *tested) {
	c := t.control
	r.section(testTitle(t), 1)
	var of []string
	for _, res := range r.results {
		for _, e := range res.tests {
			if e.evidence.Control == c.ID {
				of = append(of, res.requirement.ID+" ("+string(e.evidence.Strength)+")")
			}
		}
	}
	r.at(margin, r.y, "Result", plain, 9, muted)
	r.at(margin+factLabel, r.y, t.word(), bold, 9, colourOf(t.word()))
	r.y += lineHeight(9) + 0.9
	r.facts([][2]string{
		{"Severity", string(c.Severity)},
		{"Evidence for", strings.Join(of, ", ")},
		{"Why it matters", oneLine(c.Why)},
		{"Version", "control digest " + c.Digest},
	})
	r.heading("Test procedure")
	r.list(t.procedure(), numbered)
	r.population(t)
	r.deviations(t)
	r.accepted(t)
	r.repairs(t)
	r.reasons("Not evaluated", t.notEvaluated, t.populationFile())
	r.exclusions(t)
}

// population shows how the decisions came out, by origin and type.
func (r *report) population(t *tested) {
	r.heading("Population")
	var rows [][]cell
	for _, n := range append(t.counts[:len(t.counts):len(t.counts)], t.total) {
		where := words(n.Type).also(text{n.Origin, plain, muted})
		if n.Type == "" {
			where = strong("Total", ink)
		}
		gaps := words("")
		if len(n.Gaps) > 0 {
			gaps = strong(fmt.Sprint(len(n.Gaps)), red)
		}
		rows = append(rows, []cell{where, number(n.Listed), number(n.Pass), number(n.Fail), number(n.Excepted), number(n.NotEvaluated), number(n.Excluded), gaps})
	}
	r.table([]column{
		{title: "Type and origin", width: bodyWidth - 7*17},
		{title: "Listed", width: 17, right: true},
		{title: "No deviation", width: 17, right: true},
		{title: "Deviation", width: 17, right: true},
		{title: "of these accepted", width: 17, right: true},
		{title: "Not evaluated", width: 17, right: true},
		{title: "Excluded", width: 17, right: true},
		{title: "Population gaps", width: 17, right: true},
	}, rows, runFile)
	for _, g := range t.total.Gaps {
		r.lines("Population gap: "+gapText(g), plain, 8.5, red, bodyWidth)
	}
	r.note(fmt.Sprintf("Listed = no deviation + deviation + not evaluated + excluded. Every one is a row of %s", t.populationFile()))
}

func deviationColumns() []column {
	return []column{
		{title: "Resource and deviation", width: 68},
		{title: "Owner", width: 21},
		{title: "Observed", width: 34},
		{title: "Expected", width: 30},
		{title: "Decision id begins", width: bodyWidth - 153},
	}
}

func (r *report) deviations(t *tested) {
	r.heading("Deviations")
	if t.deviations.Total == 0 {
		switch {
		case t.total.Fail > 0:
			r.paragraph("None beside the accepted risks below.")
		case t.total.Pass == 0:
			r.paragraph("Nothing was tested: no resource could be judged.")
		default:
			r.paragraph("No deviations noted in what was tested.")
		}
		return
	}
	r.table(deviationColumns(), deviationRows(t.deviations, false), decisionsFile)
	r.rowCount(t.deviations, t.populationFile())
}

func (r *report) accepted(t *tested) {
	if t.accepted.Total == 0 {
		return
	}
	r.heading("Accepted risks")
	r.note("Deviations that an exception covers, wholly or in part. Who accepted them, why and until when stands in section 5.")
	r.table(deviationColumns(), deviationRows(t.accepted, true), decisionsFile)
	r.rowCount(t.accepted, t.populationFile())
}

// deviationRows has a row for each violation.
func deviationRows(e excerpt, accepted bool) [][]cell {
	var rows [][]cell
	for _, l := range e.Lines {
		for _, v := range l.Violations {
			name := resourceCell(l, bold).also(text{v.Message, plain, ink})
			if v.Path != "" {
				name = name.also(text{"at " + v.Path, plain, muted})
			}
			if x := strings.TrimSpace(l.Exception + " " + v.Exception); accepted && x != "" {
				name = name.also(text{"accepted by " + x, bold, amber})
			}
			rows = append(rows, []cell{name, words(l.Owner), code(string(v.Observed)), code(string(v.Expected)), shortID(l)})
		}
	}
	return rows
}

// resourceCell names a resource as people do, where its id does not.
func resourceCell(l Line, f face) cell {
	c := cell{{l.Resource, f, ink}}
	if l.Name != "" && !strings.HasSuffix(l.Resource, l.Name) {
		c = c.also(text{"named " + l.Name, plain, ink})
	}
	return c
}

func (r *report) reasons(title string, e excerpt, file string) {
	if e.Total == 0 {
		return
	}
	r.heading(title)
	var rows [][]cell
	for _, l := range e.Lines {
		var why cell
		for _, reason := range l.Reasons {
			why = why.also(text{reason.sentence(), plain, ink})
		}
		rows = append(rows, []cell{resourceCell(l, plain), words(l.Owner), why, shortID(l)})
	}
	r.table([]column{{title: "Resource", width: 68}, {title: "Owner", width: 22}, {title: "Reason", width: 63}, {title: "Decision id begins", width: bodyWidth - 153}}, rows, decisionsFile)
	r.rowCount(e, file)
}

// exclusions tells each reason once, and which resources it holds for.
func (r *report) exclusions(t *tested) {
	if t.excluded.Total == 0 {
		return
	}
	r.heading("Excluded from the population")
	for _, why := range sortedKeys(t.reasons) {
		g := t.reasons[why]
		r.room(48) // the reason stands with the names
		r.paragraph(fmt.Sprintf("%d %s: %s", g.total, plural(g.total, "resource"), sentence(why)))
		if g.total > named {
			r.note(fmt.Sprintf("Their names, with decision ids, are the rows of %s whose outcome is excluded.", t.populationFile()))
			continue
		}
		var rows [][]cell
		half := (len(g.lines) + 1) / 2
		for i := range half {
			row := []cell{resourceCell(g.lines[i], plain), nil}
			if half+i < len(g.lines) {
				row[1] = resourceCell(g.lines[half+i], plain)
			}
			rows = append(rows, row)
		}
		r.table([]column{{title: "Resources", width: bodyWidth / 2}, {title: "", width: bodyWidth / 2}}, rows, t.populationFile())
	}
}

// rowCount says how many rows there are, and where all are.
func (r *report) rowCount(e excerpt, file string) {
	violations := int64(0)
	for _, l := range e.Lines {
		violations += int64(len(l.Violations))
	}
	if int64(len(e.Lines)) == e.Total {
		said := fmt.Sprintf("%d %s", e.Total, plural(e.Total, "resource"))
		if violations > 0 {
			said += fmt.Sprintf(", %d %s", violations, plural(violations, "deviation"))
		}
		r.note(said + ". Shown here in full; also in " + file + ", with whole decision ids.")
		return
	}
	r.lines(fmt.Sprintf("%d of %d resources are shown. All are in %s and %s.", len(e.Lines), e.Total, file, decisionsFile), bold, 8, amber, bodyWidth)
	r.y += 2
}

// shortID is as much of a decision's id as stands on one line and finds it.
func shortID(l Line) cell { return code(l.ID[:min(len(l.ID), 16)]) }
