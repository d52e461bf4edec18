package console

import (
	"fmt"
	"io"
	"os"
	"slices"
	"strings"
	"sync"
	"unicode/utf8"

	"golang.org/x/term"

	"github.com/crosscheck-dev/crosscheck/audit"
)

// Progress draws one line about a run, again and again, where somebody looks at
// w; elsewhere both functions do nothing. tell is for audit.Auditor.Progress and
// may be called from many goroutines; stop clears the line.
func Progress(w io.Writer) (tell func(audit.Event), stop func()) {
	if !Terminal(w) || os.Getenv("TERM") == "dumb" {
		return func(audit.Event) {}, func() {}
	}
	return Draw(w, func() int {
		if f, ok := w.(*os.File); ok {
			if columns, _, err := term.GetSize(int(f.Fd())); err == nil {
				return columns
			}
		}
		return 80
	})
}

// Draw is Progress on something that is known to understand a terminal's codes.
func Draw(w io.Writer, columns func() int) (tell func(audit.Event), stop func()) {
	b := &bar{w: w, columns: columns, reading: map[string]int64{}, last: "-"}
	return b.tell, b.stop
}

// bar is the line and what it is made of.
type bar struct {
	w       io.Writer
	columns func() int

	mu        sync.Mutex
	reading   map[string]int64 // origins being read → resources so far
	origins   int              // read
	resources int64            // of those
	last      string
}

func (b *bar) tell(e audit.Event) {
	b.mu.Lock()
	defer b.mu.Unlock()
	switch e.Stage {
	case "collecting":
		b.reading[e.Origin] = e.Done
		b.draw(b.collecting())
	case "collected":
		delete(b.reading, e.Origin)
		b.origins++
		b.resources += e.Done
		if e.Err != nil {
			b.keep(fmt.Sprintf("%s could not be read: %v", e.Origin, e.Err))
		}
		b.draw(b.collecting())
	case "deciding":
		b.draw(deciding(e))
	case "recorded":
		b.draw("recorded; delivering")
	case "delivered":
		if e.Err != nil {
			b.keep(fmt.Sprintf("%s was not delivered to: %v", e.Sink, e.Err))
		}
	}
}

func (b *bar) stop() {
	b.mu.Lock()
	defer b.mu.Unlock()
	if b.last != "-" {
		_, _ = io.WriteString(b.w, "\r\x1b[K")
		b.last = "-"
	}
}

func (b *bar) collecting() string {
	resources := b.resources
	names := make([]string, 0, len(b.reading))
	for name, n := range b.reading {
		names = append(names, name)
		resources += n
	}
	slices.Sort(names)
	text := fmt.Sprintf("collecting: %d resources, %d origins read", resources, b.origins)
	if len(names) > 0 {
		text += ", reading " + strings.Join(names, " ")
	}
	return text
}

func deciding(e audit.Event) string {
	const width = 24
	if e.Total <= 0 {
		return fmt.Sprintf("deciding: %d resources, %d failed decisions", e.Done, e.Violation)
	}
	full := int(min(e.Done, e.Total) * width / e.Total)
	return fmt.Sprintf("deciding [%s%s] %3d%% of %d resources, %d failed decisions",
		strings.Repeat("=", full), strings.Repeat(" ", width-full), min(e.Done, e.Total)*100/e.Total, e.Total, e.Violation)
}

// draw replaces the line. A line that wraps could not be replaced: it is cut.
func (b *bar) draw(text string) {
	text = printable(text)
	if most := max(b.columns()-1, 10); utf8.RuneCountInString(text) > most {
		text = string([]rune(text)[:most-1]) + "…"
	}
	if text != b.last {
		b.last = text
		_, _ = io.WriteString(b.w, "\r\x1b[K"+text)
	}
}

// keep writes a line that stays.
func (b *bar) keep(text string) {
	_, _ = io.WriteString(b.w, "\r\x1b[K"+printable(text)+"\n")
	b.last = ""
}
