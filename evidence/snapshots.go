package evidence

import (
	"bytes"
	"context"
	"fmt"
	"io"
	"slices"

	"github.com/crosscheck-dev/crosscheck/audit"
)

// snapshotFile is where a pack keeps the snapshot of an origin.
func snapshotFile(origin string) string { return "snapshots/" + fileName(origin) + ".ndjson" }

// seen is what the documents of an origin say of themselves.
type seen struct {
	gaps     int64 // places that could not be read
	bearing  int64 // of these, that kept a control from deciding
	redacted int64 // places with a token instead of a secret
	tokens   int64 // documents that have such places
	resource string
	places   map[string]bool // of the resource: gaps that were counted as bearing
}

// bears counts the gaps for which a decision was not made. Decisions on a resource come together.
func (s *seen) bears(l Line) {
	if l.Resource != s.resource {
		s.resource, s.places = l.Resource, map[string]bool{}
	}
	for _, r := range l.Reasons {
		if r.Code == "gap" && !s.places[r.Where] {
			s.places[r.Where] = true
			s.bearing++
		}
	}
}

// origin gives what is known of an origin's documents.
func (a *assembly) origin(name string) *seen {
	s := a.seen[name]
	if s == nil {
		s = &seen{}
		a.seen[name] = s
	}
	return s
}

// snapshots copies each snapshot, and lists every gap, of whole populations and
// within documents, and every token.
func (a *assembly) snapshots(ctx context.Context) error {
	a.seen = map[string]*seen{}
	gaps, err := a.out.create(gapsFile, ndjsonType)
	if err != nil {
		return err
	}
	redactions, err := a.out.create(redactionsFile, ndjsonType)
	if err != nil {
		gaps.discard()
		return err
	}
	err = a.populationGaps(gaps)
	for _, s := range a.rec.Run.Snapshots {
		if err != nil {
			break
		}
		err = a.snapshot(ctx, s, gaps, redactions)
	}
	if err != nil {
		gaps.discard()
		redactions.discard()
		return err
	}
	if _, err = gaps.close(); err != nil {
		redactions.discard()
		return err
	}
	_, err = redactions.close()
	return err
}

func (a *assembly) snapshot(ctx context.Context, s audit.Snapshot, gaps, redactions io.Writer) error {
	digest, err := a.out.copy(snapshotFile(s.Origin), ndjsonType, func(w io.Writer) error {
		return audit.Documents(ctx, a.rec.Vault, s.Digest, func(line []byte) error {
			if _, err := w.Write(append(slices.Clip(line), '\n')); err != nil {
				return err
			}
			return a.origin(s.Origin).document(line, gaps, redactions)
		})
	})
	if err == nil && digest != s.Digest {
		err = fmt.Errorf("snapshot of %s: the vault gave other bytes than the run was judged by", s.Origin)
	}
	return err
}

// How a document begins its third key where it has no gaps, and its sixth
// where nothing was redacted.
var (
	noGaps       = []byte(`"gaps":{},"id":`)
	noRedactions = []byte(`"redacted":[],"source":`)
)

// plainDocument tells whether a document has neither gaps nor tokens, without parsing it.
func plainDocument(line []byte) bool {
	return bytes.Contains(line, noGaps) && !bytes.Contains(line, []byte(`"gaps":{"/`)) &&
		bytes.Contains(line, noRedactions) && !bytes.Contains(line, []byte(`"redacted":["/`))
}

// document writes a line for each gap within a document, and one for its tokens.
func (s *seen) document(line []byte, gaps, redactions io.Writer) error {
	if plainDocument(line) {
		return nil
	}
	h, err := audit.ParseHead(line)
	if err != nil {
		return err
	}
	for _, at := range sortedKeys(h.Gaps) {
		s.gaps++
		err := writeLine(gaps, map[string]any{"gap": "document", "origin": h.Origin, "path": at, "reason": h.Gaps[at], "resource": h.ID, "type": h.Type})
		if err != nil {
			return err
		}
	}
	if len(h.Redacted) == 0 {
		return nil
	}
	s.tokens++
	s.redacted += int64(len(h.Redacted))
	return writeLine(redactions, map[string]any{"origin": h.Origin, "pointers": h.Redacted, "resource": h.ID, "type": h.Type})
}

// populationGaps writes a line for each gap of a population.
func (a *assembly) populationGaps(w io.Writer) error {
	for _, g := range populationGapsOf(a.rec.Run) {
		err := writeLine(w, map[string]any{"code": string(g.Code), "gap": "population", "operation": g.Operation, "origin": g.Origin, "type": g.Type})
		if err != nil {
			return err
		}
	}
	return nil
}
