package evidence

import "fmt"

// column of a table: its title, its width in mm and whether it holds numbers.
type column struct {
	title string
	width float64
	right bool
}

// text is a piece of a cell: it begins on a line of its own.
type text struct {
	text   string
	face   face
	colour colour
}

// cell is what stands in one place of a table.
type cell []text

func words(s string) cell             { return cell{{s, plain, ink}} }
func strong(s string, c colour) cell  { return cell{{s, bold, c}} }
func code(s string) cell              { return cell{{s, mono, ink}} }
func number(n int64) cell             { return cell{{fmt.Sprint(n), plain, ink}} }
func (c cell) also(more ...text) cell { return append(c, more...) }

const (
	cellSize  = 7.5
	monoSize  = 6.3
	cellPad   = 1.4
	cellLines = 36 // the longest a cell gets before it is cut, and says so
)

// table sets rows under a header that every page repeats. A cell that is cut
// says where all of it is; with all empty none is cut. The header stands with
// the first row, and a row that no page holds goes on overleaf.
func (l *layout) table(columns []column, rows [][]cell, all string) {
	for i, row := range rows {
		set := make([][]setLine, len(row))
		for j, c := range row {
			set[j] = l.set(c, columns[j].width-2*cellPad, all)
		}
		if i == 0 {
			l.room(tableHead + min(rowHeight(set), 80))
			l.tableHeader(columns)
		}
		for rowHeight(set) > bodyEnd-l.y {
			if free := bodyEnd - l.y; free > 25 && rowHeight(set) > bodyEnd-bodyTop-2*tableHead {
				var part [][]setLine
				part, set = splitRow(set, free)
				l.row(columns, part)
			}
			l.newPage()
			l.tableHeader(columns)
		}
		l.row(columns, set)
		l.y += rowHeight(set)
		l.rule(margin, l.y, tableWidth(columns), light)
	}
	l.y += 3.5
}

// tableHead is as high as a header gets, in mm.
const tableHead = 13.0

func rowHeight(set [][]setLine) (height float64) {
	for _, lines := range set {
		sum := 2 * cellPad
		for _, s := range lines {
			sum += s.height
		}
		height = max(height, sum)
	}
	return height
}

// splitRow takes from each cell what fits, and gives the rest.
func splitRow(set [][]setLine, height float64) (part, rest [][]setLine) {
	for _, lines := range set {
		n, sum := 0, 2*cellPad
		for n < len(lines) && sum+lines[n].height <= height {
			sum += lines[n].height
			n++
		}
		part, rest = append(part, lines[:n]), append(rest, lines[n:])
	}
	return part, rest
}

func (l *layout) row(columns []column, set [][]setLine) {
	x := margin
	for i, lines := range set {
		y := l.y + cellPad
		for _, s := range lines {
			if columns[i].right {
				l.atRight(x+columns[i].width-cellPad, y, s.text, s.face, s.size, s.colour)
			} else {
				l.at(x+cellPad, y, s.text, s.face, s.size, s.colour)
			}
			y += s.height
		}
		x += columns[i].width
	}
}

func (l *layout) tableHeader(columns []column) {
	const size = 7.0
	deepest := 1
	titles := make([][]string, len(columns))
	for i, c := range columns {
		titles[i] = l.fonts.wrap(l.fonts.legible(c.title, bold), bold, size, c.width-2*cellPad)
		deepest = max(deepest, len(titles[i]))
	}
	height := float64(deepest)*lineHeight(size) + 2*cellPad
	l.fill(margin, l.y, tableWidth(columns), height, wash)
	x := margin
	for i, c := range columns {
		for j, line := range titles[i] {
			y := l.y + cellPad + float64(j)*lineHeight(size)
			if c.right {
				l.atRight(x+c.width-cellPad, y, line, bold, size, navy)
			} else {
				l.at(x+cellPad, y, line, bold, size, navy)
			}
		}
		x += c.width
	}
	l.y += height
	l.rule(margin, l.y, tableWidth(columns), muted)
}

// setLine is one line of a cell, ready to be set.
type setLine struct {
	text   string
	face   face
	size   float64
	height float64
	colour colour
}

func (l *layout) set(c cell, width float64, all string) []setLine {
	var out []setLine
	for _, t := range c {
		if t.text == "" {
			continue
		}
		size := cellSize
		if t.face == mono {
			size = monoSize
		}
		short, cut := t.text, 0
		if all != "" {
			short, cut = shorten(t.text, 2000)
		}
		for _, line := range l.fonts.wrap(l.fonts.legible(short, t.face), t.face, size, width) {
			out = append(out, setLine{line, t.face, size, lineHeight(size), t.colour})
		}
		if all != "" && len(out) > cellLines || cut > 0 {
			out = out[:min(len(out), cellLines)]
			for _, line := range l.fonts.wrap("[shortened here; whole in "+all+"]", plain, cellSize, width) {
				out = append(out, setLine{line, plain, cellSize, lineHeight(cellSize), muted})
			}
			break
		}
	}
	return out
}

// shorten keeps the first n runes, and says how many it left out.
func shorten(s string, n int) (short string, cut int) {
	if len(s) <= n {
		return s, 0
	}
	runes := []rune(s)
	if len(runes) <= n {
		return s, 0
	}
	return string(runes[:n]), len(runes) - n
}

func tableWidth(columns []column) (w float64) {
	for _, c := range columns {
		w += c.width
	}
	return w
}
