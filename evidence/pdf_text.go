package evidence

import (
	"embed"
	"encoding/binary"
	"fmt"
	"strings"
	"unicode"

	"github.com/jung-kurt/gofpdf"
)

//go:embed fonts/DejaVuSansCondensed.ttf fonts/DejaVuSansCondensed-Bold.ttf fonts/DejaVuSansMono.ttf
var fontFiles embed.FS

// face is one of the three fonts of a report.
type face string

const (
	plain face = "plain"
	bold  face = "bold"
	mono  face = "mono"
)

// typefaces measures and sets text in fonts that are part of the PDF.
type typefaces struct {
	pdf    *gofpdf.Fpdf
	widths map[face]map[rune]float64 // at size 1
	known  map[face]func(rune) bool
}

func newTypefaces(pdf *gofpdf.Fpdf) (*typefaces, error) {
	t := &typefaces{pdf: pdf, widths: map[face]map[rune]float64{}, known: map[face]func(rune) bool{}}
	for _, f := range []struct {
		face face
		file string
	}{{plain, "DejaVuSansCondensed.ttf"}, {bold, "DejaVuSansCondensed-Bold.ttf"}, {mono, "DejaVuSansMono.ttf"}} {
		b, err := fontFiles.ReadFile("fonts/" + f.file)
		if err != nil {
			return nil, err
		}
		if t.known[f.face], err = glyphs(b); err != nil {
			return nil, fmt.Errorf("%s: %w", f.file, err)
		}
		pdf.AddUTF8FontFromBytes(string(f.face), "", b)
		t.widths[f.face] = map[rune]float64{}
	}
	return t, pdf.Error()
}

func (t *typefaces) use(f face, size float64) { t.pdf.SetFont(string(f), "", size) }

// legible replaces what the font cannot show, or what would show as something
// else, by its number: nothing vanishes from a report.
func (t *typefaces) legible(s string, f face) string {
	var b strings.Builder
	for _, r := range s {
		switch {
		case r == '\n':
			b.WriteString(`\n`)
		case r == '\t':
			b.WriteString(`\t`)
		case r == ' ' || r > ' ' && r < 0x7f:
			b.WriteRune(r)
		case !unicode.IsGraphic(r) || r > 0xffff || !t.known[f](r):
			fmt.Fprintf(&b, `\u{%x}`, r)
		default:
			b.WriteRune(r)
		}
	}
	return b.String()
}

// width of a text in mm. The font must not be relied on afterwards.
func (t *typefaces) width(s string, f face, size float64) (w float64) {
	for _, r := range s {
		w += t.rune(r, f) * size
	}
	return w
}

func (t *typefaces) rune(r rune, f face) float64 {
	w, ok := t.widths[f][r]
	if !ok {
		t.use(f, 100)
		w = t.pdf.GetStringWidth(string(r)) / 100
		t.widths[f][r] = w
	}
	return w
}

// wrap breaks a legible text into lines no wider than width: at a space, else
// behind punctuation, else anywhere.
func (t *typefaces) wrap(s string, f face, size, width float64) []string {
	runes := []rune(s)
	var lines []string
	start, space, mark, used := 0, -1, -1, 0.0
	for i := 0; i < len(runes); i++ {
		w := t.rune(runes[i], f) * size
		if used+w > width && i > start {
			cut := i
			switch {
			case runes[i] == ' ':
			case space > start && (mark <= start || space-start > (i-start)/2):
				cut = space
			case mark > start:
				cut = mark
			}
			lines = append(lines, strings.TrimRight(string(runes[start:cut]), " "))
			for cut < len(runes) && runes[cut] == ' ' {
				cut++
			}
			start, space, mark, used = cut, -1, -1, 0
			i = cut - 1
			continue
		}
		used += w
		switch {
		case runes[i] == ' ':
			space = i
		case strings.ContainsRune("/:,;.-_=&?@|)}]", runes[i]):
			mark = i + 1
		}
	}
	return append(lines, strings.TrimRight(string(runes[start:]), " "))
}

// glyphs tells which characters of the basic plane a TrueType font has, by its
// format 4 character map.
func glyphs(ttf []byte) (func(rune) bool, error) {
	table, err := cmapTable(ttf)
	if err != nil {
		return nil, err
	}
	u16 := func(at int) int {
		if at+2 > len(table) {
			return 0
		}
		return int(binary.BigEndian.Uint16(table[at:]))
	}
	segments := u16(6) / 2
	ends, starts := 14, 16+2*segments
	deltas, offsets := starts+2*segments, starts+4*segments
	return func(r rune) bool {
		c := int(r)
		for s := range segments {
			if c > u16(ends+2*s) {
				continue
			}
			start := u16(starts + 2*s)
			if c < start {
				return false
			}
			glyph := c
			if off := u16(offsets + 2*s); off != 0 {
				if glyph = u16(offsets + 2*s + off + 2*(c-start)); glyph == 0 {
					return false
				}
			}
			return (glyph+u16(deltas+2*s))&0xffff != 0
		}
		return false
	}, nil
}

// cmapTable finds the format 4 subtable for Unicode.
func cmapTable(ttf []byte) ([]byte, error) {
	for i := range 64 {
		at := 12 + 16*i
		if at+16 > len(ttf) {
			break
		}
		if string(ttf[at:at+4]) != "cmap" {
			continue
		}
		cmap := ttf[binary.BigEndian.Uint32(ttf[at+8:]):]
		for j := range int(binary.BigEndian.Uint16(cmap[2:])) {
			sub := cmap[binary.BigEndian.Uint32(cmap[4+8*j+4:]):]
			if binary.BigEndian.Uint16(sub) == 4 {
				return sub, nil
			}
		}
	}
	return nil, fmt.Errorf("font has no format 4 character map")
}
