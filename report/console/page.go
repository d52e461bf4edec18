package console

import (
	"bufio"
	"fmt"
	"slices"
	"strconv"
	"strings"
	"unicode/utf8"

	"github.com/crosscheck-dev/crosscheck/audit"
)

const (
	maxRows    = 20  // of gaps and notices
	maxMessage = 300 // runes of one violation's message
)

// page writes a summary for a person. Writing errors surface in the writer's Flush.
type page struct {
	w       *bufio.Writer
	color   bool
	command string
}

func (p *page) summary(s summary, worst []violation) {
	for _, text := range s.warnings() {
		p.line(p.paint("1;31", strings.Repeat("!", 4)+" "+printable(text)))
	}
	p.head(s)
	p.sources(s)
	p.controls(s)
	p.violations(s, worst)
	p.gaps(s.run)
	p.notices(s.run)
	for _, text := range s.warnings() {
		p.line("")
		p.line(p.paint("1;31", printable(text)))
	}
}

func (p *page) head(s summary) {
	run := s.run
	rows := [][]string{
		{"run", run.ID},
		{"status", string(run.Status)},
		{"as of", audit.Stamp(run.AsOf)},
		{"trigger", string(run.Trigger)},
		{"scope", scopeText(run.Scope)},
		{"library", run.Revision},
	}
	if run.Engine != "" {
		rows = append(rows, []string{"engine", fmt.Sprintf("%s; %d decisions made by OPA's own evaluator too, and alike", run.Engine, run.Refereed)})
	}
	for _, e := range run.Evaluated {
		rows = append(rows, []string{"taken over", fmt.Sprintf("%d resources on which nothing has changed, as evaluated in run %s", e.Resources, e.Run)})
	}
	if run.Simulated {
		rows[1][1] += ", simulated"
	}
	if who := strings.Trim(run.Entity+" · "+run.System, " ·"); who != "" {
		rows = slices.Insert(rows, 1, []string{"audited", who})
	}
	p.table(rows, nil)
}

func (p *page) sources(s summary) {
	rows := [][]string{{"ORIGIN", "RESOURCES", "GAPS", "COLLECTED", "READ AS"}}
	for _, snap := range s.run.Snapshots {
		when := audit.Stamp(snap.Ended)
		if snap.Recorded {
			when += " (recorded)"
		}
		if f := snap.Fresh; f != nil {
			when += "; in part " + audit.Stamp(f.Ended)
		}
		rows = append(rows, []string{snap.Origin, number(snap.Resources), count(len(snap.Gaps)), when, snap.Identity})
	}
	if len(rows) > 1 {
		p.line("")
		p.table(rows, nil)
	}
}

func (p *page) controls(s summary) {
	rows := [][]string{{"SEVERITY", "CONTROL", "FAILED", "EXCEPTED", "NOT EVALUATED", "PASSED", "EXCLUDED", "GAPS", "TITLE"}}
	for _, c := range s.controls {
		rows = append(rows, append([]string{string(c.Severity), c.ID}, append(c.cells(), count(len(c.Gaps)), c.Title)...))
	}
	rows = append(rows, append([]string{"", "all"}, append(s.total.cells(), count(len(s.run.Gaps())), "")...))
	p.line("")
	p.table(rows, func(row, column int, cell string) string {
		switch {
		case row == 0 || row == len(rows)-1:
			return p.paint("1", cell)
		case column == 0:
			return p.paint(colorOf(audit.Severity(rows[row][0])), cell)
		case column == 2 && rows[row][2] != "·":
			return p.paint("31", cell)
		case column == 4 && rows[row][4] != "·" || column == 7 && rows[row][7] != "·":
			return p.paint("33", cell)
		}
		return cell
	})
}

func (t totals) cells() []string {
	return []string{number(t.Failed), number(t.Excepted), number(t.NotEvaluated), number(t.Passed), number(t.Excluded)}
}

