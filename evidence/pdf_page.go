package evidence

import (
	"strconv"
	"strings"
	"time"

	"github.com/jung-kurt/gofpdf"
)

// The grid of a page, in mm.
const (
	pageWidth  = 210.0
	pageHeight = 297.0
	margin     = 16.0
	bodyTop    = 27.0
	bodyEnd    = 276.0
	bodyWidth  = pageWidth - 2*margin
	factLabel  = 42.0   // width of a fact's name
	point      = 0.3528 // mm
	// headingHeight is that of a heading of one line, in mm.
	headingHeight = 9.0
)

// colour is red, green and blue.
type colour [3]int

var (
	ink    = colour{31, 41, 51}
	muted  = colour{97, 110, 124}
	light  = colour{208, 214, 221}
	wash   = colour{240, 243, 246}
	navy   = colour{27, 58, 95}
	red    = colour{158, 42, 34}
	amber  = colour{146, 94, 8}
	green  = colour{36, 94, 66}
	white  = colour{255, 255, 255}
	blush  = colour{252, 243, 241}
	banner = colour{158, 42, 34}
)

// layout writes one report, page after page. Text goes through it alone, so
// that what a font lacks is never lost.
type layout struct {
	pdf    *gofpdf.Fpdf
	fonts  *typefaces
	y      float64
	left   string         // header, left
	right  string         // header, right
	foot   [2]string      // footer, two lines
	strip  string         // a warning on every page, or ""
	total  int            // pages, known from the pass before
	marks  map[string]int // section → page, of this pass
	before map[string]int // section → page, of the pass before
	titles []string       // headings that wait for what they stand above
}

func newLayout(moment time.Time) (*layout, error) {
	pdf := gofpdf.New("P", "mm", "A4", "")
	pdf.SetCatalogSort(true)
	pdf.SetCreationDate(moment.UTC())
	pdf.SetModificationDate(moment.UTC())
	pdf.SetAutoPageBreak(false, 0)
	pdf.SetMargins(margin, bodyTop, margin)
	fonts, err := newTypefaces(pdf)
	return &layout{pdf: pdf, fonts: fonts, marks: map[string]int{}, before: map[string]int{}}, err
}

// newPage begins a page with its header and footer.
func (l *layout) newPage() {
	l.pdf.AddPage()
	l.at(margin, 12, l.left, plain, 7.5, muted)
	l.atRight(pageWidth-margin, 12, l.right, plain, 7.5, muted)
	l.rule(margin, 17.5, bodyWidth, light)
	if l.strip != "" {
		l.fill(margin, 18.5, bodyWidth, 5, banner)
		l.at(margin+2, 19.2, l.strip, bold, 7.5, white)
	}
	l.rule(margin, 281, bodyWidth, light)
	l.at(margin, 282.5, l.foot[0], mono, 6, muted)
	l.at(margin, 285.7, l.foot[1], mono, 6, muted)
	number := "Page " + strconv.Itoa(l.pdf.PageNo()) + " of " + strconv.Itoa(l.total)
	l.atRight(pageWidth-margin, 282.5, number, plain, 7.5, muted)
	l.y = bodyTop
}

// room begins a page unless there is room for so many mm. Headings that wait
// come to stand above what asks for the room, never at the end of a page.
func (l *layout) room(height float64) {
	titles := l.titles
	l.titles = nil
	if l.y+height+float64(len(titles))*headingHeight > bodyEnd {
		l.newPage()
	}
	for _, t := range titles {
		l.y += 3
		l.lines(t, bold, 9.5, ink, bodyWidth)
		l.y += 1
	}
}

// at sets one line; y is its top.
func (l *layout) at(x, y float64, text string, f face, size float64, c colour) {
	text = l.fonts.legible(text, f)
	l.fonts.use(f, size)
	l.pdf.SetTextColor(c[0], c[1], c[2])
	l.pdf.Text(x, y+size*point*0.95, text)
}

func (l *layout) atRight(x, y float64, text string, f face, size float64, c colour) {
	l.at(x-l.fonts.width(l.fonts.legible(text, f), f, size), y, text, f, size, c)
}

func (l *layout) rule(x, y, width float64, c colour) {
	l.pdf.SetDrawColor(c[0], c[1], c[2])
	l.pdf.SetLineWidth(0.2)
	l.pdf.Line(x, y, x+width, y)
}

