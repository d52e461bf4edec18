package evidence

// matrix shows every requirement with its tests, result and what is left to do. It is never shortened.
func (r *report) matrix() {
	r.newPage()
	r.section("3  Requirements", 0)
	r.paragraph("Each requirement with the automated tests that give evidence of it, one row each. A result is what the tests came to; whether the requirement is met is for the auditor to conclude, with the manual evidence named below it. " +
		"A failed decision is one test on one resource: sums over tests count a resource once for each test that it fails.")
	var untestable [][]cell
	for _, res := range r.results {
		if res.word == notTestable {
			req := res.requirement
			untestable = append(untestable, []cell{strong(req.ID, navy).also(text{req.Title, plain, ink}), words(req.NotEvidenced)})
			continue
		}
		r.requirement(res)
	}
	if len(untestable) > 0 {
		r.heading("Requirements that no automated test can evidence: \"" + notTestable + "\"")
		r.table([]column{{title: "Requirement", width: 76}, {title: "Manual evidence needed", width: bodyWidth - 76}}, untestable, "")
	}
}

// requirement is one block of the matrix.
func (r *report) requirement(res result) {
	const size, result = 9.5, 42.0
	lines := r.fonts.wrap(r.fonts.legible(res.requirement.ID+"  "+oneLine(res.requirement.Title), bold), bold, size, bodyWidth-result)
	height := float64(len(lines))*lineHeight(size) + 2*cellPad
	r.room(height + 45)
	r.fill(margin, r.y, bodyWidth, height, wash)
	r.fill(margin, r.y, 1.2, height, colourOf(res.word))
	r.atRight(pageWidth-margin-cellPad, r.y+cellPad, res.word, bold, size, colourOf(res.word))
	r.y += cellPad
	r.block(margin+3, lines, bold, size, navy)
	r.y += cellPad + 1.2
	for _, d := range res.details {
		r.lines(d, plain, 8.5, ink, bodyWidth)
	}
	r.y += 1.5
	var rows [][]cell
	for _, t := range res.tests {
		rows = append(rows, testRow(t))
	}
	r.table([]column{
		{title: "Automated test", width: 52}, {title: "Strength", width: 20}, {title: "Result", width: 54}, {title: "Why it is evidence", width: bodyWidth - 126},
	}, rows, "")
	r.y -= 1.5
	if res.requirement.NotEvidenced != "" {
		r.lines(res.requirement.ID+", not shown; manual evidence still needed: "+oneLine(res.requirement.NotEvidenced), plain, 8.5, ink, bodyWidth)
	}
	r.y += 5
}

// testRow is one test of a requirement, and how it came out.
func testRow(t testOf) []cell {
	name, result := strong(t.evidence.Control, navy), strong("outside the scope of this run", amber)
	if t.tested != nil {
		name = name.also(text{t.tested.control.Title, plain, ink})
		result = strong(t.tested.word(), colourOf(t.tested.word())).also(text{t.tested.sums(), plain, ink})
	}
	return []cell{name, words(string(t.evidence.Strength)), result, words(t.evidence.Rationale)}
}