func (p *page) violations(s summary, worst []violation) {
	if s.total.Failed == 0 {
		return
	}
	p.line("")
	p.line(p.paint("1", fmt.Sprintf("Violations, worst first (%d of %d decisions that failed and are not excepted)", len(worst), s.total.Failed)))
	for _, v := range worst {
		head := fmt.Sprintf("%s %s %s", p.paint(colorOf(v.Severity), pad(printable(string(v.Severity)), 8)), printable(v.Control), printable(v.Resource))
		if v.Name != "" && !strings.Contains(v.Resource, v.Name) { // a generated id says little to a person
			head += fmt.Sprintf("  %q", v.Name)
		}
		if v.Owner != "" {
			head += "  owner " + printable(v.Owner)
		}
		p.line(head)
		for i, one := range v.Violations {
			if i == 3 {
				p.line(fmt.Sprintf("         … and %d more", len(v.Violations)-i))
				break
			}
			p.line("         " + shortened(one.Message))
		}
		p.line("         " + p.command + " decisions show " + printable(v.ID[:min(12, len(v.ID))]))
	}
	if rest := s.total.Failed - int64(len(worst)); rest > 0 {
		p.line(fmt.Sprintf("Not shown: %d. All of them: %s decisions list --run %s", rest, p.command, printable(s.run.ID)))
	}
}

func (p *page) gaps(run audit.Run) {
	gaps := run.Gaps()
	if len(gaps) == 0 {
		return
	}
	p.line("")
	p.line(p.paint("1", "Not read: resources may be missing here"))
	var rows [][]string
	for i, g := range gaps {
		if i == maxRows {
			break
		}
		typ := g.Type
		if typ == audit.AllTypes {
			typ = "everything"
		}
		rows = append(rows, []string{g.Origin, typ, string(g.Code), g.Operation})
	}
	p.table(rows, nil)
	p.rest(len(gaps)-len(rows), "gaps", "audit -o json")
}

func (p *page) notices(run audit.Run) {
	if len(run.Notices) == 0 {
		return
	}
	p.line("")
	p.line(p.paint("1", "Notices"))
	for i, n := range run.Notices {
		if i == maxRows {
			break
		}
		p.line(fmt.Sprintf("%s %s: %s", printable(n.Code), printable(n.Subject), shortened(n.Message)))
	}
	p.rest(len(run.Notices)-maxRows, "notices", "audit -o json")
}

func (p *page) rest(n int, what, how string) {
	if n > 0 {
		p.line(fmt.Sprintf("Not shown: %d %s. All of them: %s %s, or the evidence pack", n, what, p.command, how))
	}
}

// table aligns columns; numbers stand to the right. paint may colour a padded cell.
func (p *page) table(rows [][]string, paint func(row, column int, cell string) string) {
	var widths []int
	for _, row := range rows {
		for i, cell := range row {
			row[i] = printable(cell)
			if i == len(widths) {
				widths = append(widths, 0)
			}
			widths[i] = max(widths[i], utf8.RuneCountInString(row[i]))
		}
	}
	for r, row := range rows {
		for c, cell := range row {
			switch {
			case numeric(cell):
				cell = strings.Repeat(" ", widths[c]-utf8.RuneCountInString(cell)) + cell
			case c < len(row)-1:
				cell = pad(cell, widths[c])
			}
			if paint != nil {
				cell = paint(r, c, cell)
			}
			if c > 0 && cell != "" {
				_, _ = p.w.WriteString("  ")
			}
			_, _ = p.w.WriteString(cell)
		}
		p.line("")
	}
}

func (p *page) line(text string) { _, _ = p.w.WriteString(text + "\n") }

func (p *page) paint(code, text string) string {
	if !p.color || code == "" || text == "" {
		return text
	}
	return "\x1b[" + code + "m" + text + "\x1b[0m"
}

func colorOf(s audit.Severity) string {
	return map[audit.Severity]string{"critical": "1;31", "high": "31", "medium": "33", "low": "36"}[s]
}

func scopeText(s audit.Scope) string {
	if s.Whole() {
		return "everything"
	}
	var parts []string
	for _, part := range []struct {
		name   string
		values []string
	}{{"controls", s.Controls}, {"frameworks", s.Frameworks}, {"origins", s.Origins}, {"resources", s.Resources}} {
		if len(part.values) > 0 {
			parts = append(parts, part.name+" "+strings.Join(part.values, ", "))
		}
	}
	if s.Severity != "" {
		parts = append(parts, "severity "+string(s.Severity)+" and worse")
	}
	return strings.Join(parts, "; ")
}

// number renders zero as a dot, so that what counts stands out.
func number(n int64) string {
	if n == 0 {
		return "·"
	}
	return strconv.FormatInt(n, 10)
}

func count(n int) string { return number(int64(n)) }

func numeric(s string) bool {
	return s == "·" || s != "" && strings.Trim(s, "0123456789") == "" && len(s) < 19
}

func pad(s string, width int) string {
	return s + strings.Repeat(" ", max(0, width-utf8.RuneCountInString(s)))
}
