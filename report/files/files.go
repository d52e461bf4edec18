// Package files writes runs as files for other programs: one directory a run,
// with run.json and decisions.ndjson.
package files

import (
	"bufio"
	"bytes"
	"context"
	"encoding/json"
	"errors"
	"fmt"
	"io"
	"io/fs"
	"os"
	"path/filepath"
	"regexp"

	"github.com/crosscheck-dev/crosscheck/audit"
)

// Config says where runs are written.
type Config struct {
	Dir string // made if it is missing; holds a directory for each run
}

// Sink writes runs below a directory.
type Sink struct{ dir string }

// New does not make the directory: Deliver does.
func New(cfg Config) (*Sink, error) {
	if cfg.Dir == "" {
		return nil, errors.New("files: Dir is required")
	}
	return &Sink{cfg.Dir}, nil
}

// Name implements audit.Sink.
func (s *Sink) Name() string { return "files" }

var runID = regexp.MustCompile(`^[0-9a-f]{64}$`)

// Deliver implements audit.Sink. A run's directory appears only when all its
// files are on the disk; delivered again, it is written again with the same bytes.
func (s *Sink) Deliver(ctx context.Context, rec audit.Record, _ audit.Delivery) error {
	if !runID.MatchString(rec.Run.ID) {
		return fmt.Errorf("run id %q is not a digest", rec.Run.ID)
	}
	if err := os.MkdirAll(s.dir, 0o700); err != nil {
		return fmt.Errorf("making %s: %w", s.dir, err)
	}
	temp := filepath.Join(s.dir, ".writing-"+rec.Run.ID) // what a killed delivery left is begun anew
	if err := errors.Join(os.RemoveAll(temp), os.Mkdir(temp, 0o700)); err != nil {
		return fmt.Errorf("writing run %s: %w", rec.Run.ID, err)
	}
	defer func() { _ = os.RemoveAll(temp) }()
	err := errors.Join(
		write(filepath.Join(temp, "decisions.ndjson"), func(w io.Writer) error { return decisions(ctx, w, rec) }),
		write(filepath.Join(temp, "run.json"), func(w io.Writer) error { return run(w, rec.Run) }),
	)
	if err == nil {
		err = errors.Join(sync(temp), s.publish(temp, rec.Run.ID))
	}
	if err != nil {
		return fmt.Errorf("writing run %s: %w", rec.Run.ID, err)
	}
	return nil
}

// publish moves a complete directory to its place. One that is there already is
// of the same run, and gives way.
func (s *Sink) publish(temp, id string) error {
	place := filepath.Join(s.dir, id)
	old := temp + "-old"
	if err := os.RemoveAll(old); err != nil {
		return err
	}
	if err := os.Rename(place, old); err != nil && !errors.Is(err, fs.ErrNotExist) {
		return err
	}
	return errors.Join(os.Rename(temp, place), os.RemoveAll(old), sync(s.dir))
}

// write makes a file, and returns when it is on the disk.
func write(name string, fill func(io.Writer) error) error {
	f, err := os.OpenFile(name, os.O_CREATE|os.O_EXCL|os.O_WRONLY, 0o600)
	if err != nil {
		return err
	}
	w := bufio.NewWriterSize(f, 64<<10)
	if err = fill(w); err == nil {
		err = errors.Join(w.Flush(), f.Sync())
	}
	return errors.Join(err, f.Close())
}

// sync puts the names in a directory on the disk.
func sync(dir string) error {
	d, err := os.Open(dir)
	if err != nil {
		return err
	}
	return errors.Join(d.Sync(), d.Close())
}

// run writes what the run says of itself.
func run(w io.Writer, r audit.Run) error {
	b, err := audit.Canonical(r)
	if err != nil {
		return err
	}
	var buf bytes.Buffer
	if err := json.Indent(&buf, b, "", "  "); err != nil {
		return err
	}
	buf.WriteByte('\n')
	_, err = w.Write(buf.Bytes())
	return err
}

// line is one decision in decisions.ndjson.
type line struct {
	audit.Decision
	Excepted     bool           `json:"excepted"`
	Run          string         `json:"run"`
	AsOf         string         `json:"as_of"`
	Simulated    bool           `json:"simulated,omitempty"`
	Title        string         `json:"title"`
	Severity     audit.Severity `json:"severity"`
	Requirements []string       `json:"requirements"`
	Resource     string         `json:"resource"`
	Name         string         `json:"name"`
	Type         string         `json:"type"`
	Origin       string         `json:"origin"`
	Source       string         `json:"source"`
	Owner        string         `json:"owner,omitempty"`
	InputDigest  string         `json:"input_digest"`
}

// decisions writes every decision, passes too, in order of origin, resource and control.
func decisions(ctx context.Context, w io.Writer, rec audit.Record) error {
	about := map[string]line{}
	for _, c := range rec.Catalog.Controls {
		requirements := rec.Catalog.Requirements(c.ID)
		if requirements == nil {
			requirements = []string{}
		}
		about[c.ID] = line{
			Run: rec.Run.ID, AsOf: audit.Stamp(rec.Run.AsOf), Simulated: rec.Run.Simulated,
			Title: c.Title, Severity: c.Severity, Requirements: requirements,
		}
	}
	return rec.Verdicts(ctx, func(v audit.Verdict) error {
		for _, d := range v.Decisions {
			l, ok := about[d.Control]
			if !ok {
				return fmt.Errorf("decision %s is of control %s, which the library of the run does not hold", d.ID, d.Control)
			}
			l.Decision, l.Excepted = d, d.Excepted()
			l.Resource, l.Name, l.Type, l.Origin, l.Source = v.Resource, v.Name, v.Type, v.Origin, audit.SourceOf(v.Origin)
			l.Owner, l.InputDigest = v.Owner, v.InputDigest
			b, err := audit.Canonical(l)
			if err != nil {
				return err
			}
			if _, err := w.Write(append(b, '\n')); err != nil {
				return err
			}
		}
		return nil
	})
}