func (l *layout) fill(x, y, width, height float64, c colour) {
	l.pdf.SetFillColor(c[0], c[1], c[2])
	l.pdf.Rect(x, y, width, height, "F")
}

// section begins a part that has a bookmark and a line in the contents.
func (l *layout) section(title string, level int) {
	size, before := 15.0, 7.0
	if level > 0 {
		size, before = 12.0, 4
	}
	l.room(before + 34)
	if l.y > bodyTop {
		l.y += before
	}
	l.fonts.use(bold, size) // a bookmark is Unicode only in a Unicode font
	l.pdf.Bookmark(l.fonts.legible(title, bold), level, l.y-2)
	l.marks[title] = l.pdf.PageNo()
	l.lines(title, bold, size, navy, bodyWidth)
	l.y += 2.5
}

// heading is a title without a bookmark.
func (l *layout) heading(title string) { l.titles = append(l.titles, title) }

// paragraph is running text.
func (l *layout) paragraph(text string) {
	l.lines(text, plain, 9, ink, bodyWidth)
	l.y += 1.8
}

// note is small print.
func (l *layout) note(text string) {
	l.lines(text, plain, 7.5, muted, bodyWidth)
	l.y += 1.5
}

// list numbers or marks its items.
func (l *layout) list(items []string, mark func(int) string) {
	for i, item := range items {
		lines := l.fonts.wrap(l.fonts.legible(item, plain), plain, 9, bodyWidth-7)
		l.room(lineHeight(9) * float64(min(len(lines), 3)))
		l.at(margin+1, l.y, mark(i), plain, 9, muted)
		l.block(margin+7, lines, plain, 9, ink)
		l.y += 1
	}
	l.y += 1
}

func numbered(i int) string { return strconv.Itoa(i+1) + "." }
func dashed(int) string     { return "–" }

func lineHeight(size float64) float64 { return size * point * 1.32 }

// lines sets wrapped text at the left margin, over page breaks.
func (l *layout) lines(text string, f face, size float64, c colour, width float64) {
	l.block(margin, l.fonts.wrap(l.fonts.legible(text, f), f, size, width), f, size, c)
}

func (l *layout) block(x float64, lines []string, f face, size float64, c colour) {
	for _, line := range lines {
		l.room(lineHeight(size))
		l.at(x, l.y, line, f, size, c)
		l.y += lineHeight(size)
	}
}

// facts are names with values beside.
func (l *layout) facts(list [][2]string) {
	for _, f := range list {
		lines := l.fonts.wrap(l.fonts.legible(f[1], plain), plain, 9, bodyWidth-factLabel)
		l.room(lineHeight(9) * float64(len(lines)))
		l.at(margin, l.y, f[0], plain, 9, muted)
		l.block(margin+factLabel, lines, plain, 9, ink)
		l.y += 0.9
	}
	l.y += 1.5
}

// code sets a source text line by line on a tinted ground.
func (l *layout) code(text string) {
	const size = 7.0
	height := lineHeight(size)
	for line := range strings.SplitSeq(strings.TrimRight(text, "\n"), "\n") {
		indent := line[:len(line)-len(strings.TrimLeft(line, "\t "))]
		line = strings.ReplaceAll(indent, "\t", "    ") + line[len(indent):]
		for _, part := range l.fonts.wrap(l.fonts.legible(line, mono), mono, size, bodyWidth-6) {
			l.room(height)
			l.fill(margin, l.y, bodyWidth, height+0.05, wash)
			l.at(margin+3, l.y+0.3, part, mono, size, ink)
			l.y += height
		}
	}
	l.y += 2
}

// box is a framed list that must not be overlooked.
func (l *layout) box(title string, items []string) {
	var lines []string
	for _, item := range items {
		for i, line := range l.fonts.wrap(l.fonts.legible(item, plain), plain, 8.5, bodyWidth-12) {
			if i == 0 {
				line = "– " + line
			} else {
				line = "   " + line
			}
			lines = append(lines, line)
		}
	}
	height := 9 + float64(len(lines))*lineHeight(8.5)
	l.room(height)
	l.fill(margin, l.y, bodyWidth, height, blush)
	l.fill(margin, l.y, 1.2, height, red)
	l.at(margin+5, l.y+2, title, bold, 9.5, red)
	l.y += 7
	l.block(margin+5, lines, plain, 8.5, ink)
	l.y += 5
}
