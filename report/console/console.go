// Package console shows a run to the person who waits for it: a summary, or one
// JSON document for a program, and while it lasts its progress.
package console

import (
	"bufio"
	"context"
	"errors"
	"fmt"
	"io"
	"os"
	"strings"

	"golang.org/x/term"

	"github.com/crosscheck-dev/crosscheck/audit"
)

// The formats.
const (
	Table = "table" // for a person
	JSON  = "json"  // one document with everything that failed
	Quiet = "quiet" // one line
)

// Config says where a run is shown, and how.
type Config struct {
	Out    io.Writer
	Format string // default Table
	Color  bool   // Colors tells whether Out is for colours
	Limit  int    // of violations in a table, default 10; the rest is counted

	// Command is how the program is started again with the same configuration,
	// default "crosscheck": what is told to be run next begins with it.
	Command string
}

// Sink shows recorded runs. What comes from audited systems cannot steer the
// terminal: what is not printable is escaped, in JSON too.
type Sink struct {
	out    io.Writer
	format string
	color  bool
	limit  int

	command string
}

// New checks the format.
func New(cfg Config) (*Sink, error) {
	if cfg.Format == "" {
		cfg.Format = Table
	}
	if cfg.Command = strings.TrimSpace(cfg.Command); cfg.Command == "" {
		cfg.Command = "crosscheck"
	}
	if cfg.Limit == 0 {
		cfg.Limit = 10
	}
	switch {
	case cfg.Out == nil:
		return nil, errors.New("console: Out is required")
	case cfg.Format != Table && cfg.Format != JSON && cfg.Format != Quiet:
		return nil, fmt.Errorf("console: format %q is none of %s, %s and %s", cfg.Format, Table, JSON, Quiet)
	case cfg.Limit < 0:
		return nil, fmt.Errorf("console: limit %d is negative", cfg.Limit)
	}
	return &Sink{out: cfg.Out, format: cfg.Format, color: cfg.Color, limit: cfg.Limit, command: cfg.Command}, nil
}

// Name implements audit.Sink.
func (s *Sink) Name() string { return "console" }

// Deliver implements audit.Sink. Delivered again, a run is shown again.
func (s *Sink) Deliver(ctx context.Context, rec audit.Record, _ audit.Delivery) error {
	w := bufio.NewWriter(s.out)
	sum := summarise(rec)
	var err error
	switch s.format {
	case JSON:
		err = writeJSON(ctx, w, rec, sum)
	case Quiet:
		_, err = fmt.Fprintln(w, sum.line())
	default:
		var worst []violation
		if worst, err = worstOf(ctx, rec, s.limit); err == nil {
			p := &page{w: w, color: s.color, command: s.command}
			p.summary(sum, worst)
		}
	}
	return errors.Join(err, w.Flush())
}

// Terminal tells whether somebody looks at w.
func Terminal(w io.Writer) bool {
	f, ok := w.(*os.File)
	return ok && term.IsTerminal(int(f.Fd()))
}

// Colors tells whether w is for colours: a terminal, unless NO_COLOR is set or it is a dumb one.
func Colors(w io.Writer) bool {
	return Terminal(w) && os.Getenv("NO_COLOR") == "" && os.Getenv("TERM") != "dumb"
}
